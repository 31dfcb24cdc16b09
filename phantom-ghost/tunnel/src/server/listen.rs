//! Listening sockets, and the loops that accept from them.

use std::fs::Permissions;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::time::sleep;

use super::{BindError, Listen, Shared, connection};
use crate::limits::Permit;
use crate::privilege;
use crate::socket;

/// After the kernel refused a connection for lack of something: so long a connection may take that is closed for it.
const PAUSE: Duration = Duration::from_millis(10);

/// A socket that is bound.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    pub(super) fn bind(listen: Listen, mode: u32) -> Result<Self, BindError> {
        let bound = match &listen {
            Listen::Tcp(address) => socket::listen(*address).map(Self::Tcp),
            Listen::Unix(path) => bind_unix(path, mode).map(Self::Unix),
        };
        bound.map_err(|source| BindError::Listen { listen, source })
    }

    pub(super) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    /// Accepts for ever.
    pub(super) async fn run(self, shared: Arc<Shared>) {
        loop {
            if let Err(error) = self.accept(&shared).await
                && is_lack(&error)
            {
                shared.table.relieve();
                sleep(PAUSE).await;
            }
        }
    }

    async fn accept(&self, shared: &Arc<Shared>) -> io::Result<()> {
        let shared = Arc::clone(shared);
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                let address = address.ip().to_canonical();
                serve(&Arc::clone(&shared), Some(address), |permit| {
                    connection::tls(shared, stream, address, permit)
                });
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                serve(&Arc::clone(&shared), None, |permit| connection::plain(shared, stream, permit));
            }
        }
        Ok(())
    }
}

/// Serves a connection until it ends or its place is given to another one. Its errors are its visitor's doing.
fn serve<F: Future<Output = io::Result<()>> + Send + 'static>(
    shared: &Arc<Shared>,
    address: Option<IpAddr>,
    connection: impl FnOnce(Permit) -> F,
) {
    let Some((permit, dropped)) = shared.table.admit(address) else {
        shared.counts.turned_away.fetch_add(1, Ordering::Relaxed);
        return;
    };
    let connection = connection(permit);
    tokio::spawn(async move {
        tokio::select! {
            biased;
            () = dropped => {}
            _ = connection => {}
        }
    });
}

/// Whether the kernel has no room for another connection. Other errors are those of the connection that was to be accepted
/// (accept(2)).
fn is_lack(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}

/// Listens at `path` with `mode`. A socket that nobody listens at any more is replaced; nothing else is.
pub(crate) fn bind_unix(path: &Path, mode: u32) -> io::Result<UnixListener> {
    let listener = match std::os::unix::net::UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_dead(path) => {
            nix::unistd::unlink(path)?;
            std::os::unix::net::UnixListener::bind(path)?
        }
        bound => bound?,
    };
    set_mode(path, mode)?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// Sets the mode of a socket, and of nothing that a link in its place leads to. fchmod(2) does not take such a descriptor, and
/// fchmodat2(2) is younger than the kernels that are supported.
fn set_mode(socket: &Path, mode: u32) -> io::Result<()> {
    let socket = privilege::socket_itself(socket)?;
    std::fs::set_permissions(format!("/proc/self/fd/{}", socket.as_raw_fd()), Permissions::from_mode(mode))
}

fn is_dead(path: &Path) -> bool {
    let socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    let refused = std::os::unix::net::UnixStream::connect(path)
        .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    socket && refused
}
