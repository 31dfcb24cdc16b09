//! Exits that collide with the host since they were imported, or since they are in use: not brought up, whatever asks for it,
//! with everything else as it is wanted.

use std::sync::Arc;
use std::time::Duration;

use phantom_host::{FirewallKind, Network as _, OwnRoute, PolicyRule, RuleAction};
use phantom_multihop::monitor::Monitor;
use phantom_multihop::rows::MultihopState as _;
use phantom_store::State;
use phantom_tests::Server;
use serde_json::{Value, json};

use super::{BLOCK, is_closed, nl, uk};
use crate::cases::{ENABLE_MULTIHOP, through_exit, through_exit_on, with_exit, with_second_exit};
use crate::faults::embedded;

/// The address of both exits, with a network that the host becomes part of.
const TAKEN: &str = "10.99.0.2/24";

fn take(server: &Server) {
    server.fake.give_address("eth0", TAKEN.parse().unwrap()).unwrap();
}

fn give_back(server: &Server) {
    server.fake.take_address("eth0", TAKEN.parse().unwrap()).unwrap();
}

/// The interfaces that have the exit's address.
fn holders(server: &Server) -> Vec<String> {
    let all = server.fake.addresses().unwrap().into_iter();
    all.filter(|(_, network)| network.ip().to_string() == "10.99.0.2").map(|(name, _)| name).collect()
}

/// The rules that send what comes from the exit's address elsewhere.
fn diverted(server: &Server) -> Vec<PolicyRule> {
    let from = |rule: &PolicyRule| rule.from.is_some_and(|from| from.ip().to_string() == "10.99.0.2");
    server.fake.rules().unwrap().into_iter().filter(from).collect()
}

fn link_is_there(server: &Server) -> bool {
    server.fake.link(&"wg_vpn".parse().unwrap()).unwrap().is_some()
}

/// The route of the server's own packets to the Internet.
fn own_route(server: &Server) -> Option<OwnRoute> {
    server.fake.own_route(None, [1, 1, 1, 1].into()).unwrap()
}

/// That the exit is not there, that clients are kept in, and that all the rest is.
#[track_caller]
fn is_withheld(server: &Server, what: &str) {
    server.assert_in_sync();
    assert!(!link_is_there(server), "{what}");
    assert!(holders(server).iter().all(|holder| holder == "eth0"), "{what}: {:?}", holders(server));
    assert_eq!(diverted(server), [], "{what}");
    assert!(is_closed(server), "{what}");
    let dump = server.fake.dump();
    let closed = [" unreachable metric", " unreachable proto"].map(|text| dump.matches(text).count());
    assert_eq!(closed, [2, 1], "{what}: {dump}");
    let status = server.api(&["core", "server_status"]).ok();
    assert_eq!(status["service"]["running"], true, "{what}: {status:#}");
    let status = server.api(&["multihop", "status"]).ok();
    assert_eq!(
        (&status["enabled"], &status["vpn_interface"]["active"], &status["kill_switch"]),
        (&json!(true), &json!(false), &json!(true)),
        "{what}: {status:#}"
    );
    assert_eq!(status["monitor_status"]["monitoring"], true, "{what}");
    let said = json!(["Exit address 10.99.0.2 is an address of this server (eth0)"]);
    assert_eq!(status["collisions"], said, "{what}");
    let exits = server.api(&["multihop", "list_exits"]).ok();
    let listed = exits["exits"].as_array().unwrap().iter().find(|exit| exit["name"] == "xeovo-uk").unwrap();
    assert_eq!(listed["collisions"], said, "{what}");
}

/// Through the exit, with the packet filter by nftables or iptables, and the kill switch on or off.
fn servers() -> Vec<(String, Server)> {
    let mut all = vec![("embedded".to_owned(), through_exit_on(embedded()))];
    for kind in [FirewallKind::Nftables, FirewallKind::Iptables] {
        for kill_switch in ["true", "false"] {
            let server = with_exit();
            server.fake.set_firewall_kind(kind);
            let word = format!("kill_switch={kill_switch}");
            server.api(&[ENABLE_MULTIHOP, &[&word]].concat()).ok();
            all.push((format!("{kind:?} {kill_switch}"), server));
        }
    }
    all
}

