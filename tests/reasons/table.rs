//! The error table, row by row: the request that earns each reason, the answer to it at both
//! doors, what our own log says of it, and a twin that gets a certificate with one thing changed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use shortleaf::der;
use shortleaf::fault::Reason;
use shortleaf::possession::AlgorithmList;
use shortleaf::rates::Limit;
use shortleaf::rules::RuleSet;

use crate::ask::{Ask, Door, Proof};
use crate::faults::{Call, Fault, INSIDE};
use crate::house::{Answer, House};
use crate::world::issuer::Identity;
use crate::world::subject::{Kind, Subject};

/// Reasons that no single request is given: not yet, or not alone.
const WAITING: [(Reason, &str); 2] = [
    (Reason::IssuanceBlocked, "revocation statements"),
    (Reason::Overloaded, "a crowd: tests/server/crowds.rs"),
];

struct Row {
    reason: Reason,
    status: u16,
    code: u8,
    message: &'static str,
    metadata: &'static [(&'static str, &'static str)],
    retry_after: Option<&'static str>,
    /// What our own log names as the cause, where the caller is not to blame.
    cause: Option<String>,
    /// Ends with the request that is refused; those before it get certificates.
    asks: fn(&House) -> Vec<Ask>,
    /// Gets a certificate, after all faults are mended.
    twin: fn(&House) -> Ask,
}

/// A refusal for which the caller is to blame.
fn bad(
    reason: Reason,
    message: &'static str,
    metadata: &'static [(&'static str, &'static str)],
    asks: fn(&House) -> Vec<Ask>,
    twin: fn(&House) -> Ask,
) -> Row {
    Row {
        reason,
        status: 400,
        code: 3,
        message,
        metadata,
        retry_after: None,
        cause: None,
        asks,
        twin,
    }
}

/// A refusal by [`RULES`].
fn barred(
    message: &'static str,
    metadata: &'static [(&'static str, &'static str)],
    asks: fn(&House) -> Vec<Ask>,
    twin: fn(&House) -> Ask,
) -> Row {
    Row {
        status: 403,
        code: 7,
        ..bad(Reason::RuleRefused, message, metadata, asks, twin)
    }
}

/// A part of ours that is away, and the very same request once it is back.
fn away(
    reason: Reason,
    retry_after: &'static str,
    message: &'static str,
    cause: String,
    asks: fn(&House) -> Vec<Ask>,
) -> Row {
    Row {
        status: 503,
        code: 14,
        retry_after: Some(retry_after),
        cause: Some(cause),
        ..bad(reason, message, &[("issuer", GITHUB)], asks, House::good)
    }
}

/// A mistake of ours.
fn ours(reason: Reason, message: &'static str, cause: String, asks: fn(&House) -> Vec<Ask>) -> Row {
    Row {
        status: 500,
        code: 13,
        cause: Some(cause),
        ..bad(reason, message, &[("issuer", GITHUB)], asks, House::good)
    }
}

const GITHUB: &str = "https://issuer.example/github";
const EMAIL: &str = "https://issuer.example/email";

