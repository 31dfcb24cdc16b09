//! `test`: every test there is, counted.

mod fuzz;
mod machine;
#[expect(dead_code, reason = "the long mode is to call it")]
mod mutants;
mod nginx;
mod source;
mod tally;

use std::fs;
use std::path::{Path, PathBuf};

pub(crate) use tally::Tally;

use crate::command::{Cmd, find_program, is_root};
use crate::packages::{self, Need};
use crate::problem::{Context as _, Result};
use crate::vm::{Suite, image};
use crate::words::Words;
use crate::workspace::{self, cargo};

/// What the tests call beside the programs of this project: foreign WireGuard, firewalls, clients and servers.
const NEEDS: &[Need] = &[
    Need::program("wg", "wireguard-tools"),
    Need::program("wireguard-go", "wireguard-go"),
    Need::program("nft", "nftables"),
    Need::program("iptables", "iptables"),
    Need::program("ufw", "ufw"),
    Need::program("ip", "iproute2"),
    Need::program("ping", "iputils-ping"),
    Need::program("conntrack", "conntrack"),
    Need::program("tcpdump", "tcpdump"),
    Need::program("iperf3", "iperf3"),
    Need::program("curl", "curl"),
    Need::program("dig", "dnsutils"),
    // Without the service that the package dnsmasq would start on this machine.
    Need::program("dnsmasq", "dnsmasq-base"),
    Need::program("openssl", "openssl"),
    // An ACME service with a name server for its tests.
    Need::program("pebble", "pebble"),
    Need::program("jq", "jq"),
    Need::program("strace", "strace"),
    Need::program("man", "man-db"),
    // A terminal whose screen can be looked at.
    Need::program("tmux", "tmux"),
    Need::program("pgrep", "procps"),
    Need::program("zsh", "zsh"),
    Need::program("fish", "fish"),
];

/// How much of the tests is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// `PHANTOM_TEST_QUICK=1`: tests leave out what takes long.
    Quick,
    Normal,
    /// `PHANTOM_TEST_LONG=1`: tests go on for minutes.
    Long,
}

impl Extent {
    /// The variable by which tests know it.
    pub(crate) fn variable(self) -> Option<&'static str> {
        match self {
            Self::Quick => Some("PHANTOM_TEST_QUICK"),
            Self::Normal => None,
            Self::Long => Some("PHANTOM_TEST_LONG"),
        }
    }
}

pub(crate) fn run(mut words: Words) -> Result<bool> {
    let extent = match (words.flag("--quick"), words.flag("--long")) {
        (_, true) => Extent::Long,
        (true, false) => Extent::Quick,
        (false, false) => Extent::Normal,
    };
    let only = words.value("--only")?;
    // Parts that need nothing of what the others build.
    let apart: Option<fn(&mut Tally) -> Result> = match only.as_deref() {
        Some("fuzz") => Some(fuzz::run),
        Some("source") => Some(source::run),
        _ => None,
    };
    let only_vm = words.flag("--vm-only") || (only.is_some() && apart.is_none());
    let suites = suites(&mut words, extent, only_vm)?;
    words.end()?;
    let mut tally = Tally::default();
    if let Some(run) = apart {
        run(&mut tally)?;
        tally.close();
        return Ok(tally.is_good());
    }
    if let Err(problem) = packages::ensure(packages::BUILD).and_then(|_| packages::ensure(NEEDS)) {
        // Tests that miss a program say so and are counted as skipped.
        println!("{problem}");
    }
    let programs = programs()?;
    if !only_vm {
        tally.part("this machine");
        if let Err(problem) = on_this_machine(&programs, extent, &mut tally) {
            tally.fail("cargo test", &problem.to_string());
        }
    }
    if extent == Extent::Long && !only_vm {
        if let Err(problem) = fuzz::run(&mut tally) {
            tally.fail("fuzz targets", &problem.to_string());
        }
        if let Err(problem) = source::run(&mut tally) {
            tally.fail("from source", &problem.to_string());
        }
    }
    for suite in suites {
        let name = format!("virtual machine of {suite}");
        // A machine without the emulator or without Debian's packages at hand cannot have the virtual one.
        if let Err(problem) = image::fetch(suite) {
            tally.skip(&name, &problem.to_string());
            continue;
        }
        let only = only.as_deref();
        let result =
            image::freeze(suite).and_then(|()| machine::run(suite, &programs, extent, only, &mut tally));
        if let Err(problem) = result {
            tally.fail(&name, &problem.to_string());
        }
    }
    tally.close();
    Ok(tally.is_good())
}

