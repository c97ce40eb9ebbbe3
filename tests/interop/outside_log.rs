//! ctfe as the log of one issuance: what it took is what the certificate says it took.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::answer::{ask, dissect};
use crate::ctfe::Ctfe;
use crate::fulcio::Ca;
use crate::issuer::{Identity, Served, wall_clock};
use crate::parts;
use crate::serve::{Log, Serve};
use crate::subject::{Kind, Subject};

/// Of the SCT list (RFC 6962 §3.3).
const SCT_LIST: &str = "1.3.6.1.4.1.11129.2.4.2";

#[test]
fn the_sct_of_a_certificate_is_ctfes_own_for_the_entry_it_shows() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let served = Served::start(&Identity::PATHS);
    let ca = Ca::make(folder.path(), "P-384");
    let Some(log) = Ctfe::start(folder.path(), &folder.path().join("root.pem")) else {
        return;
    };
    let outside = Log::Outside(log.url(), log.key());
    let serve = Serve::start(&ca, folder.path(), served.urls(), &outside);

    let identity = Identity::Github;
    let token = served
        .issuer(identity.issuer())
        .token(identity.claims(), wall_clock());
    let subject = Subject::generate(Kind::P256);
    let answer = ask(serve.url(), &token, &subject, &identity.challenge());

    // The log shows the entry once its signer has sequenced it.
    let entries = format!("{}/ct/v1/get-entries?start=0&end=0", log.url());
    let shown: Value = parts::wait_until(parts::PATIENCE, || {
        let (status, body) = parts::http("GET", &entries, None)?;
        (status == 200).then(|| serde_json::from_str(&body).expect("JSON"))
    })
    .expect("the log shows the entry");
    let leaf_input = STANDARD
        .decode(shown["entries"][0]["leaf_input"].as_str().expect("text"))
        .expect("base64");
    // MerkleTreeLeaf (RFC 6962 §3.4): version, leaf type, then the timestamp.
    let logged_at = &leaf_input[2..10];

    let parts = dissect(answer.leaf());
    let (_, list) = parts
        .iter()
        .find(|(part, _)| part == SCT_LIST)
        .expect("the leaf carries an SCT list");
    // Not critical (our own octet), OCTET STRING of up to 255 octets in the long form, then two
    // lengths, the version, the log's id and the timestamp.
    assert_eq!(list[..3], [0, 0x04, list[2]]);
    let content = &list[if list[2] < 0x80 { 3 } else { 4 }..];
    assert_eq!(content[4], 0, "v1");
    assert_eq!(&content[5 + 32..5 + 32 + 8], logged_at);
}
