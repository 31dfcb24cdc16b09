//! Files of the real host: modes from the first moment, nothing through links, all or nothing.
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::stat::{Mode, umask};
use phantom_host::linux::LinuxFiles;
use phantom_host::{FileInfo, Files, HostError};

/// Says that something is skipped, past the capture of the test harness, so that it is seen.
fn skipped(what: &str, why: &str) {
    std::io::stderr().write_all(format!("skipped: {what}: {why}\n").as_bytes()).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn names(dir: &Path) -> Vec<String> {
    LinuxFiles.list(dir).unwrap().into_iter().map(|name| name.to_str().unwrap().to_owned()).collect()
}

/// The umask is the process's: tests that set it are one test.
#[test]
fn modes_are_as_asked_whatever_the_umask() {
    let dir = tempfile::tempdir().unwrap();
    for mask in [0o000, 0o022, 0o077] {
        let before = umask(Mode::from_bits_truncate(mask));
        let root = dir.path().join(format!("{mask:o}"));
        LinuxFiles.make_dir(&root.join("a/b"), 0o700).unwrap();
        LinuxFiles.write(&root.join("secret"), b"s", 0o600).unwrap();
        LinuxFiles.write(&root.join("public"), b"p", 0o644).unwrap();
        // Written again, also over a file with another mode.
        fs::set_permissions(root.join("secret"), fs::Permissions::from_mode(0o666)).unwrap();
        LinuxFiles.write(&root.join("secret"), b"t", 0o600).unwrap();
        umask(before);
        for folder in [root.clone(), root.join("a"), root.join("a/b")] {
            assert_eq!(mode(&folder), 0o700, "{mask:o}");
        }
        assert_eq!((mode(&root.join("secret")), mode(&root.join("public"))), (0o600, 0o644), "{mask:o}");
        assert_eq!(names(&root), ["a", "public", "secret"]);
    }
}

#[test]
fn secret_file_is_never_wider_than_asked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let (mut seen, mut wide) = (0_u64, Vec::new());
            while !stop.load(Ordering::Relaxed) {
                for entry in fs::read_dir(dir.path()).unwrap().flatten() {
                    if let Ok(metadata) = entry.path().symlink_metadata() {
                        seen += 1;
                        let mode = metadata.mode() & 0o777;
                        if mode & !0o600 != 0 {
                            wide.push(mode);
                        }
                    }
                }
            }
            (seen, wide)
        });
        for round in 0..200_u32 {
            LinuxFiles.write(&path, &round.to_be_bytes().repeat(1000), 0o600).unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        let (seen, wide) = watch.join().unwrap();
        assert!(seen > 0);
        assert_eq!(wide, [0; 0]);
    });
}

#[test]
fn readers_see_old_or_new_file_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    LinuxFiles.write(&path, &[b'0'; 8192], 0o600).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Two writers at once, and a reader.
        let writers: Vec<_> = [b'a', b'b']
            .into_iter()
            .map(|letter| {
                let path = &path;
                scope.spawn(move || {
                    (0..100).for_each(|_| LinuxFiles.write(path, &[letter; 8192], 0o600).unwrap());
                })
            })
            .collect();
        let reader = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let content = LinuxFiles.read(&path).unwrap().unwrap();
                assert!(content.len() == 8192 && content.iter().all(|byte| *byte == content[0]));
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
    assert_eq!(names(dir.path()), ["file"]);
}

/// What a killed writer leaves has no lock, since that ends with the process.
#[test]
fn next_write_removes_leftovers_of_killed_writers() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    let others = [".key.0123", ".key.0123456789abcdeg", ".keys.0123456789abcdef", "key.0123456789abcdef"];
    for other in others {
        fs::write(dir.path().join(other), "somebody else's").unwrap();
    }
    fs::create_dir(dir.path().join(".key.fedcba9876543210")).unwrap();
    let mut rest: Vec<&str> = others.into_iter().chain([".key.fedcba9876543210"]).collect();
    rest.sort_unstable();
    let live = dir.path().join(".key.ffffffffffffffff");
    let lock = Flock::lock(fs::File::create(&live).unwrap(), FlockArg::LockExclusive).unwrap();
    let removed = |change: &dyn Fn()| {
        for name in [".key.0000000000000000", ".key.0123456789abcdef"] {
            fs::write(dir.path().join(name), "half a sec").unwrap();
        }
        change();
        let now = names(dir.path());
        now.into_iter().filter(|name| !rest.contains(&name.as_str())).collect::<Vec<_>>()
    };
    assert_eq!(
        removed(&|| LinuxFiles.write(&path, b"secret", 0o600).unwrap()),
        [".key.ffffffffffffffff", "key"]
    );
    assert_eq!(removed(&|| LinuxFiles.remove(&path).unwrap()), [".key.ffffffffffffffff"]);
    assert_eq!(removed(&|| LinuxFiles.remove(&path).unwrap()), [".key.ffffffffffffffff"], "there is no file");
    drop(lock);
    assert_eq!(removed(&|| LinuxFiles.remove(&path).unwrap()), [""; 0]);
}

