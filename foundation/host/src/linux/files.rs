//! Files of the host.
#![expect(clippy::disallowed_methods, reason = "this is where files are written and removed")]

mod temp_file;
mod walk;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;

use self::temp_file::TempFile;
use crate::{FileInfo, Files, HostError, Result};

/// The real files.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinuxFiles;

impl Files for LinuxFiles {
    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        read(path).map_err(|e| failed("reading", path, e))
    }

    fn read_of_others(&self, path: &Path, most: usize) -> Result<Option<Vec<u8>>> {
        let read = |file: File| {
            if !file.metadata()?.is_file() {
                return Err(io::Error::other("it is no ordinary file"));
            }
            let mut content = Vec::new();
            file.take(most as u64 + 1).read_to_end(&mut content)?;
            if content.len() > most {
                return Err(io::Error::other(format!("it is longer than {most} bytes")));
            }
            Ok(content)
        };
        absent_is_none(walk::open_itself(path).and_then(read)).map_err(|e| failed("reading", path, e))
    }

    /// Follows a link in the last place; a link to nowhere is no file.
    fn info(&self, path: &Path) -> Result<Option<FileInfo>> {
        let metadata = absent_is_none(fs::metadata(path)).map_err(|e| failed("looking at", path, e))?;
        Ok(metadata.map(|m| FileInfo {
            mode: m.mode() & 0o7777,
            uid: m.uid(),
            len: m.len(),
            dir: m.is_dir(),
        }))
    }

    fn list(&self, dir: &Path) -> Result<Vec<PathBuf>> {
        let entries = absent_is_none(fs::read_dir(dir)).map_err(|e| failed("listing", dir, e))?;
        let names: io::Result<Vec<_>> =
            entries.into_iter().flatten().map(|entry| entry.map(|e| PathBuf::from(e.file_name()))).collect();
        let mut names = names.map_err(|e| failed("listing", dir, e))?;
        names.sort();
        Ok(names)
    }

    fn write(&self, path: &Path, content: &[u8], mode: u32) -> Result<()> {
        let dir = folder(path)?;
        let write = || {
            temp_file::remove_abandoned(path)?;
            let mut draft = TempFile::make(path, mode)?;
            draft.fill(content)?;
            draft.put_in_place()?;
            sync_dir(dir)
        };
        write().map_err(|e| failed("writing", path, e))
    }

    fn append(&self, path: &Path, content: &[u8]) -> Result<()> {
        let opened = OpenOptions::new().append(true).custom_flags(OFlag::O_NOFOLLOW.bits()).open(path);
        let mut file = match opened {
            // A link is no file that may be added to: it is for whoever writes the file as a whole.
            Err(e) if e.kind() == ErrorKind::NotFound || e.raw_os_error() == Some(Errno::ELOOP as i32) => {
                return Err(HostError::Absent { object: path.display().to_string() });
            }
            other => other.map_err(|e| failed("appending to", path, e))?,
        };
        // One call: a reader sees all of it or nothing. What a full disk cut short is taken back.
        let before = file.metadata().map_err(|e| failed("appending to", path, e))?.len();
        let result = match file.write(content) {
            Ok(written) if written == content.len() => return Ok(()),
            Ok(_) => io::Error::from(ErrorKind::WriteZero),
            Err(error) => error,
        };
        let _ = file.set_len(before);
        Err(failed("appending to", path, result))
    }

    fn set_mode(&self, path: &Path, mode: u32) -> Result<()> {
        let correct = |file: File| {
            // The owner first: a change of it takes set-user-id bits away.
            if file.metadata()?.uid() != 0 {
                fchown(&file, Some(0), Some(0))?;
            }
            file.set_permissions(fs::Permissions::from_mode(mode))
        };
        folder(path)?;
        walk::open_itself(path).and_then(correct).map_err(|e| failed("setting the mode of", path, e))
    }

    fn make_dir(&self, dir: &Path, mode: u32) -> Result<()> {
        make_dirs(dir, mode).map_err(|e| failed("making", dir, e))
    }

    fn remove(&self, path: &Path) -> Result<()> {
        let removed = absent_is_none(fs::remove_file(path)).and_then(|_| temp_file::remove_abandoned(path));
        removed.map_err(|e| failed("removing", path, e))
    }

    fn remove_dir(&self, dir: &Path) -> Result<()> {
        absent_is_none(fs::remove_dir_all(dir)).map(drop).map_err(|e| failed("removing", dir, e))
    }
}

/// The content of a file. What holds none is never waited for: a pipe and a socket are no files, and a device is an empty one.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let options = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let mut file = match OpenOptions::new().read(true).custom_flags(options.bits()).open(path) {
        // A socket.
        Err(e) if e.raw_os_error() == Some(Errno::ENXIO as i32) => return Ok(None),
        opened => match absent_is_none(opened)? {
            Some(file) => file,
            None => return Ok(None),
        },
    };
    let found = file.metadata()?;
    let kind = found.file_type();
    if kind.is_fifo() || kind.is_socket() {
        return Ok(None);
    }
    let mut content = Vec::new();
    if !kind.is_char_device() && !kind.is_block_device() {
        content.reserve_exact(usize::try_from(found.len()).unwrap_or_default());
        file.read_to_end(&mut content)?;
    }
    Ok(Some(content))
}

fn failed(doing: &str, path: &Path, error: io::Error) -> HostError {
    HostError::io(format!("{doing} {}", path.display()), error)
}

fn absent_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(e),
    }
}

/// The folder of a file.
fn folder(path: &Path) -> Result<&Path> {
    let no_file = || HostError::unexpected(format!("{} is not the absolute path of a file", path.display()));
    path.parent().filter(|_| path.is_absolute() && path.file_name().is_some()).ok_or_else(no_file)
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn make_dirs(dir: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(mode).create(dir) {
        // Only what was made here: a folder that somebody else made keeps its mode.
        Ok(()) => {
            walk::open_itself(dir)?.set_permissions(fs::Permissions::from_mode(mode))?;
            // A file in it is as lasting as the name of its folder.
            dir.parent().map_or(Ok(()), sync_dir)
        }
        Err(e) if e.kind() == ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        Err(e) if e.kind() == ErrorKind::NotFound => {
            make_dirs(dir.parent().ok_or(e)?, mode)?;
            make_dirs(dir, mode)
        }
        Err(e) => Err(e),
    }
}
