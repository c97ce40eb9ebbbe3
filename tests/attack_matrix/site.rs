//! The server as `serve` runs it: a CA made by `ca init`, a configuration file, issuers and a log
//! behind sockets that count, the store on disk. Nothing in it is a stand-in of the test's but the
//! two neighbours, and a probe that counts what is begun.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use shortleaf::config::{self, Inputs};
use shortleaf::instance::{self, Listeners, Running, parts};
use shortleaf::issuance::KillPoint;
use shortleaf::keys::init;
use shortleaf::system::{SystemClock, SystemEntropy};
use shortleaf::time::Clock as _;
use shortleaf::x509::{SignatureAlgorithm, pem};
use x509_parser::prelude::*;

use crate::ask::{self, Answer, Ask, Door, Proof};
use crate::issuer::{Issuer, Served, wall_clock};
use crate::keys::TestKey;
use crate::log::Log;

/// The person every good token vouches for.
pub(crate) const PERSON: &str = "jane@example.com";
/// Another one, of the same issuer.
pub(crate) const OTHER: &str = "joe@example.com";

/// A running instance and its neighbours.
pub(crate) struct Site {
    issuers: Served,
    log: Log,
    begun: Arc<AtomicUsize>,
    /// Where clients connect.
    pub(crate) at: SocketAddr,
    /// Where operators do.
    pub(crate) ops: SocketAddr,
    /// The files of the CA, private keys included.
    pub(crate) ca: init::Files,
    _running: Running,
    folder: tempfile::TempDir,
}

/// Whatever it was sent, its state directory has none of it that is secret.
impl Drop for Site {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            crate::secrets::none_below(&self.folder.path().join("state"));
        }
    }
}

impl Site {
    /// One that refuses the keys with these hashes.
    pub(crate) async fn start(weak_keys: &[[u8; 32]]) -> Self {
        Self::start_beside(weak_keys, "").await
    }

    /// The same, with further settings at the end of its configuration.
    pub(crate) async fn start_beside(weak_keys: &[[u8; 32]], more: &str) -> Self {
        Self::start_with("", weak_keys, None, None, more).await
    }

    /// The same, with settings of its listeners.
    pub(crate) async fn start_behind(front: &str, weak_keys: &[[u8; 32]], more: &str) -> Self {
        Self::start_with(front, weak_keys, None, None, more).await
    }

    /// One with these logs, which are not its own.
    pub(crate) async fn start_with_logs(logs: &str) -> Self {
        Self::start_with("", &[], Some(logs), None, "").await
    }

    /// One with these claim rules, beside which everybody of its own issuer is allowed.
    pub(crate) async fn start_ruled(rules: &str, more: &str) -> Self {
        Self::start_with("", &[], None, Some(rules), more).await
    }

    async fn start_with(
        front: &str,
        weak_keys: &[[u8; 32]],
        logs: Option<&str>,
        rules: Option<&str>,
        more: &str,
    ) -> Self {
        let ca = init::build(
            &init::Request {
                organization: "attacks.example",
                algorithm: SignatureAlgorithm::EcdsaP384Sha384,
                crl_url: None,
                now: SystemClock.now().seconds(),
            },
            &SystemEntropy,
        );
        let ca = ca.unwrap().to_files(None, &SystemEntropy).unwrap();
        let issuers = Served::start(&["/email", "/github"]);
        let log = Log::start(Arc::new(SystemClock));
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let weak: String = weak_keys.iter().map(|hash| hex(hash) + "\n").collect();
        // The second log is never asked; its key is one whose private half we have.
        let own_logs = format!(
            r#"
[[ct.log]]
kind = "rfc6962"
name = "first"
url = "{log}"
key = "{log_key}"
[[ct.log]]
kind = "rfc6962"
name = "second"
url = "{log}"
key = "{second_key}"
"#,
            log = log.url(),
            log_key = write(
                "log.pub.pem",
                &pem::encode("PUBLIC KEY", log.inner().spki())
            ),
            second_key = write("second.pub.pem", &ca.log_public_key),
        );
        let text = format!(
            r#"
[server]
listen = "127.0.0.1:0"
ops_listen = "127.0.0.1:0"
{front}
[state]
dir = "{state}"
[ca]
chain = "{chain}"
key = "{key}"
weak_keys = "{weak}"
{logs}
[[issuer]]
url = "{issuer}"
type = "email"
audiences = ["sigstore"]
accept_shared_audience = true
insecure_loopback_http = true
"#,
            state = folder.path().join("state").display(),
            chain = write("chain.pem", &ca.chain),
            key = write("issuing.key.pem", &ca.issuing_key),
            weak = write("weak-keys.txt", &weak),
            logs = logs.unwrap_or(&own_logs),
            issuer = issuers.issuer(0).url(),
        );
        let identity = rules.map_or_else(String::new, |rules| {
            let own = format!(
                "[[allow]]\nname = \"persons\"\nissuer = {:?}\n\
                 claims = {{ email_verified = true }}\n",
                issuers.issuer(0).url()
            );
            let path = write("rules.toml", &(rules.to_owned() + &own));
            format!("[identity]\nrules = {path:?}\n")
        });
        // Hundreds of requests a second, nearly all of them for one person: not counted, but where a
        // row is about that.
        let uncounted = match more.contains("[rate_limits]") {
            true => "",
            false => "[rate_limits]\nper_address = \"off\"\nper_identity = \"off\"\n",
        };
        let file = Some(write("shortleaf.toml", &(text + &identity + uncounted + more)).into());
        let inputs = Inputs {
            file,
            ..Inputs::default()
        };
        let loaded = config::load(&inputs).unwrap();
        let server = &loaded.settings.server;
        let listeners = Listeners::bind(server.listen, server.ops_listen).await;
        let mut blueprint = parts::blueprint(loaded).unwrap();
        let begun = Arc::new(AtomicUsize::new(0));
        blueprint.issuance.probe = {
            let begun = begun.clone();
            Arc::new(move |point| {
                begun.fetch_add(
                    usize::from(point == KillPoint::IntentStored),
                    Ordering::SeqCst,
                );
            })
        };
        let running = instance::start(blueprint, listeners.unwrap()).unwrap();
        let address = |url: &str| url.split_once("://").unwrap().1.parse().unwrap();
        let (at, ops) = (address(running.url()), address(running.ops_url()));
        let speaks_tls = running.url().starts_with("https");
        let site = Self {
            issuers,
            log,
            begun,
            at,
            ops,
            ca,
            _running: running,
            folder,
        };
        if speaks_tls {
            return site;
        }
        // The issuer's keys are there before anything is counted.
        let key = TestKey::generate(shortleaf::possession::KeyKind::EcdsaP256);
        let ask = site.by_key(&key);
        let answer = site.ask(Door::V2, &ask).await;
        assert!(answer.is_issued(), "a good request: {answer}");
        site
    }

