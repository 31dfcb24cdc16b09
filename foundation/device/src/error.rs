//! Why a device could not be started or went away.

use std::io;
use std::path::PathBuf;

use phantom_types::InterfaceName;

/// A device that could not be started, or that failed while it ran.
///
/// A `set` that is refused is no such error: it is answered to its sender as an `errno=` line (see
/// [`UapiError`](crate::uapi::UapiError)) and the device goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// Another process serves this interface already.
    #[error("{name} is served by another process")]
    AlreadyRunning {
        /// The interface.
        name: InterfaceName,
    },
    /// There is an interface of this name, but no TUN of this kind: the kernel's own WireGuard, a bridge, a TAP, …
    #[error("there is an interface {name} that is no such TUN")]
    NotATun {
        /// The interface.
        name: InterfaceName,
    },
    /// `/dev/net/tun` is absent or refuses. Creating an interface wants `CAP_NET_ADMIN`.
    #[error("cannot open the TUN {name}")]
    Tun {
        /// The interface.
        name: InterfaceName,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The control socket cannot be made.
    #[error("cannot serve {}", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A thread that carries packets cannot be started.
    #[error("cannot start what carries packets")]
    Worker {
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// One of the tasks that carry packets has failed, which is an error in this program. Start the device again: its
    /// link with addresses and routes is still there.
    #[error("a task that carries packets has failed")]
    Task,
}
