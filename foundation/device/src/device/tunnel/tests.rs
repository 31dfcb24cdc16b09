//! Two tables that speak to each other without a network.

use std::io::IoSlice;
use std::net::SocketAddr;

use phantom_types::{PresharedKey, PrivateKey, PublicKey};

use super::*;
use crate::cookie::HandshakeMessage;
use crate::device::attempts::Attempts;
use crate::device::handshakes::{self, Front, Message};
use crate::device::inbound::Inbound;
use crate::device::outbound::seal_for;
use crate::device::staged::ROOM;
use crate::second::Second;
use crate::tun::{Joiner, Large};
use crate::uapi::{AllowedIp, PeerRequest};

mod sessions;

/// One end: a table, the address that its datagrams come from, and what it has to send.
struct End {
    table: Table,
    front: Front,
    key: PrivateKey,
    address: SocketAddr,
    outbox: Outbox,
}

impl End {
    async fn new(seed: u8, address: &str) -> Self {
        let key = PrivateKey::from_random([seed; 32]);
        let table = Table::new();
        table.set_private_key(Some(&key)).await;
        let (front, ..) = handshakes::queues();
        Self { table, front, key, address: address.parse().unwrap(), outbox: Outbox::default() }
    }

    fn peer(&self, other: &End) -> Arc<Peer> {
        self.table.peer(&other.key.public_key()).unwrap()
    }

    /// Sends a packet to the other end.
    fn seal(&mut self, other: &End, packet: &[u8]) {
        let peer = self.peer(other);
        self.seal_for(&peer, packet);
    }

    fn seal_for(&mut self, peer: &Arc<Peer>, packet: &[u8]) {
        let packet = Large::read(packet, false).unwrap();
        seal_for(&self.table, peer, &packet, Instant::now(), &mut self.outbox);
    }

    /// Receives datagrams and returns what was in them.
    fn receive(&mut self, datagrams: Vec<Vec<u8>>, from: SocketAddr) -> Vec<Vec<u8>> {
        let (from, mut admitted) = (Endpoint::new(from, None), Vec::new());
        for mut datagram in datagrams {
            if let Some(message) = HandshakeMessage::read(&datagram) {
                let message = Message::new(&message, from);
                handshakes::take(&self.table, &message, &mut self.outbox);
                continue;
            }
            let (mut inbound, all) = (Inbound::new(Joiner::new(true, true)), 0..datagram.len());
            let (table, front, outbox) = (&self.table, &self.front, &mut self.outbox);
            let one = std::iter::once(all);
            inbound.open(table, front, &mut datagram, one, from, outbox);
            inbound.joiner.take(&mut datagram, true, |parts| admitted.push(flat(&parts[1..])));
        }
        admitted
    }

    /// What it has to send now.
    fn sent(&mut self) -> Vec<Vec<u8>> {
        let sent = self.outbox.datagrams().map(<[u8]>::to_vec).collect();
        self.outbox.clear();
        sent
    }
}

/// What several parts are together.
fn flat(parts: &[IoSlice<'_>]) -> Vec<u8> {
    parts.iter().flat_map(|part| part.to_vec()).collect()
}

/// Lets datagrams pass until there are no more; what `a` and `b` were sent.
fn run(a: &mut End, b: &mut End) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let (mut to_a, mut to_b) = (Vec::new(), Vec::new());
    for _ in 0..10 {
        let (from_a, from_b) = (a.sent(), b.sent());
        to_b.extend(b.receive(from_a, a.address));
        to_a.extend(a.receive(from_b, b.address));
    }
    (to_a, to_b)
}

fn request(key: PublicKey, network: &str) -> PeerRequest {
    let network = network.parse().unwrap();
    PeerRequest { allowed_ips: vec![AllowedIp { network, remove: false }], ..PeerRequest::new(key) }
}

