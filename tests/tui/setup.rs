//! A server that has not been set up: what is offered there, and what leads to one that has been.

use phantom_api::Lang;
use phantom_cli::Theme;
use phantom_tests::Server;

use crate::driver::{FULL, TuiDriver};

fn person() -> TuiDriver {
    TuiDriver::new(Server::bare(), FULL, (80, 24))
}

#[test]
fn the_form_says_which_field_is_wrong() {
    let mut person = person();
    person.sees("This server has not been set up").press("Tab Tab").types("70000").press("Enter");
    person.sees("port must be a whole number from 1 to 65535");
    person.press("Home").types("1").press("Enter").sees("port must be a whole number");
}

#[test]
fn result_is_brief_with_next_step() {
    let mut person = person();
    person
        .types("157.230.114.231")
        .press("Enter")
        .sees("System initialised")
        .sees("157.230.114.231, 51820/udp");
    person.sees("by the keys 1 1 1").does_not_see("This call did").press("Enter");
    person.sees("1  Core Management").sees("● Service Running").press("1 1 1").sees("Name of the client");
    person.server.assert_in_sync();
}

#[test]
fn without_setup_only_possible_actions_appear() {
    let mut person = person();
    person.press("Esc").sees("▲ Not set up yet").does_not_see("Core Management").does_not_see("Working");
    // Looking again does not lead away from where somebody is.
    person.waits(5).sees("2  Health Check").press("2").sees("Problems").press("0");
    // A backup is looked for where somebody has put it.
    person.press("3").sees("/root").press("0 1").sees("This server has not been set up");
}

#[test]
fn earlier_language_choice_is_kept() {
    let mut person = person();
    person.press("Esc").picks("Language").press("2").sees("Henüz kurulmadı").picks("Bu Sunucuyu Kur");
    person.types("157.230.114.231").press("Enter").sees("Sistem kuruldu");
    assert_eq!(person.server.phantom().stored_language(), Some(Lang::Tr));
    // One that was only asked for at the start is not.
    let mut person = TuiDriver::new(Server::bare(), Theme { lang: Lang::Tr, ..FULL }, (80, 24));
    person.types("157.230.114.231").press("Enter").sees("Sistem kuruldu");
    assert_eq!(person.server.phantom().stored_language(), None);
}

#[test]
fn server_reset_meanwhile_is_offered_setup() {
    let mut person = TuiDriver::new(Server::ready(), FULL, (80, 24));
    person.press("1 3").sees("Server Status");
    std::fs::remove_dir_all(person.server.paths().data_dir()).unwrap();
    person.waits(3).sees("This server has not been set up").press("Esc").sees("1  Set Up This Server");
}
