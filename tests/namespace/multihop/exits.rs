//! Exits that go away, move, or are reached by another tunnel.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::lab::{
    EXIT, MOVED, OTHER, blackhole, enable, one_way_hole, start_exit, status_is_true, stop_exit, with_exits,
    with_exits_and,
};
use super::load::{listen, nothing_escapes};
use crate::dns::name_server;
use crate::ghost::{casper, certificate, configuration, connect_ours};
use crate::hung::stop;
use crate::traffic::{fetch, udp_seen_as, web_server};
use crate::world::{At, INTERNET, TestNet, backend, note, wait_for};

/// A true blackhole is to be noticed within this time.
const NOTICED: Duration = Duration::from_secs(20);
/// What an exit may take to be found again: the pauses between attempts grow to half a minute.
const FOUND: Duration = Duration::from_secs(90);

/// The events of the session's log, the oldest first.
fn events(world: &TestNet) -> Vec<String> {
    let log = world.ok(&["multihop", "get_session_log", "lines=200"]);
    log["logs"].as_array().unwrap().iter().map(|one| one["event"].as_str().unwrap().to_owned()).collect()
}

/// How often something is in the log.
fn logged(world: &TestNet, event: &str) -> usize {
    events(world).iter().filter(|one| *one == event).count()
}

#[test]
fn blackholed_exit_is_noticed_and_found_again() {
    with_exits("multihop::exits::blackholed_exit_is_noticed_and_found_again", |world| {
        listen();
        enable(world, "uk");
        for round in 0..3 {
            let before = logged(world, "handshake_lost");
            nothing_escapes(world, &format!("blackhole-{round}"), || {
                // In the last round only the way to the exit is cut off: a keepalive from it may still come after ten
                // seconds (WireGuard, `KEEPALIVE_TIMEOUT`), and counts.
                let limit = if round < 2 {
                    blackhole(world, 1, true);
                    NOTICED
                } else {
                    one_way_hole(world, 1);
                    NOTICED + Duration::from_secs(10)
                };
                let began = Instant::now();
                let noticed = wait_for(NOTICED * 2, || logged(world, "handshake_lost") > before);
                let took = began.elapsed();
                assert!(noticed && took < limit, "noticed after {took:?}: {:?}", events(world));
                note("multihop", &format!("blackhole-{round}: noticed after {:.1} s", took.as_secs_f64()));
            });
            status_is_true(world, "uk");
            nothing_escapes(world, &format!("back-{round}"), || {
                blackhole(world, 1, false);
                let began = Instant::now();
                let found = wait_for(FOUND, || crate::ping::ping(At::Client2, INTERNET, 1));
                assert!(found, "the exit is not found again: {:?}", events(world));
                note(
                    "multihop",
                    &format!("back-{round}: found after {:.1} s", began.elapsed().as_secs_f64()),
                );
            });
            status_is_true(world, "uk");
        }
        world.in_sync();
        // The way to it was never changed.
        assert_eq!(udp_seen_as(At::Client1), EXIT);
    });
}

#[test]
fn exit_is_found_where_name_later_leads() {
    let test = "multihop::exits::exit_is_found_where_name_later_leads";
    let asks = |world: &TestNet| {
        world.sh("rm -f /etc/resolv.conf; echo 'nameserver 8.8.4.4' > /etc/resolv.conf");
        true
    };
    with_exits_and(test, &["dnsmasq", "dig"], asks, |world| {
        listen();
        name_server(world, "8.8.4.4", "exit.example.org", EXIT);
        world.sh("sed 's/^Endpoint.*/Endpoint = exit.example.org:51821/' /etc/exit1.conf > /etc/named.conf");
        world.ok(&["multihop", "import_vpn_config", "config_path=/etc/named.conf", "custom_name=named"]);
        let enabled = enable(world, "named");
        assert_eq!(enabled["traffic_flow"], format!("Clients → Phantom → VPN Exit ({EXIT}:51821)"));
        nothing_escapes(world, "name-gone", || {
            world.sh("pkill -f '[d]nsmasq.*8.8.4.4'");
            stop_exit(world, 1);
            let lost = wait_for(NOTICED * 2, || logged(world, "handshake_lost") > 0);
            assert!(lost, "{:?}", events(world));
        });
        status_is_true(world, "named");
        // Without its name it cannot be enabled again, and what is there stays.
        nothing_escapes(world, "enable-without-name", || {
            let failed = world.fails(&["multihop", "enable_multihop", "exit_name=named"], "MULTIHOP_ERROR");
            assert_eq!(failed["data"]["restored_exit"], "named", "{failed:#}");
        });
        nothing_escapes(world, "moved", || {
            blackhole(world, 1, true);
            start_exit(world, 1);
            world.sh(&format!(
                "ip -n exit1 addr add {MOVED}/32 dev eth0; ip -n isp route add {MOVED}/32 dev e1"
            ));
            name_server(world, "8.8.4.4", "exit.example.org", MOVED);
            let found = wait_for(FOUND, || crate::ping::ping(At::Client2, INTERNET, 1));
            assert!(found, "{:?}\n{}", events(world), world.picture());
        });
        let status = status_is_true(world, "named");
        assert_eq!(status["vpn_interface"]["endpoint"], format!("{MOVED}:51821"), "{status:#}");
        assert_eq!(logged(world, "endpoint_changed"), 1, "{:?}", events(world));
        world.in_sync();
    });
}

