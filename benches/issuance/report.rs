//! The figures: a Markdown table for people, one JSON file for whoever compares runs.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use serde::Serialize;

use crate::cpu;
use crate::load::Seen;
use crate::primitives::Primitives;

/// One row: a CA key, a kind of token, a number of connections.
#[derive(Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) connections: usize,
    /// µs: token, proof, two CA signatures, SCT.
    pub(crate) ceiling_us: f64,
    /// µs of CPU the server used per certificate.
    pub(crate) server_us: f64,
    /// The headline: ceiling ÷ server.
    pub(crate) ratio: f64,
    pub(crate) per_second: f64,
    pub(crate) p50_us: u64,
    pub(crate) p90_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) p999_us: u64,
    pub(crate) max_us: u64,
    pub(crate) rss_before_kib: u64,
    pub(crate) rss_peak_kib: u64,
    pub(crate) rss_after_kib: u64,
    pub(crate) state_bytes_per_certificate: f64,
    pub(crate) certificates: usize,
    pub(crate) verified: usize,
    /// Primitives before and after differ by more than 5 %, or the machine was never quiet.
    pub(crate) unstable: bool,
    pub(crate) primitives: Primitives,
    /// Why the row does not count, if it does not.
    pub(crate) invalid: Option<String>,
}

/// CPU per certificate, ours against Fulcio's, log off on both sides.
#[derive(Serialize)]
pub(crate) struct Comparison {
    pub(crate) ca: String,
    /// One, both servers pinned to it; or all, nothing pinned.
    pub(crate) cores: String,
    pub(crate) rounds: usize,
    pub(crate) shortleaf_us: f64,
    pub(crate) fulcio_us: f64,
    /// Fulcio ÷ shortleaf, of the medians.
    pub(crate) times_less: f64,
    pub(crate) shortleaf_per_second: f64,
    pub(crate) fulcio_per_second: f64,
    pub(crate) fulcio_rss_peak_kib: u64,
    pub(crate) invalid: Option<String>,
}

/// What is measured once.
#[derive(Serialize, Default)]
pub(crate) struct Once {
    pub(crate) binary_bytes: u64,
    pub(crate) start_ms_p50: f64,
    pub(crate) start_ms_max: f64,
    pub(crate) idle_rss_kib: u64,
    /// µs of server CPU for one GET of /healthz: what HTTP alone costs.
    pub(crate) healthz_us: Option<f64>,
    pub(crate) token_bytes: usize,
}

/// The whole run.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) date: String,
    pub(crate) commit: String,
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) optimised: bool,
    pub(crate) pinned: bool,
    pub(crate) aws_lc_rs: String,
    pub(crate) rows: Vec<Row>,
    pub(crate) fulcio: Vec<Comparison>,
    pub(crate) once: Once,
}