#[rustfmt::skip] // a message to a line
fn rows() -> Vec<Row> {
    vec![
        // The request.
        bad(Reason::RequestMalformed, "The request could not be parsed: not valid JSON at byte 0", &[],
            |house| vec![Ask { edit: |body| format!("]{body}"), ..house.good() }],
            House::good),
        bad(Reason::RequestTooLarge, "The request is too large: the limit is 65536 bytes", &[("limit", "65536")],
            |house| vec![Ask { edit: |body| padded(body, 64 * 1024 + 1), ..house.good() }],
            |house| Ask { edit: |body| padded(body, 64 * 1024), ..house.good() }),
        Row { status: 404, code: 5, ..bad(Reason::RouteUnknown, "Not Found", &[],
            |house| vec![Ask { path_end: "s", ..house.good() }],
            House::good) },
        Row { status: 501, code: 12, ..bad(Reason::MethodUnknown, "Method Not Allowed", &[],
            |house| vec![Ask { method: "PUT", ..house.good() }],
            House::good) },

        // The token.
        bad(Reason::TokenMissing, "There was an error processing the identity token: the request carries no token", &[],
            |house| vec![Ask { token: None, ..house.good() }],
            House::good),
        bad(Reason::TokenMalformed, "There was an error processing the identity token: token has 1 dots instead of 2", &[],
            |house| {
                let good = house.good();
                let token = good.token.as_ref().and_then(|token| token.rsplit_once('.'));
                vec![Ask { token: token.map(|(signed, _)| signed.to_owned()), ..good }]
            },
            House::good),
        bad(Reason::TokenIssuerUnknown, "There was an error processing the identity token: token issuer \"https://issuer.example/github/\" is not configured", &[("claim", "iss")],
            |house| vec![house.with_claims(Identity::Github, json!({ "iss": format!("{GITHUB}/") }))],
            |house| house.with_claims(Identity::Github, json!({ "iss": GITHUB }))),
        bad(Reason::TokenAlgorithmRefused, "There was an error processing the identity token: token algorithm \"HS256\" is not accepted", &[("algorithm", "HS256")],
            |house| vec![house.with_header(json!({ "alg": "HS256" }))],
            |house| house.with_header(json!({ "alg": "RS256" }))),
        bad(Reason::TokenAlgorithmRefused, "There was an error processing the identity token: key \"RS256\" of https://issuer.example/github is not for ES256", &[("algorithm", "ES256"), ("issuer", GITHUB)],
            |house| vec![house.with_header(json!({ "alg": "ES256" }))],
            House::good),
        bad(Reason::TokenKeyUnknown, "There was an error processing the identity token: no key \"other\" in the key set of https://issuer.example/github", &[("issuer", GITHUB)],
            |house| vec![house.with_header(json!({ "kid": "other" }))],
            |house| house.with_header(json!({ "kid": "RS256" }))),
        bad(Reason::TokenSignatureInvalid, "There was an error processing the identity token: token signature does not verify with the RS256 key \"RS256\" of https://issuer.example/github", &[("algorithm", "RS256"), ("issuer", GITHUB)],
            |house| {
                let (good, other) = (house.good(), house.good());
                let signed = |ask: &Ask| ask.token.clone().unwrap_or_default();
                let (input, signature) = (signed(&good), signed(&other));
                let token = input.rsplit_once('.').zip(signature.rsplit_once('.'));
                vec![Ask { token: token.map(|((input, _), (_, signature))| format!("{input}.{signature}")), ..good }]
            },
            House::good),
        bad(Reason::TokenAudienceMismatch, "There was an error processing the identity token: token audience is \"other\", this issuer is configured for [\"sigstore\"]", &[("claim", "aud"), ("issuer", GITHUB)],
            |house| vec![house.with_claims(Identity::Github, json!({ "aud": "other" }))],
            |house| house.with_claims(Identity::Github, json!({ "aud": "sigstore" }))),
        bad(Reason::TokenExpired, "There was an error processing the identity token: token expired at 2026-12-01T11:59:30Z, now is 2026-12-01T12:00:00Z", &[("claim", "exp"), ("issuer", GITHUB)],
            |house| vec![dated(house, -300, -300, -30)],
            |house| dated(house, -300, -300, -29)),
        bad(Reason::TokenNotYetValid, "There was an error processing the identity token: token nbf is 2026-12-01T12:00:31Z, now is 2026-12-01T12:00:00Z", &[("claim", "nbf"), ("issuer", GITHUB)],
            |house| vec![dated(house, 0, 31, 300)],
            |house| dated(house, 0, 30, 300)),
        bad(Reason::TokenTooOld, "There was an error processing the identity token: token is 601 s old, at most 600 s are accepted from this issuer", &[("claim", "iat"), ("issuer", GITHUB)],
            |house| vec![dated(house, -601, -601, 60)],
            |house| dated(house, -600, -600, 60)),
        bad(Reason::TokenReplayed, "There was an error processing the identity token: the token is bound to 1 other key, which is all it may certify: use that key again, or a fresh token", &[("issuer", GITHUB), ("limit", "1")],
            |house| {
                let (first, key) = (house.good(), Subject::generate(Kind::P256));
                let second = first.proven_by(Proof::of(&key, &Identity::Github.challenge()));
                vec![first, second]
            },
            |house| {
                let key = Subject::generate(Kind::P256);
                house.good().proven_by(Proof::of(&key, &Identity::Github.challenge()))
            }),

        // Its claims.
        bad(Reason::ClaimMissing, "There was an error processing the identity token: token of https://issuer.example/github has no claim \"run_id\", needed for Run Invocation URI", &[("claim", "run_id"), ("extension", "Run Invocation URI"), ("issuer", GITHUB)],
            |house| vec![house.with_claims(Identity::Github, json!({ "run_id": null }))],
            |house| house.with_claims(Identity::Github, json!({ "run_id": "1" }))),
        bad(Reason::ClaimInvalid, "There was an error processing the identity token: claim \"email\" of https://issuer.example/email, needed for Subject Alternative Name, is not one email address in printable ASCII", &[("claim", "email"), ("extension", "Subject Alternative Name"), ("issuer", EMAIL)],
            |house| vec![house.with_claims(Identity::Email, json!({ "email": "jane@example.com, joe@example.com" }))],
            |house| house.with_claims(Identity::Email, json!({ "email": "jane@example.com" }))),
        bad(Reason::ClaimInvalid, "There was an error processing the identity token: the claims together make a certificate of up to 17607 octets, at most 16384 fit", &[("issuer", GITHUB)],
            |house| vec![house.with_claims(Identity::Github, long_claims(900))],
            |house| house.with_claims(Identity::Github, long_claims(600))),
        bad(Reason::EmailUnverified, "There was an error processing the identity token: https://issuer.example/email does not say that it verified the email address", &[("claim", "email_verified"), ("extension", "Subject Alternative Name"), ("issuer", EMAIL)],
            |house| vec![house.with_claims(Identity::Email, json!({ "email_verified": "true" }))],
            |house| house.with_claims(Identity::Email, json!({ "email_verified": true }))),

        // The rules.
        barred("The rules of this instance do not admit this identity: no rule allows this identity; closest is \"jobs of octo-app\": ref_protected wanted \"true\", token has \"false\"", &[("claim", "ref_protected"), ("issuer", GITHUB), ("rule", "jobs of octo-app")],
            |house| vec![house.with_claims(Identity::Github, json!({ "ref_protected": "false" }))],
            |house| house.with_claims(Identity::Github, json!({ "ref_protected": "true" }))),
        barred("The rules of this instance do not admit this identity: no rule allows this identity; closest is \"jobs of octo-app\": ref_protected wanted \"true\", token has none", &[("claim", "ref_protected"), ("issuer", GITHUB), ("rule", "jobs of octo-app")],
            |house| vec![house.with_claims(Identity::Github, json!({ "ref_protected": null }))],
            |house| house.with_claims(Identity::Github, json!({ "ref_protected": true }))),
        barred("The rules of this instance do not admit this identity: rule \"no pull requests\" refuses this identity", &[("issuer", GITHUB), ("rule", "no pull requests")],
            |house| vec![house.with_claims(Identity::Github, json!({ "event_name": "pull_request_target" }))],
            |house| house.with_claims(Identity::Github, json!({ "event_name": "push" }))),
        barred("The rules of this instance do not admit this identity: no rule allows this identity; closest is \"people of example.com\": email wanted *@example.com, token has \"jane@example.org\"", &[("claim", "email"), ("issuer", EMAIL), ("rule", "people of example.com")],
            |house| vec![house.with_claims(Identity::Email, json!({ "email": "jane@example.org" }))],
            |house| house.with_claims(Identity::Email, json!({ "email": "jane@example.com" }))),

        // The key and its proof.
        bad(Reason::PublicKeyMalformed, "The public key supplied in the request could not be parsed: no public key", &[("issuer", GITHUB)],
            |house| vec![house.good().proven_by(Proof::Key { pem: String::new(), signature: Vec::new() })],
            House::good),
        bad(Reason::PublicKeyInsecure, "The public key supplied in the request is insecure: the Ed25519 point has small order", &[("issuer", GITHUB)],
            |house| vec![house.good().proven_by(Proof::Key { pem: pem("PUBLIC KEY", &ed25519(&[0; 32])), signature: vec![0; 64] })],
            |house| house.good().proven_by(Proof::of(&Subject::generate(Kind::Ed25519), &Identity::Github.challenge()))),
        bad(Reason::PublicKeyInsecure, "The public key supplied in the request is insecure: the RSA modulus has 1024 bits, not 2048, 3072 or 4096", &[("issuer", GITHUB)],
            |house| vec![house.good().proven_by(Proof::Key { pem: pem("PUBLIC KEY", &rsa_1024()), signature: vec![0; 128] })],
            |house| house.good().proven_by(Proof::of(&Subject::generate(Kind::Rsa2048), &Identity::Github.challenge()))),
        bad(Reason::CsrMalformed, "The certificate signing request could not be parsed: the PEM block is not labelled \"CERTIFICATE REQUEST\" or \"NEW CERTIFICATE REQUEST\"", &[("issuer", GITHUB)],
            |house| vec![house.good().proven_by(Proof::Csr(pem("CERTIFICATE", &csr())))],
            |house| house.good().proven_by(Proof::Csr(pem("CERTIFICATE REQUEST", &csr())))),
        bad(Reason::ProofInvalid, "The signature supplied in the request could not be verified: the proof is not the P-256 key's ECDSA-SHA256 signature of the challenge, which is the token's \"sub\"", &[("claim", "sub"), ("issuer", GITHUB)],
            |house| vec![house.good().proven_by(Proof::of(&house.subject, "repo:octo-org/other:ref:refs/heads/main"))],
            |house| house.good().proven_by(Proof::of(&house.subject, "repo:octo-org/octo-app:ref:refs/heads/main"))),
        bad(Reason::ProofInvalid, "The signature supplied in the request could not be verified: the proof is not the P-256 key's ECDSA-SHA256 signature of the challenge, which is the token's \"email\"", &[("claim", "email"), ("issuer", EMAIL)],
            |house| vec![house.with_claims(Identity::Email, json!({})).proven_by(Proof::of(&house.subject, "subject-of-jane"))],
            |house| house.with_claims(Identity::Email, json!({}))),
        bad(Reason::ProofInvalid, "The signature supplied in the request could not be verified: the request is not signed with ECDSA-SHA256 by the P-256 key inside it", &[("issuer", GITHUB)],
            |house| vec![house.good().proven_by(Proof::Csr(pem("CERTIFICATE REQUEST", &csr_signed_by_another())))],
            |house| house.good().proven_by(Proof::Csr(pem("CERTIFICATE REQUEST", &csr())))),
        bad(Reason::AlgorithmNotPermitted, "signing algorithm not permitted: P-384 key, ECDSA-SHA384 signature", &[("algorithm", "ecdsa-sha2-384-nistp384"), ("issuer", GITHUB)],
            |house| vec![house.good().proven_by(Proof::of(&Subject::generate(Kind::P384), &Identity::Github.challenge()))],
            |house| house.good().proven_by(Proof::of(&Subject::generate(Kind::P256), &Identity::Github.challenge()))),
        bad(Reason::AlgorithmNotPermitted, "unrecognized signature algorithm: 1.2.840.10045.4.3.1", &[("algorithm", "1.2.840.10045.4.3.1"), ("issuer", GITHUB)],
            |house| vec![house.good().proven_by(Proof::Csr(pem("CERTIFICATE REQUEST", &csr_with_sha224())))],
            |house| house.good().proven_by(Proof::Csr(pem("CERTIFICATE REQUEST", &csr())))),

        // Too much, too fast.
        Row { status: 429, code: 8, retry_after: Some("10"), ..bad(Reason::RateLimited, "Too many requests: this identity is over its limit of 1 per 10s in bursts of 3: come back in 10 s", &[("issuer", GITHUB), ("limit", "identity")],
            |house| (0..4).map(|_| house.good()).collect(),
            |house| {
                house.world.advance(10);
                house.good()
            }) },

        // What we rely on.
        away(Reason::CtLogUnavailable, "5", "Error entering certificate in CTL: no log answered with a usable SCT in time",
            format!("none of 1 logs took the precertificate: log world gave no usable SCT: {INSIDE}"),
            |house| failing(house, Fault::LogAway)),
        away(Reason::CtLogUnavailable, "7", "Error entering certificate in CTL: no log answered with a usable SCT in time",
            format!("none of 1 logs took the precertificate: log world gave no usable SCT: {INSIDE}"),
            |house| failing(house, Fault::LogBusy(7))),
        away(Reason::CaUnavailable, "5", "error communicating with CA backend: the CA cannot sign now",
            format!("the CA key cannot sign now: {INSIDE}"),
            |house| failing(house, Fault::SignerAwayAfter(0))),
        away(Reason::CaUnavailable, "5", "error communicating with CA backend: the CA cannot sign now",
            format!("the CA key cannot sign now: {INSIDE}"),
            |house| failing(house, Fault::SignerAwayAfter(1))),
        away(Reason::IdentityProviderUnavailable, "10", "The identity provider is unavailable: could not fetch the signing keys of https://issuer.example/github",
            format!("could not fetch the signing keys of {GITHUB}: {INSIDE}"),
            |house| failing(house, Fault::KeysAway)),
        away(Reason::StoreUnavailable, "5", "The store is unavailable: the issuance cannot be recorded now",
            format!("could not record the issuance: the store is unavailable: {INSIDE}"),
            |house| failing(house, Fault::StoreAway(Call::PutIntent))),
        away(Reason::StoreUnavailable, "5", "The store is unavailable: the issuance cannot be recorded now",
            "could not record the issuance: the store did not say whether it wrote".to_owned(),
            |house| failing(house, Fault::StoreUnsure(Call::PutFinal))),
        away(Reason::StoreUnavailable, "5", "The store is unavailable: the issuance cannot be recorded now",
            format!("could not write the audit trail: could not write the audit log: {INSIDE}"),
            |house| failing(house, Fault::AuditAway("precert_signing"))),

        // Our own mistakes.
        ours(Reason::CtLogRejected, "Error entering certificate in CTL: every log refused the precertificate",
            "none of 1 logs took the precertificate: log world refuses the entry with status 400".to_owned(),
            |house| failing(house, Fault::LogRefuses)),
        ours(Reason::Internal, "Error marshaling code signing certificate: internal error",
            format!("could not record the issuance: the store holds a damaged record: {INSIDE}"),
            |house| failing(house, Fault::StoreDamaged)),
        ours(Reason::Internal, "Error marshaling code signing certificate: the certificate could not be made",
            format!("the signer answered with {} octets that are no ECDSA signature of its kind", INSIDE.len()),
            |house| failing(house, Fault::SignerTalksNonsense)),
        ours(Reason::Internal, "Error marshaling code signing certificate: internal error",
            "the issuing task ended without an answer".to_owned(),
            |house| failing(house, Fault::Panic)),
    ]
}

