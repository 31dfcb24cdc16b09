//! Disabling restores exactly what enabling changed, and reconciling brings Ghost Mode back whatever was done to it.

use phantom_host::{FirewallKind, ServiceManager};
use phantom_tests::Server;

use super::{DISABLE, LOCAL, keeper_config, keeper_says, status, units, with_ufw};
use crate::cases::{ENABLE, named, with_domain, with_ghost};
use crate::faults::{changed, embedded};

/// The host, without what the database counts.
fn host(server: &Server) -> String {
    server.dump().split("[backups]").next().unwrap().to_owned()
}

fn with_supervisor() -> Server {
    let server = Server::bare();
    server.fake.set_manager(ServiceManager::Builtin);
    server.api(&["core", "setup", "server_ip=157.230.114.231"]).ok();
    named(server.with(&["john-laptop"]))
}

fn with_iptables() -> Server {
    let server = Server::bare();
    server.fake.set_firewall_kind(FirewallKind::Iptables);
    server.api(&["core", "setup", "server_ip=157.230.114.231"]).ok();
    named(server.with(&["john-laptop"]))
}

type Named<T> = (&'static str, T);

const SERVERS: [Named<fn() -> Server>; 5] = [
    ("kernel", with_domain),
    ("embedded", || named(embedded())),
    ("ufw", with_ufw),
    ("supervisor", with_supervisor),
    ("iptables", with_iptables),
];

#[test]
fn disabling_restores_the_host_exactly() {
    for (name, make) in SERVERS {
        for enable in [ENABLE, &LOCAL] {
            let server = make();
            let (before, tree) = (host(&server), server.tree());
            server.api(enable).ok();
            assert_ne!(host(&server), before, "{name}");
            keeper_says(&server, &serde_json::json!({ "serving": true }));
            let disabled = server.api(&DISABLE).ok();
            assert_eq!(
                disabled,
                serde_json::json!({ "status": "inactive", "message": "Ghost Mode disabled successfully", "restored": true })
            );
            assert_eq!(changed(&before, &host(&server)), "", "{name}");
            let lines = changed(&tree, &server.tree());
            let known = ["phantom.db", "phantom.log", "run/lock", "run-watch/"];
            let other = lines.lines().find(|line| !known.iter().any(|name| line.contains(name)));
            assert_eq!(other, None, "{name}: {lines}");
            server.assert_in_sync();
        }
    }
}

#[test]
fn certificates_and_what_the_operator_made_stay() {
    let server = with_ufw();
    let files = [
        server.paths().certs_dir().join("account.json"),
        server.paths().certs_dir().join("fullchain.pem"),
        server.paths().config_dir().join("decoy.txt"),
    ];
    for file in &files {
        std::fs::write(file, "kept").unwrap();
    }
    let foreign = |server: &Server| {
        let dump = server.fake.dump();
        dump.lines().filter(|line| line.starts_with("ufw foreign")).map(str::to_owned).collect::<Vec<_>>()
    };
    let rules = foreign(&server);
    assert_eq!(rules.len(), 4);
    server.api(ENABLE).ok();
    assert_eq!(foreign(&server), rules);
    server.api(&DISABLE).ok();
    assert_eq!(foreign(&server), rules);
    for file in &files {
        assert_eq!(std::fs::read_to_string(file).unwrap(), "kept");
    }
}

#[test]
fn switching_ufw_leaves_no_ghost_rule() {
    let server = with_ufw();
    let before = host(&server);
    server.api(ENABLE).ok();
    server.fake.set_ufw(Some(false));
    server.api(&DISABLE).ok();
    let ghostly = |server: &Server| {
        let dump = server.fake.dump();
        let ours = dump.lines().filter(|line| line.starts_with("ufw phantom"));
        ours.filter(|line| line.contains("deny") || line.contains("443")).count()
    };
    assert_eq!(ghostly(&server), 0);
    server.assert_in_sync();
    server.fake.set_ufw(Some(true));
    server.api(&["core", "reconcile"]).ok();
    assert_eq!(changed(&before, &host(&server)), "");
    // Off while it is enabled, on before it is disabled.
    server.fake.set_ufw(Some(false));
    server.api(ENABLE).ok();
    assert_eq!(ghostly(&server), 0);
    server.fake.set_ufw(Some(true));
    server.api(&DISABLE).ok();
    assert_eq!(changed(&before, &host(&server)), "");
    // On while it is active: reconciling closes the port there, too.
    server.fake.set_ufw(Some(false));
    server.api(ENABLE).ok();
    server.fake.set_ufw(Some(true));
    server.api(&["core", "reconcile"]).ok();
    assert_eq!(ghostly(&server), 2);
    server.api(&DISABLE).ok();
    assert_eq!(changed(&before, &host(&server)), "");
}

#[test]
fn reconcile_repairs_the_tunnel() {
    let external_changes: [Named<fn(&Server)>; 8] = [
        ("the server crashed", |server| server.fake.crash_service(&units(server)[0])),
        ("the keeper crashed", |server| server.fake.crash_service(&units(server)[1])),
        ("the server's unit was edited", |server| server.fake.edit_unit(&units(server)[0])),
        ("the keeper's unit was edited", |server| server.fake.edit_unit(&units(server)[1])),
        ("the configuration is gone", |server| {
            server.fake.cut_file(&keeper_config(server).display().to_string());
            std::fs::remove_file(keeper_config(server)).unwrap();
        }),
        ("the configuration is open", |server| {
            use std::os::unix::fs::PermissionsExt as _;
            let open = std::fs::Permissions::from_mode(0o644);
            std::fs::set_permissions(keeper_config(server), open).unwrap();
        }),
        ("the firewall was flushed", |server| server.fake.flush_firewall()),
        ("everything", |server| {
            for unit in units(server) {
                server.fake.crash_service(&unit);
            }
            std::fs::remove_file(keeper_config(server)).unwrap();
            server.fake.flush_firewall();
        }),
    ];
    for (name, external_change) in external_changes {
        let server = with_ghost();
        let before = host(&server);
        let enabled = status(&server);
        external_change(&server);
        // Without our rules the WireGuard port answers everybody.
        let noticed = ["crashed", "flushed", "everything"].iter().any(|word| name.contains(word));
        assert_eq!(status(&server)["status"], if noticed { "error" } else { "active" }, "{name}");
        let report = server.api(&["core", "reconcile"]).ok();
        assert_eq!(report["changed"], true, "{name}");
        assert_eq!(changed(&before, &host(&server)), "", "{name}");
        assert_eq!(status(&server), enabled, "{name}");
        server.assert_in_sync();
    }
}

#[test]
fn boot_restores_the_same_secret() {
    for (name, make) in SERVERS {
        let server = make();
        server.api(ENABLE).ok();
        let (before, enabled) = (server.fake.dump(), status(&server));
        server.reboot();
        server.api(&["core", "reconcile"]).ok();
        let place = server.dir().display().to_string();
        let rest =
            |dump: &str| dump.lines().filter(|line| !line.contains(&place)).collect::<Vec<_>>().join("\n");
        assert_eq!(changed(&rest(&before), &rest(&server.fake.dump())), "", "{name}");
        assert_eq!(status(&server), enabled, "{name}");
        server.assert_in_sync();
    }
}

#[test]
fn occupied_place_changes_nothing() {
    let server = with_domain();
    server.fake.add_foreign_unit(&units(&server)[1]);
    std::fs::write(keeper_config(&server), "written by hand\n").unwrap();
    let before = server.dump();
    let answer = server.api(ENABLE).failed("GHOST_MODE_ERROR");
    assert_eq!(answer["data"]["rolled_back"], true);
    assert_eq!(changed(&before, &server.dump()), "");
    assert_eq!(std::fs::read_to_string(keeper_config(&server)).unwrap(), "written by hand\n");
    // Off, it is in nobody's way and stays.
    server.api(&["core", "reconcile"]).ok();
    server.api(&DISABLE).ok();
    assert_eq!(std::fs::read_to_string(keeper_config(&server)).unwrap(), "written by hand\n");
    std::fs::remove_file(keeper_config(&server)).unwrap();
    let answer = server.api(ENABLE).failed("GHOST_MODE_ERROR");
    assert!(answer["error"].as_str().unwrap().contains("phantom-ghost-keeper"), "{answer}");
    assert_eq!(changed(&before, &server.dump()), "");
}
