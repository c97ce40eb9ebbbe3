//! What the durable record of a certificate costs: CPU of the store's thread, its writes, and the
//! octets that stay.
//!
//! No cryptography: a certificate here is octets laid out like a GitHub workflow's. What a request
//! does between the store's operations is a loop of the same length. `benches/README.md` says what
//! the figures are good for.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and stops at what is unexpected"
)]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use shortleaf::audit::{AuditLog as _, Event, Value};
use shortleaf::ca::{InstanceId, IssuingCaId, ProfileHash, Serial};
use shortleaf::entropy::Entropy as _;
use shortleaf::issuance::store::{Begun, Final, Intent, IssuanceStore as _, Submission, TokenUse};
use shortleaf::store::audit_file::AuditFile;
use shortleaf::store::redb::RedbStore;
use shortleaf::system::{SystemClock, SystemEntropy};
use shortleaf::time::Clock as _;
use shortleaf::token::TokenId;

/// Requests in flight at any time.
const CONNECTIONS: u64 = 16;
/// Certificates per sample, unless the first argument says otherwise.
const CERTIFICATES: u64 = 8192;
const SAMPLES: usize = 5;
/// What stands for token and proof, for each signature, and for the log.
const WORK: Duration = Duration::from_micros(80);

/// What a GitHub workflow's certificate says, arc by arc.
const EXTENSIONS: [(u8, &str); 21] = [
    (1, "https://token.actions.githubusercontent.com"),
    (2, "push"),
    (3, SHA),
    (4, "release"),
    (5, "acme/app"),
    (6, "refs/heads/main"),
    (8, "https://token.actions.githubusercontent.com"),
    (9, WORKFLOW),
    (10, SHA),
    (11, "github-hosted"),
    (12, "https://github.com/acme/app"),
    (13, SHA),
    (14, "refs/heads/main"),
    (15, "123456789"),
    (16, "https://github.com/acme"),
    (17, "987654"),
    (18, WORKFLOW),
    (19, SHA),
    (20, "push"),
    (
        21,
        "https://github.com/acme/app/actions/runs/1234567890/attempts/1",
    ),
    (22, "public"),
];
const SHA: &str = "3f2c1b0a9e8d7c6b5a4f3e2d1c0b9a8f7e6d5c4b";
const WORKFLOW: &str = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main";

fn main() {
    // Cargo hands `--bench` on.
    let count = std::env::args()
        .skip(1)
        .find_map(|count| count.parse().ok());
    let count: u64 = count.unwrap_or(CERTIFICATES);
    println!(
        "| us of the store's thread | system calls that write | octets written | tables | audit log | batches | ms, p50 | p99 | max |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    for _ in 0..SAMPLES {
        let cells = sample(count).map(|each| format!(" {each:.2} |"));
        println!("|{}", cells.concat());
    }
}

/// The columns: six per certificate, three of how long certificates took.
fn sample(count: u64) -> [f64; 9] {
    let dir = tempfile::tempdir_in("target").unwrap();
    let (tables, log) = (
        dir.path().join("issuance.redb"),
        dir.path().join("audit.log"),
    );
    let (store, audit) =
        shortleaf::store::open(&tables, &log, &SystemEntropy, SystemClock.now()).unwrap();
    let state = Arc::new((store, audit));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build();
    let runtime = runtime.unwrap();
    let thread = store_thread();
    let before = used(&thread);
    let taken = Arc::new(AtomicU64::new(0));
    let mut times = runtime.block_on(async {
        let connections = (0..CONNECTIONS).map(|_| {
            let (state, taken) = (Arc::clone(&state), Arc::clone(&taken));
            tokio::spawn(async move {
                let mut times = Vec::new();
                while taken.fetch_add(1, Ordering::Relaxed) < count {
                    let begun = Instant::now();
                    issue(&state.0, &state.1).await;
                    times.push(begun.elapsed());
                }
                times
            })
        });
        let mut times = Vec::new();
        for connection in connections.collect::<Vec<_>>() {
            times.extend(connection.await.unwrap());
        }
        times
    });
    let after = used(&thread);
    let commits = state.0.commits();
    drop(runtime);
    drop(state);
    let length = |path: &Path| fs::metadata(path).unwrap().len() as f64;
    let [us, calls, octets] = [0, 1, 2].map(|column| after[column] - before[column]);
    let (tables, log, commits) = (stored(&tables), length(&log), commits as f64);
    let all = [us, calls, octets, tables, log, commits];
    let [us, calls, octets, tables, log, commits] = all.map(|all| all / count as f64);
    times.sort_unstable();
    let took = |of_1000: usize| times[(times.len() - 1) * of_1000 / 1000].as_secs_f64() * 1e3;
    let [p50, p99, longest] = [500, 990, 1000].map(took);
    [us, calls, octets, tables, log, commits, p50, p99, longest]
}

