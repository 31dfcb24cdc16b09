//! The report on each kind of packet filter, and what looking and changing cost.

mod fw_lab;

use std::time::Instant;

use fw_lab::{choose_iptables, in_namespace, kinds, marks, server_rules, sh, state};
use phantom_host::linux::LinuxFirewall;
use phantom_host::{Firewall, FirewallKind, FirewallQuery, FirewallReport, InForce};

const NEEDS: [&str; 4] = ["nft", "iptables-nft", "iptables-legacy", "ip"];

fn query() -> FirewallQuery {
    FirewallQuery { interface: "wg_main".parse().unwrap(), subnet: "10.8.0.0/24".parse().unwrap(), port: 51820 }
}

#[test]
fn our_own_rules_are_reported_on_every_kind() {
    in_namespace("our_own_rules_are_reported_on_every_kind", &NEEDS, || {
        let ours = [("10.8.0.0/24".parse().unwrap(), "0.0.0.0/0".parse().unwrap())];
        for kind in kinds() {
            for variant in ["nft", "legacy"] {
                choose_iptables(variant);
                let firewall = LinuxFirewall::with_kind(kind);
                assert_eq!(firewall.report(&marks(), &query()).unwrap(), FirewallReport::default());
                firewall.replace(&marks(), &server_rules()).unwrap();
                let report = firewall.report(&marks(), &query()).unwrap();
                assert_eq!(report.masquerade, ours);
                assert!(report.forwarding);
                assert_eq!(report.table_loaded, kind == FirewallKind::Nftables);
                assert_eq!((report.nat_rules.len(), report.filter_rules.len()), if report.table_loaded { (0, 0) } else { (1, 2) });
                firewall.remove(&marks()).unwrap();
                assert_eq!(firewall.report(&marks(), &query()).unwrap(), FirewallReport::default());
            }
        }
    });
}

#[test]
fn rules_of_others_count() {
    in_namespace("rules_of_others_count", &NEEDS, || {
        let firewall = LinuxFirewall::new();
        sh("iptables-nft -t nat -A POSTROUTING -s 10.8.0.0/24 -o eth0 -j MASQUERADE; iptables-nft -A FORWARD -i wg_main -j ACCEPT; iptables-legacy -A INPUT -p udp --dport 51820 -j ACCEPT");
        let report = firewall.report(&marks(), &query()).unwrap();
        assert_eq!(report.nat_rules, ["-A POSTROUTING -s 10.8.0.0/24 -o eth0 -j MASQUERADE"]);
        assert_eq!(report.filter_rules, ["-A FORWARD -i wg_main -j ACCEPT", "-A INPUT -p udp -m udp --dport 51820 -j ACCEPT"]);
        assert!(report.forwarding && !report.table_loaded);
        assert_eq!(report.masquerade, [("10.8.0.0/24".parse().unwrap(), "0.0.0.0/0".parse().unwrap())]);
        sh("nft flush ruleset; nft add table ip x; nft add chain ip x p '{ type nat hook postrouting priority 100; }'; nft add rule ip x p oifname eth0 snat to 192.0.2.9");
        let report = firewall.report(&marks(), &query()).unwrap();
        assert_eq!(report.masquerade, [("0.0.0.0/0".parse().unwrap(), "0.0.0.0/0".parse().unwrap())]);
        assert!(!report.forwarding);
    });
}

/// Prints the times; that they stay far below a second is all that a test on a shared machine can ask.
#[test]
fn costs() {
    in_namespace("costs", &NEEDS, || {
        let measure = |what: &str, action: &dyn Fn()| {
            let mut times: Vec<_> = (0..11)
                .map(|_| {
                    let begin = Instant::now();
                    action();
                    begin.elapsed()
                })
                .collect();
            times.sort_unstable();
            println!("{what}: {:?}", times[5]);
            assert!(times[5].as_millis() < 1000, "{what}: {times:?}");
        };
        for (kind, variant) in [(FirewallKind::Nftables, "nft"), (FirewallKind::Iptables, "nft"), (FirewallKind::Iptables, "legacy")] {
            choose_iptables(variant);
            let firewall = LinuxFirewall::with_kind(kind);
            let name = if kind == FirewallKind::Nftables { "nftables".to_owned() } else { format!("iptables-{variant}") };
            let look = || drop(state(&firewall, &server_rules()));
            measure(&format!("{name} in_force, absent"), &look);
            firewall.replace(&marks(), &server_rules()).unwrap();
            measure(&format!("{name} in_force, same"), &look);
            assert_eq!(state(&firewall, &server_rules()), InForce::Same);
            measure(&format!("{name} replace"), &|| firewall.replace(&marks(), &server_rules()).unwrap());
            measure(&format!("{name} report"), &|| drop(firewall.report(&marks(), &query()).unwrap()));
            if kind == FirewallKind::Nftables {
                sh("iptables-nft -P FORWARD DROP; ip6tables-nft -P FORWARD DROP");
                firewall.replace(&marks(), &server_rules()).unwrap();
                measure("nftables beside docker, in_force", &look);
                sh("iptables-nft -P FORWARD ACCEPT; ip6tables-nft -P FORWARD ACCEPT");
            }
            firewall.remove(&marks()).unwrap();
        }
        if fw_lab::installed("ufw") {
            let firewall = LinuxFirewall::new();
            measure("ufw rules, switched off", &|| drop(firewall.ufw(&marks()).unwrap()));
            sh("ufw --force enable");
            measure("ufw rules, switched on", &|| drop(firewall.ufw(&marks()).unwrap()));
            let rule = phantom_host::UfwRule::Allow { protocol: phantom_host::Protocol::Udp, port: 51820 };
            measure("ufw add and remove", &|| {
                firewall.add_ufw(&marks(), &rule).unwrap();
                firewall.remove_ufw(&marks(), &rule).unwrap();
            });
        }
    });
}
