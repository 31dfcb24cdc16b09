//! How long parts of the host may be silent, and which of them were.
//!
//! A process that serves a device can hang. Whoever reads a status must not hang with it: the rest of the answer is known,
//! and what is not known is named. Whoever makes a change finds out before anything is touched.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long all parts together may be silent while somebody reads: an answer is due within a second.
const READING: Duration = Duration::from_millis(800);
/// What a part has in any case.
const LEAST: Duration = Duration::from_millis(50);
/// How long it may be silent while something is changed: an answer is due within five seconds.
const CHANGING: Duration = Duration::from_millis(3500);
/// For so long a part that was silent is not asked again: roll back and further questions do not wait for it too.
const REMEMBERED: Duration = Duration::from_secs(3);

/// The patience with the parts of a host. Clones share what they know.
#[derive(Clone, Debug, Default)]
pub struct Patience(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    readers: usize,
    reading_since: Option<Instant>,
    silent: Vec<(String, Instant)>,
}

/// Somebody reads: until this is dropped, silent parts are given up sooner.
#[derive(Debug)]
#[must_use]
pub struct Reading {
    patience: Patience,
    since: Instant,
}

impl Patience {
    /// From here on somebody reads, until the value is dropped.
    pub fn reading(&self) -> Reading {
        let (mut inner, since) = (self.inner(), Instant::now());
        inner.readers += 1;
        inner.reading_since = Some(since);
        drop(inner);
        Reading { patience: self.clone(), since }
    }

    /// How long a part may be silent at this moment.
    pub fn limit(&self) -> Duration {
        match self.inner().reading_since {
            Some(since) => READING.saturating_sub(since.elapsed()).max(LEAST),
            None => CHANGING,
        }
    }

    /// Whether a part was silent a moment ago, so that nobody needs to wait for it again.
    pub(crate) fn was_silent(&self, part: &str) -> bool {
        let mut inner = self.inner();
        inner.silent.retain(|(_, at)| at.elapsed() < REMEMBERED);
        inner.silent.iter().any(|(name, _)| name == part)
    }

    /// Remembers that a part is silent.
    pub(crate) fn remember(&self, part: &str) {
        self.inner().silent.push((part.to_owned(), Instant::now()));
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
        let recent = inner.silent.iter().filter(|(_, at)| *at + REMEMBERED >= self.since);
        let mut names: Vec<String> = recent.map(|(name, _)| name.clone()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut inner = self.patience.inner();
        inner.readers = inner.readers.saturating_sub(1);
        if inner.readers == 0 {
            inner.reading_since = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_reads_waits_less_and_learns_what_was_silent() {
        let patience = Patience::default();
        assert_eq!(patience.limit(), CHANGING);
        let reading = patience.reading();
        assert!(patience.limit() <= READING && patience.limit() >= LEAST);
        assert_eq!(reading.silent(), Vec::<String>::new());
        patience.remember("a device");
        patience.remember("a device");
        assert!(patience.was_silent("a device") && !patience.was_silent("another"));
        assert_eq!(reading.silent(), ["a device"]);
        drop(reading);
        assert_eq!(patience.limit(), CHANGING);
    }
}