#[test]
fn symlink_as_last_component_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (victim, link) = (dir.path().join("victim"), dir.path().join("link"));
    fs::write(&victim, "v").unwrap();
    fs::set_permissions(&victim, fs::Permissions::from_mode(0o644)).unwrap();
    symlink(&victim, &link).unwrap();
    assert!(LinuxFiles.append(&link, b"x").is_err());
    assert!(LinuxFiles.set_mode(&link, 0o600).is_err());
    // The link itself is replaced by a file.
    LinuxFiles.write(&link, b"new", 0o600).unwrap();
    assert!(!link.is_symlink());
    assert_eq!((fs::read(&victim).unwrap(), mode(&victim)), (b"v".to_vec(), 0o644));
    // Removing takes the link and not what it leads to.
    let (folder, inside) = (dir.path().join("folder"), dir.path().join("outside"));
    fs::create_dir_all(&folder).unwrap();
    fs::create_dir_all(inside.join("deep")).unwrap();
    symlink(&inside, folder.join("way-out")).unwrap();
    LinuxFiles.remove_dir(&folder).unwrap();
    assert!(inside.join("deep").is_dir() && !folder.exists());
    symlink(&inside, &folder).unwrap();
    LinuxFiles.remove_dir(&folder).unwrap();
    assert!(inside.join("deep").is_dir() && !folder.is_symlink());
    symlink(&victim, &folder).unwrap();
    LinuxFiles.remove(&folder).unwrap();
    assert!(victim.exists());
}

#[test]
fn failed_write_leaves_only_the_old_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("folder");
    fs::create_dir(&path).unwrap();
    assert!(LinuxFiles.write(&path, b"x", 0o600).is_err());
    assert_eq!(names(dir.path()), ["folder"]);
    let missing = dir.path().join("no/such/file");
    let error = LinuxFiles.write(&missing, b"x", 0o600).unwrap_err();
    assert!(
        error.to_string().contains("no/such/file") && error.chain().contains("No such file"),
        "{}",
        error.chain()
    );
    for wrong in ["/", "relative", "", "/tmp/.."] {
        assert!(LinuxFiles.write(Path::new(wrong), b"x", 0o600).is_err(), "{wrong:?}");
    }
    // A full disk: nothing is written, and nothing is left.
    let full = Path::new("/dev/full");
    assert!(full.exists());
    if let Err(why) = full_disk(dir.path()) {
        skipped("a full disk", &why);
    }
}

fn full_disk(dir: &Path) -> Result<(), String> {
    let small = dir.join("small");
    fs::create_dir(&small).unwrap();
    nix::mount::mount(Some("tmpfs"), &small, Some("tmpfs"), nix::mount::MsFlags::empty(), Some("size=64k"))
        .map_err(|errno| format!("no mount: {errno}"))?;
    let path = small.join("file");
    LinuxFiles.write(&path, b"old\n", 0o600).unwrap();
    let large = vec![b'x'; 200_000];
    let written = LinuxFiles.write(&path, &large, 0o600);
    let appended = LinuxFiles.append(&path, &large);
    let after = (LinuxFiles.read(&path).unwrap(), names(&small));
    nix::mount::umount(&small).unwrap();
    assert!(written.is_err() && appended.is_err());
    assert_eq!(after, (Some(b"old\n".to_vec()), vec!["file".to_owned()]));
    Ok(())
}

#[test]
fn absent_things() {
    let dir = tempfile::tempdir().unwrap();
    let nothing = dir.path().join("nothing");
    assert_eq!(LinuxFiles.read(&nothing).unwrap(), None);
    assert_eq!(LinuxFiles.info(&nothing).unwrap(), None);
    assert_eq!(LinuxFiles.list(&nothing).unwrap(), Vec::<PathBuf>::new());
    assert_eq!(LinuxFiles.read(&nothing.join("below")).unwrap(), None);
    LinuxFiles.remove(&nothing).unwrap();
    LinuxFiles.remove_dir(&nothing).unwrap();
    assert!(matches!(LinuxFiles.append(&nothing, b"x"), Err(HostError::Absent { .. })));
    assert!(LinuxFiles.set_mode(&nothing, 0o600).is_err());
    assert!(!nothing.exists());
    symlink(&nothing, dir.path().join("dangling")).unwrap();
    assert_eq!(LinuxFiles.info(&dir.path().join("dangling")).unwrap(), None);
}

