//! The UAPI client against real devices: Debian's `wireguard-go`, and our own where `PHANTOM_DEVICE` names it.

use std::path::Path;

use crate::contract::{a_handshake_is_seen, changes_are_applied, is_absent, many_peers_are_handled};
use crate::namespace::{Daemon, figure, isolated, median, skipped, wait_for};
use crate::words::name;
use phantom_host::WireGuard;
use phantom_host::linux::LinuxWireGuard;
use phantom_types::Backend;

const BACKEND: Backend = Backend::Embedded;

/// Runs `body` with a function that starts a device, for each implementation there is.
fn with_devices(test: &str, body: impl Fn(&dyn Fn(&str) -> Daemon)) {
    isolated(test, || {
        let mut programs = vec![("/usr/bin/wireguard-go".to_owned(), &["-f"][..])];
        match std::env::var("PHANTOM_DEVICE") {
            Ok(ours) => programs.push((ours, &[])),
            Err(_) => skipped(&format!("{test} (our own device)"), "PHANTOM_DEVICE does not name it"),
        }
        for (program, flags) in &programs {
            if !Path::new(program).exists() || !Path::new("/dev/net/tun").exists() {
                skipped(&format!("{test} ({program})"), "the program or /dev/net/tun is not there");
                continue;
            }
            figure("device", program);
            body(&|interface: &str| {
                let daemon = Daemon::start(program, &[flags, &[interface][..]].concat());
                let wireguard = LinuxWireGuard::new();
                wait_for(interface, || {
                    wireguard.device(&name(interface), BACKEND).is_ok_and(|device| device.is_some())
                });
                daemon
            });
        }
    });
}

#[test]
fn changes_arrive_at_the_device() {
    with_devices("uapi::changes_arrive_at_the_device", |start| {
        let wireguard = LinuxWireGuard::new();
        is_absent(&wireguard, &name("wg_t"), BACKEND);
        let mut daemon = start("wg_t");
        changes_are_applied(&wireguard, &name("wg_t"), BACKEND);
        // A process that was killed leaves its socket behind, which refuses.
        daemon.kill();
        is_absent(&wireguard, &name("wg_t"), BACKEND);
    });
}

#[test]
fn ten_thousand_peers() {
    with_devices("uapi::ten_thousand_peers", |start| {
        let _daemon = start("wg_many");
        many_peers_are_handled(&LinuxWireGuard::new(), &name("wg_many"), BACKEND, 10_000);
    });
}

#[test]
fn handshakes_are_told() {
    with_devices("uapi::handshakes_are_told", |start| {
        let _daemons = [start("wg_a"), start("wg_b")];
        a_handshake_is_seen(&LinuxWireGuard::new(), [&name("wg_a"), &name("wg_b")], BACKEND);
    });
}

#[test]
fn a_round_trip_is_short() {
    with_devices("uapi::a_round_trip_is_short", |start| {
        let _daemon = start("wg_fast");
        let wireguard = LinuxWireGuard::new();
        let device = name("wg_fast");
        figure("round trip of a get", median(500, || drop(wireguard.device(&device, BACKEND).unwrap())));
        let update = phantom_host::DeviceUpdate::default();
        figure(
            "round trip of a set",
            median(500, || wireguard.configure(&device, BACKEND, &update).unwrap()),
        );
    });
}

/// The kernel's WireGuard is no embedded device, and a device in user space none of the kernel's.
#[test]
fn the_backends_are_not_mixed_up() {
    with_devices("uapi::the_backends_are_not_mixed_up", |start| {
        let _daemon = start("wg_mix");
        is_absent(&LinuxWireGuard::new(), &name("wg_mix"), Backend::Kernel);
    });
}
