//! Whether an exit lives and clients' packets go through it: asked of the kernel and of the exit, of nobody else.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use phantom_engine::{Coverage, Engine, Installation};
use phantom_host::{ForwardedPacket, Peer, PingSource, ProbeError, RulesetStatus, ServiceState, Viewpoint};
use phantom_module::Text;
use phantom_types::{Endpoint, HostName, Subnet, Timestamp};

use crate::MultihopError;
use crate::desired::vpn_ip;
use crate::error::{Finding, MultihopStep};
use crate::model::Exit;
use crate::switch::SwitchContext;
use crate::units::monitor_unit;

/// How long an exit has to complete a handshake.
pub(crate) const HANDSHAKE_LIMIT: Duration = Duration::from_secs(30);
/// A handshake younger than this is recent.
pub(crate) const RECENT: Duration = Duration::from_mins(3);
/// How long the host's resolvers have.
pub(crate) const DNS_LIMIT: Duration = Duration::from_secs(10);
/// From one look to the next; what calls the exit is also what is waited with.
const PAUSE: Duration = Duration::from_millis(50);
/// A public address; nothing is sent there.
pub(crate) const SOMEWHERE: Ipv4Addr = Ipv4Addr::new(1, 1, 1, 1);
/// How many echo requests an exit is sent before it counts as one that does not answer them, and how long it has for
/// each.
const PROBES: u16 = 3;
const PROBE_WAIT: Duration = Duration::from_millis(700);
/// How long all of them take.
pub(crate) const PROBES_LIMIT: Duration = PROBE_WAIT.saturating_mul(PROBES as u32);
/// Clocks of two programs, one of which tells whole seconds.
const TOLERANCE: Duration = Duration::from_secs(1);

/// That nothing of the server runs.
pub(crate) const STOPPED: Finding =
    Text { en: "the WireGuard service is stopped", tr: "WireGuard servisi durdurulmuş" };
/// That the server itself would send its packets elsewhere than before.
pub(crate) const OWN_ROUTE: Finding = Text {
    en: "the routes of the server's own packets have changed",
    tr: "sunucunun kendi paketlerinin rotaları değişti",
};
/// That a name has no address.
pub(crate) const UNRESOLVED: Finding = Text {
    en: "the name of the exit cannot be resolved: it has no address",
    tr: "çıkış noktasının adı çözümlenemiyor: bu ada ait bir adres yok",
};
/// That nobody answered who could know.
pub(crate) const NO_RESOLVER: Finding = Text {
    en: "the name of the exit cannot be resolved: no DNS server of this server answered (/etc/resolv.conf)",
    tr: "çıkış noktasının adı çözümlenemiyor: bu sunucunun DNS sunucularından hiçbiri yanıt vermedi (/etc/resolv.conf)",
};
/// That somebody answered who did not know.
pub(crate) const RESOLVER_FAILED: Finding = Text {
    en: "the name of the exit cannot be resolved: the DNS servers of this server answered with an error (/etc/resolv.conf)",
    tr: "çıkış noktasının adı çözümlenemiyor: bu sunucunun DNS sunucuları hata bildirdi (/etc/resolv.conf)",
};
/// That an exit shakes hands and passes nothing.
pub(crate) const PASSES_NOTHING: Finding = Text {
    en: "nothing comes back through the exit: no answer to a DNS question that was sent by it (probe=<address> asks another \
         server, probe=off asks none)",
    tr: "çıkış noktasından hiçbir şey geri gelmiyor: üzerinden gönderilen DNS sorusuna yanıt yok (probe=<adres> başka bir \
         sunucuya sorar, probe=off hiçbirine sormaz)",
};
pub(crate) const NO_HANDSHAKE: Finding = Text {
    en: "no handshake with the exit in time",
    tr: "çıkış noktasıyla süresi içinde el sıkışılamadı",
};
pub(crate) const ASKED_TO_END: Finding = Text {
    en: "the program was asked to end before the exit answered",
    tr: "çıkış noktası yanıt vermeden programın sonlanması istendi",
};
pub(crate) const OTHER_WAY: Finding = Text {
    en: "packets of clients are not routed to the exit",
    tr: "istemcilerin paketleri çıkış noktasına yönlendirilmiyor",
};
pub(crate) const OTHER_SOURCE: Finding = Text {
    en: "packets of clients would not leave with the address of the exit",
    tr: "istemcilerin paketleri çıkış noktasının adresiyle çıkmayacaktı",
};
pub(crate) const NO_MONITOR: Finding = Text { en: "the monitor does not run", tr: "izleyici çalışmıyor" };

/// Where an end point is, in the order in which the places are to be tried; a name is asked of the host's resolvers. There is at
/// least one.
pub(crate) fn resolve(
    engine: &Engine,
    endpoint: &Endpoint,
    limit: Duration,
) -> Result<Vec<SocketAddr>, MultihopError> {
    let unproven = |finding| MultihopError::found(MultihopStep::Handshake, finding);
    let found = match &endpoint.host {
        HostName::Ip(address) => vec![*address],
        HostName::Domain(domain) => {
            let found = engine.host().resolver.lookup(domain, Viewpoint::Host, limit);
            let found = found.map_err(|error| MultihopError::host(MultihopStep::Handshake, error))?;
            found.map_err(|error| unproven(unresolved(&error)))?
        }
    };
    if found.is_empty() {
        return Err(unproven(UNRESOLVED));
    }
    Ok(found.into_iter().map(|address| SocketAddr::new(address, endpoint.port)).collect())
}

