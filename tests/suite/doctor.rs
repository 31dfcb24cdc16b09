//! `core doctor`: what it finds on a host in every condition, in both languages, and that it changes nothing.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use phantom_ghost::program::fake::FakeTunnel as _;
use phantom_host::filter::{FilterProgram, Filters};
use phantom_host::{
    Command, DnsAnswer, LinkKind, Port, ProbeError, Protocol, Restart, Route, RouteKind, Unit, UnitKind,
};
use phantom_store::Marker;
use phantom_tests::{SERVER_IP, Server, same_as_golden};
use phantom_types::Timestamp;
use serde_json::Value;

use crate::cases::{
    ENABLE, ENABLE_MULTIHOP, stopped, through_exit, with_domain, with_exit, with_ghost, with_john,
};
use crate::clocks;
use crate::reads::unresponsive::UnresponsiveHost;

/// A condition of the host, and the check that shows it, with its state.
pub(crate) struct Condition {
    /// The server.
    pub(crate) server: fn() -> Server,
    check: &'static str,
    state: &'static str,
}

const fn condition(check: &'static str, state: &'static str, server: fn() -> Server) -> Condition {
    Condition { server, check, state }
}

pub(crate) const WORDS: &[&str] = &["core", "doctor"];

pub(crate) const CONDITIONS: &[Condition] = &[
    condition("stored_state", "ok", well),
    condition("stored_state", "warning", Server::bare),
    condition("stored_state", "problem", || with(with_john(), |s| sql(s, "UPDATE counters SET clients = 9"))),
    condition("stored_state", "problem", || with(with_john(), |s| sql(s, "PRAGMA user_version = 99"))),
    condition("stored_state", "problem", || with(with_john(), begin_reset)),
    condition("stored_state", "problem", || with(with_john(), spoil)),
    condition("stored_state", "problem", || {
        with(with_john(), |s| {
            std::fs::remove_dir_all(s.paths().copies_dir()).unwrap();
            spoil(s);
        })
    }),
    condition("permissions", "warning", || with(with_john(), |s| open(s, 0o644))),
    condition("wireguard", "ok", || Server::set_up(&["backend=embedded"])),
    condition("wireguard", "problem", || with(with_john(), |s| s.fake.set_kernel_wireguard(false))),
    condition("tun_device", "problem", without_tun),
    condition("tun_device", "ok", || with(without_tun(), |s| s.fake.put_file("/dev/net/tun", b"", 0o666, 0))),
    condition("packet_filter", "problem", || with(with_john(), |s| s.fake.flush_firewall())),
    condition("packet_filter", "warning", || {
        change(with_john(), |host| host.firewall = Arc::new(UnresponsiveHost))
    }),
    condition("forwarding", "problem", || with(with_john(), |s| forward(s, "0"))),
    condition("forwarding", "ok", || with(Server::bare(), |s| forward(s, "1"))),
    condition("service", "warning", stopped),
    condition("service", "problem", || with(with_john(), |s| s.fake.crash_service("wg-quick@wg_main"))),
    condition("wireguard_port", "warning", stopped),
    condition("wireguard_port", "problem", || with(stopped(), |s| s.fake.bind(port(Protocol::Udp, 51_820)))),
    condition("wireguard_port", "warning", || {
        with(Server::bare(), |s| s.fake.bind(port(Protocol::Udp, 51_820)))
    }),
    condition("wireguard_port", "warning", || {
        change(with_john(), |host| host.sockets = Arc::new(UnresponsiveHost))
    }),
    condition("https_port", "ok", || with(with_ghost(), listen)),
    condition("https_port", "problem", || with(with_ghost(), |s| s.fake.crash_service(&tunnel(s)))),
    condition("https_port", "ok", || with(with_john(), |s| s.fake.bind(port(Protocol::Tcp, 443)))),
    condition("tunnel_secrets", "ok", with_john),
    condition("tunnel_secrets", "ok", with_ghost),
    condition("tunnel_secrets", "ok", || with(with_ghost(), without_operators_secret)),
    condition("tunnel_secrets", "warning", || with(with_ghost(), by_operators_secret)),
    condition("tunnel_secrets", "warning", || with(with_ghost(), |s| s.fake.crash_service(&tunnel(s)))),
    condition("link_guard", "ok", through_exit),
    condition("link_guard", "problem", || {
        with(through_exit(), |s| assert!(s.fake.remove_guard("wg_vpn"), "there is a guard"))
    }),
    condition("link_guard", "warning", || {
        with(with_exit(), |s| {
            s.fake.set_link_guards(false);
            s.api(ENABLE_MULTIHOP).ok();
            s.assert_in_sync();
        })
    }),
    condition("link_guard", "warning", || {
        change(through_exit(), |host| host.network = Arc::new(UnresponsiveHost))
    }),
    condition("kill_switch", "ok", with_john),
    condition("kill_switch", "ok", through_exit),
    condition("kill_switch", "ok", || {
        with(with_exit(), |s| {
            s.api(&[ENABLE_MULTIHOP, &["kill_switch=false"]].concat()).ok();
        })
    }),
    condition("kill_switch", "problem", || with(through_exit(), |s| s.fake.flush_firewall())),
    condition("kill_switch", "problem", || with(through_exit(), |s| without_ways(s, false))),
    condition("kill_switch", "problem", || with(through_exit(), |s| without_ways(s, true))),
    condition("kill_switch", "warning", || {
        change(through_exit(), |host| host.network = Arc::new(UnresponsiveHost))
    }),
    condition("watcher", "ok", with_john),
    condition("watcher", "ok", Server::bare),
    condition("watcher", "warning", || with(with_john(), without_watcher)),
    condition("watcher", "problem", || with(with_john(), |s| s.fake.crash_service(&watcher(s)))),
    condition("watcher", "warning", || with(with_john(), watcher_fights)),
    condition("watcher", "problem", || with(with_john(), watcher_hangs)),
    condition("decoy", "ok", with_john),
    condition("decoy", "ok", with_decoy_from_outside),
    condition("decoy", "warning", || with_decoy(Ok(&[]))),
    condition("decoy", "warning", || with_decoy(Ok(&["/server-status", "/server-info"]))),
    condition("decoy", "warning", || with_decoy(Err("Connection refused (os error 111)"))),
    condition("decoy", "warning", || with_socket(Ok(&["/nginx_status"]))),
    condition("decoy", "warning", || with_socket(Err("Permission denied (os error 13)"))),
    condition("https_port", "ok", with_front),
    condition("https_port", "problem", || with(with_front(), |s| s.fake.unbind(port(Protocol::Tcp, 443)))),
    condition("certificate", "ok", with_front),
    condition("certificate", "ok", || with(with_front(), without_operators_secret)),
    condition("certificate", "problem", || {
        with(with_front(), |s| s.fake.deafen_tunnel(Some("the certificate expired")))
    }),
    condition("certificate", "ok", with_john),
    condition("certificate", "ok", with_ghost),
    condition("certificate", "warning", || {
        with(with_ghost(), |s| keeper_says(s, "2025-09-12T00:00:00Z", None))
    }),
    condition("certificate", "warning", || {
        with(with_own_certificate(), |s| keeper_says(s, "2025-09-12T00:00:00Z", None))
    }),
    condition("certificate", "problem", || {
        with(with_ghost(), |s| keeper_says(s, "2025-09-01T00:00:00Z", Some("the name leads elsewhere")))
    }),
    condition("certificate", "problem", || {
        with(with_local_certificate(), |s| keeper_says(s, "2025-09-01T00:00:00Z", None))
    }),
    condition("certificate", "problem", || {
        with(with_own_certificate(), |s| s.fake.refuse_certificates(Some("/etc/cert.pem cannot be read")))
    }),
    condition("unfinished_change", "problem", || with(with_john(), cut_short)),
    condition("wireguard_port", "ok", || with(with_john(), |s| filtered(s, "ACCEPT", "DROP", ""))),
    condition("wireguard_port", "problem", || with(with_john(), |s| filtered(s, "DROP", "ACCEPT", ""))),
    condition("wireguard_port", "warning", || {
        with(with_john(), |s| filtered(s, "ACCEPT", "ACCEPT", "-A INPUT -m limit --limit 5/sec -j DROP\n"))
    }),
    condition("wireguard_port", "problem", || with(with_john(), firewalld_rules)),
    condition("wireguard_port", "problem", || {
        with(with_john(), |s| {
            let rules =
                "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p udp -j REDIRECT --to-ports 9\nCOMMIT\n";
            s.fake.set_filters(Filters::read_iptables(rules, FilterProgram::IptablesNft, false));
        })
    }),
    // Hidden by Ghost Mode in any case.
    condition("wireguard_port", "ok", || with(with_ghost(), |s| filtered(s, "DROP", "ACCEPT", ""))),
    condition("https_port", "problem", || {
        with(with(with_ghost(), listen), |s| filtered(s, "DROP", "ACCEPT", ""))
    }),
    condition("forwarding", "problem", || with(with_john(), |s| filtered(s, "ACCEPT", "DROP", ""))),
    condition("forwarding", "problem", || {
        with(with_john(), |s| {
            filtered(s, "ACCEPT", "DROP", "");
            s.fake.flush_firewall();
        })
    }),
    // The answers do not come back.
    condition("forwarding", "problem", || {
        with(with_john(), |s| filtered(s, "ACCEPT", "DROP", "-A FORWARD -i wg_main -j ACCEPT\n"))
    }),
    condition("forwarding", "warning", || {
        with(with_john(), |s| filtered(s, "ACCEPT", "DROP", "-A FORWARD -m limit --limit 5/sec -j ACCEPT\n"))
    }),
    condition("uplink", "warning", with_john),
    condition("uplink", "problem", || with(with_john(), |s| s.fake.take_route(&default_route()).unwrap())),
    condition("uplink", "ok", || with(Server::bare(), public)),
    condition("ufw", "problem", || {
        with(Server::ready(), |s| s.fake.add_foreign_ufw("22/tcp ALLOW IN Anywhere"))
    }),
    condition("ufw", "ok", with_ufw),
    condition("ufw", "ok", || with(Server::bare(), |s| s.fake.set_ufw(Some(true)))),
    condition("docker", "ok", || with(with_john(), docker)),
    condition("docker", "problem", || with(with(with_john(), docker), |s| s.fake.flush_firewall())),
    condition("firewalld", "warning", || with(Server::bare(), firewalld)),
    condition("firewalld", "ok", || with(with_john(), firewalld)),
    condition("firewalld", "problem", || with(with(with_john(), firewalld), firewalld_rules)),
    condition("networkd", "ok", || {
        with(with_john(), |s| s.fake.put_file("/run/systemd/netif/links/2", b"", 0o644, 0))
    }),
    condition("host_in_sync", "warning", || with(with_john(), |s| s.fake.cut_link("wg_main").unwrap())),
    condition("host_in_sync", "problem", || {
        with(with_john(), |s| {
            s.fake.cut_link("wg_main").unwrap();
            s.fake.add_link("wg_main", LinkKind::WireGuard).unwrap();
        })
    }),
    condition("host_in_sync", "problem", || {
        with(with_john(), |s| s.fake.put_file(CONFIGURATION, b"x\n", 0o600, 0))
    }),
    condition("clock", "problem", || with(with_john(), |s| s.fake.set_now(Timestamp::from_micros(0)))),
    condition("clock", "warning", || with(with_john(), |s| s.fake.set_synchronised(false))),
    condition("client_clocks", "ok", with_john),
    condition("client_clocks", "ok", Server::bare),
    condition("client_clocks", "ok", clocks::embedded),
    condition("client_clocks", "ok", || {
        with(clocks::embedded(), |s| drop(s.api(&["core", "stop_service"]).ok()))
    }),
    condition("client_clocks", "warning", || with(clocks::embedded(), clocks::set_back)),
    condition("client_clocks", "warning", || {
        change(clocks::embedded(), |host| host.wireguard = Arc::new(UnresponsiveHost))
    }),
    condition("resolver", "ok", well),
    condition("resolver", "warning", || with(with_john(), failing)),
    condition("resolver", "warning", with_john),
    condition("dns_servers", "warning", || with(with_john(), |s| answers(s, "8.8.8.8"))),
    condition("dns_servers", "problem", || with(with_john(), refused)),
    // Clients ask them by the exit.
    condition("dns_servers", "ok", through_exit),
    condition("dns_servers", "problem", || with(through_exit(), |s| s.fake.let_peer_pass(exit_key(), false))),
    condition("dns_servers", "problem", || with(through_exit(), |s| s.fake.cut_link("wg_vpn").unwrap())),
    condition("collisions", "ok", well),
    condition("collisions", "ok", Server::bare),
    condition("collisions", "problem", || with(with_john(), |s| lan(s, "10.8.200.9/16"))),
    condition("collisions", "problem", with_colliding_exit),
    condition("collisions", "problem", || with(with_colliding_exit(), |s| lan(s, "10.8.0.128/25"))),
    condition("collisions", "warning", || {
        change(with_john(), |host| host.network = Arc::new(UnresponsiveHost))
    }),
];

