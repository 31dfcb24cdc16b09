//! The store between processes: many at once, some of them killed, some without space, some with a careless umask.
//!
//! Each test starts this very program again in a role of `processes/role.rs`.
#![expect(clippy::disallowed_methods, reason = "tests start processes and spoil files on purpose")]
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "these are tests, helpers included")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use phantom_store::{LockError, Paths, State, Store};
use tempfile::TempDir;

#[path = "processes/role.rs"]
mod role;

const LONG: Duration = Duration::from_mins(1);

/// Not a test: what a process started by a test does.
#[test]
#[ignore = "a role that the other tests start in a process of its own"]
fn role() {
    role::play();
}

fn store_in(dir: &Path) -> Store {
    Store::new(Paths::with_run_dir(dir.join("root"), dir.join("run")))
}

/// A store with a server and no clients.
fn set_up() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = store_in(dir.path());
    role::set_up(&store);
    (dir, store)
}

/// This program in a role, below `wrapper` if that is not empty.
fn process(wrapper: &[&str], role: &str, dir: &Path, argument: &str) -> Command {
    let this = std::env::current_exe().unwrap();
    let words = ["role", "--exact", "--ignored", "--nocapture", "--quiet"];
    let mut command = match wrapper {
        [] => Command::new(this),
        [program, rest @ ..] => {
            let mut command = Command::new(program);
            command.args(rest).arg(this);
            command
        }
    };
    command.args(words).env("ROLE", role).env("ROLE_DIR", dir).env("ROLE_ARGUMENT", argument);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn finish(child: Child) -> Output {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Reads what the process says until it says this.
fn wait_for(child: &mut Child, word: &str) -> Vec<String> {
    let mut said = Vec::new();
    for line in BufReader::new(child.stdout.as_mut().unwrap()).lines() {
        let line = line.unwrap();
        if line == word {
            return said;
        }
        said.push(line);
    }
    panic!("it never said {word}: {said:?}");
}

fn assert_sound(store: &Store) {
    let found = store.read(State::contradictions).unwrap();
    assert_eq!(found, []);
}

#[test]
fn hundred_processes_add_clients_while_others_read() {
    let (dir, store) = set_up();
    let writers: Vec<Child> = (0..100)
        .map(|number| process(&[], "insert", dir.path(), &format!("client-{number}")).spawn().unwrap())
        .collect();
    let readers: Vec<Child> =
        (0..10).map(|_| process(&[], "read", dir.path(), "50").spawn().unwrap()).collect();
    writers.into_iter().chain(readers).map(finish).for_each(drop);
    let addresses = store.read(State::addresses).unwrap();
    assert_eq!(addresses.iter().collect::<BTreeSet<_>>().len(), 100);
    assert_eq!(addresses.first().unwrap().to_string(), "10.8.0.2");
    assert_eq!(addresses.last().unwrap().to_string(), "10.8.0.101");
    assert_sound(&store);
}

#[test]
fn a_hundred_threads_add_a_client_each() {
    let (_dir, store) = set_up();
    std::thread::scope(|scope| {
        for number in 0..100 {
            let store = &store;
            scope.spawn(move || role::insert(store, &format!("client-{number}")));
        }
    });
    assert_eq!(store.read(State::client_count).unwrap(), 100);
    assert_sound(&store);
}

#[test]
fn hundred_processes_start_in_empty_directory() {
    let dir = tempfile::tempdir().unwrap();
    let children: Vec<Child> = (0..100)
        .map(|number| process(&[], "found", dir.path(), &number.to_string()).spawn().unwrap())
        .collect();
    children.into_iter().map(finish).for_each(drop);
    let store = store_in(dir.path());
    assert_eq!(store.read(State::client_count).unwrap(), 100);
    assert_sound(&store);
}

#[test]
fn lock_names_holder_and_ends_with_it() {
    let (dir, store) = set_up();
    let mut holder = process(&[], "hold", dir.path(), "").spawn().unwrap();
    wait_for(&mut holder, "locked");
    match store.lock(Duration::ZERO) {
        Err(LockError::Busy { holder: Some(pid), .. }) => assert_eq!(pid, holder.id()),
        other => panic!("{other:?}"),
    }
    assert_eq!(store.read(State::client_count).unwrap(), 0, "readers need no lock");
    holder.kill().unwrap();
    holder.wait().unwrap();
    store.lock(Duration::ZERO).unwrap();
}

#[test]
fn process_killed_during_change_changes_nothing() {
    let (dir, store) = set_up();
    role::insert(&store, "before");
    let mut child = process(&[], "halfway", dir.path(), "").spawn().unwrap();
    wait_for(&mut child, "halfway");
    child.kill().unwrap();
    child.wait().unwrap();
    let marker = store.marker().unwrap().expect("the change left its marker");
    assert_eq!((marker.action.as_str(), marker.pid), ("halfway", child.id()));
    let generation = store.read(State::generation).unwrap();
    assert_eq!(marker.generation, generation, "the generation shows that it was not committed");
    assert_eq!(store.read(State::client_count).unwrap(), 1);
    assert_sound(&store);
    role::insert(&store, "after");
    assert_eq!(store.read(State::client_count).unwrap(), 2);
}

#[test]
fn killed_process_keeps_what_it_committed() {
    let (dir, store) = set_up();
    let mut acknowledged = Vec::new();
    for round in 0..15 {
        let mut child = process(&[], "many", dir.path(), &format!("round-{round}")).spawn().unwrap();
        // From somewhere in the middle of its work, a little later each time.
        wait_for(&mut child, &format!("round-{round}-{}", round % 4));
        child.kill().unwrap();
        let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        let names = said.lines().filter(|line| line.starts_with("round-")).map(str::to_owned);
        acknowledged.extend((0..=round % 4).map(|number| format!("round-{round}-{number}")).chain(names));
        assert_sound(&store);
    }
    let stored: BTreeSet<String> =
        store.read(State::named_addresses).unwrap().into_iter().map(|(name, _)| name.to_string()).collect();
    for name in &acknowledged {
        assert!(stored.contains(name), "{name} was acknowledged and is gone");
    }
}

#[test]
fn killed_restore_leaves_one_whole_state() {
    let (dir, store) = set_up();
    let copy = |name: &str, clients: u32| {
        (0..clients).for_each(|number| role::insert(&store, &format!("{name}-{number}")));
        store.copy_database(&dir.path().join(name)).unwrap();
    };
    copy("some", 100);
    copy("more", 300);
    let counts = [100, 400];
    let mut seen = BTreeSet::new();
    for round in 0..400 {
        // Where a process is killed is up to the machine.
        if round >= 40 && seen.len() == 2 {
            break;
        }
        let mut child = process(&[], "restore", dir.path(), "").spawn().unwrap();
        wait_for(&mut child, "restored");
        std::thread::sleep(Duration::from_micros(round % 40 * 700));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_sound(&store);
        let count = store.read(State::client_count).unwrap();
        assert!(counts.contains(&count), "{count} clients");
        seen.insert(count);
    }
    assert_eq!(seen.len(), 2, "it was always the same state");
    // What a killed process left is gone with the next restore, and nothing is in the way of it.
    let lock = store.lock(LONG).unwrap();
    let restoration = store.prepare_restore(&lock, &dir.path().join("some")).unwrap();
    restoration.begin(&lock).unwrap().commit().unwrap();
    drop(restoration);
    let left = fs::read_dir(store.paths().data_dir()).unwrap().flatten();
    let left: Vec<_> =
        left.filter(|entry| entry.file_name().to_string_lossy().contains("restored")).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Every path below a directory that others than its owner may enter or read.
fn open_paths(dir: &Path, allowed: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        // What is gone by now was a draft, which counts no less: only it cannot be looked at any more.
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if metadata.permissions().mode() & 0o077 != 0 && path != allowed {
            found.insert(path.clone());
        }
        if metadata.is_dir() {
            open_paths(&path, allowed, found);
        }
    }
}

#[test]
fn files_are_private_with_any_umask() {
    for _ in 0..10 {
        let dir = tempfile::tempdir().unwrap();
        let (root, done) = (dir.path().join("root"), AtomicBool::new(false));
        let found = std::thread::scope(|scope| {
            let watcher = scope.spawn(|| {
                let mut found = BTreeSet::new();
                while !done.load(Ordering::Relaxed) {
                    open_paths(dir.path(), &root, &mut found);
                }
                open_paths(dir.path(), &root, &mut found);
                found
            });
            let shell = ["sh", "-c", "umask 000; exec \"$0\" \"$@\""];
            finish(process(&shell, "found", dir.path(), "1").spawn().unwrap());
            done.store(true, Ordering::Relaxed);
            watcher.join().unwrap()
        });
        // What the watcher is told is for everybody, and no secret.
        let told = dir.path().join("run-watch");
        let found: Vec<_> = found.iter().filter(|path| !path.starts_with(&told)).collect();
        assert!(found.is_empty(), "{found:?}");
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(root.clone()), 0o755);
        for directory in ["data", "config", "exit_configs", "certs", "logs", "backups"] {
            assert_eq!(mode(root.join(directory)), 0o700, "{directory}");
        }
        for file in ["phantom.db", "phantom.db-wal", "phantom.db-shm"] {
            assert_eq!(mode(root.join("data").join(file)), 0o600, "{file}");
        }
        assert_eq!(mode(dir.path().join("run/changing")), 0o600);
    }
}

#[test]
fn a_strict_umask_takes_nothing_away() {
    let dir = tempfile::tempdir().unwrap();
    let shell = ["sh", "-c", "umask 077; exec \"$0\" \"$@\""];
    finish(process(&shell, "found", dir.path(), "1").spawn().unwrap());
    let mode = fs::metadata(dir.path().join("root")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o755, "the install directory is for everybody to enter");
}

/// Runs a role with a file system of its own, of so many MiB, at `root`. The role says at its end that it came that
/// far.
fn on_a_small_disk(role: &str, size: u32) {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("root")).unwrap();
    let script = format!(
        "mount -t tmpfs -o size={size}m,mode=755 none \"$ROLE_DIR/root\" || exit 75; exec \"$0\" \"$@\""
    );
    let wrapper = ["unshare", "--mount", "--map-root-user", "sh", "-c", &script];
    let child = match process(&wrapper, role, dir.path(), "").spawn() {
        Ok(child) => child,
        Err(error) => return eprintln!("SKIPPED {role}: unshare(1) cannot be started: {error}"),
    };
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    if errors.contains("unshare:") || output.status.code() == Some(75) {
        return eprintln!("SKIPPED {role}: no mount namespace can be made here: {errors}");
    }
    assert!(output.status.success(), "{}{errors}", String::from_utf8_lossy(&output.stdout));
    assert!(String::from_utf8_lossy(&output.stdout).contains("came to the end"));
}

