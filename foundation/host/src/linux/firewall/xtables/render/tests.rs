//! The scripts for iptables, in full.

use super::super::super::rules::{Family, HOOKS, NormalizedRule};
use super::super::super::samples::everything;
use super::super::{ChainNames, Chains, Listing, TABLES, site};
use super::{add_accepts, restore_script, rules_for};
use crate::{Hook, Match, OwnershipTags, RulesetRule, Verdict};

fn names() -> ChainNames {
    ChainNames::from_tags(&OwnershipTags::new(None))
}

fn all(family: Family) -> Chains {
    rules_for("phantom-wg", &everything(), family, HOOKS.into_iter()).unwrap()
}

fn script(family: Family) -> String {
    let of_table = |table: &str| -> Chains {
        all(family).into_iter().filter(|(hook, _)| site(*hook).0 == table).collect()
    };
    let nothing = Listing::default();
    let script = |table| restore_script(table, &names(), &nothing, &of_table(table), &[]);
    TABLES.into_iter().map(script).collect()
}

#[test]
fn all_tables_of_ipv4() {
    assert_eq!(
        script(Family::V4),
        r#"*filter
:PHANTOM-WG-INPUT - [0:0]
:PHANTOM-WG-FORWARD - [0:0]
:PHANTOM-WG-OUTPUT - [0:0]
-A PHANTOM-WG-INPUT ! -i lo -p udp -m udp --dport 51820 -m comment --comment "phantom-wg 24ce279d" -j DROP
-A PHANTOM-WG-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment "phantom-wg b2457c84" -j ACCEPT
-A PHANTOM-WG-FORWARD -s 10.8.0.0/24 ! -d 10.0.0.0/8 -i wg_main -m comment --comment "phantom-wg 4d096174" -j ACCEPT
-A PHANTOM-WG-FORWARD -s 10.8.0.5/32 ! -o wg_vpn -m comment --comment "phantom-wg 6a14991b" -j DROP
-A PHANTOM-WG-OUTPUT -s 10.8.0.0/24 -m conntrack --ctstate INVALID,UNTRACKED -m comment --comment "phantom-wg 3523d2b4" -j DROP
COMMIT
*mangle
:PHANTOM-WG-MANGLE - [0:0]
:PHANTOM-WG-POST - [0:0]
-A PHANTOM-WG-MANGLE -o wg_main -p tcp -m tcp --tcp-flags SYN,RST SYN -m comment --comment "phantom-wg 66fbd357" -j TCPMSS --clamp-mss-to-pmtu
-A PHANTOM-WG-MANGLE -p tcp -m tcp --dport 80 --tcp-flags SYN,RST SYN -m comment --comment "phantom-wg 2ab47bd4" -j TCPMSS --set-mss 1360
-A PHANTOM-WG-POST -s 10.8.0.0/24 -o lo -m comment --comment "phantom-wg 0827ea57" -j ACCEPT
-A PHANTOM-WG-POST -s 10.8.0.0/24 ! -o wg_main -m conntrack ! --ctstate NEW,RELATED,SNAT,DNAT -m comment --comment "phantom-wg b84f537e" -j DROP
COMMIT
*nat
:PHANTOM-WG-NAT - [0:0]
-A PHANTOM-WG-NAT -s 10.8.0.0/24 -d 10.8.0.0/24 -m comment --comment "phantom-wg f5fbbbaf" -j ACCEPT
-A PHANTOM-WG-NAT -s 10.8.0.0/24 ! -o wg_main -m comment --comment "phantom-wg 72722e51" -j MASQUERADE
-A PHANTOM-WG-NAT -s 10.8.0.0/24 -o wg_vpn -p udp -m comment --comment "phantom-wg 82fc33ca" -j MASQUERADE --to-ports 32768-65535
COMMIT
"#
    );
}

