//! Identities that are one claim.

use serde_json::{Value as Json, json};

use crate::fault::Reason;
use crate::identity::*;

const ISSUER: &str = "https://accounts.example.com";

fn of(mapping: &Mapping, claims: Json) -> Result<Principal, Error> {
    let mut all = json!({ "iss": ISSUER, "aud": "sigstore", "exp": 2, "iat": 1, "sub": "subject" });
    for (name, value) in claims.as_object().unwrap() {
        all[name] = value.clone();
    }
    principal(&VerifiedToken::for_test(&all.to_string()), mapping)
}

/// Every issuer type that is one claim: mapping, claims, SAN, challenge.
fn subjects() -> Vec<(Mapping, Json, San, &'static str)> {
    let uri = |text: &str| San::Uri(text.to_owned());
    let cluster = json!({ "kubernetes.io": {
        "namespace": "prod", "pod": { "name": "p", "uid": "1" },
        "serviceaccount": { "name": "build.bot-1", "uid": "2" },
    } });
    vec![
        (
            Mapping::Uri(UriDomain::new("https://users.example.com", ISSUER).unwrap()),
            json!({ "sub": "https://users.example.com/größe" }),
            uri("https://users.example.com/gr%C3%B6%C3%9Fe"),
            "https://users.example.com/größe",
        ),
        (
            Mapping::Username(NameDomain::new("example.com", ISSUER).unwrap()),
            json!({ "sub": "jane" }),
            San::OtherName("jane!example.com".into()),
            "jane",
        ),
        (
            Mapping::Spiffe(TrustDomain::parse("example.com").unwrap()),
            json!({ "sub": "spiffe://example.com/ns/prod" }),
            uri("spiffe://example.com/ns/prod"),
            "spiffe://example.com/ns/prod",
        ),
        (
            Mapping::Kubernetes,
            cluster,
            uri("https://kubernetes.io/namespaces/prod/serviceaccounts/build.bot-1"),
            "subject",
        ),
        (
            Mapping::ChainguardIdentity,
            json!({ "sub": "4f1c/9a" }),
            uri("https://accounts.example.com/4f1c/9a"),
            "4f1c/9a",
        ),
        (
            Mapping::ChainguardIdentity,
            json!({ "sub": "4f1c", "email": "jane@example.com", "email_verified": true }),
            uri("https://accounts.example.com/4f1c"),
            "jane@example.com",
        ),
    ]
}

#[test]
fn a_subject_becomes_the_name_its_type_says_and_nothing_more() {
    for (mapping, claims, san, challenge) in subjects() {
        let principal = of(&mapping, claims.clone()).unwrap();
        assert_eq!(principal.san(), &san);
        assert_eq!(principal.challenge(), challenge);
        let subject = claims["sub"].as_str().unwrap_or("subject");
        let expected = [(1, ISSUER), (8, ISSUER), (24, subject)];
        let got = principal.extensions().iter();
        let got: Vec<_> = got.map(|e| (e.arc, e.value.as_str())).collect();
        assert_eq!(got, expected, "{san:?}");
    }
}

#[test]
fn a_subject_that_is_not_of_its_type_is_nobody() {
    let kinds = subjects();
    let [uri, username, spiffe, _, chainguard, _] = kinds.as_slice() else {
        unreachable!("six of them")
    };
    for ((mapping, ..), sub, problem) in [
        (uri, "https://example.com/1", Problem::OtherDomain),
        (uri, "jane@example.com", Problem::AnAddress),
        (username, "jane!example.com", Problem::HasExclamation),
        (username, "jane@example.com", Problem::HasAt),
        (
            spiffe,
            "spiffe://example.org/ns/prod",
            Problem::OtherTrustDomain,
        ),
        (spiffe, "https://example.com/ns/prod", Problem::NotASpiffeId),
        (chainguard, "../4f1c", Problem::NotAPath),
        (chainguard, "4f1c//9a", Problem::NotAPath),
        (chainguard, "4f1c/", Problem::NotAPath),
    ] {
        let error = of(mapping, json!({ "sub": sub })).unwrap_err();
        let expected = Error::ClaimInvalid {
            claim: "sub".into(),
            purpose: Purpose::San,
            issuer: crate::token::IssuerUrl::new(ISSUER).unwrap(),
            problem,
        };
        assert_eq!(error, expected, "{sub}");
    }
}

