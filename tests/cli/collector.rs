//! A collector of the log that stops reading: a pipe holds 64 KiB, and then its writer waits.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::sync::mpsc;
use std::thread;

use crate::ca::init;
use crate::parts;
use crate::program::{Beside, PATIENCE, Place, SHORTLEAF};
use crate::serve::{ISSUER, MEMORY_LOG, configure};

/// Far more lines than the pipe holds.
const REQUESTS: usize = 600;

#[test]
fn a_collector_that_stops_reading_keeps_nobody_waiting_and_loses_nothing_when_it_goes_on() {
    let place = Place::new();
    init(&place, &[]);
    configure(
        &place,
        &format!(
            "[log]\nformat = \"json\"\n[ct]\ninsecure_memory_log = true\n{MEMORY_LOG}{ISSUER}"
        ),
    );
    // Open for reading too, and nobody reads.
    let line = format!("mkfifo log && exec 3<>log && exec {SHORTLEAF} serve 2>log");
    let mut shell = place.command("/bin/sh");
    let mut serve = Beside(parts::Running::start(
        "serve into a pipe",
        shell.args(["-c", &line]),
    ));
    let url = serve.ready() + "/api/v2/signingCert";
    for number in 0..REQUESTS {
        let answer = parts::http("POST", &url, Some("{}"));
        assert_eq!(answer.map(|(status, _)| status), Some(400), "{number}");
    }

    let log = File::open(place.path("log")).unwrap();
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(log).lines() {
            let _ = sender.send(line.unwrap());
        }
    });
    let next = || lines.recv_timeout(PATIENCE).expect("a line of the log");
    let mut refused = 0;
    while refused < REQUESTS {
        refused += usize::from(next().contains("\"refused\""));
    }
    serve.stop("TERM");
    while !next().contains("stopping: ") {}
}
