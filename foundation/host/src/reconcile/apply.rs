//! Taking the steps of a plan.

use std::path::{Path, PathBuf};
use std::time::Duration;

use phantom_types::{InterfaceName, Spoken};

use super::step::Op;
use super::{ApplyContext, DesiredState, Step, StepAction, StepKind, last_endpoints};
use crate::{
    DeviceUpdate, Hook, HostError, LinkChange, LinkGuard, Match, PeerUpdate, ServiceState, Unit, Verdict,
    words::object, write_and_verify,
};

/// How long a service has to start or to stop.
const SERVICE_WAIT: Duration = Duration::from_secs(15);

/// A step that failed. Those before it stay taken.
#[derive(Debug, thiserror::Error)]
#[error("step {at}: {action:?} {kind:?} {target} failed", at = .at + 1)]
pub struct ApplyError {
    /// Its place among the steps.
    pub at: usize,
    /// What it was about.
    pub kind: StepKind,
    /// What it was to do.
    pub action: StepAction,
    /// The object.
    pub target: String,
    /// Why it failed.
    #[source]
    pub source: HostError,
}

impl Spoken for ApplyError {
    fn turkish(&self) -> String {
        format!("{}. adım başarısız ({} {})", self.at + 1, object(self.kind), self.target)
    }
    fn because(&self) -> Option<&(dyn Spoken + 'static)> {
        Some(&self.source)
    }
}

/// The folder of the files of [`busy_file`].
pub fn busy_dir(run_dir: &Path) -> PathBuf {
    run_dir.join("unit-busy")
}

/// The file by which the holder of the lock says that it is starting or stopping the service of this interface: the service's
/// own commands then have nothing to do. The number of its process is in it, so that nobody takes what an earlier holder left
/// for the word of the present one.
pub fn busy_file(run_dir: &Path, interface: &InterfaceName) -> PathBuf {
    busy_dir(run_dir).join(interface.as_str())
}

/// The folder that says that this kernel has no guards for links.
pub fn no_guards_file(run_dir: &Path) -> PathBuf {
    run_dir.join("no-link-guards")
}

/// What the names of the services of interfaces begin with.
const INTERFACE_UNIT: &str = "wg-quick@";

/// So many peers go to the device in one request at most.
const PEERS_AT_ONCE: usize = 1000;

/// Takes the steps in order. Consecutive peers go to the device together.
pub fn apply(context: &ApplyContext<'_>, wanted: &DesiredState, steps: &[Step]) -> Result<(), ApplyError> {
    apply_and_tell(context, wanted, steps, &mut |_| ())
}

/// As [`apply()`], and says of each step that it is taken, as soon as it is.
pub fn apply_and_tell(
    context: &ApplyContext<'_>,
    wanted: &DesiredState,
    steps: &[Step],
    taken: &mut dyn FnMut(&Step),
) -> Result<(), ApplyError> {
    let mut at = 0;
    while let Some(step) = steps.get(at) {
        let row = steps[at..].iter().take_while(|next| next.op.peer_of() == step.op.peer_of());
        let (count, result) = match step.op.peer_of() {
            Some(name) => {
                let row = &steps[at..][..row.take(PEERS_AT_ONCE).count()];
                (row.len(), set_peers(context, wanted, name, row))
            }
            None => (1, take(context, wanted, step)),
        };
        result.map_err(|source| ApplyError {
            at,
            kind: step.kind,
            action: step.action,
            target: step.target.clone(),
            source,
        })?;
        steps[at..][..count].iter().for_each(&mut *taken);
        at += count;
    }
    Ok(())
}

