//! Faults that are put into the sources on purpose, each with the test that must notice it.
//!
//! One file each in `tests/mutants`, named after the fault:
//!
//! ```text
//! why: what a user would lose, in a sentence
//! file: the file to change
//! test: PACKAGE TARGET NAME, where TARGET is `lib` or a file of integration tests
//! find:
//! a text that the file has exactly once: whole lines, or a part of one
//! put:
//! what stands there instead
//! ```
//!
//! They are tried in a copy of the tree with a target folder of its own, both below the target folder. The copy is kept:
//! the next run compiles only what has changed.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::Tally;
use crate::command::Cmd;
use crate::contents;
use crate::problem::{Context as _, Problem, Result};
use crate::workspace::{self, cargo};

/// The folder of the faults.
const DIR: &str = "tests/mutants";
/// The package whose tests run the real programs: those of the server, and none that is made for tests.
const WITH_PROGRAMS: &str = "phantom-tests";
/// The one of its targets that has no code of the server in itself: it is built once for all faults.
const ALL_IN_PROGRAMS: &str = "namespace";

/// A fault. The order is that in which they are tried: what changes the same file for the same tests stands together, so
/// that little is compiled twice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Mutant {
    test: Test,
    file: String,
    name: String,
    find: String,
    put: String,
}

/// A test by its place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Test {
    package: String,
    target: String,
    name: String,
}

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Passed,
    Failed,
    /// It cannot run on this machine, or there is no such test.
    NotRun,
}

/// Puts in every fault in turn, and counts one as passed when its test fails.
pub(super) fn run(tally: &mut Tally) -> Result {
    run_only(None, tally)
}

/// As [`run`], of faults by their names, with commas between.
pub(super) fn run_only(only: Option<&str>, tally: &mut Tally) -> Result {
    let mut mutants = read_all(&workspace::root())?;
    mutants.retain(|mutant| only.is_none_or(|only| only.split(',').any(|name| name == mutant.name)));
    if mutants.is_empty() {
        return Err(Problem::new(format!("{DIR} has no such fault")));
    }
    let copy = Copy::make()?;
    // A test that fails by itself would notice everything.
    let mut ends = BTreeMap::new();
    for test in mutants.iter().map(|mutant| &mutant.test).collect::<BTreeSet<_>>() {
        println!("== without a fault: {}", test.name);
        ends.insert(test.clone(), copy.run(test)?);
    }
    for mutant in &mutants {
        println!("== {}", mutant.name);
        match ends[&mutant.test] {
            End::NotRun => tally.skip(&mutant.name, &format!("{} does not run here", mutant.test.name)),
            End::Failed => tally.fail(&mutant.name, &format!("{} fails without it", mutant.test.name)),
            End::Passed => tally.record(&mutant.name, copy.is_noticed(mutant)),
        }
    }
    Ok(())
}

/// The faults of a tree, in the order of their tests.
fn read_all(root: &Path) -> Result<Vec<Mutant>> {
    let mut mutants = Vec::new();
    for path in contents::files(&root.join(DIR))? {
        let text = fs::read_to_string(&path).context(path.display())?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let mutant = parse(&name, &text).context(path.display())?;
        changed(root, &mutant)?;
        mutants.push(mutant);
    }
    mutants.sort();
    Ok(mutants)
}

fn parse(name: &str, text: &str) -> Result<Mutant> {
    let (head, rest) = text.split_once("\nfind:\n").context("there is no `find:`")?;
    let (find, put) = rest.split_once("\nput:\n").context("there is no `put:`")?;
    let mut lines = head.lines();
    let mut field = |key: &str| {
        let value = lines.next().and_then(|line| line.strip_prefix(key)?.strip_prefix(": "));
        value.filter(|value| !value.is_empty()).context(format!("there is no `{key}:` in its place"))
    };
    let (_, file, place) = (field("why")?, field("file")?, field("test")?);
    let [package, target, function] = place.split(' ').collect::<Vec<_>>()[..] else {
        return Err(Problem::new("`test:` wants a package, a target and a name"));
    };
    if let Some(line) = lines.next() {
        return Err(Problem::new(format!("what is `{line}`?")));
    }
    let [package, target, function] = [package, target, function].map(str::to_owned);
    Ok(Mutant {
        test: Test { package, target, name: function },
        file: file.to_owned(),
        name: name.to_owned(),
        find: find.to_owned(),
        put: put.trim_end_matches('\n').to_owned(),
    })
}

