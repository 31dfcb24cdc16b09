//! The hook of the interface's service: `phantom-api service up|down INTERFACE`.

use std::time::{Duration, Instant};

use phantom_host::LinkKind;
use phantom_tests::{Program, Run, Server, is_root, skip};

use crate::cases::with_john;
use crate::faults::{changed, embedded};

#[test]
fn up_converges_on_the_stored_state() {
    for server in [with_john(), embedded()] {
        let before = server.dump();
        server.fake.flush_firewall();
        server.fake.take_address("wg_main", "10.8.0.1/24".parse().unwrap()).unwrap();
        let answer = server.api(&["service", "up", "wg_main"]);
        assert_eq!(
            (answer.exit, answer.out.as_str(), answer.err.as_str()),
            (0, "", "phantom-api: wg_main: up\n")
        );
        assert_eq!(changed(&before, &server.dump()), "");
        server.assert_in_sync();
    }
}

#[test]
fn down_removes_only_our_link() {
    let server = with_john();
    let answer = server.api(&["service", "down", "wg_main"]);
    assert_eq!((answer.exit, answer.out.as_str()), (0, ""), "{}", answer.err);
    assert!(!server.fake.dump().contains("\nwg_main "), "the link is there");
    assert_eq!(server.api(&["service", "down", "wg_main"]).exit, 0, "it may be gone already");
    server.fake.add_link("wg_other", LinkKind::WireGuard).unwrap();
    let before = server.dump();
    assert_eq!(server.api(&["service", "down", "wg_other"]).exit, 0);
    assert_eq!(server.dump(), before, "a link of somebody else is touched");
}

#[test]
fn hook_leaves_work_to_lock_holder() {
    let server = with_john();
    server.fake.flush_firewall();
    let before = server.dump();
    let lock = server.store().lock(Duration::ZERO).unwrap();
    say_busy(&server, "wg_main", std::process::id());
    let began = Instant::now();
    for verb in ["up", "down"] {
        assert_eq!(server.api(&["service", verb, "wg_main"]).exit, 0, "{verb}");
    }
    assert!(began.elapsed() < Duration::from_secs(5), "it waited for the lock");
    assert_eq!(server.dump(), before);
    drop(lock);
    // What a holder left that died is no reason to do nothing.
    assert_eq!(server.api(&["service", "up", "wg_main"]).exit, 0);
    server.assert_in_sync();
    assert!(!server.paths().run_dir().join("unit-busy").exists());
}

/// Says in the place of the holder of the lock that it starts or stops the service of an interface.
fn say_busy(server: &Server, interface: &str, process: u32) {
    let dir = server.paths().run_dir().join("unit-busy");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join(interface), process.to_string()).unwrap();
}

#[test]
fn hook_works_while_lock_is_busy() {
    // The service of another interface; and what a holder left that was killed, before one that takes no notice of it.
    for (interface, process) in [("wg_vpn", std::process::id()), ("wg_main", 1)] {
        let server = with_john();
        server.fake.flush_firewall();
        let lock = server.store().lock(Duration::ZERO).unwrap();
        say_busy(&server, interface, process);
        // The clock of the host in memory does not wait.
        let answer = server.api(&["service", "up", "wg_main"]);
        assert_eq!(answer.exit, 1, "{interface}: it took another one's word");
        assert!(answer.err.contains("another change is running"), "{interface}: {}", answer.err);
        drop(lock);
        let answer = server.api(&["service", "up", "wg_main"]);
        assert_eq!(answer.exit, 0, "{interface}: {}", answer.err);
        server.assert_in_sync();
    }
}

#[test]
fn failure_is_on_stderr_with_exit_1() {
    let server = with_john();
    server.fake.flush_firewall();
    server.fake.refuse_from(1);
    let answer = server.api(&["service", "up", "wg_main"]);
    assert_eq!((answer.exit, answer.out.as_str()), (1, ""));
    assert!(
        answer.err.starts_with("phantom-api: wg_main: up: ") && answer.err.contains("refused"),
        "{}",
        answer.err
    );
}

#[test]
fn host_without_setup_stays_empty() {
    let server = Server::bare();
    let before = server.dump();
    assert_eq!(server.api(&["service", "down", "wg_main"]).exit, 0);
    assert_eq!(server.api(&["service", "up", "wg_main"]).exit, 1);
    assert_eq!(server.dump(), before);
}

#[test]
fn other_words_are_no_hook() {
    let server = with_john();
    let before = server.dump();
    for words in [
        &["service", "up", "a/b"][..],
        &["service", "up", "../x"],
        &["service", "down", ""],
        &["service", "up", &"a".repeat(16)],
    ] {
        let answer = server.api(words);
        assert_eq!((answer.exit, answer.out.as_str()), (2, ""), "{words:?}");
    }
    for words in [&["service", "restart", "wg_main"][..], &["service", "up", "wg_main", "more"]] {
        server.api(words).failed("MODULE_NOT_FOUND");
    }
    assert_eq!(server.dump(), before);
}

#[test]
fn link_survives_crash_for_next_start() {
    if !is_root() {
        return skip("link_survives_crash_for_next_start", "the hook needs root");
    }
    // The manager says how the service ended. Nothing is touched then: it works on an installation that is not there.
    let env = vec![("SERVICE_RESULT".to_owned(), "signal".into())];
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("none").display().to_string();
    let run = Run { env, ..Run::default() };
    let answer = Program::api().run_as(&["--root", &root, "service", "down", "wg_nothing"], &run);
    assert_eq!((answer.exit, answer.err.as_str()), (0, "phantom-api: wg_nothing: down\n"));
}
