//! Tests of the copies, and of what is noticed of a damaged database.
#![expect(clippy::disallowed_methods, reason = "the tests spoil files on purpose")]

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::State;
use crate::testing::{Fixture, name, new_client, settle};

/// 2026-11-29T06:12:11Z and so many days later.
fn on_day(number: i64) -> Timestamp {
    Timestamp::from_micros(1_795_932_731_000_000 + number * DAY)
}

fn file_names(fixture: &Fixture) -> Vec<String> {
    let copies = fixture.store.copies().unwrap();
    copies.iter().map(|copy| copy.path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}

fn lock(fixture: &Fixture) -> Lock {
    fixture.store.lock(Duration::ZERO).unwrap()
}

#[test]
fn copy_is_due_daily_with_stored_content() {
    let fixture = Fixture::new();
    fixture.change(|tx| drop(tx.insert_client(new_client("a", 1)).unwrap()));
    let store = &fixture.store;
    assert!(store.copy_due(on_day(0)));
    let copy = store.make_copy(on_day(0)).unwrap();
    let wanted = StateCopy {
        path: store.paths().copies_dir().join("2026-11-29.db"),
        made: on_day(0),
        kind: CopyKind::Daily,
    };
    assert_eq!((&copy, store.copies().unwrap()), (&wanted, vec![wanted.clone()]));
    assert_eq!(copy.until().to_string(), "2026-12-06T00:00:00.000000");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&store.paths().copies_dir()), mode(&copy.path)), (0o700, 0o600));
    assert!(!store.copy_due(on_day(0)) && store.copy_due(on_day(1)));
    // Complete in itself, with a log as ours has one.
    let other = Connection::open(&copy.path).unwrap();
    let read = |sql: &str| other.query_row(sql, (), |row| row.get::<_, String>(0)).unwrap();
    assert_eq!((read("SELECT name FROM clients"), read("PRAGMA journal_mode")), ("a".into(), "wal".into()));
    drop(other);
    // One that somebody asks for takes the place of the day's.
    fixture.change(|tx| drop(tx.insert_client(new_client("b", 1)).unwrap()));
    store.make_copy(on_day(0)).unwrap();
    assert_eq!(file_names(&fixture), ["2026-11-29.db"]);
    let clients =
        Connection::open(&copy.path)
            .unwrap()
            .query_row("SELECT clients FROM counters", (), |row| row.get::<_, i64>(0));
    assert_eq!(clients.unwrap(), 2);
}

#[test]
fn seven_copies_remain_for_a_week() {
    let fixture = Fixture::new();
    for day in 0..10 {
        fixture.store.make_copy(on_day(day)).unwrap();
    }
    assert_eq!(file_names(&fixture).len(), 7);
    assert_eq!(file_names(&fixture).last().unwrap(), "2026-12-02.db");
    // Those that were made before a restore are counted apart.
    let lock = lock(&fixture);
    for second in 0..9 {
        let at = Timestamp::from_micros(on_day(9).micros() + second * 1_000_000);
        let kept = fixture.store.keep_replaced(&lock, at).unwrap().unwrap();
        assert_eq!(kept.kind, CopyKind::Replaced);
        fixture.store.keep_replaced(&lock, at).unwrap().unwrap(); // within the same second
        fixture.store.expire_copies(&lock, at);
    }
    let count = |kind: &str| file_names(&fixture).iter().filter(|name| name.contains(kind)).count();
    assert_eq!((count("-replaced-"), file_names(&fixture).len()), (7, 14));
    fixture.store.expire_copies(&lock, on_day(12));
    assert_eq!((count("-replaced-"), file_names(&fixture).len()), (7, 11), "{:?}", file_names(&fixture));
    fixture.store.expire_copies(&lock, on_day(100));
    assert_eq!(file_names(&fixture), ["2026-12-08.db"]);
}

