//! Fields as records and journal write them: one behind the other, lengths before everything of
//! variable length, integers big-endian. Reading ends with `None` where there is too little.

use crate::ca::Serial;
use crate::time::UnixSeconds;

/// Fields, one behind the other.
pub(super) struct Writer(Vec<u8>);

impl Writer {
    /// Goes on behind what is there.
    pub(super) fn new(out: Vec<u8>) -> Self {
        Self(out)
    }
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
    pub(super) fn fixed(&mut self, octets: &[u8]) {
        self.0.extend_from_slice(octets);
    }
    pub(super) fn seconds(&mut self, at: UnixSeconds) {
        self.fixed(&at.0.to_be_bytes());
    }
    pub(super) fn count(&mut self, count: usize) {
        // Nothing we record comes near 4 GiB: requests are limited to 64 KiB at the door.
        self.fixed(&u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
    }
    /// A number that the caller has seen to be below 65,536.
    pub(super) fn short(&mut self, number: usize) {
        self.fixed(&u16::try_from(number).unwrap_or(u16::MAX).to_be_bytes());
    }
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.fixed(bytes);
    }
}

/// What is left of them.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }
    pub(super) fn fixed<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }
    pub(super) fn serial(&mut self) -> Option<Serial> {
        Serial::from_octets(&self.fixed::<19>()?)
    }
    pub(super) fn seconds(&mut self) -> Option<UnixSeconds> {
        self.fixed().map(i64::from_be_bytes).map(UnixSeconds)
    }
    pub(super) fn count(&mut self) -> Option<usize> {
        usize::try_from(u32::from_be_bytes(self.fixed()?)).ok()
    }
    pub(super) fn short(&mut self) -> Option<usize> {
        self.fixed().map(u16::from_be_bytes).map(usize::from)
    }
    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let count = self.count()?;
        self.take(count)
    }
    pub(super) fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }
}
