//! Servers whose own packet filter lets nobody in: what cloud images load at boot, and what people write into nftables.conf. A
//! real client gets a real handshake all the same, for as long as the operator does not decline.

use serde_json::{Value, json};

use crate::ghost::{authority, casper, certificate, configuration, connect_ours, in_ghost_mode};
use crate::multihop::{IPTABLES, without_nftables};
use crate::world::{At, INTERNET, TestNet, in_world_with, programs};

/// What an image's `rules.v4` holds.
const RULES: &str = "*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p icmp -j ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT -p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT
-A INPUT -j REJECT --reject-with icmp-host-prohibited
-A FORWARD -j REJECT --reject-with icmp-host-prohibited
COMMIT
";
/// What people have in `/etc/nftables.conf`.
const NFT: &str = "flush ruleset
table inet filter {
	chain input {
		type filter hook input priority filter; policy drop;
		ct state vmap { established : accept, related : accept, invalid : drop }
		iif lo accept
		meta l4proto { icmp, ipv6-icmp } accept
		tcp dport 22 accept
	}
	chain forward {
		type filter hook forward priority filter; policy drop;
	}
}
";
/// What they need beside the rest.
const PROGRAMS: [&str; 4] =
    ["iptables-nft-restore", "iptables-legacy-restore", "iptables-nft-save", "iptables-legacy-save"];

/// Loads the image's rules by this variant of iptables.
fn image(world: &TestNet, variant: &str) {
    std::fs::write("/etc/rules.v4", RULES).unwrap();
    world.sh(&format!("iptables-{variant}-restore < /etc/rules.v4"));
}

/// That a client that begins with nothing reaches the Internet.
fn connects(world: &TestNet, name: &str) {
    world.connect(At::Client1, &world.export(name));
    world.reaches(At::Client1, INTERNET);
    world.disconnect(At::Client1);
}

/// That no handshake comes about.
fn is_kept_out(world: &TestNet, name: &str) {
    world.connect(At::Client1, &world.export(name));
    world.does_not_reach(At::Client1, "10.8.0.1");
    assert!(world.sh_at(At::Client1, "wg show c1 latest-handshakes").trim().ends_with("\t0"));
    world.disconnect(At::Client1);
}

fn uninstall(world: &TestNet) -> String {
    world.sh(&format!("{}/factory-reset --uninstall --yes", programs().display()))
}

