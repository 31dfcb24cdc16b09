//! Sends many datagrams at once: in pieces of up to 64 kB that the kernel cuts (`UDP_SEGMENT`), or else by `sendmmsg`.

use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::AsRawFd as _;
use std::sync::atomic::Ordering;

use gotatun::packet::Packet;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg, sendmsg};
use tokio::io::Interest;

use super::Socket;
use crate::device::outbox::Endpoint;

/// The most datagrams that the kernel cuts from one piece (`UDP_MAX_SEGMENTS` of `include/linux/udp.h`, the lower
/// value of older kernels).
const SEGMENTS: usize = 64;
/// The most bytes of one piece: an IP packet less the headers in front.
const PIECE: usize = 65000;

/// What became of datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// They were handed to the kernel, or it refused them for a reason of their own.
    Done,
    /// They were, but one by one, since the kernel does not cut pieces on this way.
    Unsegmented,
}

impl Sent {
    pub(crate) const fn refused_segments(self) -> bool {
        matches!(self, Self::Unsegmented)
    }
}

impl Socket {
    /// Sends datagrams in order. None of them is lost because the kernel cannot cut a piece: they are sent one by one
    /// then, and the caller is told for the next time.
    pub(crate) async fn send(&self, to: &Endpoint, packets: &[Packet]) -> Sent {
        if to.unsegmented || !self.segments.load(Ordering::Relaxed) {
            self.send_singly(to, packets).await;
            return Sent::Done;
        }
        let mut rest = packets;
        while !rest.is_empty() {
            let count = run(rest.iter().map(|packet| packet.len()));
            let (piece, behind) = rest.split_at(count);
            match self.send_piece(to, piece).await {
                Err(error) if count > 1 && self.is_refusal(&error) => {
                    self.send_singly(to, rest).await;
                    return Sent::Unsegmented;
                }
                // Too long, no route, a firewall: it concerns what was sent and not how.
                Ok(()) | Err(_) => rest = behind,
            }
        }
        Sent::Done
    }

    /// Whether the kernel has refused to cut. Where it never will on any way, notes so.
    fn is_refusal(&self, error: &io::Error) -> bool {
        match Errno::from_raw(error.raw_os_error().unwrap_or(0)) {
            Errno::ENOPROTOOPT | Errno::EOPNOTSUPP => {
                self.segments.store(false, Ordering::Relaxed);
                true
            }
            // The interface on the way cannot fill in checksums (EIO), or a segment is larger than the MTU of the way.
            Errno::EIO | Errno::EINVAL | Errno::EMSGSIZE => true,
            _ => false,
        }
    }

    async fn send_piece(&self, to: &Endpoint, packets: &[Packet]) -> io::Result<()> {
        let address = SockaddrStorage::from(to.address);
        let slices: Vec<_> = packets.iter().map(|packet| IoSlice::new(packet)).collect();
        let segment = packets.first().and_then(|packet| u16::try_from(packet.len()).ok()).unwrap_or(0);
        let source = to.local.map(Source::new);
        let mut control = Vec::with_capacity(2);
        control.extend(source.as_ref().map(|source| source.control(self.address.is_ipv6())));
        if packets.len() > 1 {
            control.push(ControlMessage::UdpGsoSegments(&segment));
        }
        let fd = self.io.as_raw_fd();
        let send = |control: &[ControlMessage<'_>]| {
            sendmsg(fd, &slices, control, MsgFlags::MSG_DONTWAIT, Some(&address)).map_err(io::Error::from)
        };
        let result = self.io.async_io(Interest::WRITABLE, || send(&control)).await;
        match result {
            // The address of ours may have gone since. Any other is better than none.
            Err(error) if source.is_some() && error.raw_os_error() == Some(Errno::EINVAL as i32) => {
                self.io.async_io(Interest::WRITABLE, || send(&control[1..])).await
            }
            result => result,
        }
        .map(drop)
    }

    async fn send_singly(&self, to: &Endpoint, packets: &[Packet]) {
        let slices: Vec<_> = packets.iter().map(|packet| [IoSlice::new(packet)]).collect();
        let addresses = vec![Some(SockaddrStorage::from(to.address)); packets.len()];
        let mut source = to.local.map(Source::new);
        let mut sent = 0;
        while sent < packets.len() {
            let result = self.io.async_io(Interest::WRITABLE, || {
                let control = source.as_ref().map(|source| [source.control(self.address.is_ipv6())]);
                let control = control.as_ref().map_or(&[][..], |control| &control[..]);
                self.send_some(&slices[sent..], &addresses[sent..], control)
            });
            match result.await {
                Ok(count) => sent += count,
                Err(error) if source.is_some() && error.raw_os_error() == Some(Errno::EINVAL as i32) => {
                    source = None;
                }
                Err(_) => sent += 1,
            }
        }
    }

    fn send_some(
        &self,
        slices: &[[IoSlice<'_>; 1]],
        addresses: &[Option<SockaddrStorage>],
        control: &[ControlMessage<'_>],
    ) -> io::Result<usize> {
        let space = (!control.is_empty()).then(|| nix::cmsg_space!(libc::in6_pktinfo));
        let mut headers = MultiHeaders::preallocate(slices.len(), space);
        let flags = MsgFlags::MSG_DONTWAIT;
        Ok(sendmmsg(self.io.as_raw_fd(), &mut headers, slices, addresses, control, flags)?.count())
    }
}

/// How many datagrams can be given as one piece: those of one length, and a shorter one behind them.
fn run(lengths: impl Iterator<Item = usize>) -> usize {
    let (mut count, mut total, mut segment) = (0, 0, usize::MAX);
    for length in lengths.take(SEGMENTS) {
        let first = count == 0;
        if !first && (length > segment || length == 0 || total + length > PIECE) {
            break;
        }
        if first {
            segment = length;
        }
        count += 1;
        total += length;
        if length < segment {
            break;
        }
    }
    count
}

/// The address of ours to send from, in the forms the kernel takes it.
struct Source {
    v4: libc::in_pktinfo,
    v6: libc::in6_pktinfo,
}

impl Source {
    fn new(local: IpAddr) -> Self {
        let (v4, v6) = match local {
            IpAddr::V4(ip) => (ip.octets(), ip.to_ipv6_mapped()),
            IpAddr::V6(ip) => ([0; 4], ip),
        };
        let (v4, nowhere) = (libc::in_addr { s_addr: u32::from_ne_bytes(v4) }, libc::in_addr { s_addr: 0 });
        Self {
            v4: libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: v4, ipi_addr: nowhere },
            v6: libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr { s6_addr: Ipv6Addr::octets(&v6) },
                ipi6_ifindex: 0,
            },
        }
    }

    /// For a socket of both families the form of IPv6 says IPv4 addresses as well (`ip_cmsg_send` of the kernel).
    const fn control(&self, both_families: bool) -> ControlMessage<'_> {
        if both_families {
            ControlMessage::Ipv6PacketInfo(&self.v6)
        } else {
            ControlMessage::Ipv4PacketInfo(&self.v4)
        }
    }
}
