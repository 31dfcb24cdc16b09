//! Files that are written to take the place of others, and those that stay behind when their writers are killed.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};

use crate::facility::{TEMP_FILE_DIGITS, temp_file_target};
use crate::linux::misc::random_number;

/// A new file beside the one whose place it takes. It is locked (`flock(2)`) for as long as its writer lives: whoever finds
/// one without a lock knows that nobody will finish it. It is removed unless it was put in its place.
pub(super) struct TempFile<'a> {
    place: &'a Path,
    path: PathBuf,
    file: Flock<File>,
    placed: bool,
}

impl Drop for TempFile<'_> {
    fn drop(&mut self) {
        if !self.placed {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl<'a> TempFile<'a> {
    /// Makes it, empty. The kernel takes the bits of the umask off the mode it is made with, so that it is never wider
    /// than asked for; the rest is put right before there is anything in it.
    pub(super) fn make(place: &'a Path, mode: u32) -> io::Result<Self> {
        loop {
            let draft = Self::make_once(place, mode)?;
            let now = draft.file.metadata()?;
            // Somebody may have taken it for abandoned before it was locked.
            if now.nlink() > 0 {
                if now.mode() & 0o7777 != mode {
                    draft.file.set_permissions(fs::Permissions::from_mode(mode))?;
                }
                return Ok(draft);
            }
        }
    }

    fn make_once(place: &'a Path, mode: u32) -> io::Result<Self> {
        let path = place.with_file_name(name_beside(place.file_name().unwrap_or_default())?);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(mode).custom_flags(OFlag::O_NOFOLLOW.bits());
        let file = options.open(&path)?;
        match Flock::lock(file, FlockArg::LockExclusive) {
            Ok(file) => Ok(Self { place, path, file, placed: false }),
            Err((_, errno)) => {
                let _ = fs::remove_file(&path);
                Err(errno.into())
            }
        }
    }

    /// Writes what the file is to hold, down to the disk.
    pub(super) fn fill(&mut self, content: &[u8]) -> io::Result<()> {
        self.file.write_all(content)?;
        self.file.sync_all()
    }

    /// Gives it the name of the other, which is gone.
    pub(super) fn put_in_place(mut self) -> io::Result<()> {
        fs::rename(&self.path, self.place)?;
        self.placed = true;
        Ok(())
    }
}

/// A name that nobody uses: `.NAME.` and a number. Two writers of one file never share it.
fn name_beside(name: &OsStr) -> io::Result<OsString> {
    let number = random_number().map_err(io::Error::other)?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{number:0TEMP_FILE_DIGITS$x}"));
    // NAME_MAX of limits.h; a name too long for its hidden twin is cut, the number at its end counts.
    let bytes = hidden.as_bytes();
    if bytes.len() > 255 {
        hidden = OsString::from(format!(
            ".{}",
            String::from_utf8_lossy(&bytes[bytes.len() - TEMP_FILE_DIGITS - 1..])
        ));
    }
    Ok(hidden)
}

/// Removes the drafts of a file whose writers were killed: what they hold may be secret, and nobody else will.
pub(super) fn remove_abandoned(place: &Path) -> io::Result<()> {
    let Some((dir, name)) = place.parent().zip(place.file_name()) else { return Ok(()) };
    let Some(entries) = super::absent_is_none(fs::read_dir(dir))? else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        if temp_file_target(&entry.file_name()) != Some(name) {
            continue;
        }
        // Where the directory does not tell, this is another look, and a live writer may have finished meanwhile.
        if super::absent_is_none(entry.file_type())?.is_some_and(|kind| kind.is_file()) {
            remove_if_abandoned(&entry.path())?;
        }
    }
    Ok(())
}

/// A writer that is about to lock it meanwhile finds it gone then, and makes another.
fn remove_if_abandoned(draft: &Path) -> io::Result<()> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = match OpenOptions::new().read(true).custom_flags(flags.bits()).open(draft) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(_lock) => super::absent_is_none(fs::remove_file(draft)).map(drop),
        Err((_, Errno::EWOULDBLOCK)) => Ok(()),
        Err((_, errno)) => Err(errno.into()),
    }
}
