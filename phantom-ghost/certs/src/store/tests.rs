//! The store on a real file system: modes, links, interruptions at every step, writers at the same time.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

const DIRECTORY: &str = "https://ca.example/directory";

fn name() -> HostName {
    "vpn.example.com".parse().unwrap()
}

fn pair(text: &str) -> CertificatePair {
    CertificatePair { chain_pem: format!("chain {text}"), key_pem: KeyPem::new(format!("key {text}")) }
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

fn in_force(store: &CertStore) -> String {
    let stored = store.read(&name()).unwrap().expect("something is in force");
    let text = stored.pair.chain_pem.strip_prefix("chain ").unwrap().to_owned();
    assert_eq!(stored.pair.key_pem.expose(), format!("key {text}"));
    text
}

fn names(path: &Path) -> Vec<String> {
    files::entries(path).unwrap()
}

#[test]
fn certificate_is_found_again_and_private() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("certs");
    let store = CertStore::open(&path).unwrap();
    assert!(store.read(&name()).unwrap().is_none());
    let paths = store.write(&name(), &pair("one"), DIRECTORY).unwrap();
    assert_eq!(paths, store.paths(&name()));
    assert_eq!(store.read(&name()).unwrap().unwrap().origin, DIRECTORY);
    assert_eq!(fs::read_to_string(&paths.chain).unwrap(), "chain one");
    assert_eq!(fs::read_to_string(&paths.key).unwrap(), "key one");
    store.write(&name(), &pair("two"), SELF_SIGNED).unwrap();
    assert_eq!(in_force(&CertStore::open(&path).unwrap()), "two");
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(paths.key.parent().unwrap()), 0o700);
    for file in [CHAIN_FILE, KEY_FILE, ORIGIN_FILE] {
        assert_eq!(mode(&path.join("vpn.example.com").join(file)), 0o600, "{file}");
    }
    assert_eq!(names(&path), ["vpn.example.com"]);
}

#[test]
fn addresses_have_directories_too() {
    let home = tempfile::tempdir().unwrap();
    let store = CertStore::open(&home.path().join("certs")).unwrap();
    for address in ["192.0.2.7", "2001:db8::7"] {
        let name: HostName = address.parse().unwrap();
        store.write(&name, &pair(address), DIRECTORY).unwrap();
        assert_eq!(store.read(&name).unwrap().unwrap().pair, pair(address));
    }
}

#[test]
fn an_account_is_kept_per_directory() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("certs");
    let store = CertStore::open(&path).unwrap();
    assert!(store.account(DIRECTORY).unwrap().is_none());
    store.put_account(DIRECTORY, "one").unwrap();
    store.put_account("https://other.example/", "other").unwrap();
    store.put_account(DIRECTORY, "two").unwrap();
    assert_eq!(*store.account(DIRECTORY).unwrap().unwrap(), "two");
    assert_eq!(*store.account("https://other.example/").unwrap().unwrap(), "other");
    let files = names(&path);
    assert_eq!(files.len(), 2);
    for file in files {
        assert!(
            file.starts_with("account_") && Path::new(&file).extension() == Some("json".as_ref()),
            "{file}"
        );
        assert_eq!(mode(&path.join(file)), 0o600);
    }
}

#[test]
fn interrupted_write_keeps_old_pair() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("certs");
    let store = CertStore::open(&path).unwrap();
    store.write(&name(), &pair("old"), DIRECTORY).unwrap();
    // Every state that a crash can leave before the exchange, and after it before the sweep.
    let draft = path.join(".draft_vpn.example.com");
    let steps: [&[(&str, &str)]; 4] = [
        &[],
        &[(KEY_FILE, "key ne")],
        &[(KEY_FILE, "key new"), (CHAIN_FILE, "")],
        &[(KEY_FILE, "key new"), (CHAIN_FILE, "chain new"), (ORIGIN_FILE, "x")],
    ];
    for files in steps {
        fs::create_dir(&draft).unwrap();
        for (file, text) in files {
            fs::write(draft.join(file), text).unwrap();
        }
        let store = CertStore::open(&path).unwrap();
        assert_eq!(in_force(&store), "old");
        store.put_account(DIRECTORY, "one").unwrap();
        assert_eq!(in_force(&store), "old");
        assert!(!draft.exists(), "the next writer sweeps up");
    }
    fs::write(path.join(".draft_account"), "half").unwrap();
    store.put_account(DIRECTORY, "two").unwrap();
    assert_eq!(names(&path).len(), 2);
}

#[test]
fn interrupted_replacement_is_undone_or_completed() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("certs");
    let store = CertStore::open(&path).unwrap();
    store.write(&name(), &pair("old"), DIRECTORY).unwrap();
    let (place, aside) = (path.join("vpn.example.com"), path.join(".replaced_vpn.example.com"));
    // Cut between the two renames.
    fs::rename(&place, &aside).unwrap();
    assert_eq!(in_force(&CertStore::open(&path).unwrap()), "old");
    assert!(!aside.exists());
    // Cut after them.
    fs::rename(&place, &aside).unwrap();
    fs::create_dir(&place).unwrap();
    fs::write(place.join(KEY_FILE), "key new").unwrap();
    fs::write(place.join(CHAIN_FILE), "chain new").unwrap();
    fs::write(place.join(ORIGIN_FILE), DIRECTORY).unwrap();
    assert_eq!(in_force(&CertStore::open(&path).unwrap()), "new");
    assert!(!aside.exists());
}

