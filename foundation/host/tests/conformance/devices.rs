//! WireGuard devices.

use std::time::Duration;

use ipnetwork::IpNetwork;
use phantom_host::{
    Command, Device, DeviceUpdate, Host, Link, LinkChange, LinkKind, Peer, PeerConfig, PeerUpdate, Port,
    Protocol, ServiceState, Unit, UnitKind,
};
use phantom_types::{Backend, InterfaceName, PresharedKey, PrivateKey, PublicKey};

use crate::bench::{Bench, kind, main_routes, name, network};
use crate::services::unit;

const WAIT: Duration = Duration::from_secs(20);
const BOTH: [Backend; 2] = [Backend::Kernel, Backend::Embedded];

fn key(number: u8) -> PublicKey {
    PrivateKey::from_random([number; 32]).public_key()
}

fn peer(number: u8, allowed: &[&str]) -> PeerConfig {
    PeerConfig {
        public_key: key(number),
        preshared_key: None,
        endpoint: None,
        keepalive: None,
        allowed_ips: allowed.iter().map(|text| network(text)).collect(),
    }
}

fn update(peers: Vec<PeerUpdate>) -> DeviceUpdate {
    DeviceUpdate { peers, ..DeviceUpdate::default() }
}

fn set(configs: &[PeerConfig]) -> DeviceUpdate {
    update(configs.iter().cloned().map(PeerUpdate::Set).collect())
}

/// What is not there, and what is not WireGuard.
pub(crate) fn absent(bench: &Bench) {
    let wireguard = &bench.host.wireguard;
    bench.lab.add_tun("cft0");
    for interface in ["cfwg0", "cft0", "lo"] {
        for backend in BOTH {
            assert_eq!(wireguard.device(&name(interface), backend).unwrap(), None, "{interface} {backend}");
            assert_eq!(wireguard.peers(&name(interface), backend, &[key(1)]).unwrap(), None);
            let changed = wireguard.configure(&name(interface), backend, &set(&[peer(1, &[])]));
            assert_eq!(kind(changed), "absent", "{interface} {backend}");
        }
    }
    if !wireguard.kernel_available().unwrap() {
        assert_eq!(kind(wireguard.create(&name("cfwg0"))), "unsupported");
    }
}

/// The kernel's own, where it has it.
pub(crate) fn kernel(bench: &Bench) {
    let Host { wireguard, network: links, sockets, .. } = &bench.host;
    let cfwg0 = name("cfwg0");
    bench.lab.want_kernel_wireguard();
    if !wireguard.kernel_available().unwrap() {
        return bench.lab.skip("the kernel has no WireGuard");
    }
    wireguard.create(&cfwg0).unwrap();
    assert_eq!(kind(wireguard.create(&cfwg0)), "kernel EEXIST");
    let link = links.link(&cfwg0).unwrap().unwrap();
    let fresh = Link { kind: LinkKind::WireGuard, up: false, mtu: 1420, alias: None, ..link.clone() };
    assert_eq!(link, fresh);
    assert_eq!(wireguard.device(&cfwg0, Backend::Kernel).unwrap(), Some(Device::default()));
    assert_eq!(wireguard.device(&cfwg0, Backend::Embedded).unwrap(), None);

    configuring(bench, Backend::Kernel, "cfwg0");

    // Its port is open while it is up.
    let port = Port { protocol: Protocol::Udp, number: 51820 };
    assert!(!sockets.bound(port).unwrap());
    let program = bench.lab.bind(port);
    let up = |up| LinkChange { up: Some(up), ..LinkChange::default() };
    assert_eq!(kind(links.set_link(&cfwg0, &up(true))), "kernel EADDRINUSE");
    drop(program);
    links.set_link(&cfwg0, &up(true)).unwrap();
    assert!(sockets.bound(port).unwrap());
    links.set_link(&cfwg0, &up(false)).unwrap();
    assert!(!sockets.bound(port).unwrap());

    // No peer of itself.
    let before = wireguard.device(&cfwg0, Backend::Kernel).unwrap().unwrap();
    wireguard.configure(&cfwg0, Backend::Kernel, &set(&[peer(99, &["10.9.9.9/32"])])).unwrap();
    assert_eq!(wireguard.device(&cfwg0, Backend::Kernel).unwrap().unwrap().peers.len(), before.peers.len());
    links.delete_link(&cfwg0).unwrap();
    assert_eq!(wireguard.device(&cfwg0, Backend::Kernel).unwrap(), None);
}

