//! Single peers: a client that comes or goes costs the same at ten clients and at sixty thousand.

use std::collections::BTreeSet;
use std::path::PathBuf;

use phantom_host::{DeviceUpdate, HostError, PeerConfig, PeerUpdate, write_and_verify};
use phantom_types::{Backend, InterfaceName, PublicKey};
use zeroize::Zeroizing;

use crate::Engine;

/// What is wanted of one peer.
#[derive(Debug)]
pub struct PeerChange {
    /// Who it is.
    pub key: PublicKey,
    /// What a device must take; `None` where none is meant to run, or where only the file matters.
    pub device: Option<DeviceChange>,
    /// A file that lists the peers.
    pub file: PathBuf,
    /// Its block in that file; `None` when it should be gone.
    pub block: Option<Zeroizing<String>>,
    /// The text of such a file without the block of a peer; `None` if it has none.
    pub without: fn(&str, &PublicKey) -> Option<Zeroizing<String>>,
}

/// What is wanted of one peer of a device.
#[derive(Debug)]
pub struct DeviceChange {
    /// The interface.
    pub interface: InterfaceName,
    /// Whose WireGuard.
    pub backend: Backend,
    /// How the peer is set up; [`PeerUpdate::Remove`] when it should be gone.
    pub update: PeerUpdate,
}

/// Which way single peers are brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// To a new state: a peer that comes has no block in the file yet.
    Apply,
    /// Back to the old state, from wherever the change failed: its block may still be there.
    RollBack,
}

/// How far single peers could be brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ApplyOutcome {
    /// Device and file are as wanted.
    Done,
    /// The device or the file is not there: only a full reconcile can help.
    NeedsFullReconcile,
}

impl Engine {
    /// Brings single peers to what is wanted, without looking at any other.
    pub(crate) fn apply_peers(
        &self,
        changes: &[PeerChange],
        direction: Direction,
    ) -> Result<ApplyOutcome, HostError> {
        for change in changes {
            if let Some(device) = &change.device {
                let update = DeviceUpdate { peers: vec![device.update.clone()], ..DeviceUpdate::default() };
                match self.host.wireguard.configure(&device.interface, device.backend, &update) {
                    Err(error) if error.is_absent() => return Ok(ApplyOutcome::NeedsFullReconcile),
                    other => other?,
                }
                self.verify_peer(&change.key, device, direction)?;
            }
            if self.write_block(change, direction)? == ApplyOutcome::NeedsFullReconcile {
                return Ok(ApplyOutcome::NeedsFullReconcile);
            }
        }
        Ok(ApplyOutcome::Done)
    }

    /// That the device shows what it was told. On the way to a new state the kernel's word is taken for it: it cannot be
    /// asked for a single peer, and to read all of them would cost more than the change.
    fn verify_peer(
        &self,
        key: &PublicKey,
        change: &DeviceChange,
        direction: Direction,
    ) -> Result<(), HostError> {
        if change.backend == Backend::Kernel && direction == Direction::Apply {
            return Ok(());
        }
        let now = self.host.wireguard.peers(&change.interface, change.backend, &[*key])?.unwrap_or_default();
        let networks = |peer: &PeerConfig| peer.allowed_ips.iter().copied().collect::<BTreeSet<_>>();
        let same = match (&change.update, now.first().map(|peer| &peer.config)) {
            (PeerUpdate::Remove(_), None) => true,
            (PeerUpdate::Set(wanted), Some(now)) => {
                now.preshared_key == wanted.preshared_key && networks(now) == networks(wanted)
            }
            _ => false,
        };
        if same { Ok(()) } else { Err(unseen(format!("the peer {key} of {}", change.interface))) }
    }

    fn write_block(&self, change: &PeerChange, direction: Direction) -> Result<ApplyOutcome, HostError> {
        let files = &self.host.files;
        if let Some(block) = &change.block {
            if direction == Direction::RollBack && self.has_block(change)? {
                return Ok(ApplyOutcome::Done);
            }
            return match files.info(&change.file)? {
                Some(info) if info.len > 0 && !info.dir => {
                    match files.append(&change.file, block.as_bytes()) {
                        // A link, which is not added to: the file is written as a whole.
                        Err(error) if error.is_absent() => return Ok(ApplyOutcome::NeedsFullReconcile),
                        appended => appended?,
                    }
                    let whole = info.len + block.len() as u64;
                    let there = files.info(&change.file)?.is_some_and(|now| now.len == whole);
                    if there { Ok(ApplyOutcome::Done) } else { Err(unseen(change.file.display())) }
                }
                Some(_) | None => Ok(ApplyOutcome::NeedsFullReconcile),
            };
        }
        let Some(content) = files.read(&change.file)?.map(Zeroizing::new) else {
            return Ok(ApplyOutcome::NeedsFullReconcile);
        };
        let Ok(text) = std::str::from_utf8(&content) else { return Ok(ApplyOutcome::NeedsFullReconcile) };
        // Somebody else wrote it last: it is written as a whole, after what is there was kept.
        if !self.tags.owns_file(&content) {
            return Ok(ApplyOutcome::NeedsFullReconcile);
        }
        if let Some(rest) = (change.without)(text, &change.key) {
            write_and_verify(&**files, &change.file, rest.as_bytes(), 0o600)?;
        }
        Ok(ApplyOutcome::Done)
    }

    fn has_block(&self, change: &PeerChange) -> Result<bool, HostError> {
        let content = self.host.files.read(&change.file)?.map(Zeroizing::new);
        let text = content.as_deref().and_then(|content| std::str::from_utf8(content).ok());
        Ok(text.is_some_and(|text| (change.without)(text, &change.key).is_some()))
    }
}

fn unseen(what: impl std::fmt::Display) -> HostError {
    HostError::unexpected(format!("{what} is not as the host was told"))
}