/// The file of a tree before and after the fault is put in.
fn changed(root: &Path, mutant: &Mutant) -> Result<(String, String)> {
    let path = root.join(&mutant.file);
    let before = fs::read_to_string(&path).context(path.display())?;
    match before.matches(&mutant.find).count() {
        1 => Ok((before.clone(), before.replace(&mutant.find, &mutant.put))),
        times => {
            Err(Problem::new(format!("{}: its text stands {times} times in {}", mutant.name, mutant.file)))
        }
    }
}

/// A copy of the tree.
struct Copy {
    root: PathBuf,
    target: PathBuf,
    /// The tests that have no code of the server in themselves, built once: a fault is in the programs that they run.
    with_programs: OnceCell<Result<PathBuf>>,
}

impl Copy {
    /// Brings the copy to what git knows of the tree, as it lies there now. A file that is the same stays untouched, so that
    /// nothing is compiled for it.
    fn make() -> Result<Self> {
        let dir = workspace::target_dir()?.join("mutants");
        let (root, target) = (dir.join("tree"), dir.join("target"));
        let copy = Self { root, target, with_programs: OnceCell::new() };
        let list = Cmd::line("git ls-files --cached -z").dir(workspace::root()).read()?;
        let mut names: BTreeSet<PathBuf> = list.split('\0').map(PathBuf::from).collect();
        names.retain(|name| workspace::root().join(name).is_file());
        for name in &names {
            let (from, to) = (workspace::root().join(name), copy.root.join(name));
            let content = fs::read(&from).context(from.display())?;
            if fs::read(&to).is_ok_and(|old| old == content) {
                continue;
            }
            fs::create_dir_all(to.parent().unwrap_or(&to)).context(to.display())?;
            fs::copy(&from, &to).context(to.display())?;
        }
        copy.remove_others(&copy.root, &names)?;
        Ok(copy)
    }

    /// Removes what the tree does not have any more.
    fn remove_others(&self, dir: &Path, names: &BTreeSet<PathBuf>) -> Result {
        for entry in fs::read_dir(dir).context(dir.display())? {
            let path = entry.context(dir.display())?.path();
            if path.is_dir() && !path.is_symlink() {
                self.remove_others(&path, names)?;
            } else if !path.strip_prefix(&self.root).is_ok_and(|name| names.contains(name)) {
                fs::remove_file(&path).context(path.display())?;
            }
        }
        Ok(())
    }

    fn cargo(&self) -> Cmd {
        cargo().dir(&self.root).env("CARGO_TARGET_DIR", &self.target)
    }

    /// Puts a fault in, looks whether its test fails, and takes it out again.
    fn is_noticed(&self, mutant: &Mutant) -> Result {
        let (before, after) = changed(&self.root, mutant)?;
        let path = self.root.join(&mutant.file);
        fs::write(&path, after).context(path.display())?;
        let end = self.run(&mutant.test);
        fs::write(&path, before).context(path.display())?;
        match end? {
            End::Failed => Ok(()),
            End::Passed => Err(Problem::new(format!("{} does not notice it", mutant.test.name))),
            End::NotRun => Err(Problem::new(format!("{} did not run", mutant.test.name))),
        }
    }

    /// Builds and runs a test; what cannot be built is an error.
    fn run(&self, test: &Test) -> Result<End> {
        let Test { package, target, name } = test;
        let command = if target == ALL_IN_PROGRAMS {
            let program = self.with_programs.get_or_init(|| self.build(&["-p", package, "--test", target]));
            let program = program.as_ref().map_err(|problem| Problem::new(problem.to_string()))?;
            Cmd::new(program).dir(self.root.join("tests")).env("PHANTOM_BIN_DIR", self.programs()?)
        } else {
            let target = if target == "lib" { vec!["--lib"] } else { vec!["--test", target] };
            let words = [&["-p", package, "--all-features"], &target[..]].concat();
            self.build(&words)?;
            let command = self.cargo().args(["test", "--quiet"]).args(words).arg("--");
            if package == WITH_PROGRAMS { command.env("PHANTOM_BIN_DIR", self.programs()?) } else { command }
        };
        let mut lines = Vec::new();
        command.args(["--exact", name, "--show-output"]).stream(|line| lines.push(line.to_owned()))?;
        Ok(end(lines.iter().map(String::as_str)))
    }

