//! Tests of stored exits, of Multihop and of the log of its session.

use std::time::Duration;

use phantom_store::{Paths, Store};
use phantom_types::Timestamp;
use serde_json::json;

use super::*;

struct Fixture {
    _dir: tempfile::TempDir,
    store: Store,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(Paths::with_run_dir(dir.path().join("root"), dir.path().join("run")));
        store.set_modules(vec![SCHEMA]);
        Self { _dir: dir, store }
    }

    fn change<T>(&self, what: impl FnOnce(&Transaction<'_>) -> T) -> T {
        let lock = self.store.lock(Duration::from_secs(30)).unwrap();
        let change = self.store.begin(&lock).unwrap();
        let result = what(&change);
        change.commit().unwrap();
        result
    }

    fn read<'s, T>(&'s self, what: impl FnOnce(&State<'s>) -> Result<T, StoreError>) -> T {
        self.store.read(what).unwrap()
    }

    /// A connection past the store, as an SQLite shell has it.
    fn sqlite(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.store.paths().database()).unwrap()
    }
}

fn name(text: &str) -> ExitName {
    text.parse().unwrap()
}

fn exit(text: &str) -> Exit {
    let private_key = PrivateKey::from_random([9; 32]);
    Exit {
        name: name(text),
        public_key: private_key.public_key(),
        private_key,
        preshared_key: Some(PresharedKey::from_bytes([3; 32])),
        endpoint: "uk.example.org:51820".parse().unwrap(),
        addresses: vec!["10.99.0.2/32".parse().unwrap(), "10.98.0.2/24".parse().unwrap()],
        allowed_ips: vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()],
        mtu: 1380,
        keepalive: 25,
        file_mtu: Some(1500),
        file_keepalive: None,
        provider: "Unknown Provider".to_owned(),
        original_path: "/home/user/ü.conf".to_owned(),
        imported_at: Timestamp::from_micros(5),
    }
}

fn multihop(exit: &str) -> Multihop {
    Multihop {
        chosen_exit: name(exit),
        kill_switch: true,
        fallback_exits: vec![name("nl"), name("de")],
        active_exit: name("nl"),
        endpoint_address: Some("[2001:db8::1]:51820".parse().unwrap()),
        staged: Some((name("de"), "192.0.2.9:1".parse().unwrap())),
        activated_at: Timestamp::from_micros(6),
    }
}

#[test]
fn exits_round_trip_by_name() {
    let fixture = Fixture::new();
    let plain = Exit {
        preshared_key: None,
        endpoint: "[2001:db8::9]:1".parse().unwrap(),
        file_mtu: None,
        file_keepalive: Some(300),
        ..exit("de")
    };
    fixture.change(|tx| {
        tx.add_exit(&exit("uk")).unwrap();
        tx.add_exit(&plain).unwrap();
    });
    fixture.read(|state| {
        assert_eq!(state.exits()?, [plain.clone(), exit("uk")]);
        assert_eq!(state.exit_names()?, [name("de"), name("uk")]);
        assert_eq!(state.exit(&name("UK"))?, Some(exit("uk")), "a name is in lower case, whoever asks");
        assert_eq!(state.exit(&name("fr"))?, None);
        assert_eq!(state.exit_interface()?, Some("wg_vpn".parse().unwrap()));
        Ok(())
    });
    let removed =
        fixture.change(|tx| [tx.remove_exit(&name("de")).unwrap(), tx.remove_exit(&name("fr")).unwrap()]);
    assert_eq!(removed, [Some(plain), None]);
    assert_eq!(fixture.read(State::exit_names), [name("uk")]);
}

#[test]
fn what_must_not_be_stored_is_refused() {
    let fixture = Fixture::new();
    fixture.change(|tx| tx.add_exit(&exit("uk")).unwrap());
    let lock = fixture.store.lock(Duration::ZERO).unwrap();
    for bad in [
        exit("uk"),
        Exit { mtu: 1279, ..exit("a") },
        Exit { mtu: 1421, ..exit("b") },
        Exit { keepalive: 0, ..exit("c") },
        Exit { keepalive: 61, ..exit("d") },
    ] {
        let tx = fixture.store.begin(&lock).unwrap();
        tx.add_exit(&bad).unwrap_err();
    }
    let tx = fixture.store.begin(&lock).unwrap();
    tx.set_multihop(Some(&multihop("uk"))).expect_err("its fallback in use is not there");
    drop(tx);
    drop(lock);
    fixture.change(|tx| {
        tx.set_multihop(Some(&Multihop { active_exit: name("uk"), staged: None, ..multihop("uk") })).unwrap();
        tx.remove_exit(&name("uk")).expect_err("it carries the traffic");
    });
    assert_eq!(fixture.read(State::exit_names), [name("uk")]);
    let nowhere =
        fixture.sqlite().execute_batch("INSERT INTO multihop VALUES (1, 'nowhere', 1, '', 1)").unwrap_err();
    assert_eq!(nowhere.sqlite_error_code(), Some(rusqlite::ErrorCode::ConstraintViolation));
}

