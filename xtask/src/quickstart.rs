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

use std::path::PathBuf;

pub(crate) use client_side::run as client_side;
pub(crate) use internet_side::run as internet_side;
pub(crate) use manifest::Manifest;
pub(crate) use server::PROGRAMS_DIR;

use crate::command::{Cmd, is_root};
use crate::packages::{self, Need};
use crate::problem::{Context as _, Result};
use crate::words::Words;
use crate::workspace;

/// The task that a client's side of the proof is.
pub(crate) const CLIENT_SIDE: &str = "quickstart-client-side";
/// The task that the Internet's side of the proof is.
pub(crate) const INTERNET_SIDE: &str = "quickstart-internet-side";

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

pub(crate) fn run(mut words: Words) -> Result<bool> {
    let server_ip = words.value("--server-ip")?;
    let prove = !words.flag("--no-proof");
    // A folder with the programs, the manual pages and the completions, in place of building them.
    let built = words.value("--built")?.map(PathBuf::from);
    words.end()?;
    let built = if let Some(dir) = built {
        dir
    } else {
        let packages = packages::ensure(packages::BUILD)?;
        println!("== Building (some minutes the first time)");
        let dir = workspace::build_installation()?;
        if !packages.is_empty() || !is_root() {
            return as_root(&dir, server_ip.as_deref(), prove, &packages);
        }
        dir
    };
    let mut manifest = Manifest::load()?;
    println!("== Debian packages");
    manifest.add_packages(packages::ensure(RUN)?)?;
    if !namespace::kernel_has_wireguard() {
        manifest.add_packages(packages::ensure(&[FOREIGN])?)?;
    }
    // Those that were needed to build, found by the caller that built.
    if let Ok(list) = std::env::var(BUILD_PACKAGES) {
        manifest.add_packages(list.split_whitespace().map(str::to_owned).collect())?;
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

/// The packages that came to the machine before this process could write its manifest.
const BUILD_PACKAGES: &str = "PHANTOM_BUILD_PACKAGES";

/// Goes on as root with what has been built.
fn as_root(
    built: &std::path::Path,
    ip: Option<&str>,
    prove: bool,
    packages: &std::collections::BTreeSet<String>,
) -> Result<bool> {
    let list: Vec<&str> = packages.iter().map(String::as_str).collect();
    let this = std::env::current_exe().context("this program")?;
    let command = Cmd::root("env").arg(format!("{BUILD_PACKAGES}={}", list.join(" "))).arg(this);
    let command = command.arg("quickstart").arg("--built").arg(built);
    let command = command.args(ip.map(|ip| format!("--server-ip={ip}")));
    let command = command.args((!prove).then_some("--no-proof"));
    Ok(command.command().status().context(&command)?.success())
}