/// Claims that are legal one by one; several stand in the certificate more than once.
fn long_claims(octets: usize) -> Value {
    let claims = [
        "environment",
        "event_name",
        "job_workflow_ref",
        "ref",
        "repository",
        "repository_owner",
        "runner_environment",
        "sha",
        "workflow",
        "workflow_ref",
        "workflow_sha",
    ];
    let claims = claims.map(|name| (name.to_owned(), json!("x".repeat(octets))));
    Value::Object(claims.into_iter().collect())
}

#[test]
fn every_reason_has_a_row_or_waits_by_name() {
    let rows = rows();
    for reason in Reason::ALL {
        let met = rows.iter().any(|row| row.reason == *reason);
        let waits = WAITING.iter().find(|(waiting, _)| waiting == reason);
        match (met, waits) {
            (true, None) | (false, Some(_)) => {}
            (false, None) => panic!("{reason:?} is met by no request"),
            (true, Some((_, capability))) => panic!("{reason:?} no longer waits for {capability}"),
        }
    }
}

#[tokio::test]
async fn each_reason_is_the_same_at_both_doors_and_its_twin_gets_a_certificate() {
    for (number, row) in rows().iter().enumerate() {
        let mut refusals = Vec::new();
        for door in Door::BOTH {
            let place = format!("row {number}, {:?} at {door:?}", row.reason);
            let house = House::with(narrow_list).await;
            refusals.push(refused(&house, door, row, &place).await);

            house.faults.mend();
            let twin = house.ask(door, &(row.twin)(&house)).await;
            assert_eq!(twin.status, door.good_status(), "{place}: {twin:?}");
            house.check().await;
        }
        assert_eq!(refusals[0], refusals[1], "row {number}");
    }
}

