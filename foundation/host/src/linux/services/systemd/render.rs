//! Units as files for systemd.
//!
//! A unit may do what its description says and no more: the capabilities, writable paths and devices named there
//! are all it has, the rest of the system is read-only or out of sight. What follows from them:
//!
//! * Nothing loads kernel modules. What the kernel needs for a request it loads by itself; only the legacy iptables loads its
//!   base by hand. For units that may run it (they have `NET_RAW` for its raw socket) systemd does that before the start.
//! * A writable path below `/proc/sys` lets it change kernel settings.
//! * A writable folder `/run/NAME` is made by systemd before the start, since `/run` is empty after a boot; it has
//!   mode 0700 and stays when the unit ends, but for one of a user of its own that the command after the start may open. A name with a dot is a file (`/run/xtables.lock`), which cannot be made
//!   so: a unit whose programs make such files names `/run` itself.
//! * A device is bound into a `/dev` that has nothing else of the machine.
//! * A socket that a user of its own serves is made in a folder of that user and gets a second name, a hard link, in
//!   root's folder: nobody but the two passes either folder.
//! * Nothing leaves a core dump: keys may be in it.
//! * A unit with bounds has those. Unless they say so, it cannot ask the service manager: root needs no capability for that.
//! * Homes, and the folders for temporary files, are out of its sight unless something it needs lies there. Homes of which it
//!   only reads files stay read-only.
//!
//! The commands after start and stop of a daemon are our own and not bound by this (`+`): the daemon faces the
//! network, they do not.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::{Bounds, Command, Internet, OwnSocket, Proc, Restart, Unit, UnitKind};

/// The base of the legacy iptables, as units of systemd (245 and later; unknown ones are not missed). They are done whether the
/// kernel has the modules or not, and load no table.
const LEGACY_IPTABLES: &str = "modprobe@ip_tables.service modprobe@ip6_tables.service";
/// What `ProtectHome=` is about, and `PrivateTmp=`.
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];
const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];
/// Where root is obeyed: by the service manager, directly and over the system bus, which offers more services of that kind.
const MANAGERS: [&str; 2] = ["/run/systemd/private", "/run/dbus"];

/// The text of the unit file that waits for the file of a unit; none for one that waits for nothing.
pub(super) fn path_file(first_line: &str, unit: &Unit) -> Option<String> {
    let UnitKind::OnFile { file: awaited, .. } = &unit.kind else { return None };
    let mut file = File { text: format!("{first_line}\n") };
    file.section("Unit");
    file.line("Description", escape_specifiers(&unit.description.replace(char::is_control, " ")));
    file.section("Path");
    file.line("PathExists", word(&awaited.display().to_string()));
    if unit.wanted_at_boot {
        file.section("Install");
        file.line("WantedBy", "multi-user.target");
    }
    Some(file.text)
}

/// The text of a unit file. `growing`: this systemd knows a pause between restarts that grows (254 and later).
pub(super) fn unit_file(first_line: &str, unit: &Unit, growing: bool) -> String {
    let mut file = File { text: format!("{first_line}\n") };
    file.section("Unit");
    file.line("Description", escape_specifiers(&unit.description.replace(char::is_control, " ")));
    order(&mut file, unit);
    // However often it is started: every start is somebody's wish, or waits for its pause.
    file.line("StartLimitIntervalSec", 0);
    file.section("Service");
    commands(&mut file, unit);
    restart(&mut file, unit, growing);
    privileges(&mut file, unit);
    paths(&mut file, unit);
    kernel(&mut file, unit);
    sockets_and_calls(&mut file, unit);
    resources(&mut file, unit);
    // One that waits for a file is started by the file alone.
    if unit.wanted_at_boot && !matches!(unit.kind, UnitKind::OnFile { .. }) {
        file.section("Install");
        file.line("WantedBy", "multi-user.target");
    }
    file.text
}

struct File {
    text: String,
}

impl File {
    fn section(&mut self, name: &str) {
        let gap = if self.text.contains('[') { "\n" } else { "" };
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "{gap}[{name}]");
    }
    fn line(&mut self, key: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.text, "{key}={value}");
    }
    fn yes(&mut self, keys: &[&str]) {
        for key in keys {
            self.line(key, "yes");
        }
    }
    fn yes_or_no(&mut self, key: &str, yes: bool) {
        self.line(key, if yes { "yes" } else { "no" });
    }
}

