//! What is run on Debian servers of its own: in containers with systemd and reboots, and in virtual machines on Debian's
//! kernel with its own WireGuard.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::build::Built;
use super::pool::{self, Task};
use super::{released, web_servers};
use crate::command::Cmd;
use crate::dist;
use crate::lab::{self, Job, Kind, Place, Suite};
use crate::problem::{Context as _, Problem, Result};
use crate::workspace;

/// When a part is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// At each change.
    Always,
    /// By turns, one at each change; see [`super::turn`].
    Turn,
    /// In the long mode alone.
    Long,
}

/// What a server does.
#[derive(Clone, Copy, Debug)]
enum Work {
    /// A test program, with these words for its harness.
    Tests { program: &'static str, words: &'static str },
    /// A script: a walk through the life of a server.
    Scenario,
}

/// A part of the run that has a server of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Server {
    name: &'static str,
    place: Place,
    kind: Kind,
    work: Work,
    /// On Debian 12. On Debian 13, containers go by turns and virtual machines are for the long mode.
    when: When,
    /// Seconds that it takes, roughly.
    expected: u32,
}

const fn tests(
    name: &'static str,
    place: Place,
    program: &'static str,
    words: &'static str,
    when: When,
    expected: u32,
) -> Server {
    Server { name, place, kind: Full, work: Work::Tests { program, words }, when, expected }
}

const fn scenario(name: &'static str, place: Place, kind: Kind, when: When, expected: u32) -> Server {
    Server { name, place, kind, work: Work::Scenario, when, expected }
}

use Kind::{Bare, Full};
use Place::{Container, Emulator};
use When::{Always, Long, Turn};

/// All parts. The namespace suite takes hours in the emulator: it goes there in parts, each in a machine of its own, by the
/// names of its modules; [`REST`] is what no other part names.
const SERVERS: &[Server] = &[
    tests("services", Container, "services_linux", "", Always, 45),
    scenario("server", Container, Full, Always, 70),
    scenario("multihop", Container, Full, Always, 120),
    scenario("package", Container, Bare, Always, 90),
    scenario("package-ufw", Container, Bare, Always, 60),
    scenario(UPGRADE, Container, Bare, Always, 60),
    scenario("newcomer", Container, Bare, Always, 60),
    scenario("quickstart", Container, Bare, Always, 40),
    tests("conformance", Emulator, "conformance", "--skip on_the_fake", Always, 90),
    tests("net", Emulator, "net_suite", "kernel::", Turn, 90),
    tests("clients", Emulator, "namespace", "clients:: setup_with_another_backend", Turn, 170),
    tests("repair", Emulator, "namespace", "repair::", Always, 210),
    scenario("server", Emulator, Full, Turn, 350),
    scenario("multihop", Emulator, Full, Turn, 450),
    scenario("package-ufw", Emulator, Bare, Long, 300),
    scenario("newcomer", Emulator, Bare, Long, 300),
    scenario("quickstart", Emulator, Bare, Long, 250),
    tests("ghost", Emulator, "namespace", "ghost::", Turn, 200),
    tests("crashes", Emulator, "namespace", "crashes::", Turn, 400),
    tests("services", Emulator, "services_linux", "", Turn, 160),
    tests("firewall", Emulator, "fw_linux", "", Turn, 200),
    tests("files", Emulator, "files_linux", "", Turn, 60),
    scenario("weather", Emulator, Full, Long, 900),
    scenario("package", Emulator, Bare, Long, 700),
    tests("net-all", Emulator, "net_suite", "", Long, 200),
    tests("conformance-all", Emulator, "conformance", "", Long, 150),
    tests("faults", Emulator, "namespace", "faults::", Long, 1500),
    tests("concurrency", Emulator, "namespace", "concurrency::", Long, 1500),
    tests("exits", Emulator, "namespace", "multihop::", Long, 2500),
    tests("secrets", Emulator, "namespace", "secrets::", Long, 300),
    tests("rest", Emulator, "namespace", REST, Long, 1500),
];
/// The part that also needs the package of an older version.
const UPGRADE: &str = "upgrade";
/// Takes the place of the words of the part that runs what no other part of its program names.
const REST: &str = "REST";

