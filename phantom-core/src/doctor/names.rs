//! Checks of names: the host's own resolvers, and the servers that clients are given.

use std::net::IpAddr;
use std::time::Duration;

use ipnetwork::IpNetwork;
use phantom_engine::explain;
use phantom_host::{AskFrom, ForwardedPacket, Host, HostError, Probe, ProbeError, Viewpoint};
use phantom_store::Server;
use phantom_types::Domain;

use super::{Case, Finding};

/// A name that every resolver knows, the one that `dns test_dns_servers` asks for.
const NAME: &str = "google.com";
/// How long a server has to answer.
const LIMIT: Duration = Duration::from_secs(3);

pub(super) fn resolver(case: &Case<'_>) -> Finding {
    match case.engine.host().resolver.lookup(&name(), Viewpoint::Host, LIMIT) {
        Err(error) => case.silent(&error),
        Ok(Ok(_)) => case.ok("The host's resolvers answer", "Sunucunun DNS çözümleyicileri yanıt veriyor"),
        Ok(Err(ProbeError::NoAddress { rcode, .. })) => {
            let found = case.warning(
                format!("The host's resolvers answer with an error ({rcode}): certificates and exits with a name need them"),
                format!("Sunucunun DNS çözümleyicileri hata bildiriyor ({rcode}): sertifikalar ve adresi ad olarak yazılmış çıkışlar onlara gerek duyar"),
            );
            found.hint(case.pick("Look at /etc/resolv.conf", "/etc/resolv.conf dosyasına bakın"))
        }
        Ok(Err(error)) => {
            let error = explain(&error, case.lang);
            let found = case.warning(
                format!("The host's resolvers do not answer ({error}): certificates and exits with a name need them"),
                format!("Sunucunun DNS çözümleyicileri yanıt vermiyor ({error}): sertifikalar ve adresi ad olarak yazılmış çıkışlar onlara gerek duyar"),
            );
            found.hint(case.pick("Look at /etc/resolv.conf", "/etc/resolv.conf dosyasına bakın"))
        }
    }
}

pub(super) fn dns_servers(case: &Case<'_>) -> Finding {
    let Some(stored) = case.stored() else {
        return case.ok("No DNS servers are stored yet", "Henüz kayıtlı DNS sunucusu yok");
    };
    let servers = [stored.dns.primary, stored.dns.secondary];
    let ways = servers.map(|server| way(case.engine.host(), &stored.server, server));
    let answers = match answers(case.engine.host(), servers, &ways) {
        Ok(answers) => answers,
        Err(error) => return case.silent(&error),
    };
    let dumb = servers.iter().zip(&ways).zip(&answers).filter(|(_, answers)| !**answers);
    let dumb: Vec<String> = dumb
        .map(|((server, way), _)| match way {
            Way::By(from) => format!("{server} ({})", from.interface),
            Way::Own | Way::Closed => server.to_string(),
        })
        .collect();
    let list = dumb.join(", ");
    let hint = || {
        case.pick(
            "Give clients others: phantom-api dns change_dns_servers primary=<address> secondary=<address>",
            "İstemcilere başka sunucular verin: phantom-api dns change_dns_servers primary=<adres> secondary=<adres>",
        )
    };
    match dumb.len() {
        0 => case
            .ok("Both DNS servers of the clients answer", "İstemcilerin iki DNS sunucusu da yanıt veriyor"),
        1 => case
            .warning(
                format!("A DNS server of the clients does not answer: {list}"),
                format!("İstemcilerin bir DNS sunucusu yanıt vermiyor: {list}"),
            )
            .hint(hint()),
        _ => case
            .problem(
                format!("No DNS server of the clients answers: {list}"),
                format!("İstemcilerin hiçbir DNS sunucusu yanıt vermiyor: {list}"),
            )
            .hint(hint()),
    }
}

/// How clients reach a server.
enum Way {
    /// As this host does.
    Own,
    /// By another interface than this host.
    By(AskFrom),
    /// Not at all.
    Closed,
}

/// The way that the kernel has for a client's packet to this server. Nothing is sent.
fn way(host: &Host, server: &Server, to: IpAddr) -> Way {
    let IpAddr::V4(to) = to else { return Way::Own };
    let in_interface = server.interface.clone();
    let packet = ForwardedPacket { from: server.subnet.first_client(), to, in_interface };
    let out = match host.network.route_for(&packet) {
        Ok(Some(out)) => out,
        Ok(None) => return Way::Closed,
        // Without the interface there are no clients.
        Err(_) => return Way::Own,
    };
    let own = host.network.own_route(None, to).ok().flatten();
    if own.is_some_and(|own| own.interface == out || own.interface == "lo") {
        return Way::Own;
    }
    let first = |(name, network): (String, IpNetwork)| match network.ip() {
        IpAddr::V4(address) if name == out => Some(address),
        _ => None,
    };
    let address = host.network.addresses().unwrap_or_default().into_iter().find_map(first);
    match (out.parse(), address) {
        (Ok(interface), Some(address)) => Way::By(AskFrom { interface, address }),
        _ => Way::Own,
    }
}

/// Which of them answer, each asked by its way.
fn answers(host: &Host, servers: [IpAddr; 2], ways: &[Way; 2]) -> Result<Vec<bool>, HostError> {
    let probe = |server| Probe { server, domain: name() };
    let own = servers.iter().zip(ways).filter(|(_, way)| matches!(way, Way::Own));
    let own: Vec<Probe> = own.map(|(server, _)| probe(*server)).collect();
    let mut own = host.resolver.probe(&own, LIMIT)?.into_iter();
    let answer = |(server, way): (IpAddr, &Way)| match way {
        Way::Own => Ok(own.next().is_some_and(|answer| answer.is_ok())),
        Way::By(from) => Ok(host.resolver.probe_by(from, &probe(server), LIMIT)?.is_ok()),
        Way::Closed => Ok(false),
    };
    servers.into_iter().zip(ways).map(answer).collect()
}

fn name() -> Domain {
    NAME.parse().expect("it follows the rules of domains")
}
