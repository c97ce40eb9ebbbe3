//! From [`RawToken`] to [`VerifiedToken`]: the only place that makes one.

use super::error::excerpt;
use super::{Error, IssuerPolicy, IssuerUrl, KeySource, RawToken, TokenId, VerifiedToken};
use crate::hash::sha256;
use crate::time::UnixSeconds;

/// Most clock difference ever tolerated, in seconds, whatever a policy says.
pub const MAX_LEEWAY_S: i64 = 30;

/// Checks `raw` against its issuer's policy and key.
///
/// Cheap first: until issuer, audience and times hold, `keys` is not asked, so no refused token
/// can make this process talk to anyone. Until the signature holds, no claim is believed.
pub async fn verify(
    raw: RawToken,
    policy: &IssuerPolicy,
    keys: &dyn KeySource,
    now: UnixSeconds,
) -> Result<VerifiedToken, Error> {
    let issuer = check_parties(&raw, policy)?;
    check_times(&raw, policy, now)?;

    let key = keys.key(&issuer, raw.kid.as_deref(), raw.algorithm).await?;
    let signed = key.verify(raw.algorithm, raw.signing_input(), raw.signature());
    if signed.is_err() {
        keys.did_not_verify(&issuer);
        return Err(Error::SignatureInvalid {
            issuer,
            kid: raw.kid,
            algorithm: raw.algorithm,
        });
    }

    keys.did_verify(&issuer);
    Ok(believed(raw, issuer))
}

/// Turns the claims of a token whose checks are all made into facts.
fn believed(raw: RawToken, issuer: IssuerUrl) -> VerifiedToken {
    VerifiedToken {
        issuer,
        id: token_id(&raw),
        hash: sha256(&[raw.text().as_bytes()]),
        subject: raw.subject,
        claims: raw.claims,
        kid: raw.kid,
        issued_at: raw.issued_at,
        expires_at: raw.expires_at,
    }
}

#[cfg(test)]
pub(super) fn believe(raw: RawToken) -> VerifiedToken {
    let issuer = IssuerUrl::new(&raw.issuer).expect("tests name a real issuer");
    believed(raw, issuer)
}

/// The issuer it is of, which for a family is not in the policy.
fn check_parties(raw: &RawToken, policy: &IssuerPolicy) -> Result<IssuerUrl, Error> {
    let issuer = policy.issuer.named_by(&raw.issuer);
    let issuer = issuer.ok_or_else(|| Error::unknown_issuer(&raw.issuer))?;
    if !policy.audiences.contains(&raw.audience) {
        return Err(Error::WrongAudience {
            got: excerpt(&raw.audience),
            want: policy.audiences.clone(),
        });
    }
    Ok(issuer)
}

fn check_times(raw: &RawToken, policy: &IssuerPolicy, now: UnixSeconds) -> Result<(), Error> {
    let leeway_s = policy.leeway_s.clamp(0, MAX_LEEWAY_S);

    let ahead = [("nbf", raw.not_before), ("iat", Some(raw.issued_at))];
    for (claim, at) in ahead {
        if let Some(valid_from) = at.filter(|at| *at > now.plus(leeway_s)) {
            return Err(Error::NotYetValid {
                claim,
                valid_from,
                now,
            });
        }
    }
    // RFC 7519 §4.1.4: not accepted on or after `exp`.
    if now >= raw.expires_at.plus(leeway_s) {
        return Err(Error::Expired {
            expired_at: raw.expires_at,
            now,
        });
    }
    let lifetime_s = raw.expires_at.since(raw.issued_at);
    if lifetime_s > policy.max_token_lifetime_s {
        return Err(Error::LivesTooLong {
            lifetime_s,
            max_s: policy.max_token_lifetime_s,
        });
    }
    let age_s = now.since(raw.issued_at);
    if age_s > policy.max_token_age_s {
        return Err(Error::TooOld {
            age_s,
            max_s: policy.max_token_age_s,
        });
    }
    Ok(())
}

