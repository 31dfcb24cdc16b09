//! Files of exits that collide with the server: each kind of collision, with its data and both texts.

use phantom_host::{Network as _, Route, RouteKind};
use phantom_tests::{SERVER_IP, Server};
use phantom_types::PrivateKey;
use serde_json::{Value, json};

use super::{Failing, failing};
use crate::cases::{ENABLE_MULTIHOP, IMPORT, through_exit, with_exit, with_john, with_second_exit};

const TEXT: &str = "VPN_CONFIG_ERROR collision";
/// An end point that is nobody's here.
const ELSEWHERE: &str = "192.0.2.9:51820";

/// The calls that fail for a collision.
pub(crate) const COLLISIONS: &[Failing] = &[
    failing(TEXT, IMPORT, || with_address("203.0.113.10/32"), || of_link("host_address", "203.0.113.10")),
    failing(TEXT, IMPORT, || with_address("203.0.113.10/8"), || of_link("host_address", "203.0.113.10")),
    failing(TEXT, IMPORT, || with_address("203.0.113.1/32"), || of_link("gateway", "203.0.113.1")),
    failing(TEXT, IMPORT, || with_address("203.0.113.255/32"), || of_link("broadcast", "203.0.113.255")),
    failing(
        TEXT,
        IMPORT,
        || routed(with_address("198.51.100.7/32")),
        || of_link("routed_host", "198.51.100.7"),
    ),
    failing(TEXT, IMPORT, || with_address(&format!("{SERVER_IP}/32")), || of("server_address", SERVER_IP)),
    failing(TEXT, IMPORT, || with_address("8.8.8.8/32"), || of("client_dns", "8.8.8.8")),
    failing(TEXT, IMPORT, || with_address("8.8.4.4/32"), || of("client_dns", "8.8.4.4")),
    failing(TEXT, IMPORT, || resolving(with_address("192.0.2.53/32")), || of("resolver", "192.0.2.53")),
    failing(TEXT, IMPORT, || with_address("192.0.2.9/32"), || of("endpoint_address", "192.0.2.9")),
    failing(TEXT, IMPORT, || with_address("127.0.0.1/8"), || of("not_unicast", "127.0.0.1")),
    failing(TEXT, IMPORT, || with_address("0.0.0.0/32"), || of("not_unicast", "0.0.0.0")),
    failing(TEXT, IMPORT, || with_address("224.0.0.5/32"), || of("not_unicast", "224.0.0.5")),
    failing(TEXT, IMPORT, || with_address("255.255.255.255/32"), || of("not_unicast", "255.255.255.255")),
    failing(
        TEXT,
        IMPORT,
        || with_endpoint("203.0.113.10:51820"),
        || of_endpoint("own_port", "203.0.113.10:51820"),
    ),
    failing(TEXT, IMPORT, || with_endpoint("127.0.0.1:51820"), || of_endpoint("own_port", "127.0.0.1:51820")),
    failing(
        TEXT,
        IMPORT,
        || with_endpoint("224.0.0.5:51821"),
        || of_endpoint("endpoint_not_unicast", "224.0.0.5:51821"),
    ),
    failing(TEXT, IMPORT, with_own_key, || of_key("server_key", "PublicKey")),
    failing(TEXT, IMPORT, with_own_private_key, || of_key("server_private_key", "PrivateKey")),
    failing(TEXT, IMPORT, || with_keys([2; 32], &zero()), || of_key("weak_key", "PublicKey")),
    failing(TEXT, IMPORT, || with_keys([0; 32], &public()), || of_key("zero_private_key", "PrivateKey")),
    failing(TEXT, IMPORT, || with_address("203.0.113.1/32, 8.8.8.8/32"), two),
    // Imported before there was what it collides with, or known only when its name is asked for.
    failing(TEXT, ENABLE_MULTIHOP, || taken(with_exit()), || of_link("host_address", "10.99.0.2")),
    failing(TEXT, ENABLE_MULTIHOP, || taken(through_exit()), || of_link("host_address", "10.99.0.2")),
    failing(TEXT, ENABLE_MULTIHOP, named_as_the_server, || of_endpoint("own_port", "uk.gw.xeovo.com:51820")),
    failing(TEXT, FALLBACK, || taken_by_the_second(with_second_exit(with_exit())), fallback),
];

const FALLBACK: &[&str] = &["multihop", "enable_multihop", "exit_name=nl", "fallback_exits=xeovo-uk"];

fn data(collisions: &Value) -> Value {
    json!({ "exit_name": "xeovo-uk", "collisions": collisions })
}
fn of(kind: &str, address: &str) -> Value {
    data(&json!([{ "kind": kind, "address": address }]))
}
fn of_link(kind: &str, address: &str) -> Value {
    data(&json!([{ "kind": kind, "address": address, "interface": "eth0" }]))
}
fn of_endpoint(kind: &str, endpoint: &str) -> Value {
    data(&json!([{ "kind": kind, "endpoint": endpoint }]))
}
fn of_key(kind: &str, key: &str) -> Value {
    data(&json!([{ "kind": kind, "key": key }]))
}
fn two() -> Value {
    data(&json!([
        { "kind": "gateway", "address": "203.0.113.1", "interface": "eth0" },
        { "kind": "client_dns", "address": "8.8.8.8" },
    ]))
}
fn fallback() -> Value {
    of_link("host_address", "10.99.0.2")
}

