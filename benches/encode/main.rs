//! What the bytes of a certificate cost: plan, encode and lint, without any cryptography of ours.
//!
//! Each encoder goes through the same plan many times, in turns, so that neighbours disturb both
//! alike. `benches/README.md` says what the figures are good for.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and stops at what is unexpected"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use shortleaf::ca::{
    Authority, Encoder, InstanceId, LeafProfile, Plan, Serial, SignError, Signed, Signer, Tbs,
};
use shortleaf::ct::memory::MemoryLog;
use shortleaf::ct::{CertificateLog, VerifiedSct};
use shortleaf::der;
use shortleaf::dev::SHARED_AUDIENCE;
use shortleaf::dev::issuer::{DevIssuer, Persona};
use shortleaf::identity::{self, Mapping, Principal, builtin};
use shortleaf::keys::ephemeral::DevelopmentCa;
use shortleaf::possession::{self, AlgorithmList, PossessedKey, SubjectKey};
use shortleaf::system::{SystemClock, SystemEntropy};
use shortleaf::time::{Clock, UnixMillis};
use shortleaf::token::discovery::FixedKeys;
use shortleaf::token::jwks::KeySet;
use shortleaf::token::{self, IssuerPolicy, IssuerUrl, RawToken};
use shortleaf::x509::SignatureAlgorithm;

/// Certificates per sample.
const BATCH: u32 = 500;
/// Samples per row; the median counts.
const SAMPLES: usize = 41;

fn main() {
    for algorithm in SignatureAlgorithm::ALL {
        let template = World::new(*algorithm);
        let rcgen = template.with_encoder(Encoder::Rcgen);
        let (mut ours, mut theirs) = (Samples::default(), Samples::default());
        for _ in 0..SAMPLES {
            ours.take(&template);
            theirs.take(&rcgen);
        }
        println!("{algorithm}, us of CPU per certificate, signatures left out");
        println!("| | precertificate | seal | around two signatures | all |");
        println!("|---|---:|---:|---:|---:|");
        let (ours, theirs) = (ours.medians(), theirs.medians());
        for (name, row) in [("template", ours), ("rcgen", theirs)] {
            let all: f64 = row.iter().sum();
            let cells = row.map(|us| format!(" {us:.2} |")).concat();
            println!("| {name} |{cells} {all:.2} |");
        }
        let ratio = theirs.iter().sum::<f64>() / ours.iter().sum::<f64>();
        println!("rcgen : template = {ratio:.2}\n");
    }
}

/// Microseconds of each step, sample by sample.
#[derive(Default)]
struct Samples([Vec<f64>; 3]);

impl Samples {
    fn take(&mut self, world: &World) {
        for (step, us) in self.0.iter_mut().zip(world.sample()) {
            step.push(us);
        }
    }

    fn medians(self) -> [f64; 3] {
        self.0.map(|mut samples| {
            samples.sort_by(f64::total_cmp);
            samples[samples.len() / 2]
        })
    }
}

#[derive(Clone)]
struct World {
    authority: Arc<Authority>,
    profile: Arc<LeafProfile>,
    serial: Serial,
    principal: Arc<Principal>,
    key: Arc<PossessedKey>,
    now: UnixMillis,
    /// Every certificate of a run is the same, so one SCT seals them all.
    sct: Option<VerifiedSct>,
    signer: Arc<Canned>,
}

impl World {
    fn new(algorithm: SignatureAlgorithm) -> Self {
        let now = SystemClock.now();
        let ca = DevelopmentCa::new(algorithm, now.seconds(), &SystemEntropy).unwrap();
        let principal = principal(now);
        let signer = Canned {
            algorithm,
            spki: ca.signer.spki().to_vec(),
            signature: der::sequence(&[&der::unsigned(&[0x7f; 32]), &der::unsigned(&[0x7f; 32])]),
        };
        let profile = LeafProfile::new("leaf-v1", 600, 0, None).unwrap();
        let mut world = Self {
            authority: Arc::new(ca.authority.with_profile(&profile)),
            profile: Arc::new(profile),
            serial: Serial::draw(InstanceId::FIRST, &SystemEntropy),
            key: possessed(&principal).into(),
            principal: principal.into(),
            now,
            sct: None,
            signer: signer.into(),
        };
        let precert = world.sign(world.plan().precertificate().unwrap());
        let log = MemoryLog::generate("log").unwrap();
        let submitted = log.submit(precert.entry(), now, Duration::from_secs(1));
        world.sct = Some(ready(submitted).unwrap());
        world
    }

