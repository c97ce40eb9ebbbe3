//! The terms an instance answers on, from its files: the issuers of the configuration and those of
//! Fulcio's file, the claim rules, the CA's key and chain.
//!
//! They are one thing, because they are one decision: a request that met new issuers with the rules
//! of the old ones would be let in by nobody's will. What a restart would take is taken over, as it
//! would take it, or else nothing is. What a restart alone can change is named in the log.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use super::error::Error;
use super::files::{open_secrets, passphrase, warn_of_open};
use super::parts::{keys, keys_error, keys_of, states, trusted};
use super::prepare::PreparingKeys;
use super::shown::Told;
use super::watch::{FromFiles, Reading, Watch};
use super::whom;
use crate::ca::{self, Authority, Encoder, LeafProfile};
use crate::config::{self, CaSettings, Effective, Inputs, IssuerSettings, Loaded};
use crate::hash::sha256;
use crate::issuance::{Service, Terms};
use crate::keys::file::{self as keyfile, FileSigner};
use crate::server::{KeyStates, Metrics, Shown, Sight};
use crate::time::{Clock, UnixSeconds};
use crate::token::KeySource;
use crate::token::discovery::HttpKeys;

/// Whether other values of this setting are taken over: those that say whom we believe, and where
/// the CA's key and chain are.
fn is_taken_over(key: &str) -> bool {
    says_whom(key) || ["ca.chain", "ca.key", "ca.passphrase_file"].contains(&key)
}

fn says_whom(key: &str) -> bool {
    ["issuer[", "ci_provider[", "identity."]
        .iter()
        .any(|start| key.starts_with(start))
}

/// Where the terms come from, to be read anew.
pub struct TermsFiles {
    inputs: Inputs,
    fixed: Fixed,
    /// What the terms in use were read from.
    reading: Reading,
    keys: Arc<RwLock<IssuerKeys>>,
    /// The settings that wait for a restart, as they were last named.
    waiting: Vec<String>,
}

/// What the rest of the instance was made of.
struct Fixed {
    effective: Effective,
    profile: Arc<LeafProfile>,
    encoder: Encoder,
    /// Whether keys that verify often are prepared.
    prepares: bool,
}

/// Terms that were read and judged, and what goes with them.
pub(super) struct Read {
    pub(super) terms: Terms,
    pub(super) issuers: Vec<IssuerSettings>,
    /// What an operator should know.
    warnings: Vec<String>,
    /// Secrets that are not their owner's alone.
    open: Vec<PathBuf>,
    keys: IssuerKeys,
}

impl Read {
    /// Into the log.
    pub(super) fn warn(&self) {
        for warning in &self.warnings {
            tracing::warn!("{warning}");
        }
        self.open.iter().for_each(|path| warn_of_open(path));
    }
}

/// The issuers' keys, prepared where that is wanted.
#[derive(Clone)]
struct IssuerKeys {
    fetched: Arc<HttpKeys>,
    prepared: Option<Arc<PreparingKeys<HttpKeys>>>,
}

impl IssuerKeys {
    fn new(issuers: &[IssuerSettings], prepares: bool) -> Result<Self, Error> {
        let fetched = Arc::new(keys(issuers)?);
        let prepared = prepares.then(|| Arc::new(PreparingKeys::new(Arc::clone(&fetched))));
        Ok(Self { fetched, prepared })
    }

    /// For these issuers; who stays as he is configured keeps what there is of his.
    fn succeeded(&self, issuers: &[IssuerSettings]) -> Result<Self, Error> {
        let configs = issuers.iter().map(keys_of).collect();
        let fetched = self.fetched.succeeded(configs);
        let fetched = Arc::new(fetched.map_err(|e| keys_error(issuers, e))?);
        let prepared = self.prepared.as_ref();
        let prepared = prepared.map(|before| Arc::new(before.over(Arc::clone(&fetched))));
        Ok(Self { fetched, prepared })
    }

