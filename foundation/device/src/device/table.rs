//! The peers of a device, what belongs to whom, and the device's own keys.
//!
//! No lock is held for longer than one peer takes, so that packets never wait for a large change.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Instant;

use chacha20poly1305::aead::OsRng;
use chacha20poly1305::aead::rand_core::RngCore as _;
use gotatun::noise::index_table::IndexTable;
use gotatun::noise::rate_limiter::RateLimiter;
use gotatun::x25519;
use phantom_types::{PresharedKey, PrivateKey, PublicKey};

use super::attempts::Attempts;
use super::memory::Freed;
use super::peer::{Peer, PeerRuntime};
use super::routes::Routes;
use super::staged::{self, Staged};
use super::tx_queue::PeerEndpoint;
use super::{lock, read, write};
use crate::cookie::Checker;
use crate::uapi::PeerRequest;

/// How many peers are changed before others get their turn.
const SLICE: usize = 50;

/// The device's own keys.
pub(crate) struct Identity {
    pub(crate) private_key: x25519::StaticSecret,
    pub(crate) public_key: x25519::PublicKey,
    /// Tells genuine handshake messages from others.
    pub(crate) checker: Checker,
    /// The library wants one for each tunnel. What a tunnel is given has passed the device's own.
    pub(crate) limiter: Arc<RateLimiter>,
}

/// How many peers came and went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) added: usize,
    pub(crate) removed: usize,
    pub(crate) total: usize,
}

/// The table of a device.
pub(crate) struct PeerTable {
    lanes: usize,
    identity: RwLock<Option<Arc<Identity>>>,
    peers: RwLock<BTreeMap<PublicKey, Arc<Peer>>>,
    pub(super) routes: RwLock<Routes<Arc<Peer>>>,
    /// Whose session this index of ours is. Entries of ended sessions are swept out from time to time.
    pub(super) sessions: RwLock<HashMap<u32, Arc<Peer>>>,
    pub(super) indices: IndexTable,
    /// Packets that wait for a session.
    pub(super) staged: Staged,
    /// Tunnels made for packets to peers that have not answered yet.
    pub(super) attempts: Attempts,
    pub(super) freed: Freed,
    /// Peers whose timers are to be looked at from now on.
    woken: Mutex<Vec<Arc<Peer>>>,
}

impl PeerTable {
    /// A table without keys and peers, whose peers are spread over this many lanes.
    pub(crate) fn new(lanes: usize) -> Self {
        Self {
            lanes,
            identity: RwLock::default(),
            peers: RwLock::default(),
            routes: RwLock::default(),
            sessions: RwLock::default(),
            indices: IndexTable::from_os_rng(),
            staged: Staged::new(staged::ROOM),
            attempts: Attempts::default(),
            freed: Freed::default(),
            woken: Mutex::default(),
        }
    }

    /// The device's keys, if it has any.
    pub(crate) fn identity(&self) -> Option<Arc<Identity>> {
        read(&self.identity).clone()
    }

    /// The peer with this key.
    pub(crate) fn peer(&self, key: &PublicKey) -> Option<Arc<Peer>> {
        read(&self.peers).get(key).cloned()
    }

    /// All peers, by key.
    pub(crate) fn all(&self) -> Vec<Arc<Peer>> {
        read(&self.peers).values().cloned().collect()
    }

    /// Those of these peers that there are, in the order asked for.
    pub(crate) fn some(&self, keys: &[PublicKey]) -> Vec<Arc<Peer>> {
        let peers = read(&self.peers);
        keys.iter().filter_map(|key| peers.get(key).cloned()).collect()
    }

    /// The peer whose session this index of ours is.
    pub(crate) fn session(&self, index: u32) -> Option<Arc<Peer>> {
        read(&self.sessions).get(&index).cloned()
    }

    /// Notes whose session this index of ours is.
    pub(crate) fn register(&self, index: u32, peer: &Arc<Peer>) {
        write(&self.sessions).insert(index, Arc::clone(peer));
    }

    /// Forgets the sessions that have ended.
    pub(crate) fn sweep(&self) {
        let mut sessions = write(&self.sessions);
        sessions.retain(|index, _| self.indices.in_use(*index));
        if sessions.len() < sessions.capacity() / 4 {
            sessions.shrink_to_fit();
        }
    }

    /// Has the timers of the peer looked at from now on.
    pub(crate) fn wake(&self, peer: Arc<Peer>) {
        lock(&self.woken).push(peer);
    }

    /// Takes those whose timers are to be looked at from now on.
    pub(crate) fn take_woken(&self) -> Vec<Arc<Peer>> {
        std::mem::take(&mut lock(&self.woken))
    }

    /// Ends all sessions and begins again with this key, or without one. A peer with the same key goes.
    pub(crate) async fn set_private_key(&self, key: Option<&PrivateKey>) {
        let identity = key.map(|key| Arc::new(Identity::new(key)));
        if let Some(identity) = &identity {
            self.remove(&PublicKey::from_bytes(identity.public_key.to_bytes()));
        }
        *write(&self.identity) = identity;
        for (index, peer) in self.all().into_iter().enumerate() {
            self.begin_anew(&peer);
            take_turns(index).await;
        }
    }

    fn begin_anew(&self, peer: &Arc<Peer>) {
        let mut state = peer.state();
        state.drop_tunnel(self, peer);
        self.staged.take(&peer.key);
        state.schedule(self, peer);
    }

