//! An installation with its database on the disk and its host in memory.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use phantom_engine::{Engine, ModuleRegistry, SystemModule as _};
use phantom_host::fake::FakeHost;
use phantom_host::{Files as _, Host};
use phantom_module::{Action, Call, ErrorCode as _, Lang};
use phantom_multihop::actions::{ImportVpnConfig, Imported};
use phantom_multihop::rows::MultihopState as _;
use phantom_multihop::{Multihop, MultihopError};
use phantom_store::{Paths, Server, State, Store, Transaction};
use phantom_types::{Backend, BackendChoice, PrivateKey, Timestamp};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) struct MultihopFixture {
    pub(crate) fake: FakeHost,
    pub(crate) engine: Arc<Engine>,
    multihop: Multihop,
    dir: TempDir,
}

/// The files of the corpus.
pub(crate) fn corpus(kind: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(kind)
}

impl MultihopFixture {
    /// An installation with the subnet 10.8.0.0/24.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::with_run_dir(dir.path().join("root"), dir.path().join("run"));
        let (host, fake) = Host::fake();
        let world = Self::on(host, fake, paths, dir);
        world.change(|tx| tx.set_server(&server()).unwrap());
        world.fake.make_dir(&world.engine.paths().exits_dir(), 0o700).unwrap();
        world.fake.reset_writes();
        world
    }

    fn on(host: Host, fake: FakeHost, paths: Paths, dir: TempDir) -> Self {
        let engine = Arc::new(Engine::new(host, Store::new(paths)));
        let mut parts = ModuleRegistry::default();
        parts.add::<Multihop>();
        engine.set_modules(parts);
        Self { multihop: Multihop::new(engine.clone()), engine, fake, dir }
    }

    /// The same installation, seen by somebody who is not root.
    pub(crate) fn without_privilege(self) -> Self {
        let mut host = self.fake.host();
        host.privileged = false;
        let paths = self.engine.paths().clone();
        Self::on(host, self.fake, paths, self.dir)
    }

    /// Changes what is stored, past the module.
    pub(crate) fn change<T>(&self, work: impl FnOnce(&Transaction<'_>) -> T) -> T {
        let lock = self.engine.store().lock(Duration::from_secs(30)).unwrap();
        let tx = self.engine.store().begin(&lock).unwrap();
        let result = work(&tx);
        tx.commit().unwrap();
        result
    }

    pub(crate) fn run<A: Action<Module = Multihop>>(&self, action: A) -> Result<A::Output, A::Error> {
        action.run(&self.multihop, &Call::new(Lang::En))
    }

    /// The answer as JSON.
    pub(crate) fn json<A>(&self, action: A, lang: Lang) -> Value
    where
        A: Action<Module = Multihop, Error = MultihopError>,
    {
        serde_json::to_value(action.run(&self.multihop, &Call::new(lang)).unwrap()).unwrap()
    }

    /// Imports a file of the corpus as `/in/NAME`.
    pub(crate) fn import(&self, kind: &str, file: &str) -> Result<Imported, MultihopError> {
        let path = self.put(file, &std::fs::read(corpus(kind).join(file)).unwrap());
        self.run(ImportVpnConfig { config_path: path, custom_name: None })
    }

    /// Puts a file before the import.
    pub(crate) fn put(&self, file: &str, content: &[u8]) -> String {
        let path = format!("/in/{file}");
        self.fake.put_file(&path, content, 0o644, 1000);
        path
    }

    /// The readable file of an exit.
    pub(crate) fn exit_file(&self, exit: &str) -> Option<String> {
        let path = self.engine.paths().exits_dir().join(format!("{exit}.conf"));
        self.fake.read(&path).unwrap().map(|content| String::from_utf8(content).unwrap())
    }

    /// The names in the folder of these files.
    pub(crate) fn exit_files(&self) -> Vec<String> {
        let names = self.fake.list(&self.engine.paths().exits_dir()).unwrap();
        names.into_iter().map(|name| name.display().to_string()).collect()
    }

    pub(crate) fn exits(&self) -> Vec<String> {
        let names = self.engine.store().read(State::exit_names).unwrap();
        names.iter().map(ToString::to_string).collect()
    }
}

/// Code, English message and data of an error.
pub(crate) fn told(error: &MultihopError) -> (&'static str, String, Value) {
    (error.code(), error.message(Lang::En), error.data().unwrap_or_default())
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
        subnet: "10.8.0.0/24".parse().unwrap(),
        subnet6: None,
        interface: "wg_main".parse().unwrap(),
        backend_choice: BackendChoice::Auto,
        backend: Backend::Kernel,
        stopped_in: None,
        ip_forward_before: None,
        created: Timestamp::from_micros(1_757_380_307_076_656),
    }
}
