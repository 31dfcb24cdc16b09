//! Where the tunnel's own connection may go to.
//!
//! What a resolver says of the server's name is no more than a hint. Its answer comes from `/etc/hosts`, from modules that add the
//! host's own private addresses, or from somebody on the way; and what is left out of the tunnel is not protected by it.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use phantom_ghost_state::Ghost;
use phantom_store::Server;

/// How many addresses of an answer count: each is a hole in the tunnel, and a name of an ordinary server has a few.
const MOST: usize = 16;
/// How many of them are written into the client's hosts file.
const MOST_LINES: usize = 4;

/// The addresses that must not enter the tunnel: the server's, and all that its name led to when Ghost Mode was switched on and
/// leads to now. Behind a CDN they are not the server's own.
pub(crate) struct Outside {
    pub(crate) four: BTreeSet<Ipv4Addr>,
    pub(crate) six: BTreeSet<Ipv6Addr>,
    /// Those that the server's name has, the best first. None where the server is named by an address.
    pub(crate) of_name: Vec<IpAddr>,
}

impl Outside {
    /// By what is stored, and by an answer of resolvers (`now`). `dns` are the servers that the client asks through the tunnel.
    pub(crate) fn collect(server: &Server, ghost: &Ghost, dns: &[IpAddr], now: &[IpAddr]) -> Self {
        let own: Vec<IpAddr> =
            server.server_ip.map(IpAddr::V4).into_iter().chain(server.ipv6.map(IpAddr::V6)).collect();
        let possible = |address: &IpAddr| {
            own.contains(address) || (is_possible(server, *address) && !canonical(dns).contains(address))
        };
        let stored: Vec<IpAddr> = canonical(&ghost.addresses).into_iter().filter(possible).collect();
        let known = |address: &IpAddr| own.contains(address) || stored.contains(address);
        let now = canonical(now).into_iter();
        let now = now.filter(|address| possible(address) && (!is_private(*address) || known(address)));
        let now = first(MOST, &now.collect::<Vec<_>>());
        let mut outside = Self { four: BTreeSet::new(), six: BTreeSet::new(), of_name: Vec::new() };
        for address in own.iter().chain(&stored).chain(&now).copied().chain(ghost.domain.ip()) {
            match address.to_canonical() {
                IpAddr::V4(four) => drop(outside.four.insert(four)),
                IpAddr::V6(six) => drop(outside.six.insert(six)),
            }
        }
        outside.of_name = if ghost.domain.ip().is_some() {
            Vec::new()
        } else if !now.is_empty() {
            // After a move the stored ones are the old server's.
            first(MOST_LINES, &now)
        } else if !stored.is_empty() {
            stored
        } else {
            // Where nobody knew the name, it has to lead to this server.
            own.into_iter().take(1).collect()
        };
        outside
    }
}

/// Each once, in their order.
fn canonical(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let mut list = Vec::new();
    for address in addresses.iter().map(IpAddr::to_canonical) {
        if !list.contains(&address) {
            list.push(address);
        }
    }
    list
}

/// The first ones. Both families stay, as the client may have one of them alone.
fn first(most: usize, addresses: &[IpAddr]) -> Vec<IpAddr> {
    let (kept, cut) = addresses.split_at(most.min(addresses.len()));
    let mut kept = kept.to_vec();
    let alone = |four: bool| kept.iter().all(|one| one.is_ipv4() == four);
    let missing = [true, false].into_iter().find(|four| alone(*four)).map(|four| !four);
    let missing = cut.iter().find(|one| Some(one.is_ipv4()) == missing);
    if let (Some(missing), Some(last)) = (missing, kept.last_mut()) {
        *last = *missing;
    }
    kept
}

/// Whether an address can be that of a server on some network, outside its VPN.
fn is_possible(server: &Server, address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => {
            !(four.is_loopback()
                || four.is_link_local()
                || four.is_multicast()
                || four.is_broadcast()
                // The whole of 0.0.0.0/8 means this host (RFC 6890), and 240.0.0.0/4 nobody.
                || four.octets()[0] == 0
                || four.octets()[0] >= 240
                || server.subnet.contains(four))
        }
        IpAddr::V6(six) => {
            !(six.is_loopback()
                || six.is_unspecified()
                || six.is_multicast()
                || six.is_unicast_link_local()
                || server.subnet6.is_some_and(|subnet| subnet.contains(six)))
        }
    }
}

/// Whether it leads to another host in another network (RFC 1918, 6598, 4193).
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => {
            let [first, second, ..] = four.octets();
            four.is_private() || (first == 100 && second & 0xc0 == 64)
        }
        IpAddr::V6(six) => six.is_unique_local(),
    }
}
