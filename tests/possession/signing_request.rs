//! Proof by PKCS#10 request.

use crate::world::{TestKey, one_line_pem, pem, spki, tlv};
use shortleaf::der;
use shortleaf::fault::Reason;
use shortleaf::possession::{
    self, AlgorithmList, CsrError, Error, Hash, KeyError, KeyKind, KeyPolicy, MAX_CSR_BYTES,
    Scheme, SpkiError,
};

const LABEL: &str = "CERTIFICATE REQUEST";
const ECDSA_SHA256: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02";
const ECDSA_SHA384: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03";
const RSA_SHA256: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00";
const ED25519: &[u8] = b"\x06\x03\x2b\x65\x70";

fn possess(csr: &[u8]) -> Result<Vec<u8>, Error> {
    possession::by_csr(csr, &AlgorithmList::all().into()).map(|key| key.spki_der().to_vec())
}

fn possess_der(der: &[u8]) -> Result<Vec<u8>, Error> {
    possess(pem(LABEL, der).as_bytes())
}

/// A request written field by field, so that each can be wrong.
struct Request {
    version: Vec<u8>,
    subject: Vec<u8>,
    spki: Vec<u8>,
    attributes: Vec<u8>,
    algorithm: Vec<u8>,
}

impl Request {
    fn of(key: &TestKey) -> Self {
        let algorithm = match key.kind() {
            KeyKind::EcdsaP256 => ECDSA_SHA256,
            KeyKind::EcdsaP384 => ECDSA_SHA384,
            KeyKind::EcdsaP521 => b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x04",
            KeyKind::Rsa2048 | KeyKind::Rsa3072 | KeyKind::Rsa4096 => RSA_SHA256,
            KeyKind::Ed25519 => ED25519,
        };
        Self {
            version: tlv(0x02, &[0]),
            subject: tlv(0x30, &[]),
            spki: key.spki(),
            attributes: tlv(0xa0, &[]),
            algorithm: algorithm.to_vec(),
        }
    }

    fn info(&self) -> Vec<u8> {
        let fields = [&self.version, &self.subject, &self.spki, &self.attributes];
        tlv(0x30, &fields.map(Vec::as_slice).concat())
    }

    fn sealed_with(&self, signature: &[u8]) -> Vec<u8> {
        let bits = [&[0], signature].concat();
        let fields = [self.info(), tlv(0x30, &self.algorithm), tlv(0x03, &bits)];
        tlv(0x30, &fields.concat())
    }

    fn signed_by(&self, key: &TestKey) -> Vec<u8> {
        self.sealed_with(&key.sign(&self.info()))
    }
}

#[test]
fn a_request_of_each_kind_proves_its_key() {
    for key in TestKey::one_of_each() {
        assert_eq!(
            possess_der(&Request::of(&key).signed_by(&key)),
            Ok(key.spki())
        );
    }
}

#[test]
fn a_request_is_taken_in_each_pem_form() {
    let key = TestKey::generate(KeyKind::EcdsaP256);
    let der = Request::of(&key).signed_by(&key);
    for label in [LABEL, "NEW CERTIFICATE REQUEST"] {
        let lines = pem(label, &der);
        for text in [
            lines.replace('\n', "\r\n"),
            lines.trim_end().to_owned(),
            one_line_pem(label, &der),
            lines,
        ] {
            assert_eq!(possess(text.as_bytes()), Ok(key.spki()), "{text:?}");
        }
    }
}

#[test]
fn a_request_of_rcgen_with_every_wish_gets_its_key_and_nothing_else() {
    for key in TestKey::one_of_each() {
        let mut wishes = rcgen::CertificateParams::new(vec!["evil.example".to_owned()]).unwrap();
        wishes.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        wishes.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::Any];
        wishes
            .distinguished_name
            .push(rcgen::DnType::CommonName, "somebody else");
        let csr = match wishes.serialize_request(&key.for_rcgen()) {
            Ok(csr) => csr.pem().unwrap(),
            Err(error) => panic!("rcgen refused a {} key: {error}", key.kind()),
        };
        assert_eq!(possess(csr.as_bytes()), Ok(key.spki()));
    }
}

