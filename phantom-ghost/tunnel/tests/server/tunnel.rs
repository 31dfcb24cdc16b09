//! Tunnels through a real server on loopback.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use crate::support::{
    self, Client, NAME, Rig, ask, certificate, connect_with, trusting, unlimited, upgrade,
    validation_certificate,
};
use phantom_tunnel::codec::{self, FrameKind};
use phantom_tunnel::config::KeyPem;
use phantom_tunnel::control::{Challenge, Control, ControlError, ControlServer};
use phantom_tunnel::secrets::Secret;
use phantom_tunnel::server::{Listen, Server};
use rustls::NamedGroup;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_size_both_ways_masked_or_not() {
    let rig = Rig::start().await;
    for masked in [false, true] {
        let mut client = rig.tunnel().await;
        client.masked = masked;
        for size in [1, 31, 32, 125, 126, 148, 1279, 1400, 1500, 9000, 16_384, 65_506, 65_507] {
            let datagram: Vec<u8> = (0..size).map(|at: usize| (at % 250 + 1).to_le_bytes()[0]).collect();
            client.send(&datagram).await.unwrap();
            let (arrived, from) = rig.arrived();
            assert!(arrived == datagram, "{size} up");
            assert_eq!(from.ip(), Ipv4Addr::LOCALHOST);
            rig.wireguard.send_to(&datagram, from).unwrap();
            assert!(client.event().await.unwrap() == ('d', datagram), "{size} down");
        }
    }
    let state = rig.handle.state();
    assert_eq!((state.datagrams_received, state.datagrams_sent, state.tunnels_opened), (26, 26, 2));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_in_request_segment_are_read() {
    let rig = Rig::start().await;
    let mut stream = rig.connect().await;
    let mut bytes = upgrade(rig.secret(), rig.port()).into_bytes();
    codec::encode_batch(&mut bytes, [&b"one"[..], b"two"], true);
    stream.write_all(&bytes).await.unwrap();
    assert_eq!((rig.arrived().0, rig.arrived().0), (b"one".to_vec(), b"two".to_vec()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wireguard_restarts_and_the_tunnel_stays() {
    let mut rig = Rig::start().await;
    let mut client = rig.tunnel().await;
    client.send(b"before").await.unwrap();
    let (_, from) = rig.arrived();
    let place = rig.wireguard.local_addr().unwrap();
    rig.wireguard = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    for _ in 0..10 {
        client.send(b"nobody there").await.unwrap();
        assert!(client.is_alive().await);
    }
    rig.wireguard = UdpSocket::bind(place).unwrap();
    rig.wireguard.set_read_timeout(Some(support::PATIENCE)).unwrap();
    client.send(b"after").await.unwrap();
    assert_eq!(rig.arrived(), (b"after".to_vec(), from));
    rig.wireguard.send_to(b"answer", from).unwrap();
    assert_eq!(client.event().await.unwrap(), ('d', b"answer".to_vec()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_configuration_drops_only_removed_secrets() {
    let (one, two) = (Secret::generate(), Secret::generate());
    let mut rig =
        Rig::with(Server::builder(), |config| config.secrets = vec![one.clone(), two.clone()]).await;
    let mut first = rig.tunnel().await;
    let mut second = Client::open(rig.connect().await, &upgrade(two.reveal(), rig.port())).await.unwrap();

    let new = certificate();
    rig.configuration.certificate_pem.clone_from(&new.chain);
    rig.configuration.key_pem = KeyPem::new(new.key);
    rig.handle.configure(rig.configuration.clone()).await.unwrap();
    assert!(first.is_alive().await && second.is_alive().await, "a new certificate drops nobody");
    connect_with(rig.address, trusting(&new.chain), NAME)
        .await
        .expect("the new certificate is shown at once");

    rig.configuration.secrets = vec![two.clone()];
    rig.handle.configure(rig.configuration.clone()).await.unwrap();
    assert_eq!(first.event().await, Some(('c', Vec::new())));
    assert_eq!(first.event().await, None);
    assert!(second.is_alive().await);
    let refused = Client::open(rig.connect().await, &upgrade(one.reveal(), rig.port())).await;
    assert!(refused.err().unwrap().starts_with("HTTP/1.1 404 "));

    rig.configuration.certificate_pem = "nonsense".to_owned();
    assert!(rig.handle.configure(rig.configuration.clone()).await.is_err());
    rig.configuration.certificate_pem = certificate().chain;
    assert!(rig.handle.configure(rig.configuration.clone()).await.is_err(), "a key of another certificate");
    assert!(second.is_alive().await, "what is refused changes nothing");
    connect_with(rig.address, trusting(&new.chain), NAME).await.unwrap();
    assert_eq!(rig.handle.state().tunnels, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_control_socket_does_the_same() {
    let rig = Rig::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control");
    tokio::spawn(ControlServer::bind(&path, rig.handle.clone()).unwrap().run());
    let mut control = Control::connect(&path).await.unwrap();
    let mut client = rig.tunnel().await;
    control.configure(rig.configuration.clone()).await.unwrap();
    assert!(client.is_alive().await);
    let state = control.state().await.unwrap();
    assert!(state.configured && state.tunnels == 1);

    let mut wrong = rig.configuration.clone();
    wrong.key_pem = KeyPem::new(certificate().key);
    let refused = control.configure(wrong).await.unwrap_err();
    assert!(
        matches!(&refused, ControlError::Refused(text) if text.starts_with("the certificate cannot be used: ")),
        "{refused}"
    );
    assert_eq!(control.state().await.unwrap().tunnels, 1, "the connection lives after a refusal");

    let validation = validation_certificate();
    let acme = || {
        let mut config = support::client_config();
        config.alpn_protocols = vec![b"acme-tls/1".to_vec()];
        config
    };
    assert!(connect_with(rig.address, acme(), NAME).await.is_err());
    let key_pem = KeyPem::new(validation.key.clone());
    let challenge = Challenge { sni: NAME.into(), certificate_pem: validation.chain.clone(), key_pem };
    control.challenge(challenge).await.unwrap();
    let stream = connect_with(rig.address, acme(), NAME).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"acme-tls/1"[..]));
    let mut visit = rig.connect().await;
    assert!(ask(&mut visit, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap().starts_with("HTTP/1.1 200"));
    control.unchallenge(NAME).await.unwrap();
    assert!(connect_with(rig.address, acme(), NAME).await.is_err());

    let mut raw = UnixStream::connect(&path).await.unwrap();
    let secret = rig.secret();
    raw.write_all(format!("{{\"configure\":{{\"secrets\":\"{secret}\"}}}}\n").as_bytes()).await.unwrap();
    let mut reply = vec![0; 1000];
    let read = tokio::io::AsyncReadExt::read(&mut raw, &mut reply).await.unwrap();
    let reply = String::from_utf8_lossy(&reply[..read]).into_owned();
    assert!(reply.starts_with("{\"error\":") && !reply.contains(secret), "{reply}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn front_server_means_no_tls() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("listen");
    let builder = Server::builder().listen(Listen::Unix(path.clone())).limits(unlimited());
    let rig = Rig::with(builder, |_| {}).await;
    let request = upgrade(rig.secret(), rig.port())
        .replace("\r\n\r\n", "\r\nX-Forwarded-For: 10.0.0.1, 198.51.100.7\r\n\r\n");
    let mut client = Client::open(UnixStream::connect(&path).await.unwrap(), &request).await.unwrap();
    client.send(b"hello").await.unwrap();
    assert_eq!(rig.arrived().0, b"hello");
    let mut visit = UnixStream::connect(&path).await.unwrap();
    assert!(ask(&mut visit, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap().starts_with("HTTP/1.1 404"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn post_quantum_key_exchange_is_on() {
    let rig = Rig::start().await;
    let stream = rig.connect().await;
    let group = stream.get_ref().1.negotiated_key_exchange_group().unwrap().name();
    // The client of this test offers it last; a server that prefers it would have to ask again.
    assert!(matches!(group, NamedGroup::X25519MLKEM768 | NamedGroup::X25519), "{group:?}");
    let only = vec![rustls::crypto::aws_lc_rs::kx_group::X25519MLKEM768];
    let config = support::client_config_with(only);
    let stream = connect_with(rig.address, config, NAME).await.unwrap();
    assert_eq!(
        stream.get_ref().1.negotiated_key_exchange_group().unwrap().name(),
        NamedGroup::X25519MLKEM768
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_end_is_announced_to_tunnels() {
    let rig =
        Rig::with(Server::builder().ping(Duration::from_millis(30), Duration::from_millis(60)), |_| {}).await;
    let mut client = rig.tunnel().await;
    assert_eq!(client.event().await.unwrap().0, 'i', "pings come by themselves");
    client.send_kind(FrameKind::Pong, b"").await.unwrap();
    let address = rig.address;
    rig.stop().await;
    let mut last = None;
    while let Some(event) = client.event().await {
        last = Some(event);
    }
    assert_eq!(last, Some(('c', Vec::new())));
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
