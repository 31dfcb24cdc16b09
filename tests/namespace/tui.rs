//! The full-screen interface in a real terminal, on a real host.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use phantom_tests::read_qr;

use crate::terminal::Terminal;
use crate::world::{At, SERVER, TestNet, backend, in_world_with, wait_for};

/// What every test here needs beside the rest.
const PROGRAMS: [&str; 3] = ["tmux", "stty", "pgrep"];
/// A terminal in which a code has room.
const LARGE: (u16, u16) = (120, 45);
const UTF8: &str = "LC_ALL=C.UTF-8";

fn open<'w>(world: &'w TestNet, name: &str, size: (u16, u16)) -> Terminal<'w> {
    Terminal::open(world, name, size, UTF8, "phantom-wg")
}

#[test]
fn a_day_at_the_terminal() {
    in_world_with("tui::a_day_at_the_terminal", &PROGRAMS, |world| {
        let screen = open(world, "day", LARGE);
        screen.sees("This server has not been set up").types(SERVER);
        let turns = if backend() == "kernel" { "Right" } else { "Right Right" };
        screen.press("Tab Tab Tab Tab Tab").press(turns).press("Enter").sees("System initialised");
        assert_eq!(world.ok(&["core", "server_status"])["system"]["backend"], backend());
        screen.press("Enter").sees("Core Management");

        // A client that knows nothing but what is seen on the screen.
        screen
            .press("1")
            .sees("Client Operations")
            .press("1")
            .sees("No clients yet")
            .press("1")
            .sees("Name of the");
        screen
            .types("phone")
            .press("Enter")
            .sees("Client added successfully")
            .press("q")
            .loses("[Interface]");
        let config = seen_code(&screen);
        assert_eq!(config, world.export("phone"));
        world.connect(At::Client1, &config);
        world.reaches(At::Client1, "10.8.0.1");
        screen.press("0").sees("[Interface]").press("0").sees("● Connected").sees("● Clients 1/1");

        save(world, &screen, &config);
        for name in ["tablet", "laptop"] {
            world.add(name);
        }
        screen.sees("laptop").press("s").types("tab").loses("laptop").sees("tablet").press("Enter");
        screen
            .press("2")
            .sees("This cannot be undone")
            .press("y")
            .sees("Removed: tablet")
            .press("c")
            .sees("laptop");
        assert_eq!(world.ok(&["core", "list_clients"])["total"], 2);

        subnet(world, &screen);
        screen
            .press("2")
            .sees("Test DNS Servers")
            .press("1")
            .sees("Quad9")
            .press("3")
            .sees("Are you sure")
            .press("y");
        screen.sees("DNS configuration updated globally").press("0");
        assert!(world.export("phone").contains("DNS = 9.9.9.9, 149.112.112.112"));

        ghost(world, &screen);
        world.in_sync();
        screen.press("C-c").sees("Are you sure? (y/N)").press("y").is_left_well();
        world.in_sync();
    });
}

/// The text of the code on the screen, which may still be drawn.
fn seen_code(screen: &Terminal<'_>) -> String {
    let mut last = Err(String::new());
    wait_for(Duration::from_secs(10), || {
        last = read_qr(&screen.spots());
        last.is_ok()
    });
    last.unwrap_or_else(|error| panic!("{error}:\n{}", screen.screen()))
}

fn save(world: &TestNet, screen: &Terminal<'_>, config: &str) {
    screen.press("3").sees("[Interface]").press("s").sees("/opt/phone.conf").press("Enter");
    screen.sees("Saved: /opt/phone.conf (0600)").press("0").sees("Total: 1");
    assert_eq!(world.sh("stat -c %a:%u /opt/phone.conf").trim(), "600:0");
    assert_eq!(std::fs::read_to_string("/opt/phone.conf").unwrap(), format!("{config}\n"));
}

fn subnet(world: &TestNet, screen: &Terminal<'_>) {
    screen
        .press("0")
        .sees("Change Default Subnet")
        .press("8")
        .sees("10.8.0.0/24")
        .press("c")
        .sees("New subnet");
    screen
        .types("192.168.77.0/24")
        .press("Enter")
        .sees("The subnet can be changed")
        .press("c")
        .sees("interrupted");
    screen.press("y").sees("cannot be undone").press("y").sees("Successfully changed subnet");
    assert_eq!(world.ok(&["core", "get_subnet_info"])["current_subnet"], "192.168.77.0/24");
    world.disconnect(At::Client1);
    world.connect(At::Client1, &world.export("phone"));
    world.reaches(At::Client1, "192.168.77.1");
    screen.press("0").sees("Client Operations").press("0").sees("DNS Management");
}

