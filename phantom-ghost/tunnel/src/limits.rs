//! How much one stranger may ask for.
//!
//! Addresses count by the network that one subscriber usually has: /24 of IPv4, /56 of IPv6. The table is bounded by the
//! addresses that really connected, and networks that did nothing for a while are forgotten.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Bounds of a server. The defaults suit a small machine.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections in all, tunnels among them. Each takes two file descriptors at most.
    pub connections: usize,
    /// Connections of one network.
    pub connections_per_network: usize,
    /// New connections of one network: how many at once, and how many per second after that.
    pub handshakes: Rate,
    /// New connections of everybody together, in the same form.
    pub handshakes_in_all: Rate,
    /// Answers that are errors to one network. Further ones are held back for [`Limits::hold`].
    pub errors: Rate,
    /// How long an error is held back, between these two times.
    pub hold: (Duration, Duration),
    /// Tunnels under one secret.
    pub tunnels_per_secret: usize,
    /// Whether connections from this machine itself are not counted against a network's limits.
    pub exempt_loopback: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 8192,
            connections_per_network: 512,
            handshakes: Rate { burst: 200, per_second: 50 },
            handshakes_in_all: Rate { burst: 2000, per_second: 500 },
            errors: Rate { burst: 20, per_second: 1 },
            hold: (Duration::from_secs(1), Duration::from_secs(5)),
            tunnels_per_secret: 4096,
            exempt_loopback: true,
        }
    }
}

/// So many at once, and so many per second when those are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// At once.
    pub burst: u32,
    /// Per second.
    pub per_second: u32,
}

/// What is left of a [`Rate`].
#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    fn new(rate: Rate, now: Instant) -> Self {
        Self { left: f64::from(rate.burst), at: now }
    }

    fn take(&mut self, rate: Rate, now: Instant) -> bool {
        let earned = now.saturating_duration_since(self.at).as_secs_f64() * f64::from(rate.per_second);
        self.left = (self.left + earned).min(f64::from(rate.burst));
        self.at = now;
        let granted = self.left >= 1.0;
        if granted {
            self.left -= 1.0;
        }
        granted
    }
}

/// The network of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Network(u64);

impl Network {
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            // No IPv6 address that is routed begins with 32 zero bits.
            IpAddr::V4(address) => Self(u64::from(u32::from(address) >> 8)),
            IpAddr::V6(address) => {
                Self(u64::try_from(u128::from(address) >> 72).unwrap_or(u64::MAX) | 1 << 63)
            }
        }
    }
}

#[derive(Debug)]
struct Entry {
    connections: usize,
    handshakes: Bucket,
    errors: Bucket,
}

#[derive(Debug)]
struct Inner {
    total: usize,
    all: Bucket,
    networks: HashMap<Network, Entry>,
    swept: Instant,
}

/// Who has how much at the moment.
#[derive(Debug)]
pub(crate) struct Table {
    limits: Limits,
    inner: Mutex<Inner>,
}

/// A connection that was let in; dropping it makes room.
#[derive(Debug)]
pub(crate) struct Permit {
    table: Arc<Table>,
    network: Option<Network>,
}

/// Entries that nobody uses are looked for this often.
const SWEEP: Duration = Duration::from_secs(30);
/// A network that is not connected is remembered this long after its last act.
const MEMORY: Duration = Duration::from_mins(2);

