//! The iptables backend on both implementations, with both families.

use crate::lab::{Network, choose_iptables, every_rule, in_namespace, server_rules, sh, state, tags};
use phantom_host::linux::LinuxFirewall;
use phantom_host::{Firewall, FirewallKind, Hook, Match, OwnershipTags, Ruleset, RulesetStatus, Verdict};

const NEEDS: [&str; 5] = ["iptables-nft", "iptables-legacy", "ip6tables-nft", "ip6tables-legacy", "ip"];
const VARIANTS: [&str; 2] = ["nft", "legacy"];

/// Rules of others in every table that we use.
const OTHERS: &str = "for i in iptables ip6tables; do
    $i -N DOCKER-USER; $i -A FORWARD -j DOCKER-USER; $i -A INPUT -p tcp --dport 22 -m comment --comment 'let me in' -j ACCEPT
    $i -t nat -A POSTROUTING -o docker0 -j MASQUERADE; $i -t mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 1300
done";

/// All rules of all tables of both families.
fn dump() -> String {
    sh(
        "for i in iptables ip6tables; do for t in filter mangle nat; do echo \"$i $t\"; $i -t $t -S; done; done",
    )
}

/// Those that are not ours.
fn others() -> String {
    dump().split_inclusive('\n').filter(|line| !line.contains("PHANTOM-WG")).collect()
}

fn on_both(test: &str, body: impl Fn(LinuxFirewall)) {
    in_namespace(test, &NEEDS, || {
        for variant in VARIANTS {
            choose_iptables(variant);
            // With the crate of that name, and without it.
            for firewall in [LinuxFirewall::new(), LinuxFirewall::small()] {
                body(firewall.of_kind(FirewallKind::Iptables));
            }
            println!("{variant}: good");
        }
    });
}

#[test]
fn rules_load_read_back_and_vanish() {
    on_both("iptables::rules_load_read_back_and_vanish", |firewall| {
        sh(OTHERS);
        let before = dump();
        assert_eq!(state(&firewall, &every_rule()), RulesetStatus::Missing);
        for rules in [every_rule(), server_rules()] {
            firewall.replace(&tags(), &rules).unwrap();
            assert_eq!(state(&firewall, &rules), RulesetStatus::InSync);
            assert_eq!(others(), before);
        }
        assert_eq!(state(&firewall, &every_rule()), RulesetStatus::Drifted);
        // A hook that is no longer asked loses its chain.
        let mut few = Ruleset::default();
        few.add(Hook::Forward, 1, vec![Match::Established], Verdict::Accept);
        firewall.replace(&tags(), &few).unwrap();
        assert!(!dump().contains("PHANTOM-WG-NAT") && dump().contains("PHANTOM-WG-FORWARD"));
        firewall.remove(&tags()).unwrap();
        assert_eq!(dump(), before);
        assert_eq!(state(&firewall, &server_rules()), RulesetStatus::Missing);
        firewall.remove(&tags()).unwrap();
        assert_eq!(dump(), before);
        sh(
            "for i in iptables ip6tables; do for t in filter mangle nat; do $i -t $t -F; $i -t $t -X; done; done",
        );
    });
}

#[test]
fn sabotage_is_noticed_and_repaired() {
    on_both("iptables::sabotage_is_noticed_and_repaired", |firewall| {
        let rules = every_rule();
        firewall.replace(&tags(), &rules).unwrap();
        let good = dump();
        let jump = "-m comment --comment phantom-wg -j";
        let external_changes = [
            "iptables -D PHANTOM-WG-FORWARD 1".to_owned(),
            "ip6tables -D PHANTOM-WG-FORWARD 1".to_owned(),
            "iptables -t nat -F PHANTOM-WG-NAT".to_owned(),
            "iptables -A PHANTOM-WG-INPUT -j ACCEPT".to_owned(),
            "iptables -t mangle -I PHANTOM-WG-MANGLE -j RETURN".to_owned(),
            "iptables -D FORWARD -m comment --comment phantom-wg -j PHANTOM-WG-FORWARD".to_owned(),
            "iptables -t nat -D POSTROUTING -m comment --comment phantom-wg -j PHANTOM-WG-NAT; iptables -t nat -F PHANTOM-WG-NAT; iptables -t nat -X PHANTOM-WG-NAT".to_owned(),
            // Edited, its comment kept.
            "c=$(iptables -S PHANTOM-WG-INPUT | grep -o 'phantom-wg [0-9a-f]*' | head -1); iptables -R PHANTOM-WG-INPUT 1 -p udp --dport 51820 -m comment --comment \"$c\" -j DROP".to_owned(),
            // The first rule moved to the end.
            "r=$(iptables -t nat -S PHANTOM-WG-NAT | sed -n 2p); eval iptables -t nat \"$r\"; iptables -t nat -D PHANTOM-WG-NAT 1".to_owned(),
            // The jump doubled, edited, or no longer in front.
            format!("iptables -I INPUT {jump} PHANTOM-WG-INPUT"),
            "iptables -R INPUT 1 -j PHANTOM-WG-INPUT".to_owned(),
            "iptables -I FORWARD -j ACCEPT".to_owned(),
            "iptables -A OUTPUT -j PHANTOM-WG-FORWARD".to_owned(),
        ];
        for external_change in external_changes {
            sh(&external_change);
            assert_eq!(state(&firewall, &rules), RulesetStatus::Drifted, "{external_change}");
            firewall.replace(&tags(), &rules).unwrap();
            assert_eq!(state(&firewall, &rules), RulesetStatus::InSync, "{external_change}");
            // What somebody else put before us stays, behind us.
            if external_change.ends_with("FORWARD -j ACCEPT") {
                sh("iptables -D FORWARD -j ACCEPT");
            }
            assert_eq!(dump(), good, "{external_change}");
        }
        firewall.remove(&tags()).unwrap();
    });
}

