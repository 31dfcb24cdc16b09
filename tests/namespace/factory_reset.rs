//! The factory reset on a host full of objects of others: ours go, theirs stay, and nothing passes meanwhile.

mod cut_short;
mod neighbours;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use phantom_tests::dump_tree;
use serde_json::{Value, json};

use crate::look::{DATABASE, assert_same_lines};
use crate::terminal::Terminal;
use crate::world::{At, INTERNET, SERVER, TestNet, backend, in_world, in_world_with, programs};

/// What the tests here need beside the rest.
const PROGRAMS: [&str; 2] = ["openssl", "setpriv"];

/// What a run prints, before the object lines and the summary.
const STAGES: [&str; 5] = [
    "Stopping services",
    "Removing system objects",
    "Removing data",
    "Creating new server keys",
    "Starting WireGuard",
];

/// Runs the program with these words and this on standard input.
fn run(words: &[&str], input: &str) -> Output {
    start(&mut Command::new(programs().join("factory-reset")), words, input)
}

fn start(command: &mut Command, words: &[&str], input: &str) -> Output {
    command.env_remove("PHANTOM_LANG").env_remove("PHANTOM_ROOT").args(words);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A run that is killed or asks nothing reads nothing.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

#[track_caller]
fn text(output: &Output, exit: i32) -> String {
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(exit), "{out}{errors}");
    format!("{out}{errors}")
}

/// Objects of others, of every kind that we have too, as close to ours as they can be.
fn others(world: &TestNet) {
    world.sh(
        "ip link add wg_office type wireguard 2>/dev/null || wireguard-go wg_office 2>/dev/null >&2
         wg genkey > /run/office; wg set wg_office listen-port 5055 private-key /run/office
         ip link set wg_office alias 'phantom-wg of somebody else' up
         ip addr add 10.77.0.1/24 dev wg_office; ip tuntap add name wg_vpn2 mode tun; ip link set wg_vpn2 up
         ip rule add priority 98 from 10.77.0.0/24 table 77; ip rule add priority 100 from 10.78.0.0/24 table 77
         ip -6 rule add priority 99 from fd77::/64 table 77; ip rule add priority 101 table 77 protocol 187
         ip route add 198.51.100.128/25 dev wg_vpn2 table 77; ip route add default dev wg_office table 101 protocol 187
         nft 'add table inet phantom_wg2; add chain inet phantom_wg2 forward { type filter hook forward priority 5; }
           add rule inet phantom_wg2 forward tcp dport 22 accept comment \"phantom-wg\"
           add table ip mine; add chain ip mine input { type filter hook input priority 0; }
           add rule ip mine input tcp dport { 22, 2222 } accept'
         mkdir -p /etc/wireguard /etc/sysctl.d /etc/iproute2/rt_tables.d /etc/systemd/network /etc/letsencrypt/live/a
         printf '[Interface]\\n# phantom-wg: in the second line\\nListenPort = 5\\n' > /etc/wireguard/wg_office.conf
         echo '# phantom-wg2: another mark' > /etc/wireguard/wg_vpn.conf.bak
         echo 'net.ipv4.conf.all.log_martians = 0' > /etc/sysctl.d/91-phantom.conf
         echo '77 office' > /etc/iproute2/rt_tables.d/office.conf
         echo '[Match]' > /etc/systemd/network/90-office.network
         openssl ecparam -genkey -name prime256v1 -noout -out /etc/letsencrypt/live/a/privkey.pem
         echo 'Port 2222' > /etc/ssh_of_the_test; mkdir -p /opt/others; echo x > /opt/others/phantom-wg.txt",
    );
}

/// Everything on the host that is no part of a server of ours, and would be noticed if it changed.
fn host_of_others(world: &TestNet) -> String {
    let mut text = world.foreign();
    text += &world
        .sh("ip -d -o link show wg_office; ip route show table all | grep -v wg_main; ip rule; ip -6 rule");
    for dir in [
        "/etc/letsencrypt",
        "/etc/iproute2",
        "/etc/systemd",
        "/opt/others",
        "/etc/wireguard",
        "/etc/sysctl.d",
    ] {
        let ours = ["/etc/wireguard/wg_main.conf ", "/etc/sysctl.d/90-phantom-wg.conf ", "/etc/wireguard/ "];
        let apart = |line: &&str| !ours.iter().any(|ours| line.starts_with(ours));
        text.extend(dump_tree(Path::new(dir)).lines().filter(apart).map(|line| format!("{line}\n")));
    }
    text
}

/// The whole host but our install and run directories.
fn whole_host(world: &TestNet) -> String {
    let rest = "sysctl net.ipv4.ip_forward; nft -s list ruleset; ls /run/wireguard /etc/wireguard 2>/dev/null || true";
    host_of_others(world) + &world.sh(rest) + &world.host()
}

