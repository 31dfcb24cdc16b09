//! Packets pass, whatever happens beside.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::lab::{ask, at_client, hex, log, ok, pair, public, sandbox};
use crate::ping::{answers, ping};

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);

/// Bytes that do not repeat, so that anything lost, doubled or exchanged shows.
fn content(length: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

/// Sends `length` bytes from the client to this host over TCP, and back.
pub(crate) fn transfer(address: IpAddr, length: usize) {
    let sent = content(length);
    let listener = TcpListener::bind((address, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
            let mut received = vec![0; length];
            stream.read_exact(&mut received).unwrap();
            assert!(received == sent, "other bytes than were sent");
            stream.write_all(&received).unwrap();
        });
        at_client(|| {
            let mut stream = TcpStream::connect((address, port)).unwrap();
            stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
            stream.write_all(&sent).unwrap();
            let mut received = vec![0; length];
            stream.read_exact(&mut received).unwrap();
            assert!(received == sent, "other bytes than were sent");
        });
    });
}

#[test]
fn wireguard_go_connects_and_transfers_both_ways() {
    sandbox("traffic::wireguard_go_connects_and_transfers_both_ways", || {
        let _device = pair("");
        assert!(at_client(|| answers(SERVER)));
        assert!(answers(CLIENT));
        transfer(SERVER.into(), 8 << 20);
        transfer("fd09::1".parse().unwrap(), 8 << 20);
    });
}

#[test]
fn without_offload_everything_passes_as_well() {
    sandbox("traffic::without_offload_everything_passes_as_well", || {
        let _device = pair("--no-offload");
        assert!(log("wga").contains("without offload"));
        transfer(SERVER.into(), 4 << 20);
    });
}

#[test]
fn smaller_path_mtu_loses_no_packets() {
    sandbox("traffic::smaller_path_mtu_loses_no_packets", || {
        let _device = pair("");
        assert!(at_client(|| answers(SERVER)));
        ok("ip link set v0 mtu 1400");
        ok("ip -n client link set v1 mtu 1400");
        transfer(SERVER.into(), 4 << 20);
    });
}

#[test]
fn a_large_inner_mtu_is_carried() {
    sandbox("traffic::a_large_inner_mtu_is_carried", || {
        let _device = pair("--mtu 8920");
        ok("ip link set v0 mtu 9000");
        ok("ip -n client link set v1 mtu 9000");
        ok("ip -n client link set wgb mtu 8920");
        transfer(SERVER.into(), 4 << 20);
        // wg-quick and admins set the MTU later; the device notices within a second or two.
        ok("ip link set wga mtu 1300");
        ok("ip -n client link set wgb mtu 1300");
        transfer(SERVER.into(), 1 << 20);
    });
}

#[test]
fn server_replies_from_the_address_spoken_to() {
    sandbox("traffic::server_replies_from_the_address_spoken_to", || {
        let _device = pair("");
        let server = public(1);
        ok(&format!("ip netns exec client wg set wgb peer {server} endpoint 192.0.2.3:51820"));
        assert!(at_client(|| answers(SERVER)));
        transfer(SERVER.into(), 1 << 20);
        // wireguard-go follows its peer, so an answer from the other address would have moved it.
        let stays = || {
            let endpoints = ok("ip netns exec client wg show wgb endpoints");
            assert!(endpoints.contains("192.0.2.3:51820"), "{endpoints}");
        };
        stays();
        // Also where the kernel refuses to cut, which older ones say with the same number as of an address that is gone.
        ok("ip link set v0 mtu 1400");
        ok("ip -n client link set v1 mtu 1400");
        transfer(SERVER.into(), 1 << 20);
        stays();
    });
}

#[test]
fn what_is_no_wireguard_is_passed_over() {
    sandbox("traffic::what_is_no_wireguard_is_passed_over", || {
        let _device = pair("");
        assert!(at_client(|| answers(SERVER)));
        at_client(|| {
            let socket = UdpSocket::bind("192.0.2.2:0").unwrap();
            let noise = content(4096);
            for round in 0..4000 {
                // Lengths and types of real messages among them, with nothing right behind.
                let length = [148, 92, 64, 32, 1, 1500, round % 2000][round % 7];
                let mut datagram = noise[round % 2000..][..length].to_vec();
                if let Some(first) = datagram.first_mut() {
                    *first = u8::try_from(round % 5).unwrap();
                }
                socket.send_to(&datagram, "192.0.2.1:51820").unwrap();
            }
        });
        assert!(at_client(|| answers(SERVER)));
        transfer(SERVER.into(), 1 << 20);
    });
}

/// Adds peers, and changes all their networks, while pings pass.
#[test]
fn large_set_does_not_delay_packets() {
    sandbox("traffic::large_set_does_not_delay_packets", || {
        const PEERS: u32 = 5000;
        let _device = pair("");
        assert!(at_client(|| answers(SERVER)));
        let request = |shift: u32| {
            (0..PEERS).fold("set=1\n".to_owned(), |mut text, number| {
                let mut key = [7; 32];
                key[..4].copy_from_slice(&number.to_be_bytes());
                let ip = Ipv4Addr::from(0x0a40_0000 + number + shift);
                let key = hex(&key);
                writeln!(text, "public_key={key}\nreplace_allowed_ips=true\nallowed_ip={ip}/32").unwrap();
                text
            }) + "\n"
        };
        let done = AtomicBool::new(false);
        let report = thread::scope(|scope| {
            let pings = scope.spawn(|| {
                at_client(|| ping(SERVER, Duration::from_millis(2), |_| done.load(Ordering::Relaxed)))
            });
            for shift in 0..4 {
                assert_eq!(ask("wga", &request(shift * PEERS)), "errno=0\n\n");
            }
            done.store(true, Ordering::Relaxed);
            pings.join().unwrap()
        });
        assert_eq!(report.answered, report.sent);
        assert!(report.longest_gap < Duration::from_secs(1), "{report:?}");
        assert_eq!(ask("wga", "get=1\n\n").matches("public_key=").count(), 5001);
    });
}