#[test]
fn foreign_object_at_the_path_never_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let read = |name: &str| LinuxFiles.read_of_others(&at(name), 4);
    fs::write(at("short"), "1234").unwrap();
    fs::write(at("long"), "12345").unwrap();
    symlink("/dev/zero", at("link")).unwrap();
    fs::create_dir(at("folder")).unwrap();
    nix::unistd::mkfifo(&at("pipe"), Mode::S_IRWXU).unwrap();
    assert_eq!(read("short").unwrap(), Some(b"1234".to_vec()));
    assert_eq!(read("nothing").unwrap(), None);
    for name in ["long", "link", "folder", "pipe"] {
        let error = read(name).unwrap_err();
        assert!(matches!(error, HostError::Io { .. }), "{name}: {error:?}");
    }
}

#[test]
fn symlinks_by_other_users_are_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (open, away) = (dir.path().join("open"), dir.path().join("away"));
    for folder in [&open, &away] {
        fs::create_dir(folder).unwrap();
    }
    let victim = away.join("victim");
    fs::write(&victim, "v").unwrap();
    fs::set_permissions(&victim, fs::Permissions::from_mode(0o644)).unwrap();
    symlink(&away, open.join("link")).unwrap();
    fs::hard_link(&victim, open.join("second")).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(LinuxFiles.set_mode(&open.join("link/victim"), 0o600).is_err());
    assert!(LinuxFiles.set_mode(&open.join("second"), 0o600).is_err());
    assert_eq!(mode(&victim), 0o644);
    // An administrator's own link is one.
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
    LinuxFiles.set_mode(&open.join("link/victim"), 0o600).unwrap();
    assert_eq!(mode(&victim), 0o600);
}

#[test]
fn what_is_there_is_told_and_corrected() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    LinuxFiles.write(&path, b"12345", 0o640).unwrap();
    LinuxFiles.append(&path, b"678").unwrap();
    assert_eq!(LinuxFiles.read(&path).unwrap().unwrap(), b"12345678");
    let uid = nix::unistd::geteuid().as_raw();
    assert_eq!(LinuxFiles.info(&path).unwrap(), Some(FileInfo { mode: 0o640, uid, len: 8, dir: false }));
    assert!(LinuxFiles.info(dir.path()).unwrap().unwrap().dir);
    if uid == 0 {
        std::os::unix::fs::chown(&path, Some(65534), Some(65534)).unwrap();
        LinuxFiles.set_mode(&path, 0o600).unwrap();
        assert_eq!(
            LinuxFiles.info(&path).unwrap(),
            Some(FileInfo { mode: 0o600, uid: 0, len: 8, dir: false })
        );
        LinuxFiles.set_mode(dir.path(), 0o750).unwrap();
        assert_eq!(mode(dir.path()), 0o750);
    } else {
        skipped("the owner of a file", "needs root");
    }
    // A folder that is there keeps its mode; a file in its place is an error.
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).unwrap();
    LinuxFiles.make_dir(dir.path(), 0o700).unwrap();
    assert_eq!(mode(dir.path()), 0o711);
    assert!(LinuxFiles.make_dir(&path, 0o700).is_err());
    assert!(LinuxFiles.make_dir(&path.join("below"), 0o700).is_err());
    // The longest name that a file system takes.
    let long = dir.path().join("x".repeat(255));
    LinuxFiles.write(&long, b"long", 0o600).unwrap();
    assert_eq!(LinuxFiles.read(&long).unwrap().unwrap(), b"long");
}

/// For the process that is watched: the folder in which it writes.
const WATCHED: &str = "PHANTOM_FILES_WATCHED";
/// By these calls of the kernel files and names come, change and reach the disk.
const CALLS: &str = "openat,mkdir,mkdirat,write,fsync,fdatasync,rename,renameat,renameat2,link,linkat";

