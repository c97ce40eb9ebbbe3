//! TLS on the public listener: versions 1.2 and 1.3 by rustls, from a chain and a key that can be
//! exchanged while connections are open.
//!
//! Every suite has forward secrecy and authenticated encryption. No session is resumed: each job is
//! a new client, and a ticket key is one more secret.
//!
//! Of the key exchanges X25519MLKEM768 is taken wherever the client knows it, even if that costs a
//! round trip because it guessed another one first: what is recorded today must not be readable
//! once somebody has a quantum computer. Otherwise the client's first choice counts.

use std::io;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs::{self, kx_group};
use tokio_rustls::rustls::crypto::{CryptoProvider, SupportedKxGroup};
use tokio_rustls::rustls::server::{ClientHello, NoServerSessionStorage, ServerConfig};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{self, CipherSuite, NamedGroup, SupportedProtocolVersion, version};
use tokio_rustls::server::TlsStream;

use crate::time::UnixSeconds;
use crate::x509::Certificate;

/// The application protocols spoken, the preferred one first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The suites of TLS 1.3 that we have.
const SUITES_OF_1_3: [CipherSuite; 3] = [
    CipherSuite::TLS13_AES_256_GCM_SHA384,
    CipherSuite::TLS13_AES_128_GCM_SHA256,
    CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
];

/// From when on before its end a certificate is worth a word: clients will not take it any more.
const ENDS_SOON_S: i64 = 7 * 86_400;

/// A server's certificate and key, as new connections use them.
pub struct Tls {
    pair: RwLock<Pair>,
}

/// What is in use.
struct Pair {
    acceptor: Acceptor,
    /// SubjectPublicKeyInfo of the key.
    spki: Vec<u8>,
    not_after: Option<UnixSeconds>,
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
    /// A key without a public half.
    #[error("the key file holds a key of a kind that cannot be used")]
    KindOfKey,
    /// The two do not fit, or the key is of a kind nobody can check.
    #[error("chain and key cannot be used together")]
    Unfit(#[source] rustls::Error),
}

impl Tls {
    /// From the server's chain, its own certificate first, and that one's key.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let pair = RwLock::new(Pair::from_pem(chain, key)?);
        Ok(Self { pair })
    }

    /// Takes the other's for connections to come; those that are open go on.
    pub fn replace(&self, other: Self) {
        let pair = other.pair.into_inner();
        let pair = pair.unwrap_or_else(PoisonError::into_inner);
        *self.pair.write().unwrap_or_else(PoisonError::into_inner) = pair;
    }

    /// The public half of the key, SubjectPublicKeyInfo DER.
    pub fn spki(&self) -> Vec<u8> {
        self.pair().spki.clone()
    }

    /// The last second of the server's own certificate, if it is written so that we can read it.
    pub fn not_after(&self) -> Option<UnixSeconds> {
        self.pair().not_after
    }

    /// That the certificate has ended or will soon, in words for operators. It is used all the
    /// same: clients judge it, and a proxy on the way may not mind.
    pub fn notice(&self, now: UnixSeconds) -> Option<String> {
        let end = self.not_after()?;
        match end.0.saturating_sub(now.0) {
            ..0 => Some(format!("the TLS certificate expired at {end}")),
            0..ENDS_SOON_S => Some(format!("the TLS certificate expires at {end}")),
            ENDS_SOON_S.. => None,
        }
    }

    pub(super) fn acceptor(&self) -> Acceptor {
        self.pair().acceptor.clone()
    }

    fn pair(&self) -> RwLockReadGuard<'_, Pair> {
        self.pair.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pair {
    fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
        let chain = chain.map_err(|_| TlsError::ChainNotPem)?;
        let first = chain.first().ok_or(TlsError::NoCertificate)?;
        let not_after = Certificate::from_der(first.to_vec()).ok();
        let not_after = not_after.map(|certificate| certificate.not_after());
        // The cause is left out: it may quote a line of the file.
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::NoKey)?;
        let provider = aws_lc_rs::default_provider();
        let pair = CertifiedKey::from_der(chain, key, &provider).map_err(TlsError::Unfit)?;
        let spki = pair.key.public_key().ok_or(TlsError::KindOfKey)?.to_vec();
        let acceptor = Acceptor::new(&Arc::new(pair))?;
        Ok(Self {
            acceptor,
            spki,
            not_after,
        })
    }
}

/// Handshakes with one pair.
#[derive(Clone)]
pub(super) struct Acceptor {
    /// For clients that know X25519MLKEM768, which TLS 1.2 does not.
    hybrid: Arc<ServerConfig>,
    usual: Arc<ServerConfig>,
}

impl Acceptor {
    fn new(pair: &Arc<CertifiedKey>) -> Result<Self, TlsError> {
        let usual = [kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1];
        Ok(Self {
            hybrid: config(&[kx_group::X25519MLKEM768], &[&version::TLS13], pair)?,
            usual: config(&usual, &[&version::TLS13, &version::TLS12], pair)?,
        })
    }

    /// One handshake.
    pub(super) async fn accept<S>(&self, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let hello = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await?;
        let config = match knows_hybrid(&hello.client_hello()) {
            true => &self.hybrid,
            false => &self.usual,
        };
        hello.into_stream(config.clone()).await
    }
}

/// rustls takes the first group of the client's list that it has itself. So that our preference
/// counts it has to have no other.
fn knows_hybrid(hello: &ClientHello<'_>) -> bool {
    let groups = hello.named_groups().unwrap_or_default();
    // Who offers none of the suites of TLS 1.3 speaks only 1.2, whatever groups it lists.
    let suites = hello.cipher_suites();
    groups.contains(&NamedGroup::X25519MLKEM768)
        && SUITES_OF_1_3.iter().any(|suite| suites.contains(suite))
}

fn config(
    groups: &[&'static dyn SupportedKxGroup],
    versions: &[&'static SupportedProtocolVersion],
    pair: &Arc<CertifiedKey>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = CryptoProvider {
        kx_groups: groups.to_vec(),
        ..aws_lc_rs::default_provider()
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .map_err(TlsError::Unfit)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(pair.clone())));
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).into();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};

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
    fn a_certificate_is_worth_a_word_from_a_week_before_its_end() {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["ca.example".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2026, 12, 1);
        let chain = params.self_signed(&key).unwrap().pem();
        let tls = Tls::from_pem(chain.as_bytes(), key.serialize_pem().as_bytes()).unwrap();
        let end = 1_796_083_200; // 2026-12-01
        assert_eq!(tls.not_after(), Some(UnixSeconds(end)));
        assert_eq!(tls.spki(), key.subject_public_key_info());
        let notice = |left: i64| tls.notice(UnixSeconds(end - left));
        assert_eq!(notice(7 * 86_400), None);
        let soon = "the TLS certificate expires at 2026-12-01T00:00:00Z";
        assert_eq!(notice(7 * 86_400 - 1).as_deref(), Some(soon));
        assert_eq!(notice(0).as_deref(), Some(soon));
        let over = "the TLS certificate expired at 2026-12-01T00:00:00Z";
        assert_eq!(notice(-1).as_deref(), Some(over));
    }

    #[test]
    fn another_pair_is_for_connections_to_come() {
        let (chain, key) = pair();
        let tls = || Tls::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
        let (used, other) = (tls(), tls());
        let in_use = || Arc::as_ptr(&used.acceptor().usual);
        let (first, wanted) = (in_use(), Arc::as_ptr(&other.acceptor().usual));
        used.replace(other);
        assert_eq!((in_use() == first, in_use()), (false, wanted));
    }
}
