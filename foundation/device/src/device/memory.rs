//! How much memory packets take, and when it is given back.
//!
//! What a packet takes is bounded for the whole device, not for each peer:
//!
//! | what | at most |
//! |------|---------|
//! | packets that wait for a session ([`staged`](super::staged)) | 16 MiB |
//! | tunnels to peers that have not answered yet ([`attempts`](super::attempts)) | 1 MiB |
//! | handshake messages, and those who wait for a cookie | 2.5 MiB |
//! | buffers of each worker: what the kernel gives at once, and what is sealed of it | 1 MiB |
//!
//! With four workers and the program itself that is 30 MiB. No packet waits between workers; those that come faster than they work
//! wait in the kernel. A peer that has had a session keeps its tunnel.

use std::sync::atomic::{AtomicBool, Ordering};

/// A difference that is worth giving back.
const WORTH: usize = 4 << 20;
/// How often in a row it has to be seen: traffic that pauses would need the memory again at once.
const CALM: u32 = 4;
/// How often is asked at least between two times that memory is given back.
const APART: u32 = 20;

/// Bytes that packets take.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) now: usize,
    /// The most since it was last looked at.
    pub(crate) peak: usize,
}

/// Decides when memory is given back to the system. The allocator keeps what was freed in between, which after a crowd
/// is all of it.
#[derive(Default)]
pub(crate) struct Reclaimer {
    peak: usize,
    calm: u32,
    /// Something has been freed that no usage tells of.
    freed: bool,
    /// How often has been asked since memory was given back.
    asked: u32,
}

impl Reclaimer {
    /// Whether to give memory back now, at this usage; `freed` if something has been freed that no usage tells of. To be
    /// asked at even intervals.
    pub(crate) fn is_due(&mut self, usage: Usage, freed: bool) -> bool {
        self.peak = self.peak.max(usage.peak);
        self.freed |= freed;
        self.asked = self.asked.saturating_add(1);
        // What goes up and down is traffic; so is what goes up again.
        let is_worth_it = self.peak - usage.now >= WORTH && usage.peak - usage.now < WORTH;
        self.calm = if is_worth_it { self.calm + 1 } else { 0 };
        if self.asked < APART || !(self.freed || self.calm >= CALM) {
            return false;
        }
        *self = Self { peak: usage.now, ..Self::default() };
        true
    }
}

/// Notes that much has been freed that no usage tells of: buffers of writers, tunnels.
#[derive(Default)]
pub(crate) struct Freed(AtomicBool);

impl Freed {
    pub(crate) fn say(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it has been said since the last call.
    pub(crate) fn was_said(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// Gives the memory back that has been freed, which takes some milliseconds.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "no library offers malloc_trim(3)")]
pub(crate) fn give_back() {
    // SAFETY: It may be called at any time by any thread, and takes nothing that is in use.
    let _ = unsafe { libc::malloc_trim(0) };
}

/// Other allocators than glibc's give memory back by themselves.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn give_back() {}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: usize = 1 << 20;

    #[test]
    fn memory_is_given_back_once_after_a_crowd() {
        let mut reclaimer = Reclaimer::default();
        let mut due = |now, peak| reclaimer.is_due(Usage { now: now * MB, peak: peak * MB }, false);
        assert!((0..100).all(|_| !due(0, 1)));
        assert!((0..100).all(|_| !due(30, 30)));
        assert_eq!((0..10).map(|_| due(1, 2)).collect::<Vec<_>>()[2..5], [false, true, false]);
        assert!((0..100).all(|_| !due(1, 2)));
    }

    #[test]
    fn traffic_that_goes_on_keeps_its_memory() {
        let mut reclaimer = Reclaimer::default();
        for round in 0..100 {
            let now = if round % 3 == 0 { 12 * MB } else { 0 };
            assert!(!reclaimer.is_due(Usage { now, peak: 12 * MB }, false));
        }
    }

    #[test]
    fn what_is_freed_bit_by_bit_is_given_back_from_time_to_time() {
        let mut reclaimer = Reclaimer::default();
        let times = (0..100).filter(|_| reclaimer.is_due(Usage::default(), true)).count();
        assert_eq!(times, 5);
        assert!(!reclaimer.is_due(Usage::default(), false));
    }
}
