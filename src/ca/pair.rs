//! The pair check: a final certificate is its precertificate, but for the poison and the SCT list.
//!
//! The log promised one thing and the user gets another if the two differ anywhere else
//! (RFC 6962 §3.1, §3.2). Both come from the same bytes here; this reads both afresh and proves
//! it, byte for byte and in order, before the final is signed.

use crate::der::{self, Reader, tag};
use crate::x509::oid;

/// Where the two do not correspond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PairError {
    /// One of the two is no TBSCertificate.
    #[error("not a TBSCertificate")]
    Malformed(#[from] der::Error),
    /// One of the fields before the extensions differs.
    #[error("{field} differs between precertificate and final")]
    Field {
        /// The field's name in RFC 5280 §4.1.
        field: &'static str,
    },
    /// The number of poisons is not one in the precertificate and none in the final.
    #[error("{precert} poisons in the precertificate and {final_} in the final, not 1 and 0")]
    Poison {
        /// How many in the precertificate.
        precert: usize,
        /// How many in the final.
        final_: usize,
    },
    /// The number of SCT lists is not none in the precertificate and one in the final.
    #[error("{precert} SCT lists in the precertificate and {final_} in the final, not 0 and 1")]
    SctList {
        /// How many in the precertificate.
        precert: usize,
        /// How many in the final.
        final_: usize,
    },
    /// An extension differs, or stands on one side only.
    #[error("extension {position} differs between precertificate and final")]
    Extension {
        /// Its place, counted from 0 without poison and SCT list.
        position: usize,
    },
}

/// The fields before the extensions, in order (RFC 5280 §4.1), with their tags. Unique
/// identifiers are not among them: where one stands, reading fails.
const FIELDS: [(&str, u8); 7] = [
    ("version", tag::context_constructed(0)),
    ("serialNumber", tag::INTEGER),
    ("signature", tag::SEQUENCE),
    ("issuer", tag::SEQUENCE),
    ("validity", tag::SEQUENCE),
    ("subject", tag::SEQUENCE),
    ("subjectPublicKeyInfo", tag::SEQUENCE),
];

/// Proves that the two TBSCertificates correspond.
pub fn check(precert_tbs: &[u8], final_tbs: &[u8]) -> Result<(), PairError> {
    let mut precert = Reader::new(der::single(precert_tbs, tag::SEQUENCE)?.content);
    let mut final_ = Reader::new(der::single(final_tbs, tag::SEQUENCE)?.content);
    for (field, tag) in FIELDS {
        if precert.expect(tag)?.whole != final_.expect(tag)?.whole {
            return Err(PairError::Field { field });
        }
    }
    let mut precert = Extensions::of(&mut precert)?;
    let mut final_ = Extensions::of(&mut final_)?;
    let (mut position, mut differs) = (0, None);
    loop {
        let pair = (precert.next_other()?, final_.next_other()?);
        if pair.0 != pair.1 {
            differs = differs.or(Some(position));
        }
        if pair == (None, None) {
            break;
        }
        position += 1;
    }
    if (precert.poisons, final_.poisons) != (1, 0) {
        return Err(PairError::Poison {
            precert: precert.poisons,
            final_: final_.poisons,
        });
    }
    if (precert.sct_lists, final_.sct_lists) != (0, 1) {
        return Err(PairError::SctList {
            precert: precert.sct_lists,
            final_: final_.sct_lists,
        });
    }
    match differs {
        None => Ok(()),
        Some(position) => Err(PairError::Extension { position }),
    }
}

/// The extensions of one side, with poison and SCT list counted and passed over.
struct Extensions<'a> {
    rest: Reader<'a>,
    poisons: usize,
    sct_lists: usize,
}

impl<'a> Extensions<'a> {
    fn of(fields: &mut Reader<'a>) -> Result<Self, der::Error> {
        let outer = fields.expect(tag::context_constructed(3))?;
        fields.end()?;
        Ok(Self {
            rest: Reader::new(der::single(outer.content, tag::SEQUENCE)?.content),
            poisons: 0,
            sct_lists: 0,
        })
    }

    /// The next one that both sides should have, whole.
    fn next_other(&mut self) -> Result<Option<&'a [u8]>, der::Error> {
        while !self.rest.is_empty() {
            let extension = self.rest.expect(tag::SEQUENCE)?;
            match Reader::new(extension.content).expect(tag::OID)?.content {
                oid::POISON => self.poisons += 1,
                oid::SCT_LIST => self.sct_lists += 1,
                _ => return Ok(Some(extension.whole)),
            }
        }
        Ok(None)
    }
}
