//! Listening sockets, and the loops that accept from them.

use std::fs::Permissions;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::time::sleep;

use super::{BindError, Listen, Shared, connection};
use crate::socket;

/// After the kernel refused a connection for lack of something, which time may bring back.
const PAUSE: Duration = Duration::from_millis(100);

/// A socket that is bound.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    pub(super) fn bind(listen: Listen) -> Result<Self, BindError> {
        let bound = match &listen {
            Listen::Tcp(address) => socket::listen(*address).map(Self::Tcp),
            Listen::Unix(path) => bind_unix(path, 0o666).map(Self::Unix),
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
            if self.accept(&shared).await.is_err() {
                sleep(PAUSE).await;
            }
        }
    }

    async fn accept(&self, shared: &Arc<Shared>) -> io::Result<()> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                let address = address.ip().to_canonical();
                match shared.table.admit(Some(address)) {
                    Some(permit) => {
                        // The connection's own errors are its visitor's doing.
                        let shared = Arc::clone(shared);
                        tokio::spawn(
                            async move { drop(connection::tls(shared, stream, address, permit).await) },
                        );
                    }
                    None => turned_away(shared),
                }
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                match shared.table.admit(None) {
                    Some(permit) => {
                        let shared = Arc::clone(shared);
                        tokio::spawn(async move { drop(connection::plain(shared, stream, permit).await) });
                    }
                    None => turned_away(shared),
                }
            }
        }
        Ok(())
    }
}

fn turned_away(shared: &Shared) {
    shared.counts.turned_away.fetch_add(1, Ordering::Relaxed);
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
    std::fs::set_permissions(path, Permissions::from_mode(mode))?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

fn is_dead(path: &Path) -> bool {
    let socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    let refused = std::os::unix::net::UnixStream::connect(path)
        .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    socket && refused
}
