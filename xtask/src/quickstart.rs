//! `quickstart`: from a checkout to a running server with a first client, and the proof that it works.
//!
//! Everything may be run again: what is there stays, what is missing is added. Each thing that comes to the machine is
//! written into a manifest first, by which `uninstall` takes it away.

mod client_side;
mod install;
mod internet_side;
mod manifest;
mod namespace;
mod proof;
mod qr;
mod server;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub(crate) use client_side::run as client_side;
pub(crate) use internet_side::run as internet_side;
pub(crate) use manifest::Manifest;
pub(crate) use server::PROGRAMS_DIR;

use crate::args::Args;
use crate::command::{Cmd, is_root};
use crate::packages::{self, Need};
use crate::problem::{Context as _, Problem, Result};
use crate::workspace;

/// The task that a client's side of the proof is.
pub(crate) const CLIENT_SIDE: &str = "quickstart-client-side";
/// The task that the Internet's side of the proof is.
pub(crate) const INTERNET_SIDE: &str = "quickstart-internet-side";

/// The task that writes down packages which are about to come.
pub(crate) const NOTE: &str = "quickstart-note-packages";

/// The client that is added to an empty server.
const FIRST_CLIENT: &str = "first-client";

/// What the server and the proof call; what compiles it is apart.
const RUN: &[Need] = &[
    Need::program("nft", "nftables"),
    Need::program("ip", "iproute2"),
    Need::program("ping", "iputils-ping"),
    Need::program("wg-quick", "wireguard-tools"),
];
/// The proof's client where the kernel has no WireGuard.
const FOREIGN: Need = Need::program("wireguard-go", "wireguard-go");

pub(crate) fn run(mut words: Args) -> Result<bool> {
    let server_ip = words.value("--server-ip")?;
    let prove = !words.flag("--no-proof");
    // A folder with the programs, the manual pages and the completions, in place of building them.
    let built = words.value("--built")?.map(PathBuf::from);
    words.end()?;
    refuse_beside_package(Path::new(OF_THE_PACKAGE))?;
    let built = if let Some(dir) = built {
        dir
    } else {
        packages::ensure_noted(packages::BUILD, note)?;
        println!("== Building (some minutes the first time)");
        let dir = workspace::build_installation()?;
        if !is_root() {
            return as_root(&dir, server_ip.as_deref(), prove);
        }
        dir
    };
    let mut manifest = Manifest::load()?;
    println!("== Debian packages");
    packages::ensure_noted(RUN, |coming| manifest.add_packages(coming))?;
    if !namespace::kernel_has_wireguard() {
        packages::ensure_noted(&[FOREIGN], |coming| manifest.add_packages(coming))?;
    }
    println!("== Programs");
    let changed = install::run(&built, &mut manifest)?;
    println!("== Server");
    let server = server::set_up(server_ip.as_deref(), changed)?;
    let client = server::first_client(FIRST_CLIENT)?;
    println!(
        "\n== Configuration of {FIRST_CLIENT} ({})\n\n{}\n\n{}",
        client.address,
        client.config,
        qr::draw(&client.config)?
    );
    if !prove {
        return Ok(true);
    }
    println!("== Proof");
    if let Some(why) = server::mode()?.unprovable().or_else(|| proof::unprovable(&client)) {
        println!("left out: {why}");
        return Ok(true);
    }
    let proven = proof::run(&server, &client)?;
    println!();
    if proven {
        println!(
            "The server works. Next: phantom-api --help, or phantom-api core add_client client_name=my-phone"
        );
    } else {
        println!(
            "The server is installed, and the proof failed: see above, and phantom-api core service_logs"
        );
    }
    Ok(proven)
}

/// A program of the Debian package.
const OF_THE_PACKAGE: &str = "/usr/bin/phantom-api";

/// Beside the package this installation would have no effect or, worse, some: units name one of the two, and PATH the other.
fn refuse_beside_package(program: &Path) -> Result {
    if !program.exists() {
        return Ok(());
    }
    Err(Problem::new(format!(
        "{} is there: the server on this machine was installed as a Debian package. Upgrade that one, or remove it first \
         (apt remove phantom-wg); the stored state stays, and quickstart finds it again",
        program.display()
    )))
}

/// Writes down packages that are about to come, before this process may write the manifest itself.
fn note(coming: BTreeSet<String>) -> Result {
    if is_root() {
        return Manifest::load()?.add_packages(coming);
    }
    let this = std::env::current_exe().context("this program")?;
    Cmd::root(this).arg(NOTE).args(coming).quiet()
}

/// The task by which [`note`] does so.
pub(crate) fn note_packages(mut words: Args) -> Result<bool> {
    let mut coming = BTreeSet::new();
    while let Some(word) = words.next_word() {
        coming.insert(word);
    }
    Manifest::load()?.add_packages(coming)?;
    Ok(true)
}

/// Goes on as root with what has been built.
fn as_root(built: &Path, ip: Option<&str>, prove: bool) -> Result<bool> {
    let this = std::env::current_exe().context("this program")?;
    let command = Cmd::root(this).arg("quickstart").arg("--built").arg(built);
    let command = command.args(ip.map(|ip| format!("--server-ip={ip}")));
    let command = command.args((!prove).then_some("--no-proof"));
    Ok(command.command().status().context(&command)?.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beside_the_package_nothing_is_installed() {
        refuse_beside_package(Path::new("/nonexistent/phantom-api")).unwrap();
        let this = std::env::current_exe().unwrap();
        let refused = refuse_beside_package(&this).unwrap_err().to_string();
        assert!(refused.contains("apt remove phantom-wg"), "{refused}");
    }
}
