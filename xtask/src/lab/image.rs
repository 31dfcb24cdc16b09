//! The disk images: built once from Debian's packages, booted once, and frozen.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{Job, Kind, Suite, emulator};
use crate::command::{Cmd, is_root};
use crate::packages::{self, Need};
use crate::problem::{Context as _, Problem, Result};
use crate::workspace;

/// Makes root file systems, kernel and initrd.
const BUILD: &str = include_str!("../../lab/build.sh");
/// Runs in the guest and does the jobs.
const AGENT: &str = include_str!("../../lab/agent.sh");
/// The guest's first program.
const INIT: &str = include_str!("../../lab/init.sh");

/// What building needs on this machine. The emulator is apart: see [`install`].
const NEEDS: &[Need] = &[
    Need::program("mmdebstrap", "mmdebstrap"),
    Need::program("mke2fs", "e2fsprogs"),
    Need::program("zstd", "zstd"),
    Need::program("xz", "xz-utils"),
    Need::program("cpio", "cpio"),
    Need::program("busybox", "busybox-static"),
    Need::file("/usr/share/keyrings/debian-archive-keyring.gpg", "debian-archive-keyring"),
];

/// The test tools of the full image; the bare one has their packages at hand, not installed.
const TOOLS: &str = "wireguard-tools wireguard-go nftables iptables ipset ufw conntrack tcpdump iperf3 curl dnsutils \
                     dnsmasq-base netcat-openbsd jq pebble strace";

/// Where the image of a release lies.
pub(crate) fn dir(suite: Suite) -> Result<PathBuf> {
    Ok(workspace::kept()?.join("lab").join(suite.to_string()))
}

/// Builds and freezes the image unless it is there and made by these very scripts.
pub(crate) fn ensure(suite: Suite) -> Result {
    build_if_needed(suite)?;
    install()?;
    freeze(suite)
}

/// Builds the root file systems from Debian's packages, as far as they are not there or made by other scripts.
pub(crate) fn build_if_needed(suite: Suite) -> Result {
    if mark(suite, "built")? != built() {
        build(suite)?;
        let dir = dir(suite)?;
        fs::write(dir.join("built"), built()).context(dir.display())?;
    }
    Ok(())
}

/// Boots what [`build_if_needed`] has left, unless it has been frozen already.
fn freeze(suite: Suite) -> Result {
    // A frozen machine wakes only in the same emulator with the same devices.
    let version = Cmd::line("qemu-system-x86_64 --version").read()?;
    let frozen = hash(&[&version, &emulator::devices_mark(), &built()]);
    let dir = dir(suite)?;
    if mark(suite, "frozen")? != frozen {
        for kind in [Kind::Full, Kind::Bare] {
            let start = Instant::now();
            let mut attempts = 1;
            // A boot fails now and then on a busy machine.
            while let Err(problem) = emulator::freeze(suite, kind).and_then(|()| wakes(suite, kind)) {
                if attempts == FREEZE_ATTEMPTS {
                    return Err(problem);
                }
                println!("{suite}, {kind} image: not frozen, or it does not wake; once more: {problem}");
                attempts += 1;
            }
            println!("{suite}, {kind} image: booted and frozen in {} s", start.elapsed().as_secs());
        }
        fs::write(dir.join("frozen"), &frozen).context(dir.display())?;
    }
    Ok(())
}

/// So often an image is booted and frozen until it wakes.
const FREEZE_ATTEMPTS: u32 = 3;

/// That a frozen machine does a job.
fn wakes(suite: Suite, kind: Kind) -> Result {
    let limit = Duration::from_mins(2);
    let job = Job { suite, kind, files: None, command: "true".to_owned(), output: None, limit };
    match emulator::run(&job, |_| ())? {
        0 => Ok(()),
        status => Err(Problem::new(format!("status {status}"))),
    }
}

/// What is in the file that says of what a stage was made.
fn mark(suite: Suite, name: &str) -> Result<String> {
    Ok(fs::read_to_string(dir(suite)?.join(name)).unwrap_or_default())
}

