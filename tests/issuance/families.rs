//! Issuers that only a pattern names.

use shortleaf::fault::Reason;
use shortleaf::issuance::{Issued, Refused, TrustedIssuer};
use shortleaf::token::{IssuerName, IssuerPolicy};

use crate::issuer::{Issuer, email_claims};
use crate::samples::NOW;
use crate::world::{Keys, World, key, now, request, trusted};

const FAMILY: &str = "https://oidc.eks.*.amazonaws.com/id/*";
const CLUSTER: &str = "https://oidc.eks.us-west-2.amazonaws.com/id/B02C93B6A2D30341";

/// Such a family, for tokens with this audience.
fn family(pattern: &str, audience: &str) -> TrustedIssuer {
    let one = trusted(1);
    TrustedIssuer {
        policy: IssuerPolicy {
            issuer: IssuerName::new(pattern).unwrap(),
            audiences: vec![audience.to_owned()],
            ..one.policy
        },
        mapping: one.mapping,
    }
}

/// A world that believes these, and the cluster whose keys it has.
fn world(issuers: Vec<TrustedIssuer>) -> (World, Issuer) {
    let (mut world, cluster) = (World::new(), Issuer::new(CLUSTER));
    world.parts.terms.issuers = issuers;
    world.parts.terms.keys = std::sync::Arc::new(Keys::of(&cluster));
    (world, cluster)
}

async fn ask(world: &World, token: &str) -> Result<Issued, Refused> {
    let request = request(token, &key(), "r-1");
    world.service().issue(request, now()).await
}

#[tokio::test]
async fn a_cluster_of_a_family_gets_a_certificate_in_its_own_name() {
    let (world, cluster) = world(vec![family(FAMILY, crate::issuer::AUDIENCE)]);
    let token = cluster.token(email_claims(), NOW.0);
    assert_eq!(&*ask(&world, &token).await.unwrap().issuer, CLUSTER);
    let records = world.records().await;
    let [record] = records.as_slice() else {
        panic!("{records:?}")
    };
    assert_eq!(record.intent.issuer, CLUSTER);
    let service = world.service();
    assert_eq!(service.configured_as(CLUSTER).as_deref(), Some(FAMILY));
    assert_eq!(service.configured_as("https://other.example"), None);
}

/// The audience shows which entry it was.
#[tokio::test]
async fn an_entry_of_its_own_comes_before_a_family_and_a_precise_family_before_a_vague_one() {
    let precise = "https://oidc.eks.us-west-2.amazonaws.com/id/*";
    let own = crate::issuer::AUDIENCE;
    for issuers in [
        vec![family(FAMILY, "vague"), family(precise, own)],
        vec![family(precise, own), family(FAMILY, "vague")],
        vec![
            family(FAMILY, "vague"),
            family(precise, "precise"),
            family(CLUSTER, own),
        ],
    ] {
        let (world, cluster) = world(issuers);
        let token = cluster.token(email_claims(), NOW.0);
        assert_eq!(&*ask(&world, &token).await.unwrap().issuer, CLUSTER);
    }
}

#[tokio::test]
async fn a_refusal_names_the_cluster_and_a_stranger_names_nobody() {
    let (world, cluster) = world(vec![family(FAMILY, "other")]);
    let token = cluster.token(email_claims(), NOW.0);
    let refused = ask(&world, &token).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::TokenAudienceMismatch);
    assert_eq!(refused.issuer(), Some(CLUSTER));

    let evil = format!("https://evil.example?{CLUSTER}");
    let token = Issuer::new(&evil).token(email_claims(), NOW.0);
    let refused = ask(&world, &token).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::TokenIssuerUnknown);
    assert_eq!(refused.issuer(), None);
}
