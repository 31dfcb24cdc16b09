//! Services under systemd: unit files of ours, and `systemctl`.

mod render;
mod show;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use phantom_types::{Said, Spoken as _, quoted};

use super::check_name;
use crate::linux::command::{Output, Program, find};
use crate::linux::files::LinuxFiles;
use crate::{
    Command, Files, HostError, Logs, OwnershipTags, Result, ServiceManager, ServiceStatus, Services, Unit,
};

/// Where an administrator's units lie; they go before those of packages, so that a concrete `wg-quick@wg_main.service`
/// here is taken instead of the template of wireguard-tools.
const UNITS: &str = "/etc/systemd/system";
/// Where a unit that is wanted at boot has its link.
const WANTED: &str = "/etc/systemd/system/multi-user.target.wants";
/// What the names of our units begin with, and those of interfaces.
const NAMES: [&str; 2] = ["phantom-", "wg-quick@"];
/// The first version that knows a growing pause between restarts (`RestartSteps=`).
const GROWING_PAUSE: u32 = 254;
/// `systemctl` ends with this when there is no such unit (LSB: program is not installed).
const NOT_LOADED: i32 = 5;
/// How many log lines an error of a start brings along.
const ERROR_LINES: u32 = 8;

/// The services of a host that runs systemd.
#[derive(Debug)]
pub struct SystemdServices {
    tags: OwnershipTags,
    version: OnceLock<u32>,
}

impl SystemdServices {
    /// Units with these tags. Asks nothing yet.
    pub fn new(tags: OwnershipTags) -> Self {
        Self { tags, version: OnceLock::new() }
    }

    /// The unit's text, with or without what only newer versions know.
    fn text(&self, unit: &Unit, growing: bool) -> String {
        render::unit_file(&self.tags.first_line(), unit, growing)
    }

    /// The text of the unit that waits for its file, where it has one.
    fn path_text(&self, unit: &Unit) -> Option<String> {
        render::path_file(&self.tags.first_line(), unit)
    }

    /// Whether this systemd knows a growing pause. Older ones complain about the words in the journal.
    fn growing(&self) -> Result<bool> {
        if let Some(version) = self.version.get() {
            return Ok(*version >= GROWING_PAUSE);
        }
        let text = systemctl(["--version"])?.success()?;
        let version = show::version(&String::from_utf8_lossy(&text)).unwrap_or_default();
        Ok(*self.version.get_or_init(|| version) >= GROWING_PAUSE)
    }

    /// The content of the unit file; `Foreign` when it is not ours.
    fn own_file(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let path = unit_path(name);
        let content = LinuxFiles.read(&path)?;
        match content {
            // A link to nowhere reads as nothing, and is somebody's all the same.
            None if path.is_symlink() => Err(HostError::Foreign { object: path.display().to_string() }),
            Some(content) if !self.tags.owns_file(&content) => {
                Err(HostError::Foreign { object: path.display().to_string() })
            }
            other => Ok(other),
        }
    }

    /// An error of a start or stop, with what the service itself said last.
    fn with_logs(&self, error: HostError, name: &str) -> HostError {
        let (argv, status, mut stderr) = match error {
            HostError::Command { argv, status, stderr } => (argv, status, stderr),
            // It was killed, and what kept the service from being ready is in its log alone.
            late @ HostError::Timeout { .. } => {
                let lines = self.logs(name, ERROR_LINES).unwrap_or_default().lines.join("\n");
                let (en, tr) = (late.to_string(), late.turkish());
                return HostError::Told(Said::new(
                    format!("{en}: {lines}"),
                    format!("{tr}: {}", quoted(&lines)),
                ));
            }
            other => return other,
        };
        for line in self.logs(name, ERROR_LINES).unwrap_or_default().lines {
            stderr.push('\n');
            stderr.push_str(&line);
        }
        HostError::Command { argv, status, stderr }
    }
}

