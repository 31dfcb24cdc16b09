//! Peers that answer when a device in memory calls them.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use phantom_types::{PublicKey, Timestamp};

use super::super::{FakeHost, State};
use super::PeerState;

/// A handshake of this age is followed by another one.
const REKEY_AFTER: Duration = Duration::from_mins(2);

/// A DNS question and its answer of 60 to 80 bytes, padded, in a packet of WireGuard.
const QUESTION_BYTES: u64 = 96;

/// An echo request of 84 bytes, padded to blocks of 16, in a packet of WireGuard.
const ECHO_BYTES: u64 = 128;

impl State {
    /// The peers that answer complete a handshake with a device that has none younger than two minutes and can call
    /// them: 148 bytes there, 92 back.
    pub(super) fn shake_hands(&mut self, name: &str) {
        let now = self.time.now();
        let up = self.net.find(name).is_some_and(|interface| interface.link.up);
        let Some(device) = self.devices.by_name.get_mut(name).filter(|_| up) else { return };
        if device.private_key.is_none() {
            return;
        }
        let (answering, holes) = (&self.devices.answering, &self.devices.holes);
        for (key, state) in device.peers.iter_mut().filter(|(key, _)| answering.contains(key)) {
            let young = |at: Timestamp| now.since(at) < REKEY_AFTER;
            let calls = state.is_called(holes) && !state.peer.last_handshake.is_some_and(young);
            if calls {
                debug_assert_eq!(*key, state.peer.config.public_key);
                state.peer.last_handshake = Some(now);
                state.peer.rx_bytes += 92;
                state.peer.tx_bytes += 148;
            }
        }
    }

    /// Whether the peer that an address belongs to answers an echo: a packet of 128 bytes there and one back.
    pub(in super::super) fn answer_echo(&mut self, name: &str, to: Ipv4Addr) -> bool {
        let up = self.net.find(name).is_some_and(|interface| interface.link.up);
        let devices = &mut self.devices;
        let Some(device) = devices.by_name.get_mut(name).filter(|_| up) else { return false };
        let asked = device.peers.iter_mut().find(|(key, state)| {
            devices.answering.contains(key)
                && state.is_called(&devices.holes)
                && state.allowed.iter().any(|network| network.contains(IpAddr::V4(to)))
        });
        let Some((key, state)) = asked else { return false };
        state.peer.tx_bytes += ECHO_BYTES;
        let answers = !devices.mute.contains(key);
        state.peer.rx_bytes += if answers { ECHO_BYTES } else { 0 };
        answers
    }

    /// Whether the peer that leads to an address passes a question on to it, and the answer back. `None` where no peer
    /// does: the interface is no device of ours.
    pub(in super::super) fn answer_question(&mut self, name: &str, to: IpAddr) -> Option<bool> {
        let up = self.net.find(name).is_some_and(|interface| interface.link.up);
        let devices = &mut self.devices;
        let device = devices.by_name.get_mut(name)?;
        let leads = |state: &&mut PeerState| state.allowed.iter().any(|network| network.contains(to));
        let Some(state) = device.peers.values_mut().find(leads).filter(|_| up) else { return Some(false) };
        let key = state.peer.config.public_key;
        state.peer.tx_bytes += QUESTION_BYTES;
        let passes = devices.answering.contains(&key)
            && !devices.useless.contains(&key)
            && state.is_called(&devices.holes);
        state.peer.rx_bytes += if passes { QUESTION_BYTES } else { 0 };
        Some(passes)
    }
}

impl PeerState {
    /// Whether the device sends to somewhere, and not into a hole.
    fn is_called(&self, holes: &BTreeSet<SocketAddr>) -> bool {
        self.peer.config.endpoint.is_some_and(|at| !holes.contains(&at))
    }
}

impl FakeHost {
    /// Lets whatever is sent to this address of a peer get lost, or arrive again.
    pub fn lose_what_is_sent_to(&self, at: SocketAddr, lost: bool) {
        let holes = &mut self.state().devices.holes;
        if lost {
            holes.insert(at)
        } else {
            holes.remove(&at)
        };
    }

    /// Whether what is sent to this address gets lost.
    pub fn loses_what_is_sent_to(&self, at: SocketAddr) -> bool {
        self.state().devices.holes.contains(&at)
    }

    /// Lets a peer that answers pass nothing on, or everything again: it shakes hands and answers echoes.
    pub fn let_peer_pass(&self, key: PublicKey, passes: bool) {
        let useless = &mut self.state().devices.useless;
        if passes {
            useless.remove(&key);
        } else {
            useless.insert(key);
        }
    }

    /// Lets a peer answer when a device calls it, or not any more: a handshake is completed when the device is looked
    /// at, and echoes are answered.
    pub fn let_peer_answer(&self, key: PublicKey, answers: bool) {
        let answering = &mut self.state().devices.answering;
        if answers {
            answering.insert(key)
        } else {
            answering.remove(&key)
        };
    }

    /// Lets a peer that answers drop echo requests, as some providers do.
    pub fn let_peer_drop_echoes(&self, key: PublicKey) {
        self.state().devices.mute.insert(key);
    }
}
