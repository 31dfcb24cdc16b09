//! The firewall as it concerns the VPN, whoever made the rules: facts for people.

use std::collections::BTreeSet;

use ipnetwork::IpNetwork;
use phantom_types::Subnet;
use serde_json::Value;

use super::nft::{self, Place, Table, TableFamily};
use super::rules::Family;
use super::ufw;
use super::xtables::{self, At, Listing, addresses, target};
use crate::linux::command::find;
use crate::{FirewallQuery, FirewallReport, Marks, UfwReport};

/// Asks everybody. A part that cannot be read stays empty.
pub(super) fn report(marks: &Marks, query: &FirewallQuery) -> FirewallReport {
    let mut report = FirewallReport { ufw: ufw_report(marks, query), ..FirewallReport::default() };
    let chains = nft::kernel::chains().ok().flatten().unwrap_or_default();
    for at in xtables::existing(&chains).into_iter().filter(|at| at.family == Family::V4 && at.program().is_some()) {
        if let Ok(listing) = at.list() {
            add_xtables(&mut report, at, &listing, query);
        }
    }
    let tables = nft::kernel::tables().unwrap_or_default();
    let own = Place::own(marks.nft_table());
    report.table_loaded = tables.contains_key(&own);
    if !tables.is_empty() && find("nft").is_some() && let Ok(listing) = nft::list_all() {
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

fn ufw_report(marks: &Marks, query: &FirewallQuery) -> UfwReport {
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
    UfwReport { enabled: true, lines: ufw::status_lines(&ufw::status(), &marks.text(), &words) }
}

fn add_xtables(report: &mut FirewallReport, at: At, listing: &Listing, query: &FirewallQuery) {
    let named = listing.lines().filter(|line| names(line, query));
    match at.table {
        "nat" => {
            report.nat_rules.extend(named);
            for rule in listing.chains.values().flatten() {
                if matches!(target(rule), Some("MASQUERADE" | "SNAT"))
                    && let Some((source, destination)) = addresses(rule)
                    && source.is_none_or(|source| covers(source, query.subnet))
                {
                    report.masquerade.push((source.unwrap_or(anywhere()), destination.unwrap_or(anywhere())));
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
    let (interface, subnet, port) = (query.interface.as_str(), query.subnet.to_string(), query.port.to_string());
    let words: Vec<_> = rule.split(' ').collect();
    words.windows(2).any(|pair| match pair[0] {
        "-i" | "-o" => pair[1] == interface,
        "-s" | "-d" => pair[1] == subnet,
        "--dport" | "--sport" | "--dports" | "--sports" | "--ports" => pair[1].split(',').any(|one| one == port),
        _ => false,
    })
}

fn add_nft(report: &mut FirewallReport, table: &Table, query: &FirewallQuery) {
    for rule in table.chains.values().flat_map(|chain| &chain.rules) {
        if (rule.has("masquerade") || rule.has("snat")) && let Some(source) = field(&rule.statements, "saddr", query) {
            let destination = field(&rule.statements, "daddr", query).flatten();
            report.masquerade.push((source.unwrap_or(anywhere()), destination.unwrap_or(anywhere())));
        }
    }
    let forwarded = forwarded(table);
    let rules = table.chains.iter().filter(|(chain, _)| forwarded.contains(chain.as_str()));
    report.forwarding |= rules.flat_map(|(_, chain)| &chain.rules).any(|rule| {
        let by_interface = rule.statements.iter().filter_map(|s| s.get("match")).any(|condition| {
            condition["op"] == "==" && condition["left"]["meta"]["key"] == "iifname" && condition["right"] == query.interface.as_str()
        });
        rule.has("accept") && (by_interface || field(&rule.statements, "saddr", query).flatten().is_some())
    });
}

/// The chains that forwarded packets can come to.
fn forwarded(table: &Table) -> BTreeSet<&str> {
    let mut reached = BTreeSet::new();
    let base = table.chains.iter().filter(|(_, chain)| chain.is_at("forward"));
    let mut open: Vec<&str> = base.map(|(name, _)| name.as_str()).collect();
    while let Some(name) = open.pop() {
        if reached.insert(name) && let Some(chain) = table.chains.get(name) {
            open.extend(chain.rules.iter().filter_map(|rule| rule.target()));
        }
    }
    reached
}

/// What a rule says of an address field: `None` when it does not concern the subnet, `Some(None)` when it says
/// nothing. For the destination every network is taken.
fn field(statements: &[Value], field: &str, query: &FirewallQuery) -> Option<Option<IpNetwork>> {
    let mut said = None;
    for condition in statements.iter().filter_map(|statement| statement.get("match")) {
        if condition["left"]["payload"]["field"] != field {
            continue;
        }
        let right = &condition["right"];
        let members = right["set"].as_array().map_or(std::slice::from_ref(right), Vec::as_slice);
        let mut networks = members.iter().filter_map(nft::network);
        let fitting = networks.find(|network| field != "saddr" || covers(*network, query.subnet));
        match (condition["op"].as_str(), fitting) {
            (Some("=="), Some(network)) => said = Some(network),
            // Any but this one: the rule is for the subnet if that lies outside.
            (Some("!="), None) => {}
            (Some("!="), Some(_)) if field != "saddr" => {}
            _ => return None,
        }
    }
    Some(said)
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
