//! The files of an installation, on the disk and in memory at once.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use phantom_host::fake::FakeHost;
use phantom_host::{FileInfo, Files, HostError, Result};

/// The files of the host in memory, but what lies below one folder is on the disk as well.
///
/// The store works on the disk, and a change of the subnet puts the copy of its database beside files of the host: so
/// the folders of the installation have to be in both. A write goes to memory first, where it is counted and may be
/// refused; the disk follows.
#[derive(Clone)]
pub struct OnDisk {
    fake: FakeHost,
    dir: PathBuf,
}

impl OnDisk {
    /// Files whose folder `dir` is on the disk.
    pub fn new(fake: FakeHost, dir: &Path) -> Self {
        Self { fake, dir: dir.to_owned() }
    }

    fn on_disk(&self, path: &Path) -> bool {
        path.starts_with(&self.dir)
    }

    /// What the store made on the disk is not in memory yet.
    fn meet(&self, path: &Path) {
        let Some(parent) = path.parent().filter(|parent| self.on_disk(parent) && parent.is_dir()) else {
            return;
        };
        if self.fake.info(parent).is_ok_and(|known| known.is_none()) {
            let draft = parent.join(".").join("draft").display().to_string();
            self.fake.put_file(&draft, b"", 0o600, 0);
            self.fake.cut_file(&draft);
        }
    }

    fn both(
        &self,
        path: &Path,
        memory: impl FnOnce() -> Result<()>,
        disk: impl FnOnce() -> io::Result<()>,
    ) -> Result<()> {
        if !self.on_disk(path) {
            return memory();
        }
        self.meet(path);
        memory()?;
        if self.fake.has_forgotten() {
            return Ok(());
        }
        let absent =
            |error: io::Error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) };
        disk().or_else(absent).map_err(|error| HostError::io(path.display().to_string(), error))
    }
}

impl Files for OnDisk {
    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        if self.on_disk(path) { Ok(fs::read(path).ok()) } else { self.fake.read(path) }
    }

    fn info(&self, path: &Path) -> Result<Option<FileInfo>> {
        if !self.on_disk(path) {
            return self.fake.info(path);
        }
        Ok(fs::symlink_metadata(path).ok().map(|found| FileInfo {
            mode: found.mode() & 0o7777,
            uid: found.uid(),
            len: found.len(),
            dir: found.is_dir(),
        }))
    }

    fn list(&self, dir: &Path) -> Result<Vec<PathBuf>> {
        if !self.on_disk(dir) {
            return self.fake.list(dir);
        }
        let mut names: Vec<PathBuf> =
            fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.file_name().into()).collect();
        names.sort();
        Ok(names)
    }

    fn write(&self, path: &Path, content: &[u8], mode: u32) -> Result<()> {
        let disk = || {
            let mut draft = path.to_owned();
            draft.set_extension("draft");
            let mut file =
                fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&draft)?;
            io::Write::write_all(&mut file, content)?;
            fs::rename(&draft, path)
        };
        self.both(path, || Files::write(&self.fake, path, content, mode), disk)
    }

    fn append(&self, path: &Path, content: &[u8]) -> Result<()> {
        let disk = || io::Write::write_all(&mut fs::OpenOptions::new().append(true).open(path)?, content);
        self.both(path, || self.fake.append(path, content), disk)
    }

    fn set_mode(&self, path: &Path, mode: u32) -> Result<()> {
        let disk = || fs::set_permissions(path, fs::Permissions::from_mode(mode));
        self.both(path, || self.fake.set_mode(path, mode), disk)
    }

    fn make_dir(&self, dir: &Path, mode: u32) -> Result<()> {
        let disk = || fs::DirBuilder::new().recursive(true).mode(mode).create(dir);
        self.both(dir, || self.fake.make_dir(dir, mode), disk)
    }

    fn remove(&self, path: &Path) -> Result<()> {
        self.both(path, || Files::remove(&self.fake, path), || fs::remove_file(path))
    }

    fn remove_dir(&self, dir: &Path) -> Result<()> {
        self.both(dir, || self.fake.remove_dir(dir), || fs::remove_dir_all(dir))
    }
}
