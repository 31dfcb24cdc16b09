//! The errors of Ghost Mode: each check of `enable` in its order, and what the host does not follow.

use std::sync::Arc;

use phantom_ghost::program::fake::FakeTunnel as _;
use phantom_host::{Port, ProbeError, Protocol};
use phantom_tests::Server;
use serde_json::{Value, json};

use super::{Failing, failing};
use crate::cases::{ENABLE, named, with_domain, with_ghost, with_john};
use crate::reads::unresponsive::UnresponsiveHost;

/// The calls of the module that fail.
pub(crate) const GHOST: &[Failing] = &[
    failing("MISSING_PARAMETER", &["ghost", "enable"], with_john, || json!({ "parameter": "domain" })),
    failing(
        "MISSING_PARAMETER",
        &["ghost", "enable", "domain=a.example", "cert_path=/c.pem"],
        with_john,
        || json!({ "parameter": "key_path" }),
    ),
    failing(
        "MISSING_PARAMETER",
        &["ghost", "enable", "domain=a.example", "key_path=/k.pem"],
        with_john,
        || json!({ "parameter": "cert_path" }),
    ),
    failing(
        "INVALID_PARAMETER choice",
        &["ghost", "enable", "domain=a.example", "cert_path=/c", "key_path=/k", "self_signed=true"],
        with_john,
        || json!({ "parameter": "self_signed", "allowed": ["false"] }),
    ),
    failing(
        "INVALID_PARAMETER choice",
        &["ghost", "enable", "domain=a.example", "decoy=https://www.example.com"],
        with_john,
        || json!({ "parameter": "decoy", "allowed": ["http://127.0.0.1:PORT", "http://[::1]:PORT", "unix:/PATH"] }),
    ),
    failing(
        "MISSING_PARAMETER",
        &["ghost", "enable", "domain=a.example", "decoy_source=10.8.0.1"],
        with_john,
        || json!({ "parameter": "decoy" }),
    ),
    failing(
        "MISSING_PARAMETER",
        &["ghost", "enable", "domain=a.example", "decoy_proxy=v1"],
        with_john,
        || json!({ "parameter": "decoy" }),
    ),
    failing(
        "INVALID_PARAMETER choice",
        &["ghost", "enable", "domain=a.example", "decoy=unix:/run/web.sock", "decoy_source=10.8.0.1"],
        with_john,
        || json!({ "parameter": "decoy", "allowed": ["http://127.0.0.1:PORT", "http://[::1]:PORT"] }),
    ),
    failing(
        "INVALID_PARAMETER choice",
        &["ghost", "enable", "domain=a.example", "decoy=http://127.0.0.1:80", "decoy_proxy=v3"],
        with_john,
        || json!({ "parameter": "decoy_proxy", "allowed": ["v1", "v2"] }),
    ),
    failing(
        "VALIDATION_ERROR decoy_source loopback",
        &["ghost", "enable", "domain=a.example", "decoy=http://127.0.0.1:80", "decoy_source=127.0.0.2"],
        with_john,
        || unfit_source("127.0.0.2", "loopback"),
    ),
    failing(
        "VALIDATION_ERROR decoy_source loopback",
        &[
            "ghost",
            "enable",
            "domain=a.example",
            "decoy=http://127.0.0.1:80",
            "decoy_source=::ffff:127.0.0.1",
        ],
        with_john,
        || unfit_source("::ffff:127.0.0.1", "loopback"),
    ),
    failing(
        "VALIDATION_ERROR decoy_source no_host",
        &["ghost", "enable", "domain=a.example", "decoy=http://127.0.0.1:80", "decoy_source=0.0.0.0"],
        with_john,
        || unfit_source("0.0.0.0", "no_host"),
    ),
    failing(
        "VALIDATION_ERROR decoy_source no_host",
        &["ghost", "enable", "domain=a.example", "decoy=http://127.0.0.1:80", "decoy_source=224.0.0.1"],
        with_john,
        || unfit_source("224.0.0.1", "no_host"),
    ),
    failing(
        "VALIDATION_ERROR decoy_source family",
        &["ghost", "enable", "domain=a.example", "decoy=http://127.0.0.1:80", "decoy_source=2001:db8::10"],
        with_john,
        || unfit_source("2001:db8::10", "family"),
    ),
    failing(
        "VALIDATION_ERROR decoy_source foreign",
        &["ghost", "enable", "domain=a.example", "decoy=http://127.0.0.1:80", "decoy_source=198.51.100.7"],
        with_john,
        || unfit_source("198.51.100.7", "foreign"),
    ),
    failing(
        "INVALID_PARAMETER unfit",
        &["ghost", "enable", "domain=[2001:db8::10]"],
        with_john,
        || json!({ "parameter": "domain", "expected": "host" }),
    ),
    failing(
        "VALIDATION_ERROR address foreign",
        &["ghost", "enable", "domain=203.0.113.9"],
        with_john,
        || unfit_address("203.0.113.9", "foreign", &["157.230.114.231"]),
    ),
    failing(
        "VALIDATION_ERROR address foreign",
        &["ghost", "enable", "domain=2a01:4f8::9"],
        with_john,
        || unfit_address("2a01:4f8::9", "foreign", &["157.230.114.231"]),
    ),
    failing(
        "VALIDATION_ERROR address no_host",
        &["ghost", "enable", "domain=::ffff:127.0.0.1", "skip_dns_check=1"],
        with_john,
        || unfit_address("127.0.0.1", "no_host", &["157.230.114.231"]),
    ),
    failing("VALIDATION_ERROR address vpn", &["ghost", "enable", "domain=10.8.0.1"], with_john, || {
        unfit_address("10.8.0.1", "vpn", &["157.230.114.231"])
    }),
    failing(
        "VALIDATION_ERROR address private",
        &["ghost", "enable", "domain=203.0.113.10"],
        with_john,
        || unfit_address("203.0.113.10", "private", &[]),
    ),
    failing(
        "MISSING_PARAMETER",
        &["ghost", "enable", "domain=a.example", "public_port=8443"],
        with_john,
        || json!({ "parameter": "listen" }),
    ),
    failing(
        "MISSING_PARAMETER",
        &["ghost", "enable", "domain=a.example", "listen_group=www-data"],
        with_john,
        || json!({ "parameter": "listen" }),
    ),
    failing(
        "INVALID_PARAMETER choice",
        &["ghost", "enable", "domain=a.example", "listen=unix:/run/nginx/ghost.sock"],
        with_john,
        || json!({ "parameter": "listen", "allowed": ["unix:/run/phantom-web/NAME"] }),
    ),
    failing(
        "INVALID_PARAMETER choice",
        &["ghost", "enable", "domain=a.example", LISTEN, "listen_group=root"],
        with_john,
        || json!({ "parameter": "listen_group", "allowed": ["www-data"] }),
    ),
    failing(
        "INVALID_PARAMETER range",
        &["ghost", "enable", "domain=a.example", LISTEN, "public_port=0"],
        with_john,
        || json!({ "parameter": "public_port", "minimum": 1, "maximum": 65_535 }),
    ),
    failing(
        "INVALID_PARAMETER decoy",
        &["ghost", "enable", "domain=a.example", LISTEN, "decoy=unix:/run/phantom-web/http"],
        with_john,
        || json!({ "parameter": "decoy", "decoy": "unix:/run/phantom-web/http" }),
    ),
    failing(
        "INVALID_PARAMETER together",
        &["ghost", "enable", "domain=a.example", LISTEN, "cert_path=/c", "key_path=/k"],
        with_john,
        || json!({ "parameter": "cert_path", "with": "listen" }),
    ),
    failing(
        "VALIDATION_ERROR listen_group",
        &["ghost", "enable", "domain=a.example", LISTEN, "listen_group=nginx"],
        with_groups,
        || json!({ "parameter": "listen_group", "group": "nginx" }),
    ),
    failing(
        "GHOST_MODE_ERROR front",
        &["ghost", "enable", "domain=a.example", "skip_dns_check=1", LISTEN],
        not_serving,
        || json!({ "step": "verify", "detail": "the certificate is another one", "rolled_back": true }),
    ),
    failing(
        "INVALID_PARAMETER type",
        &["ghost", "enable", "--json", "{\"domain\":\"a.example\",\"cert_path\":\"/c\\u0000\"}"],
        with_john,
        || json!({ "parameter": "cert_path", "expected": "path" }),
    ),
    failing("GHOST_MODE_ACTIVE", ENABLE, with_ghost, || {
        json!({
            "server_ip": "157.230.114.231", "domain": "157-230-114-231.sslip.io", "secret": "<any>",
            "protocol": "wss", "activated_at": "<any>",
        })
    }),
    // Before anybody is asked for the name or the port.
    failing("GHOST_MODE_ACTIVE", &["ghost", "enable", "domain=unknown.example"], taken_while_active, || {
        json!({
            "server_ip": "157.230.114.231", "domain": "157-230-114-231.sslip.io", "secret": "<any>",
            "protocol": "wss", "activated_at": "<any>",
        })
    }),
    failing("VALIDATION_ERROR domain", ELSEWHERE, elsewhere, || wrong_records(&["198.51.100.1"])),
    failing("VALIDATION_ERROR domain", ELSEWHERE, half_elsewhere, || {
        wrong_records(&["157.230.114.231", "198.51.100.1"])
    }),
    failing("VALIDATION_ERROR domain", ELSEWHERE, nowhere, || wrong_records(&[])),
    failing("VALIDATION_ERROR domain", ELSEWHERE, only_ipv6, || wrong_records(&[])),
    failing("NETWORK_ERROR dns", ENABLE, with_john, || Value::Null),
    failing("NETWORK_ERROR dns", ENABLE, without_network, || Value::Null),
    failing(
        "NETWORK_ERROR dns failed",
        ENABLE,
        with_failing_resolvers,
        || json!({ "domain": "157-230-114-231.sslip.io", "rcode": "SERVFAIL" }),
    ),
    failing("PORT_IN_USE", ENABLE, port_taken, || json!({ "port": 443, "protocol": "tcp" })),
    failing("CERTIFICATE_ERROR", ENABLE, without_certificate, || refused("acme")),
    failing(
        "CERTIFICATE_ERROR",
        &["ghost", "enable", "domain=a.example", "skip_dns_check=1", "cert_path=/c", "key_path=/k"],
        without_certificate,
        || refused("operator"),
    ),
    failing(
        "CERTIFICATE_ERROR",
        &["ghost", "enable", "domain=a.example", "skip_dns_check=1", "self_signed=1"],
        without_certificate,
        || refused("self_signed"),
    ),
    failing("GHOST_MODE_ERROR", ENABLE, deaf_resolver, || step("dns", true)),
    failing("GHOST_MODE_ERROR", ENABLE, deaf_sockets, || step("port", true)),
    failing("GHOST_MODE_ERROR", ENABLE, deaf_tunnel, || step("certificate", true)),
    failing("GHOST_MODE_ERROR", ENABLE, deaf_firewall, || step("firewall", true)),
    failing("GHOST_MODE_ERROR", ENABLE, || refusing(with_domain()), || step("host", true)),
    failing(
        "GHOST_MODE_ERROR",
        ENABLE,
        not_serving,
        || json!({ "step": "verify", "detail": "the certificate is another one", "rolled_back": true }),
    ),
    failing("GHOST_MODE_ERROR", ENABLE, || refusing_all(with_domain()), || step("host", false)),
    failing("GHOST_MODE_ERROR", DISABLE, || refusing(with_ghost()), || step("host", true)),
    failing("GHOST_MODE_ERROR", DISABLE, || refusing_all(with_ghost()), || step("host", false)),
];

