//! Packet filters of others: the answers say what was opened there, what could not be, and what is left behind; and servers that
//! clients reach without an IPv4 address.

use std::sync::{Arc, Mutex};

use phantom_ghost::program::fake::FakeTunnel as _;
use phantom_ghost_state::GhostState as _;
use phantom_host::filter::{FilterProgram, Filters};
use phantom_host::{Port, Protocol, Route, RouteKind, StuckRules};
use phantom_store::State;
use phantom_tests::Server;
use serde_json::{Value, json};

use crate::cases::{ENABLE, with_domain, with_john};
use crate::ghost::obtaining::{holding_the_port, meanwhile};

/// Somebody lets in SSH, and drops what no rule of his decides.
pub(crate) fn closed(server: &Server) {
    filter(server, "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n");
}

fn filter(server: &Server, rules: &str) {
    let text = format!("*filter\n:INPUT DROP [0:0]\n{rules}COMMIT\n");
    server.fake.set_filters(Filters::read_iptables(&text, FilterProgram::IptablesNft, false));
}

fn setup(server: &Server, words: &[&str]) -> Value {
    server.api(&[&["core", "setup"][..], words].concat()).ok()
}

/// The lines of the host that say what is let in.
fn let_in(server: &Server) -> Vec<String> {
    let dump = server.fake.dump();
    let lines =
        dump.lines().filter_map(|line| line.split_once(" lets in ").map(|(_, ports)| ports.to_owned()));
    lines.collect()
}

fn opened(ports: &[&str]) -> Value {
    json!([{ "table": "iptables filter", "chain": "INPUT", "ports": ports }])
}

/// That one thing is said: where an accept was taken out, of which there may be a copy.
fn taken_out(answer: &Value) {
    let warnings = answer["warnings"].as_array().unwrap_or_else(|| panic!("{answer:#}"));
    let text = warnings[0].as_str().unwrap();
    assert!(
        warnings.len() == 1 && text.contains("iptables filter INPUT") && text.contains("saved"),
        "{text}"
    );
}

/// What the doctor says of one thing.
fn check(server: &Server, name: &str) -> Value {
    let report = server.api(&["core", "doctor"]).ok();
    report["checks"].as_array().unwrap().iter().find(|check| check["name"] == name).unwrap().clone()
}

const ADDRESS: &str = "server_ip=157.230.114.231";

#[test]
fn setup_opens_a_closed_port() {
    let server = Server::bare();
    closed(&server);
    let done = setup(&server, &[ADDRESS]);
    assert_eq!(done["opened"], opened(&["51820/udp"]));
    assert!(done.get("warnings").is_none() && done.get("open_firewall").is_none(), "{done:#}");
    assert_eq!(let_in(&server), ["51820/udp"]);
    server.assert_in_sync();
    let status = server.api(&["core", "get_firewall_status"]).ok();
    assert_eq!(status["opened"], opened(&["51820/udp"]));
    let rules = check(&server, "packet_filter");
    assert!(
        rules["state"] == "ok" && rules["text"].as_str().unwrap().contains("INPUT: 51820/udp"),
        "{rules}"
    );
    assert_eq!(check(&server, "wireguard_port")["state"], "ok");
    // Another port takes its place; somebody who opens it himself needs no help.
    let moved = setup(&server, &["port=4500"]);
    taken_out(&moved);
    assert_eq!(moved["opened"], opened(&["4500/udp"]));
    assert_eq!(let_in(&server), ["4500/udp"]);
    filter(&server, "-A INPUT -p udp -m udp --dport 4500 -j ACCEPT\n");
    server.api(&["core", "reconcile"]).ok();
    assert!(let_in(&server).is_empty() && setup(&server, &[]).get("opened").is_none());
    server.assert_in_sync();
}

