//! Where peers were told to be: what tells a peer that has moved from one that is to be sent somewhere else.
//!
//! A device sends to where it last heard a peer from, so that the end point that it shows is not the one it was given. It is
//! right all the same as long as the peer was given the wanted one, and has answered since.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use phantom_types::{InterfaceName, PublicKey, Timestamp};

use super::{ApplyContext, DesiredState};
use crate::{HostError, Peer, PeerConfig, Result};

/// Peers with the end point that they were given last, and when.
pub type LastEndpoints = BTreeMap<PublicKey, (SocketAddr, Timestamp)>;

/// Whether a peer sends to where it is wanted: it is there, or it was told to be there, and has moved since by itself.
pub(super) fn is_right(now: &Peer, wanted: &PeerConfig, told: &LastEndpoints) -> bool {
    if wanted.endpoint.is_none() || now.config.endpoint == wanted.endpoint {
        return true;
    }
    let (Some((given, at)), Some(heard)) = (told.get(&wanted.public_key), now.last_handshake) else {
        return false;
    };
    Some(*given) == wanted.endpoint && heard > *at
}

/// What was noted of an interface. A line that is not understood says nothing.
pub(super) fn read(context: &ApplyContext<'_>, interface: &InterfaceName) -> Result<LastEndpoints> {
    let noted = context.host.files.read(&file(context, interface))?.unwrap_or_default();
    let text = String::from_utf8_lossy(&noted);
    let line = |line: &str| {
        let mut words = line.split(' ');
        let key = words.next()?.parse().ok()?;
        let given = words.next()?.parse().ok()?;
        Some((key, (given, Timestamp::from_micros(words.next()?.parse().ok()?))))
    };
    Ok(text.lines().filter_map(line).collect())
}

/// Notes where peers were told to be, and when that began. It is noted once it was done: a peer that was never told, and answers
/// from where it was before, would count as one that has moved.
pub(super) fn note<'a>(
    context: &ApplyContext<'_>,
    wanted: &DesiredState,
    (interface, now): (&InterfaceName, Timestamp),
    peers: impl Iterator<Item = &'a PeerConfig>,
) -> Result<(), HostError> {
    let given: LastEndpoints =
        peers.filter_map(|peer| Some((peer.public_key, (peer.endpoint?, now)))).collect();
    if given.is_empty() {
        return Ok(());
    }
    let mut told = read(context, interface)?;
    // Those that nobody wants any more need no note.
    let peers = wanted.interfaces.get(interface).and_then(|interface| interface.device.peers.as_deref());
    told.retain(|key, _| peers.unwrap_or_default().iter().any(|peer| peer.config.public_key == *key));
    told.extend(given);
    let line =
        |(key, (at, when)): (&PublicKey, &(SocketAddr, Timestamp))| format!("{key} {at} {}\n", when.micros());
    let text: String = told.iter().map(line).collect();
    context.host.files.make_dir(context.run_dir, 0o700)?;
    context.host.files.write(&file(context, interface), text.as_bytes(), 0o600)
}

/// Forgets what was noted of an interface, which is gone.
pub(super) fn forget(context: &ApplyContext<'_>, interface: &InterfaceName) -> Result<(), HostError> {
    let file = file(context, interface);
    if context.host.files.info(&file)?.is_some() { context.host.files.remove(&file) } else { Ok(()) }
}

fn file(context: &ApplyContext<'_>, interface: &InterfaceName) -> PathBuf {
    context.run_dir.join(format!("{interface}.endpoints"))
}
