//! Where shortleaf's leaf may differ from Fulcio's for the same token and key under the same CA,
//! and why. Whatever is not in this table must be equal, byte for byte and in the same order.

/// A part of a certificate that is not compared.
pub(crate) struct Difference {
    /// Which part: a field by its RFC 5280 name, an extension by its object identifier.
    pub(crate) part: &'static str,
    /// Why it differs, and why that is right.
    pub(crate) why: &'static str,
}

/// All of them.
pub(crate) const DELIBERATE: &[Difference] = &[
    Difference {
        part: "serialNumber",
        why: "random on both sides; ours is always 19 octets and names the instance",
    },
    Difference {
        part: "validity",
        why: "two clocks; ours ends one second earlier, so that both ends count and the life is \
              exactly ten minutes",
    },
    Difference {
        part: "signatureValue",
        why: "over other bytes, and ECDSA is not deterministic",
    },
    Difference {
        part: "1.3.6.1.4.1.11129.2.4.2",
        why: "the SCT list: Fulcio runs without a log here, shortleaf issues nothing without one",
    },
];
