//! Where connections go, over TLS, with names whose addresses the test decides.

use serde_json::json;

use super::dns::Names;
use super::provider::Provider;
use super::{KEYS, METADATA, PACE, failure, is_alone, jwk};
use crate::token::discovery::*;

const HOST: &str = "issuer.example";

fn keys(config: IssuerKeysConfig, answers: &[&[&str]]) -> (HttpKeys, Arc<Names>) {
    let names = Arc::new(Names::new(answers));
    let keys = HttpKeys::with_pace(vec![config], names.clone(), PACE).unwrap();
    (keys, names)
}

async fn ask(keys: &HttpKeys, provider: &Provider) -> Result<Arc<VerificationKey>, KeyError> {
    keys.key(&provider.issuer(), Some("k1"), Algorithm::Es256)
        .await
}

#[tokio::test]
async fn a_host_with_an_address_out_of_reach_is_not_connected_to() {
    let provider = Provider::start_tls(HOST, json!([jwk("k1")])).await;
    let closed = IssuerKeysConfig {
        allow_private_network: false,
        ..provider.config()
    };
    for (answer, why) in [
        (&["127.0.0.1"][..], "127.0.0.1, a loopback address"),
        (&["10.0.0.1", "127.0.0.1"], "10.0.0.1, a private address"),
        (
            &["169.254.169.254"],
            "169.254.169.254, a link-local address",
        ),
        (&["::1"], "::1, a loopback address"),
        (
            &["::ffff:127.0.0.1"],
            "::ffff:127.0.0.1, an IPv4 address in IPv6 clothes",
        ),
        (&["0.0.0.0"], "0.0.0.0, no host's address"),
    ] {
        let (keys, names) = keys(closed.clone(), &[answer]);
        let told = failure(ask(&keys, &provider).await);
        let expected = format!("{HOST} has {why}, which is not allowed for this issuer");
        assert_eq!(told, expected);
        assert_eq!(names.asked(), 1);
    }
    assert_eq!(provider.connections(), 0);

    let (keys, _) = keys(provider.config(), &[&["127.0.0.1"]]);
    assert!(ask(&keys, &provider).await.is_ok());
}

/// Both documents come from the one address that was checked, though the name has another by then.
#[tokio::test]
async fn a_name_that_changes_within_a_fetch_changes_nothing() {
    let provider = Provider::start_tls(HOST, json!([jwk("k1")])).await;
    let (keys, names) = keys(provider.config(), &[&["127.0.0.1"], &["127.0.0.99"]]);
    assert!(ask(&keys, &provider).await.is_ok());
    assert_eq!(names.asked(), 1);
    assert_eq!((provider.asked(METADATA), provider.asked(KEYS)), (1, 1));
}

#[tokio::test]
async fn an_issuer_whose_host_is_an_address_is_held_to_the_same() {
    let provider = Provider::start_tls("127.0.0.1", json!([jwk("k1")])).await;
    let closed = IssuerKeysConfig {
        allow_private_network: false,
        ..provider.config()
    };
    let (closed, names) = keys(closed, &[]);
    assert_eq!(
        failure(ask(&closed, &provider).await),
        "127.0.0.1 has 127.0.0.1, a loopback address, which is not allowed for this issuer"
    );
    assert_eq!((provider.connections(), names.asked()), (0, 0));
    let (open, _) = keys(provider.config(), &[]);
    let answer = ask(&open, &provider).await;
    assert!(answer.is_ok(), "{answer:?}");
}

#[tokio::test]
async fn a_permission_is_one_issuers_and_not_its_neighbours() {
    let open = Provider::start_tls(HOST, json!([jwk("k1")])).await;
    let other = Provider::start_tls("other.example", json!([jwk("k1")])).await;
    let closed = IssuerKeysConfig {
        allow_private_network: false,
        ca_file: None,
        ..other.config()
    };
    let names = Arc::new(Names::new(&[&["127.0.0.1"]]));
    let keys = HttpKeys::with_pace(vec![open.config(), closed], names, PACE).unwrap();
    assert!(ask(&keys, &open).await.is_ok());
    let told = failure(ask(&keys, &other).await);
    assert!(told.starts_with("other.example has 127.0.0.1"), "{told}");
    assert_eq!(other.connections(), 0);
}

