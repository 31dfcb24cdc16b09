//! Our client, `verify` and `probe` with our server.

#![expect(clippy::unwrap_used, reason = "a test ends where something it needs is not there")]

#[path = "../wstunnel/support.rs"]
mod support;

mod probing;
mod verifying;
mod ways;

use std::time::Duration;

use phantom_tunnel::client::Trust;
use phantom_tunnel::secrets::Secret;
use phantom_tunnel::server::Server;
use tokio::time::sleep;

use support::{Local, NAME, OurClient, OurServer, TunnelNet, free_tcp, strict};

#[tokio::test(flavor = "multi_thread")]
async fn every_size_there_and_back() {
    let world = TunnelNet::new().await;
    let server = world.server(0).await;
    let client = OurClient::start(world.client(server.port));
    let local = Local::new(client.local).await;
    local.begin().await;
    local.echo_all().await;
    assert_eq!((server.opened(), client.told()), (1, vec!["opened".to_owned()]));
    client.stop().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wireguard_on_another_port_keeps_its_tunnel() {
    let world = TunnelNet::new().await;
    let server = world.server(0).await;
    let client = OurClient::start(world.client(server.port));
    for _ in 0..3 {
        let local = Local::new(client.local).await;
        local.begin().await;
        local.echo(b"from here").await;
    }
    assert_eq!(server.opened(), 1);
}

/// What is sent before there is a tunnel arrives if it is young, and not if it is old.
#[tokio::test(flavor = "multi_thread")]
async fn fresh_datagrams_wait_stale_ones_drop() {
    let world = TunnelNet::new().await;
    let port = free_tcp();
    let client = OurClient::start(world.client(port));
    let local = Local::new(client.local).await;
    client.tells("failed").await;
    local.0.send(b"\x04stale").await.unwrap();
    sleep(Duration::from_millis(1200)).await;
    let server = world.server(port).await;
    // One every 100 ms: whichever come in the last second before the tunnel opens have to arrive.
    let mut answers = Vec::new();
    for number in 0..60_u8 {
        local.0.send(&[4, number]).await.unwrap();
        answers.extend(local.answer(Duration::from_millis(100)).await);
        if answers.len() > 12 {
            break;
        }
    }
    assert!(!answers.contains(&b"\x04stale".to_vec()), "{answers:?}");
    let numbers: Vec<u8> = answers.iter().map(|answer| answer[1]).collect();
    assert!(numbers.len() > 12 && numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    assert_eq!(server.opened(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn tunnel_returns_after_restart_on_same_socket() {
    let world = TunnelNet::new().await;
    let server = world.server(free_tcp()).await;
    let (port, client) = (server.port, OurClient::start(world.client(server.port)));
    let local = Local::new(client.local).await;
    local.begin().await;
    server.stop().await;
    client.tells("ended: closed by the other end").await;
    let server = world.server(port).await;
    local.begin().await;
    assert_eq!(server.opened(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn tunnel_survives_a_wireguard_restart() {
    let mut world = TunnelNet::new().await;
    let server = world.server(0).await;
    let client = OurClient::start(world.client(server.port));
    let local = Local::new(client.local).await;
    local.begin().await;
    world.echo.close().await;
    for _ in 0..5 {
        local.0.send(b"refused").await.unwrap();
        sleep(Duration::from_millis(50)).await;
    }
    world.echo.open().await;
    local.begin().await;
    assert_eq!((server.opened(), client.told()), (1, vec!["opened".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_server_gets_no_request() {
    let world = TunnelNet::new().await;
    let server = world.server(0).await;
    let other = TunnelNet::new().await;
    for (trust, expected) in [
        (Trust::Authorities { ca_file: Some(world.stranger.clone()), pin: None }, "UnknownIssuer"),
        (
            Trust::Authorities { ca_file: Some(world.ca.clone()), pin: Some(other.pin) },
            "ApplicationVerificationFailure",
        ),
        (Trust::Authorities { ca_file: None, pin: Some(world.pin) }, "UnknownIssuer"),
    ] {
        let mut config = world.client(server.port);
        config.trust = trust;
        let told = OurClient::start(config).tells("failed").await;
        assert!(told.contains(expected), "{told}");
    }
    let mut config = world.client(server.port);
    config.server.host = "www.example.com".parse().unwrap();
    let told = OurClient::start(config).tells("failed").await;
    assert!(told.contains("certificate not valid for name"), "{told}");
    assert_eq!(server.opened(), 0);
    let mut config = world.client(server.port);
    config.trust = Trust::Authorities { ca_file: Some(world.ca.clone()), pin: Some(world.pin) };
    OurClient::start(config).tells("opened").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_secret_is_reported_and_not_shown() {
    let world = TunnelNet::new().await;
    let server = OurServer::start(&world, Server::builder().limits(strict()), 0).await;
    let mut config = world.client(server.port);
    config.secret = Secret::generate();
    let secret = config.secret.reveal().to_owned();
    let client = OurClient::start(config);
    let told = client.tells("failed").await;
    assert!(told.contains("status 404") && told.contains("127.0.0.1"), "{told}");
    sleep(Duration::from_secs(4)).await;
    let told = client.told();
    assert!(told.len() <= 7 && !told.concat().contains(&secret), "{told:?}");
    assert_eq!(server.opened(), 0);
}

/// The resolver does not know the server's name, and no address was told.
#[tokio::test(flavor = "multi_thread")]
async fn unresolvable_name_is_reported() {
    let world = TunnelNet::new().await;
    let mut config = world.client(free_tcp());
    config.address = None;
    config.server.host = "nowhere.invalid".parse().unwrap();
    let told = OurClient::start(config).tells("failed").await;
    assert!(told.contains("nowhere.invalid could not be looked up") && !told.contains(NAME), "{told}");
}