fn order(file: &mut File, unit: &Unit) {
    if unit.before_network {
        // Without the default dependencies, which would put it behind everything that a cloud image does with the
        // network before it calls the system initialised.
        file.line("DefaultDependencies", "no");
        file.line("Conflicts", "shutdown.target");
        file.line("Wants", "network-pre.target");
        file.line("After", "local-fs.target systemd-sysctl.service systemd-modules-load.service");
        file.line("Before", "network-pre.target shutdown.target");
    }
    // One that waits for a file is in a hurry, and others have been started before it.
    let waits = matches!(unit.kind, UnitKind::OnFile { .. });
    if !waits && unit.capabilities.iter().any(|name| name == "NET_RAW") {
        file.line("Wants", LEGACY_IPTABLES);
        file.line("After", LEGACY_IPTABLES);
    }
    if unit.after_network {
        file.line("Wants", "network-online.target");
        file.line("After", "network-online.target nss-lookup.target");
    }
    if !unit.after.is_empty() {
        let units: Vec<_> = unit.after.iter().map(|name| format!("{name}.service")).collect();
        file.line("After", units.join(" "));
    }
}

fn commands(file: &mut File, unit: &Unit) {
    match &unit.kind {
        UnitKind::Daemon { run, after_start, after_stop } => {
            file.line("Type", "notify");
            file.line("NotifyAccess", "main");
            if unit.dynamic_user {
                open_devices(file, unit);
            }
            if let Some(socket) = &unit.socket {
                before_socket(file, socket);
            }
            file.line("ExecStart", command(run));
            if let Some(OwnSocket { own, public }) = &unit.socket {
                // As the service manager sees them: for the unit its own folder is a mount of its own, across which no link
                // is made.
                let [from, to] = [own, public].map(|path| path_word(&seen_by_manager(path)));
                file.line("ExecStartPost", format_args!("+/bin/ln -f {from} {to}"));
                file.line("ExecStopPost", format_args!("+/bin/rm -f {}", path_word(public)));
            }
            if let Some(after) = after_start {
                file.line("ExecStartPost", format_args!("+{}", command(after)));
            }
            if let Some(after) = after_stop {
                file.line("ExecStopPost", format_args!("+{}", command(after)));
            }
            file.line("TimeoutStopSec", 20);
        }
        UnitKind::OneShot { start, stop } => {
            file.line("Type", "oneshot");
            file.line("RemainAfterExit", "yes");
            file.line("ExecStart", command(start));
            if let Some(stop) = stop {
                file.line("ExecStop", command(stop));
            }
            // A one-shot has no limit of its own, and a boot must not wait for it without end.
            file.line("TimeoutStartSec", 180);
            file.line("TimeoutStopSec", 120);
        }
        UnitKind::OnFile { run, .. } => {
            file.line("Type", "oneshot");
            file.line("ExecStart", command(run));
            file.line("TimeoutStartSec", 180);
        }
    }
}

/// The name of the user of a unit with an instance: at most 31 characters, of those that names of users may have.
fn user_name(instance: &str) -> String {
    let plain = |char: char| if char.is_ascii_alphanumeric() || char == '_' { char } else { '-' };
    format!("phantom-{}", instance.chars().take(23).map(plain).collect::<String>())
}

/// Opens its devices to everybody, as udev's own rules open the TUN, where a container has them for root alone.
fn open_devices(file: &mut File, unit: &Unit) {
    for device in &unit.devices {
        file.line("ExecStartPre", format_args!("-+/bin/chmod a+rw {}", path_word(device)));
    }
}

/// Makes root's folder. A socket that nobody answers any more is replaced once the new one is there.
fn before_socket(file: &mut File, socket: &OwnSocket) {
    if let Some(folder) = socket.public.parent() {
        let folder = path_word(folder);
        file.line("ExecStartPre", format_args!("+/bin/mkdir -p -m 0700 {folder}"));
        // Somebody else may have made it for everybody.
        file.line("ExecStartPre", format_args!("+/bin/chmod 0700 {folder}"));
    }
}

