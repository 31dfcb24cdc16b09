//! Rules of ufw, with the real ufw on a throw-away `/etc`.

use std::collections::BTreeSet;

use crate::lab::{Network, in_namespace, server_rules, sh, state, tags};
use phantom_host::linux::LinuxFirewall;
use phantom_host::{Firewall, FirewallQuery, OwnershipTags, Protocol, RulesetStatus, UfwRule, UfwRules};

const NEEDS: [&str; 4] = ["ufw", "nft", "iptables", "ip"];

fn allow(port: u16) -> UfwRule {
    UfwRule::Allow { protocol: Protocol::Udp, port }
}
fn deny(port: u16) -> UfwRule {
    UfwRule::Deny { protocol: Protocol::Udp, port }
}
fn route() -> UfwRule {
    UfwRule::RouteFrom { interface: "wg_main".parse().unwrap() }
}

fn added() -> Vec<String> {
    sh("ufw show added").lines().skip(1).map(str::to_owned).collect()
}

/// ufw's files and what it has loaded.
fn all() -> String {
    sh("cat /etc/ufw/user.rules /etc/ufw/user6.rules /etc/ufw/ufw.conf; iptables -S; ip6tables -S")
}

fn ours(firewall: &LinuxFirewall) -> Vec<UfwRule> {
    firewall.ufw(&tags()).unwrap().unwrap().ours.into_iter().collect()
}

#[test]
fn rules_come_and_go_leaving_ufw_unchanged() {
    in_namespace("ufw::rules_come_and_go_leaving_ufw_unchanged", &NEEDS, || {
        let firewall = LinuxFirewall::new();
        assert_eq!(firewall.ufw(&tags()).unwrap(), Some(UfwRules::default()), "not switched on");
        sh(
            "ufw allow 22/tcp comment 'never lock me out'; ufw allow from 192.0.2.0/24 to any port 51820 proto udp; ufw limit log 2222/tcp; ufw --force enable",
        );
        let before = all();
        assert_eq!(ours(&firewall), []);
        for rule in
            [allow(51820), UfwRule::Allow { protocol: Protocol::Tcp, port: 443 }, route(), deny(51999)]
        {
            firewall.add_ufw(&tags(), &rule).unwrap();
            // A second time changes nothing.
            let once = all();
            firewall.add_ufw(&tags(), &rule).unwrap();
            assert_eq!(all(), once);
        }
        assert_eq!(
            ours(&firewall),
            [UfwRule::Allow { protocol: Protocol::Tcp, port: 443 }, allow(51820), route(), deny(51999)]
        );
        assert_eq!(
            added(),
            [
                "ufw deny 51999/udp comment 'phantom-wg'",
                "ufw allow 22/tcp comment 'never lock me out'",
                "ufw allow from 192.0.2.0/24 to any port 51820 proto udp",
                "ufw limit log 2222/tcp",
                "ufw allow 51820/udp comment 'phantom-wg'",
                "ufw allow 443/tcp comment 'phantom-wg'",
                "ufw route allow in on wg_main comment 'phantom-wg'",
            ]
        );
        // Another installation sees none of them.
        assert_eq!(firewall.ufw(&OwnershipTags::new(Some("test"))).unwrap().unwrap().ours, BTreeSet::new());
        for rule in ours(&firewall) {
            firewall.remove_ufw(&tags(), &rule).unwrap();
            firewall.remove_ufw(&tags(), &rule).unwrap();
        }
        assert_eq!(ours(&firewall), []);
        assert_eq!(all(), before);
        // Rules outlive the switching off, and can be removed then too.
        firewall.add_ufw(&tags(), &allow(51820)).unwrap();
        sh("ufw disable");
        let off = firewall.ufw(&tags()).unwrap().unwrap();
        assert_eq!((off.active, off.ours), (false, BTreeSet::from([allow(51820)])));
        firewall.remove_ufw(&tags(), &allow(51820)).unwrap();
        assert_eq!(ours(&firewall), []);
    });
}