const CONFIGURATION: &str = "/etc/wireguard/wg_main.conf";

fn with(server: Server, change: impl FnOnce(&Server)) -> Server {
    change(&server);
    server
}

fn change(mut server: Server, change: impl FnOnce(&mut phantom_host::Host)) -> Server {
    change(&mut server.host);
    server
}

/// A server on which nothing is to be said.
fn well() -> Server {
    with(with_john(), |server| {
        server.fake.give_address("eth0", format!("{SERVER_IP}/20").parse().unwrap()).unwrap();
        let addresses = vec!["142.250.184.206".parse().unwrap()];
        server.fake.set_lookup("google.com".parse().unwrap(), Ok(addresses));
        answers(server, "8.8.8.8");
        answers(server, "8.8.4.4");
    })
}

fn answers(server: &Server, at: &str) {
    let addresses = vec!["142.250.184.206".parse().unwrap()];
    let answer = DnsAnswer { addresses, elapsed: Duration::from_millis(9) };
    server.fake.set_answer(at.parse().unwrap(), None, Ok(answer));
}

/// The resolvers of the host answer, and know nothing.
fn failing(server: &Server) {
    let refused = ProbeError::NoAddress { rcode: "REFUSED".into(), elapsed: Duration::ZERO };
    server.fake.set_lookup("google.com".parse().unwrap(), Err(refused));
}

