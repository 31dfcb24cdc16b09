//! Copies of the stored state: made once a day, on demand and before a restore; restored, and never a way back for half
//! a state.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use phantom_host::{Port, Protocol};
use phantom_tests::{Answer, Server, dump_database};
use serde_json::{Value, json};

use crate::cases::{through_exit, with_ghost, with_john};
use crate::faults::{changed, dump};

const DAY: Duration = Duration::from_hours(24);

fn add(server: &Server, name: &str) {
    server.action("core", "add_client", &[format!("client_name={name}")]).ok();
}

fn remove(server: &Server, name: &str) -> Value {
    server.action("core", "remove_client", &[format!("client_name={name}")]).ok()
}

fn backup(server: &Server, file: &Path) -> Value {
    server.action("core", "backup", &[format!("path={}", file.display())]).ok()
}

fn restore(server: &Server, file: &Path, more: &[&str]) -> Answer {
    let parameters = [format!("path={}", file.display())];
    let parameters: Vec<String> =
        parameters.into_iter().chain(more.iter().map(|&word| word.to_owned())).collect();
    server.action("core", "restore", &parameters)
}

fn names(server: &Server) -> Vec<String> {
    let list = server.api(&["core", "list_clients"]).ok();
    list["clients"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

/// The names of the copies that the server keeps, sorted.
fn kept(server: &Server) -> Vec<String> {
    let entries = fs::read_dir(server.paths().copies_dir()).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().into_string().unwrap())
        .filter(|name| Path::new(name).extension().is_some_and(|end| end == "db"))
        .collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A server with the clients `john-laptop` and `phone`, its backup, and after that `phone` removed and `tablet` added.
fn backed_up() -> (Server, PathBuf) {
    let server = with_john();
    add(&server, "phone");
    let file = server.dir().join("backup.db");
    backup(&server, &file);
    remove(&server, "phone");
    add(&server, "tablet");
    server.fake.reset_writes();
    (server, file)
}

#[test]
fn first_change_of_day_makes_a_copy() {
    let server = Server::ready();
    assert_eq!(kept(&server), ["2025-09-09.db"]);
    let first = server.paths().copies_dir().join("2025-09-09.db");
    assert_eq!((mode(&first), mode(first.parent().unwrap())), (0o600, 0o700));
    let before = fs::read(&first).unwrap();
    add(&server, "same-day");
    assert!(fs::read(&first).unwrap() == before, "one a day is enough");
    server.fake.advance(DAY);
    server.api(&["core", "list_clients"]).ok();
    server.api(&["core", "add_client", "client_name=same-day"]).failed("CLIENT_EXISTS");
    assert_eq!(kept(&server), ["2025-09-09.db"], "nothing was changed");
    server.api(&["dns", "change_dns_servers", "primary=9.9.9.9"]).ok();
    assert_eq!(kept(&server), ["2025-09-09.db", "2025-09-10.db"]);
    for _ in 0..9 {
        server.fake.advance(DAY);
        server.api(&["core", "reconcile"]).ok();
    }
    assert_eq!((kept(&server).len(), kept(&server)[0].as_str()), (7, "2025-09-13.db"));
}

#[test]
fn backup_is_one_private_new_file() {
    let server = with_john();
    let daily = server.plain(&server.api(&["core", "backup"])).ok();
    let path = "/opt/phantom-wg/backups/state/2025-09-09.db";
    assert_eq!(
        (&daily["success"], &daily["path"], &daily["clients"]),
        (&json!(true), &json!(path), &json!(1))
    );
    assert_eq!(daily["copies"], json!([{ "path": path, "created": daily["copies"][0]["created"] }]));
    assert_eq!(
        daily["message"],
        "Backup written to /opt/phantom-wg/backups/state/2025-09-09.db. It holds all keys: keep it where nobody else can read it"
    );
    let turkish = server.plain(&server.api(&["core", "backup", "--lang", "tr"])).ok();
    assert_eq!(
        turkish["message"],
        "Yedek /opt/phantom-wg/backups/state/2025-09-09.db dosyasına yazıldı. Bütün anahtarları içerir: kimsenin \
         okuyamayacağı bir yerde saklayın"
    );
    let (before, file) = (server.dump(), server.dir().join("mine.db"));
    backup(&server, &file);
    assert_eq!(mode(&file), 0o600);
    for path in [&file, &server.dir().join("nowhere/mine.db"), server.dir()] {
        let refused =
            server.action("core", "backup", &[format!("path={}", path.display())]).failed("CONFIG_ERROR");
        assert_eq!(refused["data"]["file"], path.display().to_string());
    }
    assert_eq!(server.dump(), before);
    Server::bare().api(&["core", "backup"]).failed("NOT_INITIALIZED");
}

#[test]
fn damaged_database_is_not_backed_up() {
    let server = with_john();
    let database = server.paths().database();
    let mut content = fs::read(&database).unwrap();
    let page = content.len() / 4096 / 2 * 4096;
    content[page..page + 4096].fill(0x5a);
    fs::write(&database, content).unwrap();
    server.fake.advance(DAY);
    let refused = server.api(&["core", "backup"]).failed("CONFIG_ERROR");
    assert_eq!(refused["data"]["file"], database.display().to_string());
    let change = server.api(&["dns", "change_dns_servers", "primary=9.9.9.9"]);
    assert!(change.failed("CONFIG_ERROR")["error"].as_str().unwrap().contains("damaged"));
    assert_eq!(kept(&server), ["2025-09-09.db"], "the good one stays");
    // It is what brings the server back.
    let restored = restore(&server, &server.paths().copies_dir().join("2025-09-09.db"), &[]).ok();
    assert_eq!(restored["restored"], true);
    assert_eq!(names(&server), [""; 0], "the day's copy was made at the setup");
    server.assert_in_sync();
}

#[test]
fn dry_restore_lists_effects_and_changes_nothing() {
    let (server, file) = backed_up();
    server.api(&["dns", "change_dns_servers", "primary=9.9.9.9"]).ok();
    server.fake.reset_writes();
    let (before, tree) = (server.dump(), server.tree());
    for (lang, message) in [
        ("en", "The backup can be restored; nothing was changed"),
        ("tr", "Yedek geri yüklenebilir; hiçbir şey değiştirilmedi"),
    ] {
        let shown = restore(&server, &file, &["dry_run=true", "--lang", lang]).ok();
        let changes = json!({
            "returning": ["phone"], "returning_total": 1, "lost": ["tablet"], "lost_total": 1,
            "new_file_needed": ["john-laptop"], "new_file_needed_total": 1
        });
        let expected = json!({
            "dry_run": true, "restored": false, "path": file.display().to_string(), "clients": 2, "changes": changes,
            "kept": null, "message": message
        });
        assert_eq!(shown, expected);
    }
    assert_eq!((server.dump(), server.tree(), server.fake.writes()), (before, tree, 0));
    server.api(&["dns", "change_dns_servers", "primary=8.8.8.8"]).ok();
    let shown = restore(&server, &file, &["dry_run=true"]).ok();
    assert_eq!(shown["changes"]["new_file_needed_total"], 0, "its file is the same again");
}

#[test]
fn restore_brings_back_copy_and_keeps_present() {
    let (server, file) = backed_up();
    let exported = server.api(&["core", "export_client", "client_name=john-laptop"]).ok();
    let stored = |server: &Server| dump_database(&server.paths().database());
    let before = stored(&server);
    let done = restore(&server, &file, &[]).ok();
    assert_eq!((&done["restored"], &done["dry_run"]), (&true.into(), &false.into()));
    assert_eq!(done["changes"]["returning"], json!(["phone"]));
    assert_eq!(names(&server), ["john-laptop", "phone"]);
    assert_eq!(server.api(&["core", "export_client", "client_name=john-laptop"]).ok(), exported);
    server.assert_in_sync();
    let dump = server.fake.dump();
    assert!(dump.contains("10.8.0.3/32") && !server.paths().changing().exists(), "{dump}");
    let kept = PathBuf::from(done["kept"].as_str().unwrap());
    assert_eq!(done["message"], format!("Backup restored. What was there is kept in {}", kept.display()));
    assert_eq!(mode(&kept), 0o600);
    // And back again.
    let back = restore(&server, &kept, &["--lang", "tr"]).ok();
    assert_eq!(
        (names(&server), &back["changes"]["lost"]),
        (vec!["john-laptop".into(), "tablet".into()], &json!(["phone"]))
    );
    let again = back["kept"].as_str().unwrap();
    assert_eq!(back["message"], format!("Yedek geri yüklendi. Önceki durum {again} dosyasında saklanıyor"));
    server.assert_in_sync();
    let without_counters = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.contains("generation=")).map(str::to_owned).collect()
    };
    assert_eq!(without_counters(&stored(&server)), without_counters(&before));
}

