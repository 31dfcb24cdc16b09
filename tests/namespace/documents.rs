//! A newcomer who does exactly what the documents say, line by line, and is surprised by whatever they did not tell: a
//! status other than 0, a word on standard error, an answer without success.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Output;

use phantom_tests::Document;

use crate::world::{At, TestNet, in_world_with, programs};

const PROGRAMS: [&str; 4] = ["bash", "jq", "tar", "gzip"];

/// The documents, as they were when this was compiled: it may run far from them.
const README: &str = include_str!("../../README.md");
const INSTALL: &str = include_str!("../../docs/en/install.md");
const DAILY: &str = include_str!("../../docs/en/daily.md");
const BACKUP: &str = include_str!("../../docs/en/backup.md");
const TROUBLE: &str = include_str!("../../docs/en/trouble.md");

/// Where the newcomer's files are.
const HOME: &str = "/opt/newcomer";

/// The commands of the blocks of a kind.
fn commands(text: &str, info: &str) -> Vec<String> {
    let document = Document { path: "document".into(), text: text.to_owned() };
    let blocks = document.blocks().into_iter().filter(|block| block.info == info);
    let commands: Vec<String> = blocks.flat_map(|block| block.commands()).collect();
    assert!(!commands.is_empty(), "no block is {info:?}");
    commands
}

/// Does it, in one shell.
fn try_out(world: &TestNet, commands: &[String]) -> Output {
    let mut script = format!("mkdir -p {HOME}; cd {HOME}; export PATH={}:$PATH\n", programs().display());
    for command in commands {
        let _ = write!(
            script,
            "{{ {command}\n}} > /run/out 2> /run/err; status=$?\n\
             cat /run/out\n\
             if [ $status != 0 ] || [ -s /run/err ] || grep -q '\"success\": *false' /run/out; then\n\
             cat >&2 <<'COMMAND'\n{command}\nCOMMAND\n\
             echo \"status $status\" >&2; cat /run/err >&2; exit 1\nfi\n"
        );
    }
    std::fs::write("/run/newcomer.sh", script).unwrap();
    world.try_at(At::Server, "exec bash -o pipefail /run/newcomer.sh")
}

#[track_caller]
fn walk(world: &TestNet, text: &str, info: &str) {
    let output = try_out(world, &commands(text, info));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{err}\n{out}\n{}", world.picture());
}

/// The server's cable leads to the Internet by an address that clients can reach, as on a rented machine.
fn public_address(world: &TestNet) {
    world.sh("ip -n isp addr add 157.230.114.1/24 dev s0; ip addr add 157.230.114.231/24 dev eth0
         ip addr del 203.0.113.5/24 dev eth0; ip route replace default via 157.230.114.1");
}

#[test]
fn a_newcomer_does_what_the_manual_says() {
    in_world_with("documents::a_newcomer_does_what_the_manual_says", &PROGRAMS, |world| {
        public_address(world);
        walk(world, INSTALL, "sh");
        let file = format!("{HOME}/john-laptop.conf");
        assert_eq!(world.sh(&format!("stat -c %a:%u {file}")).trim(), "600:0");
        let config = std::fs::read_to_string(&file).unwrap();
        world.connect(At::Client1, &config);
        world.reaches(At::Client1, "10.8.0.1");
        let seen = world.ok(&["core", "list_clients", "search=john"]);
        assert_eq!(seen["clients"][0]["connected"], true, "{seen:#}");

        walk(world, DAILY, "sh");
        let files = world.sh(&format!("stat -c '%a %n' {HOME}/clients/*"));
        let names: Vec<&str> = files.lines().filter_map(|line| line.rsplit('/').next()).collect();
        assert_eq!(names, ["john-laptop.conf", "office-1.conf", "office-2.conf", "office-3.conf"]);
        assert!(files.lines().all(|line| line.starts_with("600 ")), "{files}");
        assert_eq!(world.ok(&["dns", "get_dns_servers"])["secondary"], "149.112.112.112");
        let config = world.export("john-laptop");
        assert!(config.contains("Address = 192.168.100.2/24"), "{config}");
        assert!(config.contains("Endpoint = vpn.example.org:51830"), "{config}");

        walk(world, TROUBLE, "sh");
        walk(world, BACKUP, "sh");
        world.in_sync();
        moved(world, &config);
    });
}

/// The backup on a machine on which nothing of the server is left.
fn moved(world: &TestNet, config: &str) {
    assert_eq!(world.sh(&format!("stat -c %a {HOME}/phantom-backup.tar.gz")).trim(), "600");
    world.sh(&format!("{}/factory-reset --uninstall --yes; rm -r /opt/phantom-wg", programs().display()));
    assert!(!Path::new("/sys/class/net/wg_main").exists());
    walk(world, BACKUP, "sh restore");
    walk(world, BACKUP, "sh restored");
    world.in_sync();
    assert_eq!(world.export("john-laptop"), config, "the same keys, and an end point that is a name");
    assert_eq!(world.ok(&["core", "list_clients"])["total"], 4);
    assert!(Path::new("/sys/class/net/wg_main").exists());
}

#[test]
fn newcomer_follows_the_readme_tour() {
    in_world_with("documents::newcomer_follows_the_readme_tour", &PROGRAMS, |world| {
        public_address(world);
        // What `cargo xtask quickstart` does with these programs; it is walked in the virtual machine itself.
        world.ok(&["core", "setup"]);
        let mut tour = commands(README, "sh");
        assert_eq!(tour.remove(0), "cargo xtask quickstart");
        let output = try_out(world, &tour);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let config = std::fs::read_to_string(format!("{HOME}/john.conf")).unwrap();
        assert!(config.starts_with("[Interface]\n"), "{config}");
        world.in_sync();
        let surprised = |commands: &[&str], word: &str| {
            let commands: Vec<String> = commands.iter().map(|&command| command.to_owned()).collect();
            let output = try_out(world, &commands);
            let err = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success() && err.contains(word), "{commands:?}: {err}");
        };
        surprised(&["true", "false"], "status 1");
        surprised(&["echo oh >&2"], "oh");
        surprised(&["phantom-api core export_client client_name=nobody | jq ."], "client_name=nobody");
    });
}