fn built() -> String {
    hash(&[BUILD, AGENT, INIT, TOOLS])
}

fn build(suite: Suite) -> Result {
    if !is_root() {
        let dir = dir(suite)?;
        return Err(Problem::new(format!("the image in {} can only be built by root", dir.display())));
    }
    packages::ensure(NEEDS)?;
    let mirrors = mirrors()?;
    let (start, dir) = (Instant::now(), dir(suite)?);
    if dir.exists() {
        fs::remove_dir_all(&dir).context(dir.display())?;
    }
    fs::create_dir_all(&dir).context(dir.display())?;
    for (name, text) in [("build.sh", BUILD), ("agent.sh", AGENT), ("init.sh", INIT)] {
        fs::write(dir.join(name), text).context(name)?;
        fs::set_permissions(dir.join(name), fs::Permissions::from_mode(0o755)).context(name)?;
    }
    println!("Building the image of {suite} in {} (about a minute)", dir.display());
    let command = Cmd::new("bash").arg(dir.join("build.sh")).arg(suite.to_string()).arg(&dir).arg(TOOLS);
    let command = command.args(mirrors);
    let mut log = Vec::new();
    let status = command.stream(|line| log.push(line.to_owned()))?;
    if !status.success() {
        log.iter().rev().take(30).rev().for_each(|line| println!("{line}"));
        return Err(Problem::new(format!("the image of {suite} was not built: {status}")));
    }
    println!("{suite}: built in {} s", start.elapsed().as_secs());
    Ok(())
}

/// The mirrors of Debian that this machine itself uses: that of the archive, then that of the security updates where it has
/// one.
pub(crate) fn mirrors() -> Result<Vec<String>> {
    let words = ["indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"];
    let sources = Cmd::new("apt-get").args(words).read()?;
    let debian = || sources.lines().filter(|line| line.contains("debian"));
    let archive = debian().find(|line| !line.contains("security"));
    let archive =
        archive.context("apt on this machine knows no mirror of Debian (`apt-get indextargets`)")?;
    Ok([archive]
        .into_iter()
        .chain(debian().find(|line| line.contains("security")))
        .map(str::to_owned)
        .collect())
}

/// Installs qemu. Where Debian 12's own does not fit what is installed already, that of backports is taken, through a
/// package list that the machine's other programs do not see.
fn install() -> Result {
    let Err(first) = packages::ensure(&[Need::program("qemu-system-x86_64", "qemu-system-x86")]) else {
        return Ok(());
    };
    let release = fs::read_to_string("/etc/os-release").context("/etc/os-release")?;
    let name = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).context(&first)?;
    let dir = std::env::temp_dir().join("phantom-wg-lab-apt");
    fs::create_dir_all(dir.join("lists/partial")).context(dir.display())?;
    let key = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]";
    let mirror = &mirrors()?[0];
    let lines = [name.to_owned(), format!("{name}-updates"), format!("{name}-backports")];
    let lines = lines.map(|suite| format!("deb {key} {mirror} {suite} main\n")).concat();
    fs::write(dir.join("sources.list"), lines).context(dir.display())?;
    let place = dir.display();
    let apt = Cmd::root("apt-get").args(["-qq", "-y", "--no-install-recommends"]).args([
        "-o".to_owned(),
        format!("Dir::Etc::SourceList={place}/sources.list"),
        "-o".to_owned(),
        "Dir::Etc::SourceParts=/nonexistent".to_owned(),
        "-o".to_owned(),
        format!("Dir::State::Lists={place}/lists"),
    ]);
    apt.clone().arg("update").quiet()?;
    let target = format!("{name}-backports");
    let result = apt.args(["install", "-t", &target, "qemu-system-x86"]).quiet();
    let _ = fs::remove_dir_all(&dir);
    result
}

fn hash(parts: &[&str]) -> String {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    format!("{:016x}\n", hasher.finish())
}