/// A client 10.0.0.2 that knows where its server 10.0.0.1 is.
async fn pair() -> (End, End) {
    let (client, server) = (End::new(1, "192.0.2.2:1000").await, End::new(2, "192.0.2.1:51820").await);
    let to_server =
        PeerRequest { endpoint: Some(server.address), ..request(server.key.public_key(), "10.0.0.1/32") };
    client.table.set_peers(vec![to_server], false).await;
    server.table.set_peers(vec![request(client.key.public_key(), "10.0.0.2/32")], false).await;
    (client, server)
}

/// Waits as long as two handshakes of one peer have to be apart.
fn pause() {
    std::thread::sleep(PACE);
}

/// An IPv4 packet without content.
fn packet(from: u8, to: u8) -> Vec<u8> {
    let mut packet = vec![0; 20];
    (packet[0], packet[3]) = (0x45, 20);
    packet[12..20].copy_from_slice(&[10, 0, 0, from, 10, 0, 0, to]);
    packet
}

/// An initiation of the client, as of a program that was started just now.
fn begun(client: &End, server: &End) -> Vec<u8> {
    pause(); // so that each has a time of its own
    Second::new(*client.key.as_bytes(), *server.key.public_key().as_bytes(), None).initiate()
}

/// Whether the server says of this initiation that the client's clock was set back.
fn tells(server: &mut End, client: &End, initiation: &[u8]) -> bool {
    pause();
    let message = HandshakeMessage::read(initiation).unwrap();
    let message = Message::new(&message, Endpoint::new(client.address, None));
    handshakes::take(&server.table, &message, &mut server.outbox).is_some()
}

#[tokio::test]
async fn a_client_whose_clock_was_set_back_is_told_once_and_forgiven_when_it_is_right() {
    let (client, mut server) = pair().await;
    let old: Vec<_> = (0..4).map(|_| begun(&client, &server)).collect();
    let newest = begun(&client, &server);
    let status = |server: &End| server.peer(&client).status();
    assert!(!tells(&mut server, &client, &newest));
    assert_eq!(server.sent().len(), 1, "it is answered");
    let heard = status(&server).rx_bytes;
    // One that comes again, by the network or by a stranger, tells nothing, however often.
    for _ in 0..5 {
        assert!(!tells(&mut server, &client, &newest));
    }
    assert!(!tells(&mut server, &client, &old[0]));
    assert_eq!(status(&server).refused_handshakes, 0);
    assert!(tells(&mut server, &client, &old[1]));
    assert_eq!(status(&server).refused_handshakes, 3);
    assert!(!tells(&mut server, &client, &old[2]), "it is said once");
    assert_eq!((status(&server).refused_handshakes, status(&server).rx_bytes), (4, heard));
    assert_eq!(server.sent().len(), 0, "none of them is answered");
    // The clock is right again.
    let later = begun(&client, &server);
    assert!(!tells(&mut server, &client, &later));
    assert_eq!((server.sent().len(), status(&server).refused_handshakes), (1, 0));
    assert!(!tells(&mut server, &client, &old[3]), "a single old one tells nothing");
}

#[tokio::test]
async fn a_packet_begins_a_handshake_and_arrives_after_it() {
    let (mut client, mut server) = pair().await;
    assert!(server.peer(&client).state().tunnel.is_none(), "a tunnel that nobody wanted");
    client.seal(&server, &packet(2, 1));
    assert_eq!(run(&mut client, &mut server), (vec![], vec![packet(2, 1)]));
    server.seal(&client, &packet(1, 2));
    assert_eq!(run(&mut client, &mut server), (vec![packet(1, 2)], vec![]));

    let (at_client, at_server) = (client.peer(&server).status(), server.peer(&client).status());
    assert!(at_client.last_handshake.is_some() && at_server.last_handshake.is_some());
    assert_eq!(at_server.endpoint, Some(client.address));
    assert_eq!(at_client.tx_bytes, at_server.rx_bytes);
    assert_eq!(at_server.tx_bytes, at_client.rx_bytes);
    // An initiation, the packet that waited, and the keepalive that confirms: 148 + 32 + 20 + padding + 32.
    assert_eq!(at_client.tx_bytes, 148 + 32 + 32 + 32);
}

