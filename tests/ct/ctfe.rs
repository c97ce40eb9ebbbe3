//! One precertificate through Google's ctfe: its SCT is believed, and its tree keeps the promise.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use shortleaf::ct::rfc6962::{Rfc6962Config, Rfc6962Log};
use shortleaf::ct::{
    CertificateLog, LogKey, SubmitError, TreeHead, head_answer, sct_leaf_hash, verify_head,
};
use shortleaf::merkle;
use shortleaf::system::SystemClock;
use shortleaf::time::Clock as _;
use shortleaf::x509::pem;

use crate::ca::Ca;
use crate::parts;
use crate::peer::Ctfe;

const BUDGET: Duration = Duration::from_secs(4);
const MERGE: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
struct ProofByHash {
    leaf_index: u64,
    audit_path: Vec<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn ctfe_logs_a_precertificate_and_keeps_its_promise() {
    let folder = tempfile::tempdir().unwrap();
    let ca = Ca::make();
    let root = folder.path().join("root.pem");
    std::fs::write(&root, &ca.root_pem).unwrap();
    let Some(ctfe) = Ctfe::start(folder.path(), &root) else {
        return;
    };
    let key = pem::decode(&std::fs::read_to_string(ctfe.key()).unwrap()).unwrap();
    let key = LogKey::from_spki_der(&key[0].der).unwrap();
    let log = Rfc6962Log::new(Rfc6962Config {
        name: "ctfe".into(),
        url: ctfe.url().into(),
        key: key.clone(),
        host: None,
        ca_pem: None,
    })
    .unwrap();
    log.probe(BUDGET).await.unwrap();

    // The SCT verifies (`submit` answers with nothing else), and a second try gets the same one.
    let entry = ca.precertificate(7);
    let proven = log.submit(&entry, SystemClock.now(), BUDGET).await.unwrap();
    let sct = proven.sct().clone();
    let again = log.submit(&entry, SystemClock.now(), BUDGET).await.unwrap();
    assert_eq!(again.sct().timestamp, sct.timestamp);

    // The leaf we would have built from that SCT is the leaf the log merges.
    let leaf = sct_leaf_hash(&sct, entry.issuer_key_hash(), entry.tbs());
    let (head, proof) =
        parts::wait_until(MERGE, || included(&ctfe, &key, &leaf)).expect("merged in time");
    let path: Vec<merkle::Hash> = proof
        .audit_path
        .iter()
        .map(|hash| STANDARD.decode(hash).unwrap().try_into().unwrap())
        .collect();
    merkle::verify_inclusion(&leaf, proof.leaf_index, head.size, &path, &head.root).unwrap();

    // A chain that does not end in one of its roots is refused for good.
    let foreign = Ca::make().precertificate(8);
    let refused = log.submit(&foreign, SystemClock.now(), BUDGET).await;
    assert!(matches!(
        refused,
        Err(SubmitError::Rejected { status: 400, .. })
    ));
}

/// The newest head, verified, and the proof for the leaf in it, once there is one.
fn included(ctfe: &Ctfe, key: &LogKey, leaf: &merkle::Hash) -> Option<(TreeHead, ProofByHash)> {
    let get = |call: String| parts::http("GET", &format!("{}/ct/v1/{call}", ctfe.url()), None);
    let (_, body) = get("get-sth".into())?;
    let head = verify_head(head_answer(body.as_bytes()).unwrap(), key).unwrap();
    let size = head.head().size;
    if size == 0 {
        return None;
    }
    let hash: String =
        url::form_urlencoded::byte_serialize(STANDARD.encode(leaf).as_bytes()).collect();
    match get(format!("get-proof-by-hash?hash={hash}&tree_size={size}"))? {
        (200, body) => Some((head.head().clone(), serde_json::from_str(&body).unwrap())),
        _ => None,
    }
}
