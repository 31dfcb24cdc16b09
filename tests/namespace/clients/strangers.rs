//! Somebody on the server's uplink who opens connections to clients, or sends in their name; and packets of clients that
//! belong to no connection. On a server that forwards nothing by itself, and on one that forwards everything.

use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use serde_json::json;

use super::{without_nftables, works};
use crate::capture::Capture;
use crate::forge::{ACK, FIN, Packet, RST, send};
use crate::ping::ping;
use crate::world::{At, INTERNET, TestNet, backend, in_world_with, on, wait_for};

/// The client.
const CLIENT: &str = "10.8.0.2";
const CLIENT_BYTES: [u8; 4] = [10, 8, 0, 2];
/// [`INTERNET`].
const INTERNET_BYTES: [u8; 4] = [198, 18, 0, 2];
/// A port of the host on the Internet that nobody serves.
const PORT: u16 = 7070;

/// How a packet filter is opened and closed by somebody else.
struct Filter {
    /// Forwards only what somebody lets through.
    close: &'static str,
    /// Forwards everything.
    open: &'static str,
    /// Takes our rules for forwarded packets away.
    without_ours: &'static str,
}

const NFTABLES: Filter = Filter {
    close: "nft 'add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }'",
    open: "nft 'chain ip filter FORWARD { policy accept; }'",
    without_ours: "for chain in prerouting forward postrouting; do nft flush chain inet phantom_wg $chain; done",
};
const IPTABLES: Filter = Filter {
    close: "iptables -P FORWARD DROP",
    open: "iptables -P FORWARD ACCEPT",
    without_ours: "iptables -F PHANTOM-WG-FORWARD; iptables -t mangle -F PHANTOM-WG-PRE; iptables -t mangle -F PHANTOM-WG-POST",
};

/// Counts at the client what only a stranger sends: the first packets of the ways in which [`knock`] knocks. What is late of
/// the client's own connections is not among them.
const COUNT: &str = "iptables -A INPUT -i c1 -p icmp --icmp-type echo-request; \
    iptables -A INPUT -i c1 -p udp -m multiport --dports 7,53,51820; iptables -A INPUT -i c1 -p tcp --syn";

/// How many such packets have come to the client out of the tunnel.
fn arrived(world: &TestNet) -> u64 {
    let rules = world.sh_at(At::Client1, "iptables -vnxL INPUT");
    rules.lines().skip(2).map(|rule| rule.split_whitespace().next().unwrap().parse::<u64>().unwrap()).sum()
}

/// Knocks at the client in every way: an echo, datagrams, the beginning of a connection, pieces of connections.
fn knock() {
    assert!(!ping(At::Internet, CLIENT, 1), "the client answers a stranger");
    let knocks = on(At::Internet, || {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        for port in [7, 53, 51820] {
            socket.send_to(b"who is there", (CLIENT, port)).unwrap();
        }
        let address = format!("{CLIENT}:80").parse().unwrap();
        TcpStream::connect_timeout(&address, Duration::from_millis(700)).is_ok()
    });
    assert!(!knocks.join().unwrap(), "the client takes a stranger's connection");
    let (from, to) = ((INTERNET_BYTES, PORT), (CLIENT_BYTES, PORT));
    let pieces = [ACK, ACK | FIN, RST, ACK | RST].map(|flags| Packet::tcp(from, to, flags));
    send(At::Internet, "eth0", 1, &pieces);
    send(At::Internet, "eth0", 1, &[Packet::unreachable(from.0, to.0, &Packet::udp(to, from))]);
}

/// A neighbour sends in the name of a client, to the Internet and to the server; gives what came to the Internet.
fn forge(world: &TestNet) -> Vec<String> {
    let at_the_internet = Capture::start(world, At::Internet, "eth0", "forged");
    let forged = [10, 8, 0, 9];
    let packets = [Packet::udp((forged, PORT), (INTERNET_BYTES, PORT)), Packet::echo(forged, INTERNET_BYTES)];
    send(At::Provider, "s0", 3, &packets);
    at_the_internet.stop(&format!("not src host {INTERNET} and (udp port {PORT} or icmp)"))
}

/// Packets of a client that belong to no connection, or whose checksums are wrong.
fn strays() -> Vec<Packet> {
    let (from, to) = ((CLIENT_BYTES, PORT), (INTERNET_BYTES, PORT));
    let mut packets = [RST, ACK | FIN, ACK | RST, FIN].map(|flags| Packet::tcp(from, to, flags)).to_vec();
    packets.push(Packet::unreachable(from.0, to.0, &Packet::udp(to, from)));
    packets.push(Packet::udp(from, to).with_bad_sum());
    packets.push(Packet::tcp(from, to, ACK).with_bad_sum());
    packets
}

