//! The scripts of the Debian package, where what they look at can be put there for a moment.

use std::process::Output;

use crate::world::{At, TestNet, in_world, programs};

const PREINST: &str = include_str!("../../packaging/preinst");
const POSTINST: &str = include_str!("../../packaging/postinst");
const PRERM: &str = include_str!("../../packaging/prerm");

/// Runs a script as dpkg does; gives how it ended and what it said.
fn run(world: &TestNet, script: &str, words: &str) -> (bool, String) {
    std::fs::write("/run/maintainer-script", script).unwrap();
    let output: Output = world.try_at(At::Server, &format!("sh /run/maintainer-script {words} 2>&1"));
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn package_refuses_programs_installed_otherwise() {
    in_world("package::package_refuses_programs_installed_otherwise", |world| {
        world.sh("mount -t tmpfs none /usr/local/bin");
        assert_eq!(run(world, PREINST, "install"), (true, String::new()));
        assert_eq!(run(world, PREINST, "upgrade 0.1.0-1"), (true, String::new()));

        world.sh("touch /usr/local/bin/phantom-api");
        let (done, said) = run(world, PREINST, "install");
        assert!(!done && said.contains("rm -f phantom-api phantom-wg "), "{said}");
        let (done, said) = run(world, PREINST, "upgrade 0.1.0-1");
        assert!(done && said.contains("The upgrade goes on"), "{said}");

        world.sh("rm /usr/local/bin/phantom-api; mkdir -p /opt/phantom-wg");
        world.sh("echo 'file /usr/local/bin/phantom-api' > /opt/phantom-wg/install-manifest");
        let (done, said) = run(world, PREINST, "install");
        assert!(!done && said.contains("cargo xtask uninstall"), "{said}");
    });
}

#[test]
fn first_installation_explains_how_state_returns() {
    in_world("package::first_installation_explains_how_state_returns", |world| {
        assert_eq!(run(world, POSTINST, "configure ''"), (true, String::new()));
        world.sh("mkdir -p /opt/phantom-wg/data; touch /opt/phantom-wg/data/phantom.db");
        let (done, said) = run(world, POSTINST, "configure ''");
        assert!(done && said.contains("/usr/bin/phantom-api core reconcile"), "{said}");
    });
}

#[test]
fn removing_package_stops_server_without_question() {
    in_world("package::removing_package_stops_server_without_question", |world| {
        world.setup();
        world.ok(&["core", "add_client", "client_name=anna"]);
        let script = PRERM.replace("/usr/lib/phantom-wg", &programs().display().to_string());
        assert_ne!(script, PRERM);
        assert_eq!(run(world, &script, "upgrade 0.2.0-1"), (true, String::new()));
        world.in_sync();
        let (done, said) = run(world, &script, "remove < /dev/null");
        assert!(done && !said.contains("UNINSTALL"), "{said}");
        assert!(!world.try_at(At::Server, "ip link show wg_main").status.success());
        // What is stored stays.
        world.ok(&["core", "reconcile"]);
        assert_eq!(world.ok(&["core", "list_clients"])["total"], 1);
    });
}

#[test]
fn scripts_ignore_programs_chosen_by_path() {
    let calls = POSTINST.lines().filter(|line| !line.trim_start().starts_with(['#', '}']));
    for line in calls.filter(|line| line.contains("phantom-api") && !line.contains("echo")) {
        assert_eq!(line, "api=/usr/bin/phantom-api");
    }
}
