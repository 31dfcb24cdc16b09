//! Cryptokey routing: which peer a network belongs to.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnetwork::IpNetwork;

/// A table from networks to their owners, asked for the longest network that holds an address.
///
/// It keeps one hash table for each prefix length in use, the longest first: a server whose peers have one address
/// each is asked once per packet, and a change costs the same however many networks there are.
#[derive(Debug)]
pub(crate) struct Routes<T> {
    v4: Family<T>,
    v6: Family<T>,
}

#[derive(Debug)]
struct Family<T> {
    bits: u8,
    levels: Vec<Level<T>>,
}

#[derive(Debug)]
struct Level<T> {
    prefix: u8,
    owners: HashMap<u128, T>,
}

impl<T> Default for Routes<T> {
    fn default() -> Self {
        Self { v4: Family { bits: 32, levels: Vec::new() }, v6: Family { bits: 128, levels: Vec::new() } }
    }
}

impl<T> Routes<T> {
    /// Whose address this is.
    pub(crate) fn owner(&self, address: IpAddr) -> Option<&T> {
        let (family, address) = match address {
            IpAddr::V4(ip) => (&self.v4, u128::from(u32::from(ip))),
            IpAddr::V6(ip) => (&self.v6, u128::from(ip)),
        };
        family.levels.iter().find_map(|level| level.owners.get(&family.network(address, level.prefix)))
    }

    /// Gives the network to `owner` and returns whose it was.
    pub(crate) fn insert(&mut self, network: IpNetwork, owner: T) -> Option<T> {
        let (family, key, prefix) = self.place(network);
        let index = match family.levels.binary_search_by(|level| prefix.cmp(&level.prefix)) {
            Ok(index) => index,
            Err(index) => {
                family.levels.insert(index, Level { prefix, owners: HashMap::new() });
                index
            }
        };
        family.levels[index].owners.insert(key, owner)
    }

    /// Takes the network out of the table, if `is_owner` says so of its owner.
    pub(crate) fn remove_if(&mut self, network: IpNetwork, is_owner: impl FnOnce(&T) -> bool) {
        let (family, key, prefix) = self.place(network);
        let Ok(index) = family.levels.binary_search_by(|level| prefix.cmp(&level.prefix)) else { return };
        let owners = &mut family.levels[index].owners;
        if owners.get(&key).is_some_and(is_owner) {
            owners.remove(&key);
        }
        if owners.is_empty() {
            family.levels.remove(index);
        }
    }

    fn place(&mut self, network: IpNetwork) -> (&mut Family<T>, u128, u8) {
        let (family, address) = match network.ip() {
            IpAddr::V4(ip) => (&mut self.v4, u128::from(u32::from(ip))),
            IpAddr::V6(ip) => (&mut self.v6, u128::from(ip)),
        };
        let key = family.network(address, network.prefix());
        (family, key, network.prefix())
    }
}

impl<T> Family<T> {
    const fn network(&self, address: u128, prefix: u8) -> u128 {
        let host_bits = (self.bits - prefix) as u32;
        match address.checked_shr(host_bits) {
            Some(network) => network << host_bits,
            None => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn network(text: &str) -> IpNetwork {
        text.parse().unwrap()
    }

    #[test]
    fn longest_network_wins_within_its_family() {
        let mut routes = Routes::default();
        for (text, owner) in
            [("0.0.0.0/0", 'a'), ("10.0.0.0/8", 'b'), ("10.1.0.0/16", 'c'), ("10.1.2.3/32", 'd')]
        {
            assert_eq!(routes.insert(network(text), owner), None);
        }
        let owner = |routes: &Routes<char>, ip: &str| routes.owner(ip.parse().unwrap()).copied();
        assert_eq!(owner(&routes, "10.1.2.3"), Some('d'));
        assert_eq!(owner(&routes, "10.1.2.4"), Some('c'));
        assert_eq!(owner(&routes, "10.2.0.0"), Some('b'));
        assert_eq!(owner(&routes, "255.255.255.255"), Some('a'));
        assert_eq!(owner(&routes, "::"), None);
        assert_eq!(routes.insert(network("::/0"), 'e'), None);
        assert_eq!(routes.insert(network("ffff::/128"), 'f'), None);
        assert_eq!(owner(&routes, "ffff::"), Some('f'));
        assert_eq!(owner(&routes, "ffff::1"), Some('e'));
    }

    #[test]
    fn only_the_owner_gives_up_a_network() {
        let mut routes = Routes::default();
        routes.insert(network("10.0.0.0/8"), 1);
        assert_eq!(routes.insert(network("10.0.0.0/8"), 2), Some(1));
        routes.remove_if(network("10.0.0.0/8"), |owner| *owner == 1);
        assert_eq!(routes.owner([10, 0, 0, 1].into()), Some(&2));
        routes.remove_if(network("10.0.0.0/8"), |owner| *owner == 2);
        assert_eq!(routes.owner([10, 0, 0, 1].into()), None);
        assert!(routes.v4.levels.is_empty());
    }

    proptest! {
        /// Against the plain definition: of the networks that hold the address, the one with the longest prefix.
        #[test]
        fn it_agrees_with_a_list(
            changes in prop::collection::vec((0u8..8, 0u8..=32, any::<bool>()), 0..40),
            asked in prop::collection::vec(0u8..8, 1..10),
        ) {
            let address = |n: u8| IpAddr::from([10, n << 5, 0, n]);
            let (mut routes, mut list) = (Routes::default(), BTreeMap::new());
            for (owner, (n, prefix, remove)) in changes.into_iter().enumerate() {
                let given = IpNetwork::new(address(n), prefix).unwrap();
                let network = IpNetwork::new(given.network(), prefix).unwrap();
                if remove {
                    routes.remove_if(network, |_| true);
                    list.remove(&network);
                } else {
                    prop_assert_eq!(routes.insert(network, owner), list.insert(network, owner));
                }
            }
            for ip in asked.into_iter().map(address) {
                let expected = list.iter().filter(|(net, _)| net.contains(ip)).max_by_key(|(net, _)| net.prefix());
                prop_assert_eq!(routes.owner(ip), expected.map(|(_, owner)| owner));
            }
        }
    }
}
