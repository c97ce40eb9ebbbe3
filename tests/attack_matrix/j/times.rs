//! J14: times that are no times, or the wrong ones.

use serde_json::json;
use shortleaf::fault::Reason;

use super::Kit;
use crate::issuer::wall_clock;
use crate::report::Case;

pub(super) fn times(kit: &Kit) -> Vec<Case> {
    let now = wall_clock();
    let malformed = Reason::TokenMalformed;
    let mut cases = vec![
        kit.without("exp", malformed),
        kit.without("iat", malformed),
        kit.claim("exp", json!(0), Reason::TokenExpired),
        kit.claim("exp", json!(-1), Reason::TokenExpired),
        kit.claim("exp", json!(i64::MIN), Reason::TokenExpired),
        kit.claim("exp", json!(now - 31), Reason::TokenExpired),
        kit.claim("exp", json!(now + 86_400 + 60), Reason::TokenTooOld),
        kit.claim("exp", json!(i64::MAX), Reason::TokenTooOld),
        kit.claim("nbf", json!(now + 90), Reason::TokenNotYetValid),
        kit.claim("nbf", json!(i64::MAX), Reason::TokenNotYetValid),
        kit.claim("iat", json!(now + 90), Reason::TokenNotYetValid),
        kit.claim("iat", json!(now - 601), Reason::TokenTooOld),
        kit.claim("iat", json!(0), Reason::TokenTooOld),
        kit.claim("iat", json!(i64::MIN), Reason::TokenTooOld),
    ];
    for claim in ["exp", "iat", "nbf"] {
        for value in [
            json!(now.to_string()),
            json!(now as f64 + 0.5),
            json!(1e308),
            json!(u64::MAX),
            json!(null),
            json!([now]),
            json!({ "seconds": now }),
            json!(true),
        ] {
            cases.push(kit.claim(claim, value, malformed));
        }
    }
    cases
}
