//! A stored state and the programs that read it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use phantom_ghost_state::{CertificateSource, Ghost, GhostChange as _};
use phantom_store::{Client, DnsServers, NewClient, Paths, Server, Settings, Store, Transaction};
use phantom_types::{Backend, BackendChoice, ClientSecret, PresharedKey, PrivateKey, PublicKey, Timestamp};
use tempfile::TempDir;

/// The two commands.
pub(crate) const CASPER: &str = env!("CARGO_BIN_EXE_phantom-casper");
pub(crate) const CASPER_IOS: &str = env!("CARGO_BIN_EXE_phantom-casper-ios");

/// The secret of the client of the samples, and the operator's, which no export holds.
pub(crate) const SECRET: &str = "0505050505050505050505050505050505050505050505050505050505050505";
pub(crate) const OPERATORS: &str = "Ui1RVMCxicaByr7C5XrgqS5yCilLmkCAXMcF8oZP4ZcVkQAvZhRCht3hsHeJENac";

/// An installation in a folder of its own.
pub(crate) struct CasperFixture {
    dir: TempDir,
    store: Store,
}

/// What a program gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) exit: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("both streams are UTF-8");
        let out = with_time_of_samples(&text(output.stdout));
        Self { exit: output.status.code().unwrap(), out, err: text(output.stderr) }
    }
}

impl CasperFixture {
    /// Nothing has been set up.
    pub(crate) fn bare() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(Paths::with_run_dir(dir.path().join("root"), dir.path().join("run")));
        Self { dir, store }
    }

    /// The server of the samples with its client `demo-casper`, Ghost Mode off.
    pub(crate) fn inactive() -> Self {
        let world = Self::bare();
        world.change(|change| {
            change.set_server(&server()).unwrap();
            let client = change.insert_client(client("demo-casper")).unwrap();
            assert_eq!(client.address.to_string(), "10.8.0.2");
        });
        world
    }

    /// The same with Ghost Mode on.
    pub(crate) fn active() -> Self {
        let world = Self::inactive();
        world.change(|change| change.set_ghost(Some(&ghost())).unwrap());
        world
    }

    pub(crate) fn change<T>(&self, what: impl FnOnce(&Transaction<'_>) -> T) -> T {
        let lock = self.store.lock(Duration::from_secs(30)).unwrap();
        let change = self.store.begin(&lock).unwrap();
        let result = what(&change);
        change.commit().unwrap();
        result
    }

    pub(crate) fn set_server(&self, edit: impl FnOnce(&mut Server)) {
        let mut server = server();
        edit(&mut server);
        self.change(|change| change.set_server(&server).unwrap());
    }

    pub(crate) fn set_ghost(&self, edit: impl FnOnce(&mut Ghost)) {
        let mut ghost = ghost();
        edit(&mut ghost);
        self.change(|change| change.set_ghost(Some(&ghost)).unwrap());
    }

    pub(crate) fn set_settings(&self, edit: impl FnOnce(&mut Settings)) {
        let mut settings = self.store.read(phantom_store::State::settings).unwrap();
        edit(&mut settings);
        self.change(|change| change.set_settings(&settings).unwrap());
    }

    pub(crate) fn set_dns(&self, primary: &str, secondary: &str) {
        let dns = DnsServers { primary: primary.parse().unwrap(), secondary: secondary.parse().unwrap() };
        self.change(|change| change.set_dns(&dns).unwrap());
    }

    pub(crate) fn add(&self, name: &str) -> Client {
        self.change(|change| change.insert_client(client(name)).unwrap())
    }

    /// Adds a client with a key of its own.
    pub(crate) fn add_with_key(&self, name: &str, key: u8) -> Client {
        let one = NewClient { public_key: PublicKey::from_bytes([100 + key; 32]), ..client(name) };
        self.change(|change| change.insert_client(one).unwrap())
    }

    /// The same as [`CasperFixture::active`], with a client of this name that keeps its private key to itself.
    pub(crate) fn with_keyless(name: &str) -> Self {
        let world = Self::active();
        let keyless = NewClient { private_key: None, ..client(name) };
        world.change(|change| drop(change.insert_client(keyless).unwrap()));
        world
    }

    /// The stored state.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// A folder that is not part of the installation.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.store.paths().database()
    }

    /// From now on the name of the samples has these addresses, by `/etc/hosts` as the programs see it. They ask with a final
    /// dot, which the C library does not add or take away in that file.
    pub(crate) fn resolve(&self, addresses: &[&str]) {
        let domain = ghost().domain;
        let lines: Vec<String> = addresses.iter().map(|address| format!("{address} {domain}.\n")).collect();
        std::fs::write(self.dir.path().join("hosts"), lines.concat()).unwrap();
    }

    /// A program that is told of this installation and of nothing else. Where namespaces can be made, no name server outside is
    /// asked either, and the names of [`Self::resolve`] are those of `/etc/hosts`.
    pub(crate) fn program(&self, program: &str) -> Command {
        let hosts = self.dir.path().join("hosts");
        let mut command = if is_root_here() {
            let own = format!("mount --bind {} /etc/hosts", hosts.display());
            let script = format!("{}exec \"$@\"", if hosts.exists() { own + " && " } else { String::new() });
            let mut command = Command::new("/usr/bin/unshare");
            command.args(["--net", "--mount", "--", "/bin/sh", "-c", &script, "sh", program]);
            command
        } else {
            Command::new(program)
        };
        command.env_clear().env("PHANTOM_ROOT", self.dir.path().join("root")).current_dir(self.dir.path());
        command
    }

    pub(crate) fn run<S: AsRef<OsStr>>(&self, words: &[S]) -> Said {
        self.program(CASPER).args(words).output().unwrap().into()
    }

    /// Runs the command in a language of the environment.
    pub(crate) fn run_in(&self, lang: &str, words: &[&str]) -> Said {
        self.program(CASPER).env("PHANTOM_LANG", lang).args(words).output().unwrap().into()
    }

    /// What it prints when all is well.
    #[track_caller]
    pub(crate) fn text<S: AsRef<OsStr>>(&self, words: &[S]) -> String {
        let said = self.run(words);
        assert_eq!((said.exit, said.err.as_str()), (0, ""), "{}", said.out);
        said.out
    }

    /// The line of the exported configuration with this key.
    #[track_caller]
    pub(crate) fn line(&self, key: &str) -> String {
        let text = self.text(&["demo-casper"]);
        let lines: Vec<_> = text.lines().filter_map(|line| line.strip_prefix(&format!("{key} = "))).collect();
        assert_eq!(lines.len(), 1, "{key}: {text}");
        lines[0].to_owned()
    }

    /// The one line of a failure.
    #[track_caller]
    pub(crate) fn failure<S: AsRef<OsStr>>(&self, words: &[S]) -> String {
        let said = self.run(words);
        assert_eq!((said.exit, said.out.as_str(), said.err.lines().count()), (1, "", 1), "{said:?}");
        said.err.trim_end_matches('\n').to_owned()
    }
}

