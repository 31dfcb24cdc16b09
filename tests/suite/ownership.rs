//! Ownership: what does not carry the tags is never changed or removed, by no action and after no fault.

mod own_services;

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use own_services::OwnServices;
use phantom_host::{
    FirewallKind, LinkChange, LinkKind, PolicyRule, Port, Protocol, Route, RouteKind, RuleAction,
};
use phantom_tests::{OnDisk, Server};

use crate::faults::changed;

/// Puts objects of somebody else everywhere, many of them close to ours, and gives the lines of the dump that show them.
pub(crate) fn surround(server: &Server) -> Vec<String> {
    let fake = &server.fake;
    let before = server.fake.dump();
    fake.add_link("docker0", LinkKind::Other("bridge".into())).unwrap();
    fake.change_link("docker0", &LinkChange { up: Some(true), ..LinkChange::default() }).unwrap();
    fake.give_address("docker0", "172.17.0.1/16".parse().unwrap()).unwrap();
    fake.add_link("wg0", LinkKind::WireGuard).unwrap();
    fake.give_address("wg0", "10.99.0.1/24".parse().unwrap()).unwrap();
    let kind = RouteKind::Via { interface: "docker0".into(), gateway: None };
    for table in [254, server.tags().exit_table() + 1, 100] {
        let destination = "198.18.0.0/15".parse().unwrap();
        fake.give_route(&Route {
            table,
            destination,
            metric: 5,
            kind: kind.clone(),
            source: None,
            protocol: 4,
        })
        .unwrap();
    }
    for (priority, protocol) in
        [(server.tags().exit_priority(), 4), (5000, phantom_host::OwnershipTags::PROTOCOL), (100, 3)]
    {
        let from = Some("198.18.0.0/15".parse().unwrap());
        fake.give_rule(&PolicyRule {
            priority,
            ipv6: false,
            from,
            to: None,
            in_interface: None,
            action: RuleAction::Lookup(254),
            protocol,
        })
        .unwrap();
    }
    fake.add_foreign_rule("table inet phantom_wg_of_somebody");
    fake.add_foreign_rule("-A FORWARD -i wg_main -j DROP");
    fake.add_foreign_ufw("51820/udp                  DENY IN     Anywhere                   # mine");
    fake.put_file("/etc/wireguard/wg0.conf", b"[Interface]\nPrivateKey = x\n", 0o600, 0);
    fake.put_file("/etc/sysctl.d/99-mine.conf", b"net.ipv4.ip_forward = 0\n", 0o644, 0);
    fake.put_file("/etc/sysctl.d/90-phantom-wg.conf.bak", b"# kept by hand\n", 0o644, 0);
    fake.put_file("/etc/systemd/network/10-eth0.network", b"[Match]\n", 0o644, 0);
    fake.add_foreign_unit("wg-quick@wg0");
    fake.add_foreign_unit("phantom-of-the-opera");
    fake.add_foreign_unit("phantom-ghost-of-the-opera");
    for rule in ["443/tcp", "443", "80/tcp"] {
        fake.add_foreign_ufw(&format!("{rule:<26} ALLOW IN    Anywhere"));
    }
    fake.put_file("/run/phantom-ghost-status.json", b"{}", 0o644, 0);
    fake.bind(Port { protocol: Protocol::Udp, number: 53 });
    let old: Vec<&str> = before.lines().collect();
    fake.dump().lines().filter(|line| !old.contains(line)).map(str::to_owned).collect()
}

pub(crate) fn assert_untouched(server: &Server, foreign: &[String], after: &str) {
    let now = server.fake.dump();
    for line in foreign {
        assert!(now.lines().any(|other| other == line), "{after}: gone or changed: {line}");
    }
}

const ACTIONS: [&[&str]; 15] = [
    &["core", "setup", "server_ip=192.0.2.7"],
    &["core", "add_client", "client_name=a"],
    &["core", "add_client", "client_name=b"],
    &["ghost", "enable", "domain=vpn.example.com", "skip_dns_check=true"],
    &["core", "reconcile"],
    &["ghost", "disable"],
    &["core", "change_subnet", "new_subnet=192.168.7.0/24", "confirm=true"],
    &["core", "setup", "port=443"],
    &["core", "setup", "backend=embedded"],
    &["core", "restart_service"],
    &["core", "remove_client", "client_name=a"],
    &["core", "stop_service"],
    &["core", "reconcile"],
    &["core", "start_service"],
    &["core", "setup", "backend=kernel"],
];

