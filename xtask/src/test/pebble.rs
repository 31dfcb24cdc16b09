//! The newest `pebble` of Debian for the long mode: the one of a stable release knows no profiles and no renewal information.

use std::fs;
use std::path::PathBuf;

use crate::command::Cmd;
use crate::lab;
use crate::problem::{Context as _, Result};
use crate::workspace;

/// The release that gets new versions first.
const RELEASE: &str = "unstable";

/// The folder of its programs, which are unpacked below the target folder. The package list is one that the machine's other programs
/// do not see.
pub(super) fn newest() -> Result<PathBuf> {
    let dir = workspace::target_dir()?.join("pebble");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(dir.join("lists/partial")).context(dir.display())?;
    let key = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]";
    let mirror = &lab::image::mirrors()?[0];
    let list = dir.join("sources.list");
    fs::write(&list, format!("deb {key} {mirror} {RELEASE} main\n")).context(list.display())?;
    let place = dir.display();
    let apt = Cmd::new("apt-get").arg("-qq").dir(&dir).args([
        "-o".to_owned(),
        format!("Dir::Etc::SourceList={place}/sources.list"),
        "-o".to_owned(),
        "Dir::Etc::SourceParts=/nonexistent".to_owned(),
        "-o".to_owned(),
        format!("Dir::State::Lists={place}/lists"),
        "-o".to_owned(),
        format!("Dir::Cache={place}"),
    ]);
    apt.clone().arg("update").quiet()?;
    // Without what is installed on the machine, which would be taken for a version of it.
    apt.args(["-o", "Dir::State::status=/dev/null", "download", "pebble"]).quiet()?;
    let found = fs::read_dir(&dir).context(dir.display())?.flatten().map(|entry| entry.path());
    let package = found.filter(|path| path.extension().is_some_and(|end| end == "deb")).max();
    let package = package.context(format!("pebble did not arrive in {place}"))?;
    Cmd::new("dpkg-deb").arg("-x").arg(&package).arg(&dir).quiet()?;
    Ok(dir.join("usr/bin"))
}
