//! Where the files of one installation lie.

use std::path::{Component, Path, PathBuf};

/// The paths of one installation: its install directory and what lies there, and the directory for what lives no
/// longer than the system runs. Making it touches no file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    root: PathBuf,
    run_dir: PathBuf,
    instance: Option<String>,
}

impl Paths {
    /// The install directory of an ordinary installation.
    pub const DEFAULT_ROOT: &str = "/opt/phantom-wg";
    /// The run directory of an ordinary installation; the others append `-` and their [instance](Self::instance).
    const DEFAULT_RUN_DIR: &str = "/run/phantom-wg";

    /// The paths below an install directory, which need not exist; a relative one is below the working directory.
    ///
    /// The run directory is `/run/phantom-wg`, with a suffix for any other root than the default one, so that several
    /// installations on one host do not wait for each other.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let mut paths = Self::with_run_dir(root, Self::DEFAULT_RUN_DIR);
        if let Some(instance) = &paths.instance {
            paths.run_dir = format!("{}-{instance}", Self::DEFAULT_RUN_DIR).into();
        }
        paths
    }

    /// As [`Paths::new`] with a run directory of the caller's choice: for programs that embed this one, and for
    /// tests. Everybody who works on the same root must choose the same one, since the lock lies there.
    pub fn with_run_dir(root: impl Into<PathBuf>, run_dir: impl Into<PathBuf>) -> Self {
        let root = absolute(&root.into());
        let instance = instance_of(&root);
        Self { root, run_dir: absolute(&run_dir.into()), instance }
    }

    /// The install directory, absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }
    /// The database.
    pub fn database(&self) -> PathBuf {
        self.root.join("data/phantom.db")
    }
    /// Where the database lies.
    pub fn data_dir(&self) -> PathBuf {
        self.root.join("data")
    }
    /// The database that a factory reset puts in the place of the present one; it is there while a reset is unfinished.
    pub(crate) fn reset(&self) -> PathBuf {
        self.root.join("data/reset.db")
    }
    /// The copies of the database.
    pub fn copies_dir(&self) -> PathBuf {
        self.root.join("backups/state")
    }
    /// The database that a restore puts in the place of the present one, while it is made ready.
    pub(crate) fn restored(&self) -> PathBuf {
        self.root.join("data/restored.db")
    }
    /// Space that is kept back on the disk.
    pub(crate) fn room(&self) -> PathBuf {
        self.root.join("data/room")
    }
    /// What the operator may place there.
    pub fn config_dir(&self) -> PathBuf {
        self.root.join("config")
    }
    /// Log files.
    pub fn logs_dir(&self) -> PathBuf {
        self.root.join("logs")
    }
    /// A folder per backup.
    pub fn backups_dir(&self) -> PathBuf {
        self.root.join("backups")
    }
    /// Certificates and their keys.
    pub fn certs_dir(&self) -> PathBuf {
        self.root.join("certs")
    }
    /// Imported exits, for reading by people.
    pub fn exits_dir(&self) -> PathBuf {
        self.root.join("exit_configs")
    }
    /// The run directory: on a file system that the next boot empties.
    pub fn run_dir(&self) -> &Path {
        &self.run_dir
    }
    /// The lock of all changes.
    pub fn lock(&self) -> PathBuf {
        self.run_dir.join("lock")
    }
    /// The marker of a change under way.
    pub fn changing(&self) -> PathBuf {
        self.run_dir.join("changing")
    }
    /// What the watcher is told; everybody may read it. Beside the run directory, which is closed.
    pub fn watch_dir(&self) -> PathBuf {
        let mut name = self.run_dir.clone().into_os_string();
        name.push("-watch");
        name.into()
    }
    /// The id of this run of the system.
    pub(crate) fn boot(&self) -> PathBuf {
        self.run_dir.join("boot")
    }

    /// What tells this installation's marks on the host from those of another one: nothing for the default root, else
    /// eight hexadecimal digits that depend on the absolute path of the root alone, symbolic links resolved.
    ///
    /// They are the 64-bit FNV-1a hash of the path's bytes, its two halves combined by exclusive or.
    pub fn instance(&self) -> Option<&str> {
        self.instance.as_deref()
    }
}

impl Default for Paths {
    /// Those of an ordinary installation.
    fn default() -> Self {
        Self::new(Self::DEFAULT_ROOT)
    }
}

fn instance_of(root: &Path) -> Option<String> {
    if root == Path::new(Paths::DEFAULT_ROOT) {
        return None;
    }
    let real = resolved(root);
    (real != resolved(Path::new(Paths::DEFAULT_ROOT))).then(|| format!("{:08x}", fold(&real)))
}

fn fold(path: &Path) -> u64 {
    let hash = path.as_os_str().as_encoded_bytes().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    (hash >> 32) ^ (hash & 0xffff_ffff)
}

/// The path from `/`, without `.`, doubled or trailing separators. Without a working directory it stays relative.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).components().collect()
}

/// The path with the symbolic links of the part that exists resolved, so that it is the same one before and after the
/// rest of it is made.
fn resolved(path: &Path) -> PathBuf {
    let (mut existing, mut rest) = (path, Vec::new());
    loop {
        if let Ok(real) = existing.canonicalize() {
            return real.iter().chain(rest.iter().rev().copied()).collect();
        }
        match (existing.parent(), existing.components().next_back()) {
            (Some(parent), Some(Component::Normal(name))) => {
                rest.push(name);
                existing = parent;
            }
            _ => return path.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_root_has_no_suffix_however_spelt() {
        for spelling in ["/opt/phantom-wg", "/opt//phantom-wg/", "/opt/./phantom-wg"] {
            let paths = Paths::new(spelling);
            assert_eq!(paths, Paths::default(), "{spelling}");
            assert_eq!((paths.run_dir(), paths.instance()), (Path::new("/run/phantom-wg"), None));
        }
        assert_eq!(Paths::default().database(), Path::new("/opt/phantom-wg/data/phantom.db"));
    }

    #[test]
    fn other_root_has_a_stable_suffix() {
        let paths = Paths::new("/nowhere/else");
        assert_eq!(paths.instance(), Some("bc2dc40f"));
        assert_eq!(paths.lock(), Path::new("/run/phantom-wg-bc2dc40f/lock"));
        assert_eq!(Paths::with_run_dir("/nowhere/else", "/tmp/r").instance(), paths.instance());
    }

    #[test]
    fn the_hash_is_fnv_1a() {
        // Reference values of the FNV-1a specification for the empty text and for "a".
        assert_eq!(fold(Path::new("")), 0xcbf2_9ce4 ^ 0x8422_2325);
        assert_eq!(fold(Path::new("a")), 0xaf63_dc4c ^ 0x8601_ec8c);
    }

    #[test]
    fn symlinked_root_is_the_same_installation() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path(), &link).unwrap();
        let before = Paths::new(link.join("root"));
        std::fs::create_dir(dir.path().join("root")).unwrap();
        assert_eq!(before.instance(), Paths::new(link.join("root")).instance());
        assert_eq!(before.run_dir(), Paths::new(dir.path().join("root")).run_dir());
        assert_ne!(before.instance(), Paths::new(dir.path().join("other")).instance());
    }
}
