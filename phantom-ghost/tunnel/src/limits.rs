//! How much one stranger may ask for, and which connection is closed when there is no room.
//!
//! Addresses count by the network that one subscriber usually has: /24 of IPv4, /56 of IPv6. IPv6 counts a second time by
//! the /48 that a whole site has, with a larger share.
//!
//! Nobody takes a place from the others by keeping it. A connection without a whole request has a share of the places of
//! its own; those with a request and the tunnels have the rest. Where a share is used up, one is closed of the network that has
//! most of it: first one that has said nothing, then one that has not had its turn for a handshake, then the oldest. Networks are
//! ranked within a region, /16 of IPv4 and /32 of IPv6, and the region that has most comes first: a provider's customer may have
//! thousands of /48s. A tunnel is never closed for a stranger.
//!
//! What costs the server something is a TLS handshake. It is counted when the client's hello is there, so that a connection
//! that says nothing uses up nothing. When a network wants more handshakes than it may have, its hosts take turns; when all
//! together want more than there may be, regions and their networks do.

mod bucket;
mod crowd;
mod network;
mod queue;
mod table;
mod turns;

use std::time::Duration;

pub(crate) use bucket::Bucket;
#[cfg(test)]
use table::Dropped;
pub(crate) use table::{Permit, Table};

/// Bounds of a server. The defaults suit a small machine.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections in all, tunnels among them. Each takes two file descriptors at most.
    pub connections: usize,
    /// How many of these places are for connections that have not sent a whole request yet, and for nothing else. At least
    /// one place is left for the others.
    pub pending: usize,
    /// Connections of one network.
    pub connections_per_network: usize,
    /// TLS handshakes of one network: how many at once, and how many per second after that. Further ones wait, and its hosts take
    /// turns.
    pub handshakes: Rate,
    /// TLS handshakes of all networks together, in the same form. Further ones wait, and networks take turns.
    pub handshakes_in_all: Rate,
    /// Answers that are errors to one network. Further ones are held back for [`Limits::hold`].
    pub errors: Rate,
    /// How long an error is held back, between these two times.
    pub hold: (Duration, Duration),
    /// How many times the share of one network all networks of an IPv6 /48 have together.
    pub site_share: u32,
    /// Tunnels under one of the operator's secrets.
    pub tunnels_per_secret: usize,
    /// Tunnels of one client under the secret that is its own.
    pub tunnels_per_client: usize,
    /// Messages of WireGuard's handshake that go through the tunnels of one client, in the same form. WireGuard itself cannot tell
    /// clients in tunnels apart by their address.
    pub wireguard_handshakes: Rate,
    /// The same of all tunnels under one of the operator's secrets, by which many clients may come.
    pub wireguard_handshakes_per_secret: Rate,
    /// Whether connections from this machine itself are not counted against a network's limits.
    pub exempt_loopback: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 8192,
            pending: 2048,
            connections_per_network: 512,
            handshakes: Rate { burst: 200, per_second: 50 },
            handshakes_in_all: Rate { burst: 2000, per_second: 500 },
            errors: Rate { burst: 20, per_second: 1 },
            hold: (Duration::from_secs(1), Duration::from_secs(5)),
            site_share: 4,
            tunnels_per_secret: 4096,
            tunnels_per_client: 8,
            wireguard_handshakes: Rate { burst: 5, per_second: 5 },
            wireguard_handshakes_per_secret: Rate { burst: 200, per_second: 100 },
            exempt_loopback: true,
        }
    }
}

impl Limits {
    /// The defaults for a process that may open so many file descriptors (`RLIMIT_NOFILE`, getrlimit(2)): no more connections
    /// than it has descriptors for, a quarter of them for those without a request.
    pub fn for_descriptors(most: u64) -> Self {
        let defaults = Self::default();
        let room = usize::try_from(most).unwrap_or(usize::MAX).saturating_sub(OTHER_DESCRIPTORS) / 2;
        let connections = defaults.connections.min(room).max(2);
        Self { connections, pending: defaults.pending.min(connections / 4).max(1), ..defaults }
    }
}

/// Descriptors of a server that are no connections: listening sockets, the control socket's, the runtime's.
const OTHER_DESCRIPTORS: usize = 48;

/// So many at once, and so many per second when those are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// At once.
    pub burst: u32,
    /// Per second.
    pub per_second: u32,
}

impl Rate {
    /// This many times as much.
    fn times(self, factor: u32) -> Self {
        let times = |number: u32| number.saturating_mul(factor);
        Self { burst: times(self.burst), per_second: times(self.per_second) }
    }
}

#[cfg(test)]
mod tests;
