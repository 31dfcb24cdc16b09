//! The steps of one interface: its service, its link, its device, its peers, its addresses.

use std::sync::Arc;

use ipnetwork::IpNetwork;
use phantom_types::{Backend, InterfaceName};

use super::{is_foreign, is_up, needs_no_start, unit_file};
use crate::reconcile::step::{Op, Step, StepAction, StepKind};
use crate::reconcile::{
    DesiredInterface, DesiredPeer, LastEndpoints, Observed, ObservedInterface, last_endpoints,
};
use crate::{Device, DeviceUpdate, HostError, LinkChange, LinkKind, OwnershipTags, Peer, PeerConfig, Result};

/// Room for the steps that come after those of peers.
const OTHERS: usize = 32;

pub(super) fn plan(
    tags: &OwnershipTags,
    name: &InterfaceName,
    now: &ObservedInterface,
    wanted: &DesiredInterface,
    observed: &Observed,
    add: &mut Vec<Step>,
) -> Result<()> {
    // Where nothing of ours shall run, a link of somebody else is in nobody's way.
    if !now.ours && wanted.running {
        return Err(HostError::Foreign { object: format!("interface {name}") });
    }
    let embedded = wanted.backend == Backend::Embedded;
    let foreign = is_foreign(observed, &wanted.unit);
    let unit_up = !foreign && observed.units.get(&wanted.unit.name).is_some_and(|unit| is_up(unit.0));
    let kind = now.link.as_ref().map(|link| match link.kind {
        LinkKind::WireGuard => Some(Backend::Kernel),
        LinkKind::Tun => Some(Backend::Embedded),
        LinkKind::Other(_) => None,
    });
    let fits = kind == Some(Some(wanted.backend));
    let restart = kind.is_some() && !fits;
    let silent = embedded && now.device.is_none();
    // Its process is that of the unit, which is not ours to start or to stop.
    if foreign && embedded && if wanted.running { restart || silent } else { now.link.is_some() } {
        let object = unit_file(&wanted.unit.name).display().to_string();
        return Err(HostError::Foreign { object });
    }
    // A process that serves nothing, or is about to end because its link is gone, would count as started.
    if unit_up && (!wanted.running || restart || silent) {
        add.push(Step::new(
            StepKind::Service,
            StepAction::Delete,
            &wanted.unit.name,
            Op::StopInterface(Box::new(wanted.unit.clone())),
        ));
    }
    if now.link.is_some() && now.ours && (!wanted.running || restart) {
        add.push(Step::new(StepKind::Link, StepAction::Delete, name, Op::DeleteLink(name.clone())));
    }
    if !wanted.running {
        return Ok(());
    }
    if wanted.backend == Backend::Kernel && !fits {
        add.push(Step::new(StepKind::Link, StepAction::Create, name, Op::CreateLink(name.clone())));
    }
    let starts = !foreign && (!needs_no_start(observed, &wanted.unit) || restart || silent);
    if starts {
        let op = Op::StartInterface(Box::new(wanted.unit.clone()));
        add.push(Step::new(StepKind::Service, StepAction::Create, &wanted.unit.name, op));
    }
    // A process that is started knows nothing of what another one, which its service has lost, was told.
    let device = now.device.as_ref().filter(|_| fits && !(starts && embedded));
    plan_device(name, device, &now.told, wanted, add);
    plan_addresses(name, now, fits, wanted, add);
    let link = now.link.as_ref().filter(|_| fits);
    let change = LinkChange {
        alias: Some(tags.tag()).filter(|text| link.and_then(|link| link.alias.as_ref()) != Some(text)),
        mtu: Some(wanted.mtu).filter(|mtu| link.map(|link| link.mtu) != Some(*mtu)),
        up: Some(true).filter(|_| !link.is_some_and(|link| link.up)),
    };
    if change != LinkChange::default() {
        add.push(Step::new(
            StepKind::Link,
            StepAction::Update,
            name,
            Op::SetLink(name.clone(), Box::new(change)),
        ));
    }
    Ok(())
}