/// Everybody of the good requests, and not everybody of their issuers.
pub(crate) const RULES: &str = r#"
[[deny]]
name = "no pull requests"
claims = { event_name = ["pull_request", "pull_request_target"] }
[[allow]]
name = "jobs of octo-app"
issuer = "https://issuer.example/github"
max_lifetime = "5m"
claims = { repository_id = "701234567", ref_protected = "true" }
[[allow]]
name = "people of example.com"
issuer = "https://issuer.example/email"
claims = { email = { glob = "*@example.com" } }
"#;

/// Rules, P-384 off the list, and no identity may ask four times, so that there is something to
/// refuse.
fn narrow_list(parts: &mut shortleaf::issuance::Parts) {
    parts.terms.rules = Some(Arc::new(RuleSet::parse(RULES).unwrap()));
    let names = [
        "ecdsa-sha2-256-nistp256",
        "ed25519",
        "rsa-sign-pkcs1-2048-sha256",
    ];
    parts.permitted = AlgorithmList::from_names(names).unwrap();
    parts.rates.limits.per_identity = Limit::new(1, Duration::from_secs(10), 3).ok();
}

/// Asks as the row says, and holds the last answer and the log against it.
async fn refused(house: &House, door: Door, row: &Row, place: &str) -> Value {
    let asks = (row.asks)(house);
    let (last, before) = asks.split_last().unwrap();
    for ask in before {
        let answer = house.ask(door, ask).await;
        assert_eq!(answer.status, door.good_status(), "{place}: {answer:?}");
    }
    let told = house.told().len();
    let answer = house.ask(door, last).await;
    assert_eq!(answer.status, row.status, "{place}: {answer:?}");
    assert_eq!(
        answer.header("content-type"),
        Some("application/json"),
        "{place}"
    );
    assert_eq!(answer.header("retry-after"), row.retry_after, "{place}");
    let word = row.reason.as_str();
    let metadata = row.metadata.iter();
    let metadata: Map<String, Value> = metadata
        .map(|(name, value)| ((*name).into(), json!(value)))
        .collect();
    let expected = json!({
        "code": row.code,
        "message": row.message,
        "details": [{
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": word,
            "domain": "shortleaf",
            "metadata": metadata,
        }],
    });
    assert_eq!(answer.json(), expected, "{place}");
    assert_told(house, told, row, &answer, place);
    expected
}

