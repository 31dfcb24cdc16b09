//! A second implementation of WireGuard, which messages and packets are held against: a library's.

use std::sync::Arc;

use gotatun::noise::index_table::IndexTable;
use gotatun::noise::rate_limiter::RateLimiter;
use gotatun::noise::{Tunn, TunnResult};
use gotatun::packet::{Packet, WgKind};
use gotatun::x25519;

/// An end of a tunnel.
pub(crate) struct Second(Tunn);

/// What it makes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Made {
    /// A message for the other end.
    Message(Vec<u8>),
    /// A packet that was in it.
    Packet(Vec<u8>),
    Nothing,
    Refused,
}

impl Second {
    /// The end with this private key, whose peer has that public key.
    pub(crate) fn new(private: [u8; 32], remote: [u8; 32], preshared: Option<[u8; 32]>) -> Self {
        let key = x25519::StaticSecret::from(private);
        let limiter = Arc::new(RateLimiter::new(&x25519::PublicKey::from(&key), u64::MAX));
        let (remote, indices) = (x25519::PublicKey::from(remote), IndexTable::from_os_rng());
        Self(Tunn::new(key, remote, preshared, None, indices, limiter))
    }

    /// An initiation with both macs.
    pub(crate) fn initiate(&mut self) -> Vec<u8> {
        let initiation = self.0.format_handshake_initiation(true).expect("it is forced");
        let initiation: Packet = initiation.into();
        initiation.to_vec()
    }

    /// Takes a message.
    pub(crate) fn take(&mut self, message: &[u8]) -> Made {
        let Ok(kind) = Packet::copy_from(message).try_into_wg() else { return Made::Refused };
        match self.0.handle_incoming_packet(kind) {
            TunnResult::Done => Made::Nothing,
            TunnResult::Err(_) => Made::Refused,
            TunnResult::WriteToNetwork(message) => Made::Message(Packet::from(message).to_vec()),
            TunnResult::WriteToTunnel(packet) => Made::Packet(packet.to_vec()),
        }
    }

    /// Seals a packet, if it has a session.
    pub(crate) fn seal(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        let sealed = self.0.encapsulate_with_session(Packet::copy_from(packet)).ok()?;
        Some(Packet::from(WgKind::from(sealed)).to_vec())
    }
}
