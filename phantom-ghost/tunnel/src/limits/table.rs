//! The places of all connections, and what each network has used up.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};
use tokio::time::sleep;

use super::bucket::Bucket;
use super::crowd::{Crowd, Group, Member, Order};
use super::network::{Network, Networks};
use super::queue::{Line, Queue};
use super::{Limits, Rate};

/// Entries that nobody uses are looked for this often.
const SWEEP: Duration = Duration::from_secs(30);
/// A network that is not connected is remembered this long after its last act.
const MEMORY: Duration = Duration::from_mins(2);
/// So many networks are remembered; when there are more, those that are not connected are forgotten early.
pub(super) const REMEMBERED: usize = 65_536;

/// Networks in which connections wait for handshakes are looked at this often, unless less is to be done.
const ROUNDS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(50));

/// The places of all connections, and what each network has used up.
#[derive(Debug)]
pub(crate) struct Table {
    limits: Limits,
    /// Places of connections without a request, and of all others.
    pending: usize,
    settled: usize,
    queue: Queue,
    inner: Mutex<Inner>,
    /// A network has connections that wait for handshakes.
    waits: Notify,
}

#[derive(Debug)]
struct Inner {
    next: u64,
    pending: Crowd,
    visits: Crowd,
    tunnels: usize,
    closed: u64,
    networks: HashMap<Network, Entry>,
    /// Those that have connections waiting for handshakes.
    waiting: BTreeSet<Network>,
    swept: Instant,
}

#[derive(Debug, Default)]
struct Entry {
    connections: usize,
    handshakes: Option<Box<Line>>,
    errors: Option<Bucket>,
}

/// A connection's place; dropping it makes room.
#[derive(Debug)]
pub(crate) struct Permit {
    table: Arc<Table>,
    networks: Option<Networks>,
    place: Slot,
}

#[derive(Debug)]
enum Slot {
    Pending(Order),
    Visit(Order),
    /// It may not be closed in favour of others any more; what would close it is kept.
    Tunnel(#[expect(dead_code, reason = "dropping it would close the connection")] oneshot::Sender<()>),
}

/// Resolves when the connection's place is given to another one.
#[derive(Debug)]
pub(crate) struct Dropped(oneshot::Receiver<()>);

impl Future for Dropped {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(context).map(drop)
    }
}

#[cfg(test)]
impl Dropped {
    /// Whether it is so by now.
    pub(super) fn is_so(&mut self) -> bool {
        matches!(self.0.try_recv(), Err(oneshot::error::TryRecvError::Closed))
    }
}

