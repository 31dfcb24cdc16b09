//! Handshakes that wait because more of them are wanted than there may be.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};
use tokio::time::sleep;

use super::Rate;
use super::bucket::Bucket;
use super::turns::{Path, Turns};

/// A rate, and the connections that wait because it is used up.
#[derive(Debug)]
pub(super) struct Line {
    rate: Rate,
    bucket: Bucket,
    turns: Turns,
}

impl Line {
    pub(super) fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, bucket: Bucket::new(rate, now), turns: Turns::default() }
    }

    /// Takes one of the rate at once if there is one and nobody waits; if not, what tells when it is there.
    pub(super) fn ask(&mut self, path: Path, now: Instant) -> Option<oneshot::Receiver<()>> {
        if !self.turns.skip() && self.bucket.take(self.rate, now) {
            return None;
        }
        Some(self.turns.add(path))
    }

    /// Gives as many turns as there may be by now; how long it takes until the next one, unless nobody waits.
    pub(super) fn give(&mut self, now: Instant) -> Option<Duration> {
        while self.turns.skip() {
            if !self.bucket.take(self.rate, now) {
                return Some(self.bucket.wait(self.rate));
            }
            // A connection that left in this moment has had its turn.
            let _ = self.turns.next().map(|turn| turn.send(()));
        }
        None
    }

    /// When it was asked last.
    pub(super) fn at(&self) -> Instant {
        self.bucket.at()
    }
}

/// The line of all networks together.
#[derive(Debug)]
pub(super) struct Queue {
    line: Mutex<Line>,
    added: Notify,
}

impl Queue {
    pub(super) fn new(rate: Rate, now: Instant) -> Self {
        Self { line: Mutex::new(Line::new(rate, now)), added: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a connection of these networks may make its handshake: not at all while there are few. Needs [`Queue::run`].
    pub(super) async fn turn(&self, path: Path) {
        let Some(turn) = self.ask(path) else { return };
        self.added.notify_one();
        // The queue lives as long as this call.
        let _ = turn.await;
    }

    fn ask(&self, path: Path) -> Option<oneshot::Receiver<()>> {
        self.lock().ask(path, Instant::now())
    }

    fn give(&self) -> Option<Duration> {
        self.lock().give(Instant::now())
    }

    /// Gives turns, for ever.
    pub(super) async fn run(&self) {
        loop {
            match self.give() {
                None => self.added.notified().await,
                Some(pause) => sleep(pause).await,
            }
        }
    }
}

#[cfg(test)]
mod tests;
