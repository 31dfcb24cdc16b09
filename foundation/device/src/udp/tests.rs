//! Tests of the socket on loopback.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::socket::getsockopt;
use phantom_types::PublicKey;

use super::*;
use crate::device::outbox::{Endpoint, Outbox};
use crate::device::peer::Peer;

fn bind(offload: bool) -> Sockets {
    Sockets::try_bind(0, 0, offload, 1).unwrap()
}

fn packets(lengths: &[usize]) -> Vec<Vec<u8>> {
    let packet = |(index, length): (usize, &usize)| vec![index.to_le_bytes()[0]; *length];
    lengths.iter().enumerate().map(packet).collect()
}

/// Sends packets to the same place, and says what is known of it afterwards.
fn send(socket: &Socket, to: Endpoint, packets: &[Vec<u8>]) -> Endpoint {
    let (peer, mut outbox) = (Arc::new(Peer::new(PublicKey::from_bytes([1; 32]))), Outbox::default());
    peer.state().endpoint = Some(to);
    for packet in packets {
        outbox.add(&peer, &to, packet.len(), |datagram| datagram.copy_from_slice(packet));
    }
    socket.send_all(&mut outbox);
    assert!(outbox.is_empty());
    peer.state().endpoint.unwrap()
}

/// Receives this many datagrams with their senders.
fn receive(socket: &Socket, count: usize) -> Vec<(Vec<u8>, Endpoint)> {
    let (mut receiver, mut datagrams, start) = (Receiver::default(), Vec::new(), Instant::now());
    while datagrams.len() < count {
        assert!(start.elapsed() < Duration::from_secs(5), "{} have come", datagrams.len());
        if socket.receive(&mut receiver).is_err() {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        }
        let (messages, buffer) = receiver.split();
        for (from, places) in messages {
            datagrams.extend(places.map(|place| (buffer[place].to_vec(), from)));
        }
    }
    datagrams
}

fn all_arrive(offload: bool, address: &str) {
    let (sender, receiver) = (bind(offload), bind(offload));
    let to = Endpoint::new(SocketAddr::new(address.parse().unwrap(), receiver.port()), None);
    let lengths = [&[1452; 70][..], &[100, 60, 60, 60, 1452, 1452, 1, 1452]].concat();
    let sent = packets(&lengths);
    assert_eq!(send(sender.of(0), to, &sent), to);
    let arrived = receive(receiver.of(0), sent.len());
    assert_eq!(arrived.len(), sent.len());
    for ((bytes, from), packet) in arrived.iter().zip(&sent) {
        assert_eq!(bytes, packet);
        assert_eq!(from.address, SocketAddr::new(address.parse().unwrap(), sender.port()));
        assert_eq!(from.local, Some(address.parse().unwrap()));
    }
}

#[test]
fn everything_arrives_in_order_and_says_where_it_came_from() {
    for offload in [true, false] {
        all_arrive(offload, "127.0.0.1");
        all_arrive(offload, "::1");
    }
}

#[test]
fn one_who_sends_stays_with_one_of_several_sockets() {
    let server = Sockets::try_bind(0, 0, true, 3).unwrap();
    let to = Endpoint::new(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), server.port()), None);
    let clients: Vec<_> = (0..20).map(|_| bind(true)).collect();
    for _ in 0..3 {
        for client in &clients {
            send(client.of(0), to, &packets(&[100]));
        }
    }
    let mut receiver = Receiver::default();
    let mut heard: Vec<Vec<u16>> = vec![Vec::new(); 3];
    for (number, ports) in heard.iter_mut().enumerate() {
        while server.of(number).receive(&mut receiver).is_ok() {
            ports.extend(receiver.split().0.map(|(from, _)| from.address.port()));
        }
    }
    assert_eq!(heard.iter().map(Vec::len).sum::<usize>(), 60);
    for client in &clients {
        let mut counts: Vec<_> =
            heard.iter().map(|ports| ports.iter().filter(|port| **port == client.port()).count()).collect();
        counts.sort_unstable();
        assert_eq!(counts, [0, 0, 3]);
    }
    // It is nobody else's, not even another device's of this user.
    let taken = |count| Sockets::try_bind(server.port(), 0, true, count).err().unwrap().raw_os_error();
    assert_eq!((taken(1), taken(3)), (Some(libc::EADDRINUSE), Some(libc::EADDRINUSE)));
}

