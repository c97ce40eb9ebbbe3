//! How often somebody may ask: by address, by issuer, by identity, and who is counted as whom.
//!
//! [`Limit`] decides about one key; a [`Counter`] keeps the keys and takes from several of them at
//! once or from none. [`Rates`] is what the doors and the pipeline ask: the address before anything
//! is read, issuer and identity once the token is verified, because until then anybody can write
//! anybody's name. `docs/rate-limits.md` tells what is counted when, and what is given back.

mod gcra;
pub mod memory;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::fault::{Fault, Reason};
use crate::hash::sha256;

pub use gcra::{Limit, LimitError, Moment, REFILL_MAX};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dimension {
    /// Who connects, as far as trusted hops tell.
    Address,
    /// The issuer of a verified token.
    Issuer,
    /// Issuer and subject of a verified token.
    Identity,
}

impl Dimension {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Address, Self::Issuer, Self::Identity];

    /// The word in answers and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Issuer => "issuer",
            Self::Identity => "identity",
        }
    }
}

/// Who is counted, of a fixed size and not spelled out: no claim of a token is kept to count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    dimension: Dimension,
    name: [u8; 32],
}

impl Key {
    /// The octets of a network; those of the whole address where each counts by itself.
    pub fn address(network: &[u8]) -> Self {
        Self::named(Dimension::Address, &[network])
    }

    /// An issuer, by its `iss`.
    pub fn issuer(issuer: &str) -> Self {
        Self::named(Dimension::Issuer, &[issuer.as_bytes()])
    }

    /// An identity, by `iss` and `sub`. Not by the name in the certificate: with a reusable workflow
    /// that is the same for everybody who calls it, and one caller could use up what all have.
    pub fn identity(issuer: &str, subject: &str) -> Self {
        // The length between them: no issuer can spell another's identity.
        let length = (issuer.len() as u64).to_be_bytes();
        let parts = [&length[..], issuer.as_bytes(), subject.as_bytes()];
        Self::named(Dimension::Identity, &parts)
    }

    fn named(dimension: Dimension, parts: &[&[u8]]) -> Self {
        let name = sha256(parts);
        Self { dimension, name }
    }

    /// Which of the three.
    pub fn dimension(&self) -> Dimension {
        self.dimension
    }

    /// SHA-256 of who it is; keys of two dimensions are never compared.
    pub fn name(&self) -> &[u8; 32] {
        &self.name
    }
}

/// One request, against one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    /// Whose.
    pub key: Key,
    /// By which limit.
    pub limit: Limit,
}

/// What was taken from one key. Whoever has it may give it back, once.
#[derive(Debug, PartialEq, Eq)]
pub struct Receipt {
    /// What was asked.
    pub charge: Charge,
    /// Until when the key owed when this was taken: [`Limit::give_back`] wants to know.
    pub paid: Moment,
}

/// What one call took: nothing, or something from each key it named. At most one of a dimension, so
/// none has to be put on the heap.
#[derive(Debug, Default, PartialEq, Eq)]
#[must_use = "what is not given back stays taken"]
pub struct Receipts([Option<Receipt>; Dimension::ALL.len()]);

impl Receipts {
    /// Adds one; another of its dimension makes room.
    pub fn add(&mut self, receipt: Receipt) {
        let dimension = receipt.charge.key.dimension;
        self.0[dimension as usize] = Some(receipt);
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Receipt> {
        self.0.iter().flatten()
    }

    /// Whether nothing was taken.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }
}

impl IntoIterator for Receipts {
    type Item = Receipt;
    type IntoIter =
        std::iter::Flatten<std::array::IntoIter<Option<Receipt>, { Dimension::ALL.len() }>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter().flatten()
    }
}

/// Over a limit, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this {} is over its limit of {limit}: come back in {} s", dimension.as_str(), seconds_up(*wait))]
pub struct Over {
    /// Which one.
    pub dimension: Dimension,
    /// The limit itself.
    pub limit: Limit,
    /// When the same request is admitted, if nobody else takes from the same keys meanwhile.
    pub wait: Duration,
}

