//! What both WireGuard backends promise, on a device that is there and has nothing yet. `wg show` is the witness.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Instant;

use ipnetwork::IpNetwork;
use phantom_host::{Device, DeviceUpdate, Peer, PeerConfig, PeerUpdate, WireGuard};
use phantom_types::{Backend, InterfaceName, PresharedKey, PrivateKey, PublicKey, Timestamp};

use crate::namespace::{figure, median, run, wait_for};

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
    // A device that has just been started takes its port while it is looked at: two looks may differ once.
    for _ in 0..20 {
        let device = wireguard.device(name, backend).unwrap().expect("the device is there");
        if in_words_of_wg(&device) == told_by_wg(name) {
            return device;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let device = wireguard.device(name, backend).unwrap().expect("the device is there");
    assert_eq!(in_words_of_wg(&device), told_by_wg(name));
    device
}

/// A device under test: all that is asked of it.
struct Subject<'a> {
    wireguard: &'a dyn WireGuard,
    name: &'a InterfaceName,
    backend: Backend,
}

impl Subject<'_> {
    fn configure(&self, update: &DeviceUpdate) {
        self.wireguard.configure(self.name, self.backend, update).unwrap();
    }
    fn set(&self, peers: &[PeerConfig]) {
        self.configure(&setting(peers));
    }
    fn remove(&self, numbers: impl IntoIterator<Item = u32>) {
        let peers = numbers.into_iter().map(public_key).map(PeerUpdate::Remove).collect();
        self.configure(&DeviceUpdate { peers, ..DeviceUpdate::default() });
    }
    fn device(&self) -> Device {
        checked(self.wireguard, self.name, self.backend)
    }
    fn peers(&self, numbers: &[u32]) -> Vec<PeerConfig> {
        let keys: Vec<PublicKey> = numbers.iter().copied().map(public_key).collect();
        sorted(self.wireguard.peers(self.name, self.backend, &keys).unwrap().unwrap())
    }
    fn figure(&self, what: &str, value: impl std::fmt::Debug) {
        figure(&format!("{}: {what}", self.backend), value);
    }
}

/// The change that sets these peers.
fn setting(peers: &[PeerConfig]) -> DeviceUpdate {
    DeviceUpdate { peers: peers.iter().cloned().map(PeerUpdate::Set).collect(), ..DeviceUpdate::default() }
}

