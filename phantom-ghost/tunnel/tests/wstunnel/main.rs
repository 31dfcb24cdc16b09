//! Our server with wstunnel's client, and our client with wstunnel's server: the real programs, of every version that is
//! at hand. Where none is, the tests say so and are skipped.

#![expect(clippy::unwrap_used, reason = "a test ends where something it needs is not there")]

mod stock;
mod support;

use std::time::Duration;

use phantom_tunnel::client::Trust;
use phantom_tunnel::secrets::Secret;
use phantom_tunnel::server::Server;
use tokio::time::{Instant, sleep};

use stock::{long, stocks};
use support::{Local, OurClient, OurServer, PATIENCE, TunnelNet, free_tcp, strict};

#[tokio::test(flavor = "multi_thread")]
async fn stock_client_every_size() {
    for stock in stocks("stock_client_every_size") {
        let world = TunnelNet::new().await;
        let server = world.server(0).await;
        let (_client, address) = stock.client(&world, server.port, world.secret.reveal(), &[]);
        let local = Local::new(address).await;
        local.begin().await;
        local.echo_all().await;
        assert_eq!(server.opened(), 1, "{}", stock.name);
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_client_with_masked_frames() {
    for stock in stocks("stock_client_with_masked_frames") {
        let world = TunnelNet::new().await;
        let server = world.server(0).await;
        let secret = world.secret.reveal();
        let (_client, address) = stock.client(&world, server.port, secret, &["--websocket-mask-frame"]);
        let local = Local::new(address).await;
        local.begin().await;
        local.echo_all().await;
        assert_eq!(server.opened(), 1, "{}", stock.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_client_several_sources() {
    for stock in stocks("stock_client_several_sources") {
        let world = TunnelNet::new().await;
        let server = world.server(0).await;
        let (_client, address) = stock.client(&world, server.port, world.secret.reveal(), &[]);
        let [one, two] = [Local::new(address).await, Local::new(address).await];
        one.begin().await;
        two.begin().await;
        one.echo(b"one").await;
        two.echo(b"two").await;
        one.echo(b"one again").await;
        assert_eq!(server.opened(), 2, "{}", stock.name);
    }
}

/// For as long as it takes a stock end to give up a silent peer, and for three minutes in a long run.
#[tokio::test(flavor = "multi_thread")]
async fn stock_client_idle() {
    for stock in stocks("stock_client_idle") {
        let world = TunnelNet::new().await;
        let (millis, secret) = (Duration::from_millis, world.secret.reveal());
        let quick = Server::builder().ping(millis(400), millis(800));
        let (builder, options, idle) = if long() {
            (Server::builder(), [].as_slice(), Duration::from_mins(3))
        } else {
            (quick, ["--websocket-ping-frequency", "1s"].as_slice(), Duration::from_secs(8))
        };
        let server = OurServer::start(&world, builder, 0).await;
        let (_client, address) = stock.client(&world, server.port, secret, options);
        let local = Local::new(address).await;
        local.begin().await;
        sleep(idle).await;
        assert_eq!(server.handle.state().tunnels, 1, "{}", stock.name);
        local.echo(b"still here").await;
        assert_eq!(server.opened(), 1, "{}", stock.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_client_with_wrong_secret_backs_off() {
    for stock in stocks("stock_client_with_wrong_secret_backs_off") {
        let world = TunnelNet::new().await;
        let server = OurServer::start(&world, Server::builder().limits(strict()), 0).await;
        let wrong = Secret::generate();
        let (_client, address) = stock.client(&world, server.port, wrong.reveal(), &[]);
        let local = Local::new(address).await;
        assert!(!local.try_begin(Duration::from_secs(5)).await);
        let state = server.handle.state();
        assert_eq!(state.tunnels_opened, 0, "{}", stock.name);
        assert!((1..100).contains(&state.refusals), "{}: {state:?}", stock.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_client_comes_back_after_a_restart() {
    for stock in stocks("stock_client_comes_back_after_a_restart") {
        let world = TunnelNet::new().await;
        let server = world.server(free_tcp()).await;
        let port = server.port;
        let (_client, address) = stock.client(&world, port, world.secret.reveal(), &[]);
        let local = Local::new(address).await;
        local.begin().await;
        server.stop().await;
        let server = world.server(port).await;
        local.begin().await;
        local.echo_all().await;
        assert_eq!(server.opened(), 1, "{}", stock.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_client_survives_a_wireguard_restart() {
    for stock in stocks("stock_client_survives_a_wireguard_restart") {
        let mut world = TunnelNet::new().await;
        let server = world.server(0).await;
        let (_client, address) = stock.client(&world, server.port, world.secret.reveal(), &[]);
        let local = Local::new(address).await;
        local.begin().await;
        world.echo.close().await;
        for _ in 0..5 {
            local.0.send(b"refused").await.unwrap();
            sleep(Duration::from_millis(50)).await;
        }
        world.echo.open().await;
        local.begin().await;
        local.echo(b"there again").await;
        assert_eq!(server.opened(), 1, "{}", stock.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_client_verifies_our_certificate() {
    for stock in stocks("stock_client_verifies_our_certificate") {
        let mut world = TunnelNet::new().await;
        let server = OurServer::start(&world, Server::builder().limits(strict()), 0).await;
        std::mem::swap(&mut world.ca, &mut world.stranger);
        let (_client, address) = stock.client(&world, server.port, world.secret.reveal(), &[]);
        let local = Local::new(address).await;
        assert!(!local.try_begin(Duration::from_secs(3)).await, "{}: trusts anyone", stock.name);
        assert_eq!(server.opened(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_server_every_size() {
    for stock in stocks("stock_server_every_size") {
        let world = TunnelNet::new().await;
        let port = free_tcp();
        let _server = stock.server(&world, port, &[]).await;
        let client = OurClient::start(world.client(port));
        client.tells("opened").await;
        let local = Local::new(client.local).await;
        local.begin().await;
        local.echo_all().await;
        assert_eq!(client.told(), ["opened"], "{}", stock.name);
        client.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_server_idle() {
    for stock in stocks("stock_server_idle") {
        let world = TunnelNet::new().await;
        let port = free_tcp();
        let mut config = world.client(port);
        let (options, idle) = if long() {
            ([].as_slice(), Duration::from_mins(3))
        } else {
            config.ping = Duration::from_millis(400)..=Duration::from_millis(800);
            (["--websocket-ping-frequency", "1s"].as_slice(), Duration::from_secs(8))
        };
        let _server = stock.server(&world, port, options).await;
        let client = OurClient::start(config);
        client.tells("opened").await;
        let local = Local::new(client.local).await;
        local.begin().await;
        sleep(idle).await;
        local.echo(b"still here").await;
        assert_eq!(client.told(), ["opened"], "{}", stock.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_server_is_asked_rarely_after_refusal() {
    for stock in stocks("stock_server_is_asked_rarely_after_refusal") {
        let world = TunnelNet::new().await;
        let port = free_tcp();
        let _server = stock.server(&world, port, &[]).await;
        let mut config = world.client(port);
        config.secret = Secret::generate();
        let secret = config.secret.reveal().to_owned();
        let client = OurClient::start(config);
        sleep(Duration::from_secs(6)).await;
        let told = client.told();
        let failed = told.iter().filter(|told| told.starts_with("failed: ")).count();
        // At once, after 1 to 2 seconds, after 2 to 4 more, perhaps; then after 4 or more.
        assert!((2..=3).contains(&failed), "{}: {told:?}", stock.name);
        assert!(told[0].contains("status 400") && !told.concat().contains(&secret), "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_server_restarts() {
    for stock in stocks("stock_server_restarts") {
        let world = TunnelNet::new().await;
        let port = free_tcp();
        let server = stock.server(&world, port, &[]).await;
        let client = OurClient::start(world.client(port));
        let local = Local::new(client.local).await;
        local.begin().await;
        drop(server);
        client.tells("ended").await;
        let _server = stock.server(&world, port, &[]).await;
        let start = Instant::now();
        local.begin().await;
        local.echo_all().await;
        assert!(start.elapsed() < PATIENCE, "{}: {:?}", stock.name, client.told());
        assert_eq!(client.told().iter().filter(|told| *told == "opened").count(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_server_certificate_is_verified() {
    for stock in stocks("stock_server_certificate_is_verified") {
        let world = TunnelNet::new().await;
        let port = free_tcp();
        let _server = stock.server(&world, port, &[]).await;
        let mut pinned = world.client(port);
        pinned.trust = Trust::Authorities { ca_file: Some(world.ca.clone()), pin: Some(world.pin) };
        OurClient::start(pinned).tells("opened").await;
        let mut stranger = world.client(port);
        stranger.trust = Trust::Authorities { ca_file: Some(world.stranger.clone()), pin: None };
        let told = OurClient::start(stranger).tells("failed").await;
        assert!(told.contains("UnknownIssuer"), "{}: {told}", stock.name);
    }
}
