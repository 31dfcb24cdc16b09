//! Tests of Ghost Mode as it is stored.

use std::time::Duration;

use phantom_store::{Paths, Store};

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

    fn change(&self, what: impl FnOnce(&Transaction<'_>)) {
        let lock = self.store.lock(Duration::from_secs(30)).unwrap();
        let change = self.store.begin(&lock).unwrap();
        what(&change);
        change.commit().unwrap();
    }
}

#[test]
fn ghost_mode_round_trips() {
    let fixture = Fixture::new();
    let acme = Ghost {
        domain: "vpn.example.org".parse().unwrap(),
        secret: "s".repeat(64).parse().unwrap(),
        certificate: CertificateSource::Acme,
        addresses: vec!["192.0.2.7".parse().unwrap(), "2001:db8::8".parse().unwrap()],
        decoy: None,
        decoy_source: None,
        decoy_proxy: None,
        front: None,
        activated_at: phantom_types::Timestamp::from_micros(5),
    };
    let operator = Ghost {
        certificate: CertificateSource::Operator { cert_path: "/c".into(), key_path: "/k".into() },
        addresses: Vec::new(),
        decoy: Some("http://127.0.0.1:80".to_owned()),
        decoy_source: Some("2001:db8::10".parse().unwrap()),
        decoy_proxy: Some(ProxyVersion::V2),
        ..acme.clone()
    };
    let self_signed = Ghost {
        certificate: CertificateSource::SelfSigned,
        decoy: Some("unix:/run/web.sock".to_owned()),
        decoy_proxy: Some(ProxyVersion::V1),
        ..acme.clone()
    };
    let front = Front { socket: "/run/web/http".into(), group: "www-data".to_owned(), public_port: 8443 };
    let behind = Ghost { domain: "2001:db8::7".parse().unwrap(), front: Some(front), ..acme.clone() };
    assert_eq!((acme.public_port(), behind.public_port()), (443, 8443));
    for ghost in [Some(&acme), Some(&operator), Some(&self_signed), Some(&behind), None] {
        fixture.change(|change| change.set_ghost(ghost).unwrap());
        let read = fixture.store.read(|state| {
            assert_eq!(state.ghost()?.as_ref(), ghost);
            assert_eq!(state.ghost_active()?, ghost.is_some());
            assert_eq!(state.acme_directory()?, "https://acme-v02.api.letsencrypt.org/directory");
            Ok::<_, StoreError>(())
        });
        read.unwrap();
    }
}

#[test]
fn without_a_database_ghost_mode_is_off() {
    let fixture = Fixture::new();
    assert_eq!(fixture.store.read(State::ghost).unwrap(), None);
    assert!(!fixture.store.read(State::ghost_active).unwrap());
}

#[test]
fn path_that_is_not_text_is_refused() {
    use std::os::unix::ffi::OsStrExt as _;
    let fixture = Fixture::new();
    let path = std::path::PathBuf::from(std::ffi::OsStr::from_bytes(b"/\xff"));
    let front = Front { socket: path, group: "www-data".to_owned(), public_port: 8443 };
    let ghost = Ghost {
        domain: "a.b".parse().unwrap(),
        secret: "s".repeat(64).parse().unwrap(),
        certificate: CertificateSource::Acme,
        addresses: Vec::new(),
        decoy: None,
        decoy_source: None,
        decoy_proxy: None,
        front: Some(front),
        activated_at: phantom_types::Timestamp::from_micros(5),
    };
    let lock = fixture.store.lock(Duration::from_secs(30)).unwrap();
    let change = fixture.store.begin(&lock).unwrap();
    let refused = change.set_ghost(Some(&ghost)).unwrap_err();
    assert_eq!(
        phantom_types::explain(&refused, phantom_types::Lang::En).rsplit(": ").next(),
        Some("a path is not UTF-8")
    );
}

#[test]
fn the_table_refuses_what_does_not_fit() {
    let fixture = Fixture::new();
    fixture.change(|change| change.set_ghost(None).unwrap());
    let sqlite = rusqlite::Connection::open(fixture.store.paths().database()).unwrap();
    for bad in [
        "'short', 'acme', NULL, NULL, '', NULL, 1, NULL, NULL, NULL, NULL, NULL",
        "hex(zeroblob(32)), 'acme', NULL, NULL, '', NULL, 1, NULL, 'v3', NULL, NULL, NULL",
        "hex(zeroblob(32)), 'operator', NULL, NULL, '', NULL, 1, NULL, NULL, NULL, NULL, NULL",
        "hex(zeroblob(32)), 'acme', NULL, NULL, '', NULL, 1, NULL, NULL, '/s', 'g', NULL",
        "hex(zeroblob(32)), 'acme', NULL, NULL, '', NULL, 1, NULL, NULL, '/s', 'g', 0",
    ] {
        let refused =
            sqlite.execute_batch(&format!("INSERT INTO ghost VALUES (1, 'a.b', {bad})")).expect_err(bad);
        assert_eq!(
            refused.sqlite_error_code(),
            Some(rusqlite::ErrorCode::ConstraintViolation),
            "{bad}: {refused}"
        );
    }
}
