//! The monitor of the exit as a process of its own, and the block that is put in force before there is a network.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::ping::Steady;
use crate::traffic::udp_seen_as;
use crate::world::{At, INTERNET, SERVER, World, api, in_world_with, note, wait_for};

/// What the tests here need beside the rest.
const PROGRAMS: [&str; 2] = ["wireguard-go", "conntrack"];
/// Addresses of the exits on the Internet.
const EXITS: [&str; 2] = ["198.51.101.9", "198.51.101.10"];

/// Runs a test in a world with two exits, imported as `uk` and `nl`, and one client. What a client sends to the Internet
/// by the server's own uplink is counted.
fn with_exits(test: &str, body: impl FnOnce(&World)) {
    in_world_with(test, &PROGRAMS, |world| {
        for (n, address) in (1..).zip(EXITS) {
            start_exit(world, n, address);
        }
        world.setup();
        let anna = world.add("anna");
        world.connect(At::Client1, &anna);
        world.reaches(At::Client1, "10.8.0.1");
        for (name, n) in [("uk", 1), ("nl", 2)] {
            let (file, name) = (format!("config_path=/etc/exit{n}.conf"), format!("custom_name={name}"));
            world.ok(&["multihop", "import_vpn_config", &file, &name]);
        }
        world.sh(&format!(
            "nft 'add table inet observer
               add chain inet observer out {{ type filter hook postrouting priority 400; }}
               add rule inet observer out oifname eth0 ip daddr {INTERNET} counter'"
        ));
        body(world);
    });
}

/// A foreign WireGuard with source NAT in a namespace of its own; the file of its client is in `/etc`.
fn start_exit(world: &World, n: u8, address: &str) {
    world.sh(&format!(
        "umask 077; ns=exit{n}; ip netns add $ns; ip -n $ns link set lo up; mkdir -p /etc/netns/$ns
         ip link add e{n} netns isp type veth peer name eth0 netns $ns
         ip -n isp link set e{n} up; ip -n isp addr add 198.51.101.1/32 dev e{n}
         ip -n $ns addr add {address}/32 dev eth0; ip -n $ns link set eth0 up
         ip -n isp route add {address}/32 dev e{n}
         ip -n $ns route add 198.51.101.1 dev eth0; ip -n $ns route add default via 198.51.101.1
         wg genkey > /etc/exit{n}.key; wg genkey > /etc/exit{n}.client
         ip netns exec $ns sysctl -qw net.ipv4.ip_forward=1
         ip netns exec $ns wireguard-go wgx{n} >/dev/null 2>&1
         ip netns exec $ns wg set wgx{n} listen-port 51821 private-key /etc/exit{n}.key \\
           peer $(wg pubkey < /etc/exit{n}.client) allowed-ips 10.99.{n}.2/32
         ip -n $ns addr add 10.99.{n}.1/24 dev wgx{n}; ip -n $ns link set wgx{n} up mtu 1380
         ip netns exec $ns nft 'add table ip nat
           add chain ip nat post {{ type nat hook postrouting priority 100; }}
           add rule ip nat post oifname eth0 ip saddr 10.99.{n}.0/24 masquerade'
         cat > /etc/exit{n}.conf <<X
[Interface]
PrivateKey = $(cat /etc/exit{n}.client)
Address = 10.99.{n}.2/24
MTU = 1380
[Peer]
PublicKey = $(wg pubkey < /etc/exit{n}.key)
AllowedIPs = 0.0.0.0/0
Endpoint = {address}:51821
X"
    ));
}

/// Nothing reaches the exit any more, or everything again.
fn blackhole(world: &World, n: u8, on: bool) {
    world.sh(&format!("ip -n isp link set e{n} {}", if on { "down" } else { "up" }));
    if !on {
        world.sh(&format!("ip -n isp route replace {}/32 dev e{n}", EXITS[usize::from(n) - 1]));
    }
}

/// How many packets of clients left by the uplink.
fn escaped(world: &World) -> String {
    let rule = world.sh("nft list chain inet observer out");
    rule.split_once("counter packets ").unwrap().1.split(' ').next().unwrap().to_owned()
}

fn status(world: &World) -> Value {
    world.ok(&["multihop", "status"])
}

fn events(world: &World) -> Vec<Value> {
    let log = world.ok(&["multihop", "get_session_log", "lines=1000"]);
    log["logs"].as_array().unwrap().iter().map(|record| record["event"].clone()).collect()
}

