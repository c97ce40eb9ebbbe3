//! Inputs of a row, what must come of each, and what came.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use shortleaf::fault::Reason;

use crate::ask::{Answer, Ask, Door};
use crate::site::Site;

/// What must come of an input.
pub(crate) enum Verdict {
    /// This reason at every door, nothing sent to anybody, nothing recorded or signed; and its
    /// twin, in which one thing is other, gets a certificate.
    Refused { reason: Reason, twin: Ask },
    /// A certificate, in which nothing of the attack is seen.
    Issued,
}

/// One input.
pub(crate) struct Case {
    pub(crate) what: String,
    pub(crate) ask: Ask,
    pub(crate) verdict: Verdict,
}

/// What a row's inputs met.
pub(crate) struct Report {
    pub(crate) row: String,
    pub(crate) inputs: usize,
    /// How often each reason, or a certificate, was the answer.
    seen: BTreeMap<String, usize>,
    /// Connections to issuers and logs while refused inputs were judged; to a log that lies, tries.
    pub(crate) sent: usize,
    slowest: Duration,
    pub(crate) faults: Vec<String>,
}

impl Report {
    pub(crate) fn new(row: &str) -> Self {
        Self {
            row: row.to_owned(),
            inputs: 0,
            seen: BTreeMap::new(),
            sent: 0,
            slowest: Duration::ZERO,
            faults: Vec::new(),
        }
    }

    /// One input more, and what came of it.
    pub(crate) fn saw(&mut self, answer: &Answer) {
        self.inputs += 1;
        *self.seen.entry(answer.word()).or_default() += 1;
        self.slowest = self.slowest.max(answer.took);
    }

    /// Lays another report of the same row beside this one.
    pub(crate) fn join(&mut self, other: Self) {
        self.inputs += other.inputs;
        self.sent += other.sent;
        self.slowest = self.slowest.max(other.slowest);
        self.faults.extend(other.faults);
        for (word, count) in other.seen {
            *self.seen.entry(word).or_default() += count;
        }
    }

    pub(crate) fn check(&mut self, what: &str, holds: bool, otherwise: impl fmt::Display) {
        if !holds {
            self.faults
                .push(format!("{}, {what}: {otherwise}", self.row));
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen: Vec<String> = self.seen.iter().map(|(w, n)| format!("{w} {n}")).collect();
        write!(
            f,
            "{:<4}{:>3} inputs: {}; {} requests sent; slowest {} ms",
            self.row,
            self.inputs,
            seen.join(", "),
            self.sent,
            self.slowest.as_millis()
        )
    }
}

/// Any single parse is to take at most 50 ms; this is a whole request to an unoptimised server on a
/// busy machine.
const SLOWEST: Duration = Duration::from_secs(5);

/// Asks everything of a row, one after another.
pub(crate) async fn judge(site: &Site, row: &str, cases: Vec<Case>) -> Report {
    let mut report = Report::new(row);
    for case in cases {
        report.inputs += 1;
        match &case.verdict {
            Verdict::Refused { reason, twin } => {
                for door in case.ask.doors() {
                    refused(site, &mut report, &case, *reason, door).await;
                }
                let answer = site.ask(twin.doors()[0], twin).await;
                report.check(
                    &case.what,
                    answer.is_issued(),
                    format!("its twin: {answer}"),
                );
            }
            Verdict::Issued => {
                let door = case.ask.doors()[0];
                let answer = site.ask(door, &case.ask).await;
                *report.seen.entry(answer.word()).or_default() += 1;
                report.slowest = report.slowest.max(answer.took);
                report.check(&case.what, answer.is_issued(), &answer);
                if door == Door::V2
                    && let Err(surprise) = site.look(&answer, &case.ask)
                {
                    report.check(&case.what, false, surprise);
                }
            }
        }
    }
    report
}

async fn refused(site: &Site, report: &mut Report, case: &Case, reason: Reason, door: Door) {
    let (sent, begun) = (site.sent(), site.begun());
    let answer: Answer = site.ask(door, &case.ask).await;
    *report.seen.entry(answer.word()).or_default() += 1;
    report.sent += site.sent() - sent;
    report.slowest = report.slowest.max(answer.took);
    let what = format!("{} at {door:?}", case.what);
    let right = answer.word() == reason.as_str();
    report.check(&what, right, format!("{answer}, not {}", reason.as_str()));
    // Looking for a key that nobody knows may cost one fetch in half a minute, of metadata and set.
    let may_be_sent = if reason == Reason::TokenKeyUnknown {
        2
    } else {
        0
    };
    let sent = site.sent() - sent;
    report.check(&what, sent <= may_be_sent, "something was sent");
    report.check(&what, site.begun() == begun, "something was begun");
    report.check(&what, answer.took < SLOWEST, format!("{:?}", answer.took));
}