/// One event for the refusal, with the request's id; with the cause, which for the caller's own
/// doing is what the caller was told. A path or method that does not exist decides nothing.
fn assert_told(house: &House, before: usize, row: &Row, answer: &Answer, place: &str) {
    let told = house.told().split_off(before);
    if matches!(row.reason, Reason::RouteUnknown | Reason::MethodUnknown) {
        assert!(told.is_empty(), "{place}: {told:?}");
        return;
    }
    let [event] = told.as_slice() else {
        panic!("{place}: {told:?}")
    };
    let level = if row.cause.is_some() { "ERROR" } else { "WARN" };
    assert_eq!(event["level"], level, "{place}");
    assert_eq!(event["reason"], row.reason.as_str(), "{place}");
    match (&row.cause, event["cause"].as_str()) {
        (Some(cause), told) => assert_eq!(told, Some(cause.as_str()), "{place}"),
        // What the caller was told too, and no more.
        (None, Some(told)) => assert!(row.message.ends_with(told), "{place}: {told}"),
        (None, None) => panic!("{place}: told without a cause"),
    }
    assert_eq!(
        event["request_id"].as_str(),
        answer.header("x-request-id"),
        "{place}"
    );
    let issuer = row.metadata.iter().find(|(name, _)| *name == "issuer");
    assert_eq!(
        event["issuer"].as_str(),
        issuer.map(|(_, value)| *value),
        "{place}"
    );
}

