//! WireGuard devices of the kernel, which the machine that runs the tests may not have.

use super::*;
use crate::Peer;

fn peers(host: &Host) -> Vec<Peer> {
    host.wireguard.device(&wg(), Backend::Kernel).unwrap().unwrap().peers
}

fn allowed(host: &Host) -> Vec<Vec<String>> {
    let text = |peer: Peer| peer.config.allowed_ips.iter().map(ToString::to_string).collect();
    peers(host).into_iter().map(text).collect()
}

#[test]
fn allowed_ips_move_between_peers() {
    let (host, _) = with_device();
    // Host bits do not count; what a peer no longer has is free.
    let update = set(&[peer(2, &["10.8.0.2/32", "10.9.0.7/24"])]);
    host.wireguard.configure(&wg(), Backend::Kernel, &update).unwrap();
    assert_eq!(allowed(&host), [vec![], vec!["10.8.0.2/32", "10.9.0.0/24"]]);
    host.wireguard.configure(&wg(), Backend::Kernel, &set(&[peer(1, &["10.8.0.3/32"])])).unwrap();
    assert_eq!(allowed(&host), [vec!["10.8.0.3/32"], vec!["10.8.0.2/32", "10.9.0.0/24"]]);
    let removal = DeviceUpdate { peers: vec![PeerUpdate::Remove(key(2)); 2], ..set(&[]) };
    host.wireguard.configure(&wg(), Backend::Kernel, &removal).unwrap();
    host.wireguard.configure(&wg(), Backend::Kernel, &set(&[peer(1, &["10.9.0.0/24"])])).unwrap();
    assert_eq!(allowed(&host), [["10.9.0.0/24"]]);
}

#[test]
fn peers_set_again_keep_their_session() {
    let (host, fake) = with_device();
    let (endpoint, time) = ("192.0.2.7:4500".parse().unwrap(), Timestamp::from_micros(7));
    assert!(fake.set_peer_traffic("wg_main", &key(1), Some(endpoint), Some(time), (10, 20)));
    assert!(!fake.set_peer_traffic("wg_main", &key(9), None, None, (0, 0)));
    let (dump, traffic) = (fake.dump(), fake.traffic());
    assert!(traffic.contains("192.0.2.7:4500 handshake 1970-01-01T00:00:00.000007 rx 10 tx 20"), "{traffic}");
    host.wireguard.configure(&wg(), Backend::Kernel, &set(&[peer(1, &["10.8.0.2/32"])])).unwrap();
    assert_eq!((fake.dump(), fake.traffic()), (dump.clone(), traffic.clone()));
    let known = host.wireguard.peers(&wg(), Backend::Kernel, &[key(1), key(9), key(1)]).unwrap().unwrap();
    assert_eq!(known.len(), 1);
    assert_eq!((known[0].config.endpoint, known[0].rx_bytes), (Some(endpoint), 10));
    assert!(fake.remove_peer("wg_main", &key(1)));
    host.wireguard.configure(&wg(), Backend::Kernel, &set(&[peer(1, &["10.8.0.2/32"])])).unwrap();
    assert_eq!(fake.dump(), dump);
    assert_ne!(fake.traffic(), traffic, "the session is lost");
}

#[test]
fn kernel_device_lives_with_its_link() {
    let (host, fake) = with_device();
    let port = Port { protocol: Protocol::Udp, number: 51820 };
    assert!(host.sockets.bound(port).unwrap());
    assert!(matches!(host.wireguard.create(&wg()), Err(HostError::Kernel { .. })));
    assert_eq!(host.wireguard.device(&wg(), Backend::Embedded).unwrap(), None);
    host.network.set_link(&wg(), &up(false)).unwrap();
    assert!(!host.sockets.bound(port).unwrap());
    fake.bind(port);
    let taken = host.network.set_link(&wg(), &up(true)).unwrap_err();
    assert!(taken.chain().contains("in use"), "{}", taken.chain());
    fake.unbind(port);
    host.network.set_link(&wg(), &up(true)).unwrap();
    // No peer of itself.
    let own = PrivateKey::from_bytes([99; 32]).public_key();
    let itself = PeerConfig { public_key: own, ..peer(7, &["10.8.0.9/32"]) };
    host.wireguard.configure(&wg(), Backend::Kernel, &set(&[itself])).unwrap();
    assert_eq!(peers(&host).len(), 2);

    fake.cut_link("wg_main").unwrap();
    assert!(
        host.wireguard.configure(&wg(), Backend::Kernel, &DeviceUpdate::default()).unwrap_err().is_absent()
    );
    assert_eq!(host.wireguard.device(&wg(), Backend::Kernel).unwrap(), None);
    assert!(
        !host.network.routes(254).unwrap().iter().any(|route| route.source == Some([10, 8, 0, 1].into()))
    );
    fake.set_kernel_wireguard(false);
    assert!(!host.wireguard.kernel_available().unwrap());
    assert!(matches!(host.wireguard.create(&wg()), Err(HostError::Unsupported { .. })));
}

#[test]
fn a_device_without_a_port_chooses_one() {
    let (host, _) = Host::fake();
    host.wireguard.create(&wg()).unwrap();
    assert_eq!(host.wireguard.device(&wg(), Backend::Kernel).unwrap().unwrap().listen_port, 0);
    host.network.set_link(&wg(), &up(true)).unwrap();
    let number = host.wireguard.device(&wg(), Backend::Kernel).unwrap().unwrap().listen_port;
    assert!(number >= 32768 && host.sockets.bound(Port { protocol: Protocol::Udp, number }).unwrap());
}

#[test]
fn refused_change_of_many_peers_stops_halfway() {
    let (host, fake) = with_device();
    fake.refuse_write(1);
    let update = set(&[peer(3, &["10.8.0.4/32"]), peer(4, &["10.8.0.5/32"])]);
    assert!(host.wireguard.configure(&wg(), Backend::Kernel, &update).is_err());
    assert_eq!(allowed(&host), [["10.8.0.2/32"], ["10.8.0.3/32"], ["10.8.0.4/32"]]);
}
