//! Each rule has a certificate it passes and a twin, one change away, that it alone refuses.

use std::path::PathBuf;

use shortleaf::lint::{Kind, RULES, SanKind};

use crate::fixture::*;

/// A rule, the certificate that keeps it, and the one change that breaks it.
pub(crate) type Pair = (&'static str, fn() -> Fixture, fn(&mut Fixture));

#[rustfmt::skip]
pub(crate) const PAIRS: &[Pair] = &[
    // critical FALSE is the default and must not be written
    ("c00", Fixture::leaf, |f| f.at(EXTENDED_KEY_USAGE).critical = vec![1, 1, 0]),
    ("c01", Fixture::leaf, |f| f.version = 1),
    ("c02", || with(Fixture::leaf(), |f| f.numbered([7; 9])), |f| f.numbered([7; 20])),
    ("c03", Fixture::leaf, |f| f.outer = algorithm(ECDSA_SHA256)),
    // PrintableString where the CA's subject has UTF8String
    ("c04", Fixture::leaf, |f| f.issuer = name(0x13)),
    ("c05", || with(Fixture::leaf(), |f| f.plan.issuer_not_after = f.not_after), |f| f.ends(f.not_after.plus(1))),
    ("c06", Fixture::leaf, |f| f.subject = name(0x0c)),
    ("c07", || with(Fixture::leaf(), |f| f.key(rsa(256, 0x5d, &[1, 0, 1]))), |f| f.key(rsa(256, 0x5d, &[3]))),
    ("c08", || with(Fixture::leaf(), |f| f.email("dev@example.com")),
        |f| f.at(SAN).value = tlv(0x30, &[tlv(0x81, b"dev@example.com"), tlv(0x81, b"ops@example.com")].concat())),
    ("c09", Fixture::leaf, |f| f.at(KEY_USAGE).value = vec![3, 2, 2, 0x84]),
    ("c10", Fixture::leaf, |f| f.at(EXTENDED_KEY_USAGE).value = purposes(&[3, 2])),
    ("c11", Fixture::leaf, |f| f.insert_after(SAN, Extension::critical(BASIC_CONSTRAINTS, tlv(0x30, &[])))),
    ("c12", Fixture::leaf, |f| f.at(AKI).value = tlv(0x30, &tlv(0x80, &[0x5a; 20]))),
    ("c13", || with(Fixture::leaf(), every_identity_extension), |f| {
        let twelve = f.at(&fulcio(12)).clone();
        f.remove(&fulcio(12));
        f.insert_before(&fulcio(11), twelve);
    }),
    ("c14", Fixture::leaf, |f| f.at(&fulcio(1)).value.push(b'/')),
    // an octet behind the UTF8String
    ("c15", Fixture::leaf, |f| f.at(&fulcio(9)).value.push(0)),
    ("c16", Fixture::precert, |f| f.at(POISON).critical.clear()),
    ("c17", Fixture::leaf, |f| f.at(SCT_LIST).value = sct_list(&[sct(3), sct(3)])),
    ("c18", Fixture::leaf, |f| f.insert_after(SAN, Extension::new(NO_REV_AVAIL, [5, 0]))),
    ("c19", || with(Fixture::leaf(), |f| {
        f.plan.crl_url = Some(CRL);
        f.insert_before(SCT_LIST, Extension::new(CRLDP, crldp(CRL)));
    }), |f| f.at(CRLDP).value = crldp("http://crl.example.com/other.crl")),
    // the one rule that looks at the plan alone: same bytes, another plan
    ("c20", Fixture::leaf, |f| f.plan.profile_known = false),
];

const CRL: &str = "http://crl.example.com/leaf.crl";

/// More ways to break a rule, each refused by exactly the rules named.
#[rustfmt::skip]
const REFUSALS: &[Pair] = &[
    ("c00", Fixture::leaf, |f| f.trailing = vec![0]),
    // AlgorithmIdentifier { ecdsa-with-SHA384, NULL }
    ("c03", Fixture::leaf, |f| { f.inner = tlv(0x30, &[tlv(6, ECDSA_SHA384), vec![5, 0]].concat()); f.outer = f.inner.clone(); }),
    ("c03", Fixture::leaf, |f| { f.inner = algorithm(ECDSA_SHA256); f.outer = f.inner.clone(); }),
    ("c02", Fixture::leaf, |f| f.numbered([7; 8])),
    ("c02", Fixture::leaf, |f| f.numbered([0x80; 19])),
    ("c02", Fixture::leaf, |f| f.serial[18] ^= 1),
    ("c02", Fixture::leaf, |f| f.numbered([&[0, 1][..], &[7; 17]].concat())),
    ("c02", Fixture::leaf, |f| f.numbered([0; 19])),
    ("c05", Fixture::leaf, |f| f.not_after = f.not_after.plus(-1)),
    ("c05", Fixture::leaf, |f| f.ends(NOON.plus(600))),
    ("c05", Fixture::leaf, |f| f.ends(NOON.plus(-1))),
    ("c05", Fixture::leaf, |f| f.plan.issuer_not_before = NOON.plus(1)),
    ("c07", Fixture::leaf, |f| f.key(p256_compressed())),
    ("c07", Fixture::leaf, |f| f.key(rsa(128, 0x5d, &[1, 0, 1]))),
    ("c07", Fixture::leaf, |f| f.key(rsa(256, 0x5c, &[1, 0, 1]))),
    ("c07", Fixture::leaf, |f| f.plan.spki = ed25519()),
    ("c08", Fixture::leaf, |f| f.remove(SAN)),
    ("c08", Fixture::leaf, |f| f.at(SAN).critical.clear()),
    ("c08", Fixture::leaf, |f| f.plan.san = SanKind::Email),
    ("c08", Fixture::leaf, |f| f.email("dev.example.com")),
    ("c08", Fixture::leaf, |f| f.email("dev @example.com")),
    ("c08", Fixture::leaf, |f| f.email("d\u{e9}v@example.com")),
    ("c08", Fixture::leaf, |f| f.at(SAN).value.extend([5, 0])),
    ("c08", Fixture::leaf, |f| f.plan.name.push('x')),
    // a name no parser can read: it comes back as an item, not as an error
    ("c08", Fixture::leaf, |f| f.at(SAN).value = tlv(0x30, &tlv(0x86, &[0xff, 0xfe]))),
    ("c08", Fixture::leaf, |f| f.at(SAN).value = tlv(0x30, &tlv(0x82, b"example.com"))),
    ("c09", Fixture::leaf, |f| f.remove(KEY_USAGE)),
    ("c09", Fixture::leaf, |f| f.at(KEY_USAGE).critical.clear()),
    // the same usage with a wrong count of unused bits
    ("c09", Fixture::leaf, |f| f.at(KEY_USAGE).value = vec![3, 2, 0, 0x80]),
    ("c10", Fixture::leaf, |f| f.remove(EXTENDED_KEY_USAGE)),
    ("c10", Fixture::leaf, |f| f.at(EXTENDED_KEY_USAGE).critical = vec![1, 1, 0xff]),
    ("c12", Fixture::leaf, |f| f.remove(SKI)),
    ("c12", Fixture::leaf, |f| f.at(SKI).value[5] ^= 1),
    ("c12", Fixture::leaf, |f| f.remove(AKI)),
    ("c13", Fixture::leaf, |f| f.insert_after(SAN, Extension::new(&[0x55, 0x1d, 0x20], [0x30, 0]))),
    ("c13", Fixture::leaf, |f| { let again = f.at(&fulcio(9)).clone(); f.insert_after(&fulcio(9), again) }),
    ("c13", Fixture::leaf, |f| f.says(9, &"x".repeat(1022))),
    ("c13", Fixture::leaf, |f| f.says(7, "x")),
    ("c13", Fixture::leaf, |f| f.says(25, "x")),
    ("c14", Fixture::leaf, |f| f.remove(&fulcio(1))),
    ("c14", Fixture::leaf, |f| f.remove(&fulcio(8))),
    ("c14", Fixture::leaf, |f| *f.at(&fulcio(8)) = Extension::text(8, "https://issuer.example")),
    ("c15", Fixture::leaf, |f| f.says(9, "a\0b")),
    ("c15", Fixture::leaf, |f| f.says(2, "push\n")),
    ("c15", Fixture::leaf, |f| f.at(&fulcio(2)).value = vec![0xff]),
    ("c15", Fixture::leaf, |f| f.at(&fulcio(9)).value[0] = 0x13),
    ("c15", Fixture::leaf, |f| f.at(&fulcio(9)).critical = vec![1, 1, 0xff]),
    ("c15", Fixture::leaf, |f| f.says(11, "")),
    ("c15", Fixture::leaf, |f| *f.at(&fulcio(9)) = Extension::text(9, "https://github.com/mallory")),
    ("c15", Fixture::leaf, |f| f.remove(&fulcio(9))),
    ("c15", Fixture::leaf, |f| f.insert_after(&fulcio(11), Extension::text(12, "not planned"))),
    ("c16", Fixture::precert, |f| f.remove(POISON)),
    ("c16", Fixture::precert, |f| f.at(POISON).value = vec![4, 0]),
    ("c16", Fixture::precert, |f| f.insert_after(POISON, Extension::new(SCT_LIST, sct_list(&[sct(3)])))),
    ("c17", Fixture::leaf, |f| f.insert_before(SCT_LIST, Extension::critical(POISON, [5, 0]))),
    ("c17", Fixture::leaf, |f| f.remove(SCT_LIST)),
    ("c17", Fixture::leaf, |f| f.at(SCT_LIST).value = sct_list(&[])),
    ("c17", Fixture::leaf, |f| f.at(SCT_LIST).value = sct_list(&[sct(2)])),
    ("c17", Fixture::leaf, |f| f.at(SCT_LIST).value.push(0)),
    ("c17", Fixture::leaf, |f| f.at(SCT_LIST).critical = vec![1, 1, 0xff]),
    ("c17", Fixture::leaf, |f| f.plan.kind = Kind::LeafWithoutLog),
    ("c19", Fixture::leaf, |f| f.plan.crl_url = Some(CRL)),
    ("c19", Fixture::leaf, |f| f.insert_before(SCT_LIST, Extension::new(CRLDP, crldp(CRL)))),
    ("c19", Fixture::leaf, |f| {
        f.plan.crl_url = Some("https://crl.example.com/leaf.crl");
        f.insert_before(SCT_LIST, Extension::new(CRLDP, crldp("https://crl.example.com/leaf.crl")));
    }),
    // not on the list of extensions, and an OCSP responder besides
    ("c13 c18", Fixture::leaf, |f| {
        let ocsp = tlv(6, &[0x2b, 6, 1, 5, 5, 7, 0x30, 1]);
        let access = tlv(0x30, &[ocsp, tlv(0x86, b"http://ocsp.example.com")].concat());
        f.insert_after(SAN, Extension::new(INFO_ACCESS, tlv(0x30, &access)));
    }),
];

#[test]
fn each_rule_has_one_pair() {
    let paired: Vec<_> = PAIRS.iter().map(|(rule, ..)| *rule).collect();
    let all: Vec<_> = RULES.iter().map(|rule| rule.id).collect();
    assert_eq!(paired, all);
}

#[test]
fn each_pair_differs_in_its_rule_alone() {
    for (rule, keeps, breaks) in PAIRS {
        let good = keeps();
        assert_eq!(broken(&good), "", "{rule}.pass");
        assert_eq!(broken(&with(good, *breaks)), *rule, "{rule}.fail");
    }
}

#[test]
fn each_refusal_comes_from_its_own_rule() {
    for (n, (rules, keeps, breaks)) in REFUSALS.iter().enumerate() {
        let good = keeps();
        assert_eq!(broken(&good), "", "refusal {n}, before the change");
        assert_eq!(broken(&with(good, *breaks)), *rules, "refusal {n}");
    }
}

#[test]
fn every_allowed_kind_of_key_passes() {
    for spki in every_kind() {
        let leaf = with(Fixture::leaf(), |f| f.key(spki.clone()));
        assert_eq!(broken(&leaf), "", "{spki:02x?}");
    }
}

#[test]
fn a_leaf_without_log_has_neither_poison_nor_sct() {
    let leaf = with(Fixture::leaf(), |f| {
        f.plan.kind = Kind::LeafWithoutLog;
        f.remove(SCT_LIST);
    });
    assert_eq!(broken(&leaf), "");
}

#[test]
fn the_sct_of_a_log_with_an_rsa_key_is_one_too() {
    let leaf = with(Fixture::leaf(), |f| {
        f.at(SCT_LIST).value = sct_list(&[sct(1)]);
    });
    assert_eq!(broken(&leaf), "");
}

#[test]
fn all_findings_are_reported_not_just_the_first() {
    let worse = with(Fixture::leaf(), |f| {
        f.version = 1;
        f.subject = name(0x0c);
        f.remove(&fulcio(1));
    });
    let findings = worse.lint().expect_err("three rules are broken");
    let text = findings.to_string();
    assert_eq!(findings.0.len(), 3, "{text}");
    assert!(
        text.starts_with("c01 version is 1, not 2 (v3); c06 subject is 30"),
        "{text}"
    );
    assert!(
        text.ends_with("; c14 issuer extension .1 is absent"),
        "{text}"
    );
}

#[test]
fn the_token_names_the_to_be_signed_bytes_and_not_the_signature() {
    let leaf = Fixture::leaf();
    let der = leaf.der();
    let linted = leaf.lint().expect("a good certificate");
    // Certificate and TBSCertificate have a four-octet header each at this size.
    let tbs_len = 4 + usize::from(u16::from_be_bytes([der[6], der[7]]));
    let tbs = &der[4..4 + tbs_len];
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, tbs);
    assert_eq!(linted.tbs_sha256()[..], *digest.as_ref());
}