fn take(context: &ApplyContext<'_>, wanted: &DesiredState, step: &Step) -> Result<(), HostError> {
    let host = context.host;
    match &step.op {
        Op::WriteFile(path) | Op::ReplaceFile(path) => write_file(context, wanted, path),
        Op::RemoveFile(path) => host.files.remove(path),
        Op::RemoveClaim(path) => host.files.remove_dir(path),
        Op::SetMode(path, mode) => host.files.set_mode(path, *mode),
        Op::SetSysctl(setting) => host.sysctl.set(&setting.0, &setting.1),
        Op::ReplaceFirewall => host.firewall.replace(context.tags, &wanted.firewall),
        Op::ReplaceFirewallAgainst(leaving) => replace_against(context, wanted, leaving),
        Op::RemoveFirewall => host.firewall.remove(context.tags),
        Op::AddUfw(rule) => host.firewall.add_ufw(context.tags, rule),
        Op::RemoveUfw(rule) => host.firewall.remove_ufw(context.tags, rule),
        Op::InstallUnit(unit) => host.services.install(unit),
        // The service of an interface has commands of its own, which wait for the lock that the caller holds.
        Op::UninstallUnit(name) if name.starts_with(INTERFACE_UNIT) => {
            while_busy(context, name, || host.services.uninstall(name))
        }
        Op::UninstallUnit(name) => host.services.uninstall(name),
        Op::StartUnit(unit) => start_unit(context, unit),
        Op::StopUnit(unit) => host.services.stop(unit, SERVICE_WAIT),
        Op::RenewUnit(unit) => {
            host.services.stop(unit, SERVICE_WAIT)?;
            start_unit(context, unit)
        }
        Op::StartInterface(unit) => start_interface(context, wanted, unit),
        Op::StopInterface(unit) => stop_interface(context, unit, SERVICE_WAIT),
        Op::CreateLink(name) => {
            claim(context, name.as_str())?;
            host.wireguard.create(name)?;
            set_link(context, name, &LinkChange { alias: Some(context.tags.tag()), ..LinkChange::default() })
        }
        Op::SetLink(name, change) => set_link(context, name, change),
        Op::SetGuard(name, guard) => set_guard(context, name, guard),
        Op::DeleteLink(name) => {
            // First what nobody would look for once the link is gone.
            last_endpoints::forget(context, name)?;
            // The embedded device's own exit may have taken it along.
            gone(host.network.delete_link(name))?;
            remove_claim(context, name)
        }
        Op::Configure(name, backend, update) => host.wireguard.configure(name, *backend, update),
        Op::SetPeer(name, _) | Op::RemovePeer(name, _) => {
            set_peers(context, wanted, name, std::slice::from_ref(step))
        }
        Op::AddAddress(name, address) => host.network.add_address(name, *address),
        // The kernel takes the later addresses of a network along with the first.
        Op::RemoveAddress(name, address) => gone(host.network.remove_address(name, *address)),
        Op::AddRoute(route) => host.network.add_route(route),
        Op::ReplaceRoute(route) => host.network.replace_route(route),
        // A link that went took its routes along, and a route that was replaced is gone as well.
        Op::RemoveRoute(route) => gone(host.network.remove_route(route)),
        Op::AddRule(rule) => host.network.add_rule(rule),
        Op::RemoveRule(rule) => gone(host.network.remove_rule(rule)),
    }
}

/// A removal is done when the object is not there, whoever has removed it.
fn gone(removed: Result<(), HostError>) -> Result<(), HostError> {
    match removed {
        Err(error) if error.is_absent() => Ok(()),
        other => other,
    }
}

/// Stops the service of an interface; one that has not ended after `wait` is killed. Its own commands know that this is done
/// by the holder of the lock, which is the caller.
pub fn stop_interface(context: &ApplyContext<'_>, unit: &Unit, wait: Duration) -> Result<(), HostError> {
    while_busy(context, &unit.name, || context.host.services.stop(unit, wait))
}

/// The wanted packet filter, and before all of it that nothing comes in by links that are about to go.
fn replace_against(
    context: &ApplyContext<'_>,
    wanted: &DesiredState,
    leaving: &[InterfaceName],
) -> Result<(), HostError> {
    let mut rules = wanted.firewall.clone();
    for name in leaving {
        let there = Match::In { interface: name.to_string(), not: false };
        rules.add(Hook::Prerouting, 0, vec![there], Verdict::Drop);
    }
    context.host.firewall.replace(context.tags, &rules)
}

fn write_file(context: &ApplyContext<'_>, wanted: &DesiredState, path: &Path) -> Result<(), HostError> {
    let Some(Some(file)) = wanted.files.get(path) else { return Err(unwanted(path.display())) };
    if let Some(dir) = path.parent() {
        // The folder of a file with secrets is closed as Debian's /etc/wireguard is.
        let open = file.mode & 0o044 != 0;
        let mode = if open { 0o755 } else { 0o700 };
        context.host.files.make_dir(dir, mode)?;
    }
    file.with_content(wanted, |content| write_and_verify(&*context.host.files, path, content, file.mode))
}

/// A plan is made from the very state that it is applied with; a step without its object is a plan for another one.
fn unwanted(object: impl std::fmt::Display) -> HostError {
    HostError::unexpected(format!("{object} is not part of the desired state"))
}

