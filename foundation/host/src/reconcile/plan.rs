//! Which steps are missing: a pure function.

mod interface;

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use phantom_types::InterfaceName;

use super::step::{Op, Step, StepAction, StepKind};
use super::{DesiredInterface, DesiredState, Observed, ObservedFile, ObservedInterface, Owner};
use crate::{
    OwnershipTags, PolicyRule, Result, Route, RouteKind, RuleAction, RulesetStatus, ServiceManager,
    ServiceState, UfwRule, Unit,
};

/// The steps from what was observed to what is wanted, in an order that never opens what should be closed:
///
/// * The packet filter stands before there is anything to filter, and goes last. Nothing passes a link that is about to go,
///   whatever the wanted filter says of it: it knows no such link any more.
/// * What is added comes before what is removed.
/// * Policy rules are there before the addresses that they are about, and go behind the links that have these: what the
///   host itself answers never falls through to the main table. Routes that lead nowhere come with them, routes by an
///   interface behind the interface.
///
/// There are no steps for what is [`foreign`]: files and units of somebody else in the place of ours.
///
/// # Errors
/// [`HostError::Foreign`](crate::HostError::Foreign) when a link that is not ours has the name of one of ours, or a device of ours can only be started
/// or stopped by a unit that is not.
pub fn plan(tags: &OwnershipTags, observed: &Observed, wanted: &DesiredState) -> Result<Vec<Step>> {
    let mut add = Vec::new();
    let mut delete = Vec::new();
    let last = plan_firewall(tags, observed, wanted, &mut add);
    plan_files(observed, wanted, &mut add, &mut delete);
    for (key, value) in &wanted.sysctls {
        // A setting of an interface comes with the interface.
        let of_interface = wanted.interfaces.keys().any(|name| is_setting_of(key, name));
        if !of_interface
            && exists(key, observed)
            && observed.sysctls.get(key).is_some_and(|now| now.as_ref() != Some(value))
        {
            add.push(set_sysctl(key, value));
        }
    }
    plan_stale_files(observed, wanted, &mut delete);
    for claim in &observed.stale_claims {
        delete.push(Step::new(
            StepKind::File,
            StepAction::Delete,
            claim.display(),
            Op::RemoveClaim(claim.clone()),
        ));
    }
    plan_units(observed, wanted, &mut add, &mut delete);
    let by_link = |route: &&Route| matches!(route.kind, RouteKind::Via { .. });
    let (by_links, others): (Vec<_>, Vec<_>) = wanted.routes.iter().partition(by_link);
    add_routes(others, observed, wanted, &mut add);
    let replaced = add_rules(observed, wanted, &mut add);
    for (name, interface) in &observed.interfaces {
        match wanted.interfaces.get(name) {
            Some(interface_wanted) => {
                let at = add.len();
                interface::plan(tags, name, interface, interface_wanted, observed, &mut add)?;
                let fresh = add[at..].iter().any(Step::makes_link);
                if interface_wanted.running {
                    plan_guard(name, fresh, interface, interface_wanted, observed, &mut add);
                    plan_settings(name, fresh, observed, wanted, &mut add);
                }
            }
            None if interface.is_ours_and_there() => {
                let op = Op::DeleteLink(name.clone());
                delete.push(Step::new(StepKind::Link, StepAction::Delete, name, op));
            }
            None => {}
        }
    }
    add_routes(by_links, observed, wanted, &mut add);
    for (unit, running) in wanted.units.values().filter(|(unit, _)| !is_foreign(observed, unit)) {
        if *running == Some(true) && !needs_no_start(observed, unit) {
            add.push(Step::new(
                StepKind::Service,
                StepAction::Create,
                &unit.name,
                Op::StartUnit(Box::new(unit.clone())),
            ));
        } else if *running == Some(true) && observed.outdated_units.contains(&unit.name) {
            let op = Op::RenewUnit(Box::new(unit.clone()));
            add.push(Step::new(StepKind::Service, StepAction::Update, &unit.name, op));
        }
    }
    stop_by_the_old_unit(&mut add);
    add.append(&mut delete);
    let stale = observed.rules.difference(&wanted.rules).filter(|rule| !replaced.contains(rule));
    add.extend(stale.map(remove_rule));
    for route in observed.routes.difference(&wanted.routes) {
        let op = Op::RemoveRoute(Box::new(route.clone()));
        add.push(Step::new(StepKind::Route, StepAction::Delete, route_text(route), op));
    }
    add.extend(last);
    Ok(add)
}

