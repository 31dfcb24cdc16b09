//! Tests of the factory reset of what is stored.
#![expect(clippy::disallowed_methods, reason = "the tests spoil and plant files on purpose")]

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::testing::{Fixture, new_client, server};
use crate::{DnsServers, Paths, Settings};

/// A server with two clients, settings and files of every kind.
fn used() -> Fixture {
    let fixture = Fixture::new();
    fixture.change(|tx| {
        tx.insert_client(new_client("one", 1)).unwrap();
        tx.insert_client(new_client("two", 2)).unwrap();
        tx.set_settings(&Settings { block_ipv6_leak: false, ..Settings::default() }).unwrap();
    });
    let paths = fixture.store.paths();
    for file in files(paths) {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "secret").unwrap();
    }
    fs::create_dir_all(paths.config_dir().join("decoy")).unwrap();
    fs::write(paths.config_dir().join("decoy/index.html"), "of the operator").unwrap();
    fixture
}

fn files(paths: &Paths) -> [PathBuf; 6] {
    [
        paths.exits_dir().join("oslo.conf"),
        paths.logs_dir().join("phantom.log"),
        paths.certs_dir().join("example.org/key.pem"),
        paths.backups_dir().join("subnet_change_1/phantom.db"),
        paths.data_dir().join("phantom.db.old"),
        paths.data_dir().join("notes/a"),
    ]
}

fn fresh() -> Server {
    Server {
        port: 443,
        private_key: phantom_types::PrivateKey::from_random([9; 32]),
        ..server("10.9.0.0/24")
    }
}

fn lock(fixture: &Fixture) -> Lock {
    fixture.store.lock(Duration::from_secs(5)).unwrap()
}

#[track_caller]
fn assert_reset(fixture: &Fixture) {
    let store = fixture.other();
    assert!(!store.reset_pending().unwrap());
    store
        .read(|state| {
            assert_eq!(state.server()?, Some(fresh()));
            assert_eq!((state.client_count()?, state.settings()?), (0, Settings::default()));
            assert_eq!((state.dns()?, state.generation()?), (DnsServers::default(), 1));
            assert_eq!(state.contradictions()?, []);
            Ok::<_, StoreError>(())
        })
        .unwrap();
    for file in files(store.paths()) {
        assert!(!file.exists(), "{}", file.display());
    }
    assert!(store.paths().config_dir().join("decoy/index.html").exists());
    let mode = fs::metadata(store.paths().database()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    fixture.change(|tx| drop(tx.insert_client(new_client("new", 3)).unwrap()));
}

#[test]
fn reset_empties_state_and_stores_new_server() {
    let fixture = used();
    let lock = lock(&fixture);
    fixture.store.begin_reset(&lock, Some(&fresh()), true).unwrap();
    assert!(fixture.other().reset_pending().unwrap());
    assert_eq!(fixture.other().reset_server().unwrap(), Some(fresh()));
    assert_eq!(fixture.read(State::client_count), 2);
    assert!(files(fixture.store.paths()).iter().all(|file| file.exists()));
    fixture.store.finish_reset(&lock).unwrap();
    drop(lock);
    assert_reset(&fixture);
}

#[test]
fn reset_resumes_from_any_interruption() {
    type Cut = fn(&Fixture, &Lock);
    let cuts: [Cut; 6] = [
        |_, _| (),
        |fixture, lock| fixture.store.discard_files(lock).unwrap(),
        |fixture, _| fs::remove_dir_all(fixture.store.paths().certs_dir()).unwrap(),
        |fixture, _| fs::remove_file(files::beside(&fixture.store.paths().database(), "-wal")).unwrap(),
        |fixture, _| fs::remove_file(fixture.store.paths().database()).unwrap(),
        |fixture, _| fs::write(files::beside(&fixture.store.paths().reset(), ".new"), "half").unwrap(),
    ];
    for cut in cuts {
        let fixture = used();
        let lock = lock(&fixture);
        fixture.store.begin_reset(&lock, Some(&fresh()), true).unwrap();
        cut(&fixture, &lock);
        let other = fixture.other();
        other.finish_reset(&lock).unwrap();
        other.finish_reset(&lock).unwrap();
        drop(lock);
        assert_reset(&fixture);
    }
}

#[test]
fn a_damaged_database_is_replaced() {
    for content in [&b"garbage"[..], b"", b"SQLite format 3\0and no more"] {
        let fixture = used();
        fs::remove_file(files::beside(&fixture.store.paths().database(), "-wal")).unwrap();
        fs::write(fixture.store.paths().database(), content).unwrap();
        assert!(fixture.other().read(State::server).is_err());
        let lock = lock(&fixture);
        fixture.store.begin_reset(&lock, Some(&fresh()), true).unwrap();
        fixture.store.finish_reset(&lock).unwrap();
        drop(lock);
        assert_reset(&fixture);
    }
}

#[test]
fn without_a_server_nothing_is_set_up() {
    let fixture = used();
    let lock = lock(&fixture);
    fixture.store.begin_reset(&lock, None, true).unwrap();
    assert_eq!(fixture.store.reset_server().unwrap(), None);
    fixture.store.finish_reset(&lock).unwrap();
    assert!(!fixture.other().read(State::initialised).unwrap());
}

#[test]
fn reset_never_leaves_the_installation() {
    let fixture = used();
    let lock = lock(&fixture);
    fixture.store.finish_reset(&lock).unwrap();
    assert!(files(fixture.store.paths()).iter().all(|file| file.exists()));
    assert_eq!(fixture.read(State::client_count), 2);
    let (elsewhere, certs) = (fixture.dir.path().join("letsencrypt"), fixture.store.paths().certs_dir());
    fs::rename(&certs, &elsewhere).unwrap();
    symlink(&elsewhere, &certs).unwrap();
    fixture.store.begin_reset(&lock, Some(&fresh()), true).unwrap();
    fixture.store.finish_reset(&lock).unwrap();
    assert!(elsewhere.join("example.org/key.pem").exists() && !certs.exists());
}
