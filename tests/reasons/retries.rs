//! Asking again, asking at the same time, and not waiting for the answer.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use shortleaf::ct::rfc6962::{Rfc6962Config, Rfc6962Log};
use shortleaf::issuance::CtMode;
use shortleaf::time::{Clock, UnixMillis};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::ask::{Door, Proof};
use crate::faults::{Call, Fault};
use crate::house::{House, exchange};
use crate::log::Log;
use crate::world::BEGINNING;
use crate::world::issuer::Identity;
use crate::world::subject::{Kind, Subject};

struct Beginning;

impl Clock for Beginning {
    fn now(&self) -> UnixMillis {
        BEGINNING.into()
    }
}

/// A house whose log answers over HTTP, within `deadline`.
pub(crate) async fn house_with_log(deadline: Duration) -> (House, Log) {
    let log = Log::start(Arc::new(Beginning));
    let client = Rfc6962Log::new(Rfc6962Config {
        name: "log".to_owned(),
        url: log.url(),
        key: log.inner().key().clone(),
        host: None,
        ca_pem: None,
    });
    let client = Arc::new(client.unwrap());
    let house = House::with(move |parts| {
        parts.ct = CtMode::Required {
            logs: vec![client],
            deadline,
        };
    });
    (house.await, log)
}

/// A bound against hanging.
pub(crate) const PATIENT: Duration = Duration::from_secs(60);

/// Looks again until it is so.
async fn until(what: &str, so: impl Fn() -> bool) {
    let wait = async {
        while !so() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(PATIENT, wait).await.is_ok(), "{what}");
}

#[tokio::test]
async fn the_same_token_and_key_get_the_same_certificate_at_either_door() {
    let house = House::open().await;
    let ask = house.good();
    let first = house.ask(Door::V2, &ask).await;
    let again = house.ask(Door::V2, &ask).await;
    assert_eq!(first.body(), again.body());
    let elsewhere = house.ask(Door::V1, &ask).await;
    assert_eq!(first.leaf(), elsewhere.leaf());
    assert_eq!(house.world.logged(), 1);
    house.check().await;
}

#[tokio::test]
async fn the_same_token_with_another_key_is_a_replay_at_the_other_door_too() {
    let house = House::open().await;
    let ask = house.good();
    let other = Subject::generate(Kind::P256);
    let replay = ask.proven_by(Proof::of(&other, &Identity::Github.challenge()));
    assert_eq!(house.ask(Door::V2, &ask).await.status, 200);
    for door in Door::BOTH {
        assert_eq!(house.ask(door, &replay).await.reason(), "TOKEN_REPLAYED");
    }
    house.check().await;
}

#[tokio::test]
async fn identical_requests_at_the_same_time_share_one_certificate() {
    let (house, log) = house_with_log(PATIENT).await;
    log.hold(true);
    let ask = house.good();
    let mut asking = JoinSet::new();
    for door in Door::BOTH.repeat(4) {
        let (at, request) = (house.at, ask.http(door));
        asking.spawn(async move { exchange(at, &request).await.leaf() });
    }
    until("the log is asked", || log.asked() == 1).await;
    // Another key for the same token while its only use is under way.
    let other = Subject::generate(Kind::P256);
    let replay = ask.proven_by(Proof::of(&other, &Identity::Github.challenge()));
    let answer = house.ask(Door::V2, &replay).await;
    assert_eq!(answer.reason(), "TOKEN_REPLAYED");
    log.hold(false);

    let leaves = asking.join_all().await;
    assert_eq!(leaves.len(), 8);
    assert!(leaves.iter().all(|leaf| *leaf == leaves[0]));
    assert_eq!((log.asked(), log.inner().size()), (1, 1));
    let signatures = |kind| house.world.trail().iter().filter(|k| **k == kind).count();
    assert_eq!(
        [signatures("precert_signed"), signatures("leaf_signed")],
        [1, 1]
    );
    house.check().await;
}

#[tokio::test]
async fn a_caller_who_hangs_up_finds_the_certificate_when_coming_back() {
    let (house, log) = house_with_log(PATIENT).await;
    log.hold(true);
    let ask = house.good();
    let mut caller = TcpStream::connect(house.at).await.unwrap();
    caller
        .write_all(ask.http(Door::V2).as_bytes())
        .await
        .unwrap();
    until("the log is asked", || log.asked() == 1).await;
    drop(caller);
    // Long enough for the server to see it.
    sleep(Duration::from_millis(50)).await;
    log.hold(false);
    until("it is issued all the same", || house.told().len() == 1).await;

    let answer = house.ask(Door::V1, &ask).await;
    assert_eq!(answer.status, 201);
    let told = house.told();
    let [first, again] = told.as_slice() else {
        panic!("{told:?}")
    };
    assert_eq!(first["serial"], again["serial"]);
    assert_eq!([&first["repeated"], &again["repeated"]], [false, true]);
    assert_eq!(log.inner().size(), 1);
    house.check().await;
}

#[tokio::test]
async fn whichever_step_fails_the_same_request_succeeds_later_with_the_same_token() {
    let steps = [
        Fault::KeysAway,
        Fault::StoreAway(Call::FindRetry),
        Fault::StoreAway(Call::PutIntent),
        Fault::StoreUnsure(Call::PutIntent),
        Fault::AuditAway("precert_signing"),
        Fault::SignerAwayAfter(0),
        Fault::AuditAway("precert_signed"),
        Fault::LogAway,
        Fault::StoreAway(Call::PutSubmission),
        Fault::AuditAway("leaf_signing"),
        Fault::SignerAwayAfter(1),
        Fault::AuditAway("leaf_signed"),
        Fault::StoreAway(Call::PutFinal),
        Fault::StoreUnsure(Call::PutFinal),
        Fault::AuditAway("issued"),
    ];
    for (step, door) in steps
        .into_iter()
        .flat_map(|step| Door::BOTH.map(|door| (step, door)))
    {
        let house = House::open().await;
        let ask = house.good();
        house.faults.set(step);
        let answer = house.ask(door, &ask).await;
        assert_eq!(answer.status, 503, "{step:?}: {answer:?}");
        assert!(answer.header("retry-after").is_some(), "{step:?}");

        house.faults.mend();
        let answer = house.ask(door, &ask).await;
        assert_eq!(answer.status, door.good_status(), "{step:?}: {answer:?}");
        house.check().await;
    }
}

#[tokio::test]
async fn nothing_is_signed_before_the_store_has_the_intent() {
    for call in [Call::FindRetry, Call::PutIntent] {
        let house = House::open().await;
        house.faults.set(Fault::StoreAway(call));
        house.ask(Door::V2, &house.good()).await;
        assert_eq!(house.world.trail(), ["refused"], "{call:?}");
        assert_eq!(house.world.logged(), 0);
    }
}

#[tokio::test]
async fn a_final_the_store_did_not_take_is_not_returned() {
    let house = House::open().await;
    house.faults.set(Fault::StoreAway(Call::PutFinal));
    let ask = house.good();
    let answer = house.ask(Door::V2, &ask).await;
    assert_eq!(answer.reason(), "STORE_UNAVAILABLE");
    assert!(!answer.body().contains("CERTIFICATE"));
    assert_eq!(house.world.trail().last(), Some(&"refused"));

    house.faults.mend();
    let again = house.ask(Door::V2, &ask).await;
    assert_eq!(again.status, 200);
    // Under a serial of its own, which the log has too.
    assert_eq!(house.world.logged(), 2);
    assert_eq!(house.told()[1]["repeated"], json!(false));
    house.check().await;
}