    fn source(&self) -> Arc<dyn KeySource> {
        match &self.prepared {
            Some(prepared) => prepared.clone(),
            None => self.fetched.clone(),
        }
    }
}

impl TermsFiles {
    /// Reads what a start needs. Needs a tokio runtime: issuers' keys are fetched in the background
    /// from here on.
    pub(super) fn open(loaded: &Loaded, now: UnixSeconds) -> Result<(Self, Read), Error> {
        let settings = &loaded.settings;
        let fixed = Fixed {
            effective: loaded.effective.clone(),
            profile: Arc::new(settings.ca.profile.clone()),
            encoder: settings.ca.encoder,
            prepares: settings.fixed_key_tables,
        };
        let mut reading = Reading::default();
        let new = |issuers: &_| IssuerKeys::new(issuers, fixed.prepares);
        let read = fixed.read(loaded, new, &mut reading, now)?;
        // Start-up does not wait for anybody; the first request usually finds the keys there.
        read.keys.fetched.attend();
        let files = Self {
            inputs: loaded.inputs.clone(),
            keys: Arc::new(RwLock::new(read.keys.clone())),
            fixed,
            reading,
            waiting: Vec::new(),
        };
        Ok((files, read))
    }

    /// The keys in use, as the operators' doors ask for them.
    pub(super) fn key_states(&self) -> KeyStates {
        let keys = Arc::clone(&self.keys);
        Arc::new(move || states(&keys_now(&keys).fetched))
    }

    /// Reads everything anew.
    fn read(&self, reading: &mut Reading, now: UnixSeconds) -> Result<(Read, Vec<String>), Error> {
        if let Some(path) = &self.inputs.file {
            // Noted also where it cannot be used.
            reading.read(path)?;
        }
        let loaded = config::load(&self.inputs)?;
        let before = keys_now(&self.keys);
        let succeeded = |issuers: &_| before.succeeded(issuers);
        let mut read = self.fixed.read(&loaded, succeeded, reading, now)?;
        let own = std::mem::take(&mut read.warnings);
        read.warnings = loaded.settings.warnings;
        read.warnings.extend(own);
        let mut waiting = self.fixed.effective.differing(&loaded.effective);
        waiting.retain(|key| !is_taken_over(key));
        Ok((read, waiting))
    }
}

fn keys_now(keys: &RwLock<IssuerKeys>) -> IssuerKeys {
    keys.read().unwrap_or_else(PoisonError::into_inner).clone()
}

impl Fixed {
    /// Reads and judges what these settings name.
    fn read(
        &self,
        loaded: &Loaded,
        keys: impl FnOnce(&[IssuerSettings]) -> Result<IssuerKeys, Error>,
        reading: &mut Reading,
        now: UnixSeconds,
    ) -> Result<Read, Error> {
        let settings = &loaded.settings;
        if let (Some(path), Some(hash)) = (&loaded.inputs.file, loaded.file_hash) {
            reading.note(path, hash);
        }
        let (authority, signer) = open_authority(&settings.ca, reading, now)?;
        let authority = authority
            .with_encoder(self.encoder)
            .with_profile(&self.profile);
        let believed = whom::read(settings, reading)?;
        let keys = keys(&believed.issuers)?;
        let fulcio = settings.identity.fulcio_config.as_ref();
        let fulcio = fulcio.and_then(|path| reading.hash_of(path));
        let said = loaded.effective.digest_of(says_whom);
        Ok(Read {
            terms: Terms {
                issuers: trusted(&believed.issuers),
                issuers_digest: Some(sha256(&[&said, fulcio.as_ref().map_or(&[], |h| h)])),
                rules: believed.rules,
                keys: keys.source(),
                authority: Arc::new(authority),
                signer: Arc::new(signer),
            },
            issuers: believed.issuers,
            warnings: believed.warnings,
            open: open_secrets(&settings.ca).cloned().collect(),
            keys,
        })
    }
}

