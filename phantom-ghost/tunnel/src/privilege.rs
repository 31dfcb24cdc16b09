//! Giving up what root has: for a supervisor that cannot start a program as another user with a port of root's.

use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use nix::sys::prctl::set_no_new_privs;
use nix::unistd::{Gid, Uid, chown, setgroups, setresgid, setresuid};

/// Where a supervisor says which user this process is to become.
const VARIABLE: &str = "PHANTOM_RUN_AS";

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