fn ghost(world: &TestNet, screen: &Terminal<'_>) {
    screen.sees("Core Management").picks("HTTPS").sees("Export for Client");
    screen.press("1").sees("Self-signed").press("3").sees("A record").types("vpn.example.org");
    screen.press("Tab Right Enter").sees("A record: Yes").press("y").sees("wss://vpn.example.org").press("0");
    screen.sees("● Ghost Active").press("4").sees("Client name").types("phone").press("Enter");
    screen.sees("GHOST MODE CLIENT CONFIGURATION").press("q").loses("CLIENT CONFIGURATION").resize(140, 70);
    let config = seen_code(screen);
    assert!(config.contains("Endpoint = 127.0.0.1:51820"), "{config}");
    screen
        .press("0")
        .sees("GHOST MODE CLIENT")
        .press("0")
        .sees("Disable")
        .press("2")
        .sees("Are you sure")
        .press("y");
    screen.sees("Ghost Mode disabled successfully");
    assert_eq!(world.ok(&["ghost", "status"])["enabled"], false);
}

#[test]
fn selection_is_copied_and_paste_is_used() {
    in_world_with("tui::selection_is_copied_and_paste_is_used", &PROGRAMS, |world| {
        world.setup();
        world.add("phone");
        let words = ["domain=vpn.example.org", "self_signed=true", "skip_dns_check=true"];
        world.ok(&[&["ghost", "enable"], &words[..]].concat());
        let command = world.ok(&["ghost", "status"])["connection_command"].as_str().unwrap().to_owned();

        // The command is longer than the screen is wide.
        let screen = open(world, "copy", (80, 24));
        screen.picks("HTTPS").sees("Export for Client").press("3").sees("vpn.example.org");
        assert_ne!(screen.copies_line("wstunnel client"), command, "a drawn line ends where its row does");
        screen.press("k").sees("Mouse Select");
        assert_eq!(screen.copies_line("wstunnel client"), command);
        // Looking on does not touch what is there, and whatever comes next is drawn whole.
        screen.press("?").sees("Everywhere").press("Escape").sees("Mouse Select").resize(60, 20);
        let is_whole = || screen.copies_line("wstunnel client") == command;
        assert!(wait_for(Duration::from_secs(10), is_whole), "{}", screen.screen());
        screen.resize(80, 24).press("s").sees("/opt/phantom-wg.txt").pastes("/opt/mine.txt").press("Enter");
        screen.sees("Saved: /opt/mine.txt (0600)").press("0").sees("Since");
        assert_eq!(world.sh("stat -c %a:%u /opt/mine.txt").trim(), "600:0");
        assert!(std::fs::read_to_string("/opt/mine.txt").unwrap().lines().any(|line| line == command));
        screen.press("C-c").sees("Are you sure").press("y").is_left_well();
    });
}

#[test]
fn many_resizes_leave_a_whole_screen() {
    in_world_with("tui::many_resizes_leave_a_whole_screen", &PROGRAMS, |world| {
        world.setup();
        world.add("phone");
        let screen = open(world, "storm", (80, 24));
        screen.sees("Core Management").press("1").sees("Client Operations").press("1").sees("phone");
        for round in 0..60_u16 {
            screen.resize(20 + (round * 37) % 140, 5 + (round * 23) % 60);
        }
        screen.resize(100, 30).sees("phone").sees("Total: 1").sees("Ctrl-C");
        let text = screen.screen();
        let borders = |corner: char| text.chars().filter(|letter| *letter == corner).count();
        assert_eq!(['┌', '┐', '└', '┘'].map(borders), [1; 4], "{text}");
        screen.press("C-c").sees("Are you sure").press("y").is_left_well();
    });
}

#[test]
fn key_pressed_during_a_resize_counts() {
    in_world_with("tui::key_pressed_during_a_resize_counts", &PROGRAMS, |world| {
        world.setup();
        let screen = open(world, "resized", (80, 24));
        screen.sees("Core Management");
        for round in 0..100_u16 {
            screen.resize_and_press(80 + round % 2, 24, "?").sees("Everywhere");
            screen.resize_and_press(81 - round % 2, 24, "Escape").loses("Everywhere");
        }
        screen.press("C-c").sees("Are you sure").press("y").is_left_well();
    });
}

#[test]
fn killed_anywhere_restores_the_terminal() {
    in_world_with("tui::killed_anywhere_restores_the_terminal", &PROGRAMS, |world| {
        world.setup();
        world.add("phone");
        // Where: keys, and what is seen then.
        let ways: [&[(&str, &str)]; 4] = [
            &[],
            &[("1", "Client Operations"), ("1", "phone"), ("1", "Name of the client")],
            &[("1", "Client Operations"), ("1", "phone"), ("3", "PrivateKey")],
            &[("1", "Client Operations"), ("1", "phone"), ("3", "PrivateKey"), ("q", "Invert")],
        ];
        for (at, way) in ways.into_iter().enumerate() {
            for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT] {
                let screen = open(world, &format!("kill-{at}-{signal}"), LARGE);
                screen.sees("Core Management");
                for (keys, seen) in way {
                    screen.press(keys).sees(seen);
                }
                kill(Pid::from_raw(screen.process()), signal).unwrap();
                screen.is_left(128 + signal as i32);
            }
        }
    });
}

