//! Requests minted before any clock starts: a new token, `jti`, repository and P-256 key each.
//!
//! A repeated token would measure the idempotent retry, a repeated key the key cache.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::issuer::{self, Alg, Issuer};
use crate::primitives::TokenAlgorithm;
use crate::subject::{Kind, Subject};

/// What the answer to one request has to say.
#[derive(Clone)]
pub(crate) struct Expected {
    /// The key it must certify.
    pub(crate) spki_der: Vec<u8>,
    /// The repository it must name.
    pub(crate) repository: String,
}

/// A file of HTTP requests, and what to expect of each answer.
pub(crate) struct Minted {
    pub(crate) expected: Vec<Expected>,
    /// Octets of the first token.
    pub(crate) token_bytes: usize,
}

/// Mints `count` requests for the REST v2 door into `file`: length, octets, and so on.
pub(crate) fn mint(
    issuer: &Issuer,
    algorithm: TokenAlgorithm,
    count: usize,
    file: &Path,
) -> io::Result<Minted> {
    let now = issuer::wall_clock();
    let workers = crate::cpu::cores();
    let share = count.div_ceil(workers);
    let parts: Vec<Vec<(String, Vec<u8>, Expected)>> = thread::scope(|scope| {
        let work = |worker: usize| {
            let range = worker * share..((worker + 1) * share).min(count);
            scope.spawn(move || range.map(|n| one(issuer, algorithm, n, now)).collect())
        };
        let running: Vec<_> = (0..workers).map(work).collect();
        running
            .into_iter()
            .map(|thread| thread.join().expect("minting does not fail"))
            .collect()
    });

    let mut out = io::BufWriter::new(fs::File::create(file)?);
    let mut minted = Minted {
        expected: Vec::with_capacity(count),
        token_bytes: 0,
    };
    for (token, request, expected) in parts.into_iter().flatten() {
        if minted.token_bytes == 0 {
            minted.token_bytes = token.len();
        }
        let length = u32::try_from(request.len()).expect("a request is small");
        out.write_all(&length.to_be_bytes())?;
        out.write_all(&request)?;
        minted.expected.push(expected);
    }
    out.flush()?;
    Ok(minted)
}

fn one(
    issuer: &Issuer,
    algorithm: TokenAlgorithm,
    number: usize,
    now: i64,
) -> (String, Vec<u8>, Expected) {
    let repository = format!("octo-org/app-{number}");
    let subject = format!("repo:{repository}:ref:refs/heads/main");
    let mut claims = issuer::github_claims();
    issuer::merge(
        &mut claims,
        json!({
            "sub": subject,
            "repository": repository,
            "repository_id": (700_000_000 + number).to_string(),
            "run_id": (6_500_000_000_usize + number).to_string(),
        }),
    );
    let alg = match algorithm {
        TokenAlgorithm::Rs256 => Alg::Rs256,
        TokenAlgorithm::Es256 => Alg::Es256,
    };
    let token = issuer.token_with(alg, claims, now);
    let key = Subject::generate(Kind::P256);
    let body = json!({
        "credentials": { "oidcIdentityToken": token },
        "publicKeyRequest": {
            "publicKey": { "algorithm": "ECDSA", "content": key.spki_pem() },
            "proofOfPossession": STANDARD.encode(key.prove(&subject)),
        },
    })
    .to_string();
    let request = format!(
        "POST /api/v2/signingCert HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let expected = Expected {
        spki_der: key.spki_der().to_vec(),
        repository,
    };
    (token, request.into_bytes(), expected)
}

/// The requests of a file, in order.
pub(crate) fn read(file: &Path) -> io::Result<Vec<Vec<u8>>> {
    let bytes = fs::read(file)?;
    let mut rest = &bytes[..];
    let mut requests = Vec::new();
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        requests.push(tail[..length].to_vec());
        rest = &tail[length..];
    }
    Ok(requests)
}
