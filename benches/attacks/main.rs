//! What floods do to good requests.
//!
//! `cargo bench --bench attacks` starts the released `shortleaf serve`, sends it good requests at a
//! steady rate, first in peace and then under each flood in turn, and compares the slowest in a
//! hundred. Judge, good clients and flood are processes of their own. It ends with 1 if a good
//! request failed or the server held 64 MB more than in peace; the latencies are told, not judged,
//! because they are the machine's as well.
//!
//! `-- --smoke` or SHORTLEAF_BENCH_SMOKE=1 takes seconds and claims nothing; `-- HalfOpen` keeps to
//! the floods that are named; `-- --out DIR` says where the table goes.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people"
)]
#![allow(clippy::unwrap_used, reason = "a broken benchmark should stop")]
#![allow(
    dead_code,
    reason = "shared with benches/issuance, which uses more of it"
)]

#[path = "../issuance/arguments.rs"]
mod arguments;
#[path = "../issuance/cpu.rs"]
mod cpu;
mod floods;
mod good;
#[path = "../../tests/world/http2.rs"]
mod http2;
#[path = "../../tests/world/issuer.rs"]
mod issuer;
#[path = "../issuance/load.rs"]
mod load;
#[path = "../../tests/world/parts.rs"]
mod parts;
#[path = "../issuance/primitives.rs"]
mod primitives;
#[path = "../issuance/requests.rs"]
mod requests;
#[path = "../../tests/world/secrets.rs"]
mod secrets;
#[path = "../issuance/server.rs"]
mod server;
mod siege;
#[path = "../../tests/world/subject.rs"]
mod subject;

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use serde::de::DeserializeOwned;

use arguments::Arguments;
use cpu::Core;
use floods::Flood;
use primitives::CaKey;
use siege::{Effort, Hands, Outcome};

const FULL: Effort = Effort {
    per_second: 100,
    count: 2000,
};
const SMOKE: Effort = Effort {
    per_second: 50,
    count: 100,
};
/// No part takes longer.
const PATIENCE: Duration = Duration::from_secs(120);
/// The goal: under a flood, the slowest in a hundred take at most so many times as long.
const GOAL: f64 = 2.0;

fn main() -> ExitCode {
    let arguments = Arguments::given();
    match arguments.as_slice() {
        [role, order] if role == "good" => return answer(&good::run(&read(order)).unwrap()),
        [role, order] if role == "flood" => return answer(&floods::run(&read(order)).unwrap()),
        _ => {}
    }
    let smoke = arguments.is_smoke();
    let floods = match floods_of(arguments.as_slice()) {
        Ok(floods) => floods,
        Err(unknown) => {
            eprintln!("no flood is called {unknown:?}; there are {:?}", Flood::ALL);
            return ExitCode::from(2);
        }
    };
    if !arguments.is_wanted() {
        println!("nothing measured: run `cargo bench --bench attacks`");
        return ExitCode::SUCCESS;
    }
    if cpu::cores() < 2 {
        println!("one core only: load and server would share it, so no figures are given");
        return ExitCode::SUCCESS;
    }
    let out = arguments.out();

    let scratch = tempfile::tempdir().expect("a scratch folder");
    let ca = server::ca_init(&scratch.path().join("ca"), CaKey::P384);
    let hands = Hands {
        server: Core::Server,
        good: |order| beside("good", order, cpu::pinned(Core::Load, &this_program())),
        flood: |order| beside("flood", order, humble()),
    };
    let mut outcomes = Vec::new();
    for flood in floods {
        let effort = if smoke { SMOKE } else { FULL };
        let outcome = siege::lay(flood, effort, scratch.path(), &ca, hands);
        println!("{}", row(&outcome));
        outcomes.push(outcome);
    }
    let table = table(&outcomes);
    fs::create_dir_all(&out).expect("the results can be written");
    fs::write(out.join("attacks.md"), &table).expect("the results can be written");
    println!("\n{table}written to {}", out.join("attacks.md").display());
    let faults: Vec<String> = outcomes.iter().flat_map(Outcome::faults).collect();
    faults.iter().for_each(|fault| println!("FAULT {fault}"));
    match faults.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Those that are named; all where none is. Otherwise the first word that is none's name.
fn floods_of(arguments: &[String]) -> Result<Vec<Flood>, &str> {
    let mut named = Vec::new();
    let mut words = arguments.iter().map(String::as_str);
    while let Some(word) = words.next() {
        let flood = |flood: &Flood| format!("{flood:?}") == word;
        match word {
            "--out" => drop(words.next()),
            switch if switch.starts_with("--") => {}
            name => named.push(Flood::ALL.into_iter().find(flood).ok_or(name)?),
        }
    }
    Ok(match named.is_empty() {
        true => Flood::ALL.to_vec(),
        false => named,
    })
}

/// Carries out an order in a process of its own.
fn beside<T: DeserializeOwned>(
    role: &str,
    order: &impl serde::Serialize,
    mut command: Command,
) -> T {
    let order = serde_json::to_string(order).expect("an order is plain data");
    let done = parts::run(role, command.args([role, &order]), PATIENCE);
    serde_json::from_str(&done.stdout).expect("it answers in JSON")
}

/// This program where the good clients are, but never before them: they are to wait for the
/// server, not for a core.
fn humble() -> Command {
    let pinned = cpu::pinned(Core::Load, &this_program());
    let mut command = Command::new("nice");
    command
        .args(["-n", "19"])
        .arg(pinned.get_program())
        .args(pinned.get_args());
    command
}

fn read<T: DeserializeOwned>(order: &str) -> T {
    serde_json::from_str(order).expect("an order")
}

fn answer(seen: &impl serde::Serialize) -> ExitCode {
    println!("{}", serde_json::to_string(seen).expect("plain data"));
    ExitCode::SUCCESS
}

fn this_program() -> PathBuf {
    env::current_exe().expect("this program has a path")
}

fn table(outcomes: &[Outcome]) -> String {
    let mut table = format!(
        "{} × {}, server on one core, everybody else on another\n\n\
         | flood | per second | quiet p50 ms | p99 | attacked p50 | p99 | p99 ratio (goal ≤ {GOAL}) | good requests failed | RSS before MiB | peak |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
        cpu::cores(),
        cpu::model(),
    );
    for outcome in outcomes {
        table.push_str(&row(outcome));
        table.push('\n');
    }
    table
}

fn row(outcome: &Outcome) -> String {
    let Outcome {
        flood,
        quiet,
        attacked,
        done,
        ..
    } = outcome;
    let ms = |us: u64| us as f64 / 1000.0;
    let mib = |kib: u64| kib as f64 / 1024.0;
    // What there is most of: connections where each says one thing, messages elsewhere.
    let per_second = done.connections.max(done.sent) as f64 / outcome.lasted.as_secs_f64();
    format!(
        "| {flood:?} | {per_second:.0} | {:.2} | {:.2} | {:.2} | {:.2} | {:.1} | {} of {} | {:.1} | {:.1} |",
        ms(quiet.p50),
        ms(quiet.p99),
        ms(attacked.p50),
        ms(attacked.p99),
        outcome.ratio(),
        quiet.failed + attacked.failed,
        quiet.asked + attacked.asked,
        mib(outcome.rss_before_kib),
        mib(outcome.rss_peak_kib),
    )
}
