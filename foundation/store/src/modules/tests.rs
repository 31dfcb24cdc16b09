//! Tests of the tables of modules.

use std::time::Duration;

use super::*;
use crate::testing::{Fixture, settle};
use crate::{CopyKind, State, Store, StoreCause};

const FIRST: &str = "CREATE TABLE quotas (client TEXT PRIMARY KEY, bytes INTEGER NOT NULL) STRICT";
const SECOND: &str = "ALTER TABLE quotas ADD COLUMN secret BLOB; UPDATE quotas SET secret = os_random(4)";

const QUOTA_1: ModuleSchema = ModuleSchema { module: "quota", steps: &[FIRST] };
const QUOTA_2: ModuleSchema = ModuleSchema { module: "quota", steps: &[FIRST, SECOND] };
const NONE_YET: ModuleSchema = ModuleSchema { module: "later", steps: &[] };

/// Another store of the same files, as a program with these modules has it.
fn with(fixture: &Fixture, modules: &[ModuleSchema]) -> Store {
    let store = fixture.other();
    store.set_modules(modules.to_vec());
    store
}

fn quotas(store: &Store) -> Result<Vec<(String, u32)>, StoreError> {
    store.read(|state| {
        state
            .all("SELECT client, bytes FROM quotas ORDER BY client", (), |row| Ok((row.get(0)?, row.get(1)?)))
    })
}

fn add(store: &Store, client: &str, bytes: u32) -> Result<usize, StoreError> {
    let lock = store.lock(Duration::from_secs(5)).unwrap();
    let change = store.begin(&lock)?;
    let added =
        change.execute("INSERT INTO quotas (client, bytes) VALUES (?1, ?2)", params![client, bytes])?;
    change.commit()?;
    Ok(added)
}

fn versions_in(fixture: &Fixture) -> Vec<(String, u32)> {
    versions(&fixture.sqlite()).unwrap().into_iter().collect()
}

#[test]
fn module_reads_and_writes_its_own_tables() {
    let fixture = Fixture::empty();
    let store = with(&fixture, &[QUOTA_1, NONE_YET]);
    assert_eq!(quotas(&store).unwrap(), [], "without a database there is nothing");
    assert_eq!(add(&store, "john", 7).unwrap(), 1);
    assert_eq!(quotas(&store).unwrap(), [("john".to_owned(), 7)]);
    assert_eq!(versions_in(&fixture), [("quota".to_owned(), 1)]);
    assert!(store.copies().unwrap().is_empty(), "a new database is of no older schema");
    let refused = add(&store, "john", 8).unwrap_err();
    assert!(matches!(refused, StoreError::Write { .. }), "{refused:?}");
    assert_eq!(store.read(State::contradictions).unwrap(), []);
}

#[test]
fn migrations_run_once_in_order_after_copy() {
    let fixture = Fixture::new();
    let kept = |store: &Store| {
        let copies = store.copies().unwrap();
        assert!(copies.iter().all(|copy| copy.kind == CopyKind::Upgrade));
        let names =
            copies.iter().map(|copy| copy.path.file_name().unwrap().to_str().unwrap()[10..].to_owned());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    };
    let first = with(&fixture, &[QUOTA_1]);
    assert_eq!(quotas(&first).unwrap(), []);
    assert_eq!(kept(&first), ["-schema-5-quota-0.db"]);
    add(&first, "john", 7).unwrap();
    for _ in 0..2 {
        let second = with(&fixture, &[QUOTA_2]);
        assert_eq!(quotas(&second).unwrap(), [("john".to_owned(), 7)]);
        assert_eq!(kept(&second), ["-schema-5-quota-0.db", "-schema-5-quota-1.db"]);
    }
    let secret: Vec<u8> =
        fixture.sqlite().query_row("SELECT secret FROM quotas", (), |row| row.get(0)).unwrap();
    assert_eq!(secret.len(), 4);
    assert_eq!(versions_in(&fixture), [("quota".to_owned(), 2)]);
}

#[test]
fn older_program_refuses_newer_module_tables() {
    let fixture = Fixture::new();
    add(&with(&fixture, &[QUOTA_2]), "john", 7).unwrap();
    let older = with(&fixture, &[QUOTA_1]);
    for refused in [quotas(&older).map(drop), add(&older, "max", 1).map(drop)] {
        let error = refused.unwrap_err();
        assert!(matches!(error, StoreError::Newer { found: 2, known: 1, .. }), "{error:?}");
        assert!(
            error
                .to_string()
                .ends_with("schema version 2 of the module quota, and this program knows version 1 at most")
        );
    }
    settle(&fixture);
    assert_eq!(quotas(&with(&fixture, &[NONE_YET])).unwrap().len(), 1, "the tables stay");
}

#[test]
fn failed_step_changes_nothing() {
    let fixture = Fixture::new();
    let broken = ModuleSchema { module: "quota", steps: &[FIRST, "nonsense"] };
    quotas(&with(&fixture, &[broken])).unwrap_err();
    assert_eq!(versions_in(&fixture), []);
    let tables = "SELECT count(*) FROM sqlite_schema WHERE name = 'quotas'";
    assert_eq!(fixture.sqlite().query_row(tables, (), |row| row.get::<_, u32>(0)).unwrap(), 0);
    assert!(fixture.read(State::initialised));
}

#[test]
fn copy_restores_the_tables_of_modules() {
    let fixture = Fixture::new();
    let first = with(&fixture, &[QUOTA_1]);
    add(&first, "john", 7).unwrap();
    let copy = first.make_copy(phantom_types::Timestamp::from_micros(1_795_932_731_000_000)).unwrap().path;
    let second = with(&fixture, &[QUOTA_2]);
    add(&second, "max", 8).unwrap();
    let lock = second.lock(Duration::from_secs(5)).unwrap();
    second.prepare_restore(&lock, &copy).unwrap().begin(&lock).unwrap().commit().unwrap();
    assert_eq!(quotas(&with(&fixture, &[QUOTA_2])).unwrap(), [("john".to_owned(), 7)]);
    assert_eq!(versions_in(&fixture), [("quota".to_owned(), 2)]);
    // Nobody can say whether the tables of a module that is not known are as they should be.
    let without = with(&fixture, &[]);
    let refused = without.prepare_restore(&lock, &copy).unwrap_err();
    let unknown = |error: &StoreError| matches!(error, StoreError::Unreadable { source: StoreCause::UnknownModule(name), .. } if name == "quota");
    assert!(unknown(&refused), "{refused:?}");
    // Nor is it one of ours whose tables are others than they say.
    Connection::open(&copy).unwrap().execute_batch("ALTER TABLE quotas ADD COLUMN more TEXT").unwrap();
    let refused = second.prepare_restore(&lock, &copy).unwrap_err();
    assert!(matches!(refused, StoreError::Unreadable { source: StoreCause::NotACopy, .. }), "{refused:?}");
}
