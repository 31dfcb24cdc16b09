//! The firewall as it concerns the VPN, whoever made the rules: facts for people.

use std::collections::BTreeSet;

use ipnetwork::IpNetwork;
use phantom_types::Subnet;
use serde_json::Value;

use super::nft::{self, NftTable, Table, TableFamily};
use super::rules::Family;
use super::ufw;
use super::xtables::{self, Listing, Start, XtablesTable, addresses, target};
use crate::linux::command::find;
use crate::{FirewallQuery, FirewallReport, OwnershipTags, UfwReport};

/// Asks everybody. A part that cannot be read stays empty.
pub(super) fn report(start: Start, tags: &OwnershipTags, query: &FirewallQuery) -> FirewallReport {
    let mut report = FirewallReport { ufw: ufw_report(tags, query), ..FirewallReport::default() };
    let chains = nft::kernel::chains().ok().flatten().unwrap_or_default();
    for at in
        xtables::existing(&chains).into_iter().filter(|at| at.family == Family::V4 && at.program().is_some())
    {
        if let Ok(listing) = at.list(start) {
            add_xtables(&mut report, at, &listing, query);
        }
    }
    let tables = nft::kernel::tables().unwrap_or_default();
    let own = NftTable::own(tags.nft_table());
    report.table_loaded = tables.contains_key(&own);
    if !tables.is_empty()
        && find("nft").is_some()
        && let Ok(listing) = nft::list_all()
    {
        for (place, table) in listing.tables.iter().filter(|(place, _)| place.family != TableFamily::Ip6) {
            // What iptables keeps in nftables was read above.
            if place.family == TableFamily::Inet || !xtables::TABLES.contains(&place.table.as_str()) {
                add_nft(&mut report, table, query);
            }
        }
    }
    report.masquerade.sort_unstable();
    report.masquerade.dedup();
    report
}

fn ufw_report(tags: &OwnershipTags, query: &FirewallQuery) -> UfwReport {
    if !ufw::enabled().unwrap_or(false) {
        return UfwReport::default();
    }
    let port = query.port;
    let words = [
        port.to_string(),
        format!("{port}/udp"),
        format!("{port}/tcp"),
        query.interface.to_string(),
        query.subnet.to_string(),
    ];
    UfwReport { enabled: true, lines: ufw::status_lines(&ufw::status(), &tags.tag(), &words) }
}

fn add_xtables(report: &mut FirewallReport, at: XtablesTable, listing: &Listing, query: &FirewallQuery) {
    let named = listing.lines().filter(|line| names(line, query));
    match at.table {
        "nat" => {
            report.nat_rules.extend(named);
            for rule in listing.chains.values().flatten() {
                if matches!(target(rule), Some("MASQUERADE" | "SNAT"))
                    && let Some((source, destination)) = addresses(rule)
                    && source.is_none_or(|source| covers(source, query.subnet))
                {
                    report
                        .masquerade
                        .push((source.unwrap_or_else(anywhere), destination.unwrap_or_else(anywhere)));
                }
            }
        }
        "filter" => {
            report.filter_rules.extend(named);
            let forwarded = listing.reached_from("FORWARD");
            let rules = listing.chains.iter().filter(|(chain, _)| forwarded.contains(chain.as_str()));
            report.forwarding |= rules.flat_map(|(_, rules)| rules).any(|rule| {
                let interface = format!("-i {} ", query.interface);
                let by_interface = rule.contains(&interface) && !rule.contains(&format!("! {interface}"));
                let source = || addresses(rule).and_then(|(source, _)| source);
                target(rule) == Some("ACCEPT")
                    && (by_interface || source().is_some_and(|source| covers(source, query.subnet)))
            });
        }
        _ => {}
    }
}

/// Whether a rule of iptables names interface, subnet or port.
fn names(rule: &str, query: &FirewallQuery) -> bool {
    let (interface, subnet, port) =
        (query.interface.as_str(), query.subnet.to_string(), query.port.to_string());
    let words: Vec<_> = rule.split(' ').collect();
    words.windows(2).any(|pair| match pair[0] {
        "-i" | "-o" => pair[1] == interface,
        "-s" | "-d" => pair[1] == subnet,
        "--dport" | "--sport" | "--dports" | "--sports" | "--ports" => {
            pair[1].split(',').any(|one| one == port)
        }
        _ => false,
    })
}

