//! What the actions of the Ghost module do, beyond their samples.

mod decoy;
mod front;
mod named;
pub(crate) mod obtaining;
mod restoring;
mod secrets;
mod state;

use std::path::PathBuf;

use phantom_ghost_state::GhostState as _;
use phantom_tests::Server;
use serde_json::{Value, json};

use crate::cases::{ENABLE, with_domain};

/// A call that needs neither resolver nor certificate authority.
const LOCAL: [&str; 5] =
    ["ghost", "enable", "domain=vpn.example.com", "skip_dns_check=true", "self_signed=true"];
const DISABLE: [&str; 2] = ["ghost", "disable"];

/// The names of the tunnel server's unit and of its keeper's.
fn units(server: &Server) -> [String; 2] {
    let instance = server.paths().instance().map(|instance| format!("-{instance}")).unwrap_or_default();
    ["phantom-ghost", "phantom-ghost-keeper"].map(|name| format!("{name}{instance}"))
}

fn keeper_config(server: &Server) -> PathBuf {
    server.paths().run_dir().join("ghost.conf")
}

/// What the keeper reads: behind the line with the mark.
fn configuration(server: &Server) -> Value {
    let text = std::fs::read_to_string(keeper_config(server)).unwrap();
    let (mark, json) = text.split_once('\n').unwrap();
    assert!(mark.starts_with(&format!("# {}:", server.tags().tag())), "{mark}");
    serde_json::from_str(json).unwrap()
}

/// What the keeper would say.
fn keeper_says(server: &Server, status: &Value) {
    std::fs::write(server.paths().run_dir().join("ghost-status.json"), status.to_string()).unwrap();
}

fn status(server: &Server) -> Value {
    server.api(&["ghost", "status"]).ok()
}

/// ufw is active, with rules of the operator, among them some for the ports that Ghost Mode opens.
fn with_ufw() -> Server {
    let server = Server::bare();
    for rule in ["22/tcp", "443/tcp", "443", "80/tcp"] {
        server.fake.add_foreign_ufw(&format!("{rule:<26} ALLOW IN    Anywhere"));
    }
    server.api(&["core", "setup", "server_ip=157.230.114.231"]).ok();
    crate::cases::named(server.with(&["john-laptop"]))
}

