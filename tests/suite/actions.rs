//! What the actions do, beyond their samples: their rules one by one.

use std::time::Duration;

use phantom_tests::{SERVER_IP, Server};
use serde_json::{Value, json};

use crate::cases::with_john;

fn add(server: &Server, name: &str) -> Value {
    server.action("core", "add_client", &[format!("client_name={name}")]).ok()["client"].take()
}

fn names(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

fn config(server: &Server, more: &[&str]) -> String {
    let words: Vec<&str> =
        ["core", "export_client", "client_name=john-laptop"].iter().chain(more).copied().collect();
    server.api(&words).ok()["config"].as_str().unwrap().to_owned()
}

fn line(config: &str, key: &str) -> String {
    let found: Vec<&str> =
        config.lines().filter_map(|line| line.strip_prefix(&format!("{key} = "))).collect();
    assert_eq!(found.len(), 1, "{key}: {config}");
    found[0].to_owned()
}

#[test]
fn client_gets_lowest_free_address() {
    let server = Server::ready();
    let addresses: Vec<Value> = ["a", "b", "c"].iter().map(|name| add(&server, name)["ip"].clone()).collect();
    assert_eq!(addresses, ["10.8.0.2", "10.8.0.3", "10.8.0.4"]);
    server.api(&["core", "remove_client", "client_name=b"]).ok();
    assert_eq!(add(&server, "d")["ip"], "10.8.0.3");
    assert_eq!(add(&server, "e")["ip"], "10.8.0.5");
    server.assert_in_sync();
}

#[test]
fn small_subnet_is_used_to_last_host() {
    let server = Server::set_up(&["subnet=10.8.0.8/29"]);
    let addresses: Vec<Value> = (0..5).map(|n| add(&server, &format!("c{n}"))["ip"].clone()).collect();
    assert_eq!(addresses, ["10.8.0.10", "10.8.0.11", "10.8.0.12", "10.8.0.13", "10.8.0.14"]);
    let full = server.api(&["core", "add_client", "client_name=more"]).failed("IP_ALLOCATION_ERROR");
    assert_eq!(full["data"], json!({ "subnet": "10.8.0.8/29", "usable_ips": 6, "clients": 5 }));
}

#[test]
fn names_are_unique_ignoring_case_lookup_exact() {
    let server = with_john();
    let taken = server.api(&["core", "add_client", "client_name=JOHN-laptop"]).failed("CLIENT_EXISTS");
    assert_eq!(taken["data"]["client_name"], "john-laptop");
    server.api(&["core", "export_client", "client_name=JOHN-laptop"]).failed("CLIENT_NOT_FOUND");
    server.api(&["core", "remove_client", "client_name=JOHN-laptop"]).failed("CLIENT_NOT_FOUND");
    server.api(&["core", "remove_client", "client_name=john-laptop"]).ok();
    add(&server, "JOHN-laptop");
}

#[test]
fn removed_client_is_gone_even_without_peer() {
    let server = with_john();
    let key = add(&server, "other")["public_key"].as_str().unwrap().to_owned();
    let file = || {
        let content =
            phantom_host::Files::read(&server.fake, "/etc/wireguard/wg_main.conf".as_ref()).unwrap();
        String::from_utf8(content.unwrap()).unwrap()
    };
    assert!(file().contains(&key));
    assert!(server.fake.remove_peer("wg_main", &key.parse().unwrap()));
    server.api(&["core", "remove_client", "client_name=other"]).ok();
    assert!(!file().contains(&key) && !server.fake.dump().contains(&key));
    server.assert_in_sync();
}

#[test]
fn other_clients_keep_their_sessions() {
    let server = crate::cases::connected(with_john());
    let before = server.fake.traffic();
    assert!(before.contains("198.51.100.2:53787"), "{before}");
    add(&server, "other");
    server.api(&["core", "remove_client", "client_name=other"]).ok();
    assert_eq!(server.fake.traffic(), before);
    server.api(&["core", "setup", "endpoint=vpn.example.com"]).ok();
    server.api(&["core", "reconcile"]).ok();
    assert_eq!(server.fake.traffic(), before);
}

#[test]
fn service_restarts_for_clients_if_set() {
    let server = crate::cases::connected(with_john());
    let on =
        ["core", "update_tweak_setting", "setting_name=restart_service_after_client_creation", "value=true"];
    server.api(&on).ok();
    let before = server.fake.traffic();
    add(&server, "other");
    assert_ne!(server.fake.traffic(), before, "the session is lost");
    assert_eq!(server.api(&["core", "server_status"]).ok()["interface"]["active"], true);
    server.assert_in_sync();
}

#[test]
fn lists_are_ordered_by_age_and_paged() {
    let server = Server::ready();
    for name in ["c", "a", "b", "e", "d"] {
        add(&server, name);
        server.fake.advance(Duration::from_secs(1));
    }
    let page = |words: &[&str]| {
        server.api(&["core", "list_clients"].iter().chain(words).copied().collect::<Vec<_>>()).ok()
    };
    assert_eq!(names(&page(&[])["clients"]), ["c", "a", "b", "e", "d"]);
    let second = page(&["page=2", "per_page=2"]);
    assert_eq!(names(&second["clients"]), ["b", "e"]);
    let expected = json!({ "page": 2, "per_page": 2, "total_pages": 3, "has_next": true, "has_prev": true, "showing_from": 3, "showing_to": 4 });
    assert_eq!(second["pagination"], expected);
    assert_eq!(page(&["page=99", "per_page=2"])["pagination"]["page"], 3);
    assert_eq!(names(&page(&["page=4294967295", "per_page=2"])["clients"]), ["d"]);
    assert_eq!(names(&page(&["search=10.8.0.4"])["clients"]), ["b"]);
    assert_eq!(page(&["search=A"])["total"], 1);
    let latest = server.api(&["core", "latest_clients", "count=2"]).ok();
    assert_eq!(names(&latest["latest_clients"]), ["d", "e"]);
    assert_eq!((&latest["count"], &latest["total_clients"]), (&2.into(), &5.into()));
}

#[test]
fn clients_of_same_moment_order_by_name() {
    let server = Server::ready().with(&["b", "C", "a"]);
    assert_eq!(names(&server.api(&["core", "list_clients"]).ok()["clients"]), ["C", "a", "b"]);
}

#[test]
fn exported_configuration_has_the_contract_layout() {
    let server = with_john();
    let text = config(&server, &[]);
    let keys: Vec<&str> = text.lines().map(|line| line.split(" = ").next().unwrap()).collect();
    let expected = [
        "[Interface]",
        "PrivateKey",
        "Address",
        "DNS",
        "MTU",
        "",
        "[Peer]",
        "PublicKey",
        "PresharedKey",
        "Endpoint",
        "AllowedIPs",
        "PersistentKeepalive",
    ];
    assert_eq!(keys, expected);
    assert!(!text.ends_with('\n') && !text.contains('\r') && text.lines().all(|line| line.trim() == line));
    let exported = server.api(&["core", "export_client", "client_name=john-laptop"]).ok();
    assert_eq!(line(&text, "PrivateKey"), exported["client"]["private_key"].as_str().unwrap());
    assert_eq!(line(&text, "PresharedKey"), exported["client"]["preshared_key"].as_str().unwrap());
    let status = server.api(&["core", "server_status"]).ok();
    assert_eq!(line(&text, "PublicKey"), status["interface"]["public_key"].as_str().unwrap());
    assert_eq!(exported["client"]["public_key"], status["interface"]["peers"][0]["public_key"]);
}

#[test]
fn changes_appear_in_next_export_at_once() {
    let server = with_john();
    assert_eq!(line(&config(&server, &[]), "Endpoint"), format!("{SERVER_IP}:51820"));
    assert_eq!(line(&config(&server, &["use_ipv6=true"]), "Endpoint"), "[2001:db8::10]:51820");
    server.api(&["core", "setup", "port=443", "server_ip=198.51.100.9"]).ok();
    assert_eq!(line(&config(&server, &[]), "Endpoint"), "198.51.100.9:443");
    server.api(&["core", "setup", "endpoint=vpn.example.com"]).ok();
    for more in [&[][..], &["use_ipv6=true"]] {
        assert_eq!(
            line(&config(&server, more), "Endpoint"),
            "vpn.example.com:443",
            "the stored one always wins"
        );
    }
    server.api(&["core", "setup", "endpoint=2001:db8::9"]).ok();
    assert_eq!(line(&config(&server, &[]), "Endpoint"), "[2001:db8::9]:443");
    server.api(&["dns", "change_dns_servers", "primary=9.9.9.9", "secondary=2620:fe::fe"]).ok();
    assert_eq!(line(&config(&server, &[]), "DNS"), "9.9.9.9, 2620:fe::fe");
    server.fake.advance(Duration::from_secs(1));
    server.api(&["core", "change_subnet", "new_subnet=172.16.0.0/20", "confirm=true"]).ok();
    assert_eq!(line(&config(&server, &[]), "Address"), "172.16.0.2/20");
    assert_eq!(line(&config(&server, &[]), "AllowedIPs"), "0.0.0.0/0, 172.16.0.0/20, ::/0");
    server.api(&["core", "update_tweak_setting", "setting_name=block_ipv6_leak", "value=off"]).ok();
    assert_eq!(line(&config(&server, &[]), "AllowedIPs"), "0.0.0.0/0, 172.16.0.0/20");
    assert_eq!(
        (line(&config(&server, &[]), "MTU"), line(&config(&server, &[]), "PersistentKeepalive")),
        ("1420".into(), "25".into())
    );
}

#[test]
fn changed_subnet_keeps_host_numbers() {
    let server = Server::ready().with(&["a", "b", "c", "d", "e", "f", "g", "h", "server"]);
    for name in ["a", "c", "d"] {
        server.api(&["core", "remove_client", &format!("client_name={name}")]).ok();
    }
    // Left: b .3, e .6, f .7, g .8, h .9, server .10.
    let checked = server.api(&["core", "validate_subnet_change", "new_subnet=192.168.9.8/29"]).ok();
    assert_eq!(checked["valid"], false, "six clients and the server do not fit");
    server.api(&["core", "remove_client", "client_name=h"]).ok();
    let checked = server.api(&["core", "validate_subnet_change", "new_subnet=192.168.9.8/29"]).ok();
    let at = |old: u8, new: u8| json!({ "old": format!("10.8.0.{old}"), "new": format!("192.168.9.{new}") });
    let expected = json!({
        "server": at(1, 9), "b": at(3, 11), "e": at(6, 14), "f": at(7, 10), "g": at(8, 12), "server (client)": at(10, 13)
    });
    assert_eq!(checked["ip_mapping_preview"], json!({ "total_mappings": 6, "mappings": expected }));
    assert_eq!(
        checked["warnings"],
        json!(["New subnet is smaller than the current one", "Clients that get a new host number: 3"])
    );
    let changed = server.api(&["core", "change_subnet", "new_subnet=192.168.9.8/29", "confirm=true"]).ok();
    let mut mapping = serde_json::Map::new();
    for one in expected.as_object().unwrap().values() {
        mapping.insert(one["old"].as_str().unwrap().to_owned(), one["new"].clone());
    }
    assert_eq!((&changed["ip_mapping"], &changed["clients_updated"]), (&mapping.into(), &5.into()));
    server.assert_in_sync();
    let dump = server.fake.dump();
    assert!(dump.contains(" 192.168.9.9/29\n"), "the server's address has the new prefix: {dump}");
    assert!(!dump.contains("10.8.0."), "something of the old subnet is left: {dump}");
}

#[test]
fn subnet_change_backup_is_complete_and_unique() {
    let server = with_john();
    let change = |subnet: &str| {
        server.api(&["core", "change_subnet", subnet, "confirm=true"]).ok()["backup_id"].clone()
    };
    let ids = [change("new_subnet=10.9.0.0/24"), change("new_subnet=10.10.0.0/24")];
    assert_eq!(ids, ["subnet_change_1757380307", "subnet_change_1757380308"]);
    for (id, subnet) in ids.iter().zip(["10.8.0.0/24", "10.9.0.0/24"]) {
        let dir = server.paths().backups_dir().join(id.as_str().unwrap());
        let manifest: Value =
            serde_json::from_slice(&std::fs::read(dir.join("manifest.json")).unwrap()).unwrap();
        assert_eq!((&manifest["old_subnet"], &manifest["clients"]), (&subnet.into(), &1.into()));
        let stored = rusqlite::Connection::open(dir.join("phantom.db")).unwrap();
        let old: String = stored.query_row("SELECT subnet FROM server", (), |row| row.get(0)).unwrap();
        assert_eq!(old, subnet);
        let address = format!("{}1/24", subnet.trim_end_matches("0/24"));
        assert!(std::fs::read_to_string(dir.join("wg_main.conf")).unwrap().contains(&address));
        assert!(dir.join("firewall.txt").exists());
    }
}

#[test]
fn repeated_setup_changes_only_given_values() {
    let server = Server::bare();
    let first = server
        .api(&["core", "setup", "server_ip=192.0.2.7", "port=443", "subnet=10.77.0.0/16", "interface=vpn0"])
        .ok();
    assert_eq!((&first["created"], &first["changed"]), (&true.into(), &json!([])));
    assert_eq!(first["config_file"], "/etc/wireguard/vpn0.conf");
    let stored = server.dump();
    let again = server.api(&["core", "setup"]).ok();
    assert_eq!(
        (&again["created"], &again["changed"], &again["message"]),
        (&false.into(), &json!([]), &"System is already initialised".into())
    );
    for field in ["server_ip", "port", "subnet", "interface", "backend", "public_key", "endpoint"] {
        assert_eq!(again[field], first[field], "{field}");
    }
    server.api(&["core", "setup", "subnet=10.77.0.0/16", "interface=vpn0", "port=443"]).ok();
    let host = |dump: &str| dump.split("[backups]").next().unwrap().to_owned();
    assert_eq!(host(&server.dump()), host(&stored));
    let changed = server
        .api(&["core", "setup", "port=444", "server_ip=192.0.2.8", "endpoint=a.b", "backend=embedded"])
        .ok();
    assert_eq!(changed["changed"], json!(["server_ip", "endpoint", "port", "backend"]));
    assert_eq!((&changed["public_key"], &changed["backend"]), (&first["public_key"], &"embedded".into()));
    server.assert_in_sync();
}

#[test]
fn the_endpoint_can_be_taken_away_again() {
    let server = Server::ready();
    let exported = || {
        let config = server.api(&["core", "export_client", "client_name=john"]).ok()["config"].clone();
        config.as_str().unwrap().lines().find(|line| line.starts_with("Endpoint")).unwrap().to_owned()
    };
    server.api(&["core", "add_client", "client_name=john"]).ok();
    let before = exported();
    let json = ["core", "setup", "--json", "{\"endpoint\": null}"];
    for unset in [&["core", "setup", "endpoint=none"][..], &["core", "setup", "endpoint=NONE"], &json] {
        server.api(&["core", "setup", "endpoint=vpn.example.com"]).ok();
        assert!(exported().contains("vpn.example.com:"), "{}", exported());
        let done = server.api(unset).ok();
        assert_eq!((&done["endpoint"], &done["changed"]), (&Value::Null, &json!(["endpoint"])));
        assert_eq!(exported(), before, "{unset:?}");
        // What is not there cannot be taken away once more, and what is not given stays.
        assert_eq!(server.api(unset).ok()["changed"], json!([]));
    }
    server.api(&["core", "setup", "endpoint=vpn.example.com"]).ok();
    for kept in [
        &["core", "setup"][..],
        &["core", "setup", "endpoint="],
        &["core", "setup", "--json", "{\"port\": null}"],
    ] {
        assert_eq!(server.api(kept).ok()["endpoint"], "vpn.example.com", "{kept:?}");
    }
    let bare = Server::bare();
    assert!(bare.api(&["core", "setup", "server_ip=192.0.2.7", "endpoint=none"]).ok()["endpoint"].is_null());
}

#[test]
fn setup_refuses_address_where_nobody_connects() {
    let bare = Server::bare();
    for (word, parameter) in [
        ("server_ip=0.0.0.0", "server_ip"),
        ("server_ip=255.255.255.255", "server_ip"),
        ("server_ip=240.0.0.1", "server_ip"),
        ("endpoint=0.0.0.0", "endpoint"),
        ("endpoint=224.0.0.1", "endpoint"),
        ("endpoint=::", "endpoint"),
    ] {
        let refused = bare.api(&["core", "setup", word]).failed("INVALID_PARAMETER");
        assert_eq!(refused["data"]["parameter"], parameter, "{word}");
    }
    // What the VPN itself has, before and after the first setup; and what an exit gives this server.
    let words = ["core", "setup", "server_ip=10.77.0.9", "subnet=10.77.0.0/16"];
    let refused = bare.api(&words).failed("VALIDATION_ERROR");
    assert_eq!(refused["data"], json!({ "parameter": "server_ip", "address": "10.77.0.9" }));
    assert!(!bare.paths().database().exists() || bare.api(&["core", "server_status"]).exit != 0);
    let server = crate::cases::with_exit();
    let before = server.dump();
    for (word, parameter, address) in [
        ("server_ip=10.8.0.9", "server_ip", "10.8.0.9"),
        ("endpoint=10.8.0.1", "endpoint", "10.8.0.1"),
        ("endpoint=::ffff:10.8.0.1", "endpoint", "::ffff:10.8.0.1"),
        ("server_ip=10.99.0.2", "server_ip", "10.99.0.2"),
        ("endpoint=10.99.0.2", "endpoint", "10.99.0.2"),
    ] {
        let refused = server.api(&["core", "setup", word]).failed("VALIDATION_ERROR");
        assert_eq!(refused["data"], json!({ "parameter": parameter, "address": address }), "{word}");
    }
    assert_eq!(server.dump(), before);
    // A tunnel of the operator's own may bring clients here by their own loopback.
    server.api(&["core", "setup", "endpoint=127.0.0.1"]).ok();
}

#[test]
fn setup_uses_embedded_device_without_kernel_support() {
    let server = Server::bare();
    server.fake.set_kernel_wireguard(false);
    let done = server.api(&["core", "setup", "server_ip=192.0.2.7"]).ok();
    assert_eq!(done["backend"], "embedded");
    let server = server.with(&["a"]);
    let status = server.api(&["core", "server_status"]).ok();
    assert_eq!(
        (&status["system"]["wireguard_module"], &status["system"]["backend"]),
        (&false.into(), &"embedded".into())
    );
    assert_eq!(status["interface"]["active"], true);
    assert_ne!(status["service"]["pid"], "0");
    // The kernel learns it later: only who asks for it gets it.
    server.fake.set_kernel_wireguard(true);
    assert_eq!(server.api(&["core", "setup"]).ok()["backend"], "embedded");
    assert_eq!(server.api(&["core", "setup", "backend=auto"]).ok()["backend"], "kernel");
    server.assert_in_sync();
    let failed = Server::bare();
    failed.fake.set_kernel_wireguard(false);
    failed
        .api(&["core", "setup", "server_ip=192.0.2.7", "backend=kernel"])
        .failed("SERVICE_OPERATION_FAILED");
}

#[test]
fn backend_change_keeps_keys_and_clients() {
    let server = with_john();
    let before = config(&server, &[]);
    for backend in ["embedded", "kernel", "embedded"] {
        let done = server.api(&["core", "setup", &format!("backend={backend}")]).ok();
        assert_eq!((&done["backend"], &done["changed"]), (&backend.into(), &json!(["backend"])));
        assert_eq!(config(&server, &[]), before);
        let status = server.api(&["core", "server_status"]).ok();
        assert_eq!(status["interface"]["peers"].as_array().unwrap().len(), 1);
        server.assert_in_sync();
    }
}

#[test]
fn ufw_has_our_rules_only_while_active() {
    let server = Server::ready();
    let ours = || {
        server
            .fake
            .dump()
            .lines()
            .filter(|line| line.starts_with("ufw phantom"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(ours(), [""; 0]);
    server.fake.set_ufw(Some(true));
    server.api(&["core", "reconcile"]).ok();
    assert_eq!(ours().len(), 2, "{:?}", ours());
    server.api(&["core", "setup", "port=443"]).ok();
    assert!(ours().iter().any(|rule| rule.ends_with("allow 443/udp")) && ours().len() == 2, "{:?}", ours());
    // Switched off it keeps them for when it is switched on again, but none that has become wrong, and gets no new ones.
    server.fake.set_ufw(Some(false));
    server.assert_in_sync();
    server.api(&["core", "setup", "port=444"]).ok();
    assert!(ours().iter().all(|rule| rule.contains("route allow")) && ours().len() == 1, "{:?}", ours());
}

#[test]
fn forwarding_that_was_on_stays_on() {
    for before in ["0", "1"] {
        let server = Server::bare();
        server.fake.set_sysctl("net.ipv4.ip_forward", Some(before));
        server.api(&["core", "setup", "server_ip=192.0.2.7"]).ok();
        assert!(server.dump().contains(&format!("ip_forward_before={before:?}")), "{before}");
        assert!(server.fake.dump().contains("net.ipv4.ip_forward = 1\n"));
    }
}

#[test]
fn settings_change_singly_and_show_old_value() {
    let server = Server::ready();
    let update = |name: &str, value: &str| {
        server
            .action(
                "core",
                "update_tweak_setting",
                &[format!("setting_name={name}"), format!("value={value}")],
            )
            .ok()
    };
    let changed = update("block_ipv6_leak", "no");
    assert_eq!((&changed["old_value"], &changed["new_value"]), (&true.into(), &false.into()));
    assert_eq!(changed["message"], "Setting 'block_ipv6_leak' updated from True to False");
    let changed = update("language", "tr");
    assert_eq!((&changed["old_value"], &changed["new_value"]), (&"en".into(), &"tr".into()));
    let typed = server.api(&[
        "core",
        "update_tweak_setting",
        "--json",
        r#"{"setting_name":"block_ipv6_leak","value":true}"#,
    ]);
    assert_eq!(typed.ok()["new_value"], true);
    let before = server.dump();
    for words in [
        ["setting_name=language", "value=true"],
        ["setting_name=block_ipv6_leak", "value=tr"],
        ["setting_name=Language", "value=en"],
    ] {
        assert!(!server.api(&["core", "update_tweak_setting", words[0], words[1]]).success());
    }
    assert_eq!(server.dump(), before);
}