impl Services for SystemdServices {
    fn manager(&self) -> ServiceManager {
        ServiceManager::Systemd
    }

    fn status(&self, name: &str) -> Result<ServiceStatus> {
        check_name(name)?;
        let properties = format!("--property={}", show::PROPERTIES.join(","));
        let args = ["show", &properties, "--timestamp=us+utc", &service(name)];
        let text = systemctl(args)?.success()?;
        show::status(&String::from_utf8_lossy(&text))
    }

    fn installed(&self, unit: &Unit) -> Result<bool> {
        check_name(&unit.name)?;
        let Some(content) = LinuxFiles.read(&unit_path(&unit.name))? else { return Ok(false) };
        let same = [false, true].into_iter().any(|growing| content == self.text(unit, growing).as_bytes());
        let enabled = |name: String| Path::new(WANTED).join(name).is_symlink() == unit.wanted_at_boot;
        let Some(waits) = self.path_text(unit) else { return Ok(same && enabled(service(&unit.name))) };
        let content = LinuxFiles.read(&path_path(&unit.name))?;
        let same = same && content.as_deref() == Some(waits.as_bytes()) && enabled(path_unit(&unit.name));
        Ok(same && systemctl(["--quiet", "is-active", &path_unit(&unit.name)])?.success().is_ok())
    }

    fn foreign(&self, name: &str) -> Result<bool> {
        check_name(name)?;
        match self.own_file(name) {
            Err(HostError::Foreign { .. }) => Ok(true),
            other => other.map(|_| false),
        }
    }

    fn install(&self, unit: &Unit) -> Result<()> {
        check_name(&unit.name)?;
        self.own_file(&unit.name)?;
        let text = self.text(unit, self.growing()?);
        LinuxFiles.write(&unit_path(&unit.name), text.as_bytes(), 0o644)?;
        let verb = if unit.wanted_at_boot { "enable" } else { "disable" };
        let Some(waits) = self.path_text(unit) else {
            systemctl(["--quiet", "--no-reload", verb, &service(&unit.name)])?.success()?;
            return reload_manager();
        };
        let waiting = path_unit(&unit.name);
        LinuxFiles.write(&path_path(&unit.name), waits.as_bytes(), 0o644)?;
        systemctl(["--quiet", "--no-reload", verb, &waiting])?.success()?;
        reload_manager()?;
        // What was waiting for another file goes on doing so until it is started again.
        systemctl(["--quiet", "restart", &waiting])?.success().map(drop)
    }

    fn uninstall(&self, name: &str) -> Result<()> {
        check_name(name)?;
        match self.own_file(name) {
            Ok(Some(_)) => {}
            Ok(None) | Err(HostError::Foreign { .. }) => return Ok(()),
            Err(error) => return Err(error),
        }
        if path_path(name).exists() {
            systemctl(["--quiet", "stop", &path_unit(name)])?.success()?;
            systemctl(["--quiet", "--no-reload", "disable", &path_unit(name)])?.success()?;
            LinuxFiles.remove(&path_path(name))?;
        }
        // One that this process is part of would wait for its own end.
        if !is_in(name) {
            stop(name, Duration::from_mins(1))?;
        }
        systemctl(["--quiet", "--no-reload", "disable", &service(name)])?.success()?;
        LinuxFiles.remove(&unit_path(name))?;
        reload_manager()?;
        // A failure of a unit that is gone would be remembered; that there is none to forget is no error.
        systemctl(["--quiet", "reset-failed", &service(name)]).map(drop)
    }

