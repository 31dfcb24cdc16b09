//! The one build of the tests: programs, examples and test programs of the whole workspace with one set of features.

use crate::problem::{Context as _, Result};
use crate::workspace::{self, Artifact};

/// What cargo has built.
#[derive(Debug)]
pub(crate) struct Built(Vec<Artifact>);

impl Built {
    /// Builds everything that tests run or start.
    pub(super) fn everything() -> Result<Self> {
        Self::with(&["--all-targets"])
    }

    /// Builds the programs, the examples and these test programs: with the features of the whole workspace, so that
    /// nothing is compiled twice.
    pub(super) fn some(targets: &[&str]) -> Result<Self> {
        Self::with(&[&["--bins", "--examples"], targets].concat())
    }

    fn with(targets: &[&str]) -> Result<Self> {
        Ok(Self(workspace::build([&["build", "--workspace", "--all-features"], targets].concat())?))
    }

    /// The programs, without those that only a development task is made of.
    pub(super) fn programs(&self) -> impl Iterator<Item = &Artifact> {
        let own = |artifact: &&Artifact| artifact.package != "xtask" || artifact.target == "xtask";
        self.0.iter().filter(|artifact| artifact.kind == "bin" && !artifact.test).filter(own)
    }

    /// A program.
    pub(super) fn program(&self, name: &str) -> Result<&Artifact> {
        let found = self.0.iter().find(|one| one.kind == "bin" && !one.test && one.target == name);
        found.context(format!("cargo has built no program {name}"))
    }

    /// The test programs.
    pub(super) fn tests(&self) -> impl Iterator<Item = &Artifact> {
        self.0.iter().filter(|artifact| artifact.test)
    }

    /// A test program of its own, by its name.
    pub(super) fn test(&self, name: &str) -> Result<&Artifact> {
        let found = self.tests().find(|one| one.kind == "test" && one.target == name);
        found.context(format!("there is no test program {name}"))
    }
}

/// Builds what a name asks for: the test programs of a package (`host`), one of them (`suite`, `host/conformance`), or all
/// of them, and then the name is what their tests are chosen by.
pub(super) fn of_name(name: &str) -> Result<(Built, Option<&str>)> {
    let metadata = workspace::metadata()?;
    let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
    let mut targets = Vec::new();
    let mut inside = false;
    for package in packages {
        let full = package["name"].as_str().unwrap_or_default();
        let short = full.strip_prefix("phantom-").unwrap_or(full);
        for target in package["targets"].as_array().into_iter().flatten() {
            let test = target["name"].as_str().unwrap_or_default();
            if target["kind"][0] == "test" {
                if [short, full, test].contains(&name) || name == format!("{short}/{test}") {
                    targets.extend(["--test".to_owned(), test.to_owned()]);
                }
            } else if [short, full].contains(&name) {
                inside = true;
            }
        }
    }
    if targets.is_empty() && !inside {
        return Ok((Built::everything()?, Some(name)));
    }
    let mut targets: Vec<&str> = targets.iter().map(String::as_str).collect();
    if inside {
        // There is no word for the tests inside one crate alone that leaves the others' features as they are.
        targets.push("--all-targets");
    }
    Ok((Built::some(&targets)?, None))
}

/// Whether a test program is one that a name asks for.
pub(super) fn is_named(test: &Artifact, name: &str) -> bool {
    let part = super::here::part(test);
    part == name || test.package == name || test.target == name || part.starts_with(&format!("{name}/"))
}
