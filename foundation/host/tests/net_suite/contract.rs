//! What both WireGuard backends promise, on a device that is there and has nothing yet. `wg show` is the witness.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Instant;

use phantom_host::{Device, DeviceUpdate, Peer, PeerConfig, PeerUpdate, WireGuard};
use phantom_types::{Backend, InterfaceName, PresharedKey, PrivateKey, PublicKey, Timestamp};

use crate::namespace::{figure, median, run, wait_for};

/// A name in the form of the API.
pub(crate) fn name(text: &str) -> InterfaceName {
    text.parse().unwrap()
}

/// Bytes that differ for each number, and look like a key's.
fn bytes(number: u32, salt: u8) -> [u8; 32] {
    let mut state = u64::from(number) << 8 | u64::from(salt);
    std::array::from_fn(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    })
}

/// A public key.
pub(crate) fn public_key(number: u32) -> PublicKey {
    PublicKey::from_bytes(bytes(number, 1))
}

/// A peer as a client of ours has it: a preshared key and one address.
pub(crate) fn client(number: u32) -> PeerConfig {
    let [_, b, c, d] = number.to_be_bytes();
    PeerConfig {
        public_key: public_key(number),
        preshared_key: Some(PresharedKey::from_bytes(bytes(number, 2))),
        endpoint: None,
        keepalive: None,
        allowed_ips: vec![format!("10.{b}.{c}.{d}/32").parse().unwrap()],
    }
}

fn sorted(mut peers: Vec<Peer>) -> Vec<PeerConfig> {
    peers.sort_by_key(|peer| peer.config.public_key);
    let mut configs: Vec<PeerConfig> = peers.into_iter().map(|peer| peer.config).collect();
    for config in &mut configs {
        config.allowed_ips.sort();
    }
    configs
}

fn expected(configs: impl IntoIterator<Item = PeerConfig>) -> Vec<PeerConfig> {
    let peer = |config| Peer { config, last_handshake: None, rx_bytes: 0, tx_bytes: 0 };
    sorted(configs.into_iter().map(peer).collect())
}

/// A device in the words of `wg show NAME dump`, peers and their networks sorted.
fn in_words_of_wg(device: &Device) -> Vec<String> {
    let none = || "(none)".to_owned();
    let key = device.private_key.as_ref();
    let mark = if device.fwmark == 0 { "off".to_owned() } else { format!("{:#x}", device.fwmark) };
    let mut lines = vec![format!(
        "{}\t{}\t{}\t{mark}",
        key.map_or_else(none, |key| key.reveal().to_string()),
        key.map_or_else(none, |key| key.public_key().to_string()),
        device.listen_port
    )];
    for peer in &device.peers {
        let config = &peer.config;
        let mut line = format!(
            "{}\t{}\t{}\t",
            config.public_key,
            config.preshared_key.as_ref().map_or_else(none, |key| key.reveal().to_string()),
            config.endpoint.map_or_else(none, |endpoint| endpoint.to_string())
        );
        let networks: BTreeSet<String> = config.allowed_ips.iter().map(ToString::to_string).collect();
        line +=
            &if networks.is_empty() { none() } else { networks.into_iter().collect::<Vec<_>>().join(",") };
        let _ = write!(
            line,
            "\t{}\t{}\t{}\t{}",
            peer.last_handshake.map_or(0, Timestamp::seconds),
            peer.rx_bytes,
            peer.tx_bytes,
            config.keepalive.map_or("off".to_owned(), |seconds| seconds.to_string())
        );
        lines.push(line);
    }
    lines[1..].sort();
    lines
}

fn told_by_wg(name: &InterfaceName) -> Vec<String> {
    let text = run("wg", &["show", name.as_str(), "dump"]);
    let mut lines: Vec<String> = text
        .lines()
        .map(|line| {
            let mut fields: Vec<String> = line.split('\t').map(str::to_owned).collect();
            if fields.len() > 4 {
                let networks: BTreeSet<&str> = fields[3].split(',').collect();
                fields[3] = networks.into_iter().collect::<Vec<_>>().join(",");
            }
            fields.join("\t")
        })
        .collect();
    lines[1..].sort();
    lines
}

/// The device, after `wg` has said the same.
pub(crate) fn checked(wireguard: &dyn WireGuard, name: &InterfaceName, backend: Backend) -> Device {
    let device = wireguard.device(name, backend).unwrap().expect("the device is there");
    assert_eq!(in_words_of_wg(&device), told_by_wg(name));
    device
}

