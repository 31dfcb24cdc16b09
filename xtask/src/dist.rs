//! `dist`: what is handed out: a Debian package, a tarball, and their checksums.
//!
//! The package is made by cargo-deb from the list in `phantom-api/Cargo.toml` and the scripts in `packaging/`. The
//! programs are linked statically, so that one package serves every release of Debian. The same sources and programs
//! make the same bytes: all times are that of the last commit.

mod notices;
mod tarball;

use std::fs;
use std::path::{Path, PathBuf};

use crate::args::Args;
use crate::command::Cmd;
use crate::contents::{self, PROGRAMS, RESET};
use crate::packages;
use crate::problem::{Context as _, Result};
use crate::workspace;
use crate::{test, tool};

/// The file of the licences of what is linked in.
const NOTICES: &str = "third-party.txt";

pub(crate) fn run(mut words: Args) -> Result<bool> {
    let out = words.value("--out")?.map(PathBuf::from);
    // A folder with the programs, in place of building them.
    let built = words.value("--built")?.map(PathBuf::from);
    let release = words.flag("--release");
    words.end()?;
    if release {
        test::refuse_unproven()?;
    }
    packages::ensure(packages::BUILD)?;
    let out = match out {
        Some(dir) => dir,
        None => workspace::target_dir()?.join("dist"),
    };
    fs::create_dir_all(&out).context(out.display())?;
    let built = built.map_or_else(|| workspace::folder(&workspace::build_delivered()?), Ok)?;
    let stage = Stage::new(&todays(&built))?;
    let package = out.join(package_name()?);
    stage.package(None, &[], &package)?;
    let tarball = out.join(format!("{}.tar.gz", tarball::name()?));
    stage.tarball(&tarball)?;
    let files = [&package, &tarball];
    let names = files.map(|file| file.file_name().unwrap_or_default());
    let sums = Cmd::new("sha256sum").args(names).dir(&out).read()?;
    fs::write(out.join("SHA256SUMS"), format!("{sums}\n")).context("SHA256SUMS")?;
    for file in files {
        let size = fs::metadata(file).context(file.display())?.len();
        println!("{} ({:.1} MB)", file.display(), megabytes(size));
    }
    for program in PROGRAMS.iter().chain([&RESET]) {
        let size = fs::metadata(stage.programs().join(program)).context(program)?.len();
        println!("  {program}: {:.1} MB", megabytes(size));
    }
    Ok(true)
}

/// Makes `old.deb`, `new.deb`, the later version, and the tarball of the programs of a folder, in another. They are packed
/// less tightly, for a slow machine to unpack.
pub(crate) fn for_tests(built: &Path, to: &Path) -> Result {
    let stage = Stage::new(&todays(built))?;
    stage.package(Some("0.0.0-1"), &QUICK, &to.join("old.deb"))?;
    stage.package(None, &QUICK, &to.join("new.deb"))?;
    stage.tarball(&to.join(format!("{}.tar.gz", tarball::name()?)))
}

/// The programs of this version in a folder.
fn todays(built: &Path) -> Vec<PathBuf> {
    PROGRAMS.iter().chain([&RESET]).map(|program| built.join(program)).collect()
}

/// Makes the package `to` of the workspace `root`, another checkout of this project, from its programs. Its version is lower
/// than any.
pub(crate) fn package_of(root: &Path, built: &Path, to: &Path) -> Result {
    let programs = contents::files(built)?;
    let stage = Stage { root: root.to_owned(), ..Stage::new(&programs)? };
    stage.package(Some("0.0.0-0"), &QUICK, to)
}

/// What packs less tightly, for tests.
///
/// The emulated processor unpacks gzip in half the time of xz (97 MB that had been read before: 5 s, not 10 s).
const QUICK: [&str; 4] = ["--fast", "--compress-type", "gz", "--compress-system"];

/// Programs and notices where cargo-deb looks for what cargo built: `release` in a target folder.
struct Stage {
    target: PathBuf,
    /// The workspace whose list and scripts make the package.
    root: PathBuf,
}

impl Stage {
    /// A stage with these programs.
    fn new(programs: &[PathBuf]) -> Result<Self> {
        let target = workspace::target_dir()?.join("dist-stage");
        let stage = Self { target, root: workspace::root() };
        let _ = fs::remove_dir_all(&stage.target);
        fs::create_dir_all(stage.programs()).context(stage.target.display())?;
        for program in programs {
            let name = program.file_name().context(program.display())?;
            // Nothing that only a debugger reads; what is built for release has nothing of it.
            Cmd::new("strip").arg("-o").args([&stage.programs().join(name), program]).quiet()?;
        }
        fs::write(stage.programs().join(NOTICES), notices::text()?).context(NOTICES)?;
        Ok(stage)
    }