/// Octets of the pages that the tables use. The file itself grows by doubling.
fn stored(tables: &Path) -> f64 {
    let database = redb::Database::open(tables).unwrap();
    let stats = database.begin_write().unwrap().stats().unwrap();
    (stats.allocated_pages() * stats.page_size() as u64) as f64
}

async fn issue(store: &RedbStore, audit: &AuditFile) {
    let now = SystemClock.now();
    let draw = || {
        let mut octets = [0; 32];
        SystemEntropy.fill(&mut octets);
        octets
    };
    let serial = Serial::draw(InstanceId::FIRST, &SystemEntropy);
    let (token, key) = (TokenId::from_octets(draw()), draw());
    work();
    let begun = store.find_retry(&token, &key, now.seconds()).await.unwrap();
    assert_eq!(begun, None);
    let body = body(&serial, &key, now.seconds().0);
    let poison = extension(&[0x2b, 6, 1, 4, 1, 0xd6, 0x79, 2, 4, 3], &[5, 0]);
    let precert_tbs = tbs(&body, &poison);
    let request_id = format!("{:016x}", u64::from_be_bytes(key[..8].try_into().unwrap()));
    let intent = Intent {
        serial,
        unsigned: certificate(&precert_tbs, &[]).into(),
        token_hash: draw(),
        token_id: token,
        spki_hash: key,
        issuing_ca: IssuingCaId([7; 32]),
        profile: ProfileHash([8; 32]),
        request_id: request_id.clone(),
        kid: Some("38826b17-6a30-5f9b-b169-8beb8202f723".into()),
        issuer: EXTENSIONS[0].1.into(),
        subject: "repo:acme/app:ref:refs/heads/main".into(),
        san: format!("uri:{WORKFLOW}"),
        rule: None,
        rules: None,
        extensions: EXTENSIONS.map(|(arc, value)| (arc, value.into())).into(),
        at: now.seconds(),
        not_after: now.seconds().plus(599),
    };
    let token_use = TokenUse {
        limit: 1,
        expires_at: now.seconds().plus(300),
    };
    let begun = store.put_intent(intent, token_use).await.unwrap();
    assert_eq!(begun, Begun::Recorded);
    let line = |kind, name, value: &[u8]| {
        let fields = [
            ("serial", Value::Octets(serial.octets())),
            ("ca", Value::Octets(&[7; 32])),
            ("profile", Value::Octets(&[8; 32])),
            (name, Value::Octets(value)),
        ];
        audit.append(&Event {
            kind,
            at: now,
            request_id: &request_id,
            fields: &fields[..if name.is_empty() { 2 } else { 4 }],
        })
    };
    line("precert_signing", "tbs", &precert_tbs).unwrap();
    work();
    let signature = [draw(), draw(), draw()].concat();
    line("precert_signed", "signature", &signature).unwrap();
    let mut sct = vec![0; 119];
    sct[1..33].copy_from_slice(&[9; 32]);
    SystemEntropy.fill(&mut sct[33..]);
    let submission = Submission {
        serial,
        precert_der: certificate(&precert_tbs, &signature).into(),
        scts: vec![sct.clone()],
    };
    work();
    store.put_submission(submission).await.unwrap();
    let list = sequence(4, &sequence(4, &[&[0, 121, 0, 119][..], &sct].concat()));
    let sealed = extension(&[0x2b, 6, 1, 4, 1, 0xd6, 0x79, 2, 4, 2], &list);
    let leaf_tbs = tbs(&body, &sealed);
    line("leaf_signing", "tbs", &leaf_tbs).unwrap();
    work();
    let signature = [draw(), draw(), draw()].concat();
    line("leaf_signed", "signature", &signature).unwrap();
    let leaf = Final {
        serial,
        leaf_der: certificate(&leaf_tbs, &signature).into(),
        at: now.seconds(),
    };
    store.put_final(leaf).await.unwrap();
    line("issued", "", &[]).unwrap();
    tokio::task::yield_now().await;
}

