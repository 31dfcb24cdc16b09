//! Tests of the database file: damaged, replaced, and how its log is kept.
#![expect(clippy::disallowed_methods, reason = "the tests spoil files on purpose")]

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::testing::{Fixture, name, new_client, server};
use crate::{Repair, State, Store};

fn refused(store: &Store) -> [StoreError; 2] {
    let lock = store.lock(Duration::ZERO).unwrap();
    let reading = store.read(|state| state.page(Some("x"), 0, 10)).unwrap_err();
    [reading, store.begin(&lock).map(drop).unwrap_err()]
}

#[test]
fn foreign_database_is_refused_and_kept() {
    let other_program = {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
        fs::read(path).unwrap()
    };
    let ours = {
        let fixture = Fixture::new();
        fs::read(fixture.store.paths().database()).unwrap()
    };
    let mut no_schema = ours.clone();
    no_schema[4096 + 100..].fill(0xaa);
    no_schema[110..4096].fill(0x55);
    let contents = [&b"not a database at all, but long enough to have a header of a hundred bytes ........................"[..],
        b"", b"short", &other_program, &ours[..5000], &no_schema];
    for content in contents {
        let fixture = Fixture::new();
        let file = fixture.store.paths().database();
        fs::write(&file, content).unwrap();
        for suffix in ["-wal", "-shm"] {
            files::remove(&files::beside(&file, suffix)).unwrap();
        }
        for error in refused(&fixture.other()) {
            assert!(matches!(error, StoreError::Unreadable { .. }), "{} bytes: {error:?}", content.len());
            assert_eq!(error.file(), file);
        }
        assert!(fs::read(&file).unwrap() == content, "{} bytes were changed", content.len());
    }
}

#[test]
fn directory_in_place_of_database_is_refused() {
    let fixture = Fixture::empty();
    fs::create_dir_all(fixture.store.paths().database()).unwrap();
    for error in refused(&fixture.store) {
        assert!(matches!(error, StoreError::Unreadable { .. }), "{error:?}");
    }
}

#[test]
fn file_in_place_of_directory_is_refused() {
    let fixture = Fixture::empty();
    fs::write(fixture.store.paths().root(), "").unwrap();
    let lock = fixture.store.lock(Duration::ZERO).unwrap();
    let error = fixture.store.begin(&lock).map(drop).unwrap_err();
    assert!(matches!(error, StoreError::Write { .. } | StoreError::Unreadable { .. }), "{error:?}");
}

#[test]
fn install_directory_is_made_with_its_parents() {
    let fixture = Fixture::empty();
    let root = fixture.dir.path().join("not/there/yet");
    let store = Store::new(Paths::with_run_dir(&root, fixture.dir.path().join("nor/this")));
    let lock = store.lock(Duration::ZERO).unwrap();
    store.begin(&lock).unwrap().commit().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode(&root), mode(root.parent().unwrap()), mode(&store.paths().data_dir())),
        (0o755, 0o755, 0o700)
    );
}

#[test]
fn replaced_database_ignores_the_old_log() {
    let fixture = Fixture::new();
    fixture.change(|tx| drop(tx.insert_client(new_client("old", 1)).unwrap()));
    let database = fixture.store.paths().database();
    fs::rename(&database, fixture.dir.path().join("away")).unwrap();
    assert!(!fixture.read(State::initialised), "the connection in the pool is to a file that is gone");
    assert!(files::beside(&database, "-wal").exists());
    fixture.change(|tx| tx.set_server(&server("10.9.0.0/24")).unwrap());
    assert_eq!(fixture.read(State::client_count), 0);
    assert_eq!(fixture.read(State::contradictions), []);
}