#[test]
fn a_service_account_has_a_namespace_and_a_name() {
    let claims = |namespace: Json, account: Json| json!({ "kubernetes.io": { "namespace": namespace, "serviceaccount": { "name": account } } });
    assert!(of(&Mapping::Kubernetes, claims(json!("n"), json!("s"))).is_ok());
    let namespace = "kubernetes.io/namespace";
    let account = "kubernetes.io/serviceaccount/name";
    for (claims, reason, claim) in [
        (json!({}), Reason::ClaimMissing, namespace),
        (
            json!({ "kubernetes.io": "n" }),
            Reason::ClaimMissing,
            namespace,
        ),
        (
            claims(json!(""), json!("s")),
            Reason::ClaimMissing,
            namespace,
        ),
        (
            claims(json!(null), json!("s")),
            Reason::ClaimMissing,
            namespace,
        ),
        (claims(json!("n"), json!("")), Reason::ClaimMissing, account),
        (
            claims(json!(7), json!("s")),
            Reason::ClaimInvalid,
            namespace,
        ),
        (
            claims(json!("a/b"), json!("s")),
            Reason::ClaimInvalid,
            namespace,
        ),
        (
            claims(json!("N"), json!("s")),
            Reason::ClaimInvalid,
            namespace,
        ),
        (
            claims(json!("n"), json!("../s")),
            Reason::ClaimInvalid,
            account,
        ),
        (
            claims(json!("n"), json!("s.")),
            Reason::ClaimInvalid,
            account,
        ),
    ] {
        let error = of(&Mapping::Kubernetes, claims.clone()).unwrap_err();
        assert_eq!((error.reason(), error.claim()), (reason, claim), "{claims}");
    }
}

#[test]
fn chainguards_address_is_a_challenge_only_if_verified() {
    for verified in [json!(false), json!("true"), json!(null)] {
        let claims =
            json!({ "sub": "4f1c", "email": "jane@example.com", "email_verified": verified });
        let error = of(&Mapping::ChainguardIdentity, claims).unwrap_err();
        assert_eq!(error.reason(), Reason::EmailUnverified);
    }
    let claims = json!({ "sub": "4f1c", "email": "", "email_verified": false });
    let principal = of(&Mapping::ChainguardIdentity, claims).unwrap();
    assert_eq!(principal.challenge(), "4f1c");
}

#[test]
fn an_issuer_that_signs_for_others_says_for_whom() {
    let mapping = Mapping::Email {
        skip_verification: false,
        issuer: Some(ClaimPath::parse("$.federated_claims.connector_id").unwrap()),
    };
    let with = |federated: Json| json!({ "email": "jane@example.com", "email_verified": true, "federated_claims": federated });
    let upstream = "https://upstream.example";
    let principal = of(&mapping, with(json!({ "connector_id": upstream }))).unwrap();
    assert_eq!(principal.issuer(), upstream);
    assert_eq!(value(&principal, 1), Some(upstream));
    assert_eq!(value(&principal, 8), Some(upstream));
    for (federated, reason) in [
        (json!(null), Reason::ClaimMissing),
        (json!({}), Reason::ClaimMissing),
        (json!({ "connector_id": "" }), Reason::ClaimMissing),
        (json!({ "connector_id": 7 }), Reason::ClaimInvalid),
        (json!({ "connector_id": "a\nb" }), Reason::ClaimInvalid),
        (
            json!({ "connector_id": "x".repeat(1001) }),
            Reason::ClaimInvalid,
        ),
    ] {
        let error = of(&mapping, with(federated)).unwrap_err();
        let claim = "$.federated_claims.connector_id";
        assert_eq!((error.reason(), error.claim()), (reason, claim));
        assert_eq!(error.extension(), "Issuer");
    }
}

#[test]
fn a_name_of_many_characters_is_nobodys() {
    let mapping = Mapping::Username(NameDomain::new("example.com", ISSUER).unwrap());
    let domain = "!example.com".len();
    let longest = "n".repeat(MAX_OTHER_NAME_BYTES - domain);
    assert!(of(&mapping, json!({ "sub": longest })).is_ok());
    let error = of(&mapping, json!({ "sub": format!("{longest}n") })).unwrap_err();
    assert_eq!(
        (error.reason(), error.claim()),
        (Reason::ClaimInvalid, "sub")
    );
}

fn value(principal: &Principal, arc: u8) -> Option<&str> {
    let found = principal.extensions().iter().find(|e| e.arc == arc);
    found.map(|extension| extension.value.as_str())
}