    /// Makes these changes in order. With `replace`, peers that are not named in the end are removed, and those that
    /// were there already are set up again.
    pub(crate) async fn set_peers(&self, requests: Vec<PeerRequest>, replace: bool) -> Count {
        let own = self.identity().map(|identity| PublicKey::from_bytes(identity.public_key.to_bytes()));
        let mut count = Count::default();
        let mut named = BTreeSet::new();
        for (index, request) in requests.into_iter().enumerate() {
            let key = request.public_key;
            // After replacing, a peer is there only if this request has named it before.
            let absent = replace && !named.contains(&key);
            if request.remove {
                named.remove(&key);
                count.removed += usize::from(self.remove(&key));
            } else if Some(key) != own && !(absent && request.update_only) {
                count.added += usize::from(self.set_peer(request, absent));
                named.insert(key);
            }
            take_turns(index).await;
        }
        let unnamed = if replace { self.all() } else { Vec::new() };
        for (index, peer) in unnamed.into_iter().enumerate() {
            if !named.contains(&peer.key) {
                count.removed += usize::from(self.remove(&peer.key));
            }
            take_turns(index).await;
        }
        Count { total: read(&self.peers).len(), ..count }
    }

    /// Changes a peer, or adds it; `true` if it was added. `again` takes from one that is there everything that the
    /// request does not give, as if it had just been added, but for its session, its counters and where it is.
    fn set_peer(&self, mut request: PeerRequest, again: bool) -> bool {
        let known = self.peer(&request.public_key);
        if known.is_none() && request.update_only {
            return false;
        }
        let added = known.is_none();
        let peer = known.unwrap_or_else(|| self.add(request.public_key));
        let mut state = peer.state();
        let no_key = again.then(|| PresharedKey::from_bytes([0; 32]));
        set_preshared_key(&mut state, request.preshared_key.take().or(no_key));
        if let Some(address) = request.endpoint
            && state.endpoint.is_none_or(|known| known.address != address)
        {
            state.endpoint = Some(PeerEndpoint::new(address, None));
        }
        set_keepalive(&mut state, request.persistent_keepalive_interval.or(again.then_some(0)));
        state.schedule(self, &peer);
        drop(state);
        self.set_allowed_ips(&peer, &request, again);
        added
    }

    fn add(&self, key: PublicKey) -> Arc<Peer> {
        // Keys are random, so any byte of them spreads peers over the lanes.
        let peer = Arc::new(Peer::new(key, usize::from(key.as_bytes()[0]) % self.lanes));
        write(&self.peers).insert(key, Arc::clone(&peer));
        peer
    }

    fn remove(&self, key: &PublicKey) -> bool {
        let Some(peer) = write(&self.peers).remove(key) else { return false };
        let mut state = peer.state();
        state.removed = true;
        state.drop_tunnel(self, &peer);
        self.staged.take(key);
        let networks = std::mem::take(&mut state.allowed_ips);
        drop(state);
        let mut routes = write(&self.routes);
        for network in networks {
            routes.remove_if(network, |owner| Arc::ptr_eq(owner, &peer));
        }
        true
    }

    /// Gives networks to the peer and takes them away. Given ones are taken from whoever had them.
    fn set_allowed_ips(&self, peer: &Arc<Peer>, request: &PeerRequest, again: bool) {
        let replace = request.replace_allowed_ips || again;
        if request.allowed_ips.is_empty() && !replace {
            return;
        }
        let mut networks: BTreeSet<_> = peer.state().allowed_ips.iter().copied().collect();
        let mut previous_owners = Vec::new();
        {
            let mut routes = write(&self.routes);
            if replace {
                for network in std::mem::take(&mut networks) {
                    routes.remove_if(network, |owner| Arc::ptr_eq(owner, peer));
                }
            }
            for ip in &request.allowed_ips {
                if ip.remove {
                    networks.remove(&ip.network);
                    routes.remove_if(ip.network, |owner| Arc::ptr_eq(owner, peer));
                } else if networks.insert(ip.network) {
                    previous_owners
                        .extend(routes.insert(ip.network, Arc::clone(peer)).map(|owner| (owner, ip.network)));
                }
            }
        }
        for (owner, network) in previous_owners {
            owner.state().allowed_ips.retain(|ip| *ip != network);
        }
        peer.state().allowed_ips = networks.into_iter().collect();
    }
}

impl Identity {
    fn new(key: &PrivateKey) -> Self {
        let private_key = x25519::StaticSecret::from(*key.as_bytes());
        let public_key = x25519::PublicKey::from(&private_key);
        let mut secret = [0; 32];
        OsRng.fill_bytes(&mut secret);
        let checker = Checker::new(&PublicKey::from_bytes(public_key.to_bytes()), secret, Instant::now());
        let limiter = Arc::new(RateLimiter::new(&public_key, u64::MAX));
        Self { private_key, public_key, checker, limiter }
    }
}

fn set_preshared_key(state: &mut PeerRuntime, key: Option<PresharedKey>) {
    let Some(key) = key else { return };
    let key = (key.as_bytes() != &[0; 32]).then_some(key);
    if key == state.preshared_key {
        return;
    }
    if let Some(tunnel) = &mut state.tunnel {
        tunnel.set_preshared_key(key.as_ref().map(|key| *key.as_bytes()));
    }
    state.preshared_key = key;
}

fn set_keepalive(state: &mut PeerRuntime, seconds: Option<u16>) {
    let Some(seconds) = seconds.filter(|seconds| *seconds != state.keepalive) else { return };
    state.keepalive = seconds;
    if let Some(tunnel) = &mut state.tunnel {
        tunnel.set_keepalive(seconds);
    }
}

async fn take_turns(index: usize) {
    if index % SLICE == SLICE - 1 {
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests;
