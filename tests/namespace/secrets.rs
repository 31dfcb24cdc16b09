//! Who may read what, from the moment it exists, and where no secret may ever stand.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use phantom_store::{Paths, Store, StoreError};
use serde_json::Value;

use crate::faulty;
use crate::world::{TestNet, backend, in_world, in_world_with, note, programs, setup_words};

/// What may be entered or read by others: everything else below the folders of the installation is for root alone.
const OPEN: [(&str, u32); 2] = [("/opt/phantom-wg", 0o755), ("/etc/sysctl.d/90-phantom-wg.conf", 0o644)];
/// What must be there in the end.
const MADE: [&str; 12] = [
    "/opt/phantom-wg/data/phantom.db",
    "/opt/phantom-wg/data/phantom.db-wal",
    "/opt/phantom-wg/data/phantom.db-shm",
    "/opt/phantom-wg/config",
    "/opt/phantom-wg/exit_configs",
    "/opt/phantom-wg/certs",
    "/opt/phantom-wg/logs/phantom.log",
    "/opt/phantom-wg/backups",
    "/etc/wireguard/wg_main.conf",
    "/run/phantom-wg/lock",
    "/run/phantom-wg/boot",
    "/etc/sysctl.d/90-phantom-wg.conf",
];
/// The folders of the installation, and where its files lie beside others.
const PLACES: [&str; 5] =
    ["/opt/phantom-wg", "/run/phantom-wg", "/run/wireguard", "/etc/wireguard", "/etc/sysctl.d"];
/// Files that are there for the secrets.
const VAULTS: [&str; 4] = [
    "/opt/phantom-wg/data/phantom.db",
    "/opt/phantom-wg/data/phantom.db-wal",
    "/etc/wireguard/wg_main.conf",
    "/opt/phantom-wg/backups/",
];

/// Calls `phantom-api` from a shell with a careless mask, and keeps what it says.
#[derive(Default)]
struct Careless {
    /// Standard error of all calls.
    errors: String,
    /// Standard output of all calls but those that are there to show secrets.
    answers: String,
    /// Runs below this program, too.
    tracer: Vec<String>,
}

impl Careless {
    fn run(&mut self, words: &[&str]) -> Output {
        let mut command = Command::new("sh");
        command
            .args(["-c", "umask 000; exec \"$@\"", "sh"])
            .args(&self.tracer)
            .arg(programs().join("phantom-api"));
        let output = command.args(words).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output().unwrap();
        self.errors += &String::from_utf8_lossy(&output.stderr);
        if words[1] != "export_client" {
            self.answers += &String::from_utf8_lossy(&output.stdout);
        }
        output
    }

    #[track_caller]
    fn ok(&mut self, words: &[&str]) {
        let output = self.run(words);
        assert!(succeeded(&output), "{words:?}: {}{}", String::from_utf8_lossy(&output.stdout), self.errors);
    }

