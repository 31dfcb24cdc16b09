//! Multihop's part of the desired state: the way to the exit, and a wall round every other way.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use ipnetwork::{IpNetwork, Ipv4Network};
use phantom_engine::{DesiredState, Installation};
use phantom_host::reconcile::{DesiredDevice, DesiredInterface, DesiredPeer};
use phantom_host::{
    Hook, LinkGuard, Match, OwnershipTags, PeerConfig, PolicyRule, Protocol, Route, RouteKind, RuleAction,
    Ruleset, Verdict,
};
use phantom_store::{Server, State, StoreError};
use phantom_types::{ClientConfig, ExitName, InterfaceName};
use zeroize::Zeroizing;

use crate::collision::{judge, withheld};
use crate::model::{Exit, Multihop as Stored};
use crate::rows::MultihopState as _;
use crate::units::{exit_unit, units};

/// Place of the rules: before those of modules that only accept.
const ORDER: u16 = 100;
/// Place of the rules about what comes from elsewhere: behind those about the exit's interface.
const ELSEWHERE: u16 = 200;
/// The main routing table (`RT_TABLE_MAIN`).
const MAIN_TABLE: u32 = 254;
/// Metric of the routes that lead nowhere: behind the one to the exit.
const LAST: u32 = 4_000_000_000;
/// TCP and IPv4 headers without options.
const HEADERS: u16 = 40;

/// Adds Multihop's part.
pub(crate) fn desired(
    installation: &Installation,
    state: &State<'_>,
    wanted: &mut DesiredState,
) -> Result<(), StoreError> {
    for exit in state.exits()? {
        wanted.file(exit_file(installation, &exit.name), 0o600, exit_text(installation, &exit).as_bytes());
    }
    let (Some(server), Some(stored), Some(interface)) =
        (state.server()?, state.multihop()?, state.exit_interface()?)
    else {
        return Ok(());
    };
    let Some(exit) = state.exit(&stored.active_exit)? else { return Ok(()) };
    let at = stored.endpoint_address.or_else(|| exit.endpoint.socket_addr());
    let fits = fits(installation, state, &exit, at, wanted)?;
    // Where an exit is not brought up nobody waits for it to answer again: clients stay blocked, whatever was chosen for that.
    let stored = Stored { kill_switch: stored.kill_switch || !fits, ..stored };
    let place = (installation, &server, &interface);
    wanted.interfaces.insert(interface.clone(), desired_interface(place, &exit, at, fits));
    if fits {
        reply_route(installation, &stored, &exit, wanted);
    }
    if let Some((name, at)) = &stored.staged
        && let (Some(exit), Some(beside)) = (state.exit(name)?, standby_interface(&interface))
    {
        let fits = self::fits(installation, state, &exit, Some(*at), wanted)?;
        let mut staged = desired_interface((installation, &server, &beside), &exit, Some(*at), fits);
        // Nothing is to come in by it: the handshake is the device's own.
        staged.guard.get_or_insert_default().destinations.clear();
        wanted.interfaces.insert(beside, staged);
        if fits {
            reply_route(installation, &stored, &exit, wanted);
        }
    }
    policy_routes(place, &stored, wanted);
    firewall(&server, &stored, &interface, &exit, &mut wanted.firewall);
    if fits {
        only_by_the_exit(&server, &exit, &mut wanted.firewall);
    }
    if stored.staged.is_some()
        && let Some(beside) = standby_interface(&interface)
    {
        let there = vec![Match::In { interface: beside.to_string(), not: false }];
        wanted.firewall.add(Hook::Prerouting, ORDER, there, Verdict::Drop);
    }
    settings(installation, wanted);
    let table = format!("{}\n{} multihop\n", installation.tags.first_line(), installation.tags.exit_table());
    wanted.file(format!("/etc/iproute2/rt_tables.d/{}.conf", installation.tags.tag()), 0o644, table);
    if installation.networkd {
        networkd(installation, &interface, wanted);
    }
    units(installation, &server, &interface, wanted);
    Ok(())
}

/// Whether an exit can be brought up; where it collides with the host, that is said. Neither its interface nor the rule for
/// its address may then be there: what the server answers from an address that is its own would not leave any more.
fn fits(
    installation: &Installation,
    state: &State<'_>,
    exit: &Exit,
    at: Option<SocketAddr>,
    wanted: &mut DesiredState,
) -> Result<bool, StoreError> {
    let found = judge(installation, state, exit, at)?;
    if !found.is_empty() {
        wanted.withheld.push(withheld(&exit.name, &found));
    }
    Ok(found.is_empty())
}

/// The interface by which an exit is tried beside the one in use; none where the name has no room for more.
pub(crate) fn standby_interface(interface: &InterfaceName) -> Option<InterfaceName> {
    format!("{interface}_new").parse().ok()
}

