//! Services.

use std::path::PathBuf;
use std::time::Duration;

use phantom_types::Timestamp;

use crate::Result;

/// Who runs the services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceManager {
    /// systemd, where it is process 1.
    Systemd,
    /// Our own supervisor: detached processes with a process file and a log file.
    Builtin,
}

/// A program with its arguments. Never a secret among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Absolute path.
    pub program: PathBuf,
    /// Arguments.
    pub args: Vec<String>,
}

/// What a unit is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnitKind {
    /// A process that stays and says when it is ready (`Type=notify`).
    Daemon {
        /// The process.
        run: Command,
        /// Run after it is ready, also after a restart that the manager did by itself.
        after_start: Option<Command>,
        /// Run after it has ended.
        after_stop: Option<Command>,
    },
    /// Nothing stays behind: a command to start and one to stop (`Type=oneshot`, `RemainAfterExit=yes`).
    OneShot {
        /// Run to start.
        start: Command,
        /// Run to stop.
        stop: Option<Command>,
    },
    /// A command that is run to its end whenever a file is there (a unit of type `path` beside the service). Only systemd
    /// knows such units. It is never started by [`Services::start`]: the file is what starts it.
    OnFile {
        /// The file; the command removes it.
        file: PathBuf,
        /// The command.
        run: Command,
    },
}

/// When a process that ended by itself is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Never.
    No,
    /// After a failure, with a pause that grows.
    OnFailure,
    /// Always.
    Always,
}

/// A socket that a daemon makes in a folder of its own, and that root finds in root's folder. Only systemd makes the folder
/// and the second name; both are gone when the daemon has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnSocket {
    /// As the daemon makes it, in a folder right below `/run` that nobody else uses.
    pub own: PathBuf,
    /// Where root looks for it. Its folder is made for root alone if it is not there.
    pub public: PathBuf,
}

/// What of `/proc` a program reads beside what is about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proc {
    /// Nothing.
    Itself,
    /// Settings and tables of the kernel.
    Kernel,
    /// Those, and other users' processes.
    Everything,
}

/// What a program that stays may take of the machine, and what it has a use for. What a break-in then reaches is that much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The most memory of the unit in MiB, with its commands after start and stop: beyond it the kernel ends it.
    pub memory_mib: u32,
    /// The most threads and processes of the unit.
    pub tasks: u32,
    /// Its sockets to other machines.
    pub internet: Internet,
    /// It asks the kernel about links, routes and the packet filter.
    pub netlink: bool,
    /// What it reads of `/proc`.
    pub proc: Proc,
    /// It changes owners of files, or becomes other users, or starts programs that do.
    pub owners: bool,
    /// It asks the service manager for something, or starts programs that do. Root that may do so may do everything.
    pub manager: bool,
}

/// What sockets of the Internet's kinds a program has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Internet {
    /// None.
    Nothing,
    /// Sockets by which it asks the kernel, and to which no packet comes or goes.
    Asks,
    /// Those by which it speaks with other machines.
    Speaks,
}

/// A service, described in our words; the manager renders or runs it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Unit {
    /// Name without `.service`, as in `wg-quick@wg_main`.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// What it is.
    pub kind: UnitKind,
    /// When it is started again.
    pub restart: Restart,
    /// Capabilities it may have, without `CAP_`, as in `NET_ADMIN`; the bounding set is exactly these.
    pub capabilities: Vec<String>,
    /// Paths it may write to; the rest of the system is read-only for it.
    pub writable: Vec<PathBuf>,
    /// Files of people's that it reads, which may be in a home or in a folder for temporary files. Everything else that it may
    /// read needs no mention.
    pub readable: Vec<PathBuf>,
    /// Devices it may open, as in `/dev/net/tun`.
    pub devices: Vec<PathBuf>,
    /// A user made for it alone and for as long as it runs (`DynamicUser=yes`).
    pub dynamic_user: bool,
    /// The socket on which root asks it, where its own user may not make one in root's folder.
    pub socket: Option<OwnSocket>,
    /// What it may take of the machine, and what it has a use for; none for what does whatever a change needs and ends. Only
    /// systemd enforces it.
    pub bounds: Option<Bounds>,
    /// No packet of a client goes through its process: it may be started again at any time, and is where its program has been
    /// replaced.
    pub renewable: bool,
    /// Started before the network is up (`Before=network-pre.target`), for what must hold from the first packet on.
    pub before_network: bool,
    /// Started after the network is up (`After=network-online.target`).
    pub after_network: bool,
    /// Started only after these units of ours, where they are started too; without `.service`.
    pub after: Vec<String>,
    /// Started at boot when enabled.
    pub wanted_at_boot: bool,
}

