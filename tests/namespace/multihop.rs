//! Client traffic through an exit, and no other way: every packet of the server's uplink is captured and looked at.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::ping::{Steady, ping};
use crate::traffic::{fetch, udp_seen_as, web_server};
use crate::world::{At, INTERNET, SERVER, World, in_world_with, note, wait_for};

/// What the tests here need beside the rest.
const PROGRAMS: [&str; 3] = ["tcpdump", "wireguard-go", "conntrack"];
/// The address of the exit on the Internet, and of the second one.
const EXIT: &str = "198.51.101.9";
const OTHER: &str = "198.51.101.10";
/// What the server has its uplink to.
const GATEWAY: &str = "203.0.113.1";
/// Size of a file.
const BYTES: usize = 3_000_000;

/// Runs a test in a world with two exits, a server with two clients, and the exits imported as `uk` and `nl`.
fn with_exits(test: &str, body: impl FnOnce(&World)) {
    // Built before the private copies are made.
    if std::env::var_os("PHANTOM_BIN_DIR").is_none() {
        phantom_tests::build(&["-p", "phantom-multihop", "--bins"]);
    }
    in_world_with(test, &PROGRAMS, |world| {
        world.sh("for n in 1 2; do
               ns=exit$n; ip netns add $ns; ip -n $ns link set lo up; mkdir -p /etc/netns/$ns
             done
             ip link add e1 netns isp type veth peer name eth0 netns exit1
             ip link add e2 netns isp type veth peer name eth0 netns exit2
             ip -n isp link set e1 up; ip -n isp link set e2 up
             ip -n exit1 addr add 198.51.101.9/32 dev eth0; ip -n exit1 link set eth0 up
             ip -n exit2 addr add 198.51.101.10/32 dev eth0; ip -n exit2 link set eth0 up
             ip -n isp addr add 198.51.101.1/32 dev e1; ip -n isp addr add 198.51.101.1/32 dev e2
             ip -n isp route add 198.51.101.9/32 dev e1; ip -n isp route add 198.51.101.10/32 dev e2
             for n in 1 2; do
               ip -n exit$n route add 198.51.101.1 dev eth0; ip -n exit$n route add default via 198.51.101.1
             done");
        start_exit(world, 1);
        start_exit(world, 2);
        world.setup();
        let (anna, ben) = (world.add("anna"), world.add("ben"));
        world.connect(At::Client1, &anna);
        world.connect(At::Client2, &ben);
        world.reaches(At::Client1, "10.8.0.1");
        world.reaches(At::Client2, "10.8.0.1");
        for (name, file) in [("uk", "/etc/exit1.conf"), ("nl", "/etc/exit2.conf")] {
            world.ok(&[
                "multihop",
                "import_vpn_config",
                &format!("config_path={file}"),
                &format!("custom_name={name}"),
            ]);
        }
        body(world);
    });
}

/// Starts a foreign WireGuard with source NAT in the namespace of an exit; the file of its client is in `/etc`.
fn start_exit(world: &World, n: u8) {
    world.sh(&format!(
        "umask 077
         [ -e /etc/exit{n}.key ] || {{ wg genkey > /etc/exit{n}.key; wg genkey > /etc/exit{n}.client; }}
         ip netns exec exit{n} sysctl -qw net.ipv4.ip_forward=1
         ip netns exec exit{n} wireguard-go wgx{n} >/dev/null 2>&1
         ip netns exec exit{n} wg set wgx{n} listen-port 51821 private-key /etc/exit{n}.key \\
           peer $(wg pubkey < /etc/exit{n}.client) allowed-ips 10.99.{n}.2/32
         ip -n exit{n} addr add 10.99.{n}.1/24 dev wgx{n}; ip -n exit{n} link set wgx{n} up mtu 1380
         ip netns exec exit{n} nft 'add table ip nat
           add chain ip nat post {{ type nat hook postrouting priority 100; }}
           add rule ip nat post oifname eth0 ip saddr 10.99.{n}.0/24 masquerade'
         cat > /etc/exit{n}.conf <<X
[Interface]
PrivateKey = $(cat /etc/exit{n}.client)
Address = 10.99.{n}.2/24
MTU = 1380
PostUp = touch /etc/owned
[Peer]
PublicKey = $(wg pubkey < /etc/exit{n}.key)
AllowedIPs = 0.0.0.0/0, ::/0
Endpoint = {}:51821
X",
        if n == 1 { EXIT } else { OTHER }
    ));
}

/// Everything that passes the server's uplink, from now on.
struct Observer<'w> {
    world: &'w World,
    file: String,
    pid: u32,
}

