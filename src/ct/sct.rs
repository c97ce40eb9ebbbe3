//! The signed certificate timestamp and the octets it signs (RFC 6962 §3.2 to §3.4).

use super::LogId;
use super::error::SctError;
use super::key::DigitallySigned;
use super::wire::{OCTETS16_MAX, Reader, put_octets16, put_octets24};
use crate::merkle;
use crate::time::UnixMillis;

/// `sct_version`: v1 is the only one.
pub(super) const VERSION: u8 = 0;

/// An SCT (RFC 6962 §3.2) as decoded; unproven until it is a [`VerifiedSct`](super::VerifiedSct).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sct {
    /// Which log says so.
    pub log_id: LogId,
    /// When the log took the entry.
    pub timestamp: UnixMillis,
    /// Opaque, but signed.
    pub extensions: Vec<u8>,
    /// The DigitallySigned structure: hash, algorithm, length, signature.
    pub signature: Vec<u8>,
}

impl Sct {
    /// The SignedCertificateTimestamp structure.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.encoded_len());
        out.push(VERSION); // sct_version
        out.extend(self.log_id.0); // id
        out.extend(self.timestamp.0.to_be_bytes()); // timestamp
        put_octets16(&mut out, &self.extensions); // extensions
        out.extend(&self.signature); // digitally-signed, with its own length
        out
    }

    /// How long that structure is.
    pub(super) fn encoded_len(&self) -> usize {
        // sct_version, id, timestamp, the extensions' length.
        const HEAD: usize = 1 + 32 + 8 + 2;
        HEAD + self.extensions.len() + self.signature.len()
    }

    /// Reads exactly one SignedCertificateTimestamp from all of `bytes`.
    pub fn decode(bytes: &[u8]) -> Result<Self, SctError> {
        let mut reader = Reader::new(bytes);
        let version = reader.u8()?;
        if version != VERSION {
            return Err(SctError::Version { got: version });
        }
        let log_id = LogId(reader.array()?);
        let timestamp = UnixMillis(reader.u64()?);
        let extensions = reader.octets16()?.to_vec();
        let signature = reader.rest();
        DigitallySigned::parse(signature)?;
        Ok(Self {
            log_id,
            timestamp,
            extensions,
            signature: signature.to_vec(),
        })
    }
}

/// The octets a log signs for a precertificate (RFC 6962 §3.2). The same octets are the leaf of
/// its tree: MerkleTreeLeaf's version and leaf_type are zero as sct_version and signature_type are.
pub fn signed_entry(sct: &Sct, issuer_key_hash: &[u8; 32], tbs: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(49 + tbs.len() + sct.extensions.len());
    out.push(VERSION); // sct_version
    out.push(0); // signature_type = certificate_timestamp
    out.extend(sct.timestamp.0.to_be_bytes()); // timestamp
    out.extend(1u16.to_be_bytes()); // entry_type = precert_entry
    out.extend(issuer_key_hash); // issuer_key_hash
    put_octets24(&mut out, tbs); // tbs_certificate, without poison or SCT list, not re-encoded
    put_octets16(&mut out, &sct.extensions); // extensions
    out
}

/// The hash of the leaf that an SCT promises.
pub fn sct_leaf_hash(sct: &Sct, issuer_key_hash: &[u8; 32], tbs: &[u8]) -> merkle::Hash {
    merkle::leaf_hash(&signed_entry(sct, issuer_key_hash, tbs))
}

/// A SignedCertificateTimestampList (RFC 6962 §3.3): the content of the *inner* OCTET STRING of
/// the certificate extension.
pub fn sct_list(scts: &[&Sct]) -> Vec<u8> {
    let mut items = Vec::new();
    for sct in scts {
        put_octets16(&mut items, &sct.encode());
    }
    let mut out = Vec::with_capacity(2 + items.len());
    put_octets16(&mut out, &items);
    out
}

