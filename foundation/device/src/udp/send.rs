//! Sends many datagrams at once: in pieces of up to 64 kB that the kernel cuts (`UDP_SEGMENT`), or else by `sendmmsg`.

use std::io::IoSlice;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::AsRawFd as _;
use std::sync::atomic::Ordering;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg, sendmsg};

use super::Socket;
use crate::device::outbox::{Endpoint, Outbox, Piece};

/// How many milliseconds are waited at most for the network to take more.
const PATIENCE: u8 = 20;

/// What was learnt from sending, for the next time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lesson {
    /// The kernel does not cut pieces on this way.
    pub(crate) unsegmented: bool,
    /// The address of ours to send from is not there any more.
    pub(crate) unsourced: bool,
}

impl Socket {
    /// Sends everything, in order, and empties the outbox. What the network does not take is lost, as datagrams are; but none is
    /// lost because the kernel cannot cut a piece or send from an address: it is then sent otherwise.
    pub(crate) fn send_all(&self, outbox: &mut Outbox) {
        self.send_first(outbox, outbox.pieces().len());
    }

    /// The same with the first pieces alone.
    pub(crate) fn send_first(&self, outbox: &mut Outbox, count: usize) {
        let mut rest = &outbox.pieces()[..count];
        while let Some(first) = rest.first() {
            let same = rest.iter().take_while(|piece| piece.to == first.to);
            // Single datagrams for one place go together, pieces each by itself.
            let singles = same.take_while(|piece| piece.count() == 1).count();
            let (now, behind) = rest.split_at(singles.max(1));
            let lesson = self.send(outbox, now);
            if let Some(peer) = first.peer.as_ref().filter(|_| lesson != Lesson::default()) {
                peer.heed(lesson, first.to.address);
            }
            rest = behind;
        }
        outbox.forget(count);
    }

    /// Sends one piece, or single datagrams, all for one place.
    fn send(&self, outbox: &Outbox, pieces: &[Piece]) -> Lesson {
        let mut lesson = Lesson::default();
        let [first, others @ ..] = pieces else { return lesson };
        let (to, mut local) = (&first.to, first.to.local);
        let mut doubt = false;
        let cuts = !to.unsegmented && self.segments.load(Ordering::Relaxed);
        while first.count() > 1 && cuts {
            let Err(error) = self.send_piece(outbox, first, local) else { return lesson };
            match blame(error, first.count(), local.is_some()) {
                Blame::Source => (local, lesson.unsourced) = (None, true),
                Blame::Segments { everywhere } => {
                    self.segments.fetch_and(!everywhere, Ordering::Relaxed);
                    lesson.unsegmented = true;
                    break;
                }
                Blame::Either => {
                    doubt = true;
                    break;
                }
                Blame::Packets => return lesson,
            }
        }
        let datagrams: Vec<&[u8]> = outbox
            .bytes(first)
            .chunks(first.segment().max(1))
            .chain(others.iter().map(|piece| outbox.bytes(piece)))
            .collect();
        let mut rest = &datagrams[..];
        while !rest.is_empty() {
            match self.send_singly(to, local, rest) {
                Ok(count) => rest = &rest[count..],
                Err(error) if blame(error, 1, local.is_some()) == Blame::Source => {
                    (local, lesson.unsourced) = (None, true);
                }
                Err(_) => rest = &rest[1..],
            }
        }
        // Packets that went singly from where the piece did not show that it was the cutting.
        lesson.unsegmented |= doubt && !lesson.unsourced;
        lesson
    }

    fn send_piece(&self, outbox: &Outbox, piece: &Piece, local: Option<IpAddr>) -> nix::Result<()> {
        let address = SockaddrStorage::from(piece.to.address);
        let slices = [IoSlice::new(outbox.bytes(piece))];
        let segment = u16::try_from(piece.segment()).unwrap_or(0);
        let source = local.map(Source::new);
        let cutting = ControlMessage::UdpGsoSegments(&segment);
        let both = source.as_ref().map(|source| [source.control(self.address.is_ipv6()), cutting]);
        let one = [cutting];
        let control = both.as_ref().map_or(&one[..], |both| &both[..]);
        self.patiently(|| {
            sendmsg(self.io.as_raw_fd(), &slices, control, MsgFlags::MSG_DONTWAIT, Some(&address)).map(drop)
        })
    }

    /// Sends some of the datagrams, at least the first one, and says how many. The error is about the first one.
    fn send_singly(&self, to: &Endpoint, local: Option<IpAddr>, datagrams: &[&[u8]]) -> nix::Result<usize> {
        let slices: Vec<_> = datagrams.iter().map(|datagram| [IoSlice::new(datagram)]).collect();
        let addresses = vec![Some(SockaddrStorage::from(to.address)); datagrams.len()];
        let source = local.map(Source::new);
        let control: Vec<_> = source.iter().map(|source| source.control(self.address.is_ipv6())).collect();
        self.patiently(|| {
            let space = source.is_some().then(|| nix::cmsg_space!(libc::in6_pktinfo));
            let mut headers = MultiHeaders::preallocate(datagrams.len(), space);
            let flags = MsgFlags::MSG_DONTWAIT;
            Ok(sendmmsg(self.io.as_raw_fd(), &mut headers, &slices, &addresses, &control, flags)?.count())
        })
    }

    /// Waits a little when the network takes nothing, since who sends is to feel it.
    fn patiently<T>(&self, send: impl Fn() -> nix::Result<T>) -> nix::Result<T> {
        match send() {
            Err(Errno::EAGAIN | Errno::EINTR) => {
                let mut wait = [PollFd::new(self.descriptor(), PollFlags::POLLOUT)];
                poll(&mut wait, PATIENCE)?;
                send()
            }
            result => result,
        }
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
