//! The files of an instance as a Kubernetes volume has them: each is a link into `..data`, which is a
//! link to the folder that is shown, and is exchanged in one step.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use shortleaf::keys::init;
use shortleaf::system::{SystemClock, SystemEntropy};
use shortleaf::time::Clock as _;
use shortleaf::x509::{SignatureAlgorithm, pem};

/// The issuer in certificates of the second state.
pub(crate) const OF_SECOND: &str = "https://people.example";

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    First,
    Second,
}

impl State {
    pub(crate) const BOTH: [Self; 2] = [Self::First, Self::Second];

    pub(crate) fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }

    /// How long its rule lets a certificate live.
    pub(crate) fn lifetime_s(self) -> i64 {
        match self {
            Self::First => 180,
            Self::Second => 300,
        }
    }
}

/// Why a state cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// A key of the configuration that nobody knows.
    Configuration,
    /// A rule file that is none.
    Rules,
    /// A type that Fulcio does not know.
    Fulcio,
    /// Its chain, and the other's key: whoever wrote them is half done.
    Pair,
    /// A file is not there.
    Absent,
}

impl Broken {
    pub(crate) const ALL: [Self; 5] = [
        Self::Configuration,
        Self::Rules,
        Self::Fulcio,
        Self::Pair,
        Self::Absent,
    ];
}

const FILES: [&str; 5] = [
    "shortleaf.toml",
    "rules.toml",
    "fulcio.yaml",
    "chain.pem",
    "issuing.key.pem",
];

pub(crate) struct Volume {
    folder: tempfile::TempDir,
    issuers: [String; 3],
    chains: [Vec<Vec<u8>>; 2],
}

impl Drop for Volume {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            crate::secrets::none_below(&self.path("state"));
        }
    }
}

impl Volume {
    /// With a folder for each state, and none shown yet.
    pub(crate) fn new(issuers: [String; 3]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut volume = Self {
            folder,
            issuers,
            chains: Default::default(),
        };
        volume.chains = State::BOTH.map(|state| volume.write(state));
        for name in FILES {
            symlink(Path::new("..data").join(name), volume.path(name)).unwrap();
        }
        volume
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The CA of this state.
    pub(crate) fn chain(&self, state: State) -> &[Vec<u8>] {
        &self.chains[state as usize]
    }

    /// What a certificate says of this issuer's people in this state.
    pub(crate) fn issuer(&self, state: State, by: usize) -> &[u8] {
        match (state, by) {
            // Of whom it knows nothing.
            (State::First, 2) => b"",
            (State::First, _) | (State::Second, 2) => self.issuers[by].as_bytes(),
            (State::Second, _) => OF_SECOND.as_bytes(),
        }
    }

    /// Where this state is written.
    pub(crate) fn folder(&self, state: State) -> PathBuf {
        self.path(&format!("..{state:?}"))
    }

    /// Shows this folder instead of the one before, in one step.
    pub(crate) fn show(&self, folder: &Path) {
        let new = self.path("..data_tmp");
        symlink(folder, &new).unwrap();
        fs::rename(new, self.path("..data")).unwrap();
    }

    /// A copy of this state that cannot be used.
    pub(crate) fn broken(&self, state: State, how: Broken) -> PathBuf {
        let (folder, from) = (self.path("..broken"), self.folder(state));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        for name in FILES {
            fs::copy(from.join(name), folder.join(name)).unwrap();
        }
        let append = |name: &str, text: &str| {
            let path = folder.join(name);
            let all = fs::read_to_string(&path).unwrap() + text;
            fs::write(path, all).unwrap();
        };
        match how {
            Broken::Configuration => append("shortleaf.toml", "[server.nobody]\nknows = 1\n"),
            Broken::Rules => append("rules.toml", "[[allow]]\nname = 1\n"),
            Broken::Fulcio => append("fulcio.yaml", "    nobody: knows\n"),
            Broken::Pair => {
                let other = self.folder(state.other());
                fs::copy(
                    other.join("issuing.key.pem"),
                    folder.join("issuing.key.pem"),
                )
                .unwrap();
            }
            Broken::Absent => fs::remove_file(folder.join("fulcio.yaml")).unwrap(),
        }
        folder
    }

    /// Shows a state that can be used: by another folder, or, where only the key is missing, by
    /// writing it where it belongs.
    pub(crate) fn mend(&self, state: State) {
        let (from, shown) = (self.folder(state), self.path("..data"));
        let same = |name: &str| {
            let read = |folder: &Path| fs::read(folder.join(name)).ok();
            read(&from) == read(&shown)
        };
        match FILES[..4].iter().all(|name| same(name)) {
            true => {
                let key = "issuing.key.pem";
                fs::write(shown.join(key), fs::read(from.join(key)).unwrap()).unwrap();
            }
            false => self.show(&from),
        }
    }

    /// Writes one, and returns its chain.
    fn write(&self, state: State) -> Vec<Vec<u8>> {
        let request = init::Request {
            organization: &format!("{state:?}.example").to_lowercase(),
            algorithm: SignatureAlgorithm::EcdsaP256Sha256,
            crl_url: None,
            now: SystemClock.now().seconds(),
        };
        let ca = init::build(&request, &SystemEntropy).unwrap();
        let ca = ca.to_files(None, &SystemEntropy).unwrap();
        let [configured, fulcio, second] = &self.issuers;
        let issuer = |url: &str, more: &str| {
            format!(
                "[[issuer]]\nurl = {url:?}\ntype = \"email\"\naudiences = [\"sigstore\"]\n\
                 accept_shared_audience = true\ninsecure_loopback_http = true\n{more}\n"
            )
        };
        let issuers = match state {
            State::First => issuer(configured, ""),
            State::Second => {
                issuer(configured, "issuer_claim = \"$.federated.by\"") + &issuer(second, "")
            }
        };
        let claim = match state {
            State::First => "",
            State::Second => "    issuer-claim: $.federated.by\n",
        };
        let rules = self.issuers.iter().map(|url| {
            format!(
                "[[allow]]\nname = \"{state:?} {url}\"\nissuer = {url:?}\n\
                 claims = {{ email_verified = true }}\nmax_lifetime = \"{}s\"\n",
                state.lifetime_s()
            )
        });
        let folder = self.folder(state);
        fs::create_dir(&folder).unwrap();
        let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
        write("rules.toml", &rules.collect::<String>());
        write("chain.pem", &ca.chain);
        write("issuing.key.pem", &ca.issuing_key);
        write(
            "fulcio.yaml",
            &format!(
                "oidc-issuers:\n  {fulcio}:\n    issuer-url: {fulcio}\n    client-id: sigstore\n    \
                 type: email\n{claim}"
            ),
        );
        write(
            "shortleaf.toml",
            &format!(
                "[server]\nlisten = \"127.0.0.1:0\"\nops_listen = \"127.0.0.1:0\"\n\
                 [state]\ndir = {:?}\n\
                 [ca]\nchain = {:?}\nkey = {:?}\n\
                 [identity]\nrules = {:?}\nfulcio_config = {:?}\n\
                 [rate_limits]\nper_address = \"off\"\nper_identity = \"off\"\n\
                 [ct]\ninsecure_memory_log = true\n\
                 [[ct.log]]\nkind = \"memory\"\nname = \"here\"\n{issuers}",
                self.path("state"),
                self.path("chain.pem"),
                self.path("issuing.key.pem"),
                self.path("rules.toml"),
                self.path("fulcio.yaml"),
            ),
        );
        let blocks = pem::decode(&ca.chain).unwrap().into_iter();
        blocks.map(|block| block.der).collect()
    }
}
