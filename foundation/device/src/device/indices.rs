//! By which number the other ends name what they are talking about: sessions, and handshakes that wait for an answer.

use std::collections::{HashMap, hash_map};
use std::sync::{Arc, RwLock, Weak};

use chacha20poly1305::aead::OsRng;
use chacha20poly1305::aead::rand_core::RngCore as _;

use super::peer::Peer;
use super::{read, write};
use crate::session::Session;

/// The indices of a device.
#[derive(Default)]
pub(crate) struct Indices(RwLock<HashMap<u32, Entry>>);

struct Entry {
    peer: Weak<Peer>,
    /// Nothing while a handshake waits for its answer.
    session: Weak<Session>,
}

/// An index that is taken until it is dropped.
pub(crate) struct Index {
    value: u32,
    table: Arc<Indices>,
}

impl Indices {
    /// Takes an index for something of this peer. Those who see one cannot tell how many there are.
    pub(crate) fn take(self: &Arc<Self>, peer: &Arc<Peer>) -> Index {
        let mut entries = write(&self.0);
        loop {
            let value = OsRng.next_u32();
            if let hash_map::Entry::Vacant(place) = entries.entry(value) {
                place.insert(Entry { peer: Arc::downgrade(peer), session: Weak::new() });
                return Index { value, table: Arc::clone(self) };
            }
        }
    }

    /// Notes which session is named by its index, which is taken.
    pub(crate) fn enter(&self, session: &Arc<Session>) {
        if let Some(entry) = write(&self.0).get_mut(&session.index()) {
            entry.session = Arc::downgrade(session);
        }
    }

    /// Whether it names anything.
    pub(crate) fn holds(&self, index: u32) -> bool {
        read(&self.0).contains_key(&index)
    }

    /// Whose it is.
    pub(crate) fn peer(&self, index: u32) -> Option<Arc<Peer>> {
        read(&self.0).get(&index)?.peer.upgrade()
    }

    /// The session that it names, and whose it is.
    pub(crate) fn session(&self, index: u32) -> Option<(Arc<Peer>, Arc<Session>)> {
        let entries = read(&self.0);
        let entry = entries.get(&index)?;
        Some((entry.peer.upgrade()?, entry.session.upgrade()?))
    }

    /// Gives memory back that a crowd has left.
    pub(crate) fn shrink(&self) {
        let mut entries = write(&self.0);
        if entries.len() < entries.capacity() / 4 {
            entries.shrink_to_fit();
        }
    }

    /// How many there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        read(&self.0).len()
    }
}

impl Index {
    pub(crate) const fn value(&self) -> u32 {
        self.value
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        write(&self.table.0).remove(&self.value);
    }
}
