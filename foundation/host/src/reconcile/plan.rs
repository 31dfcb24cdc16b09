//! Which steps are missing: a pure function.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use ipnetwork::IpNetwork;
use phantom_types::{Backend, InterfaceName, PublicKey};

use super::{Observed, ObservedInterface, Wanted, WantedInterface, WantedPeer};
use crate::{
    DeviceUpdate, HostError, InForce, LinkChange, LinkKind, Marks, Peer, PeerConfig, PeerUpdate, Result,
    Route, Rule, ServiceState, UfwRule, Unit,
};

/// What a step is about; the words of the API (5.18).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StepKind {
    /// A file.
    File,
    /// A network interface or its device.
    Link,
    /// An address.
    Address,
    /// A peer.
    Peer,
    /// A route.
    Route,
    /// A policy rule.
    Rule,
    /// Packet filter, NAT, ufw.
    Firewall,
    /// A kernel setting.
    Sysctl,
    /// A service.
    Service,
}

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StepAction {
    /// Adds what is missing.
    Create,
    /// Corrects what is different.
    Update,
    /// Removes what should not be there.
    Delete,
}

/// One step from what is to what is wanted. Each is correct by itself: stopping after any of them leaves nothing
/// worse than before.
#[derive(Clone, Debug)]
pub struct Step {
    /// What it is about.
    pub kind: StepKind,
    /// What it does.
    pub action: StepAction,
    /// The object, as in `wg_main 10.8.0.2/32`.
    pub target: String,
    /// For a peer: whose it is, where that is known.
    pub owner: Option<String>,
    pub(super) op: Op,
}

/// What is done on the host.
#[derive(Clone, Debug)]
pub(super) enum Op {
    WriteFile(PathBuf),
    RemoveFile(PathBuf),
    RemoveClaim(PathBuf),
    SetMode(PathBuf, u32),
    SetSysctl(String, String),
    ReplaceFirewall,
    RemoveFirewall,
    AddUfw(UfwRule),
    RemoveUfw(UfwRule),
    InstallUnit(Unit),
    UninstallUnit(String),
    StartUnit(Unit),
    StopUnit(Unit),
    /// Starts or stops the service of an interface: its own hooks must not do this change's work again.
    StartInterface(Unit),
    StopInterface(Unit),
    CreateLink(InterfaceName),
    SetLink(InterfaceName, LinkChange),
    DeleteLink(InterfaceName),
    Configure(InterfaceName, Backend, Box<DeviceUpdate>),
    SetPeer(InterfaceName, Backend, PeerUpdate),
    AddAddress(InterfaceName, IpNetwork),
    RemoveAddress(InterfaceName, IpNetwork),
    AddRoute(Route),
    RemoveRoute(Route),
    AddRule(Rule),
    RemoveRule(Rule),
}

