//! What the packet filters of the host, whoever made them, do with the packets that matter here.

use phantom_host::filter::{FilterManager, FilterVerdict, Filters, PacketFate};
use phantom_host::{HostError, InForce, Port, Protocol, Result};

use crate::{Examination, Finding, Wanted};

/// `well`, unless a packet filter keeps the Internet from a port of this host.
pub fn reached(case: &Examination<'_>, protocol: Protocol, number: u16, well: Finding) -> Finding {
    let fate = match port(case, protocol, number) {
        Ok(fate) => fate,
        Err(error) => return case.silent(error.as_ref()),
    };
    let Some(fate) = fate else { return well };
    let name = match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
    };
    if let Some((spot, command)) = fate.closing() {
        let found = match fate.verdict {
            FilterVerdict::Redirected(_) => case.problem(
                format!("A packet filter redirects packets from the Internet to {name} port {number} ({spot})"),
                format!("Bir paket filtresi internetten {number} {name} portuna gelen paketleri başka yere yönlendiriyor ({spot})"),
            ),
            _ => case.problem(
                format!("A packet filter closes {name} port {number} to the Internet ({spot})"),
                format!("Bir paket filtresi {number} {name} portunu internete kapatıyor ({spot})"),
            ),
        };
        let ours =
            spot.is_ours(case.engine.marks()) || (spot.manager == FilterManager::Ufw && !ufw_complete(case));
        return found.hint(remedy(case, ours, &command));
    }
    match fate.doubt() {
        None => well,
        Some(doubt) => {
            let found = case.warning(
                format!("Whether the Internet reaches {name} port {number} depends on a rule that cannot be evaluated ({doubt})"),
                format!("{number} {name} portuna internetten ulaşılıp ulaşılamadığı, değerlendirilemeyen bir kurala bağlı ({doubt})"),
            );
            found.hint(try_out(case))
        }
    }
}

/// `well`, unless a packet filter keeps the clients' packets from passing.
pub fn forwarded(case: &Examination<'_>, well: Finding) -> Finding {
    let fate = match client(case) {
        Ok(fate) => fate,
        Err(error) => return case.silent(error.as_ref()),
    };
    let Some(fate) = fate else { return well };
    if let Some((spot, command)) = fate.closing() {
        // Rules of ours that close do so because a module wants it.
        if spot.is_ours(case.engine.marks()) {
            return well;
        }
        let found = case.problem(
            format!("A packet filter drops packets between the clients and the Internet ({spot})"),
            format!("Bir paket filtresi istemcilerle internet arasındaki paketleri düşürüyor ({spot})"),
        );
        let by_ufw = spot.manager == FilterManager::Ufw;
        let complete = if by_ufw { ufw_complete(case) } else { rules_complete(case) };
        return found.hint(remedy(case, !complete, &command));
    }
    match fate.doubt() {
        None => well,
        Some(doubt) => {
            let found = case.warning(
                format!("Whether packets pass between the clients and the Internet depends on a rule that cannot be evaluated ({doubt})"),
                format!("İstemcilerle internet arasındaki paketlerin geçip geçmediği, değerlendirilemeyen bir kurala bağlı ({doubt})"),
            );
            found.hint(try_out(case))
        }
    }
}

/// A part of the host that does not answer, remembered or just asked.
#[derive(Debug)]
pub enum Silent<'a> {
    /// It did not answer before, while the same questions were asked.
    Remembered(&'a HostError),
    /// It does not answer now.
    Asked(HostError),
}

impl AsRef<HostError> for Silent<'_> {
    fn as_ref(&self) -> &HostError {
        match self {
            Self::Remembered(error) => error,
            Self::Asked(error) => error,
        }
    }
}

/// What becomes of a new packet from the Internet to a port of this host; `None` before the first setup.
///
/// # Errors
/// The packet filters or the network cannot be read.
pub fn port<'a>(
    case: &'a Examination<'_>,
    protocol: Protocol,
    number: u16,
) -> Result<Option<PacketFate>, Silent<'a>> {
    let Some(server) = case.server else { return Ok(None) };
    let filters = filters(case)?;
    let port = Port { protocol, number };
    PacketFate::from_internet(case.engine.host(), filters, port, server.server_ip).map_err(Silent::Asked)
}

/// What becomes of a client's packet to the Internet; `None` before the first setup.
///
/// # Errors
/// The packet filters or the network cannot be read.
pub fn client<'a>(case: &'a Examination<'_>) -> Result<Option<PacketFate>, Silent<'a>> {
    let Some(server) = case.server else { return Ok(None) };
    let filters = filters(case)?;
    let host = case.engine.host();
    PacketFate::of_client(host, filters, &server.interface, server.subnet).map_err(Silent::Asked)
}

fn filters<'a>(case: &'a Examination<'_>) -> Result<&'a Filters, Silent<'a>> {
    let read = case.filters.get_or_init(|| case.engine.host().firewall.filters());
    read.as_ref().map_err(Silent::Remembered)
}

/// What opens: rules of ours that are missing there, or the command.
fn remedy(case: &Examination<'_>, by_ours: bool, command: &str) -> String {
    if by_ours {
        return case.reconcile();
    }
    case.pick(format!("Run: {command}"), format!("Çalıştırın: {command}"))
}

/// Whether ufw has all rules of ours. Without an answer there is nothing to add.
fn ufw_complete(case: &Examination<'_>) -> bool {
    let ufw = case.engine.host().firewall.ufw(case.engine.marks()).ok().flatten();
    case.wanted.zip(ufw).is_none_or(|(wanted, ufw)| wanted.ufw.is_subset(&ufw.ours))
}

/// The same for the rules of the packet filter, which open forwarding where others close it.
fn rules_complete(case: &Examination<'_>) -> bool {
    let in_force =
        |wanted: &Wanted| case.engine.host().firewall.in_force(case.engine.marks(), &wanted.firewall);
    case.wanted.is_none_or(|wanted| in_force(wanted).is_ok_and(|force| force == InForce::Same))
}

fn try_out(case: &Examination<'_>) -> String {
    case.pick("Try it out from another network", "Başka bir ağdan deneyin")
}
