//! Somebody on the server's uplink who opens connections to clients, on a server that forwards nothing by itself.

use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use super::{without_nftables, works};
use crate::ping::ping;
use crate::world::{At, INTERNET, World, in_world, on, wait_for};

/// The client.
const CLIENT: &str = "10.8.0.2";

/// Counts at the client what only a stranger sends: the first packets of the ways in which [`knock`] knocks. What is late of
/// the client's own connections is not among them.
const COUNT: &str = "iptables -A INPUT -i c1 -p icmp --icmp-type echo-request; \
    iptables -A INPUT -i c1 -p udp -m multiport --dports 7,53,51820; iptables -A INPUT -i c1 -p tcp --syn";

/// How many such packets have come to the client out of the tunnel.
fn arrived(world: &World) -> u64 {
    let rules = world.sh_at(At::Client1, "iptables -vnxL INPUT");
    rules.lines().skip(2).map(|rule| rule.split_whitespace().next().unwrap().parse::<u64>().unwrap()).sum()
}

/// Knocks at the client in every way: an echo, a datagram, the beginning of a connection.
fn knock() {
    assert!(!ping(At::Internet, CLIENT, 2), "the client answers a stranger");
    let knocks = on(At::Internet, || {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        for port in [7, 53, 51820] {
            socket.send_to(b"who is there", (CLIENT, port)).unwrap();
        }
        let address = format!("{CLIENT}:80").parse().unwrap();
        TcpStream::connect_timeout(&address, Duration::from_millis(1500)).is_ok()
    });
    assert!(!knocks.join().unwrap(), "the client takes a stranger's connection");
}

/// `close` makes the server one that forwards only what somebody lets through, `open` one that forwards everything.
fn no_stranger_gets_in(world: &World, close: &str, open: &str) {
    // A neighbour of the server can send it whatever he likes.
    world.sh("ip -n isp route add 10.8.0.0/24 via 203.0.113.5");
    world.sh(close);
    world.setup();
    world.connect(At::Client1, &world.add("one"));
    // What the client begins is answered.
    works(world, At::Client1, CLIENT);
    world.sh_at(At::Client1, COUNT);
    knock();
    assert_eq!(arrived(world), 0, "a stranger's packets arrive");
    world.reaches(At::Client1, INTERNET);
    world.in_sync();
    // With the policy gone he gets through: it was no other obstacle that kept him out.
    world.sh(open);
    let through = wait_for(Duration::from_secs(20), || ping(At::Internet, CLIENT, 1));
    assert!(through, "there is no way for a stranger in the first place");
    assert!(arrived(world) > 0, "nothing is counted");
}

#[test]
fn no_stranger_opens_connections_to_clients_on_nftables() {
    in_world("clients::strangers::no_stranger_opens_connections_to_clients_on_nftables", |world| {
        no_stranger_gets_in(
            world,
            "nft 'add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }'",
            "nft 'chain ip filter FORWARD { policy accept; }'",
        );
    });
}

fn on_iptables(test: &str, variant: &str) {
    in_world(test, |world| {
        if without_nftables(world, test, variant) {
            no_stranger_gets_in(world, "iptables -P FORWARD DROP", "iptables -P FORWARD ACCEPT");
        }
    });
}

#[test]
fn no_stranger_opens_connections_to_clients_on_iptables_nft() {
    on_iptables("clients::strangers::no_stranger_opens_connections_to_clients_on_iptables_nft", "nft");
}

#[test]
fn no_stranger_opens_connections_to_clients_on_iptables_legacy() {
    on_iptables("clients::strangers::no_stranger_opens_connections_to_clients_on_iptables_legacy", "legacy");
}