/// The steps from what was observed to what is wanted, in an order that never opens what should be closed: the
/// packet filter stands before there is anything to filter, what is added comes before what is removed, and the
/// packet filter goes last.
///
/// # Errors
/// [`HostError::Foreign`] when something that is not ours stands where something of ours belongs.
pub fn plan(marks: &Marks, observed: &Observed, wanted: &Wanted) -> Result<Vec<Step>> {
    let mut add = Vec::new();
    let mut delete = Vec::new();
    plan_files(marks, observed, wanted, &mut add, &mut delete)?;
    for (key, value) in &wanted.sysctls {
        if observed.sysctls.get(key).is_some_and(|now| now.as_ref() != Some(value)) {
            add.push(step(
                StepKind::Sysctl,
                StepAction::Update,
                key,
                Op::SetSysctl(key.clone(), value.clone()),
            ));
        }
    }
    plan_stale_files(observed, wanted, &mut delete);
    for claim in &observed.stale_claims {
        delete.push(step(
            StepKind::File,
            StepAction::Delete,
            claim.display(),
            Op::RemoveClaim(claim.clone()),
        ));
    }
    plan_firewall(marks, observed, wanted, &mut add);
    plan_units(observed, wanted, &mut add, &mut delete);
    for (name, interface) in &observed.interfaces {
        match wanted.interfaces.get(name) {
            Some(wanted) => plan_interface(marks, name, interface, wanted, observed, &mut add)?,
            None if interface.link.is_some() => {
                delete.push(step(StepKind::Link, StepAction::Delete, name, Op::DeleteLink(name.clone())));
            }
            None => {}
        }
    }
    for route in wanted.routes.difference(&observed.routes) {
        add.push(step(StepKind::Route, StepAction::Create, route_text(route), Op::AddRoute(route.clone())));
    }
    for rule in wanted.rules.difference(&observed.rules) {
        add.push(step(StepKind::Rule, StepAction::Create, rule_text(rule), Op::AddRule(rule.clone())));
    }
    for (unit, running) in wanted.units.values() {
        let state = observed.units.get(&unit.name).map_or(ServiceState::Inactive, |unit| unit.0);
        if *running == Some(true) && !is_up(state) {
            add.push(step(StepKind::Service, StepAction::Create, &unit.name, Op::StartUnit(unit.clone())));
        }
    }
    let mut removals = Vec::new();
    for rule in observed.rules.difference(&wanted.rules) {
        removals.push(step(
            StepKind::Rule,
            StepAction::Delete,
            rule_text(rule),
            Op::RemoveRule(rule.clone()),
        ));
    }
    for route in observed.routes.difference(&wanted.routes) {
        removals.push(step(
            StepKind::Route,
            StepAction::Delete,
            route_text(route),
            Op::RemoveRoute(route.clone()),
        ));
    }
    removals.append(&mut delete);
    if wanted.firewall.is_empty() && observed.firewall != InForce::Absent {
        removals.push(step(StepKind::Firewall, StepAction::Delete, marks.nft_table(), Op::RemoveFirewall));
    }
    add.append(&mut removals);
    Ok(add)
}

#[expect(clippy::needless_pass_by_value, reason = "names, paths and texts alike, at the call without a sign")]
fn step(kind: StepKind, action: StepAction, target: impl ToString, op: Op) -> Step {
    Step { kind, action, target: target.to_string(), owner: None, op }
}

fn plan_files(
    marks: &Marks,
    observed: &Observed,
    wanted: &Wanted,
    add: &mut Vec<Step>,
    delete: &mut Vec<Step>,
) -> Result<()> {
    for (path, file) in &wanted.files {
        let now = observed.files.get(path).and_then(Option::as_ref);
        let ours = now.is_none_or(|file| marks.owns_file(&file.content));
        let target = path.display();
        match (file, now) {
            (None, Some(_)) if ours => {
                delete.push(step(StepKind::File, StepAction::Delete, target, Op::RemoveFile(path.clone())));
            }
            (Some(_), _) if !ours => return Err(HostError::Foreign { object: target.to_string() }),
            (Some(_), None) => {
                add.push(step(StepKind::File, StepAction::Create, target, Op::WriteFile(path.clone())));
            }
            (Some(file), Some(now)) if !(file.same)(&now.content, &file.content) => {
                add.push(step(StepKind::File, StepAction::Update, target, Op::WriteFile(path.clone())));
            }
            (Some(file), Some(now)) if file.mode != now.mode || !now.root => {
                let op = Op::SetMode(path.clone(), file.mode);
                add.push(step(StepKind::File, StepAction::Update, target, op));
            }
            (None, _) | (Some(_), Some(_)) => {}
        }
    }
    Ok(())
}

/// What starts a line of a file of ours that says what a kernel setting was before us, as in
/// `# before: net.ipv4.ip_forward = 0`.
pub const BEFORE: &str = "# before: ";

/// Files of ours that nobody wants; the kernel settings that they had changed go back to what they were.
fn plan_stale_files(observed: &Observed, wanted: &Wanted, delete: &mut Vec<Step>) {
    for (path, file) in &observed.stale_files {
        let text = String::from_utf8_lossy(&file.content);
        for (key, value) in text.lines().filter_map(|line| line.strip_prefix(BEFORE)?.split_once(" = ")) {
            if !wanted.sysctls.contains_key(key) {
                let op = Op::SetSysctl(key.to_owned(), value.to_owned());
                delete.push(step(StepKind::Sysctl, StepAction::Update, key, op));
            }
        }
        delete.push(step(StepKind::File, StepAction::Delete, path.display(), Op::RemoveFile(path.clone())));
    }
}

