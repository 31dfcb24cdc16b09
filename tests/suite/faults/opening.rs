//! Changes at whose end something is open that was closed: it stays closed until the change is certain.

use std::sync::{Arc, Mutex};

use phantom_tests::{Server, dump_database};

use super::Ready;
use super::changes::{CHANGES, Change};
use crate::cases::through_exit;

/// Whether something is open at the end of the change that was closed.
fn opens(change: &Change) -> bool {
    let opens = ["multihop open", "multihop disable", "multihop remove", "multihop reset"];
    opens.iter().any(|name| change.name.starts_with(name))
}

/// The first write behind the commit, by its number, if there is one.
fn first_open(change: &Change, writes: &[String]) -> Option<usize> {
    let last = writes.iter().rposition(|write| write.starts_with("firewall.replace"));
    last.filter(|_| opens(change)).map(|at| at + 1)
}

/// The writes that come before the commit.
pub(super) fn before_commit(change: &Change, ready: &Ready) -> Vec<String> {
    let mut all = ready.writes(change);
    if let Some(first) = first_open(change, &all) {
        all.truncate(first - 1);
    }
    all
}

fn opening() -> impl Iterator<Item = (&'static Change, Ready, Vec<String>, usize)> {
    CHANGES.iter().filter(|change| opens(change)).filter_map(|change| {
        let ready = Ready::for_change(change);
        let all = ready.writes(change);
        let first = first_open(change, &all)?;
        Some((change, ready, all, first))
    })
}

/// What lets out: how a line of the dump shows that packets of clients are dropped.
const BLOCK: &str = "[In { interface: \"wg_main\", not: false }] => Drop";

fn is_closed(server: &Server) -> bool {
    server.fake.dump().lines().any(|line| line.contains("Forward") && line.ends_with(BLOCK))
}

#[test]
fn failure_after_commit_stays_closed() {
    let mut seen = 0;
    for (change, ready, all, first) in opening() {
        let undisturbed = ready.again();
        let stored = dump_database(&undisturbed.paths().database());
        undisturbed.api(change.words).ok();
        assert!(!is_closed(undisturbed), "{}", change.name);
        for k in first..=all.len() {
            for cut in [false, true] {
                let at = format!("{}, write {k} ({}), cut: {cut}", change.name, all[k - 1]);
                let server = ready.again();
                if cut {
                    super::cut_short(server, change.words, k);
                } else {
                    server.fake.refuse_from(k);
                    let answer = server.api(change.words);
                    assert_eq!(answer.code(), "MULTIHOP_ERROR", "{at}: {}", answer.out);
                    assert_eq!(answer.json()["data"]["rolled_back"], false, "{at}: {}", answer.out);
                    assert!(answer.err.contains("is not opened"), "{at}: {}", answer.err);
                }
                assert_ne!(dump_database(&server.paths().database()), stored, "{at}: not committed");
                assert_eq!(is_closed(server), k == first, "{at}");
                server.fake.reset_writes();
                server.api(&["core", "reconcile"]).ok();
                server.assert_in_sync();
                assert!(!is_closed(server), "{at}");
                seen += 1;
            }
        }
    }
    assert!(seen >= 10, "{seen}");
}

/// Runs a change and notes before each write whether the block is in force.
fn watched(server: &Server, words: &[&str]) -> (bool, Vec<(String, bool)>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (notes, fake) = (seen.clone(), server.fake.clone());
    server.fake.on_write(move |_, write| {
        let closed = fake.dump().lines().any(|line| line.contains("Forward") && line.ends_with(BLOCK));
        notes.lock().unwrap().push((write.to_owned(), closed));
    });
    let answer = server.api(words);
    server.fake.clear_on_write();
    let notes = seen.lock().unwrap().clone();
    (answer.success(), notes)
}

/// The changes of the exit, in groups that are tried beside each other.
const GROUPS: [&[&str]; 4] = [
    &["multihop enable"],
    &["multihop switch"],
    &["multihop open", "multihop disable"],
    &["multihop remove", "multihop reset"],
];

fn is_in(change: &Change, group: &[&str]) -> bool {
    group.iter().any(|name| change.name.starts_with(name))
}

#[test]
fn every_exit_change_is_in_one_group() {
    for change in CHANGES.iter().filter(|change| change.words[0] == "multihop") {
        let groups = GROUPS.iter().filter(|group| is_in(change, group)).count();
        assert_eq!(groups, 1, "{}", change.name);
    }
}

/// Refuses each write of the changes of a group in turn, and looks at each write whether the block is in force.
#[track_caller]
fn assert_the_block_is_in_force_at_every_write(group: &[&str]) {
    let mut looked = 0;
    for change in CHANGES.iter().filter(|change| is_in(change, group)) {
        let ready = Ready::for_change(change);
        let closed_before = is_closed(ready.again());
        let opens_from_nothing = change.words.contains(&"kill_switch=false") && !closed_before;
        if opens_from_nothing {
            continue;
        }
        let all = ready.writes(change);
        let last = first_open(change, &all).unwrap_or(usize::MAX);
        for k in 0..=all.len() {
            let server = ready.again();
            if k > 0 {
                server.fake.refuse_write(k);
            }
            let (_, notes) = watched(server, change.words);
            let from = if closed_before {
                0
            } else {
                // The packet filter is the first thing that is changed.
                assert!(notes[0].0.starts_with("firewall.replace"), "{}: {}", change.name, notes[0].0);
                1
            };
            // A change that fails is rolled back to a host that had no block: there it is the first thing that goes.
            let until = if closed_before {
                last
            } else if k == 0 {
                usize::MAX
            } else {
                k
            };
            for (number, (write, closed)) in (1..).zip(&notes) {
                if number > from && number <= until {
                    assert!(*closed, "{}, refused {k}: open before write {number} ({write})", change.name);
                    looked += 1;
                }
            }
            if closed_before && k > 0 && k < last {
                assert!(is_closed(server), "{}, refused {k}: open at the end", change.name);
            }
        }
    }
    assert!(looked > 100, "{looked}");
}

#[test]
fn barrier_holds_while_exit_is_enabled() {
    assert_the_block_is_in_force_at_every_write(GROUPS[0]);
}

#[test]
fn barrier_holds_while_exits_are_switched() {
    assert_the_block_is_in_force_at_every_write(GROUPS[1]);
}

#[test]
fn barrier_holds_until_clients_may_leave() {
    assert_the_block_is_in_force_at_every_write(GROUPS[2]);
}

#[test]
fn barrier_holds_while_exit_is_removed() {
    assert_the_block_is_in_force_at_every_write(GROUPS[3]);
}

#[test]
fn flushed_filter_is_closed_before_disabling_multihop() {
    let server = through_exit();
    server.fake.flush_firewall();
    let (done, notes) = watched(&server, &["multihop", "disable_multihop"]);
    assert!(done && notes[0].0.starts_with("firewall.replace"), "{notes:?}");
    assert!(
        notes[1..].iter().take_while(|(write, _)| !write.starts_with("firewall")).all(|(_, closed)| *closed)
    );
}