impl<'w> Observer<'w> {
    fn start(world: &'w World, name: &str) -> Self {
        let file = format!("/run/{name}.pcap");
        let pid = world.spawn(At::Server, "tcpdump", &["-i", "eth0", "-U", "-w", &file, "-Z", "root", "-q"]);
        assert!(wait_for(Duration::from_secs(10), || Path::new(&file).exists()), "tcpdump does not start");
        // The file is made before the first packet can be captured: the server asks its gateway until that is seen.
        assert!(wait_for(Duration::from_secs(10), || {
            ping(At::Server, GATEWAY, 1);
            !packets(world, &file, &format!("host {GATEWAY}")).is_empty()
        }));
        Self { world, file, pid }
    }

    /// Packets that are no WireGuard of clients or exits, and not of the server and its gateway: what escaped.
    fn escaped(self) -> Vec<String> {
        // What was sent before this answer was captured before it.
        let (world, file) = (self.world, &self.file);
        let last = packets(world, file, &format!("host {GATEWAY}")).len();
        assert!(wait_for(Duration::from_secs(10), || {
            ping(At::Server, GATEWAY, 1);
            packets(world, file, &format!("host {GATEWAY}")).len() > last
        }));
        world.sh(&format!("kill -INT {}", self.pid));
        let wireguard = format!("udp and (port 51820 or (port 51821 and (host {EXIT} or host {OTHER})))");
        // That an exit or a device is not there is reported to the other end; and the kernel joins groups of its link.
        let refusals =
            format!("icmp[icmptype] == icmp-unreach and (host {EXIT} or host {OTHER} or net 192.0.2.0/29)");
        let groups = "ip6 and src net fe80::/10 and dst net ff02::/16";
        let expected = [&wireguard, &refusals, groups, &format!("host {GATEWAY}"), "arp", "icmp6"];
        packets(world, file, &expected.map(|one| format!("not ({one})")).join(" and "))
    }
}

