//! A stand-in until `x509::pem` reads: same shape, same rules.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub(super) struct Block {
    pub(super) label: String,
    pub(super) der: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Malformed;

pub(super) fn decode(text: &str) -> Result<Vec<Block>, Malformed> {
    let mut lines = text.trim_ascii().lines().map(|line| line.trim_ascii_end());
    let mut blocks = Vec::new();
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let label = line
            .strip_prefix("-----BEGIN ")
            .and_then(|rest| rest.strip_suffix("-----"))
            .ok_or(Malformed)?;
        let end = format!("-----END {label}-----");
        let mut body = String::new();
        loop {
            match lines.next().ok_or(Malformed)? {
                line if line == end => break,
                line => body.push_str(line),
            }
        }
        blocks.push(Block {
            label: label.to_owned(),
            der: STANDARD.decode(body).map_err(|_| Malformed)?,
        });
    }
    Ok(blocks)
}
