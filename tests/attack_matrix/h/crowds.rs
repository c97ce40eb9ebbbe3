//! H9 and H10: connections nobody uses, and callers who leave.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::ask::Door;
use crate::h::{Kit, closed_after, resident};
use crate::report::Report;

const CONNECTIONS: usize = 10_000;

/// H9. Both ends are this process's: as many as it may have open.
pub(super) async fn idle(kit: &Kit, report: &mut Report) {
    let most = may_open().saturating_sub(500) / 2;
    let (started, wanted) = (Instant::now(), CONNECTIONS.min(most));
    let before = resident();
    let mut idle = Vec::new();
    for number in 0..wanted {
        // The kernel's queue may be full: an attacker tries again as everybody does.
        let Ok(Ok(mut stream)) =
            timeout(Duration::from_secs(10), TcpStream::connect(kit.site.at)).await
        else {
            report.check("connections", false, format!("no connection {number}"));
            break;
        };
        // Some say nothing, some begin and stop.
        if number % 2 == 0 {
            let _ = stream
                .write_all(b"POST /api/v2/signingCert HTTP/1.1\r\n")
                .await;
        }
        idle.push(stream);
    }
    // All of them there: now is when others have to be served.
    for _ in 0..20 {
        let answer = kit.site.ask(Door::V2, &kit.good()).await;
        report.check("a good request in the crowd", answer.is_issued(), &answer);
    }
    let mut octet = [0];
    if let Some(first) = idle.first_mut() {
        let ended = timeout(Duration::from_secs(40), first.read(&mut octet)).await;
        report.check(
            "the first of them",
            matches!(ended, Ok(Ok(0) | Err(_))),
            "still open",
        );
    }
    report.saw(&closed_after(started));
    let grown = resident().saturating_sub(before) >> 20;
    println!("     {} idle connections, {grown} MB more", idle.len());
}

/// How many files this process may have open; as many as it is permitted, from here on.
fn may_open() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let now = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: now.maximum,
        maximum: now.maximum,
    };
    let _ = setrlimit(Resource::Nofile, most);
    let current = getrlimit(Resource::Nofile).current;
    current.map_or(usize::MAX, |files| {
        usize::try_from(files).unwrap_or(usize::MAX)
    })
}

/// H10: gone at every moment of the work; the certificate that was begun is the one the retry gets.
pub(super) async fn hang_up(kit: &Kit, report: &mut Report) {
    for step in 0..12_u64 {
        let what = format!("gone after {} ms", step * step);
        let ask = kit.good();
        let started = Instant::now();
        let mut stream = TcpStream::connect(kit.site.at).await.unwrap();
        stream
            .write_all(ask.http(Door::V2).as_bytes())
            .await
            .unwrap();
        sleep(Duration::from_millis(step * step)).await;
        drop(stream);
        report.saw(&closed_after(started));
        let first = kit.site.ask(Door::V2, &ask).await;
        let again = kit.site.ask(Door::V2, &ask).await;
        report.check(&what, first.is_issued(), format!("the retry: {first}"));
        report.check(
            &what,
            again.is_issued(),
            format!("the second retry: {again}"),
        );
        let same = first.leaf().is_some() && first.leaf() == again.leaf();
        report.check(&what, same, "another certificate");
    }
}
