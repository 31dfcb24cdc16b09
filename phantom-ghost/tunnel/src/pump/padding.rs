//! Randomness in size and time, so that what is inside does not show by its rhythm.

use std::ops::RangeInclusive;
use std::time::Duration;

use aws_lc_rs::rand;

use crate::codec::{self, FrameKind};

/// Datagrams at the start of a tunnel that get junk beside them, whatever they are.
const FIRST: u8 = 8;
/// The longest junk payload in bytes.
const LONGEST: u16 = 1024;
/// Beyond this a datagram is no WireGuard handshake: initiation 148, response 92, cookie 64 bytes.
const HANDSHAKE: usize = 148;
/// A WireGuard keepalive is a data message without data.
const KEEPALIVE: usize = 32;

/// Whether and where junk is added.
#[derive(Debug)]
pub(super) struct Padding {
    enabled: bool,
    first: u8,
}

impl Padding {
    pub(super) fn new(enabled: bool) -> Self {
        Self { enabled, first: FIRST }
    }

    /// Writes a frame of junk at the start of `room` if a datagram with this first byte and length wants one, and says
    /// how long that frame is. It follows the datagram in the same write, so that both are one TLS record.
    pub(super) fn append(&mut self, kind: u8, length: usize, room: &mut [u8], masked: bool) -> usize {
        let shows = matches!(kind, 1..=3) && length <= HANDSHAKE || length == KEEPALIVE;
        if !self.enabled || !(shows || self.first > 0) {
            return 0;
        }
        self.first = self.first.saturating_sub(1);
        let junk = usize::from(1 + random_u16() % LONGEST);
        let header = codec::header(FrameKind::Datagram, junk, masked);
        let size = header.len() + junk;
        let Some(frame) = room.get_mut(..size) else { return 0 };
        // All zeros: no WireGuard message has the type 0, and inside TLS any content looks alike.
        frame[..header.len()].copy_from_slice(&header);
        frame[header.len()..].fill(0);
        size
    }
}

/// A time in `range`, all equally likely to the millisecond.
pub(crate) fn between(range: &RangeInclusive<Duration>) -> Duration {
    let span = range.end().saturating_sub(*range.start());
    let part = u32::from(random_u16());
    *range.start() + span * part / u32::from(u16::MAX)
}

/// 0 to 125 random bytes.
pub(super) fn ping_payload() -> Vec<u8> {
    let mut payload = vec![0; usize::from(random_u16()) % (codec::MAX_CONTROL + 1)];
    fill(&mut payload);
    payload
}

fn random_u16() -> u16 {
    let mut bytes = [0; 2];
    fill(&mut bytes);
    u16::from_ne_bytes(bytes)
}

/// Without a random source sizes and times would be regular; nothing secret is made here.
fn fill(bytes: &mut [u8]) {
    let _ = rand::fill(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Decoder, FrameEvent};

    fn junk(padding: &mut Padding, kind: u8, length: usize) -> Option<usize> {
        let mut room = [0xff; 1100];
        let size = padding.append(kind, length, &mut room, false);
        let mut decoder = Decoder::default();
        decoder.push(&room[..size]);
        match decoder.next().unwrap() {
            Some(FrameEvent::Datagram(payload)) => {
                assert!(payload.iter().all(|byte| *byte == 0));
                Some(payload.len())
            }
            None => None,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_start_and_handshakes_are_padded() {
        let mut padding = Padding::new(true);
        let sizes: Vec<_> = (0..FIRST).map(|_| junk(&mut padding, 4, 1400)).collect();
        assert!(sizes.iter().all(|size| size.is_some_and(|size| size <= usize::from(LONGEST))));
        assert!(sizes.iter().any(|size| *size != sizes[0]));
        assert_eq!(junk(&mut padding, 4, 1400), None);
        assert_eq!(junk(&mut padding, 1, 1400), None);
        for (kind, length) in [(1, 148), (2, 92), (3, 64), (4, 32)] {
            assert!(junk(&mut padding, kind, length).is_some());
        }
        assert_eq!(junk(&mut Padding::new(false), 1, 148), None);
    }

    #[test]
    fn times_lie_in_their_range_and_differ() {
        let range = Duration::from_secs(20)..=Duration::from_secs(40);
        let times: Vec<_> = (0..50).map(|_| between(&range)).collect();
        assert!(times.iter().all(|time| range.contains(time)));
        assert!(times.iter().any(|time| *time < Duration::from_secs(27)));
        assert!(times.iter().any(|time| *time > Duration::from_secs(33)));
    }
}
