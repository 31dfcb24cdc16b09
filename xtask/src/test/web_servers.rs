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
    let folders = ["usr/lib", "lib"].map(|folder| {
        let below = fs::read_dir(dir.join(folder)).into_iter().flatten().flatten();
        let below = below.filter(|entry| entry.path().is_dir());
        below.map(|entry| format!("$here/{folder}/{}", entry.file_name().display())).collect::<Vec<_>>()
    });
    let folders = folders.concat().join(":");
    format!("#!/bin/sh\nhere=${{0%/*}}\nLD_LIBRARY_PATH=\"{folders}\" exec \"$here/{place}\" \"$@\"\n")
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