#[test]
fn new_collision_takes_only_the_exit_down() {
    for (what, server) in servers() {
        let before = own_route(&server);
        let sound = server.fake.dump();
        take(&server);
        let status = server.api(&["multihop", "status"]).ok();
        assert!(
            status["collisions"][0].is_string(),
            "{what}: it is said before anything is done: {status:#}"
        );
        let answer = server.api(&["core", "reconcile"]);
        answer.ok();
        let said = "Exit 'xeovo-uk' is not brought up, and clients stay blocked: Exit address 10.99.0.2 is an address of \
                    this server (eth0)";
        assert!(answer.err.contains(said), "{what}: {}", answer.err);
        is_withheld(&server, &what);
        assert_eq!(own_route(&server), before, "{what}");
        // Again nothing is to be done, but it is said again; and in the language that is asked for.
        let again = server.api(&["core", "reconcile", "--lang", "tr"]);
        assert_eq!(again.ok()["in_sync"], true, "{what}");
        assert!(again.err.contains("'xeovo-uk' çıkışı devreye alınmadı"), "{what}: {}", again.err);
        // A client is added, the service is restarted, stopped and started: the exit stays away.
        for words in [
            &["core", "add_client", "client_name=late"][..],
            &["core", "restart_service"],
            &["core", "stop_service"],
            &["core", "start_service"],
            &["service", "up", "wg_main"],
        ] {
            let answer = server.api(words);
            assert_eq!(answer.exit, 0, "{what}: {words:?}: {}{}", answer.out, answer.err);
        }
        is_withheld(&server, &what);
        give_back(&server);
        let answer = server.api(&["core", "reconcile"]);
        answer.ok();
        assert!(!answer.err.contains("brought up"), "{what}: {}", answer.err);
        server.assert_in_sync();
        assert_eq!(holders(&server), ["wg_vpn"], "{what}");
        server.api(&["core", "remove_client", "client_name=late"]).ok();
        let kept = |dump: String| -> Vec<String> {
            let of_clients = |line: &&str| !line.starts_with("/etc/wireguard/") && !line.contains(" peer ");
            dump.lines().filter(of_clients).map(str::to_owned).collect()
        };
        assert_eq!(kept(server.fake.dump()), kept(sound), "{what}: as before");
    }
}

#[test]
fn a_boot_never_fails_for_a_collision() {
    for (what, server) in servers() {
        let closed = is_closed(&server);
        for round in 0..2 {
            server.reboot();
            server.fake.flush_firewall();
            // Before there is a network nobody knows of the collision.
            let block = server.api(&["service", "block"]);
            assert_eq!(block.exit, 0, "{what} {round}: {}", block.err);
            assert_eq!(is_closed(&server), closed, "{what} {round}");
            take(&server);
            // The unit of the server's interface comes first, and then the one of the boot.
            let hook = server.api(&["service", "up", "wg_main"]);
            assert_eq!(hook.exit, 0, "{what} {round}: {}", hook.err);
            is_withheld(&server, &format!("{what} {round}"));
            server.api(&["core", "reconcile"]).ok();
            is_withheld(&server, &format!("{what} {round}"));
            give_back(&server);
        }
        // The exit's own unit is never started by the boot itself.
        server.reboot();
        assert!(!link_is_there(&server), "{what}");
        assert_eq!(server.api(&["service", "up", "wg_main"]).exit, 0, "{what}");
        assert_eq!(holders(&server), ["wg_vpn"], "{what}");
        server.api(&["core", "reconcile"]).ok();
        server.assert_in_sync();
    }
}

