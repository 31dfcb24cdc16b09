//! The system log: one line per change, and what had to be repaired.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use phantom_module::Call;
use phantom_types::{Said, Timestamp};

use crate::Engine;

/// A log file is put aside when it has this many bytes.
const ROTATE_AT: u64 = 10 << 20;
/// How many old ones are kept.
const KEPT: u32 = 3;

impl Engine {
    /// Says what happened to the person who called, in their language, and to the log.
    pub(crate) fn say(&self, call: &Call, said: &Said) {
        (call.note)(said.get(call.lang));
        self.log(&said.en);
    }

    /// Writes a line with the time. A log that cannot be written stops no change.
    pub(crate) fn log(&self, line: &str) {
        append(&self.paths().logs_dir(), self.host.clock.now(), line);
    }
}

/// The same in the folder of the logs.
pub(crate) fn append(dir: &Path, time: Timestamp, line: &str) {
    let path = dir.join("phantom.log");
    if path.metadata().is_ok_and(|info| info.len() >= ROTATE_AT) {
        rotate(&path);
    }
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
    let _ = file.and_then(|mut file| file.write_all(format!("{time} {line}\n").as_bytes()));
}

fn rotate(path: &Path) {
    let aside = |n: u32| path.with_extension(format!("log.{n}"));
    for n in (1..KEPT).rev() {
        let _ = std::fs::rename(aside(n), aside(n + 1));
    }
    let _ = std::fs::rename(path, aside(1));
}
