//! The web server that strangers are shown: from which address they reach it, and what is said about its pages.

use std::sync::Arc;

use phantom_ghost::program::fake::FakeTunnel as _;
use phantom_ghost_state::GhostState as _;
use phantom_tests::Server;
use phantom_types::ProxyVersion;
use serde_json::{Value, json};

use super::{DISABLE, LOCAL, configuration, status};
use crate::cases::with_domain;
use crate::reads::unresponsive::UnresponsiveHost;

const APACHE: &str = "decoy=http://127.0.0.1:80";

fn enable(server: &Server, words: &[&str]) -> Value {
    server.api(&[&LOCAL[..], words].concat()).ok()
}

#[test]
fn strangers_come_from_vpn_or_given_address() {
    let server = with_domain();
    server.fake.give_address("eth0", "198.51.100.20/24".parse().unwrap()).unwrap();
    for (words, source, proxy) in [
        (&[APACHE][..], "10.8.0.1", None),
        (&[APACHE, "decoy_source=198.51.100.20"], "198.51.100.20", None),
        (&[APACHE, "decoy_source=10.8.0.1", "decoy_proxy=v1"], "10.8.0.1", Some(ProxyVersion::V1)),
        (&["decoy=http://localhost:81", "decoy_proxy=v2"], "10.8.0.1", Some(ProxyVersion::V2)),
        (&["decoy=http://[::1]:80"], "2001:db8::10", None),
        (&["decoy=http://[::1]:80", "decoy_source=2001:DB8:0::10"], "2001:db8::10", None),
    ] {
        enable(&server, words);
        let web_server = words[0].strip_prefix("decoy=").unwrap();
        let shown = json!({ "web_server": web_server, "source": source, "proxy": proxy });
        assert_eq!(status(&server)["decoy"], shown);
        let mut told = json!({ "upstream": { "address": web_server, "source": source } });
        if let Some(proxy) = proxy {
            told["upstream"]["proxy"] = json!(proxy);
        }
        assert_eq!(configuration(&server)["decoy"], told);
        let stored = server.store().read(phantom_store::State::ghost).unwrap().unwrap();
        let given = words.iter().find_map(|word| word.strip_prefix("decoy_source="));
        assert_eq!(
            stored.decoy_source,
            given.map(|address| address.parse().unwrap()),
            "the default is not stored"
        );
        assert_eq!(stored.decoy_proxy, proxy);
        server.api(&DISABLE).ok();
    }
}

/// What comes from the VPN's subnet and leaves by another interface gets another source: not what goes to the web server.
#[test]
fn packet_filter_keeps_the_source() {
    let server = with_domain();
    let kept = |server: &Server| {
        server.fake.dump().lines().any(|line| {
            line.contains("SourceNat 300") && line.contains("10.8.0.1") && line.ends_with("Accept")
        })
    };
    enable(&server, &["decoy=unix:/run/web.sock"]);
    assert!(!kept(&server), "a socket has no packets");
    server.api(&DISABLE).ok();
    enable(&server, &[APACHE]);
    assert!(kept(&server), "{}", server.fake.dump());
    server.api(&DISABLE).ok();
    assert!(!kept(&server));
}

/// It sees no addresses, so that a header alone can tell it something.
#[test]
fn a_socket_has_no_source() {
    let server = with_domain();
    enable(&server, &["decoy=unix:/run/web.sock", "decoy_proxy=v2"]);
    let shown = json!({ "web_server": "unix:/run/web.sock", "source": null, "proxy": "v2" });
    assert_eq!(status(&server)["decoy"], shown);
    let told = json!({ "upstream": { "address": "unix:/run/web.sock", "proxy": "v2" } });
    assert_eq!(configuration(&server)["decoy"], told);
    server.api(&DISABLE).ok();
    enable(&server, &[]);
    assert!(status(&server).get("decoy").is_none());
}

#[test]
fn older_server_has_the_usual_source() {
    let server = with_domain();
    enable(&server, &[APACHE]);
    let database = rusqlite::Connection::open(server.paths().database()).unwrap();
    let older = "ALTER TABLE settings DROP COLUMN reach_from; ALTER TABLE settings DROP COLUMN open_firewall; ALTER TABLE ghost DROP COLUMN decoy_source; ALTER TABLE ghost DROP COLUMN decoy_proxy; \
                 ALTER TABLE ghost DROP COLUMN front_port; ALTER TABLE ghost DROP COLUMN front_group; \
                 ALTER TABLE ghost DROP COLUMN front_socket; DROP TABLE module_schemas; PRAGMA user_version = 2";
    database.execute_batch(older).unwrap();
    drop(database);
    server.api(&["core", "reconcile"]).ok();
    assert_eq!(configuration(&server)["decoy"]["upstream"]["source"], "10.8.0.1");
    assert_eq!(status(&server)["decoy"]["source"], "10.8.0.1");
}

