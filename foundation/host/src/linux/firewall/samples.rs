//! What the tests of the packet filters share.

use super::nft::Listing;
use crate::{Hook, Match, Protocol, Ruleset, Verdict};

/// A ruleset with every condition and every verdict.
pub(super) fn everything() -> Ruleset {
    let input = |interface: &str, not| Match::In { interface: interface.into(), not };
    let output = |interface: &str, not| Match::Out { interface: interface.into(), not };
    let from = |network: &str, not| Match::From { network: network.parse().unwrap(), not };
    let to = |network: &str, not| Match::To { network: network.parse().unwrap(), not };
    let port = |protocol, port| Match::Port { protocol, port };
    let mut all = Ruleset::default();
    all.add(Hook::Input, 1, vec![input("lo", true), port(Protocol::Udp, 51820)], Verdict::Drop);
    all.add(Hook::Input, 2, vec![Match::Ipv6, port(Protocol::Tcp, 443)], Verdict::Accept);
    all.add(Hook::Forward, 1, vec![Match::Established], Verdict::Accept);
    all.add(
        Hook::Forward,
        2,
        vec![input("wg_main", false), from("10.8.0.0/24", false), to("10.0.0.0/8", true)],
        Verdict::Accept,
    );
    all.add(Hook::Forward, 3, vec![input("wg_main", false), Match::Ipv6], Verdict::Reject);
    all.add(Hook::Forward, 4, vec![from("10.8.0.5/32", false), output("wg_vpn", true)], Verdict::Drop);
    all.add(Hook::Forward, 5, vec![from("fd00:8::/64", true), output("wg_main", false)], Verdict::Reject);
    all.add(Hook::MssClamp, 1, vec![output("wg_main", false), Match::TcpSyn], Verdict::ClampMss);
    all.add(
        Hook::MssClamp,
        2,
        vec![Match::TcpSyn, Match::Ipv4, port(Protocol::Tcp, 80)],
        Verdict::SetMss(1360),
    );
    all.add(Hook::SourceNat, 1, vec![from("10.8.0.0/24", false), to("10.8.0.0/24", false)], Verdict::Accept);
    all.add(
        Hook::SourceNat,
        2,
        vec![from("10.8.0.0/24", false), output("wg_main", true)],
        Verdict::Masquerade,
    );
    let udp = Match::Is { protocol: Protocol::Udp };
    let to_ports = Verdict::MasqueradeTo { first: 32_768, last: 65_535 };
    all.add(Hook::SourceNat, 3, vec![from("10.8.0.0/24", false), output("wg_vpn", false), udp], to_ports);
    all.add(Hook::Output, 1, vec![from("10.8.0.0/24", false), Match::Unconnected], Verdict::Drop);
    all.add(Hook::Postrouting, 1, vec![from("10.8.0.0/24", false), output("lo", false)], Verdict::Accept);
    all.add(Hook::Postrouting, 2, vec![from("10.8.0.0/24", false), output("wg_main", true)], Verdict::Drop);
    // One that can match nothing leaves no trace.
    all.add(Hook::Input, 3, vec![Match::Ipv4, Match::Ipv6], Verdict::Drop);
    all
}

/// `nft -j -t list ruleset` with our table of every kind of rule, an `inet filter` with policy drop, one of
/// iptables-nft, and a NAT table.
pub(super) const CAPTURED: [&str; 2] =
    [include_str!("nft/listing/ruleset-1.0.6.json"), include_str!("nft/listing/ruleset-1.1.3.json")];

pub(super) fn captured() -> impl Iterator<Item = Listing> {
    CAPTURED.into_iter().map(|json| Listing::parse(json.as_bytes()).unwrap())
}
