//! Tests of the space that is taken before it is needed. How it works on a full disk is in `tests/processes`.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use super::*;
use crate::testing::{Fixture, new_client};

#[test]
fn first_change_reserves_room_for_root_alone() {
    let fixture = Fixture::new();
    let room = fixture.store.paths().room();
    let found = fs::metadata(&room).unwrap();
    assert_eq!((found.permissions().mode() & 0o777, found.len()), (0o600, ROOM));
    assert!(found.blocks() * 512 >= ROOM, "the space is taken");
    fixture.change(|tx| drop(tx.insert_client(new_client("a", 1)).unwrap()));
    assert_eq!(fs::metadata(&room).unwrap().len(), ROOM + STEP, "there is one client more");
}

#[test]
fn reserved_room_stays_while_space_is_enough() {
    let fixture = Fixture::new();
    let lock = fixture.store.lock(Duration::ZERO).unwrap();
    assert!(!fixture.store.give_room(&lock).unwrap());
    assert_eq!(fs::metadata(fixture.store.paths().room()).unwrap().len(), ROOM);
    assert!(!Fixture::empty().store.paths().room().exists());
}

#[test]
fn change_without_writes_is_counted() {
    let fixture = Fixture::new();
    let log = files::beside(&fixture.store.paths().database(), "-wal");
    let lock = fixture.store.lock(Duration::ZERO).unwrap();
    let tx = fixture.store.begin(&lock).unwrap();
    tx.set_server(&tx.server().unwrap().unwrap()).unwrap();
    assert!(!tx.has_changes(), "it is the server that was stored");
    tx.reserve_space().unwrap();
    assert_eq!(fs::metadata(&log).unwrap().len(), 0);
    let before = tx.generation().unwrap();
    tx.commit().unwrap();
    assert_eq!(fixture.read(State::generation), before + 1);
    let tx = fixture.store.begin(&lock).unwrap();
    tx.insert_client(new_client("a", 1)).unwrap();
    tx.reserve_space().unwrap();
    let found = fs::metadata(&log).unwrap();
    assert!(found.blocks() * 512 >= found.len() + COMMIT_ROOM, "{found:?}");
}
