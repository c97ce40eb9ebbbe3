//! The released `shortleaf serve`, configured as an operator would for a benchmark, on one core.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::cpu::{self, Core};
use crate::issuer::Issuer;
use crate::parts::{self, Running};
use crate::primitives::CaKey;

/// The program under test, of the same profile as this one.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_shortleaf");
/// How long a server may take to answer for the first time.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// Key and chain of an issuing CA.
#[derive(Clone)]
pub(crate) struct CaFiles {
    /// Issuing certificate, root; PEM.
    pub(crate) chain: PathBuf,
    /// The issuing key, PKCS#8 PEM, not encrypted.
    pub(crate) key: PathBuf,
}

/// Makes one in `folder` with the product's own command.
pub(crate) fn ca_init(folder: &Path, key: CaKey) -> CaFiles {
    let algorithm = match key {
        CaKey::P384 => "p384",
        CaKey::P256 => "p256",
    };
    parts::run(
        "shortleaf ca init",
        Command::new(PROGRAM)
            .args(["ca", "init", "--name", "bench.example"])
            .args(["--insecure-unencrypted", "--issuing", algorithm, "--out"])
            .arg(folder),
        Duration::from_secs(30),
    );
    ca_in(folder)
}

/// The files of a CA made earlier.
pub(crate) fn ca_in(folder: &Path) -> CaFiles {
    CaFiles {
        chain: folder.join("chain.pem"),
        key: folder.join("issuing.key.pem"),
    }
}

/// Whether certificates are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Log {
    /// In the server's own memory.
    Memory,
    /// Not at all, as in the comparison with Fulcio.
    Off,
}

/// Where the server has the issuer's keys from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    /// A file: nobody is asked over the network.
    File,
    /// The issuer, which serves them itself.
    #[allow(dead_code, reason = "for benches/attacks")]
    Issuer,
}

/// How often somebody may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rates {
    /// As often as a single load generator can.
    Lifted,
    /// As the program ships.
    #[allow(dead_code, reason = "for benches/attacks")]
    Shipped,
}

/// Chain and key of the server itself, PEM.
#[derive(Clone)]
pub(crate) struct TlsFiles {
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
}

/// What differs between the servers that are measured.
pub(crate) struct Setup<'a> {
    pub(crate) ca: &'a CaFiles,
    pub(crate) log: Log,
    pub(crate) issuer: &'a Issuer,
    pub(crate) keys: Keys,
    pub(crate) rates: Rates,
    /// Plain HTTP without.
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) core: Core,
}

/// A running server.
pub(crate) struct Server {
    running: Running,
    address: String,
    state: PathBuf,
    /// From exec to the first 200 of `/healthz`.
    pub(crate) started_in: Duration,
}

impl Server {
    /// Starts one that has its issuer's keys from a file and speaks plain HTTP.
    pub(crate) fn start(
        folder: &Path,
        ca: &CaFiles,
        log: Log,
        issuer: &Issuer,
        core: Core,
    ) -> Self {
        let setup = Setup {
            ca,
            log,
            issuer,
            keys: Keys::File,
            rates: Rates::Lifted,
            tls: None,
            core,
        };
        Self::start_as(folder, &setup)
    }

    /// Starts one with a fresh state folder inside `folder`.
    pub(crate) fn start_as(folder: &Path, setup: &Setup<'_>) -> Self {
        let state = folder.join("state");
        let _ = fs::remove_dir_all(&state);
        let address = format!("127.0.0.1:{}", parts::free_port());
        let config = folder.join("shortleaf.toml");
        fs::write(&config, configuration(folder, &state, &address, setup))
            .expect("the scratch folder is writable");

        let mut command = cpu::pinned(setup.core, Path::new(PROGRAM));
        command.arg("serve").arg("--config").arg(&config);
        // The settings are the file's alone, wherever this runs.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SHORTLEAF_")) {
            command.env_remove(name);
        }
        let begin = Instant::now();
        let mut running = Running::start("shortleaf serve", &mut command);
        if setup.tls.is_some() {
            running.wait_for_line("READY ", START_TIMEOUT);
        }
        while setup.tls.is_none() && !is_healthy(&address) {
            assert!(
                running.poll().is_none() && begin.elapsed() < START_TIMEOUT,
                "shortleaf serve does not answer: {}",
                running.stderr()
            );
            thread::sleep(Duration::from_micros(500));
        }
        Self {
            started_in: begin.elapsed(),
            running,
            address,
            state,
        }
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Octets in its state folder.
    pub(crate) fn state_bytes(&self) -> u64 {
        let files = fs::read_dir(&self.state).into_iter().flatten().flatten();
        files
            .filter_map(|file| Some(file.metadata().ok()?.len()))
            .sum()
    }

    /// A document it serves.
    pub(crate) fn get(&self, path: &str) -> String {
        let url = format!("http://{}{path}", self.address);
        match parts::http("GET", &url, None) {
            Some((200, body)) => body,
            other => panic!("GET {path}: {other:?}"),
        }
    }
}

fn configuration(folder: &Path, state: &Path, address: &str, setup: &Setup<'_>) -> String {
    let ops_port = parts::free_port();
    let (scheme, tls) = match &setup.tls {
        None => ("http", String::new()),
        Some(TlsFiles { chain, key }) => (
            "https",
            format!("tls_chain = {chain:?}\ntls_key = {key:?}\n"),
        ),
    };
    let ct = match setup.log {
        Log::Memory => {
            "mode = \"required\"\ninsecure_memory_log = true\n\
             [[ct.log]]\nkind = \"memory\"\nname = \"bench\"\n"
        }
        Log::Off => "mode = \"off\"\n",
    };
    let rates = match setup.rates {
        Rates::Lifted => {
            "[rate_limits]\nper_address = \"1000000/s\"\nper_address_burst = 1000000\n"
        }
        Rates::Shipped => "",
    };
    let keys = match setup.keys {
        Keys::Issuer => String::new(),
        Keys::File => {
            let jwks = folder.join("jwks.json");
            fs::write(&jwks, setup.issuer.jwks()).expect("the scratch folder is writable");
            format!("jwks_file = {jwks:?}\n")
        }
    };
    format!(
        "[server]\nlisten = \"{address}\"\nops_listen = \"127.0.0.1:{ops_port}\"\n\
         public_url = \"{scheme}://{address}\"\n{tls}\
         [state]\ndir = {state:?}\nstore = \"redb\"\n\
         [ca]\nchain = {chain:?}\nkey = {key:?}\n\
         [ct]\n{ct}{rates}\
         [[issuer]]\nurl = \"{url}\"\ntype = \"github-workflow\"\n\
         audiences = [\"sigstore\"]\naccept_shared_audience = true\n\
         insecure_loopback_http = true\n{keys}",
        chain = setup.ca.chain,
        key = setup.ca.key,
        url = setup.issuer.url(),
    )
}

/// Whether `/healthz` answers 200, without the waits of a patient client.
fn is_healthy(address: &str) -> bool {
    let address: SocketAddr = address.parse().expect("host and port");
    let Ok(mut stream) = TcpStream::connect(address) else {
        return false;
    };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let mut answer = [0; 12];
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
        .and_then(|()| stream.read_exact(&mut answer))
        .is_ok_and(|()| &answer == b"HTTP/1.1 200")
}
