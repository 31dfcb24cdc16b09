//! Services: systemd where it is process 1, else our own supervisor.

mod builtin;
mod systemd;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use builtin::BuiltinServices;
pub use systemd::SystemdServices;

use super::command::Program;
use crate::{Command, HostError, OwnershipTags, Result, Services, Unit, UnitKind};

/// Where services keep what they need, and how they are marked.
#[derive(Clone, Debug)]
pub struct ServiceOptions {
    /// Process files and sockets of the supervisor: `/run/phantom-wg`.
    pub run_dir: PathBuf,
    /// Log files of the supervisor: `/opt/phantom-wg/logs`.
    pub logs_dir: PathBuf,
    /// The tags of units.
    pub tags: OwnershipTags,
}

/// The services of this host: systemd's where it is process 1, which is where it has made `/run/systemd/system`
/// (`sd_booted(3)`).
pub(super) fn detect(options: ServiceOptions) -> Arc<dyn Services> {
    if Path::new("/run/systemd/system").is_dir() {
        Arc::new(SystemdServices::new(options.tags))
    } else {
        Arc::new(BuiltinServices::new(options))
    }
}

/// Runs a program to its end.
fn run(command: &Command, limit: Duration) -> Result<()> {
    Program::at(&command.program).args(command.args.clone()).limit(limit).run().map(drop)
}

/// Whether the process of a service runs another file than the one at its program's path.
fn is_outdated(unit: &Unit, pid: Option<u32>) -> bool {
    let (UnitKind::Daemon { run, .. }, Some(pid)) = (&unit.kind, pid) else { return false };
    // The link leads to the file that runs, also where that has been replaced and has no name any more.
    let running = identity(Path::new(&format!("/proc/{pid}/exe")));
    let installed = identity(&run.program);
    let differ = running.zip(installed).is_some_and(|(running, installed)| running != installed);
    differ && !descends_from(pid)
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).map(|found| (found.dev(), found.ino())).ok()
}

/// Whether this process was started by that one, or by one that was.
fn descends_from(ancestor: u32) -> bool {
    let parent = |pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<u32>().ok()
    };
    let mut pid = std::process::id();
    while pid > 1 {
        if pid == ancestor {
            return true;
        }
        pid = parent(pid).unwrap_or_default();
    }
    false
}

/// Refuses names that would be something else as a file name or on a command line.
fn check_name(name: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:@\\".contains(&byte);
    let wrong =
        name.is_empty() || name.len() > 200 || name.starts_with(['-', '.', '@']) || !name.bytes().all(plain);
    if wrong { Err(HostError::unexpected(format!("'{name}' is not the name of a service"))) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::{check_name, descends_from};

    #[test]
    fn process_descends_from_itself_and_its_parents() {
        assert!(descends_from(std::process::id()) && descends_from(std::os::unix::process::parent_id()));
        assert!(!descends_from(u32::MAX));
    }

    #[test]
    fn names_stay_inside_their_folder() {
        for name in ["wg-quick@wg_main", "phantom-watch", "phantom-boot-test", "a"] {
            check_name(name).unwrap();
        }
        for name in ["", ".", "..", "../x", "a/b", "-x", "a b", "a\n", "*", "@x", &"x".repeat(201)] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }
}
