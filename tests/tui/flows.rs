//! What a person does from screen to screen, and what comes of it on the server.

use phantom_api::Lang;
use phantom_cli::Theme;
use phantom_tests::Server;

use crate::driver::{FULL, TuiDriver, carried};

const WIDE: (u16, u16) = (120, 40);

fn person(server: Server) -> TuiDriver {
    TuiDriver::new(server, FULL, (80, 24))
}

#[test]
fn client_is_added_shown_and_saved() {
    let mut person = TuiDriver::new(Server::ready(), FULL, WIDE);
    person.press("1 1 1").types("john laptop").press("Enter").sees("invalid characters");
    person.press("Esc 1").types("john-laptop").press("Enter");
    person.sees("Client added successfully").sees("[Interface]");
    let config = person.server.api(&["core", "export_client", "client_name=john-laptop"]).ok();
    let config = config["config"].as_str().unwrap().to_owned();
    person.press("q");
    assert_eq!(person.reads_code(), config);

    person.press("0 s Enter").sees("Saved: /root/john-laptop.conf (0600)");
    let saved = phantom_host::Files::read(&person.server.fake, "/root/john-laptop.conf".as_ref()).unwrap();
    assert_eq!(String::from_utf8(saved.unwrap()).unwrap(), format!("{config}\n"));
    let info = phantom_host::Files::info(&person.server.fake, "/root/john-laptop.conf".as_ref()).unwrap();
    assert_eq!(info.unwrap().mode, 0o600);
    // It is there now: nothing is written over without a yes.
    person.press("s Enter").sees("Write over it?").press("Enter").sees("Cancelled").press("Esc");
    person.press("s Enter y").sees("Saved:");
}

#[test]
fn taken_name_is_reported_with_code() {
    let mut person = person(Server::ready().with(&["john"]));
    person
        .press("1 1 1")
        .types("JOHN")
        .press("Enter")
        .sees("Client 'john' already exists")
        .sees("[CLIENT_EXISTS]");
    // The form is still there, with what was typed.
    person.press("Enter").sees("JOHN");
}

#[test]
fn removing_needs_a_clear_yes() {
    let mut person = person(Server::ready().with(&["anna", "ben"]));
    for no in ["Enter", "Esc", "n", "Ctrl-C"] {
        person.press("1 1 2").sees("This cannot be undone").sees("Client anna");
        person.press(no).sees("Cancelled").press("0 0");
    }
    assert_eq!(person.server.api(&["core", "list_clients"]).ok()["total"], 2);
    person.press("1 1 Down 2 y").sees("Removed: ben (10.8.0.3)").sees("Total: 1");
    assert_eq!(person.server.api(&["core", "list_clients"]).ok()["clients"][0]["name"], "anna");
}

