//! Every key there is: its type, its default, whether it is secret.

/// What a value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string (paths, addresses, durations and words among them).
    Text,
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Integer,
    /// A list of strings; in the environment separated by commas.
    List,
}

/// One setting outside the repeated tables.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Dotted path in the file.
    pub key: &'static str,
    /// Its type.
    pub kind: Kind,
    /// The default, as TOML; `None` for settings that may be absent.
    pub default: Option<&'static str>,
    /// Shown as `(hidden)`.
    pub secret: bool,
}

const fn setting(key: &'static str, kind: Kind, default: Option<&'static str>) -> Setting {
    Setting {
        key,
        kind,
        default,
        secret: false,
    }
}

/// All single settings, in the order of the file.
pub const SETTINGS: &[Setting] = &[
    setting("server.listen", Kind::Text, Some("\"127.0.0.1:8080\"")),
    setting("server.ops_listen", Kind::Text, Some("\"127.0.0.1:2112\"")),
    setting(
        "server.public_url",
        Kind::Text,
        Some("\"http://127.0.0.1:8080\""),
    ),
    setting("server.tls_chain", Kind::Text, None),
    setting("server.tls_key", Kind::Text, None),
    setting("server.insecure_plain_http", Kind::Bool, Some("false")),
    setting("server.trusted_hops", Kind::List, Some("[]")),
    setting("server.proxy_protocol", Kind::Bool, Some("false")),
    setting("server.drain", Kind::Text, Some("\"20s\"")),
    setting("state.dir", Kind::Text, Some("\"./state\"")),
    setting("state.store", Kind::Text, Some("\"redb\"")),
    setting("state.insecure_memory_store", Kind::Bool, Some("false")),
    setting("state.retention", Kind::Text, None),
    setting("ca.chain", Kind::Text, Some("\"./ca/chain.pem\"")),
    setting("ca.key", Kind::Text, Some("\"./ca/issuing.key.pem\"")),
    setting("ca.passphrase_file", Kind::Text, None),
    Setting {
        key: "ca.passphrase",
        kind: Kind::Text,
        default: None,
        secret: true,
    },
    setting("ca.profile", Kind::Text, Some("\"leaf-v1\"")),
    setting("ca.lifetime", Kind::Text, Some("\"10m\"")),
    setting("ca.backdate", Kind::Text, Some("\"0s\"")),
    setting("ca.crl_url", Kind::Text, None),
    setting(
        "ca.algorithms",
        Kind::List,
        Some(
            r#"["ecdsa-sha2-256-nistp256", "ecdsa-sha2-384-nistp384", "ecdsa-sha2-512-nistp521", "rsa-sign-pkcs1-2048-sha256", "rsa-sign-pkcs1-3072-sha256", "rsa-sign-pkcs1-4096-sha256", "ed25519"]"#,
        ),
    ),
    setting("ca.encoder", Kind::Text, Some("\"template\"")),
    setting("ca.weak_keys", Kind::Text, None),
    setting("ct.mode", Kind::Text, Some("\"required\"")),
    setting("ct.deadline", Kind::Text, Some("\"4s\"")),
    setting("ct.insecure_memory_log", Kind::Bool, Some("false")),
    setting("crypto.fixed_key_tables", Kind::Bool, Some("true")),
    setting("rate_limits.per_address", Kind::Text, Some("\"100/s\"")),
    setting("rate_limits.per_address_burst", Kind::Integer, Some("1000")),
    setting("rate_limits.ipv6_prefix", Kind::Integer, Some("64")),
    setting("rate_limits.per_issuer", Kind::Text, Some("\"off\"")),
    setting("rate_limits.per_issuer_burst", Kind::Integer, Some("5000")),
    setting("rate_limits.per_identity", Kind::Text, Some("\"20/s\"")),
    setting("rate_limits.per_identity_burst", Kind::Integer, Some("500")),
    setting("log.format", Kind::Text, Some("\"json\"")),
    setting("log.level", Kind::Text, Some("\"info\"")),
];

/// A table that may be given several times, and its keys. Only the file can hold one.
#[derive(Clone, Copy, Debug)]
pub struct Repeated {
    /// Dotted path of the array.
    pub table: &'static str,
    /// The keys inside.
    pub members: &'static [Member],
}

/// One key of a repeated table. None of them is secret.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// Its name inside the table.
    pub key: &'static str,
    /// Its type.
    pub kind: Kind,
    /// What it is for, if the table cannot do without it.
    pub needed_for: Option<&'static str>,
}

const fn needed(key: &'static str, kind: Kind, what_for: &'static str) -> Member {
    Member {
        key,
        kind,
        needed_for: Some(what_for),
    }
}

const fn optional(key: &'static str, kind: Kind) -> Member {
    Member {
        key,
        kind,
        needed_for: None,
    }
}

/// All repeated tables.
pub const REPEATED: &[Repeated] = &[
    Repeated {
        table: "ct.log",
        members: &[
            needed("kind", Kind::Text, "how the log is spoken to: \"rfc6962\""),
            needed("name", Kind::Text, "a short name for logs and metrics"),
            optional("url", Kind::Text),
            optional("key", Kind::Text),
            optional("host", Kind::Text),
            optional("ca_file", Kind::Text),
        ],
    },
    Repeated {
        table: "issuer",
        members: &[
            needed("url", Kind::Text, "the `iss` of its tokens, byte for byte"),
            needed(
                "type",
                Kind::Text,
                "what its claims mean: \"github-workflow\" or \"email\"",
            ),
            needed("audiences", Kind::List, "the `aud` a token must carry"),
            optional("accept_shared_audience", Kind::Bool),
            optional("max_token_age", Kind::Text),
            optional("max_token_lifetime", Kind::Text),
            optional("certificates_per_token", Kind::Integer),
            optional("jwks_file", Kind::Text),
            optional("ca_file", Kind::Text),
            optional("jwks_hosts", Kind::List),
            optional("skip_email_verification", Kind::Bool),
            optional("allow_private_network", Kind::Bool),
            optional("insecure_loopback_http", Kind::Bool),
        ],
    },
];

/// The setting of this key.
pub fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

/// The environment variable of a setting: `ca.crl_url` is `SHORTLEAF_CA_CRL_URL`.
pub fn variable(key: &str) -> String {
    format!("SHORTLEAF_{}", key.replace('.', "_").to_uppercase())
}

/// The candidate closest to `word`, if one is close enough to be what was meant.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(far, candidate)| *far <= candidate.len().max(word.len()) / 2)
        .min_by_key(|(far, _)| *far)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance over bytes: keys are ASCII, and short.
fn distance(a: &str, b: &str) -> usize {
    let b = b.as_bytes();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_key() {
        let keys = SETTINGS.iter().map(|s| s.key);
        assert_eq!(
            nearest("server.lissten", keys.clone()),
            Some("server.listen")
        );
        assert_eq!(nearest("completely different words", keys), None);
    }

    #[test]
    fn a_setting_has_one_variable() {
        assert_eq!(variable("ca.crl_url"), "SHORTLEAF_CA_CRL_URL");
    }
}
