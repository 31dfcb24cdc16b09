//! Messages as the kernel sent them, and changes read back as if they were a dump.

use std::net::SocketAddr;

use ipnetwork::IpNetwork;
use netlink_packet_core::{Emitable as _, ParseableParametrized as _};
use netlink_packet_generic::GenlHeader;
use netlink_packet_wireguard::{
    WireguardAttribute, WireguardDeviceFlags, WireguardMessage, WireguardPeer, WireguardPeerAttribute,
    WireguardPeerFlags,
};
use phantom_types::{PresharedKey, PrivateKey, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::linux::netlink::tests::{captured, message};
use crate::{PeerConfig, PeerUpdate};

/// Netlink header, generic header, 16 KiB of peers, and room for what stands beside them in the first message.
const MESSAGE_LIMIT: usize = 16 + 4 + 16 * 1024 + 128;

fn key(number: u32) -> [u8; 32] {
    let mut bytes = [0x5a; 32];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn peer(number: u32) -> PeerConfig {
    PeerConfig {
        public_key: PublicKey::from_bytes(key(number)),
        preshared_key: Some(PresharedKey::from_bytes(key(number ^ 0xffff))),
        endpoint: None,
        keepalive: None,
        allowed_ips: vec![IpNetwork::new((0x0a00_0000 + number).to_be_bytes().into(), 32).unwrap()],
    }
}

fn networks(count: u32) -> Vec<IpNetwork> {
    (0..count).map(|i| IpNetwork::new((0x0b00_0000 + i * 256).to_be_bytes().into(), 24).unwrap()).collect()
}

/// The payloads of the messages of an update, each checked for its size and for the lengths of its attributes.
fn payloads(update: &DeviceUpdate) -> Vec<Vec<u8>> {
    let payloads: Vec<Vec<u8>> =
        encode::set(30, "wg_main", update).map(|request| request.payload().to_vec()).collect();
    for payload in &payloads {
        assert!(16 + payload.len() <= MESSAGE_LIMIT, "a message of {} bytes", 16 + payload.len());
    }
    payloads
}

fn decoded(payload: &[u8]) -> WireguardMessage {
    WireguardMessage::parse_with_param(&payload[4..], GenlHeader::parse(payload).unwrap()).unwrap()
}

fn peers_of(message: &WireguardMessage) -> Vec<WireguardPeer> {
    message
        .attributes
        .iter()
        .find_map(|a| if let WireguardAttribute::Peers(p) = a { Some(p.clone()) } else { None })
        .unwrap_or_default()
}

/// The device that results when the messages are applied to an empty one: reading them as a dump does the same, for
/// updates that name each peer once.
fn applied(update: &DeviceUpdate) -> Device {
    let datagrams: Vec<u8> = payloads(update).iter().flat_map(|payload| message(30, 2, 1, payload)).collect();
    parse_wireguard_dump(&datagrams).unwrap()
}

fn update(peers: impl IntoIterator<Item = PeerConfig>) -> DeviceUpdate {
    DeviceUpdate { peers: peers.into_iter().map(PeerUpdate::Set).collect(), ..DeviceUpdate::default() }
}

fn configs(device: Device) -> Vec<PeerConfig> {
    device.peers.into_iter().map(|peer| peer.config).collect()
}

/// Each peer's interval ceases to be 0 once, is what it was in the end, and nothing else is touched.
#[test]
fn keepalives_leave_intervals_as_they_are() {
    let peers: Vec<_> = (0..1000)
        .map(|number| (PublicKey::from_bytes(key(number)), (number % 2 == 1).then_some(25)))
        .collect();
    let mut told = Vec::new();
    for request in encode::keepalives(30, "wg_main", &peers) {
        assert!(
            16 + request.payload().len() <= MESSAGE_LIMIT,
            "a message of {} bytes",
            request.payload().len()
        );
        let entries = peers_of(&decoded(request.payload()));
        for both in entries.chunks(2) {
            let seconds = |entry: &WireguardPeer| match &entry.0[..] {
                [
                    WireguardPeerAttribute::PublicKey(key),
                    WireguardPeerAttribute::Flags(WireguardPeerFlags::UpdateOnly),
                    WireguardPeerAttribute::PersistentKeepalive(seconds),
                ] => (*key, *seconds),
                other => panic!("{other:?}"),
            };
            let [(one, first), (other, last)] = [seconds(&both[0]), seconds(&both[1])];
            assert_eq!(one, other);
            assert!((first == 0) != (last == 0), "{first} {last}");
            told.push((PublicKey::from_bytes(one), Some(last).filter(|last| *last > 0)));
        }
    }
    assert!(told == peers);
}

/// What `wg set` sends for the same change, but for the order of the attributes.
#[test]
fn one_message_holds_a_small_change() {
    let update = DeviceUpdate {
        private_key: Some(PrivateKey::from_bytes([1; 32])),
        listen_port: Some(51820),
        fwmark: Some(7),
        replace_peers: true,
        peers: vec![
            PeerUpdate::Set(PeerConfig {
                preshared_key: None,
                keepalive: Some(25),
                endpoint: Some("192.0.2.1:9".parse().unwrap()),
                ..peer(1)
            }),
            PeerUpdate::Remove(PublicKey::from_bytes(key(2))),
        ],
    };
    let [payload] = &payloads(&update)[..] else { panic!("one message") };
    assert_eq!(payload[..2], [1, 1], "WG_CMD_SET_DEVICE of version 1");
    let WireguardMessage { attributes, .. } = decoded(payload);
    assert_eq!(
        attributes[..5],
        [
            WireguardAttribute::IfName("wg_main".into()),
            WireguardAttribute::PrivateKey([1; 32]),
            WireguardAttribute::ListenPort(51820),
            WireguardAttribute::Fwmark(7),
            WireguardAttribute::Flags(WireguardDeviceFlags::ReplacePeers),
        ]
    );
    let WireguardAttribute::Peers(peers) = &attributes[5] else { panic!("{attributes:?}") };
    assert_eq!(
        peers[0].0[..5],
        [
            WireguardPeerAttribute::PublicKey(key(1)),
            WireguardPeerAttribute::Flags(WireguardPeerFlags::ReplaceAllowedIps),
            WireguardPeerAttribute::PresharedKey([0; 32]),
            WireguardPeerAttribute::PersistentKeepalive(25),
            WireguardPeerAttribute::Endpoint("192.0.2.1:9".parse().unwrap()),
        ]
    );
    assert!(matches!(&peers[0].0[5], WireguardPeerAttribute::AllowedIps(ips) if ips.len() == 1));
    assert_eq!(
        peers[1].0,
        [
            WireguardPeerAttribute::PublicKey(key(2)),
            WireguardPeerAttribute::Flags(WireguardPeerFlags::RemoveMe),
        ]
    );
}

#[test]
fn an_empty_change_still_asks_the_kernel() {
    let [payload] = &payloads(&DeviceUpdate::default())[..] else { panic!("one message") };
    assert_eq!(decoded(payload).attributes, [WireguardAttribute::IfName("wg_main".into())]);
}

#[test]
fn a_thousand_peers_take_several_messages() {
    let mut update = update((0..1000).map(peer));
    update.replace_peers = true;
    update.private_key = Some(PrivateKey::from_bytes([1; 32]));
    let parts = payloads(&update);
    assert!((7..=9).contains(&parts.len()), "{} messages", parts.len());
    for (number, payload) in parts.iter().enumerate() {
        let attributes = decoded(payload).attributes;
        let has = |wanted: fn(&WireguardAttribute) -> bool| attributes.iter().any(wanted);
        let first = number == 0;
        assert_eq!(has(|a| matches!(a, WireguardAttribute::Flags(_))), first, "the old peers go once");
        assert_eq!(has(|a| matches!(a, WireguardAttribute::PrivateKey(_))), first);
    }
    assert_eq!(configs(applied(&update)), (0..1000).map(peer).collect::<Vec<_>>());
}

#[test]
fn peer_with_five_thousand_networks_is_split() {
    let wide = PeerConfig {
        allowed_ips: networks(5000),
        endpoint: Some("[2001:db8::1]:7".parse().unwrap()),
        ..peer(1)
    };
    let update = update([peer(0), wide.clone(), peer(2)]);
    let parts = payloads(&update);
    assert!(parts.len() >= 9, "{} messages", parts.len());
    let mut seen = 0;
    for peer in parts.iter().flat_map(|payload| peers_of(&decoded(payload))) {
        let ours = peer.0.contains(&WireguardPeerAttribute::PublicKey(key(1)));
        let replaces = peer.0.iter().any(|a| matches!(a, WireguardPeerAttribute::Flags(_)));
        if ours {
            assert_eq!(replaces, seen == 0, "a part that replaced would take away the parts before it");
            seen += 1;
        }
    }
    assert!(seen >= 9);
    assert_eq!(configs(applied(&update)), [peer(0), wide, peer(2)]);
}

/// The room that is left is used to the last network, and nothing is sent twice or left out, whatever the sizes are.
#[test]
fn the_seams_between_messages_are_tight() {
    for count in (0..1200).step_by(7) {
        let peers = [
            PeerConfig { allowed_ips: networks(count), ..peer(1) },
            PeerConfig { allowed_ips: networks(600), ..peer(2) },
            peer(3),
        ];
        assert_eq!(configs(applied(&update(peers.clone()))), peers, "{count}");
    }
}

#[test]
fn removals_are_split_too() {
    let update = DeviceUpdate {
        peers: (0..5000).map(|i| PeerUpdate::Remove(PublicKey::from_bytes(key(i)))).collect(),
        ..DeviceUpdate::default()
    };
    let all: Vec<WireguardPeer> =
        payloads(&update).iter().flat_map(|payload| peers_of(&decoded(payload))).collect();
    assert_eq!(all.len(), 5000);
}

#[test]
fn a_device_of_the_kernel_is_read() {
    let device = parse_wireguard_dump(&captured(include_str!("captured/device.hex")).concat()).unwrap();
    let plain = |public: u8, endpoint: &str, ips: &[&str]| PeerConfig {
        public_key: PublicKey::from_bytes([public; 32]),
        preshared_key: None,
        endpoint: Some(endpoint.parse().unwrap()),
        keepalive: None,
        allowed_ips: ips.iter().map(|ip| ip.parse().unwrap()).collect(),
    };
    let first = PeerConfig {
        preshared_key: Some(PresharedKey::from_bytes([2; 32])),
        keepalive: Some(25),
        ..plain(3, "192.0.2.9:4500", &["10.8.0.2/32", "2001:db8::2/128"])
    };
    // The kernel clamps the private key.
    assert_eq!(device.private_key, Some(PrivateKey::from_random([1; 32])));
    assert_eq!((device.listen_port, device.fwmark), (51820, 0x1234));
    assert!(
        device.peers.iter().all(|peer| (peer.last_handshake, peer.rx_bytes, peer.tx_bytes) == (None, 0, 0))
    );
    assert_eq!(configs(device), [first, plain(4, "[2001:db8::9]:4500", &["10.8.0.3/32"])]);
}

#[test]
fn peer_across_two_datagrams_is_one_peer() {
    let datagrams = captured(include_str!("captured/continued.hex"));
    assert_eq!(datagrams.len(), 2);
    let device = parse_wireguard_dump(&datagrams.concat()).unwrap();
    let keys: Vec<u8> = device.peers.iter().map(|peer| peer.config.public_key.as_bytes()[0]).collect();
    assert_eq!(keys, [4, 5]);
    let mut ips = device.peers[0].config.allowed_ips.clone();
    ips.sort();
    let expected: Vec<IpNetwork> = (0..150).map(|i| format!("10.1.{i}.0/24").parse().unwrap()).collect();
    assert_eq!(ips, expected);

    // The same when only some peers are wanted.
    let only = |number: u8| {
        let keys = [PublicKey::from_bytes([number; 32])].into();
        let mut collector = decode::Collector::new(Some(&keys));
        for datagram in &datagrams {
            crate::linux::netlink::take(datagram, None, &mut |payload| collector.add(payload)).unwrap();
        }
        collector.into_device().peers
    };
    assert_eq!((only(4), only(5)), (vec![device.peers[0].clone()], vec![device.peers[1].clone()]));
    assert_eq!(only(6), []);
}

#[test]
fn times_and_counters_are_read() {
    let time =
        netlink_packet_wireguard::WireguardTimeSpec { seconds: 1_700_000_000, nano_seconds: 123_456_789 };
    let peer = WireguardPeer(vec![
        WireguardPeerAttribute::PublicKey([3; 32]),
        WireguardPeerAttribute::LastHandshake(time),
        WireguardPeerAttribute::RxBytes(u64::MAX),
        WireguardPeerAttribute::TxBytes(5),
        WireguardPeerAttribute::ProtocolVersion(1),
    ]);
    let attribute = WireguardAttribute::Peers(vec![peer]);
    let mut payload = vec![0; 4 + attribute.buffer_len()];
    attribute.emit(&mut payload[4..]);
    let peer = parse_wireguard_dump(&message(30, 0, 0, &payload)).unwrap().peers.remove(0);
    assert_eq!(peer.last_handshake, Some(Timestamp::from_micros(1_700_000_000_123_456)));
    assert_eq!((peer.rx_bytes, peer.tx_bytes), (u64::MAX, 5));
}

#[test]
fn the_family_is_told_by_its_name() {
    let datagram = captured(include_str!("captured/family.hex")).remove(0);
    assert_eq!(kernel::wireguard_id(&datagram[16..]).unwrap(), Some(32));
    let other: Vec<u8> = datagram.iter().map(|byte| if *byte == b'w' { b'v' } else { *byte }).collect();
    assert_eq!(kernel::wireguard_id(&other[16..]).unwrap(), None);
    assert_eq!(kernel::wireguard_id(&[]).unwrap(), None);
}

/// An empty attribute in the place of a prefix length: the decoder behind would panic.
#[test]
fn an_empty_prefix_length_is_an_error() {
    let mut datagram = captured(include_str!("captured/device.hex")).concat();
    let at = datagram.windows(5).position(|bytes| bytes == [5, 0, 3, 0, 32]).unwrap();
    datagram[at] = 4;
    assert!(parse_wireguard_dump(&datagram).is_err());
}

fn any_peer() -> impl Strategy<Value = PeerConfig> {
    let network = prop_oneof![
        (any::<[u8; 4]>(), 0..=32_u8).prop_map(|(ip, prefix)| IpNetwork::new(ip.into(), prefix).unwrap()),
        (any::<[u8; 16]>(), 0..=128_u8).prop_map(|(ip, prefix)| IpNetwork::new(ip.into(), prefix).unwrap()),
    ];
    (
        any::<[u8; 32]>(),
        any::<[u8; 32]>(),
        prop::option::of(any::<SocketAddr>()),
        any::<u16>(),
        prop::collection::vec(network, 0..900),
    )
        .prop_map(|(public, psk, endpoint, keepalive, allowed_ips)| PeerConfig {
            public_key: PublicKey::from_bytes(public),
            preshared_key: (psk[0] > 127).then(|| PresharedKey::from_bytes(psk)),
            endpoint,
            keepalive: Some(keepalive).filter(|seconds| *seconds > 0),
            allowed_ips,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_peers_survive_the_kernel_round_trip(peers in prop::collection::vec(any_peer(), 0..8)) {
        prop_assert_eq!(configs(applied(&update(peers.clone()))), peers);
    }
}

proptest! {
    #[test]
    fn dumps_of_any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse_wireguard_dump(&bytes);
        let _ = parse_wireguard_dump(&message(30, 2, 0, &bytes));
        let _ = kernel::wireguard_id(&bytes);
    }

    #[test]
    fn damaged_dumps_are_survived(damage in prop::collection::vec((0..576_usize, any::<u8>()), 1..6), cut in 0..600_usize) {
        let mut datagram = captured(include_str!("captured/device.hex")).concat();
        for (at, value) in damage {
            if let Some(byte) = datagram.get_mut(at) {
                *byte = value;
            }
        }
        datagram.truncate(cut);
        let _ = parse_wireguard_dump(&datagram);
    }
}