#[test]
fn pages_and_search() {
    let names: Vec<String> = (1..=25).map(|n| format!("client-{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut person = person(Server::ready().with(&names));
    person.press("1 1").sees("client-10").does_not_see("client-11").sees("Total: 25   Page 1/3");
    person.press("n").sees("client-11").press("PageDown").sees("client-25").press("n").sees("Page 3/3");
    person
        .press("p")
        .sees("Page 2/3")
        .press("g 1 Enter")
        .sees("Page 1/3")
        .press("g 9 9 Enter")
        .sees("Page 3/3");
    // Found while it is typed; letters are letters then.
    person.press("s").types("t-2").sees("Total: 6").sees("client-25").press("Enter").sees("Search: t-2");
    person.press("c").sees("Total: 25").press("s").types("10.8.0.7").sees("client-06").sees("Total: 1");
    person.press("Esc").sees("Total: 25").press("s").types("?zz").sees("Nothing found");
}

#[test]
fn a_search_finds_names_before_addresses() {
    // Every address has an 8 in it.
    let names: Vec<String> = (1..=11).map(|n| format!("c{}", ["a", "b"][n % 2].repeat(n))).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).chain(["room-8"]).collect();
    let mut person = person(Server::ready().with(&names));
    person.press("1 1").does_not_see("room-8").press("s").types("8").sees("Total: 12").sees("room-8");
    let screen = person.screen();
    assert!(screen.lines().any(|line| line.starts_with("│ 1 ") && line.contains("room-8")), "{screen}");
}

#[test]
fn eighty_columns_show_traffic_and_page_keys() {
    let server = Server::ready().with(&["anna"]);
    carried(&server, "anna", (39_866_860, 2_000));
    let mut person = person(server);
    person.press("1 1").sees("Transfer").sees("↓38M ↑1.9K").sees("P N Previous, next").sees("G Go to page");
}

#[test]
fn a_change_made_elsewhere_is_seen() {
    let mut person = person(Server::ready());
    person.press("1 1").sees("No clients yet");
    person.server.api(&["core", "add_client", "client_name=from-elsewhere"]).ok();
    person.waits(3).sees("from-elsewhere").sees("Clients 0/1");
}

#[test]
fn the_subnet_changes_after_two_questions() {
    let mut person = person(Server::ready().with(&["anna"]));
    person.press("1 8").sees("10.8.0.0/24").sees("WireGuard service will be restarted");
    person.press("c").types("10.8.0.0/30").press("Enter").sees("at most /29 is allowed").press("c");
    person.sees("cannot be changed").press("0");
    person.press("Esc c").types("10.8.0.1/24").press("Enter").sees("is not an IPv4 subnet in CIDR form");
    person
        .press("Esc c")
        .types("192.168.100.0/24")
        .press("Enter")
        .sees("192.168.100.2")
        .press("c y")
        .sees("fetch");
    person.press("Enter").sees("Cancelled");
    assert_eq!(person.server.api(&["core", "get_subnet_info"]).ok()["current_subnet"], "10.8.0.0/24");
    person.press("c y y").sees("Successfully changed subnet from 10.8.0.0/24 to 192.168.100.0/24");
    person.sees("Next steps").press("0").sees("8  Change Default Subnet");
    assert_eq!(person.server.api(&["core", "get_subnet_info"]).ok()["current_subnet"], "192.168.100.0/24");
    person.server.assert_in_sync();
}

#[test]
fn dns_servers_are_chosen_by_their_operators() {
    let mut person = person(Server::ready());
    person
        .press("2 1 3")
        .sees("9.9.9.9")
        .sees("149.112.112.112")
        .press("y")
        .sees("DNS configuration updated globally");
    assert_eq!(person.server.api(&["dns", "get_dns_servers"]).ok()["primary"], "9.9.9.9");
    person.press("4").sees("9.9.9.9 (Quad9)").press("0 1 5").types("nonsense").press("Enter");
    person.sees("primary must be an IP address");
}

#[test]
fn a_setting_is_changed_after_a_question() {
    let mut person = person(Server::ready());
    person.press("1 7").sees("block_ipv6_leak: Yes").press("2").sees("Yes → No").press("y");
    person.sees("block_ipv6_leak: No").sees("updated from True to False");
    assert_eq!(person.server.api(&["core", "get_tweak_settings"]).ok()["block_ipv6_leak"], false);
}

#[test]
fn the_language_changes_at_once_and_stays() {
    let mut person = person(Server::ready());
    person.picks("Language").press("2").sees("Ana Menü").sees("Core Yönetimi").sees("'language'");
    assert_eq!(person.server.phantom().stored_language(), Some(Lang::Tr));
    person.press("Ctrl-C").sees("Emin misiniz? (e/H)").press("e");
    assert!(person.has_left());
}

#[test]
fn the_service_is_stopped_and_started() {
    let mut person = person(Server::ready());
    person.press("1 5 3").sees("All connected clients will be interrupted").press("y");
    person.sees("Service stopped successfully").sees("✖ Service Stopped");
    person.press("2").sees("Service started successfully").sees("● Service Running");
}

#[test]
fn missing_host_objects_are_repaired() {
    let mut person = person(Server::ready());
    person.server.fake.flush_firewall();
    person.press("1 9").sees("Add missing firewall rule").press("a Enter").sees("Cancelled");
    person.press("a y").sees("Steps applied").press("0 9").sees("Host matches the stored state");
    person.server.assert_in_sync();
}

#[test]
fn ghost_mode_with_its_export() {
    let mut person = TuiDriver::new(Server::ready().with(&["anna"]), FULL, (130, 60));
    person
        .press("4 1 3")
        .types("vpn.example.org")
        .press("Tab Right Enter")
        .sees("vpn.example.org")
        .sees("Do not check the A record: Yes");
    person.press("y").sees("vpn.example.org").sees("Export for Client").press("0").sees("● Ghost Active");
    person.press("4").types("anna").press("Enter").sees("GHOST MODE CLIENT CONFIGURATION").press("q");
    // With the server's IPv6 address led round the tunnel it is longer than any code.
    person.sees("The configuration is too long for a QR code");
    // The ordinary export says that it is of no use now, and leads there too.
    person
        .press("0 0 0 1 1 3")
        .sees("nobody can connect now")
        .press("g")
        .sees("GHOST MODE CLIENT CONFIGURATION");
    person.press("0 0 0 0 4");
    person.press("2 y").sees("Ghost Mode disabled successfully").sees("○ Ghost Inactive");
    person.press("4").sees("▲ Ghost Mode is off");
}

#[test]
fn interface_stays_responsive_during_work() {
    let mut person = person(Server::ready());
    person.press("1 1 1").types("slow").hold();
    person.press("Enter").waits(3).sees("Working… Add a client (3 s)");
    // No key but those for leaving counts now.
    person.press("0 0 Esc").sees("Name of the client");
    person.press("Ctrl-C").sees("First this is finished").press("n");
    person.go_on();
    person.sees("Client added successfully");
    assert!(!person.has_left());
}

#[test]
fn leave_question_outlasts_running_work() {
    let mut person = person(Server::ready());
    person.press("1 5").sees("Restart").hold();
    person.picks("Stop").press("Ctrl-C").sees("Leave Phantom-WG?");
    person.go_on();
    // The next question comes below it, and the `y` that is on its way does not answer that one.
    person.sees("Leave Phantom-WG?").press("y");
    assert!(person.has_left());
    assert_eq!(
        person.server.api(&["core", "server_status"]).ok()["service"]["running"],
        true,
        "nothing was stopped"
    );
}

#[test]
fn leaving_is_confirmed_with_no_as_default() {
    let mut person = person(Server::ready());
    person.press("0 Enter");
    assert!(!person.has_left());
    person
        .press("1 1 Ctrl-C")
        .sees("Leave Phantom-WG?")
        .press("Esc")
        .sees("Client Operations")
        .press("Ctrl-C y");
    assert!(person.has_left());
}

#[test]
fn wrong_key_is_reported_without_effect() {
    let mut person = person(Server::ready());
    person.press("7").sees("Invalid choice").sees("1  Core Management");
    person.press("?").sees("Everywhere").press("Esc").does_not_see("Everywhere");
    // A pasted path does not press keys.
    person.pastes("1\n1").sees("1  Core Management");
}

#[test]
fn connected_clients_are_seen_with_their_rates() {
    let server = Server::ready().with(&["anna"]);
    carried(&server, "anna", (1_000, 2_000));
    let theme = Theme { ..FULL };
    let mut person = TuiDriver::new(server, theme, (150, 30));
    person.press("1 1").waits(3).sees("● Connected").sees("↓ 1000 B ↑ 1.95 KiB").sees("● Clients 1/1");
    carried(&person.server, "anna", (1_000 + 4_096, 2_000));
    person.waits(2).sees("2.00 KiB/s");
}
