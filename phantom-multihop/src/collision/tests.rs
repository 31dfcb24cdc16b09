//! What collides and what does not.

use phantom_module::Lang;
use phantom_types::{Backend, BackendChoice, PrivateKey, PublicKey, Timestamp};
use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn server() -> Server {
    let private_key = PrivateKey::from_random([1; 32]);
    Server {
        public_key: private_key.public_key(),
        private_key,
        server_ip: Some([198, 51, 100, 1].into()),
        endpoint: Some("vpn.example.com".parse().unwrap()),
        ipv6: Some("2001:db8::7".parse().unwrap()),
        port: 51820,
        subnet: "10.8.0.0/24".parse().unwrap(),
        subnet6: None,
        interface: "wg_main".parse().unwrap(),
        backend_choice: BackendChoice::Auto,
        backend: Backend::Kernel,
        stopped_in: None,
        ip_forward_before: None,
        created: Timestamp::from_micros(1),
    }
}

fn host() -> HostAddresses {
    let own = [
        ("lo", "127.0.0.1/8"),
        ("eth0", "203.0.113.10/24"),
        ("eth0", "2001:db8::10/64"),
        ("ppp0", "192.0.2.30/31"),
        ("wg_main", "10.8.0.1/24"),
        ("wg_vpn", "10.99.0.2/32"),
        ("wg_vpn_new", "10.98.0.2/32"),
    ];
    let own = own.map(|(name, network)| (name.to_owned(), network.parse().unwrap())).into();
    let by = |name: &str, address: &str| (name.to_owned(), address.parse().unwrap());
    HostAddresses {
        own,
        gateways: [by("eth0", "203.0.113.1"), by("eth1", "192.0.2.66")].into(),
        routed_hosts: [by("eth1", "192.0.2.77"), by("wg_vpn", "192.0.2.78")].into(),
        resolvers: ["192.0.2.53".parse().unwrap(), "2001:db8::53".parse().unwrap()].into(),
    }
}

fn exit(addresses: &str, endpoint: &str) -> Exit {
    Exit {
        name: "uk".parse().unwrap(),
        private_key: PrivateKey::from_random([2; 32]),
        public_key: PrivateKey::from_random([3; 32]).public_key(),
        preshared_key: None,
        endpoint: endpoint.parse().unwrap(),
        addresses: addresses.split(", ").map(|address| address.parse().unwrap()).collect(),
        allowed_ips: vec!["0.0.0.0/0".parse().unwrap()],
        mtu: 1420,
        keepalive: 5,
        file_mtu: None,
        file_keepalive: None,
        provider: String::new(),
        original_path: String::new(),
        imported_at: Timestamp::from_micros(1),
    }
}

fn found(exit: &Exit, at: Option<&str>) -> Vec<ExitCollision> {
    let (server, host, interface) = (server(), host(), "wg_vpn".parse().unwrap());
    let dns = DnsServers { primary: [8, 8, 8, 8].into(), secondary: [9, 9, 9, 9].into() };
    let facts = Facts { server: &server, interface: &interface, dns, host: &host };
    collisions(exit, at.map(|at| at.parse().unwrap()), &facts)
}

/// The kinds of what is found, each with its interface if it has one.
fn kinds(exit: &Exit, at: Option<&str>) -> Vec<String> {
    let kind = |collision: &ExitCollision| {
        let data = collision.data();
        data["interface"].as_str().map_or_else(
            || collision.kind().to_owned(),
            |interface| format!("{} {interface}", collision.kind()),
        )
    };
    found(exit, at).iter().map(kind).collect()
}

const ELSEWHERE: &str = "198.51.100.9:51821";