#[test]
fn requests_of_openssl_prove_their_keys() {
    // testdata/possession/README.md says how these were made.
    for (csr, spki) in [
        (
            include_str!("../../testdata/possession/p256.csr"),
            include_bytes!("../../testdata/possession/p256.spki").as_slice(),
        ),
        (
            include_str!("../../testdata/possession/rsa2048.csr"),
            include_bytes!("../../testdata/possession/rsa2048.spki").as_slice(),
        ),
        (
            include_str!("../../testdata/possession/ed25519.csr"),
            include_bytes!("../../testdata/possession/ed25519.spki").as_slice(),
        ),
    ] {
        assert_eq!(possess(csr.as_bytes()), Ok(spki.to_vec()));
    }
}

#[test]
fn a_request_signed_by_another_key_is_refused() {
    for key in TestKey::one_of_each() {
        let another = TestKey::generate(key.kind());
        assert_eq!(
            possess_der(&Request::of(&key).signed_by(&another)),
            Err(Error::CsrSignatureInvalid {
                key: key.kind(),
                scheme: key.kind().scheme()
            })
        );
    }
}

#[test]
fn a_request_changed_after_signing_is_refused() {
    let key = TestKey::generate(KeyKind::EcdsaP256);
    let mut request = Request::of(&key);
    let signature = key.sign(&request.info());
    request.attributes = tlv(0xa0, &tlv(0x30, b"\x06\x01\x2a\x31\x02\x05\x00"));
    assert_eq!(
        possess_der(&request.sealed_with(&signature))
            .unwrap_err()
            .reason(),
        Reason::ProofInvalid
    );
}

#[test]
fn duplicate_attributes_are_noise() {
    let key = TestKey::generate(KeyKind::EcdsaP256);
    let attribute = tlv(0x30, b"\x06\x01\x2a\x31\x02\x05\x00");
    let request = Request {
        attributes: tlv(0xa0, &attribute.repeat(2)),
        ..Request::of(&key)
    };
    assert_eq!(possess_der(&request.signed_by(&key)), Ok(key.spki()));
}

#[test]
fn subject_and_attributes_have_their_structure_and_any_content() {
    let key = TestKey::generate(KeyKind::EcdsaP256);
    let with = |subject: Vec<u8>, attributes: Vec<u8>| {
        let request = Request {
            subject: tlv(0x30, &subject),
            attributes: tlv(0xa0, &attributes),
            ..Request::of(&key)
        };
        possess_der(&request.signed_by(&key))
    };
    let pair = |value: &[u8]| tlv(0x30, &[b"\x06\x03\x55\x04\x03", value].concat());
    let nonsense = tlv(0x24, b"\xff\x00 not even DER");
    let set = |content: &[u8]| tlv(0x31, content);

    let names = [set(&pair(&nonsense)), set(&pair(b"\x05\x00").repeat(2))].concat();
    assert_eq!(with(names, vec![]), Ok(key.spki()));
    assert_eq!(with(vec![], pair(&set(&nonsense))), Ok(key.spki()));

    let noise = Err(Error::Csr(CsrError::Noise));
    for subject in [
        set(b""),
        pair(b"\x05\x00"),
        set(&tlv(0x30, b"\x06\x03\x55\x04\x03")),
        set(&pair(b"\x05\x00\x05\x00")),
        set(b"\x30\x00"),
        tlv(0x30, &set(&pair(b"\x05\x00"))),
    ] {
        assert_eq!(with(subject, vec![]), noise);
    }
    for attributes in [
        pair(&nonsense),
        set(b""),
        pair(b""),
        pair(b"\x31\x00\x31\x00"),
    ] {
        assert_eq!(with(vec![], attributes), noise);
    }
}

#[test]
fn the_version_is_zero() {
    let key = TestKey::generate(KeyKind::EcdsaP256);
    for version in [&[1][..], &[2], &[0, 0]] {
        let request = Request {
            version: tlv(0x02, version),
            ..Request::of(&key)
        };
        assert_eq!(
            possess_der(&request.signed_by(&key)),
            Err(Error::Csr(CsrError::Version))
        );
    }
}

