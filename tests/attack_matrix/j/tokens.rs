//! What can be refused from a token's bytes: nobody is asked for anything.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde_json::{Value, json};
use shortleaf::fault::Reason;

use super::mint::{b64, token};
use super::{HEADER, Kit, claims};
use crate::issuer::Alg;
use crate::report::{Case, Verdict};

/// J1.
pub(super) fn unsigned(kit: &Kit) -> Vec<Case> {
    let reason = Reason::TokenAlgorithmRefused;
    let claims = || claims(kit.site.issuer().url(), json!({})).to_string();
    let mut cases = Vec::new();
    for name in ["none", "None", "nOnE", "NONE", ""] {
        let header = json!({ "alg": name, "kid": "RS256" }).to_string();
        let bare = format!("{}.{}.", b64(&header), b64(claims()));
        cases.push(kit.refused(
            format!("alg {name:?}, no signature"),
            bare,
            reason,
            kit.good(json!({})),
        ));
        let signed = kit.header(&header, json!({}));
        cases.push(kit.refused(
            format!("alg {name:?}, signed"),
            signed,
            reason,
            kit.good(json!({})),
        ));
    }
    let good = kit.good(json!({}));
    let (signed, _) = good.rsplit_once('.').unwrap();
    cases.push(kit.refused(
        "signature missing",
        format!("{signed}."),
        reason,
        kit.good(json!({})),
    ));
    cases
}

/// J2.
pub(super) fn shared_secrets(kit: &Kit) -> Vec<Case> {
    let keys: Value = serde_json::from_str(&kit.site.issuer().jwks()).unwrap();
    let texts = ["n", "x"].map(|member| {
        let key = keys["keys"]
            .as_array()
            .unwrap()
            .iter()
            .find_map(|key| key[member].as_str());
        key.unwrap().to_owned()
    });
    let secrets = [
        ("the RSA modulus", texts[0].clone().into_bytes()),
        ("the EC coordinate", texts[1].clone().into_bytes()),
        ("the key set", kit.site.issuer().jwks().into_bytes()),
        ("nothing", Vec::new()),
    ];
    let mut cases = Vec::new();
    for (what, secret) in &secrets {
        for (name, algorithm) in [
            ("HS256", hmac::HMAC_SHA256),
            ("HS384", hmac::HMAC_SHA384),
            ("HS512", hmac::HMAC_SHA512),
            (" HS256", hmac::HMAC_SHA256),
            ("hs256", hmac::HMAC_SHA256),
        ] {
            let header = json!({ "alg": name, "typ": "JWT", "kid": "RS256" }).to_string();
            let claims = claims(kit.site.issuer().url(), json!({})).to_string();
            let key = hmac::Key::new(algorithm, secret);
            let forged = token(&header, claims.as_bytes(), |input| {
                hmac::sign(&key, input).as_ref().to_vec()
            });
            cases.push(kit.refused(
                format!("{name:?} keyed with {what}"),
                forged,
                Reason::TokenAlgorithmRefused,
                kit.good(json!({})),
            ));
        }
    }
    cases
}

/// A header with one member more; the twin does without it.
fn header_with(kit: &Kit, member: &str, value: &Value) -> Case {
    let header = json!({ "alg": "RS256", "kid": "RS256", member: value });
    kit.refused(
        format!("{member} {value}"),
        kit.header(&header.to_string(), json!({})),
        Reason::TokenMalformed,
        kit.good(json!({})),
    )
}

/// J5.
pub(super) fn keys_brought_along(kit: &Kit) -> Vec<Case> {
    let keys: Value = serde_json::from_str(&kit.site.issuer().jwks()).unwrap();
    let mut cases = Vec::new();
    for member in ["jku", "x5u", "jwk", "x5c"] {
        for value in [
            json!("https://evil.example/keys"),
            keys["keys"][0].clone(),
            json!(["MIIB"]),
            json!(null),
            json!(""),
        ] {
            cases.push(header_with(kit, member, &value));
        }
    }
    cases
}

/// J6.
pub(super) fn other_tokens(kit: &Kit) -> Vec<Case> {
    let mut cases: Vec<Case> = [
        ("crit", json!(["b64"])),
        ("crit", json!([])),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
        ("b64", json!(true)),
        ("zip", json!("DEF")),
        ("cty", json!("JWT")),
        ("typ", json!("at+jwt")),
        ("typ", json!("JOSE")),
        ("typ", json!("jwt")),
        ("typ", json!(null)),
        ("typ", json!(["JWT"])),
        ("enc", json!("A256GCM")),
        ("p2c", json!(1_000_000_000)),
        ("epk", json!({})),
    ]
    .iter()
    .map(|(member, value)| header_with(kit, member, value))
    .collect();
    let good = || kit.good(json!({}));
    let parts = |text: String, what: &str| kit.refused(what, text, Reason::TokenMalformed, good());
    let jwe = json!({ "alg": "RSA-OAEP", "enc": "A256GCM" }).to_string();
    cases.extend([
        parts(format!("{}.AA.AA.AA.AA", b64(jwe)), "five parts"),
        parts(format!("{}.AA", good()), "four parts"),
        parts(good().rsplit_once('.').unwrap().0.to_owned(), "two parts"),
        parts("AA".to_owned(), "one part"),
        parts(format!(".{}", good()), "an empty part before"),
        parts(
            json!({ "payload": "AA", "signatures": [] }).to_string(),
            "JSON serialization",
        ),
    ]);
    cases
}

