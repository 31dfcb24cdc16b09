//! Every screen, in both languages and two sizes, held against what was committed.

use phantom_api::Lang;
use phantom_cli::Theme;
use phantom_tests::{Server, same_as_golden};

use crate::driver::TuiDriver;

/// The way through all screens: a name for what is seen, the keys that lead there from the first one, and the title of the screen
/// or box in English. A word in quotes is typed. What is changed on the way stays changed.
const WAY: &[(&str, &str, &str)] = &[
    ("main menu", "", "Main"),
    ("help", "?", "Help"),
    ("question before leaving", "Ctrl-C", "▲ Leave Phantom-WG?"),
    ("core menu", "1", "Core"),
    ("clients", "1 1", "Client Operations"),
    ("clients, second page", "1 1 n", "Client Operations"),
    ("help for clients", "1 1 ?", "Help"),
    ("search", "1 1 s \"-1\"", "Client Operations"),
    ("add a client", "1 1 1", "Add a client"),
    ("a name that is not allowed", "1 1 1 \"a/b\" Enter", "Add a client"),
    ("added", "1 1 1 \"new-one\" Enter", "Export"),
    ("a name that is taken", "1 1 1 \"New-One\" Enter", "✖ Error"),
    ("export", "1 1 3", "Export"),
    ("QR code", "1 1 3 q", "I Invert"),
    ("save", "1 1 3 s", "Save to file"),
    ("saved", "1 1 3 s Enter", "Export"),
    ("question before writing over", "1 1 3 s Enter", "▲ This file exists. Write over it?"),
    ("question before removing", "1 1 2", "▲ Remove a client"),
    ("removed", "1 1 2 LETTER_YES", "Client Operations"),
    ("recent clients, how many", "1 2", "Recent Clients"),
    ("recent clients", "1 2 Enter", "Recent Clients"),
    ("server status", "1 3", "Server Status"),
    ("server details", "1 3 1", "Details"),
    ("service logs, how many", "1 4", "Service Logs"),
    ("service logs", "1 4 Enter", "Service Logs"),
    ("service control", "1 5", "Service Control"),
    ("question before restarting", "1 5 1", "▲ Restart the service"),
    ("restarted", "1 5 1 LETTER_YES", "Service Control"),
    ("firewall", "1 6", "Firewall & Security"),
    ("settings", "1 7", "Tweak Settings"),
    ("question before a setting", "1 7 1", "▲ restart_service_after_client_creation"),
    ("subnet", "1 8", "Change Default Subnet"),
    ("new subnet", "1 8 c", "New subnet"),
    ("subnet that is refused", "1 8 c \"10.8.0.0/30\" Enter", "Check of the new subnet"),
    ("check of the new subnet", "1 8 c \"192.168.100.0/24\" Enter", "Check of the new subnet"),
    ("first question", "1 8 c \"192.168.100.0/24\" Enter c", "▲ Change Default Subnet"),
    ("second question", "1 8 c \"192.168.100.0/24\" Enter c LETTER_YES", "▲ Change Default Subnet"),
    ("subnet changed", "1 8 c \"192.168.100.0/24\" Enter c LETTER_YES LETTER_YES", "Change Default Subnet"),
    ("check and repair", "1 9", "Check & Repair"),
    ("health check", "1 a", "Health Check"),
    ("backup", "1 b Enter", "Back Up"),
    ("backup to restore", "1 c", "Restore a Backup"),
    ("what a backup would change", "1 c Down Enter", "What it would change"),
    ("question before a backup is restored", "1 c Down Enter a", "▲ Restore a Backup"),
    ("server address and port", "1 d", "Server Address & Port"),
    ("question before a new port", "1 d Tab Tab \"4443\" Enter", "▲ Server Address & Port"),
    ("question before a new address", "1 d \"198.51.100.7\" Enter", "▲ Server Address & Port"),
    ("question before another backend", "1 d Tab Tab Tab Right Enter", "▲ Server Address & Port"),
    ("text to copy", "1 1 3 k", "Mouse Select"),
    ("text to save", "1 a k s", "Save to file"),
    ("DNS menu", "2", "DNS"),
    ("DNS servers", "2 1", "Change DNS Servers"),
    ("question before DNS servers", "2 1 2", "▲ Change DNS Servers"),
    ("other DNS servers", "2 1 5", "Other servers"),
    ("test of DNS servers", "2 2", "Test DNS Servers"),
    ("DNS servers tested", "2 2 Enter", "Test DNS Servers"),
    ("DNS status", "2 3", "DNS Status"),
    ("current DNS servers", "2 4", "Current Servers"),
    ("multihop menu", "3", "Multihop VPN"),
    ("files to import", "3 1", "Import"),
    ("name of an exit", "3 1 Down Down Enter", "Import"),
    ("imported", "3 1 Down Down Enter \"oslo\" Enter", "Import"),
    ("exits to enable", "3 4", "Enable"),
    ("question of the kill switch", "3 4 Enter", "Enable"),
    ("question before multihop begins", "3 4 Enter Enter", "▲ Enable multihop"),
    ("multihop enabled", "3 4 Enter Enter LETTER_YES", "Enable"),
    ("exits", "3 3", "List Exits"),
    ("multihop status", "3 7", "Status"),
    ("test of the exit", "3 8", "Test VPN"),
    ("session log", "3 9", "Session Log"),
    ("question before multihop ends", "3 5", "▲ Disable multihop"),
    ("question before multihop is reset", "3 6", "▲ Reset multihop state"),
    ("question before the exit in use is removed", "3 2 1", "▲ Remove a VPN configuration"),
    ("multihop disabled", "3 5 LETTER_YES", "Multihop VPN"),
    ("multihop status, off", "3 7", "Status"),
    ("question before an exit is removed", "3 2 1", "▲ Remove a VPN configuration"),
    ("exit removed", "3 2 1 LETTER_YES", "Multihop VPN"),
    ("ghost menu", "4", "Ghost Mode"),
    ("ghost, certificate", "4 1", "Enable"),
    ("ghost, domain", "4 1 1", "Automatic certificate"),
    ("ghost, own certificate", "4 1 2", "Own certificate"),
    ("ghost, summary", "4 1 3 \"vpn.example.org\" Tab Right Enter", "▲ Enable Ghost Mode"),
    ("ghost enabled", "4 1 3 \"vpn.example.org\" Tab Right Enter LETTER_YES", "Status"),
    ("ghost status", "4 3", "Status"),
    ("ghost export, which client", "4 4", "Export for Client"),
    ("ghost export", "4 4 \"client-02\" Enter", "Export for Client"),
    ("ghost export, nobody", "4 4 \"nobody\" Enter", "✖ Error"),
    ("export while ghost is on", "1 1 3", "Export"),
    ("blocked subnet", "1 8", "Change Default Subnet"),
    ("question before ghost ends", "4 2", "▲ Disable Ghost Mode"),
    ("ghost disabled", "4 2 LETTER_YES", "Ghost Mode"),
    ("ghost status, off", "4 3", "Status"),
    ("languages", "LANGUAGE", "Language"),
];