fn packets(world: &World, file: &str, filter: &str) -> Vec<String> {
    let output = world.try_at(At::Server, &format!("tcpdump -nn -r {file} '{filter}' 2>/dev/null"));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// Traffic of all kinds that a client sends while something happens: old and new TCP, UDP, ICMP, questions for names.
struct Flood {
    pings: Steady,
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Flood {
    fn start() -> Self {
        use std::sync::atomic::{AtomicBool, Ordering};
        let stop = std::sync::Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let thread = crate::world::on(At::Client1, move || {
            let udp = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
            let dns = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07example\x03org\0\0\x01\0\x01";
            while !told.load(Ordering::Relaxed) {
                // Refused and unreachable is what is hoped for half of the time.
                let _ = udp.send_to(&[7; 1200], "198.18.0.2:7");
                let _ = udp.send_to(dns, "8.8.8.8:53");
                let target = "198.18.0.2:80".parse().expect("an address");
                let _ = std::net::TcpStream::connect_timeout(&target, Duration::from_millis(60));
            }
        });
        Self { pings: Steady::start(At::Client1, INTERNET, Duration::from_millis(20)), stop, thread }
    }

    fn stop(self) -> (u16, u16) {
        self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        self.thread.join().unwrap();
        self.pings.stop()
    }
}

fn enable(world: &World, exit: &str) -> Value {
    world.ok(&["multihop", "enable_multihop", &format!("exit_name={exit}")])
}

#[test]
fn clients_are_seen_with_the_address_of_the_exit() {
    with_exits("multihop::clients_are_seen_with_the_address_of_the_exit", |world| {
        let seen = web_server(BYTES);
        assert_eq!(udp_seen_as(At::Client1), SERVER, "without an exit clients are seen as the server");
        let began = Instant::now();
        let enabled = enable(world, "uk");
        note("multihop", &format!("enable_multihop took {} ms", began.elapsed().as_millis()));
        assert_eq!(enabled["traffic_flow"], format!("Clients → Phantom → VPN Exit ({EXIT}:51821)"));
        world.in_sync();
        let observer = Observer::start(world, "uk");
        assert_eq!(udp_seen_as(At::Client1), EXIT);
        assert_eq!(fetch(At::Client1), BYTES);
        assert_eq!(seen.recv().unwrap().ip().to_string(), EXIT);
        world.reaches(At::Client1, "10.8.0.3");
        let escaped = observer.escaped();
        assert!(escaped.is_empty(), "{} packets: {:?}", escaped.len(), &escaped[..escaped.len().min(5)]);
        let status = world.ok(&["multihop", "status"]);
        assert_eq!((&status["enabled"], &status["active_exit"]), (&json!(true), &json!("uk")));
        assert_eq!(status["vpn_interface"]["endpoint"], format!("{EXIT}:51821"), "{status:#}");
        assert_eq!(status["monitor_status"]["monitoring"], true);
        let tested = world.ok(&["multihop", "test_vpn"]);
        assert_eq!(tested["all_tests_passed"], true, "{tested:#}");
        assert!(!Path::new("/etc/owned").exists(), "a hook was executed");
        // Again is no interruption; another one is a switch.
        assert_eq!(enable(world, "uk")["previous_exit"], Value::Null);
        let switched = enable(world, "nl");
        assert_eq!(switched["previous_exit"], "uk");
        assert_eq!(udp_seen_as(At::Client1), OTHER);
        world.in_sync();
        let log = world.ok(&["multihop", "get_session_log"]);
        let events: Vec<&str> =
            log["logs"].as_array().unwrap().iter().map(|record| record["event"].as_str().unwrap()).collect();
        assert!(events.starts_with(&["session_started"]) && events.contains(&"exit_switched"), "{events:?}");
        let disabled = world.ok(&["multihop", "disable_multihop"]);
        assert_eq!(
            (&disabled["previous_exit"], &disabled["interface_cleaned"]),
            (&json!("nl"), &json!(true))
        );
        world.in_sync();
        assert_eq!(udp_seen_as(At::Client1), SERVER);
        let left = world.sh("ip link show wg_vpn 2>&1 || true; ip rule; ip route show table 100 2>&1 || true; ls /etc/iproute2/rt_tables.d 2>/dev/null || true");
        assert!(
            left.contains("does not exist") && !left.contains("lookup 100") && !left.contains("phantom"),
            "{left}"
        );
    });
}

/// That nothing escapes while something happens to a server whose clients send all they can; and that it heals.
#[track_caller]
fn nothing_escapes(world: &World, name: &str, event: impl FnOnce()) {
    let observer = Observer::start(world, name);
    let flood = Flood::start();
    assert!(wait_for(Duration::from_secs(20), || flood.pings.sent() > 20));
    event();
    let then = flood.pings.sent();
    assert!(wait_for(Duration::from_mins(1), || flood.pings.sent() > then.saturating_add(25)));
    let (sent, answered) = flood.stop();
    let escaped = observer.escaped();
    let some = &escaped[..escaped.len().min(5)];
    assert!(escaped.is_empty(), "{name}: {} packets escaped: {some:?}\n{}", escaped.len(), world.picture());
    note("multihop", &format!("{name}: nothing escaped; {answered} of {sent} pings answered"));
}

#[test]
fn without_the_kill_switch_the_observer_sees_the_leak() {
    with_exits("multihop::without_the_kill_switch_the_observer_sees_the_leak", |world| {
        let observer = Observer::start(world, "direct");
        ping(At::Client1, INTERNET, 3);
        assert!(
            !observer.escaped().is_empty(),
            "clients without an exit are not seen: the observer is blind"
        );
        let enabled = world.ok(&["multihop", "enable_multihop", "exit_name=uk", "kill_switch=false"]);
        assert_eq!(enabled["kill_switch"], false);
        world.in_sync();
        let observer = Observer::start(world, "open");
        assert_eq!(udp_seen_as(At::Client1), EXIT);
        assert!(observer.escaped().is_empty());
        let observer = Observer::start(world, "leak");
        world.sh("ip link set wg_vpn down");
        ping(At::Client1, INTERNET, 3);
        assert!(!observer.escaped().is_empty(), "with the kill switch off the observer must see the leak");
        // On again: the same exit, and nothing but the wall is changed.
        let enabled = enable(world, "uk");
        assert_eq!((&enabled["kill_switch"], &enabled["previous_exit"]), (&json!(true), &Value::Null));
        nothing_escapes(world, "closed", || drop(world.sh("ip link set wg_vpn down")));
    });
}

#[test]
fn nothing_escapes_whatever_happens_to_the_host() {
    with_exits("multihop::nothing_escapes_whatever_happens_to_the_host", |world| {
        nothing_escapes_at_enable(world);
        for (name, sabotage) in [
            ("link-down", "ip link set wg_vpn down"),
            ("link-deleted", "ip link del wg_vpn"),
            ("routes-flushed", "ip route flush table 100"),
            ("unreachable-gone", "ip route flush table 100 type unreachable"),
            ("rules-flushed", "ip rule del pref 100; ip rule del pref 99"),
            ("nft-flushed", "nft flush ruleset"),
            ("table-deleted", "nft delete table inet phantom_wg"),
            ("monitor-killed", "pkill -9 -f '[p]hantom-multihop'"),
            ("device-killed", "pkill -9 -f '[p]hantom-wg-device wg_vpn' || ip link del wg_vpn"),
            ("main-deleted", "ip link del wg_main"),
            ("exit-stopped", "pkill -f '[w]ireguard-go wgx1'"),
        ] {
            nothing_escapes(world, name, || drop(world.sh(sabotage)));
            if name == "exit-stopped" {
                world.sh(
                    "ip -n exit1 link del wgx1 2>/dev/null || true; ip netns exec exit1 nft flush ruleset",
                );
                start_exit(world, 1);
            }
            // `status` tells the truth, and the host can be led back.
            assert_eq!(world.ok(&["multihop", "status"])["enabled"], true, "{name}");
            world.ok(&["core", "reconcile"]);
            world.in_sync();
            if name == "main-deleted" {
                world.begin_anew(At::Client1);
                world.begin_anew(At::Client2);
            }
            world.reaches(At::Client1, INTERNET);
            assert_eq!(udp_seen_as(At::Client1), EXIT, "{name}");
        }
        for words in [
            &["core", "restart_service"][..],
            &["multihop", "enable_multihop", "exit_name=nl"],
            &["multihop", "enable_multihop", "exit_name=uk"],
        ] {
            nothing_escapes(world, &words.join("-").replace('=', "-"), || drop(world.ok(words)));
            world.in_sync();
            world.begin_anew(At::Client1);
            world.reaches(At::Client1, INTERNET);
        }
        world
            .fails(&["core", "change_subnet", "new_subnet=10.44.0.0/24", "confirm=true"], "VALIDATION_ERROR");
        world.ok(&["multihop", "reset_state"]);
        world.in_sync();
        assert_eq!(udp_seen_as(At::Client1), SERVER);
    });
}

/// From the first change of an enable on, whatever was let through before it ends.
fn nothing_escapes_at_enable(world: &World) {
    let flood = Flood::start();
    enable(world, "uk");
    let observer = Observer::start(world, "enabled");
    let then = flood.pings.sent();
    assert!(wait_for(Duration::from_mins(1), || flood.pings.sent() > then.saturating_add(50)));
    flood.stop();
    let escaped = observer.escaped();
    assert!(
        escaped.is_empty(),
        "connections of before go on by the old way: {:?}",
        &escaped[..escaped.len().min(5)]
    );
}

#[test]
fn an_enable_that_fails_leaves_what_was_before() {
    with_exits("multihop::an_enable_that_fails_leaves_what_was_before", |world| {
        world.sh("pkill -f '[w]ireguard-go wgx2'");
        let before = world.look();
        let failed = world.fails(&["multihop", "enable_multihop", "exit_name=nl"], "MULTIHOP_ERROR");
        assert_eq!(
            (&failed["data"]["step"], &failed["data"]["restored_exit"]),
            (&json!("handshake"), &Value::Null)
        );
        assert_eq!(failed["data"]["handshake_result"]["success"], false, "{failed:#}");
        assert_eq!(failed["data"]["possible_issues"].as_array().unwrap().len(), 4);
        assert_eq!(before.host, world.look().host);
        assert_eq!(udp_seen_as(At::Client1), SERVER);
        // With another exit active it goes on running, and no packet is moved meanwhile.
        enable(world, "uk");
        let before = world.look();
        nothing_escapes(world, "failed-switch", || {
            let failed = world.fails(&["multihop", "enable_multihop", "exit_name=nl"], "MULTIHOP_ERROR");
            assert_eq!(failed["data"]["restored_exit"], "uk", "{failed:#}");
        });
        assert_eq!(before.host, world.look().host);
        assert_eq!(udp_seen_as(At::Client1), EXIT);
        world.in_sync();
    });
}