#[test]
fn local_address_collides() {
    for (address, kind) in [
        ("203.0.113.10/32", "host_address eth0"),
        ("203.0.113.10/8", "host_address eth0"),
        ("192.0.2.30/32", "host_address ppp0"),
        ("198.51.100.1/32", "server_address"),
        ("203.0.113.1/32", "gateway eth0"),
        ("192.0.2.66/32", "gateway eth1"),
        ("192.0.2.77/32", "routed_host eth1"),
        ("203.0.113.255/32", "broadcast eth0"),
        ("192.0.2.53/32", "resolver"),
        ("8.8.8.8/32", "client_dns"),
        ("9.9.9.9/24", "client_dns"),
        ("10.8.0.1/32", "own_subnet"),
        ("10.8.0.255/32", "own_subnet"),
        ("198.51.100.9/32", "endpoint_address"),
        ("127.0.0.1/32", "not_unicast"),
        ("127.9.9.9/8", "not_unicast"),
        ("0.0.0.0/0", "not_unicast"),
        ("0.1.2.3/32", "not_unicast"),
        ("224.0.0.1/32", "not_unicast"),
        ("239.255.255.255/32", "not_unicast"),
        ("240.0.0.1/32", "not_unicast"),
        ("255.255.255.255/32", "not_unicast"),
    ] {
        assert_eq!(kinds(&exit(address, ELSEWHERE), None), [kind], "{address}");
        let beside = exit(&format!("10.2.0.2/32, {address}, {address}"), ELSEWHERE);
        assert_eq!(kinds(&beside, None), [kind], "each is said once: {address}");
    }
    let two = exit("203.0.113.1/32, 203.0.113.10/32", ELSEWHERE);
    assert_eq!(kinds(&two, None), ["gateway eth0", "host_address eth0"]);
}

#[test]
fn foreign_address_does_not_collide() {
    for address in [
        // Beside the host's own, whatever its prefix length.
        "203.0.113.9/24",
        "203.0.113.11/0",
        "10.2.0.2/8",
        "10.7.255.255/32",
        "10.9.0.0/32",
        // What is on the exit's own interfaces is its own.
        "10.99.0.2/32",
        "10.98.0.2/32",
        "192.0.2.78/32",
        // A network of two addresses has no broadcast address.
        "192.0.2.31/32",
        // Link-local, shared and documentation ranges are unicast.
        "169.254.7.7/32",
        "100.64.0.9/32",
        "198.51.100.77/32",
        "223.255.255.255/32",
        "1.0.0.0/32",
    ] {
        assert_eq!(found(&exit(address, ELSEWHERE), None), [], "{address}");
    }
}

#[test]
fn own_port_collides_but_tunnel_does_not() {
    for own in [
        "203.0.113.10:51820",
        "198.51.100.1:51820",
        "10.8.0.1:51820",
        "10.99.0.2:51820",
        "127.0.0.1:51820",
        "127.8.8.8:51820",
        "[::1]:51820",
        "[2001:db8::10]:51820",
        "[2001:db8::7]:51820",
        "[::ffff:203.0.113.10]:51820",
        "vpn.example.com:51820",
    ] {
        assert_eq!(kinds(&exit("10.2.0.2/32", own), None), ["own_port"], "{own}");
    }
    for other in [
        "127.0.0.1:51821",
        "[::1]:443",
        "203.0.113.10:51821",
        "203.0.113.11:51820",
        "vpn.example.com:51821",
        "uk.example.com:51820",
        "[2001:db8::11]:51820",
    ] {
        assert_eq!(found(&exit("10.2.0.2/32", other), None), [], "{other}");
    }
    for nowhere in
        ["0.0.0.0:51821", "224.0.0.1:1", "255.255.255.255:1", "[::]:1", "[ff02::1]:1", "240.0.0.1:1"]
    {
        assert_eq!(kinds(&exit("10.2.0.2/32", nowhere), None), ["endpoint_not_unicast"], "{nowhere}");
    }
}

#[test]
fn resolved_addresses_are_checked_too() {
    let named = |address: &str| exit(address, "uk.example.com:51820");
    assert_eq!(found(&named("10.2.0.2/32"), None), [], "as long as it is not known");
    assert_eq!(found(&named("10.2.0.2/32"), Some("198.51.100.9:51820")), []);
    assert_eq!(kinds(&named("10.2.0.2/32"), Some("203.0.113.10:51820")), ["own_port"]);
    assert_eq!(kinds(&named("10.2.0.2/32"), Some("224.0.0.1:51820")), ["endpoint_not_unicast"]);
    assert_eq!(kinds(&named("198.51.100.9/32"), Some("198.51.100.9:51820")), ["endpoint_address"]);
    assert_eq!(kinds(&named("198.51.100.9/32"), Some("[::ffff:198.51.100.9]:51820")), ["endpoint_address"]);
}

