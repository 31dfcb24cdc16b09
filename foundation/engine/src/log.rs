//! The system log: one line per change, and what had to be repaired.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::Engine;

/// A log file is put aside when it has this many bytes.
const ROTATE_AT: u64 = 10 << 20;
/// How many old ones are kept.
const KEPT: u32 = 3;

impl Engine {
    /// Writes a line with the time. A log that cannot be written stops no change.
    pub(crate) fn log(&self, line: &str) {
        let path = self.paths().logs_dir().join("phantom.log");
        let time = self.host.clock.now();
        if path.metadata().is_ok_and(|info| info.len() >= ROTATE_AT) {
            rotate(&path);
        }
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
        let _ = file.and_then(|mut file| file.write_all(format!("{time} {line}\n").as_bytes()));
    }
}

fn rotate(path: &Path) {
    let aside = |n: u32| path.with_extension(format!("log.{n}"));
    for n in (1..KEPT).rev() {
        let _ = std::fs::rename(aside(n), aside(n + 1));
    }
    let _ = std::fs::rename(path, aside(1));
}
