//! Taking everything of ours off the host, by its marks.

use std::collections::BTreeSet;
use std::path::Path;

use phantom_host::reconcile::{
    ApplyContext, DesiredState, Step, StepAction, StepKind, apply_and_tell, busy_dir, holds_key, observe,
    plan,
};
use phantom_host::{Hook, Host, Match, OwnershipTags, StuckRules, Verdict};
use phantom_store::Server;
use phantom_types::InterfaceName;
use zeroize::Zeroizing;

use crate::ResetError;

/// A step can bring others to light: a service that ends takes its link along.
const ROUNDS: usize = 5;
/// Where the WireGuard configurations of this system and of others lie.
const WIREGUARD: &str = "/etc/wireguard";
/// What stays in the run directory while the lock is held: what all processes meet at.
const MEETING: [&str; 3] = ["lock", "boot", "changing"];

/// What is told of each step that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// The object, as in `wg_main`.
    pub target: String,
    /// It was removed; else it was brought back to what it had been before the system.
    pub gone: bool,
}

/// Told that steps are about to be taken, and of each that removes something as soon as it is taken.
pub type Tell<'a> = &'a dyn Fn(Option<&Removed>);

/// What a removal leaves standing, because a server will stand there again in a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaving {
    /// Nothing.
    Nothing,
    /// The packet filter that lets nothing of clients through, the unit that finishes after a reboot, and the kernel's
    /// forwarding, which others may have come to need.
    Closed,
}

/// The interfaces that are ours or claimed, those of configurations with our tag, and `more`: no packet may leave by
/// them or come in from them while the rest is removed.
pub(crate) fn interfaces(
    context: &ApplyContext<'_>,
    more: impl IntoIterator<Item = InterfaceName>,
) -> Result<BTreeSet<InterfaceName>, ResetError> {
    let observed = observe(context, &DesiredState::nothing())?;
    let marked =
        observed.interfaces.into_iter().filter(|(_, interface)| interface.ours).map(|(name, _)| name);
    let mut names: BTreeSet<InterfaceName> = marked.chain(more).collect();
    let stem = |path: &Path| path.file_stem()?.to_str()?.parse().ok();
    let configurations =
        observed.stale_files.keys().filter(|path| path.parent() == Some(Path::new(WIREGUARD)));
    names.extend(configurations.filter_map(|path| stem(path)));
    Ok(names)
}

/// A state in which there is nothing of ours but a packet filter that drops whatever comes from these interfaces or goes
/// there.
pub(crate) fn closed(interfaces: &BTreeSet<InterfaceName>) -> DesiredState {
    let mut wanted = DesiredState::nothing();
    for name in interfaces {
        let (from, to) = (
            Match::In { interface: name.to_string(), not: false },
            Match::Out { interface: name.to_string(), not: false },
        );
        wanted.firewall.add(Hook::Prerouting, 0, vec![from], Verdict::Drop);
        wanted.firewall.add(Hook::Forward, 0, vec![to], Verdict::Drop);
    }
    wanted
}

/// Closes the packet filter and stops and removes the services.
pub(crate) fn stop(
    context: &ApplyContext<'_>,
    wanted: &DesiredState,
    leaving: Leaving,
    tell: Tell<'_>,
) -> Result<(), ResetError> {
    // What a predecessor left that was killed while it stopped a service.
    let busy = busy_dir(context.run_dir);
    if context.host.files.info(&busy)?.is_some() {
        context.host.files.remove_dir(&busy)?;
    }
    let steps = steps(context, wanted, leaving)?;
    let (closing, rest): (Vec<Step>, Vec<Step>) =
        steps.into_iter().partition(|step| step.kind == StepKind::Firewall);
    let closing: Vec<Step> = closing.into_iter().filter(|step| step.action != StepAction::Delete).collect();
    take(context, wanted, &closing, tell)?;
    let services: Vec<Step> = rest.into_iter().filter(|step| step.kind == StepKind::Service).collect();
    take(context, wanted, &services, tell)
}

/// Brings the host to `wanted`, which is nothing or a closed packet filter, but for what is left.
pub(crate) fn clear(
    context: &ApplyContext<'_>,
    wanted: &DesiredState,
    leaving: Leaving,
    tell: Tell<'_>,
) -> Result<(), ResetError> {
    let mut left = steps(context, wanted, leaving)?;
    for _ in 0..ROUNDS {
        if left.is_empty() {
            return Ok(());
        }
        take(context, wanted, &left, tell)?;
        left = steps(context, wanted, leaving)?;
    }
    let what: Vec<&str> = left.iter().map(|step| step.target.as_str()).collect();
    if what.is_empty() { Ok(()) } else { Err(ResetError::Stubborn { what: what.join(", ") }) }
}