#[test]
fn restore_includes_port_subnet_and_interface() {
    let server = Server::set_up(&["subnet=10.77.0.0/24", "port=4443", "interface=wg_old"]).with(&["first"]);
    remove(&server, "first"); // whose key is that of the first client of every server here
    add(&server, "old");
    let file = server.dir().join("backup.db");
    backup(&server, &file);
    let other = with_john();
    let done = restore(&other, &file, &[]).ok();
    assert_eq!(done["changes"]["lost"], json!(["john-laptop"]));
    other.assert_in_sync();
    let dump = other.fake.dump();
    assert!(dump.contains("wg_old") && dump.contains("10.77.0.2/32") && !dump.contains("wg_main"), "{dump}");
}

#[test]
fn modules_are_as_they_were_then() {
    for (server, off) in
        [(through_exit(), &["multihop", "disable_multihop"][..]), (with_ghost(), &["ghost", "disable"])]
    {
        let (on, without) = (server.dir().join("on.db"), server.dir().join("off.db"));
        backup(&server, &on);
        let before = dump(&server);
        server.api(off).ok();
        backup(&server, &without);
        restore(&server, &on, &[]).ok();
        server.assert_in_sync();
        let host = |dump: &str| dump.split("[backups]").next().unwrap().to_owned();
        assert_eq!(changed(&host(&before), &host(&dump(&server))), "", "{off:?}");
        restore(&server, &without, &[]).ok();
        server.assert_in_sync();
    }
}

