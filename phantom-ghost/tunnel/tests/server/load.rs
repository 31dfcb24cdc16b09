//! Many tunnels at once.

use std::time::{Duration, Instant};

use crate::hostile::Echo;
use crate::program::{Program, resident};
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
        // The server asks those that were idle meanwhile whether they are there.
        let mut event = tunnel.event().await.unwrap();
        while event.0 == 'i' {
            event = tunnel.event().await.unwrap();
        }
        assert_eq!(event, ('d', vec![5; 1400]));
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
                        if kind == 'i' {
                            continue;
                        }
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
