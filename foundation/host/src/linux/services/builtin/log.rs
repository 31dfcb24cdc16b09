//! Log files of daemons.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use crate::{HostError, Result};

/// A log file of this size is put aside at the next start.
const ROTATE_AT: u64 = 10 << 20;
/// How many old ones are kept.
const KEEP: u32 = 3;
/// How much of the end of a file is looked at for its last lines.
const TAIL_MAX: u64 = 4 << 20;

/// Opens a log file for a daemon, with its length now; puts one that has grown large aside.
///
/// On a disk that is full or read-only what the daemon says is lost, and it starts all the same.
pub(super) fn open(path: &Path) -> Result<(File, u64)> {
    let opened = rotate(path).and_then(|()| {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(path)?;
        let length = file.metadata()?.len();
        Ok((file, length))
    });
    let opened = match opened {
        Err(e) if matches!(e.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::StorageFull) => {
            let length = fs::metadata(path).map_or(0, |found| found.len());
            OpenOptions::new().write(true).open("/dev/null").map(|nowhere| (nowhere, length))
        }
        other => other,
    };
    opened.map_err(|e| HostError::io(format!("opening {}", path.display()), e))
}

/// The last lines from this place on, at most `count`; none when the file cannot be read.
pub(super) fn tail(path: &Path, count: usize, from: u64) -> Vec<String> {
    let mut lines = last_lines(path, from).unwrap_or_default();
    // A file that was just put aside is the larger part of the log.
    if from == 0 && lines.len() < count {
        let mut older = last_lines(&old(path, 1), 0).unwrap_or_default();
        older.append(&mut lines);
        lines = older;
    }
    lines.split_off(lines.len().saturating_sub(count))
}

fn last_lines(path: &Path, from: u64) -> io::Result<Vec<String>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let begin = from.max(length.saturating_sub(TAIL_MAX));
    file.seek(SeekFrom::Start(begin))?;
    let mut bytes = Vec::new();
    file.take(TAIL_MAX).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    // The first line is cut in two unless the reading began where it was meant to.
    let cut = usize::from(begin > from);
    Ok(text.lines().skip(cut).map(str::to_owned).collect())
}

fn rotate(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.len() < ROTATE_AT => return Ok(()),
        Ok(_) => {}
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    }
    for number in (1..KEEP).rev() {
        absent_is_fine(fs::rename(old(path, number), old(path, number + 1)))?;
    }
    fs::rename(path, old(path, 1))
}

fn old(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests")]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::{ROTATE_AT, open, tail};

    #[test]
    fn last_lines_span_both_files_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        assert!(tail(&path, 5, 0).is_empty());
        fs::write(dir.path().join("x.log.1"), "a\nb\n").unwrap();
        fs::write(&path, "c\nd\nno line feed \u{fffd}").unwrap();
        assert_eq!(tail(&path, 4, 0), ["b", "c", "d", "no line feed \u{fffd}"]);
        assert_eq!(tail(&path, 1, 0), ["no line feed \u{fffd}"]);
        assert_eq!(tail(&path, 100, 0).len(), 5);
        assert_eq!(tail(&path, 9, 2), ["d", "no line feed \u{fffd}"]);
        assert!(tail(&path, 0, 0).is_empty());
    }

    #[test]
    fn large_logs_rotate_and_three_remain() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        for round in 0..6 {
            let (mut file, length) = open(&path).unwrap();
            assert_eq!(length, 0, "{round}");
            file.write_all(format!("round {round}\n").as_bytes()).unwrap();
            file.set_len(ROTATE_AT).unwrap();
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["x.log", "x.log.1", "x.log.2", "x.log.3"]);
        let begin = |name: &str| fs::read(dir.path().join(name)).unwrap()[..7].to_vec();
        assert_eq!((begin("x.log"), begin("x.log.3")), (b"round 5".to_vec(), b"round 2".to_vec()));
        // A small one is added to.
        fs::write(&path, "small\n").unwrap();
        assert_eq!(open(&path).unwrap().1, 6);
    }

    #[test]
    fn symlink_in_its_place_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, victim) = (dir.path().join("x.log"), dir.path().join("victim"));
        fs::write(&victim, "v").unwrap();
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        assert!(open(&path).is_err());
        assert_eq!(fs::read(&victim).unwrap(), b"v");
    }
}