#[tokio::test]
async fn a_handshake_counts_as_done_when_the_other_end_has_used_it() {
    let (mut client, mut server) = pair().await;
    client.seal(&server, &packet(2, 1));
    let initiation = client.sent();
    server.receive(initiation, client.address);
    assert_eq!(server.peer(&client).status().last_handshake, None);
    run(&mut client, &mut server);
    assert!(server.peer(&client).status().last_handshake.is_some());
}

#[tokio::test]
async fn packets_of_others_are_not_let_in() {
    let (mut client, mut server) = pair().await;
    client.seal(&server, &packet(3, 1));
    client.seal(&server, b"no IP packet");
    client.seal(&server, &packet(2, 1));
    assert_eq!(run(&mut client, &mut server).1, [packet(2, 1)]);
}

#[tokio::test]
async fn the_peer_is_followed_to_where_it_sends_from() {
    let (mut client, mut server) = pair().await;
    client.seal(&server, &packet(2, 1));
    run(&mut client, &mut server);
    client.address = "198.51.100.7:9".parse().unwrap();
    client.seal(&server, &packet(2, 1));
    let genuine = client.sent().remove(0);
    let mut forged = genuine.clone();
    forged[20] ^= 1;
    server.receive(vec![forged], "203.0.113.1:1".parse().unwrap());
    assert_eq!(server.peer(&client).status().endpoint, Some("192.0.2.2:1000".parse().unwrap()));
    server.receive(vec![genuine], client.address);
    assert_eq!(server.peer(&client).status().endpoint, Some(client.address));
}

#[tokio::test]
async fn an_old_handshake_cannot_be_played_again() {
    let (mut client, mut server) = pair().await;
    client.seal(&server, &packet(2, 1));
    let initiation = client.sent();
    server.receive(initiation.clone(), client.address);
    assert_eq!(server.sent().len(), 1);
    let attacker = "203.0.113.1:1".parse().unwrap();
    pause(); // so that it does not only come too soon
    server.receive(initiation, attacker);
    assert_eq!(server.sent().len(), 0);
    assert_eq!(server.peer(&client).status().endpoint, Some(client.address));
}

#[tokio::test]
async fn a_peer_may_come_before_the_private_key_and_outlives_it() {
    let (mut client, mut server) = pair().await;
    server.table.set_private_key(None).await;
    client.seal(&server, &packet(2, 1));
    let lost = client.sent();
    server.receive(lost, client.address);
    assert!(server.sent().is_empty());

    let key = PrivateKey::from_random([9; 32]);
    server.table.set_private_key(Some(&key)).await;
    server.key = key;
    let moved =
        PeerRequest { endpoint: Some(server.address), ..request(server.key.public_key(), "10.0.0.1/32") };
    client.table.set_peers(vec![moved], true).await;
    client.seal(&server, &packet(2, 1));
    assert_eq!(run(&mut client, &mut server).1, [packet(2, 1)]);
}

#[tokio::test]
async fn another_private_key_ends_the_sessions() {
    let (mut client, mut server) = pair().await;
    client.seal(&server, &packet(2, 1));
    run(&mut client, &mut server);
    server.table.set_private_key(Some(&PrivateKey::from_random([9; 32]))).await;
    client.seal(&server, &packet(2, 1));
    assert_eq!(run(&mut client, &mut server), (vec![], vec![]));
}

#[tokio::test]
async fn a_preshared_key_counts_from_the_next_handshake_on() {
    let (mut client, mut server) = pair().await;
    client.seal(&server, &packet(2, 1));
    run(&mut client, &mut server);
    let secret = Some(PresharedKey::from_bytes([7; 32]));
    let with = PeerRequest { preshared_key: secret.clone(), ..PeerRequest::new(client.key.public_key()) };
    server.table.set_peers(vec![with], false).await;
    client.seal(&server, &packet(2, 1));
    assert_eq!(run(&mut client, &mut server).1, [packet(2, 1)], "the session goes on");

    let fresh = client.peer(&server);
    fresh.state().tunnel = None;
    pause();
    client.seal(&server, &packet(2, 1));
    assert_eq!(run(&mut client, &mut server).1, Vec::<Vec<u8>>::new(), "a handshake without the key");
    let with = PeerRequest { preshared_key: secret, ..PeerRequest::new(server.key.public_key()) };
    client.table.set_peers(vec![with], false).await;
    fresh.state().tunnel = None;
    pause();
    client.seal(&server, &packet(2, 1));
    assert_eq!(run(&mut client, &mut server).1, [packet(2, 1), packet(2, 1)], "with the one that has waited");
}

