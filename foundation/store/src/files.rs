//! The directories of the installation and who may enter them.

mod opened;

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use self::opened::Opened;
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
    let root = open_root(paths.root())?;
    for directory in &directories {
        let Some(found) = close(&root, directory, PRIVATE_DIR, &mut repairs)? else {
            let made = root.make_directory(name(directory), PRIVATE_DIR);
            made.map_err(|error| StoreError::write(directory, error))?;
            continue;
        };
        if *directory == paths.data_dir() {
            for suffix in ["", "-wal", "-shm"] {
                close(&found, &beside(&paths.database(), suffix), PRIVATE_FILE, &mut repairs)?;
            }
        }
    }
    Ok(repairs)
}

/// Makes the database's log if there is none: empty, and with a name that survives a power loss, as the changes in it
/// have to. SQLite would flush the directory for that in every process again, or (built with `SQLITE_DISABLE_DIRSYNC`)
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

/// Takes away what the permissions of something in a directory allow beyond `mode`, and takes it over from another user. `None`:
/// there is no such thing.
fn close(
    directory: &Opened,
    path: &Path,
    mode: u32,
    repairs: &mut Vec<Repair>,
) -> Result<Option<Opened>, StoreError> {
    let found = directory.child(name(path)).map_err(|error| StoreError::unreadable(path, error))?;
    if let Some(found) = &found {
        let before = found.close(mode).map_err(|error| StoreError::write(path, error))?;
        repairs.extend(before.map(|(mode, owner)| Repair { path: path.to_owned(), mode, owner }));
    }
    Ok(found)
}

/// What a path is called in its directory.
fn name(path: &Path) -> &OsStr {
    path.file_name().unwrap_or(path.as_os_str())
}

/// Opens the install directory; one that is not there is made first.
fn open_root(root: &Path) -> Result<Opened, StoreError> {
    let open = || Opened::directory(root).map_err(|error| StoreError::unreadable(root, error));
    if let Some(root) = open()? {
        return Ok(root);
    }
    make_root(root).map_err(|error| StoreError::write(root, error))?;
    open()?.ok_or_else(|| StoreError::write(root, io::Error::from(io::ErrorKind::NotFound)))
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
