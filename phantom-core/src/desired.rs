//! Core's part of the desired state: the interface, forwarding, NAT.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};
use phantom_engine::{Coverage, DesiredState, DeviceChange, Installation, PeerChange};
use phantom_host::reconcile::{
    DesiredDevice, DesiredFile, DesiredInterface, DesiredPeer, PeerFile, SAVED_VALUE_PREFIX,
};
use phantom_host::{
    Bounds, Command, Hook, Internet, Match, PeerConfig, PeerUpdate, Proc, Protocol, Restart, Ruleset,
    UfwRule, Unit, UnitKind, Verdict,
};
use phantom_store::{Client, ClientRef, Server, State, StoreError};
use phantom_types::{PublicKey, Subnet, conf};
use zeroize::Zeroizing;

/// MTU of the interface and of the clients: what 1500 bytes of Ethernet leave after IPv6, UDP and WireGuard.
pub(crate) const MTU: u16 = 1420;
/// Places of Core's rules: those that no other rule may come before, those that modules which restrict forwarding come
/// before, and those behind all that let something pass.
const FIRST: u16 = 50;
const ORDER: u16 = 500;
const LAST: u16 = 900;
/// The kernel setting that lets packets pass through.
pub(crate) const IP_FORWARD: &str = "net.ipv4.ip_forward";

/// The words of a repair.
const REPAIR: [&str; 2] = ["service", "repair"];

/// Adds Core's part.
pub(crate) fn desired(
    installation: &Installation,
    state: &State<'_>,
    coverage: Coverage,
    wanted: &mut DesiredState,
) -> Result<(), StoreError> {
    let Some(server) = state.server()? else { return Ok(()) };
    let mut peers = None;
    let path = Installation::wireguard_file(&server.interface);
    if coverage == Coverage::Full {
        peers = Some(all_peers(state)?);
        wanted.files.insert(path, Some(DesiredFile::of_peers(0o600, peer_file(installation, &server))));
    } else {
        wanted.kept_files.insert(path);
    }
    wanted.interfaces.insert(
        server.interface.clone(),
        DesiredInterface {
            backend: server.backend,
            running: installation.runs(&server),
            addresses: addresses(&server),
            mtu: MTU.into(),
            guard: None,
            unit: interface_unit(installation, &server),
            device: DesiredDevice {
                private_key: server.private_key.clone(),
                listen_port: Some(server.port),
                fwmark: 0,
                peers,
            },
        },
    );
    firewall(&server, &mut wanted.firewall);
    reached_from(&server, &state.reach_from()?, &mut wanted.firewall);
    if state.open_firewall()? {
        wanted.firewall.let_in(Protocol::Udp, server.port);
        wanted.ufw.insert(UfwRule::Allow { protocol: Protocol::Udp, port: server.port });
    }
    wanted.ufw.insert(UfwRule::RouteFrom { interface: server.interface.clone() });
    wanted.sysctls.insert(IP_FORWARD.to_owned(), "1".to_owned());
    let before =
        server.ip_forward_before.iter().map(|value| format!("{SAVED_VALUE_PREFIX}{IP_FORWARD} = {value}\n"));
    let before: String = before.collect();
    let sysctl = format!("{}\n{before}{IP_FORWARD} = 1\n", installation.tags.first_line());
    wanted.file(format!("/etc/sysctl.d/90-{}.conf", installation.tags.tag()), 0o644, sysctl);
    let boot = boot_unit(installation, &server);
    wanted.units.insert(boot.name.clone(), (boot, None));
    if installation.has_watcher() {
        let watch = watch_unit(installation);
        wanted.units.insert(watch.name.clone(), (watch, Some(true)));
        if installation.systemd() {
            let repair = repair_unit(installation);
            wanted.units.insert(repair.name.clone(), (repair, None));
        }
    }
    Ok(())
}

/// What is wanted of single clients: present as stored, or gone.
pub(crate) fn peers(
    installation: &Installation,
    state: &State<'_>,
    keys: &[PublicKey],
) -> Result<Vec<PeerChange>, StoreError> {
    let Some(server) = state.server()? else { return Ok(Vec::new()) };
    let mut changes = Vec::with_capacity(keys.len());
    for key in keys {
        let client = state.client_by_key(key)?;
        let update = || DeviceChange {
            interface: server.interface.clone(),
            backend: server.backend,
            update: client
                .as_ref()
                .map_or(PeerUpdate::Remove(*key), |client| PeerUpdate::Set(peer(&reference(client)))),
        };
        changes.push(PeerChange {
            key: *key,
            device: installation.runs(&server).then(update),
            file: Installation::wireguard_file(&server.interface),
            block: client.as_ref().map(|client| block(&reference(client))),
            without: conf::remove_peer_block,
        });
    }
    Ok(changes)
}

