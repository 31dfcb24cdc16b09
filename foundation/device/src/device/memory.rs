//! How much memory packets take, and when it is given back.
//!
//! What a packet takes is bounded for the whole device, not for each peer:
//!
//! | what | at most |
//! |------|---------|
//! | packets that wait for a session ([`staged`](super::staged)) | 16 MiB |
//! | packets in the lanes, in each direction ([`LANES`]) | 4 MiB |
//! | tunnels to peers that have not answered yet ([`attempts`](super::attempts)) | 5 MiB |
//! | handshake messages, and those who wait for a cookie | 2.5 MiB |
//! | buffers of the readers, and the pool | 5 MiB |
//! | buffers of the writers, for each lane | 4 MiB |
//!
//! With four lanes and the program itself that is 60 MiB. A peer that has had a session keeps its tunnel.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use gotatun::packet::{Packet, PacketBufPool};
use tokio::task::yield_now;

use super::PACKET;
use super::peer::Peer;

/// The bytes that packets may take on their way through the lanes of one direction.
pub(crate) const LANES: usize = 4 << 20;
/// A difference that is worth giving back.
const WORTH: usize = 4 << 20;
/// How often in a row it has to be seen: traffic that pauses would need the memory again at once.
const CALM: u32 = 4;
/// How often is asked at least between two times that memory is given back.
const APART: u32 = 20;

/// Which way packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Out,
    In,
}

/// Room for packets on their way through the lanes of one direction.
///
/// It never makes the reader wait for one lane while others have nothing to do. A peer gets a place as long as its packets take
/// no more than what is left: one that sends too fast for its lane has half of the room at most, two have a third each, and so
/// there is always room for the others.
pub(crate) struct Room {
    way: Direction,
    total: usize,
    taken: Arc<AtomicUsize>,
    /// The most that was taken since this was last asked for.
    peak: AtomicUsize,
}

/// What some packets take of a room, until it is dropped.
pub(crate) struct Reservation {
    peer: Arc<Peer>,
    way: Direction,
    units: usize,
    taken: Arc<AtomicUsize>,
}

impl Room {
    /// Room for so many bytes, of which a packet takes as many as its buffer has, in units of [`PACKET`].
    pub(crate) fn new(bytes: usize, way: Direction) -> Self {
        Self { way, total: bytes / PACKET, taken: Arc::default(), peak: AtomicUsize::new(0) }
    }

    /// A place for packets of this peer, unless they are to be dropped. Lanes of the same core get their turn before that.
    pub(crate) async fn find(&self, peer: &Arc<Peer>, packets: &mut [Packet]) -> Option<Reservation> {
        let place = self.take(peer, packets);
        if place.is_some() {
            return place;
        }
        yield_now().await;
        self.take(peer, packets)
    }

    /// A place, if there is one now. Packets that take more than all room there is have one while nobody else has any.
    fn take(&self, peer: &Arc<Peer>, packets: &mut [Packet]) -> Option<Reservation> {
        let units: usize =
            packets.iter_mut().map(|packet| packet.buf_mut().capacity().div_ceil(PACKET).max(1)).sum();
        let units = units.min(self.total);
        let mine = peer.waiting(self.way);
        // Only the one reader adds; lanes that give back meanwhile make more room than is seen here.
        let taken = self.taken.load(Ordering::Relaxed);
        if mine.load(Ordering::Relaxed) + units > self.total.saturating_sub(taken) {
            return None;
        }
        mine.fetch_add(units, Ordering::Relaxed);
        self.peak
            .fetch_max((self.taken.fetch_add(units, Ordering::Relaxed) + units) * PACKET, Ordering::Relaxed);
        Some(Reservation { peer: Arc::clone(peer), way: self.way, units, taken: Arc::clone(&self.taken) })
    }

