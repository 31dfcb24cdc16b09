//! A host that accepts a write and forgets it: no answer claims what is not so.

use std::collections::BTreeSet;
use std::path::Path;

use phantom_host::Files;
use phantom_tests::Server;

use super::changes::{CHANGES, Change};
use super::{Ready, Report, as_before, code_of, dump, is_before_the_change, opening, rolled_back};
use crate::cases::with_john;

/// Writes whose loss nobody notices: forgotten connections are in no list that is read, and for a single peer the
/// kernel's word is taken (see `verify_peer` of the engine).
fn is_unseen(change: &Change, write: &str) -> bool {
    let one_peer = matches!(change.name, "add" | "remove") && write.starts_with("wireguard.configure");
    write.starts_with("firewall.forget_connections") || one_peer
}

/// The facility and the call of a write.
fn kind(write: &str) -> String {
    write.split(' ').next().unwrap_or_default().to_owned()
}

/// Looks at one answer of a host that forgot; gives whether the loss was noticed.
fn look(
    report: &mut Report,
    (change, ready): (&Change, &Ready),
    (k, write): (usize, &str),
    forget: impl Fn(&Server),
) -> bool {
    let at = || format!("{}, write {k} ({write})", change.name);
    let server = ready.again();
    let before = dump(server);
    forget(server);
    let answer = server.api(change.words);
    server.fake.reset_writes();
    if answer.success() {
        let plan = server.api(&["core", "reconcile", "dry_run=true"]).json();
        let holds = plan["data"]["in_sync"] == true && plan["data"]["recovered"].is_null();
        report.check(holds || is_unseen(change, write), || {
            format!("{}: it succeeds, but {}", at(), plan["data"]["steps"])
        });
        return false;
    }
    // What is forgotten beside an exit's file can be noticed later than that.
    let codes = [code_of(change, write), code_of(change, "")];
    report.check(codes.contains(&&*answer.code()), || format!("{}: {}", at(), answer.out));
    let silent = is_before_the_change(change, write) || change.words[0] == "multihop";
    let said = rolled_back(&answer);
    let complete = said == true || (silent && said.is_null());
    report.check(complete || said == false, || format!("{}: {}", at(), answer.out));
    if let (true, Err(lines)) = (complete, as_before(change, server, &before)) {
        report.check(false, || format!("{}: it claims to be rolled back\n{lines}", at()));
    }
    complete
}

/// Lets every write of a module's changes be forgotten in turn; the kinds whose loss was never noticed are these.
fn forget_each(module: &str, never_noticed: &[&str]) {
    let (mut report, mut kinds, mut noticed) = (Report::default(), BTreeSet::new(), BTreeSet::new());
    for change in CHANGES.iter().filter(|change| change.words[0] == module) {
        let ready = Ready::for_change(change);
        for (k, write) in (1..).zip(opening::before_commit(change, &ready)) {
            kinds.insert(kind(&write));
            if look(&mut report, (change, &ready), (k, &write), |server| server.fake.forget_write(k)) {
                noticed.insert(kind(&write));
            }
            // The way back is forgotten as well.
            look(&mut report, (change, &ready), (k, &write), |server| server.fake.forget_from(k));
        }
    }
    report.end();
    assert!(noticed.len() >= 8, "{noticed:?}");
    assert_eq!(kinds.difference(&noticed).collect::<Vec<_>>(), never_noticed);
}

#[test]
fn forgotten_core_change_is_rolled_back() {
    forget_each("core", &[]);
}

#[test]
fn forgotten_ghost_change_is_rolled_back() {
    // Every folder that it makes sure of is there.
    forget_each("ghost", &["files.make_dir"]);
}

#[test]
fn forgotten_multihop_change_is_rolled_back() {
    forget_each("multihop", &["firewall.forget_connections"]);
}

/// A server that somebody has disturbed in ways that no change of ours begins with.
fn disturbed() -> Server {
    let server = with_john();
    let (unit, file) = ("wg-quick@wg_main", "/etc/wireguard/wg_main.conf");
    let content = Files::read(&server.fake, Path::new(file)).unwrap().unwrap();
    server.fake.put_file(file, &content, 0o644, 1000);
    server.fake.give_address("wg_main", "10.77.0.1/24".parse().unwrap()).unwrap();
    server.fake.edit_unit(unit);
    server.fake.set_sysctl("net.ipv4.ip_forward", Some("0"));
    server.fake.flush_firewall();
    server
}

#[test]
fn forgotten_repair_is_noticed() {
    let whole = disturbed();
    whole.fake.reset_writes();
    whole.api(&["core", "reconcile"]).ok();
    let writes = whole.fake.write_log();
    for call in
        ["files.set_mode", "network.remove_address", "services.install", "sysctl.set", "firewall.replace"]
    {
        assert!(writes.iter().any(|write| write.starts_with(call)), "{call} is not among {writes:#?}");
    }
    for (k, write) in (1..).zip(writes) {
        let server = disturbed();
        server.fake.reset_writes();
        server.fake.forget_write(k);
        let answer = server.api(&["core", "reconcile"]);
        assert_eq!(answer.code(), "SERVICE_OPERATION_FAILED", "{write}: {}", answer.out);
        server.fake.reset_writes();
        server.api(&["core", "reconcile"]).ok();
        server.assert_in_sync();
    }
}