#[test]
fn operator_rule_is_restored() {
    in_namespace("ufw::operator_rule_is_restored", &NEEDS, || {
        let firewall = LinuxFirewall::new();
        sh(
            "ufw allow 51820/udp; ufw allow log 443/udp comment 'web: fast'; ufw route allow in on wg_main comment mine; ufw deny 99/udp; ufw --force enable",
        );
        let (before, files) = (added(), all());
        let taken = [allow(51820), deny(443), route(), deny(99)];
        for rule in &taken {
            firewall.add_ufw(&tags(), rule).unwrap();
        }
        assert_eq!(ours(&firewall), [allow(51820), route(), deny(99), deny(443)]);
        assert_eq!(
            added(),
            [
                "ufw allow 51820/udp comment 'phantom-wg; was allow'",
                "ufw deny 443/udp comment 'phantom-wg; was allow_log: web: fast'",
                "ufw route allow in on wg_main comment 'phantom-wg; was allow: mine'",
                "ufw deny 99/udp comment 'phantom-wg; was deny'",
            ]
        );
        // Turning one that was taken over keeps the memory of what it was.
        firewall.add_ufw(&tags(), &deny(51820)).unwrap();
        firewall.add_ufw(&tags(), &allow(51820)).unwrap();
        // One that is not ours is not removed.
        sh("ufw allow 77/udp");
        firewall.remove_ufw(&tags(), &allow(77)).unwrap();
        sh("ufw delete allow 77/udp");
        for rule in &taken {
            firewall.remove_ufw(&tags(), rule).unwrap();
        }
        assert_eq!(added(), before);
        assert_eq!(all(), files);
    });
}

#[test]
fn inverted_rule_of_ours_moves_to_front() {
    in_namespace("ufw::inverted_rule_of_ours_moves_to_front", &NEEDS, || {
        let firewall = LinuxFirewall::new();
        sh("ufw allow 22/tcp; ufw --force enable");
        firewall.add_ufw(&tags(), &allow(51820)).unwrap();
        firewall.add_ufw(&tags(), &deny(51820)).unwrap();
        assert_eq!(ours(&firewall), [deny(51820)]);
        assert_eq!(added(), ["ufw deny 51820/udp comment 'phantom-wg'", "ufw allow 22/tcp"]);
        // The one that it was before is gone already.
        firewall.remove_ufw(&tags(), &allow(51820)).unwrap();
        assert_eq!(ours(&firewall), [deny(51820)]);
        firewall.remove_ufw(&tags(), &deny(51820)).unwrap();
        assert_eq!(added(), ["ufw allow 22/tcp"]);
    });
}

#[test]
fn packets_pass_active_ufw_by_its_rule() {
    in_namespace("ufw::packets_pass_active_ufw_by_its_rule", &NEEDS, || {
        let network = Network::new();
        let firewall = LinuxFirewall::new();
        sh("ufw --force enable; echo 1 > /proc/sys/net/ipv4/ip_forward");
        let before = sh("iptables -S");
        firewall.replace(&tags(), &server_rules()).unwrap();
        // ufw's tables are ufw's: nothing is repeated there.
        assert_eq!(sh("iptables -S"), before);
        assert_eq!(state(&firewall, &server_rules()), RulesetStatus::InSync);
        assert_eq!(network.passes(), None);
        firewall.add_ufw(&tags(), &route()).unwrap();
        assert_eq!(network.passes(), Some([192, 0, 2, 1].into()));
        let query = FirewallQuery {
            interface: "wg_main".parse().unwrap(),
            subnet: "10.8.0.0/24".parse().unwrap(),
            port: 51820,
        };
        let report = firewall.report(&tags(), &query).unwrap();
        assert!(report.ufw.enabled && report.forwarding && report.table_loaded);
        assert_eq!(
            report.ufw.lines,
            [
                "Anywhere                   ALLOW FWD   Anywhere on wg_main",
                "Anywhere (v6)              ALLOW FWD   Anywhere (v6) on wg_main"
            ]
        );
        assert_eq!(report.filter_rules, ["-A ufw-user-forward -i wg_main -j ACCEPT"]);
        assert_eq!(report.masquerade, [("10.8.0.0/24".parse().unwrap(), "0.0.0.0/0".parse().unwrap())]);
        // Switched off, its chains stay, and so would a closed policy that somebody else sets.
        sh("ufw disable; iptables -P FORWARD DROP");
        assert_eq!(state(&firewall, &server_rules()), RulesetStatus::Drifted);
        firewall.replace(&tags(), &server_rules()).unwrap();
        assert_eq!(network.passes(), Some([192, 0, 2, 1].into()));
    });
}
