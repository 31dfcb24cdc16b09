//! Reading changes nothing, and gives what there is when parts of the host do not answer.

pub(crate) mod unresponsive;

use std::sync::Arc;
use std::time::Duration;

use phantom_ghost::program::fake::FakeTunnel as _;
use phantom_host::{Clock as _, LinkKind, Port, Protocol, Route, RouteKind};
use phantom_module::Effect;
use phantom_tests::Server;
use unresponsive::UnresponsiveHost;

use crate::cases::{connected, stopped, through_exit, through_exit_on, with_ghost, with_john};
use crate::faults::embedded;

/// Every reading action with parameters that it can work with.
fn calls(server: &Server) -> Vec<Vec<String>> {
    let phantom = server.phantom();
    let mut calls = Vec::new();
    for module in phantom.modules() {
        for spec in module.specs().into_iter().filter(|spec| spec.effect == Effect::Read) {
            let words = [module.name(), spec.name].into_iter().chain(spec.example.split_whitespace());
            calls.push(words.map(str::to_owned).collect());
        }
    }
    calls.push(["core", "reconcile", "dry_run=true"].map(str::to_owned).to_vec());
    calls
}

fn run(server: &Server, words: &[String]) -> phantom_tests::Answer {
    server.run(words.iter().map(Into::into).collect())
}

fn without_uplink() -> Server {
    let server = with_john();
    let gateway = RouteKind::Via { interface: "eth0".into(), gateway: Some("203.0.113.1".parse().unwrap()) };
    let destination = "0.0.0.0/0".parse().unwrap();
    server
        .fake
        .take_route(&Route { table: 254, destination, metric: 0, kind: gateway, source: None, protocol: 3 })
        .unwrap();
    server
}

fn sabotaged() -> Server {
    let server = with_john();
    server.fake.cut_link("wg_main").unwrap();
    server.fake.flush_firewall();
    server.fake.cut_file("/etc/wireguard/wg_main.conf");
    server.fake.set_firewall_kind(phantom_host::FirewallKind::Iptables);
    server
}

fn with_foreign_link() -> Server {
    let server = stopped();
    server.fake.add_link("wg_main", LinkKind::Other("dummy".into())).unwrap();
    server
}

fn with_broken_tunnel() -> Server {
    let server = with_ghost();
    server.fake.refuse_certificates(Some("it is unreadable"));
    server.fake.deafen_tunnel(Some("it is deaf"));
    server.fake.flush_firewall();
    std::fs::remove_file(server.paths().run_dir().join("ghost.conf")).unwrap();
    server
}