/// Whole seconds, rounded up: too early helps nobody.
fn seconds_up(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// Keeps for each key until when it owes.
///
/// Contract:
/// - **atomic**: `take` takes from every key of the call, or from none; two calls at once never
///   admit more than one after the other. A call names at most one key of a dimension.
/// - **exact**: a refusal names the key that keeps the caller waiting longest. After that wait the
///   same call is admitted if nobody took from these keys, and sooner it is not: by whole steps of
///   the adapter's clock, a microsecond at most.
/// - **its own clock**: what counts time is the adapter's, one for all who share its keys, and
///   nobody sets it. In one process that is a monotonic clock, for several the store's.
/// - **forgetful**: a key that owes nothing is as good as one that was never seen. An adapter holds
///   a bounded number of keys and says what becomes of the others; it loses no issuer or identity
///   to make room for addresses.
/// - **present**: there is no error. An adapter whose store is away, or slower than it says it
///   waits, counts in this process until the store is back: limits never stop issuance, and a store
///   that is away never lifts them.
/// - `give_back` undoes one `take` by [`Limit::give_back`]. It is best effort: a lost one costs its
///   caller a request, and nothing else.
#[async_trait]
pub trait Counter: Send + Sync {
    /// One request against each of these keys.
    async fn take(&self, charges: &[Charge]) -> Result<Receipts, Over>;
    /// That request did not count after all.
    async fn give_back(&self, receipts: Receipts);
}

/// What is limited; none = not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For each address: requests for certificates, whatever comes of them.
    pub per_address: Option<Limit>,
    /// How many bits of an IPv6 address count: a subscriber has the rest to himself.
    pub ipv6_prefix: u8,
    /// For each issuer, all its identities together.
    pub per_issuer: Option<Limit>,
    /// For each identity.
    pub per_identity: Option<Limit>,
}

impl Limits {
    /// What one subscriber is given at least (RFC 6177 §2).
    pub const IPV6_PREFIX: u8 = 64;

    /// Nothing is counted.
    pub const OFF: Self = Self {
        per_address: None,
        ipv6_prefix: Self::IPV6_PREFIX,
        per_issuer: None,
        per_identity: None,
    };
}

/// Limits, and who counts.
#[derive(Clone)]
pub struct Rates {
    /// What is limited.
    pub limits: Limits,
    /// Who counts.
    pub counter: Arc<dyn Counter>,
}

impl Rates {
    /// Nothing is limited and nothing counted.
    pub fn off() -> Self {
        Self {
            limits: Limits::OFF,
            counter: Arc::new(Nobody),
        }
    }

    /// One request from this network.
    pub async fn from_network(&self, network: &[u8]) -> Result<Receipts, Over> {
        let Some(limit) = self.limits.per_address else {
            return Ok(Receipts::default());
        };
        let key = Key::address(network);
        self.counter.take(&[Charge { key, limit }]).await
    }

    /// One request of this identity. Both names are those of a verified token.
    pub async fn by_identity(&self, issuer: &str, subject: &str) -> Result<Receipts, Over> {
        let of_issuer = |limit| Charge {
            key: Key::issuer(issuer),
            limit,
        };
        let of_identity = |limit| Charge {
            key: Key::identity(issuer, subject),
            limit,
        };
        let Limits {
            per_issuer,
            per_identity,
            ..
        } = self.limits;
        match (per_issuer.map(of_issuer), per_identity.map(of_identity)) {
            (None, None) => Ok(Receipts::default()),
            (Some(one), None) | (None, Some(one)) => self.counter.take(&[one]).await,
            (Some(issuer), Some(identity)) => self.counter.take(&[issuer, identity]).await,
        }
    }

    /// The request behind these did not count.
    pub async fn give_back(&self, receipts: Receipts) {
        if !receipts.is_empty() {
            self.counter.give_back(receipts).await;
        }
    }
}

/// Whether a request that ended so did not count: what failed is ours, or we had no time for it.
pub fn is_on_us(reason: Reason) -> bool {
    match reason.fault() {
        Fault::Dependency | Fault::Ours => true,
        Fault::Throttle => reason == Reason::Overloaded,
        Fault::Caller | Fault::Credentials | Fault::Policy => false,
    }
}

/// Counts nothing.
struct Nobody;

#[async_trait]
impl Counter for Nobody {
    async fn take(&self, _: &[Charge]) -> Result<Receipts, Over> {
        Ok(Receipts::default())
    }
    async fn give_back(&self, _: Receipts) {}
}
