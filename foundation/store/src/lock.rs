//! The one lock of all changes.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::LockError;
use crate::files;
use crate::paths::Paths;

/// Shortest and longest pause between two attempts.
const PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(10));

/// The right to change the state, and with it the host. There is one holder at a time among all processes and threads.
///
/// Dropping it gives the right back, and so does the end of the process, however it ends: the lock is the kernel's
/// `flock(2)` on an open file, not the file's existence.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// The lock file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether somebody holds it. A shared lock is taken and given back at once: whoever tries meanwhile tries again within
    /// [`PAUSE`].
    pub(crate) fn is_held(paths: &Paths) -> Result<bool, LockError> {
        let path = paths.lock();
        let failed = |source| LockError::Io { file: path.clone(), source };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(failed(error)),
        };
        match file.try_lock_shared() {
            Ok(()) => file.unlock().map(|()| false).map_err(failed),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    pub(crate) fn acquire(paths: &Paths, wait: Duration) -> Result<Self, LockError> {
        let path = paths.lock();
        let start = Instant::now();
        let mut pause = PAUSE.0;
        let failed = |source| LockError::Io { file: path.clone(), source };
        loop {
            // Opened again each time: every open file has a lock of its own, and the file may have been replaced.
            let mut file = open(paths).map_err(failed)?;
            match file.try_lock() {
                Ok(()) if is_at(&file, &path) => {
                    note_holder(&mut file).map_err(failed)?;
                    return Ok(Self { file, path });
                }
                Ok(()) => continue,
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
            let waited = start.elapsed();
            if waited >= wait {
                return Err(LockError::Busy { waited, holder: holder(&mut file) });
            }
            thread::sleep(pause.min(wait.saturating_sub(waited)));
            pause = (pause * 2).min(PAUSE.1);
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Only so that nobody reads this process's number while the next holder has not written its own yet.
        let _ = self.file.set_len(0);
        // Said, not left to the closing: a process that another thread is just starting has the open file too until it
        // runs its program, and the lock with it.
        let _ = self.file.unlock();
    }
}

fn open(paths: &Paths) -> io::Result<File> {
    let path = paths.lock();
    match files::open_private(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            files::make_run_dir(paths.run_dir())?;
            files::open_private(&path)
        }
        result => result,
    }
}

/// Whether the open file still is the one at the path. It is not when somebody emptied the run directory, and then
/// the next one to come would lock another file.
pub(crate) fn is_at(file: &File, path: &Path) -> bool {
    let identity = |found: std::fs::Metadata| (found.dev(), found.ino());
    file.metadata().map(identity).ok() == path.metadata().map(identity).ok()
}

fn note_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    write!(file, "{}", std::process::id())
}

/// The process that wrote itself down, if it still runs.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    let pid: u32 = text.trim().parse().ok()?;
    Path::new("/proc").join(pid.to_string()).exists().then_some(pid)
}

#[cfg(test)]
mod tests;