/// What a module can leave that this server does not have: everything of Multihop.
fn an_exit(world: &TestNet) {
    world.sh(
        "mark='# phantom-wg: written by Phantom-WG from its database; changes made here are lost'
         for name in wg_vpn wg_vpn_new; do ip tuntap add name $name mode tun; ip link set $name alias phantom-wg up; done
         ip addr add 10.64.0.2/32 dev wg_vpn; ip route add default dev wg_vpn table 100 proto 187
         ip route add unreachable default metric 4000000000 table 100 proto 187
         ip -6 route add unreachable default metric 4000000000 table 100 proto 187
         ip rule add priority 99 from 10.8.0.0/24 to 10.8.0.0/24 table main protocol 187
         ip rule add priority 100 from 10.8.0.0/24 table 100 protocol 187
         ip -6 rule add priority 100 from fd08::/64 table 100 protocol 187
         mkdir -p /etc/iproute2/rt_tables.d /etc/systemd/network
         printf '%s\\n100 multihop\\n' \"$mark\" > /etc/iproute2/rt_tables.d/phantom-wg.conf
         printf '%s\\n[Match]\\nName=wg_vpn*\\n' \"$mark\" > /etc/systemd/network/90-phantom-wg_vpn.network
         printf '%s\\n[Interface]\\n' \"$mark\" > /etc/wireguard/wg_vpn.conf
         mkdir -p /opt/phantom-wg/exit_configs /opt/phantom-wg/certs/a
         echo secret > /opt/phantom-wg/exit_configs/oslo.conf; echo key > /opt/phantom-wg/certs/a/key.pem
         echo line > /opt/phantom-wg/logs/multihop-session-current.log; echo s > /run/phantom-wg/multihop-session",
    );
}

/// A server that has been used: clients, settings, a backup, an exit, a page of the operator.
fn used(world: &TestNet) -> Value {
    let set_up = world.setup();
    world.ok(&["core", "setup", "port=51999", "endpoint=vpn.example.org"]);
    world.ok(&["core", "change_subnet", "new_subnet=10.9.0.0/24", "confirm=true"]);
    world.ok(&["core", "change_subnet", "new_subnet=10.8.0.0/24", "confirm=true"]);
    world.ok(&["dns", "change_dns_servers", "primary=9.9.9.9"]);
    world.ok(&["core", "update_tweak_setting", "setting_name=block_ipv6_leak", "value=false"]);
    for name in ["anna", "bert"] {
        world.ok(&["core", "add_client", &format!("client_name={name}")]);
    }
    world.sh("mkdir -p /opt/phantom-wg/config/decoy; echo page > /opt/phantom-wg/config/decoy/index.html");
    an_exit(world);
    set_up
}

/// That the server is as after a first setup that kept how it is reached, with a key that is not `old`.
#[track_caller]
fn assert_new(world: &TestNet, old: &Value) {
    world.in_sync();
    let now = world.ok(&["core", "setup"]);
    assert_eq!((&now["created"], &now["changed"]), (&json!(false), &json!([])));
    let kept = (&now["server_ip"], &now["endpoint"], &now["port"], &now["interface"], &now["backend"]);
    assert_eq!(
        kept,
        (&json!(SERVER), &json!("vpn.example.org"), &json!(51999), &json!("wg_main"), &json!(backend()))
    );
    assert_eq!(now["subnet"], "10.8.0.0/24");
    assert_ne!(now["public_key"], old["public_key"]);
    assert_eq!(world.ok(&["core", "list_clients"])["total"], 0);
    assert_eq!(world.ok(&["dns", "get_dns_servers"])["primary"], "8.8.8.8");
    assert_eq!(world.ok(&["core", "get_tweak_settings"])["block_ipv6_leak"], true);
    let status = world.ok(&["core", "server_status"]);
    assert_eq!((&status["service"]["running"], &status["interface"]["active"]), (&json!(true), &json!(true)));
    // The new server has begun with a copy of its own state.
    let left = world.sh(
        "ip link show wg_vpn 2>&1 | grep -v 'does not exist' || true; ip link show wg_vpn_new 2>/dev/null || true
         ip rule | grep '^\\(99\\|100\\):.*10.8.0' || true; ip -6 rule | grep fd08 || true
         ip route show table 100 2>/dev/null; ip -6 route show table 100 2>/dev/null
         cd /opt/phantom-wg; find backups certs exit_configs -type f ! -path 'backups/state/????-??-??.db' 2>/dev/null
         grep -rl anna backups 2>/dev/null || true
         ls /etc/wireguard/wg_vpn.conf /etc/iproute2/rt_tables.d/phantom-wg.conf 2>/dev/null || true
         ls /etc/systemd/network/90-phantom-wg_vpn.network 2>/dev/null || true
         ls logs/multihop-session-current.log data/reset.db 2>/dev/null || true",
    );
    assert_eq!(left, "");
    assert_eq!(world.sh("cat /opt/phantom-wg/config/decoy/index.html"), "page\n");
}

