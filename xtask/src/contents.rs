//! What belongs to an installed server beside what it makes itself: programs, manual pages, completions.
//!
//! `quickstart` and `dist` place these; the list of the Debian package in `phantom-api/Cargo.toml` is held to them by a
//! test.

use std::fs;
use std::path::{Path, PathBuf};

use crate::problem::{Context as _, Result};

/// The programs of the server. They find each other by lying in one folder.
pub(crate) const PROGRAMS: [&str; 8] = [
    "phantom-api",
    "phantom-wg",
    "phantom-wg-device",
    "phantom-ghost",
    "phantom-multihop",
    "phantom-watch",
    "phantom-casper",
    "phantom-casper-ios",
];

/// The program of the factory reset, which is no everyday command.
pub(crate) const RESET: &str = "factory-reset";
/// The script under whose name it is known; it starts the program beside it.
pub(crate) const RESET_SCRIPT: &str = "factory-reset.sh";
/// The folder under which both are known.
pub(crate) const RESET_DIR: &str = "/opt/phantom-wg/phantom";

/// Generated files.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Texts {
    /// Their folder below `docs/`.
    pub(crate) from: &'static str,
    /// Where they belong, below a `share` folder of an administrator's own.
    pub(crate) share: &'static str,
}

const fn texts(from: &'static str, share: &'static str) -> Texts {
    Texts { from, share }
}

/// Manual pages and completions.
pub(crate) const TEXTS: [Texts; 5] = [
    texts("man", "man/man1"),
    texts("man/tr", "man/tr/man1"),
    texts("completions/bash", "bash-completion/completions"),
    texts("completions/zsh", "zsh/site-functions"),
    texts("completions/fish", "fish/vendor_completions.d"),
];

/// The files of a folder, sorted; none where there is no such folder.
pub(crate) fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).context(dir.display())? {
        let path = entry.context(dir.display())?.path();
        if path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
