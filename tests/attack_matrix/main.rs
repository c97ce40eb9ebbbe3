//! The catalogue of attacks against the real server: one line for each row, with its inputs, the
//! reason each was given, the time and what was sent to others.
//!
//! Rows are named as people speak of them: J tokens, K keys, H connections, C logs. A letter is a
//! file; [`LETTERS`] lists those that are written and the rows each must have. A row without an
//! input fails the run unless [`WAITING`] names the capability it waits for, and a row that still
//! waits once that capability is there fails as well.
//!
//!     cargo test --test attack_matrix            every row
//!     cargo test --test attack_matrix -- K5      one row

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program of tests prints, and stops where it is surprised"
)]

mod ask;
mod c;
mod h;
#[path = "../world/http2.rs"]
mod http2;
#[path = "../world/issuer.rs"]
mod issuer;
mod j;
mod k;
#[path = "../possession/world.rs"]
mod keys;
#[path = "../ct/lies.rs"]
mod lies;
#[path = "../world/log.rs"]
mod log;
mod material;
#[path = "../world/parts.rs"]
mod parts;
mod report;
#[path = "../ct/scripted.rs"]
mod scripted;
#[path = "../world/secrets.rs"]
mod secrets;
mod site;

use std::path::Path;
use std::process::ExitCode;

use report::Report;

/// Where people read of the rows.
const MODEL: &str = include_str!("../../docs/threat-model.md");

/// A file of rows.
struct Letter {
    name: char,
    /// Its rows are `name` with 1 to this.
    rows: usize,
    run: fn(&[String]) -> Vec<Report>,
}

/// The letters that are written.
const LETTERS: &[Letter] = &[
    Letter {
        name: 'H',
        rows: 15,
        run: h::run,
    },
    Letter {
        name: 'J',
        rows: 28,
        run: j::run,
    },
    Letter {
        name: 'K',
        rows: 10,
        run: k::run,
    },
    Letter {
        name: 'C',
        rows: 16,
        run: c::run,
    },
];

/// A row, or a part of one, that cannot have an input yet.
struct Waiting {
    row: &'static str,
    /// Which part; empty for the whole row.
    part: &'static str,
    capability: Capability,
}

/// What rows wait for.
#[derive(Clone, Copy, Debug)]
enum Capability {
    CertificateTransparency,
    Revocation,
    Grpc,
}

impl Capability {
    /// The room that comes with it, beneath `src/`.
    fn room(self) -> &'static str {
        match self {
            Self::CertificateTransparency => "log",
            Self::Revocation => "revocation",
            Self::Grpc => "server/grpc",
        }
    }

    fn is_there(self) -> bool {
        let room = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("src")
            .join(self.room());
        room.exists() || room.with_extension("rs").exists()
    }
}

const fn waits(row: &'static str, part: &'static str, capability: Capability) -> Waiting {
    Waiting {
        row,
        part,
        capability,
    }
}

const WAITING: &[Waiting] = &[
    waits("K9", "a blocked SPKI", Capability::Revocation),
    waits("H8", "", Capability::Grpc),
    waits("H12", "admin routes", Capability::Revocation),
    waits("H13", "admin routes", Capability::Revocation),
    waits("H14", "the third door", Capability::Grpc),
    waits("C5", "static-ct logs", Capability::CertificateTransparency),
    waits("C8", "the breaker", Capability::CertificateTransparency),
    waits("C9", "the hedge", Capability::CertificateTransparency),
    waits("C11", "", Capability::CertificateTransparency),
    waits("C12", "", Capability::CertificateTransparency),
    waits("C13", "", Capability::CertificateTransparency),
    waits("C14", "", Capability::CertificateTransparency),
    waits("C15", "", Capability::CertificateTransparency),
];

fn main() -> ExitCode {
    // What cargo passes on: switches, and a filter that may be meant for other tests.
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let is_wanted = |row: &str| wanted.is_empty() || wanted.iter().any(|name| name == row);
    let mut faults = Vec::new();
    let mut inputs = 0;
    for letter in LETTERS {
        let rows: Vec<String> = (1..=letter.rows)
            .map(|number| format!("{}{number}", letter.name))
            .filter(|row| is_wanted(row))
            .collect();
        if rows.is_empty() {
            continue;
        }
        let reports = (letter.run)(&rows);
        for row in &rows {
            let report = reports.iter().find(|report| report.row == *row);
            let waits: Vec<_> = WAITING.iter().filter(|w| w.row == row).collect();
            println!("{}", line(row, report, &waits));
            inputs += report.map_or(0, |report| report.inputs);
            faults.extend(report.into_iter().flat_map(|report| report.faults.clone()));
            faults.extend(unmet(row, report, &waits));
            if !MODEL.contains(&format!("\n| {row} | ")) {
                faults.push(format!("{row}: docs/threat-model.md does not tell of it"));
            }
        }
        let strangers = reports.iter().filter(|report| !rows.contains(&report.row));
        faults.extend(strangers.map(|report| format!("{}: no such row", report.row)));
    }
    println!("{inputs} inputs, {} faults", faults.len());
    faults.iter().for_each(|fault| println!("FAULT {fault}"));
    match faults.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn line(row: &str, report: Option<&Report>, waits: &[&Waiting]) -> String {
    let mut line = match report {
        Some(report) => report.to_string(),
        None => format!("{row:<4} no input"),
    };
    for wait in waits {
        let part = if wait.part.is_empty() { row } else { wait.part };
        line.push_str(&format!("; {part} waits for {:?}", wait.capability));
    }
    line
}

/// What a row's presence or absence breaks.
fn unmet(row: &str, report: Option<&Report>, waits: &[&Waiting]) -> Vec<String> {
    let mut faults = Vec::new();
    let is_met = report.is_some_and(|report| report.inputs > 0);
    let waits_wholly = waits.iter().any(|wait| wait.part.is_empty());
    if is_met == waits_wholly {
        faults.push(match is_met {
            true => format!("{row}: has inputs, and waits"),
            false => format!("{row}: has no input, and waits for nothing"),
        });
    }
    for wait in waits.iter().filter(|wait| wait.capability.is_there()) {
        faults.push(format!(
            "{row}: waits for {:?}, which is there",
            wait.capability
        ));
    }
    faults
}
