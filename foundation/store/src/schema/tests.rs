//! Tests of the schema's versions.

#![expect(clippy::disallowed_methods, reason = "the tests plant and remove files of their own")]

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use phantom_types::PrivateKey;

use super::*;
use crate::testing::{Fixture, name, new_client, settle};
use crate::{Client, State};

/// A next version, as a later program has it.
const NEXT: &[&str] = &[
    MIGRATIONS[0],
    MIGRATIONS[1],
    MIGRATIONS[2],
    MIGRATIONS[3],
    MIGRATIONS[4],
    "CREATE TABLE later (x INTEGER) STRICT; INSERT INTO later SELECT clients FROM counters",
];

/// A database of version 1, as a program of then has left it: so many clients from host number 2 on, every tenth of
/// them removed again, and no log beside it.
fn of_version_1(clients: u32) -> Fixture {
    let fixture = Fixture::empty();
    let data = fixture.store.paths().data_dir();
    fs::create_dir_all(&data).unwrap();
    let connection = fixture.sqlite();
    connection
        .execute_batch(&format!(
            "{}; PRAGMA user_version = 1; PRAGMA journal_mode = WAL; BEGIN;
             INSERT INTO server VALUES (1, zeroblob(32), zeroblob(32), '192.0.2.1', NULL, NULL, 51820, '10.0.0.0/8',
                 'fd00:8::/64', 'wg_main', 'auto', 'kernel', NULL, NULL, 1);
             WITH RECURSIVE hosts (host) AS (SELECT 2 UNION ALL SELECT host + 1 FROM hosts WHERE host <= {clients})
             INSERT INTO clients SELECT host, 'Client-' || host, unhex(printf('fd000008%024x', host)), randomblob(32),
                 randomblob(32), randomblob(32), 1000 - host % 7, host % 2 FROM hosts;
             DELETE FROM clients WHERE host % 10 = 0; COMMIT; PRAGMA wal_checkpoint(TRUNCATE)",
            MIGRATIONS[0]
        ))
        .unwrap();
    fixture
}

/// All rows of a query as text.
fn rows(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(sql).unwrap();
    let columns = statement.column_count();
    let text = |row: &rusqlite::Row<'_>| {
        (0..columns)
            .map(|column| Ok(format!("{:?}", row.get_ref(column)?)))
            .collect::<rusqlite::Result<Vec<_>>>()
    };
    statement.query_map((), text).unwrap().map(|row| row.unwrap().join(" ")).collect()
}

const KEPT: &str =
    "SELECT host, name, address6, private_key, public_key, preshared_key, created, enabled FROM clients";

#[test]
fn a_published_migration_is_never_edited() {
    // FNV-1a of each file. A number that has to change here belongs to a schema that is installed somewhere.
    let hash = |text: &str| {
        text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    };
    let published: [u64; 5] = [
        13_311_737_576_921_031_617,
        3_826_237_819_728_292_714,
        8_298_685_704_711_902_231,
        1_033_146_582_760_500_616,
        17_967_487_874_093_580_319,
    ];
    assert_eq!(MIGRATIONS.iter().map(|text| hash(text)).collect::<Vec<_>>(), published);
}

#[test]
fn older_schema_is_migrated_with_its_content() {
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
        assert_eq!(rows(&connection, "SELECT x FROM later"), ["Integer(1)"], "each step is done once");
    }
}

#[test]
fn version_2_gives_clients_id_and_secret() {
    let fixture = of_version_1(2000);
    let before = rows(&fixture.sqlite(), KEPT);
    let free = rows(&fixture.sqlite(), "SELECT host FROM free_hosts");
    assert_eq!((before.len(), free.len()), (1800, 200));
    assert_eq!(fixture.read(State::client_count), 1800);
    let connection = fixture.sqlite();
    assert_eq!(version(&connection).unwrap() as usize, MIGRATIONS.len());
    assert_eq!(rows(&connection, KEPT), before);
    assert_eq!(rows(&connection, "SELECT host FROM free_hosts"), free);
    assert_eq!(fixture.read(State::contradictions), []);
    let secrets: BTreeSet<String> =
        rows(&connection, "SELECT tunnel_secret FROM clients").into_iter().collect();
    assert_eq!(secrets.len(), 1800, "each has a secret of its own");
    let ids: BTreeSet<String> = rows(&connection, "SELECT id FROM clients").into_iter().collect();
    assert_eq!(ids.len(), 1800);
    assert_eq!(rows(&connection, "SELECT DISTINCT extra_ips FROM clients"), ["Text([])"]);
    let client = fixture.read(|state| state.client(&name("Client-2"))).unwrap();
    let Client { private_key, preshared_key, address6, extra_ips, .. } = &client;
    assert!(private_key.is_some() && preshared_key.is_some() && extra_ips.is_empty());
    assert_eq!(*address6, "fd00:8::2".parse().ok());
    // What was given back before is given again, but for the id.
    let added = fixture.change(|tx| tx.insert_client(new_client("new", 1)).unwrap());
    assert_eq!((added.address, added.id), ([10, 0, 0, 10].into(), 2001));
    let twin = fixture.change(|tx| tx.insert_client(new_client("cLIENT-3", 1)));
    assert!(twin.is_err(), "names are still compared without case");
}

