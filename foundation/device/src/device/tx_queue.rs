//! Datagrams on their way to the network, kept together by peer so that the kernel can be given many at once.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use gotatun::packet::Packet;

use super::peer::Peer;

/// Where a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PeerEndpoint {
    /// Its address.
    pub(crate) address: SocketAddr,
    /// The address of ours that it spoke to, from which it expects answers; `None` for what the routing table says.
    pub(crate) local: Option<IpAddr>,
    /// The kernel has refused to cut large datagrams on the way there (`UDP_SEGMENT`).
    pub(crate) unsegmented: bool,
}

impl PeerEndpoint {
    pub(crate) const fn new(address: SocketAddr, local: Option<IpAddr>) -> Self {
        Self { address, local, unsegmented: false }
    }
}

/// Datagrams of one peer, in order.
pub(crate) struct PeerBatch {
    pub(crate) peer: Arc<Peer>,
    pub(crate) to: PeerEndpoint,
    pub(crate) packets: Vec<Packet>,
}

/// Parcels in order.
#[derive(Default)]
pub(crate) struct TxQueue(Vec<PeerBatch>);

impl TxQueue {
    /// Adds datagrams behind those that are there.
    pub(crate) fn push(
        &mut self,
        peer: &Arc<Peer>,
        to: PeerEndpoint,
        packets: impl IntoIterator<Item = Packet>,
    ) {
        match self.0.last_mut() {
            Some(last) if Arc::ptr_eq(&last.peer, peer) && last.to == to => last.packets.extend(packets),
            _ => {
                let packets: Vec<_> = packets.into_iter().collect();
                if !packets.is_empty() {
                    self.0.push(PeerBatch { peer: Arc::clone(peer), to, packets });
                }
            }
        }
    }

    /// Takes everything out.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = PeerBatch> {
        self.0.drain(..)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
