//! A peer: how it is set up, what has passed, and its tunnel once there is one.

use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant, SystemTime};

use gotatun::packet::{Packet, WgKind};
use ipnetwork::IpNetwork;
use phantom_types::{PresharedKey, PublicKey};

use super::memory::Direction;
use super::table::PeerTable;
use super::tunnel::PeerTunnel;
use super::tx_queue::{PeerEndpoint, TxQueue};
use crate::uapi::PeerStatus;
use crate::udp::SendFeedback;

/// A peer of the table.
pub(crate) struct Peer {
    /// Who it is.
    pub(crate) key: PublicKey,
    /// Which of the lanes carries its packets: always the same one, so that they stay in order.
    pub(crate) lane: usize,
    state: Mutex<PeerRuntime>,
    /// What its packets take of the room of the lanes, inward and outward.
    waiting: [AtomicUsize; 2],
}

/// What changes of a peer. Locked for as long as some packets take to be sealed or opened, never while waiting.
#[derive(Default)]
pub(crate) struct PeerRuntime {
    /// It is no peer any more; packets may still hold on to it.
    pub(crate) removed: bool,
    /// It is on the list of those whose timers are looked at.
    pub(crate) timed: bool,
    /// Where it is.
    pub(crate) endpoint: Option<PeerEndpoint>,
    pub(crate) preshared_key: Option<PresharedKey>,
    /// Seconds; 0 is off.
    pub(crate) keepalive: u16,
    /// Sorted, each once. The table of routes says the same.
    pub(crate) allowed_ips: Vec<IpNetwork>,
    pub(crate) rx_bytes: u64,
    pub(crate) tx_bytes: u64,
    pub(crate) last_handshake: Option<SystemTime>,
    /// Initiations that are older than one that it sent before.
    pub(crate) refused: Refused,
    pub(crate) tunnel: Option<Box<PeerTunnel>>,
}

/// How many different initiations tell of a clock that was set back. The network can bring a single one twice, and a stranger
/// can send again what it has seen; a client sends a new one every five seconds (WireGuard's paper, 6.1).
const TELLING: usize = 3;
/// How long nothing more is said of a peer of which it was said.
const SAID_FOR: Duration = Duration::from_hours(1);

/// Genuine initiations of a peer that were refused because of their time (WireGuard's paper, 5.4.2), since it was last heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refused {
    count: usize,
    /// The indices that the last different ones named: one that comes again is counted once.
    seen: [Option<u32>; TELLING],
    /// When it was last said. It outlives what is counted.
    said: Option<Instant>,
}

impl Refused {
    /// Counts one. `true` when it is to be said that they tell: once an hour.
    pub(crate) fn count(&mut self, index: u32, now: Instant) -> bool {
        if self.seen.contains(&Some(index)) {
            return false;
        }
        self.seen.rotate_right(1);
        self.seen[0] = Some(index);
        self.count = self.count.saturating_add(1);
        let was_said = self.said.is_some_and(|said| now.saturating_duration_since(said) < SAID_FOR);
        let is_said = self.count >= TELLING && !was_said;
        if is_said {
            self.said = Some(now);
        }
        is_said
    }

    /// Begins again: the peer was heard.
    pub(crate) fn forget(&mut self) {
        *self = Self { said: self.said, ..Self::default() };
    }

    /// Their number, once it tells something; else 0.
    pub(crate) fn telling(self) -> u32 {
        if self.count >= TELLING { u32::try_from(self.count).unwrap_or(u32::MAX) } else { 0 }
    }
}

impl Peer {
    pub(crate) fn new(key: PublicKey, lane: usize) -> Self {
        Self { key, lane, state: Mutex::default(), waiting: Default::default() }
    }

