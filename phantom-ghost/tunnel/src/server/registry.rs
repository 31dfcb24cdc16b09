//! Which secrets open tunnels, and the tunnels that are open, by secret.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use crate::config::MAX_CLIENTS;
use crate::control::{Clients, Part};
use crate::limits::Limits;
use crate::pump::Handshakes;
use crate::secrets::{SecretDigest, SecretId, SecretSet};

/// What so many secrets have used up is remembered before it is looked at again.
const SPENT: usize = 256;

/// Which secrets may open tunnels, and which tunnels are open.
#[derive(Debug)]
pub(super) struct Registry {
    limits: Limits,
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
    tunnels: BTreeMap<SecretId, OfSecret>,
    /// What is used up of the handshakes of secrets that have no tunnel: none is regained by opening another one.
    spent: BTreeMap<SecretId, Arc<Handshakes>>,
    /// So many of these are looked at whether they still are.
    spent_most: usize,
}

/// The tunnels under one secret, and what they may send together of WireGuard's handshakes.
#[derive(Debug)]
struct OfSecret {
    running: BTreeMap<u64, Running>,
    handshakes: Arc<Handshakes>,
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
    handshakes: Arc<Handshakes>,
}

impl Registry {
    /// Accepts nothing yet.
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, inner: Mutex::default(), changed: Notify::new() }
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
        let id = SecretDigest::digest(candidate).id();
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
        if inner.tunnels.get(&secret).is_some_and(|open| open.running.len() >= most) {
            return None;
        }
        inner.next += 1;
        inner.live += 1;
        let number = inner.next;
        let (stop, stopped) = oneshot::channel();
        let handshakes = inner.note(secret, number, Running { _stop: stop, port }, &self.limits);
        drop(inner);
        Some((Ticket { registry: Arc::clone(self), secret, number, handshakes }, stopped))
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
        shared.flat_map(|(_, open)| open.running.values()).map(|running| running.port).collect()
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
            Some(registry.limits.tunnels_per_secret)
        } else {
            self.clients.contains(secret).then_some(registry.limits.tunnels_per_client)
        }
    }

    /// Notes a tunnel, and says what it may send of handshakes: what all tunnels of a client may together; under a secret of the
    /// operator's, by which many clients come, as much as one client and no more than all of these together.
    fn note(&mut self, secret: SecretId, number: u64, running: Running, limits: &Limits) -> Arc<Handshakes> {
        let of_one = limits.wireguard_handshakes;
        let shared = self.shared.contains(&secret);
        let rate = if shared { limits.wireguard_handshakes_per_secret } else { of_one };
        let spent = &mut self.spent;
        let of_secret = self.tunnels.entry(secret).or_insert_with(|| OfSecret {
            running: BTreeMap::new(),
            handshakes: spent.remove(&secret).unwrap_or_else(|| Arc::new(Handshakes::new(rate, None))),
        });
        of_secret.running.insert(number, running);
        let all = Arc::clone(&of_secret.handshakes);
        if shared { Arc::new(Handshakes::new(of_one, Some(all))) } else { all }
    }

    /// Remembers what a secret without a tunnel has used up, until it is regained.
    fn remember(&mut self, secret: SecretId, handshakes: Arc<Handshakes>) {
        if handshakes.is_full() {
            return;
        }
        self.spent.insert(secret, handshakes);
        if self.spent.len() > self.spent_most {
            self.spent.retain(|_, handshakes| !handshakes.is_full());
            self.spent_most = SPENT.max(self.spent.len() * 2);
        }
    }

    /// Tells the tunnels to end whose secrets are not accepted any more.
    fn end_unaccepted(&mut self) {
        let Self { shared, clients, tunnels, .. } = self;
        // Dropping the sender is what ends a tunnel.
        tunnels.retain(|secret, _| shared.contains(secret) || clients.contains(secret));
    }
}

impl Ticket {
    /// What the tunnel may send of WireGuard's handshakes.
    pub(super) fn handshakes(&self) -> Arc<Handshakes> {
        Arc::clone(&self.handshakes)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut inner = self.registry.lock();
        inner.live -= 1;
        if let Some(open) = inner.tunnels.get_mut(&self.secret) {
            open.running.remove(&self.number);
            if open.running.is_empty()
                && let Some(open) = inner.tunnels.remove(&self.secret)
            {
                inner.remember(self.secret, open.handshakes);
            }
        }
        drop(inner);
        self.registry.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