impl Table {
    pub(crate) fn new(limits: Limits) -> Self {
        let now = Instant::now();
        let pending = limits.pending.min(limits.connections.saturating_sub(1)).max(1);
        let settled = limits.connections.saturating_sub(pending).max(1);
        let queue = Queue::new(limits.handshakes_in_all, now);
        let inner = Inner {
            next: 0,
            pending: Crowd::default(),
            visits: Crowd::default(),
            tunnels: 0,
            closed: 0,
            networks: HashMap::new(),
            waiting: BTreeSet::new(),
            swept: now,
        };
        Self { limits, pending, settled, queue, inner: Mutex::new(inner), waits: Notify::new() }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// A poisoned table is only a count that may be off by one.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets handshakes have their turns, for ever.
    pub(crate) async fn give_turns(&self) {
        tokio::join!(self.queue.run(), self.give_turns_in_networks());
    }

    async fn give_turns_in_networks(&self) {
        loop {
            let pause = self.lock().give_turns(Instant::now());
            match pause {
                None => self.waits.notified().await,
                Some(pause) => sleep(pause.clamp(ROUNDS.0, ROUNDS.1)).await,
            }
        }
    }

    /// Lets a new connection from `address` in: in the place of another one where there is no room. Not, if its network has
    /// all its places and a tunnel in each. `None` is a connection that has no address of its own.
    pub(crate) fn admit(self: &Arc<Self>, address: Option<IpAddr>) -> Option<(Permit, Dropped)> {
        let networks = self.networks(address);
        let mut inner = self.lock();
        if !networks.is_none_or(|networks| inner.make_room_in(networks, &self.limits)) {
            return None;
        }
        if inner.pending.len() >= self.pending {
            inner.close_pending();
        }
        inner.count(networks, &self.limits);
        let order = Order { has_spoken: false, has_had_turn: false, number: inner.number() };
        let (stop, stopped) = oneshot::channel();
        inner.pending.insert(order, Member { networks, stop });
        drop(inner);
        let permit = Permit { table: Arc::clone(self), networks, place: Slot::Pending(order) };
        Some((permit, Dropped(stopped)))
    }

    /// The networks that an address counts for.
    fn networks(&self, address: Option<IpAddr>) -> Option<Networks> {
        let address = address.map(|address| address.to_canonical());
        let counted = address.filter(|address| !(self.limits.exempt_loopback && address.is_loopback()));
        counted.map(Networks::containing)
    }

    /// Closes one connection that is no tunnel, since the system has no room for another one.
    pub(crate) fn relieve(&self) {
        let mut inner = self.lock();
        if !inner.close_pending() {
            inner.close_visit();
        }
    }

    /// Notes an error that is about to be sent to `address`; says whether it is to be held back.
    pub(crate) fn error_is_held(&self, address: Option<IpAddr>) -> bool {
        let Some(address) = address else { return false };
        !self.lock().take_error(Networks::containing(address), self.limits.errors, self.limits.site_share)
    }

    /// How many connections there are.
    pub(crate) fn connections(&self) -> usize {
        let inner = self.lock();
        inner.pending.len() + inner.visits.len() + inner.tunnels
    }

    /// How many connections were closed in favour of others.
    pub(crate) fn closed(&self) -> u64 {
        self.lock().closed
    }
}

impl Permit {
    /// The connection has said something.
    pub(crate) fn spoke(&mut self) {
        self.goes_on(|order| Order { has_spoken: true, ..order });
    }

    /// It has become known from which address the connection comes, as a web server in front tells. It counts for that address's
    /// networks from now on. Not, if they have all their places and a tunnel in each: the connection has no place any more then.
    pub(crate) fn comes_from(&mut self, address: Option<IpAddr>) -> bool {
        let networks = self.table.networks(address);
        if networks == self.networks {
            return true;
        }
        let mut inner = self.table.lock();
        let (order, is_visit) = match self.place {
            Slot::Pending(order) => (order, false),
            Slot::Visit(order) => (order, true),
            Slot::Tunnel(_) => return true,
        };
        let Some(member) = inner.crowd(is_visit).remove(self.networks, order) else { return false };
        inner.uncount(self.networks);
        if !networks.is_none_or(|networks| inner.make_room_in(networks, &self.table.limits)) {
            return false;
        }
        inner.count(networks, &self.table.limits);
        inner.crowd(is_visit).insert(order, Member { networks, stop: member.stop });
        self.networks = networks;
        true
    }

    /// Waits until the connection may make its TLS handshake: where its network has had too many, hosts take turns, and where all
    /// together have, networks do. Needs [`Table::give_turns`].
    pub(crate) async fn handshake(&mut self) {
        if let Some(networks) = self.networks {
            let Limits { handshakes, site_share, .. } = self.table.limits;
            for (network, share) in networks.with_shares(site_share) {
                let turn = self.table.lock().ask(networks, network, handshakes.times(share));
                if let Some(turn) = turn {
                    self.table.waits.notify_one();
                    // A network is remembered while a connection of it waits.
                    let _ = turn.await;
                }
            }
            self.table.queue.turn(networks.path()).await;
        }
        self.goes_on(|order| Order { has_had_turn: true, ..order });
    }