/// Whether a link of this name is the interface that leads to the exit, or the one by which another is tried beside it.
pub(crate) fn leads_to_exit(interface: &InterfaceName, name: &str) -> bool {
    interface.as_str() == name || standby_interface(interface).is_some_and(|beside| beside.as_str() == name)
}

/// Our address in the network of an exit. Of several it is the lowest, and the interface has this one alone: the kernel would
/// take the one that it has had for longest for packets that leave, and after a switch that could be any of them.
pub(crate) fn vpn_ip(exit: &Exit) -> Option<Ipv4Addr> {
    exit.addresses.iter().map(|network| network.ip()).min()
}

/// The same as a network of one address: a whole network would get a route, and could hide one of the server's own.
fn own_address(exit: &Exit) -> Option<IpNetwork> {
    vpn_ip(exit).map(|address| IpNetwork::V4(Ipv4Network::from(address)))
}

/// An installation, its server, and an interface that leads to an exit.
type ExitPlace<'a> = (&'a Installation, &'a Server, &'a InterfaceName);

fn desired_interface(
    (installation, server, interface): ExitPlace<'_>,
    exit: &Exit,
    at: Option<SocketAddr>,
    fits: bool,
) -> DesiredInterface {
    let config = PeerConfig {
        public_key: exit.public_key,
        preshared_key: exit.preshared_key.clone(),
        endpoint: at,
        keepalive: Some(exit.keepalive),
        allowed_ips: exit.allowed_ips.clone(),
    };
    DesiredInterface {
        backend: server.backend,
        running: fits && installation.runs(server),
        addresses: own_address(exit).into_iter().collect(),
        mtu: exit.mtu.into(),
        guard: Some(guard(exit)),
        unit: exit_unit(installation, server, interface, exit),
        device: DesiredDevice {
            private_key: exit.private_key.clone(),
            listen_port: None,
            fwmark: 0,
            peers: Some(vec![DesiredPeer { config, owner: exit.name.as_str().into() }]),
        },
    }
}

/// What holds without a packet filter: nothing leaves without NAT, and the exit reaches nothing but answers.
fn guard(exit: &Exit) -> LinkGuard {
    let addresses: BTreeSet<IpAddr> = vpn_ip(exit).map(IpAddr::V4).into_iter().collect();
    LinkGuard { sources: addresses.clone(), destinations: addresses }
}

/// Settings of the interfaces of exits. The kernel drops what comes in from where its answer would not go: of all addresses
/// of the server, only those whose packets go to the exit are reached from there. Whoever sets all interfaces to 2 undoes
/// that; packet filter and guard do not depend on it. An exit without an IPv6 address gets none from the kernel either.
fn settings(installation: &Installation, wanted: &mut DesiredState) {
    let exits = wanted.interfaces.iter().filter(|(_, interface)| interface.guard.is_some());
    let mut settings = Vec::new();
    for (name, interface) in exits {
        settings.push((format!("net.ipv4.conf.{name}.rp_filter"), "1"));
        if !interface.addresses.iter().any(IpNetwork::is_ipv6) {
            settings.push((format!("net.ipv6.conf.{name}.disable_ipv6"), "1"));
        }
    }
    // systemd sets those of a new interface too, and by what it reads here.
    let lines = settings.iter().map(|(key, value)| format!("-{key} = {value}\n"));
    let text = format!("{}\n{}", installation.tags.first_line(), lines.collect::<String>());
    wanted.file(format!("/etc/sysctl.d/90-{}-exit.conf", installation.tags.tag()), 0o644, text);
    wanted.sysctls.extend(settings.into_iter().map(|(key, value)| (key, value.to_owned())));
}

/// Packets of clients ask a table of their own, in which the last word is "nowhere", and so is that of the rule behind it:
/// whoever empties the table has not taken it away.
fn policy_routes(
    (installation, server, interface): ExitPlace<'_>,
    stored: &Stored,
    wanted: &mut DesiredState,
) {
    let (tags, subnet) = (&installation.tags, IpNetwork::V4(server.subnet.into()));
    let everywhere = |ipv6: bool| if ipv6 { "::/0" } else { "0.0.0.0/0" };
    let route = |ipv6, metric, kind| {
        let destination = everywhere(ipv6).parse().ok()?;
        let (table, protocol) = (tags.exit_table(), OwnershipTags::PROTOCOL);
        Some(Route { table, destination, metric, kind, source: None, protocol })
    };
    let out = RouteKind::Via { interface: interface.to_string(), gateway: None };
    wanted.routes.extend(route(false, 0, out));
    if stored.kill_switch {
        wanted
            .routes
            .extend([false, true].into_iter().filter_map(|six| route(six, LAST, RouteKind::Unreachable)));
    }
    let six = server.subnet6.map(IpNetwork::V6);
    for (ipv6, network) in [(false, Some(subnet)), (true, six)] {
        let Some(network) = network else { continue };
        let main = RuleAction::Lookup(MAIN_TABLE);
        wanted.rules.insert(rule_from(tags.local_priority(), ipv6, network, Some(network), main));
        wanted.rules.extend(exit_rules(installation, stored, ipv6, network));
    }
}