#[test]
fn no_action_touches_what_is_not_ours() {
    for kind in [FirewallKind::Nftables, FirewallKind::Iptables] {
        let server = Server::bare();
        server.fake.set_firewall_kind(kind);
        let foreign = surround(&server);
        assert!(foreign.len() > 15, "{foreign:?}");
        for words in ACTIONS {
            server.api(words).ok();
            assert_untouched(&server, &foreign, &words.join(" "));
        }
    }
}

#[test]
fn faults_never_touch_foreign_objects() {
    for k in 1..30 {
        let server = Server::bare();
        let foreign = surround(&server);
        for words in ACTIONS {
            server.fake.reset_writes();
            server.fake.refuse_write(k);
            server.api(words);
            assert_untouched(&server, &foreign, &format!("{} (write {k})", words.join(" ")));
            server.fake.reset_writes();
            server.api(words);
        }
    }
}

#[test]
fn foreign_link_is_reported_and_not_taken() {
    for kind in [LinkKind::WireGuard, LinkKind::Tun, LinkKind::Other("dummy".into())] {
        let server = Server::ready().with(&["a"]);
        server.fake.cut_link("wg_main").unwrap();
        server.fake.add_link("wg_main", kind.clone()).unwrap();
        for words in [
            &["core", "reconcile"][..],
            &["core", "restart_service"],
            &["core", "change_subnet", "new_subnet=10.9.0.0/24", "confirm=true"],
        ] {
            let before = server.fake.dump();
            let answer = server.api(words).json();
            assert_eq!(answer["success"], false, "{kind:?} {words:?}");
            assert!(
                answer["error"].as_str().unwrap().contains("does not belong to this system"),
                "{answer:#}"
            );
            let now = server.fake.dump();
            let lines = changed(&before, &now);
            // The link itself and its device, not the service of ours that has its name.
            let touched =
                lines.lines().any(|line| line.trim_start_matches([' ', '-', '+']).starts_with("wg_main "));
            assert!(!touched, "{kind:?} {words:?}:\n{lines}");
            let said = lines.is_empty() || answer["data"]["rolled_back"] == false;
            assert!(said, "{kind:?} {words:?}: silent: {answer:#}\n{lines}");
        }
        let plan = server.api(&["core", "reconcile", "dry_run=true"]).json();
        assert_eq!(plan["success"], false, "{plan:#}");
        // Once it is gone, everything comes back.
        server.fake.cut_link("wg_main").unwrap();
        server.api(&["core", "reconcile"]).ok();
        server.assert_in_sync();
    }
}

#[test]
fn foreign_file_is_reported_and_kept() {
    let server = Server::ready().with(&["a"]);
    for path in
        ["/etc/wireguard/wg_main.conf".to_owned(), format!("/etc/sysctl.d/90-{}.conf", server.tags().tag())]
    {
        server.fake.put_file(&path, b"# written by hand\n", 0o644, 0);
        // Nothing else waits for it: a server that is booted comes up.
        let rest = server.dump();
        server.reboot();
        let answer = server.api(&["core", "reconcile"]);
        let command = format!("mv {path} {path}.old && phantom-api core reconcile");
        assert!(answer.err.contains(&path) && answer.err.contains(&command), "{}", answer.err);
        let report = answer.ok();
        assert_eq!(report["in_sync"], false);
        assert!(report["message"].as_str().unwrap().contains(&path), "{report:#}");
        // The unit of the boot has run.
        let lines = changed(&rest, &server.dump());
        assert!(lines.lines().all(|line| line.contains("phantom-boot")), "{path}: {lines}");
        server.api(&["core", "restart_service"]).ok();
        server.api(&["core", "add_client", &format!("client_name={}", path.len())]).ok();
        let doctor = server.api(&["core", "doctor"]).ok();
        let finding =
            doctor["checks"].as_array().unwrap().iter().find(|one| one["name"] == "host_in_sync").unwrap();
        assert_eq!(finding["state"], "problem");
        assert!(finding["hint"].as_str().unwrap().contains(&command), "{finding:#}");
        let kept = phantom_host::Files::read(&server.fake, path.as_ref()).unwrap().unwrap();
        assert!(kept.starts_with(b"# written by hand\n"));
        // As the command makes room for it.
        phantom_host::Files::remove(&server.fake, path.as_ref()).unwrap();
        server.api(&["core", "reconcile"]).ok();
        server.assert_in_sync();
    }
}

/// What `wg-quick save` makes of our file: no comment, no name, the peers as the device has them.
fn saved(file: &[u8]) -> String {
    let text = String::from_utf8(file.to_vec()).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    lines.join("\n") + "\n"
}

