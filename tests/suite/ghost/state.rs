//! Ghost Mode while it is on: what the status says, what is closed, and what must not be changed.

use std::sync::Arc;

use phantom_ghost::program::fake::FakeTunnel as _;
use phantom_ghost_state::GhostState as _;
use phantom_host::filter::{FilterProgram, Filters};
use phantom_host::{Hook, Match, Protocol, Verdict};
use phantom_tests::Server;
use serde_json::json;

use super::{DISABLE, LOCAL, keeper_says, status, units};
use crate::cases::{ENABLE, with_domain, with_ghost};
use crate::reads::unresponsive::UnresponsiveHost;

#[test]
fn status_is_error_while_tunnel_is_down() {
    let server = with_ghost();
    let said = || {
        let status = status(&server);
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        (text(&status["status"]), text(&status["services"]["wstunnel"]), status["enabled"] == true)
    };
    let (good, bad) = (("active".into(), "active".into(), true), ("error".into(), "inactive".into(), true));
    assert_eq!(said(), good);
    keeper_says(&server, &json!({ "serving": true }));
    assert_eq!(said(), good);
    keeper_says(&server, &json!({ "serving": false, "last_error": "the server is not there" }));
    assert_eq!(said(), bad);
    assert_eq!(status(&server)["certificate"]["last_error"], "the server is not there");
    keeper_says(&server, &json!({ "serving": true }));
    for unit in units(&server) {
        server.fake.crash_service(&unit);
        assert_eq!(said(), bad, "{unit}");
        server.api(&["core", "reconcile"]).ok();
        assert_eq!(said(), good, "{unit}");
    }
}

#[test]
fn certificate_status_comes_from_the_keeper() {
    let sources: [(&[&str], &str, &str); 3] = [
        (ENABLE, "acme", "automatic"),
        (&LOCAL, "self_signed", "none"),
        (
            &["ghost", "enable", "domain=a.example", "skip_dns_check=1", "cert_path=/c", "key_path=/k"],
            "operator",
            "operator",
        ),
    ];
    for (enable, source, renewal) in sources {
        let server = with_domain();
        let enabled = server.api(enable).ok();
        let expires_at = &enabled["certificate"]["expires_at"];
        assert_eq!(enabled["certificate"]["source"], source);
        // The keeper has not said anything yet: what lies there is looked at.
        let certificate = |server: &Server| status(server)["certificate"].take();
        let expected =
            json!({ "source": source, "expires_at": expires_at, "renewal": renewal, "last_error": null });
        assert_eq!(certificate(&server), expected);
        keeper_says(
            &server,
            &json!({
                "serving": true, "source": source, "expires_at": "2027-01-02T03:04:05Z", "renewal": renewal,
                "next_attempt": "2026-12-02T03:04:05Z", "last_error": "the authority says no", "alarm": null
            }),
        );
        let expected = json!({
            "source": source, "expires_at": "2027-01-02T03:04:05.000000", "renewal": renewal,
            "last_error": "the authority says no"
        });
        assert_eq!(certificate(&server), expected);
        // What is no status says nothing, and what cannot be read is null.
        std::fs::write(server.paths().run_dir().join("ghost-status.json"), b"{\"serving\":tr").unwrap();
        server.fake.refuse_certificates(Some("it is unreadable"));
        let expected =
            json!({ "source": source, "expires_at": null, "renewal": renewal, "last_error": null });
        assert_eq!(certificate(&server), expected);
    }
}

#[test]
fn silent_host_still_has_a_status() {
    let mut server = with_ghost();
    let before = status(&server);
    server.host.services = Arc::new(UnresponsiveHost);
    server.host.processes = Arc::new(UnresponsiveHost);
    server.host.files = Arc::new(UnresponsiveHost);
    let deaf = status(&server);
    assert_eq!((&deaf["status"], &deaf["enabled"]), (&"error".into(), &true.into()));
    for field in ["server_ip", "domain", "secret", "connection_command", "activated_at"] {
        assert_eq!(deaf[field], before[field]);
    }
    assert_eq!(deaf["certificate"]["expires_at"], serde_json::Value::Null);
}