#[test]
fn every_enable_makes_a_new_secret() {
    let server = with_domain();
    let mut secrets = std::collections::BTreeSet::new();
    for _ in 0..5 {
        let enabled = server.api(ENABLE).ok();
        let secret = enabled["secret"].as_str().unwrap().to_owned();
        assert!(secret.len() == 64 && secret.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{secret}");
        assert!(enabled["connection_command"].as_str().unwrap().contains(&format!("\"{secret}\"")));
        let shown = status(&server);
        assert_eq!(shown["secret"], format!("{}...", &secret[..10]));
        assert_eq!(shown["connection_command"], enabled["connection_command"]);
        assert_eq!(shown["activated_at"], enabled["activated_at"]);
        let second = server.api(ENABLE).failed("GHOST_MODE_ACTIVE");
        assert_eq!(
            (&second["data"]["secret"], &second["data"]["activated_at"]),
            (&shown["secret"], &enabled["activated_at"])
        );
        assert!(!second.to_string().contains(&secret), "the error shows the secret");
        server.api(&DISABLE).ok();
        secrets.insert(secret);
    }
    assert_eq!(secrets.len(), 5, "a secret came twice");
}

#[test]
fn command_names_stored_port_and_verifies() {
    let server = with_domain();
    server.api(&["core", "setup", "port=4500"]).ok();
    let enabled = server.api(ENABLE).ok();
    let secret = enabled["secret"].as_str().unwrap();
    let expected = format!(
        "wstunnel client --http-upgrade-path-prefix \"{secret}\" -L udp://127.0.0.1:4500:127.0.0.1:4500 \
         wss://157-230-114-231.sslip.io:443 --tls-verify-certificate"
    );
    assert_eq!(enabled["connection_command"], expected);
    assert_eq!(enabled["certificate"]["source"], "acme");
    server.api(&DISABLE).ok();
    let enabled = server.api(&LOCAL).ok();
    let command = enabled["connection_command"].as_str().unwrap();
    assert!(command.ends_with("wss://vpn.example.com:443"), "{command}");
    assert_eq!(enabled["certificate"]["source"], "self_signed");
}

#[test]
fn every_server_address_is_a_valid_record() {
    let server = with_domain();
    server.fake.give_address("eth0", "198.51.100.20/24".parse().unwrap()).unwrap();
    let lookup = |addresses: &[&str]| {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        server.fake.set_lookup("two.example.com".parse().unwrap(), Ok(addresses));
    };
    // As an address in another spelling would be: they are compared as addresses. 2001:db8::10 is the host's.
    lookup(&["157.230.114.231", "198.51.100.20", "203.0.113.10", "2001:db8:0::10"]);
    let enabled = server.api(&["ghost", "enable", "domain=Two.EXAMPLE.com"]).ok();
    assert_eq!(enabled["domain"], "two.example.com");
    assert!(enabled.get("warnings").is_none(), "{enabled}");
    let stored = server.store().read(phantom_store::State::ghost).unwrap().unwrap();
    let expected = ["157.230.114.231", "198.51.100.20", "203.0.113.10", "2001:db8::10"];
    assert_eq!(stored.addresses, expected.map(|address| address.parse::<std::net::IpAddr>().unwrap()));
    server.api(&DISABLE).ok();
    lookup(&["157.230.114.231", "2001:db8::98", "2001:db8::10", "2001:db8::99"]);
    let enabled = server.api(&["ghost", "enable", "domain=two.example.com"]).ok();
    let warning = |ip: &str| format!("AAAA record {ip} of two.example.com is not this server");
    assert_eq!(enabled["warnings"], json!([warning("2001:db8::98"), warning("2001:db8::99")]));
}

#[test]
fn without_the_check_no_name_is_resolved() {
    let mut server = with_domain();
    server.host.resolver = std::sync::Arc::new(crate::reads::unresponsive::UnresponsiveHost);
    server.api(&["ghost", "enable", "domain=not.yet.example", "skip_dns_check=true"]).ok();
    assert_eq!(status(&server)["domain"], "not.yet.example");
}

#[test]
fn keeper_learns_certificate_and_decoy_paths() {
    let server = with_domain();
    let root = server.paths().root().display().to_string();
    let enabled = server.api(ENABLE).ok();
    let folder = format!("{root}/certs/157-230-114-231.sslip.io");
    let expected = json!({
        "domain": "157-230-114-231.sslip.io", "secrets": [enabled["secret"]],
        "clients": server.paths().run_dir().join("ghost-clients"), "wireguard_port": 51820,
        "certificate": {
            "source": "acme", "cert_path": format!("{folder}/fullchain.pem"), "key_path": format!("{folder}/privkey.pem")
        },
        "acme": {
            "directory": "https://acme-v02.api.letsencrypt.org/directory", "account_dir": format!("{root}/certs"),
            "ca_file": null
        },
        "decoy": { "dir": format!("{root}/config/decoy") },
    });
    assert_eq!(configuration(&server), expected);
    server.api(&DISABLE).ok();
    let here = std::env::current_dir().unwrap().display().to_string();
    for (decoy, upstream) in [
        ("decoy=http://127.0.0.1:8080", json!({ "address": "http://127.0.0.1:8080", "source": "10.8.0.1" })),
        ("decoy=http://[::1]:81/", json!({ "address": "http://[::1]:81/", "source": "2001:db8::10" })),
        ("decoy=unix:/run/web.sock", json!("unix:/run/web.sock")),
    ] {
        let words = ["ghost", "enable", "domain=a.example", "skip_dns_check=1", "cert_path=c/chain.pem"];
        let words: Vec<&str> = words.into_iter().chain(["key_path=/etc/key.pem", decoy]).collect();
        server.api(&words).ok();
        let configuration = configuration(&server);
        assert_eq!(configuration["decoy"], json!({ "upstream": upstream }));
        let certificate = json!({
            "source": "operator", "cert_path": format!("{here}/c/chain.pem"), "key_path": "/etc/key.pem"
        });
        assert_eq!(configuration["certificate"], certificate, "services have another working directory");
        server.api(&DISABLE).ok();
    }
}

#[test]
fn strangers_see_only_this_machine() {
    let server = with_domain();
    let before = server.dump();
    for decoy in [
        "http://192.0.2.1:80",
        "http://example.com:80",
        "http://127.0.0.1",
        "http://127.0.0.1:0",
        "http://127.0.0.1:443",
        "unix:/run/phantom-web/http",
        "unix:/var/run/phantom-web-2/x",
        "http://127.0.0.1:65536",
        "http://127.0.0.1:8080/path",
        "http://127.0.0.1:8080//",
        "http://127.0.0.1:8080@example.com",
        "https://127.0.0.1:8080",
        "unix:run/web.sock",
        "unix:",
        "/run/web.sock",
        "file:///etc/passwd",
    ] {
        let answer = server.action("ghost", "enable", &["domain=a.example".into(), format!("decoy={decoy}")]);
        answer.failed("INVALID_PARAMETER");
        assert_eq!(server.dump(), before, "{decoy}");
    }
}

#[test]
fn disabling_what_is_off_changes_nothing() {
    let server = with_domain();
    let before = server.dump();
    let answer = server.api(&DISABLE).ok();
    assert_eq!(answer, json!({ "status": "inactive", "message": "Ghost Mode is not active" }));
    assert_eq!((server.fake.write_log(), server.dump()), (Vec::new(), before));
}
