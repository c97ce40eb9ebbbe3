//! The trust files Sigstore clients read: `trusted_root.json`, `signing_config.json` and
//! `client_trust_config.json`, written from what an instance knows of itself, and the first read
//! back for our own verifier.
//!
//! The shapes are Sigstore's protobuf messages in JSON, private to this room. Member order is
//! fixed, so equal inputs give equal files. Transparency logs and timestamp authorities of others
//! are not written, and not read: nothing here verifies with them.

mod material;
mod wire;

pub use material::{TrustMaterial, TrustedAuthority, TrustedLog, Window};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use self::wire::{
    CertificateAuthority, ClientTrustConfig, Message, SigningConfig, TransparencyLog, TrustedRoot,
};
use crate::ct::{KeyError, LogId, LogKey};
use crate::time::UnixSeconds;

/// The largest trusted root read, in octets; the public one is near 7 kB.
const MAX_TRUSTED_ROOT: usize = 1024 * 1024;

/// How the media type of every version of the trusted root begins.
const TRUSTED_ROOT: &str = "application/vnd.dev.sigstore.trustedroot";

/// What an instance tells its clients about itself.
#[derive(Clone, Debug)]
pub struct TrustInputs {
    /// Issuing CAs, retired ones included.
    pub authorities: Vec<AuthorityEntry>,
    /// The logs of their certificates.
    pub logs: Vec<LogEntry>,
    /// Where clients ask for certificates.
    pub base_url: String,
    /// Who runs the instance.
    pub operator: String,
}

/// One issuing CA.
#[derive(Clone, Debug)]
pub struct AuthorityEntry {
    /// DER certificates, the issuing CA first, the self-signed root last.
    pub chain: Vec<Vec<u8>>,
    /// Where it answers.
    pub uri: String,
    /// From when its certificates are believed.
    pub valid_from: UnixSeconds,
    /// Until when, for a retired one.
    pub valid_to: Option<UnixSeconds>,
}

/// One certificate log.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// Its address.
    pub base_url: String,
    /// Its key, SubjectPublicKeyInfo DER.
    pub spki: Vec<u8>,
    /// From when its SCTs are believed.
    pub valid_from: UnixSeconds,
}

/// `trusted_root.json`: what verifiers need.
pub fn trusted_root(inputs: &TrustInputs) -> Result<String, Error> {
    Ok(written(&TrustedRoot::of(inputs)?))
}

/// `signing_config.json`: what signers need.
pub fn signing_config(inputs: &TrustInputs) -> Result<String, Error> {
    Ok(written(&SigningConfig::of(inputs)?))
}

/// `client_trust_config.json`: both in one file, as sigstore-python reads them.
pub fn client_trust_config(inputs: &TrustInputs) -> Result<String, Error> {
    Ok(written(&ClientTrustConfig::of(inputs)?))
}

/// Reads a trusted root back into what the verifier takes.
///
/// Members that are none of the verifier's business are passed over; what it builds on must be
/// whole, and each log's id must be its key's. A log whose kind of key we cannot verify with is
/// left out, so its SCTs count for nothing.
pub fn parse_trusted_root(content: &[u8]) -> Result<TrustMaterial, Error> {
    if content.len() > MAX_TRUSTED_ROOT {
        return Err(Error::TooLarge {
            got: content.len(),
            max: MAX_TRUSTED_ROOT,
        });
    }
    let Message(read): Message<TrustedRoot> =
        serde_json::from_slice(content).map_err(Error::Json)?;
    if !read.media_type.starts_with(TRUSTED_ROOT) {
        return Err(Error::MediaType {
            got: read.media_type,
            want: TRUSTED_ROOT,
        });
    }
    let authorities = read.certificate_authorities.iter();
    let authorities: Vec<_> = authorities
        .map(|one| authority(one))
        .collect::<Result<_, _>>()?;
    if authorities.is_empty() {
        return Err(Error::NoAuthority);
    }
    let logs = read.ctlogs.iter().filter_map(|one| log(one).transpose());
    let logs = logs.collect::<Result<_, _>>()?;
    Ok(TrustMaterial { authorities, logs })
}