#[test]
fn wireguard_takes_only_local_packets_while_on() {
    let server = with_domain();
    server.api(&["core", "setup", "port=4500"]).ok();
    let input = || {
        let rules = server.fake.firewall_rules(&server.tags()).unwrap();
        let input = rules.rules().iter().filter(|rule| rule.hook == Hook::Input);
        input.map(|rule| (rule.matches.clone(), rule.verdict)).collect::<Vec<_>>()
    };
    let before = input();
    let port = |protocol, port| Match::Port { protocol, port };
    let closed = vec![Match::In { interface: "lo".into(), not: true }, port(Protocol::Udp, 4500)];
    let is_ours = |(matches, _): &(Vec<Match>, Verdict)| {
        matches.contains(&port(Protocol::Udp, 4500)) || matches.contains(&port(Protocol::Tcp, 443))
    };
    server.api(ENABLE).ok();
    let now = input();
    let concerning: Vec<_> = now.iter().filter(|rule| is_ours(rule)).collect();
    let first = concerning.first().expect("the port is closed");
    assert_eq!(**first, (closed, Verdict::Drop), "nothing accepts before it is dropped: {now:?}");
    assert!(concerning.contains(&&(vec![port(Protocol::Tcp, 443)], Verdict::Accept)), "{now:?}");
    server.api(&DISABLE).ok();
    assert_eq!(input(), before);
}

#[test]
fn units_are_unprivileged_and_hold_no_secret() {
    let server = with_ghost();
    let secret = server.store().read(phantom_store::State::ghost).unwrap().unwrap().secret.reveal();
    let dump = server.fake.dump();
    let [tunnel, keeper] = units(&server);
    let line = |unit: &str| dump.lines().find(|line| line.starts_with(&format!("{unit} enabled "))).unwrap();
    assert!(line(&tunnel).contains(&format!(" serve --control /run/{tunnel}/control ")), "{dump}");
    assert!(line(&keeper).contains(" keep --config ") && line(&keeper).contains("/ghost.conf "), "{dump}");
    assert!(!dump.contains(&*secret));
    let wanted = {
        let phantom = server.phantom();
        let engine = phantom.engine().clone();
        engine.read(|state| {
            Ok::<_, phantom_engine::EngineError>(
                engine.desired(state, phantom_engine::Coverage::WithoutPeers)?,
            )
        })
    };
    let wanted = wanted.unwrap();
    let unit = |name: &str| &wanted.units[name].0;
    assert!(unit(&tunnel).dynamic_user && !unit(&keeper).dynamic_user);
    assert_eq!(unit(&tunnel).capabilities, ["NET_BIND_SERVICE"]);
    assert_eq!(unit(&tunnel).writable, [std::path::PathBuf::from(format!("/run/{tunnel}"))]);
    assert!(unit(&tunnel).wanted_at_boot && unit(&keeper).wanted_at_boot);
}

#[test]
fn exported_configurations_never_change() {
    let server = with_domain();
    let export = || server.api(&["core", "export_client", "client_name=john-laptop"]).ok();
    let before = export();
    server.api(ENABLE).ok();
    assert_eq!(export(), before);
    server.api(&["core", "add_client", "client_name=new"]).ok();
    server.api(&["core", "remove_client", "client_name=new"]).ok();
    server.assert_in_sync();
    server.api(&DISABLE).ok();
    assert_eq!(export(), before);
}