#[test]
fn host_files_are_kept_apart_from_copies() {
    let fixture = Fixture::new();
    fixture.store.make_copy(on_day(0)).unwrap();
    let lock = lock(&fixture);
    for number in 0..9 {
        let kept = fixture.store.keep_file("wg_main.conf", &[number], on_day(1)).unwrap();
        assert_eq!((kept.kind, fs::read(&kept.path).unwrap()), (CopyKind::File, vec![number]));
        assert_eq!(fs::metadata(&kept.path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let count = || file_names(&fixture).iter().filter(|name| name.ends_with("-wg_main.conf")).count();
    assert_eq!((count(), file_names(&fixture).len()), (9, 10));
    fixture.store.expire_copies(&lock, on_day(7));
    assert_eq!((count(), file_names(&fixture).len()), (7, 8));
    fixture.store.expire_copies(&lock, on_day(8));
    assert_eq!(file_names(&fixture), ["2026-11-29.db"]);
}

#[test]
fn it_is_known_when_a_copy_ends() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    assert_eq!((store.copies_due().unwrap(), store.due()), (None, None));
    let first = store.make_copy(on_day(0)).unwrap();
    assert_eq!((store.copies_due().unwrap(), store.due()), (Some(first.until()), Some(first.until())));
    // What was said of something else that is due earlier stays.
    let earlier = Some(Timestamp::from_micros(on_day(1).micros()));
    store.set_due(earlier).unwrap();
    store.make_copy(on_day(1)).unwrap();
    assert_eq!((store.copies_due().unwrap(), store.due()), (Some(first.until()), earlier));
    // After an attempt that failed there is a pause.
    fs::write(store.paths().copies_dir().join(DRAFT), "").unwrap();
    let tried = fs::metadata(store.paths().copies_dir().join(DRAFT)).unwrap().modified().unwrap();
    let again = Timestamp::from(tried + RETRY);
    assert_eq!(store.copies_due().unwrap(), Some(first.until().max(again)));
}

#[test]
fn what_is_no_copy_is_left_alone() {
    let fixture = Fixture::new();
    fixture.store.make_copy(on_day(0)).unwrap();
    let dir = fixture.store.paths().copies_dir();
    for name in ["notes", "2026-11-01.txt", "2026-11-01-mine.db", "short.db", "ğğğğğğğğğ.db"] {
        fs::write(dir.join(name), "of somebody").unwrap();
    }
    fixture.store.expire_copies(&lock(&fixture), on_day(100));
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 6);
    assert_eq!(file_names(&fixture), ["2026-11-29.db"]);
}

#[test]
fn copy_of_removed_database_gets_no_name() {
    let fixture = Fixture::new();
    let draft = fixture.store.write_draft(on_day(0)).unwrap();
    let held = fixture.other().make_copy(on_day(0));
    assert!(matches!(held, Err(StoreError::Write { .. })), "{held:?}");
    let database = fixture.store.paths().database();
    fs::copy(&database, fixture.dir.path().join("another")).unwrap();
    fs::rename(fixture.dir.path().join("another"), &database).unwrap();
    let late = fixture.store.publish(&draft, on_day(0));
    assert!(matches!(late, Err(StoreError::Unreadable { .. })), "{late:?}");
    assert_eq!(file_names(&fixture), [""; 0]);
    assert_eq!(fs::metadata(&draft.path).unwrap().len(), 0, "what it held is gone");
    drop(draft);
    // A reset that was begun gets none either.
    let draft = fixture.store.write_draft(on_day(0)).unwrap();
    fixture.store.begin_reset(&lock(&fixture), None, true).unwrap();
    fixture.store.publish(&draft, on_day(0)).unwrap_err();
    assert_eq!(file_names(&fixture), [""; 0]);
}

#[test]
fn a_reset_removes_every_copy() {
    let fixture = Fixture::new();
    fixture.store.make_copy(on_day(0)).unwrap();
    let lock = lock(&fixture);
    fixture.store.keep_replaced(&lock, on_day(0)).unwrap();
    fixture.store.begin_reset(&lock, None, true).unwrap();
    fixture.store.finish_reset(&lock).unwrap();
    assert!(!fixture.store.paths().copies_dir().exists());
}

/// Overwrites one page, past SQLite, by what a disk may leave there.
fn damage(database: &Path, page: usize, with: u8) {
    let file = fs::OpenOptions::new().write(true).open(database).unwrap();
    file.write_all_at(&[with; 4096], (page * 4096) as u64).unwrap();
}

fn pages(database: &Path) -> usize {
    usize::try_from(fs::metadata(database).unwrap().len() / 4096).unwrap()
}

#[test]
fn damaged_page_stops_the_next_small_change() {
    let fixture = Fixture::new();
    fixture.change(|tx| {
        for number in 0..100 {
            tx.insert_client(new_client(&format!("c{number}"), number)).unwrap();
        }
        tx.remove_client(&name("c7")).unwrap().unwrap();
    });
    settle(&fixture);
    let database = fixture.store.paths().database();
    let sound = fs::read(&database).unwrap();
    assert!((17..=48).contains(&pages(&database)), "{} pages", pages(&database));
    let lock = lock(&fixture);
    for page in 0..pages(&database) {
        for with in [0, 0x5a, 0xff] {
            damage(&database, page, with);
            let refused = fixture.other().begin(&lock).map(drop);
            assert!(
                matches!(refused, Err(StoreError::Unreadable { .. })),
                "page {page} full of {with:#x}: {refused:?}"
            );
            fs::write(&database, &sound).unwrap();
            fixture.other().begin(&lock).map(drop).unwrap();
        }
    }
}

#[test]
fn damaged_large_database_spares_older_copies() {
    let fixture = Fixture::new();
    fixture.change(|tx| {
        tx.set_server(&crate::Server {
            subnet: "10.0.0.0/16".parse().unwrap(),
            ..tx.server().unwrap().unwrap()
        })
        .unwrap();
        for number in 0..2000 {
            tx.insert_client(new_client(&format!("c{number}"), number)).unwrap();
        }
    });
    settle(&fixture);
    fixture.store.make_copy(on_day(0)).unwrap();
    let database = fixture.store.paths().database();
    assert!(pages(&database) > 100, "{} pages", pages(&database));
    let sound = fs::read(&database).unwrap();
    for page in 1..pages(&database) {
        damage(&database, page, 0x5a);
        let other = fixture.other();
        let refused = other.make_copy(on_day(8));
        assert!(matches!(refused, Err(StoreError::Unreadable { .. })), "page {page}: {refused:?}");
        assert_eq!(file_names(&fixture), ["2026-11-29.db"]);
        fs::write(&database, &sound).unwrap();
    }
    // It is not tried again and again.
    assert!(!fixture.store.copy_due(on_day(8)));
    assert!(fixture.store.copy_due(Timestamp::from_micros(on_day(8).micros() + 3_700_000_000)));
    fixture.store.make_copy(on_day(8)).unwrap();
    assert_eq!(file_names(&fixture), ["2026-12-07.db"]);
}

#[test]
fn unreadable_database_is_kept_with_its_log() {
    let fixture = Fixture::new();
    fixture.change(|tx| drop(tx.insert_client(new_client("a", 1)).unwrap()));
    let database = fixture.store.paths().database();
    damage(&database, 1, 0x5a);
    damage(&database, 5, 0x5a);
    let log = files::beside(&database, "-wal");
    let before = (fs::read(&database).unwrap(), fs::read(&log).unwrap());
    fs::write(&database, [&b"not even the beginning"[..], &before.0[22..]].concat()).unwrap();
    let before = (fs::read(&database).unwrap(), before.1);
    let other = fixture.other();
    assert!(other.read(State::server).is_err());
    let kept = other.keep_replaced(&lock(&fixture), on_day(0)).unwrap().unwrap();
    let after = (fs::read(&kept.path).unwrap(), fs::read(files::beside(&kept.path, "-wal")).unwrap());
    assert!(before == after);
    other.expire_copies(&lock(&fixture), on_day(8));
    assert_eq!(fs::read_dir(other.paths().copies_dir()).unwrap().count(), 0);
}
