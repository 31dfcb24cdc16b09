//! Tells the service manager how far the service is: the protocol of `sd_notify(3)`, which is one datagram.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The service does its work.
pub(crate) const READY: &str = "READY=1\n";
/// The service is about to end.
pub(crate) const STOPPING: &str = "STOPPING=1\n";

/// Sends `state` to the service manager, if one is named by `NOTIFY_SOCKET`. A manager that does not listen is no reason
/// to fail.
pub(crate) fn notify(state: &str) {
    if let Some(socket) = std::env::var_os("NOTIFY_SOCKET") {
        let _ = send(&socket, state);
    }
}

/// Sends to the socket at a path, or with a leading `@` to the abstract one of that name.
fn send(socket: &OsStr, state: &str) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        path => SocketAddr::from_pathname(OsStr::from_bytes(path))?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_and_abstract_socket_are_both_reached() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("phantom-ghost-notify-{}", std::process::id());
        for (address, socket) in [
            (SocketAddr::from_pathname(&path).unwrap(), path.clone().into_os_string()),
            (SocketAddr::from_abstract_name(&name).unwrap(), format!("@{name}").into()),
        ] {
            let manager = UnixDatagram::bind_addr(&address).unwrap();
            send(&socket, READY).unwrap();
            let mut text = [0; 64];
            let length = manager.recv(&mut text).unwrap();
            assert_eq!(&text[..length], READY.as_bytes());
        }
        assert!(send(OsStr::new("/nonexistent/notify"), READY).is_err());
    }
}
