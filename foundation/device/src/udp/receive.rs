//! Receives many datagrams at once: `recvmmsg`, and `UDP_GRO`, by which the kernel joins those of a flow.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd as _;

use nix::cmsg_space;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrStorage, recvmmsg};
use tokio::io::Interest;

use super::Socket;
use crate::device::tx_queue::PeerEndpoint;

/// How many messages are taken in one call.
const MESSAGES: usize = 32;
/// The most that a message can hold: a datagram, or datagrams that the kernel has joined.
const LARGEST: usize = 65535;

/// Buffers of one that receives, with what was received last. They are made when the first datagram comes, and only those
/// parts that are used take memory.
#[derive(Default)]
pub(crate) struct Receiver {
    buffer: Vec<u8>,
    messages: Vec<Message>,
}

struct Message {
    from: PeerEndpoint,
    length: usize,
    /// How long each of the joined datagrams is, but for the last one, which may be shorter.
    segment: usize,
}

impl Receiver {
    /// Whether it holds buffers.
    pub(crate) const fn is_used(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// The datagrams received last, in order, with where they came from.
    pub(crate) fn datagrams(&self) -> impl Iterator<Item = (&[u8], PeerEndpoint)> {
        self.messages.iter().zip(self.buffer.chunks(LARGEST)).flat_map(|(message, bytes)| {
            bytes[..message.length].chunks(message.segment).map(|datagram| (datagram, message.from))
        })
    }
}

impl Socket {
    /// Waits for datagrams and takes those that are there. Cancelling it loses none.
    pub(crate) async fn receive(&self, receiver: &mut Receiver) -> io::Result<()> {
        let Receiver { buffer, messages } = receiver;
        self.io.async_io(Interest::READABLE, || self.take(buffer, messages)).await
    }

    fn take(&self, buffer: &mut Vec<u8>, messages: &mut Vec<Message>) -> io::Result<()> {
        messages.clear();
        if buffer.is_empty() {
            *buffer = vec![0; MESSAGES * LARGEST];
        }
        // The kernel shortens the headers' buffers to what it has used, so they are made again each time.
        let space = cmsg_space!(libc::c_int, libc::in6_pktinfo);
        let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(MESSAGES, Some(space));
        let mut slices: Vec<_> = buffer.chunks_mut(LARGEST).map(|bytes| [IoSliceMut::new(bytes)]).collect();
        let results =
            recvmmsg(self.io.as_raw_fd(), &mut headers, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None)?;
        messages.extend(results.map(|message| read(&message)));
        Ok(())
    }
}

fn read(message: &RecvMsg<'_, '_, SockaddrStorage>) -> Message {
    let from = message.address.as_ref().and_then(|address| {
        let v4 = address.as_sockaddr_in().map(|address| SocketAddr::from(*address));
        v4.or_else(|| address.as_sockaddr_in6().map(|address| SocketAddr::from(*address)))
    });
    let (mut local, mut segment) = (None, 0);
    for control in message.cmsgs().into_iter().flatten() {
        match control {
            ControlMessageOwned::UdpGroSegments(size) => segment = usize::try_from(size).unwrap_or(0),
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                local = Some(IpAddr::from(info.ipi6_addr.s6_addr).to_canonical());
            }
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                local = Some(IpAddr::from(info.ipi_addr.s_addr.to_ne_bytes()));
            }
            _ => {}
        }
    }
    match from {
        Some(from) => {
            let from = PeerEndpoint::new(canonical(from), local);
            let segment = if segment == 0 { message.bytes } else { segment };
            Message { from, length: message.bytes, segment: segment.max(1) }
        }
        // Every datagram has a sender. One without is passed over.
        None => Message { from: PeerEndpoint::new(([0; 4], 0).into(), None), length: 0, segment: 1 },
    }
}

/// An IPv4 address that came through the socket of both families as an IPv4 address.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(ip.into(), address.port()),
        IpAddr::V6(_) => address,
    }
}