#[test]
fn reset_server_is_new_others_keep_theirs() {
    let test = "factory_reset::reset_server_is_new_others_keep_theirs";
    in_world_with(test, &PROGRAMS, |world| {
        others(world);
        let before = host_of_others(world);
        let old = used(world);
        let secrets = world.sh("wg show wg_main private-key; wg show wg_main preshared-keys | cut -f2");
        world.connect(At::Client1, &world.export("anna").replace("vpn.example.org", SERVER));
        world.reaches(At::Client1, "10.8.0.1");
        let output = text(&run(&[], "RESET\n"), 0);
        let said = "This removes all clients, keys, exits and logs of Phantom-WG for good. No backup is made.\n\
                    Type RESET to continue: ";
        assert!(output.starts_with(said), "{output}");
        let lines: Vec<&str> =
            output.trim_start_matches(said).lines().filter(|line| !line.starts_with("  ")).collect();
        assert_eq!(lines[..5], STAGES, "{output}");
        assert_eq!(lines[5], "Factory reset completed. SSH access is unchanged.", "{output}");
        assert!(lines[6].starts_with("wg_main 10.8.0.0/24 udp vpn.example.org:51999 "), "{output}");
        let status: Value = serde_json::from_str(&output[output.find("\n{").unwrap()..]).unwrap();
        assert_eq!(
            (&status["metadata"]["action"], &status["success"]),
            (&json!("server_status"), &json!(true))
        );
        assert_new(world, &old);
        assert!(!Path::new("/run/phantom-wg/multihop-session").exists());
        assert_same_lines(&before, &host_of_others(world), "objects of others");
        for secret in secrets.lines() {
            let found =
                world.sh(&format!("grep -raF '{secret}' /opt /etc/wireguard /run 2>/dev/null || true"));
            assert_eq!(found, "", "an old key is still there");
        }
        world.begin_anew(At::Client1);
        world.does_not_reach(At::Client1, "10.8.0.1");
        world.disconnect(At::Client1);
        world.connect(At::Client1, &world.add("anna").replace("vpn.example.org", SERVER));
        world.reaches(At::Client1, "10.8.0.1");
        world.reaches(At::Client1, INTERNET);
    });
}

#[test]
fn nothing_is_changed_without_the_word() {
    let test = "factory_reset::nothing_is_changed_without_the_word";
    in_world_with(test, &PROGRAMS, |world| {
        others(world);
        used(world);
        let look = || (world.look(), host_of_others(world), dump_tree(Path::new("/opt/phantom-wg")));
        let before = look();
        for input in ["", "\n", "reset\n", "RESET \n", " RESET\n", "RESETS\n", "yes\n", "no\nRESET\n"] {
            let said = text(&run(&[], input), 1);
            assert!(
                said.ends_with("Type RESET to continue: Cancelled, nothing was changed.\n"),
                "{input:?}: {said}"
            );
            assert!(before == look(), "{input:?}");
        }
        let said = text(&run(&["--lang", "tr"], "Reset\n"), 1);
        assert!(
            said.ends_with("Devam etmek için RESET yazın: İptal edildi, hiçbir şey değiştirilmedi.\n"),
            "{said}"
        );
        for words in [&["--force"][..], &["RESET"], &["--lang", "de"], &["--yes=1"], &["-y"], &["--root="]] {
            text(&run(words, "RESET\n"), 2);
        }
        let mut nobody = Command::new("setpriv");
        let program = programs().join("factory-reset");
        nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(program);
        assert_eq!(text(&start(&mut nobody, &["--yes"], ""), 1), "Error: Root privileges are required\n");
        assert!(before == look());
        text(&run(&["--help"], ""), 0);
        text(&run(&["--version"], ""), 0);
        assert!(before == look());
    });
}