fn set_peers(
    context: &ApplyContext<'_>,
    wanted: &DesiredState,
    name: &InterfaceName,
    steps: &[Step],
) -> Result<(), HostError> {
    let interface = wanted.interfaces.get(name).ok_or_else(|| unwanted(name))?;
    let peers = interface.device.peers.as_deref().unwrap_or_default();
    let update = |step: &Step| match &step.op {
        Op::SetPeer(_, at) => Some(PeerUpdate::Set(peers.get(*at)?.config.clone())),
        Op::RemovePeer(_, key) => Some(PeerUpdate::Remove(*key)),
        _ => None,
    };
    let peers = steps.iter().map(|step| update(step).ok_or_else(|| unwanted(&step.target)));
    let update = DeviceUpdate { peers: peers.collect::<Result<_, _>>()?, ..DeviceUpdate::default() };
    let set = update.peers.iter().filter_map(|peer| match peer {
        PeerUpdate::Set(config) => Some(config),
        PeerUpdate::Remove(_) => None,
    });
    let told_at = context.host.clock.now();
    context.host.wireguard.configure(name, interface.backend, &update)?;
    last_endpoints::note(context, wanted, (name, told_at), set)
}

/// Starts a service that is not that of an interface. It is not waited for where that could be for ever: by a process that
/// is part of the start of a service it may be ordered after, and while such a one is starting, whose commands wait for the
/// lock that the caller holds.
fn start_unit(context: &ApplyContext<'_>, unit: &Unit) -> Result<(), HostError> {
    let services = &context.host.services;
    let mut waits = context.in_service;
    for name in &unit.after {
        waits |= services.status(name)?.state == ServiceState::Starting;
    }
    if waits { services.request(unit) } else { services.start(unit, SERVICE_WAIT) }
}

fn start_interface(context: &ApplyContext<'_>, wanted: &DesiredState, unit: &Unit) -> Result<(), HostError> {
    let interface = wanted.interfaces.iter().find(|(_, interface)| interface.unit.name == unit.name);
    // A persistent link that has its mark already needs no claim.
    if let Some((name, _)) = interface
        && context.host.network.link(name)?.is_none()
    {
        claim(context, name.as_str())?;
    }
    while_busy(context, &unit.name, || context.host.services.start(unit, SERVICE_WAIT))
}

/// Changes a link; one that shows its mark needs no claim any more.
fn set_link(context: &ApplyContext<'_>, name: &InterfaceName, change: &LinkChange) -> Result<(), HostError> {
    let network = &context.host.network;
    network.set_link(name, change)?;
    if change.alias.is_none() {
        return Ok(());
    }
    // With neither mark nor claim nobody would know whose it is.
    if network.link(name)?.is_none_or(|link| link.alias != change.alias) {
        return Err(HostError::unexpected(format!("{name} does not show the alias that it was given")));
    }
    remove_claim(context, name)
}

/// Guards a link. On a kernel that cannot, that is kept in mind until the next boot: it is no reason to go without the link.
fn set_guard(context: &ApplyContext<'_>, name: &InterfaceName, guard: &LinkGuard) -> Result<(), HostError> {
    let (files, known) = (&context.host.files, no_guards_file(context.run_dir));
    match context.host.network.set_guard(name, guard) {
        Err(HostError::Unsupported { .. }) => files.make_dir(&known, 0o700),
        Ok(()) if files.info(&known)?.is_some() => files.remove_dir(&known),
        other => other,
    }
}

fn remove_claim(context: &ApplyContext<'_>, name: &InterfaceName) -> Result<(), HostError> {
    let claim = context.claim(name.as_str());
    if context.host.files.info(&claim)?.is_some() { context.host.files.remove_dir(&claim) } else { Ok(()) }
}

fn claim(context: &ApplyContext<'_>, interface: &str) -> Result<(), HostError> {
    // A folder: it is there or not there, with nothing half-written beside it.
    context.host.files.make_dir(&context.claim(interface), 0o700)
}

/// Does something to the service of an interface, whose own commands are to leave it alone meanwhile.
fn while_busy(
    context: &ApplyContext<'_>,
    unit: &str,
    work: impl FnOnce() -> Result<(), HostError>,
) -> Result<(), HostError> {
    let interface = unit.strip_prefix(INTERFACE_UNIT).and_then(|name| name.parse::<InterfaceName>().ok());
    let Some(interface) = interface else { return work() };
    let (files, dir) = (&context.host.files, busy_dir(context.run_dir));
    files.make_dir(&dir, 0o700)?;
    files.write(&busy_file(context.run_dir, &interface), std::process::id().to_string().as_bytes(), 0o600)?;
    let result = work();
    files.remove_dir(&dir)?;
    result
}
