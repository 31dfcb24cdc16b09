//! What of this module stands on the host: the files of exits, and the monitor.

use std::path::Path;

use phantom_engine::{Change, Engine, Installation};
use phantom_host::{HostError, ServiceManager, ServiceState, write_and_verify};
use phantom_types::ExitName;

use crate::MultihopError;
use crate::actions::MonitorStatus;
use crate::desired::{exit_file, exit_text};
use crate::rows::MultihopState as _;
use crate::units::monitor_unit;

/// The monitor as it is; one that cannot be asked, or that somebody has halted, does not run.
pub(crate) fn monitor_status(engine: &Engine, installation: &Installation) -> MonitorStatus {
    let services = &engine.host().services;
    let status = services.status(&monitor_unit(installation)).ok();
    let pid = status.filter(|status| status.state == ServiceState::Active).and_then(|status| status.pid);
    let pid = pid.filter(|pid| !is_halted(engine, *pid));
    let kind = match services.manager() {
        ServiceManager::Systemd => "systemd",
        ServiceManager::Builtin => "builtin",
    };
    MonitorStatus { monitoring: pid.is_some(), kind: pid.map(|_| kind), pid }
}

/// Whether a process is there and does nothing, since somebody has halted it (SIGSTOP).
fn is_halted(engine: &Engine, pid: u32) -> bool {
    let stat =
        engine.host().files.read(Path::new(&format!("/proc/{pid}/stat"))).ok().flatten().unwrap_or_default();
    let stat = String::from_utf8_lossy(&stat);
    // Its state comes after its name, which may have anything in it.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
}

/// Writes the file of an exit that is stored now. When the change fails the file is gone again.
pub(crate) fn write_exit_file(change: &mut Change<'_>, name: &ExitName) -> Result<(), MultihopError> {
    let installation = change.engine().installation()?;
    let Some(exit) = change.exit(name)? else { return Ok(()) };
    let file = exit_file(&installation, name);
    let written = write_and_verify(
        &*change.engine().host().files,
        &file,
        exit_text(&installation, &exit).as_bytes(),
        0o600,
    );
    written.map_err(|source| MultihopError::own(&file, source))?;
    change.undo_by("the file of an exit", move |engine| engine.host().files.remove(&file));
    Ok(())
}

/// Removes the file of an exit that is about to be removed. When the change fails the file is back again.
pub(crate) fn remove_exit_file(change: &mut Change<'_>, name: &ExitName) -> Result<(), MultihopError> {
    let installation = change.engine().installation()?;
    let Some(exit) = change.exit(name)? else { return Ok(()) };
    let (file, text) = (exit_file(&installation, name), exit_text(&installation, &exit));
    let there = change.engine().host().files.info(&file);
    let failed = |source| MultihopError::own(&file, source);
    if there.map_err(failed)?.is_none() {
        return Ok(());
    }
    change.engine().host().files.remove(&file).map_err(failed)?;
    change.undo_by("the file of an exit", move |engine| {
        write_and_verify(&*engine.host().files, &file, text.as_bytes(), 0o600)
    });
    Ok(())
}

/// Removes files of ours whose exits are not stored: what a change left that was killed. One that stays does no harm,
/// and is tried again the next time.
pub(crate) fn sweep_exit_files(change: &Change<'_>) -> Result<(), MultihopError> {
    let (engine, installation) = (change.engine(), change.engine().installation()?);
    let names = change.exit_names()?;
    let known = |file: &Path| names.iter().any(|name| exit_file(&installation, name) == file);
    let files = &engine.host().files;
    let sweep = || -> Result<(), HostError> {
        for name in files.list(&installation.paths.exits_dir())? {
            let file = installation.paths.exits_dir().join(name);
            let own = || files.read(&file).map(|content| content.map(zeroize::Zeroizing::new));
            if !known(&file) && own()?.is_some_and(|content| installation.tags.owns_file(&content)) {
                files.remove(&file)?;
            }
        }
        Ok(())
    };
    let _ = sweep();
    Ok(())
}
