//! Giving up what root has: for a supervisor that cannot start a program as another user with a port of root's.

use std::fs::{File, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use nix::fcntl::{AtFlags, OFlag, open, openat};
use nix::sys::prctl::set_no_new_privs;
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, chown, fchown, fchownat, setgroups, setresgid, setresuid};

/// Where a supervisor says which user this process is to become.
const VARIABLE: &str = "PHANTOM_RUN_AS";
/// How long a look-up of a group may take: it may be in a directory of the network.
const LOOK_UP: Duration = Duration::from_secs(10);

/// The user that this process is to become once it has opened what only root can open; `None` where it is to stay who it
/// is. A user 0 is nobody to become.
pub(crate) fn user_to_become() -> Option<Uid> {
    let number: u32 = std::env::var(VARIABLE).ok()?.parse().ok()?;
    (number != 0).then(|| Uid::from_raw(number))
}

/// Makes the folder of a file, for its owner alone and belonging to `owner`; one that is there is left as it is.
pub(crate) fn make_folder_of(file: &Path, owner: Option<Uid>) -> io::Result<()> {
    let Some(folder) = folder_of(file) else { return Ok(()) };
    make(folder, 0o700)?;
    if let Some(owner) = owner {
        chown(folder, Some(owner), Some(Gid::from_raw(owner.as_raw())))?;
    }
    Ok(())
}

/// Makes the folder of a socket to which another user's web server connects; one that is there is left as it is.
pub(crate) fn make_passable_folder_of(socket: &Path) -> io::Result<()> {
    folder_of(socket).map_or(Ok(()), |folder| make(folder, 0o755))
}

/// The number of a group of this system.
pub(crate) fn group(name: &str) -> io::Result<Gid> {
    let missing = || io::Error::new(io::ErrorKind::NotFound, format!("there is no group {name}"));
    phantom_names::group(name, LOOK_UP)?.map(Gid::from_raw).ok_or_else(missing)
}

/// Opens a socket in the file system for nothing but changes of its owner and mode. A link in its place is refused: the folder may
/// belong to a process that has been broken into, and root's changes would follow it to any file.
pub(crate) fn socket_itself(path: &Path) -> io::Result<OwnedFd> {
    let entry = open(path, OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())?;
    if File::from(entry.try_clone()?).metadata()?.file_type().is_socket() {
        return Ok(entry);
    }
    Err(io::Error::other("it is no socket"))
}

/// Gives a socket to another user.
pub(crate) fn give(socket: &Path, user: Uid) -> io::Result<()> {
    Ok(fchownat(&socket_itself(socket)?, "", Some(user), None, AtFlags::AT_EMPTY_PATH)?)
}

/// Lets a group connect to a socket: the socket gets the group, and its folder, in which nobody else is let, gets it too. Only root
/// may. A name in the folder that leads elsewhere, or is somebody else's, is refused: the folder may belong to a process that has been
/// broken into.
pub(crate) fn share(socket: &Path, group: Gid) -> io::Result<()> {
    let (Some(folder), Some(name)) = (folder_of(socket), socket.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let folder = File::from(open(folder, flags | OFlag::O_RDONLY, Mode::empty())?);
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let entry: OwnedFd = openat(&folder, name, flags, Mode::empty())?;
    let found = File::from(entry.try_clone()?).metadata()?;
    if !found.file_type().is_socket() || found.uid() != folder.metadata()?.uid() {
        return Err(io::Error::other("it is no socket of the tunnel server's"));
    }
    fchownat(&entry, "", None, Some(group), AtFlags::AT_EMPTY_PATH)?;
    fchown(&folder, None, Some(group))?;
    // The socket has its mode already: its maker gave it that.
    folder.set_permissions(Permissions::from_mode(0o750))
}

fn folder_of(file: &Path) -> Option<&Path> {
    file.parent().filter(|folder| !folder.as_os_str().is_empty())
}

fn make(folder: &Path, mode: u32) -> io::Result<()> {
    match std::fs::DirBuilder::new().mode(mode).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Takes from this process for good that a program which it starts has more rights than it has. The kernel does that for one
/// thread and those that it starts later: to be called before there is another.
pub(crate) fn renounce_more() -> io::Result<()> {
    Ok(set_no_new_privs()?)
}

/// Becomes a user, for good: without other groups, without any capability, and without a way back.
pub(crate) fn become_user(user: Uid) -> io::Result<()> {
    let group = Gid::from_raw(user.as_raw());
    setgroups(&[])?;
    setresgid(group, group, group)?;
    setresuid(user, user, user)?;
    // The kernel must have taken it: a process that still is root would be a lie.
    if setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0)).is_ok() {
        return Err(io::Error::other("root could be had back"));
    }
    Ok(())
}
