//! Where connections are received: a crowd that is seated, and room to stand for those who come when
//! every seat is taken.
//!
//! They are taken out of the kernel's queue, which knows no one from another, so that whoever comes
//! from where nobody has a seat yet need not wait behind those who have many: the last seats are for
//! those. A flood that comes from a few hundred addresses, and fits into the room, keeps only itself
//! waiting.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::crowd::{Crowd, Seat};

/// The part of the seats that is kept for networks that have none.
const PART_KEPT: usize = 16;
/// The part of the seats that there is room to stand for.
const PART_TO_STAND: usize = 2;

/// Seats, and room to stand.
pub(super) struct Hall {
    crowd: Arc<Crowd>,
    room: Arc<Semaphore>,
}

/// What becomes of somebody who has come.
pub(super) enum Received {
    Seated(Seat),
    Stands(Standing),
}

/// A place to stand, until dropped.
pub(super) struct Standing {
    crowd: Arc<Crowd>,
    _permit: OwnedSemaphorePermit,
}

/// How many may stand where there are so many seats.
pub(super) fn standing(seats: usize) -> usize {
    seats.div_ceil(PART_TO_STAND)
}

impl Hall {
    /// Of `seats`, no more than `share` of them for one address if there is one.
    pub(super) fn new(seats: usize, share: Option<usize>) -> Self {
        Self {
            crowd: Crowd::new(seats, seats / PART_KEPT, share),
            room: Arc::new(Semaphore::new(standing(seats))),
        }
    }

    /// Receives whoever comes from `address`; one without may be anybody. Returns when there is room:
    /// until then all others stay in the kernel's queue.
    pub(super) async fn receive(&self, address: Option<IpAddr>) -> Received {
        if let Some(seat) = self.crowd.seat_now(address) {
            return Received::Seated(seat);
        }
        let room = self.room.clone().acquire_owned();
        Received::Stands(Standing {
            crowd: self.crowd.clone(),
            _permit: room.await.expect("nobody closes it"),
        })
    }

    /// Tells some who sit and are of no use to leave.
    pub(super) fn make_room(&self) {
        self.crowd.make_room();
    }
}

impl Standing {
    /// A seat, as soon as there is one: who stands for longest sits down first.
    pub(super) async fn seat(self) -> Seat {
        self.crowd.seat().await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::super::crowd::InUse;
    use super::*;

    async fn receive(hall: &Hall, address: &str) -> Received {
        hall.receive(Some(address.parse().unwrap())).await
    }

    /// A seat that is of use, so that nobody makes room.
    fn used(received: Received) -> (Arc<Seat>, InUse) {
        let Received::Seated(seat) = received else {
            panic!("no seat");
        };
        let seat = Arc::new(seat);
        let using = seat.in_use();
        (seat, using)
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_from_where_nobody_sits_yet_need_not_wait() {
        let hall = Hall::new(32, None);
        let own = "192.0.2.1".parse().unwrap();
        let mut seats = Vec::new();
        for _ in 0..30 {
            let (seat, using) = used(hall.receive(Some(own)).await);
            assert!(seat.belongs_to(own));
            seats.push((seat, using));
        }
        let stands = hall.receive(Some(own)).await;
        assert!(matches!(stands, Received::Stands(_)));
        assert!(matches!(hall.receive(None).await, Received::Stands(_)));
        let other = receive(&hall, "192.0.2.2").await;
        assert!(matches!(other, Received::Seated(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_room_to_stand_waits_for_it() {
        let hall = Hall::new(2, None);
        let _seats = [hall.receive(None).await, hall.receive(None).await].map(used);
        let stands = receive(&hall, "192.0.2.1").await;
        assert!(matches!(stands, Received::Stands(_)));
        let next = receive(&hall, "192.0.2.1");
        let mut next = std::pin::pin!(next);
        let early = timeout(Duration::from_secs(5), next.as_mut()).await;
        assert!(early.is_err());
        drop(stands);
        assert!(matches!(next.await, Received::Stands(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn who_stands_sits_down_when_somebody_leaves() {
        let hall = Hall::new(1, None);
        let seat = used(hall.receive(None).await);
        let Received::Stands(standing) = receive(&hall, "192.0.2.1").await else {
            panic!("there is room to stand");
        };
        let mut sits = std::pin::pin!(standing.seat());
        let early = timeout(Duration::from_secs(5), sits.as_mut()).await;
        assert!(early.is_err());
        drop(seat);
        let in_time = timeout(Duration::from_secs(1), sits).await;
        assert!(in_time.is_ok());
    }
}
