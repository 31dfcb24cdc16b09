//! Packets that wait for a session of their peer: the newest of each, and no more in all than the device has room for.
//!
//! When the room is used up, the peer that has most waiting loses its oldest packet. So whoever sends to peers that are
//! away takes the room from itself and not from others.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use phantom_types::PublicKey;

use super::lock;
use super::memory::Usage;

/// The bytes that all packets may take which wait for a session.
pub(crate) const ROOM: usize = 16 << 20;
/// How many packets may wait for one peer.
const PACKETS: usize = 256;
/// How long a packet may wait: three handshakes that are lost, and some more. Nobody waits longer for an answer.
const AGE: Duration = Duration::from_secs(20);
/// What a packet takes beside its bytes: its place in the queue and what the allocator adds.
const OVERHEAD: usize = 80;

/// The waiting packets of a device.
pub(crate) struct Staged(Mutex<Queues<PublicKey>>);

impl Staged {
    /// Room for so many bytes.
    pub(crate) const fn new(room: usize) -> Self {
        Self(Mutex::new(Queues::new(room)))
    }

    /// Adds a packet to those that wait for this peer.
    pub(crate) fn push(&self, peer: &PublicKey, packet: &[u8], now: Instant) {
        lock(&self.0).push(*peer, packet.into(), now);
    }

    /// Takes out the packets that wait for this peer, in order.
    pub(crate) fn take(&self, peer: &PublicKey) -> Vec<Box<[u8]>> {
        lock(&self.0).take(peer)
    }

    /// Drops the packets that have waited too long.
    pub(crate) fn expire(&self, now: Instant) {
        lock(&self.0).expire(now);
    }

    /// The bytes that are taken, and the most that were since the last call.
    pub(crate) fn usage(&self) -> Usage {
        let mut queues = lock(&self.0);
        let (now, peak) = (queues.bytes, queues.peak);
        queues.peak = now;
        Usage { now, peak }
    }

    /// The bytes that are taken.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        lock(&self.0).bytes
    }
}

struct Queues<K> {
    room: usize,
    bytes: usize,
    /// The most that there were of late.
    peak: usize,
    /// Queues that are not empty.
    by_peer: BTreeMap<K, Queue>,
    by_size: BTreeSet<(usize, K)>,
}

#[derive(Default)]
struct Queue {
    bytes: usize,
    packets: VecDeque<(Instant, Box<[u8]>)>,
}

impl<K: Copy + Ord> Queues<K> {
    const fn new(room: usize) -> Self {
        Self { room, bytes: 0, peak: 0, by_peer: BTreeMap::new(), by_size: BTreeSet::new() }
    }

    fn push(&mut self, peer: K, packet: Box<[u8]>, now: Instant) {
        let queue = self.by_peer.entry(peer).or_default();
        let before = queue.bytes;
        queue.push(packet, now);
        if queue.packets.len() > PACKETS {
            queue.drop_oldest();
        }
        let after = queue.bytes;
        self.resized(peer, before, after);
        while self.bytes > self.room
            && let Some((_, greediest)) = self.by_size.last().copied()
        {
            self.shorten(greediest, |_| true);
        }
    }

    fn take(&mut self, peer: &K) -> Vec<Box<[u8]>> {
        let Some(queue) = self.by_peer.remove(peer) else { return Vec::new() };
        self.by_size.remove(&(queue.bytes, *peer));
        self.bytes -= queue.bytes;
        queue.packets.into_iter().map(|(_, packet)| packet).collect()
    }

    fn expire(&mut self, now: Instant) {
        let is_old = |since: Instant| now.saturating_duration_since(since) >= AGE;
        let old = |queue: &Queue| queue.packets.front().is_some_and(|(since, _)| is_old(*since));
        let peers: Vec<_> =
            self.by_peer.iter().filter(|(_, queue)| old(queue)).map(|(peer, _)| *peer).collect();
        for peer in peers {
            while self.shorten(peer, is_old) {}
        }
    }

    /// Drops the oldest packet of this peer if it came at a time of which `condition` is true; whether it was.
    fn shorten(&mut self, peer: K, condition: impl Fn(Instant) -> bool) -> bool {
        let Some(queue) = self.by_peer.get_mut(&peer) else { return false };
        if !queue.packets.front().is_some_and(|(since, _)| condition(*since)) {
            return false;
        }
        let before = queue.bytes;
        queue.drop_oldest();
        let after = queue.bytes;
        self.resized(peer, before, after);
        true
    }

    /// Notes that the queue of this peer has another size.
    fn resized(&mut self, peer: K, before: usize, after: usize) {
        self.by_size.remove(&(before, peer));
        if after == 0 {
            self.by_peer.remove(&peer);
        } else {
            self.by_size.insert((after, peer));
        }
        self.bytes = self.bytes - before + after;
        self.peak = self.peak.max(self.bytes);
    }
}

impl Queue {
    fn push(&mut self, packet: Box<[u8]>, now: Instant) {
        self.bytes += packet.len() + OVERHEAD;
        self.packets.push_back((now, packet));
    }

    fn drop_oldest(&mut self) {
        if let Some((_, packet)) = self.packets.pop_front() {
            self.bytes -= packet.len() + OVERHEAD;
        }
    }
}

#[cfg(test)]
mod tests;
