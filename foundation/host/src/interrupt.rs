//! A request to end (Ctrl-C, SIGTERM, a terminal that is closed) while a change is being made.
//!
//! A program that ended in the middle of a change would leave the VPN down. So a change holds such requests: the process
//! goes on until the change is made or rolled back, and waits that may take long give up. Without a change in progress a
//! request ends the program at once, as always.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Whether somebody has asked this program to end. Clones share what they know.
#[derive(Clone, Debug)]
pub struct Interrupt(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Nothing is being changed: a request ends the program. A flag of its own for the signal handlers.
    ends_at_once: Arc<AtomicBool>,
    /// The number of the last signal that asked; 0 for none.
    signal: Arc<AtomicUsize>,
    /// How many changes hold requests.
    held: AtomicUsize,
}

impl Default for Interrupt {
    fn default() -> Self {
        let (ends_at_once, signal) = (Arc::new(AtomicBool::new(true)), Arc::default());
        Self(Arc::new(Shared { ends_at_once, signal, held: AtomicUsize::new(0) }))
    }
}

/// Holds requests until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct Held(Interrupt);

impl Interrupt {
    /// From here on a request does not end the program, until the value is dropped.
    pub fn hold(&self) -> Held {
        self.0.held.fetch_add(1, Ordering::SeqCst);
        self.0.ends_at_once.store(false, Ordering::SeqCst);
        Held(self.clone())
    }

    /// Asks to end, as this signal would.
    pub fn request(&self, signal: i32) {
        self.0.signal.store(usize::try_from(signal).unwrap_or_default(), Ordering::SeqCst);
    }

    /// The signal that asked to end, if one did.
    pub fn signal(&self) -> Option<i32> {
        i32::try_from(self.0.signal.load(Ordering::SeqCst)).ok().filter(|signal| *signal != 0)
    }

    /// Whether a wait should give up.
    pub fn is_requested(&self) -> bool {
        self.signal().is_some()
    }

    /// Whether a change holds requests at this moment: it goes on until it is made or rolled back.
    pub fn is_held(&self) -> bool {
        self.0.held.load(Ordering::SeqCst) > 0
    }

    /// What signal handlers ask and set: whether a request ends the program at once, and which signal asked.
    pub(crate) fn flags(&self) -> (&Arc<AtomicBool>, &Arc<AtomicUsize>) {
        (&self.0.ends_at_once, &self.0.signal)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.0.0.held.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.0.ends_at_once.store(true, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_held_until_last_change_ends() {
        let interrupt = Interrupt::default();
        let at_once = || interrupt.0.ends_at_once.load(Ordering::SeqCst);
        assert!(at_once() && !interrupt.is_requested());
        let (first, second) = (interrupt.hold(), interrupt.clone().hold());
        drop(first);
        assert!(!at_once());
        interrupt.request(15);
        assert_eq!(interrupt.signal(), Some(15));
        drop(second);
        assert!(at_once() && interrupt.is_requested(), "what was asked is not forgotten");
    }
}
