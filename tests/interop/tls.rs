//! The clients people have, unmodified, over TLS whose root only their environment names. Without
//! that, none of them hands its token to the server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose};

use crate::answer::certificate;
use crate::clients::script;
use crate::fulcio::Ca;
use crate::issuer::{Identity, Served, wall_clock};
use crate::parts::{self, Finished, Running};
use crate::serve::Serve;

/// What may name roots or a proxy, and is the machine's business, not the test's.
const SURROUNDINGS: [&str; 10] = [
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "NODE_OPTIONS",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// A server whose certificate a private root signed.
struct Private {
    serve: Serve,
    issuers: Served,
    folder: tempfile::TempDir,
}

impl Private {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let issuers = Served::start(&Identity::PATHS);
        let [root, chain, key] = server_files(folder.path());
        let ca = Ca::make(folder.path(), "P-256");
        let serve = Serve::start_tls([&chain, &key], &ca, folder.path(), issuers.urls());
        let this = Self {
            serve,
            issuers,
            folder,
        };
        // Its log is new with each start, and so is its trusted root.
        let trusted = reqwest::Certificate::from_pem(&fs::read(&root).unwrap()).unwrap();
        let client = reqwest::Client::builder()
            .tls_certs_only([trusted])
            .no_proxy()
            .build()
            .unwrap();
        let url = format!("{}/trust/trusted_root.json", this.serve.url());
        let file = client.get(url).send().await.unwrap().text().await.unwrap();
        fs::write(this.file("trusted_root.json"), file).unwrap();
        this
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A new token in a file.
    fn token(&self) -> PathBuf {
        let (identity, file) = (Identity::Github, self.file("token"));
        let issuer = self.issuers.issuer(identity.issuer());
        fs::write(&file, issuer.token(identity.claims(), wall_clock())).unwrap();
        file
    }

    /// Runs a client whose root is named by `variable`, or by nothing.
    fn run(&self, name: &str, command: &mut Command, variable: Option<&str>) -> Finished {
        for surrounding in SURROUNDINGS {
            command.env_remove(surrounding);
        }
        if let Some(variable) = variable {
            command.env(variable, self.file("tls-root.pem"));
        }
        Running::start(name, command).finish(parts::PATIENCE)
    }

    /// Asserts that the client gets a certificate with its root in `variable`, and without it stops at `told`.
    fn assert_needs_its_root(
        &self,
        name: &str,
        command: impl Fn() -> Command,
        variable: &str,
        told: &str,
    ) {
        let mut ask = command();
        ask.arg(self.serve.url());
        ask.arg(self.token()).arg(self.file("trusted_root.json"));
        let refused = self.run(name, &mut ask, None);
        assert!(!refused.status.success(), "{name}: {}", refused.stdout);
        assert!(refused.stderr.contains(told), "{name}: {}", refused.stderr);
        let asked = self.run(name, &mut ask, Some(variable));
        assert!(asked.status.success(), "{name}: {}", asked.stderr);
        certificate(&asked.stdout);
    }
}

/// Root, chain and key of a server on 127.0.0.1, in files.
fn server_files(folder: &Path) -> [PathBuf; 3] {
    let authority = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "private root");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Python checks strictly: a root says what it is for.
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let root = params.self_signed(&authority).unwrap();
    let issuer = rcgen::Issuer::new(params, authority);
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    params.use_authority_key_identifier_extension = true;
    let server = params.signed_by(&key, &issuer).unwrap();
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        fs::write(&path, text).expect("the scratch folder is writable");
        path
    };
    [
        write("tls-root.pem", root.pem()),
        write("tls-chain.pem", server.pem()),
        write("tls-key.pem", key.serialize_pem()),
    ]
}

#[tokio::test]
async fn sigstore_python_takes_a_private_root_from_its_environment_and_refuses_without_it() {
    let Some(python) = parts::require_or_skip("venv/bin/python") else {
        return;
    };
    let client = || {
        let mut command = Command::new(&python);
        command.arg(script("python/get_certificate.py"));
        command
    };
    let told = "CERTIFICATE_VERIFY_FAILED";
    let private = Private::start().await;
    private.assert_needs_its_root("sigstore-python", client, "REQUESTS_CA_BUNDLE", told);
}

#[tokio::test]
async fn sigstore_js_takes_a_private_root_from_its_environment_and_refuses_without_it() {
    let Some(packages) = parts::require_or_skip("node/node_modules/@sigstore/sign") else {
        return;
    };
    let client = || {
        let mut command = Command::new("node");
        command
            .env("NODE_PATH", packages.join("../.."))
            .arg(script("node/get-certificate.cjs"));
        command
    };
    let told = "unable to verify the first certificate";
    let private = Private::start().await;
    private.assert_needs_its_root("@sigstore/sign", client, "NODE_EXTRA_CA_CERTS", told);
}

#[tokio::test]
async fn our_own_client_takes_a_private_root_from_its_environment_and_refuses_without_it() {
    let private = Private::start().await;
    let command = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shortleaf"));
        command
            .args(["cert", "--server", private.serve.url(), "--token"])
            .arg(private.token())
            .arg("--new-key")
            .arg(private.file("key.pem"));
        command
    };
    let refused = private.run("shortleaf cert", &mut command(), None);
    assert_eq!(refused.status.code(), Some(22), "{}", refused.stdout);
    let told = "is not trusted: ";
    assert!(refused.stderr.contains(told), "{}", refused.stderr);
    let asked = private.run("shortleaf cert", &mut command(), Some("SSL_CERT_FILE"));
    assert!(asked.status.success(), "{}", asked.stderr);
    let leaf = asked.stdout.split_inclusive("-----END CERTIFICATE-----\n");
    certificate(leaf.into_iter().next().unwrap_or_default());
}
