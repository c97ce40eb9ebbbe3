//! Floods against the program itself: every good request sent meanwhile is served, and the server
//! holds at most 64 MB more than in peace.
//!
//! `benches/attacks` runs the same for longer against the released program, and tells what it does
//! to the slowest good requests. What each single hostile message is told is `tests/attack_matrix`.

#![allow(dead_code, reason = "shared with the benchmarks, which use more of it")]
#![allow(clippy::unwrap_used, reason = "a broken test should stop")]

#[path = "../benches/issuance/cpu.rs"]
mod cpu;
#[path = "../benches/attacks/floods.rs"]
mod floods;
#[path = "../benches/attacks/good.rs"]
mod good;
#[path = "world/http2.rs"]
mod http2;
#[path = "world/issuer.rs"]
mod issuer;
#[path = "../benches/issuance/load.rs"]
mod load;
#[path = "world/parts.rs"]
mod parts;
#[path = "../benches/issuance/primitives.rs"]
mod primitives;
#[path = "../benches/issuance/requests.rs"]
mod requests;
#[path = "world/secrets.rs"]
mod secrets;
#[path = "../benches/issuance/server.rs"]
mod server;
#[path = "../benches/attacks/siege.rs"]
mod siege;
#[path = "world/subject.rs"]
mod subject;

use std::sync::{Mutex, PoisonError};

use cpu::Core;
use floods::Flood;
use primitives::CaKey;
use siege::{Effort, Hands};

/// Two cores carry one server, its flood and its good clients: one after the other.
static TURN: Mutex<()> = Mutex::new(());

fn serves_good_requests_meanwhile(flood: Flood) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let ca = server::ca_init(&folder.path().join("ca"), CaKey::P256);
    let effort = Effort {
        per_second: 25,
        count: 50,
    };
    let hands = Hands {
        server: Core::Any,
        good: |order| good::run(order).unwrap(),
        flood: |order| floods::run(order).unwrap(),
    };
    let outcome = siege::lay(flood, effort, folder.path(), &ca, hands);
    eprintln!(
        "{flood:?}: p99 {} µs, then {} µs; {} KiB more; {:?}",
        outcome.quiet.p99,
        outcome.attacked.p99,
        outcome.growth_kib(),
        outcome.done,
    );
    assert_eq!(outcome.faults(), Vec::<String>::new());
}

#[test]
fn key_ids_that_nobody_published_cost_good_requests_nothing() {
    serves_good_requests_meanwhile(Flood::RandomKids);
}

#[test]
fn bodies_that_never_end_take_nobodys_place() {
    serves_good_requests_meanwhile(Flood::SlowBodies);
}

#[test]
fn connections_on_which_nothing_is_asked_take_nobodys_place() {
    serves_good_requests_meanwhile(Flood::HalfOpen);
}

#[test]
fn heads_without_end_keep_nobody_waiting() {
    serves_good_requests_meanwhile(Flood::OversizeHeaders);
}

#[test]
fn what_is_no_tls_keeps_nobody_waiting() {
    serves_good_requests_meanwhile(Flood::GarbageTls);
}

#[test]
fn streams_opened_and_cancelled_keep_nobody_waiting() {
    serves_good_requests_meanwhile(Flood::RapidReset);
}
