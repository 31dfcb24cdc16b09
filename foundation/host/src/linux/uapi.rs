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
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use phantom_types::{InterfaceName, PublicKey};

use self::buffer::Writer;
use self::reply::{Failure, read_device, read_end};
use crate::{Device, DeviceUpdate, HostError, Peer, Result};

pub use reply::parse_device_reply;

/// Where devices listen.
const SOCKET_DIR: &str = "/var/run/wireguard";
/// How long a device may be silent at most before it counts as hung.
const SILENCE: Duration = Duration::from_secs(30);
/// What is granted on top for each peer of a change: a device with many peers takes about a millisecond for one.
const SILENCE_PER_PEER: Duration = Duration::from_millis(5);

/// The client. Holds nothing open: each call is a connection of its own.
#[derive(Clone, Debug)]
pub(crate) struct Uapi {
    dir: PathBuf,
}

impl Default for Uapi {
    fn default() -> Self {
        Self { dir: PathBuf::from(SOCKET_DIR) }
    }
}

impl Uapi {
    /// The device with all its peers; `None` when no process answers for it.
    pub(crate) fn device(&self, name: &InterfaceName) -> Result<Option<Device>> {
        let mut again = true;
        loop {
            let Some(stream) = self.connect(name, SILENCE)? else { return Ok(None) };
            let written = request::write_get(&mut Writer::new(&stream), &BTreeSet::new());
            match after(written, || read_device(&stream, None)) {
                Ok(device) => return Ok(Some(device)),
                // A process that ends in the middle of an answer has no device any more, or another one has it now.
                Err(Failure::Broken(_)) if again => again = false,
                Err(failure) => return Err(failure.into_error(reading(name))),
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
            let Some(stream) = self.connect(name, SILENCE)? else { return Ok(None) };
            let asked = if targeted { keys } else { &BTreeSet::new() };
            let written = request::write_get(&mut Writer::new(&stream), asked);
            match after(written, || read_device(&stream, Some(keys))) {
                Ok(device) => return Ok(Some(device.peers)),
                // A device without our addition refuses the first key line, and may hang up before it has read them all.
                Err(Failure::Refused(_) | Failure::Broken(_)) if targeted => targeted = false,
                Err(failure) => return Err(failure.into_error(reading(name))),
            }
        }
    }

    /// Applies a change. [`Absent`](HostError::Absent) when no process answers for the device.
    pub(crate) fn configure(&self, name: &InterfaceName, update: &DeviceUpdate) -> Result<()> {
        let peers = u32::try_from(update.peers.len()).unwrap_or(u32::MAX);
        let patience = SILENCE.saturating_add(SILENCE_PER_PEER.saturating_mul(peers));
        let Some(stream) = self.connect(name, patience)? else {
            return Err(HostError::Absent { object: object(name) });
        };
        let written = request::write_set(&mut Writer::new(&stream), update);
        after(written, || read_end(&stream))
            .map_err(|failure| failure.into_error(format!("configuring {}", object(name))))
    }

    fn connect(&self, name: &InterfaceName, patience: Duration) -> Result<Option<UnixStream>> {
        let path = self.dir.join(format!("{name}.sock"));
        let failed = |error| HostError::io(format!("connecting to {}", path.display()), error);
        match UnixStream::connect(&path) {
            Ok(stream) => {
                stream.set_read_timeout(Some(patience)).map_err(failed)?;
                stream.set_write_timeout(Some(patience)).map_err(failed)?;
                Ok(Some(stream))
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

/// The reply to what was written. A device that hangs up while it is written to may have said why before.
fn after<T>(written: io::Result<()>, read: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    match (written, read()) {
        (Ok(()), result) => result,
        (Err(_), Err(refused @ Failure::Refused(_))) => Err(refused),
        (Err(error), _) => Err(Failure::of(error)),
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
