//! Services in memory. No program is run: of the device program the fake knows what it does, of every other one
//! that it runs or was run. Nothing is started again by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use phantom_types::Timestamp;

use super::{FakeHost, State, absent};
use crate::{
    Clock, Command, HostError, Logs, Port, Result, ServiceManager as Kind, ServiceState, ServiceStatus,
    Services, Unit, UnitKind,
};

/// Exit status of `systemctl` for a unit that it does not know.
const NOT_LOADED: i32 = 5;

/// How a start of a service fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartFault {
    /// The process ends with status 1.
    Exits,
    /// The process never says that it is ready, and is stopped when the time for the start is over.
    Hangs,
}

/// What a program does.
pub(super) type Runner = Arc<dyn Fn(&Command) -> bool + Send + Sync>;

/// The units and what runs.
#[derive(Clone)]
pub(super) struct Manager {
    pub(super) kind: Kind,
    pub(super) units: BTreeMap<String, UnitFile>,
    pub(super) running: BTreeMap<String, Running>,
    listens: BTreeMap<String, BTreeSet<Port>>,
    failing: BTreeMap<String, StartFault>,
    outdated: BTreeSet<String>,
    logs: BTreeMap<String, Vec<String>>,
    ran: Vec<Command>,
    runner: Option<Runner>,
    last_pid: u32,
}

/// An installed unit of systemd.
#[derive(Clone)]
pub(super) struct UnitFile {
    /// `None` for a unit of somebody else.
    pub(super) unit: Option<Unit>,
    pub(super) enabled: bool,
}

/// A service that was started and not stopped since.
#[derive(Clone)]
pub(super) struct Running {
    pub(super) unit: Unit,
    pub(super) state: ServiceState,
    pid: Option<u32>,
    since: Timestamp,
}

impl Default for Manager {
    fn default() -> Self {
        Self {
            kind: Kind::Systemd,
            units: BTreeMap::new(),
            running: BTreeMap::new(),
            listens: BTreeMap::new(),
            failing: BTreeMap::new(),
            outdated: BTreeSet::new(),
            logs: BTreeMap::new(),
            ran: Vec::new(),
            runner: None,
            last_pid: 1000,
        }
    }
}

impl Manager {
    fn foreign(&self, name: &str) -> bool {
        self.units.get(name).is_some_and(|file| file.unit.is_none())
    }

    fn log(&mut self, now: Timestamp, name: &str, line: &str) {
        self.logs.entry(name.to_owned()).or_default().push(format!("{now} {name}: {line}"));
    }

    /// What systemd runs when there is this file, and what programs do.
    pub(super) fn waits_for(&mut self, path: &Path) -> (Option<Command>, Option<Runner>) {
        let of = |file: &UnitFile| match file.unit.as_ref().map(|unit| &unit.kind) {
            Some(UnitKind::OnFile { file, run }) if file == path => Some(run.clone()),
            _ => None,
        };
        let command = self.units.values().find_map(of).filter(|_| self.kind == Kind::Systemd);
        self.run(command.as_ref());
        (command, self.runner.clone())
    }

    /// Forgets what does not outlive a boot.
    pub(super) fn power_off(&mut self) {
        self.running.clear();
    }
}

/// The interface of a unit that runs the device program.
fn device_of(unit: &Unit, program: &Path) -> Option<String> {
    let UnitKind::Daemon { run, .. } = &unit.kind else { return None };
    let name = run.args.iter().find(|argument| !argument.starts_with('-'))?;
    (run.program == program).then(|| name.clone())
}

impl State {
    pub(super) fn service_on_port(&self, port: Port) -> bool {
        let listens =
            |name: &String| self.manager.listens.get(name).is_some_and(|ports| ports.contains(&port));
        let active = self.manager.running.iter().filter(|(_, running)| running.state == ServiceState::Active);
        active.into_iter().any(|(name, _)| listens(name))
    }

