//! Exits whose name has several addresses, and several exits that are one server.

use std::time::{Duration, Instant};

use super::lab::{EXIT, MOVED, blackhole, enable, status_is_true, with_exits};
use super::load::{listen, nothing_escapes};
use crate::ping::ping;
use crate::traffic::udp_seen_as;
use crate::world::{At, INTERNET, TestNet, note, wait_for};

/// An address at which nobody is.
const NOBODY: &str = "198.51.101.200";
/// The first exit, by IPv6.
const SIX: &str = "2001:db8:9::9";
/// A dead address is noticed, and another one found.
const FOUND: Duration = Duration::from_mins(1);
/// What a switch may take that has to wait for nothing.
const SWITCH: Duration = Duration::from_secs(2);

/// The first exit has a second address.
fn second_address(world: &TestNet) {
    world.sh(&format!("ip -n exit1 addr add {MOVED}/32 dev eth0; ip -n isp route add {MOVED}/32 dev e1"));
}

/// The server's file of names says that `exit.example.org` has these addresses.
fn name_leads_to(world: &TestNet, addresses: &[&str]) {
    let lines: Vec<String> = addresses.iter().map(|at| format!("{at} exit.example.org\\n")).collect();
    world.sh(&format!(
        "grep -v exit.example.org /etc/hosts > /etc/hosts.new || true
         printf '{}' >> /etc/hosts.new; mv /etc/hosts.new /etc/hosts",
        lines.concat()
    ));
}

/// The file of the first exit, with another end point, as an exit of this name.
fn import(world: &TestNet, name: &str, endpoint: &str) {
    world.sh(&format!("sed 's/^Endpoint.*/Endpoint = {endpoint}/' /etc/exit1.conf > /etc/{name}.conf"));
    let (path, name) = (format!("config_path=/etc/{name}.conf"), format!("custom_name={name}"));
    world.ok(&["multihop", "import_vpn_config", &path, &name]);
}

/// Where the exit in use is sought.
fn sought(world: &TestNet) -> String {
    world.ok(&["multihop", "status"])["vpn_interface"]["endpoint"].as_str().unwrap_or_default().to_owned()
}

/// How often something is in the session's log.
fn logged(world: &TestNet, event: &str) -> usize {
    let log = world.ok(&["multihop", "get_session_log", "lines=200"]);
    log["logs"].as_array().unwrap().iter().filter(|one| one["event"] == event).count()
}

/// Waits until a client reaches the Internet by the exit that is sought there.
#[track_caller]
fn moves_to(world: &TestNet, what: &str, at: &str) {
    let began = Instant::now();
    // Without anything that clients send nobody would ask the exit for two minutes.
    let found = wait_for(FOUND, || ping(At::Client2, INTERNET, 1) && sought(world) == at);
    assert!(found, "{what}: sought at {}\n{}", sought(world), world.picture());
    note("multihop", &format!("{what}: after {:.1} s", began.elapsed().as_secs_f64()));
}

#[test]
fn every_address_of_a_name_is_tried() {
    with_exits("multihop::addresses::every_address_of_a_name_is_tried", |world| {
        listen();
        second_address(world);
        world.sh(&format!("ip -n isp route add blackhole {NOBODY}/32"));
        name_leads_to(world, &[NOBODY, EXIT, MOVED]);
        import(world, "named", "exit.example.org:51821");
        // From none, and from another exit.
        for from in ["none", "nl"] {
            let began = Instant::now();
            let enabled = enable(world, "named");
            assert_eq!(
                enabled["traffic_flow"],
                format!("Clients → Phantom → VPN Exit ({EXIT}:51821)"),
                "{from}"
            );
            assert!(began.elapsed() < Duration::from_secs(15), "{from}: {:?}", began.elapsed());
            assert_eq!(udp_seen_as(At::Client1), EXIT);
            world.in_sync();
            if from == "none" {
                enable(world, "nl");
            }
        }
        // The address in use dies, with nobody to take its place and with somebody who could.
        let (first, second) = (format!("{EXIT}:51821"), format!("{MOVED}:51821"));
        nothing_escapes(world, "address-dead", || {
            blackhole(world, 1, true);
            moves_to(world, "the next address", &second);
        });
        status_is_true(world, "named");
        world.in_sync();
        blackhole(world, 1, false);
        let words = ["multihop", "enable_multihop", "exit_name=named", "fallback_exits=nl"];
        world.ok(&words);
        assert_eq!(sought(world), second, "it answers there");
        let drop_moved = format!(
            "add table ip gone; add chain ip gone f {{ type filter hook forward priority 0; }};
             add rule ip gone f ip daddr {MOVED} drop; add rule ip gone f ip saddr {MOVED} drop"
        );
        world.sh(&format!("ip netns exec isp nft '{drop_moved}'"));
        let switched = logged(world, "exit_switched");
        moves_to(world, "the next address before another exit", &first);
        status_is_true(world, "named");
        assert_eq!(logged(world, "exit_switched"), switched);
        // All addresses are dead: the other exit.
        name_leads_to(world, &[EXIT, MOVED]);
        nothing_escapes(world, "all-addresses-dead", || {
            blackhole(world, 1, true);
            let replaced = || world.ok(&["multihop", "status"])["active_exit"] == "nl";
            assert!(wait_for(FOUND, replaced), "{}", world.picture());
        });
        world.reaches(At::Client1, INTERNET);
        world.in_sync();
    });
}