pub(crate) type Named<T> = (&'static str, T);

const SERVERS: [Named<fn() -> Server>; 12] = [
    ("never set up", Server::bare),
    ("set up", Server::ready),
    ("with a client", with_john),
    ("with a connected client", || connected(with_john())),
    ("stopped", stopped),
    ("embedded", embedded),
    ("without uplink", without_uplink),
    ("sabotaged", sabotaged),
    ("with a foreign link", with_foreign_link),
    ("with Ghost Mode", with_ghost),
    ("with a broken tunnel", with_broken_tunnel),
    ("through an exit", through_exit),
];

#[test]
fn reading_changes_nothing() {
    for (name, make) in SERVERS {
        let server = make();
        // So that the first reader does not find anything to make.
        let calls = calls(&server);
        let (dump, tree, writes) = (server.dump(), server.tree(), server.fake.writes());
        for words in &calls {
            let answer = run(&server, words);
            let may_fail =
                name == "never set up" || (words[1] == "reconcile" && name == "with a foreign link");
            let needs_john = words[1] == "export_client" && name == "set up";
            let needs_exit = words[1] == "test_vpn" && name != "through an exit";
            assert!(
                answer.success() || may_fail || needs_john || needs_exit,
                "{name}: {words:?}: {}",
                answer.out
            );
            assert_eq!(server.dump(), dump, "{name}: {words:?}");
            assert_eq!(server.tree(), tree, "{name}: {words:?}");
        }
        for words in
            [&["--help"][..], &["--version"], &["help", "core"], &["completions", "zsh"], &["core", "x"], &[]]
        {
            server.api(words);
            assert_eq!((server.dump(), server.tree()), (dump.clone(), tree.clone()), "{name}: {words:?}");
        }
        assert_eq!(server.fake.writes(), writes, "{name}: {:?}", server.fake.write_log());
    }
}

/// One facility, or all of them, made deaf.
pub(crate) const UNRESPONSIVE: [Named<fn(&mut phantom_host::Host)>; 9] = [
    ("wireguard", |host| host.wireguard = Arc::new(UnresponsiveHost)),
    ("network", |host| host.network = Arc::new(UnresponsiveHost)),
    ("firewall", |host| host.firewall = Arc::new(UnresponsiveHost)),
    ("sysctl", |host| host.sysctl = Arc::new(UnresponsiveHost)),
    ("services", |host| host.services = Arc::new(UnresponsiveHost)),
    ("sockets", |host| host.sockets = Arc::new(UnresponsiveHost)),
    ("resolver", |host| host.resolver = Arc::new(UnresponsiveHost)),
    ("processes", |host| host.processes = Arc::new(UnresponsiveHost)),
    ("files", |host| host.files = Arc::new(UnresponsiveHost)),
];

#[test]
fn silent_part_of_host_leaves_a_gap() {
    let all = |host: &mut phantom_host::Host| UNRESPONSIVE.iter().for_each(|(_, make)| make(host));
    let cases = UNRESPONSIVE.iter().map(|(name, make)| (*name, Box::new(make) as Box<dyn Fn(&mut _)>));
    let mut wrong = Vec::new();
    for (name, make) in cases.chain([("everything", Box::new(all) as Box<dyn Fn(&mut _)>)]) {
        let mut server = connected(through_exit_on(with_ghost()));
        let calls = calls(&server);
        make(&mut server.host);
        for words in calls.iter().filter(|words| words[1] != "reconcile") {
            let answer = run(&server, words);
            if !answer.success() {
                wrong.push(format!("{name}: {words:?}: {}", answer.out));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn silent_host_limits_every_answer() {
    let mut server = connected(with_john());
    for (_, make) in UNRESPONSIVE {
        make(&mut server.host);
    }
    let status = server.api(&["core", "server_status"]).ok();
    assert_eq!(
        (&status["service"]["running"], &status["interface"]["active"]),
        (&false.into(), &false.into())
    );
    assert_eq!(status["clients"]["total_configured"], 1);
    let subnet = server.api(&["core", "get_subnet_info"]).ok();
    assert_eq!(
        subnet["main_interface"],
        serde_json::json!({ "interface": "unknown", "ip": "unknown", "network": "unknown" })
    );
    assert_eq!(subnet["clients"]["total"], 1);
    let logs = server.api(&["core", "service_logs"]).ok();
    assert_eq!((&logs["count"], &logs["message"]), (&0.into(), &"No logs available".into()));
    let firewall = server.api(&["core", "get_firewall_status"]).ok();
    assert_eq!((&firewall["status"], &firewall["ports"]["listening"]), (&"inactive".into(), &false.into()));
    let health = server.api(&["dns", "status"]).ok();
    assert_eq!(health["health"]["status"], "unavailable");
    assert_eq!(server.api(&["dns", "test_dns_servers"]).ok()["results"][0]["status"], "ERROR");
}

#[test]
fn connected_means_recent_handshake() {
    for (seconds, expected) in [(0, true), (179, true), (180, false), (4000, false)] {
        let server = connected(with_john());
        server.fake.advance(Duration::from_secs(seconds).saturating_sub(Duration::from_secs(1)));
        if seconds == 0 {
            let key =
                server.api(&["core", "server_status"]).ok()["interface"]["peers"][0]["public_key"].clone();
            let key = key.as_str().unwrap().parse().unwrap();
            server.fake.set_peer_traffic("wg_main", &key, None, Some(server.fake.now()), (0, 0));
        }
        let client = server.api(&["core", "list_clients"]).ok()["clients"][0].take();
        assert_eq!(client["connected"], expected, "{seconds}");
        assert_eq!(client.get("connection").is_some(), expected, "{seconds}");
        if seconds == 0 {
            assert_eq!(client["connection"]["latest_handshake"], "Now");
            assert_eq!(client["connection"]["endpoint"], "N/A");
        }
        let status = server.api(&["core", "server_status"]).ok();
        assert_eq!(status["clients"]["active_connections"], u32::from(expected), "{seconds}");
        let subnet = server.api(&["core", "get_subnet_info"]).ok();
        assert_eq!(subnet["blockers"]["active_connections"], expected, "{seconds}");
        assert!(!subnet["clients"]["clients"]["john-laptop"]["last_seen"].is_null());
        assert_eq!(subnet["can_change"], true);
    }
}

#[test]
fn foreign_port_is_seen_as_listening() {
    let server = stopped();
    let listening = || server.api(&["core", "get_firewall_status"]).ok()["ports"]["listening"].clone();
    assert_eq!(listening(), false);
    server.fake.bind(Port { protocol: Protocol::Udp, number: 51820 });
    assert_eq!(listening(), true);
}
