//! Why `cert` has no certificate: the exit code, the word for programs, and what to try.

use std::error::Error as StdError;
use std::iter;
use std::path::Path;

use crate::cli::exit::Exit;
use crate::cli::output::Failure;
use crate::client;

const SERVER_RIGHT: &str = "is --server (SHORTLEAF_SERVER) right, and up?";
const WANTS_TLS: &str = "does the server speak TLS? then --server begins with https://";
/// Whoever has a root of his own meets this one first.
const OWN_ROOT: &str = "where this machine does not know the root of the server's TLS certificate: SSL_CERT_FILE=root.pem";

/// The end of a request without a certificate.
pub(super) fn of(error: &client::Error) -> Failure {
    let (exit, hint) = match error {
        client::Error::Refused {
            status,
            reason,
            retry_after_s,
            ..
        } => return refused(error, *status, reason, *retry_after_s),
        client::Error::Unreachable { .. } if wants_tls(error) => (Exit::Network, WANTS_TLS),
        client::Error::Unreachable { .. } => (Exit::Network, SERVER_RIGHT),
        client::Error::Untrusted { .. } => (Exit::Untrusted, OWN_ROOT),
        client::Error::NoRequest => {
            let hint = "--csr wants a CERTIFICATE REQUEST (PEM)";
            // What the server would have said, without spending the token on it.
            return in_the_servers_words(
                Failure::from_error(Exit::Usage, error).hint(hint),
                "CSR_MALFORMED",
            );
        }
        client::Error::OtherKey { .. } => (
            Exit::Unexpected,
            "do not use it; tell the server's operator",
        ),
        client::Error::Setup(_) => (
            Exit::Unexpected,
            "a machine without certificate authorities: install them, or SSL_CERT_FILE=roots.pem",
        ),
        client::Error::BadAnswer { .. } | client::Error::TooLarge { .. } => {
            (Exit::Unexpected, SERVER_RIGHT)
        }
    };
    Failure::from_error(exit, error).hint(hint)
}

/// The same where the token may be spent on the key at `kept`: with it, asking again gets the answer.
pub(super) fn with_key(error: &client::Error, kept: &Path) -> Failure {
    let wait = if let client::Error::Refused {
        retry_after_s: Some(seconds),
        ..
    } = error
    {
        format!("in {seconds} s, ")
    } else {
        String::new()
    };
    let tls = match wants_tls(error) {
        true => format!("{WANTS_TLS}; "),
        false => String::new(),
    };
    of(error).hint(format!("{tls}{wait}again with --key {}", kept.display()))
}

/// Whether the server may have made a certificate that did not reach us.
pub(super) fn may_have_issued(error: &client::Error) -> bool {
    match error {
        client::Error::Setup(_)
        | client::Error::Untrusted { .. }
        | client::Error::NoRequest
        | client::Error::OtherKey { .. } => false,
        client::Error::Unreachable { source, .. } => !source.is_connect(),
        client::Error::Refused { status, .. } => *status >= 500,
        client::Error::BadAnswer { .. } | client::Error::TooLarge { .. } => true,
    }
}

/// The same failure under a word of docs/errors.md.
pub(super) fn in_the_servers_words(failure: Failure, code: &str) -> Failure {
    Failure {
        code: code.to_owned(),
        doc: "docs/errors.md",
        ..failure
    }
}

/// The server's reason decides the exit code and what to try.
fn refused(error: &client::Error, status: u16, reason: &str, wait_s: Option<u64>) -> Failure {
    let exit = match reason {
        "RULE_REFUSED" | "ISSUANCE_BLOCKED" => Exit::Refused,
        "CT_LOG_REJECTED" => Exit::LogProof,
        "EMAIL_UNVERIFIED" => Exit::Credentials,
        r if r.starts_with("TOKEN_") || r.starts_with("CLAIM_") => Exit::Credentials,
        _ if matches!(status, 429 | 503) => Exit::Network,
        _ if status == 400 => Exit::Usage,
        _ => Exit::Unexpected,
    };
    let hint = match wait_s {
        Some(seconds) => format!("again in {seconds} s"),
        None => advice(reason).to_owned(),
    };
    in_the_servers_words(Failure::from_error(exit, error).hint(hint), reason)
}

/// What the caller can do about a reason.
fn advice(reason: &str) -> &'static str {
    match reason {
        "TOKEN_EXPIRED" | "TOKEN_TOO_OLD" => "get a fresh token right before it is used",
        "TOKEN_REPLAYED" => "get a fresh token, or give the key of the first time with --key",
        "TOKEN_MALFORMED" => "is the token complete, and nothing else in its file?",
        "TOKEN_ISSUER_UNKNOWN" => "GET /api/v2/configuration lists the issuers this server trusts",
        "TOKEN_AUDIENCE_MISMATCH" => {
            "ask for a token with the audience this server wants: --audience"
        }
        "ROUTE_UNKNOWN" => "does --server carry a path? It is https://HOST alone",
        "TOKEN_NOT_YET_VALID" => "compare this machine's clock with the issuer's and the server's",
        "ALGORITHM_NOT_PERMITTED" => "--new-key makes a P-256 key, which every server takes",
        "RULE_REFUSED" => {
            "shortleaf rules explain TOKEN, beside the server's configuration, shows each rule: docs/rules.md"
        }
        _ => "docs/errors.md explains each reason",
    }
}

/// Whether what came back over plain http was no HTTP: so a TLS server's alert reads.
fn wants_tls(error: &client::Error) -> bool {
    let client::Error::Unreachable { url, source } = error else {
        return false;
    };
    let mut causes = iter::successors(source.source(), |&cause| cause.source());
    let is_no_http = |cause: &(dyn StdError + 'static)| {
        let cause = cause.downcast_ref::<hyper::Error>();
        cause.is_some_and(hyper::Error::is_parse)
    };
    url.starts_with("http://") && causes.any(is_no_http)
}