fn addresses(server: &Server) -> BTreeSet<IpNetwork> {
    let four = Ipv4Network::new(server.subnet.server(), server.subnet.prefix()).ok().map(IpNetwork::V4);
    // The server is the first host of the IPv6 prefix, as it is of the IPv4 subnet.
    let first = |prefix: Ipv6Network| {
        let address = u128::from(prefix.network()).saturating_add(1);
        Ipv6Network::new(address.into(), prefix.prefix()).ok().map(IpNetwork::V6)
    };
    four.into_iter().chain(server.subnet6.and_then(first)).collect()
}

fn reference(client: &Client) -> ClientRef<'_> {
    ClientRef {
        id: client.id,
        name: client.name.as_str(),
        address: client.address,
        address6: client.address6,
        extra_ips: client.extra_ips.clone(),
        public_key: client.public_key,
        preshared_key: client.preshared_key.clone(),
    }
}

fn peer(client: &ClientRef<'_>) -> PeerConfig {
    let four = IpNetwork::V4(client.address.into());
    let six = client.address6.map(|address| IpNetwork::V6(address.into()));
    PeerConfig {
        public_key: client.public_key,
        preshared_key: client.preshared_key.clone(),
        endpoint: None,
        keepalive: None,
        allowed_ips: std::iter::once(four).chain(six).chain(client.extra_ips.iter().copied()).collect(),
    }
}

fn block(client: &ClientRef<'_>) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::new());
    push_block(&mut text, client.name, &peer(client));
    text
}

fn push_block(text: &mut String, name: &str, peer: &PeerConfig) {
    let Ok(name) = name.parse() else { return }; // the store lets no other name in
    let peer = conf::ServerPeer {
        name: &name,
        public_key: &peer.public_key,
        preshared_key: peer.preshared_key.as_ref(),
        allowed_ips: &peer.allowed_ips,
    };
    conf::push_peer_block(text, &peer);
}

fn all_peers(state: &State<'_>) -> Result<Vec<DesiredPeer>, StoreError> {
    let mut peers = Vec::with_capacity(state.client_count()? as usize);
    state.each_client(|client| {
        peers.push(DesiredPeer { config: peer(&client), owner: client.name.into() });
        Ok::<_, StoreError>(())
    })?;
    Ok(peers)
}

/// The file for `wg` and people that lists the peers.
fn peer_file(installation: &Installation, server: &Server) -> PeerFile {
    let head = conf::ServerConfig {
        private_key: server.private_key.clone(),
        address: addresses(server).into_iter().collect(),
        listen_port: server.port,
        mtu: MTU,
    };
    PeerFile {
        head: conf::render_interface(&installation.tags.first_line(), &head),
        interface: server.interface.clone(),
        lead: "\n# client ",
        block: |text, peer| push_block(text, &peer.owner, &peer.config),
    }
}

/// Forwarding and source NAT for the subnet, an MSS that fits the tunnel, and what all of that takes for granted: nobody
/// but clients begins a connection with a client, or sends in a client's name, and nothing leaves by another interface with
/// an inner address.
fn firewall(server: &Server, rules: &mut Ruleset) {
    let vpn = || server.interface.to_string();
    let inside = || Match::In { interface: vpn(), not: false };
    let outside = || Match::In { interface: vpn(), not: true };
    let towards = || Match::Out { interface: vpn(), not: false };
    let elsewhere = || Match::Out { interface: vpn(), not: true };
    for subnet in subnets(server) {
        let from = || Match::From { network: subnet, not: false };
        let own = |way: fn(String) -> Match| vec![from(), way("lo".to_owned())];
        // Before the server looks at a packet at all, and on the way through: each is enough.
        rules.add(
            Hook::Prerouting,
            FIRST,
            own(|interface| Match::In { interface, not: false }),
            Verdict::Accept,
        );
        rules.add(Hook::Prerouting, FIRST + 1, vec![outside(), from()], Verdict::Drop);
        rules.add(Hook::Forward, FIRST, vec![outside(), from()], Verdict::Drop);
        rules.add(Hook::Forward, ORDER, vec![inside(), from()], Verdict::Accept);
        let begun = Match::CtOriginalSource { network: subnet };
        let back = vec![towards(), Match::To { network: subnet, not: false }, begun, Match::Established];
        rules.add(Hook::Forward, ORDER, back, Verdict::Accept);
        // IPv6 has no NAT here: whatever the prefix is, it is the clients' own address on the Internet.
        if subnet.is_ipv4() {
            let stray = || vec![from(), elsewhere(), Match::Unconnected];
            rules.add(Hook::Forward, FIRST, [stray(), vec![inside()]].concat(), Verdict::Drop);
            let to_lo: fn(String) -> Match = |interface| Match::Out { interface, not: false };
            rules.add(Hook::Output, ORDER, own(to_lo), Verdict::Accept);
            rules.add(Hook::Output, ORDER + 1, stray(), Verdict::Drop);
            rules.add(Hook::SourceNat, ORDER, vec![from(), elsewhere()], Verdict::Masquerade);
            rules.add(Hook::Postrouting, ORDER, own(to_lo), Verdict::Accept);
            rules.add(Hook::Postrouting, ORDER + 1, vec![from(), elsewhere()], Verdict::Drop);
        }
    }
    rules.add(Hook::Forward, LAST, vec![towards()], Verdict::Drop);
    rules.add(Hook::MssClamp, ORDER, vec![inside(), Match::TcpSyn], Verdict::ClampMss);
    rules.add(Hook::MssClamp, ORDER, vec![towards(), Match::TcpSyn], Verdict::ClampMss);
}

