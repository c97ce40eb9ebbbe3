//! Issuers of families: such as only look like one, and such as are at home where none may be.

use serde_json::json;
use shortleaf::fault::Reason;

use super::places::out_of_reach;
use super::provider::{Witness, settings as entry};
use super::{Kit, minted};
use crate::issuer::Issuer;
use crate::report::Case;

const FAMILY: &str = "https://oidc.eks.*.amazonaws.com/id/*";
/// One of it, which is never asked: nobody sends a token of it that passes the cheap checks.
const CLUSTER: &str = "https://oidc.eks.us-west-2.amazonaws.com/id/A";

/// The families' entries of the configuration: one of clusters, and one at each address that is out
/// of reach.
pub(super) fn settings(witness: &Witness) -> String {
    let places = out_of_reach(witness).into_iter();
    let families = places.map(|url| format!("{url}/id/*"));
    let all = families.chain([FAMILY.to_owned()]);
    all.map(|url| entry(&url, "email", "")).collect()
}

/// J11: every way to make one URL look like another.
pub(super) fn issuers(kit: &Kit) -> Vec<Case> {
    let host = "oidc.eks.us-west-2.amazonaws.com";
    let here = format!("127.0.0.1:{}", kit.forbidden.port);
    let mut tricks = Vec::new();
    for evil in ["evil.example", here.as_str()] {
        // The advisory's own, and a star that runs over the end of a host.
        tricks.extend([
            format!("https://{evil}?{CLUSTER}"),
            format!("https://{evil}#{CLUSTER}"),
            format!("https://{evil}/{CLUSTER}"),
            format!("https://{evil}/?x={CLUSTER}"),
            format!("https://{evil}\\{CLUSTER}"),
            format!("https://{evil};{CLUSTER}"),
            format!("https://{evil}/{host}/id/A"),
            format!("https://{evil}/id/A"),
            format!("https://{host}@{evil}/id/A"),
            format!("https://{host}:x@{evil}/id/A"),
            format!("https://{evil}@{host}/id/A"),
            format!("https://oidc.eks.{evil}?.amazonaws.com/id/A"),
            format!("https://oidc.eks.{evil}#.amazonaws.com/id/A"),
            format!("https://oidc.eks.{evil}/.amazonaws.com/id/A"),
            format!("https://oidc.eks.{evil}\\.amazonaws.com/id/A"),
            format!("https://oidc.eks.u@{evil}/x.amazonaws.com/id/A"),
            format!("https://oidc.eks.{evil}%2f.amazonaws.com/id/A"),
            format!("https://oidc.eks.x.amazonaws.com.{evil}/id/A"),
            format!("{CLUSTER}@{evil}"),
            format!("{CLUSTER}\n{evil}"),
            format!("https://{evil}\n{CLUSTER}"),
            format!("https://{evil}\0{CLUSTER}"),
            format!("https://{evil} {CLUSTER}"),
        ]);
    }
    tricks.extend(
        [
            "http://{}/id/A",
            "HTTPS://{}/id/A",
            "//{}/id/A",
            "{}/id/A",
            "https:{}/id/A",
            "https:/{}/id/A",
            "https:///{}/id/A",
            "https:\\\\{}\\id\\A",
            "wss://{}/id/A",
            "https://{}:443/id/A",
            "https://{}:8443/id/A",
            "https://{}:/id/A",
            "https://{}./id/A",
            "https://u@{}/id/A",
            "https://@{}/id/A",
            "https://u:p@{}/id/A",
            "https://{}",
            "https://{}/",
            "https://{}/id",
            "https://{}/id/",
            "https://{}/id/A/",
            "https://{}/id/A/B",
            "https://{}/id/A//",
            "https://{}//id/A",
            "https://{}/id//A",
            "https://{}/x/../id/A",
            "https://{}/./id/A",
            "https://{}/id/.",
            "https://{}/id/..",
            "https://{}/id/A.",
            "https://{}/ID/A",
            "https://{}/id/A?",
            "https://{}/id/A#",
            "https://{}/id/A?x=1",
            "https://{}/id/A;x",
            "https://{}/id/A,B",
            "https://{}/id/A:B",
            "https://{}/id/A+B",
            "https://{}/id/A~",
            "https://{}/id/*",
            "https://{}/id/%41",
            "https://{}/id/A%2fB",
            "https://{}/id%2fA",
            "https://{}/id/%2e%2e",
            "https://{}/id/A%00",
            "https://{}/id/A\n",
            "https://{}/id/A\r\nX: y",
            "https://{}/id/\n",
            "https://{}/id/A\t",
            "https://{}/id/A ",
            " https://{}/id/A",
            "https://{}/id/A\0",
            "https://{}/id/\u{ff21}",
            "https://{}/id/\u{410}",
            "https://{}\u{2044}id/A",
            "https://{}/id/A\u{200b}",
        ]
        .map(|shape| shape.replace("{}", host)),
    );
    tricks.extend(
        [
            "",
            ".",
            "a.b",
            "a..b",
            "*",
            "a%2eb",
            "a\u{3002}b",
            "a\u{ff0e}b",
            "a b",
            "a\n",
            "\n",
            "a/b",
            "a?",
            "a#",
            "a:1",
            "a@b",
            "[::1]",
            "\u{fc}",
            "a\\b",
        ]
        .map(|label| format!("https://oidc.eks.{label}.amazonaws.com/id/A")),
    );
    tricks.extend([
        "https://oidc.eks.amazonaws.com/id/A".to_owned(),
        "https://x.oidc.eks.us-west-2.amazonaws.com/id/A".to_owned(),
        "https://OIDC.eks.us-west-2.amazonaws.com/id/A".to_owned(),
        "https://oidc.eks.us-west-2.AMAZONAWS.com/id/A".to_owned(),
        "https://oidc.eks.us-west-2.amazonaws.co/id/A".to_owned(),
        "https://oidc-eks.us-west-2.amazonaws.com/id/A".to_owned(),
        format!("{CLUSTER}{}", "A".repeat(1024)),
        FAMILY.to_owned(),
        "*".to_owned(),
    ]);
    let mut cases: Vec<_> = tricks
        .into_iter()
        .map(|iss| kit.claim("iss", json!(iss), Reason::TokenIssuerUnknown))
        .collect();
    // What the tricks are held against is there: one of the family is refused for its audience.
    cases.push(kit.refused(
        "another audience of the family",
        minted(&Issuer::new(CLUSTER), json!({ "aud": "other" })),
        Reason::TokenAudienceMismatch,
        kit.good(json!({})),
    ));
    cases
}

/// J17, for families: nobody but the operator may say that a private address is meant. The same
/// issuers are the families' indeed: with another audience that is what they are refused for.
pub(super) fn addresses(kit: &Kit) -> Vec<Case> {
    let cases = |url: String| {
        let url = format!("{url}/id/A");
        let issuer = Issuer::new(&url);
        let case = |what: &str, over, reason| {
            let twin = minted(&kit.neighbour.issuer, json!({}));
            kit.refused(
                format!("{url}, {what}"),
                minted(&issuer, over),
                reason,
                twin,
            )
        };
        [
            case("of a family", json!({}), Reason::TokenIssuerUnknown),
            case(
                "with another audience",
                json!({ "aud": "other" }),
                Reason::TokenAudienceMismatch,
            ),
        ]
    };
    let places = out_of_reach(&kit.forbidden).into_iter();
    places.flat_map(cases).collect()
}