#[tokio::test]
async fn replacing_peers_keeps_the_session_of_one_that_is_named_again() {
    let (mut client, mut server) = pair().await;
    client.seal(&server, &packet(2, 1));
    run(&mut client, &mut server);
    let before = server.peer(&client).status();
    let again = vec![
        request(client.key.public_key(), "10.0.0.2/32"),
        request(PublicKey::from_bytes([5; 32]), "::/0"),
    ];
    let count = server.table.set_peers(again, true).await;
    assert_eq!((count.added, count.removed, count.total), (1, 0, 2));
    assert_eq!(server.peer(&client).status(), before);
    client.seal(&server, &packet(2, 1));
    assert_eq!(run(&mut client, &mut server).1, [packet(2, 1)]);
    assert_eq!(server.table.set_peers(vec![], true).await.removed, 2);
    client.seal(&server, &packet(2, 1));
    assert_eq!(run(&mut client, &mut server).1, Vec::<Vec<u8>>::new());
    assert_eq!(server.table.indices.len(), 0, "its sessions");
}

#[tokio::test]
async fn a_keepalive_begins_a_handshake_by_itself() {
    let (mut client, mut server) = pair().await;
    assert!(client.table.take_woken().is_empty());
    let often =
        PeerRequest { persistent_keepalive_interval: Some(25), ..PeerRequest::new(server.key.public_key()) };
    client.table.set_peers(vec![often], false).await;
    let woken = client.table.take_woken();
    assert_eq!(woken.len(), 1);
    assert!(tick(&client.table, &woken[0], Instant::now(), &mut client.outbox));
    run(&mut client, &mut server);
    assert!(server.peer(&client).status().last_handshake.is_some());
    assert_eq!(server.table.take_woken().len(), 1, "a session has timers");
}

#[tokio::test]
async fn timers_of_a_peer_without_a_tunnel_are_not_looked_at() {
    let (client, mut server) = pair().await;
    let peer = server.peer(&client);
    assert!(!tick(&server.table, &peer, Instant::now(), &mut server.outbox));
    assert!(peer.state().tunnel.is_none());
}

#[tokio::test]
async fn a_peer_that_begins_too_often_is_answered_at_its_pace() {
    let (mut client, mut server) = pair().await;
    client.seal(&server, &packet(2, 1));
    let initiated = |server: &End| server.peer(&client).state().tunnel.as_ref().unwrap().initiated;
    let again = |server: &mut End| {
        let initiation = begun(&client, server);
        server.receive(vec![initiation], client.address);
        server.sent().len()
    };
    assert_eq!(again(&mut server), 1);
    assert!(initiated(&server).is_some());
    // However slow the machine is, the last one was just now, and then it was not.
    let set = |server: &End, at| server.peer(&client).state().tunnel.as_mut().unwrap().initiated = Some(at);
    set(&server, Instant::now() + Duration::from_hours(1));
    assert_eq!((again(&mut server), again(&mut server)), (0, 0));
    set(&server, Instant::now().checked_sub(PACE).unwrap());
    assert_eq!(again(&mut server), 1);
}

#[tokio::test]
async fn who_knows_a_key_leaves_no_tunnel_behind() {
    let (client, mut server) = pair().await;
    // It names a peer as its sender, which the server learns before it knows whether that is true.
    let stranger = End::new(7, "203.0.113.1:1").await;
    let request = request(stranger.key.public_key(), "10.0.0.7/32");
    server.table.set_peers(vec![request], false).await;
    let mut initiation = begun(&stranger, &server);
    // The time stamp, which only the peer itself can seal.
    initiation[100] ^= 1;
    server.receive(vec![initiation], stranger.address);
    assert_eq!(server.sent().len(), 0);
    assert!(server.peer(&stranger).state().tunnel.is_none() && server.peer(&client).state().tunnel.is_none());
}