#[test]
fn subnet_port_backend_are_fixed_while_on() {
    let server = with_ghost();
    let before = server.dump();
    let subnet = server.api(&["core", "change_subnet", "new_subnet=10.9.0.0/24", "confirm=true"]);
    let subnet = subnet.failed("VALIDATION_ERROR");
    let reason = "Ghost Mode is active. Disable it before changing the subnet.";
    assert_eq!(subnet["data"]["errors"], json!([reason]));
    let checked = server.api(&["core", "validate_subnet_change", "new_subnet=10.9.0.0/24"]).ok();
    assert_eq!((&checked["valid"], &checked["errors"]), (&false.into(), &json!([reason])));
    let info = server.api(&["core", "get_subnet_info"]).ok();
    assert_eq!((&info["can_change"], &info["blockers"]["ghost_mode"]), (&false.into(), &true.into()));
    for word in ["port=443", "backend=embedded"] {
        let answer = server.api(&["core", "setup", word]).failed("VALIDATION_ERROR");
        assert!(
            answer["error"].as_str().unwrap().contains("disable Ghost Mode and Multihop first"),
            "{answer}"
        );
    }
    assert_eq!(server.dump(), before);
    // What does not concern the tunnel goes on.
    server.api(&["core", "setup", "port=51820"]).ok();
    server.api(&["core", "setup", "server_ip=198.51.100.9", "endpoint=vpn.example.com"]).ok();
    assert_eq!(status(&server)["server_ip"], "198.51.100.9");
    server.api(&["core", "restart_service"]).ok();
    server.api(&["core", "stop_service"]).ok();
    assert_eq!(status(&server)["status"], "active", "the tunnel outlives WireGuard");
    server.api(&["core", "start_service"]).ok();
    server.assert_in_sync();
    server.api(&DISABLE).ok();
    server.api(&["core", "change_subnet", "new_subnet=10.9.0.0/24", "confirm=true"]).ok();
    server.api(&["core", "setup", "port=443"]).ok();
}

#[test]
fn switching_works_while_wireguard_is_stopped() {
    let server = with_domain();
    server.api(&["core", "stop_service"]).ok();
    server.api(ENABLE).ok();
    server.api(&DISABLE).ok();
    assert_eq!(server.api(&["core", "server_status"]).ok()["service"]["running"], false);
    server.assert_in_sync();
}

/// Rules of the operator's own that decide about packets for this host.
fn filtered(server: &Server, policy: &str, rules: &str) {
    let text = format!("*filter\n:INPUT {policy} [0:0]\n{rules}COMMIT\n");
    server.fake.set_filters(Filters::read_iptables(&text, FilterProgram::IptablesNft, false));
}

#[test]
fn filter_closing_the_port_is_named() {
    let server = with_ghost();
    assert_eq!(status(&server)["status"], "active");
    filtered(&server, "DROP", "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n");
    let closed = status(&server);
    assert_eq!((&closed["status"], &closed["services"]["wstunnel"]), (&"error".into(), &"active".into()));
    let expected = json!({
        "table": "iptables filter", "chain": "INPUT", "rule": "-P INPUT DROP",
        "open_with": "iptables -I INPUT -p tcp --dport 443 -j ACCEPT"
    });
    assert_eq!(closed["closed_by"], expected);
    assert_eq!(closed.as_object().unwrap().keys().next_back().unwrap(), "closed_by", "it comes last");
    filtered(&server, "DROP", "-A INPUT -p tcp -m tcp --dport 443 -j ACCEPT\n");
    let open = status(&server);
    assert!(open["status"] == "active" && open.get("closed_by").is_none(), "{open:#}");
}

#[test]
fn open_wireguard_port_is_not_hidden() {
    let server = with_ghost();
    assert!(status(&server).get("wireguard_exposed").is_none());
    server.fake.flush_firewall();
    let exposed = status(&server);
    assert_eq!((&exposed["status"], &exposed["wireguard_exposed"]), (&"error".into(), &true.into()));
    // Somebody else's filter hides it as well.
    filtered(&server, "ACCEPT", "-A INPUT -p udp -m udp --dport 51820 -j DROP\n");
    let hidden = status(&server);
    assert!(hidden["status"] == "active" && hidden.get("wireguard_exposed").is_none(), "{hidden:#}");
}
