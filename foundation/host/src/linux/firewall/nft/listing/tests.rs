//! Reading nft's JSON: captured from nft 1.0.6 (Debian 12) and 1.1.3 (Debian 13), whose forms differ.

use super::super::{NftTable, TableFamily, own_rules};
use super::{Listing, plain};
use crate::linux::firewall::samples::{CAPTURED, captured, everything};
use crate::{Hook, Match, Ruleset, Verdict};

fn own() -> NftTable {
    NftTable::own("phantom_wg".into())
}

#[test]
fn what_was_written_is_recognised() {
    let rules = own_rules("phantom-wg", &everything()).unwrap();
    for listing in captured() {
        assert!(listing.tables[&own()].holds(&rules));
        assert_eq!(listing.tables.len(), 4);
    }
}

#[test]
fn every_change_by_hand_is_noticed() {
    let rules = own_rules("phantom-wg", &everything()).unwrap();
    // Each takes one word of the listing to another that somebody could have written, the comments unchanged.
    let edits = [
        ("\"right\": 51820", "\"right\": 51821"),
        ("\"right\": \"lo\"", "\"right\": \"eth0\""),
        (
            "\"op\": \"!=\", \"left\": {\"meta\": {\"key\": \"iifname\"",
            "\"op\": \"==\", \"left\": {\"meta\": {\"key\": \"iifname\"",
        ),
        ("{\"drop\": null}", "{\"accept\": null}"),
        ("{\"drop\": null}", "{\"counter\": null}, {\"drop\": null}"),
        ("{\"drop\": null}", "{\"limit\": {\"rate\": 1}}, {\"drop\": null}"),
        ("\"10.8.0.5\"", "\"10.8.0.6\""),
        ("\"len\": 24", "\"len\": 25"),
        ("\"established\", \"related\"", "\"established\""),
        ("\"established\", \"related\"", "\"established\", \"related\", \"new\""),
        ("\"nfproto\"}}, \"right\": \"ipv6\"", "\"nfproto\"}}, \"right\": \"ipv4\""),
        ("\"field\": \"saddr\"", "\"field\": \"daddr\""),
        ("\"protocol\": \"udp\"", "\"protocol\": \"tcp\""),
        ("\"field\": \"dport\"", "\"field\": \"sport\""),
        ("\"syn\", \"rst\"", "\"syn\", \"fin\""),
        ("\"value\": 1360", "\"value\": 1200"),
        ("{\"rt\": {\"key\": \"mtu\"}}", "1400"),
        ("\"expr\": \"admin-prohibited\"", "\"expr\": \"no-route\""),
        ("{\"masquerade\": null}", "{\"masquerade\": {\"flags\": \"random\"}}"),
        ("\"invalid\", \"untracked\"", "\"invalid\""),
        ("\"range\": [32768, 65535]", "\"range\": [1024, 65535]"),
        ("{\"masquerade\": {\"port\": {\"range\": [32768, 65535]}}}", "{\"masquerade\": null}"),
        ("\"l4proto\"}}, \"right\": \"udp\"", "\"l4proto\"}}, \"right\": \"tcp\""),
        ("\"hook\": \"postrouting\", \"prio\": 200", "\"hook\": \"postrouting\", \"prio\": 99"),
        ("phantom-wg 7f47e602", "phantom-wg 00000000"),
        (
            "\"hook\": \"input\", \"prio\": 0, \"policy\": \"accept\"",
            "\"hook\": \"input\", \"prio\": 0, \"policy\": \"drop\"",
        ),
        ("\"hook\": \"postrouting\", \"prio\": 100", "\"hook\": \"postrouting\", \"prio\": 101"),
        (
            "\"name\": \"mangle\", \"handle\": 3, \"type\": \"filter\", \"hook\": \"forward\"",
            "\"name\": \"mangle\", \"handle\": 3",
        ),
        (
            "\"name\": \"phantom_wg\", \"handle\": 2}",
            "\"name\": \"phantom_wg\", \"handle\": 2, \"flags\": \"dormant\"}",
        ),
        (
            "{\"table\": {\"family\": \"ip\", \"name\": \"filter\"",
            "{\"set\": {\"family\": \"inet\", \"name\": \"x\", \"table\": \"phantom_wg\"}},{\"table\": {\"family\": \"ip\", \"name\": \"filter\"",
        ),
        (
            "{\"table\": {\"family\": \"ip\", \"name\": \"filter\"",
            "{\"chain\": {\"family\": \"inet\", \"name\": \"x\", \"table\": \"phantom_wg\"}},{\"table\": {\"family\": \"ip\", \"name\": \"filter\"",
        ),
    ];
    for json in CAPTURED {
        for (from, to) in edits {
            let changed = json.replacen(from, to, 1);
            assert_ne!(changed, json, "{from}");
            let listing = Listing::parse(changed.as_bytes()).unwrap();
            assert!(!listing.tables[&own()].holds(&rules), "{from} -> {to}");
        }
        // A rule deleted, doubled, moved.
        let lines: Vec<_> = json.lines().collect();
        let first = lines.iter().position(|line| line.contains("phantom-wg")).unwrap();
        let with = |edit: &dyn Fn(&mut Vec<&str>)| {
            let mut lines = lines.clone();
            edit(&mut lines);
            Listing::parse(lines.join("\n").as_bytes()).unwrap().tables[&own()].holds(&rules)
        };
        assert!(with(&|_| {}));
        assert!(!with(&|lines| _ = lines.remove(first)));
        assert!(!with(&|lines| lines.insert(first, lines[first])));
        assert!(!with(&|lines| lines.swap(first, first + 1)));
    }
}

