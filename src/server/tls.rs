//! TLS on the public listener: versions 1.2 and 1.3 by rustls, from a chain and a key that can be
//! exchanged while connections are open.
//!
//! Every suite has forward secrecy and authenticated encryption. No session is resumed: each job is
//! a new client, and a ticket key is one more secret. Of the key exchanges the client's first choice
//! counts; one that knows X25519MLKEM768 names it first.

use std::sync::{Arc, PoisonError, RwLock};

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs::{self, kx_group};
use tokio_rustls::rustls::server::{NoServerSessionStorage, ServerConfig};
use tokio_rustls::rustls::{self, version};

/// The application protocols spoken, the preferred one first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A server's certificate and key, as new connections use them.
pub struct Tls {
    config: RwLock<Arc<ServerConfig>>,
}

/// Why a chain and a key do not make a TLS server. Quotes nothing of either file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The chain's text is broken.
    #[error("the chain file is not PEM")]
    ChainNotPem,
    /// The chain's text holds something else.
    #[error("the chain file holds no certificate")]
    NoCertificate,
    /// No key that can be used.
    #[error("the key file holds no unencrypted private key in PEM")]
    NoKey,
    /// The two do not fit, or the key is of a kind nobody can check.
    #[error("chain and key cannot be used together")]
    Unfit(#[source] rustls::Error),
}

impl Tls {
    /// From the server's chain, its own certificate first, and that one's key.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let config = RwLock::new(config(chain, key)?);
        Ok(Self { config })
    }

    /// Takes others for connections to come; those that are open go on. What cannot be used
    /// changes nothing.
    pub fn replace(&self, chain: &[u8], key: &[u8]) -> Result<(), TlsError> {
        let config = config(chain, key)?;
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let config = self.config.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(config.clone())
    }
}

fn config(chain: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
    let chain = chain.map_err(|_| TlsError::ChainNotPem)?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate);
    }
    // The cause is left out: it may quote a line of the file.
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::NoKey)?;
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = vec![
        kx_group::X25519MLKEM768,
        kx_group::X25519,
        kx_group::SECP256R1,
        kx_group::SECP384R1,
    ];
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .map_err(TlsError::Unfit)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(TlsError::Unfit)?;
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).into();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    /// A chain of one, and its key.
    fn pair() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["ca.example".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn refused(chain: &str, key: &str) -> String {
        let refused = Tls::from_pem(chain.as_bytes(), key.as_bytes());
        let error = refused.err().unwrap();
        assert!(!format!("{error:?}").contains("planted"), "{error:?}");
        error.to_string()
    }

    #[test]
    fn a_chain_and_a_key_that_do_not_make_a_server_are_told_apart() {
        let (chain, key) = pair();
        assert!(Tls::from_pem(chain.as_bytes(), key.as_bytes()).is_ok());
        assert_eq!(
            refused("planted", &key),
            "the chain file holds no certificate"
        );
        assert_eq!(
            refused("-----BEGIN CERTIFICATE-----\nplanted", &key),
            "the chain file is not PEM"
        );
        let no_key = "the key file holds no unencrypted private key in PEM";
        assert_eq!(refused(&chain, "-----BEGIN planted"), no_key);
        let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        assert_eq!(refused(&chain, &encrypted), no_key);
        let (_, other) = pair();
        assert_eq!(
            refused(&chain, &other),
            "chain and key cannot be used together"
        );
    }

    #[test]
    fn what_cannot_replace_a_pair_leaves_it_in_use() {
        let (chain, key) = pair();
        let tls = Tls::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
        let in_use = || Arc::as_ptr(tls.acceptor().config());
        let first = in_use();
        assert!(tls.replace(chain.as_bytes(), b"").is_err());
        assert_eq!(in_use(), first);
        tls.replace(chain.as_bytes(), key.as_bytes()).unwrap();
        assert_ne!(in_use(), first);
    }
}