    /// The connection is nearer to a request than others that have none.
    fn goes_on(&mut self, to: impl Fn(Order) -> Order) {
        let Slot::Pending(order) = self.place else { return };
        let mut inner = self.table.lock();
        if let Some(member) = inner.pending.remove(self.networks, order) {
            let order = to(order);
            inner.pending.insert(order, member);
            self.place = Slot::Pending(order);
        }
    }

    /// A whole request has come: the connection leaves the share of those without one, if there is room elsewhere.
    pub(crate) fn requested(&mut self) {
        let mut inner = self.table.lock();
        match self.place {
            Slot::Pending(order) => {
                let Some(member) = inner.pending.remove(self.networks, order) else { return };
                if inner.has_room(self.table.settled) {
                    let order = inner.last();
                    inner.visits.insert(order, member);
                    self.place = Slot::Visit(order);
                } else {
                    inner.pending.insert(order, member);
                }
            }
            Slot::Visit(order) => {
                let Some(member) = inner.visits.remove(self.networks, order) else { return };
                let order = inner.last();
                inner.visits.insert(order, member);
                self.place = Slot::Visit(order);
            }
            Slot::Tunnel(_) => {}
        }
    }

    /// The connection becomes a tunnel, which is never closed in favour of another connection. Not, if all places are
    /// tunnels already or this one was closed a moment ago.
    pub(crate) fn becomes_tunnel(&mut self) -> bool {
        let mut inner = self.table.lock();
        let member = match self.place {
            Slot::Visit(order) => inner.visits.remove(self.networks, order),
            Slot::Tunnel(_) => return true,
            Slot::Pending(order) => match inner.pending.remove(self.networks, order) {
                Some(member) if !inner.has_room(self.table.settled) => {
                    inner.pending.insert(order, member);
                    return false;
                }
                removed => removed,
            },
        };
        let Some(member) = member else { return false };
        inner.tunnels += 1;
        drop(inner);
        self.place = Slot::Tunnel(member.stop);
        true
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut inner = self.table.lock();
        let left = match &self.place {
            // If it was closed in favour of another one, it was counted then.
            Slot::Pending(order) => inner.pending.remove(self.networks, *order).is_some(),
            Slot::Visit(order) => inner.visits.remove(self.networks, *order).is_some(),
            Slot::Tunnel(_) => {
                inner.tunnels -= 1;
                true
            }
        };
        if left {
            inner.uncount(self.networks);
        }
    }
}

impl Inner {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// The connections with a request, or those without one.
    fn crowd(&mut self, with_request: bool) -> &mut Crowd {
        if with_request { &mut self.visits } else { &mut self.pending }
    }

    /// The place of a connection that asks for something now.
    fn last(&mut self) -> Order {
        Order { has_spoken: true, has_had_turn: true, number: self.number() }
    }

    /// Whether the connections with a request have a place left, of so many; if not, one of them makes room, unless all
    /// are tunnels.
    fn has_room(&mut self, settled: usize) -> bool {
        self.visits.len() + self.tunnels < settled || self.close_visit()
    }

    fn close_pending(&mut self) -> bool {
        let first = self.pending.first();
        let member = first.and_then(|first| self.pending.take(first));
        self.close(member)
    }

    fn close_visit(&mut self) -> bool {
        let first = self.visits.first();
        let member = first.and_then(|first| self.visits.take(first));
        self.close(member)
    }

    /// Closes the connection, if there is one.
    fn close(&mut self, member: Option<Member>) -> bool {
        let Some(Member { networks, stop }) = member else { return false };
        drop(stop);
        self.closed += 1;
        self.uncount(networks);
        true
    }

    /// Whether these networks have a place left; where one has none, one of its own connections makes room.
    fn make_room_in(&mut self, networks: Networks, limits: &Limits) -> bool {
        networks.with_shares(limits.site_share).all(|(network, share)| {
            let connections = self.networks.get(&network).map_or(0, |entry| entry.connections);
            let most = limits.connections_per_network.saturating_mul(usize::try_from(share).unwrap_or(1));
            connections < most || self.close_one_of(networks, network)
        })
    }

