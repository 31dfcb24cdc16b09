//! The macs beside those of the library, which understands cookies as stock clients do.

use std::net::Ipv4Addr;
use std::sync::Arc;

use gotatun::noise::index_table::IndexTable;
use gotatun::noise::rate_limiter::RateLimiter;
use gotatun::noise::{Tunn, TunnResult};
use gotatun::packet::{Packet, WgKind};
use gotatun::x25519;
use phantom_types::PrivateKey;
use proptest::prelude::*;

use super::*;

/// A client that knows the device's public key, and a device.
fn pair() -> (Tunn, Checker, Instant) {
    let device = PrivateKey::from_random([1; 32]).public_key();
    let (key, since) = (x25519::StaticSecret::from([2; 32]), Instant::now());
    let limiter = Arc::new(RateLimiter::new(&x25519::PublicKey::from(&key), u64::MAX));
    let device_key = x25519::PublicKey::from(*device.as_bytes());
    let client = Tunn::new(key, device_key, None, None, IndexTable::from_os_rng(), limiter);
    (client, Checker::new(&device, [3; 32], since), since)
}

fn initiation(client: &mut Tunn) -> Packet {
    client.format_handshake_initiation(true).unwrap().into()
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// The client gets the reply to its initiation.
fn give_cookie(client: &mut Tunn, checker: &Checker, initiation: &[u8], to: SocketAddr, now: Instant) {
    let request = HandshakeMessage::read(initiation).unwrap().request().unwrap();
    let reply = Packet::copy_from(&checker.reply(&request, to, now, [4; 24])[..]);
    let Ok(reply @ WgKind::CookieReply(_)) = reply.try_into_wg() else { panic!("no cookie reply") };
    assert!(matches!(client.handle_incoming_packet(reply), TunnResult::Done));
}

#[test]
fn first_mac_matches_library_and_covers_message() {
    let (mut client, checker, now) = pair();
    let mut packet = initiation(&mut client);
    let from = address("192.0.2.1:1");
    let check = |bytes: &[u8]| checker.check(&HandshakeMessage::read(bytes).unwrap(), from, now);
    assert_eq!(check(&packet), Macs::First);
    assert_eq!(packet[116..132], checker.mac1(&packet[..116]));
    for at in (4..132).step_by(8) {
        packet.buf_mut()[at] ^= 1;
        assert_eq!(check(&packet), Macs::Wrong, "byte {at}");
        packet.buf_mut()[at] ^= 1;
    }
    packet.buf_mut()[140] ^= 1;
    assert_eq!(check(&packet), Macs::First);
}

#[test]
fn cookie_is_valid_for_one_endpoint() {
    for home in ["192.0.2.1:1000", "[2001:db8::1]:1000", "127.0.0.1:40000"].map(address) {
        let (mut client, checker, now) = pair();
        let first = initiation(&mut client);
        give_cookie(&mut client, &checker, &first, home, now);
        let second = initiation(&mut client);
        let check = |from| checker.check(&HandshakeMessage::read(&second).unwrap(), from, now);
        assert_eq!(check(home), Macs::Both);
        assert_eq!(check(SocketAddr::new(home.ip(), 1001)), Macs::First);
        assert_eq!(check(SocketAddr::new(Ipv4Addr::new(192, 0, 2, 2).into(), home.port())), Macs::First);
        assert_eq!(check(SocketAddr::new("2001:db8::2".parse().unwrap(), home.port())), Macs::First);
    }
}

#[test]
fn cookie_is_valid_two_to_four_minutes() {
    for given in [0, 60, 119, 120, 239] {
        let (mut client, checker, since) = pair();
        let (given, home) = (since + Duration::from_secs(given), address("192.0.2.1:1"));
        let first = initiation(&mut client);
        give_cookie(&mut client, &checker, &first, home, given);
        let second = initiation(&mut client);
        let after = |seconds| {
            let now = given + Duration::from_secs(seconds);
            checker.check(&HandshakeMessage::read(&second).unwrap(), home, now)
        };
        assert_eq!((after(0), after(120), after(240)), (Macs::Both, Macs::Both, Macs::First));
    }
}

#[test]
fn cookie_reply_belongs_to_its_message() {
    let (mut client, checker, now) = pair();
    let (home, old) = (address("192.0.2.1:1"), initiation(&mut client));
    let new = initiation(&mut client);
    let request = HandshakeMessage::read(&old).unwrap().request().unwrap();
    let reply = Packet::copy_from(&checker.reply(&request, home, now, [4; 24])[..]).try_into_wg().unwrap();
    assert!(matches!(client.handle_incoming_packet(reply), TunnResult::Err(_)));
    give_cookie(&mut client, &checker, &new, home, now);
}

#[test]
fn devices_do_not_take_each_others_cookies() {
    let (mut client, checker, now) = pair();
    let device = PrivateKey::from_random([1; 32]).public_key();
    let other = Checker::new(&device, [9; 32], now);
    let home = address("192.0.2.1:1");
    let first = initiation(&mut client);
    give_cookie(&mut client, &other, &first, home, now);
    let second = initiation(&mut client);
    assert_eq!(checker.check(&HandshakeMessage::read(&second).unwrap(), home, now), Macs::First);
}

#[test]
fn messages_are_known_by_type_and_length() {
    let read = |kind: u8, length: usize| {
        let mut bytes = vec![0; length];
        bytes[0] = kind;
        HandshakeMessage::read(&bytes).map(|message| (message.kind(), message.receiver()))
    };
    assert_eq!(read(1, 148), Some((MessageKind::Initiation, None)));
    assert_eq!(read(2, 92), Some((MessageKind::Response, Some(0))));
    assert_eq!(read(3, 64), Some((MessageKind::CookieReply, Some(0))));
    for (kind, length) in [(0, 148), (1, 147), (1, 149), (2, 148), (3, 92), (4, 64), (1, 92)] {
        assert_eq!(read(kind, length), None);
    }
    let mut reserved = [0; 148];
    (reserved[0], reserved[3]) = (1, 1);
    assert!(HandshakeMessage::read(&reserved).is_none());
    assert!(HandshakeMessage::read(&[]).is_none() && HandshakeMessage::read(&[1, 0, 0, 0]).is_none());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        kind in 0u8..5,
        length in prop::sample::select(vec![0usize, 3, 4, 64, 91, 92, 148, 149]),
        bytes in prop::collection::vec(any::<u8>(), 150),
    ) {
        let (_, checker, now) = pair();
        let mut bytes = bytes[..length].to_vec();
        if let Some(front) = bytes.get_mut(..4) {
            front.copy_from_slice(&[kind, 0, 0, 0]);
        }
        if let Some(message) = HandshakeMessage::read(&bytes) {
            let macs = checker.check(&message, address("192.0.2.1:1"), now);
            prop_assert_eq!(macs, Macs::Wrong);
            let request = message.request();
            prop_assert_eq!(request.is_none(), message.kind() == MessageKind::CookieReply);
            if let Some(request) = request {
                let reply = checker.reply(&request, address("192.0.2.1:1"), now, [0; 24]);
                prop_assert_eq!(&reply[4..8], &bytes[4..8]);
            }
        }
    }
}
