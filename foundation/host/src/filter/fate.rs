//! What becomes of the packets that matter to a server: a stranger's first one, and those of its clients.

use std::net::{IpAddr, Ipv4Addr};

use phantom_types::watch::FAR;
use phantom_types::{InterfaceName, Subnet};

use super::letting::STRANGERS6;
use super::names::{TCP, UDP};
use super::{FilterDoubt, FilterVerdict, Filters, Packet, RuleSpot};
use crate::{ForwardedPacket, Host, HostError, Port, Protocol, Result};

/// Addresses of the Internet: the first is of a network for documentation (RFC 5737), which some filters drop together
/// with other networks that nobody has; the second is an ordinary one. Nothing is ever sent to them.
pub(super) const STRANGERS: [Ipv4Addr; 2] = [Ipv4Addr::new(198, 51, 100, 7), FAR.0];
/// The port that clients' packets go to.
const HTTPS: u16 = 443;

/// A packet, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketFate {
    /// The packet.
    pub packet: Packet,
    /// What becomes of it.
    pub verdict: FilterVerdict,
}

impl PacketFate {
    /// The first packet from the Internet by the uplink to a port of this host. `address` is where it goes to if the
    /// uplink has no address itself. IPv6 where the host has that alone. `None` without an uplink.
    ///
    /// Where one address of the Internet is let in, the port counts as open, whoever else is kept out.
    ///
    /// # Errors
    ///
    /// The uplink cannot be asked for.
    pub fn from_internet(
        host: &Host,
        filters: &Filters,
        port: Port,
        address: Option<Ipv4Addr>,
    ) -> Result<Option<Self>> {
        let Some(uplink) = host.network.uplink()? else { return Ok(None) };
        let packet = |source: IpAddr, destination: IpAddr| {
            Packet::to_host(&uplink.interface, source, destination, number(port.protocol), port.number)
        };
        let four = uplink.address.or(address).map(|to| STRANGERS.map(|from| packet(from.into(), to.into())));
        let six = || uplink.ipv6.map(|to| STRANGERS6.map(|from| packet(from.into(), to.into())));
        Ok(four.or_else(six).and_then(|packets| Self::best(filters, packets)))
    }

    /// The packets of a client to the Internet, and the answers to them: what becomes of the one that does not pass, or
    /// of the first one. The kernel says by which interface they leave. `None` while there is no route for them. IPv4.
    ///
    /// # Errors
    ///
    /// The kernel cannot be asked for the route.
    pub fn of_client(
        host: &Host,
        filters: &Filters,
        interface: &InterfaceName,
        subnet: Subnet,
    ) -> Result<Option<Self>> {
        let client = Ipv4Addr::from(u32::from(subnet.server()).saturating_add(1));
        let mut packets = Vec::new();
        for to in STRANGERS {
            let passing = ForwardedPacket { from: client, to, in_interface: interface.clone() };
            let out = match host.network.route_for(&passing) {
                Ok(Some(out)) => out,
                // The interface is not there.
                Ok(None) | Err(HostError::Absent { .. }) => continue,
                Err(error) => return Err(error),
            };
            let through = Packet::through((interface.as_str(), &out), client.into(), to.into(), TCP, HTTPS);
            packets.push(Packet { masqueraded: first_address(host, &out)?, ..through });
        }
        let answers: Vec<Packet> = packets.iter().map(Packet::answer).collect();
        let first = Self::best(filters, packets);
        let passes = first.as_ref().is_some_and(|fate| fate.verdict == FilterVerdict::Accepted);
        if !passes {
            return Ok(first);
        }
        let back = Self::best(filters, answers);
        Ok(back.filter(|fate| fate.verdict != FilterVerdict::Accepted).or(first))
    }

    /// The one that passes, else one of which it is not known, else the first.
    pub(super) fn best(filters: &Filters, packets: impl IntoIterator<Item = Packet>) -> Option<Self> {
        let fate = |packet: Packet| Self { verdict: filters.verdict(&packet), packet };
        let rank = |fate: &Self| match fate.verdict {
            FilterVerdict::Accepted => 0,
            FilterVerdict::Unknown(_) => 1,
            _ => 2,
        };
        packets.into_iter().map(fate).min_by_key(rank)
    }

    /// The rule that ends it, with the command that lets it pass there; `None` when none does, or when it is not known.
    pub fn closing(&self) -> Option<(&RuleSpot, String)> {
        self.verdict.closing().map(|spot| (spot, spot.opening(&self.packet)))
    }

    /// What is not known, where that decides.
    pub fn doubt(&self) -> Option<&FilterDoubt> {
        match &self.verdict {
            FilterVerdict::Unknown(doubt) => Some(doubt),
            _ => None,
        }
    }
}

/// The address that masquerading takes of an interface: its first one.
fn first_address(host: &Host, interface: &str) -> Result<Option<IpAddr>> {
    let addresses = host.network.addresses()?;
    let mut own = addresses.iter().filter(|(name, network)| name == interface && network.is_ipv4());
    Ok(own.next().map(|(_, network)| network.ip()))
}

pub(super) fn number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => TCP,
        Protocol::Udp => UDP,
    }
}
