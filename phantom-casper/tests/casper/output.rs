//! `--output`: a file for its owner alone, complete or not there at all.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::world::{CASPER, CasperFixture, Said, golden, is_root, with_time_of_samples};

/// Writes to a file and says nothing.
#[track_caller]
fn write(world: &CasperFixture, words: &[&OsStr]) {
    let all: Vec<&OsStr> = words.iter().copied().chain(["demo-casper".as_ref()]).collect();
    assert_eq!(world.run(&all), Said { exit: 0, out: String::new(), err: String::new() });
}

fn to(path: &Path) -> [OsString; 2] {
    ["--output".into(), path.into()]
}

#[track_caller]
fn write_to(world: &CasperFixture, path: &Path) {
    let [option, path] = to(path);
    write(world, &[&option, &path]);
}

/// The file is what would have been printed, for root alone, and nothing else was left beside it.
#[track_caller]
fn assert_written(path: &Path, beside: usize) {
    assert_eq!(with_time_of_samples(&fs::read_to_string(path).unwrap()), golden("export.en.txt"));
    let found = fs::symlink_metadata(path).unwrap();
    assert!(found.is_file());
    assert_eq!((found.mode() & 0o7777, found.uid(), found.nlink()), (0o600, 0, 1));
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1 + beside, "something is left");
}

#[track_caller]
fn refused(world: &CasperFixture, path: &Path) -> String {
    let [option, path] = to(path);
    let line = world.failure(&[option, path.clone(), "demo-casper".into()]);
    let start = format!("Error: Cannot read or write {}: ", path.to_string_lossy());
    assert!(line.starts_with(&start) && line.len() > start.len(), "{line}");
    line
}

#[test]
fn new_file_is_private_to_its_owner() {
    if !is_root("new_file_is_private_to_its_owner") {
        return;
    }
    let world = CasperFixture::active();
    let folder = world.dir().join("out");
    fs::create_dir(&folder).unwrap();
    let file = folder.join("client.conf");
    write_to(&world, &file);
    assert_written(&file, 0);
    fs::remove_file(&file).unwrap();
    // With a careless umask, in both forms of the option, and by a relative path.
    let script = "umask 0; exec \"$0\" --output=out/client.conf demo-casper";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, CASPER]).current_dir(world.dir()).env("PHANTOM_ROOT", world.dir().join("root"));
    let said = Said::from(shell.env_remove("PHANTOM_LANG").output().unwrap());
    assert_eq!(said, Said { exit: 0, out: String::new(), err: String::new() });
    assert_written(&file, 0);
    let said = world.run(&["--json", "--output", "out/client.json", "demo-casper"]);
    assert_eq!((said.exit, said.out.as_str()), (0, ""));
    let json: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("client.json")).unwrap()).unwrap();
    assert_eq!(json["name"], "demo-casper");
}

#[test]
fn existing_file_is_replaced_as_a_whole() {
    if !is_root("existing_file_is_replaced_as_a_whole") {
        return;
    }
    let world = CasperFixture::active();
    let folder = world.dir().join("out");
    fs::create_dir(&folder).unwrap();
    let (file, kept) = (folder.join("client.conf"), world.dir().join("kept"));
    fs::write(&file, "the old content").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    fs::hard_link(&file, &kept).unwrap();
    write_to(&world, &file);
    assert_written(&file, 0);
    assert_eq!(fs::read_to_string(kept).unwrap(), "the old content", "it was written into");
}

#[test]
fn nobody_ever_sees_half_a_file() {
    if !is_root("nobody_ever_sees_half_a_file") {
        return;
    }
    let world = CasperFixture::active();
    let file = world.dir().join("client.conf");
    fs::write(&file, golden("export.tr.txt")).unwrap();
    let (english, turkish) = (golden("export.en.txt"), golden("export.tr.txt"));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = 0;
            while !done.load(Ordering::SeqCst) {
                let text = fs::read_to_string(&file).expect("it is there all the time");
                let text = with_time_of_samples(&text);
                assert!(text == english || text == turkish, "half a file: {} bytes", text.len());
                seen += 1;
            }
            seen
        });
        for lang in ["en", "tr"].repeat(15) {
            let [option, path] = to(&file);
            write(&world, &[OsStr::new("--lang"), OsStr::new(lang), &option, &path]);
        }
        done.store(true, Ordering::SeqCst);
        assert!(reader.join().unwrap() > 0);
    });
}

