//! Others that drop forwarded packets: our accepts are repeated there, and nothing else of theirs is changed.

use crate::lab::{Network, choose_iptables, in_namespace, installed, server_rules, sh, skipped, state, tags};
use phantom_host::linux::LinuxFirewall;
use phantom_host::{Firewall, FirewallKind, Ruleset, RulesetStatus};

const NEEDS: [&str; 5] = ["nft", "iptables-nft", "iptables-legacy", "ip6tables-nft", "ip"];

/// What docker does.
fn docker(iptables: &str) -> String {
    format!(
        "for i in {iptables} ip6tables{}; do $i -P FORWARD DROP; $i -N DOCKER-USER; $i -A DOCKER-USER -j RETURN; $i -I FORWARD -j DOCKER-USER
        $i -N DOCKER; $i -A FORWARD -o docker0 -j DOCKER; $i -A FORWARD -i docker0 ! -o docker0 -j ACCEPT; done",
        iptables.trim_start_matches("iptables")
    )
}

/// What an operator may have in `/etc/nftables.conf`.
const OPERATOR: &str = "nft -f - <<'X'
table inet filter {
	chain input { type filter hook input priority filter; policy accept; }
	chain forward { type filter hook forward priority filter; policy drop; ct state vmap { established : accept, invalid : drop }; }
}
X
";
/// The same by a rule, as on some cloud images.
const REJECT: &str = "iptables-nft -A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT; iptables-nft -A FORWARD -j REJECT --reject-with icmp-host-prohibited";

fn everything() -> String {
    let tables = "for i in iptables-nft ip6tables-nft iptables-legacy; do for t in $(case $i in *legacy) cat /proc/net/ip_tables_names;; *) echo filter nat mangle;; esac); do echo $i $t; $i -t $t -S; done; done";
    // Sets without names are numbered again with every change.
    sh(&format!("nft -s list ruleset | sed /phantom/d; {tables}"))
}

fn lines_without_ours(text: &str) -> String {
    let theirs = |line: &&str| !line.contains("PHANTOM-WG") && !line.contains("phantom_wg");
    text.split_inclusive('\n').filter(theirs).collect()
}

#[test]
fn forwarding_needs_the_repeated_accepts() {
    in_namespace("foreign::forwarding_needs_the_repeated_accepts", &NEEDS, || {
        let network = Network::new();
        let masqueraded = Some([192, 0, 2, 1].into());
        let undo = "nft flush ruleset; iptables-legacy -P FORWARD ACCEPT; iptables-legacy -F; iptables-legacy -X; ip6tables-legacy -P FORWARD ACCEPT; ip6tables-legacy -F; ip6tables-legacy -X";
        for others in
            [docker("iptables-nft"), docker("iptables-legacy"), OPERATOR.to_owned(), REJECT.to_owned()]
        {
            sh(&others);
            let before = everything();
            // Without our answer to it, they drop.
            assert_eq!(network.passes(), None, "{others}");
            let firewall = LinuxFirewall::new();
            assert_eq!(firewall.kind().unwrap(), FirewallKind::Nftables);
            firewall.replace(&tags(), &server_rules()).unwrap();
            assert_eq!(network.passes(), masqueraded, "{others}");
            assert_eq!(state(&firewall, &server_rules()), RulesetStatus::InSync);
            firewall.replace(&tags(), &server_rules()).unwrap();
            // The table alone is not enough, which is what makes the test one of the repeated accepts.
            remove_repeated();
            assert_eq!(network.passes(), None, "{others}");
            assert_eq!(state(&firewall, &server_rules()), RulesetStatus::Drifted, "{others}");
            firewall.replace(&tags(), &server_rules()).unwrap();
            assert_eq!(network.passes(), masqueraded);
            firewall.remove(&tags()).unwrap();
            assert_eq!(everything(), before, "{others}");
            assert_eq!(network.passes(), None);
            sh(undo);
        }
    });
}

