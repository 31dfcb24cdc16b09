//! The nftables backend on the kernel's own nftables.

use crate::lab::{Network, every_rule, in_namespace, server_rules, sh, state, tags};
use phantom_host::linux::LinuxFirewall;
use phantom_host::{Firewall, FirewallKind, Hook, Match, OwnershipTags, Ruleset, RulesetStatus, Verdict};

/// Tables of others: an operator's own, iptables-nft's and one of another Phantom-WG, none of which drops forwarded packets.
const OTHERS: &str = "iptables-nft -A INPUT -p tcp --dport 22 -j ACCEPT; iptables-nft -t nat -A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE
nft -f - <<'X'
table inet filter {
	set friends { type ipv4_addr; elements = { 192.0.2.7, 192.0.2.8 } }
	counter seen { }
	chain input { type filter hook input priority filter; policy drop; ct state established,related accept; ip saddr @friends counter name seen accept; }
	chain forward { type filter hook forward priority filter; policy accept; tcp dport 25 drop; }
}
table inet phantom_wg_test {
	chain forward { type filter hook forward priority filter; policy accept; iifname \"wg_x\" accept comment \"phantom-wg-test 12345678\"; }
}
X
";

fn dump() -> String {
    sh("nft -s list ruleset")
}

#[test]
fn rules_load_read_back_and_vanish() {
    in_namespace("nftables::rules_load_read_back_and_vanish", &["nft", "iptables-nft"], || {
        sh(OTHERS);
        let before = dump();
        let firewall = LinuxFirewall::new();
        assert_eq!(firewall.kind().unwrap(), FirewallKind::Nftables);
        for rules in [every_rule(), server_rules()] {
            firewall.replace(&tags(), &rules).unwrap();
            assert_eq!(state(&firewall, &rules), RulesetStatus::InSync);
            // Others stand as they stood.
            let without: String = dump().replace(&sh("nft -s list table inet phantom_wg"), "");
            assert_eq!(without, before);
        }
        assert_eq!(state(&firewall, &every_rule()), RulesetStatus::Drifted);
        firewall.remove(&tags()).unwrap();
        assert_eq!(state(&firewall, &server_rules()), RulesetStatus::Missing);
        assert_eq!(state(&firewall, &Ruleset::default()), RulesetStatus::Missing);
        assert_eq!(dump(), before);
        // Removing nothing is no error; replacing by nothing is removing.
        firewall.remove(&tags()).unwrap();
        firewall.replace(&tags(), &server_rules()).unwrap();
        firewall.replace(&tags(), &Ruleset::default()).unwrap();
        assert_eq!(dump(), before);
    });
}

#[test]
fn sabotage_is_noticed_and_repaired() {
    in_namespace("nftables::sabotage_is_noticed_and_repaired", &["nft"], || {
        let firewall = LinuxFirewall::new();
        let rules = every_rule();
        firewall.replace(&tags(), &rules).unwrap();
        let handle = |chain: &str, text: &str| {
            let listing = sh(&format!("nft -a list chain inet phantom_wg {chain}"));
            let line = listing.lines().find(|line| line.contains(text)).unwrap();
            line.rsplit_once("handle ").unwrap().1.to_owned()
        };
        let delete = |chain: &str, text: &str| {
            format!("nft delete rule inet phantom_wg {chain} handle {}", handle(chain, text))
        };
        let edit = |chain: &str, text: &str, new: &str| {
            let listing = sh(&format!("nft list chain inet phantom_wg {chain}"));
            let comment =
                listing.lines().find(|line| line.contains(text)).unwrap().split_once("comment").unwrap().1;
            format!(
                "nft replace rule inet phantom_wg {chain} handle {} '{new} comment {comment}'",
                handle(chain, text)
            )
        };
        let external_changes: [&dyn Fn() -> String; 16] = [
            &|| delete("forward", "reject"),
            &|| delete("srcnat", "masquerade"),
            &|| delete("mangle", "rt mtu"),
            &|| "nft add rule inet phantom_wg forward accept".into(),
            &|| "nft insert rule inet phantom_wg input accept".into(),
            &|| edit("input", "51820", "iifname != lo udp dport 51821 drop"),
            &|| edit("input", "51820", "udp dport 51820 drop"),
            &|| edit("srcnat", "masquerade", "ip saddr 10.8.0.0/16 oifname != wg_main masquerade"),
            &|| edit("forward", "reject", "meta nfproto ipv6 iifname wg_main accept"),
            &|| {
                edit(
                    "mangle",
                    "1360",
                    "meta nfproto ipv4 tcp dport 80 tcp flags & (syn|rst) == syn tcp option maxseg size set 1200",
                )
            },
            // Reordered: the first rule moved to the end, with its comment.
            &|| {
                let text = sh("nft list chain inet phantom_wg input");
                let rule = text.lines().find(|line| line.contains("51820")).unwrap().trim().to_owned();
                format!("{}; nft 'add rule inet phantom_wg input {rule}'", delete("input", "51820"))
            },
            &|| "nft add set inet phantom_wg x '{ type ipv4_addr; }'".into(),
            &|| {
                "nft add chain inet phantom_wg x '{ type filter hook forward priority -500; policy drop; }'"
                    .into()
            },
            &|| "nft add chain inet phantom_wg forward '{ policy drop; }'".into(),
            &|| "nft add table inet phantom_wg '{ flags dormant; }'".into(),
            &|| "nft flush chain inet phantom_wg srcnat; nft delete chain inet phantom_wg srcnat".into(),
        ];
        for (number, external_change) in external_changes.iter().enumerate() {
            let script = external_change();
            sh(&script);
            assert_eq!(state(&firewall, &rules), RulesetStatus::Drifted, "{number}: {script}");
            firewall.replace(&tags(), &rules).unwrap();
            assert_eq!(state(&firewall, &rules), RulesetStatus::InSync, "{number}: {script}");
        }
        for gone in ["nft flush ruleset", "nft delete table inet phantom_wg"] {
            sh(gone);
            assert_eq!(state(&firewall, &rules), RulesetStatus::Missing);
            firewall.replace(&tags(), &rules).unwrap();
        }
        // An empty table is still one of ours.
        sh("nft delete table inet phantom_wg; nft add table inet phantom_wg");
        assert_eq!(state(&firewall, &rules), RulesetStatus::Drifted);
        assert_eq!(state(&firewall, &Ruleset::default()), RulesetStatus::Drifted);
        firewall.remove(&tags()).unwrap();
        assert_eq!(dump(), "");
    });
}

#[test]
fn two_installations_do_not_touch_each_other() {
    in_namespace("nftables::two_installations_do_not_touch_each_other", &["nft", "iptables-nft"], || {
        // Both also have to be in tables of others.
        sh(
            "iptables-nft -P FORWARD DROP; nft add table inet own; nft add chain inet own f '{ type filter hook forward priority 5; policy drop; }'",
        );
        let before = dump();
        let (one, two) = (OwnershipTags::new(None), OwnershipTags::new(Some("test")));
        let firewall = LinuxFirewall::new();
        firewall.replace(&one, &server_rules()).unwrap();
        let only_one = dump();
        firewall.replace(&two, &every_rule()).unwrap();
        for _ in 0..2 {
            assert_eq!(firewall.in_force(&one, &server_rules()).unwrap(), RulesetStatus::InSync);
            assert_eq!(firewall.in_force(&two, &every_rule()).unwrap(), RulesetStatus::InSync);
            firewall.replace(&one, &server_rules()).unwrap();
        }
        firewall.remove(&two).unwrap();
        assert_eq!(sorted(&dump()), sorted(&only_one));
        firewall.remove(&one).unwrap();
        assert_eq!(dump(), before);
    });
}

/// Tables are listed in the order in which they were made.
fn sorted(dump: &str) -> Vec<String> {
    let mut tables: Vec<_> = dump.split_inclusive("\n}\n").map(str::to_owned).collect();
    tables.sort();
    tables
}

#[test]
fn packets_pass_masqueraded() {
    in_namespace("nftables::packets_pass_masqueraded", &["nft", "ip"], || {
        let network = Network::new();
        let firewall = LinuxFirewall::new();
        assert_eq!(network.passes(), Some(Network::CLIENT));
        firewall.replace(&tags(), &server_rules()).unwrap();
        assert_eq!(network.passes(), Some([192, 0, 2, 1].into()));
        // A kill switch: everything of the clients that does not go out by another interface is dropped.
        let mut closed = server_rules();
        let (vpn, exit) = (
            Match::In { interface: "wg_main".into(), not: false },
            Match::Out { interface: "wg_vpn".into(), not: true },
        );
        closed.add(Hook::Forward, 1, vec![vpn, exit], Verdict::Drop);
        firewall.replace(&tags(), &closed).unwrap();
        assert_eq!(network.passes(), None);
        firewall.remove(&tags()).unwrap();
        assert_eq!(network.passes(), Some(Network::CLIENT));
    });
}

#[test]
fn rules_that_make_no_sense_change_nothing() {
    in_namespace("nftables::rules_that_make_no_sense_change_nothing", &["nft"], || {
        let firewall = LinuxFirewall::new();
        firewall.replace(&tags(), &server_rules()).unwrap();
        let before = dump();
        let mut hostile = server_rules();
        let name = "x\" accept; }; flush ruleset; #";
        hostile.add(Hook::Forward, 1, vec![Match::In { interface: name.into(), not: false }], Verdict::Drop);
        assert!(firewall.replace(&tags(), &hostile).is_err());
        assert!(firewall.in_force(&tags(), &hostile).is_err());
        assert_eq!(dump(), before);
    });
}
