//! Reading `iptables -S`: captured from iptables 1.8.9, whose two implementations print the same.

use super::super::super::rules::Family;
use super::super::super::samples::everything;
use super::super::{ChainNames, Chains, TABLES, Variant, XtablesTable, rules_for};
use super::{Listing, addresses, read, target};
use crate::OwnershipTags;

/// `iptables -S` of the three tables one after the other, with every kind of rule of ours.
const V4: &str = include_str!("v4.txt");
/// The same of `ip6tables -S`.
const V6: &str = include_str!("v6.txt");

fn names() -> ChainNames {
    ChainNames::from_tags(&OwnershipTags::new(None))
}

fn at(family: Family, table: &'static str) -> XtablesTable {
    XtablesTable { variant: Variant::Nft, family, table }
}

fn wanted(at: XtablesTable) -> Chains {
    rules_for("phantom-wg", &everything(), at.family, at.hooks()).unwrap()
}

/// Whether every table holds what is wanted of it; each begins with its policies.
fn holds(family: Family, text: &str) -> bool {
    let mut tables: Vec<String> = Vec::new();
    let mut rules = true;
    for line in text.lines() {
        if line.starts_with("-P") && std::mem::take(&mut rules) {
            tables.push(String::new());
        }
        rules |= !line.starts_with("-P");
        let table = tables.last_mut().unwrap();
        table.push_str(line);
        table.push('\n');
    }
    assert_eq!(tables.len(), TABLES.len());
    TABLES.into_iter().zip(&tables).all(|(table, text)| {
        let at = at(family, table);
        Listing::parse(text).holds(&names(), at, &wanted(at))
    })
}

#[test]
fn what_was_written_is_recognised() {
    assert!(holds(Family::V4, V4));
    assert!(holds(Family::V6, V6));
}

#[test]
fn every_change_by_hand_is_noticed() {
    let edits = [
        ("--dport 51820", "--dport 51821"),
        ("! -i lo", "-i lo"),
        ("! -i lo", "! -i eth0"),
        ("-j DROP", "-j ACCEPT"),
        ("-p udp -m udp", "-p tcp -m tcp"),
        ("-s 10.8.0.5/32", "-s 10.8.0.6/32"),
        ("! -d 10.0.0.0/8", "-d 10.0.0.0/8"),
        ("RELATED,ESTABLISHED", "ESTABLISHED"),
        ("--clamp-mss-to-pmtu", "--set-mss 1300"),
        ("--set-mss 1360", "--set-mss 1200"),
        ("SYN,RST SYN", "SYN,RST,FIN SYN"),
        ("-j MASQUERADE", "-j MASQUERADE --random"),
        ("-p udp -m udp --dport 51820", "-p udp -m udp --dport 51820 -m limit --limit 5/sec"),
        ("-p udp -m udp --dport 51820", "-p udp"),
        ("INVALID,UNTRACKED", "INVALID"),
        ("-m conntrack ! --ctstate NEW,RELATED,SNAT,DNAT", ""),
        ("! --ctstate NEW,RELATED,SNAT,DNAT", "--ctstate NEW,RELATED,SNAT,DNAT"),
        ("! --ctstate NEW,RELATED,SNAT,DNAT", "! --ctstate NEW,RELATED"),
        ("-o wg_vpn -p udp", "-o wg_vpn"),
        ("-o wg_vpn -p udp", "-o wg_vpn -p tcp"),
        ("--to-ports 32768-65535", "--to-ports 1024-65535"),
        (" --to-ports 32768-65535", ""),
        ("\"phantom-wg ", "\"phantom-wg-test "),
        ("--comment phantom-wg -j", "--comment other -j"),
        ("-m comment --comment phantom-wg -j", "-j"),
        ("-A INPUT -m comment --comment phantom-wg -j PHANTOM-WG-INPUT\n", ""),
        ("-A FORWARD -m", "-A FORWARD -j ACCEPT\n-A FORWARD -m"),
        ("-A FORWARD -m", "-A FORWARD -j PHANTOM-WG-FORWARD\n-A FORWARD -m"),
        ("-A FORWARD -m", "-A OUTPUT -j PHANTOM-WG-FORWARD\n-A FORWARD -m"),
        ("-A PHANTOM-WG-FORWARD ", "-A PHANTOM-WG-FORWARD -j RETURN\n-A PHANTOM-WG-FORWARD "),
    ];
    for (from, to) in edits {
        let changed = V4.replacen(from, to, 1);
        assert_ne!(changed, V4, "{from}");
        assert!(!holds(Family::V4, &changed), "{from} -> {to}");
    }
    let lines: Vec<_> = V4.lines().collect();
    for (number, line) in lines.iter().enumerate().filter(|(_, line)| line.starts_with("-A PHANTOM")) {
        let mut fewer = lines.clone();
        fewer.remove(number);
        assert!(!holds(Family::V4, &fewer.join("\n")), "without {line}");
    }
    assert!(!holds(Family::V6, &V6.replacen("icmp6-adm-prohibited", "icmp6-no-route", 1)));
}

