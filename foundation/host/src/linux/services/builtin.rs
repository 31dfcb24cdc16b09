//! Our own supervisor, for hosts without systemd: containers, CI.
//!
//! A daemon is a detached process with a process file and a log file; nobody watches it, so that one that ends by
//! itself is not started again, and the commands after start and stop are the caller's own work. A one-shot is a
//! note that it was started: what it does is the caller's own work too.

mod log;
mod process;

use std::io::ErrorKind;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, socket};
use nix::sys::stat::{Mode, fchmod};

use self::process::{Process, Record};
use super::{ServiceOptions, check_name};
use crate::linux::command::{kill_group, spawn_daemon};
use crate::linux::files::LinuxFiles;
use crate::linux::misc::{LinuxClock, LinuxSysctl};
use crate::{
    Clock, Command, Files, HostError, Logs, Result, ServiceManager, ServiceState, ServiceStatus, Services,
    Sysctl, Unit, UnitKind,
};
use phantom_types::Timestamp;

/// How long a killed process may take to be gone. It is gone at once unless it hangs in the kernel.
const KILL_WAIT: Duration = Duration::from_secs(5);
/// How long a service has to start that is only asked to.
const REQUEST_WAIT: Duration = Duration::from_secs(15);
/// How long a service may take to end when it is removed.
const REMOVE_WAIT: Duration = Duration::from_secs(20);
/// How many log lines an error of a start brings along.
const ERROR_LINES: usize = 8;

/// The services of a host without systemd.
#[derive(Debug)]
pub struct BuiltinServices {
    options: ServiceOptions,
}

impl BuiltinServices {
    /// Services with their files in these folders, which are made when they are needed.
    pub fn new(options: ServiceOptions) -> Self {
        Self { options }
    }

    /// A file of a service in the run directory: its process file, its note, its socket.
    fn run_file(&self, name: &str, ending: &str) -> PathBuf {
        self.options.run_dir.join(format!("{name}.{ending}"))
    }
    fn log_file(&self, name: &str) -> PathBuf {
        self.options.logs_dir.join(format!("{name}.log"))
    }

    /// The process of a service as its file names it, if that very process still runs.
    fn running(&self, name: &str) -> Result<Option<Record>> {
        let content = LinuxFiles.read(&self.run_file(name, "pid"))?;
        let record = content.and_then(|bytes| Record::parse(&String::from_utf8_lossy(&bytes)));
        Ok(record.filter(|record| record.process.runs()))
    }

    /// The same, but for one that has begun to end.
    fn serving(&self, name: &str) -> Result<Option<Record>> {
        Ok(self.running(name)?.filter(|record| !record.process.is_ending()))
    }

    fn write_record(&self, name: &str, process: Process, ready: bool) -> Result<()> {
        let record = Record { process, ready };
        LinuxFiles.write(&self.run_file(name, "pid"), record.to_string().as_bytes(), 0o600)
    }

    /// When a one-shot was started, if it was and in this boot of the host.
    fn noted(&self, name: &str) -> Result<Option<Timestamp>> {
        let Some(content) = LinuxFiles.read(&self.run_file(name, "started"))? else { return Ok(None) };
        let text = String::from_utf8_lossy(&content);
        let Some((boot, micros)) = text.trim_end().split_once(' ') else { return Ok(None) };
        Ok(micros.parse().ok().filter(|_| boot == boot_name()).map(Timestamp::from_micros))
    }

    fn start_daemon(&self, name: &str, run: &Command, user: Option<u32>, wait: Duration) -> Result<()> {
        if self.serving(name)?.is_some_and(|record| record.ready) {
            return Ok(());
        }
        // One that was started and never became ready, by a process that was killed meanwhile, and one that no file tells of.
        self.stop_process(name, KILL_WAIT)?;
        for dir in [&self.options.run_dir, &self.options.logs_dir] {
            LinuxFiles.make_dir(dir, 0o700)?;
        }
        let (log, begin) = log::open(&self.log_file(name))?;
        let (socket, address) = self.notify_socket(name)?;
        let started = spawn_daemon(run, user, &log, &address);
        let result = started.and_then(|mut child| {
            let ready = self.await_ready(name, run, &mut child, &socket, wait);
            // One that is of no use, or that nobody would know of, must not stay.
            ready.or_else(|error| {
                kill_group(&mut child);
                LinuxFiles.remove(&self.run_file(name, "pid"))?;
                Err(error)
            })
        });
        // Nobody listens any more; a daemon that goes on reporting must not find a full socket.
        LinuxFiles.remove(&address)?;
        result.map_err(|error| match error {
            HostError::Command { argv, status, .. } => {
                let stderr = log::tail(&self.log_file(name), ERROR_LINES, begin).join("\n");
                HostError::Command { argv, status, stderr }
            }
            other => other,
        })
    }

