//! Serial numbers: 144 random bits behind one octet that names the instance.

use std::fmt;

use crate::entropy::Entropy;
use crate::hex;

/// Which instance drew a serial: 0x01–0x7f, so the number is positive and of fixed length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InstanceId(u8);

impl InstanceId {
    /// The only instance there is.
    pub const FIRST: Self = Self(1);

    /// `None` outside 0x01–0x7f.
    pub fn new(octet: u8) -> Option<Self> {
        (1..=0x7f).contains(&octet).then_some(Self(octet))
    }

    /// The octet every serial of the instance begins with.
    pub fn octet(self) -> u8 {
        self.0
    }
}

/// A serial number: positive, 19 octets: instance id, then 144 random bits (RFC 5280 §4.1.2.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Serial([u8; 19]);

impl Serial {
    /// A fresh serial. The store refuses one it has seen; the caller then draws again.
    pub fn draw(instance: InstanceId, entropy: &dyn Entropy) -> Self {
        let mut octets = [0; 19];
        entropy.fill(&mut octets[1..]);
        // 0x01..=0x7f: positive and of fixed length in DER, whatever the random octets are.
        octets[0] = instance.0;
        Self(octets)
    }

    /// A serial of ours read back from a record; `None` if none of ours can look like this.
    pub fn from_octets(octets: &[u8]) -> Option<Self> {
        let octets: [u8; 19] = octets.try_into().ok()?;
        InstanceId::new(octets[0]).map(|_| Self(octets))
    }

    /// The octets as DER INTEGER content.
    pub fn octets(&self) -> &[u8; 19] {
        &self.0
    }
}

/// Lower-case hex.
impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serial({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fills with one octet, the worst one for a number's sign.
    struct AllOnes;

    impl Entropy for AllOnes {
        fn fill(&self, out: &mut [u8]) {
            out.fill(0xff);
        }
    }

    #[test]
    fn a_serial_is_positive_and_of_19_octets_whatever_was_drawn() {
        for instance in [1, 0x7f] {
            let instance = InstanceId::new(instance).expect("in range");
            let serial = Serial::draw(instance, &AllOnes);
            assert_eq!(serial.octets()[0], instance.0);
            assert_eq!(serial.octets()[1..], [0xff; 18]);
            assert_eq!(Serial::from_octets(serial.octets()), Some(serial));
        }
    }

    #[test]
    fn instances_are_1_to_127() {
        assert_eq!(InstanceId::new(1), Some(InstanceId::FIRST));
        assert_eq!(InstanceId::new(0), None);
        assert_eq!(InstanceId::new(0x80), None);
    }

    #[test]
    fn only_our_own_form_is_read_back() {
        assert!(Serial::from_octets(&[1; 19]).is_some());
        assert_eq!(Serial::from_octets(&[1; 18]), None);
        assert_eq!(Serial::from_octets(&[1; 20]), None);
        assert_eq!(Serial::from_octets(&[0x80; 19]), None);
        assert_eq!(Serial::from_octets(&[0; 19]), None);
    }
}
