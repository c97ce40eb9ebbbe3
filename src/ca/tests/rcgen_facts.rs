//! Facts about rcgen that the encoder is built around. A test here that fails after an update
//! does not mean a bug: it means a workaround may go, or a new one is due.

use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P384_SHA384, SanType, SerialNumber,
    SubjectPublicKeyInfo,
};

use super::world::{Draft, Key, rdn};
use crate::ca::Signer;
use crate::der;
use crate::x509::{Certificate, oid};

fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap()
}

fn made(params: &CertificateParams) -> Certificate {
    let certificate = params.self_signed(&key()).unwrap();
    Certificate::from_der(certificate.der().to_vec()).unwrap()
}

fn names(certificate: &Certificate) -> Vec<Vec<u8>> {
    certificate
        .extensions()
        .map(|one| one.oid.to_vec())
        .collect()
}

#[test]
fn the_default_validity_is_1975_to_4096() {
    let params = CertificateParams::default();
    assert_eq!(params.not_before.year(), 1975);
    assert_eq!(params.not_after.year(), 4096);
}

#[test]
fn the_default_serial_is_a_hash_of_the_key() {
    let key = key();
    let serial = |params: &CertificateParams| {
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Certificate::from_der(der).unwrap().serial().to_vec()
    };
    let params = CertificateParams::default();
    assert_eq!(serial(&params), serial(&params));
}

#[test]
fn a_serial_of_20_octets_with_the_top_bit_set_becomes_21() {
    let mut params = CertificateParams::default();
    params.serial_number = Some(SerialNumber::from_slice(&[0xff; 20]));
    let der = params.self_signed(&key()).unwrap().der().to_vec();
    assert_eq!(
        Certificate::from_der(der).err(),
        Some(crate::x509::CertificateError::Serial { octets: 21 })
    );
}

#[test]
fn custom_extensions_come_out_in_the_order_given_and_typed_ones_do_not() {
    let custom = |arc: u64| CustomExtension::from_oid_content(&[1, 3, 6, 1, arc], vec![5, 0]);
    let mut params = CertificateParams::default();
    params.custom_extensions = vec![custom(9), custom(3), custom(5)];
    let arcs: Vec<u8> = names(&made(&params)).iter().map(|oid| oid[3]).collect();
    assert_eq!(arcs, [9, 3, 5]);

    params.subject_alt_names = vec![SanType::URI("https://a/".try_into().unwrap())];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    let first = names(&made(&params));
    assert_eq!(first[0], oid::SUBJECT_ALT_NAME);
    assert_eq!(first[1], oid::KEY_USAGE);
}

#[test]
fn a_subject_key_identifier_costs_basic_constraints() {
    let mut params = CertificateParams::default();
    assert_eq!(made(&params).ski(), None);
    params.is_ca = IsCa::ExplicitNoCa;
    let made = made(&params);
    assert!(made.ski().is_some());
    assert!(made.extension(oid::BASIC_CONSTRAINTS).is_some());
}

#[test]
fn repeated_attributes_of_an_issuer_name_are_lost() {
    const OU: &[u8] = &[0x55, 4, 11];
    let key = Key::p384(1);
    let mut root = Draft::root(&key);
    let name = der::sequence(&[&rdn(OU, 0x0c, b"one"), &rdn(OU, 0x0c, b"two")]);
    root.subject = name.clone();
    root.issuer = name.clone();
    let der = root.sign(&key).der().to_vec().into();
    let issuer = Issuer::from_ca_cert_der(&der, self::key()).unwrap();
    let subject = SubjectPublicKeyInfo::from_der(key.spki()).unwrap();
    let leaf = CertificateParams::default()
        .signed_by(&subject, &issuer)
        .unwrap();
    let leaf = Certificate::from_der(leaf.der().to_vec()).unwrap();
    // rcgen#81, rcgen#300: only the last is left.
    assert_eq!(leaf.issuer(), der::sequence(&[&rdn(OU, 0x0c, b"two")]));
    assert_ne!(leaf.issuer(), name);
}

#[test]
fn an_empty_subject_is_the_empty_sequence() {
    let mut params = CertificateParams::default();
    assert_ne!(made(&params).subject(), [0x30, 0]);
    params.distinguished_name = DistinguishedName::new();
    assert_eq!(made(&params).subject(), [0x30, 0]);
    let mut repeated = DistinguishedName::new();
    repeated.push(DnType::OrganizationalUnitName, "one");
    repeated.push(DnType::OrganizationalUnitName, "two");
    assert_eq!(repeated.iter().count(), 1);
}

#[test]
fn the_authority_key_identifier_is_absent_unless_asked_for() {
    let mut params = CertificateParams::default();
    assert_eq!(made(&params).aki(), None);
    params.use_authority_key_identifier_extension = true;
    assert!(made(&params).aki().is_some());
}

#[test]
fn a_name_of_two_values_in_one_rdn_is_refused() {
    let key = Key::p384(1);
    let pair = |attribute: &[u8], text: &[u8]| {
        der::sequence(&[&der::tlv(0x06, &[attribute]), &der::tlv(0x0c, &[text])])
    };
    let both = [pair(&[0x55, 4, 3], b"a"), pair(&[0x55, 4, 11], b"b")].concat();
    let name = der::sequence(&[&der::tlv(0x31, &[&both])]);
    let mut root = Draft::root(&key);
    (root.subject, root.issuer) = (name.clone(), name);
    let der = root.sign(&key).der().to_vec().into();
    assert!(Issuer::from_ca_cert_der(&der, self::key()).is_err());
}

#[test]
fn a_requests_key_type_is_guessed_from_its_signature() {
    use p384::ecdsa::signature::hazmat::PrehashSigner;
    // A P-384 key whose request is signed with SHA-256: rcgen takes it for P-256 (rcgen#448).
    let key = p384::ecdsa::SigningKey::from_slice(&[7; 48]).unwrap();
    let spki = Key::p384(7).spki().to_vec();
    let info = der::sequence(&[&[2, 1, 0], &[0x30, 0], &spki, &[0xa0, 0]]);
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &info);
    let signature: p384::ecdsa::DerSignature = key.sign_prehash(hash.as_ref()).unwrap();
    let request = der::sequence(&[
        &info,
        crate::x509::SignatureAlgorithm::EcdsaP256Sha256.identifier(),
        &der::bit_string(signature.as_bytes()),
    ]);
    let read = rcgen::CertificateSigningRequestParams::from_der(&request.into()).unwrap();
    let algorithm = rcgen::PublicKeyData::algorithm(&read.public_key);
    assert_eq!(algorithm, &rcgen::PKCS_ECDSA_P256_SHA256);
}
