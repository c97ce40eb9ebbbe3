//! Everything a server writes, searched for everything it was sent; and the search itself, which
//! has to find what it is there for.
//!
//! The same search stands behind every other test of the suite: see `world/secrets.rs`.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use secrecy::SecretString;
use serde_json::{Value, json};
use shortleaf::config::{self, Inputs};
use shortleaf::ct::memory::MemoryLog;
use shortleaf::dev::issuer::{DevIssuer, Persona};
use shortleaf::keys::FileSigner;
use shortleaf::system::{SystemClock, SystemEntropy};
use shortleaf::time::UnixSeconds;
use shortleaf::token::discovery::FixedKeys;
use shortleaf::token::jwks::KeySet;
use shortleaf::token::{self, IssuerPolicy, IssuerUrl, RawToken};
use shortleaf::x509::pem;

use crate::ca::init;
use crate::issuer::{Alg, Served, email_claims, github_claims, merge, wall_clock};
use crate::program::{Beside, PASSPHRASE, Place};
use crate::secrets;
use crate::serve::World;
use crate::subject::{Kind, Subject};

const V2: &str = "/api/v2/signingCert";
const V1: &str = "/api/v1/signingCert";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A server that tells all it can tell.
struct Scene {
    world: World,
    server: Beside,
    at: String,
}

impl Scene {
    fn new() -> Self {
        let world = World::new();
        let loud = ["--set", "log.level=trace", "--set", "log.format=json"];
        let words: Vec<&str> = ["serve"].into_iter().chain(loud).collect();
        let mut server = world.place.start(&words);
        let url = server.ready();
        let at = url.strip_prefix("http://").unwrap().to_owned();
        Self { world, server, at }
    }

    /// A workflow's token with these claims laid upon it.
    fn token(&self, over: Value) -> String {
        let mut claims = github_claims();
        merge(&mut claims, over);
        self.world.issuers.issuer(1).token(claims, wall_clock())
    }

    /// Sends it as it stands; no answer may hold a secret. Answers with the status.
    fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> u16 {
        let mut stream = TcpStream::connect(&self.at).unwrap();
        let (at, length) = (&self.at, body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\n\
             content-length: {length}\r\n{headers}\r\n{body}"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        // A reset after the answer is as good as an end.
        let _ = stream.read_to_end(&mut answer);
        secrets::none_in(&format!("the answer to {method} {path}"), &answer);
        let answer = String::from_utf8_lossy(&answer);
        let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
        status.unwrap_or_else(|| panic!("{answer}"))
    }

    fn post(&self, headers: &str, body: &Value) -> u16 {
        self.send("POST", V2, headers, &body.to_string())
    }
}

/// A key, and its proof over these words.
fn proven(words: &str) -> Value {
    let key = Subject::generate(Kind::P256);
    json!({
        "publicKey": { "content": key.spki_pem() },
        "proofOfPossession": STANDARD.encode(key.prove(words)),
    })
}

fn asked(token: &str, proof: &Value) -> Value {
    json!({ "credentials": { "oidcIdentityToken": token }, "publicKeyRequest": proof })
}

fn challenge() -> String {
    github_claims()["sub"].as_str().unwrap().to_owned()
}

/// A private key that somebody sends where the public one belongs.
fn private_key() -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    secrets::plant("a private key", key.serialized_der());
    key.serialize_pem()
}

