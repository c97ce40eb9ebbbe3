//! `demo`: the whole story in one process, in under two seconds, with nothing left behind.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::exit::Exit;
use super::output::{Failure, Output};
use super::signal::Stop;
use crate::client;
use crate::dev::issuer::Persona;
use crate::dev::{self, Dev, Options};
use crate::hex;
use crate::identity::San;
use crate::system::SystemClock;
use crate::time::Clock;
use crate::trust;
use crate::verify::{self, IdentityPolicy, VerifiedCertificate};
use crate::x509::pem;

/// How many further certificates the timing table is made from.
const ROUNDS: usize = 25;

pub(super) async fn run(out: &Output) -> Result<(), Failure> {
    let stop = Stop::listen()?;
    let (mut timing, mut facts) = (Vec::new(), Map::new());
    out.tell("shortleaf demo: CA, log and OIDC issuer in this process, on 127.0.0.1 only\n")?;
    let started = Instant::now();
    let dev = dev::start(Options::default())
        .await
        .map_err(|e| failed(&e))?;
    timing.push(("start, keys of CA, log and issuer made", started.elapsed()));
    let told = tokio::select! {
        told = tell(&dev, &mut timing, &mut facts, out) => told,
        () = stop.wait() => Err(Failure::new(Exit::Interrupted, "interrupted")),
    };
    // In either case: the temporary folder goes with it.
    dev.stop().await;
    told?;
    out.tell("\ntiming")?;
    let mut milliseconds = Vec::new();
    for (what, took) in timing {
        let took = took.as_secs_f64() * 1000.0;
        out.tell(&format!("   {what:<52} {took:>8.2} ms"))?;
        milliseconds.push(json!({ "what": what, "ms": took }));
    }
    facts.insert("timing".to_owned(), Value::Array(milliseconds));
    if out.json {
        out.json(Value::Object(facts))?;
    }
    Ok(())
}

