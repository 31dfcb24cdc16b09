//! The tests in a virtual machine: on Debian's kernel with its own WireGuard, with systemd, and with reboots.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Extent, Tally};
use crate::command::Cmd;
use crate::problem::{Context as _, Problem, Result};
use crate::vm::Suite;
use crate::vm::machine::{self, Job, Kind};
use crate::workspace;

/// Test programs that show something else there than on the machine that builds.
const PROGRAMS: [(&str, &str); 5] = [
    ("phantom-host", "conformance"),
    ("phantom-host", "files_linux"),
    ("phantom-host", "fw_linux"),
    ("phantom-host", "net_suite"),
    ("phantom-host", "services_linux"),
];

/// The namespace suite takes hours of a slow machine's time: it goes there in parts, each in a machine of its own, by the
/// names of its modules. The last part is what no other names.
const NAMESPACE: (&str, &str) = ("phantom-tests", "namespace");
const REST: &str = "namespace-rest";

/// A machine's work: the tests of a program that have one of these words in their names; all of them where there is none.
struct Part {
    name: &'static str,
    program: &'static str,
    words: &'static [&'static str],
    /// In every run, or in the long one only.
    usual: bool,
}

const fn part(
    name: &'static str,
    program: &'static str,
    words: &'static [&'static str],
    usual: bool,
) -> Part {
    Part { name, program, words, usual }
}

const PARTS: [Part; 12] = [
    part("conformance", "conformance", &[], true),
    part("files_linux", "files_linux", &[], false),
    part("fw_linux", "fw_linux", &[], false),
    part("net_suite", "net_suite", &[], true),
    part("services_linux", "services_linux", &[], true),
    part("namespace-clients", NAMESPACE.1, &["clients::", "ghost::", "setup_with_another_backend"], true),
    part("namespace-repair", NAMESPACE.1, &["repair::"], true),
    part("namespace-crashes", NAMESPACE.1, &["crashes::"], false),
    part("namespace-faults", NAMESPACE.1, &["faults::"], false),
    part("namespace-concurrency", NAMESPACE.1, &["concurrency::"], false),
    part("namespace-secrets", NAMESPACE.1, &["secrets::"], false),
    part(REST, NAMESPACE.1, &[], false),
];

impl Part {
    /// What the test program is told.
    fn filter(&self) -> String {
        let others = PARTS.iter().filter(|part| self.name == REST && part.program == self.program);
        let skipped = others.flat_map(|part| part.words).flat_map(|word| ["--skip", word]);
        self.words.iter().copied().chain(skipped).collect::<Vec<_>>().join(" ")
    }

    /// Whether it is run: by its own name, by that of its program, or because no name is given.
    fn wanted(&self, extent: Extent, only: Option<&str>) -> bool {
        match only {
            Some(name) => name == self.name || name == self.program,
            None => self.usual || extent == Extent::Long,
        }
    }
}

/// Walks through the life of a server, as scripts; `lab.sh` is what they share.
const SCENARIOS: [(&str, Kind, &str); 2] = [
    ("server", Kind::Full, include_str!("../../lab/scenarios/server.sh")),
    ("quickstart", Kind::Bare, include_str!("../../lab/scenarios/quickstart.sh")),
];
const SHARED: &str = include_str!("../../lab/scenarios/lab.sh");

/// Programs there run ten to twenty times slower than here.
const LIMIT: Duration = Duration::from_mins(20);

