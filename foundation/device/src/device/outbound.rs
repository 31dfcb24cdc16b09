//! From the TUN to the network: each packet is written to where it is sealed, behind the one before.

use std::sync::Arc;
use std::time::Instant;

use super::outbox::Outbox;
use super::peer::Peer;
use super::table::Table;
use super::tunnel::{self, Outgoing, padded};
use super::{ip, read};
use crate::session::{AROUND, HEADER};
use crate::tun::Large;

/// Seals what was read from the TUN for the peer that it belongs to. What is nobody's is dropped.
pub(crate) fn seal(table: &Table, large: &Large<'_>, now: Instant, outbox: &mut Outbox) {
    let Some(address) = ip::destination(large.bytes()) else { return };
    let peer = read(&table.routes).owner(address).cloned();
    if let Some(peer) = peer {
        seal_for(table, &peer, large, now, outbox);
    }
}

/// Seals packets for this peer.
pub(crate) fn seal_for(
    table: &Table,
    peer: &Arc<Peer>,
    large: &Large<'_>,
    now: Instant,
    outbox: &mut Outbox,
) {
    match tunnel::outgoing(table, peer, now, outbox) {
        Outgoing::Drop => {}
        Outgoing::Wait => {
            for index in 0..large.count() {
                let mut packet = vec![0; large.length(index)];
                large.write(index, &mut packet);
                table.staged.push(&peer.key, &packet, now);
            }
        }
        Outgoing::Seal(session, to) => {
            let Some(first) = session.reserve(large.count() as u64) else { return };
            let (mtu, mut bytes) = (table.mtu(), 0);
            for (index, counter) in (0..large.count()).zip(first..) {
                let length = large.length(index);
                let sealed = AROUND + padded(length, mtu);
                outbox.add(peer, &to, sealed, |datagram| {
                    let (packet, padding) = datagram[HEADER..].split_at_mut(length);
                    large.write(index, packet);
                    padding.fill(0);
                    session.seal(counter, datagram);
                });
                bytes += sealed;
            }
            peer.note_sent(bytes as u64);
        }
    }
}
