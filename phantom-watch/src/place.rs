//! Where watcher and installation meet, and how a repair is asked for.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use phantom_types::watch::Watched;
use serde_json::json;

use crate::Fight;

/// How a repair is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A file appears in the watcher's own folder; the service manager waits for it.
    File,
    /// The watcher runs this command: a program and its arguments.
    Run(Vec<String>),
}

/// The folders of a watcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchPaths {
    /// What the installation writes: `objects.json`, `changing` while something is changed, and `due` when something is to be
    /// done by itself: microseconds since 1970.
    pub told: PathBuf,
    /// What the watcher writes: `repair` to ask for one, `report.json`, and `looked` with the time of a look, as long as it lives.
    pub own: PathBuf,
    /// How a repair is asked for.
    pub ask: Ask,
}

/// One writing of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edition(u64, i64, i64);

impl WatchPaths {
    /// Makes the watcher's own folder, unless it is there.
    pub(crate) fn prepare(&self) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.own)
    }

    fn objects(&self) -> PathBuf {
        self.told.join("objects.json")
    }
    fn changing(&self) -> PathBuf {
        self.told.join("changing")
    }

    /// Which writing of the file is there; none where there is no installation.
    pub(crate) fn edition(&self) -> Option<Edition> {
        edition_of(&self.objects())
    }

    /// What is meant to be there.
    pub(crate) fn watched(&self) -> io::Result<Watched> {
        serde_json::from_slice(&fs::read(self.objects())?).map_err(io::Error::other)
    }

    /// When a repair is to be asked for although nothing is missing. What is older than the calendar of the system is due at once.
    pub(crate) fn due(&self) -> Option<SystemTime> {
        let micros: i64 = fs::read_to_string(self.told.join("due")).ok()?.trim_end().parse().ok()?;
        UNIX_EPOCH.checked_add(Duration::from_micros(micros.max(0).unsigned_abs()))
    }

    /// The lock of a change that has begun and not ended.
    pub(crate) fn changing_under(&self) -> Option<String> {
        fs::read_to_string(self.changing()).ok().map(|text| text.trim().to_owned())
    }

    /// Asks for a repair; gives the process where there is one.
    #[expect(
        clippy::disallowed_methods,
        reason = "a file of the watcher's own folder, and the one program it starts"
    )]
    pub(crate) fn ask(&self) -> io::Result<Option<Child>> {
        match &self.ask {
            Ask::File => fs::write(self.own.join("repair"), "").map(|()| None),
            Ask::Run(words) => {
                let (program, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
                let mut command = Command::new(program);
                command.args(arguments).env_clear().stdin(Stdio::null()).stdout(Stdio::null());
                command.spawn().map(Some)
            }
        }
    }

    /// Says that it looks: a process that is there may be a stopped one.
    #[expect(clippy::disallowed_methods, reason = "a file of the watcher's own folder")]
    pub(crate) fn say_looked(&self, now: SystemTime) -> io::Result<()> {
        let micros = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        let draft = self.own.join("looked.new");
        fs::write(&draft, micros.to_string())?;
        fs::rename(draft, self.own.join("looked"))
    }

    /// Writes down what somebody keeps removing.
    #[expect(clippy::disallowed_methods, reason = "a file of the watcher's own folder")]
    pub(crate) fn report(&self, fights: &[Fight]) -> io::Result<()> {
        let entry = |Fight { object, times }: &Fight| json!({ "object": object.en, "object_tr": object.tr, "times": times });
        let list: Vec<_> = fights.iter().map(entry).collect();
        let draft = self.own.join("report.new");
        fs::write(&draft, json!({ "removed_again_and_again": list }).to_string())?;
        fs::rename(draft, self.own.join("report.json"))
    }
}

fn edition_of(path: &Path) -> Option<Edition> {
    let found = fs::metadata(path).ok()?;
    Some(Edition(found.ino(), found.mtime(), found.mtime_nsec()))
}

/// Which writing of each of these files is there.
pub(crate) fn stamps(files: &[PathBuf]) -> Vec<Option<Edition>> {
    files.iter().map(|file| edition_of(file)).collect()
}

