//! What lives no longer than the system runs: its id, and the marker of a change under way.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use phantom_types::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::files;
use crate::store::Store;

/// Says that a change is under way. One that nobody is working on any more (the lock is free) was cut short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    /// The module of the action.
    pub module: String,
    /// The action.
    pub action: String,
    /// When it began.
    pub started_at: Timestamp,
    /// The [generation](crate::State::generation) it began with: the stored state has a later one if the change was
    /// committed.
    pub generation: u64,
    /// The process that works on it.
    pub pid: u32,
}

/// The marker as it is in its file.
#[derive(Serialize, Deserialize)]
struct Written {
    module: String,
    action: String,
    started_at: i64,
    generation: u64,
    pid: u32,
}

impl Store {
    /// The id of this run of the system, or nothing if nobody has asked for one since the boot.
    ///
    /// It is in the run directory, which the next boot empties. In a container that directory may outlive the run: the start
    /// that the id was made in is noted beside it, and the id of another one counts for nothing. What is only to hold until
    /// then is stored together with this id, and no longer holds when the two differ.
    pub fn run_id(&self) -> Result<Option<String>, StoreError> {
        let text = read(&self.paths().boot())?.unwrap_or_default();
        let mut words = text.split_whitespace();
        let (id, start) = (words.next(), words.next());
        Ok(id.filter(|_| is_this_start(start, start_of_system().as_deref())).map(str::to_owned))
    }

    /// The id of this run of the system, made up now if there was none. All callers get the same one.
    pub fn ensure_run_id(&self) -> Result<String, StoreError> {
        let file = self.paths().boot();
        let failed = |error| StoreError::write(&file, error);
        loop {
            if let Some(id) = self.run_id()? {
                return Ok(id);
            }
            let id = fs::read_to_string("/proc/sys/kernel/random/uuid").map_err(failed)?;
            let id = id.trim();
            files::make_run_dir(self.paths().run_dir()).map_err(failed)?;
            // A link, unlike a rename, fails if somebody else was faster.
            let draft = files::beside(&file, &format!(".{id}"));
            let text = start_of_system().map_or_else(|| id.to_owned(), |start| format!("{id} {start}"));
            files::create_private(&draft).and_then(|mut to| to.write_all(text.as_bytes())).map_err(failed)?;
            let linked = fs::hard_link(&draft, &file);
            files::remove(&draft).map_err(failed)?;
            match linked {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && self.run_id()?.is_none() => {
                    files::remove(&file).map_err(failed)?;
                }
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
                _ => {}
            }
        }
    }

    /// The marker of the change that is under way or was cut short. A marker that makes no sense is one, too: its
    /// texts are `unknown` and its numbers 0.
    pub fn marker(&self) -> Result<Option<Marker>, StoreError> {
        Ok(read(&self.paths().changing())?.map(|text| {
            let unknown = || Written {
                module: "unknown".to_owned(),
                action: "unknown".to_owned(),
                started_at: 0,
                generation: 0,
                pid: 0,
            };
            let Written { module, action, started_at, generation, pid } =
                serde_json::from_str(&text).unwrap_or_else(|_| unknown());
            Marker { module, action, started_at: Timestamp::from_micros(started_at), generation, pid }
        }))
    }

    /// Sets the marker, in the place of any other one. The caller holds the [lock](Store::lock).
    ///
    /// It is there as a whole or not at all, but is not flushed to a disk: the next boot shall not find it.
    pub fn set_marker(&self, marker: &Marker) -> Result<(), StoreError> {
        let file = self.paths().changing();
        let failed = |error| StoreError::write(&file, error);
        let Marker { module, action, started_at, generation, pid } = marker.clone();
        let written = Written { module, action, started_at: started_at.micros(), generation, pid };
        let text = serde_json::to_vec(&written).map_err(|error| failed(error.into()))?;
        let draft = files::beside(&file, ".new");
        let mut to = files::open_private(&draft).map_err(failed)?;
        to.set_len(0).and_then(|()| to.write_all(&text)).map_err(failed)?;
        self.say_changing(true);
        fs::rename(&draft, &file).map_err(failed)
    }

    /// Removes the marker: the change is complete, or undone. The caller holds the [lock](Store::lock).
    pub fn clear_marker(&self) -> Result<(), StoreError> {
        let file = self.paths().changing();
        files::remove(&file).map_err(|error| StoreError::write(&file, error))?;
        self.say_changing(false);
        Ok(())
    }
}

fn read(file: &Path) -> Result<Option<String>, StoreError> {
    match fs::read(file) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::unreadable(file, error)),
    }
}

/// When process 1 has started, in ticks since the boot of the kernel: a container's is another one after each start of it.
/// `None` where that is not to be seen.
fn start_of_system() -> Option<String> {
    let stat = fs::read_to_string("/proc/1/stat").ok()?;
    // The name in the second field can hold anything; the start is the 20th behind it (proc_pid_stat(5)).
    Some(stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.to_owned())
}

/// Whether what was noted is this start of the system, as far as that can be told: an older version has noted nothing.
fn is_this_start(noted: Option<&str>, now: Option<&str>) -> bool {
    match (noted, now) {
        (Some(noted), Some(now)) => noted == now,
        _ => true,
    }
}

#[cfg(test)]
mod tests;
