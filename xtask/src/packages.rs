//! Debian packages: which are missing, and installing exactly those.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::command::{Cmd, find_program};
use crate::problem::{Context as _, Problem, Result};

/// How to see that something is there without asking the package manager, and the Debian package that brings it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    sign: Sign,
    package: &'static str,
}

#[derive(Clone, Copy, Debug)]
enum Sign {
    Program(&'static str),
    File(&'static str),
}

impl Need {
    /// A program.
    pub(crate) const fn program(program: &'static str, package: &'static str) -> Self {
        Self { sign: Sign::Program(program), package }
    }
    /// A file.
    pub(crate) const fn file(path: &'static str, package: &'static str) -> Self {
        Self { sign: Sign::File(path), package }
    }

    fn is_there(&self) -> bool {
        match self.sign {
            Sign::Program(name) => find_program(name).is_some(),
            Sign::File(path) => std::fs::exists(path).unwrap_or(false),
        }
    }
}

/// What rustc, ring and the bundled `SQLite` are linked and compiled with.
pub(crate) const BUILD: &[Need] = &[
    Need::program("cc", "gcc"),
    Need::file("/usr/include/stdlib.h", "libc6-dev"),
    Need::file("/etc/ssl/certs/ca-certificates.crt", "ca-certificates"),
];

/// Installs what is missing. The package lists are fetched only when the ones on the machine do not do.
pub(crate) fn ensure(needs: &[Need]) -> Result {
    ensure_noted(needs, |_| Ok(()))
}

/// Installs what is missing. `note` is told first which packages that are not on the machine will come, those that come along
/// included: whatever happens while they are installed, they are known then.
pub(crate) fn ensure_noted(needs: &[Need], mut note: impl FnMut(BTreeSet<String>) -> Result) -> Result {
    let missing: BTreeSet<&str> =
        needs.iter().filter(|need| !need.is_there()).map(|need| need.package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list: Vec<&str> = missing.into_iter().collect();
    if find_program("apt-get").is_none() {
        let text =
            format!("please install what Debian calls {}: this machine has no apt-get", list.join(", "));
        return Err(Problem::new(text));
    }
    println!("Installing Debian packages: {}", list.join(" "));
    let before = installed()?;
    let coming = |simulation: &str| names(simulation, &["Inst "], &before);
    let simulation = if let Ok(simulation) = apt(&["-s", "install"], &list).read() {
        simulation
    } else {
        Cmd::root("apt-get").args(["-qq", "update"]).run()?;
        apt(&["-s", "install"], &list).read()?
    };
    note(coming(&simulation))?;
    if let Err(first) = apt(&["-y", "install"], &list).quiet() {
        // Lists can be older than what the mirror still holds.
        Cmd::root("apt-get").args(["-qq", "update"]).run()?;
        note(coming(&apt(&["-s", "install"], &list).read()?))?;
        apt(&["-y", "install"], &list).quiet().map_err(|_| first)?;
    }
    Ok(())
}

/// The packages that lines of a simulation with these words name, but for those that are installed.
fn names(simulation: &str, words: &[&str], installed: &BTreeSet<String>) -> BTreeSet<String> {
    let there: BTreeSet<String> = installed.iter().map(|name| plain(name)).collect();
    let named = simulation.lines().filter_map(|line| words.iter().find_map(|word| line.strip_prefix(word)));
    let named = named.filter_map(|rest| rest.split_whitespace().next()).map(plain);
    named.filter(|name| !there.contains(name)).collect()
}

/// The simulation writes `libc6-dev`, the list of installed packages `libc6-dev:amd64`.
fn plain(name: &str) -> String {
    name.split(':').next().unwrap_or_default().to_owned()
}

/// Removes packages with their settings, unless that would take anything else along. Returns whether they are gone.
pub(crate) fn purge(packages: &BTreeSet<String>) -> Result<bool> {
    let wanted: BTreeSet<String> = packages.iter().map(|name| plain(name)).collect();
    let present: BTreeSet<String> =
        installed()?.into_iter().filter(|name| wanted.contains(&plain(name))).collect();
    if present.is_empty() {
        return Ok(true);
    }
    let simulation = apt(&["-s", "purge"], &present).read()?;
    if !names(&simulation, &["Purg ", "Remv "], &BTreeSet::new()).is_subset(&wanted) {
        return Ok(false);
    }
    apt(&["-y", "purge"], &present).quiet()?;
    Ok(true)
}

/// Fetches a package into `dir` without installing it; says where it lies.
pub(crate) fn download(package: &str, dir: &Path) -> Result<PathBuf> {
    let fetch = Cmd::line("apt-get -qq download").arg(package).dir(dir);
    if let Err(first) = fetch.quiet() {
        Cmd::root("apt-get").args(["-qq", "update"]).run()?;
        fetch.quiet().map_err(|_| first)?;
    }
    let files = std::fs::read_dir(dir).context(dir.display())?.flatten().map(|file| file.path());
    let is_it = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(&format!("{package}_")) && name.ends_with(".deb")
    };
    files.filter(is_it).max().context(format!("{package} did not arrive in {}", dir.display()))
}

fn apt<W: AsRef<str>>(verb: &[&str], packages: impl IntoIterator<Item = W>) -> Cmd {
    let options =
        ["-qq", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=600", "-o", "Dpkg::Use-Pty=0"];
    // `env` and not this process's environment: sudo drops that.
    let command = Cmd::root("env").args(["DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", "apt-get"]);
    let command = command.args(options).args(verb);
    packages.into_iter().fold(command, |command, package| command.arg(package.as_ref()))
}

/// The packages that are installed, those of several architectures with theirs behind a colon.
pub(crate) fn installed() -> Result<BTreeSet<String>> {
    let list = Cmd::new("dpkg-query").args(["-W", "-f", "${db:Status-Status} ${binary:Package}\n"]).read()?;
    Ok(list.lines().filter_map(|line| line.strip_prefix("installed ")).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simulation_names_packages_to_install() {
        let simulation = "NOTE: This is only a simulation!\nInst libc6 [2.36-9] (2.36-10 Debian:12 [amd64])\n\
                          Inst libc6-dev (2.36-10 Debian:12 [amd64]) []\nInst gcc:amd64 (4:12.2 Debian:12 [amd64])\n\
                          Conf gcc (4:12.2 Debian:12 [amd64])\n";
        let there = BTreeSet::from(["libc6:amd64".to_owned()]);
        let coming = names(simulation, &["Inst "], &there);
        assert_eq!(coming.iter().map(String::as_str).collect::<Vec<_>>(), ["gcc", "libc6-dev"]);
    }
}