/// An absolute path in the file system of process 1.
fn seen_by_manager(path: &Path) -> PathBuf {
    Path::new("/proc/1/root").join(path.strip_prefix("/").unwrap_or(path))
}

fn path_word(path: &Path) -> String {
    word(&path.display().to_string())
}

fn restart(file: &mut File, unit: &Unit, growing: bool) {
    let how = match (unit.restart, &unit.kind) {
        (Restart::No, _) => return file.line("Restart", "no"),
        // systemd refuses `always` for one-shots.
        (Restart::Always, UnitKind::Daemon { .. }) => "always",
        (Restart::Always | Restart::OnFailure, _) => "on-failure",
    };
    file.line("Restart", how);
    file.line("RestartSec", if growing { 1 } else { 3 });
    if growing {
        file.line("RestartSteps", 6);
        file.line("RestartMaxDelaySec", 60);
    }
}

fn privileges(file: &mut File, unit: &Unit) {
    let names: Vec<_> = unit.capabilities.iter().map(|name| format!("CAP_{name}")).collect();
    file.line("UMask", "0077");
    file.line("NoNewPrivileges", "yes");
    file.line("CapabilityBoundingSet", names.join(" "));
    if unit.dynamic_user {
        file.line("DynamicUser", "yes");
        // By itself systemd takes what is in front of the @, so that all devices would be one user.
        if let Some((_, instance)) = unit.name.split_once('@') {
            file.line("User", user_name(instance));
        }
        // Root has what the bounding set leaves; another user has to be given it.
        file.line("AmbientCapabilities", names.join(" "));
    }
}

fn paths(file: &mut File, unit: &Unit) {
    file.line("ProtectSystem", "strict");
    let (run, others): (Vec<_>, Vec<_>) = unit.writable.iter().partition(|path| run_name(path).is_some());
    let mut run: Vec<_> = run.into_iter().filter_map(|path| run_name(path)).collect();
    run.sort_unstable();
    run.dedup();
    run.extend(unit.socket.iter().filter_map(|socket| run_name(&socket.own)));
    if !run.is_empty() {
        file.line("RuntimeDirectory", run.join(" "));
        file.line("RuntimeDirectoryMode", "0700");
        file.yes_or_no("RuntimeDirectoryPreserve", keeps_folders(unit));
    }
    for path in others.into_iter().filter(|path| !path.starts_with("/proc")) {
        // With a dash, so that one that is not there does not keep the unit from starting.
        file.line("ReadWritePaths", word(&format!("-{}", path.display())));
    }
    homes(file, unit);
    let read = || needed(unit).chain(unit.readable.iter().cloned());
    // A user of its own always has its own: systemd allows nothing else.
    file.yes_or_no("PrivateTmp", unit.dynamic_user || !read().any(|path| is_below(&path, &TEMPORARY)));
    file.yes(&["PrivateMounts", "PrivateDevices"]);
    file.line("DevicePolicy", "closed");
    for device in &unit.devices {
        let device = device.display();
        file.line("DeviceAllow", format_args!("{} rw", word(&device.to_string())));
        // With a dash, so that it is the program that says what is missing.
        file.line("BindPaths", word(&format!("-{device}")));
    }
    let Some(bounds) = &unit.bounds else { return };
    for path in MANAGERS.iter().filter(|_| !bounds.manager) {
        file.line("InaccessiblePaths", format_args!("-{path}"));
    }
    if bounds.proc != Proc::Everything {
        file.line("ProtectProc", "invisible");
    }
    if bounds.proc == Proc::Itself {
        file.line("ProcSubset", "pid");
    }
}

/// The folder of a socket has no use without its daemon. Where a user of its own keeps its folders, systemd has them in
/// `/run/private`, where nobody but root comes (systemd.exec(5)): what the command after the start opens to others is not kept.
fn keeps_folders(unit: &Unit) -> bool {
    let opens = matches!(&unit.kind, UnitKind::Daemon { after_start: Some(_), .. });
    unit.socket.is_none() && !(unit.dynamic_user && opens)
}