/// The same on a server that has not been set up.
const BEFORE_SETUP: &[(&str, &str, &str)] = &[
    ("before the setup", "", "Not set up yet"),
    ("first setup", "1", "Set Up This Server"),
    ("health check before the setup", "2", "Health Check"),
    ("backup to restore, before the setup", "3", "Restore a Backup"),
    ("set up", "1 \"157.230.114.231\" Enter", "Set up"),
];

/// From wherever the person is to the first screen, and on from there.
fn walk(person: &mut TuiDriver, keys: &str, lang: Lang) {
    person.press("Esc Esc Esc Esc Esc Esc Esc Esc");
    let keys = keys.strip_prefix("LANGUAGE").map_or(keys, |rest| {
        person.picks(lang.pick("  Language", "  Dil "));
        rest
    });
    let keys = keys.replace("LETTER_YES", lang.pick("y", "e"));
    for word in keys.split(' ').filter(|word| !word.is_empty()) {
        match word.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
            Some(text) => person.types(text),
            None => person.press(word),
        };
    }
}

fn every_screen(lang: Lang, size: (u16, u16)) {
    let names: Vec<String> = (1..=12).map(|n| format!("client-{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let server = Server::ready().with(&names);
    server.put_exit("/root/oslo.conf", "no.gw.example.net", [185, 213, 155, 134], 0x50);
    let theme = Theme { lang, colour: true, unicode: true };
    let mut text = way(&mut TuiDriver::new(server, theme, size), WAY, size);
    text.push_str(&way(&mut TuiDriver::new(Server::bare(), theme, size), BEFORE_SETUP, size));
    let (width, height) = size;
    same_as_golden(&format!("tui/{lang}-{width}x{height}.txt"), &text);
}

/// Goes a way; gives what is seen on it.
fn way(person: &mut TuiDriver, way: &[(&str, &str, &str)], size: (u16, u16)) -> String {
    let lang = person.lang();
    let mut text = String::new();
    for (name, keys, title) in way {
        walk(person, keys, lang);
        let screen = person.screen();
        for line in screen.lines() {
            assert!(line.chars().count() <= usize::from(size.0), "{name}: {line}");
        }
        // A title is part of a frame, which screens that are for copying do not have.
        let is_there =
            screen.contains(&format!(" {title} ─")) || !screen.contains('┌') && screen.contains(title);
        assert!(lang == Lang::Tr || is_there, "{name} does not show {title:?}:\n{screen}");
        text.extend(["== ", name, "\n", &screen, "\n"]);
        shows_all_its_keys(person, name, &screen);
    }
    text
}

/// Every key that the help tells of is on the last lines of the screen.
fn shows_all_its_keys(person: &mut TuiDriver, name: &str, screen: &str) {
    let help = person.press("?").screen();
    let everywhere = person.lang().pick("Everywhere", "Her yerde");
    if !help.contains(everywhere) || !screen.contains('┌') {
        return; // a box, a field or a picture
    }
    let inside = help.lines().filter_map(|line| line.split('│').nth(2)).map(str::trim);
    let keys = inside.skip(1).take_while(|line| !line.is_empty());
    for (key, does) in keys.filter_map(|line| line.split_once("  ")) {
        let shown = format!("{key} {}", does.trim());
        assert!(
            screen.lines().rev().take(2).any(|line| line.contains(&shown)),
            "{name} hides {shown:?}:\n{screen}"
        );
    }
}

#[test]
fn english_small() {
    every_screen(Lang::En, (80, 24));
}

#[test]
fn english_large() {
    every_screen(Lang::En, (120, 40));
}

#[test]
fn turkish_small() {
    every_screen(Lang::Tr, (80, 24));
}

#[test]
fn turkish_large() {
    every_screen(Lang::Tr, (120, 40));
}

#[test]
fn turkish_screens_contain_no_english() {
    let read = |lang: &str| phantom_tests::read_golden(&format!("tui/{lang}-120x40.txt"));
    let (english, turkish) = (read("en"), read("tr"));
    let words = [
        "Client",
        "Service",
        "Back",
        "Help",
        "Status",
        "Search",
        "Continue",
        "Are you",
        "Settings",
        "Server ",
        "kernel",
        "Unknown Provider",
    ];
    for word in words {
        assert!(english.contains(word), "{word} is on no English screen");
        let seen = turkish.lines().find(|line| line.contains(word));
        assert!(seen.is_none_or(|line| line.starts_with("==")), "{word}: {}", seen.unwrap_or_default());
    }
    for line in turkish.lines().filter(|line| !line.starts_with("==")) {
        // Nobody is the name of a client that there is not.
        let left: Vec<_> = phantom_tests::english(line).into_iter().filter(|word| word != "nobody").collect();
        assert!(left.is_empty(), "{left:?}: {line}");
    }
}