#[test]
fn boot_guard_excludes_the_server_address() {
    let server = through_exit();
    // Imported by an earlier version, which took it.
    let address = format!("UPDATE exits SET addresses = '{}/32'", phantom_tests::SERVER_IP);
    rusqlite::Connection::open(server.paths().database()).unwrap().execute_batch(&address).unwrap();
    server.reboot();
    server.fake.flush_firewall();
    server.api(&["service", "block"]);
    let own =
        |rule: &PolicyRule| rule.from.is_some_and(|from| from.ip().to_string() == phantom_tests::SERVER_IP);
    assert!(!server.fake.rules().unwrap().iter().any(own), "answers of the server would lead nowhere");
    assert!(is_closed(&server));
    server.api(&["core", "reconcile"]).ok();
    server.assert_in_sync();
    assert!(!link_is_there(&server) && is_closed(&server));
    // What an earlier version brought up is taken down by the first reconcile of this one.
    server.api(&["multihop", "disable_multihop"]).ok();
    server.assert_in_sync();
    assert!(!server.fake.dump().contains(BLOCK));
}

#[test]
fn switch_leaves_a_colliding_exit() {
    let server = with_second_exit(through_exit());
    let address = "UPDATE exits SET addresses = '10.98.0.2/32' WHERE name = 'nl'";
    rusqlite::Connection::open(server.paths().database()).unwrap().execute_batch(address).unwrap();
    take(&server);
    server.api(&["core", "reconcile"]).ok();
    is_withheld(&server, "before");
    let switched = server.api(&["multihop", "enable_multihop", "exit_name=nl"]).ok();
    assert_eq!(switched["previous_exit"], "xeovo-uk");
    server.assert_in_sync();
    assert_eq!(holders(&server), ["eth0"]);
    assert!(link_is_there(&server));
    let status = server.api(&["multihop", "status"]).ok();
    assert_eq!((&status["active_exit"], status.get("collisions")), (&json!("nl"), None));
    server.api(ENABLE_MULTIHOP).failed("VPN_CONFIG_ERROR");
    server.assert_in_sync();
    server.api(&["multihop", "remove_vpn_config", "exit_name=xeovo-uk"]).ok();
}

#[test]
fn name_is_resolved_to_free_addresses() {
    let server = with_exit();
    let addresses = [phantom_tests::SERVER_IP, "185.213.155.134"].map(|address| address.parse().unwrap());
    server.fake.set_lookup("uk.gw.xeovo.com".parse().unwrap(), Ok(addresses.to_vec()));
    let enabled = server.api(ENABLE_MULTIHOP).ok();
    assert_eq!(enabled["traffic_flow"], "Clients → Phantom → VPN Exit (185.213.155.134:51820)");
}

/// Somebody puts a rule there while the exit is enabled, by which the server's own answers leave by the exit.
#[test]
fn exit_that_changes_server_routes_is_refused() {
    let server = with_exit();
    let fake = server.fake.clone();
    let action = RuleAction::Lookup(server.tags().exit_table());
    server.fake.on_write(move |_, write| {
        if write.contains("network.add_route") && write.contains("dev wg_vpn") {
            let from = Some("203.0.113.10/32".parse().unwrap());
            let rule = PolicyRule {
                priority: 50,
                ipv6: false,
                from,
                to: None,
                in_interface: None,
                action,
                protocol: 4,
            };
            let _ = fake.give_rule(&rule);
        }
    });
    let refused = server.api(ENABLE_MULTIHOP).failed("MULTIHOP_ERROR");
    let finding = json!({ "success": false, "error": "the routes of the server's own packets have changed" });
    assert_eq!(
        (&refused["data"]["step"], &refused["data"]["test_result"]),
        (&json!("verify"), &finding),
        "{refused:#}"
    );
    server.fake.clear_on_write();
    assert_eq!(server.api(&["multihop", "status"]).ok()["enabled"], false);
    server.assert_in_sync();
}

