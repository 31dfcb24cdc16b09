//! The text of the protocol, and a client against devices that answer well or badly.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::net::UnixListener;
use std::thread::JoinHandle;

use phantom_types::{PresharedKey, PrivateKey, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::{PeerConfig, PeerUpdate};

/// A reply as the protocol's page shows it, with what devices add.
const REPLY: &str = "private_key=0101010101010101010101010101010101010101010101010101010101010101\nlisten_port=12912\nfwmark=16\n\
public_key=0202020202020202020202020202020202020202020202020202020202020202\n\
preshared_key=0303030303030303030303030303030303030303030303030303030303030303\nprotocol_version=1\n\
endpoint=[2607:5300:60:6b0::c05f:543]:2468\nlast_handshake_time_sec=1700000000\nlast_handshake_time_nsec=123456789\n\
tx_bytes=38333\nrx_bytes=2224\npersistent_keepalive_interval=25\nallowed_ip=192.168.4.10/32\nallowed_ip=2001:db8::/32\n\
public_key=0404040404040404040404040404040404040404040404040404040404040404\n\
preshared_key=0000000000000000000000000000000000000000000000000000000000000000\nendpoint=182.122.22.19:3233\n\
last_handshake_time_sec=0\nlast_handshake_time_nsec=0\ntx_bytes=0\nrx_bytes=0\npersistent_keepalive_interval=0\nnew_thing=1\n\
errno=0\n\n";

fn key(byte: u8) -> PublicKey {
    PublicKey::from_bytes([byte; 32])
}

fn bare(byte: u8) -> PeerConfig {
    PeerConfig {
        public_key: key(byte),
        preshared_key: None,
        endpoint: None,
        keepalive: None,
        allowed_ips: Vec::new(),
    }
}

#[test]
fn a_reply_is_read() {
    let device = parse_device_reply(REPLY.as_bytes()).unwrap();
    assert_eq!(device.private_key, Some(PrivateKey::from_bytes([1; 32])));
    assert_eq!((device.listen_port, device.fwmark), (12912, 16));
    let first = Peer {
        config: PeerConfig {
            preshared_key: Some(PresharedKey::from_bytes([3; 32])),
            endpoint: Some("[2607:5300:60:6b0::c05f:543]:2468".parse().unwrap()),
            keepalive: Some(25),
            allowed_ips: vec!["192.168.4.10/32".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
            ..bare(2)
        },
        last_handshake: Some(Timestamp::from_micros(1_700_000_000_123_456)),
        rx_bytes: 2224,
        tx_bytes: 38333,
    };
    let second = PeerConfig { endpoint: Some("182.122.22.19:3233".parse().unwrap()), ..bare(4) };
    assert_eq!(
        device.peers,
        [first, Peer { config: second, last_handshake: None, rx_bytes: 0, tx_bytes: 0 }]
    );
    assert_eq!(parse_device_reply(b"errno=0\n\n").unwrap(), Device::default());
    assert_eq!(
        parse_device_reply(b"\n\nerrno=0").unwrap(),
        Device::default(),
        "the last line end may be missing"
    );
}

#[test]
fn malformed_reply_is_an_error_without_values() {
    let refused = parse_device_reply(b"errno=-22\n\n").unwrap_err();
    assert!(
        matches!(&refused, HostError::Kernel { source, .. } if source.raw_os_error() == Some(22)),
        "{refused:?}"
    );
    let cut = parse_device_reply(&REPLY.as_bytes()[..REPLY.len() - 9]).unwrap_err();
    assert!(matches!(cut, HostError::Io { .. }), "{cut:?}");
    let long = format!("private_key={}\nerrno=0\n\n", "7".repeat(200_000));
    let secret = "c0ffee".repeat(10);
    for text in [
        &format!("private_key={secret}\nerrno=0\n\n"),
        &format!("{secret}\nerrno=0\n\n"),
        &format!("public_key={}\n", secret.replace('c', "g")),
        "listen_port=65536\nerrno=0\n\n",
        "errno=x\n\n",
        &long,
    ] {
        let error = parse_device_reply(text.as_bytes()).unwrap_err();
        assert!(matches!(error, HostError::Unexpected { .. }), "{error:?}");
        assert!(error.chain().len() < 120 && !error.chain().contains("c0ffee"), "{}", error.chain());
    }
    assert!(parse_device_reply(b"\xff\xfe=1\nerrno=0\n\n").is_err());
}

#[test]
fn peers_whose_handshakes_are_refused_are_read() {
    let none: [PublicKey; 0] = [];
    assert_eq!(read_refused(REPLY.as_bytes()).unwrap(), none);
    // Behind which lines it stands does not matter, and a number of 0 says nothing.
    for (line, of) in [("rx_bytes=2224\n", key(2)), ("new_thing=1\n", key(4))] {
        let told = |count: &str| REPLY.replace(line, &format!("{line}refused_handshakes={count}\n"));
        assert_eq!(read_refused(told("3").as_bytes()).unwrap(), [of]);
        assert_eq!(read_refused(told("0").as_bytes()).unwrap(), none);
        assert!(read_refused(told("x").as_bytes()).is_err());
        assert_eq!(parse_device_reply(told("3").as_bytes()).unwrap().peers.len(), 2);
    }
}

#[test]
fn end_points_with_a_zone_are_read() {
    for zone in ["%eth0", "%3", ""] {
        let text = format!("public_key={}\nendpoint=[fe80::1{zone}]:5\nerrno=0\n\n", "02".repeat(32));
        let device = parse_device_reply(text.as_bytes()).unwrap();
        let endpoint = device.peers[0].config.endpoint.unwrap();
        assert_eq!((endpoint.ip(), endpoint.port()), ("fe80::1".parse().unwrap(), 5));
    }
}

fn text(write: impl FnOnce(&mut Writer<&mut Vec<u8>>) -> io::Result<()>) -> String {
    let mut text = Vec::new();
    write(&mut Writer::new(&mut text)).unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn requests_are_written_as_the_protocol_says() {
    assert_eq!(text(|out| request::write_get(out, &BTreeSet::new())), "get=1\n\n");
    let keys = [key(0xab), key(2)].into();
    let (ab, two) = ("ab".repeat(32), "02".repeat(32));
    assert_eq!(
        text(|out| request::write_get(out, &keys)),
        format!("get=1\npublic_key={two}\npublic_key={ab}\n\n")
    );
    assert_eq!(text(|out| request::write_set(out, &DeviceUpdate::default())), "set=1\n\n");
    let full = PeerConfig {
        preshared_key: Some(PresharedKey::from_bytes([0xcd; 32])),
        endpoint: Some("[2001:db8::1]:7".parse().unwrap()),
        keepalive: Some(25),
        allowed_ips: vec!["10.8.0.2/32".parse().unwrap(), "::/0".parse().unwrap()],
        ..bare(2)
    };
    let update = DeviceUpdate {
        private_key: Some(PrivateKey::from_bytes([0x10; 32])),
        listen_port: Some(51820),
        fwmark: Some(0),
        replace_peers: true,
        peers: vec![PeerUpdate::Set(full), PeerUpdate::Set(bare(0xab)), PeerUpdate::Remove(key(2))],
    };
    let expected = format!(
        "set=1\nprivate_key={}\nlisten_port=51820\nfwmark=0\nreplace_peers=true\n\
         public_key={two}\nreplace_allowed_ips=true\nallowed_ip=10.8.0.2/32\nallowed_ip=::/0\npreshared_key={}\n\
         persistent_keepalive_interval=25\nendpoint=[2001:db8::1]:7\n\
         public_key={ab}\nreplace_allowed_ips=true\npreshared_key={}\npersistent_keepalive_interval=0\n\
         public_key={two}\nremove=true\n\n",
        "10".repeat(32),
        "cd".repeat(32),
        "00".repeat(32)
    );
    assert_eq!(text(|out| request::write_set(out, &update)), expected);
}

#[test]
fn large_requests_are_written_in_pieces() {
    struct Pieces(Vec<usize>);
    impl io::Write for Pieces {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.push(bytes.len());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let update = DeviceUpdate {
        peers: (0..255).cycle().take(5000).map(bare).map(PeerUpdate::Set).collect(),
        ..DeviceUpdate::default()
    };
    let whole = text(|out| request::write_set(out, &update));
    let mut pieces = Pieces(Vec::new());
    request::write_set(&mut Writer::new(&mut pieces), &update).unwrap();
    assert_eq!(pieces.0.iter().sum::<usize>(), whole.len());
    assert!(pieces.0.iter().all(|length| *length <= 64 * 1024) && pieces.0.len() < 30, "{:?}", pieces.0);
    assert_eq!(whole.matches("public_key=").count(), 5000);
}

/// A device for one name that answers each connection with the next reply, when it has read a whole request; it gives
/// back the requests. A reply of `None` hangs up at the first line.
fn device(dir: &tempfile::TempDir, replies: Vec<Option<&'static str>>) -> JoinHandle<Vec<String>> {
    let listener = UnixListener::bind(dir.path().join("wg_main.sock")).unwrap();
    std::thread::spawn(move || {
        replies
            .into_iter()
            .map(|reply| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut request = String::new();
                while !request.ends_with("\n\n") {
                    if reader.read_line(&mut request).unwrap() == 0 || reply.is_none() {
                        break;
                    }
                }
                let _ = stream.write_all(reply.unwrap_or_default().as_bytes());
                request
            })
            .collect()
    })
}

fn client(dir: &tempfile::TempDir) -> (Uapi, InterfaceName) {
    (Uapi { dir: dir.path().to_owned(), patience: Patience::default() }, "wg_main".parse().unwrap())
}

#[test]
fn peers_are_asked_for_by_their_keys() {
    let dir = tempfile::tempdir().unwrap();
    let (uapi, name) = client(&dir);
    let server = device(&dir, vec![Some(REPLY)]);
    let peers = uapi.peers(&name, &[key(4), key(9)].into()).unwrap().unwrap();
    assert_eq!(
        peers.iter().map(|peer| peer.config.public_key).collect::<Vec<_>>(),
        [key(4)],
        "others are passed over"
    );
    let requests = server.join().unwrap();
    assert_eq!(
        requests,
        [format!("get=1\npublic_key={}\npublic_key={}\n\n", "04".repeat(32), "09".repeat(32))]
    );
}

#[test]
fn stock_device_is_asked_for_everything() {
    for first in [Some("errno=-22\n\n"), Some("errno=22\n\n"), None] {
        let dir = tempfile::tempdir().unwrap();
        let (uapi, name) = client(&dir);
        let server = device(&dir, vec![first, Some(REPLY)]);
        let peers = uapi.peers(&name, &[key(2)].into()).unwrap().unwrap();
        assert_eq!(peers.iter().map(|peer| peer.config.public_key).collect::<Vec<_>>(), [key(2)]);
        assert_eq!(server.join().unwrap()[1], "get=1\n\n");
    }
}

#[test]
fn refusal_is_reported_and_not_retried() {
    let dir = tempfile::tempdir().unwrap();
    let (uapi, name) = client(&dir);
    let server = device(&dir, vec![Some("errno=1\n\n"), Some("errno=126\n\n"), None]);
    let errno = |error: HostError| match error {
        HostError::Kernel { what, source } => (what, source.raw_os_error()),
        other => panic!("{other:?}"),
    };
    let what = "embedded WireGuard device wg_main";
    assert_eq!(errno(uapi.device(&name).unwrap_err()), (format!("reading {what}"), Some(1)));
    let update = DeviceUpdate { peers: vec![PeerUpdate::Set(bare(1))], ..DeviceUpdate::default() };
    assert_eq!(
        errno(uapi.configure(&name, &update).unwrap_err()),
        (format!("configuring {what}"), Some(126))
    );
    assert!(
        matches!(uapi.configure(&name, &update), Err(HostError::Io { .. })),
        "it hung up without an answer"
    );
    server.join().unwrap();
}

#[test]
fn hanging_device_is_named_and_told_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (uapi, name) = client(&dir);
    let listener = UnixListener::bind(dir.path().join("wg_main.sock")).unwrap();
    let hung = format!("embedded WireGuard device wg_main (process {})", std::process::id());
    let silent = |error: HostError| match error {
        HostError::Silent { object, .. } => object,
        other => panic!("{other:?}"),
    };
    let reading = uapi.patience.reading();
    assert_eq!(silent(uapi.device(&name).unwrap_err()), hung);
    assert_eq!(reading.silent(), std::slice::from_ref(&hung));
    let update = DeviceUpdate { listen_port: Some(1), ..DeviceUpdate::default() };
    assert_eq!(silent(uapi.answers(&name).unwrap_err()), hung);
    assert_eq!(silent(uapi.configure(&name, &update).unwrap_err()), hung);
    // What it finds in its socket once it goes on: a question, and no change.
    listener.set_nonblocking(true).unwrap();
    let mut asked = String::new();
    while let Ok((mut stream, _)) = listener.accept() {
        stream.set_nonblocking(false).unwrap();
        stream.read_to_string(&mut asked).unwrap();
    }
    assert_eq!(asked, "get=1\n\n", "it is not asked again while it is known to be silent");
}

#[test]
fn a_device_without_a_process_is_absent() {
    let dir = tempfile::tempdir().unwrap();
    let (uapi, name) = client(&dir);
    let absent = || {
        assert_eq!(uapi.device(&name).unwrap(), None);
        assert_eq!(uapi.peers(&name, &[key(1)].into()).unwrap(), None);
        let error = uapi.configure(&name, &DeviceUpdate::default()).unwrap_err();
        assert!(error.is_absent(), "{error:?}");
    };
    absent();
    // The socket that a killed process leaves behind.
    drop(UnixListener::bind(dir.path().join("wg_main.sock")).unwrap());
    absent();
}

/// A reader that gives its bytes in pieces of the given sizes.
struct Dribble<'a>(&'a [u8], std::iter::Cycle<std::vec::IntoIter<usize>>);

impl Read for Dribble<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.1.next().unwrap_or(1).clamp(1, buffer.len()).min(self.0.len());
        let (now, rest) = self.0.split_at(count);
        buffer[..count].copy_from_slice(now);
        self.0 = rest;
        Ok(count)
    }
}