#[test]
fn a_dead_exit_is_replaced_by_the_next_one() {
    with_exits("monitor::a_dead_exit_is_replaced_by_the_next_one", |world| {
        assert_eq!(udp_seen_as(At::Client1), SERVER);
        world.ok(&["multihop", "enable_multihop", "exit_name=uk", "fallback_exits=nl"]);
        assert_eq!(udp_seen_as(At::Client1), EXITS[0]);
        let pid = status(world)["monitor_status"]["pid"].clone();
        let before = escaped(world);
        let pings = Steady::start(At::Client1, INTERNET, Duration::from_millis(50));
        assert!(wait_for(Duration::from_secs(20), || pings.sent() > 20));
        blackhole(world, 1, true);
        let began = Instant::now();
        let replaced = wait_for(Duration::from_mins(1), || status(world)["active_exit"] == "nl");
        let took = began.elapsed();
        assert!(replaced, "{:#?}", events(world));
        note("monitor", &format!("an exit was replaced after {:.1} s", took.as_secs_f64()));
        assert!(took < Duration::from_secs(30), "{took:?}");
        assert_eq!(udp_seen_as(At::Client1), EXITS[1]);
        let (sent, answered) = pings.stop();
        assert!(answered > 0 && answered < sent, "{answered} of {sent}");
        assert_eq!(escaped(world), before, "packets of a client left by the uplink");
        world.in_sync();
        let now = status(world);
        assert_eq!((&now["kill_switch"], &now["monitor_status"]["pid"]), (&json!(true), &pid), "{now:#}");
        let log = events(world);
        let at = |event: &str| log.iter().position(|one| one == event);
        assert!(at("handshake_lost").is_some() && at("handshake_lost") < at("exit_switched"), "{log:?}");
        // The chosen one is still the chosen one: it is tried, and not taken back before it has proven itself.
        blackhole(world, 1, false);
        assert!(api().args(["service", "try", "uk"]).output().unwrap().status.success());
        assert_eq!(status(world)["active_exit"], "nl");
        world.in_sync();
        assert!(api().args(["service", "turn", "uk"]).output().unwrap().status.success());
        assert_eq!(udp_seen_as(At::Client1), EXITS[0]);
        assert_eq!(escaped(world), before);
        world.in_sync();
    });
}

#[test]
fn a_link_that_is_deleted_is_brought_back_and_nothing_leaves_meanwhile() {
    with_exits("monitor::a_link_that_is_deleted_is_brought_back_and_nothing_leaves_meanwhile", |world| {
        world.ok(&["multihop", "enable_multihop", "exit_name=uk"]);
        let before = escaped(world);
        let pings = Steady::start(At::Client1, INTERNET, Duration::from_millis(50));
        assert!(wait_for(Duration::from_secs(20), || pings.sent() > 20));
        world.sh("ip link del wg_vpn");
        assert_eq!(status(world)["vpn_interface"]["active"], false);
        let began = Instant::now();
        let back =
            || status(world)["vpn_interface"]["active"] == true && udp_seen_as(At::Client1) == EXITS[0];
        assert!(wait_for(Duration::from_mins(1), back), "{:#?}", events(world));
        note("monitor", &format!("the link was back after {:.1} s", began.elapsed().as_secs_f64()));
        pings.stop();
        assert_eq!(escaped(world), before, "packets of a client left by the uplink");
        world.in_sync();
    });
}

#[test]
fn without_the_monitor_the_way_stays_closed_and_status_says_so() {
    with_exits("monitor::without_the_monitor_the_way_stays_closed_and_status_says_so", |world| {
        world.ok(&["multihop", "enable_multihop", "exit_name=uk"]);
        let before = escaped(world);
        let pid = status(world)["monitor_status"]["pid"].as_u64().unwrap();
        world.sh(&format!("kill -9 {pid}"));
        let gone = || status(world)["monitor_status"]["monitoring"] == false;
        assert!(wait_for(Duration::from_secs(10), gone));
        assert_eq!(udp_seen_as(At::Client1), EXITS[0], "the way needs no monitor");
        world.sh("ip link del wg_vpn");
        world.does_not_reach(At::Client1, INTERNET);
        assert_eq!(escaped(world), before);
        world.ok(&["core", "reconcile"]);
        let now = status(world);
        let (monitoring, new) = (&now["monitor_status"]["monitoring"], &now["monitor_status"]["pid"]);
        assert!(*monitoring == true && *new != json!(pid), "{now:#}");
        assert_eq!(udp_seen_as(At::Client1), EXITS[0]);
        world.in_sync();
    });
}

#[test]
fn the_block_stands_from_the_stored_state_alone() {
    with_exits("monitor::the_block_stands_from_the_stored_state_alone", |world| {
        let block = || {
            let output = api().args(["service", "block"]).output().unwrap();
            assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
        };
        let way = || {
            world.sh("ip rule; ip -6 rule; ip route show table 100 2>/dev/null || true; ip -6 route show table 100 2>/dev/null || true
                 nft list table inet phantom_wg 2>/dev/null || true")
        };
        let direct = way();
        block();
        assert_eq!(way(), direct, "there is nobody to keep in");
        world.ok(&["multihop", "enable_multihop", "exit_name=uk"]);
        let before = escaped(world);
        // As after a boot: nothing of ours is there but what is stored.
        world.sh(
            "for f in /run/phantom-wg/*.pid; do kill -9 $(cut -d' ' -f1 $f) 2>/dev/null || true; done; rm -f /run/phantom-wg/*.pid
             ip link del wg_vpn 2>/dev/null || true; nft delete table inet phantom_wg
             for p in 99 100; do ip rule del priority $p; done; ip route flush table 100; ip -6 route flush table 100",
        );
        block();
        let once = way();
        let parts = ["99:", "100:", "unreachable default", "drop"];
        assert!(parts.iter().all(|part| once.contains(part)), "{once}");
        assert!(!once.contains("dev wg_vpn"), "{once}");
        block();
        assert_eq!(way(), once, "a second time it has nothing to do");
        assert_eq!(
            world.sh("ip -br link show wg_vpn 2>/dev/null || echo none").trim(),
            "none",
            "it made a link"
        );
        world.ok(&["core", "reconcile"]);
        assert!(wait_for(Duration::from_secs(20), || udp_seen_as(At::Client1) == EXITS[0]));
        assert_eq!(escaped(world), before);
        world.in_sync();
    });
}