fn plan_firewall(marks: &Marks, observed: &Observed, wanted: &Wanted, add: &mut Vec<Step>) {
    if !wanted.firewall.is_empty() && observed.firewall != InForce::Same {
        let absent = observed.firewall == InForce::Absent;
        let action = if absent { StepAction::Create } else { StepAction::Update };
        add.push(step(StepKind::Firewall, action, marks.nft_table(), Op::ReplaceFirewall));
    }
    if let Some(now) = &observed.ufw {
        for rule in wanted.ufw.difference(now) {
            add.push(step(StepKind::Firewall, StepAction::Create, ufw_text(rule), Op::AddUfw(rule.clone())));
        }
        for rule in now.difference(&wanted.ufw) {
            add.push(step(
                StepKind::Firewall,
                StepAction::Delete,
                ufw_text(rule),
                Op::RemoveUfw(rule.clone()),
            ));
        }
    }
}

fn plan_units(observed: &Observed, wanted: &Wanted, add: &mut Vec<Step>, delete: &mut Vec<Step>) {
    let of_interfaces = wanted.interfaces.values().map(|interface| (&interface.unit, None));
    let others = wanted.units.values().map(|(unit, running)| (unit, *running));
    for (unit, running) in of_interfaces.chain(others) {
        let Some((state, installed)) = observed.units.get(&unit.name) else { continue };
        if !installed {
            let op = Op::InstallUnit(unit.clone());
            add.push(step(StepKind::File, StepAction::Create, format!("{}.service", unit.name), op));
        }
        if running == Some(false) && is_up(*state) {
            delete.push(step(StepKind::Service, StepAction::Delete, &unit.name, Op::StopUnit(unit.clone())));
        }
    }
    for name in &observed.stale_units {
        delete.push(step(StepKind::Service, StepAction::Delete, name, Op::UninstallUnit(name.clone())));
    }
}

fn is_up(state: ServiceState) -> bool {
    matches!(state, ServiceState::Active | ServiceState::Starting)
}

fn plan_interface(
    marks: &Marks,
    name: &InterfaceName,
    now: &ObservedInterface,
    wanted: &WantedInterface,
    observed: &Observed,
    add: &mut Vec<Step>,
) -> Result<()> {
    // Where nothing of ours shall run, a link of somebody else is in nobody's way.
    if !now.ours && wanted.running {
        return Err(HostError::Foreign { object: format!("interface {name}") });
    }
    let unit_up = observed.units.get(&wanted.unit.name).is_some_and(|unit| is_up(unit.0));
    let kind = now.link.as_ref().map(|link| match link.kind {
        LinkKind::WireGuard => Some(Backend::Kernel),
        LinkKind::Tun => Some(Backend::Embedded),
        LinkKind::Other(_) => None,
    });
    let fits = kind == Some(Some(wanted.backend));
    let restart = kind.is_some() && !fits;
    let embedded = wanted.backend == Backend::Embedded;
    let silent = embedded && now.device.is_none();
    // A process that serves nothing, or is about to end because its link is gone, would count as started.
    if unit_up && (!wanted.running || restart || silent) {
        add.push(step(
            StepKind::Service,
            StepAction::Delete,
            &wanted.unit.name,
            Op::StopInterface(wanted.unit.clone()),
        ));
    }
    if now.link.is_some() && now.ours && (!wanted.running || restart) {
        add.push(step(StepKind::Link, StepAction::Delete, name, Op::DeleteLink(name.clone())));
    }
    if !wanted.running {
        return Ok(());
    }
    if wanted.backend == Backend::Kernel && !fits {
        add.push(step(StepKind::Link, StepAction::Create, name, Op::CreateLink(name.clone())));
    }
    let starts = !unit_up || restart || silent;
    if starts {
        let op = Op::StartInterface(wanted.unit.clone());
        add.push(step(StepKind::Service, StepAction::Create, &wanted.unit.name, op));
    }
    // A process that is started knows nothing of what another one, which its service has lost, was told.
    let device = now.device.as_ref().filter(|_| fits && !(starts && embedded));
    let now_addresses = Some(&now.addresses).filter(|_| fits);
    plan_device(name, device, wanted, add);
    for address in
        wanted.addresses.iter().filter(|address| now_addresses.is_none_or(|now| !now.contains(address)))
    {
        let op = Op::AddAddress(name.clone(), *address);
        add.push(step(StepKind::Address, StepAction::Create, format!("{name} {address}"), op));
    }
    for address in now_addresses.into_iter().flatten().filter(|address| !wanted.addresses.contains(address)) {
        let op = Op::RemoveAddress(name.clone(), *address);
        add.push(step(StepKind::Address, StepAction::Delete, format!("{name} {address}"), op));
    }
    let link = now.link.as_ref().filter(|_| fits);
    let change = LinkChange {
        alias: Some(marks.text()).filter(|text| link.and_then(|link| link.alias.as_ref()) != Some(text)),
        mtu: Some(wanted.mtu).filter(|mtu| link.map(|link| link.mtu) != Some(*mtu)),
        up: Some(true).filter(|_| !link.is_some_and(|link| link.up)),
    };
    if change != LinkChange::default() {
        add.push(step(StepKind::Link, StepAction::Update, name, Op::SetLink(name.clone(), change)));
    }
    Ok(())
}

