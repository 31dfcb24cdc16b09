//! Exits whose files would take the server off the net: refused at import and when they are enabled, and not brought up
//! where the collision comes later. Meanwhile somebody on the Internet talks to the server, as by SSH.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

use super::flow::nothing_is_left;
use super::lab::{EXIT, GATEWAY, OTHER, enable, status_is_true, with_exits};
use super::load::{listen, nothing_escapes};
use crate::traffic::udp_seen_as;
use crate::world::{At, SERVER, TestNet, on, wait_for};

/// Where the server listens for whoever administers it.
const PORT: u16 = 2222;
/// What an answer may take. A server that is off the net gives none, however long one waits.
const ANSWER: Duration = Duration::from_secs(5);
/// The server's address on its second uplink.
const SECOND: &str = "198.51.100.5";
/// What an exit that was replaced or brought back may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// A connection from the Internet to the server, as by SSH.
struct Shell(TcpStream);

impl Shell {
    /// Lets the server listen, and connects.
    fn open() -> Self {
        let (ready, started) = mpsc::channel();
        on(At::Server, move || {
            let listener = TcpListener::bind(("0.0.0.0", PORT)).unwrap();
            ready.send(()).unwrap();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                std::thread::spawn(move || {
                    let mut letter = [0];
                    while stream.read_exact(&mut letter).and_then(|()| stream.write_all(&letter)).is_ok() {}
                });
            }
        });
        started.recv().unwrap();
        Self(connection().expect("the server takes connections"))
    }

    /// That the connection goes on, and that another one can be made, both by the route of before.
    #[track_caller]
    fn goes_on(&mut self, world: &TestNet, what: &str) {
        assert!(answers(&mut self.0), "{what}: the server does not answer any more\n{}", world.picture());
        let new = connection().is_some_and(|mut stream| answers(&mut stream));
        assert!(new, "{what}: nobody gets to the server any more\n{}", world.picture());
        for question in ["198.18.0.2", "198.18.0.2 from 203.0.113.5", "198.18.0.2 from 203.0.113.5 oif eth0"]
        {
            let route = world.sh(&format!("ip -o route get {question}"));
            assert!(route.contains("dev eth0"), "{what}: {question}: {route}");
        }
        let local = world.sh("ip -o -4 addr show | awk '{print $4}' | cut -d/ -f1 | sort | uniq -d");
        assert_eq!(local, "", "{what}: an address is there twice");
    }
}

fn connection() -> Option<TcpStream> {
    let to: SocketAddr = format!("{SERVER}:{PORT}").parse().unwrap();
    let stream = on(At::Internet, move || TcpStream::connect_timeout(&to, ANSWER)).join().unwrap().ok()?;
    stream.set_read_timeout(Some(ANSWER)).unwrap();
    Some(stream)
}

fn answers(stream: &mut TcpStream) -> bool {
    let mut letter = [0];
    stream.write_all(b"x").and_then(|()| stream.read_exact(&mut letter)).is_ok() && &letter == b"x"
}

/// The file of the first exit after an edit by `sed`; gives the words of its import as `bad`.
fn edited(world: &TestNet, script: &str) -> [String; 4] {
    world.sh(&format!("umask 077; sed '{script}' /etc/exit1.conf > /etc/bad.conf"));
    ["multihop", "import_vpn_config", "config_path=/etc/bad.conf", "custom_name=bad"].map(str::to_owned)
}

/// That such a file is refused at import. Where it is not, it is enabled, which shows what it does.
#[track_caller]
fn is_refused(world: &TestNet, shell: &mut Shell, script: &str) -> Value {
    let words = edited(world, script);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let answer = world.call(&words);
    if answer["success"] == true {
        let enabled = world.call(&["multihop", "enable_multihop", "exit_name=bad"]);
        shell.goes_on(world, &format!("{script} is enabled: {enabled}"));
        panic!("{script}: {answer:#}\n{enabled:#}");
    }
    assert_eq!(answer["code"], "VPN_CONFIG_ERROR", "{script}: {answer:#}");
    shell.goes_on(world, script);
    answer
}