/// Why a trust file cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no CA in it.
    #[error("there is no certificate authority to trust")]
    NoAuthority,
    /// A CA has no certificate.
    #[error("the certificate authority {uri:?} has no certificate")]
    EmptyChain {
        /// Its address.
        uri: String,
    },
    /// A certificate does not parse.
    #[error("certificate {position} of {uri:?} is not DER")]
    Certificate {
        /// Whose chain.
        uri: String,
        /// Which of it, from 0.
        position: usize,
    },
    /// The trust file has no word for keys of that length.
    #[error(
        "the key of the log {log:?} is RSA of {bits} bits, \
         a trusted root can name only 2048, 3072 and 4096"
    )]
    LogKeyLength {
        /// The log's address.
        log: String,
        /// The modulus in bits.
        bits: usize,
    },
    /// The log's key does not parse.
    #[error("the key of the log {log:?} cannot be used")]
    LogKey {
        /// The log's address.
        log: String,
        /// Why.
        #[source]
        source: KeyError,
    },
    /// The log's id is another key's.
    #[error("the log {log:?} is said to have the id {got:?}, its key's is {want}")]
    LogIdMismatch {
        /// The log's address.
        log: String,
        /// The id in the file, base64.
        got: String,
        /// The id of the key in the file.
        want: LogId,
    },
    /// The file is larger than we read.
    #[error("the file has {got} octets, at most {max} are read")]
    TooLarge {
        /// Its size.
        got: usize,
        /// The limit.
        max: usize,
    },
    /// Not JSON, or not of this shape.
    #[error("not a trusted root")]
    Json(#[source] serde_json::Error),
    /// JSON of another kind.
    #[error("the media type is {got:?}, not {want:?}")]
    MediaType {
        /// What the file says.
        got: String,
        /// What it should say.
        want: &'static str,
    },
    /// Not base64.
    #[error("{member} is not base64")]
    Base64 {
        /// Where it stands.
        member: &'static str,
    },
    /// Not a time.
    #[error("{got:?} is not an RFC 3339 time")]
    Time {
        /// What stands there.
        got: String,
    },
}

fn authority(read: &CertificateAuthority) -> Result<TrustedAuthority, Error> {
    let certificates = &read.cert_chain.certificates;
    let chain = certificates
        .iter()
        .map(|one| decode(&one.raw_bytes, "certChain.certificates.rawBytes"))
        .collect::<Result<Vec<_>, _>>()?;
    let uri = || read.uri.clone();
    if chain.is_empty() {
        return Err(Error::EmptyChain { uri: uri() });
    }
    let broken = |der: &Vec<u8>| certificate(der).is_none();
    if let Some(position) = chain.iter().position(broken) {
        return Err(Error::Certificate {
            uri: uri(),
            position,
        });
    }
    let valid = read.valid_for.window()?;
    Ok(TrustedAuthority { chain, valid })
}

fn log(read: &TransparencyLog) -> Result<Option<TrustedLog>, Error> {
    let spki = decode(&read.public_key.raw_bytes, "publicKey.rawBytes")?;
    let log = || read.base_url.clone();
    let key = match LogKey::from_spki_der(&spki) {
        Ok(key) => key,
        Err(KeyError::Unsupported) => return Ok(None),
        Err(source) => return Err(Error::LogKey { log: log(), source }),
    };
    if decode(&read.log_id.key_id, "logId.keyId")? != key.id().0 {
        return Err(Error::LogIdMismatch {
            log: log(),
            got: read.log_id.key_id.clone(),
            want: key.id(),
        });
    }
    let valid = read.public_key.valid_for.window()?;
    Ok(Some(TrustedLog { key, valid }))
}

fn certificate(der: &[u8]) -> Option<X509Certificate<'_>> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Some(certificate),
        Ok(_) | Err(_) => None,
    }
}

fn decode(text: &str, member: &'static str) -> Result<Vec<u8>, Error> {
    BASE64.decode(text).map_err(|_| Error::Base64 { member })
}

