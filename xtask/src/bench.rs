//! `cargo xtask bench`: what the server's programs take, each beside a floor or a peer in the same run.
//!
//! Everything runs in network, mount and process namespaces of its own and vanishes with them, with one exception: the
//! state is in a folder below `target/`, because a write to memory would make every durable change look free.

mod clients;
mod flood;
mod ghost;
mod measure;
mod multihop;
mod report;
mod sizes;
mod subnet;
mod throughput;
mod tui;
mod watch;
mod whole;
mod world;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use self::report::Report;
use self::world::BenchNet;
use crate::args::Args;
use crate::command::{Cmd, find_program};
use crate::problem::{Context as _, Problem, Result};
use crate::workspace;

/// This program in the namespaces.
pub(crate) const INSIDE: &str = "bench-inside";

/// What the bench needs of the machine: program and Debian package.
const NEEDED: [(&str, &str); 7] = [
    ("nft", "nftables"),
    ("wg", "wireguard-tools"),
    ("wireguard-go", "wireguard-go"),
    ("iperf3", "iperf3"),
    ("ping", "iputils-ping"),
    ("ip", "iproute2"),
    ("unshare", "util-linux"),
];

/// Outside the tree, so that `cargo clean` does not throw it away.
const GOTATUN_DIR: &str = "/var/tmp/phantom-wg-bench";

/// The names of the parts, for `--only`.
const PARTS: [&str; 15] = [
    "ghost",
    "multihop",
    "throughput",
    "device-flood",
    "device-memory",
    "add-client",
    "memory",
    "server-status",
    "reconcile",
    "change-subnet",
    "loop",
    "watch",
    "reads",
    "tui",
    "sizes",
];

/// How many clients the servers have that are to add one.
const SIZES: [u32; 4] = [0, 1_000, 10_000, 60_000];

/// The options of both sides.
struct Options {
    quick: bool,
    only: Option<String>,
}

impl Options {
    fn new(words: &mut Args) -> Result<Self> {
        let only = words.value("--only")?;
        let unknown = only.as_ref().filter(|word| !PARTS.iter().any(|part| part.contains(word.as_str())));
        if let Some(word) = unknown {
            return Err(Problem::new(format!("no part is called '{word}': there are {}", PARTS.join(", "))));
        }
        Ok(Self { quick: words.flag("--quick"), only })
    }

    fn wants(&self, part: &str) -> bool {
        self.only.as_ref().is_none_or(|word| part.contains(word.as_str()))
    }

    /// How often what takes milliseconds is measured.
    fn many(&self) -> usize {
        if self.quick { 5 } else { 51 }
    }

    /// How often what takes longer is measured.
    fn few(&self) -> usize {
        if self.quick { 5 } else { 11 }
    }
}

/// Builds everything and measures; false when a goal is missed.
pub(crate) fn run(mut words: Args) -> Result<bool> {
    let options = Options::new(&mut words)?;
    words.end()?;
    for (program, package) in NEEDED {
        find_program(program).context(format!("{program} is missing: apt install {package}"))?;
    }
    let programs = workspace::build_delivered()?;
    let built =
        programs.iter().find(|built| built.target == "phantom-api").context("phantom-api was not built")?;
    let names = [
        "bench-hello",
        "bench-insert",
        "bench-clients",
        "bench-peak",
        "bench-screen",
        "bench-tunnel",
        "bench-crowd",
        "bench-flood",
    ];
    let words = ["build", "--release", "-p", "xtask", "--features", "bench"].into_iter();
    let helpers = workspace::build(words.chain(names.into_iter().flat_map(|name| ["--bin", name])))?;
    let helper = helpers.first().context("the helpers were not built")?;
    let out = workspace::target_dir()?.join("bench");
    fs::create_dir_all(&out).context(out.display())?;
    let places = Places {
        programs: parent(&built.path),
        helpers: parent(&helper.path),
        out,
        gotatun: if options.wants("throughput") { gotatun() } else { None },
    };
    enter(&places, &options)
}

