//! What the processes of these tests do. `ROLE` names the role, `ROLE_DIR` the directory with the store.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::statvfs::statvfs;
use phantom_store::{InsertError, Marker, NewClient, Server, State, Store, StoreError, Transaction};
use phantom_types::{Backend, BackendChoice, ClientSecret, PresharedKey, PrivateKey, PublicKey, Timestamp};

use crate::{LONG, assert_sound, of_version_1, store_in};

pub(crate) fn play() {
    let variable = |name: &str| std::env::var(name).expect("set by the test that starts this");
    let (dir, argument) = (PathBuf::from(variable("ROLE_DIR")), variable("ROLE_ARGUMENT"));
    let store = store_in(&dir);
    match variable("ROLE").as_str() {
        "insert" => insert(&store, &argument),
        "found" => found(&store, &argument),
        "read" => read(&store, argument.parse().unwrap()),
        "count" => drop(store.read(State::client_count).unwrap()),
        "hold" => {
            let _lock = store.lock(LONG).unwrap();
            say("locked");
            io::stdin().read_to_end(&mut Vec::new()).unwrap();
        }
        "halfway" => halfway(&store),
        "many" => (0..100_000).for_each(|number| {
            let name = format!("{argument}-{number}");
            insert(&store, &name);
            say(&name);
        }),
        "full" => full(&store),
        "full_without_index" => full_without_index(&store),
        "read_only" => read_only(&store),
        "restore" => (0..100_000).for_each(|number| {
            let lock = store.lock(LONG).unwrap();
            let copy = dir.join(["some", "more"][number % 2]);
            let restoration = store.prepare_restore(&lock, &copy).unwrap();
            restoration.begin(&lock).unwrap().commit().unwrap();
            if number == 0 {
                say("restored");
            }
        }),
        "reserved" => reserved(&store),
        "room" => room(&store),
        "upgrade" => upgrade(&store),
        other => panic!("{other}"),
    }
}

/// A line of its own for the process that waits for it; the test harness may have begun another one.
fn say(word: &str) {
    let mut out = io::stdout().lock();
    writeln!(out, "\n{word}").unwrap();
    out.flush().unwrap();
}