/// Chain and key, which have to fit, and to be a CA now.
fn open_authority(
    ca: &CaSettings,
    reading: &mut Reading,
    now: UnixSeconds,
) -> Result<(Authority, FileSigner), Error> {
    let passphrase = passphrase(ca, |path| reading.read_text(path))?;
    let key = zeroize::Zeroizing::new(reading.read_text(&ca.key)?);
    let chain = reading.read_text(&ca.chain)?;
    let opened = keyfile::open(&chain, &key, passphrase.as_ref(), now);
    opened.map_err(|source| Error::Authority {
        chain: ca.chain.clone(),
        key: ca.key.clone(),
        source,
    })
}

/// Terms that are taken over when their files change.
pub(super) struct Reload {
    pub(super) files: TermsFiles,
    /// As it is told now.
    pub(super) told: Told,
    pub(super) shown: Arc<Shown>,
    pub(super) service: Arc<Service>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Reload {
    /// Watches from what was read at the start.
    pub(super) fn watch(mut self) -> Watch<Self> {
        let in_use = std::mem::take(&mut self.files.reading);
        let metrics = Arc::clone(&self.metrics);
        Watch::new(self, in_use, metrics)
    }
}

/// Everything that changes, judged.
pub(super) struct New {
    read: Read,
    told: Told,
    sight: Sight,
    /// Settings that changed, and that a restart alone can change.
    waiting: Vec<String>,
}

impl FromFiles for Reload {
    type New = New;
    const WHAT: &'static str = "terms";

    fn make(&mut self, reading: &mut Reading) -> Result<New, Error> {
        let now = self.clock.now().seconds();
        let (read, waiting) = self.files.read(reading, now)?;
        let authority = &read.terms.authority;
        ca::check_encoder(authority, &self.files.fixed.profile)?;
        let told = self.told.with(authority, now);
        let sight = told.sight(&read.issuers)?;
        Ok(New {
            read,
            told,
            sight,
            waiting,
        })
    }

    fn take(&mut self, new: New) -> Result<(), Error> {
        let New {
            read,
            told,
            sight,
            waiting,
        } = new;
        read.warn();
        if waiting != self.files.waiting && !waiting.is_empty() {
            tracing::warn!(settings = ?waiting, "changed and not taken over: they need a restart");
        }
        self.files.waiting = waiting;
        read.keys.fetched.attend();
        let names = read.issuers.iter().map(|one| one.name.as_str().to_owned());
        self.metrics.configured(names);
        let ca_not_after = read.terms.authority.issuing().not_after();
        // First told, then used: whoever has a certificate finds its CA in the trust files. Where the
        // audit log is closed neither the old CA nor the new one signs.
        self.shown.replace(sight);
        self.told = told;
        self.service.take(read.terms, self.clock.now())?;
        self.metrics.ca_not_after(ca_not_after);
        *self
            .files
            .keys
            .write()
            .unwrap_or_else(PoisonError::into_inner) = read.keys;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::keys::init;
    use crate::system::{SystemClock, SystemEntropy};
    use crate::x509::SignatureAlgorithm;

    const LOG: &str = "[[ct.log]]\nkind = \"memory\"\nname = \"log\"\n";

    /// A folder with a CA and a configuration that is written anew by each [`Place::write`].
    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            let place = Self(tempfile::tempdir().unwrap());
            place.put_ca();
            place.write("");
            place
        }

        /// A new CA, chain and key.
        fn put_ca(&self) {
            let request = init::Request {
                organization: "example",
                algorithm: SignatureAlgorithm::EcdsaP256Sha256,
                crl_url: None,
                now: SystemClock.now().seconds(),
            };
            let new = init::build(&request, &SystemEntropy).unwrap();
            let files = new.to_files(None, &SystemEntropy).unwrap();
            fs::write(self.path("chain.pem"), &files.chain).unwrap();
            fs::write(self.path("ca.key"), &*files.issuing_key).unwrap();
        }

        fn path(&self, name: &str) -> std::path::PathBuf {
            self.0.path().join(name)
        }

