//! The screens of Multihop: exits imported by picking their files, turned to and left again.

use phantom_tests::Server;

use crate::driver::{FULL, TuiDriver};

/// At the menu of Multihop, with files of two providers to pick from.
fn person() -> TuiDriver {
    let server = Server::ready().with(&["anna"]);
    for (file, host, last, number) in [
        ("/root/xeovo-uk.conf", "uk.gw.xeovo.com", 134, 0x50),
        ("/root/vpn/nl.conf", "nl.gw.xeovo.com", 9, 0x60),
    ] {
        server.put_exit(file, host, [185, 213, 155, last], number);
    }
    server.fake.put_file("/root/notes.txt", b"", 0o600, 0);
    let mut person = TuiDriver::new(server, FULL, (110, 40));
    person.sees("○ Multihop Inactive").picks("Multihop VPN").sees("9  Session Log");
    person
}

/// With both exits imported.
fn with_exits() -> TuiDriver {
    let person = person();
    for file in ["/root/xeovo-uk.conf", "/root/vpn/nl.conf"] {
        let path = format!("config_path={file}");
        person.server.api(&["multihop", "import_vpn_config", &path]).ok();
    }
    person
}

#[test]
fn file_is_picked_with_unused_settings_shown() {
    let mut person = person();
    person.press("1").sees("/root").sees("vpn/").sees("xeovo-uk.conf").does_not_see("notes.txt");
    person
        .picks_line("vpn/")
        .press("Enter")
        .sees("/root/vpn")
        .sees("nl.conf")
        .press("Left")
        .sees("xeovo-uk.conf");
    person.picks_line("xeovo-uk.conf").press("Enter").sees("Name for the configuration").press("Enter");
    person.sees("VPN configuration imported successfully").sees("Unknown Provider");
    person.sees("DNS of an exit is not used").sees("4").press("0").sees("9  Session Log");
    // A path can be typed, too, and a name.
    person.press("1 t").sees("Path of the configuration file").types("vpn/nl.conf").press("Enter");
    person.sees("/root/vpn/nl.conf").types("amsterdam").press("Enter").sees("amsterdam").press("0");
    person.press("3").sees("○ Inactive").sees("uk.gw.xeovo.com:51820").sees("amsterdam");
    assert_eq!(person.server.api(&["multihop", "list_exits"]).ok()["total"], 2);
}

#[test]
fn invalid_configuration_is_refused_with_reason() {
    let mut person = person();
    person.server.fake.put_file("/root/empty.conf", b"[Interface]\n", 0o600, 0);
    person.press("1").picks_line("empty.conf").press("Enter Enter").sees("[VPN_CONFIG_ERROR]");
    assert_eq!(person.server.api(&["multihop", "list_exits"]).ok()["total"], 0);
}

#[test]
fn exits_are_turned_to_and_left() {
    let mut person = with_exits();
    person.press("4").sees("xeovo-uk").sees("nl").picks_line("xeovo-uk").press("Enter");
    person
        .sees("Drop client traffic")
        .press("Enter")
        .sees("Enable multihop")
        .press("Enter")
        .sees("Cancelled");
    person.press("Enter y");
    person.sees("185.213.155.134").press("0 0").sees("● Multihop Active");
    person.press("3 3").sees("● Active").sees("uk.gw.xeovo.com:51820").press("0");
    person.press("7").sees("xeovo-uk").press("0 8").sees("● All tests passed").sees("Handshake").press("0");
    // What it means to remove the one in use is said.
    person.press("2").picks_line("xeovo-uk").press("Enter").sees("This cannot be undone").sees("own uplink");
    person.press("Enter").sees("Cancelled").press("0");
    person.press("5").sees("own uplink").press("Enter").sees("Cancelled");
    assert_eq!(person.server.api(&["multihop", "status"]).ok()["active_exit"], "xeovo-uk");
    person.press("5 y").sees("○ Multihop Inactive");
    person.press("2").picks_line("nl").press("Enter y").sees("removed").does_not_see("own uplink");
    assert_eq!(person.server.api(&["multihop", "list_exits"]).ok()["total"], 1);
    person.server.assert_in_sync();
}

#[test]
fn exit_has_fallbacks() {
    let mut person = with_exits();
    person.press("4").picks_line("xeovo-uk").press("Enter").sees("take its place").press("Tab").types("nl");
    person.press("Enter y").sees("185.213.155.134");
    assert_eq!(person.server.api(&["multihop", "status"]).ok()["fallback_exits"][0], "nl");
}

#[test]
fn chosen_exit_is_marked_during_fallback() {
    let mut person = with_exits();
    person.server.api(&["multihop", "enable_multihop", "exit_name=xeovo-uk", "fallback_exits=nl"]).ok();
    assert_eq!(person.server.api(&["service", "turn", "nl"]).exit, 0);
    person.press("2").sees("replaced").picks_line("xeovo-uk").press("Enter").sees("This cannot be undone");
    person.sees("traffic goes on through: nl").does_not_see("own uplink").press("y");
    person.sees("client traffic still goes through 'nl'");
    assert_eq!(person.server.api(&["multihop", "status"]).ok()["active_exit"], "nl");
    person.server.assert_in_sync();
}

#[test]
fn dead_exit_is_refused_keeping_earlier_one() {
    let mut person = with_exits();
    let dead = phantom_types::PrivateKey::from_random([0x61; 32]).public_key();
    person.server.fake.let_peer_answer(dead, false);
    person.press("4").picks_line("xeovo-uk").press("Enter Enter y 0");
    person
        .press("4")
        .picks_line("nl")
        .press("Enter Enter y")
        .sees("[MULTIHOP_ERROR]")
        .sees("● Multihop Active");
    assert_eq!(person.server.api(&["multihop", "status"]).ok()["active_exit"], "xeovo-uk");
    person.server.assert_in_sync();
}

#[test]
fn session_log_is_followed_until_ctrl_c() {
    let mut person = with_exits();
    person.press("9").sees("No").press("Ctrl-C").sees("9  Session Log");
    person.server.api(&["multihop", "enable_multihop", "exit_name=xeovo-uk"]).ok();
    person.press("9").sees("Session started").waits(3);
    person.server.api(&["multihop", "enable_multihop", "exit_name=nl"]).ok();
    person.waits(3).sees("nl").press("Ctrl-C");
    person.sees("9  Session Log").does_not_see("Leave Phantom-WG?");
}