fn change<T>(store: &Store, what: impl FnOnce(&Transaction<'_>) -> T) -> T {
    let lock = store.lock(LONG).unwrap();
    let tx = store.begin(&lock).unwrap();
    let result = what(&tx);
    tx.commit().unwrap();
    result
}

pub(crate) fn set_up(store: &Store) {
    change(store, |tx| tx.set_server(&server()).unwrap());
}

/// Stores another server, which leaves an empty log.
fn set_up_again(store: &Store) {
    change(store, |tx| tx.set_server(&Server { port: 4443, ..server() }).unwrap());
}

pub(crate) fn insert(store: &Store, name: &str) {
    change(store, |tx| drop(tx.insert_client(client(name)).unwrap()));
}

/// Whoever comes first sets the system up; everybody adds a client.
fn found(store: &Store, number: &str) {
    let lock = store.lock(LONG).unwrap();
    let tx = store.begin(&lock).unwrap();
    if tx.server().unwrap().is_none() {
        tx.set_server(&server()).unwrap();
    }
    tx.insert_client(client(&format!("client-{number}"))).unwrap();
    store.set_marker(&marker("found")).unwrap();
    tx.commit().unwrap();
}

/// Many consistent views, each by a connection of its own every other time.
fn read(store: &Store, times: usize) {
    let dir = store.paths().run_dir().parent().unwrap().to_owned();
    for time in 0..times {
        let fresh = store_in(&dir);
        let from = if time % 2 == 0 { store } else { &fresh };
        from.read::<_, StoreError>(|state| {
            let addresses: BTreeSet<_> = state.addresses()?.into_iter().collect();
            assert_eq!(addresses.len(), usize::try_from(state.client_count()?).unwrap());
            assert_eq!(state.page(None, 0, 1000)?.clients.len(), addresses.len());
            Ok(())
        })
        .unwrap();
    }
}

fn halfway(store: &Store) {
    let lock = store.lock(LONG).unwrap();
    let tx = store.begin(&lock).unwrap();
    let generation = tx.generation().unwrap();
    store.set_marker(&Marker { generation, ..marker("halfway") }).unwrap();
    // More than the page cache holds, so that pages of this change are in the log already.
    for number in 0..20_000 {
        tx.insert_client(client(&format!("halfway-{number}"))).unwrap();
    }
    tx.remove_client(&"before".parse().unwrap()).unwrap().unwrap();
    say("halfway");
    io::stdin().read_to_end(&mut Vec::new()).unwrap();
    tx.commit().unwrap();
}

/// Adds clients until the disk is full, and gives back how many there are.
fn fill_with_clients(store: &Store) -> u32 {
    let lock = store.lock(LONG).unwrap();
    for number in 0..100_000 {
        let added = store.begin(&lock).map_err(InsertError::from).and_then(|tx| {
            tx.insert_client(client(&format!("client-{number}")))?;
            Ok(tx.commit()?)
        });
        match added {
            Ok(()) => {}
            Err(InsertError::Store(StoreError::Write { file, .. })) => {
                assert_eq!(file, store.paths().database());
                return number;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    panic!("the disk is never full");
}

/// Takes up all the space that is left; the file that does so.
fn fill(store: &Store) -> PathBuf {
    let path = store.paths().root().join("filler");
    let mut file = File::options().append(true).create(true).open(&path).unwrap();
    while file.write_all(&[0; 512]).is_ok() {}
    path
}

fn full(store: &Store) {
    set_up(store);
    let ballast = store.paths().root().join("ballast");
    fs::write(&ballast, vec![0; 1 << 20]).unwrap();
    let clients = fill_with_clients(store);
    assert!(clients > 100, "only {clients}");
    let fresh = store_in(store.paths().run_dir().parent().unwrap());
    for store in [store, &fresh] {
        assert_eq!(store.read(State::client_count).unwrap(), clients);
        assert_sound(store);
    }
    fs::remove_file(ballast).unwrap();
    insert(store, "afterwards");
    assert_eq!(store.read(State::client_count).unwrap(), clients + 1);
    assert_sound(store);
    say("came to the end");
}

fn full_without_index(store: &Store) {
    // A store again each time: connections of one process share the index, even one that was deleted.
    let fresh = || store_in(store.paths().run_dir().parent().unwrap());
    set_up(&fresh());
    insert(&fresh(), "a");
    fill(store);
    assert_eq!(fresh().read(State::client_count).unwrap(), 1);
    fs::remove_file(store.paths().data_dir().join("phantom.db-shm")).unwrap();
    let filler = fill(store);
    for _ in 0..3 {
        assert_eq!(fresh().read(State::client_count).unwrap(), 1);
    }
    let lock = store.lock(Duration::ZERO).unwrap();
    let refused = fresh().begin(&lock).map(drop);
    assert!(matches!(refused, Err(StoreError::Write { .. })), "{refused:?}");
    drop(lock);
    fs::remove_file(filler).unwrap();
    insert(&fresh(), "b");
    say("came to the end");
}

/// Brings the schema up to date on a disk with less and more space: with a copy where there is room for one as well,
/// and never with a copy in its way.
fn upgrade(store: &Store) {
    let root = store.paths().root();
    let kib_free = || statvfs(root).map(|disk| disk.blocks_free() * disk.fragment_size() / 1024).unwrap();
    let (mut alone, mut with_copy) = (0, 0);
    for kib in (256..=12 << 10).step_by(256) {
        let old = of_version_1(store.paths().run_dir().parent().unwrap(), 4000);
        let mut filler = File::create_new(root.join("filler")).unwrap();
        while kib_free() > kib {
            filler.write_all(&[0; 4096]).unwrap();
        }
        match (old.read(State::client_count), old.copies().unwrap().len()) {
            (Ok(4000), 0) => alone += 1,
            (Ok(4000), 1) => with_copy += 1,
            (Err(StoreError::Write { .. }), 0) if alone + with_copy == 0 => {}
            other => panic!("{kib} KiB free: {other:?}"),
        }
        drop((old, filler));
        for entry in fs::read_dir(root).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
        }
    }
    assert!(alone > 0 && with_copy > 0, "{alone} alone, {with_copy} with a copy");
    say("came to the end");
}

/// Changes of several sizes, up to what does not fit into the memory of a connection, on a disk that fills up
/// meanwhile.
fn reserved(store: &Store) {
    set_up(store);
    for clients in [1, 20, 5000] {
        let lock = store.lock(LONG).unwrap();
        let tx = store.begin(&lock).unwrap();
        for number in 0..clients {
            tx.insert_client(client(&format!("c{clients}-{number}"))).unwrap();
        }
        tx.reserve_space().unwrap();
        assert_ne!(store.read(State::client_count).unwrap(), tx.client_count().unwrap(), "nobody sees it");
        let filler = fill(store);
        tx.insert_client(client(&format!("c{clients}-late"))).unwrap();
        tx.commit().unwrap();
        assert_sound(store);
        let refused = store.begin(&lock).unwrap();
        for number in 0..200 {
            refused.insert_client(client(&format!("refused-{number}"))).unwrap();
        }
        assert!(matches!(refused.reserve_space(), Err(StoreError::Write { .. })));
        drop(refused);
        fs::remove_file(filler).unwrap();
    }
    assert_eq!(store.read(State::client_count).unwrap(), 5021 + 3);
    say("came to the end");
}

fn room(store: &Store) {
    let room = store.paths().data_dir().join("room");
    let taken = || fs::metadata(&room).unwrap().blocks() * 512;
    set_up(store);
    (0..40).for_each(|number| insert(store, &format!("c{number}")));
    assert!((1 << 20..2 << 20).contains(&taken()), "{}", taken());
    let mut kept = Vec::new();
    for number in 0..20 {
        let filler = fill(store);
        let name = format!("c{number}");
        let lock = store.lock(LONG).unwrap();
        if number == 0 {
            // Nobody else gets it.
            let refused = store.begin(&lock).and_then(|tx| {
                for late in 0..200 {
                    tx.insert_client(client(&format!("late-{late}"))).unwrap();
                }
                tx.reserve_space()
            });
            assert!(matches!(refused, Err(StoreError::Write { .. })), "{refused:?}");
        }
        assert!(store.give_room(&lock).unwrap(), "{number}");
        let tx = store.begin(&lock).unwrap();
        tx.remove_client(&name.parse().unwrap()).unwrap().unwrap();
        tx.reserve_space().unwrap();
        tx.commit().unwrap();
        kept.push(taken() >> 10);
        assert_sound(store);
        fs::remove_file(filler).unwrap();
    }
    assert!(kept.iter().all(|kib| *kib > 512), "KiB that were kept back again: {kept:?}");
    assert_eq!(store.read(State::client_count).unwrap(), 20);
    let lock = store.lock(LONG).unwrap();
    assert!(!store.give_room(&lock).unwrap(), "there is space enough");
    drop(lock);
    insert(store, "last");
    assert!(taken() >= 1 << 20, "{}", taken());
    say("came to the end");
}

fn remount(store: &Store, option: &str) {
    let options = format!("remount,bind,{option}");
    let done = Command::new("mount").args(["-o", &options]).arg(store.paths().root()).status().unwrap();
    assert!(done.success());
}

fn read_only(store: &Store) {
    // As above.
    let fresh = || store_in(store.paths().run_dir().parent().unwrap());
    let dir: &Path = store.paths().root();
    remount(store, "ro");
    let lock = store.lock(Duration::ZERO).unwrap();
    let refused = store.begin(&lock).map(drop);
    assert!(matches!(refused, Err(StoreError::Write { .. })), "{refused:?}");
    assert_eq!(fs::read_dir(dir).unwrap().count(), 0);
    remount(store, "rw");
    drop(lock);
    set_up(&fresh());
    insert(&fresh(), "a");
    // With the log and its index, without the index (what is in the log counts), and with neither.
    let beside = |suffix: &str| store.paths().data_dir().join(format!("phantom.db{suffix}"));
    let refuse_and_read = || {
        remount(store, "ro");
        for _ in 0..2 {
            assert_eq!(fresh().read(State::client_count).unwrap(), 1);
            assert_sound(&fresh());
        }
        let lock = store.lock(Duration::ZERO).unwrap();
        let refused = fresh().begin(&lock).map(drop);
        assert!(matches!(refused, Err(StoreError::Write { .. })), "{refused:?}");
        remount(store, "rw");
    };
    refuse_and_read();
    fs::remove_file(beside("-shm")).unwrap();
    assert_ne!(fs::metadata(beside("-wal")).unwrap().len(), 0);
    refuse_and_read();
    set_up_again(&fresh());
    for suffix in ["-wal", "-shm"] {
        fs::remove_file(beside(suffix)).unwrap();
    }
    refuse_and_read();
    insert(&fresh(), "b");
    say("came to the end");
}

fn marker(action: &str) -> Marker {
    Marker {
        module: "core".to_owned(),
        action: action.to_owned(),
        started_at: Timestamp::from_micros(0),
        generation: 0,
        pid: std::process::id(),
    }
}

fn server() -> Server {
    let private_key = PrivateKey::from_random([1; 32]);
    Server {
        public_key: private_key.public_key(),
        private_key,
        server_ip: Some([192, 0, 2, 1].into()),
        endpoint: None,
        ipv6: None,
        port: 51820,
        subnet: "10.8.0.0/16".parse().unwrap(),
        subnet6: None,
        interface: "wg_main".parse().unwrap(),
        backend_choice: BackendChoice::Auto,
        backend: Backend::Kernel,
        stopped_in: None,
        ip_forward_before: None,
        created: Timestamp::from_micros(0),
    }
}

/// A client with keys made from its name.
fn client(name: &str) -> NewClient {
    let mut bytes = [7; 32];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    NewClient {
        name: name.parse().unwrap(),
        address6: None,
        extra_ips: Vec::new(),
        private_key: Some(PrivateKey::from_bytes(bytes)),
        public_key: PublicKey::from_bytes(bytes),
        preshared_key: Some(PresharedKey::from_bytes(bytes)),
        tunnel_secret: ClientSecret::from_bytes(bytes),
        created: Timestamp::from_micros(0),
    }
}
