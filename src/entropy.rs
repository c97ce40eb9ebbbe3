//! Random octets as an argument, so that the pure rooms stay pure and tests stay repeatable.

/// A source of random octets fit for keys and serial numbers.
///
/// Contract: `fill` overwrites every octet with unpredictable ones. A source that can no longer
/// do so must not return (the adapter ends the process): a certificate with a guessable serial
/// is worse than none.
pub trait Entropy: Send + Sync {
    /// Overwrites `out` with random octets.
    fn fill(&self, out: &mut [u8]);
}
