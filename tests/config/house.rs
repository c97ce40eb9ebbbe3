//! The CA, its logs, its state and its own log: everything but listeners and issuers.

use super::{ISSUER, LOG, full, judge, twins};

#[test]
fn each_refused_value_has_a_twin_that_is_accepted() {
    // (key the error names, refused, accepted)
    twins([
        (
            "crypto.fixed_key_tables",
            full("[crypto]\nfixed_key_tables = \"off\""),
            full("[crypto]\nfixed_key_tables = false"),
        ),
        (
            "state.store",
            full("[state]\nstore = \"memory\""),
            full("[state]\nstore = \"memory\"\ninsecure_memory_store = true"),
        ),
        (
            "state.store",
            full("[state]\nstore = \"mysql\""),
            full("[state]\nstore = \"redb\""),
        ),
        (
            "state.retention",
            full("[state]\nretention = \"47h\""),
            full("[state]\nretention = \"2d\""),
        ),
        (
            "ca.lifetime",
            full("[ca]\nlifetime = \"30s\""),
            full("[ca]\nlifetime = \"1m\""),
        ),
        (
            "ca.lifetime",
            full("[ca]\nlifetime = \"25h\""),
            full("[ca]\nlifetime = \"24h\""),
        ),
        (
            "ca.backdate",
            full("[ca]\nbackdate = \"31s\""),
            full("[ca]\nbackdate = \"30s\""),
        ),
        (
            "ca.crl_url",
            full("[ca]\ncrl_url = \"https://ca.example/crl\""),
            full("[ca]\ncrl_url = \"http://ca.example/crl\""),
        ),
        (
            "ca.profile",
            full("[ca]\nprofile = \"a b\""),
            full("[ca]\nprofile = \"a-b\""),
        ),
        (
            "ca.algorithms",
            full("[ca]\nalgorithms = [\"rsa-sign-pss-2048-sha256\"]"),
            full("[ca]\nalgorithms = [\"rsa-sign-pkcs1-2048-sha256\"]"),
        ),
        (
            "ca.algorithms",
            full("[ca]\nalgorithms = []"),
            full("[ca]\nalgorithms = [\"ed25519\"]"),
        ),
        (
            "ca.encoder",
            full("[ca]\nencoder = \"openssl\""),
            full("[ca]\nencoder = \"rcgen\""),
        ),
        (
            "ct.mode",
            full("[ct]\nmode = \"off\""),
            format!("[ct]\nmode = \"off\"\n{ISSUER}"),
        ),
        (
            "ct.mode",
            full("[ct]\nmode = \"\""),
            full("[ct]\nmode = \"required\""),
        ),
        ("ct.log", ISSUER.to_owned(), full("")),
        (
            "ct.deadline",
            full("[ct]\ndeadline = \"61s\""),
            full("[ct]\ndeadline = \"60s\""),
        ),
        (
            "ct.log[0].kind",
            format!("{ISSUER}[[ct.log]]\nkind = \"memory\"\nname = \"m\"\n"),
            format!(
                "[ct]\ninsecure_memory_log = true\n{ISSUER}[[ct.log]]\nkind = \"memory\"\nname = \"m\"\n"
            ),
        ),
        (
            "ct.log[0].key",
            full("").replace("key = \"log.pub.pem\"\n", ""),
            full(""),
        ),
        (
            "ct.log[1].name",
            format!("{ISSUER}{LOG}{LOG}"),
            format!("{ISSUER}{LOG}{}", LOG.replace("\"log\"", "\"log2\"")),
        ),
        (
            "ct.log[0].key",
            full("").replace("\"log.pub.pem\"", "[\"log.pub.pem\"]"),
            full(""),
        ),
        (
            "ct.log[0].name",
            full("").replace("name = \"log\"\n", ""),
            full(""),
        ),
        (
            "log.level",
            full("[log]\nlevel = \"verbose\""),
            full("[log]\nlevel = \"Debug\""),
        ),
        (
            "log.level",
            full("[log]\nlevel = \"info,hyper=loud\""),
            full("[log]\nlevel = \"info,hyper=warn,shortleaf[request]=trace\""),
        ),
        (
            "log.level",
            full("[log]\nlevel = \"\""),
            full("[log]\nlevel = \"off\""),
        ),
        (
            "rate_limits.per_address",
            full("[rate_limits]\nper_address = \"0/s\""),
            full("[rate_limits]\nper_address = \"1/s\""),
        ),
        (
            "rate_limits.per_issuer",
            full("[rate_limits]\nper_issuer = \"100 per second\""),
            full("[rate_limits]\nper_issuer = \"off\""),
        ),
        (
            "rate_limits.per_identity",
            full("[rate_limits]\nper_identity = 20"),
            full("[rate_limits]\nper_identity = \"20/m\""),
        ),
        (
            "rate_limits.per_identity_burst",
            full("[rate_limits]\nper_identity_burst = 0"),
            full("[rate_limits]\nper_identity_burst = 1"),
        ),
        (
            "rate_limits.per_address_burst",
            full("[rate_limits]\nper_address = \"1/h\"\nper_address_burst = 25"),
            full("[rate_limits]\nper_address = \"1/h\"\nper_address_burst = 24"),
        ),
        (
            "rate_limits.ipv6_prefix",
            full("[rate_limits]\nipv6_prefix = 31"),
            full("[rate_limits]\nipv6_prefix = 32"),
        ),
        (
            "log.format",
            full("[log]\nformat = \"xml\""),
            full("[log]\nformat = \"text\""),
        ),
    ]);
}

#[test]
fn insecure_choices_warn_in_words() {
    let settings = judge(&format!(
        "[server]\nlisten = \"0.0.0.0:80\"\ninsecure_plain_http = true\n[ct]\nmode = \"off\"\n{}",
        ISSUER.replace("audiences", "accept_shared_audience = true\naudiences")
    ))
    .expect("admitted");
    // Three switches, and where the trust files would send everybody.
    assert_eq!(settings.warnings.len(), 5, "{:?}", settings.warnings);
}