/// Keys, peers, changes, removals.
pub(crate) fn changes_are_applied(wireguard: &dyn WireGuard, name: &InterfaceName, backend: Backend) {
    let subject = Subject { wireguard, name, backend };
    assert_eq!(subject.device().peers, []);
    subject.configure(&DeviceUpdate::default());
    let key = PrivateKey::from_random(bytes(7, 3));
    let full = PeerConfig {
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
    subject.configure(&DeviceUpdate {
        private_key: Some(key.clone()),
        listen_port: Some(51820),
        fwmark: Some(0x1234),
        replace_peers: true,
        ..setting(&[full.clone(), six.clone(), bare.clone()])
    });
    let device = subject.device();
    assert_eq!((device.private_key.as_ref(), device.listen_port, device.fwmark), (Some(&key), 51820, 0x1234));
    assert_eq!(sorted(device.peers), expected([full.clone(), six.clone(), bare.clone()]));

    // Exactly the new set-up: what is left out is taken away, but for the end point.
    let full = PeerConfig {
        preshared_key: None,
        keepalive: None,
        allowed_ips: vec!["10.9.0.0/16".parse().unwrap()],
        ..full
    };
    subject.set(&[PeerConfig { endpoint: None, ..full.clone() }, client(4)]);
    let device = subject.device();
    assert_eq!(
        (device.private_key, device.listen_port, device.fwmark),
        (Some(key), 51820, 0x1234),
        "the rest stays"
    );
    assert_eq!(sorted(device.peers), expected([full.clone(), six.clone(), bare, client(4)]));
    removals_are_applied(&subject, &full, &six);
}

/// Goes on with peers 1 to 4, of which `full` and `six` are 1 and 2.
fn removals_are_applied(subject: &Subject<'_>, full: &PeerConfig, six: &PeerConfig) {
    subject.configure(&DeviceUpdate { fwmark: Some(0), ..DeviceUpdate::default() });
    subject.remove([3, 99, 4]);
    let device = subject.device();
    assert_eq!(device.fwmark, 0);
    let both = || expected([full.clone(), six.clone()]);
    assert_eq!(sorted(device.peers), both(), "removing one that is not there is no error");

    assert_eq!(subject.peers(&[2, 99]), expected([six.clone()]));
    assert_eq!(subject.peers(&[2, 1, 2]), both());
    assert_eq!((subject.peers(&[]), subject.peers(&[99])), (vec![], vec![]));

    subject.configure(&DeviceUpdate { replace_peers: true, ..setting(&[client(5)]) });
    assert_eq!(sorted(subject.device().peers), expected([client(5)]));
    // In order: what goes and comes again in one change is there in the end, what comes and goes is not.
    let (come, go) = (|n| PeerUpdate::Set(client(n)), |n| PeerUpdate::Remove(public_key(n)));
    subject
        .configure(&DeviceUpdate { peers: vec![go(5), come(5), come(6), go(6)], ..DeviceUpdate::default() });
    assert_eq!(sorted(subject.device().peers), expected([client(5)]));
    // An address goes from the peer that has it to the one that gets it.
    let heir = PeerConfig { allowed_ips: client(5).allowed_ips, ..client(7) };
    subject.set(std::slice::from_ref(&heir));
    let robbed = PeerConfig { allowed_ips: Vec::new(), ..client(5) };
    assert_eq!(sorted(subject.device().peers), expected([robbed, heir]));
    subject.configure(&DeviceUpdate { replace_peers: true, ..DeviceUpdate::default() });
    assert_eq!(subject.device().peers, []);
}

/// Many peers, and a peer with many networks: both take several messages to the kernel and back.
pub(crate) fn many_peers_are_handled(
    wireguard: &dyn WireGuard,
    name: &InterfaceName,
    backend: Backend,
    count: u32,
) {
    let subject = Subject { wireguard, name, backend };
    let all: Vec<PeerConfig> = (0..count).map(client).collect();
    let first = DeviceUpdate {
        private_key: Some(PrivateKey::from_random([9; 32])),
        listen_port: Some(51821),
        replace_peers: true,
        ..setting(&all)
    };
    let start = Instant::now();
    subject.configure(&first);
    subject.figure(&format!("setting {count} peers"), start.elapsed());
    let start = Instant::now();
    let device = wireguard.device(name, backend).unwrap().unwrap();
    subject.figure(&format!("reading {count} peers"), start.elapsed());
    assert_eq!(in_words_of_wg(&device), told_by_wg(name));
    assert_eq!(sorted(device.peers), expected(all.clone()));

    let middle = count / 2;
    let read_one = || drop(wireguard.peers(name, backend, &[public_key(middle)]).unwrap().unwrap());
    subject.figure("reading one of them", median(9, read_one));
    assert_eq!(subject.peers(&[middle]), expected([all[middle as usize].clone()]));
    let add_and_remove = || {
        subject.set(&[client(count)]);
        subject.remove([count]);
    };
    subject.figure("adding and removing one", median(9, add_and_remove));
    subject.figure("changing nothing", median(9, || subject.configure(&DeviceUpdate::default())));
    a_wide_peer_is_handled(&subject, all);

    let start = Instant::now();
    subject.remove(0..count);
    subject.figure(&format!("removing {count} peers by their keys"), start.elapsed());
    assert_eq!(subject.device().peers, []);
}

/// One peer gets thousands of networks, in the middle of others, and loses them again.
fn a_wide_peer_is_handled(subject: &Subject<'_>, mut peers: Vec<PeerConfig>) {
    let network = |text: String| text.parse::<IpNetwork>().unwrap();
    let mut wide = client(1);
    wide.allowed_ips =
        (0..5000_u32).map(|i| network(format!("172.{}.{}.0/24", 16 + i / 256, i % 256))).collect();
    wide.allowed_ips.extend((0..1000_u32).map(|i| network(format!("2001:db8:{i:x}::/48"))));
    subject.set(&[client(0), wide.clone(), client(2)]);
    peers[1] = wide.clone();
    assert_eq!(sorted(subject.device().peers), expected(peers.clone()));
    assert_eq!(subject.peers(&[1]), expected([wide]));
    subject.set(&[client(1)]);
    peers[1] = client(1);
    assert_eq!(sorted(subject.device().peers), expected(peers));
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
        // Setting a peer again keeps session and counters.
        let before = wireguard.device(name, backend).unwrap().unwrap().peers.remove(0);
        let again =
            DeviceUpdate { peers: vec![PeerUpdate::Set(before.config.clone())], ..DeviceUpdate::default() };
        wireguard.configure(name, backend, &again).unwrap();
        let after = wireguard.device(name, backend).unwrap().unwrap().peers.remove(0);
        assert_eq!((after.last_handshake, &after.config), (before.last_handshake, &before.config));
        assert!(after.rx_bytes >= before.rx_bytes && after.tx_bytes >= before.tx_bytes);
    }
}
