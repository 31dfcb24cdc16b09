//! Tests of restoring a copy.
#![expect(clippy::disallowed_methods, reason = "the tests spoil and plant files on purpose")]

use std::time::Duration;

use super::*;
use crate::testing::{Fixture, name, new_client, settle};
use crate::{Server, StateCopy};

const NOW: phantom_types::Timestamp = phantom_types::Timestamp::from_micros(1_795_932_731_000_000);

fn lock(fixture: &Fixture) -> Lock {
    fixture.store.lock(Duration::from_secs(5)).unwrap()
}

/// A server with the clients `a` and `b` that was copied before `b` was removed and `c` added.
fn copied() -> (Fixture, StateCopy) {
    let fixture = Fixture::new();
    for name in ["a", "b"] {
        fixture.change(|tx| drop(tx.insert_client(new_client(name, 1)).unwrap()));
    }
    let copy = fixture.store.make_copy(NOW).unwrap();
    fixture.change(|tx| drop(tx.remove_client(&name("b")).unwrap()));
    fixture.change(|tx| drop(tx.insert_client(new_client("c", 2)).unwrap()));
    (fixture, copy)
}

fn names(store: &Store) -> Vec<String> {
    let named = store.read(State::named_addresses).unwrap();
    named.into_iter().map(|(name, _)| name.to_string()).collect()
}

/// What is beside the database.
fn in_data(fixture: &Fixture) -> Vec<String> {
    let entries = fs::read_dir(fixture.store.paths().data_dir()).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn restore(store: &Store, lock: &Lock, file: &Path) -> Result<(), StoreError> {
    store.prepare_restore(lock, file)?.begin(lock)?.commit()
}

#[test]
fn restore_never_reuses_an_id() {
    let (fixture, copy) = copied();
    assert_eq!(names(&fixture.store), ["a", "c"]);
    let lock = lock(&fixture);
    let before = fixture.read(State::generation);
    let restoration = fixture.store.prepare_restore(&lock, &copy.path).unwrap();
    assert_eq!(restoration.read(State::client_count).unwrap(), 2);
    assert_eq!(names(&fixture.store), ["a", "c"], "nothing has happened yet");
    let change = restoration.begin(&lock).unwrap();
    let changed = Server { port: 4443, ..change.server().unwrap().unwrap() };
    change.set_server(&changed).unwrap();
    change.reserve_space().unwrap();
    change.commit().unwrap();
    drop(restoration);
    drop(lock);
    for store in [&fixture.store, &fixture.other()] {
        assert_eq!(names(store), ["a", "b"]);
        assert_eq!(store.read(State::server).unwrap(), Some(changed.clone()));
        assert_eq!(store.read(State::contradictions).unwrap(), []);
    }
    assert!(fixture.read(State::generation) > before);
    let added = fixture.change(|tx| tx.insert_client(new_client("d", 3)).unwrap());
    assert_eq!(added.id, 4, "3 was c's");
    assert_eq!(in_data(&fixture), ["phantom.db", "phantom.db-shm", "phantom.db-wal", "room"]);
}

#[test]
fn what_is_not_committed_has_not_happened() {
    let (fixture, copy) = copied();
    let lock = lock(&fixture);
    let restoration = fixture.store.prepare_restore(&lock, &copy.path).unwrap();
    let change = restoration.begin(&lock).unwrap();
    change.remove_client(&name("a")).unwrap().unwrap();
    drop(change);
    drop(restoration);
    assert_eq!(names(&fixture.store), ["a", "c"]);
    assert_eq!(in_data(&fixture), ["phantom.db", "phantom.db-shm", "phantom.db-wal", "room"]);
}

#[test]
fn damaged_or_missing_database_is_replaced() {
    for spoil in [
        |database: &Path| fs::write(database, "no database").unwrap(),
        |database: &Path| fs::write(database, "").unwrap(),
        |database: &Path| {
            let content = fs::read(database).unwrap();
            fs::write(database, &content[..9000]).unwrap();
        },
        |database: &Path| fs::remove_file(database).unwrap(),
    ] {
        let (fixture, copy) = copied();
        settle(&fixture);
        spoil(&fixture.store.paths().database());
        let store = fixture.other();
        let lock = lock(&fixture);
        restore(&store, &lock, &copy.path).unwrap();
        assert_eq!(names(&store), ["a", "b"]);
        assert_eq!(store.read(State::contradictions).unwrap(), []);
    }
}

#[test]
fn unsound_copy_is_refused_without_change() {
    let (fixture, copy) = copied();
    let dir = fixture.dir.path();
    let good = fs::read(&copy.path).unwrap();
    let bad = |number: usize, content: &[u8]| {
        let path = dir.join(format!("bad-{number}"));
        fs::write(&path, content).unwrap();
        path
    };
    let with = |number: usize, sql: &str| {
        let path = bad(number, &good);
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        path
    };
    let mut garbled = good.clone();
    garbled[2 * 4096..3 * 4096].fill(0x5a);
    let foreign = dir.join("foreign");
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE t (x); PRAGMA user_version = 2").unwrap();
    let files = [
        (dir.join("nothing"), "No such file"),
        (dir.to_owned(), "not a file"),
        (bad(0, b""), "not a copy"),
        (bad(1, b"a text that is longer than a header has to be"), "not a copy"),
        (bad(2, &good[..good.len() / 2]), "malformed"),
        (bad(3, &garbled), "damaged"),
        (foreign, "not a copy"),
        (with(4, "CREATE TRIGGER t AFTER UPDATE ON counters BEGIN DELETE FROM clients; END"), "not a copy"),
        (with(5, "PRAGMA user_version = 0"), "not a database of Phantom-WG"),
        (with(6, "PRAGMA user_version = 9"), "schema version 9"),
        (with(7, "UPDATE counters SET clients = 7"), "the counter of clients is wrong"),
        (with(8, "DELETE FROM clients; DELETE FROM server"), "it holds no server"),
    ];
    let lock = lock(&fixture);
    let before = fs::read(fixture.store.paths().database()).unwrap();
    for (file, why) in files {
        let error = restore(&fixture.store, &lock, &file).unwrap_err();
        let said = format!(
            "{error}: {}",
            std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default()
        );
        assert!(said.contains(why), "{}: {said}", file.display());
        assert_eq!(error.file(), file);
        assert_eq!(in_data(&fixture), ["phantom.db", "phantom.db-shm", "phantom.db-wal", "room"]);
    }
    assert_eq!(names(&fixture.store), ["a", "c"]);
    assert!(fs::read(fixture.store.paths().database()).unwrap() == before);
}

#[test]
fn restored_older_copy_is_migrated() {
    let fixture = Fixture::new();
    let old = fixture.dir.path().join("old.db");
    let fill = "INSERT INTO server VALUES (1, zeroblob(32), zeroblob(32), '192.0.2.1', NULL, NULL, 51820, '10.0.0.0/8',
            NULL, 'wg_main', 'auto', 'kernel', NULL, NULL, 1);
        INSERT INTO clients VALUES (2, 'old', NULL, zeroblob(32), randomblob(32), zeroblob(32), 1, 1)";
    let sql = format!("{}; PRAGMA user_version = 1; {fill}", MIGRATIONS[0]);
    Connection::open(&old).unwrap().execute_batch(&sql).unwrap();
    let before = fs::read(&old).unwrap();
    let lock = lock(&fixture);
    restore(&fixture.store, &lock, &old).unwrap();
    assert_eq!(names(&fixture.store), ["old"]);
    assert!(fs::read(&old).unwrap() == before);
}