#[tokio::test]
async fn packets_wait_for_a_session_and_the_oldest_are_dropped_first() {
    let (mut client, mut server) = pair().await;
    let numbered = |number: u16| {
        let mut packet = packet(2, 1);
        packet[4..6].copy_from_slice(&number.to_be_bytes());
        packet
    };
    for number in 0..300 {
        client.seal(&server, &numbered(number));
    }
    assert_eq!(client.sent().len(), 1, "one handshake for all");
    assert!(client.table.staged.bytes() > 0);
    client.peer(&server).state().tunnel = None;
    client.seal(&server, &numbered(300));
    let arrived = run(&mut client, &mut server).1;
    assert_eq!(arrived, (45..=300).map(numbered).collect::<Vec<_>>());
    assert_eq!(client.table.staged.bytes(), 0);
}

#[tokio::test]
async fn peers_that_are_away_get_a_tunnel_in_turns() {
    let mut client = End::new(1, "192.0.2.2:1000").await;
    client.table.attempts = Attempts::new(2);
    let away = |number| PeerRequest {
        endpoint: Some("192.0.2.9:9".parse().unwrap()),
        ..PeerRequest::new(PublicKey::from_bytes([number; 32]))
    };
    client.table.set_peers((1..=4).map(away).collect(), false).await;
    let peers = client.table.all();
    let mut send = || {
        for peer in &peers {
            client.seal_for(peer, &packet(2, 1));
        }
        peers.iter().map(|peer| peer.state().tunnel.is_some()).collect::<Vec<_>>()
    };
    assert_eq!(send(), [true, true, false, false]);
    assert_eq!(send(), [true, true, false, false], "nobody loses its tunnel at once");
    assert_eq!(client.sent().len(), 2);
}

#[tokio::test]
async fn a_peer_that_is_busy_keeps_its_tunnel() {
    let mut client = End::new(1, "192.0.2.2:1000").await;
    client.table.attempts = Attempts::new(1);
    let away = |number| PeerRequest {
        endpoint: Some("192.0.2.9:9".parse().unwrap()),
        ..PeerRequest::new(PublicKey::from_bytes([number; 32]))
    };
    client.table.set_peers((1..=2).map(away).collect(), false).await;
    let peers = client.table.all();
    let later = Instant::now() + Duration::from_secs(6);
    assert!(may_begin(&client.table, &peers[0], Instant::now()));
    let _ = Tunnel::open(&mut peers[0].state(), &client.table, &peers[0], Instant::now());
    let busy = peers[0].state();
    assert!(!may_begin(&client.table, &peers[1], later));
    drop(busy);
    assert!(peers[0].state().tunnel.is_some());
    assert!(may_begin(&client.table, &peers[1], later));
    assert!(peers[0].state().tunnel.is_none());
}

#[tokio::test]
async fn packets_for_peers_that_are_away_have_one_room_for_all() {
    let mut client = End::new(1, "192.0.2.2:1000").await;
    let away = |number: u16| {
        let mut key = [9; 32];
        key[..2].copy_from_slice(&number.to_be_bytes());
        PeerRequest {
            endpoint: Some("192.0.2.9:9".parse().unwrap()),
            ..PeerRequest::new(PublicKey::from_bytes(key))
        }
    };
    client.table.set_peers((0..100).map(away).collect(), false).await;
    for peer in client.table.all() {
        (0..256).for_each(|_| client.seal_for(&peer, &[0x45; 1420]));
    }
    let staged = &client.table.staged;
    assert!((ROOM - 2000..=ROOM).contains(&staged.bytes()), "{} bytes", staged.bytes());
    let share = ROOM / 100 / (1420 + 80) - 1;
    for peer in client.table.all().iter().skip(50) {
        assert!(staged.take(&peer.key).len() >= share);
    }
    client.table.set_peers(vec![], true).await;
    assert_eq!(client.table.staged.bytes(), 0, "of peers that were removed");
}