/// The scripts; `lab` is what they share, `exits` what those about exits share, `packages` those of the package.
const SCRIPTS: [(&str, &str); 11] = [
    ("lab", include_str!("../../lab/scenarios/lab.sh")),
    ("exits", include_str!("../../lab/scenarios/exits.sh")),
    ("packages", include_str!("../../lab/scenarios/packages.sh")),
    ("server", include_str!("../../lab/scenarios/server.sh")),
    ("multihop", include_str!("../../lab/scenarios/multihop.sh")),
    ("weather", include_str!("../../lab/scenarios/weather.sh")),
    ("package", include_str!("../../lab/scenarios/package.sh")),
    ("package-ufw", include_str!("../../lab/scenarios/package-ufw.sh")),
    ("upgrade", include_str!("../../lab/scenarios/upgrade.sh")),
    ("newcomer", include_str!("../../lab/scenarios/newcomer.sh")),
    ("quickstart", include_str!("../../lab/scenarios/quickstart.sh")),
];

impl Server {
    /// `container:server`, `vm:server`; with the release behind it where it is not the usual one.
    pub(super) fn part(&self, suite: Suite) -> String {
        let place = if self.place == Container { "container" } else { "vm" };
        match suite {
            Suite::Bookworm => format!("{place}:{}", self.name),
            Suite::Trixie => format!("{place}:{}:{suite}", self.name),
        }
    }

    pub(super) fn place(&self) -> Place {
        self.place
    }

    /// The test program that it runs.
    pub(super) fn program(&self) -> Option<&'static str> {
        match self.work {
            Work::Tests { program, .. } => Some(program),
            Work::Scenario => None,
        }
    }

    /// When it is run on a release.
    pub(super) fn when(&self, suite: Suite) -> When {
        match (suite, self.place) {
            (Suite::Bookworm, _) => self.when,
            (Suite::Trixie, Container) => Turn,
            (Suite::Trixie, Emulator) => Long,
        }
    }

    fn words(&self) -> String {
        let Work::Tests { program, words } = self.work else { return String::new() };
        if words != REST {
            return words.to_owned();
        }
        let others = SERVERS.iter().filter_map(|other| match other.work {
            Work::Tests { program: of, words } if of == program && words != REST => Some(words),
            _ => None,
        });
        let named = others.flat_map(str::split_whitespace);
        named.flat_map(|word| ["--skip", word]).collect::<Vec<_>>().join(" ")
    }

    fn command(&self) -> String {
        match self.work {
            Work::Scenario => format!("bash scenarios/{}.sh", self.name),
            Work::Tests { program, .. } => {
                let backend = if self.place == Container { "embedded" } else { "kernel" };
                format!(
                    "export PHANTOM_TEST_BACKEND={backend} PHANTOM_TEST_DISPOSABLE=1 PHANTOM_BIN_DIR=/job/bin \
                     PHANTOM_DEVICE=/job/bin/phantom-wg-device; \
                     ./tests/{program} --show-output --test-threads=2 {}",
                    self.words()
                )
            }
        }
    }

    /// A guard against what hangs, and no bound of the product.
    fn limit(&self) -> Duration {
        Duration::from_secs(u64::from(self.expected) * 4).max(Duration::from_mins(10))
    }

    fn needs_packages(&self) -> bool {
        self.name.starts_with("package") || self.name == UPGRADE
    }
}

/// Every part on every release.
pub(super) fn all() -> impl Iterator<Item = (&'static Server, Suite)> {
    [Suite::Bookworm, Suite::Trixie].into_iter().flat_map(|suite| SERVERS.iter().map(move |one| (one, suite)))
}

/// The test program that a part of this name runs, where it is one of these.
pub(super) fn program_of(part: &str) -> Option<&'static str> {
    let (server, _) = all().find(|(server, suite)| server.part(*suite) == part)?;
    server.program()
}