fn written(file: &impl Serialize) -> String {
    // Strings, numbers and lists of them: there is nothing in these structs JSON cannot say.
    serde_json::to_string(file).expect("plain structs always serialize")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::der::{self, tag};

    const START: UnixSeconds = UnixSeconds(1_767_225_600); // 2026-01-01T00:00:00Z

    /// The base point of P-256 as a log's key.
    const LOG_KEY: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==";

    /// A certificate as far as a trust file looks: subject `O=Example`, `CN=<name>`, unsigned.
    fn ca(name: &str) -> Vec<u8> {
        let attribute = |arc, text: &str| {
            let oid = der::tlv(tag::OID, &[&[0x55, 4, arc]]);
            let text = der::tlv(tag::UTF8_STRING, &[text.as_bytes()]);
            der::tlv(tag::SET, &[&der::tlv(tag::SEQUENCE, &[&oid, &text])])
        };
        let name = [attribute(10, "Example"), attribute(3, name)].concat();
        let name = der::tlv(tag::SEQUENCE, &[&name]);
        let algorithm = der::tlv(tag::OID, &[crate::x509::oid::ECDSA_SHA384]);
        let algorithm = der::tlv(tag::SEQUENCE, &[&algorithm]);
        let time = der::tlv(tag::UTC_TIME, &[b"260101000000Z"]);
        let validity = der::tlv(tag::SEQUENCE, &[&time, &time]);
        let serial = der::tlv(tag::INTEGER, &[&[1]]);
        let spki = BASE64.decode(LOG_KEY).unwrap();
        let parts = [
            &[0xa0, 3, 2, 1, 2],
            &serial[..],
            &algorithm,
            &name,
            &validity,
            &name,
            &spki,
        ];
        let tbs = der::tlv(tag::SEQUENCE, &parts);
        der::tlv(tag::SEQUENCE, &[&tbs, &algorithm, &[3, 1, 0]])
    }

    fn inputs() -> TrustInputs {
        TrustInputs {
            authorities: vec![AuthorityEntry {
                chain: vec![ca("Issuing"), ca("Root")],
                uri: "https://ca.example".into(),
                valid_from: START,
                valid_to: None,
            }],
            logs: vec![LogEntry {
                base_url: "https://ca.example/log".into(),
                spki: BASE64.decode(LOG_KEY).unwrap(),
                valid_from: START,
            }],
            base_url: "https://ca.example".into(),
            operator: "ca.example".into(),
        }
    }

    fn golden_root() -> String {
        let (issuing, root) = (BASE64.encode(ca("Issuing")), BASE64.encode(ca("Root")));
        [
            r#"{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1","#,
            r#""certificateAuthorities":[{"subject":{"organization":"Example","commonName":"Root"},"#,
            r#""uri":"https://ca.example","certChain":{"certificates":["#,
            &format!(r#"{{"rawBytes":"{issuing}"}},{{"rawBytes":"{root}"}}]}},"#),
            r#""validFor":{"start":"2026-01-01T00:00:00Z"}}],"#,
            r#""ctlogs":[{"baseUrl":"https://ca.example/log","hashAlgorithm":"SHA2_256","#,
            &format!(r#""publicKey":{{"rawBytes":"{LOG_KEY}","#),
            r#""keyDetails":"PKIX_ECDSA_P256_SHA_256","validFor":{"start":"2026-01-01T00:00:00Z"}},"#,
            r#""logId":{"keyId":"XNJS+wzokyQ2+vjM0QQJgbie5K1rn+niorfnGqyyfNM="}}],"#,
            r#""tlogs":[],"timestampAuthorities":[]}"#,
        ]
        .concat()
    }

    const GOLDEN_SIGNING: &str = concat!(
        r#"{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json","#,
        r#""caUrls":[{"url":"https://ca.example","majorApiVersion":1,"#,
        r#""validFor":{"start":"2026-01-01T00:00:00Z"},"operator":"ca.example"}],"#,
        r#""oidcUrls":[],"rekorTlogUrls":[],"tsaUrls":[]}"#,
    );

    #[test]
    fn the_trusted_root_is_the_documented_one() {
        assert_eq!(trusted_root(&inputs()).unwrap(), golden_root());
    }

    #[test]
    fn the_signing_config_is_the_documented_one() {
        assert_eq!(signing_config(&inputs()).unwrap(), GOLDEN_SIGNING);
    }

    #[test]
    fn the_client_trust_config_holds_both() {
        let want = format!(
            r#"{{"mediaType":"application/vnd.dev.sigstore.clienttrustconfig.v0.1+json","trustedRoot":{},"signingConfig":{GOLDEN_SIGNING}}}"#,
            golden_root()
        );
        assert_eq!(client_trust_config(&inputs()).unwrap(), want);
    }

    #[test]
    fn a_retired_ca_stays_with_its_end() {
        let mut inputs = inputs();
        inputs.authorities[0].valid_to = Some(START.plus(86_399));
        let file = trusted_root(&inputs).unwrap();
        let window = r#""validFor":{"start":"2026-01-01T00:00:00Z","end":"2026-01-01T23:59:59Z"}"#;
        assert!(file.contains(window), "{file}");
        let trust = parse_trusted_root(file.as_bytes()).unwrap();
        let end = Some(START.plus(86_399));
        assert_eq!(trust.authorities[0].valid, Window { start: START, end });
    }

    #[test]
    fn what_was_written_reads_back() {
        let trust = parse_trusted_root(golden_root().as_bytes()).unwrap();
        assert_eq!(trust.authorities.len(), 1);
        assert_eq!(trust.authorities[0].chain, [ca("Issuing"), ca("Root")]);
        let open = Window {
            start: START,
            end: None,
        };
        assert_eq!(trust.authorities[0].valid, open);
        assert_eq!(trust.logs.len(), 1);
        assert_eq!(trust.logs[0].key.spki(), inputs().logs[0].spki);
        assert_eq!(trust.logs[0].valid, open);
    }

    #[test]
    fn a_trusted_root_of_others_reads_though_it_says_more() {
        let file = golden_root()
            .replace("trustedroot+json;version=0.1", "trustedroot.v0.2+json")
            .replace(
                r#""tlogs":[]"#,
                r#""tlogs":[{"baseUrl":"https://rekor.example"}],"more":1"#,
            );
        assert_eq!(parse_trusted_root(file.as_bytes()).unwrap().logs.len(), 1);
    }

    /// What reading says of the golden file after one replacement.
    fn refused(from: &str, to: &str) -> String {
        let good = golden_root();
        assert!(good.contains(from), "{from}");
        parse_trusted_root(good.replacen(from, to, 1).as_bytes())
            .unwrap_err()
            .to_string()
    }

    /// What serde derives for a struct also reads the list of its members' values.
    #[test]
    fn a_list_in_the_place_of_an_object_is_refused() {
        let good = golden_root();
        let read: serde_json::Value = serde_json::from_str(&good).unwrap();
        let objects = [
            "",
            "/certificateAuthorities/0",
            "/certificateAuthorities/0/subject",
            "/certificateAuthorities/0/certChain",
            "/certificateAuthorities/0/certChain/certificates/0",
            "/certificateAuthorities/0/validFor",
            "/ctlogs/0",
            "/ctlogs/0/publicKey",
            "/ctlogs/0/publicKey/validFor",
            "/ctlogs/0/logId",
        ];
        for at in objects {
            let mut read = read.clone();
            let object = read.pointer_mut(at).unwrap();
            let order = |text: &str| good.find(&format!("\"{text}\"")).unwrap();
            let mut members: Vec<_> = object.as_object().unwrap().clone().into_iter().collect();
            members.sort_by_key(|(name, _)| order(name));
            *object = members.into_iter().map(|(_, value)| value).collect();
            let error = parse_trusted_root(read.to_string().as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), "not a trusted root", "{at}");
        }
        assert!(parse_trusted_root(read.to_string().as_bytes()).is_ok());
    }

    #[test]
    fn a_file_that_is_not_whole_is_refused() {
        let id = "XNJS+wzokyQ2+vjM0QQJgbie5K1rn+niorfnGqyyfNM=";
        let other_id = format!("A{}", &id[1..]);
        assert_eq!(refused(r#""logId""#, r#""logID""#), "not a trusted root");
        assert_eq!(refused("{", "{{"), "not a trusted root");
        assert_eq!(
            refused("trustedroot+json", "bundle+json"),
            "the media type is \"application/vnd.dev.sigstore.bundle+json;version=0.1\", not \"application/vnd.dev.sigstore.trustedroot\""
        );
        assert!(
            refused(id, &other_id)
                .starts_with("the log \"https://ca.example/log\" is said to have the id")
        );
        assert_eq!(
            refused("2026-01-01T00", "2026-01-32T00"),
            "\"2026-01-32T00:00:00Z\" is not an RFC 3339 time"
        );
        assert_eq!(
            refused(r#""rawBytes":""#, r#""rawBytes":"!"#),
            "certChain.certificates.rawBytes is not base64"
        );
        assert_eq!(
            refused(r#""rawBytes":"M"#, r#""rawBytes":"N"#),
            "certificate 0 of \"https://ca.example\" is not DER"
        );
        let large = vec![b' '; MAX_TRUSTED_ROOT + 1];
        let error = parse_trusted_root(&large).unwrap_err();
        assert!(matches!(error, Error::TooLarge { .. }));
    }

    #[test]
    fn nothing_to_trust_is_an_error_and_not_an_empty_file() {
        let none = TrustInputs {
            authorities: vec![],
            ..inputs()
        };
        assert!(matches!(trusted_root(&none), Err(Error::NoAuthority)));
        assert!(matches!(signing_config(&none), Err(Error::NoAuthority)));
        let mut empty = inputs();
        empty.authorities[0].chain.clear();
        assert!(matches!(
            trusted_root(&empty),
            Err(Error::EmptyChain { .. })
        ));
        let emptied = r#"{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1","certificateAuthorities":[]}"#;
        let error = parse_trusted_root(emptied.as_bytes()).unwrap_err();
        assert!(matches!(error, Error::NoAuthority));
    }

    /// `inputs()` with an RSA key of that size as the log's.
    fn with_rsa_log(bits: usize) -> TrustInputs {
        let mut inputs = inputs();
        inputs.logs[0].spki = rsa_spki(bits);
        inputs
    }

    /// A well-formed key around a modulus nobody has factors of.
    fn rsa_spki(bits: usize) -> Vec<u8> {
        let mut modulus = vec![0x5b; bits.div_ceil(8)];
        modulus[0] = 1 << ((bits - 1) % 8);
        let key = der::sequence(&[&der::unsigned(&modulus), &der::unsigned(&[1, 0, 1])]);
        let oid = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
        let algorithm = der::sequence(&[&der::tlv(tag::OID, &[&oid]), &[5, 0]]);
        der::sequence(&[&algorithm, &der::bit_string(&key)])
    }

    #[test]
    fn a_log_key_of_every_kind_is_published_under_its_name() {
        for (bits, details) in [
            (2048, "PKIX_RSA_PKCS1V15_2048_SHA256"),
            (3072, "PKIX_RSA_PKCS1V15_3072_SHA256"),
            (4096, "PKIX_RSA_PKCS1V15_4096_SHA256"),
        ] {
            let inputs = with_rsa_log(bits);
            let file = trusted_root(&inputs).unwrap();
            assert!(
                file.contains(&format!(r#""keyDetails":"{details}","#)),
                "{file}"
            );
            let read = parse_trusted_root(file.as_bytes()).unwrap();
            assert_eq!(read.logs[0].key.spki(), inputs.logs[0].spki);
        }
    }

    #[test]
    fn a_log_key_without_a_name_in_the_protobufs_is_not_published() {
        for bits in [2049, 2056, 4095, 8192] {
            let error = trusted_root(&with_rsa_log(bits)).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "the key of the log \"https://ca.example/log\" is RSA of {bits} bits, \
                     a trusted root can name only 2048, 3072 and 4096"
                )
            );
        }
    }

    #[test]
    fn a_log_key_that_is_none_is_not_published() {
        let mut other = inputs();
        other.logs[0].spki[22] ^= 1;
        let error = trusted_root(&other).unwrap_err();
        assert!(matches!(
            error,
            Error::LogKey {
                source: KeyError::Unsupported,
                ..
            }
        ));
    }
}