fn work() {
    let begun = Instant::now();
    while begun.elapsed() < WORK {}
}

/// A field with a length of two octets where one is too few.
fn sequence(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    let header = match length {
        [0, short @ ..=0x7f] => vec![tag, short],
        [0, long] => vec![tag, 0x81, long],
        [high, low] => vec![tag, 0x82, high, low],
    };
    [header, content.to_vec()].concat()
}

fn extension(oid: &[u8], value: &[u8]) -> Vec<u8> {
    sequence(0x30, &[sequence(6, oid), sequence(4, value)].concat())
}

/// All of a TBSCertificate up to its extensions, and those but for the last.
fn body(serial: &Serial, key: &[u8; 32], at: i64) -> [Vec<u8>; 2] {
    let fields = [
        vec![0xa0, 3, 2, 1, 2],
        sequence(2, serial.octets()),
        sequence(0x30, &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3]),
        sequence(0x30, &[0x11; 64]),
        sequence(
            0x30,
            format!("\u{17}\u{d}{at:013}\u{17}\u{d}{at:013}").as_bytes(),
        ),
        sequence(0x30, &[]),
        sequence(0x30, &[&[0x12; 26][..], key, &[0x13; 31]].concat()),
    ];
    let mut extensions = [
        extension(&[0x55, 0x1d, 15], &[3, 2, 7, 0x80]),
        extension(&[0x55, 0x1d, 37], &[0x14; 12]),
        extension(&[0x55, 0x1d, 14], &[&[4, 20][..], &key[..20]].concat()),
        extension(&[0x55, 0x1d, 35], &[0x15; 24]),
        extension(&[0x55, 0x1d, 17], WORKFLOW.as_bytes()),
    ]
    .concat();
    for (arc, value) in EXTENSIONS {
        let oid = [0x2b, 6, 1, 4, 1, 0x83, 0xbf, 0x30, 1, arc];
        extensions.extend(extension(&oid, &sequence(12, value.as_bytes())));
    }
    [fields.concat(), extensions]
}

fn tbs([fields, extensions]: &[Vec<u8>; 2], last: &[u8]) -> Vec<u8> {
    let extensions = sequence(0xa3, &sequence(0x30, &[extensions, last].concat()));
    sequence(0x30, &[&fields[..], &extensions].concat())
}

fn certificate(tbs: &[u8], signature: &[u8]) -> Vec<u8> {
    let algorithm = sequence(0x30, &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3]);
    let signature = sequence(3, &[&[0], signature].concat());
    sequence(0x30, &[tbs, &algorithm, &signature].concat())
}

/// Of the store's thread: where Linux keeps its figures.
fn store_thread() -> String {
    // A thread gives itself its name, a moment after it was started.
    loop {
        let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
        let mut paths = tasks.map(|task| task.path().display().to_string());
        let named = paths.find(|path| {
            fs::read_to_string(format!("{path}/comm")).is_ok_and(|name| name.trim() == "store")
        });
        match named {
            Some(path) => return path,
            None => std::thread::yield_now(),
        }
    }
}

/// Microseconds on a CPU, system calls that write, octets they wrote.
fn used(thread: &str) -> [f64; 3] {
    let schedstat = fs::read_to_string(format!("{thread}/schedstat")).unwrap();
    let ns: f64 = schedstat.split(' ').next().unwrap().parse().unwrap();
    let io = fs::read_to_string(format!("{thread}/io")).unwrap();
    let field = |name| {
        let mut fields = io.lines().filter_map(|line| line.strip_prefix(name));
        fields.next().unwrap().trim().parse::<f64>().unwrap()
    };
    [ns / 1e3, field("syscw:"), field("wchar:")]
}