#[test]
fn full_disk_refuses_changes_and_loses_nothing() {
    on_a_small_disk("full", 2);
}

#[test]
fn full_disk_is_readable_without_log_index() {
    on_a_small_disk("full_without_index", 2);
}

#[test]
fn read_only_file_system_is_readable() {
    on_a_small_disk("read_only", 2);
}

#[test]
fn reserved_space_serves_commit_on_full_disk() {
    on_a_small_disk("reserved", 8);
}

#[test]
fn reserved_room_lets_full_disk_remove_client() {
    on_a_small_disk("room", 8);
}

#[test]
fn missing_room_for_copy_allows_migration() {
    on_a_small_disk("upgrade", 16);
}

/// A database of version 1 with so many clients.
fn of_version_1(dir: &Path, clients: u32) -> Store {
    let store = store_in(dir);
    fs::create_dir_all(store.paths().data_dir()).unwrap();
    let schema = include_str!("../src/schema/0001.sql");
    let fill = format!(
        "{schema}; PRAGMA user_version = 1; PRAGMA journal_mode = WAL; BEGIN;
         INSERT INTO server VALUES (1, zeroblob(32), zeroblob(32), '192.0.2.1', NULL, NULL, 51820, '10.0.0.0/8',
             NULL, 'wg_main', 'auto', 'kernel', NULL, NULL, 1);
         WITH RECURSIVE hosts (host) AS (SELECT 2 UNION ALL SELECT host + 1 FROM hosts WHERE host <= {clients})
         INSERT INTO clients SELECT host, 'Client-' || host, NULL, randomblob(32), randomblob(32), randomblob(32), host, 1
             FROM hosts; COMMIT"
    );
    sqlite(&store).execute_batch(&fill).unwrap();
    store
}

