//! The evaluator on rulesets that real programs have listed, and on small ones that show one thing each.

mod captured;
mod ipset;
mod letting;
mod walk;
mod words;

use super::{FilterDoubt, FilterProgram, FilterVerdict, Filters, Packet};

/// An address of the Internet.
const STRANGER: &str = "203.0.113.9";
/// The host's own.
const HOST: &str = "192.0.2.10";
const TCP: u8 = 6;
const UDP: u8 = 17;

/// The first packet of a stranger to a port of the host.
fn to(protocol: u8, port: u16) -> Packet {
    from(STRANGER, protocol, port)
}

fn from(source: &str, protocol: u8, port: u16) -> Packet {
    Packet::to_host("eth0", source.parse().unwrap(), HOST.parse().unwrap(), protocol, port)
}

/// The first packet of a client to the Internet.
fn client() -> Packet {
    let (source, destination) = ("10.8.0.2".parse().unwrap(), STRANGER.parse().unwrap());
    Packet::through(("wg_main", "eth0"), source, destination, UDP, 443)
}

fn iptables(text: &str) -> Filters {
    Filters::read_iptables(text, FilterProgram::IptablesNft, false)
}

/// A ruleset of one table `filter`, from its chains and rules.
fn input(rules: &str) -> Filters {
    iptables(&format!("*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n{rules}\nCOMMIT\n"))
}

/// What comes of a packet, in a few words: how it ends, and by which rule.
fn said(filters: &Filters, packet: &Packet) -> String {
    match filters.verdict(packet) {
        FilterVerdict::Accepted => "accepted".to_owned(),
        FilterVerdict::Dropped(spot) if spot.number.is_none() => "dropped by policy drop".to_owned(),
        FilterVerdict::Dropped(spot) => format!("dropped by {}", spot.text),
        FilterVerdict::Rejected(spot) => format!("rejected by {}", spot.text),
        FilterVerdict::Redirected(spot) => format!("redirected by {}", spot.text),
        FilterVerdict::Unknown(FilterDoubt::Rule(spot)) => format!("unknown by {}", spot.text),
        FilterVerdict::Unknown(FilterDoubt::Unread(table)) => format!("unread {table}"),
    }
}
