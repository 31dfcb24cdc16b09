//! The packet that is asked about.

use std::net::IpAddr;

use super::names::{ICMP, ICMPV6, TCP, UDP};

/// Which base chains of the host a packet passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketPath {
    /// To this host: ingress, prerouting, input.
    Input,
    /// Through this host: ingress, prerouting, forward, postrouting, egress.
    Forward,
}

/// What connection tracking says of a packet once it has seen it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tracking {
    /// It opens a connection.
    New,
    /// It belongs to a connection that has seen packets in both directions.
    Established,
    /// It belongs to a connection that another one expects, or is an ICMP error of a known one.
    Related,
    /// It fits no connection.
    Invalid,
    /// It is not tracked, as a rule in a `raw` table has said.
    Untracked,
}

/// A packet as the packet filter sees it. It is whole (no fragment), has no
/// extension headers, options or `IPsec`, came from another host, and no socket has claimed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// To this host, or through it.
    pub path: PacketPath,
    /// The interface it comes in by.
    pub in_interface: String,
    /// The interface it leaves by; `None` when that is not known, and for packets to this host.
    pub out_interface: Option<String>,
    /// Its source. The family of the packet is that of its source.
    pub source: IpAddr,
    /// Its destination: an address of this host if the packet is for it.
    pub destination: IpAddr,
    /// Its protocol, as in IANA's protocol numbers: 6 is TCP, 17 is UDP.
    pub protocol: u8,
    /// Source and destination port, where the protocol has ports.
    pub ports: Option<(u16, u16)>,
    /// Type and code, where the protocol is ICMP of its family.
    pub icmp: Option<(u8, u8)>,
    /// What connection tracking says.
    pub tracking: Tracking,
    /// Its mark (`nfmark`) when it comes in.
    pub mark: u32,
    /// The mark of its connection; `None` when it is not known. A new connection has 0.
    pub connection_mark: Option<u32>,
    /// The source that its connection began with, where it is an answer; `None` when that is not known.
    pub origin: Option<IpAddr>,
    /// The source that masquerading gives its connection: the address of the interface that the connection leaves by.
    /// `None` when that is not known.
    pub masqueraded: Option<IpAddr>,
    /// Whether an answer to its source would leave by [`Self::in_interface`] (strict reverse path); `None` when that is
    /// not known.
    pub return_route: Option<bool>,
}

impl Packet {
    /// The first packet of a connection to this host, from a source whose answers leave by the same interface.
    pub fn to_host(interface: &str, source: IpAddr, destination: IpAddr, protocol: u8, port: u16) -> Self {
        Self {
            path: PacketPath::Input,
            in_interface: interface.to_owned(),
            out_interface: None,
            source,
            destination,
            protocol,
            ports: Some((EPHEMERAL, port)),
            icmp: None,
            tracking: Tracking::New,
            mark: 0,
            connection_mark: Some(0),
            origin: None,
            masqueraded: None,
            return_route: Some(true),
        }
    }
    /// The first packet of a connection through this host, in by one interface and out by the other.
    pub fn through(by: (&str, &str), source: IpAddr, destination: IpAddr, protocol: u8, port: u16) -> Self {
        Self {
            path: PacketPath::Forward,
            out_interface: Some(by.1.to_owned()),
            ..Self::to_host(by.0, source, destination, protocol, port)
        }
    }
    /// An answer to this packet of a connection through this host: the same with its ends exchanged.
    #[must_use]
    pub fn answer(&self) -> Self {
        let back = self.out_interface.clone().unwrap_or_default();
        Self {
            in_interface: back,
            out_interface: Some(self.in_interface.clone()),
            source: self.destination,
            destination: self.source,
            ports: self.ports.map(|(from, to)| (to, from)),
            tracking: Tracking::Established,
            connection_mark: None,
            origin: Some(self.source),
            ..self.clone()
        }
    }

    pub(super) fn is_ipv4(&self) -> bool {
        self.source.is_ipv4()
    }
    /// The number of the ICMP of its family.
    pub(super) fn icmp_protocol(&self) -> u8 {
        if self.is_ipv4() { ICMP } else { ICMPV6 }
    }
    /// Whether its protocol has ports where TCP and UDP have them.
    pub(super) fn has_ports(&self) -> bool {
        // SCTP, DCCP and UDP-Lite.
        matches!(self.protocol, TCP | UDP | 132 | 33 | 136)
    }
}

/// A source port as clients have it: above those that rules name.
const EPHEMERAL: u16 = 50_123;
