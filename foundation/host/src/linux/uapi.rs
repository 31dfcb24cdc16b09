//! The control protocol of WireGuard devices in user space (<https://www.wireguard.com/xplatform/>), as a client:
//! `get` and `set` over `/var/run/wireguard/NAME.sock`.
//!
//! One addition of ours: `get=1` may be followed by `public_key` lines, and then only those peers are answered, so
//! that the cost of a change does not grow with the number of peers. A device that does not know this answers with
//! an error, and is asked for all.

mod buffer;
mod reply;
mod request;

use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, UnixAddr, getsockopt};
use phantom_types::{InterfaceName, PublicKey};

use self::buffer::Writer;
use self::reply::{Failure, read_device, read_end, read_refused};
use crate::{Device, DeviceUpdate, HostError, Patience, Peer, Result};

pub use reply::parse_device_reply;

/// Where devices listen.
const SOCKET_DIR: &str = "/var/run/wireguard";
/// What is granted on top for each peer of a change: a device with many peers takes about a millisecond for one.
const SILENCE_PER_PEER: Duration = Duration::from_millis(5);

/// The client. Holds nothing open: each call is a connection of its own.
#[derive(Clone, Debug)]
pub(crate) struct Uapi {
    dir: PathBuf,
    patience: Patience,
}

impl Default for Uapi {
    fn default() -> Self {
        Self::new(Patience::default())
    }
}

/// A connection to the process that serves a device.
struct Connection {
    stream: UnixStream,
    /// The device and the process, for errors.
    object: String,
    limit: Duration,
}

impl Uapi {
    /// The client; a device that says nothing is given up as `patience` says.
    pub(crate) fn new(patience: Patience) -> Self {
        Self { dir: PathBuf::from(SOCKET_DIR), patience }
    }

    /// The device with all its peers; `None` when no process answers for it.
    pub(crate) fn device(&self, name: &InterfaceName) -> Result<Option<Device>> {
        let mut again = true;
        loop {
            let Some(device) = self.connect(name, Duration::ZERO)? else { return Ok(None) };
            let written = request::write_get(&mut Writer::new(&device.stream), &BTreeSet::new());
            match after(written, || read_device(&device.stream, None)) {
                Ok(device) => return Ok(Some(device)),
                // A process that ends in the middle of an answer has no device any more, or another one has it now.
                Err(Failure::Broken(_)) if again => again = false,
                Err(failure) => return Err(self.failed(&device, failure, reading(name))),
            }
        }
    }

    /// Those of the peers that are there; `None` when no process answers for the device.
    pub(crate) fn peers(
        &self,
        name: &InterfaceName,
        keys: &BTreeSet<PublicKey>,
    ) -> Result<Option<Vec<Peer>>> {
        // Without a key line the question would be for all peers.
        let mut targeted = !keys.is_empty();
        loop {
            let Some(device) = self.connect(name, Duration::ZERO)? else { return Ok(None) };
            let asked = if targeted { keys } else { &BTreeSet::new() };
            let written = request::write_get(&mut Writer::new(&device.stream), asked);
            match after(written, || read_device(&device.stream, Some(keys))) {
                Ok(device) => return Ok(Some(device.peers)),
                // A device without our addition refuses the first key line, and may hang up before it has read them all.
                Err(Failure::Refused(_) | Failure::Broken(_)) if targeted => targeted = false,
                Err(failure) => return Err(self.failed(&device, failure, reading(name))),
            }
        }
    }

    /// The peers whose handshakes are refused; `None` when no process answers for the device.
    pub(crate) fn refused(&self, name: &InterfaceName) -> Result<Option<Vec<PublicKey>>> {
        let Some(device) = self.connect(name, Duration::ZERO)? else { return Ok(None) };
        let written = request::write_get(&mut Writer::new(&device.stream), &BTreeSet::new());
        match after(written, || read_refused(&device.stream)) {
            Ok(refused) => Ok(Some(refused)),
            Err(failure) => Err(self.failed(&device, failure, reading(name))),
        }
    }

