//! The control socket, asked by `wg` and by hand.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use crate::lab::{
    Device, ask, at_client, hex, key, key_file, log, ok, pair, public, run, sandbox, set_up_server, socket,
    until,
};
use crate::ping::answers;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);

/// The fields of the only peer in `wg show wga dump`: key, preshared key, endpoint, networks, handshake, received,
/// sent, keepalive.
fn peer() -> Vec<String> {
    let dump = ok("wg show wga dump");
    dump.lines().nth(1).unwrap().split('\t').map(str::to_owned).collect()
}

/// A `wg` that reads `text` as its configuration.
fn configure(how: &str, text: &str) {
    fs::write("/run/wga.conf", text).unwrap();
    ok(&format!("wg {how} wga /run/wga.conf"));
}

fn number(text: &str) -> u64 {
    text.parse().unwrap()
}

#[test]
fn wg_sees_everything() {
    sandbox("control::wg_sees_everything", || {
        let _device = pair("");
        assert!(at_client(|| answers(SERVER)));
        let dump = ok("wg show wga dump");
        let fields: Vec<_> = dump.lines().next().unwrap().split('\t').collect();
        assert_eq!(fields, [&key(1).reveal(), &public(1)[..], "51820", "off"]);
        let peer = peer();
        assert_eq!(peer[0], public(2));
        assert_eq!(peer[1], "(none)");
        assert!(peer[2].starts_with("192.0.2.2:"));
        assert_eq!(peer[3], "10.9.0.2/32,fd09::2/128");
        let now: u64 = number(ok("date +%s").trim());
        assert!((now - 30..=now).contains(&number(&peer[4])), "the handshake is of now");
        // 5 pings of 84 bytes, padded to 96, with 32 around each, and the handshake.
        assert!(
            (640..5000).contains(&number(&peer[5])) && (640..5000).contains(&number(&peer[6])),
            "{peer:?}"
        );
        assert_eq!(peer[7], "off");
        assert!(ok("wg show wga").contains("latest handshake"));
        let mut interfaces: Vec<_> = ok("wg show interfaces").split_whitespace().map(str::to_owned).collect();
        interfaces.sort();
        assert_eq!(interfaces, ["wga", "wgb"]);
        // Both ends count the same.
        let theirs = ok("ip netns exec client wg show wgb transfer");
        assert_eq!(theirs.trim(), format!("{}\t{}\t{}", public(1), peer[6], peer[5]));
    });
}

#[test]
fn changing_a_live_peer_keeps_its_session() {
    sandbox("control::changing_a_live_peer_keeps_its_session", || {
        let _device = pair("");
        assert!(at_client(|| answers(SERVER)));
        let before = peer();
        let unchanged = |fields: &[String]| {
            assert_eq!(fields[2], before[2]);
            assert_eq!(fields[4], before[4], "another handshake");
            assert!(number(&fields[5]) >= number(&before[5]) && number(&fields[6]) >= number(&before[6]));
        };
        let client = public(2);
        ok(&format!("wg set wga peer {client} persistent-keepalive 25"));
        assert_eq!(peer()[7], "25");
        unchanged(&peer());
        ok(&format!("wg set wga peer {client} allowed-ips 10.9.0.2/32,10.9.0.9/32"));
        assert_eq!(peer()[3], "10.9.0.2/32,10.9.0.9/32");
        unchanged(&peer());
        let (key, file) = (key(1).reveal(), key_file(9));
        ok(&format!("wg set wga peer {client} preshared-key {file}"));
        assert_ne!(peer()[1], "(none)");
        let device = format!("[Interface]\nPrivateKey = {}\nListenPort = 51820\n", key.as_str());
        let section = format!("{device}[Peer]\nPublicKey = {client}\nAllowedIPs = 10.9.0.2/32\n");
        configure("syncconf", &section);
        assert_eq!(peer()[3], "10.9.0.2/32");
        unchanged(&peer());
        ok(&format!("wg set wga peer {client} preshared-key /dev/null"));
        assert_eq!(peer()[1], "(none)");
        configure("setconf", &format!("{section}PersistentKeepalive = 9\n"));
        assert_eq!(peer()[7], "9");
        unchanged(&peer());
        assert!(at_client(|| answers(SERVER)));
        unchanged(&peer());
        configure("setconf", &device);
        assert_eq!(ok("wg show wga peers"), "");
    });
}