#[test]
fn impossible_restore_is_refused_without_change() {
    let (server, file) = backed_up();
    let garbage = server.dir().join("garbage");
    fs::write(&garbage, "no backup").unwrap();
    let newer = server.dir().join("newer.db");
    fs::copy(&file, &newer).unwrap();
    rusqlite::Connection::open(&newer).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    let before = server.dump();
    for bad in [&garbage, &newer, &server.dir().join("nothing")] {
        for more in [&[][..], &["dry_run=true"]] {
            let refused = restore(&server, bad, more).failed("CONFIG_ERROR");
            assert_eq!(refused["data"], json!({ "file": bad.display().to_string() }));
        }
    }
    server.api(&["core", "stop_service"]).ok();
    server.fake.bind(Port { protocol: Protocol::Udp, number: 51_820 });
    let stopped = server.dump();
    restore(&server, &file, &[]).failed("PORT_IN_USE");
    assert_eq!(server.dump(), stopped);
    assert_ne!(before, stopped);
    assert!(!kept(&server).iter().any(|name| name.contains("replaced")), "{:?}", kept(&server));
}

#[test]
fn refused_write_keeps_the_present_state() {
    let (server, file) = backed_up();
    let snapshot = server.snapshot();
    restore(&server, &file, &[]).ok();
    let writes = server.fake.writes();
    assert!(writes > 2, "{writes}");
    let mut refused = 0;
    for write in 1..=writes {
        for all_behind in [false, true] {
            server.restore(&snapshot);
            let before = dump(&server);
            if all_behind {
                server.fake.refuse_from(write);
            } else {
                server.fake.refuse_write(write);
            }
            let answer = restore(&server, &file, &[]);
            server.fake.reset_writes();
            let at = format!("write {write}, all behind it: {all_behind}: {}{}", answer.out, answer.err);
            assert_eq!(answer.code(), "SERVICE_OPERATION_FAILED", "{at}");
            refused += 1;
            let left = &answer.json()["data"]["rolled_back"];
            if left == true {
                assert_eq!(changed(&before, &dump(&server)), "", "{at}");
            }
            server.api(&["core", "reconcile"]).ok();
            server.assert_in_sync();
            let names = names(&server);
            assert!(
                names == ["john-laptop", "tablet"] || (left == false && names == ["john-laptop", "phone"]),
                "{at}: {names:?}"
            );
            // What was replaced is kept, however the answer was.
            let replaced = kept(&server).iter().any(|name| name.contains("-replaced-"));
            assert!(replaced || names != ["john-laptop", "phone"], "{at}: {:?}", kept(&server));
        }
    }
    assert_eq!(refused, 2 * writes);
}

