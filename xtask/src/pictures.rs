//! `pictures`: the pictures of the documents, taken from running programs.

use std::fs;
use std::path::Path;

use crate::args::Args;
use crate::command::{Cmd, find_program};
use crate::problem::{Context as _, Result};
use crate::workspace;

/// What makes the world in which they are taken.
const WORLD: &str = "xtask/lab/pictures.sh";

/// What it needs of the machine: program and Debian package.
const NEEDED: [(&str, &str); 7] = [
    ("nft", "nftables"),
    ("wg-quick", "wireguard-tools"),
    ("wireguard-go", "wireguard-go"),
    ("ping", "iputils-ping"),
    ("ip", "iproute2"),
    ("jq", "jq"),
    ("unshare", "util-linux"),
];

pub(crate) fn run(words: Args) -> Result<bool> {
    words.end()?;
    for (program, package) in NEEDED {
        find_program(program).context(format!("{program} is missing: apt install {package}"))?;
    }
    let packages = workspace::SERVER_PACKAGES.iter().flat_map(|package| ["-p", package]);
    let programs = workspace::build(["build"].into_iter().chain(packages).chain(["--bins"]))?;
    let programs = programs.first().context("cargo built no programs")?.path.clone();
    let words = ["build", "-p", "xtask", "--features", "pictures", "--bin", "phantom-pictures"];
    let pictures = workspace::build(words)?.into_iter().find(|built| built.target == "phantom-pictures");
    let pictures = pictures.context("cargo built no phantom-pictures")?.path;
    let out = workspace::root().join("docs/pictures");
    fs::create_dir_all(&out).context(out.display())?;
    let inside = Cmd::root("unshare")
        .args(["--net", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"])
        .args(["--uts", "--mount-proc", "bash"])
        .arg(workspace::root().join(WORLD))
        .args([programs.parent().unwrap_or(Path::new("/")), &pictures, &out]);
    inside.run()?;
    Ok(true)
}
