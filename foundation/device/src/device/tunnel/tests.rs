//! Two tables that speak to each other without a network.

use std::net::SocketAddr;

use phantom_types::{PresharedKey, PrivateKey, PublicKey};

use super::*;
use crate::cookie::HandshakeMessage;
use crate::device::attempts::Attempts;
use crate::device::handshakes::{self, Message};
use crate::device::inbound::admit;
use crate::device::staged::ROOM;
use crate::uapi::{AllowedIp, PeerRequest};

/// One end: a table, the address that its datagrams come from, and what it has to send.
struct End {
    table: PeerTable,
    key: PrivateKey,
    address: SocketAddr,
    tx_queue: TxQueue,
}

impl End {
    async fn new(seed: u8, address: &str) -> Self {
        let key = PrivateKey::from_random([seed; 32]);
        let table = PeerTable::new(1);
        table.set_private_key(Some(&key)).await;
        Self { table, key, address: address.parse().unwrap(), tx_queue: TxQueue::default() }
    }

    fn peer(&self, other: &End) -> Arc<Peer> {
        self.table.peer(&other.key.public_key()).unwrap()
    }

    /// Sends a packet to the other end.
    fn seal(&mut self, other: &End, packet: &[u8]) {
        let peer = self.peer(other);
        seal(
            &self.table,
            &peer,
            vec![Packet::copy_from(packet)],
            &mut MtuWatcher::new(1420),
            &mut self.tx_queue,
        );
    }

    /// Receives datagrams and returns what was in them.
    fn receive(&mut self, datagrams: Vec<Packet>, from: SocketAddr) -> Vec<Vec<u8>> {
        let (mut mtu, from) = (MtuWatcher::new(1420), PeerEndpoint::new(from, None));
        let mut admitted = Vec::new();
        for packet in datagrams {
            if let Some(message) = HandshakeMessage::read(&packet) {
                let message = Message::new(&message, from);
                handshakes::take(&self.table, &message, &mut mtu, &mut self.tx_queue);
                continue;
            }
            let index = u32::from_le_bytes(packet[4..8].try_into().unwrap());
            let Some(peer) = self.table.session(index) else { continue };
            let mut opened = Vec::new();
            open(&self.table, &peer, vec![packet], from, &mut mtu, &mut opened, &mut self.tx_queue);
            admit(&self.table, &peer, &mut opened, &mut admitted);
        }
        admitted.iter().map(|packet| packet.to_vec()).collect()
    }

