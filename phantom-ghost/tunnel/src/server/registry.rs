//! Which secrets open tunnels, and the tunnels that are open, by secret.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use crate::config::MAX_CLIENTS;
use crate::control::{Clients, Part};
use crate::secrets::{SecretDigest, SecretId, SecretSet};

/// Which secrets may open tunnels, and which tunnels are open.
#[derive(Debug)]
pub(super) struct Registry {
    /// The most tunnels under one of the operator's secrets, and of one client.
    per_secret: usize,
    per_client: usize,
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    /// Tunnels that have not gone yet, those among them that were told to.
    live: usize,
    /// The operator's secrets.
    shared: SecretSet,
    /// The clients' own.
    clients: SecretSet,
    /// A list of clients that is not whole yet.
    coming: Option<SecretSet>,
    tunnels: BTreeMap<SecretId, BTreeMap<u64, Running>>,
}

/// What ends a tunnel when it is dropped, and the port from which it reaches WireGuard.
#[derive(Debug)]
struct Running {
    _stop: oneshot::Sender<()>,
    port: u16,
}

/// How much is open, and for how many.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) tunnels: usize,
    pub(super) secrets_in_use: usize,
    /// Clients whose own secrets are accepted.
    pub(super) clients: usize,
}

/// An open tunnel's place; dropping it gives the place back.
#[derive(Debug)]
pub(super) struct Ticket {
    registry: Arc<Registry>,
    secret: SecretId,
    number: u64,
}

impl Registry {
    /// Accepts nothing yet. So many tunnels may be open under one of the operator's secrets, and of one client.
    pub(super) fn new(per_secret: usize, per_client: usize) -> Self {
        Self { per_secret, per_client, inner: Mutex::default(), changed: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on these secrets of the operator's are accepted. Tunnels under those before them are told to end.
    pub(super) fn accept_shared(&self, secrets: SecretSet) {
        let mut inner = self.lock();
        inner.shared = secrets;
        inner.end_unaccepted();
    }

    /// Changes the clients that are accepted; the number of them if there would be too many, and then nothing is changed.
    pub(super) fn change_clients(&self, change: &Clients) -> Result<(), usize> {
        let ids = |list: &[SecretDigest]| list.iter().map(SecretDigest::id).collect::<Vec<_>>();
        // Made before the lock is taken: nobody waits for it meanwhile.
        let (add, remove) = (ids(&change.add), ids(&change.remove));
        let mut inner = self.lock();
        let mut set = match change.part {
            Some(Part::First | Part::Only) => SecretSet::default(),
            Some(Part::Further | Part::Last) => inner.coming.take().unwrap_or_default(),
            None => std::mem::take(&mut inner.clients),
        };
        let too_many = set.len().saturating_add(add.len());
        if too_many > MAX_CLIENTS {
            if change.part.is_none() {
                inner.clients = set;
            }
            return Err(too_many);
        }
        for id in add {
            set.insert(id);
        }
        for id in &remove {
            set.remove(id);
        }
        match change.part {
            Some(Part::First | Part::Further) => inner.coming = Some(set),
            Some(Part::Last | Part::Only) => {
                inner.clients = set;
                inner.end_unaccepted();
            }
            None => {
                inner.clients = set;
                for id in remove {
                    if !inner.shared.contains(&id) {
                        inner.tunnels.remove(&id);
                    }
                }
            }
        }
        Ok(())
    }

    /// Which accepted secret `candidate` is.
    pub(super) fn find(&self, candidate: &[u8]) -> Option<SecretId> {
        let id = SecretDigest::of(candidate).id();
        self.lock().most(&id, self).map(|_| id)
    }

    /// Notes a new tunnel under `secret` that reaches WireGuard from `port`, unless the secret was taken back in the meantime
    /// or has all the tunnels that it may have.
    pub(super) fn open(
        self: &Arc<Self>,
        secret: SecretId,
        port: u16,
    ) -> Option<(Ticket, oneshot::Receiver<()>)> {
        let mut inner = self.lock();
        let most = inner.most(&secret, self)?;
        if inner.tunnels.get(&secret).is_some_and(|open| open.len() >= most) {
            return None;
        }
        inner.next += 1;
        inner.live += 1;
        let number = inner.next;
        let (stop, stopped) = oneshot::channel();
        inner.tunnels.entry(secret).or_default().insert(number, Running { _stop: stop, port });
        drop(inner);
        Some((Ticket { registry: Arc::clone(self), secret, number }, stopped))
    }

    /// How many tunnels are open, under how many secrets, and how many clients may open some.
    pub(super) fn counts(&self) -> Open {
        let inner = self.lock();
        Open { tunnels: inner.live, secrets_in_use: inner.tunnels.len(), clients: inner.clients.len() }
    }

    /// From which ports tunnels under the operator's secrets reach WireGuard.
    pub(super) fn shared_ports(&self) -> Vec<u16> {
        let inner = self.lock();
        let shared = inner.tunnels.iter().filter(|(secret, _)| inner.shared.contains(secret));
        shared.flat_map(|(_, open)| open.values()).map(|running| running.port).collect()
    }

    /// Ends all tunnels and lets no more be opened.
    pub(super) fn close(&self) {
        let mut inner = self.lock();
        (inner.shared, inner.clients) = (SecretSet::default(), SecretSet::default());
        inner.tunnels.clear();
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

impl Inner {
    /// How many tunnels there may be under this secret; `None` if it is not accepted.
    fn most(&self, secret: &SecretId, registry: &Registry) -> Option<usize> {
        if self.shared.contains(secret) {
            Some(registry.per_secret)
        } else {
            self.clients.contains(secret).then_some(registry.per_client)
        }
    }

    /// Tells the tunnels to end whose secrets are not accepted any more.
    fn end_unaccepted(&mut self) {
        let Self { shared, clients, tunnels, .. } = self;
        // Dropping the sender is what ends a tunnel.
        tunnels.retain(|secret, _| shared.contains(secret) || clients.contains(secret));
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

#[cfg(test)]
mod tests;