/// Stops services before their unit becomes another one: only the one that started them knows what is to be taken away.
fn stop_by_the_old_unit(steps: &mut Vec<Step>) {
    for install in 0..steps.len() {
        let Op::InstallUnit(unit) = &steps[install].op else { continue };
        let is_stopped =
            |step: &Step| matches!(&step.op, Op::StopInterface(stopped) if stopped.name == unit.name);
        if let Some(stop) = steps[install..].iter().position(is_stopped) {
            let stop = steps.remove(install + stop);
            steps.insert(install, stop);
        }
    }
}

/// Something of somebody else in the place of something of ours, which stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// A file, or the file of a unit.
    File(PathBuf),
    /// A route in our table.
    Route(Box<Route>),
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Route(route) => route.fmt(f),
        }
    }
}

/// What is in the place of something of ours and is not ours, as far as that can be left as it is: files and unit files, and
/// routes in our table while ours are to be there.
pub fn foreign(observed: &Observed, wanted: &DesiredState) -> Vec<Foreign> {
    let not_ours = |now: &ObservedFile| now.owner == Owner::Foreign;
    let foreign =
        |path: &&PathBuf| observed.files.get(*path).is_some_and(|now| now.as_ref().is_some_and(not_ours));
    let files = wanted.files.iter().filter(|(_, file)| file.is_some()).map(|(path, _)| path);
    let units = observed.foreign_units.iter().map(|name| unit_file(name));
    let files = files.filter(foreign).cloned().chain(units).map(Foreign::File);
    let routes = observed.foreign_routes.iter().filter(|_| !wanted.routes.is_empty());
    files.chain(routes.map(|route| Foreign::Route(Box::new(route.clone())))).collect()
}

/// Where a unit's file is.
fn unit_file(name: &str) -> PathBuf {
    format!("/etc/systemd/system/{name}.service").into()
}

fn is_foreign(observed: &Observed, unit: &Unit) -> bool {
    observed.foreign_units.contains(&unit.name)
}

/// The steps that add those of these routes that are missing, behind the steps until then.
fn add_routes(routes: Vec<&Route>, observed: &Observed, wanted: &DesiredState, add: &mut Vec<Step>) {
    let missing: Vec<&Route> =
        routes.into_iter().filter(|route| is_missing(route, observed, wanted, add)).collect();
    add.extend(missing.into_iter().map(|route| {
        let differs = |other: &Route| other.takes_the_place_of(route) && other != route;
        let (action, op) = if observed.routes.iter().any(differs) {
            (StepAction::Update, Op::ReplaceRoute(Box::new(route.clone())))
        } else {
            (StepAction::Create, Op::AddRoute(Box::new(route.clone())))
        };
        Step::new(StepKind::Route, action, route_text(route), op)
    }));
}

/// The steps that add the rules that are missing; gives the rules of ours that they have replaced. The kernel takes a rule
/// that has everything that is wanted, and more, for the wanted one: it has to go first.
fn add_rules<'a>(
    observed: &'a Observed,
    wanted: &'a DesiredState,
    add: &mut Vec<Step>,
) -> BTreeSet<&'a PolicyRule> {
    let stale = || observed.rules.difference(&wanted.rules);
    let mut replaced = BTreeSet::new();
    for rule in wanted.rules.difference(&observed.rules) {
        for other in stale().filter(|other| other.is_narrower_than(rule)) {
            if replaced.insert(other) {
                add.push(remove_rule(other));
            }
        }
        let op = Op::AddRule(Box::new(rule.clone()));
        add.push(Step::new(StepKind::Rule, StepAction::Create, rule_text(rule), op));
    }
    replaced
}

fn remove_rule(rule: &PolicyRule) -> Step {
    Step::new(StepKind::Rule, StepAction::Delete, rule_text(rule), Op::RemoveRule(Box::new(rule.clone())))
}

/// Whether a route has to be added: it is not there or goes with a link that is made again. By an interface that is not
/// to run there is none, and none in the place of a route of somebody else.
fn is_missing(route: &Route, observed: &Observed, wanted: &DesiredState, steps: &[Step]) -> bool {
    if observed.foreign_routes.iter().any(|other| other.takes_the_place_of(route)) {
        return false;
    }
    let RouteKind::Via { interface, .. } = &route.kind else { return !observed.routes.contains(route) };
    let stopped =
        |(name, one): (&InterfaceName, &DesiredInterface)| name.as_str() == interface && !one.running;
    if wanted.interfaces.iter().any(stopped) {
        return false;
    }
    !observed.routes.contains(route) || steps.iter().any(|step| step.deletes_link(interface))
}

