//! The report on each kind of packet filter, and how it is said.

use crate::lab::{choose_iptables, in_namespace, kinds, server_rules, sh, state, tags};
use phantom_host::linux::LinuxFirewall;
use phantom_host::{Firewall, FirewallKind, FirewallQuery, FirewallReport, RulesetStatus};

const NEEDS: [&str; 4] = ["nft", "iptables-nft", "iptables-legacy", "ip"];

fn query() -> FirewallQuery {
    FirewallQuery {
        interface: "wg_main".parse().unwrap(),
        subnet: "10.8.0.0/24".parse().unwrap(),
        port: 51820,
    }
}

#[test]
fn own_rules_are_reported_on_every_kind() {
    in_namespace("report::own_rules_are_reported_on_every_kind", &NEEDS, || {
        let ours = [("10.8.0.0/24".parse().unwrap(), "0.0.0.0/0".parse().unwrap())];
        for kind in kinds() {
            for variant in ["nft", "legacy"] {
                choose_iptables(variant);
                let firewall = LinuxFirewall::with_kind(kind);
                assert_eq!(firewall.report(&tags(), &query()).unwrap(), FirewallReport::default());
                firewall.replace(&tags(), &server_rules()).unwrap();
                let report = firewall.report(&tags(), &query()).unwrap();
                assert_eq!(report.masquerade, ours);
                assert!(report.forwarding);
                assert_eq!(report.table_loaded, kind == FirewallKind::Nftables);
                assert_eq!(
                    (report.nat_rules.len(), report.filter_rules.len()),
                    if report.table_loaded { (0, 0) } else { (1, 2) }
                );
                firewall.remove(&tags()).unwrap();
                assert_eq!(firewall.report(&tags(), &query()).unwrap(), FirewallReport::default());
            }
        }
    });
}

#[test]
fn rules_of_others_count() {
    in_namespace("report::rules_of_others_count", &NEEDS, || {
        let firewall = LinuxFirewall::new();
        sh(
            "iptables-nft -t nat -A POSTROUTING -s 10.8.0.0/24 -o eth0 -j MASQUERADE; iptables-nft -A FORWARD -i wg_main -j ACCEPT; iptables-legacy -A INPUT -p udp --dport 51820 -j ACCEPT",
        );
        let report = firewall.report(&tags(), &query()).unwrap();
        assert_eq!(report.nat_rules, ["-A POSTROUTING -s 10.8.0.0/24 -o eth0 -j MASQUERADE"]);
        assert_eq!(
            report.filter_rules,
            ["-A FORWARD -i wg_main -j ACCEPT", "-A INPUT -p udp -m udp --dport 51820 -j ACCEPT"]
        );
        assert!(report.forwarding && !report.table_loaded);
        assert_eq!(report.masquerade, [("10.8.0.0/24".parse().unwrap(), "0.0.0.0/0".parse().unwrap())]);
        sh(
            "nft flush ruleset; nft add table ip x; nft add chain ip x p '{ type nat hook postrouting priority 100; }'; nft add rule ip x p oifname eth0 snat to 192.0.2.9",
        );
        let report = firewall.report(&tags(), &query()).unwrap();
        assert_eq!(report.masquerade, [("0.0.0.0/0".parse().unwrap(), "0.0.0.0/0".parse().unwrap())]);
        assert!(!report.forwarding);
    });
}

/// How many programs were started since the last question; `count_programs` makes them count.
fn started() -> Vec<String> {
    let programs = sh("cat /run/started; : > /run/started");
    programs.lines().map(str::to_owned).collect()
}

/// Puts a script that notes its name in front of each program.
fn count_programs(programs: &[&str]) {
    sh(": > /run/started");
    for program in programs {
        sh(&format!(
            "cp -L /usr/sbin/{program} /run/real-{program}; printf '#!/bin/bash\\necho {program} >> /run/started\\nexec -a \"$0\" /run/real-{program} \"$@\"\\n' > /run/wrap-{program}
            chmod 755 /run/wrap-{program}; mount --bind /run/wrap-{program} \"$(readlink -f /usr/sbin/{program})\""
        ));
    }
}

#[test]
fn looking_starts_as_few_programs_as_said() {
    in_namespace("report::looking_starts_as_few_programs_as_said", &NEEDS, || {
        choose_iptables("nft");
        count_programs(&["nft", "xtables-nft-multi"]);
        let firewall = LinuxFirewall::new();
        assert_eq!((state(&firewall, &server_rules()), started()), (RulesetStatus::Missing, vec![]));
        firewall.replace(&tags(), &server_rules()).unwrap();
        assert_eq!(started(), ["nft", "nft"], "writing and reading back");
        assert_eq!(
            (state(&firewall, &server_rules()), started()),
            (RulesetStatus::InSync, vec!["nft".to_owned()])
        );
        // A table of iptables that forwarded packets pass is one more.
        sh("iptables -P FORWARD DROP; : > /run/started");
        firewall.replace(&tags(), &server_rules()).unwrap();
        started();
        assert_eq!(state(&firewall, &server_rules()), RulesetStatus::InSync);
        assert_eq!(started(), ["xtables-nft-multi", "nft"]);
        assert_eq!(firewall.ufw(&tags()).unwrap().map(|ufw| ufw.active), Some(false));
        assert_eq!(started().len(), 0);
    });
}
