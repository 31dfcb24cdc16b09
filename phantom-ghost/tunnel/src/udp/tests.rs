//! Both directions against plain sockets of the standard library.

use std::future::poll_fn;
use std::time::Duration;

use super::*;

fn plain() -> (std::net::UdpSocket, u16) {
    let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

fn received(socket: &std::net::UdpSocket, count: usize) -> Vec<Vec<u8>> {
    let mut buffer = vec![0; 65_536];
    (0..count)
        .map(|_| {
            let length = socket.recv(&mut buffer).unwrap();
            buffer[..length].to_vec()
        })
        .collect()
}

async fn batch(endpoint: &mut UdpEndpoint) -> Vec<Vec<u8>> {
    let take = |batch: Batch<'_>| {
        batch.into_slots().map(|(slot, length)| slot[HEADROOM..HEADROOM + length].to_vec()).collect()
    };
    let mut take = Some(take);
    poll_fn(|context| endpoint.poll_receive(context, |batch| take.take().unwrap()(batch))).await.unwrap()
}

/// Datagrams of these sizes, each with a first byte of its own.
fn datagrams(sizes: &[usize]) -> Vec<Vec<u8>> {
    sizes.iter().enumerate().map(|(at, size)| vec![at.to_le_bytes()[0]; *size]).collect()
}

fn slices(datagrams: &[Vec<u8>]) -> Vec<&[u8]> {
    datagrams.iter().map(Vec::as_slice).collect()
}

#[tokio::test]
async fn every_datagram_arrives_joined_or_not() {
    let (socket, port) = plain();
    let mixed = [&[1400; 20][..], &[7, 1, 7, 7, 7, 3, 9, 65_507, 65_507, 1, 1400, 1400, 1399]].concat();
    for segmentation in [true, false] {
        let mut endpoint = UdpEndpoint::connected(port).unwrap();
        endpoint.segmentation = segmentation;
        for sizes in mixed.chunks(8) {
            let sent = datagrams(sizes);
            endpoint.send(&slices(&sent));
            assert_eq!(received(&socket, sent.len()), sent);
        }
        assert_eq!(endpoint.segmentation, segmentation, "loopback cuts messages into pieces");
    }
}

#[tokio::test]
async fn refusing_kernel_gets_single_datagrams() {
    let (socket, port) = plain();
    let mut endpoint = UdpEndpoint::connected(port).unwrap();
    // Linux refuses UDP_SEGMENT with EIO on a socket that sends without checksums.
    let value: libc::c_int = 1;
    #[expect(unsafe_code, reason = "the option has no safe wrapper")]
    // SAFETY: the descriptor is open and the value is an int of the size that is told.
    let result = unsafe {
        libc::setsockopt(
            endpoint.socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NO_CHECK,
            (&raw const value).cast(),
            4,
        )
    };
    assert_eq!(result, 0);
    let sent = datagrams(&[100; 5]);
    endpoint.send(&slices(&sent));
    assert_eq!(received(&socket, 5), sent);
    assert!(!endpoint.segmentation);
}

#[tokio::test]
async fn what_came_together_is_received_together() {
    let (socket, port) = plain();
    let mut endpoint = UdpEndpoint::connected(port).unwrap();
    let sizes: Vec<usize> = (1..=40).collect();
    let sent = datagrams(&sizes);
    for datagram in &sent {
        socket.send_to(datagram, endpoint.local_addr().unwrap()).unwrap();
    }
    let first = batch(&mut endpoint).await;
    assert_eq!(first.len(), BATCH);
    assert_eq!([first, batch(&mut endpoint).await].concat(), sent);
}

#[tokio::test]
async fn large_datagrams_make_smaller_batches() {
    let (socket, port) = plain();
    let mut endpoint = UdpEndpoint::connected(port).unwrap();
    let address = endpoint.local_addr().unwrap();
    for _ in 0..3 {
        socket.send_to(&vec![1; 65_507], address).unwrap();
    }
    assert_eq!(batch(&mut endpoint).await.len(), 3);
    for _ in 0..3 {
        socket.send_to(&[1; 9], address).unwrap();
    }
    assert_eq!(batch(&mut endpoint).await.len(), 2);
    assert_eq!(batch(&mut endpoint).await.len(), 1);
}

#[tokio::test]
async fn refused_port_is_used_again() {
    let (socket, port) = plain();
    let mut endpoint = UdpEndpoint::connected(port).unwrap();
    drop(socket);
    endpoint.send(&[b"lost"]);
    let quiet = tokio::time::timeout(Duration::from_millis(50), batch(&mut endpoint)).await;
    assert!(quiet.is_err(), "a refusal is nothing that was received: {quiet:?}");
    endpoint.send(&[b"lost too"]);
    let again = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    endpoint.send(&[b"back"]);
    assert_eq!(received(&again, 1), [b"back"]);
}

#[tokio::test]
async fn a_roaming_end_answers_the_last_sender() {
    let mut endpoint = UdpEndpoint::roaming(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
    endpoint.send(&[b"nobody"]);
    let address = endpoint.local_addr().unwrap();
    for _ in 0..2 {
        let (socket, _) = plain();
        socket.send_to(b"here", address).unwrap();
        assert_eq!(batch(&mut endpoint).await, [b"here"]);
        endpoint.send(&[b"one", b"two"]);
        assert_eq!(received(&socket, 2), [b"one", b"two"]);
    }
}

#[test]
fn runs_end_where_the_size_changes() {
    let run = |sizes: &[usize]| run_length(&slices(&datagrams(sizes)));
    assert_eq!(run(&[]), 0);
    assert_eq!(run(&[5]), 1);
    assert_eq!(run(&[5, 5, 4, 5]), 3);
    assert_eq!(run(&[5, 6]), 1);
    assert_eq!(run(&[1400; 40]), SEGMENTS);
    assert_eq!(run(&[30_000; 4]), 2);
}
