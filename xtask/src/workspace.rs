//! The workspace: where it lies, and what cargo builds in it.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;

use crate::command::{Cmd, is_root, lines};
use crate::problem::{Context as _, Problem, Result};

/// The folder of the workspace's `Cargo.toml`: where cargo runs this from, else where it was built.
pub(crate) fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let here = here.filter(|dir| dir.ends_with("xtask")).unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    here.parent().unwrap_or(Path::new("/")).to_owned()
}

/// `cargo` in the workspace: the one that runs this task, else that of `PATH`.
pub(crate) fn cargo() -> Cmd {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    Cmd::new(program).dir(root())
}

/// What git says in the workspace, asked in words with blanks between.
pub(crate) fn git(words: &str) -> Result<String> {
    Cmd::new("git").args(words.split(' ')).dir(root()).read()
}

/// What `cargo metadata` says of the workspace itself.
pub(crate) fn metadata() -> Result<Value> {
    let text = cargo().args(["metadata", "--format-version", "1", "--no-deps"]).read()?;
    serde_json::from_str(&text).context("cargo metadata")
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let metadata = metadata()?;
    metadata["target_directory"]
        .as_str()
        .map(PathBuf::from)
        .context("cargo metadata names no target directory")
}

/// The folder of what is kept between checkouts: images, tools, what cargo has built for `.ci/run`. Programs out of it run
/// as root, so that it must belong to the caller and let nobody else in.
///
/// `PHANTOM_KEPT` names another one.
pub(crate) fn kept() -> Result<PathBuf> {
    let named = std::env::var_os("PHANTOM_KEPT").map(PathBuf::from);
    let home = || std::env::home_dir().map(|home| home.join(".cache/phantom-wg-kept"));
    let usual = || if is_root() { Some(PathBuf::from("/var/cache/phantom-wg-kept")) } else { home() };
    let dir = named.or_else(usual).context("there is no home folder: PHANTOM_KEPT may name one")?;
    fs::create_dir_all(dir.parent().unwrap_or(Path::new("/"))).context(dir.display())?;
    if let Err(error) = fs::DirBuilder::new().mode(0o700).create(&dir)
        && error.kind() != std::io::ErrorKind::AlreadyExists
    {
        return Err(error).context(dir.display());
    }
    let info = fs::symlink_metadata(&dir).context(dir.display())?;
    let own = fs::metadata("/proc/self").context("/proc/self")?.uid();
    if !info.is_dir() || info.uid() != own || info.mode() & 0o077 != 0 {
        let text = "is no folder that belongs to this user alone (mode 0700): remove it, or name another in PHANTOM_KEPT";
        return Err(Problem::new(format!("{} {text}", dir.display())));
    }
    Ok(dir)
}

/// A program or a test that cargo has built.
#[derive(Clone, Debug)]
pub(crate) struct Artifact {
    /// The package it belongs to.
    pub(crate) package: String,
    /// Name of the target: of the program, or of the test file.
    pub(crate) target: String,
    /// `bin`, `test`, `lib`, `example`.
    pub(crate) kind: String,
    /// It is a test binary.
    pub(crate) test: bool,
    /// The folder of its package.
    pub(crate) dir: PathBuf,
    /// The file.
    pub(crate) path: PathBuf,
}

/// Builds with these words (`build --release -p x`) and returns every executable that belongs to them, fresh or not.
/// Progress and errors go to the terminal.
pub(crate) fn build<W: AsRef<str>>(words: impl IntoIterator<Item = W>) -> Result<Vec<Artifact>> {
    let words: Vec<String> = words.into_iter().map(|word| word.as_ref().to_owned()).collect();
    build_with(&words, cargo())
}

/// As [`build`], by a `cargo` with a target folder or flags of its own.
pub(crate) fn build_with<W: AsRef<str>>(words: &[W], cargo: Cmd) -> Result<Vec<Artifact>> {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    let command = cargo.args(&words).arg("--message-format=json-render-diagnostics");
    let mut child = command.spawn(Stdio::null(), Stdio::piped(), Stdio::inherit())?;
    let mut artifacts = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        lines(stdout, &mut |line| artifacts.extend(artifact(line)));
    }
    let status = child.wait().context(&command)?;
    if !status.success() {
        return Err(Problem::new(format!("cargo {}: {status}", words.join(" "))));
    }
    Ok(artifacts)
}

