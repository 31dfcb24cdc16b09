//! What the steps write into the client's hosts file, so that the server is found without a name server, and take away.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use ipnetwork::IpNetwork;
use serde_json::Value;

use crate::world::{CasperFixture, is_root};

/// The lines of the first sample that the documents show, in order, but for what is the client's own.
const SEEDS: [&str; 20] = [
    "STEP 1: Start the wstunnel client",
    "Run this command in a separate terminal (keep it running):",
    "    wstunnel client --http-upgrade-path-prefix \"",
    "        -L udp://127.0.0.1:51820:127.0.0.1:51820 wss://157-230-114-231.sslip.io:443",
    "STEP 2: WireGuard Configuration",
    "Save the following configuration to a file (e.g. phantom-ghost.conf):",
    "[Interface]",
    "PrivateKey = ",
    "Address = ",
    "DNS = ",
    "[Peer]",
    "Endpoint = 127.0.0.1:51820",
    "AllowedIPs = ",
    "STEP 3: Connect",
    "Linux/macOS:",
    "    sudo wg-quick up /path/to/phantom-ghost.conf",
    "Windows:",
    "    Import the configuration file in the WireGuard client",
    "To disconnect:",
    "    sudo wg-quick down /path/to/phantom-ghost.conf",
];

/// The command of the text that writes to (or edits) the hosts file of Linux and macOS, for another file.
fn command(text: &str, word: &str, file: &Path) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with(&format!("    {word} "))).collect();
    // The lines are taken away in the same way before they are written and at the end.
    assert!(!lines.is_empty() && lines.iter().all(|line| *line == lines[0]), "{text}");
    lines[0].trim().replace("/etc/hosts", file.to_str().unwrap())
}

