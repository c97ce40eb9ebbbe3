//! `[server]`.

use super::{ISSUER, LOG, full, judge, twins};

#[test]
fn each_refused_value_has_a_twin_that_is_accepted() {
    let tls = |more: &str| {
        format!(
            "[server]\npublic_url = \"https://ca.example\"\ntls_chain = \"chain.pem\"\n\
             tls_key = \"key.pem\"\n{more}"
        )
    };
    // (key the error names, refused, accepted)
    twins([
        (
            "server.listen",
            full("[server]\nlisten = \"0.0.0.0:80\""),
            full("[server]\nlisten = \"0.0.0.0:80\"\ninsecure_plain_http = true"),
        ),
        (
            "server.listen",
            full("[server]\nlisten = \"localhost\""),
            full("[server]\nlisten = \"[::1]:80\""),
        ),
        (
            "server.listen",
            full("[server]\nlisten = \"0.0.0.0:80\""),
            full(&tls("listen = \"0.0.0.0:80\"")),
        ),
        (
            "server.tls_chain",
            full("[server]\ntls_key = \"key.pem\""),
            full(&tls("")),
        ),
        (
            "server.tls_key",
            full("[server]\ntls_chain = \"chain.pem\""),
            full(&tls("")),
        ),
        (
            "server.insecure_plain_http",
            full(&tls("insecure_plain_http = true")),
            full(&tls("insecure_plain_http = false")),
        ),
        (
            "server.public_url",
            full(&tls("").replace("https:", "http:")),
            full(&tls("")),
        ),
        (
            "server.trusted_hops",
            full("[server]\ntrusted_hops = [\"10.0.0.0\", \"10.0.0.1/8\"]"),
            full("[server]\ntrusted_hops = [\"10.0.0.0\", \"10.0.0.0/8\", \"fd00::/64\"]"),
        ),
        (
            "server.trusted_hops",
            full("[server]\ntrusted_hops = [\"0.0.0.0/0\"]"),
            full("[server]\ntrusted_hops = [\"128.0.0.0/1\"]"),
        ),
        (
            "server.trusted_hops",
            full("[server]\ntrusted_hops = [\"proxy.example\"]"),
            full("[server]\ntrusted_hops = [\"::1\"]"),
        ),
        (
            "server.trusted_hops",
            full("[server]\nproxy_protocol = true"),
            full("[server]\nproxy_protocol = true\ntrusted_hops = [\"127.0.0.1\"]"),
        ),
        (
            "server.ops_listen",
            full("[server]\nops_listen = \"10.0.0.1:80\""),
            full("[server]\nops_listen = \"127.0.0.2:80\""),
        ),
        (
            "server.public_url",
            full("[server]\npublic_url = \"https://ca.example/prefix\""),
            full("[server]\npublic_url = \"https://ca.example/\""),
        ),
        (
            "server.connections_per_address",
            full("[server]\nconnections_per_address = 0"),
            full("[server]\nconnections_per_address = 1"),
        ),
        (
            "server.drain",
            full("[server]\ndrain = \"soon\""),
            full("[server]\ndrain = \"5s\""),
        ),
        (
            "server.insecure_plain_http",
            full("[server]\ninsecure_plain_http = \"yes\""),
            full("[server]\ninsecure_plain_http = true"),
        ),
        (
            "server.ops_listen",
            full("[server]\nlisten = \"127.0.0.1:9\"\nops_listen = \"127.0.0.1:9\""),
            full("[server]\nlisten = \"127.0.0.1:9\"\nops_listen = \"127.0.0.2:9\""),
        ),
        (
            "server.ops_listen",
            full(&tls("listen = \"0.0.0.0:9\"\nops_listen = \"127.0.0.1:9\"")),
            full(&tls("listen = \"0.0.0.0:9\"\nops_listen = \"127.0.0.1:8\"")),
        ),
        (
            "server.ops_listen",
            full("[server]\nlisten = \"127.0.0.1:9\"\nops_listen = \"127.0.0.1:9\""),
            full("[server]\nlisten = \"127.0.0.1:0\"\nops_listen = \"127.0.0.1:0\""),
        ),
    ]);
}

#[test]
fn a_public_url_of_loopback_is_warned_of_where_others_connect() {
    let warnings = |listen: &str, url: &str| {
        let tls = "tls_chain = \"c\"\ntls_key = \"k\"";
        let server = format!("[server]\nlisten = {listen:?}\npublic_url = {url:?}\n{tls}\n");
        let mut warnings = judge(&format!("{server}{ISSUER}{LOG}")).unwrap().warnings;
        warnings.retain(|warning| warning.starts_with("server.public_url"));
        warnings
    };
    let [warning] = &warnings("0.0.0.0:443", "https://127.0.0.1")[..] else {
        panic!("not one warning");
    };
    assert_eq!(
        warning,
        "server.public_url = \"https://127.0.0.1\" leads each client to itself, and server.listen = \
         0.0.0.0:443 is for others: the trust files name the wrong place"
    );
    assert!(warnings("0.0.0.0:443", "https://ca.example").is_empty());
    assert!(warnings("127.0.0.1:443", "https://localhost").is_empty());
}

#[test]
fn one_address_has_a_share_of_the_connections_unless_all_have_the_same() {
    let share = |server: &str| {
        let text = format!("[server]\n{server}\n{ISSUER}{LOG}");
        judge(&text).unwrap().server.connections_per_address
    };
    let open = "listen = \"0.0.0.0:80\"\ninsecure_plain_http = true\n";
    assert_eq!(share(open), Some(256));
    assert_eq!(share("listen = \"[::1]:80\""), None);
    assert_eq!(share("connections_per_address = 7"), Some(7));
}
