//! Which words of both listings are understood: rules of every kind, as nft 1.0.6 and iptables 1.8.9 print them.

use super::super::Filters;
use super::super::tree::{FilterAction, Statement};
use super::iptables;

/// The rules of a chain of which it is not known what they ask or do.
fn not_understood(filters: &Filters, chain: &str) -> Vec<String> {
    let chains = filters.tables.iter().flat_map(|table| &table.chains);
    let rules = chains.filter(|there| there.name == chain).flat_map(|chain| &chain.rules);
    let unknown = |step: &Statement| matches!(step, Statement::Maybe | Statement::Do(FilterAction::Unknown));
    rules.filter(|rule| rule.steps.iter().any(unknown)).map(|rule| rule.text.clone()).collect()
}

/// Matches whose answer no packet has in it, or that nobody has needed yet.
const UNKNOWN: [&str; 20] = [
    "bpf",
    "connlimit",
    "cpu",
    "dscp",
    "hashlimit",
    "helper",
    "length",
    "limit",
    "mac",
    "physdev",
    "quota",
    "recent",
    "socket",
    "statistic",
    "string",
    "time",
    "tos",
    "ttl",
    "u32",
    "queue-num",
];

/// The same in the words of nftables.
const UNKNOWN_OF_NFT: [&str; 19] = [
    "fib daddr . iif type",
    "ether type",
    "limit",
    "quota",
    "ct count",
    "meta length",
    "ip ttl",
    "ip dscp",
    "@nh",
    "udp length",
    "skuid",
    "meta hour",
    "socket",
    "ct protocol",
    "iiftype",
    "cgroup",
    "ipsec in",
    "tcp option",
    "numgen",
];

#[test]
fn of_iptables() {
    let filters = iptables(include_str!("captured/words.save"));
    for text in not_understood(&filters, "INPUT") {
        let named = UNKNOWN
            .iter()
            .any(|name| text.contains(&format!("-m {name}")) || text.contains(&format!("--{name}")));
        assert!(named, "{text}");
    }
    for chain in ["PREROUTING", "POSTROUTING", "FORWARD", "OUTPUT"] {
        assert!(not_understood(&filters, chain).iter().all(|text| text.contains("-m owner")), "{chain}");
    }
}

#[test]
fn of_nftables() {
    let filters =
        Filters::read_nft(include_bytes!("captured/words.json"), include_str!("captured/words.txt")).unwrap();
    let texts = not_understood(&filters, "input");
    for text in &texts {
        assert!(UNKNOWN_OF_NFT.iter().any(|word| text.contains(word)), "{text}");
    }
    assert_eq!(texts.len(), 18, "{texts:#?}");
}