/// The host of a key set is allowed by the operator, its address is checked like any other.
#[tokio::test]
async fn a_key_sets_host_is_held_to_the_same() {
    let provider = Provider::start_tls("127.0.0.1", json!([])).await;
    let elsewhere = "https://keys.example:1";
    provider.answer_metadata("jwks_uri", format!("{elsewhere}/keys"));
    let config = IssuerKeysConfig {
        jwks_hosts: vec!["keys.example:1".to_owned()],
        ..provider.config()
    };
    let (keys, _) = keys(config, &[&["0.0.0.0"]]);
    assert_eq!(
        failure(ask(&keys, &provider).await),
        "keys.example has 0.0.0.0, no host's address, which is not allowed for this issuer"
    );
    assert_eq!(provider.asked(METADATA), 1);
}

#[tokio::test]
async fn plain_http_goes_to_this_machine_whatever_its_name_resolves_to() {
    let provider = Provider::start(json!([jwk("k1")])).await;
    let port = provider.url.rsplit(':').next().unwrap().to_owned();
    let issuer = IssuerUrl::new(&format!("http://localhost:{port}")).unwrap();
    let config = IssuerKeysConfig {
        allow_insecure_http_loopback: true,
        allow_private_network: true,
        ..IssuerKeysConfig::discovery(issuer.clone())
    };
    provider.answer_metadata("issuer", issuer.as_str());
    let (keys, _) = keys(config.clone(), &[&["10.0.0.1"]]);
    let told = failure(keys.key(&issuer, Some("k1"), Algorithm::Es256).await);
    assert_eq!(
        told,
        "localhost has 10.0.0.1, a private address, which is not allowed for this issuer"
    );
    assert_eq!(provider.connections(), 0);
    let mut metadata = provider.metadata();
    metadata["issuer"] = json!(issuer.as_str());
    metadata["jwks_uri"] = json!(format!("{issuer}{KEYS}"));
    provider.answer(METADATA, super::provider::ok(&metadata));
    let (keys, _) = self::keys(config, &[&["127.0.0.1"]]);
    let answer = keys.key(&issuer, Some("k1"), Algorithm::Es256).await;
    assert!(answer.is_ok(), "{answer:?}");
}

#[tokio::test]
async fn a_provider_proves_its_name_to_authorities_we_trust() {
    let provider = Provider::start_tls(HOST, json!([jwk("k1")])).await;
    let stranger = Provider::start_tls(HOST, json!([])).await;
    let misnamed = Provider::start_tls("other.example", json!([jwk("k1")])).await;
    let port = misnamed.url.rsplit(':').next().unwrap();
    let wrong_name = IssuerUrl::new(&format!("https://{HOST}:{port}")).unwrap();
    let here: &[&[&str]] = &[&["127.0.0.1"]];
    for (config, issuer) in [
        (
            IssuerKeysConfig {
                ca_file: None,
                ..provider.config()
            },
            provider.issuer(),
        ),
        (
            IssuerKeysConfig {
                ca_file: stranger.config().ca_file,
                ..provider.config()
            },
            provider.issuer(),
        ),
        (
            IssuerKeysConfig {
                issuer: wrong_name.clone().into(),
                ..misnamed.config()
            },
            wrong_name,
        ),
    ] {
        let (keys, _) = keys(config, here);
        let answer = keys.key(&issuer, Some("k1"), Algorithm::Es256).await;
        assert_eq!(
            failure(answer),
            format!("could not talk to {issuer}{METADATA}")
        );
    }
    assert_eq!(provider.asked(METADATA) + misnamed.asked(METADATA), 0);
    let (keys, _) = keys(provider.config(), here);
    assert!(ask(&keys, &provider).await.is_ok());
}

#[test]
fn the_environments_proxies_are_not_asked() {
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let variables = [
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
    ];
    let environment = variables.map(|variable| (variable, url.as_str()));
    if is_alone(
        "reach::the_environments_proxies_are_not_asked",
        &environment,
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        return runtime.block_on(async {
            let provider = Provider::start_tls(HOST, json!([jwk("k1")])).await;
            let (over_tls, _) = keys(provider.config(), &[&["127.0.0.1"]]);
            assert!(ask(&over_tls, &provider).await.is_ok());
            let provider = Provider::start(json!([jwk("k1")])).await;
            assert!(ask(&provider.keys(PACE), &provider).await.is_ok());
        });
    }
    let came = proxy.accept().map_err(|error| error.kind());
    assert_eq!(came.err(), Some(std::io::ErrorKind::WouldBlock));
}

#[tokio::test]
async fn a_name_without_an_address_is_the_providers_trouble() {
    let provider = Provider::start_tls(HOST, json!([])).await;
    for answers in [&[][..], &[&[][..]][..]] {
        let (keys, _) = keys(provider.config(), answers);
        let told = failure(ask(&keys, &provider).await);
        assert_eq!(
            told,
            format!("could not talk to {}{METADATA}", provider.url)
        );
    }
}
