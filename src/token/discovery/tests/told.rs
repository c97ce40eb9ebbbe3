//! What operators are told. Each test has a process to itself: what is logged where is decided once
//! for all threads of one.

use std::io::Write;

use serde_json::{Value as Json, json};
use tempfile::NamedTempFile;

use super::provider::{Provider, http};
use super::{KEYS, METADATA, PACE, failure, is_alone, jwk};
use crate::token::discovery::*;

/// Everything logged, as text.
#[derive(Clone, Default)]
struct Told(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Told {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Told {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[test]
fn a_key_that_is_left_out_is_told_and_a_published_secret_is_an_alarm() {
    let name = "told::a_key_that_is_left_out_is_told_and_a_published_secret_is_an_alarm";
    if !is_alone(name, &[]) {
        return;
    }
    let told = Told::default();
    let writer = told.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let mut private = jwk("private");
    private["d"] = json!("c2VjcmV0LWV4cG9uZW50");
    let mut other = jwk(&"x".repeat(10_000));
    other["use"] = json!("enc");
    let mut file = NamedTempFile::new().unwrap();
    let keys = json!({ "keys": [jwk("good"), private, other] });
    write!(file, "{keys}").unwrap();
    let config = IssuerKeysConfig {
        source: KeysFrom::JwksFile(file.path().to_owned()),
        ..IssuerKeysConfig::discovery(IssuerUrl::new("https://issuer.example").unwrap())
    };
    tracing::subscriber::with_default(subscriber, || {
        HttpKeys::new(vec![config]).unwrap();
    });
    let told = told.text();
    let line = |word: &str| told.lines().find(|line| line.contains(word)).unwrap();
    assert!(line("private").contains("ERROR") && line("private").contains("ALARM"));
    assert!(line("is not a JWK").contains("WARN"), "{told}");
    assert_eq!(told.lines().count(), 2, "{told}");
    assert!(!told.contains("c2VjcmV0") && told.len() < 1_000, "{told}");
}

/// In the form of log that `serve` writes.
#[tokio::test]
async fn a_failed_fetch_is_told_with_its_whole_cause_and_what_it_costs() {
    let name = "told::a_failed_fetch_is_told_with_its_whole_cause_and_what_it_costs";
    if !is_alone(name, &[]) {
        return;
    }
    let told = Told::default();
    let writer = told.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let provider = Provider::start(json!([jwk("k1")])).await;
    let keys = provider.keys(PACE);
    let ask = async |kid: &str| {
        keys.key(&provider.issuer(), Some(kid), Algorithm::Es256)
            .await
    };
    assert!(ask("k1").await.is_ok());
    provider.answer(KEYS, http("500 Oops", "", ""));
    tokio::time::sleep(PACE.pause).await;
    failure(ask("k2").await);
    provider.server.abort();
    tokio::time::sleep(PACE.pause).await;
    failure(ask("k2").await);

    let told = told.text();
    let lines: Vec<Json> = told
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let fields: Vec<&Json> = lines.iter().map(|line| &line["fields"]).collect();
    assert_eq!(fields.len(), 2, "{told}");
    let cause = |at: usize| fields[at]["cause"].as_str().unwrap();
    assert_eq!(
        cause(0),
        format!("{}{KEYS} answered 500 Internal Server Error", provider.url)
    );
    let away = format!("could not talk to {}{METADATA}: ", provider.url);
    assert!(cause(1).starts_with(&away), "{told}");
    assert!(cause(1).contains("refused"), "{told}");
    for (at, in_a_row) in [(0, 1), (1, 2)] {
        assert_eq!(fields[at]["issuer"], provider.url);
        assert_eq!(fields[at]["in_a_row"], in_a_row);
        assert_eq!(fields[at]["keys"], "kept");
    }
}
