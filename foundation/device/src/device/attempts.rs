//! Tunnels made for packets to peers that have not answered yet.
//!
//! A tunnel takes some kilobytes, so whoever sends to everybody could have any number made. There are so many at most. When one
//! more is wanted, the oldest is dropped, unless the answer to its first message may still come: peers that are away
//! give way to others within seconds, and no stream of packets makes the device work for new tunnels all the time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::lock;
use super::peer::Peer;

/// How many there are at most.
const MOST: usize = 256;
/// How long an attempt is left alone: until its first message is sent again (`REKEY_TIMEOUT` of WireGuard's paper, 6.1).
const ALONE: Duration = Duration::from_secs(5);

/// The attempts of a device.
pub(crate) struct Attempts {
    most: usize,
    /// The oldest first.
    peers: Mutex<VecDeque<(Instant, Arc<Peer>)>>,
}

/// The oldest attempt, which gives way to another one.
pub(crate) struct Oldest {
    since: Instant,
    pub(crate) peer: Arc<Peer>,
}

/// Whether an attempt may begin.
pub(crate) enum Admission {
    Granted,
    /// This one has to lose its tunnel for it.
    InPlaceOf(Oldest),
    Refused,
}

impl Default for Attempts {
    fn default() -> Self {
        Self::new(MOST)
    }
}

impl Attempts {
    /// So many at most.
    pub(crate) const fn new(most: usize) -> Self {
        Self { most, peers: Mutex::new(VecDeque::new()) }
    }

    /// Begins an attempt to reach a peer, if there is room.
    pub(crate) fn begin(&self, peer: &Arc<Peer>, now: Instant) -> Admission {
        let mut attempts = lock(&self.peers);
        attempts.retain(|(_, other)| !Arc::ptr_eq(other, peer));
        let oldest = match attempts.front() {
            Some((since, _)) if attempts.len() >= self.most => {
                if now.saturating_duration_since(*since) < ALONE {
                    return Admission::Refused;
                }
                attempts.pop_front()
            }
            _ => None,
        };
        attempts.push_back((now, Arc::clone(peer)));
        oldest.map_or(Admission::Granted, |(since, peer)| Admission::InPlaceOf(Oldest { since, peer }))
    }

    /// Takes the attempt to reach a peer back, since the one in whose place it was to be goes on.
    pub(crate) fn withdraw(&self, peer: &Arc<Peer>, Oldest { since, peer: other }: Oldest) {
        let mut attempts = lock(&self.peers);
        attempts.retain(|(_, one)| !Arc::ptr_eq(one, peer) && !Arc::ptr_eq(one, &other));
        attempts.push_front((since, other));
    }

    /// Ends the attempt, since the peer has answered or its tunnel has gone.
    pub(crate) fn end(&self, peer: &Peer) {
        lock(&self.peers).retain(|(_, other)| !std::ptr::eq(Arc::as_ptr(other), peer));
    }
}

#[cfg(test)]
mod tests {
    use phantom_types::PublicKey;

    use super::*;

    fn peers(count: usize) -> Vec<Arc<Peer>> {
        (0..count).map(|_| Arc::new(Peer::new(PublicKey::from_bytes([0; 32])))).collect()
    }

    #[test]
    fn the_oldest_gives_way_after_a_while() {
        let (attempts, peers, start) = (Attempts::new(3), peers(5), Instant::now());
        for peer in &peers[..3] {
            assert!(matches!(attempts.begin(peer, start), Admission::Granted));
        }
        assert!(matches!(attempts.begin(&peers[3], start + ALONE / 2), Admission::Refused));
        assert!(matches!(attempts.begin(&peers[0], start + ALONE / 2), Admission::Granted), "again");
        let next = |peer: &Arc<Peer>| match attempts.begin(peer, start + ALONE) {
            Admission::InPlaceOf(oldest) => peers.iter().position(|peer| Arc::ptr_eq(peer, &oldest.peer)),
            _ => None,
        };
        assert_eq!((next(&peers[3]), next(&peers[4])), (Some(1), Some(2)));
    }

    #[test]
    fn one_that_goes_on_keeps_its_place() {
        let (attempts, peers, start) = (Attempts::new(2), peers(3), Instant::now());
        for peer in &peers[..2] {
            assert!(matches!(attempts.begin(peer, start), Admission::Granted));
        }
        for _ in 0..3 {
            let Admission::InPlaceOf(oldest) = attempts.begin(&peers[2], start + ALONE) else { panic!() };
            assert!(Arc::ptr_eq(&oldest.peer, &peers[0]));
            attempts.withdraw(&peers[2], oldest);
            assert_eq!(lock(&attempts.peers).len(), 2);
        }
    }

    #[test]
    fn peers_that_answer_make_room() {
        let (attempts, peers, now) = (Attempts::new(2), peers(10), Instant::now());
        for peer in &peers {
            assert!(matches!(attempts.begin(peer, now), Admission::Granted));
            attempts.end(peer);
        }
        assert!(lock(&attempts.peers).is_empty());
    }
}