#[test]
fn a_log_beside_the_copy_counts() {
    let (fixture, _) = copied();
    let database = fixture.store.paths().database();
    let raw = fixture.dir.path().join("raw.db");
    for suffix in ["", "-wal"] {
        fs::copy(files::beside(&database, suffix), files::beside(&raw, suffix)).unwrap();
    }
    fixture.change(|tx| drop(tx.remove_client(&name("c")).unwrap()));
    let lock = lock(&fixture);
    restore(&fixture.store, &lock, &raw).unwrap();
    assert_eq!(names(&fixture.store), ["a", "c"]);
}

#[test]
fn concurrent_readers_see_one_state() {
    let (fixture, copy) = copied();
    let lock = lock(&fixture);
    std::thread::scope(|scope| {
        let (other, (ready, is_ready)) = (fixture.other(), std::sync::mpsc::channel());
        scope.spawn(move || {
            let read = other.read(|state| {
                let before = state.named_addresses()?;
                ready.send(()).unwrap();
                std::thread::sleep(Duration::from_millis(300));
                assert_eq!(state.named_addresses()?, before);
                Ok::<_, StoreError>(())
            });
            read.unwrap();
            names(&other)
        });
        is_ready.recv().unwrap();
        restore(&fixture.store, &lock, &copy.path).unwrap();
    });
    assert_eq!(names(&fixture.other()), ["a", "b"]);
}
