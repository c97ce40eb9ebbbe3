//! The making of a CA: root, issuing CA, log key. Pure; writing the files is the command's.
//!
//! Root: P-384, ten years, path length 1, no extended key usage, so that a timestamp authority can
//! stand under it later. Issuing CA: five years, so that a successor can be active and cached
//! everywhere well before the root ends; path length 0 and codeSigning only. Both names carry
//! random digits: verifiers that look an issuer up by name must never find two.

use rcgen::{
    BasicConstraints, CertificateParams, CrlDistributionPoint, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyUsagePurpose, SerialNumber,
};
use secrecy::SecretString;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::private::{KeyError, PrivateKey, SigningKey};
use crate::ca::{InstanceId, Serial};
use crate::entropy::Entropy;
use crate::time::UnixSeconds;
use crate::x509::{self, SignatureAlgorithm, pem};

/// Ten years, of 365.25 days, both ends counted.
const ROOT_LIFETIME_S: i64 = 10 * 31_557_600;
/// Five years.
const ISSUING_LIFETIME_S: i64 = 5 * 31_557_600;
/// The longest organization name: RFC 5280's ub-organization-name.
const MAX_ORGANIZATION: usize = 64;

/// What to make.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The organization in both names.
    pub organization: &'a str,
    /// The issuing CA's key. The root's is always P-384.
    pub algorithm: SignatureAlgorithm,
    /// The full http URL of the root's revocation list. It cannot be added later.
    pub crl_url: Option<&'a str>,
    /// First second of both certificates.
    pub now: UnixSeconds,
}

/// A new CA. The keys have no `Debug`.
pub struct NewCa {
    /// The root, self-signed.
    pub root_der: Vec<u8>,
    /// The root's key: to be kept offline.
    pub root_key: PrivateKey,
    /// The issuing CA's certificate.
    pub issuing_der: Vec<u8>,
    /// The issuing CA's key.
    pub issuing_key: PrivateKey,
    /// The log's key, P-256.
    pub log_key: PrivateKey,
}

/// A new CA as the text of its files.
pub struct Files {
    /// Issuing CA, then root.
    pub chain: String,
    /// The root alone.
    pub root: String,
    /// The root's private key.
    pub root_key: Zeroizing<String>,
    /// The issuing CA's private key.
    pub issuing_key: Zeroizing<String>,
    /// The log's private key.
    pub log_key: Zeroizing<String>,
    /// The log's public key.
    pub log_public_key: String,
}

/// Why there is no new CA.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// The organization cannot stand in a name.
    #[error("organization {got:?} is not 1 to {MAX_ORGANIZATION} characters without controls")]
    Organization {
        /// The organization.
        got: String,
    },
    /// The URL cannot stand in a certificate.
    #[error("CRL URL {got:?} is not a printable http URL with a host")]
    CrlUrl {
        /// The URL.
        got: String,
    },
    /// A moment outside the calendar.
    #[error("a certificate cannot be valid until {at}")]
    Time {
        /// The moment.
        at: UnixSeconds,
    },
    /// A key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// rcgen refused.
    #[error("could not make the CA certificate")]
    Rcgen(#[from] rcgen::Error),
}

/// Makes keys and certificates.
pub fn build(request: &Request<'_>, entropy: &dyn Entropy) -> Result<NewCa, InitError> {
    check(request)?;
    let root_key = PrivateKey::generate(SignatureAlgorithm::EcdsaP384Sha384, entropy)?;
    let issuing_key = PrivateKey::generate(request.algorithm, entropy)?;
    let log_key = PrivateKey::generate(SignatureAlgorithm::EcdsaP256Sha256, entropy)?;

    let root_signing = root_key.signing()?;
    let root = Draft {
        name: "root",
        lifetime_s: ROOT_LIFETIME_S,
        path_length: 1,
        key: &root_signing,
    };
    let root_params = root.params(request, entropy)?;
    let root_der = root_params.self_signed(&root_signing)?.der().to_vec();

    let issuing_signing = issuing_key.signing()?;
    let issuing = Draft {
        name: "issuing CA",
        lifetime_s: ISSUING_LIFETIME_S,
        path_length: 0,
        key: &issuing_signing,
    };
    let mut params = issuing.params(request, entropy)?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    params.use_authority_key_identifier_extension = true;
    params.crl_distribution_points = request
        .crl_url
        .map(|url| CrlDistributionPoint {
            uris: vec![url.into()],
        })
        .into_iter()
        .collect();
    let issuer = Issuer::from_params(&root_params, &root_signing);
    let issuing_der = params.signed_by(&issuing_signing, &issuer)?.der().to_vec();
    Ok(NewCa {
        root_der,
        root_key,
        issuing_der,
        issuing_key,
        log_key,
    })
}

fn check(request: &Request<'_>) -> Result<(), InitError> {
    let name = request.organization;
    if !(1..=MAX_ORGANIZATION).contains(&name.chars().count()) || name.chars().any(char::is_control)
    {
        return Err(InitError::Organization { got: name.into() });
    }
    match request.crl_url {
        Some(url) if !crate::ca::profile::is_crl_url(url) => {
            Err(InitError::CrlUrl { got: url.into() })
        }
        _ => Ok(()),
    }
}

/// What root and issuing CA differ in.
struct Draft<'a> {
    name: &'static str,
    lifetime_s: i64,
    path_length: u8,
    key: &'a SigningKey,
}

impl Draft<'_> {
    fn params(
        &self,
        request: &Request<'_>,
        entropy: &dyn Entropy,
    ) -> Result<CertificateParams, InitError> {
        let serial = Serial::draw(InstanceId::FIRST, entropy);
        let mut digits = [0; 4];
        entropy.fill(&mut digits);
        let mut name = DistinguishedName::new();
        name.push(DnType::OrganizationName, request.organization);
        let suffix = u32::from_be_bytes(digits);
        name.push(
            DnType::CommonName,
            format!("shortleaf {} {suffix:08x}", self.name),
        );

        let mut params = CertificateParams::default();
        params.serial_number = Some(SerialNumber::from_slice(serial.octets()));
        params.distinguished_name = name;
        params.not_before = date(request.now)?;
        params.not_after = date(request.now.plus(self.lifetime_s - 1))?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(self.path_length));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.key_identifier_method = KeyIdMethod::PreSpecified(key_identifier(self.key)?);
        Ok(params)
    }
}

/// As leaves have it; rcgen's own methods make others.
fn key_identifier(key: &SigningKey) -> Result<Vec<u8>, KeyError> {
    let identifier = x509::key_identifier(&key.spki).map_err(|_| KeyError::Rejected)?;
    Ok(identifier.to_vec())
}

fn date(at: UnixSeconds) -> Result<OffsetDateTime, InitError> {
    OffsetDateTime::from_unix_timestamp(at.0).map_err(|_| InitError::Time { at })
}

impl NewCa {
    /// The text of the files. Private keys are encrypted if there is a passphrase.
    pub fn to_files(
        &self,
        passphrase: Option<&SecretString>,
        entropy: &dyn Entropy,
    ) -> Result<Files, InitError> {
        let root = pem::encode("CERTIFICATE", &self.root_der);
        Ok(Files {
            chain: pem::encode("CERTIFICATE", &self.issuing_der) + &root,
            root,
            root_key: self.root_key.to_pem(passphrase, entropy)?,
            issuing_key: self.issuing_key.to_pem(passphrase, entropy)?,
            log_key: self.log_key.to_pem(passphrase, entropy)?,
            log_public_key: pem::encode("PUBLIC KEY", self.log_key.spki()),
        })
    }
}