#[test]
fn outside_access_to_clients_defaults_to_off() {
    let fixture = of_version_1(2);
    assert_eq!(fixture.read(State::reach_from), []);
    let networks: Vec<phantom_types::Subnet> =
        ["192.168.1.0/24", "0.0.0.0/0"].map(|network| network.parse().unwrap()).into();
    fixture.change(|tx| tx.set_reach_from(&networks).unwrap());
    assert_eq!(fixture.read(State::reach_from), networks);
    fixture.change(|tx| tx.set_reach_from(&[]).unwrap());
    assert_eq!(fixture.read(State::reach_from), []);
}

#[test]
fn later_versions_keep_the_rows_of_modules() {
    let fixture = of_version_1(1);
    let row = format!(
        "1, 'a.example', '{}', 'acme', NULL, NULL, '192.0.2.7', 'http://127.0.0.1:80', 5",
        "s".repeat(64)
    );
    // The one function of the program that version 2 needs is not there.
    let second = MIGRATIONS[1].replace("os_random(32)", "randomblob(32)");
    let older = format!("{second}; PRAGMA user_version = 2; INSERT INTO ghost VALUES ({row})");
    fixture.sqlite().execute_batch(&older).unwrap();
    let before = rows(&fixture.sqlite(), "SELECT * FROM ghost");
    assert!(fixture.read(State::initialised));
    assert_eq!(version(&fixture.sqlite()).unwrap() as usize, MIGRATIONS.len());
    let added = " Null".repeat(5);
    assert_eq!(rows(&fixture.sqlite(), "SELECT * FROM ghost"), [format!("{}{added}", before[0])]);
}

#[test]
fn version_4_allows_servers_without_ipv4() {
    let fixture = of_version_1(3);
    let before = rows(&fixture.sqlite(), "SELECT * FROM server");
    let mut server = fixture.read(State::server).unwrap();
    assert_eq!(server.server_ip, Some([192, 0, 2, 1].into()));
    assert_eq!(rows(&fixture.sqlite(), "SELECT * FROM server"), before);
    assert!(fixture.read(State::open_firewall), "ports are opened until somebody declines");
    server.server_ip = None;
    fixture.change(|tx| {
        tx.set_server(&server).unwrap();
        tx.set_open_firewall(false).unwrap();
    });
    assert_eq!(fixture.read(State::server).unwrap(), server);
    assert!(!fixture.read(State::open_firewall));
}

#[test]
fn version_5_keeps_content_of_version_4() {
    let fixture = of_version_1(9);
    let connection = fixture.sqlite();
    connection.execute_batch("BEGIN").unwrap();
    upgrade(&connection, &MIGRATIONS[..4]).unwrap();
    connection.execute_batch("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let dump = |connection: &Connection| {
        let sql =
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name != 'module_schemas' ORDER BY name";
        let mut statement = connection.prepare(sql).unwrap();
        let names = statement.query_map((), |row| row.get::<_, String>(0)).unwrap();
        let names = names.map(|name| name.unwrap());
        names.map(|name| (rows(connection, &format!("SELECT * FROM {name}")), name)).collect::<Vec<_>>()
    };
    let before = dump(&connection);
    assert!(before.iter().any(|(rows, table)| table == "clients" && rows.len() == 8));
    assert_eq!(fixture.read(State::client_count), 8);
    assert_eq!(version(&fixture.sqlite()).unwrap(), 5);
    assert_eq!(dump(&fixture.sqlite()), before);
    let copies = fixture.store.copies().unwrap();
    assert!(copies[0].path.to_str().unwrap().ends_with("-schema-4.db"), "{copies:?}");
}

