//! What the watcher is not told of at once, or not at all, and what others do beside our own rules.

use std::time::Duration;

use super::{BACK, BACK_LEGACY, comes_back, in_sync, log, on_iptables_do, rest, served};
use crate::multihop::IPTABLES;
use crate::world::{At, in_world, in_world_with, wait_for};

/// The list of what is meant to be there, which the installation writes for the watcher.
const LIST: &str = "/run/phantom-wg-watch/objects.json";

#[test]
fn watcher_gets_a_lost_list_again() {
    in_world("watch::losses::watcher_gets_a_lost_list_again", |world| {
        served(world);
        for remover in [format!("rm {LIST}"), "rm -r /run/phantom-wg-watch".to_owned()] {
            world.sh(&remover);
            let back = || world.try_at(At::Server, &format!("test -s {LIST}")).status.success();
            assert!(wait_for(BACK, back), "{remover}\n{}", log(world));
            // It listens in the new folder as well.
            rest();
            comes_back(world, "nft flush ruleset", BACK);
            rest();
        }
    });
}

#[test]
fn removed_peer_returns_at_full_comparison() {
    in_world("watch::losses::removed_peer_returns_at_full_comparison", |world| {
        served(world);
        let count = || world.sh("wg show wg_main peers | wc -l").trim().to_owned();
        assert_eq!(count(), "2");
        world.sh("for p in $(wg show wg_main peers); do wg set wg_main peer $p remove; done");
        assert_eq!(count(), "0");
        // Ten minutes go by.
        world.sh(&format!(
            "cd /run/phantom-wg-watch; sed -i 's/\"swept_at\":[0-9]*/\"swept_at\":1/' {LIST}; echo 1 > due.new; mv due.new due"
        ));
        assert!(wait_for(BACK, || count() == "2"), "{}", log(world));
        assert!(in_sync(world));
    });
}

#[test]
fn port_closed_by_nested_chain_reopens() {
    in_world("watch::losses::port_closed_by_nested_chain_reopens", |world| {
        served(world);
        world.sh("nft 'add table inet fw; add chain inet fw deep; add chain inet fw on
                add chain inet fw in { type filter hook input priority 10; }
                add rule inet fw in jump on; add rule inet fw on jump deep'");
        rest();
        // Two steps away from what the kernel asks, and nothing else has changed.
        world.sh("nft add rule inet fw deep udp dport 51820 drop");
        let open = || world.sh("nft list ruleset").contains("jump phantom_wg_input") && in_sync(world);
        assert!(wait_for(BACK, open), "{}", log(world));
        // Others' rules that change the addresses of packets are no business of ours.
        world.sh("nft 'add table ip own; add chain ip own pre { type nat hook prerouting priority -100; }'");
        rest();
        let before = log(world).matches("asking for a repair").count();
        world.sh(
            "for p in 1 2 3 4 5; do nft add rule ip own pre tcp dport 808$p dnat to 10.1.1.1; sleep 1; done",
        );
        assert_eq!(log(world).matches("asking for a repair").count(), before, "{}", log(world));
    });
}

/// Our rules are in nftables, and somebody drops packets in a table of the older kind.
#[test]
fn legacy_iptables_accept_beside_nftables_returns() {
    let test = "watch::losses::legacy_iptables_accept_beside_nftables_returns";
    in_world_with(test, &IPTABLES, |world| {
        if !world.try_at(At::Server, "iptables-legacy -S; ip6tables-legacy -S").status.success() {
            phantom_tests::skip(test, "this kernel has not this variant of iptables");
            return;
        }
        world.sh("iptables-legacy -A INPUT -p tcp --dport 22 -j ACCEPT; iptables-legacy -P INPUT DROP");
        served(world);
        let open = || world.sh("iptables-legacy -S INPUT").contains("-j PHANTOM-WG") && in_sync(world);
        assert!(open(), "{}", world.sh("iptables-legacy -S; nft list ruleset"));
        rest();
        // The owner loads his rules once more.
        world.sh("iptables-legacy -F INPUT; iptables-legacy -A INPUT -p tcp --dport 22 -j ACCEPT");
        assert!(wait_for(BACK_LEGACY, open), "{}", log(world));
    });
}

/// A policy is neither an entry more nor one that is longer.
#[test]
fn a_policy_of_legacy_iptables_is_seen() {
    on_iptables_do("watch::losses::a_policy_of_legacy_iptables_is_seen", "legacy", |world| {
        rest();
        let accepts = || !world.sh("iptables -S | grep -e '--dport 51820 .*-j ACCEPT' || true").is_empty();
        let open = || accepts() && in_sync(world);
        assert!(!open(), "nothing has to be opened yet");
        world.sh("iptables -P INPUT DROP");
        assert!(wait_for(BACK_LEGACY, open), "{}\n{}", log(world), world.sh("iptables -S"));
        std::thread::sleep(Duration::from_secs(1));
        world.sh("iptables -P INPUT ACCEPT");
    });
}