/// All rules of both variants of iptables.
fn of_iptables(world: &TestNet) -> String {
    world.sh("for v in nft legacy; do [ $v = nft ] || [ -s /proc/net/ip_tables_names ] || continue
           iptables-$v-save | grep '^-A' || true; done")
}

/// What the doctor says of some things.
fn all_is_well(world: &TestNet, checks: &[&str]) {
    let report = world.ok(&["core", "doctor"]);
    for check in report["checks"].as_array().unwrap() {
        let asked = checks.iter().any(|name| check["name"] == *name);
        assert!(!asked || check["state"] == "ok", "{check:#}");
    }
}

#[test]
fn client_gets_in_despite_owner_filter() {
    let test = "reach::client_gets_in_despite_owner_filter";
    in_world_with(test, &PROGRAMS, |world| {
        image(world, "nft");
        let done = world.setup();
        let opened = json!([{ "table": "iptables filter", "chain": "INPUT", "ports": ["51820/udp"] }]);
        assert_eq!((&done["opened"], done.get("warnings")), (&opened, None), "{done:#}");
        world.add("one");
        connects(world, "one");
        world.in_sync();
        // The owner loads his rules once more, which takes ours out.
        image(world, "nft");
        is_kept_out(world, "one");
        world.ok(&["core", "reconcile"]);
        connects(world, "one");
        // Another port.
        world.ok(&["core", "setup", "port=4500"]);
        connects(world, "one");
        world.in_sync();
        // Both variants, and nftables, in the place of those.
        image(world, "legacy");
        world.ok(&["core", "restart_service"]);
        connects(world, "one");
        world.sh("iptables-legacy -P INPUT ACCEPT; iptables-legacy -F; iptables-legacy -X");
        std::fs::write("/etc/nftables.conf", NFT).unwrap();
        world.sh("nft -f /etc/nftables.conf");
        world.ok(&["core", "reconcile"]);
        connects(world, "one");
        all_is_well(world, &["packet_filter", "wireguard_port", "forwarding", "host_in_sync"]);
        world.in_sync();
        // Declined, it is closed; the command of the answer opens it.
        let declined = world.ok(&["core", "setup", "open_firewall=false"]);
        is_kept_out(world, "one");
        let warnings = declined["warnings"].as_array().unwrap();
        let command = warnings.last().unwrap().as_str().unwrap().split_once("Run: ").unwrap().1;
        world.sh(command);
        connects(world, "one");
        world.sh("nft -f /etc/nftables.conf");
        world.ok(&["core", "setup", "open_firewall=true"]);
        connects(world, "one");
        let said = uninstall(world);
        assert!(said.trim_end().ends_with("look for phantom-wg in it."), "{said}");
        let left = of_iptables(world) + &world.sh("nft list ruleset");
        assert!(!left.to_lowercase().contains("phantom"), "{left}");
    });
}

fn where_iptables_is_all_there_is(test: &str, variant: &str) {
    in_world_with(test, &[&PROGRAMS[..], &IPTABLES].concat(), |world| {
        if !without_nftables(world, test, variant) {
            return;
        }
        image(world, variant);
        let before = of_iptables(world);
        let done = world.setup();
        assert_eq!(done["opened"][0]["ports"], json!(["51820/udp"]), "{done:#}");
        world.add("one");
        connects(world, "one");
        world.in_sync();
        uninstall(world);
        assert_eq!(of_iptables(world), before);
    });
}

#[test]
fn a_client_gets_in_by_iptables_nft() {
    where_iptables_is_all_there_is("reach::a_client_gets_in_by_iptables_nft", "nft");
}

#[test]
fn a_client_gets_in_by_iptables_legacy() {
    where_iptables_is_all_there_is("reach::a_client_gets_in_by_iptables_legacy", "legacy");
}

#[test]
fn tunnel_gets_in_despite_owner_filter() {
    let test = "reach::tunnel_gets_in_despite_owner_filter";
    in_world_with(test, &["dnsmasq", "dig", "openssl", "ss"], |world| {
        std::fs::write("/etc/nftables.conf", NFT).unwrap();
        world.sh("nft -f /etc/nftables.conf");
        world.setup();
        world.add("anna");
        let enabled = in_ghost_mode(world);
        let opened = json!([{ "table": "nftables inet filter", "chain": "input", "ports": ["443/tcp"] }]);
        assert_eq!(enabled["opened"], opened, "{enabled:#}");
        tells_of_saved_copy_alone(&enabled);
        connect_ours(world, "anna");
        world.connect(At::Client1, &configuration(&casper(world, "anna")));
        world.reaches(At::Client1, INTERNET);
        let status = world.ok(&["ghost", "status"]);
        assert_eq!((&status["status"], status.get("closed_by")), (&json!("active"), None), "{status:#}");
        world.in_sync();
        world.disconnect(At::Client1);
        world.ok(&["ghost", "disable"]);
        connects(world, "anna");
        world.in_sync();
    });
}

/// WireGuard's own port was open before, and a copy of the owner's rules may still open it. Nothing else is wrong.
fn tells_of_saved_copy_alone(enabled: &Value) {
    let [warning] = enabled["warnings"].as_array().unwrap().as_slice() else { panic!("{enabled:#}") };
    assert!(warning.as_str().unwrap().contains("was taken out of nftables inet filter input"), "{warning}");
}

#[test]
fn authority_gets_in_despite_owner_filter() {
    let test = "reach::authority_gets_in_despite_owner_filter";
    in_world_with(test, &["dnsmasq", "dig", "openssl", "ss", "pebble"], |world| {
        std::fs::write("/etc/nftables.conf", NFT).unwrap();
        world.sh("nft -f /etc/nftables.conf");
        world.setup();
        certificate(world);
        crate::ghost::named(world);
        authority(world);
        let enabled = world.ok(&["ghost", "enable", "domain=vpn.example.org"]);
        assert_eq!(enabled["certificate"]["source"], "acme", "{enabled:#}");
        tells_of_saved_copy_alone(&enabled);
        assert_eq!(enabled["opened"][0]["ports"], json!(["443/tcp"]));
        world.in_sync();
        // One that asks in vain leaves nothing open.
        world.ok(&["ghost", "disable"]);
        let before = world.look();
        world.fails(
            &["ghost", "enable", "domain=other.example.org", "skip_dns_check=true"],
            "CERTIFICATE_ERROR",
        );
        assert_eq!(before.host, world.look().host);
    });
}