    /// A token for a person.
    pub(crate) fn token(&self, person: &str) -> String {
        let claims = json!({ "sub": person, "email": person, "email_verified": true });
        self.issuers.issuer(0).token(claims, wall_clock())
    }

    /// Who vouches for the persons.
    pub(crate) fn issuer(&self) -> &Issuer {
        self.issuers.issuer(0)
    }

    /// A request with a token of its own.
    pub(crate) fn with(&self, proof: Proof) -> Ask {
        Ask {
            token: self.token(PERSON),
            proof,
            san: PERSON.to_owned(),
        }
    }

    /// A good request: this key, and its proof.
    pub(crate) fn by_key(&self, key: &TestKey) -> Ask {
        self.with(Proof::Key {
            content: crate::keys::pem("PUBLIC KEY", &key.spki()).into_bytes(),
            signature: key.sign(PERSON.as_bytes()),
        })
    }

    /// Asks over a connection of its own.
    pub(crate) async fn ask(&self, door: Door, ask: &Ask) -> Answer {
        ask::exchange(self.at, door, ask).await
    }

    /// What `/metrics` shows now.
    pub(crate) async fn metrics(&self) -> String {
        ask::get(self.ops, "/metrics").await
    }

    /// The key of the log that is asked, SubjectPublicKeyInfo.
    pub(crate) fn log_spki(&self) -> Vec<u8> {
        self.log.inner().spki().to_vec()
    }

    /// How often issuers and logs were connected to so far.
    pub(crate) fn sent(&self) -> usize {
        self.issuers.connections() + self.log.asked()
    }

    /// How many issuances came so far as to write something down.
    pub(crate) fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    /// The certificate says what the token vouches for and nothing of what else was asked.
    pub(crate) fn look(&self, answer: &Answer, ask: &Ask) -> Result<(), String> {
        let leaf = answer.leaf().ok_or("no leaf in the answer")?;
        let (_, leaf) = parse_x509_pem(leaf.as_bytes()).map_err(|error| error.to_string())?;
        let leaf = leaf.parse_x509().map_err(|error| error.to_string())?;
        let extension = |error: X509Error| error.to_string();
        let names = leaf.subject_alternative_name().map_err(extension)?;
        let usage = leaf.extended_key_usage().map_err(extension)?;
        let constraints = leaf.basic_constraints().map_err(extension)?;

        let name = GeneralName::RFC822Name(&ask.san);
        let only_name = names.is_some_and(|names| names.value.general_names == [name]);
        let only_code_signing = usage.is_some_and(|usage| {
            *usage.value
                == ExtendedKeyUsage {
                    any: false,
                    server_auth: false,
                    client_auth: false,
                    code_signing: true,
                    email_protection: false,
                    time_stamping: false,
                    ocsp_signing: false,
                    other: Vec::new(),
                }
        });
        let no_subject = leaf.subject().iter().next().is_none();
        match only_name && only_code_signing && no_subject && constraints.is_none() {
            true => Ok(()),
            false => Err(format!("a certificate with more in it: {leaf:?}")),
        }
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