/// A text with the time of the committed samples in the place of that of its printing, which is another one at each run.
pub(crate) fn with_time_of_samples(text: &str) -> String {
    let line = |line: &str| match line.split_once(": ") {
        Some((word @ ("Created" | "Oluşturulma"), time)) => {
            let (date, clock) = time.trim_end().split_once(' ').unwrap_or_else(|| panic!("{time}"));
            assert_eq!((date.len(), clock.len()), (10, 8), "{time}");
            format!("{word}: 2025-09-09 01:41:50\n")
        }
        _ => line.to_owned(),
    };
    text.split_inclusive('\n').map(line).collect()
}

/// A committed text.
pub(crate) fn golden(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// Whether this machine lets the commands do their work; says so where it does not.
pub(crate) fn is_root(test: &str) -> bool {
    let root = is_root_here();
    if !root {
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: the command needs root");
    }
    root
}

fn is_root_here() -> bool {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0
}

fn public_key(text: &str) -> PublicKey {
    text.parse().unwrap()
}

fn server() -> Server {
    Server {
        private_key: PrivateKey::from_random([1; 32]),
        public_key: public_key("Y/V6vf2w+AWpqz3h6DYAOHuW3ZJ3vZ0jSc8D0edVthw="),
        server_ip: Some([157, 230, 114, 231].into()),
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
        created: Timestamp::from_micros(1_757_380_307_000_000),
    }
}

/// A client with the keys of the sample.
fn client(name: &str) -> NewClient {
    let private_key: PrivateKey = "SI5AXDC9e5ERFwUKBr391MAwSeHIebG4l7R+N7xssVg=".parse().unwrap();
    let first = name == "demo-casper";
    NewClient {
        name: name.parse().unwrap(),
        address6: None,
        extra_ips: Vec::new(),
        public_key: if first { private_key.public_key() } else { PublicKey::from_bytes([9; 32]) },
        private_key: Some(private_key),
        preshared_key: Some("giiS7QdcN708ovmXPfrikpC+TI4lqQcXTJ5JFfqL06k=".parse::<PresharedKey>().unwrap()),
        tunnel_secret: ClientSecret::from_bytes([5; 32]),
        created: Timestamp::from_micros(1_757_382_110_123_456),
    }
}

fn ghost() -> Ghost {
    Ghost {
        domain: "157-230-114-231.sslip.io".parse().unwrap(),
        secret: OPERATORS.parse().unwrap(),
        certificate: CertificateSource::Acme,
        addresses: vec![[157, 230, 114, 231].into()],
        decoy: None,
        decoy_source: None,
        decoy_proxy: None,
        front: None,
        activated_at: Timestamp::from_micros(1_757_382_084_079_841),
    }
}