/// The addresses of the link. One that does not fit is made again, and has none.
fn plan_addresses(
    name: &InterfaceName,
    now: &ObservedInterface,
    fits: bool,
    wanted: &DesiredInterface,
    add: &mut Vec<Step>,
) {
    let now_addresses = Some(&now.addresses).filter(|_| fits);
    // The kernel makes a local route with its address alone, so that the address goes and comes again.
    for address in now.not_local.iter().filter(|address| fits && wanted.addresses.contains(address)) {
        add.push(remove_address(name, address));
    }
    // The kernel keeps an IPv6 address once, whatever its prefix length, so that the other one goes first.
    let in_the_way = |address: &&IpNetwork| {
        address.is_ipv6()
            && !wanted.addresses.contains(address)
            && wanted.addresses.iter().any(|other| other.ip() == address.ip())
    };
    let stale = || now_addresses.into_iter().flatten().filter(|one| !wanted.addresses.contains(one));
    for address in stale().filter(in_the_way) {
        add.push(remove_address(name, address));
    }
    for address in wanted.addresses.iter().filter(|address| {
        now.not_local.contains(address) || now_addresses.is_none_or(|now| !now.contains(address))
    }) {
        let op = Op::AddAddress(name.clone(), *address);
        add.push(Step::new(StepKind::Address, StepAction::Create, format!("{name} {address}"), op));
    }
    for address in stale().filter(|address| !in_the_way(address)) {
        add.push(remove_address(name, address));
    }
}

fn remove_address(name: &InterfaceName, address: &IpNetwork) -> Step {
    let op = Op::RemoveAddress(name.clone(), *address);
    Step::new(StepKind::Address, StepAction::Delete, format!("{name} {address}"), op)
}

fn plan_device(
    name: &InterfaceName,
    now: Option<&Device>,
    told: &LastEndpoints,
    wanted: &DesiredInterface,
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
        add.push(Step::new(StepKind::Link, StepAction::Update, name, op));
    }
    if let Some(peers) = &device.peers {
        plan_peers(name, now.map_or(&[], |now| &now.peers), told, peers, add);
    }
}

/// Steps for peers come in thousands: their room is made once, and they share what they can.
fn plan_peers(
    name: &InterfaceName,
    now: &[Peer],
    told: &LastEndpoints,
    wanted: &[DesiredPeer],
    add: &mut Vec<Step>,
) {
    let key = |peer: &Peer| peer.config.public_key;
    let mut present: Vec<&Peer> = now.iter().collect();
    present.sort_unstable_by_key(|peer| key(peer));
    let mut stale = vec![true; present.len()];
    let mut missing: Vec<(usize, StepAction)> = Vec::new();
    for (at, peer) in wanted.iter().enumerate() {
        match present.binary_search_by_key(&peer.config.public_key, |peer| key(peer)) {
            Err(_) => missing.push((at, StepAction::Create)),
            Ok(place) => {
                stale[place] = false;
                let now = present[place];
                if !(same_peer(&now.config, &peer.config)
                    && last_endpoints::is_right(now, &peer.config, told))
                {
                    missing.push((at, StepAction::Update));
                }
            }
        }
    }
    let stale: Vec<&Peer> =
        present.into_iter().zip(stale).filter_map(|(peer, stale)| stale.then_some(peer)).collect();
    add.reserve(missing.len() + stale.len() + OTHERS);
    let interface = Arc::new(name.clone());
    for (at, action) in missing {
        let DesiredPeer { config, owner } = &wanted[at];
        let step =
            Step::new(StepKind::Peer, action, target(name, config), Op::SetPeer(interface.clone(), at));
        add.push(Step { owner: Some(owner.clone()), ..step });
    }
    for peer in stale {
        let op = Op::RemovePeer(interface.clone(), key(peer));
        add.push(Step::new(StepKind::Peer, StepAction::Delete, target(name, &peer.config), op));
    }
}

/// Whether the peer on the device is as wanted, but for its end point.
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
}

/// How a step names a peer: by its addresses, or by its key when it has none.
fn target(name: &InterfaceName, peer: &PeerConfig) -> String {
    use std::fmt::Write as _;
    // Writing to a string does not fail. Room for an interface and an IPv4 network; most need no more.
    let mut text = String::with_capacity(32);
    text.push_str(name.as_str());
    for (at, network) in peer.allowed_ips.iter().enumerate() {
        text.push(if at == 0 { ' ' } else { ',' });
        let _ = write!(text, "{network}");
    }
    if peer.allowed_ips.is_empty() {
        let _ = write!(text, " {}", peer.public_key);
    }
    text
}
