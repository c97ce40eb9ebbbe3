//! What is written is read back as it was.

use super::*;

fn serial() -> Serial {
    Serial::from_octets(&[7; 19]).unwrap()
}

fn intent() -> Intent {
    let said = b"..uri:https://a.example/\xc3\xbc..https://issuer.example..https://issuer.example";
    Intent {
        serial: serial(),
        unsigned: said[..].into(),
        token_hash: [1; 32],
        token_id: TokenId::from_octets([2; 32]),
        spki_hash: [3; 32],
        issuing_ca: IssuingCaId([4; 32]),
        profile: ProfileHash([5; 32]),
        request_id: "r-1".into(),
        kid: Some("key".into()),
        issuer: "https://issuer.example".into(),
        subject: "repo:a/b".into(),
        san: "uri:https://a.example/ü".into(),
        rule: Some("acme release jobs".into()),
        rules: Some([6; 32]),
        extensions: [
            (8, "https://issuer.example".into()),
            (9, "not in it".into()),
            (24, String::new()),
        ]
        .into(),
        at: UnixSeconds(1_795_262_400),
        not_after: UnixSeconds(1_795_262_999),
    }
}

fn submission() -> Submission {
    let mut precert_der = intent().unsigned.to_vec();
    precert_der[0] = b'!';
    precert_der.extend([1; 900]);
    Submission {
        serial: serial(),
        precert_der: precert_der.into(),
        scts: vec![vec![2; 119], vec![]],
    }
}

fn leaf() -> Final {
    Final {
        serial: serial(),
        leaf_der: [9; 1000].into(),
        at: UnixSeconds(-1),
    }
}

fn whole() -> Row {
    let mut row = Row::new(&intent());
    row.add_submission(&submission());
    row.add_final(&leaf());
    row.add_abandoned(UnixSeconds(i64::MIN));
    row
}

#[test]
fn what_is_written_reads_back_equal() {
    let expected = Record {
        intent: intent(),
        submission: Some(submission()),
        leaf: Some(leaf()),
        abandoned: Some(UnixSeconds(i64::MIN)),
    };
    assert_eq!(whole().view().record().unwrap(), expected);
    let bare = Intent {
        kid: None,
        rule: None,
        rules: None,
        extensions: [].into(),
        san: "without a kind".into(),
        unsigned: [].into(),
        ..intent()
    };
    let row = Row::new(&bare);
    let view = row.view();
    assert_eq!(view.intent().unwrap().0, bare);
    assert_eq!((view.serial(), view.at()), (serial(), bare.at.0));
    assert_eq!(view.not_after(), bare.not_after.0);
    assert_eq!(view.token_id(), [2; 32]);
    assert_eq!(view.spki_hash(), [3; 32]);
}

#[test]
fn a_record_of_before_the_rules_were_named_reads_back() {
    let old = Intent {
        rules: None,
        ..intent()
    };
    let mut bytes = Row::new(&intent()).octets().to_vec();
    let rules = bytes.windows(32).position(|window| window == [6; 32]);
    bytes.drain(rules.unwrap()..rules.unwrap() + 32);
    let name = b"acme release jobs";
    let rule = bytes.windows(name.len()).position(|window| window == name);
    // What said that there is a rule, and nothing else, before its length.
    let given = rule.unwrap() - 5;
    assert_eq!(std::mem::replace(&mut bytes[given], 1), RULE | RULES);
    let row = Row::from_bytes(bytes).unwrap();
    assert_eq!(row.view().intent().unwrap().0, old);
    let neither = Intent { rule: None, ..old };
    let row = Row::new(&neither);
    assert_eq!(row.view().intent().unwrap().0, neither);
}

#[test]
fn what_the_certificate_says_is_not_said_again() {
    let row = Row::new(&intent());
    let count = |text: &[u8]| {
        let windows = row.octets().windows(text.len());
        windows.filter(|window| *window == text).count()
    };
    assert_eq!(count(b"https://issuer.example"), 2);
    assert_eq!(count("https://a.example/ü".as_bytes()), 1);
    assert_eq!(count(b"not in it"), 1);
}

#[test]
fn a_certificate_with_the_same_texts_here_and_there_says_them_all() {
    let issuer = "https://issuer.example";
    let said = b"..uri:https://a.example/..https://issuer.example..push..refs/heads/main\
        ..https://issuer.example..refs/heads/main..push..repo:a/b:ref:refs/heads/main..";
    let texts = [
        (1, issuer),
        (2, "push"),
        (6, "refs/heads/main"),
        (8, issuer),
        (14, "refs/heads/main"),
        (20, "push"),
        (24, "repo:a/b:ref:refs/heads/main"),
    ];
    let without = Intent {
        unsigned: said[..].into(),
        san: "uri:https://a.example/".into(),
        extensions: [].into(),
        ..intent()
    };
    let with = Intent {
        extensions: texts.map(|(arc, text)| (arc, text.to_owned())).into(),
        ..without.clone()
    };
    let octets = |intent: &Intent| Row::new(intent).octets().len();
    // Arc, place and length of each.
    assert_eq!(octets(&with) - octets(&without), texts.len() * (1 + 2 + 2));
    assert_eq!(Row::new(&with).view().intent().unwrap().0, with);
}

#[test]
fn texts_in_another_order_than_the_certificates_read_back_too() {
    let intent = Intent {
        extensions: vec![(9, "https://issuer.example".into()); 3].into(),
        issuer: "uri:".into(),
        ..intent()
    };
    assert_eq!(Row::new(&intent).view().intent().unwrap().0, intent);
}

#[test]
fn of_two_submissions_the_later_one_counts() {
    let mut row = whole();
    let later = Submission {
        scts: vec![],
        ..submission()
    };
    row.add_submission(&later);
    assert_eq!(row.view().record().unwrap().submission, Some(later));
}

#[test]
fn an_intent_is_known_by_all_of_it_whatever_follows() {
    let row = Row::new(&intent());
    assert!(row.view().has_intent_of(&row));
    assert!(whole().view().has_intent_of(&row));
    let shorter = Intent {
        extensions: [].into(),
        ..intent()
    };
    assert!(!whole().view().has_intent_of(&Row::new(&shorter)));
}

#[test]
fn every_cut_is_damage_or_a_row_that_got_less_far() {
    let whole = whole();
    let parts = [
        Row::new(&intent()),
        {
            let mut row = Row::new(&intent());
            row.add_submission(&submission());
            row
        },
        {
            let mut row = Row::new(&intent());
            row.add_submission(&submission());
            row.add_final(&leaf());
            row
        },
    ];
    for length in 0..whole.octets().len() {
        let read = View::new(&whole.octets()[..length]).map(View::record);
        let got_less_far = parts.iter().any(|row| row.octets().len() == length);
        assert_eq!(matches!(read, Some(Ok(_))), got_less_far, "cut at {length}");
    }
}

#[test]
fn another_version_and_an_unknown_part_are_not_read() {
    let mut bytes = whole().octets().to_vec();
    bytes.push(ABANDONED + 1);
    let read = View::new(&bytes).unwrap().record();
    assert!(matches!(read, Err(StoreError::Corrupt { what }) if what == "part"));
    bytes[0] = VERSION + 1;
    assert!(View::new(&bytes).is_none());
}
