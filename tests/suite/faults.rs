//! Faults: every write of every changing action refused in turn, alone and with all that follow, and every write cut
//! short by the end of the process.

mod changes;
mod forgetful;
mod opening;

use phantom_tests::{Answer, Server, Snapshot, dump_database};
use serde_json::Value;

pub(crate) use changes::embedded;
use changes::{CHANGES, Change, STORED};

/// What went wrong, by change and write.
#[derive(Default)]
struct Report(Vec<String>);

impl Report {
    fn check(&mut self, holds: bool, what: impl FnOnce() -> String) -> bool {
        if !holds {
            self.0.push(what());
        }
        holds
    }

    fn end(self) {
        assert!(self.0.is_empty(), "{} findings\n{}", self.0.len(), self.0.join("\n"));
    }
}

/// A server ready for a change, its writes counted from zero, as often as one asks for it.
struct Ready {
    server: Server,
    snapshot: Snapshot,
}

impl Ready {
    fn for_change(change: &Change) -> Self {
        let server = (change.server)();
        server.fake.reset_writes();
        let snapshot = server.snapshot();
        Self { server, snapshot }
    }

    /// The server as it was at first, whatever has been done with it since.
    fn again(&self) -> &Server {
        self.server.restore(&self.snapshot);
        &self.server
    }

    /// The writes of the undisturbed change, by name.
    fn writes(&self, change: &Change) -> Vec<String> {
        let server = self.again();
        server.api(change.words).ok();
        server.assert_in_sync();
        let log = server.fake.write_log();
        assert!(!log.is_empty(), "{}: no write at all", change.name);
        log
    }
}

/// Host and database without the backups of subnet changes, which stay until they are removed by hand, and without
/// folders that a first change makes: those of the run directory, and those where other programs look.
pub(crate) fn dump(server: &Server) -> String {
    let all = server.dump();
    let folder = |line: &str| {
        let tools = ["/etc/wireguard/ ", "/etc/iproute2/rt_tables.d/ ", "/etc/systemd/network"];
        let ours = line.starts_with("<dir>/") || tools.iter().any(|tool| line.starts_with(tool));
        ours && line.split(' ').next().is_some_and(|path| path.ends_with('/'))
    };
    let kept = all.lines().filter(|line| !line.contains("/backups/subnet_change_") && !folder(line));
    kept.flat_map(|line| [line, "\n"]).collect()
}

/// The lines that only one of two dumps has.
pub(crate) fn changed(before: &str, after: &str) -> String {
    let only = |one: &str, other: &str, sign: &str| {
        let lines: Vec<&str> = other.lines().collect();
        let mut text = String::new();
        for line in one.lines().filter(|line| !lines.contains(line)) {
            text.extend(["    ", sign, " ", line, "\n"]);
        }
        text
    };
    only(before, after, "-") + &only(after, before, "+")
}

fn rolled_back(answer: &Answer) -> Value {
    answer.json()["data"]["rolled_back"].clone()
}

/// The changes with their names, those of a first setup apart.
fn of_kind(first_setup: bool) -> impl Iterator<Item = &'static Change> {
    CHANGES.iter().filter(move |change| change.name.starts_with("first setup") == first_setup)
}

/// What must hold after a change that failed and was rolled back. A host that somebody had disturbed before may have
/// been repaired on the way.
fn as_before(change: &Change, server: &Server, before: &str) -> Result<(), String> {
    let after = dump(server);
    let repaired = || {
        server.fake.reset_writes();
        change.name.contains("sabotage")
            && server.api(&["core", "reconcile", "dry_run=true"]).json()["data"]["in_sync"] == true
    };
    if after == before || repaired() { Ok(()) } else { Err(changed(before, &after)) }
}

/// The code of a change that fails at this write.
fn code_of(change: &Change, write: &str) -> &'static str {
    match change.name.split([' ', ',']).next() {
        Some("subnet") if is_before_the_change(change, write) => "CONFIG_ERROR",
        Some("subnet") => "NETWORK_ERROR",
        Some("ghost") => "GHOST_MODE_ERROR",
        Some("multihop") if write.contains("/exit_configs/") => "CONFIG_ERROR",
        Some("multihop") => "MULTIHOP_ERROR",
        _ => "SERVICE_OPERATION_FAILED",
    }
}