    /// Applies a change. [`Absent`](HostError::Absent) when no process answers for the device.
    pub(crate) fn configure(&self, name: &InterfaceName, update: &DeviceUpdate) -> Result<()> {
        let peers = u32::try_from(update.peers.len()).unwrap_or(u32::MAX);
        let Some(device) = self.connect(name, SILENCE_PER_PEER.saturating_mul(peers))? else {
            return Err(HostError::Absent { object: object(name) });
        };
        let written = request::write_set(&mut Writer::new(&device.stream), update);
        after(written, || read_end(&device.stream))
            .map_err(|failure| self.failed(&device, failure, format!("configuring {}", object(name))))
    }

    /// That the device answers a question, be it that it refuses it, or that no process answers for it. A process that hangs must
    /// not be sent a change at all: once it went on it would do what had been rolled back by then.
    pub(crate) fn answers(&self, name: &InterfaceName) -> Result<()> {
        // No device has such a peer. What it answers does not matter, but that it does.
        let nobody = BTreeSet::from([PublicKey::from_bytes([0; 32])]);
        let Some(device) = self.connect(name, Duration::ZERO)? else { return Ok(()) };
        let written = request::write_get(&mut Writer::new(&device.stream), &nobody);
        match after(written, || read_end(&device.stream)) {
            Err(failure @ Failure::Io(_)) => Err(self.failed(&device, failure, reading(name))),
            _ => Ok(()),
        }
    }

    fn failed(&self, device: &Connection, failure: Failure, what: String) -> HostError {
        match failure {
            Failure::Io(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.patience.remember(&device.object, device.limit);
                HostError::Silent { object: device.object.clone(), limit: device.limit }
            }
            failure => failure.into_error(what),
        }
    }

    /// Connects; `more` is granted beside the usual patience. One that was silent a moment ago is not waited for again.
    fn connect(&self, name: &InterfaceName, more: Duration) -> Result<Option<Connection>> {
        let path = self.dir.join(format!("{name}.sock"));
        let failed = |error| HostError::io(format!("connecting to {}", path.display()), error);
        let limit = self.patience.limit().saturating_add(more);
        match open(&path, limit) {
            Ok(stream) => {
                stream.set_read_timeout(Some(limit)).map_err(failed)?;
                stream.set_write_timeout(Some(limit)).map_err(failed)?;
                let process = getsockopt(&stream, PeerCredentials).map(|peer| peer.pid());
                let process = process.map_or_else(|_| String::new(), |pid| format!(" (process {pid})"));
                let object = format!("{}{process}", object(name));
                if self.patience.was_silent(&object) {
                    return Err(HostError::Silent { object, limit });
                }
                Ok(Some(Connection { stream, object, limit }))
            }
            // So many wait for it already that the kernel takes no more.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let object = object(name);
                self.patience.remember(&object, limit);
                Err(HostError::Silent { object, limit })
            }
            // A socket that a killed process left behind refuses connections.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) =>
            {
                Ok(None)
            }
            Err(error) => Err(failed(error)),
        }
    }
}

/// Connects to the socket at a path. Where the process has stopped taking connections this ends as well.
fn open(path: &Path, limit: Duration) -> io::Result<UnixStream> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket::socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    let stream = UnixStream::from(socket);
    stream.set_write_timeout(Some(limit))?;
    socket::connect(stream.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(stream)
}

/// The reply to what was written. A device that hangs up while it is written to may have said why before.
fn after<T>(written: io::Result<()>, read: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    match (written, read()) {
        (Ok(()), result) => result,
        (Err(_), Err(refused @ Failure::Refused(_))) => Err(refused),
        (Err(error), _) => Err(Failure::from_io(error)),
    }
}

fn object(name: &InterfaceName) -> String {
    format!("embedded WireGuard device {name}")
}

fn reading(name: &InterfaceName) -> String {
    format!("reading {}", object(name))
}

#[cfg(test)]
mod tests;