#[test]
fn untagged_file_is_copied_and_rewritten() {
    let path = "/etc/wireguard/wg_main.conf";
    for words in [
        &["core", "reconcile"][..],
        &["core", "restart_service"],
        &["core", "remove_client", "client_name=a"],
        &["core", "change_subnet", "new_subnet=10.9.0.0/24", "confirm=true"],
    ] {
        let server = Server::ready().with(&["a", "b"]);
        let read = || phantom_host::Files::read(&server.fake, path.as_ref()).unwrap().unwrap();
        let (ours, before) = (read(), server.dump());
        let saved = saved(&ours);
        server.fake.put_file(path, saved.as_bytes(), 0o600, 0);
        server.api(words).ok();
        assert!(server.tags().owns_file(&read()), "{words:?}");
        if words[1] == "reconcile" {
            assert_eq!(changed(&before, &server.dump()), "");
        }
        server.assert_in_sync();
        let copies: Vec<_> = std::fs::read_dir(server.paths().copies_dir())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        let copies: Vec<_> =
            copies.iter().filter(|copy| copy.to_string_lossy().ends_with("-wg_main.conf")).collect();
        assert_eq!(copies.len(), 1, "{words:?}");
        assert!(std::fs::read(copies[0]).unwrap() == saved.as_bytes(), "{words:?}");
        assert_eq!(std::fs::metadata(copies[0]).unwrap().permissions().mode() & 0o777, 0o600);
        if words[1] == "remove_client" {
            let text = String::from_utf8(read()).unwrap();
            assert_eq!(text.matches("[Peer]").count(), 1, "{text}");
        }
    }
}

#[test]
fn untagged_unit_lets_the_server_boot() {
    let server = Server::ready().with(&["a"]);
    for unit in ["wg-quick@wg_main", server.tags().boot_unit().as_str()] {
        let before = server.fake.dump();
        server.fake.add_foreign_unit(unit);
        server.reboot();
        let path = format!("/etc/systemd/system/{unit}.service");
        let answer = server.api(&["core", "reconcile"]);
        assert!(answer.err.contains(&format!("mv {path} {path}.old")), "{}", answer.err);
        answer.ok();
        let lines = changed(&before, &server.fake.dump());
        assert!(lines.lines().all(|line| line.contains(unit) || line.contains("phantom-boot")), "{lines}");
        server.fake.remove_unit_file(unit);
        server.api(&["core", "reconcile"]).ok();
        server.assert_in_sync();
        let lines = changed(&before, &server.fake.dump());
        assert!(lines.lines().all(|line| line.contains("phantom-boot")), "{lines}");
    }
}

#[test]
fn foreign_unit_is_reported_and_kept() {
    let server = Server::bare();
    server.fake.add_foreign_unit("wg-quick@wg_main");
    let before = server.fake.dump();
    let answer = server.api(&["core", "setup", "server_ip=192.0.2.7"]).json();
    assert_eq!(answer["success"], false, "{answer:#}");
    assert!(answer["error"].as_str().unwrap().contains("wg-quick@wg_main"), "{answer:#}");
    let lines = changed(&before, &server.fake.dump());
    assert!(!lines.contains("wg-quick"), "{lines}");
}

#[test]
fn two_installations_ignore_each_other() {
    let mut one = Server::ready().with(&["a"]);
    let mut other = Server::bare();
    other.fake = one.fake.clone();
    other.host = one.host.clone();
    other.host.files = Arc::new(OnDisk::new(one.fake.clone(), other.dir()));
    one.host.services =
        Arc::new(OwnServices::new(one.fake.clone(), &["wg-quick@wg_main", "phantom-boot"], &one.tags()));
    other.host.services =
        Arc::new(OwnServices::new(one.fake.clone(), &["wg-quick@wg_two", "phantom-boot"], &other.tags()));
    let lines = |server: &Server| {
        let mark = server.tags().tag();
        let dump = one.fake.dump();
        dump.lines().filter(|line| line.contains(&mark)).map(str::to_owned).collect::<Vec<_>>()
    };
    let ours = lines(&one);
    other.api(&["core", "setup", "server_ip=192.0.2.7"]).failed("VALIDATION_ERROR");
    other
        .api(&[
            "core",
            "setup",
            "server_ip=192.0.2.7",
            "interface=wg_two",
            "port=51821",
            "subnet=10.9.0.0/24",
        ])
        .ok();
    other.api(&["core", "add_client", "client_name=b"]).ok();
    other.api(&["core", "restart_service"]).ok();
    assert_eq!(lines(&one), ours);
    one.assert_in_sync();
    other.assert_in_sync();
    let theirs = lines(&other);
    one.api(&["core", "restart_service"]).ok();
    one.api(&["core", "change_subnet", "new_subnet=192.168.7.0/24", "confirm=true"]).ok();
    assert_eq!(lines(&other), theirs);
    other.assert_in_sync();
}
