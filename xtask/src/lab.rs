//! `lab`: Debian servers for tests. A container has this machine's kernel and its speed; a virtual machine has Debian's
//! own kernel, is restored from a frozen boot in about a second, and is slow.
//!
//! Only Debian packages are used, no KVM and no network: a server sees one card behind which nothing but its gateway
//! answers. The images lie outside the tree, in the folder that [`crate::workspace::kept`] names.

pub(crate) mod container;
pub(crate) mod emulator;
pub(crate) mod image;
mod qmp;
mod timer;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::args::Args;
use crate::problem::{Context as _, Problem, Result};

/// A release of Debian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suite {
    /// Debian 12.
    Bookworm,
    /// Debian 13.
    Trixie,
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
        })
    }
}

impl FromStr for Suite {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "bookworm" => Ok(Self::Bookworm),
            "trixie" => Ok(Self::Trixie),
            _ => Err(Problem::new(format!("'{text}' is no release known here: bookworm, trixie"))),
        }
    }
}

/// Which of the two images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// With the test tools.
    Full,
    /// A server as delivered; `apt-get install` of the tools works without a network.
    Bare,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::Full { "full" } else { "bare" })
    }
}

impl FromStr for Kind {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "full" => Ok(Self::Full),
            "bare" => Ok(Self::Bare),
            _ => Err(Problem::new(format!("'{text}' is no image: full, bare"))),
        }
    }
}

/// Something to do in a fresh server.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) suite: Suite,
    pub(crate) kind: Kind,
    /// A folder whose content is to be `/job` there.
    pub(crate) files: Option<PathBuf>,
    /// For `bash`, in `/job`. It may call `lab-reboot`: the same command runs again after the boot, with `LAB_PHASE` one
    /// higher.
    pub(crate) command: String,
    /// A folder here for what it puts into `/out`, and for the console's text.
    pub(crate) output: Option<PathBuf>,
    /// How long all of it may take.
    pub(crate) limit: Duration,
}

/// Where a server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a container.
    Container,
    /// In a virtual machine.
    Emulator,
}

impl FromStr for Place {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "container" => Ok(Self::Container),
            "emulator" => Ok(Self::Emulator),
            _ => Err(Problem::new(format!("'{text}' is no place: container, emulator"))),
        }
    }
}

/// Makes the image ready for servers in this place.
pub(crate) fn prepare(place: Place, suite: Suite) -> Result {
    match place {
        Place::Container => container::prepare(suite),
        Place::Emulator => image::ensure(suite),
    }
}

/// Runs a job in a fresh server and returns its exit status. Its lines are handed over as they come.
pub(crate) fn run_job(place: Place, job: &Job, line: impl FnMut(&str)) -> Result<i32> {
    match place {
        Place::Container => container::run(job, line),
        Place::Emulator => emulator::run(job, line),
    }
}

pub(crate) fn run(mut words: Args) -> Result<bool> {
    let task = words.next_word().unwrap_or_default();
    let suite = words.value("--suite")?.map_or(Ok(Suite::Bookworm), |name| name.parse())?;
    let place = words.value("--in")?.map_or(Ok(Place::Container), |name| name.parse())?;
    match task.as_str() {
        "build" => {
            words.end()?;
            prepare(place, suite)?;
            println!("The image of {suite} is ready in {}", image::dir(suite)?.display());
            Ok(true)
        }
        "run" => {
            let kind = words.value("--image")?.map_or(Ok(Kind::Full), |name| name.parse())?;
            let copy = words.value("--copy")?.map(PathBuf::from);
            let output = words.value("--output")?.map(PathBuf::from);
            let seconds = words.value("--time")?.map_or(Ok(600), |text| text.parse());
            let command = words.after().context("what is to be run stands after --")?.join(" ");
            words.end()?;
            prepare(place, suite)?;
            let limit = Duration::from_secs(seconds.context("--time")?);
            let job = Job { suite, kind, files: copy, command, output, limit };
            let status = run_job(place, &job, |line| println!("{line}"))?;
            if status != 0 {
                eprintln!("status {status}");
            }
            Ok(status == 0)
        }
        _ => Err(Problem::new("lab build, or lab run -- CMD")),
    }
}

/// A folder for something that runs, named after this process; those of processes that were killed are removed first.
fn work_dir(base: &str, prefix: &str) -> Result<PathBuf> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let Ok(entries) = fs::read_dir(base) else { return Err(Problem::new(format!("{base} cannot be read"))) };
    for entry in entries.flatten() {
        let name = entry.file_name();
        // As in `PREFIX` `PID-NUMBER`.
        let pid = name.to_str().and_then(|name| name.strip_prefix(prefix)?.split('-').next());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let work = Path::new(base).join(format!("{prefix}{}-{number}", std::process::id()));
    fs::create_dir(&work).context(work.display())?;
    Ok(work)
}

/// The last lines of a file.
fn tail(path: &Path) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
