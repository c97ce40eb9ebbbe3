//! K8 to K10: proofs that are not, keys of ours, proofs a second time.

use num_bigint::BigUint;
use shortleaf::fault::Reason;
use shortleaf::possession::KeyKind;
use shortleaf::x509::{Certificate, pem as blocks};

use super::Kit;
use crate::ask::{Ask, Proof};
use crate::keys::{TestKey, pem, side_by_side, tlv};
use crate::material::{self, Curve, SigningRequest, curves, ecdsa_der};
use crate::report::{Case, Verdict};
use crate::site::{OTHER, PERSON};

pub(super) fn proofs(kit: &Kit) -> Vec<Case> {
    let mut cases = Vec::new();
    for curve in curves() {
        cases.extend(ecdsa_proofs(kit, &curve));
    }
    for key in &kit.keys {
        let kind = key.kind();
        let other = TestKey::generate(kind);
        let good = key.sign(PERSON.as_bytes());
        for (what, signature) in [
            ("another key's", other.sign(PERSON.as_bytes())),
            ("of other words", key.sign(b"jane@example.com\n")),
            ("empty", vec![]),
            ("an octet too long", [&good[..], &[0]].concat()),
            ("an octet too short", good[..good.len() - 1].to_vec()),
            ("zeros", vec![0; good.len()]),
        ] {
            cases.push(kit.proof(format!("{kind}: {what}"), key, signature));
        }
        cases.push(others_proof(kit, key));
    }
    let rsa = kit.key(KeyKind::Rsa2048);
    let one = [&vec![0; 255][..], &[1]].concat();
    cases.push(kit.proof("RSA: one", rsa, one));
    let n = material::modulus(rsa).to_bytes_be();
    cases.push(kit.proof("RSA: n", rsa, n));
    let ed = kit.key(KeyKind::Ed25519);
    let mut high = ed.sign(PERSON.as_bytes());
    // S of L or above is a second spelling (RFC 8032 §5.1.7).
    high[63] |= 0xe0;
    cases.push(kit.proof("Ed25519: S above the order", ed, high));
    cases
}

/// Somebody else's proof under this person's token; the twin is that one's own token.
fn others_proof(kit: &Kit, key: &TestKey) -> Case {
    let proof = || Proof::Key {
        content: pem("PUBLIC KEY", &key.spki()).into_bytes(),
        signature: key.sign(OTHER.as_bytes()),
    };
    let twin = Ask {
        token: kit.site.token(OTHER),
        proof: proof(),
        san: OTHER.to_owned(),
    };
    Case {
        what: format!("{}: another token's", key.kind()),
        ask: kit.site.with(proof()),
        verdict: kit.refused(Reason::ProofInvalid, twin),
    }
}

fn ecdsa_proofs(kit: &Kit, curve: &Curve) -> Vec<Case> {
    let key = kit.key(curve.kind);
    let der = key.sign(PERSON.as_bytes());
    let fixed = side_by_side(&der, curve.width);
    let (r, s) = fixed.split_at(curve.width);
    let [r, s] = [r, s].map(BigUint::from_bytes_be);
    let (n, zero, one) = (&curve.n, BigUint::ZERO, BigUint::from(1u8));
    let pair = |r: &BigUint, s: &BigUint| [curve.octets(r), curve.octets(s)].concat();
    let content = || pem("PUBLIC KEY", &key.spki()).into_bytes();
    let high = if s > (n >> 1u8) { s.clone() } else { n - &s };
    let mut cases: Vec<Case> = [
        ("DER", der.clone()),
        ("side by side", fixed.clone()),
        ("high s in DER", ecdsa_der(&r, &high)),
        ("high s side by side", pair(&r, &high)),
        ("low s in DER", ecdsa_der(&r, &(n - &high))),
    ]
    .into_iter()
    .map(|(what, signature)| {
        let what = format!("{}: {what}", curve.kind);
        let content = content();
        kit.issued(what, Proof::Key { content, signature })
    })
    .collect();
    let padded = [&[0x30, der[1] + 1, 0x02][..], &[der[3] + 1, 0], &der[4..]].concat();
    for (what, signature) in [
        ("r = s = 0 in DER", ecdsa_der(&zero, &zero)),
        ("r = s = 0 side by side", pair(&zero, &zero)),
        ("r = 0", ecdsa_der(&zero, &s)),
        ("s = 0", ecdsa_der(&r, &zero)),
        ("r = n", ecdsa_der(n, &s)),
        ("s = n", pair(&r, n)),
        ("r = s = n", pair(n, n)),
        ("r + n", ecdsa_der(&(&r + n), &s)),
        ("s + n", ecdsa_der(&r, &(&s + n))),
        ("r = s = 1", ecdsa_der(&one, &one)),
        ("r and s swapped", ecdsa_der(&s, &r)),
        (
            "a negative r",
            tlv(
                0x30,
                &[&tlv(0x02, &[0x80])[..], &material::integer(&s)].concat(),
            ),
        ),
        ("a long-form length", [&[0x30, 0x82, 0], &der[1..]].concat()),
        ("a padded r", padded),
        (
            "side by side with an octet more",
            [&fixed[..], &[0]].concat(),
        ),
        (
            "side by side in twice the width",
            [
                vec![0; curve.width],
                curve.octets(&r),
                vec![0; curve.width],
                curve.octets(&s),
            ]
            .concat(),
        ),
    ] {
        cases.push(kit.proof(format!("{}: {what}", curve.kind), key, signature));
    }
    cases
}