fn add_nft(report: &mut FirewallReport, table: &Table, query: &FirewallQuery) {
    for rule in table.chains.values().flat_map(|chain| &chain.rules) {
        let translates = rule.has("masquerade") || rule.has("snat");
        if translates && let Some(source) = source(&rule.statements, query.subnet).network() {
            report.masquerade.push((source, destination(&rule.statements)));
        }
    }
    let forwarded = forwarded(table);
    let rules = table.chains.iter().filter(|(chain, _)| forwarded.contains(chain.as_str()));
    report.forwarding |= rules.flat_map(|(_, chain)| &chain.rules).any(|rule| {
        let by_interface = rule.statements.iter().filter_map(|s| s.get("match")).any(|condition| {
            condition["op"] == "=="
                && condition["left"]["meta"]["key"] == "iifname"
                && condition["right"] == query.interface.as_str()
        });
        rule.has("accept")
            && (by_interface || matches!(source(&rule.statements, query.subnet), Source::Network(_)))
    });
}

/// The chains that forwarded packets can come to.
fn forwarded(table: &Table) -> BTreeSet<&str> {
    let mut reached = BTreeSet::new();
    let base = table.chains.iter().filter(|(_, chain)| chain.is_at("forward"));
    let mut open: Vec<&str> = base.map(|(name, _)| name.as_str()).collect();
    while let Some(name) = open.pop() {
        if reached.insert(name)
            && let Some(chain) = table.chains.get(name)
        {
            open.extend(chain.rules.iter().filter_map(|rule| rule.target()));
        }
    }
    reached
}

/// For whom a rule of nftables is, with respect to the subnet.
enum Source {
    /// It says nothing of the source.
    Any,
    /// It names this network, which holds the subnet.
    Network(IpNetwork),
    /// It is not for the subnet.
    Others,
}

impl Source {
    fn network(self) -> Option<IpNetwork> {
        match self {
            Self::Any => Some(anywhere()),
            Self::Network(network) => Some(network),
            Self::Others => None,
        }
    }
}

fn source(statements: &[Value], subnet: Subnet) -> Source {
    let mut said = Source::Any;
    for (right, turned) in addresses_in(statements, "saddr") {
        match (turned, networks(right).into_iter().find(|network| covers(*network, subnet))) {
            (false, Some(network)) => said = Source::Network(network),
            // All but these, and the subnet is none of them.
            (true, None) => {}
            (false, None) | (true, Some(_)) => return Source::Others,
        }
    }
    said
}

fn destination(statements: &[Value]) -> IpNetwork {
    let said = addresses_in(statements, "daddr").find(|(_, turned)| !turned);
    said.and_then(|(right, _)| networks(right).into_iter().next()).unwrap_or_else(anywhere)
}

/// What the conditions on an address field compare it with, and whether they are turned round.
fn addresses_in<'a>(statements: &'a [Value], field: &str) -> impl Iterator<Item = (&'a Value, bool)> {
    let conditions = statements.iter().filter_map(|statement| statement.get("match"));
    let of_field = conditions.filter(move |condition| condition["left"]["payload"]["field"] == field);
    of_field.map(|condition| (&condition["right"], condition["op"] == "!="))
}

/// An address, a prefix, or a set of them.
fn networks(right: &Value) -> Vec<IpNetwork> {
    let members = right["set"].as_array().map_or(std::slice::from_ref(right), Vec::as_slice);
    members.iter().filter_map(nft::network).collect()
}

fn covers(network: IpNetwork, subnet: Subnet) -> bool {
    let IpNetwork::V4(network) = network else { return false };
    network.prefix() <= subnet.prefix() && network.contains(subnet.network())
}

/// Every IPv4 address.
fn anywhere() -> IpNetwork {
    "0.0.0.0/0".parse().expect("a constant, and valid")
}

#[cfg(test)]
mod tests;
