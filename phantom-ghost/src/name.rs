//! What the name that clients connect to leads to: a domain by its records, an address by itself.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use phantom_engine::Engine;
use phantom_ghost_state::{CertificateSource, GhostState as _};
use phantom_host::{ProbeError, Viewpoint};
use phantom_module::Lang;
use phantom_store::Server;
use phantom_types::{Domain, HostName, is_on_internet};

use crate::{AddressFault, GhostError, GhostStep};

/// How long the host's resolvers have.
const DNS_LIMIT: Duration = Duration::from_secs(10);
/// The same for a name that is not checked, which need not be known yet.
const UNCHECKED_LIMIT: Duration = Duration::from_secs(3);
/// The authority that is asked where nothing else is stored. It certifies addresses of the Internet alone.
const PUBLIC_AUTHORITY: &str = "https://acme-v02.api.letsencrypt.org/";

/// What a name leads to.
#[derive(Debug, Default)]
pub(crate) struct Named {
    /// All its addresses: the tunnel's connection goes to one of them.
    pub(crate) all: Vec<IpAddr>,
    /// Its IPv6 addresses that are not this server's.
    pub(crate) strangers: Vec<IpAddr>,
}

/// An IPv4 address that is written as an IPv6 one is an IPv4 address.
pub(crate) fn canonical(name: HostName) -> HostName {
    match name {
        HostName::Ip(address) => HostName::Ip(address.to_canonical()),
        domain @ HostName::Domain(_) => domain,
    }
}

/// Looks whether a name leads here. One that is not checked may lead to somebody else, such as a CDN, and need not be known yet.
pub(crate) fn look_up(
    engine: &Engine,
    name: &HostName,
    server: &Server,
    unchecked: bool,
) -> Result<Named, GhostError> {
    match name {
        HostName::Ip(address) => of_address(engine, *address, server, unchecked),
        HostName::Domain(domain) if unchecked => {
            let answer = engine.host().resolver.lookup(domain, Viewpoint::Outside, UNCHECKED_LIMIT);
            let all = answer.ok().and_then(Result::ok).unwrap_or_default();
            Ok(Named { all, strangers: Vec::new() })
        }
        HostName::Domain(domain) => of_domain(engine, domain, server),
    }
}

fn of_domain(engine: &Engine, domain: &Domain, server: &Server) -> Result<Named, GhostError> {
    let failed = |source| GhostError::host(GhostStep::Dns, source);
    let answer = engine.host().resolver.lookup(domain, Viewpoint::Outside, DNS_LIMIT).map_err(failed)?;
    let all = answer.map_err(|error| match error {
        ProbeError::NoAddress { rcode, .. } => GhostError::ResolverFailed { domain: domain.clone(), rcode },
        _ => GhostError::NoResolver,
    })?;
    let own = own(engine, server)?;
    let (four, six): (Vec<IpAddr>, Vec<IpAddr>) = all.iter().copied().partition(IpAddr::is_ipv4);
    // A server without IPv4 has nothing but AAAA records.
    let by_ipv6 = four.is_empty() && server.server_ip.is_none() && six.iter().any(|ip| own.contains(ip));
    let by_ipv4 = !four.is_empty() && four.iter().all(|ip| own.contains(ip));
    if !by_ipv4 && !by_ipv6 {
        let expected = server.server_ip.map(IpAddr::V4).or(server.ipv6.map(IpAddr::V6));
        let resolved = if expected.is_none_or(|ip| ip.is_ipv4()) { four } else { all };
        return Err(GhostError::Domain { domain: domain.clone(), expected, resolved });
    }
    let strangers = six.into_iter().filter(|ip| !own.contains(ip)).collect();
    Ok(Named { all, strangers })
}

/// An address leads here if this server has it.
fn of_address(engine: &Engine, address: IpAddr, server: &Server, unasked: bool) -> Result<Named, GhostError> {
    let nobodys = address.is_unspecified()
        || address.is_loopback()
        || address.is_multicast()
        || matches!(address, IpAddr::V4(four) if four.is_broadcast() || four.is_link_local())
        || matches!(address, IpAddr::V6(six) if six.is_unicast_link_local());
    let own = own(engine, server)?;
    let fault = if nobodys {
        Some(AddressFault::Nobodys)
    } else if in_vpn(address, server) {
        Some(AddressFault::Vpn)
    } else {
        (!unasked && !own.contains(&address)).then_some(AddressFault::Foreign)
    };
    if let Some(fault) = fault {
        let outside = own.into_iter().filter(|own| !in_vpn(*own, server) && is_on_internet(*own));
        let mut allowed: BTreeSet<IpAddr> = server.server_ip.map(IpAddr::V4).into_iter().collect();
        allowed.extend(outside);
        return Err(GhostError::Address { address, fault, allowed: allowed.into_iter().collect() });
    }
    Ok(Named { all: vec![address], strangers: Vec::new() })
}

/// Refuses an address that a public authority certifies for nobody, before it is asked.
pub(crate) fn check_certifiable(
    engine: &Engine,
    name: &HostName,
    source: &CertificateSource,
) -> Result<(), GhostError> {
    let Some(address) = name.ip().filter(|address| !is_on_internet(*address)) else { return Ok(()) };
    if *source != CertificateSource::Acme {
        return Ok(());
    }
    let directory = engine.read(|state| Ok::<_, GhostError>(state.acme_directory()?))?;
    if !directory.starts_with(PUBLIC_AUTHORITY) {
        return Ok(());
    }
    Err(GhostError::Address { address, fault: AddressFault::Private, allowed: Vec::new() })
}

/// The addresses of this server: the stored ones, and those of its interfaces.
fn own(engine: &Engine, server: &Server) -> Result<BTreeSet<IpAddr>, GhostError> {
    let mut own: BTreeSet<IpAddr> = server.server_ip.map(IpAddr::V4).into_iter().collect();
    own.extend(server.ipv6.map(IpAddr::V6));
    own.extend(server.endpoint.as_ref().and_then(HostName::ip));
    let found = engine.host().network.addresses();
    let found = found.map_err(|source| GhostError::host(GhostStep::Dns, source))?;
    own.extend(found.into_iter().map(|(_, address)| address.ip()));
    Ok(own)
}

/// Clients that are not connected yet cannot reach an address of the VPN.
fn in_vpn(address: IpAddr, server: &Server) -> bool {
    match address {
        IpAddr::V4(four) => server.subnet.contains(four),
        IpAddr::V6(six) => server.subnet6.is_some_and(|prefix| prefix.contains(six)),
    }
}

/// That a record leads to somebody else.
pub(crate) fn warning(ip: IpAddr, domain: &HostName, lang: Lang) -> String {
    match lang {
        Lang::En => format!("AAAA record {ip} of {domain} is not this server"),
        Lang::Tr => format!("{domain} alan adının AAAA kaydı {ip} bu sunucuya ait değil"),
    }
}
