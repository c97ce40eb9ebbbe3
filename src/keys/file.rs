//! A CA key from a PEM file: PKCS#8, plain or encrypted with a passphrase (PBES2).
//!
//! The text comes in as an argument; who opens the file also looks at its permissions. Other key
//! formats are refused with the command that converts them.

use async_trait::async_trait;
use pkcs8::EncryptedPrivateKeyInfoRef;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::private::{KeyError, PrivateKey, SigningKey};
use crate::ca::{Authority, AuthorityError, SignError, Signer};
use crate::der::{self, Reader, tag};
use crate::time::UnixSeconds;
use crate::x509::{Certificate, CertificateError, SignatureAlgorithm, oid, pem};

/// A signer whose key was read from a file. No `Debug`.
pub struct FileSigner(SigningKey);

/// Why a key file does not give a signer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// Not PEM.
    #[error("the key file is not PEM")]
    Pem(#[from] pem::Error),
    /// More than the key stands in the file.
    #[error("the key file has {got} PEM blocks, not 1")]
    Blocks {
        /// How many there are.
        got: usize,
    },
    /// Another kind of PEM block.
    #[error("the key file holds {label:?}, not a PKCS#8 private key")]
    Label {
        /// Its label.
        label: String,
    },
    /// The key is encrypted and there is no passphrase.
    #[error("the key file is encrypted and no passphrase is configured")]
    PassphraseMissing,
    /// The passphrase does not open the key.
    #[error("the passphrase does not open the key file")]
    PassphraseWrong,
    /// Encrypted in a way we do not open: too weak, or unknown.
    #[error("the key file is encrypted by {scheme}, not by PBES2 with AES")]
    Encryption {
        /// Dotted identifier, or which part of PBES2 is not ours.
        scheme: String,
    },
    /// The key itself.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl KeyFileError {
    /// What to try, in one line.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Pem(_) | Self::Blocks { .. } => {
                "the file must hold one BEGIN/END block and nothing else"
            }
            Self::Label { .. } => {
                "convert it: openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD -out NEW"
            }
            Self::PassphraseMissing => "configure a passphrase file or environment variable",
            Self::PassphraseWrong => {
                "check the passphrase; a line end at the end of its file does not count"
            }
            Self::Encryption { .. } => {
                "encrypt it anew: openssl pkcs8 -in OLD | openssl pkcs8 -topk8 -v2 aes-256-cbc -out NEW"
            }
            Self::Key(_) => "CA keys are P-384 or P-256; `shortleaf ca init` makes one",
        }
    }
}

impl FileSigner {
    /// Reads the key. Without a passphrase only a plain key opens; a passphrase is not needed for
    /// a plain key, and then not used.
    pub fn from_pem(text: &str, passphrase: Option<&SecretString>) -> Result<Self, KeyFileError> {
        Ok(Self(private_key(text, passphrase)?.signing()?))
    }
}

/// Reads a private key from PEM, see [`FileSigner::from_pem`].
pub fn private_key(
    text: &str,
    passphrase: Option<&SecretString>,
) -> Result<PrivateKey, KeyFileError> {
    let mut blocks = pem::decode(text)?;
    if blocks.len() > 1 {
        return Err(KeyFileError::Blocks { got: blocks.len() });
    }
    let block = blocks.pop().ok_or(KeyFileError::Blocks { got: 0 })?;
    let der = Zeroizing::new(block.der);
    match block.label.as_str() {
        "PRIVATE KEY" => Ok(PrivateKey::from_pkcs8(&der)?),
        "ENCRYPTED PRIVATE KEY" => {
            check_encryption(&der)?;
            let passphrase = passphrase.ok_or(KeyFileError::PassphraseMissing)?;
            // Scrypt or PBKDF2, with AES: what else PBES2 can name (DES) does not parse.
            let encrypted = EncryptedPrivateKeyInfoRef::try_from(der.as_slice()).map_err(|_| {
                KeyFileError::Encryption {
                    scheme: "PBES2 with another cipher or key derivation".into(),
                }
            })?;
            // A wrong passphrase shows as bad padding, or as DER that does not parse.
            let plain = encrypted
                .decrypt(passphrase.expose_secret())
                .map_err(|_| KeyFileError::PassphraseWrong)?;
            Ok(PrivateKey::from_pkcs8(plain.as_bytes())?)
        }
        _ => Err(KeyFileError::Label { label: block.label }),
    }
}

/// Only PBES2: what came before it (PBES1, PKCS#12's PBE-SHA1-3DES) can be guessed at leisure.
fn check_encryption(encrypted: &[u8]) -> Result<(), KeyFileError> {
    let scheme = || -> Result<&[u8], der::Error> {
        let mut fields = Reader::new(der::single(encrypted, tag::SEQUENCE)?.content);
        let algorithm = fields.expect(tag::SEQUENCE)?;
        Ok(Reader::new(algorithm.content).expect(tag::OID)?.content)
    };
    match scheme() {
        Ok(oid::PBES2) => Ok(()),
        Ok(other) => Err(KeyFileError::Encryption {
            scheme: oid::dotted(other).unwrap_or_default(),
        }),
        Err(_) => Err(KeyFileError::Key(KeyError::NotPkcs8)),
    }
}

#[async_trait]
impl Signer for FileSigner {
    fn algorithm(&self) -> SignatureAlgorithm {
        self.0.algorithm
    }
    fn spki(&self) -> &[u8] {
        &self.0.spki
    }
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.0.sign(message)
    }
}

