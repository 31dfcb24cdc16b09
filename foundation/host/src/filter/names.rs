//! Names that packet filters print in place of numbers.

/// ICMP, of IANA's protocol numbers as are the next ones.
pub(super) const ICMP: u8 = 1;
/// TCP.
pub(super) const TCP: u8 = 6;
/// UDP.
pub(super) const UDP: u8 = 17;
/// ICMP for IPv6.
pub(super) const ICMPV6: u8 = 58;

/// `NFPROTO_IPV4` and `NFPROTO_IPV6` of `linux/netfilter.h`.
pub(super) const NFPROTO_IPV4: u128 = 2;
pub(super) const NFPROTO_IPV6: u128 = 10;
/// `ETH_P_IP` and `ETH_P_IPV6` of `linux/if_ether.h`.
pub(super) const ETHERTYPE_IPV4: u128 = 0x0800;
pub(super) const ETHERTYPE_IPV6: u128 = 0x86dd;

/// States of connections as bits (`NF_CT_STATE_BIT` of `nf_conntrack_common.h`).
pub(super) const INVALID: u128 = 1;
pub(super) const ESTABLISHED: u128 = 2;
pub(super) const RELATED: u128 = 4;
pub(super) const NEW: u128 = 8;
pub(super) const UNTRACKED: u128 = 64;

/// `IPS_SRC_NAT` and `IPS_DST_NAT` of `nf_conntrack_common.h`.
pub(super) const STATUS_SNAT: u128 = 16;
pub(super) const STATUS_DNAT: u128 = 32;

/// `RTN_*` of `linux/rtnetlink.h`.
pub(super) const UNICAST: u128 = 1;
pub(super) const LOCAL: u128 = 2;
pub(super) const BROADCAST: u128 = 3;
pub(super) const MULTICAST: u128 = 5;

/// The flag that opens a TCP connection.
pub(super) const SYN: u128 = 2;

/// What a number means, and so by which names it may be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NumberKind {
    Interface,
    Address,
    Protocol,
    Port,
    State,
    Status,
    TcpFlags,
    IcmpType,
    Icmpv6Type,
    Family,
    EtherType,
    PacketType,
    AddressType,
    Direction,
    Boolean,
    /// Marks and other plain numbers.
    Number,
    /// Something that is not understood.
    Other,
}

impl NumberKind {
    /// The kind of a set's elements, by the name of their type in nftables.
    pub(super) fn of_set(name: &str) -> Self {
        match name {
            "ifname" | "iface_index" => Self::Interface,
            "ipv4_addr" | "ipv6_addr" => Self::Address,
            "inet_proto" => Self::Protocol,
            "inet_service" => Self::Port,
            "ct_state" => Self::State,
            "ct_status" => Self::Status,
            "tcp_flag" => Self::TcpFlags,
            "icmp_type" => Self::IcmpType,
            "icmpv6_type" => Self::Icmpv6Type,
            "nf_proto" => Self::Family,
            "ether_type" => Self::EtherType,
            "pkt_type" => Self::PacketType,
            "fib_addrtype" => Self::AddressType,
            "ct_dir" => Self::Direction,
            "boolean" => Self::Boolean,
            "mark" => Self::Number,
            _ => Self::Other,
        }
    }
    /// Its values are bits, so that a list of them is one value.
    pub(super) fn is_bits(self) -> bool {
        matches!(self, Self::State | Self::Status | Self::TcpFlags)
    }
    /// The number of a name. `None` for a name that is not known.
    pub(super) fn number(self, name: &str) -> Option<u128> {
        let table: &[(&str, u128)] = match self {
            Self::Protocol => PROTOCOLS,
            Self::State => STATES,
            Self::Status => STATUSES,
            Self::TcpFlags => TCP_FLAGS,
            Self::IcmpType => ICMP_TYPES,
            Self::Icmpv6Type => ICMPV6_TYPES,
            Self::Family => &[("ipv4", NFPROTO_IPV4), ("ipv6", NFPROTO_IPV6)],
            Self::EtherType => &[("ip", ETHERTYPE_IPV4), ("ip6", ETHERTYPE_IPV6), ("arp", 0x0806)],
            Self::PacketType => PACKET_TYPES,
            Self::AddressType => ADDRESS_TYPES,
            Self::Direction => &[("original", 0), ("reply", 1)],
            Self::Boolean => &[("missing", 0), ("exists", 1)],
            _ => &[],
        };
        let lower = name.to_ascii_lowercase();
        let named = table.iter().find(|(known, _)| *known == lower).map(|(_, number)| *number);
        named.or_else(|| number(name))
    }
}