    /// What it has to send now.
    fn sent(&mut self) -> Vec<Packet> {
        self.tx_queue.drain().flat_map(|parcel| parcel.packets).collect()
    }
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
fn begun(client: &End, server: &End) -> Packet {
    pause(); // so that each has a time of its own
    let identity = client.table.identity().unwrap();
    let key = x25519::PublicKey::from(*server.key.public_key().as_bytes());
    let limiter = Arc::clone(&identity.limiter);
    let indices = gotatun::noise::index_table::IndexTable::from_os_rng();
    let mut noise = Tunn::new(identity.private_key.clone(), key, None, None, indices, limiter);
    WgKind::from(noise.format_handshake_initiation(true).unwrap()).into()
}

/// Whether the server says of this initiation that the client's clock was set back.
fn tells(server: &mut End, client: &End, initiation: &Packet) -> bool {
    pause();
    let message = HandshakeMessage::read(initiation).unwrap();
    let message = Message::new(&message, PeerEndpoint::new(client.address, None));
    handshakes::take(&server.table, &message, &mut MtuWatcher::new(1420), &mut server.tx_queue).is_some()
}

#[tokio::test]
async fn client_clock_set_back_is_reported_once() {
    let (client, mut server) = pair().await;
    let old: Vec<Packet> = (0..4).map(|_| begun(&client, &server)).collect();
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
async fn first_packet_starts_handshake_and_arrives() {
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
async fn handshake_is_done_at_first_use() {
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
async fn endpoint_follows_the_peer() {
    let (mut client, mut server) = pair().await;
    client.seal(&server, &packet(2, 1));
    run(&mut client, &mut server);
    client.address = "198.51.100.7:9".parse().unwrap();
    client.seal(&server, &packet(2, 1));
    let mut forged = Packet::copy_from(&client.sent()[0][..]);
    let genuine = Packet::copy_from(&forged[..]);
    forged.buf_mut()[20] ^= 1;
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
    let copy = || initiation.iter().map(|packet| Packet::copy_from(&packet[..])).collect::<Vec<_>>();
    server.receive(copy(), client.address);
    assert_eq!(server.sent().len(), 1);
    let attacker = "203.0.113.1:1".parse().unwrap();
    server.receive(copy(), attacker);
    assert_eq!(server.sent().len(), 0);
    assert_eq!(server.peer(&client).status().endpoint, Some(client.address));
}

#[tokio::test]
async fn peer_may_precede_and_outlive_private_key() {
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
async fn preshared_key_applies_from_next_handshake() {
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
async fn replacing_peers_keeps_sessions_of_named_ones() {
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
    server.table.sweep();
    assert!(server.table.sessions.read().unwrap().is_empty());
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
    assert!(tick(&client.table, &woken[0], &mut client.tx_queue));
    run(&mut client, &mut server);
    assert!(server.peer(&client).status().last_handshake.is_some());
    assert_eq!(server.table.take_woken().len(), 1, "a session has timers");
}

#[tokio::test]
async fn timers_of_peers_without_tunnel_are_skipped() {
    let (client, mut server) = pair().await;
    let peer = server.peer(&client);
    assert!(!tick(&server.table, &peer, &mut server.tx_queue));
    assert!(peer.state().tunnel.is_none());
}

#[tokio::test]
async fn peer_that_initiates_too_often_is_paced() {
    let (mut client, mut server) = pair().await;
    client.seal(&server, &packet(2, 1));
    let initiated = |server: &End| server.peer(&client).state().tunnel.as_ref().unwrap().initiated;
    let again = |server: &mut End| {
        let initiation =
            client.peer(server).state().tunnel.as_mut().unwrap().noise.format_handshake_initiation(true);
        server.receive(vec![Packet::from(initiation.unwrap())], client.address);
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
async fn knowing_a_key_alone_leaves_no_tunnel() {
    let (client, mut server) = pair().await;
    // It names a peer as its sender, which the server learns before it knows whether that is true.
    let stranger = End::new(7, "203.0.113.1:1").await;
    let (ours, theirs) = (server.table.identity().unwrap(), stranger.table.identity().unwrap());
    let mut noise = Tunn::new(
        theirs.private_key.clone(),
        ours.public_key,
        None,
        None,
        stranger.table.indices.clone(),
        Arc::clone(&theirs.limiter),
    );
    let request = request(stranger.key.public_key(), "10.0.0.7/32");
    server.table.set_peers(vec![request], false).await;
    let mut initiation: Packet = noise.format_handshake_initiation(true).unwrap().into();
    // The time stamp, which only the peer itself can seal.
    initiation.buf_mut()[100] ^= 1;
    server.receive(vec![initiation], stranger.address);
    assert_eq!(server.sent().len(), 0);
    assert!(server.peer(&stranger).state().tunnel.is_none() && server.peer(&client).state().tunnel.is_none());
}

#[tokio::test]
async fn waiting_packets_drop_the_oldest_first() {
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
async fn absent_peers_get_a_tunnel_in_turns() {
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
            let packets = vec![Packet::copy_from(&packet(2, 1)[..])];
            seal(&client.table, peer, packets, &mut MtuWatcher::new(1420), &mut client.tx_queue);
        }
        peers.iter().map(|peer| peer.state().tunnel.is_some()).collect::<Vec<_>>()
    };
    assert_eq!(send(), [true, true, false, false]);
    assert_eq!(send(), [true, true, false, false], "nobody loses its tunnel at once");
    assert_eq!(client.sent().len(), 2);
}

#[tokio::test]
async fn busy_peer_keeps_its_tunnel() {
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
    let _ = PeerTunnel::open(&mut peers[0].state(), &client.table, &peers[0], Instant::now());
    let busy = peers[0].state();
    assert!(!may_begin(&client.table, &peers[1], later));
    drop(busy);
    assert!(peers[0].state().tunnel.is_some());
    assert!(may_begin(&client.table, &peers[1], later));
    assert!(peers[0].state().tunnel.is_none());
}

#[tokio::test]
async fn packets_for_absent_peers_share_one_room() {
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
    let mut mtu = MtuWatcher::new(1420);
    for peer in client.table.all() {
        let packets = (0..256).map(|_| Packet::copy_from(&[0x45; 1420][..])).collect();
        seal(&client.table, &peer, packets, &mut mtu, &mut client.tx_queue);
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
