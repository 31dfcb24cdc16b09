//! Tests of the schema's versions.

use super::*;
use crate::State;
use crate::testing::{Fixture, new_client};

/// A next version, as a later program has it.
const NEXT: &[&str] =
    &[MIGRATIONS[0], "CREATE TABLE later (x INTEGER) STRICT; INSERT INTO later SELECT clients FROM counters"];

#[test]
fn a_published_migration_is_never_edited() {
    // FNV-1a of each file. A number that has to change here belongs to a schema that is installed somewhere.
    let hash = |text: &str| {
        text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    };
    let published: [u64; 1] = [13_311_737_576_921_031_617];
    assert_eq!(MIGRATIONS.iter().map(|text| hash(text)).collect::<Vec<_>>(), published);
}

#[test]
fn an_older_schema_is_brought_up_to_date_and_keeps_what_it_holds() {
    let fixture = Fixture::new();
    fixture.change(|tx| drop(tx.insert_client(new_client("a", 1)).unwrap()));
    let connection = fixture.sqlite();
    let file = fixture.store.paths().database();
    assert!(is_current(&connection, &file, MIGRATIONS).unwrap());
    assert!(!is_current(&connection, &file, NEXT).unwrap());
    for _ in 0..2 {
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        upgrade(&connection, NEXT).unwrap();
        connection.execute_batch("COMMIT").unwrap();
        assert!(is_current(&connection, &file, NEXT).unwrap());
        let rows: Vec<i64> = connection
            .prepare("SELECT x FROM later")
            .unwrap()
            .query_map((), |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(rows, [1], "each step is done once");
    }
}

#[test]
fn a_step_that_fails_leaves_the_older_schema() {
    let fixture = Fixture::new();
    let connection = fixture.sqlite();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    upgrade(&connection, &[MIGRATIONS[0], "CREATE TABLE later (x INTEGER)", "nonsense"]).unwrap_err();
    connection.execute_batch("ROLLBACK").unwrap();
    assert_eq!(version(&connection).unwrap(), 1);
    assert!(fixture.read(State::initialised));
}

#[test]
fn a_newer_schema_is_left_alone() {
    let fixture = Fixture::new();
    fixture.sqlite().execute_batch("PRAGMA user_version = 7").unwrap();
    let lock = fixture.store.lock(std::time::Duration::ZERO).unwrap();
    let reading = fixture.other().read(State::server).unwrap_err();
    let writing = fixture.store.begin(&lock).map(drop).unwrap_err();
    for error in [reading, writing] {
        assert!(matches!(error, StoreError::Newer { found: 7, known: 1, .. }), "{error:?}");
        assert_eq!(error.file(), fixture.store.paths().database());
    }
    assert_eq!(version(&fixture.sqlite()).unwrap(), 7);
}