#[test]
fn a_damaged_database_is_no_obstacle() {
    let test = "factory_reset::a_damaged_database_is_no_obstacle";
    in_world_with(test, &PROGRAMS, |world| {
        others(world);
        let before = host_of_others(world);
        let public = "ip addr add 157.230.114.231/32 dev lo; ip route replace default via 203.0.113.1 src 157.230.114.231";
        let spoil = [
            "head -c 20000 /dev/urandom > data/phantom.db; rm -f data/phantom.db-*",
            "rm -rf data",
            ": > data/phantom.db",
            "rm -rf data/phantom.db*; mkdir data/phantom.db",
        ];
        for spoil in spoil {
            let old = used(world);
            world.sh(&format!("cd /opt/phantom-wg; {spoil}; {public}"));
            text(&run(&["--yes"], ""), 0);
            world.in_sync();
            let now = world.ok(&["core", "setup"]);
            assert_eq!(
                (&now["created"], &now["server_ip"]),
                (&json!(false), &json!("157.230.114.231")),
                "{spoil}"
            );
            assert_eq!((&now["port"], &now["backend"]), (&json!(51999), &json!(backend())), "{spoil}");
            assert_ne!(now["public_key"], old["public_key"]);
            assert_eq!(world.ok(&["core", "list_clients"])["total"], 0);
            // Where the server is cannot be told any more: nothing is set up, and nothing of ours is left.
            let old = "ip route replace default via 203.0.113.1; ip addr del 157.230.114.231/32 dev lo";
            world.sh(&format!("cd /opt/phantom-wg; {spoil}; {old}"));
            let said = text(&run(&["--yes", "--lang=tr"], ""), 0);
            assert!(
                said.contains("\nFactory reset tamamlandı. SSH erişimi değişmedi.\nSistem kurulmamış."),
                "{said}"
            );
            assert!(!said.contains("WireGuard başlatılıyor"), "{said}");
            world.fails(&["core", "list_clients"], "NOT_INITIALIZED");
            assert_eq!(world.sh("sysctl -n net.ipv4.ip_forward"), "0\n");
            let left = world.sh(
                "ip link show wg_main 2>/dev/null || true; nft list table inet phantom_wg 2>/dev/null || true
                ls /etc/wireguard/wg_main.conf /etc/sysctl.d/90-phantom-wg.conf 2>/dev/null || true",
            );
            assert_eq!(left, "");
            assert_same_lines(&before, &host_of_others(world), spoil);
        }
    });
}

#[test]
fn host_without_a_server_stays_unchanged() {
    let test = "factory_reset::host_without_a_server_stays_unchanged";
    in_world_with(test, &PROGRAMS, |world| {
        others(world);
        let before = whole_host(world);
        let said = text(&run(&["--yes"], ""), 0);
        assert!(
            said.contains(
                "Factory reset completed. SSH access is unchanged.\nThe system is not set up. Run: "
            )
        );
        let apart = |text: &str| -> String {
            text.lines()
                .filter(|line| !line.starts_with("/opt/phantom-wg"))
                .flat_map(|line| [line, "\n"])
                .collect()
        };
        assert_same_lines(&apart(&before), &apart(&whole_host(world)), "the host");
        assert!(Path::new(DATABASE).exists());
    });
}

#[test]
fn uninstall_restores_host_and_allows_return() {
    let test = "factory_reset::uninstall_restores_host_and_allows_return";
    in_world(test, |world| {
        world.sh("mkdir -p /etc/wireguard /etc/sysctl.d /etc/systemd/network /etc/iproute2/rt_tables.d");
        world.sh("ip tuntap add name wg_office mode tun; nft add table ip mine");
        let before = whole_host(world);
        used(world);
        let look = world.look();
        text(&run(&["--uninstall", "--yes"], ""), 0);
        let apart = |text: &str| -> String {
            text.lines()
                .filter(|line| !line.starts_with("/opt/phantom-wg"))
                .flat_map(|line| [line, "\n"])
                .collect()
        };
        assert_same_lines(&apart(&before), &apart(&whole_host(world)), "the host");
        assert!(!Path::new("/run/phantom-wg").exists());
        text(&run(&["--uninstall", "--yes"], ""), 0);
        world.ok(&["core", "reconcile"]);
        world.in_sync();
        assert_eq!(world.ok(&["core", "list_clients"])["total"], 2);
        assert_same_lines(&look.state, &world.look().state, "what is stored");
    });
}

#[test]
fn at_a_terminal_an_uninstall_asks_first() {
    in_world_with("factory_reset::at_a_terminal_an_uninstall_asks_first", &["tmux"], |world| {
        used(world);
        let look = world.look();
        let terminal =
            |name: &'static str| Terminal::open(world, name, (100, 30), "", "factory-reset --uninstall");
        terminal("no").sees("Type UNINSTALL to continue:").types("no").press("Enter").sees("ended with 1");
        assert_same_lines(&look.state, &world.look().state, "what is stored");
        let there = || world.try_at(At::Server, "ip link show wg_main").status.success();
        assert!(there(), "nothing was changed");
        terminal("yes")
            .sees("Type UNINSTALL to continue:")
            .types("UNINSTALL")
            .press("Enter")
            .sees("ended with 0");
        assert!(!Path::new("/run/phantom-wg").exists());
    });
}
