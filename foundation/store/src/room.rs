//! Space on the disk that is taken before it is needed.
//!
//! A change takes what its commit needs before anything that cannot be stored is done, so that a full disk refuses it
//! in time ([`Transaction::reserve_space`]). And some space is always kept back in a file of its own, for a change that
//! takes something away: that one works however full the disk is ([`Store::give_room`]).

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate, posix_fallocate};
use nix::sys::statvfs::statvfs;

use crate::error::{About as _, StoreError};
use crate::files;
use crate::lock::Lock;
use crate::state::State;
use crate::store::Store;
use crate::transaction::Transaction;

/// Bytes past the end of the log for what a change writes after it has begun to touch the host, and for its commit:
/// 31 pages.
const COMMIT_ROOM: u64 = 128 << 10;
/// Bytes kept back at any number of clients: a log that is due to be copied, one change, and what is kept for its
/// commit.
const ROOM: u64 = 1 << 20;
/// Bytes kept back for each client: its block in the file for `wg`, which is written beside the old one.
const ROOM_PER_CLIENT: u64 = 256;
/// The room grows in steps of this many bytes, and what is smaller is not worth taking.
const STEP: u64 = 64 << 10;

impl Transaction<'_> {
    /// Takes the space on the disk that this change needs: writes what was changed so far to the log, where nobody sees
    /// it before the commit, and makes room after them for the rest. From here on a full disk is no reason for the
    /// commit to fail.
    ///
    /// For whoever is about to do what cannot be stored, such as to touch the host; again after further changes. A
    /// change that stores nothing of its own is counted by its commit ([`State::generation`]) where there is space for
    /// that.
    pub fn reserve_space(&self) -> Result<(), StoreError> {
        let Some(connection) = self.connection() else { return Ok(()) };
        let file = self.file();
        let log = files::beside(file, "-wal");
        if !self.has_changes() {
            if extend(&log).is_ok() {
                self.count();
            }
            return Ok(());
        }
        connection.cache_flush().about(file)?;
        extend(&log).map_err(|error| StoreError::write(file, error))
    }
}

/// Takes the space past the end of the log. It keeps its length.
fn extend(log: &Path) -> io::Result<()> {
    let found = fs::metadata(log)?;
    if found.blocks() * 512 >= found.len() + COMMIT_ROOM {
        return Ok(());
    }
    let file = files::open_private(log)?;
    let (from, length) = (found.len().cast_signed(), COMMIT_ROOM.cast_signed());
    match fallocate(file.as_fd(), FallocateFlags::FALLOC_FL_KEEP_SIZE, from, length) {
        // A file system that takes no space in advance has none to promise.
        Ok(()) | Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

impl Store {
    /// Gives the room that is kept back to the file system, for a change that takes something away, if there is not as
    /// much free without it. Says whether it did. The commit keeps room back again, and so does [`Self::keep_room`].
    pub fn give_room(&self, lock: &Lock) -> Result<bool, StoreError> {
        self.check_lock(lock)?;
        let file = self.paths().room();
        let failed = |error| StoreError::write(&file, error);
        let Ok(found) = fs::metadata(&file) else { return Ok(false) };
        if found.len() == 0 || free(&file).map_err(failed)? >= found.len() {
            return Ok(false);
        }
        // The empty file stays: it says that the space was ours.
        let emptied = fs::OpenOptions::new().write(true).open(&file).and_then(|file| file.set_len(0));
        emptied.map(|()| true).map_err(failed)
    }

    /// Keeps room back again after [`Self::give_room`], where that change was not committed.
    pub fn keep_room(&self, lock: &Lock) -> Result<(), StoreError> {
        self.check_lock(lock)?;
        let clients = self.read(State::client_count)?;
        keep(&self.paths().room(), clients);
        Ok(())
    }
}

/// Keeps room back for one change at this number of clients, as far as there is room: the first time only where as much
/// is free beside it. It changes nothing of what is stored, so that failing is no error.
pub(crate) fn keep(file: &Path, clients: u32) {
    let wanted = ROOM + (ROOM_PER_CLIENT * u64::from(clients)).next_multiple_of(STEP);
    let mut taken = match fs::metadata(file) {
        Ok(found) => found.blocks() * 512,
        Err(_) if file.parent().and_then(|dir| free(dir).ok()).is_none_or(|free| free < 2 * wanted) => return,
        Err(_) => 0,
    };
    if taken >= wanted {
        return;
    }
    let Ok(file) = files::open_private(file) else { return };
    // All of it, or on a full disk by halves what there is.
    let mut more = wanted - taken;
    while more >= STEP && taken < wanted {
        if take(&file, taken + more).is_ok() {
            taken += more;
        } else {
            more /= 2;
        }
    }
}

fn take(file: &File, length: u64) -> nix::Result<()> {
    posix_fallocate(file.as_fd(), 0, length.cast_signed())
}

/// Bytes that are free on the file system of a path, for root.
pub(crate) fn free(path: &Path) -> io::Result<u64> {
    let disk = statvfs(path)?;
    Ok(disk.blocks_free() * disk.fragment_size())
}

#[cfg(test)]
mod tests;
