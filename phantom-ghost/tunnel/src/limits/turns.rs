//! Connections that wait for their turns, which their networks take.

use std::collections::{BTreeMap, VecDeque};

use tokio::sync::oneshot::{self, Sender};

/// So many may be added before those that wait in vain are looked for.
const PRUNE: usize = 1024;

/// Whose turn a connection's is: at first that of a larger network, and within it that of a part of it.
pub(super) type Path = [u64; 2];

/// The connections that wait. Networks take turns, and so do the parts of each: one that wants much does not keep waiting another one
/// that wants little, and nobody gets more by having many parts of one network.
#[derive(Debug)]
pub(super) struct Turns {
    networks: BTreeMap<u64, Parts>,
    /// The networks that have somebody waiting, in the order of their turns.
    order: VecDeque<u64>,
    added: usize,
    prune_at: usize,
}

/// Those of one network.
#[derive(Debug, Default)]
struct Parts {
    /// Of each part those that wait, in the order in which they came.
    waiting: BTreeMap<u64, VecDeque<Sender<()>>>,
    order: VecDeque<u64>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { networks: BTreeMap::new(), order: VecDeque::new(), added: 0, prune_at: PRUNE }
    }
}

impl Turns {
    /// Puts one behind those of its part; it is told when it has its turn.
    pub(super) fn add(&mut self, [network, part]: Path) -> oneshot::Receiver<()> {
        if self.added >= self.prune_at {
            self.prune();
        }
        self.added += 1;
        let (turn, given) = oneshot::channel();
        if let Some(parts) = self.networks.get_mut(&network) {
            parts.add(part, turn);
        } else {
            self.networks.entry(network).or_default().add(part, turn);
            self.order.push_back(network);
        }
        given
    }

    /// Forgets those before the next one that still waits; whether there is one.
    pub(super) fn skip(&mut self) -> bool {
        while let Some(network) = self.order.front() {
            if self.networks.get_mut(network).is_some_and(Parts::skip) {
                return true;
            }
            self.networks.remove(network);
            self.order.pop_front();
        }
        false
    }

    /// Whose turn it is; its network comes again behind all others.
    pub(super) fn next(&mut self) -> Option<Sender<()>> {
        let network = self.order.pop_front()?;
        let parts = self.networks.get_mut(&network)?;
        let turn = parts.next();
        if parts.order.is_empty() {
            self.networks.remove(&network);
        } else {
            self.order.push_back(network);
        }
        turn
    }

    /// Forgets those that left. Each that waits holds a place among the pending connections, so that little is left.
    fn prune(&mut self) {
        let mut left = 0;
        self.networks.retain(|_, parts| {
            let count = parts.prune();
            left += count;
            count > 0
        });
        self.order.retain(|network| self.networks.contains_key(network));
        self.added = left;
        self.prune_at = PRUNE.max(left * 2);
    }
}

impl Parts {
    fn add(&mut self, part: u64, turn: Sender<()>) {
        let waiting = self.waiting.entry(part).or_default();
        if waiting.is_empty() {
            self.order.push_back(part);
        }
        waiting.push_back(turn);
    }

    fn skip(&mut self) -> bool {
        while let Some(part) = self.order.front() {
            if let Some(waiting) = self.waiting.get_mut(part) {
                while waiting.front().is_some_and(Sender::is_closed) {
                    waiting.pop_front();
                }
                // Its part keeps its turn for the next one.
                if !waiting.is_empty() {
                    return true;
                }
            }
            self.waiting.remove(part);
            self.order.pop_front();
        }
        false
    }

    fn next(&mut self) -> Option<Sender<()>> {
        let part = self.order.pop_front()?;
        let waiting = self.waiting.get_mut(&part)?;
        let turn = waiting.pop_front();
        if waiting.is_empty() {
            self.waiting.remove(&part);
        } else {
            self.order.push_back(part);
        }
        turn
    }

    /// How many are left.
    fn prune(&mut self) -> usize {
        self.waiting.retain(|_, waiting| {
            waiting.retain(|turn| !turn.is_closed());
            !waiting.is_empty()
        });
        self.order.retain(|part| self.waiting.contains_key(part));
        self.waiting.values().map(VecDeque::len).sum()
    }
}

#[cfg(test)]
impl Turns {
    /// How many are remembered, those that left among them.
    pub(super) fn remembered(&self) -> usize {
        self.networks.values().flat_map(|parts| parts.waiting.values()).map(VecDeque::len).sum()
    }
}