/// The four scenes.
async fn tell(
    dev: &Dev,
    timing: &mut Vec<(&'static str, Duration)>,
    facts: &mut Map<String, Value>,
    out: &Output,
) -> Result<(), Failure> {
    let claims = dev.issuer().default_claims(Persona::Github);
    let said = |claim: &str| {
        claims
            .get(claim)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    out.tell("1  a CI job gets an OIDC token")?;
    out.tell(&format!(
        "   issuer     {}",
        dev.issuer().url(Persona::Github)
    ))?;
    out.tell(&format!(
        "   says       {} {} by {} on a {} runner",
        said("event_name"),
        said("ref"),
        said("actor"),
        said("runner_environment")
    ))?;
    let token = mint(dev, claims.clone())?;

    out.tell("\n2  it makes a key and asks for a certificate")?;
    out.tell(&format!(
        "   POST       {}/api/v2/signingCert",
        dev.instance().url()
    ))?;
    let asked = Instant::now();
    let chain = client::certificate(dev.instance().url(), &token, &request()?, &silently)
        .await
        .map_err(|e| failed(&e))?;
    timing.push(("first certificate, issuer's keys fetched", asked.elapsed()));

    let asked = Instant::now();
    let verified = verified(dev, &chain, &claims)?;
    timing.push(("verify it", asked.elapsed()));
    let certificate = verified.inspection();
    out.tell(&format!(
        "   serial     {}",
        hex::encode(&certificate.serial)
    ))?;
    out.tell(&format!(
        "   valid      {} to {}",
        certificate.not_before, certificate.not_after
    ))?;
    let identity = verified.identity().name();
    out.tell(&format!("   identity   {identity}"))?;
    for sct in certificate.scts() {
        out.tell(&format!(
            "   logged     {} by log {}",
            sct.timestamp,
            hex::encode(&sct.log_id.0[..8])
        ))?;
    }

    out.tell("\n3  anyone verifies it, with the trust file alone")?;
    let checks: Vec<String> = verified.checks().iter().map(ToString::to_string).collect();
    for check in &checks {
        out.tell(&format!("   {} {check}", out.ok()))?;
    }

    out.tell("\n4  the same job with an expired token is refused")?;
    let (status, reason, message) = refusal(dev, claims.clone()).await?;
    out.tell(&format!("   {status} {reason}"))?;
    out.tell(&format!("   {message}"))?;
    facts.extend([
        ("serial".to_owned(), json!(hex::encode(&certificate.serial))),
        ("identity".to_owned(), json!(identity)),
        (
            "not_before".to_owned(),
            json!(certificate.not_before.to_string()),
        ),
        (
            "not_after".to_owned(),
            json!(certificate.not_after.to_string()),
        ),
        ("checks".to_owned(), json!(checks)),
        (
            "refused".to_owned(),
            json!({ "status": status, "reason": reason, "message": message }),
        ),
    ]);

    timing.push((
        "one certificate over HTTP, median of 25",
        median(dev, &claims).await?,
    ));
    Ok(())
}

fn mint(dev: &Dev, claims: Map<String, Value>) -> Result<String, Failure> {
    dev.issuer()
        .mint(Persona::Github, claims)
        .map_err(|e| failed(&e))
}

/// A fresh P-256 key, and a request that it signs.
fn request() -> Result<String, Failure> {
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    rcgen::KeyPair::generate()
        .and_then(|key| params.serialize_request(&key))
        .and_then(|csr| csr.pem())
        .map_err(|e| failed(&e))
}

fn verified(
    dev: &Dev,
    chain: &[String],
    claims: &Map<String, Value>,
) -> Result<VerifiedCertificate, Failure> {
    let trust = trust::parse_trusted_root(dev.instance().trust().trusted_root.as_bytes())
        .map_err(|e| failed(&e))?;
    let blocks = pem::decode(&chain.concat()).map_err(|e| failed(&e))?;
    let mut ders = blocks.into_iter().map(|block| block.der);
    let leaf = ders.next().unwrap_or_default();
    let workflow = claims
        .get("job_workflow_ref")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let policy = IdentityPolicy::new(
        dev.issuer().url(Persona::Github),
        San::Uri(format!("https://github.com/{workflow}")),
    )
    .map_err(|e| failed(&e))?;
    verify::certificate(
        &leaf,
        &ders.collect::<Vec<_>>(),
        &trust,
        &policy,
        SystemClock.now().seconds(),
    )
    .map_err(|e| failed(&e))
}

/// What the server says to a token that ended an hour ago.
async fn refusal(
    dev: &Dev,
    mut claims: Map<String, Value>,
) -> Result<(u16, String, String), Failure> {
    let then = SystemClock.now().seconds().plus(-3600);
    for (claim, at) in [
        ("iat", then.plus(-300)),
        ("nbf", then.plus(-300)),
        ("exp", then),
    ] {
        claims.insert(claim.to_owned(), json!(at.0));
    }
    match client::certificate(
        dev.instance().url(),
        &mint(dev, claims)?,
        &request()?,
        &silently,
    )
    .await
    {
        Err(client::Error::Refused {
            status,
            reason,
            message,
            ..
        }) => Ok((status, reason, message)),
        Err(other) => Err(failed(&other)),
        Ok(_) => Err(Failure::new(
            Exit::Unexpected,
            "an expired token bought a certificate",
        )),
    }
}

/// New token and new key each time; the requests are made before the clock starts.
async fn median(dev: &Dev, claims: &Map<String, Value>) -> Result<Duration, Failure> {
    let mut took = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let (token, csr) = (mint(dev, claims.clone())?, request()?);
        let asked = Instant::now();
        client::certificate(dev.instance().url(), &token, &csr, &silently)
            .await
            .map_err(|e| failed(&e))?;
        took.push(asked.elapsed());
    }
    took.sort();
    Ok(took[ROUNDS / 2])
}

/// Its own server asks for no patience worth a line.
fn silently(_: &client::Error, _: Duration) {}

fn failed(error: &dyn std::error::Error) -> Failure {
    Failure::from_error(Exit::Unexpected, error)
}