fn with_address(address: &str) -> Server {
    with_file(with_john(), address, ELSEWHERE, [2; 32], &public())
}
fn with_endpoint(endpoint: &str) -> Server {
    with_file(with_john(), "10.99.0.2/32", endpoint, [2; 32], &public())
}
fn with_keys(private: [u8; 32], public: &str) -> Server {
    with_file(with_john(), "10.99.0.2/32", ELSEWHERE, private, public)
}
fn with_own_key() -> Server {
    let server = with_john();
    let own = stored(&server).public_key.to_string();
    with_file(server, "10.99.0.2/32", ELSEWHERE, [2; 32], &own)
}
fn with_own_private_key() -> Server {
    let server = with_john();
    let own = *stored(&server).private_key.as_bytes();
    with_file(server, "10.99.0.2/32", ELSEWHERE, own, &public())
}
fn stored(server: &Server) -> phantom_store::Server {
    server.store().read(phantom_store::State::server).unwrap().unwrap()
}
fn public() -> String {
    PrivateKey::from_random([3; 32]).public_key().to_string()
}
fn zero() -> String {
    phantom_types::PublicKey::from_bytes([0; 32]).to_string()
}

fn with_file(server: Server, address: &str, endpoint: &str, private: [u8; 32], public: &str) -> Server {
    let key = PrivateKey::from_bytes(private);
    let text = format!(
        "[Interface]\nPrivateKey = {}\nAddress = {address}\n[Peer]\nPublicKey = {public}\nAllowedIPs = 0.0.0.0/0\n\
         Endpoint = {endpoint}\n",
        key.reveal().as_str(),
    );
    server.fake.put_file("/home/user/xeovo-uk.conf", text.as_bytes(), 0o644, 1000);
    server
}

/// The host has a route to this host alone.
fn routed(server: Server) -> Server {
    let gateway = Some("203.0.113.2".parse().unwrap());
    let route = Route {
        table: 254,
        destination: "198.51.100.7/32".parse().unwrap(),
        metric: 0,
        kind: RouteKind::Via { interface: "eth0".into(), gateway },
        source: None,
        protocol: 4,
    };
    server.fake.give_route(&route).unwrap();
    server
}

fn resolving(server: Server) -> Server {
    server.fake.put_file("/etc/resolv.conf", b"nameserver 192.0.2.53\n", 0o644, 0);
    server
}

/// The host has become part of the network that the exit's address is in.
fn taken(server: Server) -> Server {
    server.fake.give_address("eth0", "10.99.0.2/24".parse().unwrap()).unwrap();
    server
}

/// Both exits have the same address, as those of some providers: the second is asked for, and the first is named first.
fn taken_by_the_second(server: Server) -> Server {
    let server = taken(server);
    let address = "UPDATE exits SET addresses = '10.98.0.2/32' WHERE name = 'nl'";
    rusqlite::Connection::open(server.paths().database()).unwrap().execute_batch(address).unwrap();
    server
}

/// The name of the exit leads to the server itself.
fn named_as_the_server() -> Server {
    let server = with_exit();
    server.fake.set_lookup("uk.gw.xeovo.com".parse().unwrap(), Ok(vec![SERVER_IP.parse().unwrap()]));
    server
}

#[test]
fn what_is_refused_has_changed_nothing() {
    for case in COLLISIONS {
        let server = (case.server)();
        let before = server.dump();
        server.fake.reset_writes();
        server.api(case.words).failed("VPN_CONFIG_ERROR");
        assert_eq!(server.dump(), before, "{:?}: {:#}", case.words, (case.data)());
        assert_eq!(server.fake.writes(), 0, "{:?}", server.fake.write_log());
    }
}

#[test]
fn what_collides_with_nothing_is_imported() {
    for (address, endpoint) in [
        ("10.99.0.2/32", "127.0.0.1:51821"),
        ("203.0.113.11/24", ELSEWHERE),
        ("203.0.113.9/25", ELSEWHERE),
        ("169.254.3.3/32", ELSEWHERE),
        ("10.7.255.255/32", "203.0.113.10:51821"),
        ("198.51.100.7/32", "[2001:db8::11]:51820"),
    ] {
        let server = with_file(with_john(), address, endpoint, [2; 32], &public());
        let networks = server.fake.addresses().unwrap();
        server.api(IMPORT).ok();
        assert_eq!(server.fake.addresses().unwrap(), networks);
        assert_eq!(server.api(&["multihop", "list_exits"]).ok()["exits"][0].get("collisions"), None);
    }
}
