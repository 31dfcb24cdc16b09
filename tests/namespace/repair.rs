//! What a person or another program broke is repaired, and what is not ours stays as it is.

use std::net::UdpSocket;
use std::time::Duration;

use serde_json::{Value, json};

use crate::look::assert_same_lines;
use crate::world::{At, INTERNET, TestNet, backend, in_world, in_world_with, wait_for};

/// What becomes of the session of a client that is connected meanwhile.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Session {
    /// It goes on.
    Stays,
    /// The device has forgotten it.
    Ends,
}

/// One way to break something: a script, and the kinds of the steps that repair it.
type Sabotage = (&'static str, &'static [&'static str], Session);

/// A server with two clients, of which the first is connected.
fn served(world: &TestNet) {
    world.setup();
    world.connect(At::Client1, &world.add("one"));
    world.add("two");
    world.reaches(At::Client1, INTERNET);
}

fn key_of(world: &TestNet, name: &str) -> String {
    let data = world.ok(&["core", "export_client", &format!("client_name={name}")]);
    data["client"]["public_key"].as_str().unwrap().to_owned()
}

#[track_caller]
fn kinds(report: &Value, result: &str) -> Vec<String> {
    let steps = report["steps"].as_array().unwrap();
    assert!(steps.iter().all(|step| step["result"] == result), "{report:#}");
    let mut kinds: Vec<String> = steps.iter().map(|step| step["kind"].as_str().unwrap().to_owned()).collect();
    kinds.sort();
    kinds.dedup();
    kinds
}

/// Breaks one thing and lets it be repaired, looking at everything on the way.
#[track_caller]
fn repairs(world: &TestNet, (script, expected, session): Sabotage) {
    let before = world.look();
    let foreign = world.foreign();
    let keys = format!("K={}; K2={}; ", key_of(world, "one"), key_of(world, "two"));
    world.sh(&format!("{keys}{script}"));
    let broken = world.look();
    assert!(before != broken, "{script}: nothing is broken");

    let plan = world.ok(&["core", "reconcile", "dry_run=true"]);
    assert_eq!((&plan["in_sync"], &plan["changed"]), (&json!(false), &json!(false)), "{script}: {plan:#}");
    let planned = kinds(&plan, "planned");
    assert_eq!(planned, expected, "{script}: {plan:#}");
    broken.assert_same(&world.look(), &format!("{script}: dry_run"));

    let done = world.ok(&["core", "reconcile"]);
    assert_eq!((&done["in_sync"], &done["changed"]), (&json!(false), &json!(true)), "{script}: {done:#}");
    assert_eq!(kinds(&done, "applied"), expected, "{script}: {done:#}");
    let steps = |report: &Value| report["steps"].as_array().unwrap().len();
    assert_eq!(steps(&done), steps(&plan), "{script}: what was planned is done");
    before.assert_same(&world.look(), &format!("{script}: repaired"));
    assert_same_lines(&foreign, &world.foreign(), script);

    let again = world.ok(&["core", "reconcile"]);
    assert_eq!((&again["in_sync"], &again["changed"]), (&json!(true), &json!(false)), "{script}: {again:#}");
    if session == Session::Ends {
        world.begin_anew(At::Client1);
    }
    world.reaches(At::Client1, INTERNET);
}

#[test]
fn links_and_addresses() {
    in_world("repair::links_and_addresses", |world| {
        served(world);
        let made_anew: &[&str] = match backend().as_str() {
            "kernel" => &["address", "link", "peer"],
            _ => &["address", "link", "peer", "service"],
        };
        let all: [Sabotage; 11] = [
            ("ip route del local 10.8.0.1 table local", &["address"], Session::Stays),
            ("ip link set wg_main down", &["link"], Session::Stays),
            ("ip addr flush dev wg_main scope global", &["address"], Session::Stays),
            (
                "ip addr del 10.8.0.1/24 dev wg_main; ip addr add 10.8.0.1/16 dev wg_main",
                &["address"],
                Session::Stays,
            ),
            ("ip addr add 10.99.0.1/24 dev wg_main", &["address"], Session::Stays),
            ("ip link set wg_main mtu 1300", &["link"], Session::Stays),
            ("ip link set wg_main alias ''", &["link"], Session::Stays),
            ("ip link set wg_main down; ip addr flush dev wg_main", &["address", "link"], Session::Stays),
            (DELETE_LINK, made_anew, Session::Ends),
            ("rm /etc/wireguard/wg_main.conf; ip link set wg_main down", &["file", "link"], Session::Stays),
            (
                "sysctl -qw net.ipv4.ip_forward=0; ip addr flush dev wg_main",
                &["address", "sysctl"],
                Session::Stays,
            ),
        ];
        for one in all {
            repairs(world, one);
        }
    });
}

/// The embedded device ends with its link; the look needs it to be gone.
const DELETE_LINK: &str =
    "ip link del wg_main; while [ -e /run/wireguard/wg_main.sock ]; do sleep 0.02; done";

#[test]
fn repeatedly_deleted_link_returns_at_once() {
    in_world("repair::repeatedly_deleted_link_returns_at_once", |world| {
        served(world);
        // Without a pause: the embedded device may still be on its way out.
        for _ in 0..10 {
            world.sh("ip link del wg_main");
            assert_eq!(world.ok(&["core", "reconcile"])["changed"], true);
            world.in_sync();
        }
        world.begin_anew(At::Client1);
        world.reaches(At::Client1, INTERNET);
    });
}

#[test]
fn device_and_peers() {
    in_world("repair::device_and_peers", |world| {
        served(world);
        let all: [Sabotage; 12] = [
            ("wg set wg_main peer $K remove", &["peer"], Session::Ends),
            ("wg set wg_main peer $K remove; wg set wg_main peer $K2 remove", &["peer"], Session::Ends),
            ("wg genkey > /run/k; wg set wg_main private-key /run/k; rm /run/k", &["link"], Session::Ends),
            ("wg set wg_main listen-port 4444", &["link"], Session::Stays),
            ("wg set wg_main fwmark 0x1234", &["link"], Session::Stays),
            (
                "wg set wg_main peer $(wg genkey | wg pubkey) allowed-ips 10.8.0.77/32",
                &["peer"],
                Session::Stays,
            ),
            ("wg set wg_main peer $K allowed-ips 10.8.0.77/32", &["peer"], Session::Stays),
            ("wg set wg_main peer $K allowed-ips 0.0.0.0/0", &["peer"], Session::Stays),
            // Whom an address is given to, that is who has it: the other one has lost it.
            ("wg set wg_main peer $K allowed-ips 10.8.0.3/32", &["peer"], Session::Stays),
            (
                "wg set wg_main peer $(wg genkey | wg pubkey) allowed-ips 10.8.0.2/32,10.8.0.3/32",
                &["peer"],
                Session::Stays,
            ),
            ("wg set wg_main peer $K preshared-key /dev/null", &["peer"], Session::Ends),
            ("wg set wg_main peer $K2 persistent-keepalive 7", &["peer"], Session::Stays),
        ];
        for one in all {
            repairs(world, one);
        }
    });
}

/// A client sends to where the server's last packet came from, and to nowhere else.
#[test]
fn restored_listen_port_brings_clients_along() {
    in_world("repair::restored_listen_port_brings_clients_along", |world| {
        served(world);
        let endpoint = || world.sh_at(At::Client1, "wg show c1 endpoints | cut -f2");
        let wanted = endpoint();
        world.sh("wg set wg_main listen-port 4444; ping -qc1 -w5 10.8.0.2");
        assert!(endpoint().ends_with(":4444\n"), "{}", endpoint());
        // The client's answer is acknowledged ten seconds later, and with that nothing is due from the server.
        let received = || world.sh_at(At::Client1, "wg show c1 transfer | cut -f2");
        let before = received();
        assert!(wait_for(Duration::from_secs(20), || received() != before), "no keepalive of the server's");
        assert!(endpoint().ends_with(":4444\n"), "{}", endpoint());
        assert_eq!(world.ok(&["core", "reconcile"])["changed"], true);
        world.in_sync();
        assert!(wait_for(Duration::from_secs(10), || endpoint() == wanted), "{} != {wanted}", endpoint());
        world.reaches(At::Client1, INTERNET);
    });
}

#[test]
fn packet_filter_and_forwarding() {
    in_world("repair::packet_filter_and_forwarding", |world| {
        served(world);
        let all: [Sabotage; 9] = [
            ("nft flush ruleset", &["firewall"], Session::Stays),
            ("nft delete table inet phantom_wg", &["firewall"], Session::Stays),
            ("nft flush table inet phantom_wg", &["firewall"], Session::Stays),
            ("nft flush chain inet phantom_wg srcnat", &["firewall"], Session::Stays),
            (
                "h=$(nft -a list chain inet phantom_wg srcnat | sed -n 's/.*masquerade.*handle //p')
                 nft delete rule inet phantom_wg srcnat handle $h",
                &["firewall"],
                Session::Stays,
            ),
            ("nft insert rule inet phantom_wg forward drop", &["firewall"], Session::Stays),
            ("nft add rule inet phantom_wg srcnat oifname eth1 accept", &["firewall"], Session::Stays),
            (
                "nft add chain inet phantom_wg more '{ type filter hook forward priority 10; policy drop; }'",
                &["firewall"],
                Session::Stays,
            ),
            ("sysctl -qw net.ipv4.ip_forward=0", &["sysctl"], Session::Stays),
        ];
        for one in all {
            repairs(world, one);
        }
    });
}

#[test]
fn files() {
    in_world("repair::files", |world| {
        served(world);
        let all: [Sabotage; 9] = [
            ("rm /etc/wireguard/wg_main.conf", &["file"], Session::Stays),
            ("echo '# more' >> /etc/wireguard/wg_main.conf", &["file"], Session::Stays),
            ("sed -i s/51820/51821/ /etc/wireguard/wg_main.conf", &["file"], Session::Stays),
            ("chmod 644 /etc/wireguard/wg_main.conf", &["file"], Session::Stays),
            ("chown nobody /etc/wireguard/wg_main.conf", &["file"], Session::Stays),
            ("rm -r /etc/wireguard", &["file"], Session::Stays),
            ("rm /etc/sysctl.d/90-phantom-wg.conf", &["file"], Session::Stays),
            ("sed -i 's/= 1/= 0/' /etc/sysctl.d/90-phantom-wg.conf", &["file"], Session::Stays),
            ("chmod 666 /etc/sysctl.d/90-phantom-wg.conf", &["file"], Session::Stays),
        ];
        for one in all {
            // A directory that is removed has lost the mode that it came with.
            if one.0 == "rm -r /etc/wireguard" {
                world.sh("chmod 700 /etc/wireguard");
            }
            repairs(world, one);
        }
    });
}

#[test]
fn the_process_of_the_device() {
    let test = "repair::the_process_of_the_device";
    in_world(test, |world| {
        if backend() == "kernel" {
            return phantom_tests::skip(test, "the kernel's WireGuard has no process");
        }
        served(world);
        let gone = "while grep -qs '^State:.[^ZX]' /proc/$pid/status; do sleep 0.02; done";
        let file = "/run/phantom-wg/wg-quick@wg_main.pid";
        let kill = format!("pid=$(cut -d' ' -f1 {file}); kill -9 $pid; {gone}");
        let term = format!("pid=$(cut -d' ' -f1 {file}); kill -TERM $pid; {gone}");
        for script in [&kill, &term] {
            let pid = world.sh(&format!("cut -d' ' -f1 {file}"));
            world.sh(script);
            let broken = world.look();
            let plan = world.ok(&["core", "reconcile", "dry_run=true"]);
            assert!(kinds(&plan, "planned").contains(&"service".to_owned()), "{script}: {plan:#}");
            broken.assert_same(&world.look(), script);
            assert_eq!(world.ok(&["core", "reconcile"])["changed"], true);
            world.in_sync();
            assert_ne!(pid, world.sh(&format!("cut -d' ' -f1 {file}")));
            assert_eq!(world.ok(&["core", "server_status"])["service"]["running"], true);
            world.begin_anew(At::Client1);
            world.reaches(At::Client1, INTERNET);
        }
        // What the process is known by. A second one beside it would fight for the link.
        for lost in [file, "/run/wireguard/wg_main.sock", "-r /run/phantom-wg"] {
            world.sh(&format!("rm {lost}"));
            world.ok(&["core", "reconcile"]);
            world.in_sync();
            assert_eq!(
                world.sh("grep -ls 'phantom-wg-devic[e]' /proc/[0-9]*/cmdline | wc -l").trim(),
                "1",
                "rm {lost}: {}",
                world.picture()
            );
            world.begin_anew(At::Client1);
            world.reaches(At::Client1, INTERNET);
        }
    });
}

#[test]
fn file_without_tag_and_key_is_kept() {
    in_world("repair::file_without_tag_and_key_is_kept", |world| {
        served(world);
        for file in ["/etc/wireguard/wg_main.conf", "/etc/sysctl.d/90-phantom-wg.conf"] {
            world.sh(&format!("cp -p {file} /run/kept; sed -i '1d; /^PrivateKey/d' {file}"));
            let before = world.look();
            for dry_run in ["dry_run=true", "dry_run=false"] {
                let report = world.ok(&["core", "reconcile", dry_run]);
                assert_eq!((&report["in_sync"], &report["changed"]), (&json!(false), &json!(false)));
                assert!(report["message"].as_str().unwrap().contains(file), "{report:#}");
            }
            before.assert_same(&world.look(), file);
            world.sh(&format!("cp -p /run/kept {file}; rm /run/kept"));
            world.in_sync();
        }
    });
}

#[test]
fn somebody_elses_wireguard_under_our_name_stays() {
    let test = "repair::somebody_elses_wireguard_under_our_name_stays";
    in_world(test, |world| {
        if backend() != "kernel" {
            return phantom_tests::skip(test, "needs the kernel's WireGuard");
        }
        served(world);
        world.sh(
            "ip link del wg_main; ip link add wg_main type wireguard; wg genkey > /run/k
             wg set wg_main private-key /run/k listen-port 4711 peer $(wg genkey | wg pubkey) allowed-ips 10.8.0.2/32
             ip addr add 172.25.0.1/24 dev wg_main; ip link set wg_main up; rm /run/k",
        );
        let before = world.look();
        for words in [&["core", "reconcile"][..], &["core", "reconcile", "dry_run=true"]] {
            let answer = world.fails(words, "SERVICE_OPERATION_FAILED");
            assert!(answer["data"]["detail"].as_str().unwrap().contains("wg_main"), "{answer:#}");
            before.assert_same(&world.look(), &words.join(" "));
        }
        world.sh("ip link del wg_main");
        assert_eq!(world.ok(&["core", "reconcile"])["changed"], true);
        world.in_sync();
        world.begin_anew(At::Client1);
        world.reaches(At::Client1, INTERNET);
    });
}

#[test]
fn foreign_objects_stay_unchanged() {
    in_world("repair::foreign_objects_stay_unchanged", |world| {
        world.sh(
            "sysctl -qw net.ipv4.ip_forward=0
             nft 'add table inet own; add chain inet own in { type filter hook input priority 0; policy accept; }
                  add rule inet own in tcp dport 22 accept
                  add table ip nat; add chain ip nat post { type nat hook postrouting priority 100; }
                  add rule ip nat post ip saddr 172.20.0.0/16 masquerade'
             ip rule add from 172.20.0.1 table 200 priority 99; ip rule add fwmark 7 table 200 priority 100
             ip route add 172.20.0.0/16 via 203.0.113.1; ip route add default via 203.0.113.1 table 200
             ip route add unreachable 172.21.0.0/16 table 201
             mkdir -p /etc/wireguard /etc/sysctl.d
             echo '[Interface]' > /etc/wireguard/wg0.conf; echo 'net.ipv4.ip_forward = 0' > /etc/sysctl.d/99-own.conf
             ip tuntap add wg0 mode tun; ip link set wg0 up; ip addr add 172.22.0.1/24 dev wg0
             ip link add wg_mainly type veth peer name other
             ip link set wg_mainly alias phantom; ip link set wg_mainly up; ip link set other up",
        );
        let foreign = || world.foreign();
        let before = foreign();
        served(world);
        assert_same_lines(&before, &foreign(), "setup");
        for words in [
            &["core", "change_subnet", "new_subnet=192.168.100.0/24", "confirm=true"][..],
            &["core", "setup", "port=443"],
            &["core", "restart_service"],
            &["core", "stop_service"],
            &["core", "start_service"],
            &["core", "remove_client", "client_name=two"],
        ] {
            world.ok(words);
            assert_same_lines(&before, &foreign(), &format!("{words:?}"));
        }
        world.sh("ip link del wg_main; nft delete table inet phantom_wg; rm /etc/wireguard/wg_main.conf");
        assert_eq!(world.ok(&["core", "reconcile"])["changed"], true);
        assert_same_lines(&before, &foreign(), "reconcile");
        world.in_sync();
    });
}

#[test]
fn foreign_ufw_rules_stay() {
    let test = "repair::foreign_ufw_rules_stay";
    in_world_with(test, &["ufw", "iptables", "python3"], |world| {
        let enabled = world.try_at(
            At::Server,
            "ufw default deny incoming; ufw default deny routed; ufw allow 22/tcp comment 'never lock me out'
             ufw allow from 192.0.2.0/24 to any port 53 proto udp; ufw limit 2222/tcp; ufw --force enable 2>&1",
        );
        if !enabled.status.success() {
            let why = String::from_utf8_lossy(&enabled.stdout);
            return phantom_tests::skip(test, &format!("ufw cannot be enabled here: {}", why.trim()));
        }
        let others = || world.sh("ufw show added | grep -v phantom-wg | sort");
        let ours = || world.sh("ufw show added | grep phantom-wg | sort || true");
        let before = others();
        served(world); // reaches the Internet through a firewall that lets nothing else through
        assert_eq!(before, others());
        let wanted = ours();
        assert!(wanted.contains("51820/udp") && wanted.contains("wg_main"), "{wanted}");
        // Ours are deleted and changed by hand; others come and go meanwhile.
        world.sh("ufw delete allow 51820/udp; ufw route delete allow in on wg_main; ufw allow 8080/tcp");
        let before = others();
        let plan = world.ok(&["core", "reconcile", "dry_run=true"]);
        assert_eq!(kinds(&plan, "planned"), ["firewall"], "{plan:#}");
        assert_eq!(ours(), "", "dry_run has changed something");
        assert_eq!(world.ok(&["core", "reconcile"])["changed"], true);
        assert_eq!((others(), ours()), (before.clone(), wanted));
        world.in_sync();
        world.reaches(At::Client1, INTERNET);
        world.ok(&["core", "setup", "port=443"]);
        assert!(ours().contains("443/udp") && !ours().contains("51820"), "{}", ours());
        assert_eq!(before, others());
    });
}

/// Calls setup, which must refuse, and leave everything as it is.
#[track_caller]
fn refused(world: &TestNet, parameter: &str, code: &str) -> Value {
    let (ip, backend) = crate::world::setup_words();
    let installed = "/opt/phantom-wg"; // the directories of the installation may be made before anything is known
    let before = world.look().without(installed);
    let answer = world.fails(&["core", "setup", &ip, &backend, parameter], code);
    before.assert_same(&world.look().without(installed), parameter);
    assert!(!world.sh("sysctl -n net.ipv4.ip_forward").contains('1'), "forwarding is off");
    let other = world.fails(&["core", "list_clients"], "NOT_INITIALIZED");
    assert_eq!(other["data"]["hint"], "phantom-api core setup");
    answer
}

#[test]
fn setup_refuses_what_belongs_to_somebody_else() {
    in_world("repair::setup_refuses_what_belongs_to_somebody_else", |world| {
        for link in ["type veth peer name other", "alias phantom type veth peer name other"] {
            world.sh(&format!(
                "ip link add wg_main {link}; ip addr add 172.25.0.1/24 dev wg_main; ip link set wg_main up"
            ));
            let answer = refused(world, "interface=wg_main", "VALIDATION_ERROR");
            assert_eq!(answer["data"]["parameter"], "interface", "{answer:#}");
            assert!(answer["error"].as_str().unwrap().contains("wg_main"), "{answer:#}");
            world.sh("ip link del wg_main");
        }
        world.sh("ip tuntap add wg_main mode tun");
        refused(world, "interface=wg_main", "VALIDATION_ERROR");
        world.sh("ip link del wg_main");

        world.sh("mkdir -p /etc/wireguard; echo '[Interface]' > /etc/wireguard/wg_main.conf");
        let answer = refused(world, "interface=wg_main", "VALIDATION_ERROR");
        assert!(answer["error"].as_str().unwrap().contains("/etc/wireguard/wg_main.conf"), "{answer:#}");
        world.sh("rm /etc/wireguard/wg_main.conf");

        for address in ["0.0.0.0:51820", "203.0.113.5:51820", "[::]:51820"] {
            let socket = UdpSocket::bind(address).unwrap();
            let answer = refused(world, "port=51820", "PORT_IN_USE");
            assert_eq!(answer["data"], json!({ "port": 51820, "protocol": "udp" }), "{answer:#}");
            drop(socket);
        }

        world.sh("ip addr add 10.9.0.1/24 dev eth1; ip route add 10.10.0.0/16 via 203.0.113.1");
        for subnet in ["10.9.0.0/24", "10.9.0.0/16", "10.9.0.128/25", "10.10.5.0/24", "203.0.113.0/24"] {
            let answer = refused(world, &format!("subnet={subnet}"), "VALIDATION_ERROR");
            assert_eq!(answer["data"]["parameter"], "subnet", "{answer:#}");
            assert!(!answer["data"]["errors"].as_array().unwrap().is_empty(), "{answer:#}");
        }
        // With none of it in the way it goes through.
        world.setup();
        world.in_sync();
        // A port that somebody takes later is refused too, and the server goes on as it was.
        let socket = UdpSocket::bind("0.0.0.0:443").unwrap();
        let before = world.look();
        let answer = world.fails(&["core", "setup", "port=443"], "PORT_IN_USE");
        assert_eq!(answer["data"]["port"], 443, "{answer:#}");
        before.assert_same(&world.look(), "port=443");
        drop(socket);
        world.ok(&["core", "setup", "port=443"]);
    });
}

#[test]
fn boot_brings_everything_back() {
    in_world("repair::boot_brings_everything_back", |world| {
        served(world);
        world.ok(&["core", "stop_service"]);
        let stopped = world.look();
        assert!(!stopped.host.contains("wg_main <"), "{}", stopped.host);
        world.ok(&["core", "start_service"]);
        let before = world.look();
        for stop_first in [false, true] {
            if stop_first {
                world.ok(&["core", "stop_service"]); // holds until the next boot only
            }
            // What a boot leaves behind: the disk.
            world.sh(
                "[ ! -e /run/phantom-wg/wg-quick@wg_main.pid ] || kill -9 $(cut -d' ' -f1 /run/phantom-wg/wg-quick@wg_main.pid)
                 ip link del wg_main 2>/dev/null || true; nft flush ruleset; sysctl -qw net.ipv4.ip_forward=0
                 rm -rf /run/phantom-wg /run/wireguard/wg_main.sock",
            );
            let gone = || !world.sh("ip -br link").contains("wg_main");
            assert!(wait_for(Duration::from_secs(30), gone));
            // The boot unit runs exactly this.
            assert_eq!(world.ok(&["core", "reconcile"])["changed"], true);
            assert_same_lines(
                &before.host,
                &world.look().host,
                &format!("boot, stopped before: {stop_first}"),
            );
            world.in_sync();
            world.begin_anew(At::Client1);
            world.reaches(At::Client1, INTERNET);
        }
    });
}

#[test]
fn a_configuration_that_wg_quick_has_saved() {
    in_world("repair::a_configuration_that_wg_quick_has_saved", |world| {
        served(world);
        let file = "/etc/wireguard/wg_main.conf";
        let before = world.sh(&format!("sort {file}"));
        for words in [&["core", "reconcile"][..], &["core", "restart_service"]] {
            world.sh(&format!("wg-quick save wg_main; ! grep -q phantom-wg {file}"));
            let plan = world.ok(&["core", "reconcile", "dry_run=true"]);
            assert_eq!(kinds(&plan, "planned"), ["file"], "{plan:#}");
            world.ok(words);
            assert_eq!(world.sh(&format!("sort {file}")), before, "{words:?}");
            world.in_sync();
        }
        let copies = world.sh("stat -c '%a %U' /opt/phantom-wg/backups/state/*-wg_main.conf");
        assert_eq!(copies, "600 root\n600 root\n");
        // It proves nothing, and is in nobody's way.
        let setting = "/etc/sysctl.d/90-phantom-wg.conf";
        world.sh(&format!("sed -i 1d {setting}; ip link set wg_main down"));
        let report = world.ok(&["core", "reconcile"]);
        assert_eq!((&report["in_sync"], &report["changed"]), (&json!(false), &json!(true)), "{report:#}");
        assert!(report["message"].as_str().unwrap().contains(setting), "{report:#}");
        world.reaches(At::Client1, INTERNET);
        world.sh(&format!("mv {setting} {setting}.old"));
        world.ok(&["core", "reconcile"]);
        world.in_sync();
    });
}
