//! The tests in a virtual machine: on Debian's kernel with its own WireGuard, with systemd, and with reboots.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::{Extent, Tally};
use crate::command::Cmd;
use crate::dist;
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

const PARTS: [Part; 13] = [
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
    part("namespace-multihop", NAMESPACE.1, &["multihop::"], false),
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

/// Walks through the life of a server, as scripts; `lab.sh` is what they share, `exits.sh` what those about exits
/// share, and `packages.sh` those of the package.
///
/// Name, machine, whether in every run or in the long one only, and the script. Of those in bare machines, the ones that
/// take long come first, so that none of two side by side is left alone with them.
const SCENARIOS: [(&str, Kind, bool, &str); 8] = [
    ("server", Kind::Full, true, include_str!("../../lab/scenarios/server.sh")),
    ("multihop", Kind::Full, true, include_str!("../../lab/scenarios/multihop.sh")),
    ("multihop-embedded", Kind::Full, false, include_str!("../../lab/scenarios/multihop-embedded.sh")),
    ("weather", Kind::Full, false, include_str!("../../lab/scenarios/weather.sh")),
    ("package", Kind::Bare, true, include_str!("../../lab/scenarios/package.sh")),
    ("newcomer", Kind::Bare, true, include_str!("../../lab/scenarios/newcomer.sh")),
    ("package-ufw", Kind::Bare, true, include_str!("../../lab/scenarios/package-ufw.sh")),
    ("quickstart", Kind::Bare, true, include_str!("../../lab/scenarios/quickstart.sh")),
];
const SHARED: [(&str, &str); 3] = [
    ("lab", include_str!("../../lab/scenarios/lab.sh")),
    ("exits", include_str!("../../lab/scenarios/exits.sh")),
    ("packages", include_str!("../../lab/scenarios/packages.sh")),
];
/// What the names of the scenarios of the Debian package begin with.
const PACKAGE: &str = "package";

/// Programs there run ten to twenty times slower than here. What only the long mode runs has more time.
const LIMIT: Duration = Duration::from_mins(20);
const LONG_LIMIT: Duration = Duration::from_hours(1);

/// Runs everything in fresh machines, one for each program and each scenario, or only the part of a name.
pub(super) fn run(
    suite: Suite,
    programs: &Path,
    extent: Extent,
    only: Option<&str>,
    tally: &mut Tally,
) -> Result {
    let job_dir = workspace::target_dir()?.join("vm").join(suite.to_string());
    let all = tasks(Extent::Long, None).into_iter().map(|task| task.name);
    let mut tasks = tasks(extent, only);
    if let Some(only) = only.filter(|_| tasks.is_empty()) {
        let all: Vec<_> = all.collect();
        return Err(Problem::new(format!("'{only}' is no part; there are {}", all.join(", "))));
    }
    if let Err(problem) = dist::cargo_deb() {
        for task in tasks.extract_if(.., |task| task.name.starts_with(PACKAGE)) {
            tally.skip(&format!("{suite}: {}", task.name), &problem.to_string());
        }
    }
    gather(&job_dir, programs, &tasks)?;
    let (bare, full): (Vec<Task>, Vec<Task>) = tasks.into_iter().partition(|task| task.kind == Kind::Bare);
    for task in full {
        tally.part(&format!("{suite}: {}", task.name));
        let before = tally.failures();
        let done = in_machine(suite, &job_dir, &task, |line| tally.line(line));
        done.close(&task, before, tally);
    }
    side_by_side(suite, &job_dir, bare, tally);
    Ok(())
}

/// Does the tasks of servers as delivered in two machines at a time: installing and removing is one thing after the
/// other, and leaves one of two processors idle. What a task said is shown when it has ended.
fn side_by_side(suite: Suite, files: &Path, tasks: Vec<Task>, tally: &mut Tally) {
    let waiting = Mutex::new(VecDeque::from(tasks));
    let (sender, ended) = mpsc::channel();
    thread::scope(|scope| {
        for sender in [sender.clone(), sender] {
            scope.spawn(|| {
                let sender = sender;
                loop {
                    let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some(task) = next else { return };
                    println!("{suite}: {} begins", task.name);
                    let mut said = Vec::new();
                    let done = in_machine(suite, files, &task, |line| said.push(line.to_owned()));
                    // The other end is there for as long as there are senders.
                    let _ = sender.send((task, said, done));
                }
            });
        }
        for (task, said, done) in ended {
            tally.part(&format!("{suite}: {}", task.name));
            let before = tally.failures();
            for line in said {
                tally.line(&line);
            }
            done.close(&task, before, tally);
        }
    });
}

/// What one machine does.
struct Task {
    name: &'static str,
    kind: Kind,
    command: String,
    limit: Duration,
}

fn tasks(extent: Extent, only: Option<&str>) -> Vec<Task> {
    // What takes minutes in the long mode would take hours there.
    let variable = extent.variable().filter(|_| extent == Extent::Quick);
    let setting = variable.map(|variable| format!("export {variable}=1; ")).unwrap_or_default()
        + "export PHANTOM_TEST_BACKEND=kernel PHANTOM_TEST_DISPOSABLE=1 PHANTOM_BIN_DIR=/job/bin \
           PHANTOM_DEVICE=/job/bin/phantom-wg-device; ";
    let parts = PARTS.iter().filter(|part| part.wanted(extent, only)).map(|part| Task {
        name: part.name,
        kind: Kind::Full,
        command: format!(
            "{setting}./tests/{} --show-output --test-threads=2 {}",
            part.program,
            part.filter()
        ),
        limit: if part.usual { LIMIT } else { LONG_LIMIT },
    });
    let wanted = |name, usual| only.map_or(usual || extent == Extent::Long, |only| only == name);
    let scenarios = SCENARIOS.into_iter().filter(|(name, _, usual, _)| wanted(*name, *usual));
    let scenarios = scenarios.map(|(name, kind, _, _)| Task {
        name,
        kind,
        command: format!("bash scenarios/{name}.sh"),
        // The package manager unpacks everything again and again.
        limit: if name.starts_with(PACKAGE) { LIMIT * 2 } else { LIMIT },
    });
    parts.chain(scenarios).collect()
}

/// How a task has ended.
struct Done {
    result: Result<i32>,
    took: Duration,
    output: PathBuf,
}

fn in_machine(suite: Suite, files: &Path, task: &Task, line: impl FnMut(&str)) -> Done {
    let start = Instant::now();
    let output = files.with_file_name(format!("{suite}-{}", task.name));
    let _ = fs::remove_dir_all(&output);
    let job = Job {
        suite,
        kind: task.kind,
        files: Some(files.to_owned()),
        command: task.command.clone(),
        output: Some(output.clone()),
        limit: task.limit,
    };
    let result = machine::run(&job, line);
    Done { result, took: start.elapsed(), output }
}

impl Done {
    /// After all that the task has said, before which so many had failed: whether it failed, and what is left of it.
    fn close(self, task: &Task, before: usize, tally: &mut Tally) {
        match self.result {
            Ok(status) if status != 0 && tally.failures() == before => {
                tally.fail(task.name, &format!("status {status}"));
            }
            Ok(_) => {}
            Err(problem) => tally.fail(task.name, &problem.to_string()),
        }
        println!("({} s)", self.took.as_secs());
        if tally.failures() > before {
            println!("The machine's journal and console are in {}", self.output.display());
        }
    }
}

/// Puts programs, scenarios, and the test programs and packages that the tasks need into the folder that becomes `/job`,
/// without what only a debugger reads.
fn gather(job_dir: &Path, programs: &Path, tasks: &[Task]) -> Result {
    let _ = fs::remove_dir_all(job_dir);
    let folder = |name: &str| -> Result<PathBuf> {
        let folder = job_dir.join(name);
        fs::create_dir_all(&folder).context(folder.display())?;
        Ok(folder)
    };
    let (bin, scenarios) = (folder("bin")?, folder("scenarios")?);
    for entry in fs::read_dir(programs).context(programs.display())? {
        let path = entry.context(programs.display())?.path();
        strip(&path, &bin.join(path.file_name().unwrap_or_default()))?;
    }
    let own = workspace::build(["build", "-p", "xtask"])?;
    for program in own.iter().filter(|program| program.target == "xtask") {
        strip(&program.path, &bin.join(&program.target))?;
    }
    Cmd::line("cp").arg(workspace::root().join("factory-reset/factory-reset.sh")).arg(&bin).quiet()?;
    let docs = workspace::root().join("docs");
    for generated in ["man", "completions"].map(|name| docs.join(name)).iter().filter(|dir| dir.is_dir()) {
        Cmd::line("cp -r").arg(generated).arg(&bin).quiet()?;
    }
    // What the newcomer reads.
    Cmd::line("cp").arg(workspace::root().join("README.md")).arg(job_dir).quiet()?;
    fs::create_dir_all(job_dir.join("docs")).context(job_dir.display())?;
    Cmd::line("cp -r").arg(docs.join("en")).arg(job_dir.join("docs")).quiet()?;
    for (name, text) in SCENARIOS.map(|(name, _, _, text)| (name, text)).into_iter().chain(SHARED) {
        fs::write(scenarios.join(format!("{name}.sh")), text).context(name)?;
    }
    if tasks.iter().any(|task| task.name.starts_with(PACKAGE)) {
        dist::for_tests(programs, &folder("packages")?)?;
    }
    if tasks.iter().any(|task| PARTS.iter().any(|part| part.name == task.name)) {
        test_programs(&folder("tests")?)?;
    }
    Ok(())
}

fn test_programs(tests: &Path) -> Result {
    let built = workspace::build("test --workspace --all-features --no-run --tests".split(' '))?;
    for (package, target) in PROGRAMS.into_iter().chain([NAMESPACE]) {
        let mut all = built.iter().filter(|test| test.test && test.kind == "test");
        let Some(test) = all.find(|test| test.package == package && test.target == target) else {
            return Err(Problem::new(format!("{package} has no test program {target}")));
        };
        strip(&test.path, &tests.join(target))?;
    }
    Ok(())
}

fn strip(from: &Path, to: &Path) -> Result {
    Cmd::new("strip").args(["--strip-debug", "-o"]).args([to, from]).quiet()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(extent: Extent, only: Option<&str>) -> Vec<&'static str> {
        tasks(extent, only).into_iter().map(|task| task.name).collect()
    }

    #[test]
    fn a_part_has_its_own_name_and_its_programs() {
        assert_eq!(names(Extent::Normal, Some("namespace-faults")), ["namespace-faults"]);
        assert_eq!(names(Extent::Normal, Some("server")), ["server"]);
        let all = names(Extent::Long, None);
        let parts: Vec<_> = all.iter().copied().filter(|name| name.starts_with("namespace-")).collect();
        assert_eq!(names(Extent::Quick, Some("namespace")), parts);
        let usual = names(Extent::Normal, None);
        assert!(usual.iter().all(|name| all.contains(name)));
        assert!(!usual.contains(&"weather") && all.contains(&"weather"));
        assert!(names(Extent::Long, Some("nothing")).is_empty());
    }

    #[test]
    fn the_rest_is_what_no_other_part_has() {
        let rest = PARTS.iter().find(|part| part.name == REST).unwrap().filter();
        for part in PARTS.iter().filter(|part| part.program == NAMESPACE.1 && part.name != REST) {
            assert!(!part.words.is_empty(), "{}", part.name);
            assert!(part.words.iter().all(|word| rest.contains(&format!("--skip {word}"))), "{rest}");
        }
        assert_eq!(PARTS[0].filter(), "");
    }
}
