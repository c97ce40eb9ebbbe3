//! How much of an issuance is unavoidable cryptography.
//!
//! `cargo bench --bench issuance` is judge and, in processes of their own, load generator and
//! measure of the primitives; it starts the released `shortleaf serve` and mocks no part of it.
//! The headline is a ratio of CPU times taken in one run on one core: crypto ceiling ÷ server.
//! Absolute figures move with the machine and mean nothing elsewhere.
//!
//! `-- --smoke` or SHORTLEAF_BENCH_SMOKE=1 runs one short row with no claim to accuracy;
//! `-- --rows` leaves Fulcio out, `-- --fulcio` the rows; `-- --headline` keeps two rows;
//! `-- --no-wait` does not wait for a quiet machine; `-- --out DIR` says where results go.
#![allow(clippy::print_stdout, reason = "a program for people")]
#![allow(clippy::unwrap_used, reason = "a broken benchmark should stop")]

mod arguments;
mod check;
mod cpu;
#[path = "../../tests/interop/fulcio.rs"]
mod fulcio;
#[path = "../../tests/world/issuer.rs"]
mod issuer;
mod load;
#[path = "../../tests/world/parts.rs"]
mod parts;
mod primitives;
mod report;
mod requests;
mod rounds;
mod server;
#[path = "../../tests/world/subject.rs"]
mod subject;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use arguments::Arguments;
use cpu::Core;
use issuer::Issuer;
use load::{Order, Seen};
use primitives::{CaKey, Primitives, Sampling, TokenAlgorithm};
use report::{Once, Report, Row};
use server::{CaFiles, Log, Server};

/// How long each part takes.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    sampling: Sampling,
    warm: Duration,
    measure: Duration,
    /// Starts of the server for the start-up figure.
    starts: usize,
    /// Before the idle memory is read.
    settle: Duration,
    /// How often a row whose primitives drifted is repeated.
    repeats: usize,
    /// Interleaved rounds against Fulcio.
    rounds: usize,
    quiet: Option<Duration>,
}

impl Effort {
    const FULL: Self = Self {
        sampling: Sampling {
            warm: Duration::from_millis(60),
            sample: Duration::from_millis(30),
            samples: 25,
        },
        warm: Duration::from_millis(700),
        measure: Duration::from_millis(4000),
        starts: 20,
        settle: Duration::from_secs(10),
        repeats: 2,
        rounds: 3,
        quiet: Some(Duration::from_secs(60)),
    };
    const SMOKE: Self = Self {
        sampling: Sampling {
            warm: Duration::from_millis(10),
            sample: Duration::from_millis(10),
            samples: 5,
        },
        warm: Duration::from_millis(200),
        measure: Duration::from_millis(1000),
        starts: 3,
        settle: Duration::from_millis(200),
        repeats: 0,
        rounds: 1,
        quiet: None,
    };
}

/// CA key, tokens, connections.
type Plan = (CaKey, TokenAlgorithm, usize);

const ROWS: &[Plan] = &[
    (CaKey::P384, TokenAlgorithm::Rs256, 16),
    (CaKey::P256, TokenAlgorithm::Rs256, 16),
    (CaKey::P384, TokenAlgorithm::Es256, 16),
    (CaKey::P256, TokenAlgorithm::Es256, 16),
    (CaKey::P384, TokenAlgorithm::Rs256, 1),
    (CaKey::P384, TokenAlgorithm::Rs256, 64),
    (CaKey::P384, TokenAlgorithm::Rs256, 256),
];