/// J7.
pub(super) fn large(kit: &Kit) -> Vec<Case> {
    let good = || kit.good(json!({}));
    let case = |what: &str, token: String, reason| kit.refused(what, token, reason, good());
    let malformed = Reason::TokenMalformed;
    let long = |bytes: usize| kit.good(json!({ "pad": "x".repeat(bytes) }));
    let fits = (11_000..)
        .map(long)
        .take_while(|t| t.len() <= 16 * 1024)
        .last()
        .unwrap();
    let members: String = (0..2_000).map(|n| format!(r#""{n}":{n},"#)).collect();
    let claims = claims(kit.site.issuer().url(), json!({})).to_string();
    let deep = format!(
        r#"{{"x":{}{},{}"#,
        "[".repeat(5_000),
        "]".repeat(5_000),
        &claims[1..]
    );
    let many = format!("{{{members}{}", &claims[1..]);
    let issuer = kit.site.issuer();
    vec![
        kit.refused(
            "one byte too many",
            format!("{fits:A<0$}", 16 * 1024 + 1),
            malformed,
            fits.clone(),
        ),
        case("60,000 dots", ".".repeat(60_000), malformed),
        case("8 MB of dots", ".".repeat(8 << 20), Reason::RequestTooLarge),
        case(
            "a header of 40 KB",
            format!("{}.AA.AA", "A".repeat(40_000)),
            malformed,
        ),
        case("a payload of 40 KB", long(30_000), malformed),
        case(
            "5,000 arrays deep",
            issuer.sign(Alg::Rs256, HEADER, &deep),
            malformed,
        ),
        case(
            "2,000 members",
            issuer.sign(Alg::Rs256, HEADER, &many),
            malformed,
        ),
        case(
            "nine levels",
            kit.good(json!({ "x": [[[[[[[[]]]]]]]] })),
            malformed,
        ),
        case(
            "a kid of 10 KB",
            kit.header(
                &json!({ "alg": "RS256", "kid": "k".repeat(10_000) }).to_string(),
                json!({}),
            ),
            malformed,
        ),
    ]
}

/// J8.
pub(super) fn spellings(kit: &Kit) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut spelt = |what: &str, change: &dyn Fn([&str; 3]) -> String| {
        let good = kit.good(json!({ "pad": "??>>~~" }));
        let parts: Vec<&str> = good.split('.').collect();
        let token = change([parts[0], parts[1], parts[2]]);
        assert_ne!(token, good, "{what} changes nothing");
        cases.push(kit.refused(what, token, Reason::TokenMalformed, kit.good(json!({}))));
    };
    let raw = |part: &str| {
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        URL_SAFE_NO_PAD.decode(part).unwrap()
    };
    spelt("padding after the header", &|[h, c, s]| {
        format!("{h}=.{c}.{s}")
    });
    spelt("padding after the claims", &|[h, c, s]| {
        format!("{h}.{c}=.{s}")
    });
    spelt("padding after the signature", &|[h, c, s]| {
        format!("{h}.{c}.{s}==")
    });
    spelt("the signature in the standard alphabet", &|[h, c, s]| {
        let mut s = STANDARD_NO_PAD.encode(raw(s));
        s.replace_range(0..1, "+");
        format!("{h}.{c}.{s}")
    });
    spelt("the claims in the standard alphabet", &|[h, c, s]| {
        format!("{h}.{}/.{s}", STANDARD.encode(raw(c)))
    });
    spelt("bits after the last byte", &|[h, c, s]| {
        // The last of 342 characters carries two bits of 256 octets; B has one below those.
        format!("{h}.{c}.{}B", &s[..s.len() - 1])
    });
    spelt("a blank within", &|[h, c, s]| {
        format!("{h}.{} {}.{s}", &c[..8], &c[8..])
    });
    spelt("a line break within", &|[h, c, s]| {
        format!("{h}.{}\n{}.{s}", &c[..8], &c[8..])
    });
    spelt("a blank before", &|[h, c, s]| format!(" {h}.{c}.{s}"));
    spelt("a line break after", &|[h, c, s]| format!("{h}.{c}.{s}\n"));
    spelt("NUL after", &|[h, c, s]| format!("{h}.{c}.{s}\0"));
    spelt("a byte order mark before", &|[h, c, s]| {
        format!("\u{feff}{h}.{c}.{s}")
    });
    spelt("percent encoding", &|[h, c, s]| format!("{h}.{c}.{s}%3D"));
    spelt("a letter that looks like one", &|[h, c, s]| {
        format!("{h}.\u{435}{}.{s}", &c[1..])
    });
    cases
}

/// J9.
pub(super) fn other_json(kit: &Kit) -> Vec<Case> {
    let issuer = kit.site.issuer();
    let usual = || claims(issuer.url(), json!({})).to_string();
    let bytes = |what: &str, header: &str, payload: Vec<u8>| {
        let signed = issuer.sign_octets(Alg::Rs256, header, &payload);
        kit.refused(what, signed, Reason::TokenMalformed, kit.good(json!({})))
    };
    let plus = |member: &str| {
        let usual = usual();
        let open = usual.strip_suffix('}').unwrap();
        format!("{open},{member}}}").into_bytes()
    };
    let with_octets = |octets: &[u8]| {
        let text = plus(r#""a":"?""#);
        let at = text.iter().rposition(|octet| *octet == b'?').unwrap();
        [&text[..at], octets, &text[at + 1..]].concat()
    };
    let mut cases = vec![
        bytes("sub twice", HEADER, plus(r#""sub":"other""#)),
        bytes(
            "sub twice, once escaped",
            HEADER,
            plus(r#""\u0073ub":"other""#),
        ),
        bytes(
            "email twice, the same",
            HEADER,
            plus(r#""email":"jane@example.com""#),
        ),
        bytes(
            "twice, three levels down",
            HEADER,
            plus(r#""a":{"b":[{"c":1,"c":2}]}"#),
        ),
        bytes(
            "alg twice",
            r#"{"alg":"RS256","kid":"RS256","alg":"none"}"#,
            usual().into(),
        ),
        bytes(
            "kid twice",
            r#"{"alg":"RS256","kid":"a","kid":"RS256"}"#,
            usual().into(),
        ),
        bytes(
            "a byte order mark",
            HEADER,
            format!("\u{feff}{}", usual()).into(),
        ),
        bytes("a lone surrogate", HEADER, plus(r#""a":"\ud800""#)),
        bytes(
            "surrogates the wrong way round",
            HEADER,
            plus(r#""a":"\udc00\ud800""#),
        ),
        bytes("no UTF-8", HEADER, with_octets(b"\xff")),
        bytes("overlong UTF-8", HEADER, with_octets(b"\xc0\x80")),
        bytes(
            "something after",
            HEADER,
            format!("{} {{}}", usual()).into(),
        ),
        bytes("a trailing comma", HEADER, plus("")),
        bytes("a comment", HEADER, format!("/**/{}", usual()).into()),
        bytes("NaN", HEADER, plus(r#""a":NaN"#)),
        bytes("a number with a leading zero", HEADER, plus(r#""a":01"#)),
        bytes("a raw line break in a string", HEADER, plus("\"a\":\"\n\"")),
        bytes(
            "claims in an array",
            HEADER,
            format!("[{}]", usual()).into(),
        ),
        bytes("claims that are a string", HEADER, b"\"x\"".to_vec()),
        bytes("a header that is an array", "[]", usual().into()),
        bytes(
            "a header with Alg for alg",
            r#"{"Alg":"RS256","kid":"RS256"}"#,
            usual().into(),
        ),
    ];
    let shouted = String::from_utf8(plus(r#""SUB":"other","Email":"other@example.com""#)).unwrap();
    cases.push(Case {
        what: "case variants are other members".to_owned(),
        ask: kit.ask(issuer.sign(Alg::Rs256, HEADER, &shouted)),
        verdict: Verdict::Issued,
    });
    cases
}

/// J13.
pub(super) fn parties(kit: &Kit) -> Vec<Case> {
    let url = kit.site.issuer().url();
    let (malformed, audience) = (Reason::TokenMalformed, Reason::TokenAudienceMismatch);
    let mut cases = vec![kit.without("iss", malformed), kit.without("aud", malformed)];
    for value in [
        json!([url]),
        json!({ "url": url }),
        json!(7),
        json!(null),
        json!(true),
        json!(""),
    ] {
        cases.push(kit.claim("iss", value, malformed));
    }
    for value in [
        json!(null),
        json!(1),
        json!({ "sigstore": 1 }),
        json!([1]),
        json!([["sigstore"]]),
    ] {
        cases.push(kit.claim("aud", value, malformed));
    }
    for value in [
        json!([]),
        json!(["sigstore", "other"]),
        json!(["sigstore", "sigstore"]),
        json!(vec!["sigstore"; 1000]),
        json!("other"),
        json!(""),
        json!("Sigstore"),
        json!("sigstore "),
        json!("sigstor"),
        json!("sigstore,other"),
    ] {
        cases.push(kit.claim("aud", value, audience));
    }
    cases.push(Case {
        what: "one audience in an array".to_owned(),
        ask: kit.ask(kit.good(json!({ "aud": ["sigstore"] }))),
        verdict: Verdict::Issued,
    });
    cases
}
