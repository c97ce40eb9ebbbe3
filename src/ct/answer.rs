//! The JSON a log answers with (RFC 6962 §4.2, §4.3), read strictly: no member twice at any depth,
//! none missing, padded standard base64, nothing after the object. Members we do not know are
//! skipped, for logs add their own.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::sct::{VERSION, bounded_extensions};
use super::{LogId, Sct, SctError, TreeHead};
use crate::json::{self, Object, Problem, Value};
use crate::time::UnixMillis;

/// Largest answer read from a log.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;

#[derive(Serialize)]
struct AddChain {
    sct_version: u8,
    id: String,
    timestamp: u64,
    extensions: String,
    signature: String,
}

/// Reads the answer to add-chain or add-pre-chain.
pub fn answer(body: &[u8]) -> Result<Sct, SctError> {
    let answer = object(body)?;
    let version = number(&answer, "sct_version")?;
    if version != VERSION {
        return Err(SctError::Version { got: version });
    }
    Ok(Sct {
        log_id: LogId(hash(&answer, "id")?),
        timestamp: UnixMillis(number(&answer, "timestamp")?),
        extensions: bounded_extensions(octets(&answer, "extensions")?)?,
        signature: octets(&answer, "signature")?,
    })
}

/// Reads the answer to get-sth.
pub fn head_answer(body: &[u8]) -> Result<TreeHead, SctError> {
    let answer = object(body)?;
    Ok(TreeHead {
        size: number(&answer, "tree_size")?,
        timestamp: UnixMillis(number(&answer, "timestamp")?),
        root: hash(&answer, "sha256_root_hash")?,
        signature: octets(&answer, "tree_head_signature")?,
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

fn object(body: &[u8]) -> Result<Object, SctError> {
    if body.len() > MAX_ANSWER_BYTES {
        return Err(SctError::AnswerTooLarge {
            max: MAX_ANSWER_BYTES,
        });
    }
    let octets = body.len();
    match json::parse(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(SctError::NotAnObject),
        Err(error) if error.what == Problem::Syntax && error.at == octets => {
            Err(SctError::CutShort { octets })
        }
        Err(error) => Err(SctError::NotJson(error)),
    }
}

/// A number without sign, fraction or exponent.
fn number<T: FromStr>(answer: &Object, member: &'static str) -> Result<T, SctError> {
    let other = SctError::Member {
        member,
        want: "an unsigned integer that fits",
    };
    let Some(Value::Number(number)) = answer.get(member) else {
        return Err(other);
    };
    number.as_str().parse().map_err(|_| other)
}

fn octets(answer: &Object, member: &'static str) -> Result<Vec<u8>, SctError> {
    let text = answer.get(member).and_then(Value::as_str);
    let text = text.ok_or(SctError::Member {
        member,
        want: "a string",
    })?;
    STANDARD
        .decode(text)
        .map_err(|_| SctError::Base64 { member })
}

fn hash(answer: &Object, member: &'static str) -> Result<[u8; 32], SctError> {
    let octets = octets(answer, member)?;
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
        refused(&GOOD.replace("\"timestamp\":", "\"timestamp\":1,\"timestamp\":"));
        refused(&GOOD.replace("\"extensions\":\"\",", ""));
        refused(&GOOD.replace("1795262400250", "-1"));
        refused(&GOOD.replace("1795262400250", "1.5"));
        refused(&GOOD.replace("1795262400250", "18446744073709551616"));
        assert_eq!(answer(b"\n{"), Err(SctError::CutShort { octets: 2 }));
    }

    #[test]
    fn a_list_of_the_right_values_is_no_object() {
        let id = STANDARD.encode([1; 32]);
        let list = format!(r#"[0,"{id}",1795262400250,"","BAMAAQk="]"#);
        for other in [&list, "null", "7"] {
            assert_eq!(answer(other.as_bytes()), Err(SctError::NotAnObject));
        }
        let head = format!(r#"[7,8,"{id}","BAMAAQk="]"#);
        let refused = head_answer(head.as_bytes()).unwrap_err();
        assert_eq!(refused, SctError::NotAnObject);
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused_in_any_member() {
        let extra = |value: &str| with("{", &format!("{{\"x\":{value},"));
        assert!(extra(r#"{"a":1,"b":[[[[[[]]]]]]}"#).is_ok());
        for value in [
            r#"1,"x":2"#,
            r#"{"a":1,"a":2}"#,
            "[[[[[[[[]]]]]]]]",
            r#"1,"timestamp":2"#,
        ] {
            assert_eq!(extra(value).unwrap_err().word(), "answer_malformed");
        }
        assert_eq!(extra(r#""\ud800""#).unwrap_err().word(), "answer_not_json");
    }

    #[test]
    fn the_size_limit_is_exact() {
        let pad = |len: usize| format!("{GOOD}{}", " ".repeat(len - GOOD.len()));
        assert_eq!(answer(pad(MAX_ANSWER_BYTES).as_bytes()), Ok(sct()));
        assert_eq!(
            answer(pad(MAX_ANSWER_BYTES + 1).as_bytes()),
            Err(SctError::AnswerTooLarge {
                max: MAX_ANSWER_BYTES
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