#[test]
fn nothing_may_follow_inside_or_after_the_request() {
    let key = TestKey::generate(KeyKind::EcdsaP256);
    let trailing = |octets| {
        let error = SpkiError::Der(der::Error::Trailing { octets });
        Err(Error::Csr(CsrError::NotCanonical(error)))
    };
    let der = Request::of(&key).signed_by(&key);
    assert_eq!(possess_der(&[&der[..], &[0]].concat()), trailing(1));

    // After the signature, inside the outer sequence: not covered by the signature.
    let content = &der[3..];
    assert_eq!(
        possess_der(&tlv(0x30, &[content, b"\x05\x00"].concat())),
        trailing(2)
    );

    // After the attributes: covered, and still not a request.
    let mut request = Request::of(&key);
    request.attributes.extend(b"\x05\x00");
    assert_eq!(possess_der(&request.signed_by(&key)), trailing(2));
}

#[test]
fn a_hash_that_does_not_belong_to_the_key_is_not_permitted() {
    let key = TestKey::generate(KeyKind::EcdsaP384);
    let request = Request {
        algorithm: ECDSA_SHA256.to_vec(),
        ..Request::of(&key)
    };
    // aws-lc-rs signs P-384 with SHA-384 only; p384 signs any digest.
    let TestKey::Ecdsa(_, pair) = &key else {
        unreachable!()
    };
    let pkcs8 = pair.to_pkcs8v1().unwrap();
    let signature = sign_p384_sha256(pkcs8.as_ref(), &request.info());
    let error = possess_der(&request.sealed_with(&signature)).unwrap_err();
    assert_eq!(
        error,
        Error::NotPermitted {
            key: KeyKind::EcdsaP384,
            scheme: Scheme::Ecdsa(Hash::Sha256)
        }
    );
    assert_eq!(error.to_string(), "P-384 key, ECDSA-SHA256 signature");
    // The same pair, and no signature at all: the signature is judged first.
    assert_eq!(
        possess_der(&request.sealed_with(b"")).unwrap_err().reason(),
        Reason::ProofInvalid
    );
}

fn sign_p384_sha256(pkcs8: &[u8], message: &[u8]) -> Vec<u8> {
    use ::p384::ecdsa::signature::hazmat::PrehashSigner as _;
    use ::p384::pkcs8::DecodePrivateKey as _;
    use sha2::Digest as _;
    let key = ::p384::ecdsa::SigningKey::from_pkcs8_der(pkcs8).unwrap();
    // FIPS 186-5 §6.4: a digest shorter than the order is used as it is; the crate asks for at
    // least half of the field, which 32 octets are.
    let signature: ::p384::ecdsa::Signature =
        key.sign_prehash(&sha2::Sha256::digest(message)).unwrap();
    signature.to_der().as_bytes().to_vec()
}

#[test]
fn an_algorithm_we_do_not_check_is_named() {
    let key = TestKey::generate(KeyKind::Rsa2048);
    for (algorithm, name) in [
        (
            &b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05\x05\x00"[..],
            "1.2.840.113549.1.1.5", // SHA-1
        ),
        (
            b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a\x30\x00",
            "1.2.840.113549.1.1.10", // PSS
        ),
        (b"\x06\x03\x2b\x65\x71", "1.3.101.113"), // Ed448
    ] {
        let request = Request {
            algorithm: algorithm.to_vec(),
            ..Request::of(&key)
        };
        let error = possess_der(&request.signed_by(&key)).unwrap_err();
        assert_eq!(error.reason(), Reason::AlgorithmNotPermitted);
        assert_eq!(
            error.to_string(),
            format!("unrecognized signature algorithm: {name}")
        );
    }
}

#[test]
fn an_algorithm_of_another_family_cannot_be_the_keys() {
    let key = TestKey::generate(KeyKind::EcdsaP256);
    for (algorithm, scheme) in [
        (RSA_SHA256, Scheme::RsaPkcs1(Hash::Sha256)),
        (ED25519, Scheme::Ed25519),
    ] {
        let request = Request {
            algorithm: algorithm.to_vec(),
            ..Request::of(&key)
        };
        assert_eq!(
            possess_der(&request.signed_by(&key)),
            Err(Error::CsrSignatureInvalid {
                key: KeyKind::EcdsaP256,
                scheme
            })
        );
    }
}