#[test]
fn some_peers_can_be_asked_for() {
    sandbox("control::some_peers_can_be_asked_for", || {
        let _device = Device::start("wga", "");
        let peers = (1..=20u8).fold(String::new(), |mut text, seed| {
            writeln!(text, "public_key={}\nallowed_ip=10.0.0.{seed}/32", hex(&[seed; 32])).unwrap();
            text
        });
        assert_eq!(ask("wga", &format!("set=1\nlisten_port=7\n{peers}\n")), "errno=0\n\n");
        let one = |seed: u8| {
            format!(
                "public_key={}\nprotocol_version=1\nlast_handshake_time_sec=0\nlast_handshake_time_nsec=0\ntx_bytes=0\n\
                 rx_bytes=0\npersistent_keepalive_interval=0\nallowed_ip=10.0.0.{seed}/32\n",
                hex(&[seed; 32])
            )
        };
        let asked: String = [9, 99, 3].map(|seed| format!("public_key={}\n", hex(&[seed; 32]))).concat();
        let answer = ask("wga", &format!("get=1\n{asked}\n"));
        assert_eq!(answer, format!("listen_port=7\n{}{}errno=0\n\n", one(9), one(3)));
        assert_eq!(ask("wga", "get=1\n\n").matches("public_key=").count(), 20);
        assert_eq!(ask("wga", "get=1\npublic_key=short\n\n"), "errno=22\n\n");
        assert_eq!(ask("wga", "get=1\nlisten_port=5\n\n"), "errno=22\n\n");
    });
}

#[test]
fn bad_requests_are_answered_and_change_nothing() {
    sandbox("control::bad_requests_are_answered_and_change_nothing", || {
        let _device = pair("");
        assert!(at_client(|| answers(SERVER)));
        let before = ok("wg showconf wga");
        let client = hex(key(2).public_key().as_bytes());
        for (request, errno) in [
            ("set=1\nlisten_port=99999\n\n".to_owned(), 22),
            ("set=1\ngarbage\n\n".to_owned(), 71),
            ("set=1\nlisten_port=5\ngarbage\n\n".to_owned(), 71),
            ("set=1\nprivate_key=00\n\n".to_owned(), 22),
            ("set=1\nfoo=bar\n\n".to_owned(), 22),
            (format!("set=1\npublic_key={client}\nremove=true\npublic_key={client}\nallowed_ip=x\n\n"), 22),
            (format!("set=1\nreplace_peers=true\npublic_key={client}x\n\n"), 22),
            ("set=2\n\n".to_owned(), 22),
            ("hello\n\n".to_owned(), 22),
            ("get=1\nfoo\n\n".to_owned(), 71),
        ] {
            assert_eq!(ask("wga", &request), format!("errno={errno}\n\n"), "{request}");
        }
        let mut half = UnixStream::connect(socket("wga")).unwrap();
        half.write_all(b"set=1\nlisten_port=5\n").unwrap();
        half.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        half.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "errno=71\n\n");
        let mut stream = UnixStream::connect(socket("wga")).unwrap();
        stream.write_all(b"set=1\nprivate_key=\xff\xfe\n\nget=1\n\n").unwrap();
        let mut answer = vec![0; 22];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(
            String::from_utf8(answer).unwrap(),
            "errno=71\n\nprivate_key=",
            "it goes on with the next request"
        );
        assert_eq!(ok("wg showconf wga"), before);
        assert!(at_client(|| answers(SERVER)));
    });
}