fn device_unit(bench: &Bench, interface: &str) -> Unit {
    let run = Command { program: bench.host.programs.device.clone(), args: vec![interface.into()] };
    unit(&format!("cf-device-{interface}"), UnitKind::Daemon { run, after_start: None, after_stop: None })
}

/// The embedded one: a service whose process makes the link, which outlives the process.
pub(crate) fn embedded(bench: &Bench) {
    let Host { wireguard, network: links, services, sockets, .. } = &bench.host;
    if !bench.lab.has_device_program(&bench.host.programs) {
        return bench.lab.skip("phantom-wg-device is not built");
    }
    let cfwg0 = name("cfwg0");
    let unit = device_unit(bench, "cfwg0");
    let device = || wireguard.device(&cfwg0, Backend::Embedded).unwrap();
    services.start(&unit, WAIT).unwrap();
    let link = links.link(&cfwg0).unwrap().unwrap();
    assert_eq!(link, Link { kind: LinkKind::Tun, up: false, mtu: 1420, alias: None, ..link.clone() });
    assert_eq!(device(), Some(Device::default()), "an empty device");
    assert_eq!(wireguard.device(&cfwg0, Backend::Kernel).unwrap(), None);
    ports_of_an_embedded_device(bench, &cfwg0);
    let change = LinkChange { up: Some(true), mtu: None, alias: Some("phantom-wg".into()) };
    links.set_link(&cfwg0, &change).unwrap();
    links.add_address(&cfwg0, network("10.8.0.1/24")).unwrap();

    configuring(bench, Backend::Embedded, "cfwg0");
    let port = Port { protocol: Protocol::Udp, number: 51820 };
    assert!(sockets.bound(port).unwrap());

    // Without its process: the link with all it has, but no device.
    services.stop(&unit, WAIT).unwrap();
    assert_eq!(device(), None);
    assert!(!sockets.bound(port).unwrap());
    assert_eq!(kind(wireguard.configure(&cfwg0, Backend::Embedded, &set(&[]))), "absent");
    let same = Link { up: true, alias: Some("phantom-wg".into()), ..link };
    assert_eq!(links.link(&cfwg0).unwrap(), Some(same.clone()));
    assert_eq!(main_routes(bench, "cfwg0"), ["10.8.0.0/24 10.8.0.1"]);

    // A new process takes the same link, and begins empty.
    services.start(&unit, WAIT).unwrap();
    assert_eq!(device(), Some(Device::default()));
    assert_eq!(links.link(&cfwg0).unwrap(), Some(same));
    assert_eq!(main_routes(bench, "cfwg0"), ["10.8.0.0/24 10.8.0.1"]);

    // Without its link the process has nothing to do.
    links.delete_link(&cfwg0).unwrap();
    bench.lab.wait_until(&|| services.status(&unit.name).unwrap().state == ServiceState::Inactive);
    assert_eq!(device(), None);
    services.start(&unit, WAIT).unwrap();
    assert!(links.link(&cfwg0).unwrap().is_some());
    services.uninstall(&unit.name).unwrap();
}

/// Its port is open from the moment it has a key, be its link up or down.
fn ports_of_an_embedded_device(bench: &Bench, interface: &InterfaceName) {
    let Host { wireguard, sockets, .. } = &bench.host;
    let listen = |listen_port, private_key: Option<[u8; 32]>| {
        let private_key = private_key.map(PrivateKey::from_random);
        let update = DeviceUpdate { listen_port, private_key, ..DeviceUpdate::default() };
        wireguard.configure(interface, Backend::Embedded, &update)
    };
    let of_device = || wireguard.device(interface, Backend::Embedded).unwrap().unwrap().listen_port;
    let port = |number| Port { protocol: Protocol::Udp, number };
    let program = bench.lab.bind(port(51822));
    listen(Some(51822), None).unwrap();
    assert_eq!(of_device(), 51822, "only a number as yet");
    assert_eq!(kind(listen(None, Some([1; 32]))), "kernel EADDRINUSE");
    drop(program);
    listen(None, Some([1; 32])).unwrap();
    assert!(sockets.bound(port(51822)).unwrap());
    let program = bench.lab.bind(port(51823));
    assert_eq!(kind(listen(Some(51823), None)), "kernel EADDRINUSE");
    assert_eq!(of_device(), 51822, "it keeps the one it has");
    drop(program);
    listen(Some(51823), None).unwrap();
    assert!(sockets.bound(port(51823)).unwrap());
    bench.lab.wait_until(&|| !sockets.bound(port(51822)).unwrap());
    listen(Some(0), None).unwrap();
    let chosen = of_device();
    assert!(chosen != 0 && chosen != 51823 && sockets.bound(port(chosen)).unwrap());
}