#[test]
fn other_rules_of_ours_are_not_these() {
    let mut fewer = Ruleset::default();
    fewer.add(Hook::Forward, 1, vec![Match::Established], Verdict::Accept);
    let fewer = own_rules("phantom-wg", &fewer).unwrap();
    let none = own_rules("phantom-wg", &Ruleset::default()).unwrap();
    let siblings = own_rules("phantom-wg-test", &everything()).unwrap();
    for listing in captured() {
        for rules in [&fewer, &none, &siblings] {
            assert!(!listing.tables[&own()].holds(rules));
        }
    }
}

#[test]
fn closed_chains_are_seen() {
    let place = |family, table: &str| NftTable { family, table: table.into() };
    for listing in captured() {
        let inet = &listing.tables[&place(TableFamily::Inet, "filter")];
        assert!(inet.chains["forward"].closed() && inet.chains["forward"].is_at("forward"));
        assert!(!inet.chains["vpn"].closed() && !inet.chains["vpn"].is_at("forward"));
        assert!(listing.tables[&place(TableFamily::Ip, "filter")].chains["FORWARD"].closed());
        assert!(!listing.tables[&own()].chains["forward"].closed());
        assert_eq!(inet.chains["forward"].rules[1].target(), Some("vpn"));
    }
    // Closed by a rule only, and by one with a condition not.
    for json in CAPTURED {
        let open = json.replace("\"policy\": \"drop\"", "\"policy\": \"accept\"");
        let listing = Listing::parse(open.as_bytes()).unwrap();
        assert!(listing.tables[&place(TableFamily::Inet, "filter")].chains["forward"].closed());
        assert!(!listing.tables[&place(TableFamily::Ip, "filter")].chains["FORWARD"].closed());
    }
}

#[test]
fn strange_input_is_an_error_or_nothing() {
    for json in ["", "{", "[]", "{\"nftables\": 1}", "{\"nftables\": [1]}"] {
        assert!(Listing::parse(json.as_bytes()).is_err(), "{json}");
    }
    for json in
        ["{\"nftables\": []}", "{\"nftables\": [{\"metainfo\": 1}, {\"rule\": null}, {\"chain\": {}}]}"]
    {
        assert!(Listing::parse(json.as_bytes()).unwrap().tables.is_empty(), "{json}");
    }
    assert_eq!(plain(&[]), None);
    for statement in [
        "{}",
        "null",
        "{\"match\": {}}",
        "{\"mangle\": null}",
        "{\"reject\": null}",
        "{\"jump\": {\"target\": \"x\"}}",
    ] {
        assert_eq!(plain(&[serde_json::from_str(statement).unwrap()]), None, "{statement}");
    }
}
