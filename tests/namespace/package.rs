//! The scripts of the Debian package, where what they look at can be put there for a moment.

use std::process::Output;

use crate::world::{At, World, in_world, programs};

const PREINST: &str = include_str!("../../packaging/preinst");
const POSTINST: &str = include_str!("../../packaging/postinst");
const PRERM: &str = include_str!("../../packaging/prerm");

/// Runs a script as dpkg does; gives how it ended and what it said.
fn run(world: &World, script: &str, words: &str) -> (bool, String) {
    std::fs::write("/run/maintainer-script", script).unwrap();
    let output: Output = world.try_at(At::Server, &format!("sh /run/maintainer-script {words} 2>&1"));
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_package_is_not_installed_beside_programs_that_came_another_way() {
    in_world("package::the_package_is_not_installed_beside_programs_that_came_another_way", |world| {
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
fn a_first_installation_beside_a_stored_state_says_how_it_comes_back() {
    in_world("package::a_first_installation_beside_a_stored_state_says_how_it_comes_back", |world| {
        assert_eq!(run(world, POSTINST, "configure ''"), (true, String::new()));
        world.sh("mkdir -p /opt/phantom-wg/data; touch /opt/phantom-wg/data/phantom.db");
        let (done, said) = run(world, POSTINST, "configure ''");
        assert!(done && said.contains("/usr/bin/phantom-api core reconcile"), "{said}");
    });
}

#[test]
fn removing_the_package_asks_nobody_and_takes_the_server_off() {
    in_world("package::removing_the_package_asks_nobody_and_takes_the_server_off", |world| {
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
fn the_scripts_call_no_program_that_path_chooses() {
    let calls = POSTINST.lines().filter(|line| !line.trim_start().starts_with(['#', '}']));
    for line in calls.filter(|line| line.contains("phantom-api") && !line.contains("echo")) {
        assert_eq!(line, "api=/usr/bin/phantom-api");
    }
}