/// In which releases of Debian the tests are repeated.
fn suites(words: &mut Words, extent: Extent, only_vm: bool) -> Result<Vec<Suite>> {
    let named = words.value("--suite")?;
    let wanted = words.flag("--vm") || only_vm || named.is_some();
    Ok(match named {
        Some(name) => vec![name.parse()?],
        None if wanted && extent == Extent::Long => vec![Suite::Bookworm, Suite::Trixie],
        None if wanted => vec![Suite::Bookworm],
        None => Vec::new(),
    })
}

/// The folder of the programs under test: built without what tests add to the crates, and out of the way of the builds
/// that `cargo test` makes.
fn programs() -> Result<PathBuf> {
    let dir = workspace::target_dir()?.join("tested");
    fs::create_dir_all(&dir).context(dir.display())?;
    let builds = [
        "build -p phantom-tests --bins",
        "build -p phantom-api -p phantom-device -p phantom-tunnel -p phantom-multihop --bins",
        "build -p phantom-casper -p phantom-factory-reset -p phantom-cli --bins",
    ];
    for words in builds {
        for program in workspace::build(words.split(' '))? {
            let copy = dir.join(&program.target);
            let _ = fs::remove_file(&copy); // one that is running cannot be written to
            fs::copy(&program.path, &copy).context(copy.display())?;
        }
    }
    Ok(dir)
}

/// `cargo test` of everything; its lines go to the terminal as far as they say something.
fn on_this_machine(programs: &Path, extent: Extent, tally: &mut Tally) -> Result {
    let mut command = cargo().args(["test", "--workspace", "--all-features", "--no-fail-fast"]);
    command =
        command.env("PHANTOM_BIN_DIR", programs).env("PHANTOM_DEVICE", programs.join("phantom-wg-device"));
    if let Some(variable) = extent.variable() {
        command = command.env(variable, "1");
    }
    if let Some(runner) = privileged_runner() {
        let target =
            format!("CARGO_TARGET_{}_RUNNER", workspace::host_triple()?.to_uppercase().replace('-', "_"));
        command = command.env(target, runner);
    }
    // Most of them wait: for handshakes, for what a monitor notices, for what must not arrive.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let command = command.env("RUST_TEST_THREADS", (2 * cores + 2).to_string());
    // Passed tests too may have said that they were skipped.
    let mut command = command.args(["--", "--show-output"]);
    match nginx::program() {
        Ok(program) => command = command.env("PHANTOM_NGINX", program),
        // The tests that would need it say so.
        Err(problem) => println!("{problem}"),
    }
    let before = tally.failures();
    let status = command.stream(|line| tally.line(line))?;
    if !status.success() && tally.failures() == before {
        tally.fail("cargo test", &status.to_string());
    }
    Ok(())
}

/// What test programs are started with so that they may make network namespaces; nothing for root.
fn privileged_runner() -> Option<&'static str> {
    if is_root() {
        return None;
    }
    if Cmd::line("sudo -n true").succeeds() {
        return Some("sudo -n -E");
    }
    // Root in a user namespace of one's own: enough for namespaces, links, rules and nft, not for /etc.
    let own = "unshare --map-root-user --net --mount";
    if find_program("unshare").is_some() && Cmd::line(own).arg("true").succeeds() {
        println!("Not root: tests run in a user namespace; those that need more say so.");
        return Some(own);
    }
    println!("Not root, and no user namespaces: tests that need the network are skipped.");
    None
}