fn main() {
    let arguments = Arguments::given();
    let has = |flag: &str| arguments.has(flag);
    match arguments.as_slice() {
        [role, order] if role == "generate" => return generate(order),
        [role, effort] if role == "primitives" => return measure_primitives(effort),
        _ => {}
    }
    let smoke = arguments.is_smoke();
    if !arguments.is_wanted() {
        println!("nothing measured: run `cargo bench --bench issuance`");
        return;
    }
    let mut effort = if smoke { Effort::SMOKE } else { Effort::FULL };
    effort.rounds = parts::rounds("peers", effort.rounds, 20);
    if has("--no-wait") {
        effort.quiet = effort.quiet.map(|_| Duration::ZERO);
    }
    if cpu::cores() < 2 {
        println!("one core only: load and server would share it, so no figures are given");
        return;
    }
    if !cpu::can_pin() {
        println!("NOT PINNED: taskset is missing or refused; figures are worth less");
    }
    let out = arguments.out();

    let scratch = tempfile::tempdir().expect("a scratch folder");
    let mut report = Report::here();
    if !has("--fulcio") {
        let plans = match (smoke, has("--headline")) {
            (true, _) => &ROWS[..1],
            (false, true) => &ROWS[..2],
            (false, false) => ROWS,
        };
        report.once = once(effort, scratch.path());
        for plan in plans {
            let row = row(*plan, effort, scratch.path(), &mut report.once);
            eprintln!(
                "{} × {}: {:.1} of {:.1} µs, ratio {:.2}",
                row.name, row.connections, row.ceiling_us, row.server_us, row.ratio
            );
            report.rows.push(row);
            // Whatever happens to a later part, these minutes are not lost.
            report.write(&out).expect("the results can be written");
        }
    }
    if !has("--rows") {
        report.fulcio = rounds::compare(effort, scratch.path());
    }
    println!("{}", report.markdown());
    report.write(&out).expect("the results can be written");
    println!("written to {}", out.display());
    let failed = report.rows.iter().any(|row| row.invalid.is_some())
        || report.fulcio.iter().any(|row| row.invalid.is_some());
    if failed {
        std::process::exit(1);
    }
}

/// A ratio above this is no achievement but a server that skips a step: even with known keys
/// verified from tables, a third of the ceiling's terms remain as they are.
const BELIEVABLE: f64 = 1.25;

/// The issuer of the rows: its keys come from a file, so nobody asks it over the network.
fn bench_issuer() -> Issuer {
    Issuer::new("https://issuer.bench.example/github")
}

/// One row, repeated while it is unstable.
fn row(plan: Plan, effort: Effort, scratch: &Path, once: &mut Once) -> Row {
    let mut row = row_once(plan, effort, scratch, once);
    for _ in 0..effort.repeats {
        if !row.unstable {
            break;
        }
        row = row_once(plan, effort, scratch, once);
    }
    row
}

fn row_once(plan: Plan, effort: Effort, scratch: &Path, once: &mut Once) -> Row {
    let (ca, tokens, connections) = plan;
    let issuer = bench_issuer();
    let files = ca_files(scratch, ca);
    let quiet = effort
        .quiet
        .is_none_or(|at_most| cpu::wait_for_quiet(Duration::from_secs(2), at_most) >= 0.85);
    let before = primitives_on_the_servers_core(effort);

    // Enough for a server that does nothing but the ceiling's signatures.
    let time = effort.warm + effort.measure;
    let count = (time.as_secs_f64() * 1e6 / before.ceiling(tokens, ca)) as usize + 1000;
    let file = scratch.join("requests");
    let minted = requests::mint(&issuer, tokens, count, &file).expect("requests are minted");
    once.token_bytes = minted.token_bytes;

    let server = Server::start(scratch, &files, Log::Memory, &issuer, Core::Server);
    let rss_before_kib = cpu::memory_kib(server.pid(), "VmRSS");
    let seen = drive(
        Core::Load,
        &Order {
            address: server.address().to_owned(),
            requests: Some(file),
            connections,
            warm_ms: effort.warm.as_millis() as u64,
            measure_ms: effort.measure.as_millis() as u64,
            server_pid: server.pid(),
        },
    );
    let rss_peak_kib = cpu::memory_kib(server.pid(), "VmHWM");
    let rss_after_kib = cpu::memory_kib(server.pid(), "VmRSS");
    let state_bytes = server.state_bytes();
    let after = primitives_on_the_servers_core(effort);
    let trusted_root = server.get("/trust/trusted_root.json");
    let verified = check::answers(&seen.kept, &minted.expected, &issuer, &trusted_root);

    let primitives = before.between(&after);
    let ceiling_us = primitives.ceiling(tokens, ca);
    let server_us = seen.server_cpu_ns as f64 / 1000.0 / seen.answers.max(1) as f64;
    Row {
        name: format!("{ca:?}, {tokens:?}"),
        connections,
        ceiling_us,
        server_us,
        ratio: ceiling_us / server_us,
        per_second: seen.answers as f64 / seen.seconds,
        p50_us: seen.p50,
        p90_us: seen.p90,
        p99_us: seen.p99,
        p999_us: seen.p999,
        max_us: seen.max,
        rss_before_kib,
        rss_peak_kib,
        rss_after_kib,
        state_bytes_per_certificate: state_bytes as f64 / seen.answers_in_all.max(1) as f64,
        certificates: seen.answers_in_all,
        unstable: !quiet || before.drift(&after) > 0.05,
        invalid: report::invalid(&seen, &verified).or_else(|| {
            (ceiling_us > BELIEVABLE * server_us)
                .then(|| "the server cannot have made the signatures in that time".to_owned())
        }),
        verified: verified.unwrap_or(0),
        primitives,
    }
}