    fn ours(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for file in LinuxFiles.list(Path::new(UNITS))? {
            let path = Path::new(UNITS).join(&file);
            let Some(name) = file.to_str().and_then(|file| file.strip_suffix(".service")) else { continue };
            // A copy that somebody has made under another name is none of ours.
            if !NAMES.iter().any(|begin| name.starts_with(begin)) {
                continue;
            }
            let regular = path.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
            if regular && LinuxFiles.read(&path)?.is_some_and(|content| self.tags.owns_file(&content)) {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    fn start(&self, unit: &Unit, wait: Duration) -> Result<()> {
        check_name(&unit.name)?;
        let state = systemctl(["show", "--property=SubState", &service(&unit.name)])?.success()?;
        let verb = if show::pauses(&String::from_utf8_lossy(&state)) { "restart" } else { "start" };
        let done = limited(["--quiet", verb, &service(&unit.name)], wait).and_then(Output::success).map(drop);
        done.map_err(|error| self.with_logs(error, &unit.name))
    }

    fn request(&self, unit: &Unit) -> Result<()> {
        check_name(&unit.name)?;
        systemctl(["--quiet", "--no-block", "start", &service(&unit.name)])?.success().map(drop)
    }

    fn stop(&self, unit: &Unit, wait: Duration) -> Result<()> {
        check_name(&unit.name)?;
        stop(&unit.name, wait)
    }

    fn outdated(&self, unit: &Unit) -> Result<bool> {
        Ok(super::is_outdated(unit, self.status(&unit.name)?.pid))
    }

    fn reload(&self, name: &str) -> Result<()> {
        if self.status(name)?.pid.is_none() {
            return Err(HostError::Absent { object: format!("a running process of {}", service(name)) });
        }
        systemctl(["kill", "--kill-who=main", "--signal=HUP", &service(name)])?.success().map(drop)
    }

    /// In UTC, like every time that we print.
    fn logs(&self, name: &str, count: u32) -> Result<Logs> {
        check_name(name)?;
        let Some(journalctl) = find("journalctl") else {
            return Ok(Logs { lines: Vec::new(), journald: true });
        };
        let lines = count.to_string();
        let args = ["-u", &service(name), "-n", &lines, "-o", "short", "--utc", "--no-pager", "--quiet"];
        let text = Program::at(journalctl).args(args).run().unwrap_or_default();
        Ok(Logs { lines: show::log_lines(&String::from_utf8_lossy(&text)), journald: true })
    }

    fn run(&self, command: &Command, limit: Duration) -> Result<()> {
        super::run(command, limit)
    }
}

fn service(name: &str) -> String {
    format!("{name}.service")
}

/// The unit that waits for the file of a service.
fn path_unit(name: &str) -> String {
    format!("{name}.path")
}

fn path_path(name: &str) -> PathBuf {
    Path::new(UNITS).join(path_unit(name))
}

fn unit_path(name: &str) -> PathBuf {
    Path::new(UNITS).join(service(name))
}

/// Whether this process belongs to a service.
fn is_in(name: &str) -> bool {
    let groups = LinuxFiles.read(Path::new("/proc/self/cgroup")).ok().flatten().unwrap_or_default();
    String::from_utf8_lossy(&groups).lines().any(|group| group.rsplit('/').next() == Some(&service(name)))
}

/// Stops a unit; what does not end in time is killed.
fn stop(name: &str, wait: Duration) -> Result<()> {
    let done =
        |output: Output| if output.code() == Some(NOT_LOADED) { Ok(()) } else { output.success().map(drop) };
    match limited(["--quiet", "stop", &service(name)], wait) {
        Ok(output) => done(output),
        Err(HostError::Timeout { .. }) => {
            systemctl(["kill", "--signal=KILL", &service(name)])?.success()?;
            done(systemctl(["--quiet", "stop", &service(name)])?)
        }
        Err(error) => Err(error),
    }
}

fn reload_manager() -> Result<()> {
    systemctl(["daemon-reload"])?.success().map(drop)
}

fn systemctl<'a>(args: impl IntoIterator<Item = &'a str>) -> Result<Output> {
    Program::named("systemctl")?.args(args).output()
}

fn limited<'a>(args: impl IntoIterator<Item = &'a str>, limit: Duration) -> Result<Output> {
    Program::named("systemctl")?.args(args).limit(limit).output()
}
