//! The system calls of the certificate directory. Every path's last part is opened relative to an opened directory and
//! without following a link.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{Mode, fchmod, fstat, mkdirat};
use nix::unistd::{UnlinkatFlags, geteuid, mkdir, unlinkat};
use zeroize::Zeroizing;

use super::CertStoreError;

/// Largest file that is read.
const FILE_MAX: u64 = 256 * 1024;
const FOLDER: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// Makes an error of a system call's.
pub(super) fn because<'p>(what: &'static str, path: &'p Path) -> impl Fn(Errno) -> CertStoreError + use<'p> {
    move |errno| CertStoreError::Io { what, path: path.to_owned(), source: errno.into() }
}

/// The last part of a path that was joined here.
pub(super) fn name(path: &Path) -> &OsStr {
    path.file_name().unwrap_or_default()
}

/// Opens the directory of certificates, made if need be.
pub(super) fn own_folder(path: &Path) -> Result<OwnedFd, CertStoreError> {
    match mkdir(path, Mode::S_IRWXU) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(errno) => return Err(because("made", path)(errno)),
    }
    let folder = open(path, FOLDER, Mode::empty()).map_err(because("opened", path))?;
    let seen = fstat(&folder).map_err(because("looked at", path))?;
    if seen.st_uid != geteuid().as_raw() {
        return Err(CertStoreError::Owner { path: path.to_owned(), owner: seen.st_uid });
    }
    if Mode::from_bits_truncate(seen.st_mode).intersects(Mode::S_IRWXG | Mode::S_IRWXO) {
        fchmod(&folder, Mode::S_IRWXU).map_err(because("closed to others", path))?;
    }
    Ok(folder)
}

/// Opens a directory in the one that is given.
pub(super) fn folder(parent: &OwnedFd, path: &Path) -> Result<Option<OwnedFd>, CertStoreError> {
    match openat(parent.as_fd(), name(path), FOLDER, Mode::empty()) {
        Ok(folder) => Ok(Some(folder)),
        Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(because("opened", path)(errno)),
    }
}

/// What tells an opened directory from another one in its place: device and inode.
pub(super) fn identity(folder: &OwnedFd, path: &Path) -> Result<(u64, u64), CertStoreError> {
    fstat(folder).map(|seen| (seen.st_dev, seen.st_ino)).map_err(because("looked at", path))
}

/// Makes a directory and opens it.
pub(super) fn make_folder(parent: &OwnedFd, path: &Path) -> Result<OwnedFd, CertStoreError> {
    mkdirat(parent.as_fd(), name(path), Mode::S_IRWXU).map_err(because("made", path))?;
    openat(parent.as_fd(), name(path), FOLDER, Mode::empty()).map_err(because("opened", path))
}

/// Makes a file that did not exist, with its mode, and flushes it.
pub(super) fn create(parent: &OwnedFd, path: &Path, text: &str) -> Result<(), CertStoreError> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let file = openat(parent.as_fd(), name(path), flags, Mode::S_IRUSR | Mode::S_IWUSR);
    let mut file = File::from(file.map_err(because("made", path))?);
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    written.map_err(|source| CertStoreError::Io { what: "written", path: path.to_owned(), source })
}

/// Reads a file; nothing when it does not exist.
pub(super) fn read(parent: &OwnedFd, path: &Path) -> Result<Option<Zeroizing<String>>, CertStoreError> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = match openat(parent.as_fd(), name(path), flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::ENOENT) => return Ok(None),
        Err(errno) => return Err(because("read", path)(errno)),
    };
    // Reserved in full: a buffer that grows would leave copies of a key behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(64 * 1024));
    let read = file.take(FILE_MAX).read_to_end(&mut bytes);
    read.map_err(|source| CertStoreError::Io { what: "read", path: path.to_owned(), source })?;
    let text = str::from_utf8(&bytes).map_err(|_| CertStoreError::NotText { path: path.to_owned() })?;
    Ok(Some(Zeroizing::new(text.to_owned())))
}

/// Flushes a directory.
pub(super) fn sync(folder: &OwnedFd, path: &Path) -> Result<(), CertStoreError> {
    nix::unistd::fsync(folder).map_err(because("flushed", path))
}

/// The names in a directory; those that are not text are nobody's here.
pub(super) fn entries(path: &Path) -> Result<Vec<String>, CertStoreError> {
    let failed = |source| CertStoreError::Io { what: "listed", path: path.to_owned(), source };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        names.extend(entry.map_err(failed)?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

/// Removes a file, or a directory with the files in it; that it does not exist is no error.
pub(super) fn remove(parent: &OwnedFd, path: &Path) -> Result<(), CertStoreError> {
    let failed = because("removed", path);
    match unlinkat(parent.as_fd(), name(path), UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => return Ok(()),
        Err(Errno::EISDIR) => {}
        Err(errno) => return Err(failed(errno)),
    }
    if let Some(folder) = folder(parent, path)? {
        for entry in entries(path)? {
            unlinkat(folder.as_fd(), entry.as_str(), UnlinkatFlags::NoRemoveDir).map_err(&failed)?;
        }
        unlinkat(parent.as_fd(), name(path), UnlinkatFlags::RemoveDir).map_err(failed)?;
    }
    Ok(())
}
