//! What comes of work that runs while a person goes on: it concerns the screen that asked, whatever lies over that by now.

use phantom_api::Lang;
use phantom_cli::Theme;
use phantom_tests::Server;

use crate::driver::{FULL, TuiDriver};

fn person(server: Server) -> TuiDriver {
    TuiDriver::new(server, FULL, (100, 30))
}

#[test]
fn pasted_text_is_searched_once() {
    let mut person = person(Server::ready().with(&["anna", "ben"]));
    person.press("1 1 s").hold();
    person.pastes(&format!("ben{}", "\u{1b}[31m".repeat(1_000)));
    assert!(person.works() <= 2, "{} threads for one search", person.works());
    person.go_on();
    person.press("Esc").sees("anna").press("s").hold();
    person.pastes("ben");
    person.go_on();
    person.sees("ben").does_not_see("anna");
}

#[test]
fn log_error_keeps_its_help() {
    let mut person = person(Server::ready());
    person.picks("Multihop VPN").press("9").hold();
    person.waits(1).press("?").sees("Everywhere");
    person.fails("CONFIG_ERROR", "the log is gone");
    // The help stays; below it the log has made room for the error.
    person.sees("Everywhere").press("Esc").sees("the log is gone").sees("[CONFIG_ERROR]");
    person.press("Enter").sees("9  Session Log").does_not_see("the log is gone");
}

#[test]
fn refreshing_report_shows_error_in_a_line() {
    let mut person = person(Server::ready());
    person.press("1 3").sees("Server Status").hold();
    for _ in 0..3 {
        person.waits(2);
        person.fails("CONFIG_ERROR", "the database is gone");
        person.sees("the database is gone [CONFIG_ERROR]").does_not_see(" Error ");
    }
    // No box is in the way of the keys. Whoever asks is answered by one.
    person.press("2");
    person.fails("CONFIG_ERROR", "the database is gone");
    person.sees("the database is gone").press("Enter 0").sees("3  Server Status");
}

#[test]
fn unreadable_directory_can_be_left() {
    let mut person = person(Server::ready());
    person.picks("Multihop VPN").press("1").hold();
    person.press("Left");
    person.fails("CONFIG_ERROR", "no such folder");
    person.sees("no such folder [CONFIG_ERROR]").press("Esc").sees("9  Session Log");
}

#[test]
fn only_the_shown_letter_confirms() {
    for (lang, no, yes) in [(Lang::En, "e", "y"), (Lang::Tr, "y", "e")] {
        let server = Server::ready().with(&["anna"]);
        let mut person = TuiDriver::new(server, Theme { lang, ..FULL }, (100, 30));
        person.press("1 1 2").press(no);
        assert_eq!(person.server.api(&["core", "list_clients"]).ok()["total"], 1, "{no}");
        person.press(yes);
        assert_eq!(person.server.api(&["core", "list_clients"]).ok()["total"], 0, "{yes}");
    }
}
