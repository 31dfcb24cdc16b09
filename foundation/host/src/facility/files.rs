//! Files.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::{HostError, Result};

/// What is known of a file without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// Permission bits, as in `0o600`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Bytes.
    pub len: u64,
    /// It is a directory.
    pub dir: bool,
}

/// Files of the host. Every path is absolute; symbolic links in the last place are not followed when writing.
pub trait Files: Send + Sync {
    /// Content of a file, `None` when there is none. A pipe or a socket is none, and a device is an empty one: nothing is
    /// waited for.
    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>>;
    /// Content of a file in a folder that another user may write to, `None` when there is none. What is no ordinary file
    /// of at most this many bytes is an error: it is neither waited for nor followed.
    ///
    /// Where there are no others, it is [`Self::read`] with a bound.
    fn read_of_others(&self, path: &Path, most: usize) -> Result<Option<Vec<u8>>> {
        let content = self.read(path)?;
        match content {
            Some(content) if content.len() > most => {
                let error = io::Error::other(format!("it is longer than {most} bytes"));
                Err(HostError::io(format!("reading {}", path.display()), error))
            }
            content => Ok(content),
        }
    }
    /// What is known of a file or directory, `None` when there is none.
    fn info(&self, path: &Path) -> Result<Option<FileInfo>>;
    /// Names in a directory, sorted; empty when there is none.
    fn list(&self, dir: &Path) -> Result<Vec<PathBuf>>;
    /// Replaces a file atomically: a new file with its final mode from the start, fsync, rename, fsync of the
    /// directory. The directory must exist. Until the rename it is `.NAME.` and 16 hexadecimal digits, and locked; a
    /// writer that is killed leaves it behind without the lock, and the next write or removal of the file removes it.
    fn write(&self, path: &Path, content: &[u8], mode: u32) -> Result<()>;
    /// Adds to the end of an existing file with one write, without fsync: only for files that can be made again.
    /// [`Absent`](crate::HostError::Absent) without the file, and where a link is in its place.
    fn append(&self, path: &Path, content: &[u8]) -> Result<()>;
    /// Corrects mode and owner (to root).
    fn set_mode(&self, path: &Path, mode: u32) -> Result<()>;
    /// Makes a directory with this mode, and what is missing above it with the same, and flushes their names; one that is
    /// there stays as it is.
    fn make_dir(&self, dir: &Path, mode: u32) -> Result<()>;
    /// Removes a file, and what killed writers of it left. One that is not there is no error.
    fn remove(&self, path: &Path) -> Result<()>;
    /// Removes a directory with all that is in it, not following links. One that is not there is no error.
    fn remove_dir(&self, dir: &Path) -> Result<()>;
}

/// Writes a file and looks at it: where it is not there with its length and mode, the host has not done what it said, which
/// is [`Unexpected`](crate::HostError::Unexpected).
pub fn write_and_verify(files: &dyn Files, path: &Path, content: &[u8], mode: u32) -> Result<()> {
    files.write(path, content, mode)?;
    let there = files.info(path)?.is_some_and(|now| now.len == content.len() as u64 && now.mode == mode);
    if there {
        Ok(())
    } else {
        Err(HostError::unexpected(format!("{} is not as it was written", path.display())))
    }
}

/// How many hexadecimal digits are at the end of a draft's name.
pub(crate) const TEMP_FILE_DIGITS: usize = 16;

/// The name of the file in whose place a file of this name is being written, if it is the name of such a draft
/// ([`Files::write`]).
pub(crate) fn temp_file_target(draft: &OsStr) -> Option<&OsStr> {
    let rest = draft.as_bytes().strip_prefix(b".")?;
    let (name, number) = rest.split_at_checked(rest.len().checked_sub(TEMP_FILE_DIGITS + 1)?)?;
    let is_number = number.strip_prefix(b".")?.iter().all(u8::is_ascii_hexdigit);
    (is_number && !name.is_empty()).then(|| OsStr::from_bytes(name))
}
