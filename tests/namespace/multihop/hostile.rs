//! A full disk, odd packets, and clients that try to get out.

use std::net::UdpSocket;
use std::time::Duration;

use super::flow::nothing_is_left;
use super::lab::{EXIT, GATEWAY, INTERNET6, enable, status_is_true, with_exits, with_exits_and};
use super::load::{listen, nothing_escapes};
use super::observer::Observer;
use crate::traffic::udp_seen_as;
use crate::world::{At, INTERNET, SERVER, on, wait_for};

#[test]
fn nothing_escapes_while_the_disk_is_full() {
    let test = "multihop::hostile::nothing_escapes_while_the_disk_is_full";
    let small = |world: &crate::world::TestNet| {
        world.sh("mkdir -p /opt/phantom-wg; mount -t tmpfs -o size=3m,mode=755 small /opt/phantom-wg");
        true
    };
    with_exits_and(test, &[], small, |world| {
        listen();
        enable(world, "uk");
        world.sh("dd if=/dev/zero of=/opt/phantom-wg/logs/filler bs=4096 2>/dev/null || true");
        for words in [
            &["multihop", "enable_multihop", "exit_name=nl"][..],
            &["multihop", "disable_multihop"],
            &["multihop", "reset_state"],
            &["multihop", "enable_multihop", "exit_name=uk", "kill_switch=false"],
        ] {
            nothing_escapes(world, &format!("full-{}", words[1..].join("-").replace('=', "-")), || {
                let answer = world.call(words);
                assert_eq!(answer["success"], false, "{words:?}: {answer:#}");
            });
            status_is_true(world, "uk");
        }
        nothing_escapes(world, "full-and-deleted", || {
            drop(world.sh("ip link del wg_vpn; nft flush ruleset"));
        });
        status_is_true(world, "uk");
        // The file of the exit is gone, and there may be no room to write it again: then it stays closed.
        nothing_escapes(world, "full-remove", || {
            let answer = world.call(&["multihop", "remove_vpn_config", "exit_name=uk"]);
            assert_eq!(answer["success"], false, "{answer:#}");
        });
        status_is_true(world, "uk");
        world.sh("rm /opt/phantom-wg/logs/filler");
        world.ok(&["core", "reconcile"]);
        world.in_sync();
        assert_eq!(udp_seen_as(At::Client1), EXIT);
        world.ok(&["multihop", "disable_multihop"]);
        nothing_is_left(world);
    });
}

/// Sends what is odd: fragments, low hop limits, groups, the server's own public address, its gateway, the exit itself,
/// and a source that is not the client's.
fn odd_packets() -> usize {
    let mut count = 0;
    let mut send = |socket: &UdpSocket, data: &[u8], to: &str| {
        count += usize::from(socket.send_to(data, to).is_ok());
    };
    let plain = UdpSocket::bind("0.0.0.0:0").unwrap();
    plain.set_broadcast(true).unwrap();
    for to in [INTERNET, SERVER, GATEWAY, EXIT, "8.8.8.8", "239.1.2.3", "255.255.255.255", "198.18.0.255"] {
        for size in [1, 1200, 4000, 20_000] {
            send(&plain, &vec![7; size], &format!("{to}:7"));
        }
    }
    for ttl in 1..5 {
        plain.set_ttl(ttl).unwrap();
        send(&plain, b"trace", &format!("{INTERNET}:7"));
    }
    let six = UdpSocket::bind("[::]:0").unwrap();
    for to in [INTERNET6, "2001:db8:5::1", "2001:db8:5::5", "ff0e::1234", "2606:4700:4700::1111"] {
        for size in [1, 1200, 4000] {
            send(&six, &vec![7; size], &format!("[{to}]:7"));
        }
    }
    count
}

#[test]
fn odd_packets_do_not_escape() {
    with_exits("multihop::hostile::odd_packets_do_not_escape", |world| {
        let send = || on(At::Client1, odd_packets).join().unwrap();
        // A client may take any address; WireGuard knows one of them only.
        world.sh("ip -n c1 addr add 10.77.0.1/32 dev c1; ip -n c1 addr add 10.8.0.3/32 dev c1");
        let spoof = || {
            on(At::Client1, || {
                for from in ["10.77.0.1:0", "10.8.0.3:0", "192.0.2.2:0"] {
                    let socket = UdpSocket::bind(from).unwrap();
                    let _ = socket.send_to(b"spoofed", format!("{INTERNET}:7"));
                }
            })
            .join()
            .unwrap();
        };
        let look = |name: &str| {
            let observer = Observer::start(world, name);
            assert!(wait_for(Duration::from_secs(10), || send() > 20));
            spoof();
            observer.stop()
        };
        let seen = look("odd-direct");
        assert!(
            seen.count("udp port 7 and not host 192.0.2.2") > 10,
            "the observer must see them without an exit"
        );
        assert!(seen.count("ip[6:2] & 0x1fff != 0") > 0, "and fragments");
        enable(world, "uk");
        for (name, external_change) in
            [("odd", "true"), ("odd-down", "ip link set wg_vpn down"), ("odd-flushed", "nft flush ruleset")]
        {
            world.sh(external_change);
            let seen = look(name);
            let odd = "udp port 7 or (ip[6:2] & 0x1fff != 0 and not net 192.0.2.0/29) or (ip6 and not dst net ff02::/16 and not icmp6)";
            assert_eq!(seen.count(odd), 0, "{name}: {:?}\n{}", seen.escaped(), world.picture());
            assert!(seen.escaped().is_empty(), "{name}: {:?}", seen.escaped());
        }
        status_is_true(world, "uk");
    });
}
