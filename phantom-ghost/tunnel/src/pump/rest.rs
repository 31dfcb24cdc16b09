//! A moment's rest while datagrams come fast, as network cards put off their interrupts under load.

use std::cell::Cell;
use std::thread;
use std::time::{Duration, Instant};

/// From so many datagrams in a [`WINDOW`] on, on one thread, it pays to take them together: about 90 Mbit/s.
const MANY: u32 = 8;
const WINDOW: Duration = Duration::from_millis(1);
/// How long what comes waits for others. The kernel adds its timer slack, 50 µs.
const REST: Duration = Duration::from_micros(100);

thread_local! {
    static SEEN: Cell<Seen> = const { Cell::new(Seen { since: None, datagrams: 0 }) };
}

/// What a thread has taken from streams lately.
#[derive(Debug, Clone, Copy)]
struct Seen {
    since: Option<Instant>,
    datagrams: u32,
}

impl Seen {
    /// Whether datagrams come fast.
    fn is_much(&mut self, now: Instant) -> bool {
        let passed = now - *self.since.get_or_insert(now);
        let much = WINDOW * self.datagrams >= passed.max(WINDOW) * MANY;
        if passed >= WINDOW {
            *self = Self { since: Some(now), datagrams: 0 };
        }
        much
    }
}

/// Datagrams came out of a stream.
pub(super) fn count(datagrams: u32) {
    let seen = SEEN.get();
    SEEN.set(Seen { datagrams: seen.datagrams.saturating_add(datagrams), ..seen });
}

/// Sleeps for about 150 µs if tunnels on this thread took datagrams fast in the last millisecond; otherwise returns at
/// once. For [`on_thread_park`](tokio::runtime::Builder::on_thread_park) of a runtime that does little but carry tunnels.
///
/// A client that writes each datagram by itself would have each of them cost a waking, a read and a send: what comes while
/// a thread rests is read, decrypted and sent together. A thread parks when it has nothing more to do; what else comes
/// for it during the rest, a handshake or a timer, waits until the end of it as well.
pub fn rest_while_much_comes() {
    let mut seen = SEEN.get();
    let much = seen.is_much(Instant::now());
    SEEN.set(seen);
    if much {
        thread::sleep(REST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rests_only_while_datagrams_come_fast() {
        let start = Instant::now();
        let mut seen = Seen { since: None, datagrams: 0 };
        let mut after = |added: u32, time: Duration| {
            seen.datagrams += added;
            seen.is_much(start + time)
        };
        assert!(!after(MANY - 1, Duration::ZERO), "few at once");
        assert!(after(1, WINDOW / 2), "many within a millisecond");
        assert!(after(0, WINDOW), "still");
        assert!(!after(0, WINDOW), "it begins again");
        assert!(!after(MANY, WINDOW * 4), "as many in three milliseconds");
        assert!(after(MANY * 3, WINDOW * 7), "three times as many");
        assert!(!after(0, WINDOW * 1000), "a pause");
    }
}
