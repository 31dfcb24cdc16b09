//! `status` and `doctor` say what keeps clients in on the host, not what is stored of it.

use phantom_host::filter::{FilterProgram, Filters};
use phantom_host::{Hook, Match, RouteKind, RuleAction, Ruleset, Verdict};
use phantom_tests::Server;
use serde_json::{Value, json};

use crate::cases::{through_exit, through_exit_on, with_exit};
use crate::faults::embedded;

fn status(server: &Server) -> Value {
    server.api(&["multihop", "status"]).ok()
}

fn check(server: &Server) -> Value {
    let answer = server.api(&["core", "doctor"]).ok();
    let checks = answer["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == "kill_switch").unwrap().clone()
}

fn flush_routes(server: &Server) {
    let table = server.tags().exit_table();
    for route in server.host.network.routes(table).unwrap() {
        server.fake.take_route(&route).unwrap();
    }
}

fn flush_rules(server: &Server) {
    let tags = server.tags();
    for rule in server.host.network.rules().unwrap().into_iter().filter(|rule| tags.owns_rule(rule)) {
        server.fake.take_rule(&rule).unwrap();
    }
}

#[test]
fn one_barrier_keeps_the_kill_switch() {
    for walls in 0..8_u8 {
        let [filter, routes, rules] = [1, 2, 4].map(|wall| walls & wall != 0);
        let server = through_exit();
        if filter {
            server.fake.flush_firewall();
        }
        if routes {
            flush_routes(&server);
        }
        if rules {
            flush_rules(&server);
        }
        let (closed, count) = (!(filter && rules), walls.count_ones());
        let status = status(&server);
        assert_eq!(
            (&status["enabled"], &status["kill_switch"]),
            (&json!(true), &json!(closed)),
            "{status:#}"
        );
        let missing = status.get("missing_walls").map_or(0, |list| list.as_array().unwrap().len());
        assert_eq!(u32::try_from(missing), Ok(count), "{status:#}");
        // Where nothing is in the way they leave by the uplink at once.
        let direct = json!(if closed { "VPN Exit" } else { "Direct" });
        assert_eq!(status["traffic_routing"], direct, "{status:#}");
        let found = check(&server);
        assert_eq!(found["state"], if count == 0 { "ok" } else { "problem" }, "{found:#}");
        assert_eq!(found["text"].as_str().unwrap().starts_with("Nothing keeps"), !closed, "{found:#}");
        server.api(&["core", "reconcile"]).ok();
        assert_eq!(self::status(&server)["kill_switch"], true);
        assert_eq!(check(&server)["state"], "ok");
    }
}

#[test]
fn opened_barrier_does_not_count() {
    let server = through_exit();
    flush_routes(&server);
    flush_rules(&server);
    assert_eq!(status(&server)["kill_switch"], true, "the packet filter is left");
    // The rules are there, behind one that lets clients out.
    let tags = server.tags();
    let mut rules = Ruleset::default();
    let by = Match::In { interface: "wg_main".to_owned(), not: false };
    rules.add(Hook::Forward, 0, vec![by, Match::Established], Verdict::Accept);
    for rule in server.fake.firewall_rules(&tags).unwrap().rules() {
        rules.add(rule.hook, rule.order, rule.matches.clone(), rule.verdict);
    }
    server.host.firewall.replace(&tags, &rules).unwrap();
    assert_eq!(status(&server)["kill_switch"], false, "connections go on past it");
    // One rule more that lets nobody out is a change all the same, and opens nothing.
    let mut rules = Ruleset::default();
    rules.add(Hook::Input, 0, vec![Match::Ipv6], Verdict::Accept);
    server.api(&["core", "reconcile"]).ok();
    for rule in server.fake.firewall_rules(&tags).unwrap().rules() {
        rules.add(rule.hook, rule.order, rule.matches.clone(), rule.verdict);
    }
    flush_rules(&server);
    server.host.firewall.replace(&tags, &rules).unwrap();
    assert_eq!(status(&server)["kill_switch"], true);
}

#[test]
fn foreign_earlier_rule_takes_routes_away() {
    let server = through_exit();
    server.fake.flush_firewall();
    assert_eq!(status(&server)["kill_switch"], true);
    let rules = server.host.network.rules().unwrap();
    let ours = rules.iter().find(|rule| rule.priority == server.tags().exit_priority() && !rule.ipv6);
    let past = phantom_host::PolicyRule {
        priority: 50,
        action: RuleAction::Lookup(254),
        protocol: 3,
        ..ours.unwrap().clone()
    };
    server.fake.give_rule(&past).unwrap();
    let status = status(&server);
    assert_eq!((&status["kill_switch"], &status["traffic_routing"]), (&json!(false), &json!("Direct")));
    assert_eq!(check(&server)["state"], "problem");
}

#[test]
fn foreign_drop_rules_are_no_kill_switch() {
    let server = with_exit();
    server.api(&["multihop", "enable_multihop", "exit_name=xeovo-uk", "kill_switch=false"]).ok();
    let rules = "*filter\n:FORWARD DROP [0:0]\nCOMMIT\n";
    server.fake.set_filters(Filters::read_iptables(rules, FilterProgram::IptablesNft, false));
    let status = status(&server);
    assert_eq!((&status["kill_switch"], status.get("missing_walls")), (&json!(false), None), "{status:#}");
    assert_eq!(check(&server)["state"], "ok");
}

#[test]
fn barriers_are_checked_without_client_interface() {
    let server = through_exit_on(embedded());
    server.api(&["core", "stop_service"]).ok();
    assert_eq!(status(&server)["kill_switch"], true);
    server.fake.flush_firewall();
    flush_rules(&server);
    assert_eq!(status(&server)["kill_switch"], false);
    let unreachable = |server: &Server| {
        let routes = server.host.network.routes(server.tags().exit_table()).unwrap();
        routes.iter().filter(|route| route.kind == RouteKind::Unreachable).count()
    };
    assert_eq!(unreachable(&server), 2, "routes that no rule leads to close nothing");
}