    /// Everything that is done with secrets and with files.
    fn everything(&mut self, world: &TestNet) {
        let (ip, backend) = setup_words();
        self.ok(&["core", "setup", &ip, &backend]);
        for name in ["one", "two", "three"] {
            self.ok(&["core", "add_client", &format!("client_name={name}")]);
        }
        self.ok(&["core", "export_client", "client_name=one"]);
        self.ok(&["core", "list_clients"]);
        self.ok(&["core", "server_status"]);
        self.ok(&["core", "change_subnet", "new_subnet=10.9.0.0/24", "confirm=true"]);
        self.ok(&["core", "restart_service"]);
        self.ok(&["core", "remove_client", "client_name=two"]);
        self.ok(&["core", "stop_service"]);
        self.ok(&["core", "start_service"]);
        self.ok(&["core", "setup", "port=443"]);
        self.ok(&["dns", "change_dns_servers", "primary=9.9.9.9"]);
        world.sh("rm /etc/wireguard/wg_main.conf; ip link set wg_main down; wg set wg_main listen-port 1");
        self.ok(&["core", "reconcile", "dry_run=true"]);
        self.ok(&["core", "reconcile"]);
        self.ok(&[
            "core",
            "update_tweak_setting",
            "setting_name=restart_service_after_client_creation",
            "value=true",
        ]);
        self.ok(&["core", "add_client", "client_name=four"]);
        self.ok(&["core", "service_logs", "lines=1000"]);
        self.ok(&["core", "get_firewall_status"]);
        // And what goes wrong.
        self.run(&["core", "add_client", "client_name=one"]);
        self.run(&["core", "setup", "interface=other"]);
        world.sh("mount --bind /etc/wireguard /etc/wireguard; mount -o remount,bind,ro /etc/wireguard");
        assert!(!succeeded(&self.run(&["core", "add_client", "client_name=five"])));
        let moved = self.run(&["core", "change_subnet", "new_subnet=10.8.0.0/24", "confirm=true"]);
        assert!(!succeeded(&moved));
        // Lazily: whoever watches the modes of files may be reading this folder at the moment.
        world.sh("umount --lazy /etc/wireguard");
    }
}

/// A secret of the stored state in one of its spellings.
struct Secret {
    what: String,
    bytes: Vec<u8>,
}

fn secrets() -> Vec<Secret> {
    let mut found = Vec::new();
    let mut add = |what: &str, base64: &str| {
        let raw = decoded(base64);
        let hex: String = raw
            .iter()
            .flat_map(|byte| [byte >> 4, byte & 15])
            .filter_map(|half| char::from_digit(half.into(), 16))
            .collect();
        let without_padding = base64.trim_end_matches('=').as_bytes().to_vec();
        for (spelling, bytes) in
            [("base64", without_padding), ("hexadecimal", hex.into_bytes()), ("raw", raw)]
        {
            found.push(Secret { what: format!("{what} ({spelling})"), bytes });
        }
    };
    let read = Store::new(Paths::default()).read(|state| {
        let server = state.server()?.expect("it is set up");
        add("the server's private key", &server.private_key.reveal());
        state.each_client(|client| {
            let preshared_key = client.preshared_key.expect("every client here has one");
            add(&format!("the preshared key of {}", client.name), &preshared_key.reveal());
            Ok::<_, StoreError>(())
        })?;
        for name in ["one", "three", "four"] {
            let client = state.client(&name.parse().unwrap())?.expect("it was added");
            let private_key = client.private_key.expect("every client here has one");
            add(&format!("the private key of {name}"), &private_key.reveal());
        }
        Ok::<_, StoreError>(())
    });
    read.unwrap();
    assert_eq!(found.len(), (1 + 3 + 3) * 3);
    found
}

/// Base64 of 32 bytes.
fn decoded(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let bits = text
        .bytes()
        .filter(|byte| *byte != b'=')
        .flat_map(|byte| (0..6).rev().map(move |at| digit(byte) >> at & 1));
    let bits: Vec<u8> = bits.collect();
    bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |all, bit| all << 1 | bit)).collect()
}

/// The secrets that some bytes contain.
fn found_in<'a>(bytes: &[u8], secrets: &'a [Secret]) -> Vec<&'a str> {
    let holds = |secret: &&Secret| bytes.windows(secret.bytes.len()).any(|window| window == secret.bytes);
    secrets.iter().filter(holds).map(|secret| secret.what.as_str()).collect()
}

/// Everything below a folder, itself included.
fn tree(dir: &Path, found: &mut Vec<(PathBuf, fs::Metadata)>) {
    let Ok(info) = fs::symlink_metadata(dir) else { return };
    let is_dir = info.is_dir();
    found.push((dir.to_owned(), info));
    if is_dir {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            tree(&entry.path(), found);
        }
    }
}

