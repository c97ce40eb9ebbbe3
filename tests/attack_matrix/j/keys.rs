//! Which key a token is held against: by algorithm, by name, by issuer, and as sets change.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shortleaf::fault::Reason;

use super::mint::{Key, b64, token};
use super::provider::{METADATA, Provider};
use super::{Kit, claims, minted};
use crate::ask::{Answer, Door};
use crate::issuer::Alg;
use crate::material;
use crate::report::{Case, Report};

/// From publication to use, and what requests take beside it on a slow machine. The bound itself is
/// held by the tests of `token::discovery`, whose time is not the wall's.
const NEW_KEY: Duration = Duration::from_secs(35 + 15);

/// The issuers of these rows.
pub(super) async fn providers() -> Vec<Provider> {
    let mut all = Vec::new();
    for name in ["plain", "one", "other", "flooded", "rotates", "bad keys"] {
        all.push(Provider::start(name).await);
    }
    let set = |provider: &Provider, keys: Vec<Value>| {
        provider.publish(&json!({ "keys": keys }).to_string());
    };
    set(&all[1], vec![ones().jwk()]);
    set(&all[2], vec![others()[0].jwk(), others()[1].jwk()]);
    set(&all[4], vec![Key::new("k1").jwk()]);
    set(&all[5], bad_set());
    all
}

pub(super) fn ones() -> &'static Key {
    static KEY: std::sync::OnceLock<Key> = std::sync::OnceLock::new();
    KEY.get_or_init(|| Key::new("k1"))
}

fn others() -> &'static [Key; 2] {
    static KEYS: std::sync::OnceLock<[Key; 2]> = std::sync::OnceLock::new();
    KEYS.get_or_init(|| [Key::new("k1"), Key::new("k2")])
}

/// J3.
pub(super) fn other_algorithms(kit: &Kit) -> Vec<Case> {
    let issuer = &kit.provider("plain").issuer;
    let mut cases = Vec::new();
    for (kid, signed, names) in [
        (
            "RS256",
            Alg::Rs256,
            &["PS256", "RS384", "RS512", "PS512", "ES256", "EdDSA"][..],
        ),
        (
            "ES256",
            Alg::Es256,
            &["ES384", "ES512", "EdDSA", "RS256"][..],
        ),
    ] {
        for name in names {
            let header = json!({ "alg": name, "kid": kid }).to_string();
            let claims = claims(issuer.url(), json!({})).to_string();
            cases.push(kit.refused(
                format!("{name} with the {kid} key"),
                issuer.sign(signed, &header, &claims),
                Reason::TokenAlgorithmRefused,
                minted(issuer, json!({})),
            ));
        }
    }
    for name in ["ES256K", "RSA1_5", "rs256", "RS256 ", "HS2048", "RS256\0"] {
        let header = json!({ "alg": name, "kid": "RS256" }).to_string();
        cases.push(kit.refused(
            format!("alg {name:?}"),
            kit.header(&header, json!({})),
            Reason::TokenAlgorithmRefused,
            kit.good(json!({})),
        ));
    }
    cases
}