#[test]
fn server_keys_and_useless_keys_are_refused() {
    let with = |change: fn(&mut Exit)| {
        let mut exit = exit("10.2.0.2/32", ELSEWHERE);
        change(&mut exit);
        kinds(&exit, None)
    };
    assert_eq!(with(|exit| exit.public_key = server().public_key), ["server_key"]);
    assert_eq!(with(|exit| exit.public_key = PublicKey::from_bytes([0; 32])), ["weak_key"]);
    assert_eq!(with(|exit| exit.private_key = PrivateKey::from_bytes([0; 32])), ["zero_private_key"]);
    assert_eq!(with(|exit| exit.private_key = server().private_key), ["server_private_key"]);
    // The same key before it is clamped has the same public key.
    assert_eq!(with(|exit| exit.private_key = PrivateKey::from_bytes([1; 32])), ["server_private_key"]);
}

#[test]
fn no_secret_is_in_what_is_said() {
    let mut bad = exit("203.0.113.10/32", "203.0.113.10:51820");
    (bad.private_key, bad.public_key) = (server().private_key, server().public_key);
    let found = found(&bad, None);
    assert_eq!(found.len(), 4, "{found:?}");
    let said = withheld(&bad.name, &found);
    let data: Vec<Value> = found.iter().map(ExitCollision::data).collect();
    let said = format!("{found:?} {} {} {data:?}", said.en, said.tr);
    for secret in [server().private_key.reveal().as_str(), &server().public_key.to_string()] {
        assert!(!said.contains(secret), "{said}");
    }
}

#[test]
fn every_collision_is_said_in_both_languages() {
    let address: Ipv4Addr = [192, 0, 2, 1].into();
    let (name, endpoint) = ("eth0".to_owned(), "192.0.2.1:1".parse::<Endpoint>().unwrap());
    let all = [
        ExitCollision::NotUnicast(address),
        ExitCollision::OwnSubnet(address, "192.0.2.0/24".parse().unwrap()),
        ExitCollision::HostAddress(address, name.clone()),
        ExitCollision::ServerAddress(address),
        ExitCollision::Broadcast(address, name.clone()),
        ExitCollision::Gateway(address, name.clone()),
        ExitCollision::RoutedHost(address, name),
        ExitCollision::Resolver(address),
        ExitCollision::ClientDns(address),
        ExitCollision::EndpointAddress(address),
        ExitCollision::EndpointNotUnicast(endpoint.clone()),
        ExitCollision::OwnPort(endpoint),
        ExitCollision::ServerKey,
        ExitCollision::ServerPrivateKey,
        ExitCollision::WeakKey,
        ExitCollision::ZeroPrivateKey,
    ];
    let mut kinds = std::collections::BTreeSet::new();
    for collision in &all {
        let (en, tr) = (collision.sentence(Lang::En), collision.sentence(Lang::Tr));
        assert!(en != tr && !en.contains('\n') && !tr.contains('\n'), "{en} {tr}");
        let key = en.starts_with("PublicKey") || en.starts_with("PrivateKey");
        assert_eq!(key, !en.contains("192.0.2.1") && !tr.contains("192.0.2.1"), "{en} {tr}");
        assert_eq!(collision.data()["kind"], collision.kind());
        kinds.insert(collision.kind());
    }
    assert_eq!(kinds.len(), all.len());
}

proptest! {
    /// An address that is on no list is never refused, and one that is on a list always is.
    #[test]
    fn only_listed_collisions_are_refused(bytes: [u8; 4], prefix in 0_u8..=32, near: bool) {
        // Half of them where the lists are.
        let bytes = if near { [203, 0, 113, bytes[3]] } else { bytes };
        let address = Ipv4Addr::from(bytes);
        let listed = ["203.0.113.10", "203.0.113.1", "203.0.113.255", "192.0.2.30", "198.51.100.1", "192.0.2.66",
            "192.0.2.77", "192.0.2.53", "8.8.8.8", "9.9.9.9", "198.51.100.9"];
        let unicast = (1..=223).contains(&bytes[0]) && bytes[0] != 127;
        let expected = !unicast || bytes[..3] == [10, 8, 0] || listed.contains(&&*address.to_string());
        let found = found(&exit(&format!("{address}/{prefix}"), ELSEWHERE), None);
        prop_assert_eq!(!found.is_empty(), expected, "{}: {:?}", address, found);
    }

    /// No key that somebody makes is refused but the server's own.
    #[test]
    fn keys_that_were_made_are_never_refused(private: [u8; 32], public: [u8; 32]) {
        let mut exit = exit("10.2.0.2/32", ELSEWHERE);
        exit.private_key = PrivateKey::from_random(private);
        exit.public_key = PrivateKey::from_random(public).public_key();
        prop_assert_eq!(found(&exit, None), []);
    }
}