fn plan_device(
    name: &InterfaceName,
    now: Option<&crate::Device>,
    wanted: &WantedInterface,
    add: &mut Vec<Step>,
) {
    let device = &wanted.device;
    let private_key =
        Some(&device.private_key).filter(|key| now.and_then(|now| now.private_key.as_ref()) != Some(key));
    let update = DeviceUpdate {
        private_key: private_key.cloned(),
        listen_port: device.listen_port.filter(|port| now.map(|now| now.listen_port) != Some(*port)),
        fwmark: Some(device.fwmark).filter(|mark| now.map_or(0, |now| now.fwmark) != *mark),
        ..DeviceUpdate::default()
    };
    if update != DeviceUpdate::default() {
        let op = Op::Configure(name.clone(), wanted.backend, Box::new(update));
        add.push(step(StepKind::Link, StepAction::Update, name, op));
    }
    let Some(peers) = &device.peers else { return };
    let mut present: HashMap<&PublicKey, &Peer> = HashMap::new();
    for peer in now.into_iter().flat_map(|now| &now.peers) {
        present.insert(&peer.config.public_key, peer);
    }
    for peer in peers {
        let action = match present.remove(&peer.config.public_key) {
            None => StepAction::Create,
            Some(now) if !same_peer(&now.config, &peer.config) => StepAction::Update,
            Some(_) => continue,
        };
        add.push(peer_step(name, wanted.backend, action, peer));
    }
    let stale: BTreeMap<&PublicKey, &Peer> = present.into_iter().collect();
    for (key, peer) in stale {
        let target = format!("{name} {}", addresses_text(&peer.config));
        let op = Op::SetPeer(name.clone(), wanted.backend, PeerUpdate::Remove(*key));
        add.push(step(StepKind::Peer, StepAction::Delete, target, op));
    }
}

fn peer_step(name: &InterfaceName, backend: Backend, action: StepAction, peer: &WantedPeer) -> Step {
    let target = format!("{name} {}", addresses_text(&peer.config));
    let op = Op::SetPeer(name.clone(), backend, PeerUpdate::Set(peer.config.clone()));
    Step { owner: Some(peer.owner.clone()), ..step(StepKind::Peer, action, target, op) }
}

/// Whether the peer on the device is as wanted. Its end point is only compared when one is wanted: it roams.
fn same_peer(now: &PeerConfig, wanted: &PeerConfig) -> bool {
    let same_ips = now.allowed_ips == wanted.allowed_ips || {
        let sorted = |ips: &[IpNetwork]| {
            let mut ips = ips.to_vec();
            ips.sort_unstable();
            ips.dedup();
            ips
        };
        sorted(&now.allowed_ips) == sorted(&wanted.allowed_ips)
    };
    same_ips
        && now.preshared_key == wanted.preshared_key
        && now.keepalive.unwrap_or(0) == wanted.keepalive.unwrap_or(0)
        && (wanted.endpoint.is_none() || now.endpoint == wanted.endpoint)
}

fn addresses_text(peer: &PeerConfig) -> String {
    let list: Vec<String> = peer.allowed_ips.iter().map(ToString::to_string).collect();
    if list.is_empty() { peer.public_key.to_string() } else { list.join(",") }
}

fn route_text(route: &Route) -> String {
    format!("{} table {}", route.destination, route.table)
}

fn rule_text(rule: &Rule) -> String {
    let from = rule.from.map_or_else(|| "all".to_owned(), |from| from.to_string());
    format!("{} from {from} table {}", rule.priority, rule.table)
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
