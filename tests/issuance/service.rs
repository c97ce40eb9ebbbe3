//! The pipeline in one process: what it answers and what it writes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use shortleaf::audit;
use shortleaf::fault::Reason;
use shortleaf::hex;
use shortleaf::issuance::{CtMode, Error, ORPHAN_AFTER_S, Request, Swept};
use shortleaf::time::UnixMillis;
use shortleaf::token::discovery::HttpKeys;
use shortleaf::x509::Certificate;

use crate::away::assert_away;
use crate::samples::NOW;
use crate::world::{Mood, World, expired, key, now, request, trusted};

const WHOLE: [&str; 5] = [
    "precert_signing",
    "precert_signed",
    "leaf_signing",
    "leaf_signed",
    "issued",
];

#[tokio::test]
async fn a_good_request_gets_a_certificate_that_is_recorded_and_logged() {
    let world = World::new();
    let issued = world.one().await.unwrap();

    let leaf = Certificate::from_der(issued.leaf_der.to_vec()).unwrap();
    assert_eq!(leaf.serial(), issued.serial.octets());
    assert_eq!(leaf.not_after(), issued.not_after);
    assert_eq!((issued.sct_embedded, issued.repeated), (true, false));
    assert_eq!(issued.chain.len(), 2);
    assert_eq!(world.log.inner.size(), 1);
    assert_eq!(world.audit.kinds(), WHOLE);

    let records = world.records().await;
    let [record] = records.as_slice() else {
        panic!("{records:?}")
    };
    let (submission, stored) = (record.submission.as_ref(), record.leaf.as_ref());
    assert_eq!(stored.unwrap().leaf_der, issued.leaf_der);
    assert_eq!(submission.unwrap().scts.len(), 1);
    assert_eq!(record.intent.serial, issued.serial);
    assert_eq!(record.intent.issuer, crate::world::ISSUER);
    assert_eq!(record.intent.san, "email:jane@example.com");
    assert_eq!(record.intent.kid.as_deref(), Some("RS256"));
    assert_eq!(record.intent.request_id, "r-1");
}

#[tokio::test]
async fn the_audit_lines_around_a_signature_hold_what_was_signed() {
    let world = World::new();
    let issued = world.one().await.unwrap();
    let lines = world.audit.lines();
    let field = |line: usize, name| {
        let fields = &lines[line].fields;
        let found = fields.iter().find(|(field, _)| *field == name);
        found.map(|(_, value)| value.clone()).unwrap()
    };
    // The lines before and after are the certificate: its first part and its last.
    let record = world.records().await.pop().unwrap();
    let precert = record.submission.unwrap().precert_der;
    for (line, der) in [(0, &precert[..]), (2, &issued.leaf_der[..])] {
        let der = hex::encode(der);
        let (tbs, signature) = (field(line, "tbs"), field(line + 1, "signature"));
        // SEQUENCE and three octets of length, algorithm, BIT STRING without unused bits.
        assert_eq!(der.find(&tbs), Some(2 * 4), "line {line}");
        assert!(der.ends_with(&format!("00{signature}")), "line {line}");
    }
    assert!((0..5).all(|line| field(line, "serial") == issued.serial.to_string()));
    let summary = audit::verify(world.audit.text().as_slice()).unwrap();
    assert_eq!((summary.signing, summary.signed), (2, 2));
}

#[tokio::test]
async fn neither_token_nor_proof_reaches_the_audit_trail() {
    let world = World::new();
    let (token, key) = (world.token(), key());
    world
        .service()
        .issue(request(&token, &key, "r-1"), now())
        .await
        .unwrap();
    let text = String::from_utf8(world.audit.text()).unwrap();
    for part in token.split('.') {
        assert!(!text.contains(part));
    }
    assert!(!text.contains(&hex::encode(&key.prove("jane@example.com"))));
}

#[tokio::test]
async fn the_same_token_and_key_get_the_stored_certificate() {
    let world = World::new();
    let (token, key) = (world.token(), key());
    let service = world.service();
    let first = service
        .issue(request(&token, &key, "r-1"), now())
        .await
        .unwrap();
    let again = service
        .issue(request(&token, &key, "r-2"), now())
        .await
        .unwrap();
    assert_eq!(again.leaf_der, first.leaf_der);
    assert_eq!((again.repeated, again.sct_embedded), (true, true));
    assert_eq!(world.signer.count(), 2);
    assert_eq!(world.audit.kinds().len(), WHOLE.len() + 1);
}