#[test]
fn a_request_without_end_is_cut_off() {
    sandbox("control::a_request_without_end_is_cut_off", || {
        let _device = Device::start("wga", "");
        let mut stream = UnixStream::connect(socket("wga")).unwrap();
        let line = format!("public_key={}\n", "0".repeat(64)).repeat(1 << 14);
        stream.write_all(b"set=1\n").unwrap();
        let written = (0..100).take_while(|_| stream.write_all(line.as_bytes()).is_ok()).count();
        assert!(written * line.len() < 80 << 20, "it takes {written} times {}", line.len());
        assert_eq!(ask("wga", "get=1\n\n"), "errno=0\n\n");
    });
}

#[test]
fn peers_may_come_before_the_private_key() {
    sandbox("control::peers_may_come_before_the_private_key", || {
        let _device = Device::start("wga", "");
        let client = public(2);
        ok(&format!(
            "wg set wga peer {client} allowed-ips 10.9.0.2/32 persistent-keepalive 5 endpoint 192.0.2.2:9"
        ));
        assert_eq!(ok("wg show wga dump").lines().next(), Some("(none)\t(none)\t0\toff"));
        set_up_server();
        let port = ok("wg show wga listen-port");
        assert_eq!(port.trim(), "51820");
        ok("wg set wga private-key /dev/null");
        assert_eq!(ok("wg show wga private-key").trim(), "(none)");
        assert_eq!(peer()[0], client);
    });
}

/// The number of the UDP socket that a process holds.
fn udp_socket(pid: u32) -> String {
    let held: Vec<_> = fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok()?.to_str().map(str::to_owned))
        .collect();
    let table = fs::read_to_string("/proc/net/udp6").unwrap();
    let inode = |line: &str| line.split_whitespace().nth(9).map(|inode| format!("socket:[{inode}]"));
    let mut found = table.lines().skip(1).filter_map(inode).filter(|socket| held.contains(socket));
    let socket = found.next().expect("no UDP socket");
    assert_eq!(found.next(), None, "more than one UDP socket");
    socket
}

#[test]
fn port_changes_and_unchanged_socket_stays() {
    sandbox("control::port_changes_and_unchanged_socket_stays", || {
        let device = pair("");
        assert!(at_client(|| answers(SERVER)));
        let socket = udp_socket(device.pid());
        let (key, client) = (key_file(1), public(2));
        ok(&format!(
            "wg set wga private-key {key} listen-port 51820 fwmark 0 peer {client} persistent-keepalive 7"
        ));
        ok("wg set wga fwmark 0x51");
        assert_eq!(ok("wg show wga fwmark").trim(), "0x51");
        ok("wg set wga fwmark 0");
        assert_eq!(udp_socket(device.pid()), socket);

        for round in 0..50 {
            let port = [51820, 51821, 40000][round % 3];
            ok(&format!("wg set wga listen-port {port}"));
            assert_eq!(ok("wg show wga listen-port").trim(), port.to_string());
        }
        assert_ne!(udp_socket(device.pid()), socket);
        let taken = std::net::UdpSocket::bind("[::]:50000").unwrap();
        assert_eq!(ask("wga", "set=1\nlisten_port=50000\n\n"), "errno=98\n\n");
        drop(taken);
        ok("wg set wga listen-port 0");
        assert_ne!(ok("wg show wga listen-port").trim(), "51821");
        ok("wg set wga listen-port 51820");
        assert!(at_client(|| answers(SERVER)));
    });
}

#[test]
fn only_peers_with_session_learn_new_port() {
    sandbox("control::only_peers_with_session_learn_new_port", || {
        let _device = pair("");
        assert!(at_client(|| answers(SERVER)));
        let stranger = public(4);
        ok(&format!("wg set wga peer {stranger} endpoint 192.0.2.2:4000 allowed-ips 10.9.0.4/32"));
        let before = peer();
        for port in [40000, 51820] {
            ok(&format!("wg set wga listen-port {port}"));
            let endpoint = || ok("ip netns exec client wg show wgb endpoints");
            until("the client learns the port", || endpoint().trim().ends_with(&format!("192.0.2.1:{port}")));
        }
        assert_eq!(peer()[4], before[4], "another handshake");
        let sent = ok("wg show wga transfer");
        assert!(sent.lines().any(|line| line == format!("{stranger}\t0\t0")), "{sent}");
    });
}

