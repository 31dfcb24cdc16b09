//! Datagrams on their way to the network. Those of one peer lie back to back, so that the kernel can be given many at once.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;

use super::peer::Peer;

/// The most datagrams that the kernel cuts from one piece (`UDP_MAX_SEGMENTS` of `include/linux/udp.h`, the lower
/// value of older kernels).
const SEGMENTS: usize = 64;
/// The most bytes of one piece: an IP packet less the headers of IPv6 and UDP.
pub(crate) const PIECE: usize = 65535 - 40 - 8;

/// How far the buffer is filled before its last piece is sent as well, although more could be added to it.
const MOST: usize = 4 * PIECE;
/// How many bytes are worth a call of their own, while more is sealed.
const ENOUGH: usize = PIECE / 2;

/// Where a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Its address.
    pub(crate) address: SocketAddr,
    /// The address of ours that it spoke to, from which it expects answers; `None` for what the routing table says.
    pub(crate) local: Option<IpAddr>,
    /// The kernel has refused to cut large datagrams on the way there (`UDP_SEGMENT`).
    pub(crate) unsegmented: bool,
}

impl Endpoint {
    pub(crate) const fn new(address: SocketAddr, local: Option<IpAddr>) -> Self {
        Self { address, local, unsegmented: false }
    }
}

/// Datagrams for one place, in order: those of one length, and a shorter one behind them.
pub(crate) struct Piece {
    /// Whose they are, if that is known.
    pub(crate) peer: Option<Arc<Peer>>,
    pub(crate) to: Endpoint,
    range: Range<usize>,
    /// How long each is but for the last one.
    segment: usize,
    count: usize,
}

/// Pieces in order. Its buffer is used again and again.
#[derive(Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    used: usize,
    pieces: Vec<Piece>,
}

impl Piece {
    /// How many datagrams it has.
    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// How long each datagram is but for the last one.
    pub(crate) const fn segment(&self) -> usize {
        self.segment
    }

    /// Whether one more of this length can follow.
    const fn takes(&self, length: usize) -> bool {
        let last = self.range.end - self.range.start - (self.count - 1) * self.segment;
        last == self.segment
            && length <= self.segment
            && length > 0
            && self.count < SEGMENTS
            && self.range.end - self.range.start + length <= PIECE
    }
}

impl Outbox {
    /// Adds a datagram of this length for a peer, which `write` writes over what was there before.
    pub(crate) fn add(
        &mut self,
        peer: &Arc<Peer>,
        to: &Endpoint,
        length: usize,
        write: impl FnOnce(&mut [u8]),
    ) {
        let is_same = |piece: &Piece| piece.peer.as_ref().is_some_and(|known| Arc::ptr_eq(known, peer));
        write(self.take(|piece| is_same(piece) && piece.to == *to, || Some(Arc::clone(peer)), to, length));
    }

    /// Adds a datagram for somebody.
    pub(crate) fn add_for(&mut self, to: &Endpoint, datagram: &[u8]) {
        self.take(|_| false, || None, to, datagram.len()).copy_from_slice(datagram);
    }

    fn take(
        &mut self,
        is_same: impl FnOnce(&Piece) -> bool,
        peer: impl FnOnce() -> Option<Arc<Peer>>,
        to: &Endpoint,
        length: usize,
    ) -> &mut [u8] {
        let range = self.used..self.used + length;
        if self.bytes.len() < range.end {
            // Rarely: it is as large as the largest batch that there was.
            self.bytes.resize(range.end.next_multiple_of(PIECE), 0);
        }
        self.used = range.end;
        match self.pieces.last_mut() {
            Some(last) if last.takes(length) && is_same(last) => {
                last.range.end = range.end;
                last.count += 1;
            }
            _ => self.pieces.push(Piece {
                peer: peer(),
                to: *to,
                range: range.clone(),
                segment: length,
                count: 1,
            }),
        }
        &mut self.bytes[range]
    }

    /// The pieces, in order.
    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The bytes of one of the pieces.
    pub(crate) fn bytes(&self, piece: &Piece) -> &[u8] {
        &self.bytes[piece.range.clone()]
    }

    /// How many bytes of it are in use.
    #[cfg(test)]
    pub(crate) const fn waiting(&self) -> usize {
        self.used
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// How many pieces are to be sent before more is added: those to which nothing can be added any more, once they are many bytes;
    /// all when the buffer has been used for long enough.
    pub(crate) fn complete(&self) -> usize {
        let [first, .., last] = &self.pieces[..] else {
            return if self.used < MOST { 0 } else { self.pieces.len() };
        };
        match last.range.start - first.range.start {
            _ if self.used >= MOST => self.pieces.len(),
            bytes if bytes >= ENOUGH => self.pieces.len() - 1,
            _ => 0,
        }
    }

    /// Forgets the first pieces, which have been sent.
    pub(crate) fn forget(&mut self, count: usize) {
        self.pieces.drain(..count);
        if self.pieces.is_empty() {
            self.used = 0;
        }
    }

    /// Forgets everything; the buffer stays.
    pub(crate) fn clear(&mut self) {
        self.pieces.clear();
        self.used = 0;
    }

    /// The datagrams, one by one.
    #[cfg(test)]
    pub(crate) fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        self.pieces.iter().flat_map(|piece| self.bytes(piece).chunks(piece.segment))
    }
}

#[cfg(test)]
mod tests;