/// The packages whose programs make up a server.
pub(crate) const SERVER_PACKAGES: [&str; 8] = [
    "phantom-api",
    "phantom-device",
    "phantom-tunnel",
    "phantom-multihop",
    "phantom-watch",
    "phantom-casper",
    "phantom-factory-reset",
    "phantom-cli",
];

/// Builds the server's programs as packages hold them: small, and linked statically, because a program that looks for no
/// libraries starts about 0.3 ms sooner.
pub(crate) fn build_delivered() -> Result<Vec<Artifact>> {
    build_delivered_with(&[])
}

/// As [`build_delivered`], with more words for cargo. The packages are always the same, so that what they share is compiled
/// once, whatever is asked for.
pub(crate) fn build_delivered_with(more: &[&str]) -> Result<Vec<Artifact>> {
    let triple = &*host_triple()?;
    // A target that is named keeps the flags away from what runs while building.
    // Addresses that a program moves at its start are packed (they were a twentieth of it).
    let flags = ["-C target-feature=+crt-static", "-C link-arg=-Wl,-z,pack-relative-relocs"];
    let words = ["build", "--profile", "dist", "--target", triple];
    let words = [&words[..], &SERVER_PACKAGES.map(|package| ["-p", package]).concat()].concat();
    build_with(&[&words[..], more].concat(), cargo().env("RUSTFLAGS", flags.join(" ")))
}

/// The machine that the compiler compiles for when it is told nothing, as in `x86_64-unknown-linux-gnu`.
pub(crate) fn host_triple() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Cmd::new(rustc).arg("-vV").dir(root()).read()?;
    let triple = version.lines().find_map(|line| line.strip_prefix("host: "));
    triple.map(str::to_owned).context("rustc -vV names no host")
}

/// Builds what quickstart installs and what uninstall runs, in as little time as it takes; returns the folder that holds
/// all of it.
pub(crate) fn build_installation() -> Result<PathBuf> {
    folder(&build(
        [&["build", "--release"], &SERVER_PACKAGES.map(|package| ["-p", package]).concat()[..]].concat(),
    )?)
}

/// The folder that holds what has been built.
pub(crate) fn folder(programs: &[Artifact]) -> Result<PathBuf> {
    let program = programs.iter().find(|program| program.target == "phantom-api");
    let program = program.context("cargo built no phantom-api")?;
    program.path.parent().map(Path::to_owned).context("phantom-api lies nowhere")
}

fn artifact(line: &str) -> Option<Artifact> {
    let message: Value = serde_json::from_str(line).ok()?;
    let path = message["executable"].as_str()?.into();
    // `path+file:///x/phantom-api#0.1.0`, or `...#name@0.1.0` where the folder has another name.
    let id = message["package_id"].as_str()?;
    let (place, version) = id.rsplit_once('#')?;
    let named = version.split_once('@').map(|(name, _)| name);
    let package = named.or_else(|| place.rsplit('/').next())?.to_owned();
    Some(Artifact {
        package,
        target: message["target"]["name"].as_str()?.to_owned(),
        kind: message["target"]["kind"][0].as_str()?.to_owned(),
        test: message["profile"]["test"].as_bool()?,
        dir: Path::new(message["manifest_path"].as_str()?).parent()?.to_owned(),
        path,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_package_ids_are_read() {
        let line = |id: &str| {
            format!(
                r#"{{"package_id":"{id}","manifest_path":"/w/Cargo.toml","target":{{"name":"t","kind":["bin"]}},"profile":{{"test":false}},"executable":"/x/t"}}"#
            )
        };
        let short = artifact(&line("path+file:///w/phantom-api#0.1.0")).unwrap();
        let long = artifact(&line("path+file:///w/foundation/host#phantom-host@0.1.0")).unwrap();
        assert_eq!((short.package.as_str(), long.package.as_str()), ("phantom-api", "phantom-host"));
        assert!(artifact(r#"{"reason":"build-finished","success":true}"#).is_none());
    }
}
