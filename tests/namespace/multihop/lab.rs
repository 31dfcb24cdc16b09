//! The world of these tests: a server with two uplinks' worth of IPv4 and IPv6, two clients with both, two exits.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd as _;

use nix::sys::socket::sockopt::ReuseAddr;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, setsockopt, socket};
use serde_json::Value;

use crate::look::DATABASE;
use crate::world::{At, TestNet, in_world_with, on};

/// What the tests here need beside the rest.
const PROGRAMS: [&str; 3] = ["tcpdump", "wireguard-go", "conntrack"];
/// The address of the first exit on the Internet.
pub(super) const EXIT: &str = "198.51.101.9";
/// The address of the second exit.
pub(super) const OTHER: &str = "198.51.101.10";
/// Where the first exit moves to.
pub(super) const MOVED: &str = "198.51.101.11";
/// Where `nft` is when the server is to have none: the exits need it.
pub(super) const NFT_OF_EXITS: &str = "/opt/nft-of-exits";
/// The name server that answers by an exit.
const NAMES: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(8, 8, 8, 8), 53);
/// What the server has its uplink to.
pub(super) const GATEWAY: &str = "203.0.113.1";
/// The host on the Internet, by IPv6.
pub(super) const INTERNET6: &str = "2001:db8:6::2";

/// Runs a test in a world with two exits, a server with two clients, and the exits imported as `uk` and `nl`.
pub(super) fn with_exits(test: &str, body: impl FnOnce(&TestNet)) {
    with_exits_and(test, &[], |_| true, body);
}

/// As [`with_exits`]; needs more programs, and does something to the server before it is set up. Where that says that
/// it is not possible, the test is over.
pub(super) fn with_exits_and(
    test: &str,
    more: &[&str],
    first: impl FnOnce(&TestNet) -> bool,
    body: impl FnOnce(&TestNet),
) {
    in_world_with(test, &[&PROGRAMS[..], more].concat(), |world| {
        if !first(world) {
            return;
        }
        lay_cables(world);
        answer_questions();
        start_exit(world, 1);
        start_exit(world, 2);
        world.setup();
        for client in ["anna", "ben"] {
            world.ok(&["core", "add_client", &format!("client_name={client}")]);
        }
        speak_ipv6(world);
        for (at, client) in [(At::Client1, "anna"), (At::Client2, "ben")] {
            world.connect(at, &world.export(client));
            world.reaches(at, "10.8.0.1");
        }
        for (name, file) in [("uk", "/etc/exit1.conf"), ("nl", "/etc/exit2.conf")] {
            world.ok(&[
                "multihop",
                "import_vpn_config",
                &format!("config_path={file}"),
                &format!("custom_name={name}"),
            ]);
        }
        body(world);
    });
}

/// The exits' cables to the provider, and IPv6 on the way from the server to the Internet.
fn lay_cables(world: &TestNet) {
    world.sh("for n in 1 2; do
           ns=exit$n; ip netns add $ns; ip -n $ns link set lo up; mkdir -p /etc/netns/$ns
         done
         ip link add e1 netns isp type veth peer name eth0 netns exit1
         ip link add e2 netns isp type veth peer name eth0 netns exit2
         ip -n isp link set e1 up; ip -n isp link set e2 up
         ip -n exit1 addr add 198.51.101.9/32 dev eth0; ip -n exit1 link set eth0 up
         ip -n exit2 addr add 198.51.101.10/32 dev eth0; ip -n exit2 link set eth0 up
         ip -n isp addr add 198.51.101.1/32 dev e1; ip -n isp addr add 198.51.101.1/32 dev e2
         ip -n isp route add 198.51.101.9/32 dev e1; ip -n isp route add 198.51.101.10/32 dev e2
         for n in 1 2; do
           ip -n exit$n route add 198.51.101.1 dev eth0; ip -n exit$n route add default via 198.51.101.1
         done
         ip -n isp addr add 2001:db8:5::1/64 dev s0 nodad; ip addr add 2001:db8:5::5/64 dev eth0 nodad
         ip addr add fe80::5/64 dev eth0 nodad
         ip -n isp addr add 2001:db8:6::1/64 dev i0 nodad; ip -n inet addr add 2001:db8:6::2/64 dev eth0 nodad
         ip -6 route add default via 2001:db8:5::1; ip -n inet -6 route add default via 2001:db8:6::1
         ip -n isp -6 route add fd00:8::/64 via 2001:db8:5::5
         ip netns exec isp sysctl -qw net.ipv6.conf.all.forwarding=1; sysctl -qw net.ipv6.conf.all.forwarding=1");
}

/// The first of the clients' name servers answers every question: an exit is proven by one. A name server that a test puts
/// there later gets the questions instead.
fn answer_questions() {
    let (ready, started) = std::sync::mpsc::channel();
    on(At::Internet, move || {
        let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).unwrap();
        setsockopt(&socket, ReuseAddr, &true).unwrap();
        bind(socket.as_raw_fd(), &SockaddrIn::from(NAMES)).unwrap();
        let socket = UdpSocket::from(socket);
        ready.send(()).unwrap();
        let mut packet = [0; 512];
        loop {
            let (length, from) = socket.recv_from(&mut packet).unwrap();
            if length >= 12 {
                // The question itself, as an answer (QR) that there is no such name (RFC 1035, 4.1.1).
                (packet[2], packet[3]) = (packet[2] | 0x80, 3);
                let _ = socket.send_to(&packet[..length], from);
            }
        }
    });
    started.recv().unwrap();
}

