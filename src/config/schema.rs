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
    /// Strings by names of the reader's own; in the file only.
    Texts,
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
    setting("server.connections_per_address", Kind::Integer, None),
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
    setting("identity.rules", Kind::Text, None),
    setting("identity.fulcio_config", Kind::Text, None),
    setting("identity.fulcio_max_token_age", Kind::Text, Some("\"1h\"")),
    setting(
        "identity.fulcio_certificates_per_token",
        Kind::Integer,
        Some("16"),
    ),
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
    /// The default, as TOML; `None` for what is needed or may be absent.
    pub default: Option<&'static str>,
}

const fn needed(key: &'static str, kind: Kind, what_for: &'static str) -> Member {
    Member {
        key,
        kind,
        needed_for: Some(what_for),
        default: None,
    }
}

const fn optional(key: &'static str, kind: Kind, default: Option<&'static str>) -> Member {
    Member {
        key,
        kind,
        needed_for: None,
        default,
    }
}

/// All repeated tables.
pub const REPEATED: &[Repeated] = &[
    Repeated {
        table: "ct.log",
        members: &[
            needed("kind", Kind::Text, "how the log is spoken to: \"rfc6962\""),
            needed("name", Kind::Text, "a short name for logs and metrics"),
            optional("url", Kind::Text, None),
            optional("key", Kind::Text, None),
            optional("host", Kind::Text, None),
            optional("ca_file", Kind::Text, None),
        ],
    },
    Repeated {
        table: "issuer",
        members: &[
            optional("url", Kind::Text, None),
            optional("preset", Kind::Text, None),
            optional("type", Kind::Text, None),
            optional("audiences", Kind::List, None),
            optional("accept_shared_audience", Kind::Bool, Some("false")),
            optional("max_token_age", Kind::Text, None),
            optional("max_token_lifetime", Kind::Text, None),
            optional("certificates_per_token", Kind::Integer, None),
            optional("jwks_file", Kind::Text, None),
            optional("ca_file", Kind::Text, None),
            optional("jwks_hosts", Kind::List, Some("[]")),
            optional("discovery_url", Kind::Text, None),
            optional("bearer_token_file", Kind::Text, None),
            optional("issuer_claim", Kind::Text, None),
            optional("subject_domain", Kind::Text, None),
            optional("spiffe_trust_domain", Kind::Text, None),
            optional("ci_provider", Kind::Text, None),
            optional("skip_email_verification", Kind::Bool, Some("false")),
            optional("allow_private_network", Kind::Bool, Some("false")),
            optional("insecure_loopback_http", Kind::Bool, Some("false")),
        ],
    },
    Repeated {
        table: "ci_provider",
        members: &[
            needed("name", Kind::Text, "what issuers call it by ci_provider"),
            needed(
                "san",
                Kind::Text,
                "the template of the name in its certificates, a URL",
            ),
            optional("required_claims", Kind::List, Some("[]")),
            optional("default_values", Kind::Texts, Some("{}")),
            // A template for each Fulcio extension that is not the token's own.
            optional("github_workflow_trigger", Kind::Text, None),
            optional("github_workflow_sha", Kind::Text, None),
            optional("github_workflow_name", Kind::Text, None),
            optional("github_workflow_repository", Kind::Text, None),
            optional("github_workflow_ref", Kind::Text, None),
            optional("build_signer_uri", Kind::Text, None),
            optional("build_signer_digest", Kind::Text, None),
            optional("runner_environment", Kind::Text, None),
            optional("source_repository_uri", Kind::Text, None),
            optional("source_repository_digest", Kind::Text, None),
            optional("source_repository_ref", Kind::Text, None),
            optional("source_repository_identifier", Kind::Text, None),
            optional("source_repository_owner_uri", Kind::Text, None),
            optional("source_repository_owner_identifier", Kind::Text, None),
            optional("build_config_uri", Kind::Text, None),
            optional("build_config_digest", Kind::Text, None),
            optional("build_trigger", Kind::Text, None),
            optional("run_invocation_uri", Kind::Text, None),
            optional("source_repository_visibility_at_signing", Kind::Text, None),
            optional("deployment_environment", Kind::Text, None),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_has_one_variable() {
        assert_eq!(variable("ca.crl_url"), "SHORTLEAF_CA_CRL_URL");
    }
}