#[test]
fn packets_pass_masqueraded() {
    in_namespace("iptables::packets_pass_masqueraded", &NEEDS, || {
        let network = Network::new();
        for variant in VARIANTS {
            choose_iptables(variant);
            let firewall = LinuxFirewall::with_kind(FirewallKind::Iptables);
            sh("iptables -P FORWARD DROP");
            assert_eq!(network.passes(), None);
            firewall.replace(&tags(), &server_rules()).unwrap();
            // The answer needs the second rule: a connection that is known.
            assert_eq!(network.passes(), Some([192, 0, 2, 1].into()), "{variant}");
            firewall.remove(&tags()).unwrap();
            assert_eq!(network.passes(), None);
            sh("iptables -P FORWARD ACCEPT");
        }
    });
}

#[test]
fn changing_the_backend_leaves_nothing_behind() {
    in_namespace("iptables::changing_the_backend_leaves_nothing_behind", &NEEDS, || {
        let rules = server_rules();
        let nft = LinuxFirewall::with_kind(FirewallKind::Nftables);
        for variant in VARIANTS {
            choose_iptables(variant);
            let iptables = LinuxFirewall::with_kind(FirewallKind::Iptables);
            nft.replace(&tags(), &rules).unwrap();
            assert_eq!(state(&iptables, &rules), RulesetStatus::Drifted);
            iptables.replace(&tags(), &rules).unwrap();
            assert_eq!(
                (state(&iptables, &rules), state(&nft, &rules)),
                (RulesetStatus::InSync, RulesetStatus::Drifted)
            );
            assert!(!sh("nft list tables").contains("phantom_wg"));
            nft.replace(&tags(), &rules).unwrap();
            assert_eq!(
                (state(&iptables, &rules), state(&nft, &rules)),
                (RulesetStatus::Drifted, RulesetStatus::InSync)
            );
            assert!(!dump().contains("PHANTOM-WG"));
            nft.remove(&tags()).unwrap();
        }
        // From one implementation of iptables to the other.
        choose_iptables("legacy");
        let legacy = LinuxFirewall::with_kind(FirewallKind::Iptables);
        legacy.replace(&tags(), &rules).unwrap();
        choose_iptables("nft");
        let newer = LinuxFirewall::with_kind(FirewallKind::Iptables);
        assert_eq!(state(&newer, &rules), RulesetStatus::Drifted);
        newer.replace(&tags(), &rules).unwrap();
        assert!(!sh("iptables-legacy -S; iptables-legacy -t nat -S").contains("PHANTOM-WG"));
        newer.remove(&tags()).unwrap();
    });
}

#[test]
fn two_installations_do_not_touch_each_other() {
    on_both("iptables::two_installations_do_not_touch_each_other", |firewall| {
        let (one, two) = (OwnershipTags::new(None), OwnershipTags::new(Some("quite-a-long-name")));
        firewall.replace(&one, &server_rules()).unwrap();
        let only_one = dump();
        firewall.replace(&two, &every_rule()).unwrap();
        for _ in 0..2 {
            assert_eq!(firewall.in_force(&one, &server_rules()).unwrap(), RulesetStatus::InSync);
            assert_eq!(firewall.in_force(&two, &every_rule()).unwrap(), RulesetStatus::InSync);
            firewall.replace(&one, &server_rules()).unwrap();
        }
        firewall.remove(&two).unwrap();
        assert_eq!(dump(), only_one);
        firewall.remove(&one).unwrap();
    });
}

#[test]
fn looking_loads_no_table() {
    in_namespace("iptables::looking_loads_no_table", &NEEDS, || {
        for kind in crate::lab::kinds() {
            for variant in VARIANTS {
                choose_iptables(variant);
                let firewall = LinuxFirewall::with_kind(kind);
                assert_eq!(state(&firewall, &server_rules()), RulesetStatus::Missing);
                firewall.remove(&tags()).unwrap();
            }
        }
        assert_eq!(sh("nft list ruleset; cat /proc/net/ip_tables_names /proc/net/ip6_tables_names"), "");
    });
}