/// The kernel settings of an interface: a link that is made again begins with the defaults.
fn plan_settings(
    name: &InterfaceName,
    fresh: bool,
    observed: &Observed,
    wanted: &DesiredState,
    add: &mut Vec<Step>,
) {
    for (key, value) in wanted.sysctls.iter().filter(|(key, _)| is_setting_of(key, name)) {
        if !exists(key, observed) {
            continue;
        }
        let now = observed.sysctls.get(key).and_then(Option::as_ref);
        if fresh || now != Some(value) {
            add.push(set_sysctl(key, value));
        }
    }
}

/// The guard of an interface. A new link has none; there it is tried again on a kernel that had none.
fn plan_guard(
    name: &InterfaceName,
    fresh: bool,
    now: &ObservedInterface,
    wanted: &DesiredInterface,
    observed: &Observed,
    add: &mut Vec<Step>,
) {
    if let Some(guard) = &wanted.guard
        && (fresh || !now.guarded && !observed.no_guards)
    {
        let op = Op::SetGuard(name.clone(), Box::new(guard.clone()));
        add.push(Step::new(StepKind::Firewall, StepAction::Update, name, op));
    }
}

/// Whether the host can have such a kernel setting: one without IPv6 has none of IPv6.
fn exists(key: &str, observed: &Observed) -> bool {
    observed.ipv6 || !key.starts_with("net.ipv6.")
}

/// Whether a kernel setting is that of an interface, as in `net.ipv4.conf.wg_vpn.rp_filter`.
fn is_setting_of(key: &str, name: &InterfaceName) -> bool {
    let rest = key.strip_prefix("net.ipv4.conf.").or_else(|| key.strip_prefix("net.ipv6.conf."));
    rest.and_then(|rest| rest.split('.').next()) == Some(name.as_str())
}

fn set_sysctl(key: &str, value: &str) -> Step {
    let op = Op::SetSysctl(Box::new((key.to_owned(), value.to_owned())));
    Step::new(StepKind::Sysctl, StepAction::Update, key, op)
}

fn plan_files(observed: &Observed, wanted: &DesiredState, add: &mut Vec<Step>, delete: &mut Vec<Step>) {
    for (path, file) in &wanted.files {
        let now = observed.files.get(path).and_then(Option::as_ref);
        let ours = now.is_none_or(|now| now.owner != Owner::Foreign);
        let target = path.display();
        match (file, now) {
            (None, Some(_)) if ours => {
                delete.push(Step::new(
                    StepKind::File,
                    StepAction::Delete,
                    target,
                    Op::RemoveFile(path.clone()),
                ));
            }
            (Some(_), _) if !ours => {}
            (Some(_), Some(now)) if now.owner == Owner::KeyHolder => {
                let op = Op::ReplaceFile(path.clone());
                add.push(Step::new(StepKind::File, StepAction::Update, target, op));
            }
            (Some(_), None) => {
                add.push(Step::new(StepKind::File, StepAction::Create, target, Op::WriteFile(path.clone())));
            }
            (Some(_), Some(now)) if !now.same => {
                add.push(Step::new(StepKind::File, StepAction::Update, target, Op::WriteFile(path.clone())));
            }
            (Some(file), Some(now)) if file.mode != now.mode || !now.root => {
                let op = Op::SetMode(path.clone(), file.mode);
                add.push(Step::new(StepKind::File, StepAction::Update, target, op));
            }
            (None, _) | (Some(_), Some(_)) => {}
        }
    }
}

/// Files of ours that nobody wants; the kernel settings that they had changed go back to what they were.
fn plan_stale_files(observed: &Observed, wanted: &DesiredState, delete: &mut Vec<Step>) {
    for (path, before) in &observed.stale_files {
        for (key, value) in before {
            if !wanted.sysctls.contains_key(key) {
                let op = Op::SetSysctl(Box::new((key.clone(), value.clone())));
                delete.push(Step::new(StepKind::Sysctl, StepAction::Update, key, op));
            }
        }
        let op = Op::RemoveFile(path.clone());
        delete.push(Step::new(StepKind::File, StepAction::Delete, path.display(), op));
    }
}