fn refuse_each(changes: impl Iterator<Item = &'static Change>) {
    let mut report = Report::default();
    for change in changes {
        let ready = Ready::for_change(change);
        for (k, write) in (1..).zip(opening::before_commit(change, &ready)) {
            let at = || format!("{}, write {k} ({write})", change.name);
            let server = ready.again();
            let before = dump(server);
            server.fake.refuse_write(k);
            let answer = server.api(change.words);
            if !report.check(!answer.success(), || format!("{}: it succeeds", at())) {
                continue;
            }
            let in_backup = is_before_the_change(change, &write);
            report.check(answer.code() == code_of(change, &write), || format!("{}: {}", at(), answer.out));
            // Before the host is touched there is nothing that could stay behind.
            let silent = in_backup || change.words[0] == "multihop";
            let left = if silent { rolled_back(&answer).is_null() } else { rolled_back(&answer) == true };
            report.check(left, || format!("{}: not rolled back: {}{}", at(), answer.out, answer.err));
            let folder = in_backup && server.dump().contains("/backups/subnet_change_");
            report.check(!folder, || format!("{}: half a backup is left", at()));
            if let Err(lines) = as_before(change, server, &before) {
                report.check(false, || format!("{}: changed\n{lines}", at()));
            }
            server.fake.reset_writes();
            let again = server.api(change.words);
            report.check(again.success(), || format!("{}: it cannot be tried again: {}", at(), again.out));
        }
    }
    report.end();
}

#[test]
fn refused_write_leaves_everything_unchanged() {
    refuse_each(of_kind(false));
}

#[test]
fn refused_first_setup_leaves_nothing() {
    refuse_each(of_kind(true));
}

/// Everything is refused from a write on, the undo too: the answer says so, and the next change heals.
fn refuse_all_from_each(changes: impl Iterator<Item = &'static Change>) {
    let mut report = Report::default();
    for change in changes {
        let ready = Ready::for_change(change);
        for (k, write) in (1..).zip(opening::before_commit(change, &ready)) {
            let at = || format!("{}, from write {k} ({write})", change.name);
            let server = ready.again();
            let (before, stored) = (dump(server), dump_database(&server.paths().database()));
            server.fake.refuse_from(k);
            let answer = server.api(change.words);
            if !report.check(!answer.success(), || format!("{}: it succeeds", at())) {
                continue;
            }
            report.check(dump_database(&server.paths().database()) == stored, || {
                format!("{}: the database has changed", at())
            });
            let complete = rolled_back(&answer) == true || rolled_back(&answer).is_null();
            if let (true, Err(lines)) = (complete, as_before(change, server, &before)) {
                report.check(false, || format!("{}: not rolled back\n{lines}", at()));
            }
            let said = rolled_back(&answer) == false && answer.err.contains("could not be undone");
            report.check(complete || said, || format!("{}: silent: {}{}", at(), answer.out, answer.err));
            server.fake.reset_writes();
            healed(&mut report, change, server, &before, &at());
        }
    }
    report.end();
}

/// The next change, whichever it is, finishes what was left; then no step is needed, and the host is as it was before
/// the change that failed.
fn healed(report: &mut Report, change: &Change, server: &Server, before: &str, at: &str) {
    if before.contains("nothing is stored") {
        let again = server.api(change.words);
        report.check(again.success(), || format!("{at}: it cannot be tried again: {}", again.out));
    } else {
        let next = server.api(&["dns", "change_dns_servers", "primary=8.8.8.8"]);
        report.check(next.success(), || format!("{at}: the next change fails: {}", next.out));
        let plan = server.api(&["core", "reconcile", "dry_run=true"]).json();
        let healed = plan["data"]["in_sync"] == true && plan["data"]["recovered"].is_null();
        report.check(healed, || format!("{at}: not healed: {plan:#}"));
        // The database differs by the generation of the change that healed; the host not at all.
        let host = |dump: &str| dump.split("[backups]").next().unwrap_or_default().to_owned();
        let (before, after) = (host(before), host(&dump(server)));
        let same = before == after || change.name.contains("sabotage");
        report.check(same, || format!("{at}: healed to something else\n{}", changed(&before, &after)));
    }
}

#[test]
fn refused_rollback_is_reported_and_recovered() {
    refuse_all_from_each(of_kind(false));
}

#[test]
fn refused_setup_rollback_is_reported_and_recovered() {
    refuse_all_from_each(of_kind(true));
}

/// Ends the call before a write as the end of the process would: the panic passes the change without anything being
/// rolled back.
fn cut_short(server: &Server, words: &[&str], k: usize) {
    server.fake.on_write(move |number, _| {
        if number == k {
            // As a panic, but without a word on standard error.
            std::panic::resume_unwind(Box::new("cut short by the test"));
        }
    });
    let answer = server.api(words);
    server.fake.clear_on_write();
    assert_eq!(answer.code(), "INTERNAL_ERROR", "{}", answer.out);
    assert_eq!(server.fake.writes(), k, "something was written after the end of the process");
    assert!(server.paths().changing().exists(), "the marker is gone");
}