/// J4.
pub(super) fn key_ids(kit: &Kit) -> Vec<Case> {
    let mut cases = Vec::new();
    // From the bytes.
    for kid in [
        json!(""),
        json!("k".repeat(257)),
        json!(["RS256"]),
        json!(1),
        json!(null),
        json!({ "kid": "RS256" }),
        json!(true),
    ] {
        let header = json!({ "alg": "RS256", "kid": kid }).to_string();
        let mut shown = kid.to_string();
        shown.truncate(30);
        cases.push(kit.refused(
            format!("kid {shown}"),
            kit.header(&header, json!({})),
            Reason::TokenMalformed,
            kit.good(json!({})),
        ));
    }
    // From the set: a name is a string and nothing else.
    let issuer = &kit.provider("plain").issuer;
    let longest = "k".repeat(256);
    for kid in [
        "../../../../dev/null",
        "' OR '1'='1",
        "https://evil.example/keys",
        "RS256\0",
        "rs256",
        "RS256 ",
        " RS256",
        "RS25",
        "*",
        "RS256%00",
        "\u{202e}652SR",
        &longest,
    ] {
        let header = json!({ "alg": "RS256", "kid": kid }).to_string();
        let claims = claims(issuer.url(), json!({})).to_string();
        let mut shown = format!("{kid:?}");
        shown.truncate(30);
        cases.push(kit.refused(
            format!("kid {shown}"),
            issuer.sign(Alg::Rs256, &header, &claims),
            Reason::TokenKeyUnknown,
            minted(issuer, json!({})),
        ));
    }
    let nameless = claims(issuer.url(), json!({})).to_string();
    cases.push(kit.refused(
        "no kid, two keys",
        issuer.sign(Alg::Rs256, r#"{"alg":"RS256"}"#, &nameless),
        Reason::TokenKeyUnknown,
        // The set of one needs none.
        ones().token_as(
            &json!({ "alg": "ES256" }),
            &claims(kit.provider("one").issuer.url(), json!({})),
        ),
    ));
    cases
}

/// J15.
pub(super) fn mixed_up(kit: &Kit) -> Vec<Case> {
    let (one, other) = (
        kit.provider("one").issuer.url(),
        kit.provider("other").issuer.url(),
    );
    let [same_name, own_name] = others();
    let claims_of = |issuer: &str| claims(issuer, json!({}));
    let twin = || ones().token(&claims_of(one));
    let case =
        |what: &str, token: String, reason, twin: String| kit.refused(what, token, reason, twin);
    vec![
        case(
            "the other's key of the same name",
            same_name.token(&claims_of(one)),
            Reason::TokenSignatureInvalid,
            twin(),
        ),
        case(
            "the other's key of another name",
            own_name.token(&claims_of(one)),
            Reason::TokenKeyUnknown,
            twin(),
        ),
        case(
            "and the other way round",
            ones().token(&claims_of(other)),
            Reason::TokenSignatureInvalid,
            same_name.token(&claims_of(other)),
        ),
        case(
            "a neighbour's token for the site's issuer",
            same_name.token(&claims_of(kit.provider("plain").issuer.url())),
            Reason::TokenKeyUnknown,
            twin(),
        ),
        case(
            "nobody's key",
            Key::new("k1").token(&claims_of(one)),
            Reason::TokenSignatureInvalid,
            twin(),
        ),
    ]
}

/// The keys of J22: each with its name, and the good one beside them.
fn bad_set() -> Vec<Value> {
    let usual: Value =
        serde_json::from_str(&crate::issuer::Issuer::new("https://x.example").jwks()).unwrap();
    let rsa =
        |kid: &str, n: &[u8], e: &str| json!({ "kty": "RSA", "kid": kid, "n": b64(n), "e": e });
    let with = |kid: &str, member: &str, value: Value| {
        let mut key = Key::new(kid).jwk();
        key[member] = value;
        key
    };
    let roca = material::roca_modulus(90, 2048, 126).to_bytes_be();
    let close = material::close_modulus(2048, 3).to_bytes_be();
    let mut rs256 = usual["keys"][0].clone();
    rs256["kid"] = json!("exponent 1");
    rs256["e"] = json!("AQ");
    vec![
        Key::new("twice").jwk(),
        Key::new("twice").jwk(),
        json!({ "kty": "oct", "kid": "symmetric", "k": b64([7; 32]) }),
        with("encryption", "use", json!("enc")),
        with("no verifying", "key_ops", json!(["sign"])),
        with("private", "d", json!(b64([7; 32]))),
        with("other algorithm", "alg", json!("RS256")),
        with("off the curve", "y", json!(b64([7; 32]))),
        rsa("1024 bits", &[0xc5; 128], "AQAB"),
        rsa("even", &[0xc4; 256], "AQAB"),
        rsa("roca", &roca, "AQAB"),
        rsa("close", &close, "AQAB"),
        rs256,
        usual["keys"][1].clone(),
        json!("no key at all"),
    ]
}

/// J22.
pub(super) fn bad_keys(kit: &Kit) -> Vec<Case> {
    let issuer = &kit.provider("bad keys").issuer;
    let good = || {
        issuer.sign(
            Alg::Es256,
            r#"{"alg":"ES256","kid":"ES256"}"#,
            &claims(issuer.url(), json!({})).to_string(),
        )
    };
    let mut cases = Vec::new();
    for key in bad_set() {
        let Some(kid) = key["kid"].as_str().filter(|kid| *kid != "ES256") else {
            continue;
        };
        let alg = if key["kty"] == "RSA" {
            "RS256"
        } else {
            "ES256"
        };
        let header = json!({ "alg": alg, "kid": kid }).to_string();
        let claims = claims(issuer.url(), json!({})).to_string();
        let length = if alg == "RS256" {
            key["n"].as_str().unwrap().len() * 3 / 4
        } else {
            64
        };
        cases.push(kit.refused(
            kid,
            token(&header, claims.as_bytes(), |_| vec![1; length]),
            Reason::TokenKeyUnknown,
            good(),
        ));
    }
    cases
}

/// J20: made-up key ids, and good tokens between them.
pub(super) async fn flood(kit: &Kit) -> Report {
    let mut report = Report::new("J20");
    let provider = kit.provider("flooded");
    let before = (provider.asked(METADATA), Instant::now());
    for round in 0..60 {
        for n in 0..4 {
            let header =
                json!({ "alg": "RS256", "kid": format!("made-up-{round}-{n}") }).to_string();
            let claims = claims(provider.issuer.url(), json!({})).to_string();
            let made_up = provider.issuer.sign(Alg::Rs256, &header, &claims);
            let answer = kit.site.ask(Door::V2, &kit.ask(made_up)).await;
            if (round, n) == (0, 0) {
                report.saw(&answer); // one input, however often it is repeated
            }
            let right = answer.word() == Reason::TokenKeyUnknown.as_str();
            report.check("a made-up kid", right, &answer);
        }
        let good = kit.ask(minted(&provider.issuer, json!({})));
        let answer = kit.site.ask(Door::V2, &good).await;
        report.check("a good request meanwhile", answer.is_issued(), &answer);
        let slow = answer.took > Duration::from_secs(10);
        report.check(
            "a good request meanwhile",
            !slow,
            format!("{:?}", answer.took),
        );
    }
    let fetches = provider.asked(METADATA) - before.0;
    let turns = before.1.elapsed().as_secs() / 30 + 1;
    report.check(
        "240 made-up kids",
        fetches as u64 <= turns,
        format!("{fetches} fetches"),
    );
    report
}

/// J21: a key published after the set was read.
pub(super) async fn rotation(kit: &Kit) -> Report {
    let mut report = Report::new("J21");
    let provider = kit.provider("rotates");
    let of = |claims: &Value| kit.ask(kit.rotated.token(claims));
    let published = Instant::now();
    let answer: Answer = loop {
        let answer = kit
            .site
            .ask(Door::V2, &of(&claims(provider.issuer.url(), json!({}))))
            .await;
        if answer.is_issued() || published.elapsed() > NEW_KEY {
            break answer;
        }
        let right = answer.word() == Reason::TokenKeyUnknown.as_str();
        report.check("a key too new", right, &answer);
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    report.saw(&answer);
    report.check("a new key", answer.is_issued(), &answer);
    let old = Key::new("k1").token(&claims(provider.issuer.url(), json!({})));
    let answer = kit.site.ask(Door::V2, &kit.ask(old)).await;
    report.saw(&answer);
    let right = answer.word() == Reason::TokenKeyUnknown.as_str();
    report.check("a withdrawn key", right, &answer);
    report.check(
        "rotation",
        provider.asked(METADATA) <= 3,
        provider.asked(METADATA),
    );
    report
}
