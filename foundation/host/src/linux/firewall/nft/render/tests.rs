//! The scripts for nftables, in full.

use super::super::super::rules::{Family, NormalizedRule};
use super::super::NftTable;
use super::{own_rules, own_table, rules_of, without_own_table};
use crate::Hook;
use crate::linux::firewall::samples::everything;

fn table() -> NftTable {
    NftTable::own("phantom_wg".into())
}

#[test]
fn the_whole_table() {
    let script = own_table(&table(), None, &own_rules("phantom-wg", &everything()).unwrap());
    assert_eq!(
        script,
        r#"add table inet phantom_wg
flush table inet phantom_wg
table inet phantom_wg {
	chain input {
		type filter hook input priority filter; policy accept;
		iifname != "lo" udp dport 51820 drop comment "phantom-wg 7f47e602"
		meta nfproto ipv6 tcp dport 443 accept comment "phantom-wg ff36c80e"
	}
	chain forward {
		type filter hook forward priority filter; policy accept;
		ct state established,related accept comment "phantom-wg 8ec0115e"
		iifname "wg_main" ip saddr 10.8.0.0/24 ip daddr != 10.0.0.0/8 accept comment "phantom-wg b925ea6b"
		meta nfproto ipv6 iifname "wg_main" reject with icmpx type admin-prohibited comment "phantom-wg 28de1bdc"
		oifname != "wg_vpn" ip saddr 10.8.0.5/32 drop comment "phantom-wg 82a4a13f"
		oifname "wg_main" ip6 saddr != fd00:8::/64 reject with icmpx type admin-prohibited comment "phantom-wg 7deef1fa"
	}
	chain output {
		type filter hook output priority filter; policy accept;
		ip saddr 10.8.0.0/24 ct state invalid,untracked drop comment "phantom-wg 54bc471b"
	}
	chain mangle {
		type filter hook forward priority mangle; policy accept;
		oifname "wg_main" tcp flags & (syn|rst) == syn tcp option maxseg size set rt mtu comment "phantom-wg cdcc8302"
		meta nfproto ipv4 tcp dport 80 tcp flags & (syn|rst) == syn tcp option maxseg size set 1360 comment "phantom-wg b7d44d6f"
	}
	chain srcnat {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr 10.8.0.0/24 ip daddr 10.8.0.0/24 accept comment "phantom-wg 2ca07d98"
		oifname != "wg_main" ip saddr 10.8.0.0/24 masquerade comment "phantom-wg 7f826a4f"
		oifname "wg_vpn" ip saddr 10.8.0.0/24 meta l4proto udp masquerade to :32768-65535 comment "phantom-wg 978eb0d0"
	}
	chain postrouting {
		type filter hook postrouting priority 200; policy accept;
		oifname "lo" ip saddr 10.8.0.0/24 accept comment "phantom-wg de2c9fae"
		oifname != "wg_main" ip saddr 10.8.0.0/24 drop comment "phantom-wg e17819dc"
	}
}
"#
    );
}

#[test]
fn removing_names_only_our_table() {
    assert_eq!(without_own_table(&table()), "add table inet phantom_wg\ndelete table inet phantom_wg\n");
}

#[test]
fn rules_are_filtered_by_table_family() {
    let rules: Vec<_> = everything()
        .rules()
        .iter()
        .filter(|rule| rule.hook == Hook::Forward)
        .map(|rule| NormalizedRule::from_rule(rule).unwrap().unwrap())
        .collect();
    let texts = |only| rules_of("m", &rules, only).into_iter().map(|r| r.text).collect::<Vec<_>>();
    assert_eq!(
        texts(Some(Family::V6)),
        [
            "ct state established,related accept",
            "iifname \"wg_main\" reject with icmpx type admin-prohibited",
            "oifname \"wg_main\" ip6 saddr != fd00:8::/64 reject with icmpx type admin-prohibited",
        ]
    );
    assert_eq!(texts(Some(Family::V4)).len(), 3);
    assert_eq!(texts(None).len(), 5);
}