#[test]
fn a_pair_off_the_list_is_refused() {
    let key = TestKey::generate(KeyKind::EcdsaP256);
    let csr = pem(LABEL, &Request::of(&key).signed_by(&key));
    let list = KeyPolicy::from(AlgorithmList::from_names(["ed25519"]).unwrap());
    assert_eq!(
        possession::by_csr(csr.as_bytes(), &list).unwrap_err(),
        Error::NotPermitted {
            key: KeyKind::EcdsaP256,
            scheme: Scheme::Ecdsa(Hash::Sha256)
        }
    );
}

#[test]
fn a_bad_key_inside_is_the_requests_fault_or_the_keys() {
    let key = TestKey::generate(KeyKind::EcdsaP256);
    let mut off_curve = key.spki();
    *off_curve.last_mut().unwrap() ^= 1;
    let request = Request {
        spki: off_curve,
        ..Request::of(&key)
    };
    let error = possess_der(&request.signed_by(&key)).unwrap_err();
    assert_eq!(error.reason(), Reason::CsrMalformed);
    assert_eq!(
        error,
        Error::Csr(CsrError::Key(KeyError::PointNotOnCurve {
            kind: KeyKind::EcdsaP256
        }))
    );
    let request = Request {
        spki: spki(b"\x06\x03\x2b\x65\x71", &[7; 57]),
        ..Request::of(&key)
    };
    let error = possess_der(&request.signed_by(&key)).unwrap_err();
    assert_eq!(error.reason(), Reason::PublicKeyInsecure);
}

#[test]
fn what_is_no_request_is_named() {
    let key = TestKey::generate(KeyKind::EcdsaP256);
    let der = Request::of(&key).signed_by(&key);
    let text = pem(LABEL, &der);
    let padded = |bytes: usize| format!("{text:\n<bytes$}").into_bytes();
    assert_eq!(possess(&padded(MAX_CSR_BYTES)), Ok(key.spki()));
    for (bad, error) in [
        (vec![], CsrError::Missing),
        (
            padded(MAX_CSR_BYTES + 1),
            CsrError::TooLarge {
                bytes: MAX_CSR_BYTES + 1,
            },
        ),
        (der.clone(), CsrError::Pem),
        (text.replace("END", "DNE").into_bytes(), CsrError::Pem),
        (pem("CERTIFICATE", &der).into_bytes(), CsrError::Label),
        (text.repeat(2).into_bytes(), CsrError::Blocks { blocks: 2 }),
        (
            pem(LABEL, b"\x02\x01\x00").into_bytes(),
            CsrError::NotCanonical(SpkiError::Der(der::Error::Tag {
                want: 0x30,
                got: 0x02,
            })),
        ),
        (
            pem(LABEL, &der[..der.len() - 1]).into_bytes(),
            CsrError::NotCanonical(SpkiError::Der(der::Error::Truncated { missing: 1 })),
        ),
        (
            pem(
                LABEL,
                &Request {
                    attributes: tlv(0xa0, b"\x02\x01\x00"),
                    ..Request::of(&key)
                }
                .signed_by(&key),
            )
            .into_bytes(),
            CsrError::Noise,
        ),
    ] {
        let refused = possess(&bad).unwrap_err();
        assert_eq!(refused.reason(), Reason::CsrMalformed);
        assert_eq!(refused, Error::Csr(error));
    }
}

#[test]
fn no_damaged_request_is_taken_or_panics() {
    let key = TestKey::generate(KeyKind::Ed25519);
    let der = Request::of(&key).signed_by(&key);
    for end in 0..der.len() {
        assert!(possess_der(&der[..end]).is_err());
    }
    for bit in 0..der.len() * 8 {
        let mut flipped = der.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(possess_der(&flipped).is_err(), "bit {bit}");
    }
}