    pub(super) fn start(&mut self, unit: &Unit, device_program: &Path) -> Result<()> {
        let (name, now) = (&unit.name, self.time.now());
        if let UnitKind::OnFile { .. } = unit.kind {
            return Err(HostError::Unsupported { what: format!("start {name} by a file") });
        }
        if self.manager.kind == Kind::Systemd && !self.manager.units.contains_key(name) {
            let text = format!("Failed to start {name}.service: Unit {name}.service not found.");
            return Err(systemctl("start", name, NOT_LOADED, text));
        }
        if self.manager.running.get(name).is_some_and(|running| running.state == ServiceState::Active) {
            return Ok(());
        }
        let device = device_of(unit, device_program);
        let taken = device.as_ref().map_or(Ok(()), |device| self.start_embedded(device));
        if self.manager.failing.contains_key(name) || taken.is_err() {
            if let Some(device) = &device {
                self.stop_embedded(device);
            }
            return Err(self.failed_start(unit));
        }
        self.manager.log(now, name, "started");
        self.manager.last_pid += 1;
        let pid = Some(self.manager.last_pid).filter(|_| matches!(unit.kind, UnitKind::Daemon { .. }));
        let running = Running { unit: unit.clone(), state: ServiceState::Active, pid, since: now };
        self.manager.running.insert(name.clone(), running);
        self.manager.outdated.remove(name);
        self.manager.run(match &unit.kind {
            UnitKind::Daemon { after_start, .. } => after_start.as_ref(),
            UnitKind::OneShot { start, .. } => Some(start),
            UnitKind::OnFile { .. } => None,
        });
        Ok(())
    }

    /// What is left of a start that failed: systemd remembers it, our supervisor does not.
    fn failed_start(&mut self, unit: &Unit) -> HostError {
        let (name, now) = (&unit.name, self.time.now());
        self.manager.log(now, name, "failed to start");
        if self.manager.kind == Kind::Systemd {
            let state = ServiceState::Failed;
            let ended = Running { unit: unit.clone(), state, pid: None, since: now };
            self.manager.running.insert(name.clone(), ended);
            return systemctl("start", name, 1, format!("Job for {name}.service failed."));
        }
        self.manager.running.remove(name);
        let command = match &unit.kind {
            UnitKind::Daemon { run, .. } | UnitKind::OnFile { run, .. } => run,
            UnitKind::OneShot { start, .. } => start,
        };
        HostError::Command { argv: argv(command), status: Some(1), stderr: "failed to start".to_owned() }
    }

    pub(super) fn stop(&mut self, name: &str, device_program: &Path) {
        let Some(running) = self.manager.running.remove(name) else { return };
        if running.state != ServiceState::Active {
            return;
        }
        if let Some(device) = device_of(&running.unit, device_program) {
            self.stop_embedded(&device);
        }
        let now = self.time.now();
        self.manager.log(now, name, "stopped");
        self.manager.run(match &running.unit.kind {
            UnitKind::Daemon { after_stop, .. } => after_stop.as_ref(),
            UnitKind::OneShot { stop, .. } => stop.as_ref(),
            UnitKind::OnFile { .. } => None,
        });
    }

    /// The link of a device program is gone: it ends, and that is no failure.
    pub(super) fn device_process_ended(&mut self, device: &str) {
        let runs = |running: &&mut Running| match &running.unit.kind {
            UnitKind::Daemon { run, .. } => run.args.iter().any(|argument| argument == device),
            UnitKind::OneShot { .. } | UnitKind::OnFile { .. } => false,
        };
        if let Some(running) = self.manager.running.values_mut().find(runs) {
            (running.state, running.pid) = (ServiceState::Inactive, None);
        }
    }
}

impl Manager {
    /// systemd runs the commands of a unit. Our supervisor leaves them to its caller.
    fn run(&mut self, command: Option<&Command>) {
        if self.kind == Kind::Systemd {
            self.ran.extend(command.cloned());
        }
    }
}

fn argv(command: &Command) -> Vec<String> {
    [command.program.display().to_string()].into_iter().chain(command.args.iter().cloned()).collect()
}

fn systemctl(verb: &str, name: &str, status: i32, stderr: String) -> HostError {
    let argv =
        ["/usr/bin/systemctl", "--quiet", verb, &format!("{name}.service")].map(str::to_owned).to_vec();
    HostError::Command { argv, status: Some(status), stderr }
}

/// Refuses names that would be something else as a file name or on a command line.
fn check_name(name: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:@\\".contains(&byte);
    let wrong =
        name.is_empty() || name.len() > 200 || name.starts_with(['-', '.', '@']) || !name.bytes().all(plain);
    if wrong { Err(HostError::unexpected(format!("'{name}' is not the name of a service"))) } else { Ok(()) }
}

impl Services for FakeHost {
    fn manager(&self) -> Kind {
        self.state().manager.kind
    }