/// A number, decimal or hexadecimal.
pub(super) fn number(text: &str) -> Option<u128> {
    match text.strip_prefix("0x") {
        Some(digits) => u128::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Of Debian's `/etc/protocols`.
const PROTOCOLS: &[(&str, u128)] = &[
    ("icmp", 1),
    ("igmp", 2),
    ("ipencap", 4),
    ("tcp", 6),
    ("udp", 17),
    ("dccp", 33),
    ("ipv6", 41),
    ("ipv6-route", 43),
    ("ipv6-frag", 44),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("ipv6-icmp", 58),
    ("icmpv6", 58),
    ("ipv6-nonxt", 59),
    ("ipv6-opts", 60),
    ("ospf", 89),
    ("ipip", 94),
    ("pim", 103),
    ("comp", 108),
    ("ipcomp", 108),
    ("vrrp", 112),
    ("l2tp", 115),
    ("sctp", 132),
    ("mobility-header", 135),
    ("udplite", 136),
];

const STATES: &[(&str, u128)] = &[
    ("invalid", INVALID),
    ("established", ESTABLISHED),
    ("related", RELATED),
    ("new", NEW),
    ("untracked", UNTRACKED),
];

/// `enum ip_conntrack_status` of `nf_conntrack_common.h`.
const STATUSES: &[(&str, u128)] = &[
    ("expected", 1),
    ("seen-reply", 2),
    ("seen_reply", 2),
    ("assured", 4),
    ("confirmed", 8),
    ("snat", STATUS_SNAT),
    ("dnat", STATUS_DNAT),
    ("dying", 512),
];

const TCP_FLAGS: &[(&str, u128)] = &[
    ("fin", 1),
    ("syn", SYN),
    ("rst", 4),
    ("psh", 8),
    ("ack", 16),
    ("urg", 32),
    ("ecn", 64),
    ("cwr", 128),
    ("all", 63),
    ("none", 0),
];

const ICMP_TYPES: &[(&str, u128)] = &[
    ("echo-reply", 0),
    ("destination-unreachable", 3),
    ("source-quench", 4),
    ("redirect", 5),
    ("echo-request", 8),
    ("router-advertisement", 9),
    ("router-solicitation", 10),
    ("time-exceeded", 11),
    ("parameter-problem", 12),
    ("timestamp-request", 13),
    ("timestamp-reply", 14),
    ("info-request", 15),
    ("info-reply", 16),
    ("address-mask-request", 17),
    ("address-mask-reply", 18),
];

const ICMPV6_TYPES: &[(&str, u128)] = &[
    ("destination-unreachable", 1),
    ("packet-too-big", 2),
    ("time-exceeded", 3),
    ("parameter-problem", 4),
    ("echo-request", 128),
    ("echo-reply", 129),
    ("mld-listener-query", 130),
    ("mld-listener-report", 131),
    ("mld-listener-done", 132),
    ("mld-listener-reduction", 132),
    ("nd-router-solicit", 133),
    ("nd-router-advert", 134),
    ("nd-neighbor-solicit", 135),
    ("nd-neighbor-advert", 136),
    ("nd-redirect", 137),
    ("router-renumbering", 138),
    ("ind-neighbor-solicit", 141),
    ("ind-neighbor-advert", 142),
    ("mld2-listener-report", 143),
];

/// `PACKET_*` of `linux/if_packet.h`.
const PACKET_TYPES: &[(&str, u128)] =
    &[("host", 0), ("unicast", 0), ("broadcast", 1), ("multicast", 2), ("other", 3)];

const ADDRESS_TYPES: &[(&str, u128)] = &[
    ("unspec", 0),
    ("unicast", UNICAST),
    ("local", LOCAL),
    ("broadcast", BROADCAST),
    ("anycast", 4),
    ("multicast", MULTICAST),
    ("blackhole", 6),
    ("unreachable", 7),
    ("prohibit", 8),
    ("throw", 9),
    ("nat", 10),
    ("xresolve", 11),
];

#[cfg(test)]
mod tests {
    use super::NumberKind;

    #[test]
    fn names_and_numbers_are_read() {
        assert_eq!(NumberKind::Protocol.number("udp"), Some(17));
        assert_eq!(NumberKind::Protocol.number("50"), Some(50));
        assert_eq!(NumberKind::State.number("ESTABLISHED"), Some(2));
        assert_eq!(NumberKind::Number.number("0xff"), Some(255));
        assert_eq!(NumberKind::Protocol.number("nonsense"), None);
        assert_eq!(NumberKind::of_set("inet_service"), NumberKind::Port);
        assert_eq!(NumberKind::of_set("ether_addr"), NumberKind::Other);
    }
}
