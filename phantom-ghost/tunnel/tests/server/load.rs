//! Many tunnels at once, and what a datagram costs.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};
use phantom_tunnel::codec;
use tokio::io::AsyncWriteExt as _;

use crate::hostile::Echo;
use crate::program::{Program, processor_time, resident};
use crate::support::{Client, PATIENCE, connect, upgrade};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_idle_tunnels() {
    const TUNNELS: usize = 1000;
    let echo = Echo::start();
    let (program, secret) = Program::configured(echo.port).await;
    let request = upgrade(secret.reveal(), echo.port);
    let empty = resident(program.pid());
    let mut tunnels = Vec::new();
    for _ in 0..TUNNELS {
        tunnels.push(Client::open(connect(program.address).await, &request).await.unwrap());
    }
    let idle = resident(program.pid());
    for tunnel in &mut tunnels {
        tunnel.send(&[5; 1400]).await.unwrap();
        assert_eq!(tunnel.event().await.unwrap(), ('d', vec![5; 1400]));
    }
    let used = resident(program.pid());
    let each = (used - empty) / TUNNELS;
    println!(
        "{TUNNELS} idle tunnels: {empty} KiB before, {idle} KiB open, {used} KiB used once: {each} KiB each"
    );
    assert!(each <= 40, "{each} KiB per tunnel");
    assert_eq!(program.control().await.state().await.unwrap().tunnels, TUNNELS);
    drop(tunnels);
    let begin = Instant::now();
    while program.control().await.state().await.unwrap().tunnels > 0 {
        assert!(begin.elapsed() < PATIENCE, "closed tunnels are noticed");
    }
    println!("{} KiB when all are closed", resident(program.pid()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_busy_tunnels() {
    const ROUNDS: usize = 40;
    let echo = Echo::start();
    let (program, secret) = Program::configured(echo.port).await;
    let request = upgrade(secret.reveal(), echo.port);
    let mut tasks = Vec::new();
    for number in 1..=100_u8 {
        let mut tunnel = Client::open(connect(program.address).await, &request).await.unwrap();
        tasks.push(tokio::spawn(async move {
            for round in 0..ROUNDS {
                // Datagrams may be lost where the echo's own buffer is full; then the round is repeated.
                let datagram = vec![number; 1400 - round];
                let mut back = false;
                while !back {
                    tunnel.send(&datagram).await.unwrap();
                    let wait = Duration::from_secs(1);
                    while let Ok(event) = tokio::time::timeout(wait, tunnel.event()).await {
                        let (kind, bytes) = event.unwrap();
                        assert!(kind == 'd' && bytes.iter().all(|byte| *byte == number), "of another tunnel");
                        if bytes == datagram {
                            back = true;
                            break;
                        }
                    }
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let state = program.control().await.state().await.unwrap();
    println!("100 busy tunnels: {state:?}, {} KiB", resident(program.pid()));
    assert!(state.datagrams_sent >= 100 * ROUNDS as u64);
}

/// A WireGuard with room for bursts, so that what is measured is the tunnel.
fn roomy() -> UdpSocket {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    let _ = setsockopt(&socket, sockopt::RcvBufForce, &(8 << 20));
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    socket
}

/// Counts what comes until nothing comes any more.
fn count(socket: &UdpSocket) -> u64 {
    let (mut count, mut buffer) = (0, vec![0; 65_536]);
    let mut silent = 0;
    while silent < 3 {
        match socket.recv(&mut buffer) {
            Ok(_) => (count, silent) = (count + 1, 0),
            Err(_) => silent += 1,
        }
    }
    count
}

/// Figures for a release build: `cargo test --release -p phantom-tunnel --test server cost -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn cost_of_a_datagram() {
    const DATAGRAMS: u64 = 400_000;
    let wireguard = roomy();
    let port = wireguard.local_addr().unwrap().port();
    let (program, secret) = Program::configured(port).await;
    let request = upgrade(secret.reveal(), port);
    for round in 0..3 {
        let mut client = Client::open(connect(program.address).await, &request).await.unwrap();
        client.send(b"who").await.unwrap();
        // Before it there may be what the round before left over.
        let mut word = [0; 9];
        let from = loop {
            let (length, from) = wireguard.recv_from(&mut word).unwrap();
            if &word[..length] == b"who" {
                break from;
            }
        };
        let before = processor_time(program.pid());
        let begin = Instant::now();
        let sink = wireguard.try_clone().unwrap();
        let counting = tokio::task::spawn_blocking(move || count(&sink));
        let mut frame = Vec::new();
        codec::encode(&mut frame, codec::Kind::Datagram, &[4; 1400], false);
        for _ in 0..DATAGRAMS {
            // One record for each, as wstunnel's client writes them.
            client.stream.write_all(&frame).await.unwrap();
        }
        let took = begin.elapsed();
        let counted = counting.await.unwrap();
        report(&format!("up {round}"), counted, DATAGRAMS, took, processor_time(program.pid()) - before);
        down(&program, &wireguard, &mut client, from, round, DATAGRAMS).await;
    }
}

/// Datagrams on the way down at a time.
const WINDOW: u64 = 128;

async fn down(
    program: &Program,
    wireguard: &UdpSocket,
    client: &mut Client<tokio_rustls::client::TlsStream<tokio::net::TcpStream>>,
    from: SocketAddr,
    round: usize,
    datagrams: u64,
) {
    let before = processor_time(program.pid());
    let begin = Instant::now();
    let source = wireguard.try_clone().unwrap();
    source.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let sending = tokio::task::spawn_blocking(move || {
        // At most this many on the way, so that the tunnel's small buffer overflows rarely. What is not acknowledged in
        // time is lost.
        let (mut sent, mut free) = (0, WINDOW);
        while sent < datagrams {
            while sent < free.min(datagrams) {
                source.send_to(&[4; 1400], from).unwrap();
                sent += 1;
            }
            let mut acknowledged = [0; 9];
            free = match source.recv(&mut acknowledged) {
                Ok(9) => {
                    acknowledged[1..].try_into().map(u64::from_le_bytes).unwrap().max(free - WINDOW) + WINDOW
                }
                _ => sent + WINDOW,
            };
        }
    });
    let mut counted = 0_u64;
    while counted < datagrams {
        match tokio::time::timeout(Duration::from_secs(1), client.event()).await {
            Ok(Some(('d', _))) => counted += 1,
            Ok(Some(_)) => continue,
            _ => break,
        }
        if counted.is_multiple_of(32) {
            client.send(&[&b"a"[..], &counted.to_le_bytes()].concat()).await.unwrap();
        }
    }
    let took = begin.elapsed();
    sending.await.unwrap();
    report(&format!("down {round}"), counted, datagrams, took, processor_time(program.pid()) - before);
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn report(name: &str, counted: u64, of: u64, took: Duration, spent: u64) {
    let rate = counted as f64 * 1400.0 * 8.0 / took.as_secs_f64() / 1e6;
    let each = spent as f64 * 1000.0 / counted as f64;
    println!("{name}: {counted} of {of} datagrams, {rate:.0} Mbit/s, {each:.2} µs of the server each");
}
