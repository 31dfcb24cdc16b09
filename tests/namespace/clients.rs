//! What a client can do, and what it must not notice.

mod strangers;

use serde_json::json;

use crate::ping::Steady;
use crate::traffic::{fetch, udp_seen_as, web_server};
use crate::world::{At, INTERNET, SERVER, TestNet, api, backend, in_world, in_world_with, programs};

/// Everything that a client does with its configuration.
fn works(world: &TestNet, at: At, address: &str) {
    world.reaches(at, "10.8.0.1");
    world.reaches(at, INTERNET);
    let seen = web_server(3_000_000);
    assert_eq!(fetch(at), 3_000_000);
    assert_eq!(seen.recv().unwrap().ip().to_string(), SERVER, "the Internet sees the server's address only");
    assert_eq!(udp_seen_as(at), SERVER);
    let list = world.ok(&["core", "list_clients", &format!("search={address}")]);
    let client = &list["clients"][0];
    assert_eq!(client["connected"], true, "{list:#}");
    assert!(client["connection"]["transfer"]["rx"].as_u64().unwrap() > 3000, "{list:#}");
    assert!(client["connection"]["endpoint"].as_str().unwrap().starts_with("192.0.2."), "{list:#}");
}

#[test]
fn a_foreign_client_uses_exactly_its_configuration() {
    in_world("clients::a_foreign_client_uses_exactly_its_configuration", |world| {
        world.setup();
        world.connect(At::Client1, &world.add("one"));
        works(world, At::Client1, "10.8.0.2");
        world.connect(At::Client2, &world.add("two"));
        world.reaches(At::Client2, "10.8.0.1");
        world.reaches(At::Client1, "10.8.0.3"); // client to client
        world.reaches(At::Client2, "10.8.0.2");
        let status = world.ok(&["core", "server_status"]);
        assert_eq!(status["clients"]["active_connections"], 2, "{status:#}");
        assert_eq!(status["service"]["running"], true);
        world.in_sync();
    });
}

#[test]
fn dns_servers_answer_through_the_tunnel() {
    in_world_with("clients::dns_servers_answer_through_the_tunnel", &["dnsmasq", "dig"], |world| {
        world.setup();
        crate::dns::name_server(world, "8.8.8.8", "google.com", "1.2.3.4");
        world.connect(At::Client1, &world.add("one"));
        world.reaches(At::Client1, "10.8.0.1");
        let answer = world.sh_at(At::Client1, "dig +short +time=3 +tries=3 @8.8.8.8 google.com");
        assert_eq!(answer.trim(), "1.2.3.4");
    });
}

#[test]
fn our_own_device_is_a_client_too() {
    in_world("clients::our_own_device_is_a_client_too", |world| {
        if backend() == "kernel" {
            return phantom_tests::skip(
                "clients::our_own_device_is_a_client_too",
                "the kernel's WireGuard is under test",
            );
        }
        world.setup();
        let config = world.add("one");
        let device = programs().join("phantom-wg-device");
        world.spawn(At::Client1, device.to_str().unwrap(), &["wgc"]);
        std::fs::write("/etc/wgc.conf", config).unwrap();
        world.sh("chmod 600 /etc/wgc.conf; wg-quick strip /etc/wgc.conf > /run/wgc.conf");
        let up = crate::world::wait_for(std::time::Duration::from_secs(10), || {
            world.try_at(At::Client1, "wg setconf wgc /run/wgc.conf").status.success()
        });
        assert!(up, "the device does not take its configuration");
        world.sh_at(
            At::Client1,
            &format!(
                "ip addr add 10.8.0.2/24 dev wgc; ip link set wgc mtu 1420 up
                 ip route add {SERVER} via 192.0.2.1; ip route add 198.18.0.0/24 dev wgc"
            ),
        );
        works(world, At::Client1, "10.8.0.2");
    });
}

#[test]
fn client_changes_lose_no_packet_of_others() {
    in_world("clients::client_changes_lose_no_packet_of_others", |world| {
        world.setup();
        world.connect(At::Client1, &world.add("steady"));
        world.reaches(At::Client1, "10.8.0.1");
        let ping = Steady::start(At::Client1, "10.8.0.1", std::time::Duration::from_millis(5));
        let mut rounds = 0;
        while rounds < 3 || ping.sent() < 300 {
            rounds += 1;
            for n in 0..20 {
                world.ok(&["core", "add_client", &format!("client_name=other-{n}")]);
            }
            for n in 0..20 {
                world.ok(&["core", "remove_client", &format!("client_name=other-{n}")]);
            }
        }
        let (sent, answered) = ping.stop();
        let counters =
            || world.sh("ip -s -s link; ip netns exec c1 ip -s -s link; nstat -az 2>/dev/null || true");
        assert_eq!(sent, answered, "packets were lost\n{}", counters());
        world.in_sync();
    });
}

