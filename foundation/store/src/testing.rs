//! What the tests of this crate share.

use std::time::Duration;

use phantom_types::{
    Backend, BackendChoice, ClientName, ClientSecret, PresharedKey, PrivateKey, PublicKey, Timestamp,
};
use tempfile::TempDir;

use crate::{NewClient, Paths, Server, State, Store, StoreError, Transaction};

/// A store in a directory of its own.
pub(crate) struct Fixture {
    pub(crate) dir: TempDir,
    pub(crate) store: Store,
}

impl Fixture {
    /// A store without a database.
    pub(crate) fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(Paths::with_run_dir(dir.path().join("root"), dir.path().join("run")));
        Self { dir, store }
    }

    /// A store with a server in 10.8.0.0/24.
    pub(crate) fn new() -> Self {
        let fixture = Self::empty();
        fixture.change(|tx| tx.set_server(&server("10.8.0.0/24")).unwrap());
        fixture
    }

    /// Another store of the same files, as another process has it.
    pub(crate) fn other(&self) -> Store {
        Store::new(self.store.paths().clone())
    }

    /// Changes the state and commits.
    pub(crate) fn change<T>(&self, what: impl FnOnce(&Transaction<'_>) -> T) -> T {
        let lock = self.store.lock(Duration::from_secs(30)).unwrap();
        let tx = self.store.begin(&lock).unwrap();
        let result = what(&tx);
        tx.commit().unwrap();
        result
    }

    pub(crate) fn read<'s, T>(&'s self, what: impl FnOnce(&State<'s>) -> Result<T, StoreError>) -> T {
        self.store.read(what).unwrap()
    }

    /// A connection past the store, as an SQLite shell has it.
    pub(crate) fn sqlite(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.store.paths().database()).unwrap()
    }
}

/// Changes the server, after which the database is complete without its log.
pub(crate) fn settle(fixture: &Fixture) {
    fixture.change(|tx| {
        let server = tx.server().unwrap().unwrap();
        tx.set_server(&Server { port: server.port + 1, ..server }).unwrap();
    });
}

pub(crate) fn server(subnet: &str) -> Server {
    let private_key = PrivateKey::from_random([1; 32]);
    Server {
        public_key: private_key.public_key(),
        private_key,
        server_ip: Some([192, 0, 2, 1].into()),
        endpoint: None,
        ipv6: None,
        port: 51820,
        subnet: subnet.parse().unwrap(),
        subnet6: None,
        interface: "wg_main".parse().unwrap(),
        backend_choice: BackendChoice::Auto,
        backend: Backend::Kernel,
        stopped_in: None,
        ip_forward_before: None,
        created: Timestamp::from_micros(1_757_380_307_076_656),
    }
}

/// A client with keys made from its name, added at this many microseconds.
pub(crate) fn new_client(name: &str, created: i64) -> NewClient {
    let mut bytes = [7; 32];
    bytes[..name.len().min(31)].copy_from_slice(&name.as_bytes()[..name.len().min(31)]);
    NewClient {
        name: self::name(name),
        address6: None,
        extra_ips: Vec::new(),
        private_key: Some(PrivateKey::from_bytes(bytes)),
        public_key: PublicKey::from_bytes(bytes),
        preshared_key: Some(PresharedKey::from_bytes(bytes)),
        tunnel_secret: ClientSecret::from_bytes(bytes),
        created: Timestamp::from_micros(created),
    }
}

pub(crate) fn name(text: &str) -> ClientName {
    text.parse().unwrap()
}
