//! The UDP socket: one for IPv4 and IPv6, or for IPv4 alone where the host has no IPv6.

mod receive;
mod send;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, setsockopt, socket, sockopt,
};
use tokio::net::UdpSocket;

pub(crate) use receive::Receiver;
pub(crate) use send::SendFeedback;

/// Wanted size of the kernel's buffers, which a burst fills while the process waits for its turn.
const BUFFER: usize = 4 << 20;
/// How often and how long to wait for a port that is taken: by the socket of a moment ago, which some task still holds.
const PATIENCE: (u32, Duration) = (40, Duration::from_millis(5));

/// A bound socket.
pub(crate) struct Socket {
    io: UdpSocket,
    address: SocketAddr,
    /// The kernel cuts large datagrams (`UDP_SEGMENT`).
    segments: AtomicBool,
}

impl Socket {
    /// Binds to `port`, or to one that the kernel chooses if it is 0, with this firewall mark. With `offload` the
    /// kernel is asked to cut and join datagrams.
    pub(crate) async fn bind(port: u16, mark: u32, offload: bool) -> io::Result<Self> {
        let (mut attempts, pause) = PATIENCE;
        loop {
            match Self::try_bind(port, mark, offload) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && attempts > 0 => {
                    attempts -= 1;
                    tokio::time::sleep(pause).await;
                }
                result => return result,
            }
        }
    }

    fn try_bind(port: u16, mark: u32, offload: bool) -> io::Result<Self> {
        match Self::try_bind_to(Ipv6Addr::UNSPECIFIED.into(), port, mark, offload) {
            Err(error) if no_ipv6(&error) => {
                Self::try_bind_to(Ipv4Addr::UNSPECIFIED.into(), port, mark, offload)
            }
            result => result,
        }
    }

    fn try_bind_to(any: IpAddr, port: u16, mark: u32, offload: bool) -> io::Result<Self> {
        let family = if any.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(family, SockType::Datagram, flags, None)?;
        if any.is_ipv6() {
            setsockopt(&fd, sockopt::Ipv6V6Only, &false)?;
            setsockopt(&fd, sockopt::Ipv6RecvPacketInfo, &true)?;
        } else {
            setsockopt(&fd, sockopt::Ipv4PacketInfo, &true)?;
        }
        if mark != 0 {
            setsockopt(&fd, sockopt::Mark, &mark)?;
        }
        enlarge(&fd);
        // A kernel before 5.0 has no such thing; packets come one by one then.
        let joins = offload && setsockopt(&fd, sockopt::UdpGroSegment, &true).is_ok();
        bind(fd.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(any, port)))?;
        let io = UdpSocket::from_std(fd.into())?;
        let address = io.local_addr()?;
        Ok(Self { io, address, segments: AtomicBool::new(joins) })
    }

    /// The port it is bound to.
    pub(crate) const fn port(&self) -> u16 {
        self.address.port()
    }

    /// Sets the firewall mark; 0 for none.
    pub(crate) fn set_mark(&self, mark: u32) -> io::Result<()> {
        Ok(setsockopt(&self.io, sockopt::Mark, &mark)?)
    }
}

/// Asks for large buffers: beyond the host's limit as a privileged process may, or else up to it.
fn enlarge(fd: &OwnedFd) {
    if setsockopt(fd, sockopt::RcvBufForce, &BUFFER).is_err() {
        let _ = setsockopt(fd, sockopt::RcvBuf, &BUFFER);
    }
    if setsockopt(fd, sockopt::SndBufForce, &BUFFER).is_err() {
        let _ = setsockopt(fd, sockopt::SndBuf, &BUFFER);
    }
}

fn no_ipv6(error: &io::Error) -> bool {
    matches!(
        Errno::from_raw(error.raw_os_error().unwrap_or(0)),
        Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL | Errno::EPROTONOSUPPORT
    )
}

#[cfg(test)]
mod tests;