#[test]
fn symlink_is_replaced_and_not_followed() {
    if !is_root("symlink_is_replaced_and_not_followed") {
        return;
    }
    let world = CasperFixture::active();
    let target = world.dir().join("target");
    fs::write(&target, "not ours").unwrap();
    let into = world.dir().join("folder");
    fs::create_dir(&into).unwrap();
    for (name, leads_to) in [
        ("a", target.clone()),
        ("b", world.dir().join("nowhere")),
        ("c", into.clone()),
        ("d", "/dev/null".into()),
    ] {
        let folder = world.dir().join(format!("out-{name}"));
        fs::create_dir(&folder).unwrap();
        let link = folder.join("client.conf");
        symlink(leads_to, &link).unwrap();
        write_to(&world, &link);
        assert_written(&link, 0);
    }
    assert_eq!(fs::read_to_string(&target).unwrap(), "not ours");
    assert!(!world.dir().join("nowhere").exists());
    assert_eq!(fs::read_dir(into).unwrap().count(), 0);
}

#[test]
fn non_file_is_refused_and_stays() {
    if !is_root("non_file_is_refused_and_stays") {
        return;
    }
    let world = CasperFixture::active();
    let folder = world.dir().join("folder");
    fs::create_dir(&folder).unwrap();
    let pipe = world.dir().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let before = fs::read_dir(world.dir()).unwrap().count();
    refused(&world, &folder);
    refused(&world, &folder.join(""));
    refused(&world, &folder.join(".."));
    refused(&world, Path::new("/"));
    refused(&world, Path::new("."));
    refused(&world, &world.dir().join("new/"));
    refused(&world, &world.dir().join("missing/client.conf"));
    refused(&world, &world.dir().join("pipe/client.conf"));
    assert!(refused(&world, &pipe).ends_with("it is no regular file"));
    refused(&world, &world.dir().join("n".repeat(300)));
    assert_eq!(fs::read_dir(world.dir()).unwrap().count(), before, "something is left");
    assert_eq!(fs::read_dir(folder).unwrap().count(), 0);
    let turkish = world.run(&["--lang", "tr", "--output", "folder", "demo-casper"]);
    assert!(turkish.err.starts_with("Hata: folder okunamıyor veya yazılamıyor: "), "{turkish:?}");
}

#[test]
fn a_name_need_not_be_utf_8() {
    if !is_root("a_name_need_not_be_utf_8") {
        return;
    }
    let world = CasperFixture::active();
    let folder = world.dir().join("out");
    fs::create_dir(&folder).unwrap();
    let file = folder.join(OsStr::from_bytes(b"\xff=\xfe"));
    write_to(&world, &file);
    assert_written(&file, 0);
    fs::remove_file(&file).unwrap();
    let joined = OsString::from_iter([OsStr::new("--output="), file.as_os_str()]);
    write(&world, &[&joined]);
    assert_written(&file, 0);
}

#[test]
fn failure_leaves_the_file_unchanged() {
    if !is_root("failure_leaves_the_file_unchanged") {
        return;
    }
    for (world, client) in [
        (CasperFixture::active(), "nobody"),
        (CasperFixture::inactive(), "demo-casper"),
        (CasperFixture::bare(), "a"),
    ] {
        let file = world.dir().join("client.conf");
        world.failure(&["--output", "client.conf", client]);
        assert!(!file.exists());
        fs::write(&file, "kept").unwrap();
        world.failure(&["--output", "client.conf", client]);
        assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
    }
}
