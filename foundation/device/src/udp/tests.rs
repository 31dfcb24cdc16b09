//! Tests of the socket on loopback.

use std::net::SocketAddr;
use std::time::Duration;

use gotatun::packet::Packet;
use nix::sys::socket::getsockopt;
use proptest::prelude::*;

use super::*;
use crate::device::tx_queue::PeerEndpoint;

fn packets(lengths: &[usize]) -> Vec<Packet> {
    let packet =
        |(index, length): (usize, &usize)| Packet::copy_from(&vec![index.to_le_bytes()[0]; *length][..]);
    lengths.iter().enumerate().map(packet).collect()
}

/// Receives this many datagrams with their senders.
async fn receive(socket: &Socket, count: usize) -> Vec<(Vec<u8>, PeerEndpoint)> {
    let (mut receiver, mut datagrams) = (Receiver::default(), Vec::new());
    while datagrams.len() < count {
        tokio::time::timeout(Duration::from_secs(5), socket.receive(&mut receiver)).await.unwrap().unwrap();
        datagrams.extend(receiver.datagrams().map(|(bytes, from)| (bytes.to_vec(), from)));
    }
    datagrams
}

async fn all_arrive(offload: bool, address: &str) {
    let (sender, receiver) =
        (Socket::bind(0, 0, offload).await.unwrap(), Socket::bind(0, 0, offload).await.unwrap());
    let to = PeerEndpoint::new(SocketAddr::new(address.parse().unwrap(), receiver.port()), None);
    let lengths = [&[1452; 70][..], &[100, 60, 60, 60, 1452, 1452, 1, 1452]].concat();
    let sent = packets(&lengths);
    assert_eq!(sender.send(&to, &sent).await, SendFeedback::default());
    let arrived = receive(&receiver, sent.len()).await;
    assert_eq!(arrived.len(), sent.len());
    for ((bytes, from), packet) in arrived.iter().zip(&sent) {
        assert_eq!(&bytes[..], &packet[..]);
        assert_eq!(from.address, SocketAddr::new(address.parse().unwrap(), sender.port()));
        assert_eq!(from.local, Some(address.parse().unwrap()));
    }
}

#[tokio::test]
async fn datagrams_arrive_in_order_with_their_sender() {
    for offload in [true, false] {
        all_arrive(offload, "127.0.0.1").await;
        all_arrive(offload, "::1").await;
    }
}

#[tokio::test]
async fn a_host_without_ipv6_has_ipv4() {
    let bind = || Socket::try_bind_to(Ipv4Addr::UNSPECIFIED.into(), 0, 0, true).unwrap();
    let (sender, receiver) = (bind(), bind());
    let local: IpAddr = "127.0.0.5".parse().unwrap();
    let to = PeerEndpoint::new(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), receiver.port()), Some(local));
    sender.send(&to, &packets(&[1000; 20])).await;
    for (bytes, from) in receive(&receiver, 20).await {
        assert_eq!(bytes.len(), 1000);
        assert_eq!(from.address, SocketAddr::new(local, sender.port()));
        assert_eq!(from.local, Some(Ipv4Addr::LOCALHOST.into()));
    }
}

#[tokio::test]
async fn replies_come_from_the_address_spoken_to() {
    for offload in [true, false] {
        let (sender, receiver) =
            (Socket::bind(0, 0, offload).await.unwrap(), Socket::bind(0, 0, offload).await.unwrap());
        let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), receiver.port());
        for (local, from) in [("127.0.0.9", "127.0.0.9"), ("203.0.113.1", "127.0.0.1")] {
            let to = PeerEndpoint::new(address, Some(local.parse().unwrap()));
            let feedback = sender.send(&to, &packets(&[500, 500, 400])).await;
            assert_eq!(feedback, SendFeedback { unsourced: local != from, unsegmented: false });
            for (_, sender) in receive(&receiver, 3).await {
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

#[tokio::test]
async fn unsendable_datagram_does_not_delay_the_rest() {
    for offload in [true, false] {
        let (sender, receiver) =
            (Socket::bind(0, 0, offload).await.unwrap(), Socket::bind(0, 0, offload).await.unwrap());
        let to = PeerEndpoint::new(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), receiver.port()), None);
        sender.send(&to, &packets(&[100, 70_000, 100])).await;
        let arrived = receive(&receiver, 2).await;
        assert_eq!(
            arrived.iter().map(|(bytes, _)| bytes[0]).collect::<Vec<_>>(),
            [0, 2],
            "offload: {offload}"
        );
    }
}

#[tokio::test]
async fn port_released_in_a_moment_is_awaited() {
    let first = Socket::bind(0, 0, true).await.unwrap();
    let port = first.port();
    let (second, ()) = tokio::join!(Socket::bind(port, 0, true), async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        drop(first);
    });
    assert_eq!(second.unwrap().port(), port);
}

#[tokio::test]
async fn port_taken_for_good_is_refused() {
    let first = Socket::bind(0, 0, true).await.unwrap();
    let error = Socket::bind(first.port(), 0, true).await.err().unwrap();
    assert_eq!(error.raw_os_error(), Some(libc::EADDRINUSE));
}

#[tokio::test]
async fn the_firewall_mark_is_set() {
    let socket = match Socket::bind(0, 7, true).await {
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

proptest! {
    /// A piece is never empty, and cut at the length of its first datagram it is the same datagrams again.
    #[test]
    fn pieces_are_what_the_kernel_can_cut(lengths in prop::collection::vec(1usize..4, 1..200), large in any::<bool>()) {
        let lengths: Vec<_> = lengths.into_iter().map(|length| if large { length * 10_000 } else { length }).collect();
        let count = send::run(lengths.iter().copied());
        let piece = &lengths[..count];
        prop_assert!((1..=64).contains(&count));
        prop_assert!(count == 1 || piece.iter().sum::<usize>() <= 65_000);
        let (last, others) = piece.split_last().unwrap();
        prop_assert!(others.iter().all(|length| *length == piece[0]));
        prop_assert!(*last <= piece[0]);
    }
}