        /// Settings of a section `[ca]`, and whatever follows.
        fn write(&self, more: &str) {
            let text = format!(
                "[[issuer]]\nurl = \"https://issuer.example\"\ntype = \"email\"\n\
                 audiences = [\"https://ca.example\"]\n{LOG}\
                 [ct]\ninsecure_memory_log = true\n\
                 [ca]\nchain = {:?}\nkey = {:?}\n{more}",
                self.path("chain.pem"),
                self.path("ca.key"),
            );
            fs::write(self.path("shortleaf.toml"), text).unwrap();
        }

        fn open(&self) -> (TermsFiles, Read) {
            let inputs = Inputs {
                file: Some(self.path("shortleaf.toml")),
                ..Inputs::default()
            };
            let loaded = config::load(&inputs).unwrap();
            TermsFiles::open(&loaded, SystemClock.now().seconds()).unwrap()
        }
    }

    fn again(files: &TermsFiles) -> Result<(Read, Vec<String>), Error> {
        files.read(&mut Reading::default(), SystemClock.now().seconds())
    }

    #[tokio::test]
    async fn the_encoder_is_the_configurations_until_a_restart() {
        let place = Place::new();
        let (files, read) = place.open();
        assert_eq!(read.terms.authority.encoder(), Encoder::Template);
        place.write("encoder = \"rcgen\"\n");
        let (read, waiting) = again(&files).unwrap();
        assert_eq!(read.terms.authority.encoder(), Encoder::Template);
        assert_eq!(waiting, ["ca.encoder"]);
        let (_, read) = place.open();
        assert_eq!(read.terms.authority.encoder(), Encoder::Rcgen);
    }

    #[tokio::test]
    async fn issuers_say_who_is_believed_and_nothing_else_does() {
        let place = Place::new();
        let (files, first) = place.open();
        let other = "[[issuer]]\nurl = \"https://other.example\"\ntype = \"email\"\n\
                     audiences = [\"https://ca.example\"]\n";
        place.write(&format!("profile = \"other\"\n{other}"));
        let (second, waiting) = again(&files).unwrap();
        assert_eq!(second.issuers.len(), 2);
        assert_ne!(second.terms.issuers_digest, first.terms.issuers_digest);
        assert_eq!(waiting, ["ca.profile"]);
        place.write("profile = \"other\"\n");
        let (third, _) = again(&files).unwrap();
        assert_eq!(third.terms.issuers_digest, first.terms.issuers_digest);
    }

    #[tokio::test]
    async fn a_providers_templates_say_who_is_believed() {
        let place = Place::new();
        let templates = |san: &str| {
            format!(
                "[[issuer]]\nurl = \"https://ci.example\"\ntype = \"ci-provider\"\n\
                 audiences = [\"https://ca.example\"]\nci_provider = \"mine\"\n\
                 [[ci_provider]]\nname = \"mine\"\nsan = \"https://{san}/{{{{ .repo }}}}\"\n"
            )
        };
        place.write(&templates("ci.example"));
        let (files, first) = place.open();
        place.write(&templates("other.example"));
        let (second, waiting) = again(&files).unwrap();
        assert!(waiting.is_empty(), "{waiting:?}");
        assert_ne!(second.terms.issuers_digest, first.terms.issuers_digest);
    }

    #[tokio::test]
    async fn key_and_chain_are_taken_together() {
        let place = Place::new();
        let (files, first) = place.open();
        let old = fs::read(place.path("chain.pem")).unwrap();
        place.put_ca();
        let new = fs::read(place.path("chain.pem")).unwrap();
        fs::write(place.path("chain.pem"), old).unwrap();
        let mismatch = again(&files).err().unwrap();
        let told = "the CA key does not belong to the issuing certificate";
        assert!(mismatch.with_causes().ends_with(told), "{mismatch:?}");
        fs::write(place.path("chain.pem"), new).unwrap();
        let (second, waiting) = again(&files).unwrap();
        assert_ne!(second.terms.authority.id(), first.terms.authority.id());
        assert!(waiting.is_empty());
    }
}