/// Keys, peers, changes, removals.
pub(crate) fn changes_are_applied(wireguard: &dyn WireGuard, name: &InterfaceName, backend: Backend) {
    let configure = |update: DeviceUpdate| wireguard.configure(name, backend, &update).unwrap();
    let peers = |peers: Vec<PeerUpdate>| DeviceUpdate { peers, ..DeviceUpdate::default() };
    assert_eq!(checked(wireguard, name, backend).peers, []);
    configure(DeviceUpdate::default());

    let key = PrivateKey::from_random(bytes(7, 3));
    let mut full = PeerConfig {
        endpoint: Some("192.0.2.9:4500".parse().unwrap()),
        keepalive: Some(25),
        allowed_ips: vec!["10.8.0.2/32".parse().unwrap(), "2001:db8::/64".parse().unwrap()],
        ..client(1)
    };
    let six = PeerConfig {
        endpoint: Some("[2001:db8::9]:51820".parse().unwrap()),
        preshared_key: None,
        ..client(2)
    };
    let bare = PeerConfig { allowed_ips: Vec::new(), preshared_key: None, ..client(3) };
    configure(DeviceUpdate {
        private_key: Some(key.clone()),
        listen_port: Some(51820),
        fwmark: Some(0x1234),
        replace_peers: true,
        peers: [&full, &six, &bare].map(|config| PeerUpdate::Set(config.clone())).into(),
    });
    let device = checked(wireguard, name, backend);
    assert_eq!((device.private_key.as_ref(), device.listen_port, device.fwmark), (Some(&key), 51820, 0x1234));
    assert_eq!(sorted(device.peers), expected([full.clone(), six.clone(), bare.clone()]));

    // Exactly the new set-up: what is left out is taken away, but for the end point.
    full = PeerConfig {
        preshared_key: None,
        keepalive: None,
        allowed_ips: vec!["10.9.0.0/16".parse().unwrap()],
        ..full
    };
    let without_endpoint = PeerConfig { endpoint: None, ..full.clone() };
    configure(peers(vec![PeerUpdate::Set(without_endpoint), PeerUpdate::Set(client(4))]));
    let device = checked(wireguard, name, backend);
    assert_eq!(
        (device.private_key, device.listen_port, device.fwmark),
        (Some(key), 51820, 0x1234),
        "the rest stays"
    );
    assert_eq!(sorted(device.peers), expected([full.clone(), six.clone(), bare, client(4)]));

    configure(DeviceUpdate { fwmark: Some(0), ..DeviceUpdate::default() });
    configure(peers(vec![
        PeerUpdate::Remove(public_key(3)),
        PeerUpdate::Remove(public_key(99)),
        PeerUpdate::Remove(public_key(4)),
    ]));
    let device = checked(wireguard, name, backend);
    assert_eq!(device.fwmark, 0);
    assert_eq!(
        sorted(device.peers),
        expected([full.clone(), six.clone()]),
        "removing one that is not there is no error"
    );

    let some = |keys: &[u32]| {
        let keys: Vec<PublicKey> = keys.iter().copied().map(public_key).collect();
        sorted(wireguard.peers(name, backend, &keys).unwrap().unwrap())
    };
    assert_eq!(some(&[2, 99]), expected([six.clone()]));
    assert_eq!(some(&[2, 1, 2]), expected([full, six]));
    assert_eq!((some(&[]), some(&[99])), (vec![], vec![]));

    configure(DeviceUpdate {
        replace_peers: true,
        peers: vec![PeerUpdate::Set(client(5))],
        ..DeviceUpdate::default()
    });
    assert_eq!(sorted(checked(wireguard, name, backend).peers), expected([client(5)]));
    configure(DeviceUpdate { replace_peers: true, ..DeviceUpdate::default() });
    assert_eq!(checked(wireguard, name, backend).peers, []);
}

