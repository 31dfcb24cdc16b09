//! A server to try things on.

use std::cell::RefCell;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use phantom_api::cli::{self, Environment, Streams};
use phantom_api::{Host, Paths, Phantom, PhantomBuilder, Store};
use phantom_ghost::program::fake::FakeTunnel as _;
use phantom_host::fake::FakeHost;
use phantom_host::{Files, OwnershipTags};
use phantom_types::PrivateKey;
use tempfile::TempDir;

use crate::database::{dump_database, dump_tree, hash_of_lines, hash_of_sections};
use crate::{Answer, OnDisk};

/// The address that [`Server::ready`] is set up with.
pub const SERVER_IP: &str = "157.230.114.231";

thread_local! {
    static NOTES: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A server: the host in memory, and below a folder of its own the installation and its run directory.
///
/// Every call opens everything again, as a process of the command does.
pub struct Server {
    /// The handle on the host.
    pub fake: FakeHost,
    /// The host; a test may exchange a part of it.
    pub host: Host,
    /// `PHANTOM_LANG` of the calls.
    pub lang: Option<String>,
    /// How long a call waits for the lock, where that is not what a program of ours does.
    pub lock_wait: Option<Duration>,
    dir: TempDir,
    paths: Paths,
}

impl Server {
    /// A host on which nothing has been set up.
    pub fn bare() -> Self {
        // In memory where that is possible: nothing here is about surviving a power failure.
        Self::bare_in(Path::new("/dev/shm"))
    }

    /// The same with its files in a folder of its own below this one, where that is possible.
    pub fn bare_in(dir: &Path) -> Self {
        let dir = tempfile::tempdir_in(dir).or_else(|_| tempfile::tempdir()).unwrap();
        let (mut host, fake) = Host::fake();
        fake.give_tunnel_program();
        host.files = Arc::new(OnDisk::new(fake.clone(), dir.path()));
        let paths = Paths::with_run_dir(dir.path().join("phantom"), dir.path().join("run"));
        fake.put_file(&host.programs.watch.display().to_string(), b"the watcher's program", 0o755, 0);
        // The folders above are part of the host from the beginning.
        fake.put_file(&dir.path().join("here").display().to_string(), b"", 0o600, 0);
        Self { fake, host, lang: None, lock_wait: None, dir, paths }
    }

    /// A server that has been set up with [`SERVER_IP`] and the kernel's WireGuard, its writes counted from zero.
    pub fn ready() -> Self {
        Self::set_up(&[])
    }

    /// A server that has been set up with these parameters, too.
    pub fn set_up(parameters: &[&str]) -> Self {
        let server = Self::bare();
        let address = format!("server_ip={SERVER_IP}");
        let words: Vec<&str> = ["core", "setup", &address].iter().chain(parameters).copied().collect();
        server.api(&words).ok();
        server.fake.reset_writes();
        server
    }

    /// Adds clients.
    #[must_use]
    pub fn with(self, clients: &[&str]) -> Self {
        for name in clients {
            self.api(&["core", "add_client", &format!("client_name={name}")]).ok();
        }
        self.fake.reset_writes();
        self
    }

    /// A provider's file, readable by its owner alone, and the exit that it describes: it answers, and `host` leads to it.
    /// The client's key is made of `number`, the exit's of the next one.
    pub fn put_exit(&self, path: &str, host: &str, address: [u8; 4], number: u8) {
        let key = |number| PrivateKey::from_random([number; 32]);
        let exit = key(number + 1).public_key();
        let text = format!(
            "[Interface]\nPrivateKey = {}\nAddress = 10.99.0.2/32\nDNS = 10.99.0.1\n\n[Peer]\nPublicKey = {exit}\n\
             AllowedIPs = 0.0.0.0/0, ::/0\nEndpoint = {host}:51820\n",
            key(number).reveal().as_str(),
        );
        self.fake.put_file(path, text.as_bytes(), 0o600, 1000);
        self.fake.set_lookup(host.parse().unwrap(), Ok(vec![address.into()]));
        self.fake.let_peer_answer(exit, true);
    }

    /// Where the installation lies.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// The folder that holds the install directory and the run directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The stored state.
    pub fn store(&self) -> Store {
        Store::new(self.paths.clone())
    }

    /// The tags of this installation.
    pub fn tags(&self) -> OwnershipTags {
        OwnershipTags::new(self.paths.instance())
    }

    /// The modules on this host, as a fresh process opens them.
    pub fn phantom(&self) -> Phantom {
        let builder = Phantom::builder(self.host.clone(), self.store());
        let builder = self.lock_wait.into_iter().fold(builder, PhantomBuilder::lock_wait);
        builder.all_modules().build().unwrap()
    }

    /// Runs the command.
    pub fn api(&self, words: &[&str]) -> Answer {
        self.run(words.iter().map(Into::into).collect())
    }

    /// Runs an action with parameters that were put together.
    pub fn action(&self, module: &str, action: &str, parameters: &[String]) -> Answer {
        let words = [module, action].into_iter().chain(parameters.iter().map(String::as_str));
        self.run(words.map(Into::into).collect())
    }

    /// Runs the command with words that need not be UTF-8.
    pub fn run(&self, words: Vec<OsString>) -> Answer {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut streams = Streams { out: &mut out, err: &mut err };
        let environment = Environment { lang: self.lang.clone(), root: None };
        let note = |text: &str| NOTES.with_borrow_mut(|notes| notes.extend([text, "\n"]));
        NOTES.take();
        let exit = cli::main(words, &environment, &mut streams, note, |_| self.phantom());
        let text = |bytes| String::from_utf8(bytes).expect("both streams are UTF-8");
        Answer { exit: exit.into(), out: text(out), err: text(err) + &NOTES.take() }
    }

    /// An answer as an ordinary installation gives it: with the plain tags and under the default root.
    pub fn plain(&self, answer: &Answer) -> Answer {
        let tags = self.tags();
        let plain = OwnershipTags::new(None);
        let paths = [(self.paths.root(), Paths::DEFAULT_ROOT), (self.paths.run_dir(), "/run/phantom-wg")];
        let mut out = answer.out.clone();
        for (path, usual) in paths {
            out = out.replace(&path.display().to_string(), usual);
        }
        let words = [
            (tags.nft_table(), plain.nft_table()),
            (tags.tag(), plain.tag()),
            (tags.exit_table().to_string(), plain.exit_table().to_string()),
            (tags.local_priority().to_string(), plain.local_priority().to_string()),
            (
                self.paths.instance().map_or_else(String::new, |instance| format!("-{instance}")),
                String::new(),
            ),
        ];
        for (word, usual) in words.iter().filter(|(word, _)| !word.is_empty()) {
            out = out.replace(word, usual);
        }
        Answer { out, ..answer.clone() }
    }

    /// Host and database as text. Two equal texts mean that nothing has changed. In which order the configuration for
    /// `wg` lists its peers does not count.
    pub fn dump(&self) -> String {
        let host = self.fake.dump().replace(&self.dir.path().display().to_string(), "<dir>");
        let mut text = String::new();
        for line in host.lines() {
            let path = line.split(' ').next().unwrap_or_default();
            // It notes times.
            if path.starts_with("<dir>/run/") && path.ends_with(".endpoints") {
                continue;
            }
            let hash = if path.starts_with("/etc/wireguard/") {
                let content = Files::read(&self.fake, Path::new(path)).ok().flatten();
                content.map(|content| hash_of_sections(&content))
            } else if path == "<dir>/run/ghost-clients" {
                fs::read(self.paths.run_dir().join("ghost-clients"))
                    .ok()
                    .map(|content| hash_of_lines(&content))
            } else {
                None
            };
            match (line.rsplit_once('#'), hash) {
                (Some((before, _)), Some(hash)) => text.extend([before, &hash, "\n"]),
                _ => text.extend([line, "\n"]),
            }
        }
        text + &dump_database(&self.paths.database())
    }

    /// Every file of the installation and of the run directory, but those that come and go with reading: the log of
    /// the database and its index.
    pub fn tree(&self) -> String {
        let all = dump_tree(self.dir.path());
        let settled = all.lines().filter(|line| !line.contains("phantom.db-"));
        settled.flat_map(|line| [line, "\n"]).collect()
    }

    /// Whether no step is needed. The plan is made without the lock and changes nothing.
    #[track_caller]
    pub fn assert_in_sync(&self) {
        let plan = self.api(&["core", "reconcile", "dry_run=true"]).ok();
        assert_eq!(
            (&plan["in_sync"], &plan["recovered"]),
            (&true.into(), &serde_json::Value::Null),
            "{plan:#}"
        );
    }

    /// Switches the machine off and on again: what lives on tmpfs is gone.
    pub fn reboot(&self) {
        fs::remove_dir_all(self.paths.run_dir()).unwrap();
        self.fake.reboot();
    }
}
