//! What holds at the interface of the exit without a packet filter.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::filters::{IPTABLES, without_nftables};
use super::lab::{enable, with_exits_and};
use crate::capture::Capture;
use crate::ping::ping;
use crate::world::{At, INTERNET, SERVER, TestNet, on, wait_for};

/// The server's address in the network of the first exit.
const OWN: &str = "10.99.1.2";
/// A service of the server that listens on all its addresses.
const SERVICE: u16 = 8022;
/// The same by UDP.
const DATAGRAMS: u16 = 5300;

/// The exit takes packets with any source from the server, and sends them wherever its owner likes.
fn hostile_exit(world: &TestNet) {
    world.sh_at(
        At::Exit1,
        &format!(
            "ip route add 10.8.0.0/24 dev wgx1; ip route add {SERVER} dev wgx1
             wg set wgx1 peer $(wg show wgx1 peers) allowed-ips 0.0.0.0/0
             ip route replace default via 198.51.101.1"
        ),
    );
}

/// What the server serves on all its addresses: it answers whoever asks, and counts the datagrams.
fn serve() -> Arc<AtomicUsize> {
    let listener = TcpListener::bind(("0.0.0.0", SERVICE)).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = (&stream).write_all(b"welcome");
        }
    });
    let socket = UdpSocket::bind(("0.0.0.0", DATAGRAMS)).unwrap();
    let heard = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&heard);
    std::thread::spawn(move || {
        while socket.recv_from(&mut [0; 100]).is_ok() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    heard
}

/// Which ways lead from the exit to an address of the server.
fn reached(address: &str, heard: &AtomicUsize) -> Vec<&'static str> {
    let (mut ways, before) = (Vec::new(), heard.load(Ordering::SeqCst));
    if ping(At::Exit1, address, 1) {
        ways.push("echo");
    }
    let tcp: SocketAddr = format!("{address}:{SERVICE}").parse().unwrap();
    let udp: SocketAddr = format!("{address}:{DATAGRAMS}").parse().unwrap();
    let asked = on(At::Exit1, move || {
        let limit = Duration::from_millis(700);
        let welcomed = TcpStream::connect_timeout(&tcp, limit).is_ok_and(|mut stream| {
            stream.set_read_timeout(Some(limit)).unwrap();
            stream.read(&mut [0; 7]).is_ok_and(|length| length > 0)
        });
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        for _ in 0..3 {
            socket.send_to(b"who", udp).unwrap();
        }
        welcomed
    });
    ways.extend(asked.join().unwrap().then_some("TCP"));
    std::thread::sleep(Duration::from_millis(300));
    ways.extend((heard.load(Ordering::SeqCst) > before).then_some("UDP"));
    ways
}

/// What of the clients' addresses comes to the exit as it is, while clients send.
fn inner_addresses(world: &TestNet, name: &str) -> Vec<String> {
    let at_the_exit = Capture::start(world, At::Exit1, "wgx1", name);
    for _ in 0..3 {
        ping(At::Client1, INTERNET, 1);
    }
    at_the_exit.stop("src net 10.8.0.0/24")
}