#[test]
fn a_removed_client_is_out_at_once() {
    in_world("clients::a_removed_client_is_out_at_once", |world| {
        world.setup();
        world.connect(At::Client1, &world.add("one"));
        world.connect(At::Client2, &world.add("two"));
        world.reaches(At::Client1, "10.8.0.1");
        world.reaches(At::Client2, "10.8.0.1");
        world.ok(&["core", "remove_client", "client_name=one"]);
        world.does_not_reach(At::Client1, "10.8.0.1");
        world.reaches(At::Client2, "10.8.0.1");
        assert!(!world.sh("wg show wg_main; cat /etc/wireguard/wg_main.conf").contains("10.8.0.2/32"));
        // The address is free again, and the key is not.
        world.disconnect(At::Client1);
        let config = world.add("three");
        assert!(config.contains("Address = 10.8.0.2/24"), "{config}");
        world.connect(At::Client1, &config);
        world.reaches(At::Client1, "10.8.0.1");
    });
}

#[test]
fn service_stops_starts_and_restarts() {
    in_world("clients::service_stops_starts_and_restarts", |world| {
        world.setup();
        world.connect(At::Client1, &world.add("one"));
        world.reaches(At::Client1, INTERNET);
        assert_eq!(world.ok(&["core", "stop_service"])["already_stopped"], false);
        world.does_not_reach(At::Client1, "10.8.0.1");
        assert!(!world.sh("ip -br link").contains("wg_main"));
        assert_eq!(world.ok(&["core", "stop_service"])["already_stopped"], true);
        world.in_sync(); // stopped by hand is in sync
        let added = world.ok(&["core", "add_client", "client_name=while-stopped"]);
        assert_eq!(added["client"]["ip"], "10.8.0.3");
        assert!(!world.sh("ip -br link").contains("wg_main"), "a stopped service is not started");
        assert_eq!(world.ok(&["core", "start_service"])["already_running"], false);
        assert_eq!(world.ok(&["core", "start_service"])["already_running"], true);
        assert!(world.sh("wg show wg_main allowed-ips").contains("10.8.0.3/32"));
        world.begin_anew(At::Client1);
        world.reaches(At::Client1, INTERNET);
        let restarted = world.ok(&["core", "restart_service"]);
        assert_eq!(restarted["interface_up"], true);
        world.reaches(At::Client1, INTERNET); // the client finds back by itself
        world.ok(&[
            "core",
            "update_tweak_setting",
            "setting_name=restart_service_after_client_creation",
            "value=true",
        ]);
        let before = world.ok(&["core", "server_status"])["service"].clone();
        world.ok(&["core", "add_client", "client_name=with-restart"]);
        let after = world.ok(&["core", "server_status"])["service"].clone();
        if backend() == "embedded" {
            assert_ne!(before["pid"], after["pid"], "the service was to restart");
        }
        world.begin_anew(At::Client1);
        world.reaches(At::Client1, INTERNET);
        world.in_sync();
    });
}

#[test]
fn subnet_change_moves_everybody() {
    in_world("clients::subnet_change_moves_everybody", |world| {
        world.setup();
        let old = world.add("one");
        world.add("two");
        world.connect(At::Client1, &old);
        world.reaches(At::Client1, INTERNET);
        let changed = world.ok(&["core", "change_subnet", "new_subnet=192.168.100.0/28", "confirm=true"]);
        assert_eq!(
            changed["ip_mapping"],
            json!({"10.8.0.1": "192.168.100.1", "10.8.0.2": "192.168.100.2", "10.8.0.3": "192.168.100.3"})
        );
        assert!(world.sh("ip -br addr show wg_main").contains("192.168.100.1/28"));
        let rules = world.sh("nft list ruleset");
        assert!(rules.contains("192.168.100.0/28") && !rules.contains("10.8.0.0/24"), "{rules}");
        world.does_not_reach(At::Client1, "192.168.100.1");
        world.disconnect(At::Client1);
        let new = world.export("one");
        assert!(new.contains("Address = 192.168.100.2/28") && new.contains("192.168.100.0/28"), "{new}");
        world.connect(At::Client1, &new);
        world.reaches(At::Client1, "192.168.100.1");
        world.reaches(At::Client1, INTERNET);
        world.in_sync();
        let backup = format!("/opt/phantom-wg/backups/{}", changed["backup_id"].as_str().unwrap());
        let files = world.sh(&format!("stat -c '%a %n' {backup} {backup}/*"));
        assert!(files.lines().next().unwrap().starts_with("700 "), "{files}");
        assert!(files.lines().skip(1).all(|line| line.starts_with("600 ")), "{files}");
        assert!(
            files.contains("phantom.db") && files.contains("wg_main.conf") && files.contains("manifest.json")
        );
    });
}

