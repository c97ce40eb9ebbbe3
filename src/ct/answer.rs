//! The JSON a log answers with (RFC 6962 §4.2, §4.3), read strictly: no member twice, none
//! missing, padded standard base64, nothing after the object. Members we do not know are skipped,
//! for logs add their own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::error::Category;

use super::sct::{VERSION, bounded_extensions};
use super::{LogId, Sct, SctError, TreeHead};
use crate::time::UnixMillis;

/// Largest answer read from a log.
pub const ANSWER_LEN_MAX: usize = 64 * 1024;

#[derive(Serialize, Deserialize)]
struct AddChain {
    sct_version: u8,
    id: String,
    timestamp: u64,
    extensions: String,
    signature: String,
}

#[derive(Deserialize)]
struct GetSth {
    tree_size: u64,
    timestamp: u64,
    sha256_root_hash: String,
    tree_head_signature: String,
}

/// Reads the answer to add-chain or add-pre-chain.
pub fn answer(body: &[u8]) -> Result<Sct, SctError> {
    let raw: AddChain = object(body)?;
    if raw.sct_version != VERSION {
        return Err(SctError::Version {
            got: raw.sct_version,
        });
    }
    Ok(Sct {
        log_id: LogId(hash("id", &raw.id)?),
        timestamp: UnixMillis(raw.timestamp),
        extensions: bounded_extensions(octets("extensions", &raw.extensions)?)?,
        signature: octets("signature", &raw.signature)?,
    })
}

/// Reads the answer to get-sth.
pub fn head_answer(body: &[u8]) -> Result<TreeHead, SctError> {
    let raw: GetSth = object(body)?;
    Ok(TreeHead {
        size: raw.tree_size,
        timestamp: UnixMillis(raw.timestamp),
        root: hash("sha256_root_hash", &raw.sha256_root_hash)?,
        signature: octets("tree_head_signature", &raw.tree_head_signature)?,
    })
}

impl Sct {
    /// The answer a log gives to add-pre-chain (RFC 6962 §4.2), which is also Fulcio's form of a
    /// detached SCT: what [`answer`] reads.
    pub fn add_chain_json(&self) -> String {
        let raw = AddChain {
            sct_version: VERSION,
            id: STANDARD.encode(self.log_id.0),
            timestamp: self.timestamp.0,
            extensions: STANDARD.encode(&self.extensions),
            signature: STANDARD.encode(&self.signature),
        };
        serde_json::to_string(&raw).expect("a struct of strings and integers is always JSON")
    }
}

fn object<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, SctError> {
    if body.len() > ANSWER_LEN_MAX {
        return Err(SctError::AnswerTooLarge {
            max: ANSWER_LEN_MAX,
        });
    }
    not_a_list(body)?;
    serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        match error.classify() {
            Category::Data => SctError::Json { line, column },
            Category::Eof => SctError::CutShort { line, column },
            // No reader of a slice fails at reading.
            Category::Syntax | Category::Io => SctError::NotJson { line, column },
        }
    })
}

/// serde would also fill a struct from a list, member by member.
fn not_a_list(body: &[u8]) -> Result<(), SctError> {
    let is_space = |octet: &u8| b" \t\r\n".contains(octet);
    let first = body.iter().position(|octet| !is_space(octet));
    let Some((before, b'[')) = first.map(|at| (&body[..at], body[at])) else {
        return Ok(()); // anything else that is no object serde refuses, with its place
    };
    let last_line = before.rsplit(|octet| *octet == b'\n').next();
    Err(SctError::Json {
        line: 1 + before.iter().filter(|octet| **octet == b'\n').count(),
        column: 1 + last_line.map_or(0, <[u8]>::len),
    })
}

fn octets(member: &'static str, text: &str) -> Result<Vec<u8>, SctError> {
    STANDARD
        .decode(text)
        .map_err(|_| SctError::Base64 { member })
}

