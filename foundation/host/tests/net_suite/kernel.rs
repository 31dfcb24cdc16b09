//! The kernel's WireGuard, where there is one: else everything says so.

use std::path::Path;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use phantom_host::linux::{LinuxNetwork, LinuxWireGuard};
use phantom_host::{DeviceUpdate, HostError, LinkKind, Network, PeerConfig, PeerUpdate, WireGuard};
use phantom_types::Backend;

use crate::contract::{
    a_handshake_is_seen, changes_are_applied, checked, client, is_absent, many_peers_are_handled, public_key,
};
use crate::namespace::{figure, ip, is_isolated, isolated, median, run, skipped};
use crate::words::name;

const BACKEND: Backend = Backend::Kernel;
const MODULE_TEST: &str = "kernel::only_creating_loads_the_module";

/// Runs `body` where the kernel has WireGuard, after the test that wants to see it not loaded.
fn with_kernel(test: &str, body: impl FnOnce(LinuxWireGuard)) {
    if !is_isolated() {
        module_test_once();
    }
    isolated(test, || {
        let wireguard = LinuxWireGuard::new();
        match wireguard.create(&name("wg_probe")) {
            Ok(()) => {
                LinuxNetwork::new().delete_link(&name("wg_probe")).unwrap();
                body(wireguard);
            }
            Err(HostError::Unsupported { .. }) => skipped(test, "this kernel has no WireGuard"),
            Err(error) => panic!("{}", error.chain()),
        }
    });
}

fn module_test_once() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| isolated(MODULE_TEST, only_creating_loads));
}

#[test]
fn only_creating_loads_the_module() {
    if is_isolated() {
        only_creating_loads();
    } else {
        module_test_once();
    }
}

fn only_creating_loads() {
    let loaded = || Path::new("/sys/module/wireguard").exists();
    if loaded() {
        return skipped(MODULE_TEST, "the module is loaded already");
    }
    let wireguard = LinuxWireGuard::new();
    let available = wireguard.kernel_available().unwrap();
    is_absent(&wireguard, &name("wg_main"), BACKEND);
    assert!(!loaded(), "reading and refused changes load nothing");
    match wireguard.create(&name("wg_main")) {
        Ok(()) => {
            figure("the kernel loaded its WireGuard module when it was needed", true);
            assert!(available && loaded());
            assert!(wireguard.kernel_available().unwrap());
            assert!(wireguard.device(&name("wg_main"), BACKEND).unwrap().is_some());
        }
        Err(HostError::Unsupported { .. }) => assert!(!available, "said to be there, but cannot be created"),
        Err(error) => panic!("{}", error.chain()),
    }
}

#[test]
fn interfaces_are_created_once() {
    with_kernel("kernel::interfaces_are_created_once", |wireguard| {
        let (network, wg) = (LinuxNetwork::new(), name("wg_main"));
        assert!(wireguard.kernel_available().unwrap());
        is_absent(&wireguard, &wg, BACKEND);
        wireguard.create(&wg).unwrap();
        let link = network.link(&wg).unwrap().unwrap();
        assert_eq!((link.kind, link.up, link.mtu), (LinkKind::WireGuard, false, 1420));
        let device = checked(&wireguard, &wg, BACKEND);
        assert_eq!((device.private_key, device.listen_port, device.fwmark), (None, 0, 0));
        match wireguard.create(&wg) {
            Err(HostError::Kernel { source, .. }) => assert_eq!(source.raw_os_error(), Some(17), "EEXIST"),
            other => panic!("{other:?}"),
        }
        is_absent(&wireguard, &wg, Backend::Embedded);
        network.delete_link(&wg).unwrap();
        is_absent(&wireguard, &wg, BACKEND);
        // A link of another kind is no device either.
        ip("link add wg_main type veth peer name other");
        is_absent(&wireguard, &wg, BACKEND);
    });
}

#[test]
fn changes_arrive_in_the_kernel() {
    with_kernel("kernel::changes_arrive_in_the_kernel", |wireguard| {
        wireguard.create(&name("wg_t")).unwrap();
        changes_are_applied(&wireguard, &name("wg_t"), BACKEND);
    });
}

#[test]
fn ten_thousand_peers() {
    with_kernel("kernel::ten_thousand_peers", |wireguard| {
        wireguard.create(&name("wg_many")).unwrap();
        many_peers_are_handled(&wireguard, &name("wg_many"), BACKEND, 10_000);
    });
}

#[test]
fn handshakes_are_told() {
    with_kernel("kernel::handshakes_are_told", |wireguard| {
        let names = [name("wg_a"), name("wg_b")];
        for name in &names {
            wireguard.create(name).unwrap();
        }
        a_handshake_is_seen(&wireguard, [&names[0], &names[1]], BACKEND);
    });
}

/// Set when it is dropped, by a panic too: a scope waits for its threads.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Another thread changes the first and the last peer together, always in the same way: no reading sees one of them
/// changed and the other not. The kernel marks dumps that a change came into, and they are begun again.
#[test]
fn a_dump_is_of_one_moment() {
    with_kernel("kernel::a_dump_is_of_one_moment", |wireguard| {
        let wg = name("wg_busy");
        wireguard.create(&wg).unwrap();
        let set = |peers: Vec<PeerUpdate>| DeviceUpdate { peers, ..DeviceUpdate::default() };
        let last = 1000;
        wireguard
            .configure(&wg, BACKEND, &set((0..=last).map(client).map(PeerUpdate::Set).collect()))
            .unwrap();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let _stop_in_the_end = Stop(&stop);
            scope.spawn(|| {
                let writer = LinuxWireGuard::new();
                for round in (1..u16::MAX).cycle() {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let change =
                        |peer| PeerUpdate::Set(PeerConfig { keepalive: Some(round), ..client(peer) });
                    writer.configure(&wg, BACKEND, &set(vec![change(0), change(last)])).unwrap();
                    std::thread::sleep(Duration::from_millis(u64::from(round % 40) * 5));
                }
            });
            let (mut whole, mut given_up) = (0, 0);
            for _ in 0..40 {
                match wireguard.device(&wg, BACKEND) {
                    Ok(device) => {
                        let peers = device.unwrap().peers;
                        let keepalive = |peer| {
                            let found =
                                peers.iter().find(|found| found.config.public_key == public_key(peer));
                            found.unwrap().config.keepalive
                        };
                        assert_eq!((peers.len(), keepalive(0)), (1001, keepalive(last)));
                        whole += 1;
                    }
                    Err(HostError::Unexpected { .. }) => given_up += 1,
                    Err(error) => panic!("{}", error.chain()),
                }
            }
            figure("readings of a busy device: whole, given up", (whole, given_up));
            assert!(whole > 10, "{whole}");
        });
    });
}

#[test]
fn a_round_trip_is_short() {
    with_kernel("kernel::a_round_trip_is_short", |wireguard| {
        let wg = name("wg_fast");
        wireguard.create(&wg).unwrap();
        figure("kernel: round trip of a get", median(100, || drop(wireguard.device(&wg, BACKEND).unwrap())));
        let update = DeviceUpdate::default();
        figure(
            "kernel: round trip of a set",
            median(100, || wireguard.configure(&wg, BACKEND, &update).unwrap()),
        );
        figure(
            "wg show dump, the whole program",
            median(9, || drop(run("wg", &["show", "wg_fast", "dump"]))),
        );
    });
}