/// What a service is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceState {
    /// It runs, or for a one-shot: it was started and not stopped.
    Active,
    /// It is being started, or its start is due.
    Starting,
    /// It is being stopped.
    Stopping,
    /// It ended with an error.
    Failed,
    /// It does not run.
    Inactive,
}

/// A service as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceStatus {
    /// What it is doing.
    pub state: ServiceState,
    /// Its main process.
    pub pid: Option<u32>,
    /// Since when it has been active.
    pub started_at: Option<Timestamp>,
    /// It is started at boot. Always false with the built-in supervisor, which has no boot.
    pub enabled: bool,
}

/// Log lines of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Logs {
    /// The lines, newest last.
    pub lines: Vec<String>,
    /// They come from journald; else from our log file.
    pub journald: bool,
}

/// The services of the host.
pub trait Services: Send + Sync {
    /// Who runs them.
    fn manager(&self) -> ServiceManager;
    /// What the service is doing. One that nobody knows is [`ServiceState::Inactive`].
    fn status(&self, name: &str) -> Result<ServiceStatus>;
    /// Whether exactly this unit is installed, and enabled as it says; of one that waits for a file also whether it waits.
    /// With the built-in supervisor always true: it keeps no units.
    fn installed(&self, unit: &Unit) -> Result<bool>;
    /// Whether a unit file of that name is there that does not carry our first line. With the built-in supervisor never.
    fn foreign(&self, name: &str) -> Result<bool>;
    /// Installs (or replaces) the unit file, tells the manager, and enables or disables it as it says. A unit file
    /// of that name without our first line is [`Foreign`](crate::HostError::Foreign).
    fn install(&self, unit: &Unit) -> Result<()>;
    /// Stops, disables and removes the unit of that name, if it is ours.
    fn uninstall(&self, name: &str) -> Result<()>;
    /// Names of all installed units that carry our first line; with the built-in supervisor those with a process file.
    fn ours(&self) -> Result<Vec<String>>;
    /// Starts it and waits until it is ready, at most `wait`. One that runs already is no error.
    fn start(&self, unit: &Unit, wait: Duration) -> Result<()>;
    /// Asks for its start and does not wait for it: for a process that is itself part of the start of a service, which
    /// this one may be ordered after. The built-in supervisor, which knows no order, waits until it is ready.
    fn request(&self, unit: &Unit) -> Result<()>;
    /// Stops it and waits until it has ended, at most `wait` (then it is killed). One that does not run is no error.
    fn stop(&self, unit: &Unit, wait: Duration) -> Result<()>;
    /// Whether its process runs another file than the one at its program's path, as after an upgrade. Never said of a process
    /// that this one descends from: it may wait for us, and would be ended before we are done.
    fn outdated(&self, unit: &Unit) -> Result<bool>;
    /// Asks a running service to read its files again (SIGHUP).
    fn reload(&self, name: &str) -> Result<()>;
    /// Its last `count` log lines. A journal that cannot be read gives no lines.
    fn logs(&self, name: &str, count: u32) -> Result<Logs>;
    /// Runs a program to its end, outside any service, with an empty environment; after `limit` it is killed. Any end
    /// but exit status 0 is an error.
    fn run(&self, command: &Command, limit: Duration) -> Result<()>;
}