/// Many peers, and a peer with many networks: both take several messages to the kernel and back.
pub(crate) fn many_peers_are_handled(
    wireguard: &dyn WireGuard,
    name: &InterfaceName,
    backend: Backend,
    count: u32,
) {
    let what = |step: &str| format!("{backend}: {step}");
    let all: Vec<PeerConfig> = (0..count).map(client).collect();
    let update = |peers: &[PeerConfig]| DeviceUpdate {
        peers: peers.iter().cloned().map(PeerUpdate::Set).collect(),
        ..DeviceUpdate::default()
    };
    let start = Instant::now();
    let first = DeviceUpdate {
        private_key: Some(PrivateKey::from_random([9; 32])),
        listen_port: Some(51821),
        replace_peers: true,
        ..update(&all)
    };
    wireguard.configure(name, backend, &first).unwrap();
    figure(&what(&format!("setting {count} peers")), start.elapsed());
    let start = Instant::now();
    let device = wireguard.device(name, backend).unwrap().unwrap();
    figure(&what(&format!("reading {count} peers")), start.elapsed());
    assert_eq!(in_words_of_wg(&device), told_by_wg(name));
    assert_eq!(sorted(device.peers), expected(all.clone()));

    let one = [public_key(count / 2)];
    figure(
        &what("reading one of them"),
        median(9, || drop(wireguard.peers(name, backend, &one).unwrap().unwrap())),
    );
    assert_eq!(
        sorted(wireguard.peers(name, backend, &one).unwrap().unwrap()),
        expected([all[count as usize / 2].clone()])
    );
    let add_and_remove = || {
        wireguard.configure(name, backend, &update(&[client(count)])).unwrap();
        let gone =
            DeviceUpdate { peers: vec![PeerUpdate::Remove(public_key(count))], ..DeviceUpdate::default() };
        wireguard.configure(name, backend, &gone).unwrap();
    };
    figure(&what("adding and removing one"), median(9, add_and_remove));
    let mark = DeviceUpdate { fwmark: Some(0), ..DeviceUpdate::default() };
    figure(&what("changing nothing"), median(9, || wireguard.configure(name, backend, &mark).unwrap()));

    // One peer gets thousands of networks, in the middle of others.
    let mut wide = client(1);
    wide.allowed_ips =
        (0..5000_u32).map(|i| format!("172.{}.{}.0/24", 16 + i / 256, i % 256).parse().unwrap()).collect();
    wide.allowed_ips.extend(
        (0..1000_u32).map(|i| format!("2001:db8:{i:x}::/48").parse::<ipnetwork::IpNetwork>().unwrap()),
    );
    wireguard.configure(name, backend, &update(&[client(0), wide.clone(), client(2)])).unwrap();
    let mut after = all;
    after[1] = wide.clone();
    assert_eq!(sorted(checked(wireguard, name, backend).peers), expected(after.clone()));
    assert_eq!(
        sorted(wireguard.peers(name, backend, &[wide.public_key]).unwrap().unwrap()),
        expected([wide])
    );
    // And loses them again.
    wireguard.configure(name, backend, &update(&[client(1)])).unwrap();
    after[1] = client(1);
    assert_eq!(sorted(checked(wireguard, name, backend).peers), expected(after));

    let start = Instant::now();
    let none = DeviceUpdate {
        peers: (0..count).map(public_key).map(PeerUpdate::Remove).collect(),
        ..DeviceUpdate::default()
    };
    wireguard.configure(name, backend, &none).unwrap();
    figure(&what(&format!("removing {count} peers one by one")), start.elapsed());
    assert_eq!(checked(wireguard, name, backend).peers, []);
}

/// Nothing is there under this name.
pub(crate) fn is_absent(wireguard: &dyn WireGuard, name: &InterfaceName, backend: Backend) {
    assert_eq!(wireguard.device(name, backend).unwrap(), None);
    assert_eq!(wireguard.peers(name, backend, &[public_key(1)]).unwrap(), None);
    assert_eq!(wireguard.peers(name, backend, &[]).unwrap(), None);
    let update = DeviceUpdate { listen_port: Some(51820), ..DeviceUpdate::default() };
    assert!(wireguard.configure(name, backend, &update).unwrap_err().is_absent());
    assert!(wireguard.configure(name, backend, &DeviceUpdate::default()).unwrap_err().is_absent());
}

/// Two devices of this kind on the loopback interface find each other; time and counters are those `wg` tells.
pub(crate) fn a_handshake_is_seen(wireguard: &dyn WireGuard, names: [&InterfaceName; 2], backend: Backend) {
    let keys = [PrivateKey::from_random(bytes(1, 9)), PrivateKey::from_random(bytes(2, 9))];
    for (me, other) in [(0, 1), (1, 0)] {
        let port = |side: usize| 40_000 + u16::try_from(side).unwrap();
        let peer = PeerConfig {
            public_key: keys[other].public_key(),
            preshared_key: None,
            endpoint: Some(format!("127.0.0.1:{}", port(other)).parse().unwrap()),
            keepalive: Some(1),
            allowed_ips: Vec::new(),
        };
        let update = DeviceUpdate {
            private_key: Some(keys[me].clone()),
            listen_port: Some(port(me)),
            peers: vec![PeerUpdate::Set(peer)],
            ..DeviceUpdate::default()
        };
        run("ip", &["link", "set", names[me].as_str(), "up"]);
        wireguard.configure(names[me], backend, &update).unwrap();
    }
    let seen = |name| {
        let peer = wireguard.device(name, backend).unwrap().unwrap().peers.remove(0);
        peer.last_handshake.is_some() && peer.rx_bytes > 0 && peer.tx_bytes > 0
    };
    wait_for("the handshake", || names.into_iter().all(seen));
    for name in names {
        // Counters may move between the two readings; they are equal sooner or later.
        wait_for("the same counters", || {
            in_words_of_wg(&wireguard.device(name, backend).unwrap().unwrap()) == told_by_wg(name)
        });
        // Setting a peer anew keeps session and counters.
        let before = wireguard.device(name, backend).unwrap().unwrap().peers.remove(0);
        let again =
            DeviceUpdate { peers: vec![PeerUpdate::Set(before.config.clone())], ..DeviceUpdate::default() };
        wireguard.configure(name, backend, &again).unwrap();
        let after = wireguard.device(name, backend).unwrap().unwrap().peers.remove(0);
        assert_eq!((after.last_handshake, &after.config), (before.last_handshake, &before.config));
        assert!(after.rx_bytes >= before.rx_bytes && after.tx_bytes >= before.tx_bytes);
    }
}
