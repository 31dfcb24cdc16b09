//! What the name that clients connect to leads to: a domain by its records, an address by itself.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use phantom_engine::Engine;
use phantom_host::{ProbeError, Viewpoint};
use phantom_module::Lang;
use phantom_store::{CertificateSource, Server};
use phantom_types::{Domain, HostName, is_on_internet};

use crate::{AddressFault, GhostError, Step};

/// How long the host's resolvers have.
const DNS_LIMIT: Duration = Duration::from_secs(10);
/// The authority that is asked where nothing else is stored. It certifies addresses of the Internet alone.
const PUBLIC_AUTHORITY: &str = "https://acme-v02.api.letsencrypt.org/";

/// What a name leads to.
#[derive(Debug, Default)]
pub(crate) struct Named {
    /// Its IPv4 addresses, all of them this server's.
    pub(crate) four: Vec<Ipv4Addr>,
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

/// Looks whether a name leads here. `unasked`: nothing is looked at that is not in the name itself.
pub(crate) fn look_up(
    engine: &Engine,
    name: &HostName,
    server: &Server,
    unasked: bool,
) -> Result<Named, GhostError> {
    match name {
        HostName::Ip(address) => of_address(engine, *address, server, unasked),
        HostName::Domain(_) if unasked => Ok(Named::default()),
        HostName::Domain(domain) => of_domain(engine, domain, server),
    }
}

fn of_domain(engine: &Engine, domain: &Domain, server: &Server) -> Result<Named, GhostError> {
    let failed = |source| GhostError::host(Step::Dns, source);
    let answer = engine.host().resolver.lookup(domain, Viewpoint::Outside, DNS_LIMIT).map_err(failed)?;
    let resolved = answer.map_err(|error| match error {
        ProbeError::NoAddress { rcode, .. } => GhostError::ResolverFailed { domain: domain.clone(), rcode },
        _ => GhostError::NoResolver,
    })?;
    let own = own(engine, server)?;
    let four = resolved.iter().filter_map(|ip| if let IpAddr::V4(four) = ip { Some(*four) } else { None });
    let four: Vec<Ipv4Addr> = four.collect();
    if four.is_empty() || four.iter().any(|ip| !own.contains(&IpAddr::V4(*ip))) {
        let resolved = four.into_iter().map(IpAddr::V4).collect();
        return Err(GhostError::Domain { domain: domain.clone(), expected: server.server_ip, resolved });
    }
    let strangers = resolved.into_iter().filter(|ip| ip.is_ipv6() && !own.contains(ip)).collect();
    Ok(Named { four, strangers })
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
        let mut allowed = BTreeSet::from([IpAddr::from(server.server_ip)]);
        allowed.extend(outside);
        return Err(GhostError::Address { address, fault, allowed: allowed.into_iter().collect() });
    }
    let four = if let IpAddr::V4(four) = address { vec![four] } else { Vec::new() };
    Ok(Named { four, strangers: Vec::new() })
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
    let mut own: BTreeSet<IpAddr> = BTreeSet::from([server.server_ip.into()]);
    own.extend(server.ipv6.map(IpAddr::from));
    let found = engine.host().network.addresses();
    let found = found.map_err(|source| GhostError::host(Step::Dns, source))?;
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