#[test]
fn killed_while_starting_restores_the_terminal() {
    in_world_with("tui::killed_while_starting_restores_the_terminal", &PROGRAMS, |world| {
        world.setup();
        for delay in 1..13 {
            // `timeout` sends the signal to itself too, and gives 124 for it.
            let limit = format!("timeout --foreground 0.0{delay:02} phantom-wg");
            let screen = Terminal::open(world, &format!("early-{delay}"), (80, 24), UTF8, &limit);
            screen.is_left(124);
        }
    });
}

#[test]
fn begun_change_is_finished_before_the_end() {
    in_world_with("tui::begun_change_is_finished_before_the_end", &PROGRAMS, |world| {
        world.setup();
        let screen = open(world, "change", (80, 24));
        screen
            .sees("Core Management")
            .press("1")
            .sees("Client Operations")
            .press("5")
            .sees("Restart")
            .press("1");
        screen.sees("Are you sure").press("y");
        kill(Pid::from_raw(screen.process()), Signal::SIGTERM).unwrap();
        screen.is_left(143);
        let plan = world.ok(&["core", "reconcile", "dry_run=true"]);
        assert_eq!(
            (&plan["in_sync"], &plan["recovered"]),
            (&true.into(), &serde_json::Value::Null),
            "{plan:#}"
        );
    });
}

#[test]
fn panic_restores_the_terminal() {
    in_world_with("tui::panic_restores_the_terminal", &PROGRAMS, |world| {
        world.setup();
        let screen = Terminal::open(world, "panic", (80, 24), UTF8, "phantom-wg-faulty");
        screen.picks("Faults").sees("The work panics").press("1").sees("[INTERNAL_ERROR]").press("Enter");
        // Nothing was printed over the screen.
        screen.loses("panicked at").sees("The work panics").press("2").sees("panicked at").is_left(101);
    });
}

#[test]
fn terminals_that_can_do_less() {
    in_world_with("tui::terminals_that_can_do_less", &[&PROGRAMS[..], &["setpriv"]].concat(), |world| {
        world.setup();
        world.add("phone");
        let screen = Terminal::open(world, "ascii", (160, 80), "LC_ALL=C", "phantom-wg --lang tr");
        screen.sees("Ana Menu").press("1").sees("Tweak").press("1").sees("phone");
        assert!(screen.screen().is_ascii(), "{}", screen.screen());
        screen.press("3").sees("[Interface]").press("q").sees("Ters");
        // Two columns a module: a cell stands for half of one, as high as it is wide.
        assert_eq!(seen_code(&screen), world.export("phone"));
        screen
            .press("0")
            .sees("[Interface]")
            .press("C-c")
            .sees("Emin misiniz? (e/H)")
            .press("e")
            .is_left_well();

        for (name, variables, option) in [("plain", "NO_COLOR=1", ""), ("option", "", "--no-color")] {
            let variables = format!("{UTF8} {variables}");
            let screen = Terminal::open(world, name, LARGE, &variables, &format!("phantom-wg {option}"));
            screen
                .sees("Core Management")
                .press("1 1")
                .sees("phone")
                .press("3")
                .sees("[Interface]")
                .press("q")
                .sees("Invert");
            assert!(
                screen
                    .spots()
                    .iter()
                    .flatten()
                    .all(|spot| [spot.ink, spot.ground].iter().all(|light| [20, 220].contains(light)))
            );
            assert_eq!(seen_code(&screen), world.export("phone"));
            screen.press("C-c").sees("Are you sure").press("y").is_left_well();
        }

        let nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups phantom-wg";
        let screen = Terminal::open(world, "nobody", (80, 24), UTF8, nobody);
        screen.sees("phantom-wg: Root privileges are required").is_left(1);
        let output = crate::world::program("phantom-wg").output().unwrap();
        assert_eq!(output.status.code(), Some(2), "an option of another program");
        let screen = Terminal::open(world, "pipe", (80, 24), UTF8, "phantom-wg --lang tr < /dev/null");
        screen.sees("phantom-wg: Terminal gerekli").is_left(2);
    });
}

impl Terminal<'_> {
    #[track_caller]
    fn is_left_well(&self) {
        self.is_left(0);
    }
}