fn refused(server: &Server) {
    for at in ["8.8.8.8", "8.8.4.4"] {
        server.fake.set_answer(at.parse().unwrap(), None, Err(ProbeError::Unreachable));
    }
}

/// The key of the exit in use.
fn exit_key() -> phantom_types::PublicKey {
    phantom_types::PrivateKey::from_random([0x51; 32]).public_key()
}

fn without_tun() -> Server {
    let server = Server::bare();
    server.fake.set_kernel_wireguard(false);
    server
}

fn sql(server: &Server, statement: &str) {
    rusqlite::Connection::open(server.paths().database()).unwrap().execute_batch(statement).unwrap();
}

fn spoil(server: &Server) {
    for file in std::fs::read_dir(server.paths().data_dir()).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    std::fs::write(server.paths().database(), "no database").unwrap();
}

fn begin_reset(server: &Server) {
    let (store, lock) = (server.store(), server.store().lock(Duration::from_secs(5)).unwrap());
    let stored = store.read(phantom_store::State::server).unwrap();
    store.begin_reset(&lock, stored.as_ref(), true).unwrap();
}

fn open(server: &Server, mode: u32) {
    std::fs::set_permissions(server.paths().database(), std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Our routes and rules that lead nowhere are gone, and with `all` the packet filter too.
fn without_ways(server: &Server, all: bool) {
    let (network, tags) = (&server.host.network, server.tags());
    for route in network.routes(tags.exit_table()).unwrap() {
        server.fake.take_route(&route).unwrap();
    }
    for rule in network.rules().unwrap().into_iter().filter(|rule| tags.owns_rule(rule)) {
        server.fake.take_rule(&rule).unwrap();
    }
    if all {
        server.fake.flush_firewall();
    }
}

fn forward(server: &Server, value: &str) {
    server.fake.set_sysctl("net.ipv4.ip_forward", Some(value));
}

fn tunnel(server: &Server) -> String {
    let instance = server.paths().instance().map_or_else(String::new, |instance| format!("-{instance}"));
    format!("phantom-ghost{instance}")
}

fn listen(server: &Server) {
    server.fake.service_listens(&tunnel(server), &[port(Protocol::Tcp, 443)]);
}

fn without_operators_secret(server: &Server) {
    let words = ["core", "update_tweak_setting", "setting_name=ghost_operator_secret", "value=false"];
    server.api(&words).ok();
}

/// The first client's packets come from a tunnel under the operator's secret.
fn by_operators_secret(server: &Server) {
    let client = server.store().read(|state| state.client(&"john-laptop".parse().unwrap())).unwrap();
    let (key, endpoint) = (client.unwrap().public_key, "127.0.0.1:40001".parse().ok());
    assert!(server.fake.set_peer_traffic("wg_main", &key, endpoint, None, (1, 1)));
    server.fake.open_shared_tunnels(&[40_001]);
}

/// Strangers are shown a web server, which has something to say to them.
fn with_decoy(pages: Result<&[&str], &str>) -> Server {
    with(decoy(with_domain(), "decoy=http://127.0.0.1:80"), |s| {
        s.fake.show_pages("10.8.0.1".parse().ok(), pages);
    })
}

/// The same from an address that is none of the VPN.
fn with_decoy_from_outside() -> Server {
    let server = with_domain();
    server.api(&[ENABLE, &["decoy=http://127.0.0.1:80", "decoy_source=203.0.113.10"]].concat()).ok();
    server
}

/// The same by a socket.
fn with_socket(pages: Result<&[&str], &str>) -> Server {
    with(decoy(with_domain(), "decoy=unix:/run/web.sock"), |s| s.fake.show_pages(None, pages))
}

fn decoy(server: Server, decoy: &str) -> Server {
    server.api(&[ENABLE, &[decoy]].concat()).ok();
    server
}

/// A web server of this machine is in front.
fn with_front() -> Server {
    with(with_domain(), |s| {
        s.fake.bind(port(Protocol::Tcp, 443));
        s.api(&[ENABLE, &["listen=unix:/run/phantom-web/http"]].concat()).ok();
    })
}

fn with_own_certificate() -> Server {
    with(with_domain(), |s| {
        s.api(&[ENABLE, &["cert_path=/etc/cert.pem", "key_path=/etc/key.pem"]].concat()).ok();
    })
}

fn with_local_certificate() -> Server {
    with(with_domain(), |s| {
        s.api(&[ENABLE, &["self_signed=true"]].concat()).ok();
    })
}

/// What the keeper says of a certificate that was not renewed in time.
fn keeper_says(server: &Server, until: &str, error: Option<&str>) {
    let alarm = format!("the certificate expires at {until}");
    let status =
        serde_json::json!({ "serving": true, "expires_at": until, "last_error": error, "alarm": alarm });
    std::fs::write(server.paths().run_dir().join("ghost-status.json"), status.to_string()).unwrap();
}

fn with_ufw() -> Server {
    let server = Server::bare();
    server.fake.set_ufw(Some(true));
    server.api(&["core", "setup", &format!("server_ip={SERVER_IP}")]).ok();
    server
}

fn docker(server: &Server) {
    server.fake.add_link("docker0", LinkKind::Other("bridge".into())).unwrap();
}

fn firewalld(server: &Server) {
    let start = Command { program: "/usr/sbin/firewalld".into(), args: Vec::new() };
    let unit = Unit {
        name: "firewalld".to_owned(),
        description: "the firewall of somebody else".to_owned(),
        kind: UnitKind::OneShot { start, stop: None },
        restart: Restart::No,
        capabilities: Vec::new(),
        writable: Vec::new(),
        readable: Vec::new(),
        devices: Vec::new(),
        dynamic_user: false,
        socket: None,
        bounds: None,
        renewable: false,
        before_network: false,
        after_network: false,
        after: Vec::new(),
        wanted_at_boot: true,
    };
    server.host.services.install(&unit).unwrap();
    server.host.services.start(&unit, Duration::from_secs(5)).unwrap();
    server.fake.add_foreign_unit("firewalld");
}

/// Policies and rules of somebody's own.
fn filtered(server: &Server, input: &str, forward: &str, rules: &str) {
    let text = format!("*filter\n:INPUT {input} [0:0]\n:FORWARD {forward} [0:0]\n{rules}COMMIT\n");
    server.fake.set_filters(Filters::read_iptables(&text, FilterProgram::IptablesNft, false));
}

/// Those of firewalld as it is after its installation.
fn firewalld_rules(server: &Server) {
    let json = include_bytes!("../../foundation/host/src/filter/tests/captured/firewalld.json");
    let texts = include_str!("../../foundation/host/src/filter/tests/captured/firewalld.txt");
    server.fake.set_filters(Filters::read_nft(json, texts).unwrap());
}

/// The host becomes part of a network.
fn lan(server: &Server, address: &str) {
    server.fake.add_link("lan0", LinkKind::Other("veth".into())).unwrap();
    server.fake.give_address("lan0", address.parse().unwrap()).unwrap();
}

/// The exit in use has an address that is the host's since then.
pub(crate) fn with_colliding_exit() -> Server {
    with(through_exit(), |server| {
        server.fake.give_address("eth0", "10.99.0.2/24".parse().unwrap()).unwrap();
        server.api(&["core", "reconcile"]).ok();
    })
}

fn default_route() -> Route {
    Route {
        table: 254,
        destination: "0.0.0.0/0".parse().unwrap(),
        metric: 0,
        kind: RouteKind::Via { interface: "eth0".into(), gateway: Some("203.0.113.1".parse().unwrap()) },
        source: None,
        protocol: 3,
    }
}

/// The address of the uplink is a public one.
fn public(server: &Server) {
    server.fake.take_route(&default_route()).unwrap();
    server.fake.take_address("eth0", "203.0.113.10/24".parse().unwrap()).unwrap();
    server.fake.give_address("eth0", "165.227.146.222/20".parse().unwrap()).unwrap();
    let gateway = Some("165.227.144.1".parse().unwrap());
    let kind = RouteKind::Via { interface: "eth0".into(), gateway };
    server.fake.give_route(&Route { kind, ..default_route() }).unwrap();
}

pub(crate) fn watcher(server: &Server) -> String {
    format!("phantom-watch-{}", server.paths().instance().unwrap())
}

/// The watcher's program masked, as an administrator does who wants none.
fn without_watcher(server: &Server) {
    server.fake.put_file(&server.host.programs.watch.display().to_string(), b"", 0o666, 0);
}

/// The watcher has put something back again and again.
pub(crate) fn watcher_fights(server: &Server) {
    let report = r#"{ "removed_again_and_again": [{ "object": "the packet filter", "object_tr": "paket filtresi", "times": 7 }] }"#;
    server.fake.put_file(&format!("/run/{}/report.json", watcher(server)), report.as_bytes(), 0o600, 61_184);
}

/// The watcher's process is there, and has not looked for four minutes.
fn watcher_hangs(server: &Server) {
    let looked = server.host.clock.now().minus(Duration::from_mins(4)).micros().to_string();
    server.fake.put_file(&format!("/run/{}/looked", watcher(server)), looked.as_bytes(), 0o600, 61_184);
}

fn port(protocol: Protocol, number: u16) -> Port {
    Port { protocol, number }
}

#[test]
fn every_condition_is_reported_and_left_alone() {
    for Condition { server, check, state } in CONDITIONS {
        let server = server();
        server.fake.reset_writes();
        let before = server.tree();
        let data = server.api(WORDS).ok();
        let checks = data["checks"].as_array().unwrap();
        let found = checks.iter().find(|found| found["name"] == *check).unwrap();
        assert_eq!(found["state"], *state, "{check}: {found:#}");
        for check in checks {
            let advised = check["hint"].is_string();
            assert!(
                check["state"] == "ok" || advised || check["text"].as_str().unwrap().contains("could not be"),
                "{check}"
            );
        }
        let count = |state: &str| checks.iter().filter(|check| check["state"] == state).count();
        assert_eq!(
            (&data["problems"], &data["warnings"]),
            (&count("problem").into(), &count("warning").into())
        );
        assert_eq!(data["healthy"], count("problem") == 0);
        assert_eq!(server.fake.writes(), 0, "{check}: {:?}", server.fake.write_log());
        assert_eq!(before, server.tree(), "{check}");
    }
}

#[test]
fn sound_host_has_nothing_to_report() {
    let data = well().api(WORDS).ok();
    let sound = (&data["healthy"], &data["warnings"], &data["message"]);
    assert_eq!(sound, (&true.into(), &0.into(), &"No problems found".into()), "{data:#}");
}

#[test]
fn silent_host_is_no_error() {
    let mut server = with_john();
    for (_, deafen) in crate::reads::UNRESPONSIVE {
        deafen(&mut server.host);
    }
    let data = server.api(WORDS).ok();
    assert_eq!(data["healthy"], true, "{data:#}");
    assert!(data["warnings"].as_u64().unwrap() > 8, "{data:#}");
}

/// A change of which only the marker is left, as after a kill.
fn cut_short(server: &Server) {
    let started_at = server.host.clock.now();
    let marker =
        Marker { module: "core".into(), action: "add_client".into(), started_at, generation: 1, pid: 1 };
    server.store().set_marker(&marker).unwrap();
}

/// All that is said, in both languages, a line each: to be read by a person who changes a text.
#[test]
fn what_is_said_is_as_committed() {
    let mut lines = std::collections::BTreeSet::new();
    for lang in ["en", "tr"] {
        for Condition { server, .. } in CONDITIONS {
            let server = server();
            let answer = server.plain(&server.api(&["core", "doctor", "--lang", lang])).json();
            for check in answer["data"]["checks"].as_array().unwrap() {
                let text = |key: &str| check[key].as_str().unwrap_or_default().to_owned();
                let (name, state) = (text("name"), text("state"));
                lines.insert(format!("{lang} {name} {state}: {}\n", redacted(&text("text"), server.dir())));
                if check["hint"] != Value::Null {
                    lines.insert(format!(
                        "{lang} {name} {state} > {}\n",
                        redacted(&text("hint"), server.dir())
                    ));
                }
            }
        }
    }
    same_as_golden("doctor.txt", &lines.into_iter().collect::<String>());
}

fn redacted(text: &str, dir: &std::path::Path) -> String {
    text.replace(&dir.display().to_string(), "<dir>")
}
