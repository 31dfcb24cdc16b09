//! A web server in front: it has the port of HTTPS and the certificate.

use std::sync::{Arc, Mutex};

use phantom_ghost::program::fake::FakeTunnel as _;
use phantom_host::{Port, Protocol, UnitKind};
use phantom_tests::Server;
use serde_json::{Value, json};

use super::{DISABLE, configuration, keeper_says, status, units, with_ufw};
use crate::cases::with_domain;

const LISTEN: &str = "listen=unix:/run/phantom-web/http";

/// Enables Ghost Mode behind a web server, which is there.
fn enable(server: &Server, more: &[&str]) -> Value {
    server.api(&[&["ghost", "enable", "domain=157-230-114-231.sslip.io", LISTEN], more].concat()).ok()
}

/// A web server has the port.
fn with_web_server() -> Server {
    let server = with_domain();
    server.fake.bind(Port { protocol: Protocol::Tcp, number: 443 });
    server
}

#[test]
fn front_port_may_be_taken_without_certificate() {
    let mut server = with_web_server();
    let asked = Arc::new(Mutex::new(0));
    let seen = asked.clone();
    super::obtaining::meanwhile(&mut server, move |_| *seen.lock().unwrap() += 1);
    server.api(&["ghost", "enable", "domain=157-230-114-231.sslip.io"]).failed("PORT_IN_USE");
    let enabled = enable(&server, &[]);
    assert_eq!(*asked.lock().unwrap(), 0);
    assert_eq!((&enabled["port"], &enabled["certificate"]["source"]), (&json!(443), &json!("web_server")));
    assert!(enabled["certificate"]["expires_at"].is_string(), "{enabled}");
    let command = enabled["connection_command"].as_str().unwrap();
    assert!(command.ends_with("wss://157-230-114-231.sslip.io:443 --tls-verify-certificate"), "{command}");
    let told = configuration(&server);
    assert!(told.get("certificate").is_none() && told.get("acme").is_none(), "{told}");
    server.assert_in_sync();
}

#[test]
fn status_shows_front_port_and_socket() {
    let server = with_web_server();
    enable(&server, &["public_port=8443", "listen_group=haproxy"]);
    keeper_says(&server, &json!({ "serving": true }));
    server.fake.bind(Port { protocol: Protocol::Tcp, number: 8443 });
    let seen = status(&server);
    assert_eq!((&seen["status"], &seen["port"]), (&json!("active"), &json!(8443)));
    assert_eq!(seen["front"], json!({ "listen": "unix:/run/phantom-web/http", "listen_group": "haproxy" }));
    let certificate = &seen["certificate"];
    assert_eq!((&certificate["source"], &certificate["renewal"]), (&json!("web_server"), &json!("operator")));
    assert!(certificate["expires_at"].is_string() && certificate["last_error"].is_null(), "{certificate}");
    assert!(seen["connection_command"].as_str().unwrap().contains("wss://157-230-114-231.sslip.io:8443 "));
    // It does not lead here any more.
    server.fake.deafen_tunnel(Some("it opens no tunnel"));
    let seen = status(&server);
    assert_eq!((&seen["status"], &seen["services"]["wstunnel"]), (&json!("error"), &json!("active")));
    assert_eq!(seen["certificate"]["last_error"], "it opens no tunnel");
    // Without a secret of ours its certificate alone is looked at.
    server.fake.deafen_tunnel(None);
    let words = ["core", "update_tweak_setting", "setting_name=ghost_operator_secret", "value=false"];
    server.api(&words).ok();
    let seen = status(&server);
    assert!(seen["status"] == "active" && seen["certificate"]["expires_at"].is_string(), "{seen:#}");
}

#[test]
fn tunnel_server_uses_socket_without_port_right() {
    let server = with_web_server();
    enable(&server, &[]);
    let unit = server.fake.unit(&units(&server)[0]).unwrap();
    let UnitKind::Daemon { run, after_start, .. } = &unit.kind else { panic!("{unit:?}") };
    let words = run.args.join(" ");
    assert!(words.ends_with("--listen unix:/run/phantom-web/http --group www-data"), "{words}");
    let after = after_start.as_ref().unwrap();
    assert_eq!(after.args.join(" "), "share --socket /run/phantom-web/http --group www-data");
    assert!(unit.capabilities.is_empty() && unit.dynamic_user, "{unit:?}");
    assert!(unit.writable.iter().any(|path| path.as_path() == "/run/phantom-web"), "{unit:?}");
    server.api(&DISABLE).ok();
    server.assert_in_sync();
}

#[test]
fn front_opens_https_and_closes_wireguard() {
    let server = with_ufw();
    enable(&server, &["public_port=8443"]);
    let dump = server.fake.dump();
    for rule in ["allow 8443/tcp", "deny 51820/udp"] {
        assert!(dump.contains(rule), "{rule}: {dump}");
    }
    assert!(!dump.contains("allow 443/tcp") && !dump.contains("allow 80/tcp"), "{dump}");
    server.api(&DISABLE).ok();
    assert!(!server.fake.dump().contains("allow 8443/tcp"));
    server.assert_in_sync();
}

#[test]
fn front_that_leads_elsewhere_changes_nothing() {
    let server = with_web_server();
    let before = server.dump();
    server.fake.deafen_tunnel(Some("it answered 502"));
    let words = ["ghost", "enable", "domain=157-230-114-231.sslip.io", LISTEN];
    let failed = server.api(&words).failed("GHOST_MODE_ERROR");
    let text = failed["message"].as_str().or(failed["error"].as_str()).unwrap_or_default();
    assert!(text.contains("TCP port 443") && text.contains("unix:/run/phantom-web/http"), "{failed}");
    assert_eq!(crate::faults::changed(&before, &server.dump()), "");
}

#[test]
fn self_signed_front_certificate_is_not_verified() {
    let server = with_web_server();
    let enabled = enable(&server, &["self_signed=true"]);
    let command = enabled["connection_command"].as_str().unwrap();
    assert!(command.ends_with("wss://157-230-114-231.sslip.io:443"), "{command}");
}

#[test]
fn the_doctor_looks_at_the_web_server() {
    let server = with_web_server();
    enable(&server, &[]);
    let found = |name: &str| {
        let checks = server.api(&["core", "doctor"]).ok();
        checks["checks"].as_array().unwrap().iter().find(|check| check["name"] == name).cloned().unwrap()
    };
    for name in ["https_port", "certificate"] {
        let check = found(name);
        assert_eq!(check["state"], "ok", "{check}");
        assert!(check.to_string().contains("web server"), "{check}");
    }
    server.fake.deafen_tunnel(Some("it answered 502"));
    let check = found("certificate");
    assert_eq!(check["state"], "problem", "{check}");
    assert!(check.to_string().contains("502"), "{check}");
}
