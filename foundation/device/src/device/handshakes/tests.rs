//! The front of a device under load, and two devices of which one is.

use std::net::SocketAddr;
use std::time::Duration;

use gotatun::noise::index_table::IndexTable;
use gotatun::noise::{Tunn, TunnResult};
use gotatun::x25519::StaticSecret;
use phantom_types::PrivateKey;

use super::*;
use crate::cookie::Checker;

struct Server {
    front: HandshakeQueue,
    messages: Messages,
    recipients: Recipients,
    identity: Arc<Identity>,
    checker: Checker,
}

impl Server {
    async fn new() -> Self {
        let table = PeerTable::new(1);
        let key = PrivateKey::from_random([1; 32]);
        table.set_private_key(Some(&key)).await;
        let (front, messages, recipients) = queues();
        let checker = Checker::new(&key.public_key(), [0; 32], Instant::now());
        Self { front, messages, recipients, identity: table.identity().unwrap(), checker }
    }

    /// An initiation that nobody has made but whose first mac is right, from this address.
    fn forged(&mut self, from: SocketAddr, now: Instant) {
        self.send(&self.initiation(), from, now);
    }

    fn initiation(&self) -> [u8; 148] {
        let mut bytes = [0; 148];
        bytes[0] = 1;
        OsRng.fill_bytes(&mut bytes[4..116]);
        let mac1 = self.checker.mac1(&bytes[..116]);
        bytes[116..132].copy_from_slice(&mac1);
        bytes
    }

    fn send(&mut self, bytes: &[u8], from: SocketAddr, now: Instant) {
        let message = HandshakeMessage::read(bytes).unwrap();
        self.front.receive(&self.identity, |index| index == 7, &message, PeerEndpoint::new(from, None), now);
    }

    /// How many wait: proven, unproven, for a cookie.
    fn waiting(&self) -> [usize; 3] {
        [self.messages.proven.len(), self.messages.unproven.len(), self.recipients.0.len()]
    }
}

fn sender(number: u32) -> SocketAddr {
    SocketAddr::from((number.to_be_bytes(), 1))
}

#[tokio::test]
async fn invented_senders_fill_an_eighth_of_queue() {
    let (mut server, now) = (Server::new().await, Instant::now());
    for number in 0..20_000 {
        server.forged(sender(number), now);
    }
    assert_eq!(server.waiting(), [0, QUEUE / 8, QUEUE]);
}

#[tokio::test]
async fn who_has_a_cookie_is_answered_first() {
    let (mut server, now) = (Server::new().await, Instant::now());
    for number in 0..600 {
        server.forged(sender(number), now);
    }
    let mut client = client(&server);
    let home = SocketAddr::from(([127, 0, 0, 1], 4000));
    let second = proven(&mut client, &server, home, now);
    // From its own address and port only.
    server.send(&second, SocketAddr::from(([127, 0, 0, 1], 4001)), now);
    assert_eq!(server.waiting(), [0, 512, 89]);
    server.send(&second, home, now);
    assert_eq!(server.waiting(), [1, 512, 89]);
    assert_eq!(server.messages.next().await.unwrap().from.address, home);
    // Behind a tunnel server on this host everybody has a port of 127.0.0.1, and a bucket.
    for port in 5000..5100 {
        let home = SocketAddr::from(([127, 0, 0, 1], port));
        let second = proven(&mut client, &server, home, now);
        (0..50).for_each(|_| server.send(&second, home, now));
    }
    assert_eq!(server.waiting(), [500, 512, 89]);
}

/// A client as the library has it.
fn client(server: &Server) -> Tunn {
    let (key, limiter) = (StaticSecret::from([2; 32]), Arc::clone(&server.identity.limiter));
    Tunn::new(key, server.identity.public_key, None, None, IndexTable::from_os_rng(), limiter)
}

/// Its initiation with both macs for this address.
fn proven(client: &mut Tunn, server: &Server, home: SocketAddr, now: Instant) -> Packet {
    let first: Packet = client.format_handshake_initiation(true).unwrap().into();
    let request = HandshakeMessage::read(&first).unwrap().request().unwrap();
    let reply = server.identity.checker.reply(&request, home, now, [0; 24]);
    let reply = Packet::copy_from(&reply[..]).try_into_wg().unwrap();
    assert!(matches!(client.handle_incoming_packet(reply), TunnResult::Done));
    client.format_handshake_initiation(true).unwrap().into()
}

#[tokio::test]
async fn replies_to_unsent_messages_are_dropped() {
    let (mut server, now) = (Server::new().await, Instant::now());
    for (kind, length, at) in [(2, 92, 8), (3, 64, 4)] {
        let mut bytes = vec![0; length];
        (bytes[0], bytes[at]) = (kind, 9);
        if kind == 2 {
            let mac1 = server.checker.mac1(&bytes[..60]);
            bytes[60..76].copy_from_slice(&mac1);
        }
        let before = server.waiting();
        server.send(&bytes, sender(1), now);
        assert_eq!(server.waiting(), before);
    }
    let mut cookie = [0; 64];
    (cookie[0], cookie[4]) = (3, 7);
    server.send(&cookie, sender(1), now + Duration::from_secs(1));
    assert_eq!(server.waiting(), [0, 1, 0], "a cookie for a message of ours");
}