/// What is wrong with the permissions below the places of the installation, as they are now.
fn too_open() -> BTreeSet<String> {
    let mut found = Vec::new();
    for place in PLACES {
        tree(Path::new(place), &mut found);
    }
    let mut wrong = BTreeSet::new();
    for (path, info) in found {
        let (shown, mode) = (path.display().to_string(), info.mode() & 0o7777);
        let ours = ["/opt/phantom-wg", "/run/phantom-wg", "/run/wireguard/"]
            .iter()
            .any(|place| shown.starts_with(place));
        if info.is_symlink() || !(ours || shown.contains("phantom") || shown.contains("wg_main")) {
            continue;
        }
        let most = OPEN
            .iter()
            .find(|open| open.0 == shown || is_draft_of(&path, Path::new(open.0)))
            .map_or(if info.is_dir() { 0o700 } else { 0o600 }, |open| open.1);
        // The execute bit of a socket means nothing.
        let mode = if info.file_type().is_socket() { mode & !0o111 } else { mode };
        if mode & !most != 0 || info.uid() != 0 {
            wrong.insert(format!(
                "{shown} has mode {mode:o} and belongs to {}, and {most:o} is the most",
                info.uid()
            ));
        }
    }
    wrong
}

/// Whether a file is what a write of another begins with: `.NAME.HEX` beside it, renamed over it at the end. It gets the
/// other's mode before it takes its name.
fn is_draft_of(path: &Path, of: &Path) -> bool {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let draft = name(path);
    let stem = draft.strip_prefix('.').and_then(|rest| rest.rsplit_once('.')).map(|(stem, _)| stem);
    path.parent() == of.parent() && stem == Some(&name(of))
}

/// Does something over and over on a thread, until it is stopped.
struct Watch<T> {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(T, u32)>,
}

impl<T: Default + Send + 'static> Watch<T> {
    fn start(mut look: impl FnMut(&mut T) + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let (mut seen, mut times) = (T::default(), 0);
            while !stopped.load(Ordering::Relaxed) {
                look(&mut seen);
                times += 1;
            }
            (seen, times)
        });
        Self { stop, thread }
    }
    fn stop(self) -> (T, u32) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

#[test]
fn file_modes_are_right_from_creation() {
    let test = "secrets::file_modes_are_right_from_creation";
    in_world(test, |world| {
        world.sh("rm -rf /run/wireguard /etc/wireguard");
        let watch = Watch::start(|seen: &mut BTreeSet<String>| seen.extend(too_open()));
        Careless::default().everything(world);
        let (seen, times) = watch.stop();
        note(test, &format!("looked {times} times"));
        assert_eq!(seen, BTreeSet::new());
        assert!(times > 20, "only {times} looks");
        for path in MADE {
            assert!(Path::new(path).exists(), "{path}");
        }
        for (path, mode) in OPEN {
            assert_eq!(fs::metadata(path).unwrap().mode() & 0o7777, mode, "{path}");
        }
        assert_eq!(too_open(), BTreeSet::new());
        // The folder of wg_main.conf belongs to the distribution; one that we make is as closed as that.
        let folder = fs::metadata("/etc/wireguard").unwrap().mode();
        assert_eq!(folder & 0o077, 0, "{folder:o}");
    });
}

#[test]
fn no_file_is_narrowed_after_creation() {
    let test = "secrets::no_file_is_narrowed_after_creation";
    in_world_with(test, &["strace"], |world| {
        world.sh("rm -rf /run/wireguard /etc/wireguard");
        let mut calls = Careless {
            tracer: traced("openat,open,creat,mkdir,mkdirat,mknod,mknodat,umask"),
            ..Careless::default()
        };
        calls.everything(world);
        let trace = fs::read_to_string("/run/trace").unwrap();
        // A file that is opened again, to be made if it were not there, is the one that was made before.
        let mut made = BTreeSet::new();
        let mut created = 0;
        for (line, path, mode) in trace.lines().filter_map(creation) {
            let ours = ["/opt/phantom-wg/", "/run/phantom-wg", "/etc/wireguard/"];
            if ours.iter().any(|place| path.starts_with(place)) && made.insert(path.to_owned()) {
                created += 1;
                assert_eq!(mode & 0o077, 0, "{line}");
            }
        }
        note(test, &format!("{created} files and folders were created"));
        assert!(created > 20, "only {created} files and folders were seen");
    });
}