#[test]
fn all_tables_of_ipv6() {
    assert_eq!(
        script(Family::V6),
        r#"*filter
:PHANTOM-WG-INPUT - [0:0]
:PHANTOM-WG-FORWARD - [0:0]
-A PHANTOM-WG-INPUT ! -i lo -p udp -m udp --dport 51820 -m comment --comment "phantom-wg 24ce279d" -j DROP
-A PHANTOM-WG-INPUT -p tcp -m tcp --dport 443 -m comment --comment "phantom-wg 76486451" -j ACCEPT
-A PHANTOM-WG-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment "phantom-wg b2457c84" -j ACCEPT
-A PHANTOM-WG-FORWARD -i wg_main -m comment --comment "phantom-wg aeb294b0" -j REJECT --reject-with icmp6-adm-prohibited
-A PHANTOM-WG-FORWARD ! -s fd00:8::/64 -o wg_main -m comment --comment "phantom-wg 12ff8996" -j REJECT --reject-with icmp6-adm-prohibited
COMMIT
*mangle
:PHANTOM-WG-MANGLE - [0:0]
-A PHANTOM-WG-MANGLE -o wg_main -p tcp -m tcp --tcp-flags SYN,RST SYN -m comment --comment "phantom-wg 66fbd357" -j TCPMSS --clamp-mss-to-pmtu
COMMIT
*nat
COMMIT
"#
    );
}

#[test]
fn repeated_accepts_are_one_chain() {
    let plain = |matches| {
        NormalizedRule::from_rule(&RulesetRule {
            hook: Hook::Forward,
            order: 1,
            matches,
            verdict: Verdict::Accept,
        })
        .unwrap()
        .unwrap()
    };
    let rules = [plain(vec![Match::Established]), plain(vec![Match::Ipv4])];
    let accepts = |rules: &[NormalizedRule], family| {
        let mut chains = Chains::new();
        add_accepts(&mut chains, Hook::Forward, "m", rules, family).unwrap();
        // What is there already is not repeated.
        add_accepts(&mut chains, Hook::Forward, "m", rules, family).unwrap();
        chains
    };
    assert_eq!(accepts(&rules, Family::V4)[&Hook::Forward].len(), 2);
    assert_eq!(accepts(&rules, Family::V6)[&Hook::Forward].len(), 1);
    assert!(accepts(&rules[1..], Family::V6).is_empty());
}

#[test]
fn what_iptables_cannot_say_is_refused() {
    let out = |name: &str| Match::Out { interface: name.into(), not: true };
    let mut wanted = crate::Ruleset::default();
    wanted.add(Hook::Forward, 1, vec![out("a"), out("b")], Verdict::Drop);
    let error = rules_for("m", &wanted, Family::V4, HOOKS.into_iter()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "this host cannot ask twice for -o in one rule with iptables (nftables can)"
    );
}

/// There is no moment in which packets pass by our chain.
#[test]
fn misplaced_jump_moves_first_in_one_step() {
    let rules = &all(Family::V4)[&Hook::Input];
    let listed = Listing::of_text(
        "-P INPUT ACCEPT\n-N PHANTOM-WG-INPUT\n-A INPUT -j DOCKER\n\
         -A INPUT -m comment --comment phantom-wg -j PHANTOM-WG-INPUT\n-A DOCKER -j PHANTOM-WG-INPUT\n",
    );
    let wanted = Chains::from([(Hook::Input, rules.clone())]);
    let script = restore_script("filter", &names(), &listed, &wanted, &[Hook::Input]);
    let end = "-D DOCKER -j PHANTOM-WG-INPUT\n\
               -D INPUT -m comment --comment phantom-wg -j PHANTOM-WG-INPUT\n\
               -I INPUT 1 -m comment --comment phantom-wg -j PHANTOM-WG-INPUT\nCOMMIT\n";
    assert!(script.starts_with("*filter\n:PHANTOM-WG-INPUT - [0:0]\n") && script.ends_with(end), "{script}");
    assert_eq!(script.matches("COMMIT").count(), 1);
}
