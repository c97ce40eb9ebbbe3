//! Whether a text has the shape of a token, asked before it is sent to anybody: what it is not may
//! be somebody's private key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::token::MAX_TOKEN_BYTES;

/// Why a text is not a JWS compact serialization (RFC 7515 §3.1). Says nothing of its content.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotAToken {
    /// Nothing, or blanks.
    #[error("is empty")]
    Empty,
    /// A key, a certificate, a request.
    #[error("is a PEM file, not a token")]
    Pem,
    /// Over [`MAX_TOKEN_BYTES`].
    #[error("has {bytes} bytes, a token has at most {MAX_TOKEN_BYTES}")]
    TooLong {
        /// How many.
        bytes: usize,
    },
    /// Dots in the wrong number.
    #[error("is not three parts with two dots between them: it has {dots}")]
    NotThreeParts {
        /// How many.
        dots: usize,
    },
    /// A part that is empty, or holds other characters.
    #[error("is no token: its part {part} is not base64url")]
    NotBase64Url {
        /// Counted from 1.
        part: usize,
    },
}

/// Three parts of base64url, not too long. What they hold is the server's to judge.
pub fn of_a_token(text: &str) -> Result<(), NotAToken> {
    if text.is_empty() {
        return Err(NotAToken::Empty);
    }
    if text.starts_with("-----BEGIN ") {
        return Err(NotAToken::Pem);
    }
    if text.len() > MAX_TOKEN_BYTES {
        return Err(NotAToken::TooLong { bytes: text.len() });
    }
    let dots = text.bytes().filter(|byte| *byte == b'.').count();
    if dots != 2 {
        return Err(NotAToken::NotThreeParts { dots });
    }
    for (part, number) in text.split('.').zip(1..) {
        if part.is_empty() || URL_SAFE_NO_PAD.decode(part).is_err() {
            return Err(NotAToken::NotBase64Url { part: number });
        }
    }
    Ok(())
}

/// Whether a text is a token beyond doubt: it has the shape of one, and its header begins as an
/// object does. A file's name may have three parts with dots between them.
pub fn is_token(text: &str) -> bool {
    // `{"` in base64url.
    text.starts_with("eyJ") && of_a_token(text).is_ok()
}
