//! The answers that were kept, verified as a stranger would after the clock has stopped.

use serde_json::Value;
use shortleaf::identity::San;
use shortleaf::time::UnixSeconds;
use shortleaf::verify::{self, IdentityPolicy, TrustMaterial};
use shortleaf::{trust, x509};

use crate::issuer::{self, Issuer};
use crate::requests::Expected;

/// Last arc of "Source Repository URI".
const SOURCE_REPOSITORY_URI: u8 = 12;

/// How many answers hold a certificate of the right key and identity, below a trusted root and
/// with an SCT of a trusted log; or what is wrong with the first that does not.
pub(crate) fn answers(
    kept: &[(usize, String)],
    expected: &[Expected],
    issuer: &Issuer,
    trusted_root: &str,
) -> Result<usize, String> {
    let trust =
        trust::parse_trusted_root(trusted_root.as_bytes()).map_err(|error| error.to_string())?;
    // One workflow in every repository: the signer's identity is the workflow's.
    let claims = issuer::github_claims();
    let workflow = claims["job_workflow_ref"].as_str().unwrap_or_default();
    let identity = San::Uri(format!("https://github.com/{workflow}"));
    let policy = IdentityPolicy::new(issuer.url(), identity).map_err(|error| error.to_string())?;
    for (number, body) in kept {
        answer(body, &expected[*number], &trust, &policy)
            .map_err(|why| format!("answer {number}: {why}"))?;
    }
    match kept.len() {
        0 => Err("no answer was kept for verification".to_owned()),
        verified => Ok(verified),
    }
}

fn answer(
    body: &str,
    expected: &Expected,
    trust: &TrustMaterial,
    policy: &IdentityPolicy,
) -> Result<(), String> {
    let body: Value = serde_json::from_str(body).map_err(|error| error.to_string())?;
    let chain = &body["signedCertificateEmbeddedSct"]["chain"]["certificates"];
    let chain: Vec<Vec<u8>> = chain
        .as_array()
        .ok_or("no chain in the answer")?
        .iter()
        .filter_map(|pem| {
            let mut blocks = x509::pem::decode(pem.as_str()?).ok()?;
            Some(blocks.pop()?.der)
        })
        .collect();
    let (leaf, others) = chain.split_first().ok_or("the chain is empty")?;
    let now = UnixSeconds(issuer::wall_clock());
    let verified =
        verify::certificate(leaf, others, trust, policy, now).map_err(|error| error.to_string())?;
    let inspection = verified.inspection();
    if inspection.spki != expected.spki_der {
        return Err("the certificate is for another key".to_owned());
    }
    let repository = format!("https://github.com/{}", expected.repository);
    let named = verify::Value::Text {
        arc: SOURCE_REPOSITORY_URI,
        text: repository.clone(),
    };
    let extensions = &inspection.extensions;
    match extensions.iter().any(|extension| extension.value == named) {
        true => Ok(()),
        false => Err(format!("the certificate does not name {repository}")),
    }
}