proptest! {
    #[test]
    fn lines_are_the_same_however_they_arrive(text in "[a-z\n]{0,300}", sizes in prop::collection::vec(1..40_usize, 1..9)) {
        let mut lines = buffer::Lines::new(Dribble(text.as_bytes(), sizes.into_iter().cycle()));
        let mut found = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            found.push(String::from_utf8(line.to_vec()).unwrap());
        }
        let expected: Vec<&str> = text.lines().collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn replies_of_any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse_device_reply(&bytes);
    }

    #[test]
    fn replies_of_likely_lines_are_survived(lines in prop::collection::vec(
        "(public_key|private_key|preshared_key|endpoint|allowed_ip|fwmark|last_handshake_time_n?sec|rx_bytes|errno)=(0{64}|[0-9a-f]{63,65}|\\PC{0,9}|-?[0-9]{1,20}|\\[fe80::1%e\\]:[0-9]{1,6}|::/129)", 0..9)) {
        let _ = parse_device_reply(lines.join("\n").as_bytes());
    }

    #[test]
    fn damaged_replies_are_survived(at in 0..REPLY.len(), value in any::<u8>(), cut in 0..REPLY.len()) {
        let mut bytes = REPLY.as_bytes().to_vec();
        bytes[at] = value;
        let _ = parse_device_reply(&bytes);
        bytes.truncate(cut);
        let _ = parse_device_reply(&bytes);
    }
}