#[test]
fn nothing_a_server_writes_holds_a_secret_it_was_sent() {
    let scene = Scene::new();
    let (good, proof) = (scene.token(json!({})), proven(&challenge()));
    let fresh = || asked(&scene.token(json!({})), &proven(&challenge()));

    // Certificates: by v2, again, by v1, by signing request, and in somebody's trace.
    assert_eq!(scene.post("", &asked(&good, &proof)), 200);
    assert_eq!(scene.post("", &asked(&good, &proof)), 200);
    let bearer = |token: &str| format!("authorization: Bearer {token}\r\n");
    let key = Subject::generate(Kind::P256);
    let v1 = json!({
        "publicKey": { "content": STANDARD.encode(key.spki_pem()) },
        "signedEmailAddress": STANDARD.encode(key.prove(&challenge())),
    });
    let headers = bearer(&scene.token(json!({})));
    assert_eq!(scene.send("POST", V1, &headers, &v1.to_string()), 201);
    let pair = rcgen::KeyPair::generate().unwrap();
    secrets::plant("a private key", pair.serialized_der());
    let csr = rcgen::CertificateParams::default().serialize_request(&pair);
    let csr = STANDARD.encode(csr.unwrap().pem().unwrap());
    let by_csr = json!({
        "credentials": { "oidcIdentityToken": scene.token(json!({})) },
        "certificateSigningRequest": csr,
    });
    assert_eq!(scene.post("", &by_csr), 200);
    let headers = format!("traceparent: {PARENT}\r\ntracestate: vendor=opaque\r\n");
    assert_eq!(scene.post(&headers, &fresh()), 200);

    // Refusals for the token, each of which is somebody's real one in some way.
    let (head, rest) = good.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    let other = scene.token(json!({}));
    let others = other.rsplit_once('.').unwrap().1;
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
    let unknown = scene.world.issuers.issuer(1);
    let unknown = unknown.sign(Alg::Rs256, r#"{"alg":"RS256","kid":"other"}"#, "{}");
    for token in [
        format!("{head}.{payload}.{others}"),
        format!("{head}.{payload}"),
        format!("{good}."),
        format!("{good}{good}"),
        format!("{none}.{payload}.{signature}"),
        format!("{payload}.{head}.{signature}"),
        format!("Bearer {good}"),
        format!("{good}\u{0}"),
        good.replace('.', " "),
        unknown,
        scene.token(json!({ "exp": wall_clock() - 3600 })),
        scene.token(json!({ "iss": "https://nobody.example" })),
        scene.token(json!({ "aud": "other" })),
        scene.token(json!({ "run_id": null })),
        scene.token(json!({ "sub": "x\u{202e}" })),
        scene.world.issuers.issuer(0).token(email_claims(), 0),
        private_key(),
    ] {
        assert_eq!(scene.post("", &asked(&token, &proof)), 400);
        let headers = bearer(&token.replace(['\n', '\0'], ""));
        assert_eq!(scene.send("POST", V1, &headers, "{}"), 400);
    }

    // For the key and its proof.
    assert_eq!(scene.post("", &asked(&good, &proven(&challenge()))), 400); // a replay
    for proof in [
        proven("other words"),
        json!({ "publicKey": { "content": private_key() } }),
        json!({ "publicKey": { "content": good }, "proofOfPossession": good }),
        json!({ "publicKey": { "content": key.spki_pem() }, "proofOfPossession": STANDARD.encode(private_key()) }),
    ] {
        let token = scene.token(json!({}));
        assert_eq!(scene.post("", &asked(&token, &proof)), 400);
    }
    let token = scene.token(json!({}));
    let broken = json!({
        "credentials": { "oidcIdentityToken": token },
        "certificateSigningRequest": STANDARD.encode(private_key()),
    });
    assert_eq!(scene.post("", &broken), 400);

    // In places where none belongs.
    let whole = fresh().to_string();
    for (method, path, headers, body) in [
        ("POST", V2.to_owned(), String::new(), format!("]{whole}")),
        (
            "POST",
            V2.to_owned(),
            String::new(),
            format!("{whole}{}", " ".repeat(65536)),
        ),
        (
            "POST",
            V2.to_owned(),
            bearer(&good) + &bearer(&good),
            "{}".to_owned(),
        ),
        (
            "POST",
            V2.to_owned(),
            "content-encoding: gzip\r\n".to_owned(),
            whole.clone(),
        ),
        (
            "POST",
            format!("{V2}?token={good}"),
            String::new(),
            "{".to_owned(),
        ),
        ("POST", format!("/{good}"), String::new(), whole.clone()),
        ("PUT", V2.to_owned(), bearer(&good), whole.clone()),
        (
            "GET",
            V2.to_owned(),
            format!("cookie: {good}\r\n"),
            String::new(),
        ),
        (
            "POST",
            V2.to_owned(),
            format!("x-request-id: {good}\r\ntraceparent: {good}\r\ntracestate: a={signature}\r\n"),
            "{".to_owned(),
        ),
    ] {
        let status = scene.send(method, &path, &headers, &body);
        assert!((400..=501).contains(&status), "{method} {path}: {status}");
    }
    {
        // Cut in the middle, where nobody waits for an answer.
        let mut stream = TcpStream::connect(&scene.at).unwrap();
        let head = format!("POST {V2} HTTP/1.1\r\nhost: x\r\ncontent-length: 99999\r\n\r\n");
        stream.write_all((head + &whole).as_bytes()).unwrap();
    }

    // With a part of ours away, whose causes the log tells whole.
    scene.world.log.set_down(true);
    assert_eq!(scene.post("", &fresh()), 503);
    scene.world.log.set_down(false);

    let mut operators = scene.server;
    let url = operators.operators();
    for path in ["/metrics", "/readyz?verbose", "/livez"] {
        let (_, body) = crate::parts::http("GET", &format!("{url}{path}"), None).unwrap();
        secrets::none_in(path, body);
    }
    let (stdout, stderr) = operators.stop("TERM");
    secrets::none_in("standard output", stdout);
    secrets::none_in("the log", &stderr);
    secrets::none_below(&scene.world.place.path("state"));

    // The log is not clean because it is empty, nor the record.
    let lines = stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let events: Vec<Value> = lines.collect();
    let told = |what: &str| {
        let events = events.iter().filter(|event| event["message"] == what);
        events.count()
    };
    assert_eq!(told("issued"), 5);
    assert!(told("refused") > 40, "{}", told("refused"));
    assert!(events.iter().any(|event| event["level"] == "TRACE"));
    let audit = fs::read_to_string(scene.world.place.path("state/audit.log")).unwrap();
    assert_eq!(audit.matches(r#""event":"issued""#).count(), 5);

    // The trace went all the way, from the door through the record to the log outside.
    let traced = |event: &&Value| event["trace_id"] == PARENT[3..35];
    let joined: Vec<&Value> = events.iter().filter(traced).collect();
    assert!(joined.iter().any(|event| event["message"] == "issued"));
    let sent = scene.world.log.traces();
    let sent: Vec<_> = sent
        .iter()
        .filter(|(parent, _)| parent[3..35] == PARENT[3..35])
        .collect();
    let [(parent, state)] = sent.as_slice() else {
        panic!("{sent:?}")
    };
    assert_ne!(parent[36..52], PARENT[36..52]);
    assert_eq!(state, "vendor=opaque");
}

/// The one text of a caller's that is logged unread is the request id: it makes a leak of its
/// caller's own, and what is written then is found, wherever it is.
#[test]
fn a_secret_that_a_server_does_write_is_found_everywhere_it_wrote_it() {
    let scene = Scene::new();
    let key = Subject::generate(Kind::P256);
    let signature = STANDARD_NO_PAD.encode(key.prove(&challenge()));
    let proof = json!({
        "publicKey": { "content": key.spki_pem() }, "proofOfPossession": signature,
    });
    let body = asked(&scene.token(json!({})), &proof);
    let headers = format!("x-request-id: {signature}\r\n");
    let found = |search: &mut dyn FnMut()| {
        let panic = catch_unwind(AssertUnwindSafe(search)).expect_err("a leak, and nobody saw it");
        let said = panic.downcast_ref::<String>().unwrap();
        assert!(
            said.starts_with("a proof of possession stands in"),
            "{said}"
        );
    };
    // In the answer, which repeats the id;
    found(&mut || {
        scene.post(&headers, &body);
    });
    let Scene { world, server, .. } = scene;
    // in the log, by what ends every process of ours;
    let mut server = Some(server);
    found(&mut || {
        let mut server = server.take().unwrap();
        server.told("\"issued\"");
        server.0.signal("TERM");
        drop(server.0.finish(crate::program::PATIENCE));
    });
    // in the state directory, in the audit log as text and in the record without it.
    let state = world.place.path("state");
    found(&mut || secrets::none_below(&state));
    fs::remove_file(state.join("audit.log")).unwrap();
    found(&mut || secrets::none_below(&state));
    fs::remove_dir_all(state).unwrap();
}

#[test]
fn each_disguise_of_a_secret_is_found_and_its_neighbour_is_not() {
    let secret: Vec<u8> = (0..48)
        .map(|octet: u8| octet.wrapping_mul(37) ^ 0xa5)
        .collect();
    secrets::plant("the secret of this test", &secret);
    let hex = |octets: &[u8]| {
        octets
            .iter()
            .map(|octet| format!("{octet:02x}"))
            .collect::<String>()
    };
    let disguises = |octets: &[u8]| {
        let mut disguises = vec![
            octets.to_vec(),
            hex(octets).into_bytes(),
            hex(octets).to_uppercase().into_bytes(),
        ];
        for before in 0..3 {
            let inside = [&b"xyz"[..before], octets, b"after"].concat();
            disguises.push(STANDARD.encode(&inside).into_bytes());
            disguises.push(URL_SAFE_NO_PAD.encode(&inside).into_bytes());
        }
        disguises
    };
    for text in disguises(&secret) {
        let text = [b"before ", &text[..], b" after"].concat();
        let found = secrets::found_in(&text);
        assert_eq!(
            found,
            Some("the secret of this test"),
            "{}",
            text.escape_ascii()
        );
    }
    let mut other = secret;
    other[20] ^= 1;
    for text in disguises(&other) {
        assert_eq!(secrets::found_in(&text), None, "{}", text.escape_ascii());
    }
}

#[test]
fn tokens_and_private_keys_that_nobody_planted_are_known_by_their_shape() {
    let token = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2ln";
    assert!(secrets::found_in(format!("refused: {token}").as_bytes()).is_some());
    assert_eq!(secrets::found_in(token.replace('.', ",").as_bytes()), None);
    for algorithm in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ED25519,
    ] {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let der = key.serialized_der();
        for text in [
            der.to_vec(),
            STANDARD.encode(der).into_bytes(),
            key.serialize_pem().into_bytes(),
        ] {
            assert!(secrets::found_in(&text).is_some(), "{algorithm:?}");
        }
        // The other half is anybody's.
        assert_eq!(secrets::found_in(key.public_key_pem().as_bytes()), None);
    }
}

/// Whether a type can be shown by `{:?}` at all.
struct Shown<T>(std::marker::PhantomData<T>);

trait ByDefault {
    const IS: bool = false;
}
impl<T> ByDefault for Shown<T> {}

impl<T: std::fmt::Debug> Shown<T> {
    const IS: bool = true;
}

#[test]
fn what_holds_a_secret_and_no_more_cannot_be_shown() {
    use shortleaf::{client, issuance, keys};
    let shown = [
        ("Request", Shown::<issuance::Request>::IS),
        ("Proof", Shown::<issuance::Proof>::IS),
        ("PrivateKey", Shown::<keys::PrivateKey>::IS),
        ("FileSigner", Shown::<keys::file::FileSigner>::IS),
        ("EphemeralSigner", Shown::<keys::EphemeralSigner>::IS),
        ("NewCa", Shown::<keys::init::NewCa>::IS),
        ("Found", Shown::<client::ambient::Found>::IS),
    ];
    for (name, is_shown) in shown {
        assert!(!is_shown, "{name} has a Debug: show below what is in it");
    }
    // The question can be answered with yes.
    const { assert!(Shown::<issuance::Issued>::IS) };
}

#[tokio::test]
async fn what_holds_a_secret_and_is_shown_shows_none() {
    let issuers = Served::start(&["/github"]);
    let issuer = issuers.issuer(0);
    let url = IssuerUrl::new(issuer.url()).unwrap();
    let token = issuer.token(github_claims(), wall_clock());
    let keys = KeySet::parse(issuer.jwks().as_bytes()).unwrap();
    let raw = RawToken::parse(&token).unwrap();
    let mut shown = vec![format!("{raw:?} {keys:?}")];
    let policy = |audience: &str| IssuerPolicy {
        issuer: url.clone().into(),
        audiences: vec![audience.to_owned()],
        max_token_age_s: 600,
        max_token_lifetime_s: 3600,
        leeway_s: 0,
        certificates_per_token: 1,
    };
    let keys = FixedKeys::new([(url.clone(), keys)]);
    let now = UnixSeconds(wall_clock());
    let verified = token::verify(raw, &policy("sigstore"), &keys, now).await;
    shown.push(format!("{verified:?}"));
    assert!(verified.is_ok());
    let raw = RawToken::parse(&token).unwrap();
    let refused = token::verify(raw, &policy("other"), &keys, now).await;
    let refused = refused.unwrap_err();
    shown.push(format!("{refused} {refused:?}"));

    let key = rcgen::KeyPair::generate().unwrap();
    secrets::plant("a private key", key.serialized_der());
    let blocks = pem::decode(&key.serialize_pem());
    shown.push(format!("{:?}", blocks.unwrap()));
    let log = MemoryLog::new("log", key.serialized_der()).unwrap();
    shown.push(format!("{log:?} {:?}", log.key()));
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
    let issuer = DevIssuer::new("http://127.0.0.1:1", clock, entropy).unwrap();
    let minted = issuer.mint(Persona::Github, serde_json::Map::new());
    secrets::plant_token(&minted.unwrap());
    shown.push(format!("{issuer:?}"));

    secrets::plant_text("the passphrase", PASSPHRASE);
    let place = Place::new();
    init(&place, &[]);
    let sealed = place.read("ca/issuing.key.pem");
    let wrong = SecretString::from(format!("{PASSPHRASE}!"));
    let error = FileSigner::from_pem(&sealed, Some(&wrong)).err().unwrap();
    shown.push(format!("{wrong:?} {error} {error:?}"));
    let inputs = Inputs {
        environment: vec![("SHORTLEAF_CA_PASSPHRASE".to_owned(), PASSPHRASE.to_owned())],
        flags: vec![("ca.passphrase".to_owned(), PASSPHRASE.to_owned())],
        ..Inputs::default()
    };
    let refused = config::load(&inputs).unwrap_err();
    shown.push(format!("{inputs:?} {refused} {refused:?}"));
    let inputs = Inputs {
        flags: Vec::new(),
        file: Some(place.write(
            "shortleaf.toml",
            "[server]\npublic_url = \"https://ca.example\"\n[ct]\nmode = \"off\"\n[[issuer]]\nurl = \"https://issuer.example\"\ntype = \"email\"\naudiences = [\"https://ca.example\"]\n",
        )),
        ..inputs
    };
    shown.push(format!("{:?}", config::load(&inputs).unwrap()));
    for text in shown {
        assert!(text.len() > 8, "{text}");
        secrets::none_in("a Debug", text);
    }
}
