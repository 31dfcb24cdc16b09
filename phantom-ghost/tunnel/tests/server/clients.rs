//! Clients with secrets of their own, beside the operator's.

use std::time::{Duration, Instant};

use phantom_tunnel::control::{Clients, Part};
use phantom_tunnel::limits::{Limits, Rate};
use phantom_tunnel::secrets::Secret;
use phantom_tunnel::server::Server;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::hostile::Echo;
use crate::program::{Program, output};
use crate::support::{Client, PATIENCE, Rig, ask, connect, unlimited, upgrade, without_date};

type Tunnel = Client<TlsStream<TcpStream>>;

fn add(secrets: &[&Secret]) -> Clients {
    Clients { add: secrets.iter().map(|secret| secret.digest()).collect(), ..Clients::default() }
}

fn remove(secret: &Secret) -> Clients {
    Clients { remove: vec![secret.digest()], ..Clients::default() }
}

async fn open(rig: &Rig, secret: &Secret) -> Result<Tunnel, String> {
    Client::open(rig.connect().await, &upgrade(secret.reveal(), rig.port())).await
}

/// Waits for the end of a tunnel; how long that took.
async fn end(tunnel: &mut Tunnel) -> Duration {
    let begin = Instant::now();
    while !matches!(tunnel.event().await, Some(('c', _)) | None) {
        assert!(begin.elapsed() < PATIENCE, "the tunnel goes on");
    }
    begin.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removed_client_is_cut_within_a_second() {
    let rig = Rig::start().await;
    let (one, two) = (Secret::generate(), Secret::generate());
    assert!(open(&rig, &one).await.is_err(), "it is not known yet");
    rig.handle.change_clients(&add(&[&one, &two])).unwrap();
    let mut goes = [open(&rig, &one).await.unwrap(), open(&rig, &one).await.unwrap()];
    let mut stays = [open(&rig, &two).await.unwrap(), rig.tunnel().await];
    rig.handle.change_clients(&remove(&one)).unwrap();
    for tunnel in &mut goes {
        assert!(end(tunnel).await < Duration::from_secs(1));
    }
    for tunnel in &mut stays {
        assert!(tunnel.is_alive().await);
    }
    // What was its secret is like any other path.
    let gone = ask(&mut rig.connect().await, &upgrade(one.reveal(), rig.port())).await.unwrap();
    let wrong =
        ask(&mut rig.connect().await, &upgrade(Secret::generate().reveal(), rig.port())).await.unwrap();
    assert_eq!(without_date(&gone), without_date(&wrong));
    assert!(gone.starts_with("HTTP/1.1 404 "), "{gone}");
    assert_eq!(rig.handle.state().clients, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_has_eight_tunnels() {
    let rig = Rig::start().await;
    let (client, other) = (Secret::generate(), Secret::generate());
    rig.handle.change_clients(&add(&[&client, &other])).unwrap();
    let mut tunnels = Vec::new();
    for _ in 0..8 {
        tunnels.push(open(&rig, &client).await.unwrap());
    }
    let ninth = open(&rig, &client).await.err().unwrap();
    assert!(ninth.starts_with("HTTP/1.1 404 "), "{ninth}");
    open(&rig, &other).await.unwrap();
    for _ in 0..9 {
        tunnels.push(rig.tunnel().await);
    }
    for tunnel in &mut tunnels {
        assert!(tunnel.is_alive().await);
    }
}

/// The operator's secret ends, and those of clients do not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operators_secret_ends_alone() {
    let rig = Rig::start().await;
    let client = Secret::generate();
    rig.handle.change_clients(&add(&[&client])).unwrap();
    let (mut shared, mut own) = (rig.tunnel().await, open(&rig, &client).await.unwrap());
    let mut configuration = rig.configuration.clone();
    configuration.secrets.clear();
    rig.handle.configure(configuration).await.unwrap();
    end(&mut shared).await;
    assert!(own.is_alive().await);
    assert!(open(&rig, &rig.configuration.secrets[0]).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_are_changed_over_the_control_socket() {
    let echo = Echo::start();
    let (program, shared) = Program::configured(echo.port).await;
    let mut control = program.control().await;
    let (one, two) = (Secret::generate(), Secret::generate());
    let tunnel = async |secret: &Secret| {
        Client::open(connect(program.address).await, &upgrade(secret.reveal(), echo.port)).await
    };
    control.change_clients(Clients { part: Some(Part::Only), ..add(&[&one]) }).await.unwrap();
    let (mut first, mut operators) = (tunnel(&one).await.unwrap(), tunnel(&shared).await.unwrap());
    control.change_clients(add(&[&two])).await.unwrap();
    let mut second = tunnel(&two).await.unwrap();
    // Whose tunnels stand under the operator's secret shows by the port that WireGuard sees.
    let ports = control.shared_ports().await.unwrap();
    assert_eq!(ports.len(), 1);
    let path = program.control_path();
    let told = output(&["ports", "--control", path.to_str().unwrap()]);
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(told, json!({ "ports": ports }));
    control.change_clients(remove(&one)).await.unwrap();
    end(&mut first).await;
    control.change_clients(Clients { part: Some(Part::Only), ..Clients::default() }).await.unwrap();
    end(&mut second).await;
    assert!(operators.is_alive().await);
    let state = control.state().await.unwrap();
    assert_eq!((state.clients, state.tunnels), (0, 1));
    drop(operators);
    let (success, log) = program.end();
    assert!(success && [&one, &two, &shared].iter().all(|secret| !log.contains(secret.reveal())), "{log}");
    let nobody = output(&["ports", "--control", path.to_str().unwrap()]);
    assert_eq!(nobody.status.code(), Some(1));
    let said: Value = serde_json::from_slice(&nobody.stdout).unwrap();
    assert!(said["error"]["detail"].as_str().unwrap().starts_with("no tunnel server answers at"), "{said}");
    assert_eq!(output(&["ports"]).status.code(), Some(2));
}

/// A message that WireGuard takes for an initiation, and one that it takes for data.
fn initiation(number: u16) -> Vec<u8> {
    [&[1, 0, 0, 0][..], &number.to_be_bytes(), &[0; 142]].concat()
}

const DATA: [u8; 148] = [4; 148];

/// What WireGuard got, until there is no more: initiations, and data.
fn arrived(rig: &Rig) -> [usize; 2] {
    let mut counts = [0; 2];
    rig.wireguard.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut buffer = [0; 2048];
    while let Ok(length) = rig.wireguard.recv(&mut buffer) {
        assert_eq!(length, 148);
        counts[usize::from(buffer[0] != 1)] += 1;
    }
    counts
}

/// To WireGuard all clients in tunnels come from one address. What one of them sends too much is not taken from the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_have_separate_handshake_limits() {
    let rig = Rig::start().await;
    let (greedy, other) = (Secret::generate(), Secret::generate());
    rig.handle.change_clients(&add(&[&greedy, &other])).unwrap();
    let mut tunnels = Vec::new();
    for _ in 0..4 {
        tunnels.push(open(&rig, &greedy).await.unwrap());
    }
    let mut modest = open(&rig, &other).await.unwrap();
    let begin = Instant::now();
    for number in 0..2000 {
        let tunnel = &mut tunnels[usize::from(number) % 4];
        tunnel.send(&initiation(number)).await.unwrap();
        if number % 100 == 0 {
            tunnel.send(&DATA).await.unwrap();
        }
    }
    for tunnel in &mut tunnels {
        assert!(tunnel.is_alive().await);
    }
    let lasted = begin.elapsed();
    let [initiations, data] = arrived(&rig);
    let most = 6 + 5 * usize::try_from(lasted.as_secs() + 1).unwrap();
    assert!((5..=most).contains(&initiations), "{initiations} of 2000 in {lasted:?}");
    assert_eq!(data, 20, "data is never bounded");
    for number in 0..5 {
        modest.send(&initiation(number)).await.unwrap();
    }
    assert!(modest.is_alive().await);
    assert_eq!(arrived(&rig), [5, 0]);
}

/// By the operator's secret many clients come: each has its own share, and all together have a larger one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tunnels_with_operator_secret_have_separate_shares() {
    let limits = Limits { wireguard_handshakes_per_secret: Rate { burst: 12, per_second: 0 }, ..unlimited() };
    let rig = Rig::with(Server::builder().limits(limits), |_| {}).await;
    for expected in [5..=6, 5..=6, 0..=2, 0..=0] {
        let mut tunnel = rig.tunnel().await;
        for number in 0..50 {
            tunnel.send(&initiation(number)).await.unwrap();
        }
        assert!(tunnel.is_alive().await);
        let [initiations, _] = arrived(&rig);
        assert!(expected.contains(&initiations), "{initiations}, not {expected:?}");
    }
}