/// Reads a SignedCertificateTimestampList from all of `bytes`. An empty list is none (§3.3).
pub fn decode_sct_list(bytes: &[u8]) -> Result<Vec<Sct>, SctError> {
    let mut reader = Reader::new(bytes);
    let mut items = Reader::new(reader.octets16()?);
    reader.end()?;
    if items.rest().is_empty() {
        return Err(SctError::EmptyList);
    }
    let mut scts = Vec::new();
    while !items.rest().is_empty() {
        scts.push(Sct::decode(items.octets16()?)?);
    }
    Ok(scts)
}

/// Extensions as a log sent them, if they fit the structure.
pub(super) fn bounded_extensions(extensions: Vec<u8>) -> Result<Vec<u8>, SctError> {
    match extensions.len() {
        0..=OCTETS16_MAX => Ok(extensions),
        got => Err(SctError::ExtensionsTooLong { got }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex;

    fn sct() -> Sct {
        Sct {
            log_id: LogId([0xab; 32]),
            timestamp: UnixMillis(0x0102_0304_0506_0708),
            extensions: vec![],
            signature: vec![4, 3, 0, 2, 0x55, 0x66],
        }
    }

    #[test]
    fn an_sct_has_the_layout_of_the_rfc() {
        let want = format!(
            "00{}0102030405060708{}{}",
            "ab".repeat(32),
            "0000",
            "040300025566"
        );
        assert_eq!(hex::encode(&sct().encode()), want);
        assert_eq!(sct().encoded_len(), sct().encode().len());
        assert_eq!(Sct::decode(&sct().encode()), Ok(sct()));
    }

    #[test]
    fn the_signed_octets_have_the_layout_of_the_rfc() {
        let sct = Sct {
            extensions: vec![0, 0, 5, 1, 2, 3, 4, 5],
            ..sct()
        };
        let want = format!(
            "00000102030405060708{}{}{}{}",
            "0001",
            "cd".repeat(32),
            "0000033001ff",
            "00080000050102030405"
        );
        assert_eq!(
            hex::encode(&signed_entry(&sct, &[0xcd; 32], &[0x30, 1, 0xff])),
            want
        );
    }

    #[test]
    fn an_sct_cut_short_anywhere_is_refused() {
        let bytes = sct().encode();
        for len in 0..bytes.len() {
            assert_eq!(Sct::decode(&bytes[..len]), Err(SctError::Truncated));
        }
    }

    #[test]
    fn an_sct_with_an_octet_more_is_refused() {
        let mut bytes = sct().encode();
        bytes.push(0);
        assert_eq!(Sct::decode(&bytes), Err(SctError::Trailing { extra: 1 }));
    }

    #[test]
    fn an_sct_of_another_version_is_refused() {
        let mut bytes = sct().encode();
        bytes[0] = 1;
        assert_eq!(Sct::decode(&bytes), Err(SctError::Version { got: 1 }));
    }

    #[test]
    fn a_list_holds_each_sct_behind_its_length() {
        let one = sct();
        let two = Sct {
            timestamp: UnixMillis(2),
            ..sct()
        };
        let list = sct_list(&[&one, &two]);
        assert_eq!(list[..4], [0, 102, 0, 49]);
        assert_eq!(decode_sct_list(&list), Ok(vec![one, two]));
    }

    #[test]
    fn a_list_that_is_empty_or_does_not_end_where_it_says_is_refused() {
        assert_eq!(decode_sct_list(&[0, 0]), Err(SctError::EmptyList));
        let list = sct_list(&[&sct()]);
        assert_eq!(
            decode_sct_list(&list[..list.len() - 1]),
            Err(SctError::Truncated)
        );
        let longer = [&list[..], &[0]].concat();
        assert_eq!(
            decode_sct_list(&longer),
            Err(SctError::Trailing { extra: 1 })
        );
    }

    #[test]
    fn extensions_are_bounded_by_their_length_field() {
        assert!(bounded_extensions(vec![0; 0xffff]).is_ok());
        assert_eq!(
            bounded_extensions(vec![0; 0x1_0000]),
            Err(SctError::ExtensionsTooLong { got: 0x1_0000 })
        );
    }
}