#[tokio::test]
async fn a_stored_certificate_without_an_sct_is_not_given_once_logs_are_required() {
    let mut world = World::new();
    let required = std::mem::replace(&mut world.parts.ct, CtMode::Off);
    let (token, key) = (world.token(), key());
    let ask = async |world: &World, id| {
        let request = request(&token, &key, id);
        world.service().issue(request, now()).await.unwrap()
    };
    let unlogged = ask(&world, "r-1").await;
    assert!(!unlogged.sct_embedded);
    // As long as nothing is required it is the answer.
    assert_eq!(ask(&world, "r-2").await.serial, unlogged.serial);

    world.parts.ct = required;
    let logged = ask(&world, "r-3").await;
    assert_eq!((logged.sct_embedded, logged.repeated), (true, false));
    assert_ne!(logged.serial, unlogged.serial);
    // The token was good for one key and still is: no second use was spent.
    let again = ask(&world, "r-4").await;
    assert_eq!(again.leaf_der, logged.leaf_der);
    assert_eq!((again.sct_embedded, again.repeated), (true, true));
    assert_eq!(world.log.inner.size(), 1);
}

#[tokio::test]
async fn the_same_token_with_another_key_is_a_replay() {
    let world = World::new();
    let token = world.token();
    let service = world.service();
    service
        .issue(request(&token, &key(), "r-1"), now())
        .await
        .unwrap();
    let refused = service
        .issue(request(&token, &key(), "r-2"), now())
        .await
        .unwrap_err();
    assert!(
        matches!(refused.error, Error::Replayed { limit: 1, .. }),
        "{refused}"
    );
    assert_eq!(refused.reason(), Reason::TokenReplayed);
    assert_eq!(world.audit.kinds().last(), Some(&"refused"));
    assert_eq!(world.signer.count(), 2);
}