/// Does it as a person who is root already.
fn run(command: &str) {
    let script = format!("sudo() {{ \"$@\"; }}\n{command}");
    let output = Command::new("sh").args(["-ec", &script]).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn hosts_lines_stay_in_documented_order() {
    if !is_root("hosts_lines_stay_in_documented_order") {
        return;
    }
    let text = CasperFixture::active().text(&["demo-casper"]);
    let mut lines = text.lines();
    for seed in SEEDS {
        assert!(lines.any(|line| line.starts_with(seed)), "{seed:?} is missing or out of order:\n{text}");
    }
}

#[test]
fn every_address_of_name_bypasses_the_tunnel() {
    if !is_root("every_address_of_name_bypasses_the_tunnel") {
        return;
    }
    let world = CasperFixture::active();
    for (stored, expected) in [
        (&["157.230.114.231"][..], "157.230.114.231"),
        (&["198.51.100.20", "203.0.113.1", "198.51.100.20"], "198.51.100.20, 203.0.113.1"),
        (&[], "157.230.114.231"),
    ] {
        world.set_ghost(|ghost| ghost.addresses = stored.iter().map(|text| text.parse().unwrap()).collect());
        let json: Value = serde_json::from_str(&world.text(&["--json", "demo-casper"])).unwrap();
        assert_eq!(json["wstunnel"]["server_addresses"], expected);
        let inside: Vec<IpNetwork> =
            world.line("AllowedIPs").split(", ").map(|text| text.parse().unwrap()).collect();
        for lang in ["en", "tr"] {
            let text = world.text(&["--lang", lang, "demo-casper"]);
            for address in expected.split(", ") {
                let line = format!("{address} 157-230-114-231.sslip.io # phantom-ghost demo-casper");
                // For Linux and macOS, and for Windows.
                assert_eq!(text.matches(&line).count(), 2, "{line}\n{text}");
                let ip: IpAddr = address.parse().unwrap();
                assert!(!inside.iter().any(|network| network.contains(ip)), "{address} enters the tunnel");
            }
            let pin = text.find("tee -a /etc/hosts").unwrap();
            assert!(
                pin < text.find("wstunnel client --http").unwrap(),
                "a stock client reads it when it starts"
            );
        }
    }
}

#[test]
fn commands_add_and_remove_whole_lines_only() {
    if !is_root("commands_add_and_remove_whole_lines_only") {
        return;
    }
    let world = CasperFixture::active();
    world.set_ghost(|ghost| {
        ghost.addresses = ["198.51.100.20", "203.0.113.1"].map(|text| text.parse().unwrap()).to_vec();
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hosts");
    let others = "127.0.0.1 localhost\n# 1.2.3.4 157-230-114-231.sslip.io\n192.0.2.9 vpn.example.org # phantom-ghost\n\
         192.0.2.8 157-230-114-231.sslip.io # phantom-ghost other\n\
         192.0.2.7 157-230-114-231.sslip.io # phantom-ghost demo-casper-2";
    for (lang, end) in [("en", "\n"), ("en", ""), ("tr", "")] {
        let text = world.text(&["--lang", lang, "demo-casper"]);
        fs::write(&file, format!("{others}{end}")).unwrap();
        // Those who follow the steps twice have the lines once.
        for _ in 0..2 {
            run(&command(&text, "sudo sed", &file));
            run(&command(&text, "printf", &file));
        }
        let pinned = fs::read_to_string(&file).unwrap();
        for address in ["198.51.100.20", "203.0.113.1"] {
            let line = format!("{address} 157-230-114-231.sslip.io # phantom-ghost demo-casper");
            assert_eq!(pinned.lines().filter(|found| *found == line).count(), 1, "{pinned}");
        }
        run(&command(&text, "sudo sed", &file));
        let left = fs::read_to_string(&file).unwrap();
        let left: Vec<&str> = left.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(left, others.lines().collect::<Vec<_>>());
        let names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["hosts"], "a copy is left");
    }
}

/// There is no Windows here: the lines for PowerShell are held against those that are run above.
#[test]
fn the_lines_for_powershell_say_the_same() {
    if !is_root("the_lines_for_powershell_say_the_same") {
        return;
    }
    let world = CasperFixture::active();
    world.set_ghost(|ghost| {
        ghost.addresses = ["198.51.100.20", "2001:db8::9"].map(|text| text.parse().unwrap()).to_vec();
    });
    let text = world.text(&["demo-casper"]);
    let unix = text.lines().find_map(|line| line.trim().strip_prefix("printf '")).unwrap();
    let unix = unix.strip_suffix("' | sudo tee -a /etc/hosts").unwrap().replace("\\n", "\n");
    let windows = text.lines().find_map(|line| line.trim().strip_prefix("Add-Content $hosts \"")).unwrap();
    let windows = windows.strip_suffix('"').unwrap();
    // A backtick is PowerShell's escape; what follows a dollar sign would be a variable.
    assert!(!windows.contains('$') && !windows.replace("`r`n", "").contains('`'), "{windows}");
    // Add-Content ends the last line itself.
    assert_eq!(windows.replace("`r`n", "\n") + "\n", unix);
    let pattern = |begins: &str, ends: &str| -> Vec<String> {
        let of = |line: &str| line.trim().strip_prefix(begins)?.strip_suffix(ends).map(str::to_owned);
        text.lines().filter_map(of).collect()
    };
    let sed = pattern("sudo sed -i.phantom-ghost '/", "/d' /etc/hosts && sudo rm /etc/hosts.phantom-ghost");
    let powershell = pattern("@(Get-Content $hosts) -cnotmatch '", "' | Set-Content $hosts");
    assert_eq!((sed.len(), &sed), (2, &powershell), "before the lines are added, and at the end");
}

/// WireGuard for Windows lets nothing but the tunnel pass when a `/0` is among the allowed IPs.
#[test]
fn windows_users_learn_what_blocks_the_tunnel() {
    if !is_root("windows_users_learn_what_blocks_the_tunnel") {
        return;
    }
    let world = CasperFixture::active();
    for blocks in [true, false] {
        world.set_settings(|settings| settings.block_ipv6_leak = blocks);
        assert_eq!(
            world.line("AllowedIPs").contains("/0,") || world.line("AllowedIPs").ends_with("/0"),
            blocks
        );
        for (lang, words) in [("en", "Block untunneled traffic"), ("tr", "Tünelden geçmeyen trafiği durdur")]
        {
            assert_eq!(world.text(&["--lang", lang, "demo-casper"]).contains(words), blocks, "{lang}");
        }
    }
}

/// The export's answer to what a lookup says: the addresses for the hosts file, and what may enter the tunnel.
fn asked(world: &CasperFixture, now: &[&str]) -> (Vec<String>, Vec<IpNetwork>) {
    let now: Vec<IpAddr> = now.iter().map(|text| text.parse().unwrap()).collect();
    let export = phantom_casper::Export::asking(world.store(), "demo-casper", |_| now).unwrap();
    let lines = export.server_addresses.iter().map(ToString::to_string).collect();
    (lines, export.config.allowed_ips)
}

fn enters(inside: &[IpNetwork], address: &str) -> bool {
    let address: IpAddr = address.parse().unwrap();
    inside.iter().any(|network| network.contains(address))
}

#[test]
fn implausible_server_addresses_are_ignored() {
    let world = CasperFixture::active();
    world.set_ghost(|ghost| ghost.addresses = vec!["198.51.100.20".parse().unwrap()]);
    let odd = [
        "127.0.1.1",
        "127.0.0.1",
        "0.0.0.0",
        "0.1.2.3",
        "169.254.1.1",
        "224.0.0.1",
        "255.255.255.255",
        "10.8.0.1",
        "10.8.0.77",
        "172.17.0.1",
        "192.168.1.5",
        "10.0.0.5",
        "100.64.0.1",
        "8.8.8.8",
        "8.8.4.4",
        "::ffff:8.8.8.8",
        "::1",
        "::",
        "fe80::1",
        "ff02::1",
        "fd00::1",
    ];
    let (lines, inside) = asked(&world, &odd);
    assert_eq!(lines, ["198.51.100.20"], "what is stored counts then");
    assert!(!enters(&inside, "198.51.100.20") && !enters(&inside, "157.230.114.231"));
    for address in odd.iter().filter(|address| !address.contains(':')) {
        assert!(enters(&inside, address), "{address} goes round the tunnel");
    }
    assert!(!inside.iter().any(|network| network.is_ipv6() && network.prefix() != 0), "{inside:?}");
    let (lines, inside) = asked(&world, &["127.0.1.1", "203.0.113.9", "8.8.8.8"]);
    assert_eq!(lines, ["203.0.113.9"]);
    assert!(!enters(&inside, "203.0.113.9") && enters(&inside, "8.8.8.8"));
    // Other servers are asked: then these two are like all others.
    world.set_dns("9.9.9.9", "2620:fe::fe");
    let (lines, inside) = asked(&world, &["9.9.9.9", "2620:fe::fe", "203.0.113.9"]);
    assert_eq!(lines, ["203.0.113.9"]);
    assert!(enters(&inside, "9.9.9.9"));
}

#[test]
fn private_address_counts_if_operator_named_it() {
    let world = CasperFixture::active();
    world.set_ghost(|ghost| ghost.addresses = vec!["192.168.1.5".parse().unwrap()]);
    let (lines, inside) = asked(&world, &["172.17.0.1", "192.168.1.5"]);
    assert_eq!(lines, ["192.168.1.5"]);
    assert!(!enters(&inside, "192.168.1.5") && enters(&inside, "172.17.0.1"));
    world.set_server(|server| server.server_ip = Some("10.0.0.5".parse().unwrap()));
    let (lines, _) = asked(&world, &["10.0.0.5"]);
    assert_eq!(lines, ["10.0.0.5"]);
}

#[test]
fn an_answer_has_its_bounds() {
    let world = CasperFixture::active();
    let many: Vec<String> = (1..=40).map(|number| format!("2001:db8::{number}")).collect();
    let mut many: Vec<&str> = many.iter().map(String::as_str).collect();
    many.push("203.0.113.9");
    let (lines, inside) = asked(&world, &many);
    assert_eq!(lines, ["2001:db8::1", "2001:db8::2", "2001:db8::3", "203.0.113.9"], "no family is lost");
    for (address, outside) in [("2001:db8::15", true), ("2001:db8::17", false), ("203.0.113.9", true)] {
        assert_eq!(enters(&inside, address), !outside, "{address}");
    }
}

#[test]
fn new_address_appears_after_a_move() {
    let world = CasperFixture::active();
    world.set_ghost(|ghost| ghost.addresses = vec!["198.51.100.20".parse().unwrap()]);
    let (lines, inside) = asked(&world, &["203.0.113.9", "203.0.113.10"]);
    assert_eq!(lines, ["203.0.113.9", "203.0.113.10"]);
    for address in ["198.51.100.20", "203.0.113.9", "203.0.113.10", "157.230.114.231"] {
        assert!(!enters(&inside, address), "{address}");
    }
    let (lines, _) = asked(&world, &[]);
    assert_eq!(lines, ["198.51.100.20"], "nobody answers");
}