/// Why a pair of files does not give an issuing CA.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The chain is not PEM.
    #[error("the chain file is not PEM")]
    ChainPem(#[source] pem::Error),
    /// Something else than a certificate stands in the chain.
    #[error("block {at} of the chain file is {label:?}, not CERTIFICATE")]
    ChainLabel {
        /// Which block, from 0.
        at: usize,
        /// Its label.
        label: String,
    },
    /// A certificate does not parse.
    #[error("certificate {at} of the chain file does not parse")]
    Certificate {
        /// Which certificate, from 0.
        at: usize,
        /// What is wrong with it.
        #[source]
        source: CertificateError,
    },
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// Chain and key do not make a CA.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
}

impl OpenError {
    /// What to try, in one line.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::ChainPem(_) | Self::ChainLabel { .. } | Self::Certificate { .. } => {
                "the chain file holds CERTIFICATE blocks only: issuing CA first, root last"
            }
            Self::Key(error) => error.hint(),
            Self::Authority(error) => error.hint(),
        }
    }
}

/// Reads the certificates of a PEM chain, in its order.
pub fn chain(text: &str) -> Result<Vec<Certificate>, OpenError> {
    let blocks = pem::decode(text).map_err(OpenError::ChainPem)?;
    let certificates = blocks.into_iter().enumerate().map(|(at, block)| {
        if block.label != "CERTIFICATE" {
            let label = block.label;
            return Err(OpenError::ChainLabel { at, label });
        }
        Certificate::from_der(block.der).map_err(|source| OpenError::Certificate { at, source })
    });
    certificates.collect()
}

/// Opens an issuing CA: the chain is checked whole, and the key must be the first certificate's.
pub fn open(
    chain_pem: &str,
    key_pem: &str,
    passphrase: Option<&SecretString>,
    now: UnixSeconds,
) -> Result<(Authority, FileSigner), OpenError> {
    let signer = FileSigner::from_pem(key_pem, passphrase)?;
    let authority = Authority::new(chain(chain_pem)?, signer.spki(), now)?;
    Ok((authority, signer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::contract;
    use crate::system::SystemEntropy;

    fn key(algorithm: SignatureAlgorithm) -> PrivateKey {
        PrivateKey::generate(algorithm, &SystemEntropy).unwrap()
    }

    fn passphrase() -> SecretString {
        SecretString::from("correct horse")
    }

    #[test]
    fn a_file_signer_keeps_the_signers_contract() {
        for algorithm in SignatureAlgorithm::ALL {
            let pem = key(*algorithm).to_pem(None, &SystemEntropy).unwrap();
            contract::check(&FileSigner::from_pem(&pem, None).unwrap());
        }
    }

    #[test]
    fn an_encrypted_key_opens_with_its_passphrase_only() {
        let key = key(SignatureAlgorithm::EcdsaP384Sha384);
        let pem = key.to_pem(Some(&passphrase()), &SystemEntropy).unwrap();
        assert!(pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
        let signer = FileSigner::from_pem(&pem, Some(&passphrase())).unwrap();
        assert_eq!(signer.spki(), key.spki());
        let other = SecretString::from("wrong horse");
        let open = |passphrase| FileSigner::from_pem(&pem, passphrase).err().unwrap();
        assert!(matches!(open(None), KeyFileError::PassphraseMissing));
        assert!(matches!(open(Some(&other)), KeyFileError::PassphraseWrong));
    }

    #[test]
    fn weak_encryption_is_refused_by_name() {
        // pbeWithSHAAnd3-KeyTripleDES-CBC, 1.2.840.113549.1.12.1.3
        let scheme = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 1, 3];
        let algorithm = der::sequence(&[&der::tlv(tag::OID, &[&scheme]), &[tag::NULL, 0]]);
        let der = der::sequence(&[&algorithm, &der::octet_string(&[0; 64])]);
        let pem = pem::encode("ENCRYPTED PRIVATE KEY", &der);
        let error = FileSigner::from_pem(&pem, Some(&passphrase()))
            .err()
            .unwrap();
        assert!(
            matches!(&error, KeyFileError::Encryption { scheme } if scheme == "1.2.840.113549.1.12.1.3")
        );
        assert!(error.hint().contains("-v2 aes-256-cbc"));
    }

    #[test]
    fn other_key_files_are_refused_with_the_way_out() {
        let plain = key(SignatureAlgorithm::EcdsaP256Sha256)
            .to_pem(None, &SystemEntropy)
            .unwrap();
        let sec1 = plain.replace("PRIVATE KEY", "EC PRIVATE KEY");
        let twice = format!("{}{}", *plain, *plain);
        let open = |text: &str| FileSigner::from_pem(text, None).err().unwrap();
        assert!(matches!(open(&sec1), KeyFileError::Label { label } if label == "EC PRIVATE KEY"));
        assert!(matches!(open(&twice), KeyFileError::Blocks { got: 2 }));
        assert!(matches!(open("hello"), KeyFileError::Pem(_)));
        let rubbish = pem::encode("PRIVATE KEY", &[0x30, 0]);
        assert!(matches!(
            open(&rubbish),
            KeyFileError::Key(KeyError::NotPkcs8)
        ));
        assert!(FileSigner::from_pem(&plain, None).is_ok());
    }
}