    fn with_encoder(&self, encoder: Encoder) -> Self {
        let authority = (*self.authority).clone().with_encoder(encoder);
        Self {
            authority: authority.into(),
            ..self.clone()
        }
    }

    fn plan(&self) -> Plan {
        Plan::new(
            self.authority.clone(),
            self.profile.clone(),
            self.serial,
            self.principal.clone(),
            self.key.clone(),
            self.now.seconds(),
        )
        .unwrap()
    }

    fn sign<P>(&self, tbs: Tbs<P>) -> Signed<P> {
        ready(tbs.sign(&*self.signer)).unwrap()
    }

    fn sample(&self) -> [f64; 3] {
        let sct = self.sct.as_ref().unwrap();
        let (plans, planned) = each(0..BATCH, |_| self.plan().precertificate().unwrap());
        let (precerts, signed) = each(plans, |tbs| self.sign(tbs));
        let (leaves, sealed) = each(precerts, |precert| {
            black_box(precert.entry());
            precert.seal(vec![sct.clone()]).unwrap()
        });
        let (_, signed_again) = each(leaves, |tbs| self.sign(tbs));
        [planned, sealed, signed + signed_again]
    }
}

/// Answers at once with the same well-formed signature.
struct Canned {
    algorithm: SignatureAlgorithm,
    spki: Vec<u8>,
    signature: Vec<u8>,
}

#[async_trait]
impl Signer for Canned {
    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }
    fn spki(&self) -> &[u8] {
        &self.spki
    }
    async fn sign(&self, _: &[u8]) -> Result<Vec<u8>, SignError> {
        Ok(self.signature.clone())
    }
}

/// A GitHub workflow, by way of a real token.
fn principal(now: UnixMillis) -> Principal {
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
    let issuer = DevIssuer::new("http://127.0.0.1:1", clock, entropy).unwrap();
    let claims = issuer.default_claims(Persona::Github);
    let token = issuer.mint(Persona::Github, claims).unwrap();
    let url = IssuerUrl::new(&issuer.url(Persona::Github)).unwrap();
    let jwks = serde_json::to_vec(&issuer.jwks()).unwrap();
    let keys = FixedKeys::new([(url.clone(), KeySet::parse(&jwks).unwrap())]);
    let policy = IssuerPolicy {
        issuer: url.into(),
        audiences: vec![SHARED_AUDIENCE.to_owned()],
        max_token_age_s: 600,
        max_token_lifetime_s: 3600,
        leeway_s: 30,
        certificates_per_token: 1,
    };
    let raw = RawToken::parse(&token).unwrap();
    let token = ready(token::verify(raw, &policy, &keys, now.seconds())).unwrap();
    identity::principal(&token, &Mapping::CiProvider(Arc::new(builtin::github()))).unwrap()
}

fn possessed(principal: &Principal) -> PossessedKey {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    let spki = SignatureAlgorithm::EcdsaP256Sha256.spki(pair.public_key().as_ref());
    let key = SubjectKey::from_bytes(&spki).unwrap();
    let challenge = principal.challenge().as_bytes();
    let proof = pair.sign(&SystemRandom::new(), challenge).unwrap();
    possession::by_signature(key, challenge, proof.as_ref(), &AlgorithmList::all().into()).unwrap()
}

/// What `step` makes of each, and microseconds of this thread's CPU time it took for one.
fn each<T, U>(all: impl IntoIterator<Item = T>, step: impl FnMut(T) -> U) -> (Vec<U>, f64) {
    let before = cpu();
    let out: Vec<U> = black_box(all.into_iter().map(step).collect());
    let us = (cpu() - before) as f64 / 1e3;
    let each = us / out.len() as f64;
    (out, each)
}

/// Nanoseconds this thread has spent on a CPU.
fn cpu() -> u64 {
    // Passing through the scheduler brings the figure up to date.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

/// Nothing here waits.
fn ready<F: Future>(future: F) -> F::Output {
    let mut context = Context::from_waker(Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("something waits"),
    }
}