    /// Builds a program of tests.
    fn build(&self, words: &[&str]) -> Result<PathBuf> {
        let words = [&["test", "--quiet", "--no-run"], words].concat();
        let built = workspace::build_with(&words, self.cargo())?;
        let program = built.into_iter().find(|program| program.test);
        program.map(|program| program.path).context("cargo built no test")
    }

    /// The folder of the server's programs.
    fn programs(&self) -> Result<PathBuf> {
        let dir = self.target.join("tested");
        fs::create_dir_all(&dir).context(dir.display())?;
        let packages = workspace::SERVER_PACKAGES.map(|package| ["-p", package]).concat();
        let words = [&["build", "--quiet", "--bins"], &packages[..]].concat();
        for program in workspace::build_with(&words, self.cargo())? {
            let copy = dir.join(&program.target);
            let _ = fs::remove_file(&copy); // one that is running cannot be written to
            fs::copy(&program.path, &copy).context(copy.display())?;
        }
        Ok(dir)
    }
}

/// How the one test of a program ended, by what it wrote.
fn end<'l>(lines: impl Iterator<Item = &'l str>) -> End {
    let mut end = End::NotRun;
    for line in lines {
        if line.trim_start().starts_with("SKIPPED") {
            return End::NotRun;
        }
        if line.starts_with("test result: ok. 1 passed") {
            end = End::Passed;
        } else if line.starts_with("test result: FAILED. 0 passed; 1 failed") {
            end = End::Failed;
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "why: It matters.\nfile: a/b.rs\ntest: p lib m::t\nfind:\n    one\n\n    two\nput:\n    three\n";

    #[test]
    fn a_fault_is_read() {
        let mutant = parse("name", TEXT).unwrap();
        assert_eq!((mutant.find.as_str(), mutant.put.as_str()), ("    one\n\n    two", "    three"));
        assert_eq!((mutant.file.as_str(), mutant.test.target.as_str()), ("a/b.rs", "lib"));
        let wrong = [
            ("why: It", "who: It"),
            ("It matters.", ""),
            ("test: p lib m::t", "test: p m::t"),
            ("m::t\n", "m::t\nmore: x\n"),
            ("\nfind:", ""),
            ("\nput:", ""),
        ];
        for (from, to) in wrong {
            assert!(parse("name", &TEXT.replace(from, to)).is_err(), "{from} as {to}");
        }
    }

    #[test]
    fn failing_test_differs_from_unrun_one() {
        let lines = |text: &'static str| end(text.lines());
        assert_eq!(lines("test result: ok. 1 passed; 0 failed; 0 ignored"), End::Passed);
        assert_eq!(lines("test result: FAILED. 0 passed; 1 failed; 0 ignored"), End::Failed);
        assert_eq!(lines("test result: ok. 0 passed; 0 failed; 0 ignored"), End::NotRun);
        assert_eq!(lines("SKIPPED t: no tun\ntest result: ok. 1 passed; 0 failed"), End::NotRun);
        assert_eq!(lines("error: could not compile"), End::NotRun);
    }

    /// The list cannot rot: every text is in its place exactly once, and every test is there.
    #[test]
    fn every_fault_applies_and_has_a_test() {
        let root = workspace::root();
        let mutants = read_all(&root).unwrap();
        assert!(mutants.len() >= 20, "{}", mutants.len());
        let sources =
            Cmd::line("git ls-files --cached --others --exclude-standard *.rs").dir(&root).read().unwrap();
        let sources: String =
            sources.lines().filter_map(|file| fs::read_to_string(root.join(file)).ok()).collect();
        for Mutant { name, test, .. } in &mutants {
            let function = test.name.rsplit("::").next().unwrap();
            assert!(sources.contains(&format!("fn {function}(")), "{name}: there is no {}", test.name);
        }
    }
}
