//! Files in memory.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;

use super::{FakeHost, absent};
use crate::{FileInfo, Files, HostError, Result};

/// Folders that every host has.
const USUAL: &[&str] = &[
    "/",
    "/etc",
    "/etc/iproute2",
    "/etc/sysctl.d",
    "/etc/systemd",
    "/etc/systemd/system",
    "/opt",
    "/run",
    "/tmp",
    "/usr",
    "/usr/local",
    "/usr/local/bin",
    "/var",
    "/var/lib",
    "/var/log",
];
/// Longest name of a file in bytes (`NAME_MAX` of linux/limits.h).
const NAME_MAX: usize = 255;

/// A file or a folder.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) mode: u32,
    pub(super) uid: u32,
    /// `None` for a folder.
    pub(super) content: Option<Vec<u8>>,
}

impl Node {
    fn dir(mode: u32) -> Self {
        Self { mode, uid: 0, content: None }
    }
    fn is_dir(&self) -> bool {
        self.content.is_none()
    }
}

/// All files by their absolute paths.
#[derive(Clone)]
pub(super) struct Tree {
    pub(super) nodes: BTreeMap<PathBuf, Node>,
}

impl Default for Tree {
    fn default() -> Self {
        Self { nodes: USUAL.iter().map(|path| (PathBuf::from(path), Node::dir(0o755))).collect() }
    }
}

impl Tree {
    /// The folder that a file is to be in.
    fn parent<'a>(&self, path: &'a Path) -> Result<&'a Path, Errno> {
        let parent = path.parent().ok_or(Errno::EISDIR)?;
        match self.nodes.get(parent) {
            Some(node) if node.is_dir() => Ok(parent),
            Some(_) => Err(Errno::ENOTDIR),
            // A file further up is "not a directory" for all that would be below it.
            None if self.file_above(parent) => Err(Errno::ENOTDIR),
            None => Err(Errno::ENOENT),
        }
    }

    fn file_above(&self, path: &Path) -> bool {
        path.ancestors().any(|above| self.nodes.get(above).is_some_and(|node| !node.is_dir()))
    }

    /// Puts a file in its place, as a rename does: a new one in the place of an old one.
    pub(super) fn put(&mut self, path: &Path, content: &[u8], mode: u32, uid: u32) -> Result<(), Errno> {
        self.parent(path)?;
        if path.file_name().map(OsStr::as_bytes).is_some_and(|name| name.len() > NAME_MAX) {
            return Err(Errno::ENAMETOOLONG);
        }
        if self.nodes.get(path).is_some_and(Node::is_dir) {
            return Err(Errno::EISDIR);
        }
        self.nodes.insert(path.to_owned(), Node { mode, uid, content: Some(content.to_owned()) });
        Ok(())
    }

    pub(super) fn make_dir(&mut self, dir: &Path, mode: u32) -> Result<(), Errno> {
        match self.nodes.get(dir) {
            Some(node) if node.is_dir() => return Ok(()),
            Some(_) => return Err(Errno::EEXIST),
            None if self.file_above(dir) => return Err(Errno::ENOTDIR),
            None => {}
        }
        let missing: Vec<_> = dir.ancestors().take_while(|above| !self.nodes.contains_key(*above)).collect();
        for above in missing {
            self.nodes.insert(above.to_owned(), Node::dir(mode));
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) -> Result<(), Errno> {
        if self.nodes.get(path).is_some_and(Node::is_dir) {
            return Err(Errno::EISDIR);
        }
        self.nodes.remove(path);
        Ok(())
    }

    fn list(&self, dir: &Path) -> Vec<PathBuf> {
        let inside = |path: &&PathBuf| path.parent() == Some(dir);
        let names = self.nodes.range(dir.to_owned()..).map(|(path, _)| path);
        let names = names.take_while(|path| path.starts_with(dir));
        names.filter(inside).filter_map(|path| path.file_name()).map(PathBuf::from).collect()
    }
}

/// The path as a key: absolute, without `.`, `..` and doubled slashes. Every caller of the facility keeps to that.
fn key(path: &Path) -> Result<PathBuf> {
    let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if path.is_absolute() && plain {
        return Ok(path.components().collect());
    }
    Err(HostError::unexpected(format!("{} is not a plain absolute path", path.display())))
}

fn failed(doing: &str, path: &Path) -> impl Fn(Errno) -> HostError {
    let what = format!("{doing} {}", path.display());
    move |errno| HostError::io(what.clone(), errno.into())
}

impl Files for FakeHost {
    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        match self.state().files.nodes.get(&key(path)?) {
            Some(Node { content: None, .. }) => Err(failed("reading", path)(Errno::EISDIR)),
            Some(Node { content: Some(content), .. }) => Ok(Some(content.clone())),
            None => Ok(None),
        }
    }

    fn info(&self, path: &Path) -> Result<Option<FileInfo>> {
        let state = self.state();
        Ok(state.files.nodes.get(&key(path)?).map(|node| FileInfo {
            mode: node.mode,
            uid: node.uid,
            len: node.content.as_ref().map_or(0, |content| content.len() as u64),
            dir: node.is_dir(),
        }))
    }

    fn list(&self, dir: &Path) -> Result<Vec<PathBuf>> {
        Ok(self.state().files.list(&key(dir)?))
    }

    fn write(&self, path: &Path, content: &[u8], mode: u32) -> Result<()> {
        let mut state = self.write(&format!("files.write {} {mode:04o}", path.display()))?;
        let place = key(path)?;
        state.files.put(&place, content, mode, 0).map_err(failed("writing", path))?;
        let (waits, runner) = state.manager.waits_for(&place);
        drop(state);
        if let (Some(command), Some(runner)) = (waits, runner) {
            runner(&command);
        }
        Ok(())
    }

    fn append(&self, path: &Path, content: &[u8]) -> Result<()> {
        let mut state = self.write(&format!("files.append {}", path.display()))?;
        match state.files.nodes.get_mut(&key(path)?) {
            None => Err(absent(path.display().to_string())),
            Some(Node { content: None, .. }) => Err(failed("appending to", path)(Errno::EISDIR)),
            Some(Node { content: Some(old), .. }) => {
                old.extend_from_slice(content);
                Ok(())
            }
        }
    }

    fn set_mode(&self, path: &Path, mode: u32) -> Result<()> {
        let mut state = self.write(&format!("files.set_mode {} {mode:04o}", path.display()))?;
        let node = state.files.nodes.get_mut(&key(path)?);
        let node = node.ok_or_else(|| failed("setting the mode of", path)(Errno::ENOENT))?;
        (node.mode, node.uid) = (mode, 0);
        Ok(())
    }

    fn make_dir(&self, dir: &Path, mode: u32) -> Result<()> {
        let mut state = self.write(&format!("files.make_dir {} {mode:04o}", dir.display()))?;
        state.files.make_dir(&key(dir)?, mode).map_err(failed("making", dir))
    }

    fn remove(&self, path: &Path) -> Result<()> {
        let mut state = self.write(&format!("files.remove {}", path.display()))?;
        state.files.remove(&key(path)?).map_err(failed("removing", path))
    }

    fn remove_dir(&self, dir: &Path) -> Result<()> {
        let mut state = self.write(&format!("files.remove_dir {}", dir.display()))?;
        let dir = key(dir)?;
        // What is a file is no folder: there is nothing to remove.
        if state.files.nodes.get(&dir).is_some_and(Node::is_dir) {
            state.files.nodes.retain(|path, _| !path.starts_with(&dir));
        }
        Ok(())
    }
}