/// Takes steps, and tells of them.
fn take(
    context: &ApplyContext<'_>,
    wanted: &DesiredState,
    steps: &[Step],
    tell: Tell<'_>,
) -> Result<(), ResetError> {
    if !steps.is_empty() {
        tell(None);
    }
    let mut taken = |step: &Step| {
        if is_removal(step) {
            tell(Some(&said(step)));
        }
    };
    Ok(apply_and_tell(context, wanted, steps, &mut taken)?)
}

/// Takes everything of ours off the host, with the packet filter going last, and tells what that is. What is stored
/// stays, so that `phantom-api core reconcile` brings all of it back. The caller holds the lock.
pub fn remove_everything(context: &ApplyContext<'_>, tell: Tell<'_>) -> Result<(), ResetError> {
    let closed = closed(&interfaces(context, None)?);
    // A packet filter that cannot be read holds up no removal: what was let in by it goes with the interface.
    let readable = context.host.firewall.in_force(context.tags, &closed.firewall).is_ok();
    let wanted = if readable { closed } else { DesiredState::nothing() };
    stop(context, &wanted, Leaving::Nothing, tell)?;
    clear(context, &wanted, Leaving::Nothing, tell)?;
    clear(context, &DesiredState::nothing(), Leaving::Nothing, tell)
}

/// The tables of others in the packet filter in which there are rules of ours, as people know them: a saved copy of such
/// a table has these in it. None where the packet filter does not answer.
pub(crate) fn shared_tables(host: &Host, tags: &OwnershipTags) -> Vec<String> {
    let tables = host.firewall.filters().map(|filters| filters.tables_with_ours(tags));
    tables.unwrap_or_default().iter().map(ToString::to_string).collect()
}

/// Rules of ours that are still loaded after a removal because nobody can take them out; none where the kernel does not answer.
pub(crate) fn stuck(host: &Host, tags: &OwnershipTags) -> Vec<StuckRules> {
    host.firewall.stuck(tags).unwrap_or_default()
}

/// Removes the configuration of this server where it has lost its tag, as after `wg-quick save`: by the private key in it
/// it is ours, and that key must not stay behind.
pub(crate) fn unmarked_configuration(
    context: &ApplyContext<'_>,
    server: &Server,
    tell: Tell<'_>,
) -> Result<(), ResetError> {
    let path = Path::new(WIREGUARD).join(format!("{}.conf", server.interface));
    let found = context.host.files.read(&path)?.map(Zeroizing::new);
    if !found.is_some_and(|found| holds_key(&found, &server.private_key)) {
        return Ok(());
    }
    tell(None);
    context.host.files.remove(&path)?;
    tell(Some(&Removed { target: path.display().to_string(), gone: true }));
    Ok(())
}

/// Removes what is in the run directory but for what all processes meet at.
pub(crate) fn clear_run_dir(context: &ApplyContext<'_>) -> Result<(), ResetError> {
    for name in context.host.files.list(context.run_dir)? {
        if MEETING.iter().any(|meeting| Path::new(meeting) == name) {
            continue;
        }
        let path = context.run_dir.join(name);
        match context.host.files.info(&path)? {
            Some(info) if info.dir => context.host.files.remove_dir(&path)?,
            Some(_) => context.host.files.remove(&path)?,
            None => {}
        }
    }
    Ok(())
}

fn steps(
    context: &ApplyContext<'_>,
    wanted: &DesiredState,
    leaving: Leaving,
) -> Result<Vec<Step>, ResetError> {
    let mut steps = plan(context.tags, &observe(context, wanted)?, wanted)?;
    if leaving == Leaving::Closed {
        let boot = context.tags.boot_unit();
        steps.retain(|step| {
            step.kind != StepKind::Sysctl && !(step.kind == StepKind::Service && step.target == boot)
        });
    }
    Ok(steps)
}

fn is_removal(step: &Step) -> bool {
    step.action == StepAction::Delete || step.kind == StepKind::Sysctl
}

fn said(step: &Step) -> Removed {
    Removed { target: step.target.clone(), gone: step.action == StepAction::Delete }
}
