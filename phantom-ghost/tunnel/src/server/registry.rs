//! The tunnels that are open, by secret.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use crate::secrets::{SecretId, SecretSet};

/// Which tunnels are open, and which secrets may open more.
#[derive(Debug, Default)]
pub(super) struct Registry {
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    /// Tunnels that have not gone yet, those among them that were told to.
    live: usize,
    accepted: SecretSet,
    tunnels: BTreeMap<SecretId, BTreeMap<u64, oneshot::Sender<()>>>,
}

/// An open tunnel's place; dropping it gives the place back.
#[derive(Debug)]
pub(super) struct Ticket {
    registry: Arc<Registry>,
    secret: SecretId,
    number: u64,
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on these secrets are accepted. Tunnels under any other are told to end.
    pub(super) fn accept(&self, secrets: SecretSet) {
        let mut inner = self.lock();
        // Dropping the sender is what ends a tunnel.
        inner.tunnels.retain(|secret, _| secrets.contains(secret));
        inner.accepted = secrets;
    }

    /// Notes a new tunnel under `secret`, unless the secret was taken back in the meantime or has `most` tunnels.
    pub(super) fn open(
        self: &Arc<Self>,
        secret: SecretId,
        most: usize,
    ) -> Option<(Ticket, oneshot::Receiver<()>)> {
        let mut inner = self.lock();
        if !inner.accepted.contains(&secret)
            || inner.tunnels.get(&secret).is_some_and(|open| open.len() >= most)
        {
            return None;
        }
        inner.next += 1;
        inner.live += 1;
        let number = inner.next;
        let (stop, stopped) = oneshot::channel();
        inner.tunnels.entry(secret).or_default().insert(number, stop);
        drop(inner);
        Some((Ticket { registry: Arc::clone(self), secret, number }, stopped))
    }

    /// How many tunnels are open, and under how many secrets.
    pub(super) fn counts(&self) -> (usize, usize) {
        let inner = self.lock();
        (inner.live, inner.tunnels.len())
    }

    /// Ends all tunnels and lets no more be opened.
    pub(super) fn close(&self) {
        self.accept(SecretSet::default());
    }

    /// Waits until no tunnel is left.
    pub(super) async fn emptied(&self) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.lock().live == 0 {
                return;
            }
            changed.await;
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut inner = self.registry.lock();
        inner.live -= 1;
        if let Some(open) = inner.tunnels.get_mut(&self.secret) {
            open.remove(&self.number);
            if open.is_empty() {
                inner.tunnels.remove(&self.secret);
            }
        }
        drop(inner);
        self.registry.changed.notify_waiters();
    }
}

/// The secrets of open tunnels, for tests.
#[cfg(test)]
impl Registry {
    fn secrets(&self) -> Vec<SecretId> {
        self.lock().tunnels.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::Secret;

    #[test]
    fn a_secret_that_is_gone_ends_its_tunnels_only() {
        let (one, two) = (Secret::generate(), Secret::generate());
        let registry = Arc::new(Registry::default());
        assert!(registry.open(one.id(), 9).is_none(), "nothing is accepted yet");
        registry.accept([&one, &two].into_iter().collect());
        let (ticket, mut first) = registry.open(one.id(), 9).unwrap();
        let (_other, mut second) = registry.open(two.id(), 9).unwrap();
        registry.accept([&two].into_iter().collect());
        assert!(matches!(first.try_recv(), Err(oneshot::error::TryRecvError::Closed)));
        assert!(matches!(second.try_recv(), Err(oneshot::error::TryRecvError::Empty)));
        assert!(registry.open(one.id(), 9).is_none());
        drop(ticket);
        assert_eq!(registry.secrets(), [two.id()]);
    }

    #[test]
    fn so_many_tunnels_and_no_more() {
        let secret = Secret::generate();
        let registry = Arc::new(Registry::default());
        registry.accept([&secret].into_iter().collect());
        let first = registry.open(secret.id(), 2).unwrap();
        let _second = registry.open(secret.id(), 2).unwrap();
        assert!(registry.open(secret.id(), 2).is_none());
        assert_eq!(registry.counts(), (2, 1));
        drop(first);
        assert!(registry.open(secret.id(), 2).is_some());
    }
}
