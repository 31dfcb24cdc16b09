//! Clients whose keys are not all stored, and networks behind clients.

use phantom_tests::Server;
use serde_json::Value;

use crate::cases::with_john;

/// A server with `john-laptop`, whose row is changed past the actions.
fn with_row(change: &str) -> Server {
    let server = with_john();
    let connection = rusqlite::Connection::open(server.paths().database()).unwrap();
    connection
        .execute_batch(&format!("UPDATE clients SET {change}; UPDATE counters SET generation = 9"))
        .unwrap();
    server.api(&["core", "reconcile"]).ok();
    server.assert_in_sync();
    server
}

/// The same, who keeps its private key to itself.
pub(crate) fn without_private_key() -> Server {
    with_row("private_key = NULL")
}

fn export(server: &Server) -> phantom_tests::Answer {
    server.api(&["core", "export_client", "client_name=john-laptop"])
}

fn file(server: &Server) -> String {
    let content = phantom_host::Files::read(&server.fake, "/etc/wireguard/wg_main.conf".as_ref()).unwrap();
    String::from_utf8(content.unwrap()).unwrap()
}

#[test]
fn client_without_preshared_key_is_a_peer() {
    let server = with_row("preshared_key = NULL");
    assert!(!file(&server).contains("PresharedKey"));
    let exported = export(&server).ok();
    assert_eq!(exported["client"]["preshared_key"], Value::Null);
    let config = exported["config"].as_str().unwrap();
    assert!(config.contains("PrivateKey") && !config.contains("PresharedKey"), "{config}");
}

#[test]
fn keyless_client_is_peer_without_export() {
    let server = without_private_key();
    assert!(file(&server).contains("# client john-laptop"));
    export(&server).failed("CONFIG_ERROR");
    let listed = server.api(&["core", "list_clients"]).ok();
    assert_eq!(listed["clients"][0]["name"], "john-laptop");
    server.api(&["core", "remove_client", "client_name=john-laptop"]).ok();
    assert!(!file(&server).contains("john-laptop"));
}

#[test]
fn client_networks_are_its_allowed_ips() {
    let server = with_row("extra_ips = '192.168.7.0/24, fd07::/48'");
    assert!(
        file(&server).contains("AllowedIPs = 10.8.0.2/32, 192.168.7.0/24, fd07::/48\n"),
        "{}",
        file(&server)
    );
    let dump = server.fake.dump();
    assert!(dump.contains("192.168.7.0/24") && dump.contains("fd07::/48"), "{dump}");
    server.api(&["core", "add_client", "client_name=other"]).ok();
    server.api(&["core", "remove_client", "client_name=john-laptop"]).ok();
    let dump = server.fake.dump();
    assert!(!dump.contains("192.168.7.0/24") && !file(&server).contains("fd07::/48"), "{dump}");
    server.assert_in_sync();
}