#[test]
fn interrupted_restore_ends_in_one_state() {
    let (server, file) = backed_up();
    let snapshot = server.snapshot();
    restore(&server, &file, &[]).ok();
    for write in 1..=server.fake.writes() {
        server.restore(&snapshot);
        server.fake.on_write(move |number, _| {
            if number == write {
                std::panic::resume_unwind(Box::new("cut short by the test"));
            }
        });
        let answer = restore(&server, &file, &[]);
        server.fake.clear_on_write();
        assert_eq!(answer.code(), "INTERNAL_ERROR", "{}", answer.out);
        server.fake.reset_writes();
        let recovered = server.api(&["core", "reconcile"]).ok()["recovered"].take();
        assert_eq!(recovered["action"], "restore", "write {write}");
        let expected = if recovered["outcome"] == "undone" { "tablet" } else { "phone" };
        assert_eq!(names(&server), ["john-laptop", expected], "write {write}: {recovered}");
        server.assert_in_sync();
    }
}

#[test]
fn backup_restores_a_missing_or_damaged_state() {
    for spoil in [
        |database: &Path| fs::write(database, "no database any more").unwrap(),
        |database: &Path| fs::remove_file(database).unwrap(),
    ] {
        let (server, file) = backed_up();
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(server.paths().database().with_extension(format!("db{suffix}")));
        }
        spoil(&server.paths().database());
        let readable = !server.paths().database().exists();
        let shown = restore(&server, &file, &["dry_run=true"]).ok();
        assert_eq!(shown["changes"].is_null(), !readable, "{shown:#}");
        restore(&server, &file, &[]).ok();
        assert_eq!(names(&server), ["john-laptop", "phone"]);
        server.assert_in_sync();
    }
}

#[test]
fn removal_says_how_long_copies_keep_keys() {
    let server = Server::ready();
    server.fake.advance(Duration::from_secs(1));
    add(&server, "never-copied");
    let removed = remove(&server, "never-copied");
    assert_eq!((&removed["keys_kept_until"], &removed["keys_kept_in"]), (&Value::Null, &json!([])));
    add(&server, "copied");
    server.fake.advance(DAY);
    add(&server, "later");
    server.api(&["core", "change_subnet", "new_subnet=10.9.0.0/24", "confirm=true"]).ok();
    let removed = remove(&server, "copied");
    assert_eq!(removed["keys_kept_until"], "2025-09-17T00:00:00.000000", "{removed:#}");
    let folders = removed["keys_kept_in"].as_array().unwrap();
    assert_eq!(folders.len(), 1);
    assert!(Path::new(folders[0].as_str().unwrap()).join("phantom.db").exists(), "{removed:#}");
    // And so it is.
    for day in 0..8 {
        let key = |path: PathBuf| {
            let copy = rusqlite::Connection::open(path).unwrap();
            copy.query_row("SELECT count(*) FROM clients WHERE name = 'copied'", (), |row| {
                row.get::<_, u32>(0)
            })
            .unwrap()
        };
        let held = kept(&server).iter().any(|name| key(server.paths().copies_dir().join(name)) > 0);
        assert_eq!(held, day < 7, "day {day}: {:?}", kept(&server));
        server.fake.advance(DAY);
        server.api(&["core", "reconcile"]).ok();
    }
    fs::remove_dir_all(folders[0].as_str().unwrap()).unwrap();
    let removed = remove(&server, "later");
    assert_eq!(removed["keys_kept_in"], json!([]));
}
