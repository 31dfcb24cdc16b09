//! Tells the service manager that the device is ready: the protocol of `sd_notify(3)`, which is one datagram.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The service can be used: its control socket answers.
pub(crate) const READY: &str = "READY=1\n";
/// The service is about to end.
pub(crate) const STOPPING: &str = "STOPPING=1\n";

/// Sends `state` to the service manager whose socket is `socket` (the value of `NOTIFY_SOCKET`): a path, or with a
/// leading `@` the name of an abstract socket.
pub(crate) fn send(socket: &OsStr, state: &str) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        path => SocketAddr::from_pathname(OsStr::from_bytes(path))?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receives(address: &SocketAddr, socket: &OsStr) {
        let manager = UnixDatagram::bind_addr(address).unwrap();
        send(socket, READY).unwrap();
        let mut text = [0; 64];
        let length = manager.recv(&mut text).unwrap();
        assert_eq!(&text[..length], READY.as_bytes());
    }

    #[test]
    fn path_and_abstract_socket_are_both_reached() {
        let path = std::env::temp_dir().join(format!("phantom-notify-{}", std::process::id()));
        receives(&SocketAddr::from_pathname(&path).unwrap(), path.as_os_str());
        std::fs::remove_dir_all(&path)
            .or_else(|_| nix::unistd::unlink(&path).map_err(io::Error::from))
            .unwrap();

        let name = format!("phantom-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        receives(&address, OsStr::new(&format!("@{name}")));
    }

    #[test]
    fn missing_socket_is_an_error() {
        assert!(send(OsStr::new("/nonexistent/notify"), READY).is_err());
    }
}