const LISTEN: &str = "listen=unix:/run/phantom-web/http";
const DISABLE: &[&str] = &["ghost", "disable"];
const ELSEWHERE: &[&str] = &["ghost", "enable", "domain=a.example"];

fn unfit_source(address: &str, reason: &str) -> Value {
    json!({
        "parameter": "decoy_source", "address": address, "reason": reason,
        "allowed": ["10.8.0.1", "203.0.113.10"],
    })
}

fn unfit_address(address: &str, reason: &str, allowed: &[&str]) -> Value {
    json!({ "parameter": "domain", "address": address, "reason": reason, "allowed": allowed })
}
/// The system has the groups of a Debian.
fn with_groups() -> Server {
    let server = with_john();
    server.fake.put_file("/etc/group", b"root:x:0:\nwww-data:x:33:\n", 0o644, 0);
    server
}
fn wrong_records(resolved: &[&str]) -> Value {
    json!({ "domain": "a.example", "expected": "157.230.114.231", "resolved": resolved })
}
fn refused(source: &str) -> Value {
    json!({ "source": source, "detail": "the test says no" })
}
fn step(step: &str, rolled_back: bool) -> Value {
    json!({ "step": step, "detail": "<any>", "rolled_back": rolled_back })
}

/// `a.example` has these addresses.
fn resolving(addresses: &[&str]) -> Server {
    let server = with_john();
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    server.fake.set_lookup("a.example".parse().unwrap(), Ok(addresses));
    server
}
fn elsewhere() -> Server {
    // That the port is taken would be found later.
    bound(resolving(&["198.51.100.1"]))
}
fn half_elsewhere() -> Server {
    resolving(&["157.230.114.231", "198.51.100.1", "2001:db8::10"])
}
fn nowhere() -> Server {
    resolving(&[])
}
fn only_ipv6() -> Server {
    resolving(&["2001:db8::10"])
}
fn without_network() -> Server {
    let server = with_john();
    server.fake.set_lookup("157-230-114-231.sslip.io".parse().unwrap(), Err(ProbeError::Unreachable));
    server
}
fn with_failing_resolvers() -> Server {
    let server = with_john();
    let failed = ProbeError::NoAddress { rcode: "SERVFAIL".into(), elapsed: std::time::Duration::ZERO };
    server.fake.set_lookup("157-230-114-231.sslip.io".parse().unwrap(), Err(failed));
    server
}
fn bound(server: Server) -> Server {
    server.fake.bind(Port { protocol: Protocol::Tcp, number: 443 });
    server
}
fn port_taken() -> Server {
    let server = bound(with_domain());
    // A failing certificate would come later.
    server.fake.refuse_certificates(Some("it is not asked for"));
    server
}
fn taken_while_active() -> Server {
    bound(with_ghost())
}
fn without_certificate() -> Server {
    let server = with_domain();
    server.fake.refuse_certificates(Some("the test says no"));
    server
}
fn not_serving() -> Server {
    let server = with_domain();
    server.fake.deafen_tunnel(Some("the certificate is another one"));
    server
}
fn deaf_resolver() -> Server {
    let mut server = with_domain();
    server.host.resolver = Arc::new(UnresponsiveHost);
    server
}
fn deaf_sockets() -> Server {
    let mut server = with_domain();
    server.host.sockets = Arc::new(UnresponsiveHost);
    server
}
fn deaf_tunnel() -> Server {
    let mut server = with_domain();
    server.host.processes = Arc::new(UnresponsiveHost);
    server
}
/// ufw is active and takes no rule for the certificate authority's visit.
fn deaf_firewall() -> Server {
    let server = Server::bare();
    server.fake.add_foreign_ufw("22/tcp                     ALLOW IN    Anywhere");
    server.api(&["core", "setup", "server_ip=157.230.114.231"]).ok();
    server.fake.reset_writes();
    refusing(named(server))
}
fn refusing(server: Server) -> Server {
    server.fake.refuse_write(1);
    server
}
/// After the first steps every write is refused, also those of the roll back.
fn refusing_all(server: Server) -> Server {
    server.fake.refuse_from(3);
    server
}
