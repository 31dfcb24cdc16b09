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
use crate::device::tx_queue::PeerEndpoint;

/// The most datagrams that the kernel cuts from one piece (`UDP_MAX_SEGMENTS` of `include/linux/udp.h`, the lower
/// value of older kernels).
const SEGMENTS: usize = 64;
/// The most bytes of one piece: an IP packet less the headers in front.
const PIECE: usize = 65000;

/// What was learnt from sending, for the next time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SendFeedback {
    /// The kernel does not cut pieces on this way.
    pub(crate) unsegmented: bool,
    /// The address of ours to send from is not there any more.
    pub(crate) unsourced: bool,
}

impl Socket {
    /// Sends datagrams in order. None of them is lost because the kernel cannot cut a piece or send from an address:
    /// it is then sent otherwise.
    pub(crate) async fn send(&self, to: &PeerEndpoint, packets: &[Packet]) -> SendFeedback {
        let mut feedback = SendFeedback::default();
        let (mut local, mut rest) = (to.local, packets);
        let mut doubt = false;
        if !to.unsegmented && self.segments.load(Ordering::Relaxed) {
            while !rest.is_empty() {
                let count = run(rest.iter().map(|packet| packet.len()));
                let (piece, behind) = rest.split_at(count);
                let Err(error) = self.send_piece(to, local, piece).await else {
                    rest = behind;
                    continue;
                };
                match blame(number(&error), count, local.is_some()) {
                    Blame::Source => (local, feedback.unsourced) = (None, true),
                    Blame::Segments { everywhere } => {
                        self.segments.fetch_and(!everywhere, Ordering::Relaxed);
                        feedback.unsegmented = true;
                        break;
                    }
                    Blame::Either => {
                        doubt = true;
                        break;
                    }
                    Blame::Packets => rest = behind,
                }
            }
        }
        while !rest.is_empty() {
            match self.send_singly(to, local, rest).await {
                Ok(count) => rest = &rest[count..],
                Err(error) if blame(number(&error), 1, local.is_some()) == Blame::Source => {
                    (local, feedback.unsourced) = (None, true);
                }
                Err(_) => rest = &rest[1..],
            }
        }
        // Packets that went singly from where the piece did not show that it was the cutting.
        feedback.unsegmented |= doubt && !feedback.unsourced;
        feedback
    }

    async fn send_piece(
        &self,
        to: &PeerEndpoint,
        local: Option<IpAddr>,
        packets: &[Packet],
    ) -> io::Result<()> {
        let address = SockaddrStorage::from(to.address);
        let slices: Vec<_> = packets.iter().map(|packet| IoSlice::new(packet)).collect();
        let segment = packets.first().and_then(|packet| u16::try_from(packet.len()).ok()).unwrap_or(0);
        let source = local.map(Source::new);
        let mut control = Vec::with_capacity(2);
        control.extend(source.as_ref().map(|source| source.control(self.address.is_ipv6())));
        if packets.len() > 1 {
            control.push(ControlMessage::UdpGsoSegments(&segment));
        }
        let send = || {
            sendmsg(self.io.as_raw_fd(), &slices, &control, MsgFlags::MSG_DONTWAIT, Some(&address))
                .map_err(io::Error::from)
        };
        self.io.async_io(Interest::WRITABLE, send).await.map(drop)
    }

    /// Sends some of the datagrams, at least the first one, and says how many. The error is about the first one.
    async fn send_singly(
        &self,
        to: &PeerEndpoint,
        local: Option<IpAddr>,
        packets: &[Packet],
    ) -> io::Result<usize> {
        let slices: Vec<_> = packets.iter().map(|packet| [IoSlice::new(packet)]).collect();
        let addresses = vec![Some(SockaddrStorage::from(to.address)); packets.len()];
        let source = local.map(Source::new);
        let control: Vec<_> = source.iter().map(|source| source.control(self.address.is_ipv6())).collect();
        let send = || {
            let space = source.is_some().then(|| nix::cmsg_space!(libc::in6_pktinfo));
            let mut headers = MultiHeaders::preallocate(packets.len(), space);
            let flags = MsgFlags::MSG_DONTWAIT;
            Ok(sendmmsg(self.io.as_raw_fd(), &mut headers, &slices, &addresses, &control, flags)?.count())
        };
        self.io.async_io(Interest::WRITABLE, send).await
    }
}

/// What a refusal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blame {
    /// The kernel does not cut on this way; `everywhere` if it does on none.
    Segments { everywhere: bool },
    /// The address of ours to send from is not there.
    Source,
    /// One of these two. Datagrams that are sent singly show which.
    Either,
    /// What was sent and not how: it is too long, there is no route, a firewall forbids it.
    Packets,
}

/// What the refusal of this many datagrams in one piece is about; `sourced` if they were to go from an address that was named.
/// Kernels say EINVAL both of an address that is not there and, before 6.14, of a segment above the MTU of the way.
pub(super) const fn blame(errno: Errno, count: usize, sourced: bool) -> Blame {
    match errno {
        Errno::ENOPROTOOPT | Errno::EOPNOTSUPP if count > 1 => Blame::Segments { everywhere: true },
        Errno::EINVAL if count > 1 && sourced => Blame::Either,
        // The interface on the way cannot fill in checksums, or a segment is larger than the MTU of the way.
        Errno::EIO | Errno::EMSGSIZE | Errno::EINVAL if count > 1 => Blame::Segments { everywhere: false },
        Errno::EINVAL | Errno::ENETUNREACH | Errno::EHOSTUNREACH | Errno::EADDRNOTAVAIL if sourced => {
            Blame::Source
        }
        _ => Blame::Packets,
    }
}

fn number(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

/// How many datagrams can be given as one piece: those of one length, and a shorter one behind them.
pub(super) fn run(lengths: impl Iterator<Item = usize>) -> usize {
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