#[test]
fn colliding_file_is_not_imported() {
    with_exits("multihop::collisions::colliding_file_is_not_imported", |world| {
        let mut shell = Shell::open();
        world.sh("rm -f /etc/resolv.conf; echo 'nameserver 192.0.2.53' > /etc/resolv.conf");
        world.sh("ip route add 192.0.2.77/32 via 198.51.100.77 dev eth1 onlink");
        for (address, kind) in [
            (SERVER, "host_address"),
            (SECOND, "host_address"),
            ("127.0.0.1", "not_unicast"),
            (GATEWAY, "gateway"),
            ("198.51.100.77", "gateway"),
            ("192.0.2.77", "routed_host"),
            ("192.0.2.53", "resolver"),
            ("8.8.8.8", "client_dns"),
            ("8.8.4.4", "client_dns"),
            (EXIT, "endpoint_address"),
            ("203.0.113.255", "broadcast"),
            ("255.255.255.255", "not_unicast"),
            ("224.0.0.1", "not_unicast"),
            ("0.0.0.0", "not_unicast"),
            ("240.0.0.1", "not_unicast"),
        ] {
            for network in [format!("{address}/32"), format!("10.99.1.2/32, {address}/24")] {
                let refused = is_refused(world, &mut shell, &format!("s|^Address.*|Address = {network}|"));
                let found = &refused["data"]["collisions"][0];
                assert_eq!(
                    (&found["kind"], &found["address"]),
                    (&kind.into(), &address.into()),
                    "{refused:#}"
                );
            }
        }
        let own = world.sh("wg show wg_main public-key").trim().to_owned();
        let zero = "A".repeat(43) + "=";
        for (script, kind) in [
            (format!("s|^PublicKey.*|PublicKey = {own}|"), "server_key"),
            (format!("s|^PublicKey.*|PublicKey = {zero}|"), "weak_key"),
            (format!("s|^PrivateKey.*|PrivateKey = {zero}|"), "zero_private_key"),
            (format!("s|^Endpoint.*|Endpoint = {SERVER}:51820|"), "own_port"),
            (format!("s|^Endpoint.*|Endpoint = {SECOND}:51820|"), "own_port"),
            ("s|^Endpoint.*|Endpoint = 127.0.0.1:51820|".to_owned(), "own_port"),
            ("s|^Endpoint.*|Endpoint = [2001:db8:5::5]:51820|".to_owned(), "own_port"),
            ("s|^Endpoint.*|Endpoint = 224.0.0.1:51821|".to_owned(), "endpoint_not_unicast"),
        ] {
            let refused = is_refused(world, &mut shell, &script);
            assert_eq!(refused["data"]["collisions"][0]["kind"], kind, "{refused:#}");
        }
        assert_eq!(world.ok(&["multihop", "list_exits"])["total"], 2);
        // What collides with nothing, however near: another port, a tunnel of the server, an address beside its own.
        for (script, name) in [
            ("s|^Endpoint.*|Endpoint = 127.0.0.1:51821|", "tunnel"),
            ("s|^Endpoint.*|Endpoint = 203.0.113.5:51821|", "port"),
            ("s|^Address.*|Address = 203.0.113.6/24|", "beside"),
        ] {
            let words = edited(world, script);
            let words: Vec<&str> = words[..3].iter().map(String::as_str).collect();
            world.ok(&[&words[..], &[&format!("custom_name={name}")]].concat());
        }
        shell.goes_on(world, "the end");
    });
}

#[test]
fn exit_colliding_since_import_is_not_enabled() {
    with_exits("multihop::collisions::exit_colliding_since_import_is_not_enabled", |world| {
        let mut shell = Shell::open();
        listen();
        world.sh("ip addr add 10.99.1.2/24 dev eth1");
        let before = world.host();
        let words = ["multihop", "enable_multihop", "exit_name=uk"];
        let refused = world.fails(&words, "VPN_CONFIG_ERROR");
        assert_eq!(refused["data"]["collisions"][0]["interface"], "eth1", "{refused:#}");
        assert_eq!(world.host(), before);
        shell.goes_on(world, "refused");
        let exits = world.ok(&["multihop", "list_exits"])["exits"].clone();
        let of =
            |name: &str| exits.as_array().unwrap().iter().find(|exit| exit["name"] == name).unwrap().clone();
        assert!(of("uk")["collisions"][0].as_str().unwrap().contains("10.99.1.2"), "{exits:#}");
        assert_eq!(of("nl").get("collisions"), None, "{exits:#}");
        // As the exit that may take another one's place it is refused as well, and so is a switch to it.
        world
            .fails(&["multihop", "enable_multihop", "exit_name=nl", "fallback_exits=uk"], "VPN_CONFIG_ERROR");
        enable(world, "nl");
        nothing_escapes(world, "switch-refused", || drop(world.fails(&words, "VPN_CONFIG_ERROR")));
        status_is_true(world, "nl");
        assert_eq!(udp_seen_as(At::Client1), OTHER);
        world.in_sync();
        // Without what it collides with it is an exit like any other.
        world.sh("ip addr del 10.99.1.2/24 dev eth1");
        enable(world, "uk");
        shell.goes_on(world, "enabled");
        world.ok(&["multihop", "disable_multihop"]);
        nothing_is_left(world);
        shell.goes_on(world, "disabled");
    });
}