#[test]
fn a_length_longer_than_needed_is_refused() {
    let leaf = Fixture::leaf();
    let mut der = leaf.der();
    // Signature BIT STRING 03 01 00 as 03 81 01 00, the certificate one octet longer.
    let end = der.len() - 2;
    der.insert(end, 0x81);
    der[3] += 1;
    let findings = leaf.lint_bytes(&der).expect_err("not DER");
    assert_eq!(
        findings.0.iter().map(|f| f.rule).collect::<Vec<_>>(),
        ["c00"]
    );
}

#[test]
fn no_prefix_of_a_certificate_is_one() {
    let leaf = Fixture::leaf();
    let der = leaf.der();
    for end in 0..der.len() {
        let findings = leaf.lint_bytes(&der[..end]).expect_err("cut short");
        assert_eq!(findings.0[0].rule, "c00");
    }
}

#[test]
fn a_changed_octet_passes_only_where_the_plan_leaves_it_open() {
    let leaf = Fixture::leaf();
    let der = leaf.der();
    let open = [sct(3)];
    let tbs_end = der.len() - leaf.outer.len() - 3;
    for at in 4..tbs_end {
        let mut changed = der.clone();
        changed[at] ^= 1;
        let within = |part: &Vec<u8>| {
            let first = (at + 1).saturating_sub(part.len());
            (first..=at).any(|from| der[from..].starts_with(part))
        };
        let passes = leaf.lint_bytes(&changed).is_ok();
        assert!(
            !passes || open.iter().any(within),
            "octet {at} is not looked at"
        );
    }
}

