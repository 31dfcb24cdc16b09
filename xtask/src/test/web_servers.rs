//! nginx, `HAProxy` and Caddy for the tests, without installing them: Debian's packages would start them on the machine's ports.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::command::{Cmd, find_program};
use crate::packages;
use crate::problem::{Context as _, Result};
use crate::workspace;

/// Where tests find each of them, its program, its place in its package, and a word to which it only says its version.
const SERVERS: [(&str, &str, &str, &str); 3] = [
    ("PHANTOM_NGINX", "nginx", "usr/sbin/nginx", "-v"),
    ("PHANTOM_HAPROXY", "haproxy", "usr/sbin/haproxy", "-v"),
    ("PHANTOM_CADDY", "caddy", "usr/bin/caddy", "version"),
];

/// Each variable with its program: the machine's own, or one out of Debian's package, unpacked below the target folder.
pub(super) fn programs() -> Result<Vec<(&'static str, PathBuf)>> {
    let mut programs = Vec::new();
    for (variable, name, place, version) in SERVERS {
        let program = match find_program(name) {
            Some(program) => program,
            None => unpacked(name, place)?,
        };
        // Says what is missing where its libraries are not all here.
        Cmd::new(&program).arg(version).quiet()?;
        programs.push((variable, program));
    }
    Ok(programs)
}

/// Puts nginx into a folder from which it runs on any Debian server: with all its libraries, as this machine's release may be a newer
/// one. Its program there is `nginx`.
pub(super) fn portable_nginx(folder: &Path) -> Result {
    let (_, name, place, version) = SERVERS[0];
    let (program, own) = if let Some(program) = find_program(name) {
        (program, String::new())
    } else {
        let script = unpacked(name, place)?;
        let own = script.parent().map(|dir| libraries(dir, &dir.display().to_string())).unwrap_or_default();
        (script.with_file_name(place), own)
    };
    let dir = folder.join("nginx-files");
    fs::create_dir_all(&dir).context(dir.display())?;
    fs::copy(&program, dir.join(name)).context(program.display())?;
    let mut loader = None;
    for line in Cmd::new("ldd").arg(&program).env("LD_LIBRARY_PATH", &own).read()?.lines() {
        // `libz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x…)`; the loader without an arrow.
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some(path) = words.iter().map(Path::new).find(|word| word.is_absolute()) else { continue };
        let file = path.file_name().context(line)?;
        fs::copy(path, dir.join(file)).context(path.display())?;
        if !words.contains(&"=>") {
            loader = Some(file.to_owned());
        }
    }
    let loader = loader.context("ldd names no loader")?;
    let script = folder.join(name);
    let text = format!(
        "#!/bin/sh\ndir=$(dirname \"$(readlink -f \"$0\")\")/nginx-files\nexec \"$dir/{}\" --library-path \"$dir\" \"$dir/{name}\" \"$@\"\n",
        loader.display()
    );
    fs::write(&script, text).context(script.display())?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).context(script.display())?;
    Cmd::new(&script).arg(version).quiet()
}

/// A script that runs the program with the libraries that came with it.
fn unpacked(name: &str, place: &str) -> Result<PathBuf> {
    let dir = workspace::target_dir()?.join("web-servers").join(name);
    let script = dir.join("run");
    if !script.is_file() {
        fs::create_dir_all(&dir).context(dir.display())?;
        unpack(name, &dir, &packages::installed()?, &mut BTreeSet::new())?;
    }
    let text = text_of_script(&dir, place);
    if fs::read_to_string(&script).ok().as_deref() != Some(&text) {
        fs::write(&script, text).context(script.display())?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).context(script.display())?;
    }
    Ok(script)
}

/// Nothing in the script depends on where it lies: a test that runs it as another user shows that one the folder in another place,
/// since the way to this one may be root's alone.
fn text_of_script(dir: &Path, place: &str) -> String {
    let folders = libraries(dir, "$here");
    format!("#!/bin/sh\nhere=${{0%/*}}\nLD_LIBRARY_PATH=\"{folders}\" exec \"$here/{place}\" \"$@\"\n")
}

/// The folders of libraries that came with a program, as `LD_LIBRARY_PATH` has them where `dir` is called `name`.
fn libraries(dir: &Path, name: &str) -> String {
    let folders = ["usr/lib", "lib"].map(|folder| {
        let below = fs::read_dir(dir.join(folder)).into_iter().flatten().flatten();
        let below = below.filter(|entry| entry.path().is_dir());
        below.map(|entry| format!("{name}/{folder}/{}", entry.file_name().display())).collect::<Vec<_>>()
    });
    folders.concat().join(":")
}

/// Unpacks a package, and those libraries that it depends on and that the machine has not.
fn unpack(package: &str, dir: &Path, installed: &BTreeSet<String>, seen: &mut BTreeSet<String>) -> Result {
    if !seen.insert(package.to_owned()) {
        return Ok(());
    }
    let file = packages::download(package, dir)?;
    Cmd::new("dpkg-deb").arg("-x").arg(&file).arg(dir).quiet()?;
    let depends = Cmd::new("dpkg-deb").arg("-f").arg(&file).arg("Depends").read()?;
    let is_there = |name: &str| installed.iter().any(|there| there.split(':').next() == Some(name));
    for library in depends.split(',').filter_map(|one| one.split_whitespace().next()) {
        if library.starts_with("lib") && !is_there(library) {
            unpack(library, dir, installed, seen)?;
        }
    }
    Ok(())
}