    fn programs(&self) -> PathBuf {
        self.target.join("release")
    }

    /// Makes the Debian package `to`, with another version than the manifest's where one is given, and more words for
    /// cargo-deb.
    fn package(&self, version: Option<&str>, more: &[&str], to: &Path) -> Result {
        let version = version.into_iter().flat_map(|version| ["--deb-version", version]);
        let command = Cmd::new(tool::DEB.program()?).dir(&self.root);
        let command =
            command.args(["--quiet", "--no-build", "--no-strip", "-p", "phantom-api", "-o"]).arg(to);
        let command = command.args(version).args(more);
        command.env("CARGO_TARGET_DIR", &self.target).env("SOURCE_DATE_EPOCH", epoch()).quiet()
    }

    /// Makes the tarball `to`.
    fn tarball(&self, to: &Path) -> Result {
        tarball::make(&self.target, &self.programs(), &epoch(), to)
    }
}

/// Seconds since 1970 that stand as the time of every file: what the environment says, else that of the last commit.
fn epoch() -> String {
    let said = std::env::var("SOURCE_DATE_EPOCH").ok();
    let commit = || Cmd::line("git log -1 --format=%ct").dir(workspace::root()).read().ok();
    said.or_else(commit).filter(|text| !text.is_empty()).unwrap_or_else(|| "0".to_owned())
}

/// The version of the workspace.
fn version() -> Result<String> {
    let metadata = workspace::metadata()?;
    let package = package(&metadata).context("cargo metadata names no phantom-api")?;
    package["version"].as_str().map(str::to_owned).context("phantom-api has no version")
}

/// `phantom-wg_0.1.0-1_amd64.deb`.
fn package_name() -> Result<String> {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let metadata = workspace::metadata()?;
    let package = package(&metadata).context("cargo metadata names no phantom-api")?;
    let revision = package["metadata"]["deb"]["revision"].as_str().unwrap_or("1");
    Ok(format!("phantom-wg_{}-{revision}_{arch}.deb", version()?))
}

fn package(metadata: &serde_json::Value) -> Option<&serde_json::Value> {
    metadata["packages"].as_array()?.iter().find(|package| package["name"] == "phantom-api")
}

#[expect(clippy::cast_precision_loss, reason = "for a person to read, one digit after the point")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contents::{RESET_DIR, RESET_SCRIPT, TEXTS};

    /// Where a source of the package's list goes.
    fn destinations() -> Vec<(String, String)> {
        let metadata = workspace::metadata().unwrap();
        let assets = package(&metadata).unwrap()["metadata"]["deb"]["assets"].as_array().unwrap().clone();
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        assets.iter().map(|asset| (text(&asset[0]), text(&asset[1]))).collect()
    }

    #[test]
    fn the_package_has_what_quickstart_installs() {
        let list = destinations();
        let has = |from: &str, to: &str| {
            assert!(list.iter().any(|one| one.0 == from && one.1 == to), "{from} -> {to}: {list:?}");
        };
        for program in PROGRAMS {
            has(&format!("target/release/{program}"), "usr/bin/");
        }
        has(&format!("target/release/{RESET}"), "usr/lib/phantom-wg/");
        has(&format!("../factory-reset/{RESET_SCRIPT}"), "usr/lib/phantom-wg/");
        let links = fs::read_to_string(workspace::root().join("packaging/postinst")).unwrap();
        assert!(links.contains(RESET_DIR) && links.contains(&format!("in {RESET} {RESET_SCRIPT};")));
        for texts in TEXTS {
            // Debian has a place of its own for what packages bring to zsh.
            let share = texts.share.replace("site-functions", "vendor-completions");
            let all = if texts.share.starts_with("man") { "*.1" } else { "*" };
            has(&format!("../docs/{}/{all}", texts.from), &format!("usr/share/{share}/"));
        }
    }

    #[test]
    fn package_changelog_starts_with_its_version() {
        let text = fs::read_to_string(workspace::root().join("packaging/changelog")).unwrap();
        assert!(text.starts_with(&format!("phantom-wg ({}-", version().unwrap())), "{text}");
    }
}