fn sqlite(store: &Store) -> rusqlite::Connection {
    rusqlite::Connection::open(store.paths().database()).unwrap()
}

#[test]
fn killed_migration_leaves_the_older_schema() {
    let dir = tempfile::tempdir().unwrap();
    let store = of_version_1(dir.path(), 150_000);
    let log = store.paths().data_dir().join("phantom.db-wal");
    let number = |sql: &str| sqlite(&store).query_row(sql, (), |row| row.get::<_, i64>(0)).unwrap();
    let keys = "SELECT sum(unicode(hex(private_key)) * host) FROM clients";
    let before = number(keys);
    for megabytes in [1, 20, 40] {
        let mut child = process(&[], "count", dir.path(), "").spawn().unwrap();
        while fs::metadata(&log).map_or(0, |found| found.len()) < megabytes << 20 {
            assert!(child.try_wait().unwrap().is_none(), "it ended before it was killed");
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(number("PRAGMA user_version"), 1, "killed at {megabytes} MiB of the log");
        assert_eq!((number("SELECT count(*) FROM clients"), number(keys)), (150_000, before));
    }
    // Several who need it at once: one does it, the others wait.
    let children: Vec<Child> =
        (0..4).map(|_| process(&[], "count", dir.path(), "").spawn().unwrap()).collect();
    children.into_iter().map(finish).for_each(drop);
    assert_eq!((number("PRAGMA user_version"), number(keys)), (5, before));
    assert_sound(&store);
    assert_eq!(
        fs::metadata(&log).map_or(0, |found| found.len()),
        0,
        "no log stays that everybody would have to read"
    );
}

#[test]
fn a_lock_is_waited_for() {
    let (dir, store) = set_up();
    let mut holder = process(&[], "hold", dir.path(), "").spawn().unwrap();
    wait_for(&mut holder, "locked");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| store.lock(LONG).map(drop));
        // The holder goes when its input ends.
        drop(holder.stdin.take());
        waiting.join().unwrap().unwrap();
    });
    finish(holder);
}
