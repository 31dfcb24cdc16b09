//! Datagrams that come while there is no tunnel, pure.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::codec::{self, FrameKind, MAX_DATAGRAM};

/// What is older is dropped: WireGuard has sent it again, or nobody waits for it any more.
pub(super) const STALE: Duration = Duration::from_secs(1);
/// The most bytes that wait. The oldest make room.
const MOST: usize = 2 * MAX_DATAGRAM;
/// The longest frame of junk that is sent along.
const JUNK: u16 = 1024;

/// The newest datagrams, with the time when each came.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    datagrams: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
}

impl Waiting {
    /// One more. Empty ones are passed over: they would end a wstunnel's tunnel.
    pub(super) fn push(&mut self, datagram: &[u8], now: Instant) {
        if datagram.is_empty() {
            return;
        }
        self.bytes += datagram.len();
        self.datagrams.push_back((now, datagram.to_vec()));
        while self.bytes > MOST || self.is_stale(now) {
            let Some((_, oldest)) = self.datagrams.pop_front() else { break };
            self.bytes -= oldest.len();
        }
    }

    fn is_stale(&self, now: Instant) -> bool {
        self.datagrams.front().is_some_and(|(came, _)| now.duration_since(*came) > STALE)
    }

    /// The frames of what is not stale yet, and nothing more waits. They begin with a frame of junk of random length
    /// (`chance`), which a WireGuard drops: the first message of a tunnel is a handshake, whose size would show.
    pub(super) fn take(&mut self, now: Instant, chance: u16) -> Vec<u8> {
        let fresh = |came: &Instant| now.duration_since(*came) <= STALE;
        let datagrams: Vec<_> =
            self.datagrams.drain(..).filter(|(came, _)| fresh(came)).map(|(_, datagram)| datagram).collect();
        self.bytes = 0;
        let mut frames = Vec::new();
        if !datagrams.is_empty() {
            let junk = vec![0; usize::from(1 + chance % JUNK)];
            codec::encode(&mut frames, FrameKind::Datagram, &junk, true);
            codec::encode_batch(&mut frames, datagrams.iter().map(Vec::as_slice), true);
        }
        frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Decoder, FrameEvent};

    fn datagrams(frames: &[u8]) -> Vec<Vec<u8>> {
        let mut decoder = Decoder::default();
        decoder.push(frames);
        let mut found = Vec::new();
        while let Some(event) = decoder.next().unwrap() {
            let FrameEvent::Datagram(datagram) = event else { panic!("{event:?}") };
            found.push(datagram.to_vec());
        }
        assert_eq!(decoder.left(), 0);
        found
    }

    #[test]
    fn what_is_fresh_is_sent_behind_junk() {
        let start = Instant::now();
        let mut waiting = Waiting::default();
        waiting.push(b"old", start);
        waiting.push(b"", start);
        waiting.push(b"new", start + STALE / 2);
        let sent = datagrams(&waiting.take(start + STALE + Duration::from_millis(1), 99));
        assert_eq!(sent, [vec![0; 100], b"new".to_vec()]);
        assert!(waiting.take(start + STALE, 99).is_empty());
    }

    #[test]
    fn nothing_is_sent_where_all_is_stale() {
        let start = Instant::now();
        let mut waiting = Waiting::default();
        waiting.push(b"old", start);
        assert!(waiting.take(start + 2 * STALE, 0).is_empty());
        assert_eq!(waiting.bytes, 0);
    }

    #[test]
    fn memory_is_bounded_and_the_newest_stay() {
        let start = Instant::now();
        let mut waiting = Waiting::default();
        for number in 0..100 {
            waiting.push(&vec![number + 1; 20_000], start);
            assert!(waiting.bytes <= MOST);
        }
        let sent = datagrams(&waiting.take(start, 0));
        assert_eq!(sent.len(), 1 + MOST / 20_000);
        assert_eq!(sent.last().map(|last| last[0]), Some(100));
        let mut slow = Waiting::default();
        for second in 0..100 {
            slow.push(b"x", start + Duration::from_secs(2 * second));
            assert_eq!(slow.datagrams.len(), 1);
        }
    }
}
