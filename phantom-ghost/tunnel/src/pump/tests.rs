//! Tunnels over streams in memory and real datagrams.

use std::net::{Ipv4Addr, UdpSocket};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::codec::{Decoder, Violation};

struct Rig {
    peer: DuplexStream,
    wireguard: UdpSocket,
    stop: Option<oneshot::Sender<()>>,
    tunnel: JoinHandle<End>,
    decoder: Decoder,
}

fn plain() -> TunnelOptions {
    TunnelOptions { padding: false, ..TunnelOptions::default() }
}

fn rig(options: TunnelOptions, early: &[u8]) -> Rig {
    let wireguard = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    wireguard.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let endpoint = UdpEndpoint::connected(wireguard.local_addr().unwrap().port()).unwrap();
    wireguard.connect(endpoint.local_addr().unwrap()).unwrap();
    let (peer, stream) = duplex(256 * 1024);
    let (stop, stopped) = oneshot::channel();
    let tunnel = tokio::spawn(Tunnel::new(stream, early.to_vec(), endpoint, options, Some(stopped)));
    Rig { peer, wireguard, stop: Some(stop), tunnel, decoder: Decoder::default() }
}

impl Rig {
    async fn send(&mut self, kind: FrameKind, payload: &[u8]) {
        let mut bytes = Vec::new();
        codec::encode(&mut bytes, kind, payload, true);
        self.peer.write_all(&bytes).await.unwrap();
    }

    /// What WireGuard gets. Blocks only this test's own thread; the tunnel runs on another.
    fn arrived(&self) -> Vec<u8> {
        let mut buffer = vec![0; 65_536];
        let length = self.wireguard.recv(&mut buffer).unwrap();
        buffer[..length].to_vec()
    }