/// A line of a trace that makes a file or a folder: its path, and the mode that was asked for.
fn creation(line: &str) -> Option<(&str, &str, u32)> {
    let makes = ["O_CREAT", "mkdir", "mknod", "creat("].iter().any(|word| line.contains(word));
    if !makes || line.contains(" = -1 ") {
        return None;
    }
    let path = line.split('"').nth(1)?;
    // The mode is the last argument, in octal digits.
    let (_, mode) = line.rsplit_once(") ")?.0.trim_end().rsplit_once(", ")?;
    Some((line, path, u32::from_str_radix(mode, 8).ok()?))
}

/// Whether a call says that it succeeded.
fn succeeded(output: &Output) -> bool {
    serde_json::from_slice::<Value>(&output.stdout).is_ok_and(|answer| answer["success"] == true)
}

/// The words that put a call below `strace`, which appends to a file. It sees which programs the call starts, but does
/// not follow them: it would wait for the device.
fn traced(calls: &str) -> Vec<String> {
    let words =
        format!("strace -f -b execve -qq -v -s 200000 -A -o /run/trace -e trace={calls} -e signal=none");
    words.split(' ').map(str::to_owned).collect()
}

#[test]
fn no_process_gets_secrets_as_arguments() {
    let test = "secrets::no_process_gets_secrets_as_arguments";
    in_world(test, |world| {
        let this = std::process::id().to_string();
        let watch = Watch::start(move |seen: &mut BTreeMap<Vec<u8>, String>| {
            for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if name == this || !name.bytes().all(|byte| byte.is_ascii_digit()) {
                    continue;
                }
                for file in ["cmdline", "environ"] {
                    if let Ok(bytes) = fs::read(entry.path().join(file)) {
                        seen.entry(bytes).or_insert_with(|| file.to_owned());
                    }
                }
            }
        });
        Careless::default().everything(world);
        let (seen, times) = watch.stop();
        note(test, &format!("{times} looks at {} different command lines and environments", seen.len()));
        let secrets = secrets();
        for (bytes, file) in &seen {
            assert_eq!(found_in(bytes, &secrets), [""; 0], "{file}: {}", String::from_utf8_lossy(bytes));
        }
        let shown: String = seen.keys().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect();
        assert!(times > 20 && shown.contains("phantom-api"), "nothing was seen");
        assert!(backend() == "kernel" || shown.contains("phantom-wg-device"), "nothing was seen");
    });
}

#[test]
fn no_program_is_started_with_a_secret() {
    let test = "secrets::no_program_is_started_with_a_secret";
    in_world_with(test, &["strace"], |world| {
        let mut calls = Careless { tracer: traced("execve,execveat"), ..Careless::default() };
        calls.everything(world);
        let trace = fs::read("/run/trace").unwrap();
        let programs: BTreeSet<String> = String::from_utf8_lossy(&trace)
            .lines()
            .filter_map(|line| line.split("execve(\"").nth(1)?.split('"').next().map(str::to_owned))
            .collect();
        note(test, &format!("{programs:?}"));
        assert!(programs.iter().any(|program| program.ends_with("/nft")), "{programs:?}");
        assert_eq!(found_in(&trace, &secrets()), [""; 0]);
    });
}