    /// What its packets take of the room of the lanes; the room counts.
    pub(crate) const fn waiting(&self, way: Direction) -> &AtomicUsize {
        let [into, out] = &self.waiting;
        match way {
            Direction::In => into,
            Direction::Out => out,
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, PeerRuntime> {
        // A panic while it was locked leaves counters behind at worst; the keys are consistent after every step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`state`](Self::state), if nobody else holds it.
    pub(crate) fn try_state(&self) -> Option<MutexGuard<'_, PeerRuntime>> {
        match self.state.try_lock() {
            Ok(state) => Some(state),
            Err(TryLockError::Poisoned(state)) => Some(state.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// How it is seen from outside.
    pub(crate) fn status(&self) -> PeerStatus {
        let state = self.state();
        PeerStatus {
            public_key: self.key,
            preshared_key: state.preshared_key.clone(),
            endpoint: state.endpoint.map(|endpoint| endpoint.address),
            last_handshake: state.last_handshake,
            rx_bytes: state.rx_bytes,
            tx_bytes: state.tx_bytes,
            refused_handshakes: state.refused.telling(),
            persistent_keepalive_interval: state.keepalive,
            allowed_ips: state.allowed_ips.clone(),
        }
    }

    /// Heeds what was learnt from sending to `address`.
    pub(crate) fn apply_feedback(&self, feedback: SendFeedback, address: SocketAddr) {
        if let Some(endpoint) = self.state().endpoint.as_mut().filter(|endpoint| endpoint.address == address)
        {
            endpoint.unsegmented |= feedback.unsegmented;
            endpoint.local = endpoint.local.filter(|_| !feedback.unsourced);
        }
    }
}

impl PeerRuntime {
    /// Whether it wants keepalives that can be sent somewhere.
    pub(crate) const fn keeps_alive(&self) -> bool {
        self.keepalive > 0 && self.endpoint.is_some()
    }

    /// Goes where an authentic packet came from. That the kernel cannot cut on the way to its address stays known
    /// until the next handshake, whichever address of ours it speaks to.
    pub(crate) fn roam(&mut self, from: PeerEndpoint) {
        let unsegmented =
            self.endpoint.is_some_and(|known| known.address == from.address && known.unsegmented);
        self.endpoint = Some(PeerEndpoint { unsegmented, ..from });
    }

    /// Drops its tunnel with all sessions, if there is one.
    pub(crate) fn drop_tunnel(&mut self, table: &PeerTable, peer: &Peer) {
        if self.tunnel.take().is_some() {
            table.attempts.end(peer);
            table.freed.say();
        }
    }

    /// Puts it on the list of those whose timers are looked at, if that has a use.
    pub(crate) fn schedule(&mut self, table: &PeerTable, peer: &Arc<Peer>) {
        if !self.timed && !self.removed && (self.tunnel.is_some() || self.keeps_alive()) {
            self.timed = true;
            table.wake(Arc::clone(peer));
        }
    }

    /// Sends what the tunnel has made. Handshakes are noted first, so that their answers find back here.
    pub(crate) fn emit(
        &mut self,
        table: &PeerTable,
        peer: &Arc<Peer>,
        made: Vec<WgKind>,
        tx_queue: &mut TxQueue,
    ) {
        let Some(to) = self.endpoint else { return };
        for kind in &made {
            let index = match kind {
                WgKind::HandshakeInit(packet) => packet.sender_idx.get(),
                WgKind::HandshakeResp(packet) => packet.sender_idx.get(),
                WgKind::CookieReply(_) | WgKind::Data(_) => continue,
            };
            table.register(index, peer);
        }
        let packets =
            made.into_iter().map(Packet::from).inspect(|packet| self.tx_bytes += packet.len() as u64);
        tx_queue.push(peer, to, packets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_set_back_needs_several_initiations() {
        let (mut refused, now) = (Refused::default(), Instant::now());
        // A stranger sends the same two again, in turn.
        assert!(![7, 7, 8, 7, 8, 8, 7].into_iter().any(|index| refused.count(index, now)));
        assert_eq!(refused.telling(), 0);
        assert!(refused.count(9, now));
        assert_eq!(refused.telling(), 3);
        assert!(![7, 8, 9, 10].into_iter().any(|index| refused.count(index, now)), "it is said once");
        assert_eq!(refused.telling(), 4);
    }

    #[test]
    fn message_about_a_peer_appears_hourly() {
        let (mut refused, now) = (Refused::default(), Instant::now());
        assert_eq!([1, 2, 3].map(|index| refused.count(index, now)), [false, false, true]);
        // It was heard in between, and the same old ones come again.
        refused.forget();
        assert_eq!(refused.telling(), 0);
        assert_eq!([1, 2, 3].map(|index| refused.count(index, now)), [false; 3]);
        assert_eq!(refused.telling(), 3, "the doctor still sees it");
        assert!(refused.count(4, now + SAID_FOR));
    }

    #[test]
    fn learnt_path_outlives_the_next_packet() {
        let peer = Peer::new(PublicKey::from_bytes([1; 32]), 0);
        let at = |port, local: Option<&str>| {
            PeerEndpoint::new(([192, 0, 2, 1], port).into(), local.map(|text| text.parse().unwrap()))
        };
        let endpoint = || peer.state().endpoint.unwrap();
        peer.state().roam(at(1, Some("192.0.2.9")));
        // Both lessons at once: the next packet to the second address says that this address is there.
        peer.apply_feedback(SendFeedback { unsegmented: true, unsourced: true }, endpoint().address);
        assert_eq!((endpoint().local, endpoint().unsegmented), (None, true));
        peer.state().roam(at(1, Some("192.0.2.9")));
        assert_eq!(endpoint(), PeerEndpoint { unsegmented: true, ..at(1, Some("192.0.2.9")) });
        peer.state().roam(at(1, Some("192.0.2.10")));
        assert!(endpoint().unsegmented);
        peer.state().roam(at(2, Some("192.0.2.10")));
        assert_eq!(endpoint(), at(2, Some("192.0.2.10")), "another way");
    }
}