#[test]
fn exit_falls_back_from_ipv6_to_ipv4() {
    with_exits("multihop::addresses::exit_falls_back_from_ipv6_to_ipv4", |world| {
        listen();
        world.sh(&format!(
            "ip -n isp addr add 2001:db8:9::1/64 dev e1 nodad; ip -n exit1 addr add {SIX}/64 dev eth0 nodad
             ip -n exit1 -6 route add default via 2001:db8:9::1"
        ));
        name_leads_to(world, &[EXIT, SIX]);
        import(world, "named", "exit.example.org:51821");
        import(world, "six", &format!("[{SIX}]:51821"));
        let six = format!("[{SIX}]:51821");
        for exit in ["named", "six", "uk", "named"] {
            enable(world, exit);
            assert_eq!(sought(world), if exit == "uk" { format!("{EXIT}:51821") } else { six.clone() });
            assert_eq!(udp_seen_as(At::Client1), EXIT);
            world.in_sync();
        }
        // By IPv6 nothing passes any more; at the next enable as well.
        world.sh("ip netns exec isp nft 'add table ip6 gone; add chain ip6 gone f { type filter hook forward priority 0; };
             add rule ip6 gone f udp dport 51821 drop; add rule ip6 gone f udp sport 51821 drop'");
        moves_to(world, "from IPv6 to IPv4", &format!("{EXIT}:51821"));
        world.in_sync();
        world.ok(&["multihop", "disable_multihop"]);
        enable(world, "named");
        assert_eq!(sought(world), format!("{EXIT}:51821"));
        // A server without IPv6 does not try it at first.
        world.ok(&["multihop", "disable_multihop"]);
        world.sh("ip -6 route del default");
        let began = Instant::now();
        enable(world, "named");
        assert_eq!(sought(world), format!("{EXIT}:51821"));
        note("multihop", &format!("without IPv6: {:.1} s", began.elapsed().as_secs_f64()));
    });
}

#[test]
fn switch_within_one_server_is_immediate() {
    with_exits("multihop::addresses::switch_within_one_server_is_immediate", |world| {
        listen();
        second_address(world);
        import(world, "copy", &format!("{EXIT}:51821"));
        import(world, "twin", &format!("{MOVED}:51821"));
        // The same server, of which we are another client.
        world.sh(&format!(
            "umask 077; wg genkey > /etc/exit1.second
             ip netns exec exit1 wg set wgx1 peer $(wg pubkey < /etc/exit1.second) allowed-ips 10.99.1.3/32
             sed \"s|^PrivateKey.*|PrivateKey = $(cat /etc/exit1.second)|; s|^Address.*|Address = 10.99.1.3/24|
               s|^Endpoint.*|Endpoint = {EXIT}:51821|\" /etc/exit1.conf > /etc/second.conf"
        ));
        world.ok(&["multihop", "import_vpn_config", "config_path=/etc/second.conf", "custom_name=second"]);
        enable(world, "uk");
        world.reaches(At::Client1, INTERNET);
        let mut least: std::collections::BTreeMap<&str, Duration> = std::collections::BTreeMap::new();
        // As often as it takes on a busy machine. A handshake that has to be sent again takes five seconds each time.
        for round in 0..6 {
            for to in ["copy", "uk", "twin", "uk", "second", "twin", "nl"] {
                let began = Instant::now();
                enable(world, to);
                let passes = wait_for(FOUND, || ping(At::Client1, INTERNET, 1));
                let took = began.elapsed();
                assert!(passes, "{to}\n{}", world.picture());
                note("multihop", &format!("switch to {to}: {:.2} s until packets pass", took.as_secs_f64()));
                let known = least.entry(to).or_insert(took);
                *known = took.min(*known);
                world.in_sync();
            }
            if round > 0 && least.values().all(|took| *took < SWITCH) {
                break;
            }
        }
        assert!(least.values().all(|took| *took < SWITCH), "{least:?}");
        // One that is refused leaves the one in use with a session that works at once.
        enable(world, "uk");
        world.sh("ip netns exec exit1 sysctl -qw net.ipv4.ip_forward=0");
        let words = ["multihop", "enable_multihop", "exit_name=twin"];
        world.fails(&words, "MULTIHOP_ERROR");
        world.sh("ip netns exec exit1 sysctl -qw net.ipv4.ip_forward=1");
        let began = Instant::now();
        assert!(wait_for(FOUND, || ping(At::Client1, INTERNET, 1)), "{}", world.picture());
        assert!(began.elapsed() < SWITCH, "{:?}", began.elapsed());
        assert_eq!(sought(world), format!("{EXIT}:51821"));
        world.in_sync();
    });
}