fn sorted(peers: Vec<Peer>) -> Vec<PeerConfig> {
    let mut configs: Vec<_> = peers.into_iter().map(|peer| peer.config).collect();
    for config in &mut configs {
        config.allowed_ips.sort();
    }
    configs.sort_by_key(|config| config.public_key);
    configs
}

/// Changes of a device, the same for both. It has private key 99, port 51820 and some peers at the end.
fn configuring(bench: &Bench, backend: Backend, interface: &str) {
    let wireguard = &bench.host.wireguard;
    let interface = name(interface);
    let apply = |update: &DeviceUpdate| wireguard.configure(&interface, backend, update).unwrap();
    let peers = || sorted(wireguard.device(&interface, backend).unwrap().unwrap().peers);
    let expect = |mut configs: Vec<PeerConfig>| {
        configs.sort_by_key(|config| config.public_key);
        assert_eq!(peers(), configs);
    };
    settings(bench, backend, &interface);

    let full = PeerConfig {
        preshared_key: Some(PresharedKey::from_bytes([5; 32])),
        endpoint: Some("192.0.2.7:4500".parse().unwrap()),
        keepalive: Some(25),
        ..peer(1, &["10.8.0.2/32", "fd08::2/128"])
    };
    let sixth =
        PeerConfig { endpoint: Some("[2001:db8::7]:4500".parse().unwrap()), ..peer(2, &["0.0.0.0/0"]) };
    apply(&set(&[full.clone(), sixth.clone(), peer(3, &[])]));
    expect(vec![full.clone(), sixth.clone(), peer(3, &[])]);
    let some = wireguard.peers(&interface, backend, &[key(2), key(9), key(2)]).unwrap().unwrap();
    assert_eq!(sorted(some), std::slice::from_ref(&sixth), "those that are there, each once");
    assert_eq!(wireguard.peers(&interface, backend, &[]).unwrap(), Some(vec![]));

    // Exactly this set-up, but an end point that is not given stays. Host bits do not count.
    let bare = PeerConfig { endpoint: None, ..peer(1, &["10.8.0.9/24"]) };
    apply(&set(std::slice::from_ref(&bare)));
    let masked: Vec<IpNetwork> = vec![network("10.8.0.0/24")];
    let bare = PeerConfig { endpoint: full.endpoint, allowed_ips: masked, ..bare };
    expect(vec![bare.clone(), sixth.clone(), peer(3, &[])]);

    // What is allowed to one is taken from the other.
    apply(&set(&[peer(3, &["10.8.0.0/24", "0.0.0.0/0"])]));
    let without = |config: &PeerConfig| PeerConfig { allowed_ips: vec![], ..config.clone() };
    expect(vec![without(&bare), without(&sixth), peer(3, &["0.0.0.0/0", "10.8.0.0/24"])]);

    // In order; one that is not there can be removed.
    let changes = vec![
        PeerUpdate::Remove(key(3)),
        PeerUpdate::Remove(key(9)),
        PeerUpdate::Set(peer(3, &["10.8.0.4/32"])),
        PeerUpdate::Remove(key(2)),
    ];
    apply(&update(changes));
    expect(vec![without(&bare), peer(3, &["10.8.0.4/32"])]);
    apply(&DeviceUpdate { replace_peers: true, ..set(&[peer(4, &["10.8.0.5/32"])]) });
    expect(vec![peer(4, &["10.8.0.5/32"])]);
}

/// What is the device's own.
fn settings(bench: &Bench, backend: Backend, interface: &InterfaceName) {
    let wireguard = &bench.host.wireguard;
    let apply = |update: &DeviceUpdate| wireguard.configure(interface, backend, update).unwrap();
    let private_key = PrivateKey::from_random([99; 32]);
    let settings = DeviceUpdate {
        private_key: Some(private_key.clone()),
        listen_port: Some(51820),
        fwmark: Some(7),
        ..DeviceUpdate::default()
    };
    apply(&settings);
    apply(&DeviceUpdate::default());
    let device = wireguard.device(interface, backend).unwrap().unwrap();
    let expected = Device { private_key: Some(private_key), listen_port: 51820, fwmark: 7, peers: vec![] };
    assert_eq!(device, expected, "what is not named stays");
    apply(&DeviceUpdate { fwmark: Some(0), ..DeviceUpdate::default() });
    assert_eq!(wireguard.device(interface, backend).unwrap().unwrap().fwmark, 0);
}