    fn close_one_of(&mut self, networks: Networks, network: Network) -> bool {
        let in_crowd = |crowd: &mut Crowd| {
            let first: Option<(Group, Order)> = crowd.first_of(networks, network);
            first.and_then(|first| crowd.take(first))
        };
        let member = in_crowd(&mut self.pending).or_else(|| in_crowd(&mut self.visits));
        self.close(member)
    }

    fn count(&mut self, networks: Option<Networks>, limits: &Limits) {
        self.sweep(Instant::now());
        for (network, _) in networks.into_iter().flat_map(|networks| networks.with_shares(limits.site_share))
        {
            self.networks.entry(network).or_default().connections += 1;
        }
    }

    fn uncount(&mut self, networks: Option<Networks>) {
        for (network, _) in networks.into_iter().flat_map(|networks| networks.with_shares(1)) {
            let Some(entry) = self.networks.get_mut(&network) else { continue };
            entry.connections -= 1;
            // A network that said nothing is not remembered.
            if entry.connections == 0 && entry.handshakes.is_none() && entry.errors.is_none() {
                self.networks.remove(&network);
            }
        }
    }

    /// Takes one error of `rate` from each of these networks; whether all had one.
    fn take_error(&mut self, networks: Networks, rate: Rate, site_share: u32) -> bool {
        let now = Instant::now();
        self.sweep(now);
        networks.with_shares(site_share).all(|(network, share)| {
            let (entry, rate) = (self.networks.entry(network).or_default(), rate.times(share));
            entry.errors.get_or_insert_with(|| Bucket::new(rate, now)).take(rate, now)
        })
    }

    /// Takes a handshake of `rate` from one of these networks; if it has none, what tells when it has.
    fn ask(&mut self, networks: Networks, network: Network, rate: Rate) -> Option<oneshot::Receiver<()>> {
        let now = Instant::now();
        self.sweep(now);
        let entry = self.networks.entry(network).or_default();
        let line = entry.handshakes.get_or_insert_with(|| Box::new(Line::new(rate, now)));
        let turn = line.ask(networks.path_in(network), now)?;
        self.waiting.insert(network);
        Some(turn)
    }

    /// Gives turns in all networks in which connections wait; how long it takes until the next one, unless nobody waits.
    fn give_turns(&mut self, now: Instant) -> Option<Duration> {
        let (networks, mut pause) = (&mut self.networks, None::<Duration>);
        self.waiting.retain(|network| {
            let line = networks.get_mut(network).and_then(|entry| entry.handshakes.as_mut());
            let Some(next) = line.and_then(|line| line.give(now)) else { return false };
            pause = Some(pause.map_or(next, |pause| pause.min(next)));
            true
        });
        pause
    }

    /// Forgets networks that did nothing for a while, or all that are not connected if there are too many.
    fn sweep(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.swept);
        let many = self.networks.len() >= REMEMBERED && passed > SWEEP / 30;
        if !many && passed <= SWEEP {
            return;
        }
        self.swept = now;
        self.networks.retain(|_, entry| {
            let handshakes = entry.handshakes.as_ref().map(|line| line.at());
            let last = handshakes.max(entry.errors.as_ref().map(Bucket::at));
            let recent = last.is_some_and(|last| now.saturating_duration_since(last) < MEMORY);
            entry.connections > 0 || (recent && !many)
        });
    }
}

/// What tests look at.
#[cfg(test)]
impl Table {
    pub(super) fn remembered(&self) -> usize {
        self.lock().networks.len()
    }

    pub(super) fn shares(&self) -> [usize; 3] {
        let inner = self.lock();
        [inner.pending.len(), inner.visits.len(), inner.tunnels]
    }
}
