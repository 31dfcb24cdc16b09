//! From the network to the TUN: each packet is opened where the kernel has put it, and goes to the TUN from there.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use super::handshakes::Front;
use super::outbox::{Endpoint, Outbox};
use super::peer::Peer;
use super::table::Table;
use super::tunnel::{self, Opened};
use super::{ip, read};
use crate::cookie::HandshakeMessage;
use crate::session::{AROUND, DATA, HEADER, Session};
use crate::tun::Joiner;

/// Datagrams of one session that follow each other, and what was in them.
pub(crate) struct Inbound {
    /// Where what was opened lies.
    contents: Vec<Range<usize>>,
    /// What goes to the TUN.
    pub(crate) joiner: Joiner,
}

impl Inbound {
    /// Nothing yet; packets will be joined by `joiner`.
    pub(crate) const fn new(joiner: Joiner) -> Self {
        Self { contents: Vec::new(), joiner }
    }

    /// Opens the datagrams at these places of the buffer, which came from one place, and gives to the joiner what was in them.
    /// Handshakes have queues of their own. What is no message of WireGuard is dropped.
    pub(crate) fn open(
        &mut self,
        table: &Table,
        front: &Front,
        buffer: &mut [u8],
        datagrams: impl Iterator<Item = Range<usize>>,
        from: Endpoint,
        outbox: &mut Outbox,
    ) {
        let now = Instant::now();
        let mut datagrams = datagrams.peekable();
        while let Some(range) = datagrams.next() {
            let Some(index) = data(&buffer[range.clone()]) else {
                shake(table, front, &buffer[range], from, now);
                continue;
            };
            let Some((peer, session)) = table.indices.session(index) else { continue };
            let mut opened = Opened::default();
            let mut next = Some(range);
            {
                let mut window = session.window();
                while let Some(range) = next {
                    if let Some(content) = unseal(&session, &mut window, &mut buffer[range.clone()], now) {
                        opened.bytes += range.len() as u64;
                        opened.content |= content > 0;
                        let at = range.start + HEADER;
                        self.contents.push(at..at + content);
                    }
                    next = datagrams.next_if(|range| data(&buffer[range.clone()]) == Some(index));
                }
            }
            let is_known =
                opened.bytes > 0 && tunnel::incoming(table, &peer, &session, from, opened, now, outbox);
            if is_known {
                admit(table, &peer, buffer, &self.contents, &mut self.joiner);
            }
            self.contents.clear();
        }
    }
}

/// The index that a data message names.
fn data(datagram: &[u8]) -> Option<u32> {
    match datagram {
        [DATA, 0, 0, 0, index @ ..] if datagram.len() >= AROUND => {
            index.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
        }
        _ => None,
    }
}

fn unseal(
    session: &Session,
    window: &mut crate::session::Window,
    datagram: &mut [u8],
    now: Instant,
) -> Option<usize> {
    if session.is_over(now) { None } else { session.open(window, datagram) }
}

fn shake(table: &Table, front: &Front, datagram: &[u8], from: Endpoint, now: Instant) {
    if let (Some(message), Some(identity)) = (HandshakeMessage::read(datagram), table.identity()) {
        front.receive(&identity, |index| table.indices.holds(index), &message, from, now);
    }
}

/// Lets those packets pass whose source belongs to the peer that sent them, without their padding.
fn admit(table: &Table, peer: &Arc<Peer>, buffer: &[u8], contents: &[Range<usize>], joiner: &mut Joiner) {
    let routes = read(&table.routes);
    let mut last: Option<IpAddr> = None;
    for content in contents {
        let packet = &buffer[content.clone()];
        let (Some(length), Some(address)) = (ip::length(packet), ip::source(packet)) else { continue };
        if last != Some(address) {
            if !routes.owner(address).is_some_and(|owner| Arc::ptr_eq(owner, peer)) {
                continue;
            }
            last = Some(address);
        }
        joiner.add(buffer, content.start..content.start + length);
    }
}
