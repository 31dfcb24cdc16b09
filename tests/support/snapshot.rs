//! A server, kept to come back to.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use phantom_host::fake;

use crate::Server;

/// A server as it was at a moment: the host in memory and everything on the disk.
///
/// To set one up takes as many calls as it has clients, exits and settings; to come back to it takes none. What is tried
/// on it many times, each time from the same state, is tried on one server.
#[derive(Debug)]
pub struct Snapshot {
    host: fake::Snapshot,
    entries: Vec<Entry>,
}

/// A file, or a folder, which has no content.
#[derive(Debug)]
struct Entry {
    path: PathBuf,
    mode: u32,
    content: Option<Vec<u8>>,
}

impl Server {
    /// Keeps what the server is.
    pub fn snapshot(&self) -> Snapshot {
        let mut entries = Vec::new();
        keep(self.dir(), &mut entries);
        Snapshot { host: self.fake.snapshot(), entries }
    }
    /// Makes the server what it was; nobody watches its writes any more. Not while one of its calls runs.
    pub fn restore(&self, snapshot: &Snapshot) {
        self.fake.clear_on_write();
        self.fake.restore(&snapshot.host);
        for entry in fs::read_dir(self.dir()).unwrap().map(Result::unwrap) {
            let folder = entry.file_type().unwrap().is_dir();
            if folder { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) }.unwrap();
        }
        for Entry { path, mode, content } in &snapshot.entries {
            match content {
                Some(content) => fs::write(path, content),
                None => fs::DirBuilder::new().mode(0o700).create(path),
            }
            .unwrap();
            // Not as it is made: the process takes bits away there.
            fs::set_permissions(path, fs::Permissions::from_mode(*mode)).unwrap();
        }
    }
}

/// What is below a folder, each folder before what is in it.
fn keep(dir: &Path, entries: &mut Vec<Entry>) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let (path, found) = (entry.path(), entry.metadata().unwrap());
        let mode = found.mode() & 0o7777;
        if found.is_dir() {
            entries.push(Entry { path: path.clone(), mode, content: None });
            keep(&path, entries);
        } else {
            assert!(found.is_file(), "{}", path.display());
            entries.push(Entry { content: Some(fs::read(&path).unwrap()), path, mode });
        }
    }
}
