//! Long values leave the screen whole: as lines that a terminal's selection takes, or as a file for their owner alone. And
//! paths come in by the clipboard.

use phantom_host::Files as _;
use phantom_tests::Server;

use crate::driver::{FULL, TuiDriver};

fn person() -> TuiDriver {
    TuiDriver::new(Server::ready().with(&["anna"]), FULL, (80, 24))
}

fn config(person: &TuiDriver) -> String {
    let export = person.server.api(&["core", "export_client", "client_name=anna"]);
    export.ok()["config"].as_str().unwrap().to_owned()
}

#[test]
fn a_configuration_is_copied_without_a_frame() {
    let mut person = person();
    person.press("1 1 3");
    assert_eq!(person.page(), None, "a report is drawn");
    let page = person.press("k").page().unwrap();
    assert!(page.join("\n").contains(&config(&person)), "{page:#?}");
    person.does_not_see("│").press("0").sees("Configuration").sees("│");
}

#[test]
fn no_secret_is_cut() {
    let mut person = person();
    person
        .server
        .api(&["ghost", "enable", "domain=vpn.example.org", "self_signed=true", "skip_dns_check=true"])
        .ok();
    let status = person.server.api(&["ghost", "status"]).ok().clone();
    let command = status["connection_command"].as_str().unwrap();
    let secret = command.split('"').nth(1).unwrap();
    person.picks("HTTPS").press("3");
    let framed = person.screen();
    assert!(framed.lines().any(|line| line.contains(secret)), "the secret is cut on the screen:\n{framed}");
    let page = person.press("k").page().unwrap();
    assert!(page.iter().any(|line| line == command), "{page:#?}");
    // What stands there is seen whole on a narrow terminal, too.
    person.resize((40, 12));
    let page = person.press("Home").page().unwrap();
    assert!(page.len() < 12 && !page.is_empty(), "{page:#?}");
}

#[test]
fn long_text_is_paged() {
    let mut person = person();
    person.press("1 a k");
    let first = person.page().unwrap();
    let second = person.press("PageDown").page().unwrap();
    assert_ne!(first, second);
    assert_eq!(person.press("Home").page().unwrap(), first);
    // At the end nothing is scrolled away.
    for _ in 0..50 {
        person.press("PageDown");
    }
    assert!(!person.page().unwrap().is_empty());
}

#[test]
fn every_report_is_saved_privately() {
    let mut person = person();
    person.press("1 a k s").sees("/root/phantom-wg.txt").press("Enter");
    assert_eq!(person.foot(), " ● Saved: /root/phantom-wg.txt (0600)");
    let (fake, path) = (&person.server.fake, "/root/phantom-wg.txt".as_ref());
    let text = String::from_utf8(fake.read(path).unwrap().unwrap()).unwrap();
    assert!(text.contains("Only root can read what is secret"), "{text}");
    assert_eq!(fake.info(path).unwrap().unwrap().mode, 0o600);
}

#[test]
fn an_error_is_copied_too() {
    let mut person = person();
    person.press("1 1 1").types("ANNA").press("Enter k");
    assert!(person.page().unwrap().contains(&"[CLIENT_EXISTS]".to_owned()));
    person.press("0").sees("[CLIENT_EXISTS]");
}

#[test]
fn pasted_path_replaces_the_proposal() {
    let mut person = person();
    person
        .press("1 1 3 s")
        .sees("/root/anna.conf")
        .pastes("/root/a.conf\n")
        .sees("    /root/a.conf")
        .press("Enter");
    person.sees("Saved: /root/a.conf (0600)");
    // What somebody has begun to type is theirs.
    person.press("s").types("2").pastes("/x").sees("/root/anna.conf2/x").press("Esc s");
    // Typed, a path of its own begins with its first letter.
    person.types("/root/b").press("Enter").sees("Saved: /root/b (0600)");
}

#[test]
fn path_can_be_pasted_into_picker() {
    let mut person = person();
    person.server.put_exit("/root/vpn/oslo.conf", "no.gw.example.net", [185, 213, 155, 134], 0x50);
    person
        .picks("Multihop VPN")
        .press("1")
        .pastes("/root/vpn/oslo.conf\n")
        .sees("Path of the configuration file");
    person.press("Enter").sees("/root/vpn/oslo.conf").press("Enter").sees("imported successfully");
}