    /// The socket on which a daemon says that it is ready (`sd_notify(3)`).
    fn notify_socket(&self, name: &str) -> Result<(UnixDatagram, PathBuf)> {
        let path = self.run_file(name, "notify");
        LinuxFiles.remove(&path)?;
        let failed = |e| HostError::io(format!("binding {}", path.display()), e);
        let socket = bind_private(&path).map_err(|errno| failed(errno.into()))?;
        socket.set_read_timeout(Some(Duration::from_millis(20))).map_err(failed)?;
        Ok((socket, path))
    }

    fn await_ready(
        &self,
        name: &str,
        run: &Command,
        child: &mut Child,
        socket: &UnixDatagram,
        wait: Duration,
    ) -> Result<()> {
        let deadline = Instant::now() + wait;
        let process = Process::from_pid(child.id());
        if let Some(process) = process {
            self.write_record(name, process, false)?;
        }
        let argv =
            || [run.program.display().to_string()].into_iter().chain(run.args.iter().cloned()).collect();
        loop {
            if said_ready(socket).map_err(|e| HostError::io(format!("waiting for {name}"), e))?
                && let Some(process) = process
            {
                return self.write_record(name, process, true);
            }
            let ended = child.try_wait().map_err(|e| HostError::io(format!("waiting for {name}"), e))?;
            if let Some(status) = ended {
                return Err(HostError::Command {
                    argv: argv(),
                    status: status.code(),
                    stderr: String::new(),
                });
            }
            if Instant::now() >= deadline {
                return Err(HostError::Timeout { argv: argv(), seconds: wait.as_secs() });
            }
        }
    }

    /// Ends the processes of a service: asked first, after `wait` killed with all that they started. Those that no file tells
    /// of end too: their starter was killed before it could write, or the file was removed.
    fn stop_process(&self, name: &str, wait: Duration) -> Result<()> {
        let known = self.running(name)?.map(|record| record.process);
        let all = Process::started_below(&self.options.run_dir).into_iter();
        let lost = all.filter(|(service, process)| service == name && Some(*process) != known);
        for process in known.into_iter().chain(lost.map(|(_, process)| process)) {
            end(name, process, wait)?;
        }
        LinuxFiles.remove(&self.run_file(name, "pid"))
    }

    fn stop_all_of(&self, name: &str, wait: Duration) -> Result<()> {
        check_name(name)?;
        self.stop_process(name, wait)?;
        LinuxFiles.remove(&self.run_file(name, "started"))
    }
}

impl Services for BuiltinServices {
    fn manager(&self) -> ServiceManager {
        ServiceManager::Builtin
    }

    fn status(&self, name: &str) -> Result<ServiceStatus> {
        check_name(name)?;
        let mut status =
            ServiceStatus { state: ServiceState::Inactive, pid: None, started_at: None, enabled: false };
        if let Some(Record { process, ready }) = self.serving(name)? {
            status.state = if ready { ServiceState::Active } else { ServiceState::Starting };
            status.pid = Some(process.pid);
            status.started_at = process.started_at().filter(|_| ready);
        } else if let Some(since) = self.noted(name)? {
            status.state = ServiceState::Active;
            status.started_at = Some(since);
        }
        Ok(status)
    }

    fn installed(&self, unit: &Unit) -> Result<bool> {
        check_name(&unit.name).map(|()| true)
    }

    fn foreign(&self, name: &str) -> Result<bool> {
        check_name(name).map(|()| false)
    }

    fn install(&self, unit: &Unit) -> Result<()> {
        check_name(&unit.name)
    }

    fn uninstall(&self, name: &str) -> Result<()> {
        self.stop_all_of(name, REMOVE_WAIT)
    }