#[test]
fn other_installations_may_precede_or_follow() {
    let sibling = "-A FORWARD -m comment --comment phantom-wg-test -j PHANTOM-WG-test-FORWARD\n";
    assert!(holds(Family::V4, &V4.replacen("-A FORWARD -m", &format!("{sibling}-A FORWARD -m"), 1)));
    let behind = "-j PHANTOM-WG-FORWARD\n-A FORWARD -j DOCKER-USER\n";
    assert!(holds(Family::V4, &V4.replacen("-j PHANTOM-WG-FORWARD\n", behind, 1)));
}

#[test]
fn nothing_wanted_means_nothing_there() {
    let filter = at(Family::V4, "filter");
    let empty = Listing::parse("-P INPUT ACCEPT\n-P FORWARD DROP\n-N DOCKER\n-A FORWARD -j DOCKER\n");
    assert!(empty.holds(&names(), filter, &Chains::new()) && !empty.has_ours(&names(), filter));
    assert!(!empty.holds(&names(), filter, &wanted(filter)));
    let left = Listing::parse("-P FORWARD ACCEPT\n-N PHANTOM-WG-FORWARD\n");
    assert!(!left.holds(&names(), filter, &Chains::new()) && left.has_ours(&names(), filter));
    assert!(!left.has_ours(&names(), at(Family::V4, "nat")));
}

#[test]
fn closed_tables_are_seen() {
    let closed = |text: &str| Listing::parse(text).closed();
    assert!(closed("-P FORWARD DROP\n"));
    assert!(closed(
        "-P FORWARD ACCEPT\n-A FORWARD -j DOCKER-USER\n-A FORWARD -j REJECT --reject-with icmp-host-prohibited\n"
    ));
    assert!(closed("-P FORWARD ACCEPT\n-A FORWARD -j DROP\n"));
    assert!(!closed("-P INPUT DROP\n-P FORWARD ACCEPT\n-A FORWARD -i eth0 -j DROP\n-A INPUT -j DROP\n"));
    assert!(!closed(""));
}

#[test]
fn jumps_are_found_wherever_they_are() {
    let listing = Listing::parse(
        "-N A\n-N B\n-N C\n-A A -m comment --comment \"-j C\" -g B\n-A B -i x -j A\n-A C -j B\n-A FORWARD -j A\n",
    );
    assert_eq!(listing.jumps_to("B").collect::<Vec<_>>(), ["A -m comment --comment \"-j C\" -g B", "C -j B"]);
    assert_eq!(listing.reached_from("FORWARD").into_iter().collect::<Vec<_>>(), ["A", "B", "FORWARD"]);
    assert!(listing.reached_from("nothing").is_empty());
    assert_eq!(listing.lines().count(), 4);
    assert_eq!((target("-j X"), target("-p tcp"), target("")), (Some("X"), None, None));
}

#[test]
fn addresses_are_read() {
    let net = |text: &str| text.parse().ok();
    assert_eq!(addresses("-s 10.8.0.0/24 -o e -j M"), Some((net("10.8.0.0/24"), None)));
    assert_eq!(addresses("-s 10.8.0.0/24 -d 1.1.1.1/32 -j M"), Some((net("10.8.0.0/24"), net("1.1.1.1/32"))));
    assert_eq!(addresses("-j M"), Some((None, None)));
    assert_eq!(addresses("-s 10.8.0.0/24 ! -d 10.8.0.0/24 -j M"), Some((net("10.8.0.0/24"), None)));
    assert_eq!(addresses("! -s 10.8.0.0/24 -j M"), None);
}

#[test]
fn truncated_rules_are_rejected_without_panic() {
    for line in V4.lines().chain(V6.lines()) {
        for end in 0..line.len() {
            let _ = read(&line[..end]);
            let _ = target(&line[..end]);
            let _ = addresses(&line[..end]);
        }
    }
    for rule in [
        "",
        "-j",
        "! -j ACCEPT",
        "--dport 1 -j ACCEPT",
        "-p sctp -j ACCEPT",
        "-m limit -j ACCEPT",
        "-x -j ACCEPT",
    ] {
        assert_eq!(read(rule).plain, None, "{rule}");
    }
}
