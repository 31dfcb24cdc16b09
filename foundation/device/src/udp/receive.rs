//! Receives many datagrams at once: `recvmmsg`, and `UDP_GRO`, by which the kernel joins those of a flow.

use std::io::IoSliceMut;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::os::fd::AsRawFd as _;

use nix::cmsg_space;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrStorage, recvmmsg};

use super::Socket;
use crate::device::outbox::Endpoint;

/// How many messages are taken in one call. Each can be 64 kB, and what has been received should still be in the processor's cache
/// when it is opened.
const MESSAGES: usize = 8;
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
    from: Endpoint,
    length: usize,
    /// How long each of the joined datagrams is, but for the last one, which may be shorter.
    segment: usize,
}

impl Receiver {
    /// Whether it holds buffers.
    pub(crate) const fn is_used(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// The messages received last, in order: where they came from, and where in the buffer their datagrams are; and the buffer.
    pub(crate) fn split(&mut self) -> (impl Iterator<Item = (Endpoint, Datagrams)>, &mut [u8]) {
        let messages = self.messages.iter().enumerate().map(|(number, message)| {
            let at = number * LARGEST;
            (message.from, Datagrams { at, end: at + message.length, segment: message.segment })
        });
        (messages, &mut self.buffer)
    }
}

/// Where the datagrams of a message are.
#[derive(Clone)]
pub(crate) struct Datagrams {
    at: usize,
    end: usize,
    segment: usize,
}

impl Iterator for Datagrams {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let range = self.at..self.end.min(self.at + self.segment);
        self.at = range.end;
        (!range.is_empty()).then_some(range)
    }
}

impl Socket {
    /// Takes the datagrams that are there.
    pub(crate) fn receive(&self, receiver: &mut Receiver) -> nix::Result<()> {
        let Receiver { buffer, messages } = receiver;
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

/// The address in our words.
pub(super) fn address(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|address| SocketAddr::from(*address));
    v4.or_else(|| address.as_sockaddr_in6().map(|address| SocketAddr::from(*address)))
}

fn read(message: &RecvMsg<'_, '_, SockaddrStorage>) -> Message {
    let from = message.address.as_ref().and_then(address);
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
            let from = Endpoint::new(canonical(from), local);
            let segment = if segment == 0 { message.bytes } else { segment };
            Message { from, length: message.bytes, segment: segment.max(1) }
        }
        // Every datagram has a sender. One without is passed over.
        None => Message { from: Endpoint::new(([0; 4], 0).into(), None), length: 0, segment: 1 },
    }
}

/// An IPv4 address that came through the socket of both families as an IPv4 address.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(ip.into(), address.port()),
        IpAddr::V6(_) => address,
    }
}
