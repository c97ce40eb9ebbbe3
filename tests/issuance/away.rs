//! The pipeline when a part is away, silent or lying: nothing unrecorded, and never the caller's
//! fault.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use shortleaf::fault::{self, Reason};
use shortleaf::issuance::{CtMode, Error};

use crate::world::{Fault, FaultyLog, Mood, World, key, now, request};

/// A refusal for want of a part: retried later, with nothing of the part's own words in it.
pub(crate) fn assert_away(error: &Error, reason: Reason) {
    assert_eq!(error.reason(), reason, "{error}");
    assert_eq!(reason.fault(), fault::Fault::Dependency);
    assert!(
        !error.public_detail().contains("space"),
        "{}",
        error.public_detail()
    );
}

#[tokio::test]
async fn without_an_audit_line_nothing_is_signed_and_nothing_leaves() {
    for (room, signatures) in [(0, 0), (1, 1), (2, 1), (3, 2), (4, 2)] {
        let world = World::new();
        *world.audit.room_for.lock().unwrap() = Some(room);
        let error = world.one().await.unwrap_err();
        assert_away(&error, Reason::StoreUnavailable);
        assert_eq!(world.signer.count(), signatures, "room for {room} lines");
    }
    let world = World::new();
    *world.audit.room_for.lock().unwrap() = Some(5);
    world.one().await.unwrap();
}

#[tokio::test]
async fn without_an_intent_nothing_is_signed() {
    let world = World::new();
    *world.store.intent_faults.lock().unwrap() = vec![Fault::Unavailable];
    assert_away(&world.one().await.unwrap_err(), Reason::StoreUnavailable);
    assert_eq!(world.signer.count(), 0);
    assert_eq!(world.audit.kinds(), ["refused"]);
}

#[tokio::test(start_paused = true)]
async fn a_signer_or_a_store_that_says_nothing_is_away() {
    let world = World::new();
    world.signer.stuck.store(true, Ordering::SeqCst);
    assert_away(&world.one().await.unwrap_err(), Reason::CaUnavailable);

    for stuck in [1, 3] {
        let world = World::new();
        *world.store.intent_faults.lock().unwrap() = vec![Fault::Stuck; stuck];
        let asked = tokio::time::Instant::now();
        match (stuck, world.one().await) {
            // Once: the second try, of the same bytes, is answered.
            (1, issued) => assert!(!issued.unwrap().repeated),
            (_, issued) => assert_away(&issued.unwrap_err(), Reason::StoreUnavailable),
        }
        // Inside the minute that the door gives a request.
        assert!(asked.elapsed() < Duration::from_secs(40), "{stuck}");
    }
}

#[tokio::test]
async fn an_intent_of_unknown_outcome_is_written_again_as_it_was() {
    for fault in [Fault::UnknownWritten, Fault::UnknownNotWritten] {
        let world = World::new();
        *world.store.intent_faults.lock().unwrap() = vec![fault; 2];
        let issued = world.one().await.unwrap();
        let intents = world.store.intents.lock().unwrap().clone();
        assert_eq!(intents.len(), 3);
        assert!(intents.iter().all(|intent| *intent == intents[0]));
        assert_eq!(intents[0].serial, issued.serial);
    }
}

#[tokio::test]
async fn an_outcome_that_stays_unknown_is_no_certificate() {
    let world = World::new();
    *world.store.intent_faults.lock().unwrap() = vec![Fault::UnknownWritten; 3];
    assert_away(&world.one().await.unwrap_err(), Reason::StoreUnavailable);
    assert_eq!(world.signer.count(), 0);
}

#[tokio::test]
async fn a_known_serial_is_drawn_anew_a_bounded_number_of_times() {
    let world = World::new();
    *world.store.intent_faults.lock().unwrap() = vec![Fault::Conflict; 2];
    let issued = world.one().await.unwrap();
    let serials: Vec<_> = {
        let intents = world.store.intents.lock().unwrap();
        intents.iter().map(|intent| intent.serial).collect()
    };
    assert_eq!(serials.len(), 3);
    assert!(serials[0] != serials[1] && serials[1] != serials[2]);
    assert_eq!(serials[2], issued.serial);

    let world = World::new();
    *world.store.intent_faults.lock().unwrap() = vec![Fault::Conflict; 3];
    let error = world.one().await.unwrap_err();
    assert_eq!(error.reason(), Reason::Internal);
    assert_eq!(world.signer.count(), 0);
}

#[tokio::test]
async fn a_final_that_is_not_stored_does_not_leave() {
    for faults in [vec![Fault::Unavailable], vec![Fault::UnknownNotWritten; 3]] {
        let world = World::new();
        *world.store.final_faults.lock().unwrap() = faults;
        assert_away(&world.one().await.unwrap_err(), Reason::StoreUnavailable);
        assert!(!world.audit.kinds().contains(&"issued"));
    }
    let world = World::new();
    *world.store.final_faults.lock().unwrap() = vec![Fault::UnknownWritten; 2];
    world.one().await.unwrap();
}

#[tokio::test]
async fn a_signer_that_is_away_is_not_the_callers_fault() {
    let world = World::new();
    world.signer.away.store(true, Ordering::SeqCst);
    assert_away(&world.one().await.unwrap_err(), Reason::CaUnavailable);
    // The serial is spent; the token's use, for the same key, is not.
    assert_eq!(world.records().await.len(), 1);
}

#[tokio::test]
async fn after_a_failure_the_same_token_and_key_get_a_new_serial_without_a_second_use() {
    let world = World::new();
    let (token, key) = (world.token(), key());
    let service = world.service();
    world.log.set(Mood::Down);
    service
        .issue(request(&token, &key, "r-1"), now())
        .await
        .unwrap_err();
    world.log.set(Mood::Well);
    let issued = service
        .issue(request(&token, &key, "r-2"), now())
        .await
        .unwrap();
    let records = world.records().await;
    assert_eq!(records.len(), 2);
    assert!(!issued.repeated);
}

#[tokio::test(start_paused = true)]
async fn the_next_log_is_asked_when_the_first_fails() {
    for mood in [Mood::Down, Mood::Refusing, Mood::Silent] {
        let mut world = World::new();
        let second = Arc::new(FaultyLog::new("second"));
        world.log.set(mood);
        world.parts.ct = CtMode::Required {
            logs: vec![world.log.clone(), second.clone()],
            deadline: Duration::from_millis(400),
        };
        world.one().await.unwrap();
        assert_eq!(second.inner.size(), 1, "{mood:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_log_means_no_certificate() {
    for (mood, reason) in [
        (Mood::Down, Reason::CtLogUnavailable),
        (Mood::Silent, Reason::CtLogUnavailable),
        (Mood::Refusing, Reason::CtLogRejected),
    ] {
        let mut world = World::new();
        world.log.set(mood);
        world.parts.ct = CtMode::Required {
            logs: vec![world.log.clone()],
            deadline: Duration::from_millis(100),
        };
        let error = world.one().await.unwrap_err();
        assert_eq!(error.reason(), reason);
        let asked = (mood == Mood::Down).then_some(Duration::from_secs(7));
        assert_eq!(error.retry_after(), asked);
        let records = world.records().await;
        assert!(records.iter().all(|record| record.leaf.is_none()));
        assert_eq!(world.signer.count(), 1, "only the precertificate");
    }
}
