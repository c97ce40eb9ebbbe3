//! One server: first in peace, then under a flood, with the same good traffic both times.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};

use crate::cpu::{self, Core};
use crate::floods::{self, Done, Flood};
use crate::good::{self, SERVER, Seen};
use crate::issuer::Served;
use crate::primitives::TokenAlgorithm;
use crate::requests;
use crate::server::{CaFiles, Keys, Log, Rates, Server, Setup, TlsFiles};

/// How much more the server may hold than it did in peace.
pub(crate) const GROWTH_KIB_MAX: u64 = 64 << 10;
/// Until the flood has risen.
const RISE: Duration = Duration::from_millis(500);
/// Good requests that come first, and count for nothing: keys are fetched, code is paged in.
const WARM: usize = 20;
/// Two connections fetch an issuer's keys, at most once in this time.
const FETCH_PAUSE: Duration = Duration::from_secs(30);

/// How much good traffic.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) per_second: u32,
    /// In peace, and as many again under the flood.
    pub(crate) count: usize,
}

/// Who carries it: this process, or others.
#[derive(Clone, Copy)]
pub(crate) struct Hands {
    pub(crate) server: Core,
    pub(crate) good: fn(&good::Order) -> Seen,
    pub(crate) flood: fn(&floods::Order) -> Done,
}

/// What was seen.
pub(crate) struct Outcome {
    pub(crate) flood: Flood,
    pub(crate) quiet: Seen,
    pub(crate) attacked: Seen,
    pub(crate) done: Done,
    pub(crate) lasted: Duration,
    /// Of the server, at the end of the peace, and at most from then on.
    pub(crate) rss_before_kib: u64,
    pub(crate) rss_peak_kib: u64,
    /// Connections to the issuer, and how many its keys may cost.
    fetches: (usize, usize),
}

impl Outcome {
    /// By how much the slowest good request in a hundred became slower.
    pub(crate) fn ratio(&self) -> f64 {
        self.attacked.p99 as f64 / self.quiet.p99.max(1) as f64
    }

    pub(crate) fn growth_kib(&self) -> u64 {
        self.rss_peak_kib.saturating_sub(self.rss_before_kib)
    }

    /// What must not be.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (when, seen) in [("in peace", &self.quiet), ("meanwhile", &self.attacked)] {
            if let Some(first) = &seen.first_failure {
                let (failed, asked) = (seen.failed, seen.asked);
                faults.push(format!("{failed} of {asked} good requests {when}: {first}"));
            }
        }
        if self.growth_kib() > GROWTH_KIB_MAX {
            let (before, peak) = (self.rss_before_kib, self.rss_peak_kib);
            faults.push(format!("from {before} to {peak} KiB of memory"));
        }
        let (fetches, allowed) = self.fetches;
        if fetches > allowed {
            faults.push(format!(
                "{fetches} connections to the issuer, not {allowed}"
            ));
        }
        if self.done.connections < 2 || self.done.sent == 0 {
            faults.push(format!("that was no flood: {:?}", self.done));
        }
        let flood = self.flood;
        faults
            .iter_mut()
            .for_each(|fault| fault.insert_str(0, &format!("{flood:?}: ")));
        faults
    }
}

/// Starts a server in `folder`, measures, floods, measures again.
pub(crate) fn lay(
    flood: Flood,
    effort: Effort,
    folder: &Path,
    ca: &CaFiles,
    hands: Hands,
) -> Outcome {
    floods::open_many_files();
    let served = Served::start(&["/github"]);
    let issuer = served.issuer(0);
    let tls = flood.meets_tls().then(|| server_certificate(folder));
    let server = Server::start_as(
        folder,
        &Setup {
            ca,
            log: Log::Memory,
            issuer,
            keys: Keys::Issuer,
            rates: Rates::Shipped,
            tls: tls.clone(),
            core: hands.server,
        },
    );
    let file = folder.join("requests");
    let count = WARM + 2 * effort.count;
    requests::mint(issuer, TokenAlgorithm::Rs256, count, &file).expect("requests are minted");
    let good = |from, count| {
        (hands.good)(&good::Order {
            address: server.address().to_owned(),
            requests: file.clone(),
            from,
            count,
            per_second: effort.per_second,
            certificate: tls.as_ref().map(|tls| tls.chain.clone()),
        })
    };
    let begun = Instant::now();
    good(0, WARM);
    let quiet = good(WARM, effort.count);
    let rss_before_kib = cpu::memory_kib(server.pid(), "VmRSS");
    forget_peak(server.pid());
    let lasts = RISE + Duration::from_secs(effort.count as u64) / effort.per_second + RISE;
    let order = floods::Order {
        flood,
        address: server.address().to_owned(),
        issuer: issuer.url().to_owned(),
        millis: lasts.as_millis() as u64,
    };
    let (attacked, done) = thread::scope(|scope| {
        let flood = scope.spawn(|| (hands.flood)(&order));
        thread::sleep(RISE);
        let attacked = good(WARM + effort.count, effort.count);
        (attacked, flood.join().expect("the flood ends"))
    });
    let pauses = (begun.elapsed().as_secs() / FETCH_PAUSE.as_secs()) as usize;
    Outcome {
        flood,
        quiet,
        attacked,
        done,
        lasted: lasts,
        rss_before_kib,
        rss_peak_kib: cpu::memory_kib(server.pid(), "VmHWM"),
        fetches: (served.connections(), 2 * (pauses + 2)),
    }
}

/// Lets `VmHWM` begin anew. Where the kernel will not, it goes on from the process's start.
fn forget_peak(pid: u32) {
    let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
}

fn server_certificate(folder: &Path) -> TlsFiles {
    let files = TlsFiles {
        chain: folder.join("tls.pem"),
        key: folder.join("tls.key.pem"),
    };
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
    let params = CertificateParams::new([SERVER.to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("its own key signs it");
    fs::write(&files.chain, certificate.pem()).expect("the scratch folder is writable");
    fs::write(&files.key, key.serialize_pem()).expect("the scratch folder is writable");
    files
}
