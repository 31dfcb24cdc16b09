//! How many handshake messages a source may send that has shown where it is: a bucket for each.
//!
//! Pure: the time is given. The numbers are those of the kernel (`drivers/net/wireguard/ratelimiter.c`).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// What a message costs: twenty a second (`PACKETS_PER_SECOND`).
const COST: Duration = Duration::from_millis(50);
/// What a message of IPv6 costs the site that its network is part of: a tenth, so two hundred a second. Whoever has a
/// whole site has 65,536 networks, and with a bucket for each would fill the queue alone.
const COST_OF_SITE: Duration = Duration::from_millis(5);
/// What a full bucket holds: five messages at once (`PACKETS_BURSTABLE`).
const FULL: Duration = Duration::from_millis(250);
/// How many buckets there are at most (about 1 MB). One that is full again says nothing and is removed, so this is the
/// number of sources in a quarter of a second.
const MOST: usize = 16_384;

/// Where a message comes from: an IPv4 address, a network of IPv6 of which one customer has all addresses (/64), or one
/// socket of this host. Behind a tunnel server on this host everybody comes from 127.0.0.1, each from a socket of that server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    own: Key,
    /// The site (/48) that a network of IPv6 is part of.
    site: Option<Key>,
}

/// Whose bucket it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    address: u128,
    /// How many bits of the address count.
    bits: u8,
    port: u16,
}

/// All buckets.
#[derive(Default)]
pub(crate) struct Limiter {
    buckets: HashMap<Key, Bucket>,
    swept: Option<Instant>,
}

struct Bucket {
    credit: Duration,
    seen: Instant,
}

impl From<SocketAddr> for Source {
    fn from(from: SocketAddr) -> Self {
        let key = |address, bits, port| Key { address, bits, port };
        let port = if from.ip().is_loopback() { from.port() } else { 0 };
        match from.ip() {
            IpAddr::V4(ip) => Self { own: key(ip.to_ipv6_mapped().to_bits(), 128, port), site: None },
            IpAddr::V6(ip) if ip.is_loopback() => Self { own: key(ip.to_bits(), 128, port), site: None },
            IpAddr::V6(ip) => {
                let network = |bits: u8| key(ip.to_bits() >> (128 - bits) << (128 - bits), bits, 0);
                Self { own: network(64), site: Some(network(48)) }
            }
        }
    }
}

impl Limiter {
    /// Whether a message of this source may pass now, which is counted.
    pub(crate) fn allow(&mut self, source: Source, now: Instant) -> bool {
        self.sweep(now);
        let charges = [Some((source.own, COST)), source.site.map(|site| (site, COST_OF_SITE))];
        let charges = || charges.into_iter().flatten();
        let new = charges().filter(|(key, _)| !self.buckets.contains_key(key)).count();
        if self.buckets.len() + new > MOST {
            return false;
        }
        // A sender that is refused is charged nothing. Otherwise one that goes on asking would never be let in again.
        let can_pay = |(key, cost)| self.buckets.get(&key).is_none_or(|bucket| bucket.credit_at(now) >= cost);
        if !charges().all(can_pay) {
            return false;
        }
        for (key, cost) in charges() {
            let bucket = self.buckets.entry(key).or_insert(Bucket { credit: FULL, seen: now });
            *bucket = Bucket { credit: bucket.credit_at(now).saturating_sub(cost), seen: now };
        }
        true
    }

    /// Removes the buckets that are full again, at most once in the time in which one fills.
    fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|swept| now.saturating_duration_since(swept) < FULL) {
            return;
        }
        self.swept = Some(now);
        self.buckets.retain(|_, bucket| bucket.credit_at(now) < FULL);
        if self.buckets.is_empty() {
            // The table of a flood that is over is given back.
            self.buckets = HashMap::new();
        }
    }
}

