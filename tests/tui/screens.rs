//! Every screen, in both languages and two sizes, held against what was committed.

use phantom_api::Lang;
use phantom_cli::Look;
use phantom_tests::{Server, same_as_golden};

use crate::driver::Person;

/// The way through all screens: a name for what is seen, and the keys that lead there. A word in quotes is typed.
const WAY: &[(&str, &str)] = &[
    ("main menu", ""),
    ("help", "?"),
    ("question before leaving", "Esc Ctrl-C"),
    ("core menu", "Esc 1"),
    ("clients", "1"),
    ("clients, second page", "n"),
    ("search", "s \"-1\""),
    ("add a client", "Esc 1"),
    ("a name that is not allowed", "\"a/b\" Enter"),
    ("added", "Home Esc 1 \"new-one\" Enter"),
    ("QR code", "q"),
    ("save", "0 s"),
    ("saved", "Enter"),
    ("question before removing", "0 2"),
    ("removed", "y Y"),
    ("recent clients, how many", "Esc 0 2"),
    ("recent clients", "Enter"),
    ("server status", "0 3"),
    ("server details", "1"),
    ("service logs, how many", "0 0 4"),
    ("service logs", "Enter"),
    ("service control", "0 5"),
    ("question before restarting", "1"),
    ("firewall", "Esc 0 6"),
    ("settings", "0 7"),
    ("question before a setting", "1"),
    ("subnet", "Esc 0 8"),
    ("new subnet", "c"),
    ("check of the new subnet", "\"192.168.100.0/24\" Enter"),
    ("first question", "c"),
    ("second question", "y"),
    ("subnet changed", "y"),
    ("check and repair", "0 9"),
    ("server address and port", "0 a"),
    ("DNS menu", "Esc 0 2"),
    ("DNS servers", "1"),
    ("question before DNS servers", "2"),
    ("other DNS servers", "Esc 5"),
    ("test of DNS servers", "Esc 0 2"),
    ("DNS servers tested", "Enter"),
    ("DNS status", "0 Esc 3"),
    ("current DNS servers", "0 4"),
    ("ghost menu", "0 0 3"),
    ("ghost, certificate", "1"),
    ("ghost, domain", "1"),
    ("ghost, summary", "Esc 3 \"vpn.example.org\" Tab Right Enter"),
    ("ghost enabled", "y"),
    ("ghost status", "0 3"),
    ("ghost export, which client", "0 4"),
    ("ghost export", "\"client-01\" Enter"),
    ("ghost export, nobody", "0 4 \"nobody\" Enter"),
    ("blocked subnet", "Enter Esc 0 1 8"),
    ("question before ghost ends", "0 0 3 2"),
    ("ghost disabled", "y"),
    ("languages", "0 4"),
];

fn walk(person: &mut Person, keys: &str) {
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
    let mut person = Person::new(server, Look { lang, colour: true, unicode: true }, size);
    let mut text = String::new();
    for (name, keys) in WAY {
        walk(&mut person, keys);
        let screen = person.screen();
        for line in screen.lines() {
            assert!(line.chars().count() <= usize::from(size.0), "{name}: {line}");
        }
        text.push_str(&format!("== {name}\n{screen}\n"));
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