#[test]
fn other_exit_replaces_a_dead_one() {
    with_exits("multihop::exits::other_exit_replaces_a_dead_one", |world| {
        listen();
        world.ok(&["multihop", "enable_multihop", "exit_name=uk", "fallback_exits=nl"]);
        for round in 0..2 {
            let (n, from, to, seen) = if round == 0 { (1, "uk", "nl", OTHER) } else { (2, "nl", "uk", EXIT) };
            status_is_true(world, from);
            let switched = logged(world, "exit_switched");
            nothing_escapes(world, &format!("failover-to-{to}"), || {
                blackhole(world, n, true);
                let began = Instant::now();
                let found = wait_for(FOUND, || crate::ping::ping(At::Client2, INTERNET, 1));
                assert!(found, "{:?}\n{}", events(world), world.picture());
                note("multihop", &format!("failover to {to} after {:.1} s", began.elapsed().as_secs_f64()));
            });
            let status = status_is_true(world, to);
            assert_eq!(status["vpn_interface"]["endpoint"], format!("{seen}:51821"), "{status:#}");
            assert_eq!(logged(world, "exit_switched"), switched + 1, "{:?}", events(world));
            assert_eq!(udp_seen_as(At::Client1), seen);
            blackhole(world, n, false);
            world.in_sync();
        }
        // Both dead: closed, until one of them is back.
        nothing_escapes(world, "both-dead", || {
            blackhole(world, 1, true);
            blackhole(world, 2, true);
            assert!(wait_for(NOTICED * 2, || !crate::ping::ping(At::Client2, INTERNET, 1)));
            std::thread::sleep(NOTICED);
        });
        assert_eq!(world.ok(&["multihop", "status"])["kill_switch"], true);
        nothing_escapes(world, "one-is-back", || {
            blackhole(world, 2, false);
            let found = wait_for(FOUND * 2, || crate::ping::ping(At::Client2, INTERNET, 1));
            assert!(found, "{:?}\n{}", events(world), world.picture());
        });
        assert_eq!(udp_seen_as(At::Client1), OTHER);
        world.in_sync();
    });
}

/// Carries datagrams from a port of this host to an exit and back, as a tunnel's client does, until told to stop.
fn relay(port: u16, exit: &'static str) -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let near = UdpSocket::bind(("127.0.0.1", port)).unwrap();
    let far = UdpSocket::bind("0.0.0.0:0").unwrap();
    far.connect((exit, 51821)).unwrap();
    let told = stop.clone();
    std::thread::spawn(move || {
        let pause = Some(Duration::from_millis(100));
        near.set_read_timeout(pause).unwrap();
        far.set_read_timeout(pause).unwrap();
        let (near_too, far_too) = (near.try_clone().unwrap(), far.try_clone().unwrap());
        let ended = told.clone();
        let peer = Arc::new(std::sync::Mutex::new(None));
        let known = peer.clone();
        let back = std::thread::spawn(move || {
            let mut buffer = [0; 2000];
            while !ended.load(Ordering::Relaxed) {
                let Ok(length) = far_too.recv(&mut buffer) else { continue };
                let to = *known.lock().unwrap();
                let _ = to.map(|to| near_too.send_to(&buffer[..length], to));
            }
        });
        let mut buffer = [0; 2000];
        while !told.load(Ordering::Relaxed) {
            let Ok((length, from)) = near.recv_from(&mut buffer) else { continue };
            *peer.lock().unwrap() = Some(from);
            let _ = far.send(&buffer[..length]);
        }
        back.join().unwrap();
    });
    stop
}