#[test]
fn readers_survive_a_migrating_first_change() {
    let fixture = of_version_1(10);
    let lock = fixture.store.lock(Duration::ZERO).unwrap();
    let tx = fixture.store.begin(&lock).unwrap();
    tx.insert_client(new_client("new", 1)).unwrap();
    assert_eq!(fixture.other().read(State::client_count).unwrap(), 9);
    tx.commit().unwrap();
    assert_eq!(fixture.other().read(State::client_count).unwrap(), 10);
}

#[test]
fn migration_leaves_no_key_after_removal() {
    let fixture = of_version_1(300);
    let key = fixture.read(|state| state.client(&name("Client-7"))).unwrap().private_key.unwrap();
    let contains = |key: &PrivateKey| {
        let content = fs::read(fixture.store.paths().database()).unwrap();
        content.windows(32).any(|window| window == key.as_bytes())
    };
    assert!(contains(&key), "the test looks in the wrong place");
    fixture.change(|tx| tx.remove_client(&name("Client-7")).unwrap().unwrap());
    settle(&fixture);
    assert!(!contains(&key));
}

#[test]
fn migration_requires_a_copy_of_older_schema() {
    let fixture = of_version_1(50);
    let dir = fixture.store.paths().copies_dir();
    fs::create_dir_all(dir.parent().unwrap()).unwrap();
    fs::write(&dir, "in the way").unwrap();
    let refused = fixture.other().read(State::client_count);
    assert!(matches!(refused, Err(StoreError::Write { .. })), "{refused:?}");
    assert_eq!(version(&fixture.sqlite()).unwrap(), 1);
    fs::remove_file(&dir).unwrap();
    let before = rows(&fixture.sqlite(), KEPT);
    assert_eq!(fixture.other().read(State::client_count).unwrap(), 45);
    let copies = fixture.store.copies().unwrap();
    assert_eq!((copies.len(), copies[0].kind), (1, crate::CopyKind::Upgrade));
    assert!(copies[0].path.to_str().unwrap().ends_with("-schema-1.db"), "{copies:?}");
    let copy = Connection::open(&copies[0].path).unwrap();
    assert_eq!((version(&copy).unwrap(), rows(&copy, KEPT)), (1, before));
    drop(copy);
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "nothing else is left");
    // It can be restored.
    let lock = fixture.store.lock(Duration::ZERO).unwrap();
    fixture.store.prepare_restore(&lock, &copies[0].path).unwrap();
}

#[test]
fn failed_step_leaves_the_older_schema() {
    let fixture = Fixture::new();
    let connection = fixture.sqlite();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    let steps = [
        MIGRATIONS[0],
        MIGRATIONS[1],
        MIGRATIONS[2],
        MIGRATIONS[3],
        MIGRATIONS[4],
        "CREATE TABLE later (x INTEGER)",
        "nonsense",
    ];
    upgrade(&connection, &steps).unwrap_err();
    connection.execute_batch("ROLLBACK").unwrap();
    assert_eq!(version(&connection).unwrap() as usize, MIGRATIONS.len());
    assert!(fixture.read(State::initialised));
}

#[test]
fn a_newer_schema_is_left_alone() {
    let fixture = Fixture::new();
    fixture.sqlite().execute_batch("PRAGMA user_version = 7").unwrap();
    let lock = fixture.store.lock(Duration::ZERO).unwrap();
    let reading = fixture.other().read(State::server).unwrap_err();
    let writing = fixture.store.begin(&lock).map(drop).unwrap_err();
    for error in [reading, writing] {
        assert!(matches!(error, StoreError::Newer { found: 7, known: 5, .. }), "{error:?}");
        assert_eq!(error.file(), fixture.store.paths().database());
    }
    assert_eq!(version(&fixture.sqlite()).unwrap(), 7);
    // What a program that knows version 1 only says of a database of this one.
    let old = is_current(&Fixture::new().sqlite(), &fixture.store.paths().database(), &MIGRATIONS[..1]);
    assert!(matches!(old, Err(StoreError::Newer { found: 5, known: 1, .. })), "{old:?}");
}
