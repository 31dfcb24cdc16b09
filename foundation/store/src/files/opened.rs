//! Files and directories by their descriptors: what was looked at is what is changed, whatever its name leads to meanwhile.
//!
//! The descriptors are `O_PATH` ones: to close another one of the database would take away the locks that this process has on
//! it (`fcntl_locking(2)`).

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, mkdirat};
use nix::unistd::{Uid, fchownat, geteuid};

use crate::cause::Unsafe;

/// An opened file or directory, and what was seen of it then.
#[derive(Debug)]
pub(crate) struct Opened {
    descriptor: OwnedFd,
    seen: FileStat,
}

impl Opened {
    /// Opens a directory by its path; `None` if there is none.
    pub(crate) fn directory(path: &Path) -> io::Result<Option<Self>> {
        Self::from_result(open(path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()))
    }

    /// Opens what has this name in the directory; `None` if nothing has. Where others may have put it there, it must be neither
    /// a link nor a file that has a second name elsewhere: it could be anything of the system.
    pub(crate) fn child(&self, name: &OsStr) -> io::Result<Option<Self>> {
        let ours = self.is_ours();
        let follow = if ours { OFlag::empty() } else { OFlag::O_NOFOLLOW };
        let flags = OFlag::O_PATH | OFlag::O_CLOEXEC | follow;
        let child = Self::from_result(openat(&self.descriptor, name, flags, Mode::empty()))?;
        let is = |child: &Self, kind: SFlag| child.kind() == kind;
        match &child {
            Some(child) if !ours && is(child, SFlag::S_IFLNK) => Err(io::Error::other(Unsafe::Link)),
            Some(child) if !ours && !is(child, SFlag::S_IFDIR) && child.seen.st_nlink != 1 => {
                Err(io::Error::other(Unsafe::SecondName))
            }
            _ => Ok(child),
        }
    }

    /// Makes a directory in this one, with exactly this mode, unless something has the name.
    pub(crate) fn make_directory(&self, name: &OsStr, mode: u32) -> io::Result<()> {
        match mkdirat(&self.descriptor, name, Mode::from_bits_truncate(mode)) {
            // The mode again, since the umask may have taken something from it; it never adds anything.
            Ok(()) => self.child(name)?.map_or(Ok(()), |made| made.set_mode(mode)),
            Err(Errno::EEXIST) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes away what its permissions allow beyond `mode`, and takes it over from a user who is neither root nor this process's
    /// own. What both were before, if something was changed.
    pub(crate) fn close(&self, mode: u32) -> io::Result<Option<(u32, u32)>> {
        let (is, owner) = (self.seen.st_mode & 0o777, self.seen.st_uid);
        let foreign = !is_ours(owner);
        if foreign {
            fchownat(&self.descriptor, "", Some(geteuid()), None, AtFlags::AT_EMPTY_PATH)?;
        }
        if is & !mode != 0 {
            self.set_mode(is & mode)?;
        }
        Ok((foreign || is & !mode != 0).then_some((is, owner)))
    }

    /// By the kernel's own link to what is open: there is no call that takes such a descriptor on every kernel.
    fn set_mode(&self, mode: u32) -> io::Result<()> {
        let path = format!("/proc/self/fd/{}", self.descriptor.as_raw_fd());
        fs::set_permissions(path, Permissions::from_mode(mode))
    }

    /// Whether nobody else could write to the directory when it was opened.
    fn is_ours(&self) -> bool {
        is_ours(self.seen.st_uid) && self.seen.st_mode & 0o022 == 0
    }

    fn kind(&self) -> SFlag {
        SFlag::from_bits_truncate(self.seen.st_mode) & SFlag::S_IFMT
    }

    fn from_result(opened: nix::Result<OwnedFd>) -> io::Result<Option<Self>> {
        match opened {
            Ok(descriptor) => Ok(Some(Self { seen: fstat(&descriptor)?, descriptor })),
            Err(Errno::ENOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn is_ours(owner: u32) -> bool {
    owner == 0 || Uid::from_raw(owner) == geteuid()
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "files of the tests' own")]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, symlink};
    use std::path::PathBuf;

    use super::*;

    fn mode_of(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o777
    }
    /// A directory that anybody may write to, and a file elsewhere that is none of its business.
    fn place() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let (open, victim) = (dir.path().join("open"), dir.path().join("victim"));
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
        fs::write(&victim, "").unwrap();
        fs::set_permissions(&victim, Permissions::from_mode(0o644)).unwrap();
        (dir, open, victim)
    }

    #[test]
    fn symlinks_by_other_users_are_refused() {
        let (_dir, open, victim) = place();
        symlink(&victim, open.join("soft")).unwrap();
        fs::hard_link(&victim, open.join("hard")).unwrap();
        let opened = Opened::directory(&open).unwrap().unwrap();
        for (name, why) in [("soft", "symbolic link"), ("hard", "second name")] {
            let error = opened.child(OsStr::new(name)).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
        assert_eq!(mode_of(&victim), 0o644);
    }

    #[test]
    fn a_link_of_our_own_is_followed() {
        let (_dir, open, victim) = place();
        fs::set_permissions(&open, Permissions::from_mode(0o755)).unwrap();
        symlink(&victim, open.join("soft")).unwrap();
        let opened = Opened::directory(&open).unwrap().unwrap();
        let child = opened.child(OsStr::new("soft")).unwrap().unwrap();
        assert_eq!(child.close(0o600).unwrap().map(|(mode, _)| mode), Some(0o644));
        assert_eq!(mode_of(&victim), 0o600);
    }

    #[test]
    fn opened_object_is_changed_not_its_replacement() {
        let (_dir, open, victim) = place();
        let file = open.join("file");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o666)).unwrap();
        let opened = Opened::directory(&open).unwrap().unwrap();
        let child = opened.child(OsStr::new("file")).unwrap().unwrap();
        fs::rename(&file, open.join("away")).unwrap();
        symlink(&victim, &file).unwrap();
        assert!(child.close(0o600).unwrap().is_some());
        assert_eq!((mode_of(&victim), mode_of(&open.join("away"))), (0o644, 0o600));
    }

    #[test]
    fn directory_gets_its_mode_when_made() {
        let (_dir, open, _) = place();
        let opened = Opened::directory(&open).unwrap().unwrap();
        opened.make_directory(OsStr::new("new"), 0o700).unwrap();
        opened.make_directory(OsStr::new("new"), 0o755).unwrap();
        assert_eq!(mode_of(&open.join("new")), 0o700);
        assert!(Opened::directory(&open.join("none")).unwrap().is_none());
    }

    #[test]
    fn another_users_file_is_taken_over() {
        let (_dir, open, _) = place();
        let file = open.join("file");
        fs::write(&file, "").unwrap();
        if !geteuid().is_root() {
            return;
        }
        std::os::unix::fs::chown(&file, Some(12345), None).unwrap();
        let opened = Opened::directory(&open).unwrap().unwrap();
        let child = opened.child(OsStr::new("file")).unwrap().unwrap();
        assert_eq!(child.close(0o600).unwrap().map(|(_, owner)| owner), Some(12345));
        assert_eq!(fs::metadata(&file).unwrap().uid(), 0);
    }
}
