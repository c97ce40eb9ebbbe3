//! H2: peers that take their time.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::ask::{self, Answer, Door};
use crate::h::{Kit, closed_after};
use crate::report::Report;

const HEADERS: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(30);
const WHOLE: Duration = Duration::from_secs(60);
/// For a slow machine; less than from one limit to the next.
const SLACK: Duration = Duration::from_secs(14);

/// Sends `start` at once and of the rest one octet a second, until there is an answer.
async fn dribble(kit: &Kit, start: &[u8], rest: Vec<u8>) -> Answer {
    let started = Instant::now();
    let mut stream = TcpStream::connect(kit.site.at).await.unwrap();
    stream.write_all(start).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let sends = async {
        for octet in rest {
            sleep(Duration::from_secs(1)).await;
            if write.write_all(&[octet]).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await
    };
    tokio::select! {
        answer = timeout(WHOLE + SLACK, ask::read(&mut read, started)) => {
            answer.unwrap_or_else(|_| closed_after(started))
        }
        () = sends => unreachable!("it never ends"),
    }
}

pub(super) async fn senders(kit: &Kit, report: &mut Report) {
    let text = kit.good().http(Door::V2);
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let head = format!("{head}\r\n\r\n");
    let endless = vec![b'x'; 120];
    let in_headers = format!("{}x: ", &head[..head.len() - 2]);
    let (headers, bodies, silence, nothing, twin) = tokio::join!(
        dribble(kit, in_headers.as_bytes(), endless.clone()),
        dribble(kit, head.as_bytes(), endless),
        dribble(kit, in_headers.as_bytes(), Vec::new()),
        dribble(kit, b"", Vec::new()),
        // As slow, and done in time.
        dribble(
            kit,
            &text.as_bytes()[..text.len() - 4],
            body.as_bytes()[body.len() - 4..].to_vec()
        ),
    );
    for (what, answer, word, limit) in [
        ("headers, an octet a second", &headers, "closed", HEADERS),
        ("headers that stop", &silence, "closed", HEADERS),
        ("silence", &nothing, "closed", IDLE),
        (
            "a body, an octet a second",
            &bodies,
            "REQUEST_MALFORMED",
            IDLE,
        ),
    ] {
        report.saw(answer);
        report.check(what, answer.word() == word, answer);
        let in_time = answer.took <= limit + SLACK;
        report.check(what, in_time, format!("after {:?}", answer.took));
    }
    report.check("the twin", twin.is_issued(), &twin);
}