impl Bucket {
    fn credit_at(&self, now: Instant) -> Duration {
        (self.credit + now.saturating_duration_since(self.seen)).min(FULL)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn source(number: u32) -> Source {
        Source::from(SocketAddr::from((number.to_be_bytes(), 1)))
    }

    /// Of the network `number` of a site.
    fn network(site: u16, number: u16) -> Source {
        Source::from(SocketAddr::from(([0x2001, 0xdb8, site, number, 1, 2, 3, 4], 1)))
    }

    #[test]
    fn source_is_address_network_or_local_socket() {
        let of = |text: &str| Source::from(text.parse::<SocketAddr>().unwrap());
        assert_eq!(of("192.0.2.1:1"), of("192.0.2.1:2"));
        assert_ne!(of("192.0.2.1:1"), of("192.0.2.2:1"));
        assert_eq!(of("[2001:db8:0:1::1]:1"), of("[2001:db8:0:1:ffff::2]:2"));
        assert_ne!(of("[2001:db8:0:1::1]:1"), of("[2001:db8:0:2::1]:1"));
        for loopback in ["127.0.0.1", "127.0.0.2", "[::1]"] {
            assert_ne!(of(&format!("{loopback}:1")), of(&format!("{loopback}:2")));
        }
    }

    #[test]
    fn burst_passes_then_twenty_per_second() {
        let (mut limiter, start) = (Limiter::default(), Instant::now());
        let passed = |limiter: &mut Limiter, from: u64, to: u64| {
            (from..to).filter(|ms| limiter.allow(source(1), start + Duration::from_millis(*ms))).count()
        };
        assert_eq!(passed(&mut limiter, 0, 1), 1);
        assert_eq!((0..9).filter(|_| limiter.allow(source(1), start)).count(), 4);
        assert_eq!(passed(&mut limiter, 1, 1001), 20);
        assert_eq!(passed(&mut limiter, 5000, 5020), 5);
    }

    #[test]
    fn ipv6_site_gets_ten_times_the_rate() {
        let (mut limiter, start) = (Limiter::default(), Instant::now());
        let mut passed = 0;
        for ms in 0..1000 {
            let now = start + Duration::from_millis(ms);
            let networks = (0..60).map(|number| u16::try_from(ms * 60).unwrap_or(0).wrapping_add(number));
            passed += networks.filter(|number| limiter.allow(network(1, *number), now)).count();
        }
        assert_eq!(passed, 50 + 199);
        assert!(limiter.allow(network(2, 1), start + Duration::from_millis(999)), "another site");
        assert!(limiter.buckets.len() < 500);
    }

    #[test]
    fn sources_that_have_stopped_take_no_memory() {
        let (mut limiter, start) = (Limiter::default(), Instant::now());
        assert_eq!((0..20_000).filter(|number| limiter.allow(source(*number), start)).count(), MOST);
        assert_eq!(limiter.buckets.len(), MOST);
        assert!(limiter.allow(source(99_999), start + FULL), "a source that comes after the crowd");
        assert_eq!(limiter.buckets.len(), 1);
        assert!(limiter.buckets.capacity() < 100);
    }

    proptest! {
        /// In any stretch of time a source gets a burst and what the rate gives, never more.
        #[test]
        fn no_source_gets_more_than_its_rate(
            steps in prop::collection::vec((0u64..40, 0u32..3), 1..400),
        ) {
            let (mut limiter, mut now) = (Limiter::default(), Instant::now());
            let mut passed: Vec<(Instant, u32)> = Vec::new();
            for (ms, number) in steps {
                now += Duration::from_millis(ms);
                if limiter.allow(source(number), now) {
                    passed.push((now, number));
                }
            }
            for (from, (start, number)) in passed.iter().enumerate() {
                let times = passed[from..].iter().filter(|(_, other)| other == number);
                for (count, (end, _)) in (1u32..).zip(times) {
                    prop_assert!(COST * count <= FULL + end.duration_since(*start), "{count} messages");
                }
            }
        }

        /// A source that keeps to the rate always passes, whatever the others do.
        #[test]
        fn source_within_its_rate_is_never_refused(
            others in prop::collection::vec((0u64..200, 1u32..50), 0..400),
            mine in prop::collection::vec(50u64..300, 1..40),
        ) {
            let (mut limiter, start) = (Limiter::default(), Instant::now());
            let mut events: Vec<(u64, u32)> = Vec::new();
            let sum = |total: &mut u64, step: u64| { *total += step; Some(*total) };
            events.extend(mine.iter().scan(0, |total, step| sum(total, *step)).map(|at| (at, 0)));
            events.extend(others.iter().scan(0, |total, (step, _)| sum(total, step / 20))
                .zip(others.iter().map(|(_, number)| *number)));
            events.sort_unstable();
            for (at, number) in events {
                let allowed = limiter.allow(source(number), start + Duration::from_millis(at));
                prop_assert!(allowed || number != 0, "refused at {at} ms");
            }
        }
    }
}