    fn status(&self, name: &str) -> Result<ServiceStatus> {
        check_name(name)?;
        let state = self.state();
        let running = state.manager.running.get(name);
        let active = running.filter(|running| running.state == ServiceState::Active);
        let enabled = state.manager.units.get(name).is_some_and(|file| file.enabled);
        Ok(ServiceStatus {
            state: running.map_or(ServiceState::Inactive, |running| running.state),
            pid: active.and_then(|running| running.pid),
            started_at: active.map(|running| running.since),
            enabled: enabled && state.manager.kind == Kind::Systemd,
        })
    }

    fn installed(&self, unit: &Unit) -> Result<bool> {
        check_name(&unit.name)?;
        let state = self.state();
        let same = |file: &UnitFile| file.unit.as_ref() == Some(unit) && file.enabled == unit.wanted_at_boot;
        Ok(state.manager.kind == Kind::Builtin || state.manager.units.get(&unit.name).is_some_and(same))
    }

    fn foreign(&self, name: &str) -> Result<bool> {
        check_name(name)?;
        let manager = &self.state().manager;
        Ok(manager.kind == Kind::Systemd && manager.foreign(name))
    }

    fn install(&self, unit: &Unit) -> Result<()> {
        let mut state = self.write(&format!("services.install {}", unit.name))?;
        check_name(&unit.name)?;
        if state.manager.kind == Kind::Builtin {
            return Ok(());
        }
        if state.manager.foreign(&unit.name) {
            return Err(HostError::Foreign { object: format!("/etc/systemd/system/{}.service", unit.name) });
        }
        let file = UnitFile { unit: Some(unit.clone()), enabled: unit.wanted_at_boot };
        state.manager.units.insert(unit.name.clone(), file);
        Ok(())
    }

    fn uninstall(&self, name: &str) -> Result<()> {
        let mut state = self.write(&format!("services.uninstall {name}"))?;
        check_name(name)?;
        if !state.manager.foreign(name) {
            state.stop(name, &self.shared.programs.device);
            state.manager.units.remove(name);
        }
        Ok(())
    }

    fn ours(&self) -> Result<Vec<String>> {
        let manager = &self.state().manager;
        let installed = manager.units.iter().filter(|(_, file)| file.unit.is_some()).map(|(name, _)| name);
        Ok(match manager.kind {
            Kind::Systemd => installed.cloned().collect(),
            Kind::Builtin => manager.running.keys().cloned().collect(),
        })
    }

    fn start(&self, unit: &Unit, wait: Duration) -> Result<()> {
        let mut state = self.write(&format!("services.start {}", unit.name))?;
        check_name(&unit.name)?;
        let outcome = state.start(unit, &self.shared.programs.device);
        let hangs = outcome.is_err() && state.manager.failing.get(&unit.name) == Some(&StartFault::Hangs);
        drop(state);
        match (&unit.kind, hangs) {
            (UnitKind::Daemon { run, .. }, true) => {
                self.sleep(wait);
                Err(HostError::Timeout { argv: argv(run), seconds: wait.as_secs() })
            }
            _ => outcome,
        }
    }

    fn request(&self, unit: &Unit) -> Result<()> {
        let mut state = self.write(&format!("services.request {}", unit.name))?;
        check_name(&unit.name)?;
        state.start(unit, &self.shared.programs.device)
    }

    fn stop(&self, unit: &Unit, _wait: Duration) -> Result<()> {
        let mut state = self.write(&format!("services.stop {}", unit.name))?;
        check_name(&unit.name)?;
        state.stop(&unit.name, &self.shared.programs.device);
        Ok(())
    }

    fn outdated(&self, unit: &Unit) -> Result<bool> {
        check_name(&unit.name)?;
        Ok(self.state().manager.outdated.contains(&unit.name))
    }

    fn reload(&self, name: &str) -> Result<()> {
        let mut state = self.write(&format!("services.reload {name}"))?;
        check_name(name)?;
        if state.manager.running.get(name).is_none_or(|running| running.pid.is_none()) {
            return Err(absent(format!("a running process of {name}")));
        }
        let now = state.time.now();
        state.manager.log(now, name, "reloaded");
        Ok(())
    }

    fn logs(&self, name: &str, count: u32) -> Result<Logs> {
        check_name(name)?;
        let state = self.state();
        let lines = state.manager.logs.get(name).map(Vec::as_slice).unwrap_or_default();
        let first = lines.len().saturating_sub(count as usize);
        Ok(Logs { lines: lines[first..].to_vec(), journald: state.manager.kind == Kind::Systemd })
    }