    /// The bytes that are taken, and the most that were since the last call.
    pub(crate) fn usage(&self) -> Usage {
        let now = self.taken.load(Ordering::Relaxed) * PACKET;
        Usage { now, peak: self.peak.swap(now, Ordering::Relaxed).max(now) }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.peer.waiting(self.way).fetch_sub(self.units, Ordering::Relaxed);
        self.taken.fetch_sub(self.units, Ordering::Relaxed);
    }
}

/// Bytes that packets take.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) now: usize,
    /// The most since it was last looked at.
    pub(crate) peak: usize,
}

/// Decides when memory is given back to the system. The allocator keeps what was freed in between, which after a crowd
/// is all of it.
#[derive(Default)]
pub(crate) struct Reclaimer {
    peak: usize,
    calm: u32,
    /// Something has been freed that no usage tells of.
    freed: bool,
    /// How often has been asked since memory was given back.
    asked: u32,
}

impl Reclaimer {
    /// Whether to give memory back now, at this usage; `freed` if something has been freed that no usage tells of. To be
    /// asked at even intervals.
    pub(crate) fn is_due(&mut self, usage: Usage, freed: bool) -> bool {
        self.peak = self.peak.max(usage.peak);
        self.freed |= freed;
        self.asked = self.asked.saturating_add(1);
        // What goes up and down is traffic; so is what goes up again.
        let is_worth_it = self.peak - usage.now >= WORTH && usage.peak - usage.now < WORTH;
        self.calm = if is_worth_it { self.calm + 1 } else { 0 };
        if self.asked < APART || !(self.freed || self.calm >= CALM) {
            return false;
        }
        *self = Self { peak: usage.now, ..Self::default() };
        true
    }
}

/// Notes that much has been freed that no usage tells of: buffers of writers, tunnels.
#[derive(Default)]
pub(crate) struct Freed(AtomicBool);