fn flushed(world: &TestNet, flush: &str) {
    let heard = serve();
    enable(world, "uk");
    hostile_exit(world);
    world.reaches(At::Client1, INTERNET);
    world.in_sync();
    let ipv6 = "cat /proc/sys/net/ipv6/conf/wg_vpn/disable_ipv6 2>/dev/null || echo 1";
    assert_eq!(world.sh(ipv6).trim(), "1", "an exit without IPv6 has IPv6");
    assert_eq!(world.sh("ip -6 -o addr show dev wg_vpn"), "");
    // Everything that filters packets is gone.
    world.sh(flush);
    for address in [OWN, "10.8.0.1", SERVER] {
        assert_eq!(reached(address, &heard), Vec::<&str>::new(), "the exit reaches {address}");
    }
    let inner = inner_addresses(world, "guarded");
    assert!(inner.is_empty(), "inner addresses come to the exit: {inner:?}");
    let doctor = world.ok(&["core", "doctor"]);
    let said = |check: &str| {
        let checks = doctor["checks"].as_array().unwrap();
        checks.iter().find(|found| found["name"] == check).unwrap()["state"].clone()
    };
    assert_eq!((said("packet_filter"), said("link_guard")), ("problem".into(), "ok".into()), "{doctor:#}");
    // It is the guard that holds, and the strict check of the way back.
    world.sh("tc qdisc del dev wg_vpn clsact");
    assert!(
        wait_for(Duration::from_secs(20), || reached(OWN, &heard).len() == 3),
        "there is no way to the server"
    );
    assert_eq!(reached(SERVER, &heard), Vec::<&str>::new(), "the exit reaches the server's public address");
    world.sh("sysctl -qw net.ipv4.conf.wg_vpn.rp_filter=2");
    let to_the_server = || reached(SERVER, &heard).contains(&"UDP");
    assert!(wait_for(Duration::from_secs(20), to_the_server), "there is no way to the public address");
    assert!(!inner_addresses(world, "unguarded").is_empty(), "there is no way to the exit as it is");
    let doctor = world.ok(&["core", "doctor"]);
    assert!(
        doctor["checks"]
            .as_array()
            .unwrap()
            .iter()
            .any(|found| { found["name"] == "link_guard" && found["state"] == "problem" })
    );
    // One reconcile brings all of it back.
    world.ok(&["core", "reconcile"]);
    world.in_sync();
    assert_eq!(reached(OWN, &heard), Vec::<&str>::new());
    world.reaches(At::Client1, INTERNET);
    // And a disable takes all of it away.
    world.ok(&["multihop", "disable_multihop"]);
    assert_eq!(world.sh("tc filter show dev wg_vpn ingress 2>/dev/null || true"), "");
    world.in_sync();
}

#[test]
fn exit_is_walled_from_flushed_nftables() {
    let test = "multihop::guard::exit_is_walled_from_flushed_nftables";
    with_exits_and(test, &["tc"], |_| true, |world| flushed(world, "nft flush ruleset"));
}

fn on_iptables(test: &str, variant: &str) {
    let flush = "for t in filter mangle nat; do iptables -t $t -F; ip6tables -t $t -F || true; done";
    with_exits_and(
        test,
        &[&IPTABLES[..], &["tc"]].concat(),
        |world| without_nftables(world, test, variant),
        |world| flushed(world, flush),
    );
}

#[test]
fn exit_is_walled_from_flushed_iptables_nft() {
    on_iptables("multihop::guard::exit_is_walled_from_flushed_iptables_nft", "nft");
}

#[test]
fn exit_is_walled_from_flushed_iptables_legacy() {
    let test = "multihop::guard::exit_is_walled_from_flushed_iptables_legacy";
    on_iptables(test, "legacy");
}

/// Whatever is asked of the server, the table is the same object, and no chain of it is made a second time.
#[test]
fn packet_filter_table_is_never_deleted() {
    let test = "multihop::guard::packet_filter_table_is_never_deleted";
    with_exits_and(
        test,
        &[],
        |_| true,
        |world| {
            let handles = || {
                let list = world.sh("nft -a list table inet phantom_wg");
                let named =
                    list.lines().filter(|line| line.contains("table inet") || line.contains("\tchain "));
                let named: Vec<String> = named.map(|line| line.trim().to_owned()).collect();
                named
            };
            let before = handles();
            assert!(before.iter().all(|line| line.contains("# handle ")), "{before:?}");
            enable(world, "uk");
            enable(world, "nl");
            world.ok(&["core", "restart_service"]);
            world.sh("nft flush chain inet phantom_wg forward");
            world.ok(&["core", "reconcile"]);
            world.in_sync();
            world.sh("nft add rule inet phantom_wg output counter; nft add chain inet phantom_wg another");
            world.sh("nft add set inet phantom_wg those '{ type ipv4_addr; }'");
            world.ok(&["core", "reconcile"]);
            world.in_sync();
            world.ok(&["multihop", "disable_multihop"]);
            let kept: Vec<_> = before.iter().filter(|line| !handles().contains(line)).collect();
            assert!(kept.is_empty(), "made again: {kept:?}");
        },
    );
}