#[test]
fn port_closed_later_is_reopened() {
    let server = with_john();
    closed(&server);
    let found = check(&server, "wireguard_port");
    assert_eq!(
        (&found["state"], &found["hint"]),
        (&"problem".into(), &"Run: phantom-api core reconcile".into())
    );
    let done = server.api(&["core", "reconcile"]).ok();
    assert_eq!((&done["changed"], &done["steps"][0]["kind"]), (&true.into(), &"firewall".into()));
    assert_eq!(check(&server, "wireguard_port")["state"], "ok");
    server.assert_in_sync();
}

#[test]
fn declining_operator_learns_the_command() {
    let server = Server::bare();
    closed(&server);
    server.fake.set_ufw(Some(true));
    let done = setup(&server, &[ADDRESS, "open_firewall=false"]);
    assert_eq!(done["open_firewall"], false);
    assert!(done.get("opened").is_none());
    let warning = "A packet filter closes UDP port 51820 to the Internet (iptables filter INPUT: -P INPUT DROP). \
                   Run: iptables -I INPUT -p udp --dport 51820 -j ACCEPT";
    assert_eq!(done["warnings"], json!([warning]));
    assert!(
        let_in(&server).is_empty() && !server.fake.dump().contains("allow 51820"),
        "{}",
        server.fake.dump()
    );
    server.assert_in_sync();
    // It is stored, and the doctor gives the command: reconciling would not help.
    assert_eq!(setup(&server, &[])["open_firewall"], false);
    let hint = check(&server, "wireguard_port")["hint"].clone();
    assert_eq!(hint, "Run: iptables -I INPUT -p udp --dport 51820 -j ACCEPT");
    assert_eq!(server.api(&["core", "get_firewall_status"]).ok()["open_firewall"], false);
    // In Turkish as well.
    let turkish = server.api(&["--lang", "tr", "core", "setup"]).ok();
    let warning = turkish["warnings"][0].as_str().unwrap();
    assert!(warning.contains("kapatıyor") && warning.contains("Çalıştırın: iptables -I INPUT"), "{warning}");
    // He can think better of it, and again.
    let changed = setup(&server, &["open_firewall=true"]);
    assert_eq!(
        (&changed["changed"], &changed["opened"]),
        (&json!(["open_firewall"]), &opened(&["51820/udp"]))
    );
    assert!(changed.get("warnings").is_none() && server.fake.dump().contains("allow 51820/udp"));
    let changed = setup(&server, &["open_firewall=false"]);
    let warnings = changed["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 2, "{changed:#}");
    let copy = warnings[0].as_str().unwrap();
    assert!(copy.contains("iptables filter INPUT") && copy.contains("saved"), "{copy}");
    assert!(let_in(&server).is_empty());
    server.assert_in_sync();
}

/// He lets in some addresses alone, on purpose.
const LIMITED: &str = "-A INPUT -s 203.0.113.0/24 -p udp -m udp --dport 51820 -j ACCEPT\n\
                       -A INPUT -s 203.0.113.0/24 -p tcp -m tcp --dport 443 -j ACCEPT\n";

#[test]
fn owner_limited_port_stays_and_is_named() {
    let server = Server::bare();
    filter(&server, LIMITED);
    let done = setup(&server, &[ADDRESS]);
    assert!(done.get("opened").is_none() && let_in(&server).is_empty(), "{done:#}");
    let warning = "A rule of this host's own packet filter limits UDP port 51820 (iptables filter INPUT #1: \
                   -A INPUT -s 203.0.113.0/24 -p udp -m udp --dport 51820 -j ACCEPT). Phantom-WG leaves it alone: \
                   clients reach the port only as far as that filter lets them in. To open the port to everybody, run: \
                   iptables -I INPUT -p udp --dport 51820 -j ACCEPT";
    assert_eq!(done["warnings"], json!([warning]));
    server.assert_in_sync();
    let found = check(&server, "wireguard_port");
    assert_eq!(found["state"], "warning", "{found}");
    assert!(found["text"].as_str().unwrap().contains("--dport 51820"), "{found}");
    assert!(found["hint"].as_str().unwrap().ends_with("iptables -I INPUT -p udp --dport 51820 -j ACCEPT"));
    let turkish = server.api(&["--lang", "tr", "core", "setup"]).ok();
    assert!(
        turkish["warnings"][0].as_str().unwrap().contains("kendi paket filtresindeki bir kural"),
        "{turkish}"
    );
    // Nothing else is limited by it.
    setup(&server, &["port=4500"]);
    assert_eq!(let_in(&server), ["4500/udp"]);
}

#[test]
fn tunnel_on_limited_port_reports_it() {
    let server = with_domain();
    filter(&server, LIMITED);
    holding_the_port(&server);
    server.api(&["core", "reconcile"]).ok();
    let enabled = server.api(ENABLE).ok();
    assert!(enabled.get("opened").is_none() && let_in(&server).is_empty(), "{enabled:#}");
    let warnings = enabled["warnings"].as_array().unwrap();
    assert!(
        warnings.iter().any(|text| text.as_str().unwrap().contains("limits TCP port 443")),
        "{enabled:#}"
    );
    let status = server.api(&["ghost", "status"]).ok();
    assert_eq!(
        (&status["status"], &status["closed_by"]["limited"]),
        (&"active".into(), &true.into()),
        "{status:#}"
    );
    assert_eq!(check(&server, "https_port")["state"], "warning");
}

#[test]
fn ufw_limited_port_gets_no_rule() {
    let server = Server::bare();
    let text = include_str!("../../foundation/host/src/filter/tests/captured/ufw.save");
    let rule = "-A ufw-user-input -s 203.0.113.0/24 -p udp -m udp --dport 51820 -j ACCEPT";
    let text = text.replacen("COMMIT", &format!("{rule}\nCOMMIT"), 1);
    server.fake.set_filters(Filters::read_iptables(&text, FilterProgram::IptablesNft, false));
    server.fake.set_ufw(Some(true));
    server.fake.limit_ufw(Port { protocol: Protocol::Udp, number: 51820 });
    let done = setup(&server, &[ADDRESS]);
    let warning = done["warnings"][0].as_str().unwrap();
    assert!(warning.contains("limits UDP port 51820") && warning.contains(rule), "{warning}");
    assert!(warning.ends_with("run: ufw allow 51820/udp"), "{warning}");
    assert!(!server.fake.dump().contains("allow 51820"), "{}", server.fake.dump());
    server.assert_in_sync();
    assert_eq!(check(&server, "ufw")["state"], "ok");
    assert_eq!(check(&server, "wireguard_port")["state"], "warning");
    // One that is limited later loses it.
    setup(&server, &["port=4500"]);
    assert!(server.fake.dump().contains("allow 4500/udp"));
    server.fake.limit_ufw(Port { protocol: Protocol::Udp, number: 4500 });
    server.api(&["core", "reconcile"]).ok();
    assert!(!server.fake.dump().contains("allow 4500/udp"));
    server.assert_in_sync();
}

#[test]
fn ufw_rules_are_opened_in_ufw() {
    let server = Server::bare();
    let text = include_str!("../../foundation/host/src/filter/tests/captured/ufw.save");
    server.fake.set_filters(Filters::read_iptables(text, FilterProgram::IptablesNft, false));
    server.fake.set_ufw(Some(true));
    let done = setup(&server, &[ADDRESS]);
    assert!(done.get("opened").is_none() && let_in(&server).is_empty(), "{done:#}");
    assert!(server.fake.dump().contains("allow 51820/udp"));
    // Switched off, its chains are like anybody's.
    server.fake.set_ufw(Some(false));
    server.api(&["core", "reconcile"]).ok();
    assert_eq!(let_in(&server), ["51820/udp"]);
}

#[test]
fn ghost_mode_opens_only_its_port() {
    let server = with_domain();
    closed(&server);
    server.api(&["core", "reconcile"]).ok();
    let enabled = server.api(ENABLE).ok();
    assert_eq!(enabled["opened"], opened(&["443/tcp"]));
    taken_out(&enabled);
    assert_eq!(let_in(&server), ["443/tcp"]);
    let status = server.api(&["ghost", "status"]).ok();
    assert_eq!(status["status"], "active", "{status:#}");
    server.assert_in_sync();
    taken_out(&server.api(&["ghost", "disable"]).ok());
    assert_eq!(let_in(&server), ["51820/udp"]);
    server.assert_in_sync();
    // An operator who opens ports himself is told which.
    setup(&server, &["open_firewall=false"]);
    let enabled = server.api(ENABLE).ok();
    let warnings = enabled["warnings"].as_array().unwrap();
    let text = warnings[0].as_str().unwrap();
    assert!(
        warnings.len() == 1 && text.ends_with("Run: iptables -I INPUT -p tcp --dport 443 -j ACCEPT"),
        "{text}"
    );
    assert!(let_in(&server).is_empty());
}

#[test]
fn authority_is_admitted_only_while_asked() {
    let mut server = with_domain();
    closed(&server);
    server.api(&["core", "reconcile"]).ok();
    let before = server.fake.dump();
    let (fake, seen) = (server.fake.clone(), Arc::new(Mutex::new(Vec::new())));
    let note = seen.clone();
    meanwhile(&mut server, move |_| {
        let dump = fake.dump();
        let line = dump.lines().find(|line| line.contains(" lets in ")).unwrap_or_default().to_owned();
        note.lock().unwrap().push(line.rsplit("lets in ").next().unwrap().to_owned());
    });
    server.fake.refuse_certificates(Some("the authority says no"));
    server.api(ENABLE).failed("CERTIFICATE_ERROR");
    assert_eq!(crate::faults::changed(&before, &server.fake.dump()), "");
    server.fake.refuse_certificates(None);
    server.api(ENABLE).ok();
    assert!(seen.lock().unwrap().iter().all(|open| open == "80/tcp, 443/tcp, 51820/udp"), "{seen:?}");
    assert_eq!((seen.lock().unwrap().len(), let_in(&server)), (2, vec!["443/tcp".to_owned()]));
    server.assert_in_sync();
}

/// A server whose process ended while the authority was asked: its way is still open.
fn cut_short() -> Server {
    let mut server = with_domain();
    closed(&server);
    server.api(&["core", "reconcile"]).ok();
    meanwhile(&mut server, |_| std::panic::resume_unwind(Box::new("cut short by the test")));
    assert_eq!(server.api(ENABLE).code(), "INTERNAL_ERROR");
    assert_eq!(let_in(&server), ["80/tcp, 443/tcp, 51820/udp"]);
    server
}

#[test]
fn killed_process_ends_the_authority_accept() {
    let server = cut_short();
    let until = server.store().read(|state| state.document("ghost", "validation_until")).unwrap();
    let until = until.and_then(|until| until.as_i64()).expect("it is stored when it ends");
    let due = server.store().due().expect("somebody is told when something is to be done");
    assert!(due.micros() <= until, "{due:?}");
    server.fake.set_now(phantom_types::Timestamp::from_micros(until + 1));
    assert_eq!(server.api(&["core", "reconcile"]).ok()["changed"], true);
    assert_eq!(let_in(&server), ["51820/udp"]);
}

#[test]
fn clock_set_back_still_closes_accept() {
    let server = cut_short();
    let due = server.store().due().unwrap();
    server.fake.set_now(phantom_types::Timestamp::from_micros(due.micros() - 24 * 3_600_000_000));
    server.api(&["core", "reconcile"]).ok();
    assert_eq!(let_in(&server), ["51820/udp"]);
}

#[test]
fn failed_change_closes_the_authority_accept() {
    let mut server = with_domain();
    closed(&server);
    server.api(&["core", "reconcile"]).ok();
    let fake = server.fake.clone();
    // The certificate comes, and a write of the change that follows is refused.
    meanwhile(&mut server, move |_| fake.refuse_write(2));
    let failed = server.api(ENABLE);
    assert_ne!(failed.exit, 0, "{}", failed.out);
    assert_eq!(let_in(&server), ["51820/udp"]);
    assert!(server.store().read(State::ghost).unwrap().is_none());
    server.assert_in_sync();
}

#[test]
fn declining_operator_learns_the_ghost_port() {
    let server = with_domain();
    closed(&server);
    server.api(&["core", "reconcile"]).ok();
    server.api(ENABLE).ok();
    let changed = setup(&server, &["open_firewall=false"]);
    let warnings = changed["warnings"].as_array().unwrap();
    assert!(warnings.len() == 2 && warnings[0].as_str().unwrap().contains("saved"), "{changed:#}");
    let closed = warnings[1].as_str().unwrap();
    assert!(closed.ends_with("Run: iptables -I INPUT -p tcp --dport 443 -j ACCEPT"), "{closed}");
    assert!(let_in(&server).is_empty());
    let back = setup(&server, &["open_firewall=true"]);
    assert_eq!((&back["opened"], back.get("warnings")), (&opened(&["443/tcp"]), None), "{back:#}");
}

#[test]
fn reset_does_not_open_operator_ports() {
    let server = with_john();
    closed(&server);
    setup(&server, &["open_firewall=false"]);
    crate::factory_reset::run(&server).unwrap();
    assert_eq!(setup(&server, &[])["open_firewall"], false);
    assert!(let_in(&server).is_empty());
}

#[test]
fn a_removal_tells_of_saved_copies() {
    for (words, sentence) in [
        (&["--uninstall", "--yes"][..], "was saved meanwhile"),
        (&["--uninstall", "--yes", "--lang", "tr"][..], "kopyası"),
    ] {
        let server = with_john();
        closed(&server);
        server.api(&["core", "reconcile"]).ok();
        let (exit, out, err) = crate::factory_reset::said(&server, words, "");
        assert_eq!((exit, err.as_str()), (0, ""), "{out}");
        let last = out.lines().next_back().unwrap();
        assert!(last.contains("iptables filter") && last.contains(sentence), "{out}");
        assert!(let_in(&server).is_empty());
    }
    let (exit, out, _) = crate::factory_reset::said(&with_john(), &["--uninstall", "--yes"], "");
    assert_eq!(exit, 0, "{out}");
    assert!(!out.contains("saved"), "{out}");
}

/// What a chain of somebody else's holds of ours, after nft was uninstalled.
fn stuck(server: &Server) {
    server.fake.set_stuck(&[StuckRules {
        place: "nftables inet filter phantom_wg_input".into(),
        command: "apt install nftables && nft flush chain inet filter phantom_wg_input".into(),
    }]);
}

#[test]
fn irremovable_rules_are_named_with_their_command() {
    let names_it = |text: &Value| {
        let text = text.as_str().unwrap();
        assert!(
            text.contains("in nftables inet filter phantom_wg_input")
                && text.contains(" && nft flush chain "),
            "{text}"
        );
    };
    let server = with_domain();
    stuck(&server);
    names_it(&setup(&server, &["open_firewall=false"])["warnings"][0]);
    names_it(&server.api(ENABLE).ok()["warnings"][0]);
    names_it(&server.api(&["ghost", "disable"]).ok()["warnings"][0]);
    let found = check(&server, "packet_filter");
    assert_eq!(found["state"], "warning", "{found}");
    assert!(found["hint"].as_str().unwrap().starts_with("Run: apt install nftables"), "{found}");
    for (words, sentence) in [
        (&["--uninstall", "--yes"][..], "Rules of Phantom-WG stay in nftables"),
        (&["--uninstall", "--yes", "--lang", "tr"][..], "Phantom-WG kuralları nftables"),
    ] {
        let server = with_john();
        stuck(&server);
        let (exit, out, err) = crate::factory_reset::said(&server, words, "");
        assert_eq!((exit, err.as_str()), (0, ""), "{out}");
        let last = out.lines().next_back().unwrap();
        assert!(last.starts_with(sentence) && last.ends_with("phantom_wg_input"), "{out}");
    }
}

/// A host that the Internet reaches by IPv6 alone.
fn without_ipv4() -> Server {
    let server = Server::bare();
    let four: Route = Route {
        table: 254,
        destination: "0.0.0.0/0".parse().unwrap(),
        metric: 0,
        kind: RouteKind::Via { interface: "eth0".into(), gateway: Some("203.0.113.1".parse().unwrap()) },
        source: None,
        protocol: 3,
    };
    server.fake.take_route(&four).unwrap();
    server.fake.take_address("eth0", "203.0.113.10/24".parse().unwrap()).unwrap();
    assert_eq!(server.host.network.uplink().unwrap().unwrap().address, None);
    server
}

fn endpoint(server: &Server) -> Value {
    server.api(&["core", "add_client", "client_name=a"]);
    let exported = server.api(&["core", "export_client", "client_name=a"]).ok();
    let config = exported["config"].as_str().unwrap();
    config.lines().find_map(|line| line.strip_prefix("Endpoint = ")).unwrap().into()
}

#[test]
fn ipv6_only_host_needs_no_address() {
    let server = without_ipv4();
    let done = setup(&server, &[]);
    assert_eq!((&done["server_ip"], &done["endpoint"]), (&Value::Null, &Value::Null));
    assert_eq!(endpoint(&server), "[2001:db8::10]:51820");
    server.assert_in_sync();
    let stored = server.store().read(State::server).unwrap().unwrap();
    assert_eq!((stored.server_ip, stored.ipv6), (None, "2001:db8::10".parse().ok()));
    for name in ["uplink", "wireguard_port", "stored_state"] {
        assert_eq!(check(&server, name)["state"], "ok", "{name}");
    }
    // Its name has an AAAA record and nothing else.
    let name = "six.example.com".parse().unwrap();
    server.fake.set_lookup(name, Ok(vec!["2001:db8::99".parse().unwrap()]));
    let refused = server.api(&["ghost", "enable", "domain=six.example.com"]).failed("VALIDATION_ERROR");
    assert_eq!(refused["data"]["expected"], "2001:db8::10");
    assert!(refused["error"].as_str().unwrap().contains("AAAA record"), "{refused:#}");
    server.fake.set_lookup("six.example.com".parse().unwrap(), Ok(vec!["2001:db8::10".parse().unwrap()]));
    let enabled = server.api(&["ghost", "enable", "domain=six.example.com"]).ok();
    assert_eq!(enabled["server_ip"], Value::Null);
    assert_eq!(server.api(&["ghost", "status"]).ok()["server_ip"], Value::Null);
    // It can get one later.
    server.api(&["ghost", "disable"]).ok();
    assert_eq!(setup(&server, &["server_ip=192.0.2.7"])["server_ip"], "192.0.2.7");
    assert_eq!(endpoint(&server), "192.0.2.7:51820");
}

#[test]
fn named_server_needs_no_address() {
    let server = Server::bare();
    server.fake.give_address("eth0", "192.168.1.7/24".parse().unwrap()).unwrap();
    server.fake.take_address("eth0", "203.0.113.10/24".parse().unwrap()).unwrap();
    server.api(&["core", "setup"]).failed("MISSING_PARAMETER");
    let done = setup(&server, &["endpoint=vpn.example.com"]);
    assert_eq!((&done["server_ip"], &done["endpoint"]), (&Value::Null, &"vpn.example.com".into()));
    assert_eq!(endpoint(&server), "vpn.example.com:51820");
    server.assert_in_sync();
}

#[test]
fn stored_name_keeps_all_its_addresses() {
    let server = with_domain();
    let name = || "cdn.example.com".parse().unwrap();
    let of_a_cdn = ["198.51.100.20", "2001:db8:c::1"].map(|address| address.parse().unwrap());
    server.fake.set_lookup(name(), Ok(of_a_cdn.to_vec()));
    let words = ["ghost", "enable", "domain=cdn.example.com", "skip_dns_check=true", "self_signed=true"];
    server.api(&words).ok();
    assert_eq!(server.store().read(State::ghost).unwrap().unwrap().addresses, of_a_cdn);
}