/// What it means that no server knew the addresses of a name.
fn unresolved(error: &ProbeError) -> Finding {
    let silent = matches!(error, ProbeError::Timeout | ProbeError::Unreachable);
    if silent { NO_RESOLVER } else { RESOLVER_FAILED }
}

/// The exit as its device sees it.
pub(crate) fn peer(engine: &Engine, place: &SwitchContext, exit: &Exit) -> Option<Peer> {
    let peers = engine.host().wireguard.peers(&place.interface, place.server.backend, &[exit.public_key]);
    peers.ok().flatten()?.into_iter().next()
}

/// Age of the last handshake.
pub(crate) fn handshake_age(engine: &Engine, peer: Option<&Peer>) -> Option<Duration> {
    peer.and_then(|peer| peer.last_handshake).map(|at| engine.host().clock.now().since(at))
}

/// What answers through the tunnel: the exit's own address. One that cannot be asked that way is asked by the first
/// address of the network that it gave us one of.
pub(crate) fn target(exit: &Exit, at: Option<SocketAddr>) -> Option<Ipv4Addr> {
    let inside = || vpn_ip(exit).and_then(|ip| Subnet::containing(ip, 24)).map(Subnet::server);
    match at.map(|at| at.ip()) {
        Some(IpAddr::V4(address)) if !address.is_loopback() => Some(address),
        _ => inside(),
    }
}

/// Waits for a handshake that is not older than `since`. Packets to the exit provoke it.
pub(crate) fn handshake(
    engine: &Engine,
    place: &SwitchContext,
    exit: &Exit,
    at: SocketAddr,
    since: Timestamp,
    limit: Duration,
) -> Result<(), Finding> {
    let (clock, network) = (&engine.host().clock, &engine.host().network);
    let end = clock.monotonic() + limit;
    let mut calls = 0_u32;
    loop {
        let last = peer(engine, place, exit).and_then(|peer| peer.last_handshake);
        if last.is_some_and(|last| last >= since.minus(TOLERANCE)) {
            return Ok(());
        }
        if clock.monotonic() >= end {
            return Err(NO_HANDSHAKE);
        }
        if engine.host().interrupt.is_requested() {
            return Err(ASKED_TO_END);
        }
        let began = clock.monotonic();
        // Every second is enough: WireGuard tries again by itself.
        if calls.is_multiple_of(20)
            && let Some(target) = target(exit, Some(at))
        {
            let _ = network.echo(&PingSource::Interface(place.interface.clone()), target, 1, PAUSE);
        }
        calls += 1;
        clock.sleep(PAUSE.saturating_sub(clock.monotonic().saturating_sub(began)));
    }
}

/// That a client's packet to the Internet goes to the exit, and leaves with our address there.
pub(crate) fn check_route(engine: &Engine, place: &SwitchContext, exit: &Exit) -> Result<(), Finding> {
    let (host, SwitchContext { server, interface }) = (engine.host(), place);
    let packet = ForwardedPacket {
        from: server.subnet.first_client(),
        to: SOMEWHERE,
        in_interface: server.interface.clone(),
    };
    if host.network.route_for(&packet).ok().flatten().as_deref() != Some(interface.as_str()) {
        return Err(OTHER_WAY);
    }
    let ip = vpn_ip(exit).map(IpAddr::V4);
    let addresses = host.network.addresses().unwrap_or_default();
    let first =
        addresses.iter().find(|(name, _)| name == interface.as_str()).map(|(_, network)| network.ip());
    if first.is_none() || first != ip { Err(OTHER_SOURCE) } else { Ok(()) }
}

/// What came of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProbeResult {
    /// It was answered through the tunnel.
    Answered,
    /// It was not: not every exit answers echo requests.
    Silent,
}

/// Sends what a client could send: from an address of the subnet, so that it takes the route of clients' packets, gets
/// their source address by the same NAT, and its answer finds the way back through both. It goes to the exit alone.
pub(crate) fn probe(engine: &Engine, place: &SwitchContext, exit: &Exit, at: SocketAddr) -> ProbeResult {
    let Some(target) = target(exit, Some(at)) else { return ProbeResult::Silent };
    let received = || peer(engine, place, exit).map_or(0, |peer| peer.rx_bytes);
    let from = PingSource::Address(place.server.subnet.server());
    for _ in 0..PROBES {
        let before = received();
        let answered = engine.host().network.echo(&from, target, 1, PROBE_WAIT).unwrap_or(false);
        // An answer that did not come through the tunnel is none.
        if answered && received() > before {
            return ProbeResult::Answered;
        }
    }
    ProbeResult::Silent
}

/// That the packet filter is the wanted one, by which packets of clients get that address.
pub(crate) fn check_firewall(engine: &Engine) -> Result<(), Finding> {
    let wanted = engine.store().read(|state| engine.desired(state, Coverage::WithoutPeers));
    let in_force =
        wanted.ok().and_then(|wanted| engine.host().firewall.in_force(engine.tags(), &wanted.firewall).ok());
    if in_force == Some(RulesetStatus::InSync) { Ok(()) } else { Err(OTHER_SOURCE) }
}

/// That the monitor runs.
pub(crate) fn check_monitor(engine: &Engine, installation: &Installation) -> Result<(), Finding> {
    let status = engine.host().services.status(&monitor_unit(installation));
    if status.is_ok_and(|status| status.state == ServiceState::Active) { Ok(()) } else { Err(NO_MONITOR) }
}