/// Whether a file is locked by somebody (`flock(2)`); its name is [`phantom_types::watch::lock_name`]'s.
pub(crate) fn is_locked(name: &str) -> bool {
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    locks.lines().any(|line| holds(line, name))
}

/// `3: FLOCK  ADVISORY  WRITE 4711 00:1a:311 0 EOF`; a line with an arrow is of one who waits.
fn holds(line: &str, name: &str) -> bool {
    let mut words = line.split_whitespace().skip(1);
    words.next() == Some("FLOCK") && words.nth(1) == Some("WRITE") && words.nth(1) == Some(name)
}

/// The names of the services whose processes have ended, by the files that name them: number and start time.
pub(crate) fn ended(files: &[PathBuf]) -> BTreeSet<String> {
    let name = |file: &PathBuf| file.file_stem().map(|name| name.to_string_lossy().into_owned());
    files.iter().filter(|file| has_ended(file)).filter_map(name).collect()
}

/// A file that is not there is of a service that was stopped.
fn has_ended(file: &Path) -> bool {
    let Ok(text) = fs::read_to_string(file) else { return false };
    let mut words = text.split_whitespace();
    let (Some(pid), Some(started)) = (words.next(), words.next()) else { return false };
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Behind the name of the program, which may have blanks in it: state, and nineteen fields later the time of the start.
    let mut fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let state = fields.next().unwrap_or("X");
    matches!(state, "Z" | "X" | "x") || fields.nth(18) != Some(started)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "files of the tests' own")]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_found_among_others() {
        let line = "3: FLOCK  ADVISORY  WRITE 4711 00:1a:311 0 EOF";
        assert!(holds(line, "00:1a:311"));
        assert!(!holds(line, "00:1a:31"));
        assert!(!holds("3: -> FLOCK  ADVISORY  WRITE 4711 00:1a:311 0 EOF", "00:1a:311"));
        assert!(!holds("3: POSIX  ADVISORY  WRITE 4711 00:1a:311 0 EOF", "00:1a:311"));
        assert!(!holds("3: FLOCK  ADVISORY  READ 4711 00:1a:311 0 EOF", "00:1a:311"));
        assert!(!holds("", "00:1a:311"));
    }

    #[test]
    fn own_lock_is_seen_by_kernel_name() {
        let path = std::env::temp_dir().join(format!("phantom-watch-lock-{}", std::process::id()));
        let file = fs::File::create(&path).unwrap();
        let found = file.metadata().unwrap();
        let name = phantom_types::watch::lock_name(found.dev(), found.ino());
        assert!(!is_locked(&name));
        file.lock().unwrap();
        assert!(is_locked(&name), "{name} in {}", fs::read_to_string("/proc/locks").unwrap());
        file.unlock().unwrap();
        assert!(!is_locked(&name));
        nix::unistd::unlink(&path).unwrap();
    }

    #[test]
    fn due_time_is_read_despite_clock_changes() {
        let dir = std::env::temp_dir().join(format!("phantom-watch-due-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        let place = WatchPaths { told: dir.clone(), own: dir.clone(), ask: Ask::File };
        assert_eq!(place.due(), None);
        for (text, due) in [
            ("1795932731000000", Some(UNIX_EPOCH + Duration::from_secs(1_795_932_731))),
            ("0\n", Some(UNIX_EPOCH)),
            ("-5", Some(UNIX_EPOCH)),
            ("", None),
            ("soon", None),
        ] {
            fs::write(dir.join("due"), text).unwrap();
            assert_eq!(place.due(), due, "{text}");
        }
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn ended_process_differs_from_running_one() {
        let dir = std::env::temp_dir();
        let file = dir.join(format!("phantom-watch-process-{}.pid", std::process::id()));
        let stat = fs::read_to_string("/proc/self/stat").unwrap();
        let started = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().to_owned();
        let pid = std::process::id();
        for (text, name) in [
            (format!("{pid} {started} ready"), None),
            (format!("{pid} 1 ready"), Some(())),
            (format!("4194304 {started} ready"), Some(())),
        ] {
            fs::write(&file, text).unwrap();
            assert_eq!(ended(std::slice::from_ref(&file)).first().map(|_| ()), name);
        }
        nix::unistd::unlink(&file).unwrap();
        assert!(ended(&[file]).is_empty());
    }
}
