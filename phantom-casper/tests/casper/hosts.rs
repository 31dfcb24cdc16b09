//! What the steps write into the client's hosts file, so that the server is found without a name server, and take away.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use ipnetwork::IpNetwork;
use serde_json::Value;

use crate::world::{World, is_root};

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
    assert_eq!(lines.len(), 1, "{text}");
    lines[0].trim().replace("/etc/hosts", file.to_str().unwrap())
}

/// Does it as a person who is root already.
fn run(command: &str) {
    let script = format!("sudo() {{ \"$@\"; }}\n{command}");
    let output = Command::new("sh").args(["-ec", &script]).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_lines_of_the_documents_stay_in_order() {
    if !is_root("the_lines_of_the_documents_stay_in_order") {
        return;
    }
    let text = World::active().text(&["demo-casper"]);
    let mut lines = text.lines();
    for seed in SEEDS {
        assert!(lines.any(|line| line.starts_with(seed)), "{seed:?} is missing or out of order:\n{text}");
    }
}

#[test]
fn the_name_is_written_down_with_every_address_and_none_of_them_enters_the_tunnel() {
    if !is_root("the_name_is_written_down_with_every_address_and_none_of_them_enters_the_tunnel") {
        return;
    }
    let world = World::active();
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
                let line = format!("{address} 157-230-114-231.sslip.io # phantom-ghost");
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
fn the_commands_add_whole_lines_and_take_away_no_others() {
    if !is_root("the_commands_add_whole_lines_and_take_away_no_others") {
        return;
    }
    let world = World::active();
    world.set_ghost(|ghost| {
        ghost.addresses = ["198.51.100.20", "203.0.113.1"].map(|text| text.parse().unwrap()).to_vec();
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hosts");
    let others =
        "127.0.0.1 localhost\n# 1.2.3.4 157-230-114-231.sslip.io\n192.0.2.9 vpn.example.org # phantom-ghost";
    for (lang, end) in [("en", "\n"), ("en", ""), ("tr", "")] {
        let text = world.text(&["--lang", lang, "demo-casper"]);
        fs::write(&file, format!("{others}{end}")).unwrap();
        // Those who follow the steps twice have the lines twice.
        for _ in 0..2 {
            run(&command(&text, "printf", &file));
        }
        let pinned = fs::read_to_string(&file).unwrap();
        for address in ["198.51.100.20", "203.0.113.1"] {
            let line = format!("{address} 157-230-114-231.sslip.io # phantom-ghost");
            assert_eq!(pinned.lines().filter(|found| *found == line).count(), 2, "{pinned}");
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

/// WireGuard for Windows lets nothing but the tunnel pass when a `/0` is among the allowed IPs.
#[test]
fn windows_users_are_told_what_would_block_the_tunnel_s_own_connection() {
    if !is_root("windows_users_are_told_what_would_block_the_tunnel_s_own_connection") {
        return;
    }
    let world = World::active();
    for blocks in [true, false] {
        world.set_settings(|settings| settings.block_ipv6_leak = blocks);
        assert_eq!(
            world.line("AllowedIPs").contains("/0,") || world.line("AllowedIPs").ends_with("/0"),
            blocks
        );
        for (lang, words) in [("en", "Block untunneled traffic"), ("tr", "Tünelden geçmeyen trafiği engelle")]
        {
            assert_eq!(world.text(&["--lang", lang, "demo-casper"]).contains(words), blocks, "{lang}");
        }
    }
}