/// Lets the monitor look once a second, for at most so long; says after how many seconds something held.
fn until(monitor: &mut Monitor<'_>, server: &Server, limit: u64, holds: impl Fn() -> bool) -> Option<u64> {
    for second in 0..limit {
        if holds() {
            return Some(second);
        }
        monitor.tick();
        server.fake.advance(Duration::from_secs(1));
    }
    None
}

/// A server whose programs do what they do when the monitor runs them.
fn running(server: Server) -> Arc<Server> {
    let server = Arc::new(server);
    let weak = Arc::downgrade(&server);
    server.fake.set_runner(move |command| {
        let Some(server) = weak.upgrade() else { return false };
        let words: Vec<&str> = command.args.iter().map(String::as_str).collect();
        server.api(&words).exit == 0
    });
    server
}

fn active(server: &Server) -> Value {
    server.api(&["multihop", "status"]).ok()["active_exit"].take()
}

#[test]
fn monitor_takes_exit_down_and_back() {
    let server = running(through_exit());
    let phantom = server.phantom();
    let mut monitor = Monitor::new(phantom.engine());
    assert_eq!(until(&mut monitor, &server, 30, || !link_is_there(&server)), None);
    take(&server);
    let gone = until(&mut monitor, &server, 60, || !link_is_there(&server));
    assert!(gone.is_some_and(|seconds| seconds <= 12), "{gone:?}");
    is_withheld(&server, "by the monitor");
    assert_eq!(until(&mut monitor, &server, 600, || link_is_there(&server)), None);
    is_withheld(&server, "for as long as it collides");
    give_back(&server);
    // The pauses between its attempts have grown to five minutes.
    assert!(until(&mut monitor, &server, 400, || link_is_there(&server)).is_some());
    server.assert_in_sync();
    assert_eq!(holders(&server), ["wg_vpn"]);
}

#[test]
fn monitor_uses_a_fallback_without_collision() {
    let server = with_second_exit(with_exit());
    let address = "UPDATE exits SET addresses = '10.98.0.2/32' WHERE name = 'nl'";
    rusqlite::Connection::open(server.paths().database()).unwrap().execute_batch(address).unwrap();
    server.api(&[ENABLE_MULTIHOP, &["fallback_exits=nl"]].concat()).ok();
    let server = running(server);
    let phantom = server.phantom();
    let mut monitor = Monitor::new(phantom.engine());
    until(&mut monitor, &server, 5, || false);
    take(&server);
    let replaced = until(&mut monitor, &server, 120, || active(&server) == "nl");
    assert!(replaced.is_some(), "{}", server.fake.dump());
    server.assert_in_sync();
    // The chosen one is not tried as long as it collides, although it would answer.
    let exit = server.api(&["service", "try", "xeovo-uk"]);
    assert_eq!(exit.exit, 1);
    assert!(exit.err.contains("10.99.0.2"), "{}", exit.err);
    for key in [uk(), nl()] {
        server.fake.let_peer_answer(key, true);
    }
    assert_eq!(until(&mut monitor, &server, 1_500, || active(&server) != "nl"), None);
    assert_eq!(holders(&server), ["eth0"]);
    give_back(&server);
    assert!(until(&mut monitor, &server, 3_000, || active(&server) == "xeovo-uk").is_some());
    server.assert_in_sync();
}

#[test]
fn monitor_ignores_names_of_server_itself() {
    let server = running(through_exit());
    let phantom = server.phantom();
    let mut monitor = Monitor::new(phantom.engine());
    let at = || server.store().read(State::multihop).unwrap().unwrap().endpoint_address.unwrap().to_string();
    let before = at();
    let name = || "uk.gw.xeovo.com".parse().unwrap();
    server.fake.set_lookup(name(), Ok(vec![phantom_tests::SERVER_IP.parse().unwrap()]));
    assert_eq!(until(&mut monitor, &server, 3_700, || at() != before), None);
    server.fake.set_lookup(name(), Ok(vec!["185.213.155.7".parse().unwrap()]));
    assert!(until(&mut monitor, &server, 3_700, || at() == "185.213.155.7:51820").is_some());
}