impl Freed {
    pub(crate) fn say(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it has been said since the last call.
    pub(crate) fn was_said(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// Frees the buffers of the pool. After a crowd they are those that came back last, each on a page of its own, which would
/// keep twice as much as they take.
pub(crate) fn empty(pool: &PacketBufPool<PACKET>) {
    let mut packets: Vec<_> = (0..pool.capacity()).map(|_| pool.get()).collect();
    // The pool passes over buffers of which somebody holds a part, and forgets them.
    let parts: Vec<_> = packets.iter_mut().map(|packet| packet.buf_mut().split_to(0)).collect();
    drop(packets);
    drop(pool.get());
    drop(parts);
}

/// Gives the memory back that has been freed, which takes some milliseconds.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "no library offers malloc_trim(3)")]
pub(crate) fn give_back() {
    // SAFETY: It may be called at any time by any thread, and takes nothing that is in use.
    let _ = unsafe { libc::malloc_trim(0) };
}

/// Other allocators than glibc's give memory back by themselves.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn give_back() {}

#[cfg(test)]
mod tests {
    use phantom_types::PublicKey;

    use super::*;

    const MB: usize = 1 << 20;

    #[test]
    fn memory_is_returned_once_after_a_crowd() {
        let mut reclaimer = Reclaimer::default();
        let mut due = |now, peak| reclaimer.is_due(Usage { now: now * MB, peak: peak * MB }, false);
        assert!((0..100).all(|_| !due(0, 1)));
        assert!((0..100).all(|_| !due(30, 30)));
        assert_eq!((0..10).map(|_| due(1, 2)).collect::<Vec<_>>()[2..5], [false, true, false]);
        assert!((0..100).all(|_| !due(1, 2)));
    }

    #[test]
    fn traffic_that_goes_on_keeps_its_memory() {
        let mut reclaimer = Reclaimer::default();
        for round in 0..100 {
            let now = if round % 3 == 0 { 12 * MB } else { 0 };
            assert!(!reclaimer.is_due(Usage { now, peak: 12 * MB }, false));
        }
    }

    #[test]
    fn memory_freed_slowly_is_returned_periodically() {
        let mut reclaimer = Reclaimer::default();
        let times = (0..100).filter(|_| reclaimer.is_due(Usage::default(), true)).count();
        assert_eq!(times, 5);
        assert!(!reclaimer.is_due(Usage::default(), false));
    }

    #[test]
    fn an_empty_pool_goes_on_as_before() {
        let pool = PacketBufPool::<PACKET>::new(8);
        let held = pool.get();
        for _ in 0..3 {
            empty(&pool);
            let again: Vec<_> = (0..20).map(|_| pool.get()).collect();
            assert!(again.iter().all(|packet| packet.len() == PACKET));
        }
        assert_eq!(held.len(), PACKET);
    }

    fn peer() -> Arc<Peer> {
        Arc::new(Peer::new(PublicKey::from_bytes([0; 32]), 0))
    }

    fn packets(count: usize) -> Vec<Packet> {
        (0..count).map(|_| Packet::copy_from(&[0; 100][..])).collect()
    }

    #[test]
    fn buffers_take_room_and_return_it() {
        let (room, peer) = (Room::new(20 * PACKET, Direction::In), peer());
        let mut six = packets(6);
        six.push(Packet::copy_from(&[0; 3 * PACKET][..]));
        let first = room.take(&peer, &mut six).unwrap();
        assert_eq!((room.usage().now, peer.waiting(Direction::In).load(Ordering::Relaxed)), (9 * PACKET, 9));
        assert!(room.take(&peer, &mut [Packet::copy_from(&[0; 2 * PACKET][..])]).is_some());
        assert!(room.take(&peer, &mut [Packet::copy_from(&[0; 2 * PACKET + 1][..])]).is_none());
        assert_eq!(peer.waiting(Direction::Out).load(Ordering::Relaxed), 0);
        drop(first);
        assert!(room.take(&peer, &mut six).is_some());
        let usage = room.usage();
        assert_eq!((usage.now, usage.peak), (0, 11 * PACKET));
        assert_eq!(peer.waiting(Direction::In).load(Ordering::Relaxed), 0);
    }

    #[test]
    fn heavy_senders_leave_room_for_others() {
        let room = Room::new(120 * PACKET, Direction::Out);
        let fill = |peer: &Arc<Peer>| {
            let places = (0..200).map_while(|_| room.take(peer, &mut packets(1)));
            places.collect::<Vec<_>>()
        };
        let floods = [peer(), peer(), peer()];
        let mut held = Vec::new();
        for (peer, wanted) in floods.iter().zip([60, 30, 15]) {
            held.push(fill(peer));
            assert_eq!(held.last().unwrap().len(), wanted);
            assert!(room.take(peer, &mut packets(1)).is_none(), "it has its part");
            assert!(room.take(&self::peer(), &mut packets(7)).is_some(), "a quiet one is heard");
        }
        // Those who came first go back to their part as their packets get through.
        held[0].truncate(30);
        assert!(room.take(&floods[0], &mut packets(1)).is_some());
        held.clear();
        assert_eq!(room.usage().now, 0);
    }

    #[test]
    fn use_larger_than_all_room_runs_alone() {
        let room = Room::new(4 * PACKET, Direction::In);
        let mut large = [Packet::copy_from(&vec![0; 9 * PACKET][..])];
        let small = room.take(&peer(), &mut packets(1));
        assert!(room.take(&peer(), &mut large).is_none());
        drop(small);
        assert!(room.take(&peer(), &mut large).is_some());
    }

    /// On a machine of one core nothing is dropped that its lane has only not been asked to do yet.
    #[tokio::test]
    async fn lane_on_same_core_makes_room_first() {
        let (room, peer) = (Room::new(8 * PACKET, Direction::In), peer());
        let place = room.find(&peer, &mut packets(4)).await.unwrap();
        tokio::spawn(async move { drop(place) });
        assert!(room.find(&peer, &mut packets(4)).await.is_some());
        let _kept = room.find(&peer, &mut packets(4)).await.unwrap();
        assert!(room.find(&peer, &mut packets(1)).await.is_none());
    }
}