/// Gives the server and its clients IPv6 addresses: the stored state has room for them, no action sets them yet.
fn speak_ipv6(world: &TestNet) {
    let state = rusqlite::Connection::open(DATABASE).unwrap();
    state
        .execute_batch(
            "UPDATE server SET subnet6 = 'fd00:8::/64';
             UPDATE clients SET address6 = x'fd000008000000000000000000000002' WHERE host = 2;
             UPDATE clients SET address6 = x'fd000008000000000000000000000003' WHERE host = 3",
        )
        .unwrap();
    drop(state);
    world.ok(&["core", "reconcile"]);
    world.in_sync();
}

/// Starts a foreign WireGuard with source NAT in the namespace of an exit; the file of its client is in `/etc`.
pub(super) fn start_exit(world: &TestNet, n: u8) {
    world.sh(&format!(
        "umask 077
         [ -e /etc/exit{n}.key ] || {{ wg genkey > /etc/exit{n}.key; wg genkey > /etc/exit{n}.client; }}
         ip netns exec exit{n} sysctl -qw net.ipv4.ip_forward=1
         ip netns exec exit{n} wireguard-go wgx{n} >/dev/null 2>&1
         ip netns exec exit{n} wg set wgx{n} listen-port 51821 private-key /etc/exit{n}.key \\
           peer $(wg pubkey < /etc/exit{n}.client) allowed-ips 10.99.{n}.2/32
         ip -n exit{n} addr add 10.99.{n}.1/24 dev wgx{n}; ip -n exit{n} link set wgx{n} up mtu 1380
         nft=$(command -v nft || echo {NFT_OF_EXITS})
         ip netns exec exit{n} $nft 'add table ip nat
           add chain ip nat post {{ type nat hook postrouting priority 100; }}
           flush chain ip nat post; add rule ip nat post oifname eth0 ip saddr 10.99.{n}.0/24 masquerade'
         cat > /etc/exit{n}.conf <<X
[Interface]
PrivateKey = $(cat /etc/exit{n}.client)
Address = 10.99.{n}.2/24
MTU = 1380
PostUp = touch /etc/owned
[Peer]
PublicKey = $(wg pubkey < /etc/exit{n}.key)
AllowedIPs = 0.0.0.0/0, ::/0
Endpoint = {}:51821
X",
        if n == 1 { EXIT } else { OTHER }
    ));
}

/// Ends the foreign WireGuard of an exit.
pub(super) fn stop_exit(world: &TestNet, n: u8) {
    world.sh(&format!(
        "pkill -f '[w]ireguard-go wgx{n}'; ip -n exit{n} link del wgx{n} 2>/dev/null || true
         i=0; while ip -n exit{n} link show wgx{n} >/dev/null 2>&1; do i=$((i+1)); [ $i -lt 500 ]; sleep 0.02; done"
    ));
}

/// The provider lets no WireGuard through to and from an exit's address any more, or lets it through again.
pub(super) fn blackhole(world: &TestNet, n: u8, on: bool) {
    let hole = if on { drop_to(n) + &drop_from(n) } else { format!("delete table ip hole{n}") };
    world.sh(&format!("ip netns exec isp nft '{hole}'"));
}

/// The provider lets no WireGuard through to an exit's address any more, but whatever comes from there.
pub(super) fn one_way_hole(world: &TestNet, n: u8) {
    world.sh(&format!("ip netns exec isp nft '{}'", drop_to(n)));
}

fn drop_to(n: u8) -> String {
    format!(
        "add table ip hole{n}; add chain ip hole{n} forward {{ type filter hook forward priority 0; }};
         add rule ip hole{n} forward ip daddr {} udp dport 51821 drop;",
        address_of(n)
    )
}

fn drop_from(n: u8) -> String {
    format!("add rule ip hole{n} forward ip saddr {} udp sport 51821 drop;", address_of(n))
}

fn address_of(n: u8) -> &'static str {
    if n == 1 { EXIT } else { OTHER }
}

/// Turns to an exit.
#[track_caller]
pub(super) fn enable(world: &TestNet, exit: &str) -> Value {
    world.ok(&["multihop", "enable_multihop", &format!("exit_name={exit}")])
}

/// That `status` says what is there: the exit, its interface, where that sends to, and the monitor.
#[track_caller]
pub(super) fn status_is_true(world: &TestNet, exit: &str) -> Value {
    let status = world.ok(&["multihop", "status"]);
    assert_eq!((&status["enabled"], &status["active_exit"]), (&true.into(), &exit.into()), "{status:#}");
    assert_eq!(status["kill_switch"], true, "{status:#}");
    let link = world.try_at(At::Server, "wg show wg_vpn").status.success();
    assert_eq!(status["vpn_interface"]["active"], link, "{status:#}");
    let pid = status["monitor_status"]["pid"].as_u64();
    let runs = world.sh("pgrep -f '[p]hantom-multihop.*monitor' || true");
    assert_eq!(status["monitor_status"]["monitoring"], pid.is_some(), "{status:#}");
    assert!(pid.is_none_or(|pid| runs.lines().any(|line| line == pid.to_string())), "{runs} {status:#}");
    status
}
