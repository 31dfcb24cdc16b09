//! What is asked before clients notice something: who is connected, whom it cuts, what has to be handed out again. And what
//! makes no sense now is not asked at all.

use phantom_api::Lang;
use phantom_cli::Theme;
use phantom_tests::Server;

use crate::driver::{FULL, TuiDriver, carried};

const FETCH: &str = "Clients must fetch their configuration again";
const NOTHING: &str = "No configuration has to be handed out again";

/// At the form for address, port and backend, with two clients of which one is connected.
fn at_address(parameters: &[&str]) -> TuiDriver {
    let server = Server::set_up(parameters).with(&["anna", "ben"]);
    carried(&server, "anna", (1, 1));
    let mut person = TuiDriver::new(server, FULL, (100, 40));
    person.press("1").picks("Server Address & Port");
    person
}

#[test]
fn a_new_port_is_asked_about() {
    let mut person = at_address(&[]);
    let port = |person: &TuiDriver| {
        person.server.api(&["core", "server_status"]).ok()["configuration"]["port"].clone()
    };
    person.sees("now: 157.230.114.231").sees("now: 51820").press("Tab Tab").types("443").press("Enter");
    person
        .sees("WireGuard port: 51820 → 443")
        .sees("Connected now: 1 of 2 (anna)")
        .sees("needs its new configuration");
    person.sees(&format!("{FETCH} (all: 2)")).press("Enter").sees("Cancelled");
    assert_eq!(port(&person), 51_820);
    person.press("Enter y").sees("Settings updated");
    assert_eq!(port(&person), 443);
    person.server.assert_in_sync();
}

#[test]
fn backend_change_needs_no_new_configuration() {
    let mut person = at_address(&[]);
    person
        .press("Tab Tab Tab Right Right Enter")
        .sees("auto → embedded")
        .sees("within seconds")
        .sees(NOTHING);
    person.press("Esc Left Enter").sees("auto → kernel").sees("This disconnects nobody").sees(NOTHING);
}

#[test]
fn new_address_matters_where_clients_use_it() {
    let mut person = at_address(&[]);
    person
        .types("198.51.100.7")
        .press("Enter")
        .sees("as long as it leads to this server")
        .sees(FETCH)
        .press("y");
    person.sees("Settings updated");
    let mut person = at_address(&["endpoint=vpn.example.org"]);
    person
        .sees("now: vpn.example.org")
        .types("198.51.100.7")
        .press("Enter")
        .sees("disconnects nobody")
        .sees(NOTHING);
}

#[test]
fn what_is_the_same_is_no_change() {
    let mut person = at_address(&[]);
    person.press("Enter").sees("Nothing is different").press("Tab Tab").types("51820").press("Enter");
    person.sees("Nothing is different").does_not_see("Are you sure").does_not_see("none: take it away");
    // There is no endpoint to take away.
    let mut person = at_address(&[]);
    person.press("Tab").types("none").press("Enter").sees("Nothing is different");
    let mut person = at_address(&["endpoint=vpn.example.org"]);
    person.sees("none: take it away").press("Tab").types("none").press("Enter");
    person.sees("vpn.example.org → -").sees(FETCH);
}

#[test]
fn names_are_listed_as_space_allows() {
    let names: Vec<String> = (1..=11).map(|n| format!("client-{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for (lang, more) in [(Lang::En, "and 3 more"), (Lang::Tr, "ve 3 istemci daha")] {
        let server = Server::ready().with(&names);
        for name in &names {
            carried(&server, name, (1, 1));
        }
        let mut person = TuiDriver::new(server, Theme { lang, ..FULL }, (100, 40));
        person.press("1 5 1").sees("client-08").does_not_see("client-09").sees(more);
    }
}

#[test]
fn server_without_clients_offers_no_export() {
    let mut person = TuiDriver::new(Server::ready(), FULL, (100, 40));
    person.press("2 1 2").sees("Connected now: nobody").sees("There are no clients yet").does_not_see(FETCH);
}

#[test]
fn what_makes_no_sense_now_says_why() {
    let mut person = TuiDriver::new(Server::ready().with(&["anna"]), FULL, (100, 40));
    person.press("1 5").sees("It is running").press("2").does_not_see("Service started").press("3 y");
    person.sees("Service stopped").sees("It is stopped").press("3").does_not_see("Are you sure").press("2");
    person.sees("Service started successfully").press("0 0");

    person.picks("Multihop VPN").sees("Multihop is off").press("5").does_not_see("Are you sure").press("0");
    person.picks("HTTPS").sees("Ghost Mode is off").press("2").does_not_see("Are you sure").press("4");
    person.does_not_see("Client name").press("1 3").types("vpn.example.org").press("Tab Right Enter y 0");
    person.sees("It is on; disable it first").press("1").does_not_see("Self-signed");
    person
        .press("0 1")
        .picks("Server Address & Port")
        .sees("Port and WireGuard")
        .does_not_see("51820")
        .press("Esc 0 4");

    person
        .press("0 2 1")
        .sees("Google: 8.8.8.8, 8.8.4.4")
        .sees("in use")
        .press("1")
        .does_not_see("Are you sure");
    person.press("0 0 1 1 2").does_not_see("It is connected now").press("n");
    carried(&person.server, "anna", (1, 1));
    person.press("r 2").sees("It is connected now");
}