/// Both forms hash unlike inputs: a length starts with a zero octet, a token with a letter.
fn token_id(raw: &RawToken) -> TokenId {
    TokenId(match &raw.jti {
        Some(jti) => {
            let issuer_length = (raw.issuer.len() as u64).to_be_bytes();
            sha256(&[&issuer_length, raw.issuer.as_bytes(), jti.as_bytes()])
        }
        None => sha256(&[raw.signing_input()]),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{
        CountingKeys, ISSUER, NOW, SigningKey, b64, claims, policy, ready,
    };
    use super::super::{Algorithm, KeyError};
    use super::*;
    use crate::fault::Reason;

    const HEADER: &str = r#"{"alg":"ES256","typ":"JWT","kid":"k1"}"#;

    /// One issuer with one P-256 key, and everything a token needs to pass.
    struct World {
        key: SigningKey,
        keys: CountingKeys,
        policy: IssuerPolicy,
    }

    impl World {
        fn new() -> Self {
            let key = SigningKey::for_algorithm(Algorithm::Es256);
            let keys = CountingKeys::new(vec![(ISSUER, json!([key.jwk("k1")]))]);
            let policy = policy();
            Self { key, keys, policy }
        }

        fn token(&self, claims: &serde_json::Value) -> String {
            let claims = claims.to_string();
            self.key.token(Algorithm::Es256, HEADER, &claims)
        }

        fn verify(&self, text: &str) -> Result<VerifiedToken, Error> {
            let raw = RawToken::parse(text)?;
            ready(verify(raw, &self.policy, &self.keys, NOW))
        }

        /// The reason and text for a token with one claim changed, refused before any key lookup.
        fn refused(&self, claim: &str, value: serde_json::Value) -> (Reason, String) {
            let mut claims = claims();
            claims[claim] = value;
            let error = self.verify(&self.token(&claims)).unwrap_err();
            assert_eq!(self.keys.asked(), 0, "keys were looked up for {error}");
            (error.reason(), error.to_string())
        }

        fn accepts(&self, claim: &str, value: serde_json::Value) -> bool {
            let mut claims = claims();
            claims[claim] = value;
            self.verify(&self.token(&claims)).is_ok()
        }
    }

    #[test]
    fn a_good_token_becomes_its_claims() {
        let world = World::new();
        let text = world.token(&claims());
        let token = world.verify(&text).unwrap();
        assert_eq!(token.issuer().as_str(), ISSUER);
        assert_eq!(
            token.subject(),
            "repo:octo-org/octo-repo:ref:refs/heads/main"
        );
        assert_eq!(token.kid(), Some("k1"));
        assert_eq!(token.issued_at(), NOW.plus(-10));
        assert_eq!(token.expires_at(), NOW.plus(300));
        assert_eq!(
            token.claims().get("jti").unwrap().as_str(),
            Some("0b5e5a4e")
        );
        assert_eq!(token.hash(), &sha256(&[text.as_bytes()]));
        assert!(!format!("{token:?}").contains("octo"));
    }

    #[test]
    fn an_issuer_matches_byte_for_byte() {
        let world = World::new();
        for other in [
            "https://issuer.example/",
            "https://issuer.exampl",
            "https://issuer.example:443",
            "https://Issuer.example",
            "HTTPS://issuer.example",
            "http://issuer.example",
            "https://issuer.example.evil.example",
            "https://u@issuer.example",
            "https://issuer.example?",
            "https://issuer.example#",
            "https://evil.example?https://issuer.example",
            " https://issuer.example",
        ] {
            let expected = format!("token issuer {other:?} is not configured");
            assert_eq!(
                world.refused("iss", json!(other)),
                (Reason::TokenIssuerUnknown, expected)
            );
        }
    }

    #[test]
    fn an_audience_matches_exactly() {
        let world = World::new();
        for other in ["sigstor", "sigstore ", "Sigstore", ""] {
            let expected = format!(
                "token audience is {other:?}, this issuer is configured for [\"sigstore\"]"
            );
            assert_eq!(
                world.refused("aud", json!([other])),
                (Reason::TokenAudienceMismatch, expected)
            );
        }
        assert!(world.accepts("aud", json!(["sigstore"])));
    }

    #[test]
    fn a_token_is_dead_from_exp_on_but_for_the_leeway() {
        let world = World::new();
        let (reason, text) = world.refused("exp", json!(NOW.0 - 30));
        assert_eq!(reason, Reason::TokenExpired);
        assert_eq!(
            text,
            "token expired at 2026-11-21T11:59:30Z, now is 2026-11-21T12:00:00Z"
        );
        for exp in [json!(0), json!(-1), json!(i64::MIN)] {
            assert_eq!(world.refused("exp", exp).0, Reason::TokenExpired);
        }
        assert!(world.accepts("exp", json!(NOW.0 - 29)));
    }

    #[test]
    fn no_policy_stretches_the_leeway_past_thirty_seconds() {
        let mut world = World::new();
        world.policy.leeway_s = 3_600;
        assert_eq!(
            world.refused("exp", json!(NOW.0 - 30)).0,
            Reason::TokenExpired
        );
        world.policy.leeway_s = -5;
        assert_eq!(world.refused("exp", json!(NOW.0)).0, Reason::TokenExpired);
        assert!(world.accepts("exp", json!(NOW.0 + 1)));
    }

    #[test]
    fn a_token_from_the_future_waits() {
        let world = World::new();
        for claim in ["nbf", "iat"] {
            let (reason, text) = world.refused(claim, json!(NOW.0 + 31));
            assert_eq!(reason, Reason::TokenNotYetValid);
            assert_eq!(
                text,
                format!("token {claim} is 2026-11-21T12:00:31Z, now is 2026-11-21T12:00:00Z")
            );
        }
        assert!(world.accepts("nbf", json!(NOW.0 + 30)));
        assert!(world.accepts("iat", json!(NOW.0 + 30)));
    }

    #[test]
    fn a_token_ages_from_iat() {
        let world = World::new();
        let expected = "token is 601 s old, at most 600 s are accepted from this issuer".to_owned();
        assert_eq!(
            world.refused("iat", json!(NOW.0 - 601)),
            (Reason::TokenTooOld, expected)
        );
        assert!(world.accepts("iat", json!(NOW.0 - 600)));
    }

    #[test]
    fn a_token_does_not_live_for_ever() {
        let world = World::new();
        let expected =
            "token lives 86401 s, at most 86400 s are accepted from this issuer".to_owned();
        assert_eq!(
            world.refused("exp", json!(NOW.0 - 10 + 86_401)),
            (Reason::TokenTooOld, expected)
        );
        assert_eq!(world.refused("exp", json!(i64::MAX)).0, Reason::TokenTooOld);
        assert!(world.accepts("exp", json!(NOW.0 - 10 + 86_400)));
    }

    #[test]
    fn an_unsigned_token_never_reaches_the_keys() {
        let world = World::new();
        let header = r#"{"alg":"none","kid":"k1"}"#;
        let text = format!("{}.{}.", b64(header), b64(claims().to_string()));
        let error = world.verify(&text).unwrap_err();
        assert_eq!(error.reason(), Reason::TokenAlgorithmRefused);
        assert_eq!(world.keys.asked(), 0);
    }

    #[test]
    fn every_algorithm_verifies_with_its_own_key_and_with_no_changed_byte() {
        for algorithm in Algorithm::ALL.iter().copied() {
            let key = SigningKey::for_algorithm(algorithm);
            let keys = CountingKeys::new(vec![(ISSUER, json!([key.jwk("k1")]))]);
            let header = json!({ "alg": algorithm.as_str(), "kid": "k1" }).to_string();
            let good = key.token(algorithm, &header, &claims().to_string());
            let check = |text: &str| {
                let raw = RawToken::parse(text).unwrap();
                ready(verify(raw, &policy(), &keys, NOW))
            };
            assert!(check(&good).is_ok(), "{algorithm}");

            let mut other = claims();
            other["sub"] = json!("repo:octo-org/octo-repo:ref:refs/heads/evil");
            let (_, signature) = good.rsplit_once('.').unwrap();
            let forged = format!("{}.{}.{signature}", b64(&header), b64(other.to_string()));
            let error = check(&forged).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "token signature does not verify with the {algorithm} key \"k1\" of {ISSUER}"
                )
            );
            assert_eq!(error.reason(), Reason::TokenSignatureInvalid);
        }
    }

    #[test]
    fn a_key_of_another_type_or_purpose_is_refused_by_its_algorithm() {
        let (rsa, p384) = (Algorithm::Rs256, Algorithm::Es384);
        let rsa = SigningKey::for_algorithm(rsa);
        let p384 = SigningKey::for_algorithm(p384);
        let mut rs256_only = rsa.jwk("rs256-only");
        rs256_only["alg"] = json!("RS256");
        let keys = CountingKeys::new(vec![(
            ISSUER,
            json!([rsa.jwk("rsa"), rs256_only, p384.jwk("p384")]),
        )]);
        for (kid, algorithm, key) in [
            ("rs256-only", Algorithm::Ps256, &rsa),
            ("rsa", Algorithm::EdDsa, &rsa),
            ("p384", Algorithm::Es256, &p384),
            ("p384", Algorithm::Es512, &p384),
            ("p384", Algorithm::Rs256, &p384),
        ] {
            let header = json!({ "alg": algorithm.as_str(), "kid": kid }).to_string();
            let text = key.token(algorithm, &header, &claims().to_string());
            let raw = RawToken::parse(&text).unwrap();
            let error = ready(verify(raw, &policy(), &keys, NOW)).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("key {kid:?} of {ISSUER} is not for {algorithm}")
            );
            assert_eq!(error.reason(), Reason::TokenAlgorithmRefused);
        }
    }

    #[test]
    fn a_token_without_key_id_means_the_only_key_there_is() {
        let world = World::new();
        let header = r#"{"alg":"ES256"}"#;
        let text = world
            .key
            .token(Algorithm::Es256, header, &claims().to_string());
        assert!(world.verify(&text).is_ok());

        let other = SigningKey::for_algorithm(Algorithm::Es256);
        let two = CountingKeys::new(vec![(
            ISSUER,
            json!([world.key.jwk("k1"), other.jwk("k2")]),
        )]);
        let raw = RawToken::parse(&text).unwrap();
        let error = ready(verify(raw, &policy(), &two, NOW)).unwrap_err();
        assert!(matches!(
            error,
            Error::Key(KeyError::Unknown { kid: None, .. })
        ));
        assert_eq!(error.reason(), Reason::TokenKeyUnknown);
    }

    #[test]
    fn one_issuers_key_signs_nothing_for_another() {
        let world = World::new();
        let other = "https://other.example";
        let others_key = SigningKey::for_algorithm(Algorithm::Es256);
        let keys = CountingKeys::new(vec![
            (ISSUER, json!([world.key.jwk("k1")])),
            (other, json!([others_key.jwk("k1"), others_key.jwk("k2")])),
        ]);
        for (kid, reason) in [
            ("k1", Reason::TokenSignatureInvalid),
            ("k2", Reason::TokenKeyUnknown),
        ] {
            let header = json!({ "alg": "ES256", "kid": kid }).to_string();
            let text = others_key.token(Algorithm::Es256, &header, &claims().to_string());
            let raw = RawToken::parse(&text).unwrap();
            let error = ready(verify(raw, &policy(), &keys, NOW)).unwrap_err();
            assert_eq!(error.reason(), reason, "{kid}");
        }
    }

    #[test]
    fn keys_are_doubted_for_a_bad_signature_and_for_nothing_else() {
        let world = World::new();
        let doubted = || {
            world
                .keys
                .doubted
                .load(std::sync::atomic::Ordering::Relaxed)
        };
        let good = world.token(&claims());
        let unknown = HEADER.replace("k1", "k2");
        let unknown = world
            .key
            .token(Algorithm::Es256, &unknown, &claims().to_string());
        assert!(world.verify(&good).is_ok());
        assert!(world.verify(&unknown).is_err());
        assert_eq!(doubted(), 0);
        let mut forged = claims();
        forged["sub"] = json!("someone else");
        let (_, signature) = good.rsplit_once('.').unwrap();
        let forged = format!("{}.{}.{signature}", b64(HEADER), b64(forged.to_string()));
        let error = world.verify(&forged).unwrap_err();
        assert_eq!(error.reason(), Reason::TokenSignatureInvalid);
        assert_eq!(doubted(), 1);
    }

    #[test]
    fn uses_are_counted_by_issuer_and_jti() {
        let world = World::new();
        let id = |claims: &serde_json::Value| world.verify(&world.token(claims)).unwrap().id();
        let (first, mut changed) = (id(&claims()), claims());
        changed["sub"] = json!("someone else");
        assert_eq!(id(&changed), first);
        changed["jti"] = json!("0b5e5a4f");
        assert_ne!(id(&changed), first);
    }

    #[test]
    fn without_jti_two_signatures_over_one_token_are_one_use() {
        let world = World::new();
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove("jti");
        let (one, two) = (world.token(&claims), world.token(&claims));
        assert_ne!(one, two); // ECDSA draws a nonce
        let (one, two) = (world.verify(&one).unwrap(), world.verify(&two).unwrap());
        assert_eq!(one.id(), two.id());
        assert_ne!(one.hash(), two.hash());
        claims["nonce"] = json!(1);
        assert_ne!(world.verify(&world.token(&claims)).unwrap().id(), one.id());
    }

    /// jsonwebtoken 11.1 accepts each of these; each differs from an accepted token in one thing.
    #[test]
    fn what_the_library_would_let_pass_is_refused_here() {
        let world = World::new();
        assert!(world.verify(&world.token(&claims())).is_ok());

        let by_claims: &[(&str, serde_json::Value, Reason)] = &[
            ("iss", json!(null), Reason::TokenMalformed),
            ("iss", json!(7), Reason::TokenMalformed),
            ("iss", json!([ISSUER]), Reason::TokenMalformed),
            ("aud", json!({ "sigstore": true }), Reason::TokenMalformed),
            (
                "aud",
                json!(["sigstore", "other"]),
                Reason::TokenAudienceMismatch,
            ),
            ("nbf", json!(NOW.0 + 60), Reason::TokenNotYetValid),
            (
                "nbf",
                json!((NOW.0 + 60).to_string()),
                Reason::TokenMalformed,
            ),
            ("iat", json!(NOW.0 + 60), Reason::TokenNotYetValid),
            ("exp", json!(NOW.0 - 60), Reason::TokenExpired),
            ("exp", json!(u64::MAX), Reason::TokenMalformed),
            ("exp", json!(i64::MAX), Reason::TokenTooOld),
            ("sub", json!("a\0b"), Reason::ClaimInvalid),
        ];
        for (claim, value, reason) in by_claims {
            let mut changed = claims();
            changed[*claim] = value.clone();
            let error = world.verify(&world.token(&changed)).unwrap_err();
            assert_eq!(error.reason(), *reason, "{claim} = {value}");
        }
        for claim in ["iss", "aud", "iat"] {
            let mut changed = claims();
            changed.as_object_mut().unwrap().remove(claim);
            let error = world.verify(&world.token(&changed)).unwrap_err();
            assert_eq!(error.reason(), Reason::TokenMalformed, "no {claim}");
        }
        for header in [
            r#"{"alg":"ES256","kid":"k1","crit":["b64"],"b64":false}"#,
            r#"{"alg":"ES256","kid":"k1","crit":["exp"]}"#,
            r#"{"alg":"ES256","kid":"k1","typ":"at+jwt"}"#,
        ] {
            let text = world
                .key
                .token(Algorithm::Es256, header, &claims().to_string());
            let error = world.verify(&text).unwrap_err();
            assert_eq!(error.reason(), Reason::TokenMalformed, "{header}");
        }
        let twice = claims()
            .to_string()
            .replacen('{', "{\"ref\":\"a\",\"ref\":\"b\",", 1);
        let error = world
            .verify(&world.key.token(Algorithm::Es256, HEADER, &twice))
            .unwrap_err();
        assert_eq!(error.reason(), Reason::TokenMalformed);
        assert_eq!(world.keys.asked(), 1); // for the good one
    }
}
