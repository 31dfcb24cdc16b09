//! The directories of the installation and who may enter them.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::error::StoreError;
use crate::paths::Paths;

const OPEN_DIR: u32 = 0o755;
const PRIVATE_DIR: u32 = 0o700;
const PRIVATE_FILE: u32 = 0o600;

/// A file or directory that others could enter or that belonged to another user, and now is closed again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    /// The file or directory.
    pub path: PathBuf,
    /// Its permission bits before.
    pub mode: u32,
    /// The id of the user it belonged to.
    pub owner: u32,
}

/// Makes the missing directories of the installation and closes those that stand open, with the database's files.
pub(crate) fn prepare(paths: &Paths) -> Result<Vec<Repair>, StoreError> {
    let mut repairs = Vec::new();
    let directories = [
        paths.data_dir(),
        paths.config_dir(),
        paths.exits_dir(),
        paths.certs_dir(),
        paths.logs_dir(),
        paths.backups_dir(),
    ];
    for directory in &directories {
        if !close(directory, PRIVATE_DIR, &mut repairs)? {
            make_root(paths.root()).map_err(|error| StoreError::write(paths.root(), error))?;
            make(directory, PRIVATE_DIR).map_err(|error| StoreError::write(directory, error))?;
        }
    }
    for suffix in ["", "-wal", "-shm"] {
        close(&beside(&paths.database(), suffix), PRIVATE_FILE, &mut repairs)?;
    }
    Ok(repairs)
}

/// Makes the database's log if there is none: empty, and with a name that survives a power loss, as the changes in it
/// have to. SQLite would flush the directory for that in every process anew, or (built with `SQLITE_DISABLE_DIRSYNC`)
/// never.
pub(crate) fn prepare_log(paths: &Paths) -> Result<(), StoreError> {
    let log = beside(&paths.database(), "-wal");
    let made = match create_private(&log) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        made => made.and_then(|_| sync_dir(&paths.data_dir())),
    };
    made.map_err(|error| StoreError::write(&log, error))
}

/// Opens a file for reading and writing; a new one is for its owner alone.
pub(crate) fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(PRIVATE_FILE).open(path)
}

/// Makes a file for its owner alone that must not exist, not even as a symbolic link.
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(PRIVATE_FILE).open(path)
}

/// Makes the run directory, and those above it if need be.
pub(crate) fn make_run_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(PRIVATE_DIR).create(path)
}

/// Makes a directory for its owner alone, and what is missing above it. One that is there stays as it is.
pub(crate) fn make_private_dirs(path: &Path) -> io::Result<()> {
    match make(path, PRIVATE_DIR) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            path.parent().map_or(Err(error), make_private_dirs)?;
            make(path, PRIVATE_DIR)?;
        }
        made => return made,
    }
    path.parent().map_or(Ok(()), sync_dir)
}

/// Removes a file of the store; that it is not there is no error.
#[expect(clippy::disallowed_methods, reason = "the store's own files, in directories that only it writes to")]
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes the names in a directory survive a power loss.
pub(crate) fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// The path of the file whose name is that of `path` with something appended.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Takes away what the permissions of a file allow beyond `mode`, and takes it over from another user. `false`: there
/// is no such file.
fn close(path: &Path, mode: u32, repairs: &mut Vec<Repair>) -> Result<bool, StoreError> {
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(StoreError::unreadable(path, error)),
    };
    let failed = |error| StoreError::write(path, error);
    let (is, owner) = (found.mode() & 0o777, found.uid());
    // Almost always root asks for what root owns, and then there is no need to find out who asks.
    let foreign = owner != 0 && owner != fs::metadata("/proc/self").map_err(failed)?.uid();
    if foreign {
        std::os::unix::fs::chown(path, Some(fs::metadata("/proc/self").map_err(failed)?.uid()), None)
            .map_err(failed)?;
    }
    if is & !mode != 0 {
        fs::set_permissions(path, Permissions::from_mode(is & mode)).map_err(failed)?;
    }
    if foreign || is & !mode != 0 {
        repairs.push(Repair { path: path.to_owned(), mode: is, owner });
    }
    Ok(true)
}

/// Makes the install directory, which everybody may enter, unless it is there.
fn make_root(root: &Path) -> io::Result<()> {
    match make(root, OPEN_DIR) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(parent) = root.parent() {
                DirBuilder::new().recursive(true).mode(OPEN_DIR).create(parent)?;
            }
            make(root, OPEN_DIR)
        }
        result => result,
    }
}

fn make(path: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        // The mode again, since the umask may have taken something from it; it never adds anything.
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(mode)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}