    /// The next frame: its first letter and its payload.
    async fn event(&mut self) -> Option<(char, Vec<u8>)> {
        loop {
            let event = self.decoder.next().unwrap().map(|event| match event {
                FrameEvent::Datagram(bytes) => ('d', bytes.to_vec()),
                FrameEvent::Ping(bytes) => ('i', bytes.to_vec()),
                FrameEvent::Pong(bytes) => ('o', bytes.to_vec()),
                FrameEvent::Close => ('c', Vec::new()),
            });
            if event.is_some() {
                return event;
            }
            let mut buffer = [0; 4096];
            let read = timeout(Duration::from_mins(5), self.peer.read(&mut buffer)).await.unwrap().unwrap();
            if read == 0 {
                return None;
            }
            self.decoder.push(&buffer[..read]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_size_both_ways() {
    let mut rig = rig(plain(), b"");
    for size in [1, 2, 32, 125, 126, 148, 1400, 9000, 65_507] {
        let datagram = vec![7; size];
        rig.send(FrameKind::Datagram, &datagram).await;
        assert!(rig.arrived() == datagram, "{size} up");
        rig.wireguard.send(&datagram).unwrap();
        assert!(rig.event().await.unwrap() == ('d', datagram), "{size} down");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_sent_with_upgrade_are_kept() {
    let mut bytes = Vec::new();
    codec::encode_batch(&mut bytes, [&b"one"[..], b"two", b"three"], true);
    let (early, late) = bytes.split_at(bytes.len() - 2);
    let mut rig = rig(plain(), early);
    assert_eq!([rig.arrived(), rig.arrived()], [&b"one"[..], b"two"], "nothing more has to come for these");
    rig.peer.write_all(late).await.unwrap();
    assert_eq!(rig.arrived(), b"three");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn junk_is_dropped_and_pings_are_answered() {
    let mut rig = rig(plain(), b"");
    rig.send(FrameKind::Datagram, &[0; 300]).await;
    rig.send(FrameKind::Pong, b"unasked").await;
    rig.send(FrameKind::Ping, b"hello").await;
    rig.send(FrameKind::Datagram, b"real").await;
    assert_eq!(rig.event().await.unwrap(), ('o', b"hello".to_vec()));
    assert_eq!(rig.arrived(), b"real");
    rig.wireguard.send(b"").unwrap();
    rig.wireguard.send(b"after nothing").unwrap();
    assert_eq!(rig.event().await.unwrap(), ('d', b"after nothing".to_vec()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn padding_is_junk_beside_the_first_datagrams() {
    let mut rig = rig(TunnelOptions::default(), b"");
    let mut seen = Vec::new();
    for _ in 0..10 {
        rig.wireguard.send(&[4; 1400]).unwrap();
    }
    while seen.len() < 18 {
        seen.push(rig.event().await.unwrap().1[0]);
    }
    seen.retain(|first| *first == 4);
    assert_eq!(seen.len(), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_end_says_close_and_then_nothing() {
    let mut closed = rig(plain(), b"");
    closed.send(FrameKind::Close, b"\x03\xe9").await;
    assert_eq!(closed.event().await, Some(('c', Vec::new())));
    assert_eq!(closed.event().await, None);
    assert!(matches!(closed.tunnel.await.unwrap(), End::Closed));

    let mut broken = rig(plain(), b"");
    broken.peer.write_all(&[0x82, 3, b'a', b'b', b'c', 0x83, 0]).await.unwrap();
    assert_eq!(broken.arrived(), b"abc");
    assert_eq!(broken.event().await, Some(('c', Vec::new())));
    assert!(matches!(broken.tunnel.await.unwrap(), End::Protocol(Violation::Opcode(3))));

    let mut stopped = rig(plain(), b"");
    stopped.stop.take();
    assert_eq!(stopped.event().await, Some(('c', Vec::new())));
    assert!(matches!(stopped.tunnel.await.unwrap(), End::Stopped));

    let gone = rig(plain(), b"");
    drop(gone.peer);
    assert!(matches!(gone.tunnel.await.unwrap(), End::Closed | End::Stream(_)));
}

/// On one thread, so that all of it and the end are there before the tunnel looks for the first time.
#[tokio::test]
async fn data_before_end_of_stream_arrives() {
    let mut rig = rig(plain(), b"");
    let datagrams: Vec<Vec<u8>> = (1..100).map(|number| vec![number; 300]).collect();
    let mut bytes = Vec::new();
    codec::encode_batch(&mut bytes, datagrams.iter().map(Vec::as_slice), true);
    rig.peer.write_all(&bytes).await.unwrap();
    rig.peer.shutdown().await.unwrap();
    assert!(matches!((&mut rig.tunnel).await.unwrap(), End::Closed));
    for datagram in &datagrams {
        assert!(rig.arrived() == *datagram, "{} was lost", datagram[0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wireguard_that_is_away_ends_nothing() {
    let mut rig = rig(plain(), b"");
    let (local, peer) = (rig.wireguard.local_addr().unwrap(), rig.wireguard.peer_addr().unwrap());
    rig.wireguard = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    for _ in 0..5 {
        rig.send(FrameKind::Datagram, b"lost").await;
        rig.send(FrameKind::Ping, b"").await;
        assert_eq!(rig.event().await.unwrap().0, 'o');
    }
    rig.wireguard = UdpSocket::bind(local).unwrap();
    rig.wireguard.connect(peer).unwrap();
    rig.send(FrameKind::Datagram, b"found").await;
    assert_eq!(rig.arrived(), b"found");
}

#[tokio::test(start_paused = true)]
async fn three_missed_pings_end_the_tunnel() {
    let mut quiet = rig(plain(), b"");
    let start = Instant::now();
    for _ in 0..3 {
        assert_eq!(quiet.event().await.unwrap().0, 'i');
    }
    assert_eq!(quiet.event().await.unwrap().0, 'c');
    assert!(matches!(quiet.tunnel.await.unwrap(), End::Silent));
    let lasted = start.elapsed();
    assert!((Duration::from_secs(80)..=Duration::from_secs(161)).contains(&lasted), "{lasted:?}");

    let mut busy = rig(plain(), b"");
    for _ in 0..30 {
        sleep(Duration::from_secs(15)).await;
        busy.send(FrameKind::Pong, b"").await;
    }
    busy.send(FrameKind::Ping, b"end").await;
    assert_eq!(busy.event().await.unwrap(), ('o', b"end".to_vec()), "no ping came before this");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_reads_is_left() {
    let mut rig = rig(plain(), b"");
    let start = Instant::now();
    let datagram = [1; 1400];
    while !rig.tunnel.is_finished() {
        let _ = rig.wireguard.send(&datagram);
        // It speaks, so that it is not silent.
        rig.send(FrameKind::Pong, b"").await;
        sleep(Duration::from_millis(100)).await;
        assert!(start.elapsed() < Duration::from_secs(200));
    }
    assert!(matches!(rig.tunnel.await.unwrap(), End::Stalled));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ping_flood_is_answered_within_bounds() {
    let mut rig = rig(plain(), b"");
    let mut bytes = Vec::new();
    for _ in 0..20_000 {
        codec::encode(&mut bytes, FrameKind::Ping, &[5; 125], true);
    }
    // More than the stream takes at once, while nothing is read: reading goes on and answers are left out.
    rig.peer.write_all(&bytes).await.unwrap();
    rig.send(FrameKind::Datagram, b"still here").await;
    assert_eq!(rig.arrived(), b"still here");
}