/// While the VPN is stopped its address is on no interface: it can be named all the same.
#[test]
fn vpn_address_is_valid_while_stopped() {
    let server = with_domain();
    server.api(&["core", "stop_service"]).ok();
    enable(&server, &[APACHE, "decoy_source=10.8.0.1"]);
    assert_eq!(status(&server)["decoy"]["source"], "10.8.0.1");
}

#[test]
fn exposed_local_pages_are_warned_of() {
    let server = with_domain();
    let vpn = "10.8.0.1".parse().ok();
    let said = |words: &[&str]| {
        let warnings = enable(&server, &[&[APACHE], words].concat()).get("warnings").cloned();
        server.api(&DISABLE).ok();
        warnings
    };
    let moved = "decoy_source=203.0.113.10";
    assert_eq!(said(&[moved]), None);
    let network = "Strangers reach the web server http://127.0.0.1:80 from 10.8.0.1, an address of the VPN: a rule there that \
                   lets in 10.8.0.0/24 lets strangers in too";
    assert_eq!(said(&[]), Some(json!([network])));
    server.fake.show_pages(vpn, Ok(&["/server-status", "/status"]));
    let pages = "The web server http://127.0.0.1:80 shows strangers pages that are meant for its own machine: \
                 /server-status, /status";
    assert_eq!(said(&[]), Some(json!([pages, network])));
    let tr = "http://127.0.0.1:80 web sunucusu, yalnızca kendi makinesi için olan sayfaları yabancılara gösteriyor: \
              /server-status, /status";
    let network_tr = "Yabancılar http://127.0.0.1:80 web sunucusuna VPN'in bir adresinden (10.8.0.1) ulaşıyor: orada 10.8.0.0/24 \
                      ağına izin veren bir kural yabancılara da izin verir";
    assert_eq!(said(&["--lang", "tr"]), Some(json!([tr, network_tr])));
    assert_eq!(said(&[moved]), None, "others see other pages");
    server.fake.show_pages(vpn, Err("Connection refused (os error 111)"));
    let silent = "The web server http://127.0.0.1:80 does not answer connections from 10.8.0.1: Connection refused \
                  (os error 111)";
    assert_eq!(said(&[]), Some(json!([silent])));
}

/// The check of the doctor with this name.
fn check(server: &Server) -> Value {
    let checks = server.api(&["core", "doctor"]).ok()["checks"].take();
    checks.as_array().unwrap().iter().find(|check| check["name"] == "decoy").unwrap().clone()
}

/// Also on a server that was upgraded, where nobody chose the source.
#[test]
fn doctor_warns_of_strangers_from_vpn() {
    let server = with_domain();
    server.fake.give_address("eth0", "198.51.100.20/24".parse().unwrap()).unwrap();
    for (words, network) in [
        (&[APACHE][..], Some("10.8.0.0/24")),
        (&[APACHE, "decoy_source=10.8.0.1", "decoy_proxy=v1"], Some("10.8.0.0/24")),
        (&[APACHE, "decoy_source=198.51.100.20"], None),
        (&["decoy=unix:/run/web.sock"], None),
        (&["decoy=http://[::1]:80"], None),
    ] {
        enable(&server, words);
        let found = check(&server);
        let expected = if network.is_some() { "warning" } else { "ok" };
        assert_eq!(found["state"], expected, "{words:?}: {found}");
        if let Some(network) = network {
            assert!(found["text"].as_str().unwrap().contains(network), "{found}");
            assert!(found["hint"].as_str().unwrap().contains("decoy_source="), "{found}");
        }
        server.api(&DISABLE).ok();
    }
}

/// Nobody can be asked: it is on all the same.
#[test]
fn silent_web_server_allows_enabling() {
    let mut server = with_domain();
    enable(&server, &[APACHE]);
    server.host.processes = Arc::new(UnresponsiveHost);
    let found = check(&server);
    assert_eq!(found["state"], "warning", "{found}");
}