/// What leaves the server by its uplink with an address of a client as its source, while that client sends strays.
fn leave_as_they_are(world: &TestNet, name: &str) -> Vec<String> {
    let at_the_uplink = Capture::start(world, At::Server, "eth0", name);
    send(At::Client1, "c1", 2, &strays());
    world.reaches(At::Client1, INTERNET);
    at_the_uplink.stop("src net 10.8.0.0/24")
}

/// Whether the host on the Internet and the provider reach the client.
fn reach(world: &TestNet) -> (bool, bool) {
    let stranger = world.try_at(At::Provider, &format!("ping -c 2 -i 0.2 -W 1 -I 203.0.113.1 {CLIENT}"));
    (ping(At::Internet, CLIENT, 2), stranger.status.success())
}

/// A host in a network that is named reaches clients. No other one does, and none when no network is named any more.
fn reached_by_those_named(world: &TestNet) {
    let setup = |networks: &str| world.ok(&["core", "setup", &format!("reach_from={networks}")]);
    let changed = setup("192.168.77.0/24,198.18.0.0/24");
    assert_eq!(
        (&changed["changed"], &changed["reach_from"]),
        (&json!(["reach_from"]), &json!(["192.168.77.0/24", "198.18.0.0/24"]))
    );
    world.in_sync();
    assert_eq!(reach(world), (true, false));
    let strays = leave_as_they_are(world, "reached");
    assert!(strays.is_empty(), "inner addresses leave: {strays:?}");
    setup("0.0.0.0/0");
    world.in_sync();
    assert_eq!(reach(world), (true, true));
    assert!(forge(world).is_empty(), "who may reach clients may send in their name");
    assert_eq!(setup("[]").get("reach_from"), None);
    world.in_sync();
    assert_eq!(reach(world), (false, false));
}

fn no_stranger_gets_in(world: &TestNet, filter: &Filter) {
    // A neighbour of the server can send it whatever he likes.
    world.sh("ip -n isp route add 10.8.0.0/24 via 203.0.113.5
         ip -n isp route add default via 203.0.113.5 table 7; ip -n isp rule add oif s0 lookup 7");
    world.sh(filter.close);
    world.setup();
    world.connect(At::Client1, &world.add("one"));
    // What the client begins is answered.
    works(world, At::Client1, CLIENT);
    world.sh_at(At::Client1, COUNT);
    for (open, how) in [(filter.close, "closed"), (filter.open, "open")] {
        world.sh(open);
        world.ok(&["core", "reconcile"]);
        knock();
        assert_eq!(arrived(world), 0, "{how}: a stranger's packets arrive");
        let forged = forge(world);
        assert!(forged.is_empty(), "{how}: packets in the name of a client go out: {forged:?}");
        let strays = leave_as_they_are(world, how);
        assert!(strays.is_empty(), "{how}: inner addresses leave: {strays:?}");
        world.reaches(At::Client1, INTERNET);
        world.in_sync();
    }
    reached_by_those_named(world);
    // Without our rules all of it gets through: there was no other obstacle.
    world.sh(filter.without_ours);
    let through = wait_for(Duration::from_secs(20), || ping(At::Internet, CLIENT, 1));
    assert!(through, "there is no way for a stranger in the first place");
    assert!(arrived(world) > 0, "nothing is counted");
    // A capture on a slow machine may end before the packets have come.
    let forged = wait_for(Duration::from_secs(20), || !forge(world).is_empty());
    assert!(forged, "there is no way for forged sources in the first place");
    let kinds = leave_as_they_are(world, "without");
    let seen = |what: &str| kinds.iter().any(|line| line.contains(what));
    // Debian 12's kernel with its own WireGuard does not let the other two out, whatever the rules are.
    let others = backend() == "kernel" || seen("unreachable") && seen("UDP");
    assert!(seen("Flags [R]") && seen("Flags [F") && others, "{kinds:?}");
}

#[test]
fn strangers_cannot_reach_clients_on_nftables() {
    let test = "clients::strangers::strangers_cannot_reach_clients_on_nftables";
    in_world_with(test, &["tcpdump"], |world| no_stranger_gets_in(world, &NFTABLES));
}

fn on_iptables(test: &str, variant: &str) {
    in_world_with(test, &["tcpdump"], |world| {
        if without_nftables(world, test, variant) {
            no_stranger_gets_in(world, &IPTABLES);
        }
    });
}

#[test]
fn strangers_cannot_reach_clients_on_iptables_nft() {
    on_iptables("clients::strangers::strangers_cannot_reach_clients_on_iptables_nft", "nft");
}

#[test]
fn strangers_cannot_reach_clients_on_iptables_legacy() {
    on_iptables("clients::strangers::strangers_cannot_reach_clients_on_iptables_legacy", "legacy");
}
