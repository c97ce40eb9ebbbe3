//! What logs answer to add-pre-chain and get-sth.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Theirs;
use shortleaf::ct::{Sct, answer, head_answer};
use shortleaf::json;

use super::json::second_opinion;

pub(crate) fn run(input: &[u8]) {
    if let Ok(sct) = answer(input) {
        second_opinion(input, &json::parse(input).expect("strict JSON"));
        let written = sct.add_chain_json();
        assert_eq!(
            answer(written.as_bytes()).as_ref(),
            Ok(&sct),
            "written and read"
        );
        if let Ok(theirs) = serde_json::from_slice::<Theirs>(input) {
            assert_eq!(theirs["sct_version"], 0);
            assert_eq!(theirs["timestamp"], sct.timestamp.0);
            assert_eq!(theirs["id"], STANDARD.encode(sct.log_id.0));
            assert_eq!(theirs["extensions"], STANDARD.encode(&sct.extensions));
            assert_eq!(theirs["signature"], STANDARD.encode(&sct.signature));
        }
        // Whether its signature is a structure is asked later; if so, it is the one encoding.
        if let Ok(again) = Sct::decode(&sct.encode()) {
            assert_eq!(again, sct);
        }
    }
    if let Ok(head) = head_answer(input) {
        second_opinion(input, &json::parse(input).expect("strict JSON"));
        if let Ok(theirs) = serde_json::from_slice::<Theirs>(input) {
            assert_eq!(theirs["tree_size"], head.size);
            assert_eq!(theirs["timestamp"], head.timestamp.0);
            assert_eq!(theirs["sha256_root_hash"], STANDARD.encode(head.root));
        }
    }
}
