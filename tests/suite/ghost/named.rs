//! A server without a domain: clients connect to its address, which the certificate is for.

use std::sync::{Arc, Mutex};

use phantom_ghost::program::CertificateRequest;
use phantom_ghost_state::GhostState as _;
use phantom_tests::Server;
use serde_json::json;

use super::obtaining::meanwhile;
use super::{DISABLE, configuration, status};
use crate::cases::with_john;

/// A server that nobody resolves names for.
fn without_resolver() -> Server {
    let mut server = with_john();
    server.host.resolver = Arc::new(crate::reads::unresponsive::UnresponsiveHost);
    server
}

#[test]
fn server_without_domain_is_named_by_address() {
    let mut server = without_resolver();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    meanwhile(&mut server, move |request| seen.lock().unwrap().push(request.clone()));
    let enabled = server.api(&["ghost", "enable", "domain=157.230.114.231"]).ok();
    assert_eq!((&enabled["domain"], &enabled["port"]), (&json!("157.230.114.231"), &json!(443)));
    let command = enabled["connection_command"].as_str().unwrap();
    assert!(command.ends_with(" wss://157.230.114.231:443 --tls-verify-certificate"), "{command}");
    let expected = CertificateRequest::Issue {
        domain: "157.230.114.231".parse().unwrap(),
        directory: "https://acme-v02.api.letsencrypt.org/directory".into(),
        ca_file: None,
        certs_dir: server.paths().certs_dir(),
    };
    assert_eq!(*asked.lock().unwrap(), [expected]);
    assert_eq!(configuration(&server)["domain"], "157.230.114.231");
    assert_eq!(status(&server)["domain"], "157.230.114.231");
    let stored = server.store().read(phantom_store::State::ghost).unwrap().unwrap();
    assert_eq!(stored.addresses, ["157.230.114.231".parse::<std::net::Ipv4Addr>().unwrap()]);
    server.api(&DISABLE).ok();
    server.assert_in_sync();
}

#[test]
fn an_address_has_one_spelling() {
    for (domain, shown, url) in [
        ("2a01:4f8:0::0007", "2a01:4f8::7", "wss://[2a01:4f8::7]:443"),
        ("::ffff:157.230.114.231", "157.230.114.231", "wss://157.230.114.231:443"),
    ] {
        let server = without_resolver();
        server.fake.give_address("eth0", "2a01:4f8::7/64".parse().unwrap()).unwrap();
        let enabled = server.action("ghost", "enable", &[format!("domain={domain}")]).ok();
        assert_eq!(enabled["domain"], shown);
        let command = enabled["connection_command"].as_str().unwrap();
        assert!(command.contains(&format!(" {url} ")), "{command}");
        server.assert_in_sync();
    }
}

#[test]
fn address_after_translation_is_not_checked() {
    let server = without_resolver();
    server.api(&["ghost", "enable", "domain=198.20.0.7"]).failed("VALIDATION_ERROR");
    server.api(&["ghost", "enable", "domain=198.20.0.7", "skip_dns_check=true"]).ok();
    assert_eq!(status(&server)["domain"], "198.20.0.7");
}

#[test]
fn own_authority_certifies_anything() {
    let server = without_resolver();
    server.api(&["ghost", "enable", "domain=203.0.113.10"]).failed("VALIDATION_ERROR");
    let statement = "UPDATE settings SET acme_directory = 'https://ca.example/dir'";
    rusqlite::Connection::open(server.paths().database()).unwrap().execute_batch(statement).unwrap();
    server.api(&["ghost", "enable", "domain=203.0.113.10"]).ok();
    server.api(&DISABLE).ok();
    // Nor is anybody asked where the certificate is there already.
    let statement = "UPDATE settings SET acme_directory = 'https://acme-v02.api.letsencrypt.org/directory'";
    rusqlite::Connection::open(server.paths().database()).unwrap().execute_batch(statement).unwrap();
    server.api(&["ghost", "enable", "domain=203.0.113.10", "cert_path=/c.pem", "key_path=/k.pem"]).ok();
}