/// Runs the inside in namespaces of its own.
fn enter(places: &Places, options: &Options) -> Result<bool> {
    let this = std::env::current_exe().context("this program")?;
    let mut inside = Cmd::root("unshare")
        .args([
            "--net",
            "--mount",
            "--propagation",
            "private",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ])
        // A shell takes care of the processes that lose their parents.
        .args(["sh", "-c", "\"$@\"; exit $?", "sh"])
        .args([this.as_os_str(), INSIDE.as_ref()]);
    let paths = [("--programs", &places.programs), ("--helpers", &places.helpers), ("--out", &places.out)];
    for (name, path) in paths {
        inside = inside.arg(name).arg(path);
    }
    if let Some(program) = &places.gotatun {
        inside = inside.arg("--gotatun").arg(program);
    }
    if let Some(word) = &options.only {
        inside = inside.args(["--only", word]);
    }
    if options.quick {
        inside = inside.arg("--quick");
    }
    let mut child = inside.spawn(Stdio::null(), Stdio::inherit(), Stdio::inherit())?;
    match child.wait().context(&inside)?.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        _ => Err(Problem::new("the bench was cut short")),
    }
}

fn parent(path: &Path) -> PathBuf {
    path.parent().unwrap_or(path).to_owned()
}

/// gotatun's own program, built when it is not there yet; `None` when that does not work.
fn gotatun() -> Option<PathBuf> {
    let program = Path::new(GOTATUN_DIR).join("bin/gotatun");
    if !program.is_file() {
        let install = ["install", "gotatun-cli", "--version", "=0.10.2", "--locked", "--root", GOTATUN_DIR];
        if let Err(problem) = Cmd::new("cargo").args(install).run() {
            eprintln!("gotatun will not be measured: {problem}");
        }
    }
    program.is_file().then_some(program)
}

/// Where things are, for those who measure.
struct Places {
    /// The folder of the server's programs.
    programs: PathBuf,
    /// The folder of the bench's own programs.
    helpers: PathBuf,
    /// The folder for results, and below it for the state.
    out: PathBuf,
    /// gotatun's own program.
    gotatun: Option<PathBuf>,
}

/// In the namespaces: measures and reports; false when a goal is missed.
pub(crate) fn inside(mut words: Args) -> Result<bool> {
    let options = Options::new(&mut words)?;
    let mut path = |name: &str| words.value(name).map(|path| path.map(PathBuf::from));
    let places = Places {
        programs: path("--programs")?.context("no --programs")?,
        helpers: path("--helpers")?.context("no --helpers")?,
        out: path("--out")?.context("no --out")?,
        gotatun: path("--gotatun")?,
    };
    words.end()?;
    let mut report = Report::default();
    world::enclose(&places.out)?;
    if options.wants("sizes") {
        sizes::run(&places, &mut report)?;
    }
    if options.wants("throughput") {
        throughput::run(&places, &options, &mut report)?;
    }
    if options.wants("device-flood") || options.wants("device-memory") {
        flood::run(&places, &options, &mut report)?;
    }
    if options.wants("ghost") {
        ghost::run(&places, &options, &mut report)?;
    }
    if options.wants("multihop") {
        multihop::run(&places, &options, &mut report)?;
    }
    measure_servers(&places, &options, &mut report)?;
    report.write(&places.out)?;
    Ok(report.all_met())
}

/// Servers of every size that is needed.
fn measure_servers(places: &Places, options: &Options, report: &mut Report) -> Result {
    world::lay_cable()?;
    let at_ten_thousand = ["memory", "server-status", "reconcile", "change-subnet", "loop", "tui", "watch"];
    if options.wants("add-client") {
        let [first, second, third, fourth] = SIZES;
        let worlds = [
            BenchNet::new(places, 0, first)?,
            BenchNet::new(places, 1, second)?,
            BenchNet::new(places, 2, third)?,
            BenchNet::new(places, 3, fourth)?,
        ];
        clients::add(&worlds, options, report)?;
    }
    if at_ten_thousand.iter().any(|part| options.wants(part)) {
        ten_thousand(&BenchNet::new(places, 4, 10_000)?, options, report)?;
    }
    if options.wants("reads") {
        whole::reads(&BenchNet::new(places, 5, 60_000)?, options, report)?;
    }
    Ok(())
}

fn ten_thousand(world: &BenchNet, options: &Options, report: &mut Report) -> Result {
    if options.wants("server-status") {
        whole::status(world, options, report)?;
    }
    if options.wants("reconcile") {
        whole::reconcile(world, options, report)?;
    }
    if options.wants("change-subnet") {
        subnet::run(world, options, report)?;
    }
    if options.wants("memory") {
        whole::memory(world, options, report)?;
    }
    if options.wants("tui") {
        tui::run(world, options, report)?;
    }
    if options.wants("loop") {
        clients::add_in_a_loop(world, report)?;
    }
    if options.wants("watch") {
        watch::run(world, options, report)?;
    }
    Ok(())
}