#[test]
fn a_host_without_ipv6_has_ipv4() {
    let bind = || Socket::try_bind_to(Ipv4Addr::UNSPECIFIED.into(), 0, 0, true, false).unwrap();
    let (sender, receiver) = (bind(), bind());
    let local: IpAddr = "127.0.0.5".parse().unwrap();
    let to = Endpoint::new(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), receiver.port()), Some(local));
    send(&sender, to, &packets(&[1000; 20]));
    for (bytes, from) in receive(&receiver, 20) {
        assert_eq!(bytes.len(), 1000);
        assert_eq!(from.address, SocketAddr::new(local, sender.port()));
        assert_eq!(from.local, Some(Ipv4Addr::LOCALHOST.into()));
    }
}

#[test]
fn answers_come_from_the_address_that_was_spoken_to_while_there_is_one() {
    for offload in [true, false] {
        let (sender, receiver) = (bind(offload), bind(offload));
        let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), receiver.port());
        for (local, from) in [("127.0.0.9", "127.0.0.9"), ("203.0.113.1", "127.0.0.1")] {
            let to = Endpoint::new(address, Some(local.parse().unwrap()));
            let known = send(sender.of(0), to, &packets(&[500, 500, 400]));
            assert_eq!(known, Endpoint { local: to.local.filter(|_| local == from), ..to });
            for (_, sender) in receive(receiver.of(0), 3) {
                assert_eq!(sender.address.ip().to_string(), from, "offload: {offload}");
            }
        }
    }
}

#[test]
fn an_error_says_what_it_is_about() {
    use send::{Blame, blame};
    for (errno, piece, single) in [
        // Before 6.14 this is also said of a segment above the MTU of the way.
        (Errno::EINVAL, Blame::Either, Blame::Source),
        (Errno::EMSGSIZE, Blame::Segments { everywhere: false }, Blame::Packets),
        (Errno::EIO, Blame::Segments { everywhere: false }, Blame::Packets),
        (Errno::EOPNOTSUPP, Blame::Segments { everywhere: true }, Blame::Packets),
        (Errno::ENOPROTOOPT, Blame::Segments { everywhere: true }, Blame::Packets),
        (Errno::EADDRNOTAVAIL, Blame::Source, Blame::Source),
        (Errno::ENETUNREACH, Blame::Source, Blame::Source),
        (Errno::EPERM, Blame::Packets, Blame::Packets),
    ] {
        assert_eq!((blame(errno, 2, true), blame(errno, 1, true)), (piece, single), "{errno}");
    }
    assert_eq!(blame(Errno::EINVAL, 2, false), Blame::Segments { everywhere: false });
    for errno in [Errno::EINVAL, Errno::EADDRNOTAVAIL, Errno::EHOSTUNREACH] {
        assert_eq!(blame(errno, 1, false), Blame::Packets, "{errno}");
    }
}

#[test]
fn what_cannot_be_sent_does_not_hold_up_the_rest() {
    for offload in [true, false] {
        let (sender, receiver) = (bind(offload), bind(offload));
        let to = Endpoint::new(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), receiver.port()), None);
        send(sender.of(0), to, &packets(&[100, 70_000, 100]));
        let arrived = receive(receiver.of(0), 2);
        assert_eq!(
            arrived.iter().map(|(bytes, _)| bytes[0]).collect::<Vec<_>>(),
            [0, 2],
            "offload: {offload}"
        );
    }
}

#[tokio::test]
async fn a_port_that_is_given_up_in_a_moment_is_waited_for() {
    for count in [1, 2] {
        let first = Sockets::bind(0, 0, true, count).await.unwrap();
        let port = first.port();
        let (second, ()) = tokio::join!(Sockets::bind(port, 0, true, count), async {
            tokio::time::sleep(Duration::from_millis(30)).await;
            drop(first);
        });
        assert_eq!(second.unwrap().port(), port);
    }
}

#[tokio::test]
async fn a_port_that_is_taken_for_good_is_refused() {
    let first = Sockets::bind(0, 0, true, 1).await.unwrap();
    let error = Sockets::bind(first.port(), 0, true, 1).await.err().unwrap();
    assert_eq!(error.raw_os_error(), Some(libc::EADDRINUSE));
}

#[test]
fn the_firewall_mark_is_set() {
    let socket = match Socket::try_bind(0, 7, true, false) {
        Ok(socket) => socket,
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
            io::Write::write_all(&mut io::stderr(), b"skipped: the_firewall_mark_is_set: not permitted\n")
                .unwrap();
            return;
        }
        Err(error) => panic!("{error}"),
    };
    assert_eq!(getsockopt(&socket.io, sockopt::Mark), Ok(7));
    socket.set_mark(0).unwrap();
    assert_eq!(getsockopt(&socket.io, sockopt::Mark), Ok(0));
}
