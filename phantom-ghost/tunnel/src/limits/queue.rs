//! Handshakes that wait because all networks together want more of them than there may be.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};
use tokio::time::sleep;

use super::Rate;
use super::bucket::Bucket;
use super::network::Network;

/// So many that wait in vain may be in the queue before they are looked for.
const PRUNE: usize = 1024;

/// The connections that wait for a handshake. Networks take turns: one that wants many does not keep waiting another one
/// that wants a single one.
#[derive(Debug)]
pub(super) struct Queue {
    rate: Rate,
    inner: Mutex<Inner>,
    added: Notify,
}

#[derive(Debug)]
struct Inner {
    bucket: Bucket,
    /// Of each network those that wait, in the order in which they came.
    waiting: HashMap<Network, VecDeque<oneshot::Sender<()>>>,
    /// The networks that have somebody waiting, in the order of their turns.
    turns: VecDeque<Network>,
    len: usize,
    prune_at: usize,
}

impl Queue {
    pub(super) fn new(rate: Rate, now: Instant) -> Self {
        let inner = Inner {
            bucket: Bucket::new(rate, now),
            waiting: HashMap::new(),
            turns: VecDeque::new(),
            len: 0,
            prune_at: PRUNE,
        };
        Self { rate, inner: Mutex::new(inner), added: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a connection of `network` may make its handshake: not at all while there are few. Needs [`Queue::run`].
    pub(super) async fn turn(&self, network: Network) {
        let turn = {
            let mut inner = self.lock();
            if inner.turns.is_empty() && inner.bucket.take(self.rate, Instant::now()) {
                return;
            }
            inner.add(network)
        };
        self.added.notify_one();
        // The queue lives as long as this call.
        let _ = turn.await;
    }

    /// Gives turns, for ever.
    pub(super) async fn run(&self) {
        loop {
            match self.give(Instant::now()) {
                None => self.added.notified().await,
                Some(pause) => sleep(pause).await,
            }
        }
    }

    /// Gives as many turns as there may be by now; how long it takes until the next one, unless nobody waits.
    fn give(&self, now: Instant) -> Option<Duration> {
        let mut inner = self.lock();
        while inner.skip() {
            if !inner.bucket.take(self.rate, now) {
                return Some(inner.bucket.wait(self.rate));
            }
            // A connection that left in this moment has had its turn.
            let _ = inner.next().map(|turn| turn.send(()));
        }
        None
    }
}

impl Inner {
    fn add(&mut self, network: Network) -> oneshot::Receiver<()> {
        if self.len >= self.prune_at {
            self.prune();
        }
        let (turn, given) = oneshot::channel();
        let waiting = self.waiting.entry(network).or_default();
        if waiting.is_empty() {
            self.turns.push_back(network);
        }
        waiting.push_back(turn);
        self.len += 1;
        given
    }

    /// Forgets those that left. Each that waits holds a place among the pending connections, so that little is left.
    fn prune(&mut self) {
        self.waiting.retain(|_, waiting| {
            waiting.retain(|turn| !turn.is_closed());
            !waiting.is_empty()
        });
        self.turns.retain(|network| self.waiting.contains_key(network));
        self.len = self.waiting.values().map(VecDeque::len).sum();
        self.prune_at = PRUNE.max(self.len * 2);
    }

    /// Forgets those before the next one that still waits; whether there is one.
    fn skip(&mut self) -> bool {
        while let Some(network) = self.turns.front() {
            let next = self.waiting.get(network).and_then(VecDeque::front);
            if next.is_some_and(|turn| !turn.is_closed()) {
                return true;
            }
            // Its network keeps its turn for the next one.
            let network = *network;
            let left = self.pop(network).is_some();
            self.len -= usize::from(left);
            if !self.waiting.contains_key(&network) {
                self.turns.pop_front();
            }
        }
        false
    }

    /// Whose turn it is; the network comes again behind all others.
    fn next(&mut self) -> Option<oneshot::Sender<()>> {
        let network = self.turns.pop_front()?;
        let turn = self.pop(network)?;
        self.len -= 1;
        if self.waiting.contains_key(&network) {
            self.turns.push_back(network);
        }
        Some(turn)
    }

    /// The first that waits of `network`, which is forgotten with its last one.
    fn pop(&mut self, network: Network) -> Option<oneshot::Sender<()>> {
        let waiting = self.waiting.get_mut(&network)?;
        let turn = waiting.pop_front();
        if waiting.is_empty() {
            self.waiting.remove(&network);
        }
        turn
    }
}

#[cfg(test)]
mod tests;
