//! Tests of the run's id and of the marker.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::testing::Fixture;

fn marker() -> Marker {
    Marker {
        module: "core".to_owned(),
        action: "add_client".to_owned(),
        started_at: Timestamp::from_micros(1_757_380_307_076_656),
        generation: 41,
        pid: 7,
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn marker_lasts_until_cleared() {
    let fixture = Fixture::empty();
    let (store, file) = (&fixture.store, fixture.store.paths().changing());
    assert_eq!(store.marker().unwrap(), None);
    store.clear_marker().unwrap();
    let _lock = store.lock(std::time::Duration::ZERO).unwrap();
    store.set_marker(&Marker { action: "a much longer name of an action".to_owned(), ..marker() }).unwrap();
    store.set_marker(&marker()).unwrap();
    assert_eq!(fixture.other().marker().unwrap(), Some(marker()));
    assert_eq!(mode(&file), 0o600);
    let json: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(json["started_at"], 1_757_380_307_076_656_i64);
    store.clear_marker().unwrap();
    assert_eq!(store.marker().unwrap(), None);
    let left: Vec<_> =
        fs::read_dir(store.paths().run_dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["lock"]);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "spoils the file on purpose")]
fn malformed_marker_is_still_a_marker() {
    let fixture = Fixture::empty();
    fs::create_dir(fixture.store.paths().run_dir()).unwrap();
    for text in ["", "{", "{\"module\": 1}", "\u{fffd}"] {
        fs::write(fixture.store.paths().changing(), text).unwrap();
        let found = fixture.store.marker().unwrap().unwrap();
        assert_eq!((found.module.as_str(), found.generation, found.pid), ("unknown", 0, 0));
    }
}

#[test]
fn run_id_is_made_once_for_all() {
    let fixture = Fixture::empty();
    assert_eq!(fixture.store.run_id().unwrap(), None);
    let ids: BTreeSet<String> = std::thread::scope(|scope| {
        let callers: Vec<_> =
            (0..16).map(|_| scope.spawn(|| fixture.other().ensure_run_id().unwrap())).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    });
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert_eq!(fixture.store.run_id().unwrap(), ids.first().cloned());
    assert_eq!(ids.first().unwrap().len(), 36);
    assert_eq!(mode(&fixture.store.paths().boot()), 0o600);
    let left: Vec<_> =
        fs::read_dir(fixture.store.paths().run_dir()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["boot"]);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "does what a container does that keeps its run directory")]
fn id_of_an_earlier_boot_is_ignored() {
    let fixture = Fixture::empty();
    let (store, file) = (&fixture.store, fixture.store.paths().boot());
    let first = store.ensure_run_id().unwrap();
    let noted = fs::read_to_string(&file).unwrap();
    assert_eq!(noted, format!("{first} {}", start_of_system().unwrap()));
    fs::write(&file, format!("{first} 1{}", start_of_system().unwrap())).unwrap();
    assert_eq!(store.run_id().unwrap(), None);
    let second = store.ensure_run_id().unwrap();
    assert_ne!(second, first);
    assert_eq!(store.run_id().unwrap(), Some(second));
    // What an older version has written goes on to count.
    fs::write(&file, &first).unwrap();
    assert_eq!(store.ensure_run_id().unwrap(), first);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "does what a reboot does")]
fn other_run_has_other_id() {
    let fixture = Fixture::empty();
    let first = fixture.store.ensure_run_id().unwrap();
    fs::remove_file(fixture.store.paths().boot()).unwrap();
    let second = fixture.store.ensure_run_id().unwrap();
    fs::write(fixture.store.paths().boot(), "").unwrap();
    assert_eq!(fixture.store.run_id().unwrap(), None);
    let third = fixture.store.ensure_run_id().unwrap();
    assert_eq!(BTreeSet::from([first, second, third]).len(), 3);
}