/// Networks that may begin connections with clients, which answer with their own addresses.
fn reached_from(server: &Server, networks: &[Subnet], rules: &mut Ruleset) {
    let subnet = || IpNetwork::V4(server.subnet.into());
    let vpn = || server.interface.to_string();
    for network in networks.iter().map(|network| IpNetwork::V4((*network).into())) {
        let new = vec![
            Match::In { interface: vpn(), not: true },
            Match::Out { interface: vpn(), not: false },
            Match::From { network, not: false },
            Match::To { network: subnet(), not: false },
        ];
        rules.add(Hook::Forward, ORDER, new, Verdict::Accept);
        // What clients begin has another source there. From anywhere, all that is left are answers.
        let begun = (network.prefix() > 0).then_some(Match::CtOriginalSource { network });
        let answer = [
            Match::From { network: subnet(), not: false },
            Match::To { network, not: false },
            Match::Out { interface: vpn(), not: true },
            Match::Established,
        ];
        let answer = answer.into_iter().chain(begun).collect();
        rules.add(Hook::Postrouting, ORDER, answer, Verdict::Accept);
    }
}

/// What addresses of clients are in.
fn subnets(server: &Server) -> impl Iterator<Item = IpNetwork> {
    std::iter::once(IpNetwork::V4(server.subnet.into())).chain(server.subnet6.map(IpNetwork::V6))
}

/// The service of the interface.
fn interface_unit(installation: &Installation, server: &Server) -> Unit {
    let description = format!("WireGuard server {} ({})", server.interface, server.backend);
    installation.interface_unit(&server.interface, server.backend, MTU, description)
}

/// The watcher. Under systemd it is nobody, may listen to the kernel and nothing else, and asks the repair's unit by a file.
/// Elsewhere it starts the repair itself, and so does what systemd does for others.
fn watch_unit(installation: &Installation) -> Unit {
    let text = |path: PathBuf| path.display().to_string();
    let mut args = vec![text(installation.paths.watch_dir()), text(installation.watcher_dir())];
    if !installation.systemd() {
        let repair = installation.tool(&REPAIR);
        args.extend(["--".to_owned(), text(repair.program)].into_iter().chain(repair.args));
    }
    let run = Command { program: installation.programs.watch.clone(), args };
    Unit {
        name: installation.unit_name("phantom-watch"),
        description: "Phantom-WG: watches what the host may lose".to_owned(),
        kind: UnitKind::Daemon { run, after_start: None, after_stop: None },
        restart: Restart::Always,
        // The kernel tells nobody of changes of the packet filter without it.
        capabilities: vec!["NET_ADMIN".to_owned()],
        writable: vec![installation.watcher_dir()],
        readable: Vec::new(),
        devices: Vec::new(),
        dynamic_user: installation.systemd(),
        socket: None,
        // A list of objects, and what the kernel says; one thread.
        bounds: Some(Bounds {
            memory_mib: 256,
            tasks: 16,
            internet: Internet::Asks,
            netlink: true,
            proc: Proc::Kernel,
            owners: false,
            manager: false,
        }),
        renewable: true,
        before_network: false,
        after_network: false,
        after: Vec::new(),
        wanted_at_boot: true,
    }
}

/// What puts back what the watcher misses.
fn repair_unit(installation: &Installation) -> Unit {
    let kind =
        UnitKind::OnFile { file: installation.watcher_dir().join("repair"), run: installation.tool(&REPAIR) };
    let description = "Phantom-WG: puts back what the host has lost".to_owned();
    Unit {
        after_network: false,
        ..installation.tool_unit(installation.unit_name("phantom-repair"), description, kind)
    }
}

/// The unit that brings everything back at boot.
fn boot_unit(installation: &Installation, server: &Server) -> Unit {
    let mut description = "Phantom-WG: bring the host to the stored state".to_owned();
    if let Some(instance) = installation.paths.instance() {
        let _ = write!(description, " ({instance})");
    }
    let start = installation.tool(&["--compact", "core", "reconcile"]);
    let kind = UnitKind::OneShot { start, stop: None };
    Unit {
        // At boot the interface's own unit comes first and does the work; this one looks after it, and does not wait
        // for the lock meanwhile.
        after: vec![Installation::wireguard_unit(&server.interface)],
        ..installation.tool_unit(installation.tags.boot_unit(), description, kind)
    }
}
