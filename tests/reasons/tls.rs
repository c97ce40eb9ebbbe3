//! An issuer's keys over real TLS, trusted through the `ca_file` of its configuration.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use shortleaf::config::{self, Inputs, IssuerSettings};
use shortleaf::instance::parts;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::ask::{Ask, Door, Proof};
use crate::house::{Answer, House};
use crate::world::issuer::{AUDIENCE, Identity, Issuer};

/// A certificate authority of the test's own.
struct Authority {
    pem: String,
    issuer: rcgen::Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = rcgen::Issuer::new(params, key);
        Self { pem, issuer }
    }

    /// A server that proves to be `name`.
    fn server(&self, name: &str) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![certificate.der().clone()], key);
        TlsAcceptor::from(Arc::new(config.unwrap()))
    }
}

/// An issuer of GitHub's claims that answers over https on 127.0.0.1.
async fn served(tls: TlsAcceptor) -> Arc<Issuer> {
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener = TcpListener::bind(anywhere).await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let issuer = Arc::new(Issuer::new(&url));
    let answering = Arc::clone(&issuer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(tls.clone(), stream, Arc::clone(&answering)));
        }
    });
    issuer
}

/// One request, one answer, end of connection.
async fn answer(tls: TlsAcceptor, stream: TcpStream, issuer: Arc<Issuer>) -> std::io::Result<()> {
    let mut stream = BufReader::new(tls.accept(stream).await?);
    let (mut request, mut header) = (String::new(), String::from("any"));
    stream.read_line(&mut request).await?;
    while !header.trim_end().is_empty() {
        header.clear();
        stream.read_line(&mut header).await?;
    }
    let (status, body) = match request.split(' ').nth(1) {
        Some("/.well-known/openid-configuration") => ("200 OK", issuer.metadata()),
        Some("/keys") => ("200 OK", issuer.jwks()),
        _ => ("404 Not Found", String::new()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).await?;
    stream.shutdown().await
}

/// The issuer as an operator configures it.
fn configured(folder: &TempDir, url: &str, ca_file: Option<&Path>) -> Vec<IssuerSettings> {
    let mut text = format!(
        "[ct]\nmode = \"off\"\n[[issuer]]\nurl = {url:?}\ntype = \"github-workflow\"\n\
         audiences = [{AUDIENCE:?}]\naccept_shared_audience = true\nallow_private_network = true\n"
    );
    if let Some(ca_file) = ca_file {
        text += &format!("ca_file = {ca_file:?}\n");
    }
    let file = folder.path().join("shortleaf.toml");
    std::fs::write(&file, text).unwrap();
    let inputs = Inputs {
        file: Some(file),
        ..Inputs::default()
    };
    config::load(&inputs).unwrap().settings.issuers
}

/// What a good token of the issuer gets at both doors, and the causes in our own log.
async fn asked(issuer: &Issuer, ca_pem: Option<&str>) -> (Vec<Answer>, Vec<String>) {
    let folder = TempDir::new().unwrap();
    let ca_file = ca_pem.map(|pem| {
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, pem).unwrap();
        path
    });
    let issuers = configured(&folder, issuer.url(), ca_file.as_deref());
    let house = House::with(|house| {
        house.terms.issuers = parts::trusted(&issuers);
        house.terms.keys = Arc::new(parts::keys(&issuers).unwrap());
    })
    .await;
    let mut answers = Vec::new();
    for door in Door::BOTH {
        let claims = Identity::Github.claims();
        let token = issuer.token(claims, house.world.now().seconds().0);
        let proof = Proof::of(&house.subject, &Identity::Github.challenge());
        answers.push(house.ask(door, &Ask::new(token, proof)).await);
    }
    house.check().await;
    let told = house.told().into_iter();
    let causes = told.filter_map(|event| Some(event["cause"].as_str()?.to_owned()));
    (answers, causes.collect())
}

/// Asserts that the keys could not be had, and that our own log says why.
fn assert_away(issuer: &Issuer, answers: &[Answer], causes: &[String], why: &str) {
    for answer in answers {
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (503, "IDENTITY_PROVIDER_UNAVAILABLE")
        );
        assert_eq!(
            answer.json()["message"],
            format!(
                "The identity provider is unavailable: could not fetch the signing keys of {}",
                issuer.url()
            )
        );
    }
    assert!(causes[0].contains(why), "{causes:?}");
}

#[tokio::test]
async fn an_issuer_behind_the_authority_of_its_ca_file_is_believed() {
    let authority = Authority::new("Private");
    let issuer = served(authority.server("127.0.0.1")).await;
    let (answers, _) = asked(&issuer, Some(&authority.pem)).await;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, Door::BOTH.map(Door::good_status), "{answers:?}");
}

#[tokio::test]
async fn an_issuer_behind_another_authority_is_away() {
    let authority = Authority::new("Private");
    let issuer = served(authority.server("127.0.0.1")).await;
    for ca_pem in [Some(&*Authority::new("Another").pem), None] {
        let (answers, causes) = asked(&issuer, ca_pem).await;
        assert_away(&issuer, &answers, &causes, "UnknownIssuer");
    }
}

#[tokio::test]
async fn an_issuer_whose_certificate_is_another_hosts_is_away() {
    let authority = Authority::new("Private");
    let issuer = served(authority.server("issuer.example")).await;
    let (answers, causes) = asked(&issuer, Some(&authority.pem)).await;
    assert_away(&issuer, &answers, &causes, "not valid for name");
}
