//! Policy rules.

use phantom_host::linux::LinuxNetwork;
use phantom_host::{Network, OwnershipTags, PolicyRule, RuleAction};

use crate::namespace::{isolated, run};
use crate::words::{EEXIST, EXIT, errno, net};

#[test]
fn rules_come_and_go() {
    isolated("rules::rules_come_and_go", || {
        let network = LinuxNetwork::new();
        let plain = PolicyRule {
            priority: EXIT,
            ipv6: false,
            from: Some(net("10.8.0.0/24")),
            to: None,
            in_interface: None,
            action: RuleAction::Lookup(EXIT),
            protocol: OwnershipTags::PROTOCOL,
        };
        let mut wanted = vec![
            PolicyRule {
                priority: EXIT - 1,
                to: Some(net("10.8.0.0/24")),
                action: RuleAction::Lookup(254),
                ..plain.clone()
            },
            plain.clone(),
            PolicyRule {
                from: None,
                in_interface: Some("wg_main".into()),
                action: RuleAction::Lookup(51820),
                ..plain.clone()
            },
            PolicyRule { ipv6: true, from: Some(net("fd00::/64")), ..plain.clone() },
        ];
        let before = network.rules().unwrap();
        assert!(before.len() >= 5, "local, main and default of IPv4, local and main of IPv6: {before:?}");
        for rule in &wanted {
            network.add_rule(rule).unwrap();
            assert_eq!(errno(network.add_rule(rule).unwrap_err()), EEXIST, "{rule:?}");
        }
        let ours = || {
            let mut rules: Vec<_> = network
                .rules()
                .unwrap()
                .into_iter()
                .filter(|rule| rule.protocol == OwnershipTags::PROTOCOL)
                .collect();
            rules.sort();
            rules
        };
        wanted.sort();
        assert_eq!(ours(), wanted);
        let shown = run("ip", &["-N", "rule"]);
        assert!(shown.contains("99:\tfrom 10.8.0.0/24 to 10.8.0.0/24 lookup 254 proto 187"), "{shown}");

        let near = [
            PolicyRule { priority: 101, ..plain.clone() },
            PolicyRule { from: Some(net("10.8.0.0/25")), ..plain.clone() },
            PolicyRule { from: None, ..plain.clone() },
            PolicyRule { protocol: 3, ..plain.clone() },
            PolicyRule { action: RuleAction::Lookup(254), ..plain.clone() },
            PolicyRule { action: RuleAction::Unreachable, ..plain.clone() },
            PolicyRule { in_interface: Some("lo".into()), ..plain.clone() },
        ];
        for rule in near {
            assert!(network.remove_rule(&rule).unwrap_err().is_absent(), "{rule:?}");
        }
        assert_eq!(ours(), wanted);
        while let Some(rule) = wanted.pop() {
            network.remove_rule(&rule).unwrap();
            assert_eq!(ours(), wanted);
            assert!(network.remove_rule(&rule).unwrap_err().is_absent());
        }
        assert_eq!(network.rules().unwrap(), before, "what others made stays");
    });
}

/// Rules that differ only in what one of them does not ask for.
#[test]
fn a_wide_rule_beside_a_narrow_one() {
    isolated("rules::a_wide_rule_beside_a_narrow_one", || {
        let network = LinuxNetwork::new();
        let wide = PolicyRule {
            priority: 100,
            ipv6: false,
            from: None,
            to: None,
            in_interface: None,
            action: RuleAction::Lookup(100),
            protocol: 187,
        };
        let narrow = PolicyRule { from: Some(net("10.8.0.0/24")), ..wide.clone() };
        network.add_rule(&wide).unwrap();
        network.add_rule(&narrow).unwrap();
        network.remove_rule(&wide).unwrap();
        assert!(network.rules().unwrap().contains(&narrow));
        assert!(network.remove_rule(&wide).unwrap_err().is_absent());
        // The kernel takes the narrow one for the wide one here.
        assert_eq!(errno(network.add_rule(&wide).unwrap_err()), EEXIST);
        network.remove_rule(&narrow).unwrap();
    });
}