#[test]
fn uplink_and_backend_changes_keep_clients() {
    in_world("clients::uplink_and_backend_changes_keep_clients", |world| {
        world.setup();
        world.connect(At::Client1, &world.add("one"));
        world.reaches(At::Client1, INTERNET);
        // The way out changes; NAT follows the interface that packets leave by.
        world.sh("ip route replace default via 198.51.100.1; ip route add 192.0.2.0/24 via 203.0.113.1");
        world.reaches(At::Client1, INTERNET);
        assert_eq!(udp_seen_as(At::Client1), "198.51.100.5");
        world.ok(&["core", "setup", "port=443"]);
        let config = world.export("one");
        assert!(config.contains(&format!("Endpoint = {SERVER}:443")), "{config}");
        world.disconnect(At::Client1);
        world.connect(At::Client1, &config);
        world.reaches(At::Client1, INTERNET);
        let other = if backend() == "kernel" { "embedded" } else { "kernel" };
        let key = world.sh("wg show wg_main public-key");
        let answer = world.call(&["core", "setup", &format!("backend={other}")]);
        if answer["success"] == true {
            assert_eq!(world.sh("wg show wg_main public-key"), key);
            world.reaches(At::Client1, INTERNET);
        } else {
            // This kernel has no WireGuard: the change is refused and nothing was touched.
            assert_eq!(answer["code"], "SERVICE_OPERATION_FAILED", "{answer:#}");
            assert_eq!(answer["data"]["rolled_back"], true, "{answer:#}");
            world.reaches(At::Client1, INTERNET);
        }
        world.in_sync();
    });
}

/// Here `nft` is not installed, and iptables is the one of this implementation.
fn without_nftables(world: &TestNet, test: &str, variant: &str) -> bool {
    world.sh("rm -f /usr/sbin/nft");
    for program in
        ["iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore"]
    {
        let (head, tail) =
            program.split_once('-').map_or((program, String::new()), |(h, t)| (h, format!("-{t}")));
        world.sh(&format!("ln -sfn /usr/sbin/{head}-{variant}{tail} /etc/alternatives/{program}"));
    }
    let there = world.try_at(At::Server, "iptables -t nat -S").status.success();
    if !there {
        phantom_tests::skip(test, "this kernel has not this variant of iptables");
    }
    there
}

/// The same on iptables.
fn on_iptables(test: &str, variant: &str) {
    in_world(test, |world| {
        if !without_nftables(world, test, variant) {
            return;
        }
        world.setup();
        world.connect(At::Client1, &world.add("one"));
        works(world, At::Client1, "10.8.0.2");
        let status = world.ok(&["core", "get_firewall_status"]);
        assert_eq!(
            (&status["iptables"]["has_rules"], &status["status"]),
            (&json!(true), &json!("active")),
            "{status:#}"
        );
        assert!(!status["iptables"]["nat_rules"].as_array().unwrap().is_empty(), "{status:#}");
        world.sh("iptables -t nat -F");
        assert_eq!(world.ok(&["core", "reconcile"])["changed"], true);
        world.reaches(At::Client1, INTERNET);
        world.in_sync();
    });
}

#[test]
fn iptables_nft_carries_a_client() {
    on_iptables("clients::iptables_nft_carries_a_client", "nft");
}

#[test]
fn iptables_legacy_carries_a_client() {
    on_iptables("clients::iptables_legacy_carries_a_client", "legacy");
}

#[test]
fn ipv4_literal_and_endpoint_reach_configuration() {
    in_world("clients::ipv4_literal_and_endpoint_reach_configuration", |world| {
        world.setup();
        world.ok(&["core", "setup", "endpoint=vpn.example.com"]);
        assert!(world.add("one").contains("Endpoint = vpn.example.com:51820"));
        let refused = world.call(&["core", "export_client", "client_name=one", "use_ipv6=true"]);
        assert_eq!(refused["code"], "CONFIG_ERROR", "{refused:#}");
        let bulk = api().args(["core", "list_clients", "per_page=1000"]).output().unwrap();
        assert!(bulk.status.success());
    });
}