#[test]
fn exit_that_starts_colliding_is_taken_down() {
    with_exits("multihop::collisions::exit_that_starts_colliding_is_taken_down", |world| {
        let mut shell = Shell::open();
        listen();
        for kill_switch in ["true", "false"] {
            let word = format!("kill_switch={kill_switch}");
            world.ok(&["multihop", "enable_multihop", "exit_name=uk", &word]);
            // As a network that the server becomes part of: its address there is that of the exit.
            let appears = || {
                world.sh("ip addr add 10.99.1.2/24 dev eth1");
                assert_eq!(world.call(&["core", "reconcile"])["success"], true);
            };
            // Without a kill switch clients may leave by the uplink until the collision is seen.
            if kill_switch == "true" {
                nothing_escapes(world, "taken-down", appears);
            } else {
                appears();
            }
            nothing_escapes(world, &format!("withheld-{kill_switch}"), || {
                world.in_sync();
                assert!(!world.try_at(At::Server, "ip link show wg_vpn").status.success(), "it is there");
            });
            shell.goes_on(world, "reconciled");
            // The address is the host's, which answers from there by its own routes.
            let route = world.sh("ip -o route get 198.18.0.2 from 10.99.1.2");
            assert!(route.contains("dev eth0") || route.contains("dev eth1"), "{route}");
            for client in [At::Client1, At::Client2] {
                world.reaches(client, "10.8.0.1");
            }
            let status = world.ok(&["multihop", "status"]);
            assert_eq!(status["vpn_interface"]["active"], false, "{status:#}");
            assert_eq!(status["kill_switch"], true, "{status:#}");
            assert!(status["collisions"][0].as_str().unwrap().contains("10.99.1.2"), "{status:#}");
            let doctor = world.ok(&["core", "doctor"]);
            let checks = doctor["checks"].as_array().unwrap();
            let found = checks.iter().find(|check| check["name"] == "collisions").unwrap();
            assert_eq!(found["state"], "problem", "{found:#}");
            // It comes back by itself when the network is gone, or sooner with a reconcile.
            world.sh("ip addr del 10.99.1.2/24 dev eth1");
            if kill_switch == "false" {
                world.ok(&["core", "reconcile"]);
            }
            assert!(
                wait_for(PATIENCE, || world.ok(&["multihop", "status"])["vpn_interface"]["active"] == true)
            );
            assert!(
                wait_for(PATIENCE, || crate::ping::ping(At::Client1, "198.18.0.2", 1)),
                "{}",
                world.picture()
            );
            assert_eq!(udp_seen_as(At::Client1), EXIT);
            world.in_sync();
            shell.goes_on(world, "back");
            world.ok(&["multihop", "disable_multihop"]);
            nothing_is_left(world);
        }
    });
}

#[test]
fn monitor_replaces_exit_that_starts_colliding() {
    let test = "multihop::collisions::monitor_replaces_exit_that_starts_colliding";
    with_exits(test, |world| {
        let mut shell = Shell::open();
        listen();
        world.ok(&["multihop", "enable_multihop", "exit_name=uk", "fallback_exits=nl"]);
        nothing_escapes(world, "collides", || {
            world.sh("ip addr add 10.99.1.2/24 dev eth1");
            let replaced = || world.ok(&["multihop", "status"])["active_exit"] == "nl";
            assert!(wait_for(PATIENCE, replaced), "{}", world.picture());
        });
        status_is_true(world, "nl");
        assert_eq!(udp_seen_as(At::Client1), OTHER);
        shell.goes_on(world, "another exit");
        world.in_sync();
        // The chosen one is not used as long as it collides.
        let refused = crate::world::api().args(["service", "try", "uk"]).output().unwrap();
        assert!(!refused.status.success(), "{refused:?}");
        shell.goes_on(world, "tried");
    });
}