/// What is measured once: size, start-up, idle memory, HTTP alone.
fn once(effort: Effort, scratch: &Path) -> Once {
    let issuer = bench_issuer();
    let files = ca_files(scratch, CaKey::P384);
    let mut starts: Vec<f64> = (0..effort.starts)
        .map(|_| {
            let server = Server::start(scratch, &files, Log::Memory, &issuer, Core::Server);
            server.started_in.as_secs_f64() * 1000.0
        })
        .collect();
    starts.sort_by(f64::total_cmp);
    let server = Server::start(scratch, &files, Log::Memory, &issuer, Core::Server);
    std::thread::sleep(effort.settle);
    let idle_rss_kib = cpu::memory_kib(server.pid(), "VmRSS");
    let seen = drive(
        Core::Load,
        &Order {
            address: server.address().to_owned(),
            requests: None,
            connections: 16,
            warm_ms: effort.warm.as_millis() as u64,
            measure_ms: effort.measure.as_millis() as u64,
            server_pid: server.pid(),
        },
    );
    if let Some(failure) = &seen.first_failure {
        eprintln!("/healthz: {failure}");
    }
    let healthz = seen.server_cpu_ns as f64 / 1000.0 / seen.answers.max(1) as f64;
    Once {
        binary_bytes: fs::metadata(server::PROGRAM).map_or(0, |file| file.len()),
        start_ms_p50: starts[starts.len() / 2],
        start_ms_max: starts[starts.len() - 1],
        idle_rss_kib,
        healthz_us: seen.first_failure.is_none().then_some(healthz),
        token_bytes: 0,
    }
}

/// The CA of a row, made once per run.
fn ca_files(scratch: &Path, ca: CaKey) -> CaFiles {
    let folder = scratch.join(format!("{ca:?}"));
    match folder.exists() {
        true => server::ca_in(&folder),
        false => server::ca_init(&folder, ca),
    }
}

/// Runs the generator.
pub(crate) fn drive(core: Core, order: &Order) -> Seen {
    let order = serde_json::to_string(order).expect("an order is plain data");
    let limit = Duration::from_secs(60);
    let mut command = cpu::pinned(core, &this_program());
    let done = parts::run(
        "the load generator",
        command.args(["generate", &order]),
        limit,
    );
    serde_json::from_str(&done.stdout).expect("the generator answers in JSON")
}

fn generate(order: &str) {
    let order: Order = serde_json::from_str(order).expect("an order");
    let seen = load::run(order).expect("the load was carried");
    println!("{}", serde_json::to_string(&seen).expect("plain data"));
}

fn primitives_on_the_servers_core(effort: Effort) -> Primitives {
    let word = match effort.quiet {
        Some(_) => "full",
        None => "smoke",
    };
    let mut command = cpu::pinned(Core::Server, &this_program());
    let limit = Duration::from_secs(60);
    let done = parts::run("the primitives", command.args(["primitives", word]), limit);
    serde_json::from_str(&done.stdout).expect("the primitives come in JSON")
}

fn measure_primitives(effort: &str) {
    let effort = match effort {
        "smoke" => Effort::SMOKE,
        _ => Effort::FULL,
    };
    let primitives = primitives::measure(effort.sampling);
    println!(
        "{}",
        serde_json::to_string(&primitives).expect("plain data")
    );
}

fn this_program() -> PathBuf {
    env::current_exe().expect("this program has a path")
}

/// Here nothing is searched, so nothing is planted.
mod secrets {
    pub(crate) fn plant(_: &str, _: &[u8]) {}
    pub(crate) fn plant_token(_: &str) {}
    pub(crate) fn none_in(_: &str, _: impl AsRef<[u8]>) {}
}