/// The steps of the packet filter that come before all others; returns the one that comes behind all others.
fn plan_firewall(
    tags: &OwnershipTags,
    observed: &Observed,
    wanted: &DesiredState,
    add: &mut Vec<Step>,
) -> Option<Step> {
    let step = |action, op| Step::new(StepKind::Firewall, action, tags.nft_table(), op);
    let mut last = None;
    if wanted.firewall.is_empty() {
        // Until then it stays as it is.
        last = (observed.firewall != RulesetStatus::Missing)
            .then(|| step(StepAction::Delete, Op::RemoveFirewall));
    } else if observed.firewall != RulesetStatus::InSync {
        let absent = observed.firewall == RulesetStatus::Missing;
        let action = if absent { StepAction::Create } else { StepAction::Update };
        let leaving = |(name, now): (&InterfaceName, &ObservedInterface)| {
            (now.is_ours_and_there() && !wanted.interfaces.contains_key(name)).then(|| name.clone())
        };
        let leaving: Vec<InterfaceName> = observed.interfaces.iter().filter_map(leaving).collect();
        if leaving.is_empty() {
            add.push(step(action, Op::ReplaceFirewall));
        } else {
            add.push(step(action, Op::ReplaceFirewallAgainst(leaving)));
            last = Some(step(StepAction::Update, Op::ReplaceFirewall));
        }
    }
    if let Some(now) = &observed.ufw {
        let ours = now.without_limited(&wanted.ufw);
        for rule in ours.difference(&now.ours).filter(|_| now.active) {
            add.push(Step::new(
                StepKind::Firewall,
                StepAction::Create,
                ufw_text(rule),
                Op::AddUfw(rule.clone()),
            ));
        }
        for rule in now.ours.difference(&ours) {
            add.push(Step::new(
                StepKind::Firewall,
                StepAction::Delete,
                ufw_text(rule),
                Op::RemoveUfw(rule.clone()),
            ));
        }
    }
    last
}

fn plan_units(observed: &Observed, wanted: &DesiredState, add: &mut Vec<Step>, delete: &mut Vec<Step>) {
    let of_interfaces = wanted.interfaces.values().map(|interface| (&interface.unit, None));
    let others = wanted.units.values().map(|(unit, running)| (unit, *running));
    for (unit, running) in of_interfaces.chain(others) {
        let Some((state, installed)) = observed.units.get(&unit.name) else { continue };
        if is_foreign(observed, unit) {
            continue;
        }
        if !installed {
            let op = Op::InstallUnit(Box::new(unit.clone()));
            add.push(Step::new(StepKind::File, StepAction::Create, format!("{}.service", unit.name), op));
        }
        if running == Some(false) && is_up(*state) {
            delete.push(Step::new(
                StepKind::Service,
                StepAction::Delete,
                &unit.name,
                Op::StopUnit(Box::new(unit.clone())),
            ));
        }
    }
    for name in &observed.stale_units {
        delete.push(Step::new(StepKind::Service, StepAction::Delete, name, Op::UninstallUnit(name.clone())));
    }
}

fn is_up(state: ServiceState) -> bool {
    matches!(state, ServiceState::Active | ServiceState::Starting)
}

/// Whether a service runs, or somebody is starting it. The built-in supervisor starts one within a call of the holder of
/// the lock: one that is starting now has lost whoever started it, and nobody else would hear that it is ready.
fn needs_no_start(observed: &Observed, unit: &Unit) -> bool {
    match observed.units.get(&unit.name) {
        Some((ServiceState::Active, _)) => true,
        Some((ServiceState::Starting, _)) => observed.manager == ServiceManager::Systemd,
        _ => false,
    }
}

fn route_text(route: &Route) -> String {
    format!("{} table {}", route.destination, route.table)
}

fn rule_text(rule: &PolicyRule) -> String {
    let from = rule.from.map_or_else(|| "all".to_owned(), |from| from.to_string());
    let action = match rule.action {
        RuleAction::Lookup(table) => format!("table {table}"),
        RuleAction::Unreachable => "unreachable".to_owned(),
        RuleAction::Other(number) => format!("action {number}"),
    };
    format!("{} from {from} {action}", rule.priority)
}

fn ufw_text(rule: &UfwRule) -> String {
    let word = |protocol| match protocol {
        crate::Protocol::Tcp => "tcp",
        crate::Protocol::Udp => "udp",
    };
    match rule {
        UfwRule::Allow { protocol, port } => format!("ufw allow {port}/{}", word(*protocol)),
        UfwRule::Deny { protocol, port } => format!("ufw deny {port}/{}", word(*protocol)),
        UfwRule::RouteFrom { interface } => format!("ufw route allow in on {interface}"),
    }
}