/// Packets from there ask the exit's table, and with a kill switch nobody else.
fn exit_rules(
    installation: &Installation,
    stored: &Stored,
    ipv6: bool,
    from: IpNetwork,
) -> impl Iterator<Item = PolicyRule> {
    let tags = &installation.tags;
    let table = RuleAction::Lookup(tags.exit_table());
    let last = stored
        .kill_switch
        .then(|| rule_from(tags.last_priority(), ipv6, from, None, RuleAction::Unreachable));
    std::iter::once(rule_from(tags.exit_priority(), ipv6, from, None, table)).chain(last)
}

fn rule_from(
    priority: u32,
    ipv6: bool,
    from: IpNetwork,
    to: Option<IpNetwork>,
    action: RuleAction,
) -> PolicyRule {
    PolicyRule {
        priority,
        ipv6,
        from: Some(from),
        to,
        in_interface: None,
        action,
        protocol: OwnershipTags::PROTOCOL,
    }
}

/// Where the server's answers go that have our address in the network of an exit. Without a packet filter what is meant for
/// clients arrives at the server itself, which refuses it: to those who sent it, not to the uplink, where everybody would
/// see whom clients talk to.
fn reply_route(installation: &Installation, stored: &Stored, exit: &Exit, wanted: &mut DesiredState) {
    let Some(ip) = vpn_ip(exit) else { return };
    wanted.rules.extend(exit_rules(installation, stored, false, IpNetwork::V4(ip.into())));
}

/// Clients reach each other and the exit, and nothing comes from the exit that nobody asked for.
fn firewall(server: &Server, stored: &Stored, interface: &InterfaceName, exit: &Exit, rules: &mut Ruleset) {
    let into = |interface: &InterfaceName| Match::In { interface: interface.to_string(), not: false };
    let out = |interface: &InterfaceName| Match::Out { interface: interface.to_string(), not: false };
    let main = &server.interface;
    let subnet = IpNetwork::V4(server.subnet.into());
    let from = |network| Match::From { network, not: false };
    let to = |network| Match::To { network, not: false };
    let begun = |network| Match::CtOriginalSource { network };
    let mut forward = vec![
        (vec![into(main), out(main)], Verdict::Accept),
        (vec![into(main), Match::Ipv6], Verdict::Drop),
        (vec![into(main), from(subnet), out(interface)], Verdict::Accept),
    ];
    if stored.kill_switch {
        forward.push((vec![into(main)], Verdict::Drop));
    }
    let back = vec![into(interface), out(main), to(subnet), begun(subnet), Match::Established];
    forward.push((back, Verdict::Accept));
    forward.push((vec![into(interface)], Verdict::Drop));
    if stored.kill_switch {
        // Whoever may reach clients otherwise: their answers could only go to the exit, which they are not for.
        forward.push((vec![out(main)], Verdict::Drop));
    }
    // Before the server looks at a packet at all: of one without hops left it would tell the sender, by its own uplink. An
    // answer is for our address there, and belongs to a connection that a client has begun, or the server by that address:
    // whatever else is established is no business of the exit.
    let mut inward = Vec::new();
    if let Some(own) = vpn_ip(exit).map(|ip| IpNetwork::V4(ip.into())) {
        let answer = |began| vec![into(interface), to(own), begun(began), Match::Established];
        inward.extend([subnet, own].map(|began| (answer(began), Verdict::Accept)));
    }
    inward.push((vec![into(interface)], Verdict::Drop));
    // And of an answer to a client without hops left, or too large, it would tell whoever sent that. Everything else of its
    // own that belongs to a client's connection goes to the client.
    let lo = || Match::Out { interface: "lo".to_owned(), not: false };
    let own = vec![
        (vec![begun(subnet), out(main)], Verdict::Accept),
        (vec![begun(subnet), out(interface)], Verdict::Accept),
        (vec![begun(subnet), lo()], Verdict::Accept),
        (vec![begun(subnet)], Verdict::Drop),
    ];
    // The way back has the larger MTU of the clients, so that the route cannot tell.
    let mss = Verdict::SetMss(exit.mtu.saturating_sub(HEADERS));
    let mangle =
        vec![(vec![into(interface), Match::TcpSyn], mss), (vec![out(interface), Match::TcpSyn], mss)];
    let all = [
        (Hook::Prerouting, inward),
        (Hook::Forward, forward),
        (Hook::Output, own),
        (Hook::MssClamp, mangle),
        (Hook::SourceNat, translated(server, interface, exit)),
        (Hook::Postrouting, last_look(server, interface, exit)),
    ];
    for (hook, list) in all {
        for ((matches, verdict), order) in list.into_iter().zip(ORDER..) {
            rules.add(hook, order, matches, verdict);
        }
    }
}

