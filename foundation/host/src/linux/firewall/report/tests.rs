//! The report, on captured listings.

use super::super::rules::Family;
use super::super::samples::captured;
use super::super::xtables::{Listing, Variant, XtablesTable};
use super::{add_nft, add_xtables, forwarded, names};
use crate::{FirewallQuery, FirewallReport};

fn query() -> FirewallQuery {
    FirewallQuery {
        interface: "wg_main".parse().unwrap(),
        subnet: "10.8.0.0/24".parse().unwrap(),
        port: 51820,
    }
}

fn net(text: &str) -> ipnetwork::IpNetwork {
    text.parse().unwrap()
}

#[test]
fn nftables_source_nat_for_subnet_is_found() {
    for listing in captured() {
        let of = |name: &str| {
            let mut report = FirewallReport::default();
            let (_, table) = listing.tables.iter().find(|(place, _)| place.table == name).unwrap();
            add_nft(&mut report, table, &query());
            report.masquerade.dedup();
            report
        };
        let any = net("0.0.0.0/0");
        assert_eq!(of("phantom_wg").masquerade, [(net("10.8.0.0/24"), any)]);
        // A wider source, a fixed address for everybody, one of several sources with a destination; not the rule for
        // all but us, and not the one for somebody else.
        let expected = [(net("10.8.0.0/16"), any), (any, any), (net("10.8.0.0/24"), net("198.51.100.0/24"))];
        assert_eq!(of("nat2").masquerade, expected);
        assert!(of("phantom_wg").forwarding);
        assert!(!of("nat2").forwarding);
    }
}

#[test]
fn only_chains_that_forwarded_packets_reach_count() {
    for listing in captured() {
        let (_, table) = listing.tables.iter().find(|(p, _)| p.to_string() == "inet filter").unwrap();
        assert_eq!(forwarded(table).into_iter().collect::<Vec<_>>(), ["forward", "vpn"]);
        let mut report = FirewallReport::default();
        add_nft(&mut report, table, &query());
        assert!(report.forwarding);
        let mut cut = table.clone();
        cut.chains.get_mut("forward").unwrap().rules.remove(1);
        let mut report = FirewallReport::default();
        // The accept of the input chain is for this host only.
        add_nft(&mut report, &cut, &query());
        assert!(!report.forwarding);
    }
}

const NAT: &str = "\
-P PREROUTING ACCEPT
-P POSTROUTING ACCEPT
-N DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A POSTROUTING -s 10.8.0.0/24 -o eth0 -j MASQUERADE
-A POSTROUTING -o eth1 -j SNAT --to-source 192.0.2.1
-A POSTROUTING ! -s 10.8.0.0/24 -o eth2 -j MASQUERADE
-A DOCKER -p udp -m udp --dport 51820 -j DNAT --to-destination 172.17.0.2:51820
";
const FILTER: &str = "\
-P INPUT ACCEPT
-P FORWARD DROP
-N DOCKER-USER
-N elsewhere
-A INPUT -p udp -m multiport --dports 443,51820 -j ACCEPT
-A INPUT -i wg_main -j ACCEPT
-A FORWARD -j DOCKER-USER
-A DOCKER-USER -i wg_main -m comment --comment \"let -j DROP in\" -j ACCEPT
-A elsewhere -s 10.0.0.0/8 -j ACCEPT
";

fn iptables(table: &'static str, text: &str) -> FirewallReport {
    let mut report = FirewallReport::default();
    let at = XtablesTable { variant: Variant::Legacy, family: Family::V4, table };
    add_xtables(&mut report, at, &Listing::of_text(text), &query());
    report
}

#[test]
fn iptables_rules_about_the_vpn_are_listed() {
    let nat = iptables("nat", NAT);
    assert_eq!(
        nat.nat_rules,
        [
            "-A DOCKER -p udp -m udp --dport 51820 -j DNAT --to-destination 172.17.0.2:51820",
            "-A POSTROUTING -s 10.8.0.0/24 -o eth0 -j MASQUERADE",
            "-A POSTROUTING ! -s 10.8.0.0/24 -o eth2 -j MASQUERADE",
        ]
    );
    assert_eq!(
        nat.masquerade,
        [(net("10.8.0.0/24"), net("0.0.0.0/0")), (net("0.0.0.0/0"), net("0.0.0.0/0"))]
    );
    let filter = iptables("filter", FILTER);
    assert_eq!(
        filter.filter_rules,
        [
            "-A DOCKER-USER -i wg_main -m comment --comment \"let -j DROP in\" -j ACCEPT",
            "-A INPUT -p udp -m multiport --dports 443,51820 -j ACCEPT",
            "-A INPUT -i wg_main -j ACCEPT",
        ]
    );
    assert!(filter.forwarding);
    assert!(!iptables("filter", &FILTER.replace("-A FORWARD -j DOCKER-USER\n", "")).forwarding);
    assert!(!iptables("filter", &FILTER.replace("-i wg_main -m", "! -i wg_main -m")).forwarding);
    assert!(iptables("filter", &FILTER.replace("-A elsewhere", "-A FORWARD")).forwarding);
}

#[test]
fn beginnings_of_names_are_not_names() {
    for rule in [
        "-A X -i wg_main2 -j ACCEPT",
        "-A X -s 10.8.0.0/240 -j ACCEPT",
        "-A X -p udp --dport 5182 -j ACCEPT",
        "-A X -p udp --dport 518200",
    ] {
        assert!(!names(rule, &query()), "{rule}");
    }
    assert!(names("-A X ! -o wg_main -j DROP", &query()) && names("-A X -d 10.8.0.0/24 -j DROP", &query()));
}
