//! What quickstart has put on this machine: a text file, one thing a line.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::problem::{Context as _, Result};

const PATH: &str = "/opt/phantom-wg/install-manifest";
const TITLE: &str =
    "# What `cargo xtask quickstart` put on this machine; `cargo xtask uninstall` takes it away.\n";

/// The list of installed things. It is on the disk before a thing is: a run that is cut short leaves nothing unknown.
#[derive(Debug, Default)]
pub(crate) struct Manifest {
    /// Files.
    pub(crate) files: BTreeSet<PathBuf>,
    /// Folders that were not there before.
    pub(crate) folders: BTreeSet<PathBuf>,
    /// Debian packages that were not there before.
    pub(crate) packages: BTreeSet<String>,
}

impl Manifest {
    /// The list on this machine; an empty one where there is none.
    pub(crate) fn load() -> Result<Self> {
        let text = match fs::read_to_string(PATH) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            other => other.context(PATH)?,
        };
        let mut manifest = Self::default();
        for line in text.lines() {
            match line.split_once(' ') {
                Some(("file", path)) => drop(manifest.files.insert(path.into())),
                Some(("folder", path)) => drop(manifest.folders.insert(path.into())),
                Some(("package", name)) => drop(manifest.packages.insert(name.to_owned())),
                _ => {}
            }
        }
        Ok(manifest)
    }

    /// Where it is.
    pub(crate) fn path() -> &'static Path {
        Path::new(PATH)
    }

    /// Removes the list itself, when all that it says is gone.
    pub(crate) fn remove() -> Result {
        match fs::remove_file(PATH) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).context(PATH),
            _ => Ok(()),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.folders.is_empty() && self.packages.is_empty()
    }

    pub(crate) fn add_file(&mut self, path: &Path) -> Result {
        if self.files.insert(path.to_owned()) { self.save() } else { Ok(()) }
    }

    pub(crate) fn add_packages(&mut self, packages: BTreeSet<String>) -> Result {
        let before = self.packages.len();
        self.packages.extend(packages);
        if self.packages.len() > before { self.save() } else { Ok(()) }
    }

    /// Makes a folder and those above it, as far as they are not there.
    pub(crate) fn make_folder(&mut self, path: &Path) -> Result {
        self.note_folder(path)?;
        fs::DirBuilder::new().recursive(true).mode(0o755).create(path).context(path.display())
    }

    /// Remembers that a folder is not there, for one that somebody else will make.
    pub(crate) fn note_folder(&mut self, path: &Path) -> Result {
        let missing: Vec<PathBuf> =
            path.ancestors().take_while(|path| !path.exists()).map(Path::to_owned).collect();
        if missing.is_empty() {
            return Ok(());
        }
        self.folders.extend(missing);
        self.save()
    }

    /// Forgets what has been taken away.
    pub(crate) fn keep_only_packages(&mut self) -> Result {
        self.files.clear();
        // The folders of the list itself are still needed.
        self.folders.retain(|folder| Path::new(PATH).starts_with(folder));
        self.save()
    }

    pub(crate) fn save(&mut self) -> Result {
        let path = Path::new(PATH);
        let dir = path.parent().unwrap_or(path);
        let missing = dir.ancestors().take_while(|path| !path.exists()).map(Path::to_owned);
        self.folders.extend(missing);
        fs::DirBuilder::new().recursive(true).mode(0o755).create(dir).context(dir.display())?;
        write(path, self.text().as_bytes(), 0o644)
    }

    fn text(&self) -> String {
        let files = self.files.iter().map(|path| format!("file {}\n", path.display()));
        let folders = self.folders.iter().map(|path| format!("folder {}\n", path.display()));
        let packages = self.packages.iter().map(|name| format!("package {name}\n"));
        files.chain(folders).chain(packages).fold(TITLE.to_owned(), |text, line| text + &line)
    }
}

/// Replaces a file in one step: whoever looks sees the old one or the whole new one, with its mode.
pub(super) fn write(path: &Path, content: &[u8], mode: u32) -> Result {
    let name = path.file_name().context(path.display())?.to_string_lossy().into_owned();
    let (dir, new) = (path.parent().unwrap_or(path), path.with_file_name(format!(".{name}.new")));
    let written = (|| {
        let mut file = File::create(&new)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        File::open(dir)?.sync_all()
    })();
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written.context(path.display())
}
