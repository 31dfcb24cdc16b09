//! How long parts of the host may be silent, and which of them were.
//!
//! A process that serves a device can hang. Whoever reads a status must not hang with it: the rest of the answer is known,
//! and what is not known is named. Whoever makes a change finds out before anything is touched.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

/// How long all parts together may be silent while somebody reads: an answer is due within a second.
const READING: Duration = Duration::from_millis(800);
/// What a part has in any case, also behind others that were silent.
const LEAST: Duration = Duration::from_millis(150);
/// How long a part may be silent while something is changed: an answer is due within five seconds.
const CHANGING: Duration = Duration::from_secs(4);
/// For so long a part that was silent is not asked again: roll back and further questions do not wait for it too.
const REMEMBERED: Duration = Duration::from_secs(3);

/// The patience with the parts of a host. Clones share what they know.
#[derive(Clone, Debug, Default)]
pub struct Patience(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    /// How long a part may be silent while something is changed.
    changing: Duration,
    /// The threads that read, with what each has waited for silent parts. A change on another thread is as patient as ever.
    readers: HashMap<ThreadId, Duration>,
    silent: Vec<Silence>,
}

/// A part that was silent.
#[derive(Debug)]
struct Silence {
    part: String,
    at: Instant,
    waited: Duration,
}

/// This thread reads: until this is dropped, silent parts are given up sooner.
#[derive(Debug)]
#[must_use]
pub struct Reading {
    patience: Patience,
    since: Instant,
    thread: ThreadId,
}

impl Default for Inner {
    fn default() -> Self {
        Self { changing: CHANGING, readers: HashMap::new(), silent: Vec::new() }
    }
}

impl Patience {
    /// Waits longer, or less long, for a silent part while something is changed: 4 s where nothing is said. For machines
    /// that are known to be slow, and for programs that have better things to do.
    pub fn of_changes(limit: Duration) -> Self {
        Self(Arc::new(Mutex::new(Inner { changing: limit, ..Inner::default() })))
    }

    /// From here on this thread reads, until the value is dropped.
    pub fn reading(&self) -> Reading {
        let (thread, since) = (thread::current().id(), Instant::now());
        self.inner().readers.insert(thread, Duration::ZERO);
        Reading { patience: self.clone(), since, thread }
    }

    /// How long a part may be silent at this moment, for this thread.
    pub fn limit(&self) -> Duration {
        let inner = self.inner();
        match inner.readers.get(&thread::current().id()) {
            Some(waited) => READING.saturating_sub(*waited).max(LEAST),
            None => inner.changing,
        }
    }

    /// Whether a part was silent a moment ago, for at least as long as this thread would wait for it, so that nobody needs to
    /// wait for it again.
    pub(crate) fn was_silent(&self, part: &str) -> bool {
        let limit = self.limit();
        let mut inner = self.inner();
        inner.silent.retain(|silence| silence.at.elapsed() < REMEMBERED);
        inner.silent.iter().any(|silence| silence.part == part && silence.waited >= limit)
    }

    /// Remembers that a part was silent for so long.
    pub(crate) fn remember(&self, part: &str, waited: Duration) {
        let mut inner = self.inner();
        if let Some(all) = inner.readers.get_mut(&thread::current().id()) {
            *all += waited;
        }
        inner.silent.push(Silence { part: part.to_owned(), at: Instant::now(), waited });
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here can be left half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reading {
    /// The parts that were silent meanwhile, each once.
    pub fn silent(&self) -> Vec<String> {
        let inner = self.patience.inner();
        // One that was silent a moment before was not asked again, and is as unknown.
        let recent = inner.silent.iter().filter(|silence| silence.at + REMEMBERED >= self.since);
        let mut names: Vec<String> = recent.map(|silence| silence.part.clone()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.patience.inner().readers.remove(&self.thread);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reader_waits_less_and_learns_silent_part() {
        let patience = Patience::default();
        assert_eq!(patience.limit(), CHANGING);
        let reading = patience.reading();
        assert_eq!((patience.limit(), reading.silent()), (READING, Vec::<String>::new()));
        patience.remember("a device", READING);
        patience.remember("a device", LEAST);
        assert_eq!(patience.limit(), LEAST, "all parts together are waited for that long");
        assert!(patience.was_silent("a device") && !patience.was_silent("another"));
        assert_eq!(reading.silent(), ["a device"]);
        drop(reading);
        assert_eq!(patience.limit(), CHANGING);
    }

    #[test]
    fn a_change_is_patient_while_others_read() {
        let patience = Patience::default();
        let (there, reader) = (patience.clone(), patience.reading());
        patience.remember("a device", READING);
        let change = thread::spawn(move || (there.limit(), there.was_silent("a device")));
        assert_eq!(change.join().unwrap(), (CHANGING, false), "it waits longer than whoever only reads");
        drop(reader);
        patience.remember("a device", CHANGING);
        assert!(patience.was_silent("a device"));
    }
}