/// Homes are out of sight of a unit, or as far as it reads something there read-only, or where it writes open.
fn homes(file: &mut File, unit: &Unit) {
    if needed(unit).any(|path| is_below(&path, &HOMES)) {
        return file.line("ProtectHome", "no");
    }
    let reads = |home: &str| unit.readable.iter().any(|path| path.starts_with(home));
    if !HOMES.into_iter().any(reads) {
        return file.line("ProtectHome", "yes");
    }
    // Not the single folders: those who renew a certificate exchange its folder, and a folder that was bound stays the old one.
    file.line("ProtectHome", "read-only");
    for home in HOMES.into_iter().filter(|home| !reads(home)) {
        file.line("InaccessiblePaths", format_args!("-{home}"));
    }
}

fn is_below(path: &Path, folders: &[&str]) -> bool {
    folders.iter().any(|folder| path.starts_with(folder))
}

fn kernel(file: &mut File, unit: &Unit) {
    let settings = unit.writable.iter().any(|path| path.starts_with("/proc/sys"));
    file.yes(&["ProtectKernelModules"]);
    file.yes_or_no("ProtectKernelTunables", !settings);
    file.yes(&["ProtectKernelLogs", "ProtectControlGroups", "ProtectClock", "ProtectHostname"]);
    file.yes(&["RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID"]);
    file.yes(&["LockPersonality", "MemoryDenyWriteExecute"]);
}

fn sockets_and_calls(file: &mut File, unit: &Unit) {
    let has = |wish: fn(&Bounds) -> bool| unit.bounds.as_ref().is_none_or(wish);
    let internet = if has(|bounds| bounds.internet != Internet::Nothing) { " AF_INET AF_INET6" } else { "" };
    let netlink = if has(|bounds| bounds.netlink) { " AF_NETLINK" } else { "" };
    file.line("RestrictAddressFamilies", format_args!("AF_UNIX{internet}{netlink}"));
    if unit.bounds.as_ref().is_some_and(|bounds| bounds.internet == Internet::Asks) {
        file.line("IPAddressDeny", "any");
    }
    file.line("SystemCallArchitectures", "native");
    file.line("SystemCallFilter", "@system-service");
    let owners = has(|bounds| bounds.owners);
    file.line("SystemCallFilter", if owners { "~@resources" } else { "~@resources @privileged" });
    file.line("SystemCallErrorNumber", "EPERM");
}

fn resources(file: &mut File, unit: &Unit) {
    file.line("LimitCORE", 0);
    if let Some(bounds) = &unit.bounds {
        file.line("MemoryMax", format_args!("{}M", bounds.memory_mib));
        file.line("TasksMax", bounds.tasks);
    }
}

/// The folder right below `/run` that a writable path is in.
fn run_name(path: &Path) -> Option<&str> {
    let name = path.strip_prefix("/run").ok()?.components().next()?.as_os_str().to_str()?;
    (!name.contains('.')).then_some(name)
}

/// Everything of the file system that a unit names: what it runs, its arguments, what it writes.
fn needed(unit: &Unit) -> impl Iterator<Item = PathBuf> {
    let commands = match &unit.kind {
        UnitKind::Daemon { run, .. } | UnitKind::OnFile { run, .. } => [Some(run), None],
        UnitKind::OneShot { start, stop } => [Some(start), stop.as_ref()],
    };
    let of_command = |command: &Command| {
        let args =
            command.args.iter().map(|arg| arg.split_once('=').map_or(arg.as_str(), |(_, value)| value));
        args.map(PathBuf::from).chain([command.program.clone()]).collect::<Vec<_>>()
    };
    let paths: Vec<_> = commands.into_iter().flatten().flat_map(of_command).collect();
    paths.into_iter().chain(unit.writable.iter().cloned())
}

fn command(command: &Command) -> String {
    let program = word(&command.program.display().to_string());
    command.args.iter().fold(program, |line, arg| format!("{line} {}", word(&arg.replace('$', "$$"))))
}

/// One word of a line: in quotes and escaped where it could be taken for something else.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-/.:=@,+$".contains(c);
    let text = escape_specifiers(text);
    if !text.is_empty() && text.chars().all(|c| plain(c) || c == '%') {
        return text;
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// `%i` and the like stand for something in unit files; `%%` is a percent sign.
fn escape_specifiers(text: &str) -> String {
    text.replace('%', "%%")
}

#[cfg(test)]
mod tests;