impl Table {
    pub(crate) fn new(limits: Limits) -> Self {
        let now = Instant::now();
        let all = Bucket::new(limits.handshakes_in_all, now);
        Self { limits, inner: Mutex::new(Inner { total: 0, all, networks: HashMap::new(), swept: now }) }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// A poisoned table is only a count that may be off by one.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a new connection from `address` in, or not. `None` is a connection that has no address of its own.
    pub(crate) fn admit(self: &Arc<Self>, address: Option<IpAddr>) -> Option<Permit> {
        let now = Instant::now();
        let address = address.map(|address| address.to_canonical());
        let counted = address.filter(|address| !(self.limits.exempt_loopback && address.is_loopback()));
        let mut inner = self.lock();
        if inner.total >= self.limits.connections {
            return None;
        }
        let network = counted.map(Network::of);
        if let Some(network) = network {
            let entry = inner.entry(network, &self.limits, now);
            let admitted = entry.connections < self.limits.connections_per_network
                && entry.handshakes.take(self.limits.handshakes, now);
            if !admitted || !inner.all.take(self.limits.handshakes_in_all, now) {
                return None;
            }
            inner.entry(network, &self.limits, now).connections += 1;
        }
        inner.total += 1;
        drop(inner);
        Some(Permit { table: Arc::clone(self), network })
    }

    /// Notes an error that is about to be sent to `address`; says whether it is to be held back.
    pub(crate) fn error_is_held(&self, address: Option<IpAddr>) -> bool {
        let Some(address) = address else { return false };
        let now = Instant::now();
        let mut inner = self.lock();
        !inner.entry(Network::of(address), &self.limits, now).errors.take(self.limits.errors, now)
    }

    /// How many connections there are.
    pub(crate) fn connections(&self) -> usize {
        self.lock().total
    }
}

impl Inner {
    fn entry(&mut self, network: Network, limits: &Limits, now: Instant) -> &mut Entry {
        if now.saturating_duration_since(self.swept) > SWEEP {
            self.swept = now;
            self.networks.retain(|_, entry| {
                let last = entry.handshakes.at.max(entry.errors.at);
                entry.connections > 0 || now.saturating_duration_since(last) < MEMORY
            });
        }
        self.networks.entry(network).or_insert_with(|| Entry {
            connections: 0,
            handshakes: Bucket::new(limits.handshakes, now),
            errors: Bucket::new(limits.errors, now),
        })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut inner = self.table.lock();
        inner.total -= 1;
        if let Some(entry) = self.network.and_then(|network| inner.networks.get_mut(&network)) {
            entry.connections -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(limits: Limits) -> Arc<Table> {
        Arc::new(Table::new(limits))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_is_what_one_subscriber_has() {
        let network = |text: &str| Network::of(text.parse().unwrap());
        assert_eq!(network("198.51.100.1"), network("198.51.100.254"));
        assert_eq!(network("198.51.100.1"), network("::ffff:198.51.100.9"));
        assert_ne!(network("198.51.100.1"), network("198.51.101.1"));
        assert_eq!(network("2001:db8:1:200::1"), network("2001:db8:1:2ff:ffff::1"));
        assert_ne!(network("2001:db8:1:200::1"), network("2001:db8:1:300::1"));
        assert_ne!(network("::1"), network("0.0.0.1"));
    }

    #[test]
    fn connections_are_counted_and_given_back() {
        let table = table(Limits { connections: 3, connections_per_network: 2, ..Limits::default() });
        let first = table.admit(Some(address("198.51.100.1"))).unwrap();
        let _second = table.admit(Some(address("198.51.100.2"))).unwrap();
        assert!(table.admit(Some(address("198.51.100.3"))).is_none(), "the network has its two");
        let _third = table.admit(Some(address("203.0.113.1"))).unwrap();
        assert!(table.admit(Some(address("127.0.0.1"))).is_none(), "three in all, even for this machine");
        drop(first);
        assert!(table.admit(Some(address("198.51.100.3"))).is_some());
        assert_eq!(table.connections(), 2);
    }

    #[test]
    fn handshakes_are_a_rate_per_network_and_in_all() {
        let limits = Limits {
            handshakes: Rate { burst: 3, per_second: 0 },
            handshakes_in_all: Rate { burst: 5, per_second: 0 },
            ..Limits::default()
        };
        let table = table(limits);
        let admitted = |text: &str| (0..10).filter(|_| table.admit(Some(address(text))).is_some()).count();
        assert_eq!([admitted("198.51.100.1"), admitted("203.0.113.1"), admitted("192.0.2.1")], [3, 2, 0]);
        assert_eq!(admitted("127.0.0.1"), 10);
        assert!(table.admit(None).is_some());
    }

    #[test]
    fn errors_are_held_back_when_there_are_many() {
        let table = table(Limits { errors: Rate { burst: 2, per_second: 0 }, ..Limits::default() });
        let held: Vec<_> = (0..4).map(|_| table.error_is_held(Some(address("127.0.0.1")))).collect();
        assert_eq!(held, [false, false, true, true]);
        assert!(!table.error_is_held(Some(address("198.51.100.1"))) && !table.error_is_held(None));
    }

    #[test]
    fn a_bucket_fills_again() {
        let (rate, start) = (Rate { burst: 2, per_second: 4 }, Instant::now());
        let mut bucket = Bucket::new(rate, start);
        assert!(bucket.take(rate, start) && bucket.take(rate, start) && !bucket.take(rate, start));
        assert!(bucket.take(rate, start + Duration::from_millis(300)));
        assert!(!bucket.take(rate, start + Duration::from_millis(301)));
        let later = start + Duration::from_mins(1);
        assert!(bucket.take(rate, later) && bucket.take(rate, later) && !bucket.take(rate, later));
    }
}