#[test]
fn another_private_key_takes_effect_at_once() {
    sandbox("control::another_private_key_takes_effect_at_once", || {
        let device = pair("");
        assert!(at_client(|| answers(SERVER)));
        let socket = udp_socket(device.pid());
        let key = key_file(3);
        ok(&format!("wg set wga private-key {key}"));
        assert_eq!(ok("wg show wga public-key").trim(), public(3));
        let (old, new) = (public(1), public(3));
        ok(&format!(
            "ip netns exec client wg set wgb peer {old} remove peer {new} allowed-ips 10.9.0.1/32 endpoint 192.0.2.1:51820"
        ));
        assert!(at_client(|| answers(SERVER)));
        assert_eq!(udp_socket(device.pid()), socket);
    });
}

#[test]
fn wg_quick_brings_it_up_and_down() {
    sandbox("control::wg_quick_brings_it_up_and_down", || {
        let program = env!("CARGO_BIN_EXE_phantom-wg-device");
        // wg-quick wants a program that returns when the device is there.
        let script = format!(
            "#!/bin/sh\nsetsid {program} $1 </dev/null >/dev/null 2>/run/$1.log &\n\
             while [ ! -S /var/run/wireguard/$1.sock ]; do sleep 0.02; done\n"
        );
        fs::write("/run/start", script).unwrap();
        ok("chmod +x /run/start");
        let (key, client) = (key(1).reveal(), public(2));
        let text = format!(
            "[Interface]\nPrivateKey = {}\nListenPort = 51820\nAddress = 10.9.0.1/24\nMTU = 1380\n\
             [Peer]\nPublicKey = {client}\nAllowedIPs = 10.9.0.2/32, 10.77.0.0/16\n",
            key.as_str()
        );
        fs::write("/run/wga.conf", text).unwrap();
        ok("chmod 600 /run/wga.conf");
        ok("env WG_QUICK_USERSPACE_IMPLEMENTATION=/run/start wg-quick up /run/wga.conf");
        assert!(ok("ip addr show wga").contains("10.9.0.1/24"));
        assert!(ok("ip link show wga").contains("mtu 1380"));
        assert!(ok("ip route").contains("10.77.0.0/16"));
        assert_eq!(ok("wg show wga listen-port").trim(), "51820");
        ok("wg-quick down /run/wga.conf");
        until("the end of the device", || log("wga").contains("the link has been deleted"));
        until("the end of the socket", || fs::metadata(socket("wga")).is_err());
    });
}

#[test]
fn other_users_are_refused() {
    use std::os::unix::process::CommandExt as _;
    sandbox("control::other_users_are_refused", || {
        let _device = Device::start("wga", "");
        let as_nobody =
            || Command::new("wg").args(["show", "wga"]).uid(65534).stdin(Stdio::null()).output().unwrap();
        assert!(!as_nobody().status.success(), "the modes keep them out");
        ok("chmod 0777 /run/wireguard /run/wireguard/wga.sock");
        let output = as_nobody();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && error.contains("Permission denied"), "{error}");
        assert!(run("wg show wga").status.success());
    });
}

#[test]
fn keys_are_not_logged() {
    sandbox("control::keys_are_not_logged", || {
        let _device = pair("");
        assert!(at_client(|| answers(SERVER)));
        let file = key_file(9);
        ok(&format!("wg set wga peer {} preshared-key {file}", public(2)));
        ask("wga", &format!("set=1\nprivate_key={}\nfoo=bar\n\n", hex(key(5).as_bytes())));
        let log = log("wga");
        assert!(log.contains("listening on UDP 51820") && log.contains("peers: 1 added"), "{log}");
        for seed in [1, 2, 5, 9] {
            for secret in [&key(seed).reveal()[..], &hex(key(seed).as_bytes()), &public(seed)] {
                assert!(!log.contains(&secret[..20]), "{log}");
            }
        }
    });
}