pub(super) fn own_keys(kit: &Kit) -> Vec<Case> {
    let ca = &kit.site.ca;
    let private = [&ca.issuing_key, &ca.root_key, &ca.log_key];
    let names = ["the issuing key", "the root's key", "a log's key"];
    let mut cases = Vec::new();
    for (what, text) in names.into_iter().zip(private) {
        let key = private_key(text);
        let twin = kit.key(key.kind());
        // With a proof that is good, by itself and in a request.
        let reason = Reason::PublicKeyInsecure;
        cases.push(Case {
            what: what.to_owned(),
            ask: kit.site.by_key(&key),
            verdict: kit.refused(reason, kit.site.by_key(twin)),
        });
        let request = SigningRequest::of(&key).signed_by(&key);
        cases.push(kit.csr_der(format!("{what} in a CSR"), &request, twin, reason));
    }
    // As anybody can take it from the certificates, with a proof that is not.
    for (at, block) in blocks::decode(&ca.chain).unwrap().into_iter().enumerate() {
        let certificate = Certificate::from_der(block.der).unwrap();
        let what = format!("the key of certificate {at}, no proof");
        cases.push(kit.insecure(what, certificate.spki(), kit.key(KeyKind::EcdsaP384)));
    }
    let first = kit.site.log_spki();
    cases.push(kit.insecure("the first log's key, no proof", &first, kit.p256()));
    cases
}

/// The key of a file, P-384 or P-256.
fn private_key(text: &str) -> TestKey {
    use aws_lc_rs::signature as lc;
    let block = blocks::decode(text).unwrap().remove(0);
    let read = |kind, algorithm| {
        let pair = lc::EcdsaKeyPair::from_pkcs8(algorithm, &block.der).ok()?;
        Some(TestKey::Ecdsa(kind, pair))
    };
    read(KeyKind::EcdsaP384, &lc::ECDSA_P384_SHA384_ASN1_SIGNING)
        .or_else(|| read(KeyKind::EcdsaP256, &lc::ECDSA_P256_SHA256_ASN1_SIGNING))
        .unwrap()
}

pub(super) fn reused_proofs(kit: &Kit) -> Vec<Case> {
    // The challenge is the address alone, so one proof serves two tokens of one person: Fulcio's
    // clients could not have it otherwise. What bounds the harm is the token's own use.
    let (key, second) = (kit.p256(), TestKey::generate(KeyKind::EcdsaP256));
    let reused = kit.site.by_key(key);
    let again = Ask {
        token: kit.site.token(PERSON),
        ..reused.clone()
    };
    let more = Ask {
        token: reused.token.clone(),
        ..kit.site.by_key(&second)
    };
    let issued = |what: &str, ask| Case {
        what: what.to_owned(),
        ask,
        verdict: Verdict::Issued,
    };
    vec![
        issued("a proof, the first time", reused.clone()),
        issued("the same proof with another token", again),
        issued("the same proof and token", reused),
        Case {
            what: "a second key for the same token".to_owned(),
            ask: more,
            verdict: kit.refused(Reason::TokenReplayed, kit.site.by_key(&second)),
        },
    ]
}