#[test]
fn secrets_are_only_where_they_belong() {
    in_world("secrets::secrets_are_only_where_they_belong", |world| {
        let mut calls = Careless::default();
        calls.everything(world);
        // Refusals of the host, whose texts go into answers, to standard error and into the log.
        let mut refusals = String::new();
        for write in 1..12 {
            for words in [
                &["core", "add_client", "client_name=five"][..],
                &["core", "restart_service"],
                &["core", "setup", "port=53"],
            ] {
                if let faulty::Ended::Answered { answer, .. } =
                    faulty::call(&format!("refuse:{write}"), words)
                {
                    refusals += &answer.to_string();
                }
            }
        }
        let secrets = secrets();
        let private: Vec<&Secret> =
            secrets.iter().filter(|secret| secret.what.contains("(base64)")).collect();
        for (what, text) in
            [("standard error", &calls.errors), ("answers", &calls.answers), ("refusals", &refusals)]
        {
            assert!(!text.is_empty(), "{what}");
            assert_eq!(found_in(text.as_bytes(), &secrets), [""; 0], "{what}");
        }
        for script in [
            "nft list ruleset",
            "ip -d link; ip addr",
            "cat /opt/phantom-wg/logs/*",
            "cat /opt/phantom-wg/backups/*/manifest.json /opt/phantom-wg/backups/*/firewall.txt",
        ] {
            assert_eq!(found_in(world.sh(script).as_bytes(), &secrets), [""; 0], "{script}");
        }
        // Every file that has been written in this world.
        let mut found = Vec::new();
        for place in ["/mnt/etc/upper", "/opt", "/mnt/var/lib/upper", "/mnt/usr/sbin/upper", "/run"] {
            tree(Path::new(place), &mut found);
        }
        let mut vaults = 0;
        for (path, info) in found.into_iter().filter(|(_, info)| info.is_file()) {
            let shown = path.display().to_string();
            let shown =
                shown.strip_prefix("/mnt").map_or(shown.clone(), |rest| rest.replacen("/upper", "", 1));
            let vault = VAULTS.iter().any(|vault| shown.starts_with(vault))
                && !path.extension().is_some_and(|kind| kind == "json" || kind == "txt");
            let here = found_in(&fs::read(&path).unwrap_or_default(), &secrets);
            vaults += u32::from(vault && !here.is_empty());
            assert!(vault || here.is_empty(), "{shown} holds {here:?}");
            assert!(
                here.is_empty() || info.mode().trailing_zeros() >= 6,
                "{shown} has mode {:o}",
                info.mode()
            );
        }
        assert!(vaults >= 3, "the search finds nothing, not even where the secrets are: {vaults}");
        assert!(private.len() == 7 && world.sh("cat /etc/wireguard/wg_main.conf").contains("PrivateKey = "));
    });
}

#[test]
fn what_somebody_opened_is_closed_again() {
    in_world("secrets::what_somebody_opened_is_closed_again", |world| {
        world.setup();
        world.add("one");
        let opened = ["data", "data/phantom.db", "config", "certs", "logs", "backups", "exit_configs"];
        for path in opened {
            world.sh(&format!("chmod a+rwX /opt/phantom-wg/{path}"));
        }
        world.sh("chown nobody /opt/phantom-wg/data/phantom.db");
        assert!(too_open().len() >= opened.len(), "{:?}", too_open());
        let mut calls = Careless::default();
        calls.ok(&["dns", "change_dns_servers", "primary=9.9.9.9"]);
        assert_eq!(too_open(), BTreeSet::new());
        for path in opened {
            assert!(calls.errors.contains(&format!("/opt/phantom-wg/{path} ")), "{path}: {}", calls.errors);
        }
        world.sh("chmod 644 /etc/wireguard/wg_main.conf; chown nobody /etc/wireguard/wg_main.conf");
        let answer: Value = serde_json::from_slice(&calls.run(&["core", "reconcile"]).stdout).unwrap();
        assert_eq!(answer["data"]["changed"], true, "{answer:#}");
        assert_eq!(too_open(), BTreeSet::new());
        world.in_sync();
    });
}
