//! The factory reset on the host in memory: refused at each of its writes, on both packet filters, among objects of others.

use std::ffi::OsString;
use std::io;
use std::time::{Duration, Instant};

use phantom_factory_reset::command::{self, Environment, Opened, Streams};
use phantom_factory_reset::{Done, LOCK_WAIT, ResetError, ResetTarget, Stage, reset, uninstall};
use phantom_host::linux::Called;
use phantom_host::{FirewallKind, Ruleset, RulesetStatus};
use phantom_store::Paths;
use phantom_tests::{SERVER_IP, Server};

use crate::cases::{with_ghost, with_john};
use crate::ownership::{assert_untouched, surround};

fn with_place<T>(server: &Server, stage: &dyn Fn(Stage), run: impl FnOnce(&ResetTarget<'_>) -> T) -> T {
    let api = |words: &[&str]| {
        let answer = server.api(words);
        Ok(Called { status: Some(answer.exit.into()), out: answer.out.into_bytes(), errors: answer.err })
    };
    let (host, paths, lock_wait) = (&server.host, server.paths(), LOCK_WAIT);
    run(&ResetTarget { host, paths, lock_wait, api: &api, stage, taken: &|_| () })
}

pub(crate) fn run(server: &Server) -> Result<Done, ResetError> {
    with_place(server, &|_| (), reset)
}

#[track_caller]
fn assert_new(server: &Server, what: &str) {
    server.assert_in_sync();
    let state = server.api(&["core", "list_clients"]).ok();
    assert_eq!(state["total"], 0, "{what}");
    assert_eq!(server.api(&["ghost", "status"]).ok()["enabled"], false, "{what}");
    assert!(!server.store().reset_pending().unwrap(), "{what}");
    let now = server.api(&["core", "setup"]).ok();
    assert_eq!((&now["created"], &now["server_ip"]), (&false.into(), &SERVER_IP.into()), "{what}");
}

#[test]
fn untagged_configuration_goes_by_its_key() {
    let path = "/etc/wireguard/wg_main.conf";
    let there = |server: &Server| phantom_host::Files::read(&server.fake, path.as_ref()).unwrap();
    let server = Server::ready();
    let old = server.store().read(phantom_store::State::server).unwrap().unwrap().private_key.reveal();
    server.fake.put_file(path, format!("[Interface]\nPrivateKey = {}\n", *old).as_bytes(), 0o600, 0);
    run(&server).unwrap();
    let now = String::from_utf8(there(&server).unwrap()).unwrap();
    assert!(!now.contains(&*old) && server.tags().owns_file(now.as_bytes()));
    server.assert_in_sync();
    // One of somebody else stays.
    server.fake.put_file(path, b"[Interface]\n", 0o600, 0);
    run(&server).unwrap();
    assert_eq!(there(&server).unwrap(), b"[Interface]\n");
}

#[test]
fn reset_refused_anywhere_can_run_again() {
    for kind in [FirewallKind::Nftables, FirewallKind::Iptables] {
        let server = Server::bare();
        server.fake.set_firewall_kind(kind);
        let foreign = surround(&server);
        server.api(&["core", "setup", &format!("server_ip={SERVER_IP}")]).ok();
        server.api(&["core", "add_client", "client_name=a"]).ok();
        server.api(&["ghost", "enable", "domain=vpn.example.com", "skip_dns_check=true"]).ok();
        server.fake.reset_writes();
        let snapshot = server.snapshot();
        let old = server.store().read(phantom_store::State::server).unwrap().unwrap();
        let done = run(&server).unwrap();
        assert_ne!(done.server.unwrap().public_key, old.public_key);
        assert_untouched(&server, &foreign, "a reset");
        let writes = server.fake.writes();
        assert!(writes > 15, "{writes}");
        for at in 1..=writes {
            let what = format!("{kind:?}, write {at}");
            server.restore(&snapshot);
            server.fake.refuse_write(at);
            let first = run(&server);
            assert!(server.fake.writes() >= at, "{what}");
            assert_untouched(&server, &foreign, &what);
            server.fake.reset_writes();
            if first.is_err() {
                run(&server).unwrap_or_else(|error| panic!("{what}: {error:?}"));
            }
            assert_new(&server, &what);
            assert_untouched(&server, &foreign, &what);
        }
    }
}

#[test]
fn packet_filter_is_closed_until_new_server() {
    let server = with_ghost();
    let open = server.fake.firewall_rules(&server.tags());
    let look = |stage: Stage| {
        let now = server.fake.firewall_rules(&server.tags());
        let closed = now.as_ref().is_some_and(|rules| {
            let drops = |rule: &phantom_host::RulesetRule| rule.verdict == phantom_host::Verdict::Drop;
            !rules.is_empty() && rules.rules().iter().all(drops)
        });
        // The step that closes it has only begun.
        assert_eq!(closed, stage != Stage::Stopping, "{stage:?}: {now:?}");
    };
    with_place(&server, &look, reset).unwrap();
    let (now, open) = (server.fake.firewall_rules(&server.tags()).unwrap(), open.unwrap());
    assert!(now != open && !now.is_empty(), "Ghost Mode is off: {now:?}");
}

#[test]
fn uninstall_leaves_nothing_and_allows_return() {
    let bare = Server::bare();
    let foreign = surround(&bare);
    let before = bare.fake.dump();
    bare.api(&["core", "setup", &format!("server_ip={SERVER_IP}")]).ok();
    bare.api(&["core", "add_client", "client_name=a"]).ok();
    let stored = phantom_tests::dump_database(&bare.paths().database());
    with_place(&bare, &|_| (), uninstall).unwrap();
    assert_untouched(&bare, &foreign, "an uninstall");
    let none = bare.host.firewall.in_force(&bare.tags(), &Ruleset::default()).unwrap();
    assert_eq!(none, RulesetStatus::Missing);
    let dir = bare.dir().display().to_string();
    let apart = |dump: &str| -> Vec<String> {
        dump.lines().filter(|line| !line.contains(&dir)).map(str::to_owned).collect()
    };
    let (before, after) = (apart(&before), apart(&bare.fake.dump()));
    let left: Vec<_> = after.iter().filter(|line| !before.contains(line)).collect();
    assert!(left.iter().all(|line| line.starts_with("/etc/wireguard")), "{left:?}");
    assert_eq!(stored, phantom_tests::dump_database(&bare.paths().database()));
    bare.api(&["core", "reconcile"]).ok();
    bare.assert_in_sync();
}

#[test]
fn another_change_that_runs_is_not_disturbed() {
    let mut server = with_john();
    server.lock_wait = Some(Duration::from_secs(1));
    let lock = server.store().lock(Duration::ZERO).unwrap();
    let before = (server.dump(), server.tree());
    let begin = Instant::now();
    let refused = std::thread::scope(|scope| scope.spawn(|| said(&server, &["--yes"], "")).join().unwrap());
    assert!(begin.elapsed() >= Duration::from_secs(1), "it did not wait");
    assert_eq!(refused.0, 1);
    assert!(refused.2.starts_with("Error: Another change is running"), "{}", refused.2);
    assert!(refused.2.ends_with("\nCancelled, nothing was changed.\n"), "{}", refused.2);
    drop(lock);
    assert_eq!(before.0, server.dump());
}

#[test]
fn default_patience_is_half_a_minute() {
    let half_a_minute = Duration::from_secs(30);
    assert_eq!(Environment::default().lock_wait, half_a_minute);
    assert_eq!(Environment::of_process().lock_wait, half_a_minute);
    assert_eq!(LOCK_WAIT, half_a_minute);
}

/// The command with these words and this on standard input: exit status and both streams. There is no `phantom-api`.
pub(crate) fn said(server: &Server, words: &[&str], input: &str) -> (u8, String, String) {
    answered(server, words, input, false)
}

/// The same where somebody can be asked, or not.
fn answered(server: &Server, words: &[&str], input: &str, terminal: bool) -> (u8, String, String) {
    called(server, words, input, Environment { terminal, ..Environment::default() }, Ok(()))
}

/// The same with more of an environment, and with signals that are handled or not.
fn called(
    server: &Server,
    words: &[&str],
    input: &str,
    usual: Environment,
    signals: io::Result<()>,
) -> (u8, String, String) {
    let root = server.paths().root().display().to_string();
    let run_dir = Some(server.paths().run_dir().to_owned());
    let lock_wait = server.lock_wait.unwrap_or(usual.lock_wait);
    let (root, this) = (Some(root.into()), Some("/nowhere/x".into()));
    let environment = Environment { root, this, run_dir, lock_wait, ..usual };
    let (mut input, mut out, mut err) = (input.as_bytes(), Vec::new(), Vec::new());
    let mut streams = Streams { input: &mut input, out: &mut out, err: &mut err };
    let words = words.iter().map(OsString::from);
    let open = |_: &Paths, _| Opened { host: server.host.clone(), signals };
    let exit = command::main(words, &environment, &mut streams, open);
    (exit, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

#[test]
fn signal_note_is_in_the_run_language() {
    const EN: &str = "factory-reset: a signal will end it in the middle: Invalid argument (os error 22)\n";
    const TR: &str = "factory-reset: bir sinyal işlemi yarıda kesecek: geçersiz değer (hata 22)\n";
    for (option, variable, stored, expected) in [
        (None, None, None, EN),
        (Some("tr"), None, None, TR),
        (Some("tr"), Some("en"), None, TR),
        (None, Some("tr_TR"), None, TR),
        (Some("en"), Some("tr"), Some("tr"), EN),
        (None, None, Some("tr"), TR),
    ] {
        let server = with_john();
        if let Some(stored) = stored {
            let value = format!("value={stored}");
            server.api(&["core", "update_tweak_setting", "setting_name=language", &value]).ok();
        }
        let environment = Environment { lang: variable.map(str::to_owned), ..Environment::default() };
        let signals = Err(io::Error::from_raw_os_error(22));
        let words = option.map_or(vec!["--yes"], |lang| vec!["--yes", "--lang", lang]);
        let (_, _, err) = called(&server, &words, "", environment, signals);
        assert!(err.starts_with(expected), "{option:?} {variable:?} {stored:?}: {err}");
    }
}

#[test]
fn without_command_reset_is_reported_unfinished() {
    let texts = [
        ("en", "Stopping services\n", "Factory reset interrupted; run it again to finish.\n"),
        (
            "tr",
            "Servisler durduruluyor\n",
            "Factory reset yarıda kaldı; tamamlamak için yeniden çalıştırın.\n",
        ),
    ];
    for (lang, first, last) in texts {
        let server = with_john();
        let (exit, out, err) = said(&server, &["--yes", "--lang", lang], "");
        assert_eq!(exit, 1, "{out}{err}");
        assert!(out.starts_with(first) && err.ends_with(last), "{out}{err}");
        // Everything is removed and the new state stored: the next change brings the host there.
        let answer = server.api(&["core", "reconcile"]).ok();
        assert_eq!(answer["recovered"]["action"], "factory_reset", "{answer:#}");
        assert_new(&server, lang);
    }
}

#[test]
fn stored_language_is_used_until_removed() {
    let server = with_john();
    server.api(&["core", "update_tweak_setting", "setting_name=language", "value=tr"]).ok();
    let (exit, out, _) = said(&server, &[], "RESET");
    assert!(exit == 1 && out.starts_with("Bu işlem Phantom-WG'nin tüm istemcilerini"), "{out}");
    assert!(out.contains("RESET yazın: Servisler durduruluyor"), "{out}");
}

/// As after a power failure: nothing is set up afterwards, and the host still has everything of before.
#[test]
fn serverless_reset_is_finished_by_boot() {
    let finish: [&[&str]; 2] = [&["core", "reconcile"], &["core", "add_client", "client_name=x"]];
    for (words, at) in finish.into_iter().zip([2, 4]) {
        let server = with_ghost();
        let bare = Server::bare();
        for suffix in ["", "-wal", "-shm"] {
            let file = format!("{}{suffix}", server.paths().database().display());
            let _ = std::fs::write(file, "no database");
        }
        // Nothing public is known of the server any more.
        server.fake.refuse_from(at);
        assert!(run(&server).is_err(), "{words:?}");
        server.fake.reset_writes();
        assert!(server.store().reset_pending().unwrap(), "{words:?}");
        server.reboot();
        let answer = server.api(words);
        assert_eq!(answer.success(), words[1] == "reconcile", "{words:?}: {}{}", answer.out, answer.err);
        assert!(!server.store().reset_pending().unwrap() && server.store().marker().unwrap().is_none());
        let none = server.host.firewall.in_force(&server.tags(), &Ruleset::default()).unwrap();
        assert_eq!(none, RulesetStatus::Missing, "{words:?}");
        let dump = server.fake.dump();
        for left in ["wg_main", "wg-quick", "phantom-ghost", "/etc/wireguard/w", "/etc/sysctl.d/9"] {
            let before = bare.fake.dump().matches(left).count();
            assert_eq!(dump.matches(left).count(), before, "{words:?}: {left} is left: {dump}");
        }
        // Now there is nothing to finish.
        server.api(&["core", "reconcile"]).failed("NOT_INITIALIZED");
        server.api(&["core", "setup", &format!("server_ip={SERVER_IP}")]).ok();
        server.assert_in_sync();
    }
}

#[test]
fn uninstall_asks_or_needs_yes() {
    let server = with_ghost();
    let before = server.fake.dump();
    for (lang, needs) in [
        ("en", "Error: --uninstall asks on a terminal, and there is none: give --yes\n"),
        ("tr", "Hata: --uninstall terminalde onay ister ama burada terminal yok: --yes verin\n"),
    ] {
        // What a script pipes in is no answer of anybody's.
        let (exit, out, err) = answered(&server, &["--uninstall", "--lang", lang], "UNINSTALL\n", false);
        assert_eq!((exit, err.as_str(), out.lines().count()), (1, needs, 1), "{out}");
        assert_eq!(server.fake.dump(), before);
    }
    for answer in ["", "\n", "yes\n", "RESET\n", "uninstall\n", " UNINSTALL\n", "UNINSTALL now\n"] {
        let (exit, out, err) = answered(&server, &["--uninstall"], answer, true);
        assert_eq!((exit, err.as_str()), (1, ""), "{answer:?}: {out}");
        assert!(out.ends_with("Type UNINSTALL to continue: Cancelled, nothing was changed.\n"), "{out}");
        assert_eq!(server.fake.dump(), before, "{answer:?}");
    }
    let (exit, out, err) = answered(&server, &["--uninstall"], "UNINSTALL\n", true);
    assert_eq!((exit, err.as_str()), (0, ""), "{out}");
    assert!(!server.fake.dump().contains("wg_main"), "{}", server.fake.dump());
    // With --yes nobody is asked, terminal or not; there is nothing left to do.
    for terminal in [false, true] {
        let (exit, out, _) = answered(&server, &["--uninstall", "--yes"], "", terminal);
        assert!(exit == 0 && !out.contains("UNINSTALL"), "{out}");
    }
}

#[test]
fn half_uninstall_is_reported() {
    let all = with_ghost();
    with_place(&all, &|_| (), uninstall).unwrap();
    let writes = all.fake.writes();
    assert!(writes > 5, "{writes}");
    for at in 1..=writes {
        let server = with_ghost();
        server.fake.refuse_write(at);
        let (exit, out, err) = said(&server, &["--uninstall", "--yes"], "");
        assert_eq!(exit, 1, "write {at}: {out}{err}");
        let end = "\nRemoval interrupted; to finish it, run again: factory-reset --uninstall --yes\n";
        assert!(err.ends_with(end), "write {at}: {err}");
        server.fake.reset_writes();
        assert_eq!(said(&server, &["--uninstall", "--yes"], "").0, 0, "write {at}");
    }
    let server = with_ghost();
    let writes = server.fake.writes();
    server.fake.refuse_write(writes + 5);
    let (_, out, err) = said(&server, &["--uninstall", "--yes", "--lang", "tr"], "");
    assert!(out.contains(": kaldırıldı\n"), "what was removed is told: {out}");
    assert!(err.contains("Kaldırma işlemi yarıda kaldı"), "{err}");
}

#[test]
fn briefly_busy_database_is_not_damaged() {
    let server = with_john();
    let busy = rusqlite::Connection::open(server.paths().database()).unwrap();
    busy.pragma_update(None, "locking_mode", "EXCLUSIVE").unwrap();
    busy.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let before = server.fake.dump();
    let refused = run(&server).unwrap_err();
    assert!(matches!(refused, ResetError::Store(phantom_store::StoreError::Busy { .. })), "{refused:?}");
    assert_eq!(server.fake.dump(), before);
    drop(busy);
    let done = run(&server).unwrap();
    assert_eq!(done.server.unwrap().server_ip.unwrap().to_string(), SERVER_IP);
}