    fn ours(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for file in LinuxFiles.list(&self.options.run_dir)? {
            let name =
                file.to_str().and_then(|f| f.strip_suffix(".pid").or_else(|| f.strip_suffix(".started")));
            names.extend(name.map(str::to_owned));
        }
        // A file can be lost, and its service serves on.
        names.extend(Process::started_below(&self.options.run_dir).into_iter().map(|(name, _)| name));
        names.retain(|name| check_name(name).is_ok());
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    fn start(&self, unit: &Unit, wait: Duration) -> Result<()> {
        check_name(&unit.name)?;
        match &unit.kind {
            UnitKind::Daemon { run, .. } => {
                let user = unit.dynamic_user.then(|| user_of(&unit.name));
                self.start_daemon(&unit.name, run, user, wait)?;
                LinuxFiles.remove(&self.run_file(&unit.name, "started"))
            }
            UnitKind::OnFile { .. } => Err(waits_for_file(&unit.name)),
            UnitKind::OneShot { .. } if self.noted(&unit.name)?.is_some() => Ok(()),
            UnitKind::OneShot { .. } => {
                LinuxFiles.make_dir(&self.options.run_dir, 0o700)?;
                let note = format!("{} {}\n", boot_name(), LinuxClock.now().micros());
                LinuxFiles.write(&self.run_file(&unit.name, "started"), note.as_bytes(), 0o600)
            }
        }
    }

    fn request(&self, unit: &Unit) -> Result<()> {
        self.start(unit, REQUEST_WAIT)
    }

    fn stop(&self, unit: &Unit, wait: Duration) -> Result<()> {
        self.stop_all_of(&unit.name, wait)
    }

    fn outdated(&self, unit: &Unit) -> Result<bool> {
        Ok(super::is_outdated(unit, self.status(&unit.name)?.pid))
    }

    fn reload(&self, name: &str) -> Result<()> {
        check_name(name)?;
        let Some(Record { process, .. }) = self.running(name)? else {
            return Err(HostError::Absent { object: format!("a running process of {name}") });
        };
        process.signal(Signal::SIGHUP)
    }

    fn logs(&self, name: &str, count: u32) -> Result<Logs> {
        check_name(name)?;
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        Ok(Logs { lines: log::tail(&self.log_file(name), count, 0), journald: false })
    }

    fn run(&self, command: &Command, limit: Duration) -> Result<()> {
        super::run(command, limit)
    }
}

/// Nobody waits for files where systemd does not.
fn waits_for_file(name: &str) -> HostError {
    HostError::Unsupported { what: format!("start {name} by a file") }
}

/// The user of a service that is to have one of its own: a number that depends on its name alone, from those that systemd
/// gives to such services (`systemd.exec(5)`: 61184 to 65519) and that no account of a host has.
fn user_of(name: &str) -> u32 {
    let hash =
        name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    61_184 + hash % (65_520 - 61_184)
}

/// Ends a process of a service.
fn end(name: &str, process: Process, wait: Duration) -> Result<()> {
    process.signal(Signal::SIGTERM)?;
    if !gone_within(process, wait) {
        process.kill_group()?;
        if !gone_within(process, KILL_WAIT) {
            return Err(HostError::Timeout { argv: vec![name.to_owned()], seconds: KILL_WAIT.as_secs() });
        }
    }
    Ok(())
}

/// Waits until the process has ended.
fn gone_within(process: Process, wait: Duration) -> bool {
    let deadline = Instant::now() + wait;
    let mut pause = Duration::from_millis(1);
    while process.runs() {
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
    true
}

/// A socket for messages whose file is for its owner alone from the moment it exists.
fn bind_private(path: &Path) -> nix::Result<UnixDatagram> {
    let fd = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    // The kernel gives the socket's own mode to the file (`unix_bind_bsd`), less the umask, which can only take away.
    fchmod(fd.as_fd(), Mode::S_IRUSR | Mode::S_IWUSR)?;
    bind(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(fd.into())
}

/// Waits a moment for a message, and says whether it is the one that counts.
fn said_ready(socket: &UnixDatagram) -> std::io::Result<bool> {
    let mut buffer = [0; 4096];
    match socket.recv(&mut buffer) {
        Ok(length) => Ok(buffer[..length].split(|byte| *byte == b'\n').any(|line| line == b"READY=1")),
        Err(e)
            if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) =>
        {
            Ok(false)
        }
        Err(e) => Err(e),
    }
}

/// Names this boot of the host, or in a container this start of it: there `/run` may outlive what it tells of.
fn boot_name() -> String {
    let boot = LinuxSysctl.get("kernel.random.boot_id").ok().flatten().unwrap_or_default();
    let first = Process::from_pid(1).map(|process| process.started).unwrap_or_default();
    format!("{boot}:{first}")
}