fn cut_each(changes: impl Iterator<Item = &'static Change>) {
    let mut report = Report::default();
    for change in changes {
        let ready = Ready::for_change(change);
        for (k, write) in (1..).zip(opening::before_commit(change, &ready)) {
            let at = || format!("{}, cut before write {k} ({write})", change.name);
            let server = ready.again();
            let (before, stored) = (dump(server), dump_database(&server.paths().database()));
            let writes_nothing_yet = !server.paths().changing().exists();
            assert!(writes_nothing_yet, "{}", at());
            if is_before_the_change(change, &write) {
                continue;
            }
            cut_short(server, change.words, k);
            report.check(dump_database(&server.paths().database()) == stored, || {
                format!("{}: the database has changed", at())
            });
            server.fake.reset_writes();
            if !before.contains("nothing is stored") {
                let (_, action) = (change.words[0], change.words[1]);
                let plan = server.api(&["core", "reconcile", "dry_run=true"]).ok();
                let recovered = &plan["recovered"];
                let pending = recovered["action"] == action && recovered["outcome"] == "pending";
                report.check(pending, || format!("{}: {recovered}", at()));
            }
            healed(&mut report, change, server, &before, &at());
        }
    }
    report.end();
}

/// The backup of a subnet change is made before the host is touched: there is nothing to heal yet.
fn is_before_the_change(change: &Change, write: &str) -> bool {
    change.name.starts_with("subnet") && write.contains("/backups/")
}

#[test]
fn interrupted_change_is_recovered_by_next() {
    cut_each(of_kind(false));
}

#[test]
fn interrupted_first_setup_is_recovered() {
    cut_each(of_kind(true));
}

#[test]
fn reconcile_reports_what_it_undid() {
    for change in of_kind(false).filter(|change| !change.name.starts_with("setup")) {
        let ready = Ready::for_change(change);
        let Some(k) = (1..)
            .zip(opening::before_commit(change, &ready))
            .filter(|(_, write)| !is_before_the_change(change, write))
            .map(|(k, _)| k)
            .last()
        else {
            continue;
        };
        let server = ready.again();
        let before = dump(server);
        cut_short(server, change.words, k);
        server.fake.reset_writes();
        let answer = server.api(&["core", "reconcile"]);
        let recovered = &answer.ok()["recovered"];
        let expected = [change.words[0], change.words[1], "undone"];
        let is = ["module", "action", "outcome"].map(|key| recovered[key].as_str().unwrap_or_default());
        assert_eq!(is, expected, "{}", change.name);
        assert!(recovered["started_at"].as_str().is_some_and(|text| text.len() == 26), "{recovered}");
        assert!(answer.err.contains("had been cut short and was undone"), "{}", answer.err);
        let log = std::fs::read_to_string(server.paths().logs_dir().join("phantom.log")).unwrap();
        assert!(log.contains("had been cut short and was undone"), "{log}");
        if !change.name.contains("sabotage") {
            assert_eq!(changed(&before, &dump(server)), "", "{}", change.name);
        }
        let again = server.api(&["core", "reconcile"]).ok();
        assert_eq!((&again["in_sync"], &again["recovered"]), (&true.into(), &Value::Null));
    }
}

#[test]
fn a_change_that_was_committed_is_completed() {
    for change in of_kind(false) {
        let Ready { server, .. } = Ready::for_change(change);
        // The marker as it stood while the change ran, and stands there when the process ends behind its commit.
        let marker = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let (kept, path) = (marker.clone(), server.paths().changing());
        server.fake.on_write(move |_, _| {
            if let Ok(text) = std::fs::read(&path) {
                *kept.lock().unwrap() = text;
            }
        });
        server.api(change.words).ok();
        server.fake.clear_on_write();
        let (after, stored) = (dump(&server), dump_database(&server.paths().database()));
        std::fs::write(server.paths().changing(), &*marker.lock().unwrap()).unwrap();
        server.fake.flush_firewall();
        server.fake.reset_writes();
        let recovered = server.api(&["core", "reconcile"]).ok()["recovered"].take();
        assert_eq!(
            (&recovered["action"], &recovered["outcome"]),
            (&change.words[1].into(), &"completed".into()),
            "{}",
            change.name
        );
        assert_eq!(changed(&after, &dump(&server)), "", "{}", change.name);
        assert_eq!(dump_database(&server.paths().database()), stored, "{}", change.name);
    }
}

#[test]
fn state_only_change_writes_nothing_on_host() {
    for change in STORED {
        let Ready { server, .. } = Ready::for_change(change);
        server.fake.refuse_from(1);
        let answer = server.api(change.words);
        assert!(answer.success(), "{}: {}", change.name, answer.out);
        assert_eq!(server.fake.write_log(), [""; 0], "{}", change.name);
        server.assert_in_sync();
    }
}