#[tokio::test]
async fn a_token_good_for_two_keys_certifies_two() {
    let mut world = World::new();
    world.parts.terms.issuers = vec![trusted(2)];
    let token = world.token();
    let service = world.service();
    for id in ["r-1", "r-2"] {
        let issued = service
            .issue(request(&token, &key(), id), now())
            .await
            .unwrap();
        assert!(!issued.repeated);
    }
    let third = service.issue(request(&token, &key(), "r-3"), now()).await;
    assert_eq!(third.unwrap_err().reason(), Reason::TokenReplayed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn finishing_waits_for_what_goes_on_without_its_caller() {
    let world = World::new();
    world.log.set(Mood::Slow);
    let service = world.service();
    let asked = service.issue(request(&world.token(), &key(), "r-1"), now());
    tokio::time::timeout(Duration::from_millis(100), asked)
        .await
        .unwrap_err();
    let finished = tokio::time::timeout(Duration::from_millis(100), service.finish());
    finished.await.unwrap_err();

    world.log.set(Mood::Well);
    service.finish().await;
    assert!(world.records().await[0].leaf.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_for_the_same_at_the_same_time_share_one_issuance() {
    let world = World::new();
    world.log.set(Mood::Slow);
    let (token, key) = (world.token(), key());
    let service = world.service();
    let callers: Vec<_> = (0..20)
        .map(|n| {
            let service = service.clone();
            let request = request(&token, &key, &format!("r-{n}"));
            tokio::spawn(async move { service.issue(request, now()).await.unwrap() })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    world.log.set(Mood::Well);
    let mut own = 0;
    let mut leaves = Vec::new();
    for caller in callers {
        let issued = caller.await.unwrap();
        own += u32::from(!issued.repeated);
        leaves.push(issued.leaf_der);
    }
    assert_eq!(own, 1);
    assert!(leaves.iter().all(|leaf| *leaf == leaves[0]));
    assert_eq!(world.records().await.len(), 1);
    assert_eq!(world.log.inner.size(), 1);
    let issued = world
        .audit
        .kinds()
        .iter()
        .filter(|kind| **kind == "issued")
        .count();
    assert_eq!(issued, 20, "a line for each answer");
}

#[tokio::test]
async fn a_caller_that_hangs_up_does_not_stop_the_record() {
    let world = World::new();
    world.log.set(Mood::Slow);
    let service = world.service();
    let (token, key) = (world.token(), key());
    let asked = service.issue(request(&token, &key, "r-1"), now());
    let hung_up = tokio::time::timeout(Duration::from_millis(100), asked).await;
    assert!(hung_up.is_err());
    world.log.set(Mood::Well);
    while world
        .records()
        .await
        .iter()
        .all(|record| record.leaf.is_none())
    {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let again = service
        .issue(request(&token, &key, "r-2"), now())
        .await
        .unwrap();
    assert!(again.repeated);
}

#[tokio::test]
async fn a_panic_in_the_pipeline_is_our_fault_and_blocks_nobody() {
    let world = World::new();
    world.log.set(Mood::Panicking);
    let service = world.service();
    let (token, key) = (world.token(), key());
    let died = service
        .issue(request(&token, &key, "r-1"), now())
        .await
        .unwrap_err();
    assert!(matches!(died.error, Error::Died), "{died}");
    assert_eq!(died.reason(), Reason::Internal);
    world.log.set(Mood::Well);
    service
        .issue(request(&token, &key, "r-2"), now())
        .await
        .unwrap();
}

#[tokio::test]
async fn an_issuer_is_matched_byte_for_byte() {
    let world = World::new();
    let stranger = crate::issuer::Issuer::new("https://issuer.example/");
    let token = stranger.token(crate::issuer::email_claims(), NOW.0);
    let refused = world
        .service()
        .issue(request(&token, &key(), "r-1"), now())
        .await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.reason(), Reason::TokenIssuerUnknown);
    assert_eq!(world.audit.kinds(), [] as [&str; 0]);
    assert_eq!(world.records().await, []);
}

#[tokio::test]
async fn a_refusal_by_the_token_names_its_reason_and_its_issuer_and_nothing_else() {
    let world = World::new();
    let token = world.issuer.token(expired(), NOW.0);
    let refused = world
        .service()
        .issue(request(&token, &key(), "r-1"), now())
        .await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.reason(), Reason::TokenExpired);
    let named = [
        ("issuer", crate::world::ISSUER.into()),
        ("claim", "exp".into()),
    ];
    assert_eq!(refused.metadata(), named);
}

#[tokio::test]
async fn a_proof_by_another_key_is_refused() {
    let world = World::new();
    let (token, mine, other) = (world.token(), key(), key());
    let request = Request {
        proof: shortleaf::issuance::Proof::Signature {
            public_key: mine.spki_der().to_vec(),
            signature: other.prove("jane@example.com"),
        },
        ..request(&token, &mine, "r-1")
    };
    let refused = world.service().issue(request, now()).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::ProofInvalid);
    assert_eq!(world.records().await, []);
}

#[tokio::test]
async fn with_logging_off_the_certificate_carries_no_sct() {
    let mut world = World::new();
    world.parts.ct = CtMode::Off;
    let issued = world.one().await.unwrap();
    assert!(!issued.sct_embedded);
    assert_eq!(world.log.asked.load(Ordering::SeqCst), 0);
    assert_eq!(world.records().await[0].submission, None);
}

#[tokio::test]
async fn a_wall_clock_that_jumps_stops_issuing() {
    let mut world = World::new();
    world.parts.monotonic = Some(Arc::new(|| Duration::from_secs(1000)));
    let service = world.service();
    service
        .issue(request(&world.token(), &key(), "r-1"), now())
        .await
        .unwrap();
    for jump in [6_000, -6_000, 3_600_000, -3_600_000] {
        let request = request(&world.token(), &key(), "r-2");
        let stopped = service.issue(request, now().plus(jump)).await.unwrap_err();
        assert_away(&stopped.error, Reason::CaUnavailable);
    }
    assert_eq!(world.signer.count(), 2);
}

#[tokio::test]
async fn a_wall_clock_that_jumps_makes_the_sweep_forget_nothing() {
    let mut world = World::new();
    world.parts.monotonic = Some(Arc::new(|| Duration::from_secs(1000)));
    let (service, token) = (world.service(), world.token());
    let first = request(&token, &key(), "r-1");
    service.issue(first, now()).await.unwrap();

    let stopped = service.sweep(now().plus(86_400_000)).await.unwrap_err();
    assert_away(&stopped, Reason::CaUnavailable);

    // Back in time, the token is as spent as it was.
    let other = request(&token, &key(), "r-2");
    let again = service.issue(other, now()).await.unwrap_err();
    assert_eq!(again.reason(), Reason::TokenReplayed);
    assert_eq!(service.sweep(now()).await.unwrap(), Swept::default());
}

#[tokio::test]
async fn no_clock_makes_a_certificate_outside_its_profile() {
    // A step of the clock without anything to notice it by: tokens refuse, or the certificate
    // is of its moment.
    let world = World::new();
    for offset in [-3_600_000, -1_000, 0, 999, 3_600_000] {
        let at: UnixMillis = now().plus(offset);
        let token = world
            .issuer
            .token(crate::issuer::email_claims(), at.seconds().0);
        let asked = request(&token, &key(), "r-1");
        if let Ok(issued) = world.service().issue(asked, at).await {
            let leaf = Certificate::from_der(issued.leaf_der.to_vec()).unwrap();
            assert_eq!(leaf.not_before(), at.seconds());
            assert_eq!(leaf.not_after(), at.seconds().plus(599));
        } else {
            assert!(offset < 0, "the CA is valid from NOW on");
        }
    }
}

#[tokio::test]
async fn records_are_kept_for_ever_unless_a_retention_period_is_set() {
    let mut world = World::new();
    let day = |days: i64| NOW.plus(days * 86_400).into();
    world.one().await.unwrap();
    let swept = world.service().sweep(day(10_000)).await.unwrap();
    assert_eq!((swept.forgotten, world.records().await.len()), (0, 1));

    world.parts.retention = Some(Duration::from_secs(2 * 86_400));
    let service = world.service();
    assert_eq!(service.sweep(day(2)).await.unwrap().forgotten, 0);
    assert!(!world.audit.kinds().contains(&"records_forgotten"));
    assert_eq!(service.sweep(day(3)).await.unwrap().forgotten, 1);
    assert_eq!(world.records().await, []);
    let lines = world.audit.lines();
    let told = lines.last().unwrap();
    let before = ("before", NOW.plus(86_400).to_string());
    assert_eq!(
        (told.kind, &told.fields[..]),
        ("records_forgotten", &[before][..])
    );
}

#[tokio::test]
async fn the_sweep_gives_up_what_never_ended_once() {
    let world = World::new();
    world.log.set(Mood::Down);
    world.one().await.unwrap_err();
    world.log.set(Mood::Well);
    world.one().await.unwrap();
    let service = world.service();
    let early = service
        .sweep(NOW.plus(ORPHAN_AFTER_S).into())
        .await
        .unwrap();
    assert_eq!(early, Swept::default());
    let swept = service
        .sweep(NOW.plus(ORPHAN_AFTER_S + 1).into())
        .await
        .unwrap();
    assert_eq!(swept.abandoned, 1);
    let again = service
        .sweep(NOW.plus(ORPHAN_AFTER_S + 2).into())
        .await
        .unwrap();
    assert_eq!(again.abandoned, 0);

    let kinds = world.audit.kinds();
    assert_eq!(kinds.iter().filter(|kind| **kind == "abandoned").count(), 1);
    let records = world.records().await;
    let given_up: Vec<_> = records
        .iter()
        .filter(|record| record.abandoned.is_some())
        .collect();
    assert_eq!(given_up.len(), 1);
    assert_eq!(given_up[0].leaf, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_signature_has_its_lines_under_load() {
    let world = World::new();
    let service = world.service();
    let callers: Vec<_> = (0..200)
        .map(|n| {
            let service = service.clone();
            let asked = request(&world.token(), &key(), &format!("r-{n}"));
            tokio::spawn(async move { service.issue(asked, now()).await.unwrap().serial })
        })
        .collect();
    let mut serials = std::collections::HashSet::new();
    for caller in callers {
        assert!(serials.insert(caller.await.unwrap()));
    }
    let summary = audit::verify(world.audit.text().as_slice()).unwrap();
    assert_eq!(u64::from(world.signer.count()), summary.signed);
    assert_eq!(
        (summary.signing, summary.signed, summary.lines),
        (400, 400, 1000)
    );
}

#[tokio::test]
async fn readiness_names_the_part_that_is_away() {
    let world = World::new();
    let fit = world.service().readiness(now()).await;
    let names: Vec<_> = fit.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["key", "log", "store", "issuers", "chain", "clock"]);
    assert!(fit.iter().all(|(_, fit)| fit.is_ok()), "{fit:?}");

    let mut logless = World::new();
    logless.parts.ct = CtMode::Off;
    let fit = logless.service().readiness(now()).await;
    let names: Vec<_> = fit.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["key", "store", "issuers", "chain", "clock"]);

    world.signer.away.store(true, Ordering::SeqCst);
    let late = now().plus(100 * 365 * 86_400_000);
    let unfit: Vec<_> = world
        .service()
        .readiness(late)
        .await
        .into_iter()
        .filter_map(|(name, fit)| fit.err().map(|_| name))
        .collect();
    assert_eq!(unfit, ["key", "chain"]);

    let mut world = World::new();
    world.parts.terms.keys = Arc::new(HttpKeys::new(Vec::new()).unwrap());
    let fit = world.service().readiness(now()).await;
    let unfit = fit.iter().filter(|(_, fit)| fit.is_err());
    assert_eq!(
        unfit.cloned().collect::<Vec<_>>(),
        [("issuers", Err("no issuer's keys can be had".to_owned()))]
    );
}
