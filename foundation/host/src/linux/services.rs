//! Services: systemd where it is process 1, else our own supervisor.

mod builtin;
mod systemd;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use builtin::BuiltinServices;
pub use systemd::SystemdServices;

use super::command::Program;
use crate::{Command, HostError, Marks, Result, Services};

/// Where services keep what they need, and how they are marked.
#[derive(Clone, Debug)]
pub struct ServiceOptions {
    /// Process files and sockets of the supervisor: `/run/phantom-wg`.
    pub run_dir: PathBuf,
    /// Log files of the supervisor: `/opt/phantom-wg/logs`.
    pub logs_dir: PathBuf,
    /// The marks of units.
    pub marks: Marks,
}

/// The services of this host: systemd's where it is process 1, which is where it has made `/run/systemd/system`
/// (`sd_booted(3)`).
pub(super) fn detect(options: ServiceOptions) -> Arc<dyn Services> {
    if Path::new("/run/systemd/system").is_dir() {
        Arc::new(SystemdServices::new(options.marks))
    } else {
        Arc::new(BuiltinServices::new(options))
    }
}

/// Runs a program to its end.
fn run(command: &Command, limit: Duration) -> Result<()> {
    Program::at(&command.program).args(command.args.clone()).limit(limit).run().map(drop)
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
    use super::check_name;

    #[test]
    fn names_stay_inside_their_folder() {
        for name in ["wg-quick@wg_main", "phantom-ghost", "phantom-boot-test", "a"] {
            check_name(name).unwrap();
        }
        for name in ["", ".", "..", "../x", "a/b", "-x", "a b", "a\n", "*", "@x", &"x".repeat(201)] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }
}