/// Takes our jumps out of the tables of others.
fn remove_repeated() {
    sh("for i in iptables-nft $(! grep -q . /proc/net/ip_tables_names || echo iptables-legacy); do $i -D FORWARD -m comment --comment phantom-wg -j PHANTOM-WG-FORWARD 2>/dev/null || true; done
        h=$(nft -a list ruleset | sed -n 's/.*jump phantom_wg_forward.*handle //p'); [ -z \"$h\" ] || nft delete rule inet filter forward handle $h");
}

#[test]
fn later_closing_or_opening_is_noticed() {
    in_namespace("foreign::later_closing_or_opening_is_noticed", &NEEDS, || {
        let firewall = LinuxFirewall::new();
        let rules = server_rules();
        firewall.replace(&tags(), &rules).unwrap();
        for (close, open) in [
            ("iptables-nft -P FORWARD DROP", "iptables-nft -P FORWARD ACCEPT"),
            ("ip6tables-nft -P FORWARD DROP", "ip6tables-nft -P FORWARD ACCEPT"),
            ("iptables-legacy -P FORWARD DROP", "iptables-legacy -P FORWARD ACCEPT"),
            (
                "nft add table inet own; nft add chain inet own f '{ type filter hook forward priority 7; policy drop; }'",
                "nft add chain inet own f '{ policy accept; }'",
            ),
        ] {
            sh(close);
            // IPv6 is rejected by these rules, so that there is no accept to repeat but the one for answers.
            let expected =
                if close.starts_with("ip6") { RulesetStatus::InSync } else { RulesetStatus::Drifted };
            assert_eq!(state(&firewall, &rules), expected, "{close}");
            firewall.replace(&tags(), &rules).unwrap();
            assert_eq!(state(&firewall, &rules), RulesetStatus::InSync, "{close}");
            sh(open);
            assert_eq!(state(&firewall, &rules), expected, "{open}");
            firewall.replace(&tags(), &rules).unwrap();
            assert_eq!(state(&firewall, &rules), RulesetStatus::InSync, "{open}");
        }
        assert!(!sh("nft list ruleset; iptables-legacy -S").contains("phantom_wg_forward"));
        firewall.remove(&tags()).unwrap();
        assert_eq!(state(&firewall, &Ruleset::default()), RulesetStatus::Missing);
    });
}

#[test]
fn unreadable_iptables_tables_are_taken_as_nftables() {
    in_namespace("foreign::unreadable_iptables_tables_are_taken_as_nftables", &NEEDS, || {
        let network = Network::new();
        sh("iptables-nft -P FORWARD DROP; nft add rule ip filter FORWARD ct state established accept");
        assert_eq!(sh("iptables-nft -S FORWARD 2>&1 || true").lines().count(), 1);
        let before = sh("nft -s list ruleset");
        let firewall = LinuxFirewall::new();
        assert_eq!(network.passes(), None);
        firewall.replace(&tags(), &server_rules()).unwrap();
        assert_eq!(network.passes(), Some([192, 0, 2, 1].into()));
        assert_eq!(state(&firewall, &server_rules()), RulesetStatus::InSync);
        firewall.remove(&tags()).unwrap();
        assert_eq!(sh("nft -s list ruleset"), before);
    });
}

#[test]
fn process_owned_table_is_left_alone() {
    in_namespace("foreign::process_owned_table_is_left_alone", &NEEDS, || {
        // It lives as long as the process that made it.
        sh("mkfifo /run/hold; (nft -i < /run/hold > /run/out 2>&1 &) ; exec 3> /run/hold
            echo 'add table inet firewalld { flags owner; }' >&3
            echo 'add chain inet firewalld f { type filter hook forward priority 10; policy drop; }' >&3
            (sleep 600 >&3 2>/dev/null </dev/null & echo $! > /run/holder) ; i=0
            until nft list table inet firewalld 2>/dev/null | grep -q policy; do i=$((i+1)); [ $i -lt 200 ]; sleep 0.02; done");
        let firewall = LinuxFirewall::new();
        firewall.replace(&tags(), &server_rules()).unwrap();
        assert_eq!(state(&firewall, &server_rules()), RulesetStatus::InSync);
        assert!(!sh("nft list table inet firewalld").contains("phantom"));
        firewall.remove(&tags()).unwrap();
        sh("kill $(cat /run/holder)");
    });
}

#[test]
fn iptables_also_checks_the_other_implementation() {
    in_namespace("foreign::iptables_also_checks_the_other_implementation", &NEEDS, || {
        let network = Network::new();
        for (ours, theirs) in [("nft", "legacy"), ("legacy", "nft")] {
            choose_iptables(ours);
            sh(&format!("iptables-{theirs} -P FORWARD DROP"));
            let before = everything();
            let firewall = LinuxFirewall::with_kind(FirewallKind::Iptables);
            assert_eq!(network.passes(), None);
            firewall.replace(&tags(), &server_rules()).unwrap();
            assert_eq!(network.passes(), Some([192, 0, 2, 1].into()), "{ours}");
            assert_eq!(
                lines_without_ours(&sh(&format!("iptables-{theirs} -S"))),
                "-P INPUT ACCEPT\n-P FORWARD DROP\n-P OUTPUT ACCEPT\n"
            );
            firewall.remove(&tags()).unwrap();
            let after = everything();
            for line in before.lines().filter(|line| line.starts_with('-')) {
                assert!(after.contains(line), "{line}");
            }
            assert!(!after.contains("PHANTOM-WG"));
            sh(&format!("iptables-{theirs} -P FORWARD ACCEPT"));
        }
    });
}

#[test]
fn connections_are_forgotten() {
    in_namespace("foreign::connections_are_forgotten", &["nft", "ip"], || {
        let firewall = LinuxFirewall::new();
        let net = "10.8.0.0/24".parse().unwrap();
        if !installed("conntrack") {
            let error = firewall.forget_connections(&[net]).unwrap_err();
            assert!(error.to_string().contains("conntrack"), "{error}");
            return skipped("foreign::connections_are_forgotten", "its second half needs conntrack");
        }
        let network = Network::new();
        firewall.replace(&tags(), &server_rules()).unwrap();
        assert!(network.passes().is_some());
        let known = || sh("conntrack -L -s 10.8.0.0/24 2>/dev/null || true").lines().count();
        assert!(known() > 0);
        firewall.forget_connections(&["10.9.0.0/24".parse().unwrap(), "fd00::/8".parse().unwrap()]).unwrap();
        assert!(known() > 0);
        firewall.forget_connections(&[net]).unwrap();
        assert_eq!(known(), 0);
        // Nothing left to forget is no error.
        firewall.forget_connections(&[net]).unwrap();
        firewall.forget_connections(&[]).unwrap();
    });
}
