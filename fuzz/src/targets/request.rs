//! Bodies of requests, through the doors to a real service: a token is good where the body says
//! `$TOKEN`, so that what is behind it is reached. Nothing but a good request gets a certificate,
//! nothing is our fault, and every refusal has the one form.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use shortleaf::audit::{self, AuditLog, Event};
use shortleaf::ca::{InstanceId, LeafProfile};
use shortleaf::ct::memory::MemoryLog;
use shortleaf::identity::Mapping;
use shortleaf::issuance::{CtMode, Parts, Service, Terms, TrustedIssuer, no_probe};
use shortleaf::keys::DevelopmentCa;
use shortleaf::possession::{AlgorithmList, WeakKeys};
use shortleaf::rates::Rates;
use shortleaf::server::{Metrics, Public, PublicParts, RequestLimits, Shown, Sight, public_router};
use shortleaf::store::memory::MemoryStore;
use shortleaf::system::SystemEntropy;
use shortleaf::time::{Clock, UnixMillis};
use shortleaf::token::discovery::FixedKeys;
use shortleaf::token::jwks::KeySet;
use shortleaf::token::{IssuerPolicy, IssuerUrl};
use shortleaf::x509::SignatureAlgorithm;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::parse_x509_pem;

const NOW: UnixMillis = UnixMillis(1_795_262_400_000);
const ISSUER: &str = "https://issuer.example";
/// Whom the token vouches for; the corpus has proofs over this name.
const PERSON: &str = "jane@example.com";

pub(crate) fn run(input: &[u8]) {
    static HOUSE: OnceLock<House> = OnceLock::new();
    let house = HOUSE.get_or_init(House::new);
    let body = house.with_token(input);
    let carries_token = std::str::from_utf8(&body).is_ok_and(|text| text.contains(&house.token));
    let v2 = house.ask("/api/v2/signingCert", None, body.clone());
    judge(&v2, carries_token, &house.token);
    let header = format!("Bearer {}", house.token);
    let v1 = house.ask("/api/v1/signingCert", Some(header), body);
    judge(&v1, true, &house.token);
}

fn judge((status, answer): &(StatusCode, String), may_be_issued: bool, token: &str) {
    match *status {
        StatusCode::OK | StatusCode::CREATED => {
            assert!(may_be_issued, "a certificate without a token");
            says_who(answer);
        }
        StatusCode::BAD_REQUEST => {
            let problem: Value = serde_json::from_str(answer).expect("a refusal in JSON");
            let details = problem["details"].as_array().expect("details");
            assert_eq!(details.len(), 1);
            assert!(details[0]["reason"].is_string());
            assert!(!answer.contains(token), "a token in the answer");
        }
        other => panic!("{other}: {answer}"),
    }
}

/// The leaf is the person's and nobody else's.
fn says_who(answer: &str) {
    let pem = match serde_json::from_str::<Value>(answer) {
        Ok(v2) => {
            let leaf = &v2["signedCertificateEmbeddedSct"]["chain"]["certificates"][0];
            leaf.as_str().expect("a leaf").to_owned()
        }
        Err(_) => answer.to_owned(), // v1: the chain itself
    };
    let (_, pem) = parse_x509_pem(pem.as_bytes()).expect("PEM");
    let leaf = pem.parse_x509().expect("a certificate");
    let names = leaf.subject_alternative_name().expect("readable");
    let names = &names.expect("a name").value.general_names;
    assert_eq!(*names, [GeneralName::RFC822Name(PERSON)]);
    assert!(!leaf.is_ca());
}

struct House {
    runtime: Runtime,
    doors: Router,
    token: String,
}