/// A good request, after something broke.
fn failing(house: &House, fault: Fault) -> Vec<Ask> {
    house.faults.set(fault);
    vec![house.good()]
}

/// A good request whose token has these times, in seconds from now.
fn dated(house: &House, iat: i64, nbf: i64, exp: i64) -> Ask {
    let now = house.world.now().seconds().0;
    let times = json!({ "iat": now + iat, "nbf": now + nbf, "exp": now + exp });
    house.with_claims(Identity::Github, times)
}

/// The same JSON with blanks after it.
fn padded(body: String, octets: usize) -> String {
    let blanks = " ".repeat(octets - body.len());
    body + &blanks
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

/// SubjectPublicKeyInfo of RFC 8410 §4.
fn ed25519(point: &[u8; 32]) -> Vec<u8> {
    [
        b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00",
        &point[..],
    ]
    .concat()
}

/// SubjectPublicKeyInfo with a modulus of 1024 bits; nobody needs to know its factors.
fn rsa_1024() -> Vec<u8> {
    let modulus = [&[0x00][..], &[0xc3; 128]].concat();
    let numbers = [der::tlv(0x02, &[&modulus]), der::tlv(0x02, &[&[1, 0, 1]])].concat();
    let algorithm = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
    let key = der::tlv(0x03, &[&[0], &der::sequence(&[&numbers])]);
    der::sequence(&[algorithm, &key])
}

/// A signing request that signs itself: P-256 with SHA-256.
fn csr() -> Vec<u8> {
    csr_of(&rcgen::KeyPair::generate().unwrap())
}

fn csr_of(key: &rcgen::KeyPair) -> Vec<u8> {
    let request = rcgen::CertificateParams::default().serialize_request(key);
    request.unwrap().der().to_vec()
}

/// One key's signing request with another key put into it.
fn csr_signed_by_another() -> Vec<u8> {
    let [inside, signer] = [(); 2].map(|()| rcgen::KeyPair::generate().unwrap());
    let mut der = csr_of(&signer);
    let point = signer.public_key_raw();
    let at = der
        .windows(point.len())
        .position(|window| window == point)
        .unwrap();
    der[at..at + point.len()].copy_from_slice(inside.public_key_raw());
    der
}

/// ecdsa-with-SHA256 (1.2.840.10045.4.3.2) renamed to ecdsa-with-SHA224.
fn csr_with_sha224() -> Vec<u8> {
    const SHA256: &[u8] = b"\x2a\x86\x48\xce\x3d\x04\x03\x02";
    let mut der = csr();
    let at = der
        .windows(SHA256.len())
        .position(|window| window == SHA256);
    der[at.unwrap() + SHA256.len() - 1] = 1;
    der
}