/// The files under `testdata/lint` are these fixtures. `SHORTLEAF_REGENERATE=1` rewrites them.
#[test]
fn the_stored_files_are_what_the_fixtures_make() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/lint");
    let regenerate = std::env::var_os("SHORTLEAF_REGENERATE").is_some();
    for (rule, keeps, breaks) in PAIRS {
        let good = keeps();
        let bad = with(good.clone(), *breaks);
        for (verdict, fixture) in [("pass", good), ("fail", bad)] {
            let path = folder.join(format!("{rule}.{verdict}.der"));
            if regenerate {
                std::fs::write(&path, fixture.der()).expect("testdata is writable");
            }
            let stored = std::fs::read(&path).expect("run once with SHORTLEAF_REGENERATE=1");
            assert_eq!(stored, fixture.der(), "{}", path.display());
        }
    }
}

pub(crate) fn with(mut fixture: Fixture, change: impl FnOnce(&mut Fixture)) -> Fixture {
    change(&mut fixture);
    fixture
}

/// The rules a fixture breaks, as one line.
fn broken(fixture: &Fixture) -> String {
    match fixture.lint() {
        Ok(_) => String::new(),
        Err(findings) => {
            let rules: Vec<_> = findings.0.iter().map(|f| f.rule).collect();
            rules.join(" ")
        }
    }
}

fn every_identity_extension(fixture: &mut Fixture) {
    for arc in (1..=24).filter(|arc| *arc != 7) {
        let planned = fixture.plan.identity.iter();
        if !planned.clone().any(|(present, _)| *present == arc) {
            fixture.says(arc, &format!("value of .{arc}"));
        }
    }
}

#[test]
fn the_documentation_lists_every_rule_in_its_own_words() {
    let documented = include_str!("../../docs/certificate-profile.md");
    let rows = documented.lines().filter(|line| line.starts_with("| c"));
    let rules = RULES
        .iter()
        .map(|rule| format!("| {} | {} |", rule.id, rule.summary));
    assert_eq!(
        rows.filter(|row| !row.starts_with("| cRL"))
            .collect::<Vec<_>>(),
        rules.collect::<Vec<_>>()
    );
}
