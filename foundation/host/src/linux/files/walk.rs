//! The way to a file, folder by folder, for what root changes: others may own a folder on the way.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::{Uid, geteuid};

const FOLDER: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

/// Opens a file or folder for reading what it is. A link in the last place is refused. One on the way is followed only where
/// nobody but root and this process's user can have put it; where others can, a file with a second name is refused too: it could
/// be any file of the system.
pub(super) fn open_itself(path: &Path) -> io::Result<File> {
    let mut folder = open("/", FOLDER, Mode::empty())?;
    let above = path.parent().into_iter().flat_map(Path::components);
    for component in above.filter(|component| *component != Component::RootDir) {
        let follow = if is_ours(&folder)? { OFlag::empty() } else { OFlag::O_NOFOLLOW };
        folder = openat(&folder, component.as_os_str(), FOLDER | follow, Mode::empty())?;
    }
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    // Without waiting for the other end, should it be a pipe.
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = File::from(openat(&folder, name, flags, Mode::empty())?);
    let found = fstat(&file)?;
    if file.metadata()?.is_file() && found.st_nlink != 1 && !is_ours(&folder)? {
        return Err(io::Error::other(
            "it has a second name, and is in a folder that other users may write to",
        ));
    }
    Ok(file)
}

/// Whether nobody else can write to the folder.
fn is_ours(folder: &OwnedFd) -> io::Result<bool> {
    let found = fstat(folder)?;
    let owner = Uid::from_raw(found.st_uid);
    Ok((owner.is_root() || owner == geteuid()) && found.st_mode & 0o022 == 0)
}