/// The tasks of these parts. The servers' images are ready, or it is a failure that says why they are not.
pub(super) fn tasks(parts: &[(&'static Server, Suite)], built: &Built) -> Result<Vec<Task>> {
    if parts.is_empty() {
        return Ok(Vec::new());
    }
    let files = gather(parts, built)?;
    let packages = Arc::new(Packages { bin: files.join("bin"), made: OnceLock::new() });
    Ok(parts.iter().map(|(server, suite)| task(server, *suite, &files, &packages)).collect())
}

/// The Debian packages of the programs, made by the first part that needs them, while others run.
struct Packages {
    bin: PathBuf,
    made: OnceLock<Result<(), String>>,
}

impl Packages {
    fn ensure(&self) -> Result {
        let make = || {
            let dir = self.bin.with_file_name("packages");
            fs::create_dir_all(&dir).context(dir.display())?;
            dist::for_tests(&self.bin, &dir)
        };
        let result = self.made.get_or_init(|| make().map_err(|problem| problem.to_string()));
        result.clone().map_err(Problem::new)
    }

    /// Also the package of the older version.
    fn ensure_released(&self) -> Result {
        self.ensure()?;
        let released = released::package()?;
        let to = self.bin.with_file_name("packages").join("released.deb");
        fs::copy(&released, &to).context(released.display()).map(drop)
    }
}

fn task(server: &'static Server, suite: Suite, files: &Path, packages: &Arc<Packages>) -> Task {
    let part = server.part(suite);
    if let Err(problem) = lab::prepare(server.place, suite) {
        let text = format!("there is no Debian server to run it on: {problem}");
        return pool::broken(&part, Problem::new(text));
    }
    let output = files.with_file_name(part.replace(':', "-"));
    let job = Job {
        suite,
        kind: server.kind,
        files: Some(files.to_owned()),
        command: server.command(),
        output: Some(output.clone()),
        limit: server.limit(),
    };
    let place = server.place;
    let packages = server.needs_packages().then(|| Arc::clone(packages));
    let upgrades = server.name == UPGRADE;
    Task {
        name: part.clone(),
        part,
        // A virtual machine keeps up to two processors busy, a container waits half of its time.
        slots: if place == Emulator { 5 } else { 3 },
        expected: f64::from(server.expected),
        harness: matches!(server.work, Work::Tests { .. }),
        run: Box::new(move |line| {
            let _ = fs::remove_dir_all(&output);
            match packages {
                Some(packages) if upgrades => packages.ensure_released()?,
                Some(packages) => packages.ensure()?,
                None => {}
            }
            let status = lab::run_job(place, &job, &mut *line);
            if !matches!(status, Ok(0)) {
                line(&format!("The server's journal and console are in {}", output.display()));
            }
            status
        }),
    }
}

/// Puts programs, scenarios, and the test programs and packages that the parts need into the folder that becomes `/job`,
/// without what only a debugger reads.
fn gather(parts: &[(&'static Server, Suite)], built: &Built) -> Result<PathBuf> {
    let job_dir = workspace::target_dir()?.join("servers/job");
    let _ = fs::remove_dir_all(&job_dir);
    let folder = |name: &str| -> Result<PathBuf> {
        let folder = job_dir.join(name);
        fs::create_dir_all(&folder).context(folder.display())?;
        Ok(folder)
    };
    let (bin, scenarios) = (folder("bin")?, folder("scenarios")?);
    for program in built.programs() {
        strip(&program.path, &bin.join(&program.target))?;
    }
    Cmd::line("cp").arg(workspace::root().join("factory-reset/factory-reset.sh")).arg(&bin).quiet()?;
    let docs = workspace::root().join("docs");
    for generated in ["man", "completions"].map(|name| docs.join(name)).iter().filter(|dir| dir.is_dir()) {
        Cmd::line("cp -r").arg(generated).arg(&bin).quiet()?;
    }
    // In front of the tunnel, in the server's life.
    if parts.iter().any(|(server, _)| server.name == "server") {
        web_servers::portable_nginx(&bin)?;
        Cmd::line("cp").arg(docs.join("ghost.md")).arg(&job_dir).quiet()?;
    }
    // What the newcomer reads.
    Cmd::line("cp").arg(workspace::root().join("README.md")).arg(&job_dir).quiet()?;
    fs::create_dir_all(job_dir.join("docs")).context(job_dir.display())?;
    Cmd::line("cp -r").arg(docs.join("en")).arg(job_dir.join("docs")).quiet()?;
    for (name, text) in SCRIPTS {
        fs::write(scenarios.join(format!("{name}.sh")), text).context(name)?;
    }
    let tests = folder("tests")?;
    for (server, _) in parts {
        if let Work::Tests { program, .. } = server.work {
            strip(&built.test(program)?.path, &tests.join(program))?;
        }
    }
    Ok(job_dir)
}

fn strip(from: &Path, to: &Path) -> Result {
    Cmd::new("strip").args(["--strip-debug", "-o"]).args([to, from]).quiet()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_part_has_its_own_name() {
        let names: Vec<String> = all().map(|(server, suite)| server.part(suite)).collect();
        let unique: BTreeSet<&String> = names.iter().collect();
        assert_eq!(names.len(), unique.len(), "{names:?}");
    }

    #[test]
    fn every_scenario_has_its_script() {
        for server in SERVERS.iter().filter(|server| matches!(server.work, Work::Scenario)) {
            assert!(SCRIPTS.iter().any(|(name, _)| *name == server.name), "{}", server.name);
        }
    }

    #[test]
    fn rest_contains_unnamed_parts() {
        let rest = SERVERS.iter().find(|server| server.name == "rest").unwrap().words();
        for word in ["repair::", "clients::", "crashes::", "multihop::"] {
            assert!(rest.contains(&format!("--skip {word}")), "{rest}");
        }
    }
}