#[test]
fn every_connection_has_safe_settings() {
    let fixture = Fixture::new();
    let pool = Pool::new(fixture.store.paths().database());
    let mut connection = pool.checkout().unwrap().unwrap();
    connection.prepare_writing().unwrap();
    let number = |pragma: &str| {
        connection.query_row(&format!("PRAGMA {pragma}"), (), |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!(number("synchronous"), 2);
    assert_eq!(number("foreign_keys"), 1);
    assert_eq!(number("secure_delete"), 1);
    let mode: String = connection.query_row("PRAGMA journal_mode", (), |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
}

#[test]
fn log_stays_short_with_many_writers() {
    let fixture = Fixture::new();
    let log = files::beside(&fixture.store.paths().database(), "-wal");
    let mut longest = 0;
    for number in 0..200 {
        // A store of its own each time, whose only connection is closed again, as in a process of its own.
        let store = fixture.other();
        let lock = store.lock(Duration::ZERO).unwrap();
        let tx = store.begin(&lock).unwrap();
        tx.insert_client(new_client(&format!("c{number}"), number)).unwrap();
        tx.commit().unwrap();
        longest = longest.max(fs::metadata(&log).unwrap().len());
    }
    // Some pages more than the limit: those of the change that exceeds it.
    assert!((100_000..4120 * 75).contains(&longest), "{longest} bytes");
    assert_eq!(fixture.read(State::client_count), 200);
}

#[test]
fn database_is_complete_without_log_after_change() {
    let fixture = Fixture::new();
    let log = files::beside(&fixture.store.paths().database(), "-wal");
    assert_eq!(fs::metadata(&log).unwrap().len(), 0);
    fixture.change(|tx| drop(tx.insert_client(new_client("a", 1)).unwrap()));
    assert_ne!(fs::metadata(&log).unwrap().len(), 0);
    fixture.change(|tx| {
        for number in 0..240 {
            tx.insert_client(new_client(&format!("c{number}"), 1)).unwrap();
            tx.remove_client(&name(&format!("c{number}"))).unwrap();
        }
    });
    assert_eq!(fs::metadata(&log).unwrap().len(), 0);
}

#[test]
fn copy_is_complete_private_and_never_overwrites() {
    let fixture = Fixture::new();
    fixture.change(|tx| drop(tx.insert_client(new_client("a", 1)).unwrap()));
    let copy = fixture.dir.path().join("copy");
    fixture.store.copy_database(&copy).unwrap();
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(matches!(fixture.store.copy_database(&copy), Err(StoreError::Write { .. })));
    let restored = Fixture::empty();
    drop(restored.store.lock(Duration::ZERO));
    fs::create_dir_all(restored.store.paths().data_dir()).unwrap();
    fs::rename(&copy, restored.store.paths().database()).unwrap();
    assert_eq!(
        restored.read(|state| state.client(&name("a"))),
        fixture.read(|state| state.client(&name("a")))
    );
    restored.change(|tx| drop(tx.insert_client(new_client("b", 2)).unwrap()));
    assert_eq!(restored.read(State::client_count), 2);
}

#[test]
fn wide_modes_are_narrowed_by_next_change() {
    let fixture = Fixture::new();
    let paths = fixture.store.paths();
    let set = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    set(&paths.database(), 0o644);
    set(&paths.certs_dir(), 0o755);
    let lock = fixture.store.lock(Duration::ZERO).unwrap();
    let mut repairs = fixture.store.begin(&lock).unwrap().repairs().to_vec();
    repairs.sort_by(|a, b| a.path.cmp(&b.path));
    let owner = fs::metadata(paths.database()).unwrap().uid();
    let expected = [(paths.certs_dir(), 0o755), (paths.database(), 0o644)];
    assert_eq!(repairs, expected.map(|(path, mode)| Repair { path, mode, owner }));
    assert_eq!((mode(&paths.certs_dir()), mode(&paths.database())), (0o700, 0o600));
    assert_eq!(fixture.store.begin(&lock).unwrap().repairs(), []);
}

#[test]
fn locking_program_does_not_disturb_readers() {
    let fixture = Fixture::new();
    let shell = fixture.sqlite();
    shell.execute_batch("BEGIN IMMEDIATE; UPDATE settings SET dns_primary = '9.9.9.9'").unwrap();
    assert_eq!(fixture.other().read(State::dns).unwrap().primary.to_string(), "8.8.8.8");
    shell.execute_batch("COMMIT").unwrap();
    assert_eq!(fixture.read(State::dns).primary.to_string(), "9.9.9.9");
}

#[test]
fn change_excludes_locking_program_from_its_start() {
    let fixture = Fixture::new();
    let shell = fixture.sqlite();
    shell.busy_timeout(Duration::ZERO).unwrap();
    let lock = fixture.store.lock(Duration::ZERO).unwrap();
    let tx = fixture.store.begin(&lock).unwrap();
    let refused = shell.execute_batch("BEGIN IMMEDIATE").unwrap_err();
    assert_eq!(refused.sqlite_error_code(), Some(ErrorCode::DatabaseBusy));
    drop(tx);
    shell.execute_batch("BEGIN IMMEDIATE; COMMIT").unwrap();
}

#[test]
fn log_removed_by_others_is_recreated() {
    let Fixture { dir: _dir, store } = Fixture::new();
    let paths = store.paths().clone();
    let log = files::beside(&paths.database(), "-wal");
    drop(store);
    // An SQLite shell that is the last one to leave does so.
    Connection::open(paths.database())
        .unwrap()
        .execute_batch("UPDATE settings SET dns_primary = '9.9.9.9'")
        .unwrap();
    assert!(!log.exists());
    let store = Store::new(paths);
    let lock = store.lock(Duration::ZERO).unwrap();
    let tx = store.begin(&lock).unwrap();
    assert_eq!(fs::metadata(&log).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(tx.dns().unwrap().primary.to_string(), "9.9.9.9");
    tx.commit().unwrap();
}

#[test]
fn walking_all_clients_uses_little_memory() {
    let fixture = Fixture::new();
    fixture.change(|tx| tx.insert_client(new_client("a", 1)).map(drop).unwrap());
    fixture.read(|state| {
        let connection = state.connection().unwrap();
        let cache = || connection.query_row("PRAGMA cache_size", (), |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(cache(), -i64::from(CACHE));
        let mut seen = Vec::new();
        state.each_client(|_| {
            seen.push(cache());
            Ok::<_, StoreError>(())
        })?;
        assert_eq!((seen, cache()), (vec![-i64::from(WALK_CACHE)], -i64::from(CACHE)));
        Ok(())
    });
}