#[test]
fn exit_is_reached_through_a_server_tunnel() {
    with_exits("multihop::exits::exit_is_reached_through_a_server_tunnel", |world| {
        listen();
        let seen = web_server(2_000_000);
        let first = relay(40_000, EXIT);
        world.sh("sed 's/^Endpoint.*/Endpoint = 127.0.0.1:40000/' /etc/exit1.conf > /etc/tunnelled.conf");
        let words = ["config_path=/etc/tunnelled.conf", "custom_name=tunnelled"];
        world.ok(&["multihop", "import_vpn_config", words[0], words[1]]);
        let enabled = enable(world, "tunnelled");
        assert_eq!(enabled["traffic_flow"], "Clients → Phantom → VPN Exit (127.0.0.1:40000)");
        assert_eq!(udp_seen_as(At::Client1), EXIT);
        assert_eq!(fetch(At::Client1), 2_000_000);
        assert_eq!(seen.recv().unwrap().ip().to_string(), EXIT);
        assert_eq!(world.ok(&["multihop", "test_vpn"])["all_tests_passed"], true);
        nothing_escapes(world, "tunnel-ended", || {
            first.store(true, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(500));
        });
        status_is_true(world, "tunnelled");
        nothing_escapes(world, "tunnel-back", || {
            relay(40_000, EXIT);
            assert!(wait_for(FOUND, || crate::ping::ping(At::Client2, INTERNET, 1)), "{:?}", events(world));
        });
        nothing_escapes(world, "from-a-tunnel-to-another-exit", || drop(enable(world, "nl")));
        assert_eq!(udp_seen_as(At::Client1), OTHER);
        world.in_sync();
    });
}

#[test]
fn ghost_mode_and_an_exit_together() {
    let test = "multihop::exits::ghost_mode_and_an_exit_together";
    with_exits_and(
        test,
        &["openssl", "ss"],
        |_| true,
        |world| {
            listen();
            certificate(world);
            let words =
                ["cert_path=/etc/ghost/server.pem", "key_path=/etc/ghost/server.key", "skip_dns_check=true"];
            world.ok(&[&["ghost", "enable", "domain=vpn.example.org"][..], &words].concat());
            world.disconnect(At::Client1);
            connect_ours(world, "anna");
            world.connect(At::Client1, &configuration(&casper(world, "anna")));
            world.reaches(At::Client1, "10.8.0.1");
            enable(world, "uk");
            world.in_sync();
            assert_eq!(udp_seen_as(At::Client1), EXIT);
            let seen = web_server(2_000_000);
            assert_eq!(fetch(At::Client1), 2_000_000);
            assert_eq!(seen.recv().unwrap().ip().to_string(), EXIT);
            for (name, external_change) in [
                ("ghost-link-deleted", "ip link del wg_vpn"),
                ("ghost-nft-flushed", "nft flush ruleset"),
                ("ghost-routes-flushed", "ip route flush table 100"),
            ] {
                nothing_escapes(world, name, || drop(world.sh(external_change)));
                world.ok(&["core", "reconcile"]);
                world.in_sync();
                status_is_true(world, "uk");
                assert_eq!(udp_seen_as(At::Client1), EXIT);
            }
            nothing_escapes(world, "ghost-switch", || drop(enable(world, "nl")));
            assert_eq!(udp_seen_as(At::Client1), OTHER);
            // Each goes without the other.
            world.ok(&["ghost", "disable"]);
            assert_eq!(status_is_true(world, "nl")["enabled"], Value::Bool(true));
            world.in_sync();
            world.ok(&["multihop", "disable_multihop"]);
            world.in_sync();
        },
    );
}

#[test]
fn hanging_exit_device_delays_no_client_change() {
    let test = "multihop::exits::hanging_exit_device_delays_no_client_change";
    with_exits(test, |world| {
        if backend() == "kernel" {
            note(test, "the kernel's WireGuard has no process");
            return;
        }
        enable(world, "uk");
        let pid = stop(world, "wg_vpn");
        world.ok(&["core", "add_client", "client_name=new"]);
        world.ok(&["core", "remove_client", "client_name=new"]);
        let refused = world.fails(&["core", "start_service"], "SERVICE_OPERATION_FAILED");
        assert_eq!(refused["data"]["rolled_back"], true, "{refused:#}");
        assert!(refused["error"].as_str().unwrap().contains(&pid), "{refused:#}");
        // Whoever restarts the server does not need its answer.
        world.ok(&["core", "restart_service"]);
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        assert!(state.is_empty() || state.contains(") Z "), "it lives on: {state}");
        assert_eq!(status_is_true(world, "uk")["enabled"], Value::Bool(true));
        world.in_sync();
    });
}
