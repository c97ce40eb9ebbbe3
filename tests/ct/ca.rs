//! Chains made by rcgen: nothing of ours is its own judge here.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData as _, SanType, SerialNumber,
};
use shortleaf::ct::PreEntry;
use shortleaf::time::UnixSeconds;
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// RFC 6962 §3.1.
const POISON: &[u64] = &[1, 3, 6, 1, 4, 1, 11129, 2, 4, 3];

/// A root and an issuing CA.
pub(crate) struct Ca {
    pub(crate) root_pem: String,
    chain: Vec<Vec<u8>>,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    pub(crate) fn make() -> Self {
        let ca = |name: &str, depth| {
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(depth));
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            params
        };
        let (root_key, issuing_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let root = ca("root", 1).self_signed(&root_key).unwrap();
        let root_issuer = Issuer::new(ca("root", 1), root_key);
        let mut issuing = ca("issuing", 0);
        issuing.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        let certificate = issuing.signed_by(&issuing_key, &root_issuer).unwrap();
        Self {
            root_pem: root.pem(),
            chain: vec![certificate.der().to_vec(), root.der().to_vec()],
            issuer: Issuer::new(issuing, issuing_key),
        }
    }

    /// A ten-minute precertificate, and the same to-be-signed octets without the poison.
    pub(crate) fn precertificate(&self, serial: u8) -> PreEntry {
        let now = OffsetDateTime::now_utc();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.serial_number = Some(SerialNumber::from(vec![serial]));
        params.not_before = now;
        params.not_after = now + Duration::from_secs(599);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        let san = "https://github.com/o/r/.github/workflows/w.yml@refs/heads/main";
        params.subject_alt_names = vec![SanType::URI(san.try_into().unwrap())];
        let final_der = params.signed_by(&key, &self.issuer).unwrap().der().to_vec();

        let mut poison = CustomExtension::from_oid_content(POISON, vec![0x05, 0x00]);
        poison.set_criticality(true);
        params.custom_extensions = vec![poison];
        let precert = params.signed_by(&key, &self.issuer).unwrap();

        let (_, parsed) = X509Certificate::from_der(&final_der).unwrap();
        PreEntry::new(
            precert.der().to_vec(),
            self.chain.clone(),
            &self.issuer.key().subject_public_key_info(),
            parsed.tbs_certificate.as_ref().to_vec(),
            UnixSeconds(params.not_after.unix_timestamp()),
        )
    }
}