/// The kernel refuses this pair of flags as file systems refuse a flag that they do not know.
#[test]
fn file_system_without_exchange_is_repaired_too() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("certs");
    let store = CertStore::open(&path).unwrap();
    let unknown = RenameFlags::RENAME_NOREPLACE | RenameFlags::RENAME_EXCHANGE;
    let bring_back = || store.bring_back(".replaced_a", "a", unknown);
    fs::create_dir(path.join(".replaced_a")).unwrap();
    assert_eq!(bring_back(), Ok(()));
    assert!(path.join("a").is_dir() && !path.join(".replaced_a").exists());
    fs::create_dir(path.join(".replaced_a")).unwrap();
    assert_eq!(bring_back(), Err(Errno::EEXIST), "what is in place is never replaced");
}

#[test]
fn challenge_kind_is_stored_with_the_certificate() {
    let home = tempfile::tempdir().unwrap();
    let store = CertStore::open(&home.path().join("certs")).unwrap();
    let noted = |paths: CertPaths| fs::read_to_string(paths.chain.with_file_name(CHALLENGE_FILE)).ok();
    let by = |by| noted(store.write_obtained(&name(), &pair("x"), DIRECTORY, by).unwrap());
    assert_eq!(by(Some(ChallengeKind::Http)).as_deref(), Some("http-01\n"));
    assert_eq!(by(Some(ChallengeKind::TlsAlpn)).as_deref(), Some("tls-alpn-01\n"));
    assert_eq!(by(None), None);
}

#[test]
fn an_incomplete_directory_is_no_certificate() {
    let home = tempfile::tempdir().unwrap();
    let store = CertStore::open(&home.path().join("certs")).unwrap();
    let paths = store.write(&name(), &pair("one"), DIRECTORY).unwrap();
    fs::remove_file(paths.key).unwrap();
    assert!(store.read(&name()).unwrap().is_none());
    store.write(&name(), &pair("two"), DIRECTORY).unwrap();
    assert_eq!(in_force(&store), "two");
}

#[test]
fn a_failed_write_leaves_the_old_pair() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("certs");
    let store = CertStore::open(&path).unwrap();
    store.write(&name(), &pair("old"), DIRECTORY).unwrap();
    // Something that is not ours is in the draft's place and cannot be swept up.
    fs::create_dir_all(path.join(".draft_vpn.example.com/folder/in/it")).unwrap();
    let error = store.write(&name(), &pair("new"), DIRECTORY).unwrap_err();
    assert_eq!(error.kind(), "store");
    assert_eq!(in_force(&store), "old");
}

#[test]
fn readers_never_see_a_mixed_pair() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("certs");
    let store = CertStore::open(&path).unwrap();
    store.write(&name(), &pair("first"), DIRECTORY).unwrap();
    let done = AtomicBool::new(false);
    let reads = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reads = 0;
            while !done.load(Ordering::Relaxed) {
                in_force(&store);
                reads += 1;
            }
            reads
        });
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let path = &path;
                scope.spawn(move || {
                    let store = CertStore::open(path).unwrap();
                    for round in 0..20 {
                        store.write(&name(), &pair(&format!("{writer}.{round}")), DIRECTORY).unwrap();
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap()
    });
    assert!(reads > 0);
    assert_eq!(names(&path), ["vpn.example.com"]);
}

#[test]
fn links_are_not_followed() {
    let home = tempfile::tempdir().unwrap();
    let (path, elsewhere) = (home.path().join("certs"), home.path().join("elsewhere"));
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("file"), "untouched").unwrap();
    symlink(&elsewhere, &path).unwrap();
    assert!(CertStore::open(&path).is_err(), "the directory itself");
    fs::remove_file(&path).unwrap();

    let store = CertStore::open(&path).unwrap();
    symlink(&elsewhere, path.join("vpn.example.com")).unwrap();
    assert!(store.read(&name()).is_err(), "a name's directory");
    store.write(&name(), &pair("one"), DIRECTORY).unwrap();
    assert_eq!(in_force(&store), "one");

    symlink(elsewhere.join("file"), path.join(account_file(DIRECTORY))).unwrap();
    assert!(store.account(DIRECTORY).is_err());
    store.put_account(DIRECTORY, "one").unwrap();
    symlink(elsewhere.join("file"), path.join(".draft_account")).unwrap();
    store.put_account(DIRECTORY, "two").unwrap();
    fs::remove_file(store.paths(&name()).key).unwrap();
    symlink(elsewhere.join("file"), store.paths(&name()).key).unwrap();
    assert!(store.read(&name()).is_err(), "a file");
    assert_eq!(names(&elsewhere), ["file"]);
    assert_eq!(fs::read_to_string(elsewhere.join("file")).unwrap(), "untouched");
}

#[test]
fn wide_directory_is_narrowed_foreign_one_refused() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("certs");
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    CertStore::open(&path).unwrap();
    assert_eq!(mode(&path), 0o700);
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(&path, Some(12345), None).unwrap();
        assert!(matches!(CertStore::open(&path), Err(CertStoreError::Owner { owner: 12345, .. })));
    }
    let error = CertStore::open(&home.path().join("absent/certs")).unwrap_err();
    assert!(error.to_string().ends_with("absent/certs cannot be made"), "{error}");
}

#[test]
fn a_whole_file_replaces_another() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("status.json");
    write_whole(&path, "one").unwrap();
    write_whole(&path, "two").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "two");
    assert_eq!(mode(&path), 0o600);
    assert_eq!(names(home.path()), ["status.json"]);
    assert!(write_whole(&home.path().join("absent/file"), "x").is_err());
}
