//! The table against a plain model of what the protocol says.

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use proptest::prelude::*;

use super::*;
use crate::uapi::AllowedIp;

fn network(text: &str) -> IpNetwork {
    text.parse().unwrap()
}

fn gives(key: u8, networks: &[&str]) -> PeerRequest {
    let allowed_ips =
        networks.iter().map(|text| AllowedIp { network: network(text), remove: false }).collect();
    PeerRequest { allowed_ips, ..PeerRequest::new(PublicKey::from_bytes([key; 32])) }
}

fn networks_of(table: &PeerTable, key: u8) -> Vec<String> {
    let peer = table.peer(&PublicKey::from_bytes([key; 32])).unwrap();
    peer.status().allowed_ips.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn network_moves_to_its_new_peer() {
    let table = PeerTable::new(2);
    table.set_peers(vec![gives(1, &["10.0.0.1/32", "10.0.0.2/32"]), gives(2, &["10.0.0.2/32"])], false).await;
    assert_eq!(networks_of(&table, 1), ["10.0.0.1/32"]);
    assert_eq!(networks_of(&table, 2), ["10.0.0.2/32"]);
    // What was taken away does not come back when the peer is changed.
    table.set_peers(vec![gives(1, &["10.0.0.3/32"])], false).await;
    assert_eq!(networks_of(&table, 1), ["10.0.0.1/32", "10.0.0.3/32"]);
    assert_eq!(networks_of(&table, 2), ["10.0.0.2/32"]);
}

#[tokio::test]
async fn device_is_not_its_own_peer() {
    let table = PeerTable::new(1);
    let key = PrivateKey::from_random([3; 32]);
    let own = PeerRequest::new(key.public_key());
    assert_eq!(table.set_peers(vec![own.clone()], false).await.added, 1);
    table.set_private_key(Some(&key)).await;
    assert!(table.all().is_empty(), "it was a peer before it was the device");
    assert_eq!(table.set_peers(vec![own], false).await, Count::default());
}

#[tokio::test]
async fn some_peers_are_found_in_requested_order() {
    let table = PeerTable::new(1);
    table.set_peers((0..9).map(|key| gives(key, &[])).collect(), false).await;
    let keys = [7, 200, 1].map(|key| PublicKey::from_bytes([key; 32]));
    let found: Vec<_> = table.some(&keys).iter().map(|peer| peer.key.as_bytes()[0]).collect();
    assert_eq!(found, [7, 1]);
    assert_eq!(table.all().len(), 9);
}

/// On one thread, so that others only get on while the change lets them.
#[tokio::test]
async fn a_large_change_lets_others_get_on() {
    let table = PeerTable::new(1);
    let requests: Vec<_> = (0..5000u32)
        .map(|number| {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&number.to_be_bytes());
            PeerRequest::new(PublicKey::from_bytes(key))
        })
        .collect();
    for (requests, replace) in [(requests.clone(), false), (requests, true), (vec![], true)] {
        let mut turns = 0;
        tokio::select! {
            biased;
            () = async { loop { turns += 1; tokio::task::yield_now().await } } => {}
            _ = table.set_peers(requests, replace) => {}
        }
        assert!(turns >= 100, "{turns} turns");
    }
}

/// What a peer is set to, in the model.
#[derive(Clone, Debug, Default, PartialEq)]
struct Plain {
    secret: Option<[u8; 32]>,
    keepalive: u16,
    networks: BTreeSet<IpNetwork>,
}

/// The protocol's words, taken literally: replacing removes all peers first.
fn literally(peers: &mut BTreeMap<u8, Plain>, requests: &[PeerRequest], replace: bool) {
    if replace {
        peers.clear();
    }
    for request in requests {
        let key = request.public_key.as_bytes()[0];
        if request.remove {
            peers.remove(&key);
            continue;
        }
        if request.update_only && !peers.contains_key(&key) {
            continue;
        }
        let peer = peers.entry(key).or_default();
        if let Some(secret) = &request.preshared_key {
            peer.secret = Some(*secret.as_bytes()).filter(|secret| secret != &[0; 32]);
        }
        peer.keepalive = request.persistent_keepalive_interval.unwrap_or(peer.keepalive);
        if request.replace_allowed_ips {
            peer.networks.clear();
        }
        for ip in &request.allowed_ips {
            if ip.remove {
                peers.entry(key).or_default().networks.remove(&ip.network);
            } else {
                for peer in peers.values_mut() {
                    peer.networks.remove(&ip.network);
                }
                peers.entry(key).or_default().networks.insert(ip.network);
            }
        }
    }
}

prop_compose! {
    fn change()(
        key in 0u8..5,
        flags in prop::array::uniform3(prop::bool::weighted(0.2)),
        secret in prop::option::of(0u8..2),
        keepalive in prop::option::of(0u16..3),
        networks in prop::collection::vec((0u8..4, 30u8..=32, prop::bool::weighted(0.2)), 0..4),
    ) -> PeerRequest {
        let network = |(host, prefix, remove)| {
            let given = IpNetwork::new(IpAddr::from([10, 0, 0, host]), prefix).unwrap();
            AllowedIp { network: IpNetwork::new(given.network(), prefix).unwrap(), remove }
        };
        PeerRequest {
            remove: flags[0],
            update_only: flags[1],
            preshared_key: secret.map(|byte| PresharedKey::from_bytes([byte; 32])),
            persistent_keepalive_interval: keepalive,
            replace_allowed_ips: flags[2],
            allowed_ips: networks.into_iter().map(network).collect(),
            ..PeerRequest::new(PublicKey::from_bytes([key; 32]))
        }
    }
}

proptest! {
    #[test]
    fn it_does_what_the_protocol_says(
        sets in prop::collection::vec((prop::collection::vec(change(), 0..6), prop::bool::weighted(0.3)), 1..5),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (table, mut model) = (PeerTable::new(3), BTreeMap::new());
        for (requests, replace) in sets {
            literally(&mut model, &requests, replace);
            let count = runtime.block_on(table.set_peers(requests, replace));
            prop_assert_eq!(count.total, model.len());
            let shown: BTreeMap<_, _> = table.all().iter().map(|peer| {
                let status = peer.status();
                let plain = Plain {
                    secret: status.preshared_key.map(|key| *key.as_bytes()),
                    keepalive: status.persistent_keepalive_interval,
                    networks: status.allowed_ips.into_iter().collect(),
                };
                (peer.key.as_bytes()[0], plain)
            }).collect();
            prop_assert_eq!(&shown, &model);
            for host in 0..4 {
                let address = IpAddr::from([10, 0, 0, host]);
                let all = model.iter().flat_map(|(key, peer)| peer.networks.iter().map(move |network| (network, *key)));
                let expected = all.filter(|(net, _)| net.contains(address)).max_by_key(|(net, _)| net.prefix());
                let routes = table.routes.read().unwrap();
                let owner = routes.owner(address).map(|peer| peer.key.as_bytes()[0]);
                prop_assert_eq!(owner, expected.map(|(_, key)| key));
            }
        }
    }
}
