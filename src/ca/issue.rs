//! The steps from plan to signed leaf; each consumes the one before.

use std::marker::PhantomData;
use std::sync::Arc;

use super::{Authority, Error, LeafProfile, Serial, Signer};
use crate::ct::{PreEntry, VerifiedSct};
use crate::identity::Principal;
use crate::possession::PossessedKey;
use crate::time::UnixSeconds;

/// Everything that decides a certificate, fixed before the first byte is encoded.
#[derive(Clone)]
pub struct Plan {
    authority: Arc<Authority>,
    profile: Arc<LeafProfile>,
    serial: Serial,
    not_before: UnixSeconds,
    not_after: UnixSeconds,
    principal: Principal,
    key: PossessedKey,
}

/// Marks a precertificate (RFC 6962 §3.1).
pub enum Precert {}
/// Marks a final certificate.
pub enum Leaf {}

/// Linted bytes, about to be signed.
pub struct Tbs<P> {
    plan: Arc<Plan>,
    tbs: Vec<u8>,
    _kind: PhantomData<P>,
}

/// Signed bytes.
pub struct Signed<P> {
    plan: Arc<Plan>,
    tbs: Vec<u8>,
    der: Vec<u8>,
    _kind: PhantomData<P>,
}

impl Plan {
    /// Fixes serial, names and validity. `now` is the request's one clock reading.
    pub fn new(
        authority: Arc<Authority>,
        profile: Arc<LeafProfile>,
        serial: Serial,
        principal: Principal,
        key: PossessedKey,
        now: UnixSeconds,
    ) -> Result<Self, Error> {
        let _ = (authority, profile, serial, principal, key, now);
        todo!()
    }
    /// The issuing CA.
    pub fn authority(&self) -> &Arc<Authority> {
        &self.authority
    }
    /// The profile.
    pub fn profile(&self) -> &LeafProfile {
        &self.profile
    }
    /// The serial.
    pub fn serial(&self) -> Serial {
        self.serial
    }
    /// First second of validity.
    pub fn not_before(&self) -> UnixSeconds {
        self.not_before
    }
    /// Last second of validity, inclusive.
    pub fn not_after(&self) -> UnixSeconds {
        self.not_after
    }
    /// Who it is for.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }
    /// Whose key it binds.
    pub fn key(&self) -> &PossessedKey {
        &self.key
    }
    /// Encodes the precertificate and lints the exact bytes.
    pub fn precertificate(self) -> Result<Tbs<Precert>, Error> {
        todo!()
    }
}

impl<P> Tbs<P> {
    /// What was planned.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
    /// The exact to-be-signed bytes.
    pub fn tbs(&self) -> &[u8] {
        &self.tbs
    }
    /// The linted form for the intent: TBS, algorithm, zero-length signature.
    pub fn unsigned_der(&self) -> Vec<u8> {
        todo!()
    }
    /// Signs, and checks that what was signed is what was linted.
    pub async fn sign(self, signer: &dyn Signer) -> Result<Signed<P>, Error> {
        let _ = signer;
        todo!()
    }
}

impl<P> Signed<P> {
    /// What was planned.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
    /// The certificate.
    pub fn der(&self) -> &[u8] {
        &self.der
    }
}

impl Signed<Precert> {
    /// What goes to the logs.
    pub fn entry(&self) -> PreEntry {
        todo!()
    }
    /// Puts exactly one SCT in the poison's place, lints the exact bytes, and proves that they
    /// correspond to the precertificate.
    pub fn seal(self, scts: Vec<VerifiedSct>) -> Result<Tbs<Leaf>, Error> {
        let _ = scts;
        todo!()
    }
    /// For `[ct] mode = "off"` only: the final without an SCT list.
    pub fn seal_without_log(self) -> Result<Tbs<Leaf>, Error> {
        todo!()
    }
}