/// Every kind of write that gives a name to something.
fn give_names(dir: &Path) {
    let long = "x".repeat(255);
    LinuxFiles.write(&dir.join("new"), b"first", 0o644).unwrap();
    LinuxFiles.write(&dir.join("new"), b"second", 0o600).unwrap();
    LinuxFiles.write(&dir.join(long), b"long", 0o600).unwrap();
    LinuxFiles.make_dir(&dir.join("a/b"), 0o700).unwrap();
    LinuxFiles.make_dir(&dir.join("a"), 0o755).unwrap();
    LinuxFiles.write(&dir.join("a/b/key"), b"deep", 0o600).unwrap();
}

/// What a trace says of the folder, one call a line: its name and the paths in it, drafts as `draft`.
fn calls_in(trace: &str, dir: &Path) -> Vec<String> {
    let dir = dir.to_str().unwrap();
    let mut calls = Vec::new();
    for line in trace.lines().filter(|line| line.contains(dir) && !line.contains(" = -1 ")) {
        // `-y` shows a descriptor as `3</path>`; other paths are in quotes.
        let paths = line.split(['"', '<', '>']).filter_map(|word| word.strip_prefix(dir));
        let plain = |path: &str| {
            let (folder, name) = path.rsplit_once('/').unwrap_or_default();
            let draft = name.starts_with('.');
            if draft {
                format!("{folder}/draft")
            } else {
                format!("{folder}/{}", name.trim_start_matches('/'))
            }
        };
        let call = line.split('(').next().unwrap().rsplit(' ').next().unwrap();
        let mode = line.split_once("O_CREAT").and_then(|(_, rest)| rest.split([' ', ')']).nth(1));
        // What is opened without being made is of no interest.
        if call != "openat" || mode.is_some() {
            let mut words: Vec<String> = std::iter::once(call.to_owned()).chain(paths.map(plain)).collect();
            words.dedup(); // one that is opened is named twice
            words.extend(mode.map(str::to_owned));
            calls.push(words.join(" "));
        }
    }
    calls
}

/// A power failure forgets what was not flushed: of a file its content, of a folder the names in it.
#[test]
fn content_is_synced_before_rename_directory_after() {
    let test = "content_is_synced_before_rename_directory_after";
    if let Some(dir) = std::env::var_os(WATCHED) {
        return give_names(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let (inside, trace) = (dir.path().join("inside"), dir.path().join("trace"));
    fs::create_dir(&inside).unwrap();
    let strace = Command::new("strace")
        .args(["-qq", "-f", "-y", "-s", "4096", "-e", &format!("trace={CALLS}"), "-o"])
        .arg(&trace)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .env(WATCHED, &inside)
        .stdout(Stdio::null())
        .status();
    match strace {
        Ok(status) => assert!(status.success(), "{status}"),
        Err(error) => return skipped(test, &format!("strace: {error}")),
    }
    let whole = |folder: &str, name: &str, mode: &str| {
        let draft = format!("{folder}/draft");
        let name = format!("rename {draft} {folder}/{name}");
        let folder = if folder.is_empty() { "/" } else { folder };
        let made = format!("openat {draft} {mode}");
        [made, format!("write {draft}"), format!("fsync {draft}"), name, format!("fsync {folder}")]
    };
    let long = "x".repeat(255);
    let mut expected =
        [whole("", "new", "0644"), whole("", "new", "0600"), whole("", &long, "0600")].concat();
    let made = ["mkdir /a", "fsync /", "mkdir /a/b", "fsync /a"];
    expected.extend(made.map(str::to_owned));
    expected.extend(whole("/a/b", "key", "0600"));
    assert_eq!(calls_in(&fs::read_to_string(&trace).unwrap(), &inside), expected);
}

#[test]
fn special_files_are_never_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let [pipe, socket, device, link] = ["pipe", "socket", "device", "link"].map(|name| dir.path().join(name));
    nix::unistd::mkfifo(&pipe, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    let _bound = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
    symlink("/dev/zero", &device).unwrap();
    fs::write(dir.path().join("file"), "content").unwrap();
    symlink(dir.path().join("file"), &link).unwrap();
    for path in [&pipe, &socket] {
        assert_eq!(LinuxFiles.read(path).unwrap(), None, "{}", path.display());
        assert!(LinuxFiles.info(path).unwrap().is_some());
    }
    assert_eq!(LinuxFiles.read(&device).unwrap(), Some(Vec::new()));
    assert_eq!(LinuxFiles.read(&link).unwrap(), Some(b"content".to_vec()));
    // A link is read and is not added to: whoever meets one writes the file as a whole.
    assert!(LinuxFiles.append(&link, b" and more").unwrap_err().is_absent());
}