impl House {
    fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        Self {
            runtime: runtime.expect("a runtime"),
            doors: doors(&pair),
            token: token(&pair),
        }
    }

    fn with_token(&self, input: &[u8]) -> Vec<u8> {
        const PLACE: &[u8] = b"$TOKEN";
        match input
            .windows(PLACE.len())
            .position(|octets| octets == PLACE)
        {
            Some(at) => [
                &input[..at],
                self.token.as_bytes(),
                &input[at + PLACE.len()..],
            ]
            .concat(),
            None => input.to_vec(),
        }
    }

    fn ask(
        &self,
        path: &str,
        authorization: Option<String>,
        body: Vec<u8>,
    ) -> (StatusCode, String) {
        let mut request = Request::post(path);
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        let request = request.body(Body::from(body)).expect("a request");
        self.runtime.block_on(async {
            let answer = self.doors.clone().oneshot(request).await;
            let (head, body) = answer.expect("doors answer").into_parts();
            let body = body.collect().await.expect("a whole answer").to_bytes();
            (head.status, String::from_utf8(body.to_vec()).expect("text"))
        })
    }
}

fn token(pair: &EcdsaKeyPair) -> String {
    let now = NOW.0 / 1_000;
    let claims = json!({
        "iss": ISSUER, "aud": "sigstore", "sub": PERSON, "email": PERSON, "email_verified": true,
        "iat": now, "exp": now + 300, "jti": "1",
    });
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let input = [part(r#"{"alg":"ES256"}"#), part(&claims.to_string())].join(".");
    let signature = pair.sign(&SystemRandom::new(), input.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(signature.expect("a signature"));
    format!("{input}.{signature}")
}

fn doors(pair: &EcdsaKeyPair) -> Router {
    let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
    let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
    let keys = json!({ "keys": [{ "kty": "EC", "crv": "P-256", "x": x, "y": y }] }).to_string();
    let keys = KeySet::parse(keys.as_bytes()).expect("a key set");
    let issuer = IssuerUrl::new(ISSUER).expect("an issuer");
    let algorithm = SignatureAlgorithm::EcdsaP256Sha256;
    let ca = DevelopmentCa::new(algorithm, NOW.seconds(), &SystemEntropy).expect("a CA");
    let profile = LeafProfile::new("leaf", 600, 0, None).expect("a profile");
    let authority = Arc::new(ca.authority.with_profile(&profile));
    let policy = IssuerPolicy {
        issuer: issuer.clone().into(),
        audiences: vec!["sigstore".to_owned()],
        max_token_age_s: 600,
        max_token_lifetime_s: 86_400,
        leeway_s: 30,
        certificates_per_token: u32::MAX,
    };
    let mapping = Mapping::Email {
        skip_verification: false,
        issuer: None,
    };
    let not_after = authority.issuing().not_after();
    let chain = authority.chain().iter().map(|ca| ca.der().to_vec());
    let chains = vec![chain.collect()];
    let service = Service::new(Parts {
        terms: Terms {
            issuers: vec![TrustedIssuer { policy, mapping }],
            issuers_digest: None,
            rules: None,
            keys: Arc::new(FixedKeys::new([(issuer, keys)])),
            authority,
            signer: Arc::new(ca.signer),
        },
        profile: Arc::new(profile),
        ct: CtMode::Required {
            logs: vec![Arc::new(MemoryLog::generate("log").expect("a log"))],
            deadline: Duration::from_secs(4),
        },
        store: Arc::new(MemoryStore::new()),
        audit: Arc::new(Forgets),
        entropy: Arc::new(SystemEntropy),
        instance: InstanceId::FIRST,
        permitted: AlgorithmList::all(),
        weak_keys: WeakKeys::default(),
        rates: Rates::off(),
        retention: None,
        monotonic: None,
        probe: no_probe(),
    });
    public_router(Public::new(PublicParts {
        issuance: Arc::new(service),
        clock: Arc::new(Still),
        entropy: Arc::new(SystemEntropy),
        metrics: Arc::new(Metrics::new([ISSUER.to_owned()], not_after)),
        shown: Arc::new(Shown::new(Sight {
            chains,
            ..Sight::default()
        })),
        limits: RequestLimits::default(),
        rates: Rates::off(),
    }))
}

/// A clock that stands still, at a time when the token is good.
struct Still;

impl Clock for Still {
    fn now(&self) -> UnixMillis {
        NOW
    }
}

/// A trail that nobody reads.
struct Forgets;

impl AuditLog for Forgets {
    fn append(&self, _: &Event<'_>) -> Result<(), audit::Error> {
        Ok(())
    }
}