impl Report {
    /// An empty one that knows where it is.
    pub(crate) fn here() -> Self {
        let output = |program: &str, arguments: &[&str]| {
            let output = Command::new(program).args(arguments).output().ok();
            let text = output.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned());
            text.unwrap_or_default()
        };
        Self {
            date: shortleaf::time::UnixSeconds(crate::issuer::wall_clock()).to_string(),
            commit: output("git", &["rev-parse", "--short", "HEAD"]),
            processor: cpu::model(),
            cores: cpu::cores(),
            kernel: output("uname", &["-sr"]),
            optimised: !cfg!(debug_assertions),
            pinned: cpu::can_pin(),
            aws_lc_rs: locked_version("aws-lc-rs"),
            rows: Vec::new(),
            fulcio: Vec::new(),
            once: Once::default(),
        }
    }

    /// The tables.
    pub(crate) fn markdown(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(
            out,
            "{} · commit {} · {} × {} · {} · aws-lc-rs {}{}{}\n",
            self.date,
            self.commit,
            self.cores,
            self.processor,
            self.kernel,
            self.aws_lc_rs,
            if self.pinned { "" } else { " · NOT PINNED" },
            if self.optimised {
                ""
            } else {
                " · DEBUG BUILD, FIGURES MEAN NOTHING"
            },
        );
        out.push_str(
            "| CA key, token | conns | ceiling µs | server CPU µs | **ratio** | req/s | p50 ms | p90 ms | p99 ms | max ms | RSS before → peak → after MiB | state B/cert | verified | |\n\
             |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|\n",
        );
        for row in &self.rows {
            let ms = |us: u64| us as f64 / 1000.0;
            let mib = |kib: u64| kib as f64 / 1024.0;
            let _ = writeln!(
                out,
                "| {} | {} | {:.1} | {:.1} | **{:.2}** | {:.0} | {:.2} | {:.2} | {:.2} | {:.2} | {:.1} → {:.1} → {:.1} | {:.0} | {} | {}{} |",
                row.name,
                row.connections,
                row.ceiling_us,
                row.server_us,
                row.ratio,
                row.per_second,
                ms(row.p50_us),
                ms(row.p90_us),
                ms(row.p99_us),
                ms(row.max_us),
                mib(row.rss_before_kib),
                mib(row.rss_peak_kib),
                mib(row.rss_after_kib),
                row.state_bytes_per_certificate,
                row.verified,
                if row.unstable { "unstable " } else { "" },
                row.invalid
                    .as_ref()
                    .map_or(String::new(), |why| format!("INVALID: {why}")),
            );
        }
        let once = &self.once;
        let _ = writeln!(
            out,
            "\n| idle RSS MiB | start-up ms p50 / max | binary MB | HTTP alone, µs per GET /healthz | token bytes |\n|--:|--:|--:|--:|--:|\n\
             | {:.1} | {:.1} / {:.1} | {:.1} | {} | {} |",
            once.idle_rss_kib as f64 / 1024.0,
            once.start_ms_p50,
            once.start_ms_max,
            once.binary_bytes as f64 / 1e6,
            once.healthz_us
                .map_or("–".to_owned(), |us| format!("{us:.1}")),
            once.token_bytes,
        );
        if !self.fulcio.is_empty() {
            out.push_str(
                "\n| log off on both sides | cores | rounds | shortleaf CPU µs/cert | Fulcio CPU µs/cert | **times less** | shortleaf req/s | Fulcio req/s | Fulcio peak RSS MiB | |\n\
                 |---|---|--:|--:|--:|--:|--:|--:|--:|---|\n",
            );
        }
        for row in &self.fulcio {
            let _ = writeln!(
                out,
                "| {} | {} | {} | {:.0} | {:.0} | **{:.1}** | {:.0} | {:.0} | {:.1} | {} |",
                row.ca,
                row.cores,
                row.rounds,
                row.shortleaf_us,
                row.fulcio_us,
                row.times_less,
                row.shortleaf_per_second,
                row.fulcio_per_second,
                row.fulcio_rss_peak_kib as f64 / 1024.0,
                row.invalid
                    .as_ref()
                    .map_or(String::new(), |why| format!("INVALID: {why}")),
            );
        }
        out
    }

    /// Writes both forms into `folder`.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("issuance.md"), self.markdown())?;
        let json = serde_json::to_string_pretty(self).map_err(io::Error::other)?;
        fs::write(folder.join("issuance.json"), json + "\n")
    }
}

/// Why an answer to this load does not count, if it does not.
pub(crate) fn invalid(seen: &Seen, verified: &Result<usize, String>) -> Option<String> {
    if let Some(failure) = &seen.first_failure {
        let shown: String = failure.chars().take(200).collect();
        return Some(format!("not every answer was 200: {shown}"));
    }
    if seen.ran_dry {
        return Some(format!("minted requests lasted {:.1} s only", seen.seconds));
    }
    verified.as_ref().err().cloned()
}

/// The version of a crate in the lock file this was built from.
fn locked_version(name: &str) -> String {
    let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock");
    let lock = fs::read_to_string(lock).unwrap_or_default();
    let entry = format!("name = \"{name}\"\nversion = \"");
    lock.split_once(&entry)
        .and_then(|(_, rest)| rest.split_once('"'))
        .map_or_else(|| "unknown".to_owned(), |(version, _)| version.to_owned())
}
