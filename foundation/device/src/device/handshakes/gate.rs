//! What becomes of a handshake message before anything expensive is done for it (WireGuard's paper, 5.3).
//!
//! Pure: what the macs show, the source, the number of messages that wait and the time come in, a verdict goes out.

use std::time::{Duration, Instant};

use super::limiter::{Limiter, Source};
use crate::cookie::Macs;

/// How many messages may wait; as many as in the kernel (`MAX_QUEUED_INCOMING_HANDSHAKES` of
/// `drivers/net/wireguard/messages.h`).
pub(crate) const QUEUE: usize = 4096;
/// How many waiting messages are load: an eighth of the queue, as in the kernel (`wg_receive_handshake_packet`).
const LOAD: usize = QUEUE / 8;
/// How long the device is under load after its queue was long, as in the kernel.
const AFTER: Duration = Duration::from_secs(1);

/// What is to be done with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Answer it before those of others: its sender is where it says.
    Proven,
    /// Answer it.
    Unproven,
    /// Send its sender a cookie, and no more.
    Cookie,
    /// Nothing.
    Drop,
}

/// Decides about messages.
#[derive(Default)]
pub(crate) struct Gate {
    sources: Limiter,
    load: Load,
}

impl Gate {
    /// Decides about a message of this source, while so many others wait.
    pub(crate) fn judge(&mut self, macs: Macs, source: Source, waiting: usize, now: Instant) -> Admission {
        if macs == Macs::Wrong {
            return Admission::Drop;
        }
        let loaded = self.load.is_high(waiting, now);
        match macs {
            Macs::Both if self.sources.allow(source, now) => Admission::Proven,
            _ if !loaded => Admission::Unproven,
            Macs::Both => Admission::Drop,
            _ => {
                self.load.turn_away(now);
                Admission::Cookie
            }
        }
    }
}

/// Whether the device is under load. The load is that of the whole queue, whoever filled it.
#[derive(Default)]
struct Load {
    /// The end of the load, unless there is more.
    until: Option<Instant>,
    /// When the count of those turned away began, and the count.
    turned_away: Option<(Instant, usize)>,
}

impl Load {
    fn is_high(&mut self, waiting: usize, now: Instant) -> bool {
        if waiting >= LOAD {
            self.until = Some(now + AFTER);
        }
        self.until.is_some_and(|until| now < until)
    }

    /// Counts a message that would wait but for the load. As many in a second as make load keep it up, so that a steady
    /// flood is not let in again each second to see whether it is over.
    fn turn_away(&mut self, now: Instant) {
        let current = self.turned_away.filter(|(since, _)| now.saturating_duration_since(*since) < AFTER);
        let (since, count) = current.unwrap_or((now, 0));
        self.turned_away = Some((since, count + 1));
        if count + 1 >= LOAD {
            self.until = Some(now + AFTER);
            self.turned_away = None;
        }
    }
}

#[cfg(test)]
mod tests;