#[test]
fn without_a_database_there_is_no_exit() {
    let fixture = Fixture::new();
    fixture.read(|state| {
        assert!(!state.multihop_active()? && state.exit_addresses()?.is_empty());
        Ok(())
    });
}

#[test]
fn exits_come_with_their_addresses() {
    let fixture = Fixture::new();
    fixture.change(|tx| tx.add_exit(&exit("uk")).unwrap());
    assert_eq!(fixture.read(State::exit_addresses), [(name("uk"), exit("uk").addresses)]);
}

#[test]
fn multihop_comes_back_as_it_was_stored() {
    let fixture = Fixture::new();
    fixture.change(|tx| ["uk", "nl", "de"].map(|name| tx.add_exit(&exit(name)).unwrap()));
    let open = Multihop {
        kill_switch: false,
        fallback_exits: Vec::new(),
        active_exit: name("uk"),
        endpoint_address: None,
        staged: None,
        ..multihop("uk")
    };
    for stored in [Some(&multihop("uk")), Some(&open), None] {
        fixture.change(|tx| tx.set_multihop(stored).unwrap());
        assert_eq!(fixture.read(State::multihop).as_ref(), stored);
        assert_eq!(fixture.read(State::multihop_active), stored.is_some());
    }
}

#[test]
fn chosen_exit_is_active_by_default() {
    let fixture = Fixture::new();
    fixture.change(|tx| tx.add_exit(&exit("uk")).unwrap());
    fixture.sqlite().execute_batch("INSERT INTO multihop VALUES (1, 'uk', 1, '', 6)").unwrap();
    let expected = Multihop {
        fallback_exits: Vec::new(),
        active_exit: name("uk"),
        endpoint_address: None,
        staged: None,
        ..multihop("uk")
    };
    assert_eq!(fixture.read(State::multihop), Some(expected));
}

#[test]
fn a_fallback_that_is_removed_is_forgotten() {
    let fixture = Fixture::new();
    fixture.change(|tx| ["uk", "nl", "de"].map(|name| tx.add_exit(&exit(name)).unwrap()));
    let before = Multihop { staged: None, ..multihop("uk") };
    fixture.change(|tx| tx.set_multihop(Some(&before)).unwrap());
    fixture.change(|tx| tx.remove_exit(&name("de")).map(drop).unwrap());
    let left = Multihop { fallback_exits: vec![name("nl")], ..before };
    assert_eq!(fixture.read(State::multihop), Some(left));
}

#[test]
fn session_keeps_newest_records_in_order() {
    let fixture = Fixture::new();
    let record = |number: u32| SessionRecord {
        at: Timestamp::from_micros(number.into()),
        exit: name("gone"),
        event: "reconnect_attempt".to_owned(),
        details: number.is_multiple_of(2).then(|| json!({ "n": number })),
    };
    fixture.change(|tx| (0..3).for_each(|number| tx.add_record(&record(number)).unwrap()));
    fixture.read(|state| {
        assert_eq!(state.session_records(10)?, [record(0), record(1), record(2)]);
        assert_eq!(state.session_records(2)?, [record(1), record(2)]);
        assert_eq!(state.session_length()?, 3);
        Ok(())
    });
    fixture.change(|tx| {
        tx.begin_session().unwrap();
        (0..RECORDS_KEPT + 5).for_each(|number| tx.add_record(&record(number)).unwrap());
    });
    fixture.read(|state| {
        assert_eq!(state.session_length()?, RECORDS_KEPT);
        assert_eq!(state.session_records(u32::MAX)?.first(), Some(&record(5)));
        Ok(())
    });
    fixture.change(|tx| tx.begin_session().unwrap());
    assert_eq!(fixture.read(State::session_length), 0);
}
