//! Options of TCP sockets.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd as _};

use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Connections that wait to be accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: u32 = 1024;
/// How much the kernel may hold that it did not send yet. Little: what waits there is late when it arrives.
static UNSENT: libc::c_int = 128 * 1024;

/// Sets `TCP_NOTSENT_LOWAT` (Linux 3.12) on a socket, so that a slow path drops packets early instead of delaying them.
pub(crate) fn set_unsent_low_water(socket: &impl AsFd) -> io::Result<()> {
    let descriptor = socket.as_fd().as_raw_fd();
    #[expect(unsafe_code, reason = "the option has no safe wrapper")]
    // SAFETY: the descriptor is borrowed for the call, and the value is an int of the size that is told.
    let result = unsafe {
        libc::setsockopt(
            descriptor,
            libc::IPPROTO_TCP,
            libc::TCP_NOTSENT_LOWAT,
            (&raw const UNSENT).cast(),
            size_of::<libc::c_int>().try_into().unwrap_or(4),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Connects to `address`, from `source` if that is given: then from no other address, whatever happens. Needs a tokio runtime.
pub(crate) async fn connect(source: Option<IpAddr>, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(source) = source {
        // The port is chosen by both ends when it connects, so that connections that have just ended use none of them up.
        setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
        socket.bind((source, 0).into())?;
    }
    socket.connect(address).await
}

/// Listens at `address`; the unspecified IPv6 address stands for IPv4 too. Needs a tokio runtime.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if address.is_ipv6() {
        setsockopt(&socket, sockopt::Ipv6V6Only, &false)?;
    }
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
