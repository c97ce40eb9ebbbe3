//! Interleaved rounds against Fulcio: same CA key, same tokens and client keys, log off on both
//! sides; each on one core, and each on all of them with the load beside it.
//!
//! Both, because Go costs less on one core than where its collector finds others idle.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::Effort;
use crate::cpu::{self, Core};
use crate::fulcio::{Ca, Fulcio};
use crate::issuer::Served;
use crate::load::{Order, Seen};
use crate::parts;
use crate::primitives::{CaKey, TokenAlgorithm};
use crate::report::{self, Comparison};
use crate::requests;
use crate::server::{CaFiles, Log, Server};

const CONNECTIONS: usize = 16;
/// Requests minted per second of load: more than either side can answer.
const PER_SECOND: f64 = 9000.0;

/// Where both servers run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cores {
    /// Pinned to one, the load to another.
    One,
    /// Nothing is pinned.
    All,
}

impl Cores {
    fn server(self) -> Core {
        match self {
            Self::One => Core::Server,
            Self::All => Core::Any,
        }
    }

    fn load(self) -> Core {
        match self {
            Self::One => Core::Load,
            Self::All => Core::Any,
        }
    }
}

/// CPU per certificate on both sides, for each CA key; nothing if there is no Fulcio here.
pub(crate) fn compare(effort: Effort, scratch: &Path) -> Vec<Comparison> {
    let (Some(program), Some(_)) = (parts::find("fulcio"), parts::find("openssl")) else {
        eprintln!("no Fulcio or no openssl here: no comparison (.ci/parts installs them)");
        return Vec::new();
    };
    [Cores::One, Cores::All]
        .into_iter()
        .flat_map(|cores| [(CaKey::P384, cores), (CaKey::P256, cores)])
        .map(|(ca, cores)| compare_one(effort, scratch, &program, ca, cores))
        .collect()
}

fn compare_one(
    effort: Effort,
    scratch: &Path,
    program: &Path,
    ca: CaKey,
    cores: Cores,
) -> Comparison {
    let folder = scratch.join(format!("fulcio-{ca:?}-{cores:?}"));
    fs::create_dir_all(&folder).expect("the scratch folder is writable");
    // A path without blanks that pins first: `exec` keeps the process id.
    let pinned = pinned_script(&folder, program, cores.server());
    let curve = match ca {
        CaKey::P384 => "P-384",
        CaKey::P256 => "P-256",
    };
    let authority = Ca::make(&folder, curve);
    let files = CaFiles {
        chain: authority.chain(),
        key: authority.key(),
    };
    let served = Served::start(&["/email", "/github"]);
    let (email, github) = (served.issuer(0), served.issuer(1));

    let mut theirs = Vec::new();
    let mut ours = Vec::new();
    let mut invalid = None;
    let mut fulcio_rss_peak_kib = 0;
    for _ in 0..effort.rounds {
        let time = (effort.warm + effort.measure).as_secs_f64();
        let file = folder.join("requests");
        let count = (PER_SECOND * time) as usize;
        requests::mint(github, TokenAlgorithm::Rs256, count, &file).expect("requests are minted");
        if let Some(at_most) = effort.quiet {
            cpu::wait_for_quiet(std::time::Duration::from_secs(2), at_most);
        }
        let order = |address: &str, server_pid| Order {
            address: address.to_owned(),
            requests: Some(file.clone()),
            connections: CONNECTIONS,
            warm_ms: effort.warm.as_millis() as u64,
            measure_ms: effort.measure.as_millis() as u64,
            server_pid,
        };

        // A killed Fulcio leaves its socket behind, and the next one will not take it over.
        let _ = fs::remove_file(folder.join("fulcio.sock"));
        let fulcio = Fulcio::start(
            &pinned,
            &authority,
            &folder,
            [email.url(), github.url()],
            None,
        );
        let address = fulcio.url().trim_start_matches("http://");
        let seen = crate::drive(cores.load(), &order(address, fulcio.pid()));
        fulcio_rss_peak_kib = cpu::memory_kib(fulcio.pid(), "VmHWM").max(fulcio_rss_peak_kib);
        invalid = invalid.or(report::invalid(&seen, &Ok(0)).map(|why| format!("Fulcio: {why}")));
        theirs.push(seen);
        drop(fulcio);

        let server = Server::start(&folder, &files, Log::Off, github, cores.server());
        let seen = crate::drive(cores.load(), &order(server.address(), server.pid()));
        invalid = invalid.or(report::invalid(&seen, &Ok(0)));
        ours.push(seen);
    }
    let (shortleaf_us, fulcio_us) = (median(&ours, cost), median(&theirs, cost));
    Comparison {
        ca: format!("{ca:?}, Rs256"),
        cores: format!("{cores:?}").to_lowercase(),
        rounds: effort.rounds,
        shortleaf_us,
        fulcio_us,
        times_less: fulcio_us / shortleaf_us,
        shortleaf_per_second: median(&ours, rate),
        fulcio_per_second: median(&theirs, rate),
        fulcio_rss_peak_kib,
        invalid,
    }
}

fn cost(seen: &Seen) -> f64 {
    seen.server_cpu_ns as f64 / 1000.0 / seen.answers.max(1) as f64
}

fn rate(seen: &Seen) -> f64 {
    seen.answers as f64 / seen.seconds
}

fn median(rounds: &[Seen], figure: impl Fn(&Seen) -> f64) -> f64 {
    let mut figures: Vec<f64> = rounds.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// A script that becomes `program` on its core. From the start, so that Go sees one
/// processor and plans for one.
fn pinned_script(folder: &Path, program: &Path, core: Core) -> PathBuf {
    let command = cpu::pinned(core, program);
    let words: Vec<String> = [command.get_program()]
        .into_iter()
        .chain(command.get_args())
        .map(|word| format!("'{}'", word.to_string_lossy()))
        .collect();
    let script = folder.join("fulcio-pinned");
    fs::write(
        &script,
        format!("#!/bin/sh\nexec {} \"$@\"\n", words.join(" ")),
    )
    .expect("the scratch folder is writable");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("our own file");
    script
}