fn hash(member: &'static str, text: &str) -> Result<[u8; 32], SctError> {
    let octets = octets(member, text)?;
    let got = octets.len();
    octets
        .try_into()
        .map_err(|_| SctError::HashLength { member, got })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sct() -> Sct {
        Sct {
            log_id: LogId([1; 32]),
            timestamp: UnixMillis(1_795_262_400_250),
            extensions: vec![],
            signature: vec![4, 3, 0, 1, 9],
        }
    }

    const GOOD: &str = r#"{"sct_version":0,"id":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=","timestamp":1795262400250,"extensions":"","signature":"BAMAAQk="}"#;

    #[test]
    fn the_answer_is_written_and_read_in_the_rfcs_form() {
        assert_eq!(sct().add_chain_json(), GOOD);
        assert_eq!(answer(GOOD.as_bytes()), Ok(sct()));
    }

    #[test]
    fn white_space_and_members_of_the_logs_own_are_no_obstacle() {
        let roomy = GOOD.replace(",\"ext", ", \"log\": {\"a\":[1]},\n\"ext") + "\n";
        assert_eq!(answer(roomy.as_bytes()), Ok(sct()));
    }

    /// The answer with one thing replaced.
    fn with(from: &str, to: &str) -> Result<Sct, SctError> {
        let body = GOOD.replacen(from, to, 1);
        assert_ne!(body, GOOD);
        answer(body.as_bytes())
    }

    #[test]
    fn each_malformed_member_is_named() {
        let b64 = |member| Err(SctError::Base64 { member });
        assert_eq!(
            with("version\":0", "version\":1"),
            Err(SctError::Version { got: 1 })
        );
        assert_eq!(with("AQE=", "AQE"), b64("id"));
        assert_eq!(with("AQE=", "AQF="), b64("id")); // bits beyond the last octet
        assert_eq!(
            with("AQE=", "AQEB"),
            Err(SctError::HashLength {
                member: "id",
                got: 33
            })
        );
        assert_eq!(with("BAMAAQk=", "BAMA_Qk="), b64("signature"));
        assert_eq!(
            with("extensions\":\"\"", "extensions\":\" \""),
            b64("extensions")
        );
    }

    #[test]
    fn what_is_not_this_object_is_refused_with_its_place() {
        let word = |body: &str| answer(body.as_bytes()).unwrap_err().word();
        let refused = |body: &str| assert_eq!(word(body), "answer_malformed", "{body}");
        for cut in ["", " ", &GOOD[..GOOD.len() - 1], &GOOD[..40]] {
            assert_eq!(word(cut), "answer_cut_short", "{cut}");
        }
        for other in ["<html>busy</html>", &format!("{GOOD} {{}}"), "\u{feff}{}"] {
            assert_eq!(word(other), "answer_not_json", "{other}");
        }
        refused("[]");
        refused("null");
        refused(&GOOD.replace("\"timestamp\":", "\"timestamp\":1,\"timestamp\":"));
        refused(&GOOD.replace("\"extensions\":\"\",", ""));
        refused(&GOOD.replace("1795262400250", "-1"));
        refused(&GOOD.replace("1795262400250", "1.5"));
        refused(&GOOD.replace("1795262400250", "18446744073709551616"));
        assert_eq!(
            answer(b"\n{"),
            Err(SctError::CutShort { line: 2, column: 1 })
        );
    }

    #[test]
    fn a_list_of_the_right_values_is_no_object() {
        let id = STANDARD.encode([1; 32]);
        let list = format!(r#"[0,"{id}",1795262400250,"","BAMAAQk="]"#);
        let at = |line, column| Err(SctError::Json { line, column });
        assert_eq!(answer(list.as_bytes()), at(1, 1));
        assert_eq!(answer(format!(" \r\n\t{list}").as_bytes()), at(2, 2));
        let head = format!(r#"[7,8,"{id}","BAMAAQk="]"#);
        assert_eq!(head_answer(head.as_bytes()).err(), at(1, 1).err());
    }

    #[test]
    fn the_size_limit_is_exact() {
        let pad = |len: usize| format!("{GOOD}{}", " ".repeat(len - GOOD.len()));
        assert_eq!(answer(pad(ANSWER_LEN_MAX).as_bytes()), Ok(sct()));
        assert_eq!(
            answer(pad(ANSWER_LEN_MAX + 1).as_bytes()),
            Err(SctError::AnswerTooLarge {
                max: ANSWER_LEN_MAX
            })
        );
    }

    #[test]
    fn a_tree_head_is_read_in_the_rfcs_form() {
        let body = r#"{"tree_size":7,"timestamp":8,"sha256_root_hash":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=","tree_head_signature":"BAMAAQk="}"#;
        let head = head_answer(body.as_bytes()).unwrap();
        assert_eq!((head.size, head.timestamp), (7, UnixMillis(8)));
        assert_eq!((head.root, head.signature), ([1; 32], vec![4, 3, 0, 1, 9]));
    }
}