/// What comes for our address there by another interface than the exit's is dropped: it would be taken for an answer to a
/// client. Not for an exit that is not brought up, whose address may be one of the server's own.
fn only_by_the_exit(server: &Server, exit: &Exit, rules: &mut Ruleset) {
    if let Some(own) = own_address(exit) {
        let to = || Match::To { network: own, not: false };
        for near in ["lo", server.interface.as_str()] {
            let near = Match::In { interface: near.to_owned(), not: false };
            rules.add(Hook::Prerouting, ELSEWHERE, vec![near, to()], Verdict::Accept);
        }
        rules.add(Hook::Prerouting, ELSEWHERE, vec![to()], Verdict::Drop);
    }
}

/// UDP to the exit has ports that the guard lets answers in to.
fn translated(server: &Server, interface: &InterfaceName, exit: &Exit) -> Vec<(Vec<Match>, Verdict)> {
    let ports = Verdict::MasqueradeTo { first: LinkGuard::LOWEST_UDP_PORT, last: u16::MAX };
    let sources =
        [Some(IpNetwork::V4(server.subnet.into())), vpn_ip(exit).map(|ip| IpNetwork::V4(ip.into()))];
    let rule = |network| {
        let out = Match::Out { interface: interface.to_string(), not: false };
        let from = Match::From { network, not: false };
        (vec![from, out, Match::Is { protocol: Protocol::Udp }], ports)
    };
    sources.into_iter().flatten().map(rule).collect()
}

/// Nothing leaves to the exit but with our address there, and no IPv6 of clients leaves at all.
fn last_look(server: &Server, interface: &InterfaceName, exit: &Exit) -> Vec<(Vec<Match>, Verdict)> {
    let out = |interface: &str, not| Match::Out { interface: interface.to_owned(), not };
    let exit_only = || out(interface.as_str(), false);
    let mut rules = vec![(vec![exit_only(), Match::Ipv6], Verdict::Drop)];
    if let Some(ip) = vpn_ip(exit) {
        let others = Match::From { network: IpNetwork::V4(ip.into()), not: true };
        rules.push((vec![exit_only(), others], Verdict::Drop));
    }
    if let Some(six) = server.subnet6 {
        let from = || Match::From { network: IpNetwork::V6(six), not: false };
        rules.push((vec![from(), out("lo", false)], Verdict::Accept));
        rules.push((vec![from(), out(server.interface.as_str(), true)], Verdict::Drop));
    }
    rules
}

/// systemd-networkd deletes rules that it did not make, unless it is told not to, and is to leave the interface alone.
fn networkd(installation: &Installation, interface: &InterfaceName, wanted: &mut DesiredState) {
    let (mark, text) = (installation.tags.first_line(), installation.tags.tag());
    let keep = format!("{mark}\n[Network]\nManageForeignRoutingPolicyRules=no\nManageForeignRoutes=no\n");
    wanted.file(format!("/etc/systemd/networkd.conf.d/90-{text}.conf"), 0o644, keep);
    let prefix = installation.unit_name("phantom");
    let unmanaged = format!("{mark}\n[Match]\nName={interface}*\n\n[Link]\nUnmanaged=yes\n");
    wanted.file(format!("/etc/systemd/network/90-{prefix}-{interface}.network"), 0o644, unmanaged);
}

/// The file of an exit, for reading by people.
pub(crate) fn exit_file(installation: &Installation, name: &ExitName) -> PathBuf {
    installation.paths.exits_dir().join(format!("{name}.conf"))
}

/// What is in that file: the mark, and of the imported file what is used.
pub(crate) fn exit_text(installation: &Installation, exit: &Exit) -> Zeroizing<String> {
    let config = ClientConfig {
        private_key: exit.private_key.clone(),
        address: exit.addresses.iter().copied().map(Into::into).collect(),
        dns: Vec::new(),
        mtu: exit.mtu,
        public_key: exit.public_key,
        preshared_key: exit.preshared_key.clone(),
        endpoint: exit.endpoint.clone(),
        allowed_ips: exit.allowed_ips.clone(),
        keepalive: exit.keepalive,
    };
    let (head, body) = (installation.tags.first_line(), config.render());
    let mut text = Zeroizing::new(String::with_capacity(head.len() + body.len() + 2));
    for part in [&head, "\n", &body, "\n"] {
        text.push_str(part);
    }
    text
}
