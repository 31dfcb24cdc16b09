//! Every screen, in both languages and two sizes, held against what was committed.

use phantom_api::Lang;
use phantom_cli::Look;
use phantom_tests::{Server, same_as_golden};

use crate::driver::Person;

/// The way through all screens: a name for what is seen, and the keys that lead there from the first one. A word in quotes
/// is typed. What is changed on the way stays changed.
const WAY: &[(&str, &str)] = &[
    ("main menu", ""),
    ("help", "?"),
    ("question before leaving", "Ctrl-C"),
    ("core menu", "1"),
    ("clients", "1 1"),
    ("clients, second page", "1 1 n"),
    ("help for clients", "1 1 ?"),
    ("search", "1 1 s \"-1\""),
    ("add a client", "1 1 1"),
    ("a name that is not allowed", "1 1 1 \"a/b\" Enter"),
    ("added", "1 1 1 \"new-one\" Enter"),
    ("a name that is taken", "1 1 1 \"New-One\" Enter"),
    ("export", "1 1 3"),
    ("QR code", "1 1 3 q"),
    ("save", "1 1 3 s"),
    ("saved", "1 1 3 s Enter"),
    ("question before writing over", "1 1 3 s Enter"),
    ("question before removing", "1 1 2"),
    ("removed", "1 1 2 LETTER_YES"),
    ("recent clients, how many", "1 2"),
    ("recent clients", "1 2 Enter"),
    ("server status", "1 3"),
    ("server details", "1 3 1"),
    ("service logs, how many", "1 4"),
    ("service logs", "1 4 Enter"),
    ("service control", "1 5"),
    ("question before restarting", "1 5 1"),
    ("restarted", "1 5 1 LETTER_YES"),
    ("firewall", "1 6"),
    ("settings", "1 7"),
    ("question before a setting", "1 7 1"),
    ("subnet", "1 8"),
    ("new subnet", "1 8 c"),
    ("subnet that is refused", "1 8 c \"10.8.0.0/30\" Enter"),
    ("check of the new subnet", "1 8 c \"192.168.100.0/24\" Enter"),
    ("first question", "1 8 c \"192.168.100.0/24\" Enter c"),
    ("second question", "1 8 c \"192.168.100.0/24\" Enter c LETTER_YES"),
    ("subnet changed", "1 8 c \"192.168.100.0/24\" Enter c LETTER_YES LETTER_YES"),
    ("check and repair", "1 9"),
    ("server address and port", "1 a"),
    ("DNS menu", "2"),
    ("DNS servers", "2 1"),
    ("question before DNS servers", "2 1 2"),
    ("other DNS servers", "2 1 5"),
    ("test of DNS servers", "2 2"),
    ("DNS servers tested", "2 2 Enter"),
    ("DNS status", "2 3"),
    ("current DNS servers", "2 4"),
    ("multihop menu", "3"),
    ("files to import", "3 1"),
    ("name of an exit", "3 1 Down Down Enter"),
    ("imported", "3 1 Down Down Enter \"oslo\" Enter"),
    ("exits to enable", "3 4"),
    ("question of the kill switch", "3 4 Enter"),
    ("multihop enabled", "3 4 Enter Enter"),
    ("exits", "3 3"),
    ("multihop status", "3 7"),
    ("test of the exit", "3 8"),
    ("session log", "3 9"),
    ("question before multihop ends", "3 5"),
    ("question before multihop is reset", "3 6"),
    ("question before the exit in use is removed", "3 2 1"),
    ("multihop disabled", "3 5 LETTER_YES"),
    ("multihop status, off", "3 7"),
    ("question before an exit is removed", "3 2 1"),
    ("exit removed", "3 2 1 LETTER_YES"),
    ("ghost menu", "4"),
    ("ghost, certificate", "4 1"),
    ("ghost, domain", "4 1 1"),
    ("ghost, own certificate", "4 1 2"),
    ("ghost, summary", "4 1 3 \"vpn.example.org\" Tab Right Enter"),
    ("ghost enabled", "4 1 3 \"vpn.example.org\" Tab Right Enter LETTER_YES"),
    ("ghost status", "4 3"),
    ("ghost export, which client", "4 4"),
    ("ghost export", "4 4 \"client-02\" Enter"),
    ("ghost export, nobody", "4 4 \"nobody\" Enter"),
    ("blocked subnet", "1 8"),
    ("question before ghost ends", "4 2"),
    ("ghost disabled", "4 2 LETTER_YES"),
    ("ghost status, off", "4 3"),
    ("languages", "LANGUAGE"),
];

/// From wherever the person is to the first screen, and on from there.
fn walk(person: &mut Person, keys: &str, lang: Lang) {
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
    let mut person = Person::new(server, Look { lang, colour: true, unicode: true }, size);
    let mut text = String::new();
    for (name, keys) in WAY {
        walk(&mut person, keys, lang);
        let screen = person.screen();
        for line in screen.lines() {
            assert!(line.chars().count() <= usize::from(size.0), "{name}: {line}");
        }
        text.extend(["== ", name, "\n", &screen, "\n"]);
    }
    let (width, height) = size;
    same_as_golden(&format!("tui/{lang}-{width}x{height}.txt"), &text);
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
fn no_text_is_english_on_a_turkish_screen() {
    let read = |lang: &str| phantom_tests::read_golden(&format!("tui/{lang}-120x40.txt"));
    let (english, turkish) = (read("en"), read("tr"));
    let words = [
        "Client", "Service", "Back", "Help", "Status", "Search", "Continue", "Are you", "Settings", "Server ",
    ];
    for word in words {
        assert!(english.contains(word), "{word} is on no English screen");
        let seen = turkish.lines().find(|line| line.contains(word));
        assert!(seen.is_none_or(|line| line.starts_with("==")), "{word}: {}", seen.unwrap_or_default());
    }
}
