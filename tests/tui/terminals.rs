//! Terminals that can do less, and those that change.

use phantom_api::Lang;
use phantom_cli::{Qr, Theme};
use phantom_tests::{Server, Spot, read_qr};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier};

use crate::driver::{FULL, TuiDriver};

#[test]
fn without_utf8_everything_is_ascii() {
    for lang in [Lang::En, Lang::Tr] {
        let theme = Theme { lang, colour: true, unicode: false };
        let mut person = TuiDriver::new(Server::ready().with(&["anna"]), theme, (80, 24));
        for keys in [
            "1", "1", "3", "q", "0 0 1", "Esc 0 3", "0 6", "0 7", "0 8", "0 0 0", "2 1", "0 0", "GHOST", "1",
            "?",
        ] {
            let screen = person.press(keys).screen();
            let odd: Vec<char> = screen.chars().filter(|letter| !letter.is_ascii()).collect();
            assert!(odd.is_empty(), "{odd:?} in\n{screen}");
            assert!(!screen.contains("??"), "{screen}");
        }
    }
}

#[test]
fn without_colours_signs_say_it() {
    let mut person =
        TuiDriver::new(Server::ready().with(&["anna"]), Theme { colour: false, ..FULL }, (120, 40));
    for keys in ["1", "1", "3", "q", "0 0 0 3", "0 6", "0 5 1"] {
        person.press(keys).sees_no_colour();
    }
    person.sees("▲").sees("●");
}

#[test]
fn code_that_does_not_fit_is_omitted() {
    let mut person = TuiDriver::new(Server::ready().with(&["anna"]), FULL, (80, 24));
    person.press("1 1 3 q").sees("The QR code needs a terminal of 73×38; this one has 80×24");
    person.resize((73, 38));
    assert!(read_qr(&person.spots()).unwrap().contains("[Interface]"));
    for size in [(72, 38), (73, 37), (40, 10)] {
        person.resize(size).sees("The QR code needs a terminal");
        assert!(read_qr(&person.spots()).is_err(), "{size:?}");
    }
}

#[test]
fn code_is_readable_on_any_terminal() {
    let config =
        "[Interface]\nPrivateKey = oEv/J/YFWx8frdL3ZGuPuvDgtvCTnk2WBz/7DhlU4HU=\nAddress = 10.8.0.2/24"
            .repeat(3);
    let qr = Qr::new(&config).unwrap();
    let looks = [
        (true, true, false, false),
        (false, true, false, false),
        (false, true, true, true),
        (true, false, false, false),
        (false, false, false, false),
        (false, false, true, true),
    ];
    for (colour, unicode, light, invert) in looks {
        let theme = Theme { lang: Lang::En, colour, unicode };
        let (width, height) = qr.size(theme);
        let area = Rect::new(0, 0, width + 7, height + 3);
        let mut buffer = Buffer::empty(area);
        qr.draw(&mut buffer, area, theme, invert);
        let rows: Vec<Vec<Spot>> = buffer
            .content
            .chunks(usize::from(area.width))
            .map(|row| row.iter().map(|cell| spot(cell, light)).collect())
            .collect();
        assert_eq!(
            read_qr(&rows).as_deref(),
            Ok(config.as_str()),
            "colour {colour}, unicode {unicode}, light {light}"
        );
    }
}

fn spot(cell: &ratatui::buffer::Cell, light: bool) -> Spot {
    let (front, back) = if light { (20, 235) } else { (220, 20) };
    let lightness = |colour: Color, other: u8| match colour {
        Color::Indexed(16) => 0,
        Color::Indexed(231) => 255,
        _ => other,
    };
    let (mut ink, mut ground) = (lightness(cell.fg, front), lightness(cell.bg, back));
    if cell.modifier.contains(Modifier::REVERSED) {
        (ink, ground) = (ground, ink);
    }
    Spot { symbol: cell.symbol().to_owned(), ink, ground }
}

#[test]
fn a_storm_of_sizes_breaks_nothing() {
    let screens = [
        "1", "1", "1", "Esc s", "Esc 3", "q", "0 0 0 3", "1", "0 0 6", "0 8", "c", "Esc 0 9", "0 0 2 1",
        "0 0", "GHOST", "1 1", "?",
    ];
    let mut person = TuiDriver::new(Server::ready().with(&["anna", "ben"]), FULL, (80, 24));
    for keys in screens {
        person.press(keys);
        for width in [1, 2, 3, 7, 20, 39, 40, 41, 57, 80, 133, 400] {
            for height in [1, 2, 3, 9, 10, 11, 14, 24, 57, 200] {
                person.resize((width, height)).screen();
            }
        }
    }
    person.resize((39, 24)).sees("The terminal is too small").resize((40, 10)).does_not_see("too small");
}

#[test]
fn a_narrow_terminal_keeps_what_matters() {
    let mut person = TuiDriver::new(Server::ready().with(&["anna"]), FULL, (40, 12));
    person.press("1 1").sees("anna").sees("Offline").sees("? Help").press("3").sees("anna");
    // Every line of the configuration can be reached.
    person.press("End").sees("PersistentKeepalive = 25");
}
