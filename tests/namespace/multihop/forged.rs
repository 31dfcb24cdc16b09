//! Packets of connections that are none of the sender's business: they are believed by no interface but the connection's own.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use super::filters::{IPTABLES, without_nftables};
use super::lab::{enable, with_exits_and};
use crate::capture::Capture;
use crate::forge::{ACK, FIN, Packet, RST, SYN, send};
use crate::world::{At, INTERNET, SERVER, TestNet, on, wait_for};

const INTERNET_BYTES: [u8; 4] = [198, 18, 0, 2];
const SERVER_BYTES: [u8; 4] = [203, 0, 113, 5];
const OWN_BYTES: [u8; 4] = [10, 99, 1, 2];
/// A service on the Internet that the server itself uses.
const SERVICE: u16 = 4430;
/// A port on the Internet that a client sends datagrams to.
const DATAGRAMS: u16 = 5353;
/// From where the client does.
const FROM: u16 = 40_404;

/// A connection of the server to a service on the Internet, by its uplink, on which nobody says anything.
fn own_connection() -> TcpStream {
    let (ready, started) = std::sync::mpsc::channel();
    on(At::Internet, move || {
        let listener = TcpListener::bind((INTERNET, SERVICE)).unwrap();
        ready.send(()).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.write_all(b"w");
        let _ = stream.read(&mut [0; 1]);
    });
    started.recv().unwrap();
    let address: SocketAddr = format!("{INTERNET}:{SERVICE}").parse().unwrap();
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(20)).unwrap();
    stream.read_exact(&mut [0; 1]).unwrap();
    // Its last acknowledgement is on the way.
    std::thread::sleep(Duration::from_millis(300));
    stream
}

/// What the server says on its connection while the exit forges packets of the other end.
fn answers_to_forged(world: &TestNet, port: u16, name: &str) -> Vec<String> {
    let at_the_uplink = Capture::start(world, At::Server, "eth0", name);
    let (from, to) = ((INTERNET_BYTES, SERVICE), (SERVER_BYTES, port));
    let packets = [ACK, ACK | FIN, ACK | SYN, ACK | RST].map(|flags| Packet::tcp(from, to, flags));
    send(At::Exit1, "wgx1", 3, &packets);
    std::thread::sleep(Duration::from_millis(500));
    at_the_uplink.stop(&format!("src host {SERVER} and tcp dst port {SERVICE}"))
}

/// How many datagrams have come to the client out of the tunnel that are for [`FROM`].
fn arrived(world: &TestNet) -> u64 {
    let rules = world.sh_at(At::Client1, "iptables -vnxL INPUT");
    let rule = rules.lines().find(|line| line.contains("dpt:40404")).unwrap().to_owned();
    rule.split_whitespace().next().unwrap().parse().unwrap()
}

/// A neighbour of the server's uplink answers what a client asked through the exit.
fn answer_from_the_uplink() {
    send(At::Provider, "s0", 3, &[Packet::udp((INTERNET_BYTES, DATAGRAMS), (OWN_BYTES, FROM))]);
    std::thread::sleep(Duration::from_millis(500));
}

/// `without` takes our rules away for what comes in and what passes: a neighbour meets both.
fn believed_by_its_own_interface(world: &TestNet, without: &str) {
    world.sh(&format!("ip -n isp route add {}/32 via {SERVER}", Ipv4Addr::from(OWN_BYTES)));
    world.sh_at(
        At::Exit1,
        &format!(
            "ip route add {SERVER} dev wgx1; sysctl -qw net.ipv4.ip_nonlocal_bind=1
             wg set wgx1 peer $(wg show wgx1 peers) allowed-ips 10.99.1.2/32,{SERVER}/32"
        ),
    );
    enable(world, "uk");
    world.reaches(At::Client1, INTERNET);
    let stream = own_connection();
    let port = stream.local_addr().unwrap().port();
    let answers = answers_to_forged(world, port, "forged");
    assert!(answers.is_empty(), "the server answers the exit: {answers:?}");
    // What a client asks through the exit is answered from there, and by nobody else.
    world.sh_at(At::Client1, &format!("iptables -A INPUT -i c1 -p udp --dport {FROM}"));
    let client = on(At::Client1, || {
        let socket = UdpSocket::bind(("0.0.0.0", FROM)).unwrap();
        socket.send_to(b"a question", (INTERNET, DATAGRAMS)).unwrap();
        socket
    });
    let _socket = client.join().unwrap();
    answer_from_the_uplink();
    assert_eq!(arrived(world), 0, "the client takes an answer that did not come from the exit");
    send(At::Internet, "eth0", 1, &[Packet::udp((INTERNET_BYTES, DATAGRAMS), (exit_bytes(), FROM))]);
    assert!(wait_for(Duration::from_secs(10), || arrived(world) > 0), "no answer from the exit arrives");
    let before = arrived(world);
    // It is our rules that tell.
    world.sh(without);
    world.sh("tc qdisc del dev wg_vpn clsact; sysctl -qw net.ipv4.conf.wg_vpn.rp_filter=2");
    let answers = answers_to_forged(world, port, "believed");
    assert!(!answers.is_empty(), "there is no way for the exit in the first place");
    answer_from_the_uplink();
    assert!(arrived(world) > before, "there is no way for a neighbour in the first place");
    drop(stream);
}

/// The address of the first exit.
fn exit_bytes() -> [u8; 4] {
    super::lab::EXIT.parse::<Ipv4Addr>().unwrap().octets()
}

#[test]
fn established_is_per_interface_on_nftables() {
    let test = "multihop::forged::established_is_per_interface_on_nftables";
    with_exits_and(
        test,
        &["tc"],
        |_| true,
        |world| {
            believed_by_its_own_interface(
                world,
                "for chain in prerouting forward; do nft flush chain inet phantom_wg $chain; done",
            );
        },
    );
}

fn on_iptables(test: &str, variant: &str) {
    with_exits_and(
        test,
        &[&IPTABLES[..], &["tc"]].concat(),
        |world| without_nftables(world, test, variant),
        |world| {
            believed_by_its_own_interface(
                world,
                "iptables -t mangle -F PHANTOM-WG-PRE; iptables -F PHANTOM-WG-FORWARD",
            );
        },
    );
}

#[test]
fn established_is_per_interface_on_iptables_nft() {
    let test = "multihop::forged::established_is_per_interface_on_iptables_nft";
    on_iptables(test, "nft");
}

#[test]
fn established_is_per_interface_on_iptables_legacy() {
    let test = "multihop::forged::established_is_per_interface_on_iptables_legacy";
    on_iptables(test, "legacy");
}