/// Runs everything in fresh machines, one for each program and each scenario, or only the part of a name.
pub(super) fn run(
    suite: Suite,
    programs: &Path,
    extent: Extent,
    only: Option<&str>,
    tally: &mut Tally,
) -> Result {
    let job_dir = workspace::target_dir()?.join("vm").join(suite.to_string());
    gather(&job_dir, programs)?;
    let kernel = extent.variable().map(|variable| format!("export {variable}=1; ")).unwrap_or_default();
    let kernel = kernel
        + "export PHANTOM_TEST_BACKEND=kernel PHANTOM_TEST_DISPOSABLE=1 PHANTOM_BIN_DIR=/job/bin \
                  PHANTOM_DEVICE=/job/bin/phantom-wg-device; ";
    let scenario = |name: &str| only.is_none_or(|only| only == name);
    let known = |only| {
        PARTS.iter().any(|part| part.wanted(extent, Some(only))) || SCENARIOS.iter().any(|one| one.0 == only)
    };
    if let Some(only) = only.filter(|only| !known(only)) {
        let parts: Vec<_> =
            PARTS.iter().map(|part| part.name).chain(SCENARIOS.iter().map(|one| one.0)).collect();
        return Err(Problem::new(format!("'{only}' is no part; there are {}", parts.join(", "))));
    }
    for part in PARTS.iter().filter(|part| part.wanted(extent, only)) {
        let command =
            format!("{kernel} ./tests/{} --show-output --test-threads=2 {}", part.program, part.filter());
        in_machine(part.name, suite, Kind::Full, &job_dir, command, tally);
    }
    for (name, kind, _) in SCENARIOS.into_iter().filter(|one| scenario(one.0)) {
        in_machine(name, suite, kind, &job_dir, format!("bash scenarios/{name}.sh"), tally);
    }
    Ok(())
}

fn in_machine(name: &str, suite: Suite, kind: Kind, files: &Path, command: String, tally: &mut Tally) {
    tally.part(&format!("{suite}: {name}"));
    let (start, before) = (Instant::now(), tally.failures());
    let output = files.with_file_name(format!("{suite}-{name}"));
    let _ = fs::remove_dir_all(&output);
    let files = Some(files.to_owned());
    let job = Job { suite, kind, files, command, output: Some(output.clone()), limit: LIMIT };
    match machine::run(&job, |line| tally.line(line)) {
        Ok(0) => {}
        Ok(status) if tally.failures() == before => tally.fail(name, &format!("status {status}")),
        Ok(_) => {}
        Err(problem) => tally.fail(name, &problem.to_string()),
    }
    println!("({} s)", start.elapsed().as_secs());
    if tally.failures() > before {
        println!("The machine's journal and console are in {}", output.display());
    }
}

/// Puts programs, tests and scenarios into the folder that becomes `/job`, without what only a debugger reads.
fn gather(job_dir: &Path, programs: &Path) -> Result {
    let _ = fs::remove_dir_all(job_dir);
    let folder = |name: &str| -> Result<PathBuf> {
        let folder = job_dir.join(name);
        fs::create_dir_all(&folder).context(folder.display())?;
        Ok(folder)
    };
    let (bin, tests, scenarios) = (folder("bin")?, folder("tests")?, folder("scenarios")?);
    for entry in fs::read_dir(programs).context(programs.display())? {
        let path = entry.context(programs.display())?.path();
        strip(&path, &bin.join(path.file_name().unwrap_or_default()))?;
    }
    let reset = workspace::build(["build", "-p", "xtask", "--features", "reset", "--bins"])?;
    for program in reset.iter().filter(|program| ["xtask", "phantom-reset"].contains(&&*program.target)) {
        strip(&program.path, &bin.join(&program.target))?;
    }
    let docs = workspace::root().join("docs");
    for generated in ["man", "completions"].map(|name| docs.join(name)).iter().filter(|dir| dir.is_dir()) {
        Cmd::line("cp -r").arg(generated).arg(&bin).quiet()?;
    }
    let built = workspace::build("test --workspace --all-features --no-run --tests".split(' '))?;
    for (package, target) in PROGRAMS.into_iter().chain([NAMESPACE]) {
        let mut all = built.iter().filter(|test| test.test && test.kind == "test");
        let Some(test) = all.find(|test| test.package == package && test.target == target) else {
            return Err(Problem::new(format!("{package} has no test program {target}")));
        };
        strip(&test.path, &tests.join(target))?;
    }
    for (name, _, text) in SCENARIOS.into_iter().chain([("lab", Kind::Full, SHARED)]) {
        fs::write(scenarios.join(format!("{name}.sh")), text).context(name)?;
    }
    Ok(())
}

fn strip(from: &Path, to: &Path) -> Result {
    Cmd::new("strip").args(["--strip-debug", "-o"]).args([to, from]).quiet()
}
