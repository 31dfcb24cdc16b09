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

/// Test programs that show something else there than on the machine that builds: package, target, and which of its tests
/// are run unless everything is (`--long`); those with none of them are left out then.
const PROGRAMS: [(&str, &str, Option<&str>); 6] = [
    ("phantom-host", "conformance", Some("")),
    ("phantom-host", "files_linux", None),
    ("phantom-host", "fw_linux", None),
    ("phantom-host", "net_suite", Some("")),
    ("phantom-host", "services_linux", Some("")),
    ("phantom-tests", "namespace", Some("clients:: ghost:: setup_with_another_backend")),
];

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
    let parts =
        || PROGRAMS.iter().map(|program| program.1).chain(SCENARIOS.iter().map(|scenario| scenario.0));
    if let Some(only) = only.filter(|only| !parts().any(|part| part == *only)) {
        let parts: Vec<_> = parts().collect();
        return Err(Problem::new(format!("'{only}' is no part; there are {}", parts.join(", "))));
    }
    let wanted = |name: &str| only.is_none_or(|only| only == name);
    for (_, test, usual) in PROGRAMS.iter().filter(|program| wanted(program.1)) {
        let Some(filter) = (if extent == Extent::Long || only.is_some() { Some("") } else { *usual }) else {
            continue;
        };
        let command = format!("{kernel} ./tests/{test} --show-output --test-threads=2 {filter}");
        in_machine(test, suite, Kind::Full, &job_dir, command, tally);
    }
    for (name, kind, _) in SCENARIOS.into_iter().filter(|scenario| wanted(scenario.0)) {
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
    let tasks = workspace::build(["build", "-p", "xtask"])?;
    for program in tasks.iter().filter(|program| program.target == "xtask") {
        strip(&program.path, &bin.join(&program.target))?;
    }
    Cmd::line("cp").arg(workspace::root().join("factory-reset/factory-reset.sh")).arg(&bin).quiet()?;
    let docs = workspace::root().join("docs");
    for generated in ["man", "completions"].map(|name| docs.join(name)).iter().filter(|dir| dir.is_dir()) {
        Cmd::line("cp -r").arg(generated).arg(&bin).quiet()?;
    }
    let built = workspace::build("test --workspace --all-features --no-run --tests".split(' '))?;
    for (package, target, _) in PROGRAMS {
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