    fn run(&self, command: &Command, _limit: Duration) -> Result<()> {
        let runner = self.state().manager.runner.clone();
        if runner.is_none_or(|runner| runner(command)) {
            return Ok(());
        }
        Err(HostError::Command { argv: argv(command), status: Some(1), stderr: String::new() })
    }
}

impl FakeHost {
    /// Chooses who runs the services. Best done before any is installed.
    pub fn set_manager(&self, kind: Kind) {
        self.state().manager.kind = kind;
    }
    /// Installs and starts a unit of somebody else under this name.
    pub fn add_foreign_unit(&self, name: &str) {
        self.state().manager.units.insert(name.to_owned(), UnitFile { unit: None, enabled: true });
    }
    /// Lets a service have said this, and nothing else.
    pub fn put_log(&self, name: &str, lines: &[&str]) {
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        self.state().manager.logs.insert(name.to_owned(), lines);
    }
    /// Removes a unit's file by hand, whoever's it is.
    pub fn remove_unit_file(&self, name: &str) {
        self.state().manager.units.remove(name);
    }
    /// Changes an installed unit of ours by hand, so that it is another one than was installed.
    pub fn edit_unit(&self, name: &str) {
        if let Some(unit) = self.state().manager.units.get_mut(name).and_then(|file| file.unit.as_mut()) {
            unit.description.push_str(" (edited)");
        }
    }
    /// The unit that is installed under this name, if it is one of ours.
    pub fn unit(&self, name: &str) -> Option<Unit> {
        self.state().manager.units.get(name).and_then(|file| file.unit.clone())
    }
    /// Makes every start of the service fail in this way from now on, or no more.
    pub fn fail_service(&self, name: &str, fault: Option<StartFault>) {
        let failing = &mut self.state().manager.failing;
        match fault {
            Some(fault) => failing.insert(name.to_owned(), fault),
            None => failing.remove(name),
        };
    }
    /// Replaces the program of a service that runs, as an upgrade does: the process goes on with the old one.
    pub fn replace_program(&self, name: &str) {
        self.state().manager.outdated.insert(name.to_owned());
    }
    /// Says what programs do that are run outside any service, and whether they end well; also what units do that wait for a file.
    /// Without it they do nothing.
    pub fn set_runner(&self, runner: impl Fn(&Command) -> bool + Send + Sync + 'static) {
        self.state().manager.runner = Some(Arc::new(runner));
    }
    /// Ends a service as a crash does: systemd calls it failed, our supervisor inactive, and what its process held
    /// is gone.
    pub fn crash_service(&self, name: &str) {
        let mut state = self.state();
        let systemd = state.manager.kind == Kind::Systemd;
        let Some(running) = state.manager.running.get_mut(name) else { return };
        let ended = if systemd { ServiceState::Failed } else { ServiceState::Inactive };
        (running.state, running.pid) = (ended, None);
        let device = device_of(&running.unit, &self.shared.programs.device);
        if let Some(device) = device {
            state.stop_embedded(&device);
        }
    }
    /// Starts a service without a write, as the manager does by itself.
    ///
    /// # Errors
    /// As [`Services::start`].
    pub fn start_service(&self, name: &str) -> Result<()> {
        let mut state = self.state();
        let unit = state.manager.units.get(name).and_then(|file| file.unit.clone());
        let unit = unit.or_else(|| state.manager.running.get(name).map(|running| running.unit.clone()));
        unit.map_or(Ok(()), |unit| state.start(&unit, &self.shared.programs.device))
    }
    /// A running service is in the middle of its start, as while its commands run.
    pub fn service_is_starting(&self, name: &str) {
        if let Some(running) = self.state().manager.running.get_mut(name) {
            running.state = ServiceState::Starting;
        }
    }
    /// Says that a service listens on these ports while it runs.
    pub fn service_listens(&self, name: &str, ports: &[Port]) {
        self.state().manager.listens.insert(name.to_owned(), ports.iter().copied().collect());
    }
    /// Adds a line to the log of a service.
    pub fn log_service(&self, name: &str, line: &str) {
        let mut state = self.state();
        let now = state.time.now();
        state.manager.log(now, name, line);
    }
    /// The commands that systemd would have run, in order: those of one-shot services, and those after starts and
    /// stops.
    pub fn commands(&self) -> Vec<Command> {
        self.state().manager.ran.clone()
    }
}
