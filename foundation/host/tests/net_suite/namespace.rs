//! Runs a test in network, mount and process namespaces of its own: the test binary starts itself again under
//! `unshare`, as root or in a user namespace. Everything the test makes goes with it, processes included.

#![expect(clippy::disallowed_methods, reason = "tests look at the host with the programs that people use")]

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Says inside which test the process is.
const INSIDE: &str = "PHANTOM_NET_TEST";

/// Whether this process is the one inside the namespaces.
pub(crate) fn is_isolated() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs `body`, the body of the test named `test` (with its module), in fresh namespaces with an empty `/run`.
pub(crate) fn isolated(test: &str, body: impl FnOnce()) {
    if std::env::var(INSIDE).as_deref() == Ok(test) {
        body();
        return;
    }
    if !may_unshare() {
        skipped(test, "this process may not make namespaces");
        return;
    }
    let program = std::env::current_exe().expect("the test's own program");
    let setup = "mount -t tmpfs tmpfs /run && ip link set lo up && exec \"$@\"";
    let output = unshare()
        .args(["sh", "-c", setup, "sh"])
        .arg(program)
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(INSIDE, test)
        .output()
        .expect("unshare is installed");
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "in its namespace {test} failed:\n{said}");
    for line in said.lines().filter(|line| line.starts_with("skipped ") || line.starts_with("figure ")) {
        say(line);
    }
}

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    if !is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.arg("--");
    command
}

fn may_unshare() -> bool {
    unshare()
        .args(["mount", "-t", "tmpfs", "tmpfs", "/run"])
        .output()
        .is_ok_and(|output| output.status.success())
}

fn is_root() -> bool {
    run("id", &["-u"]).trim() == "0"
}

/// Says that a test, or a part of it, was not run.
pub(crate) fn skipped(test: &str, why: &str) {
    say(&format!("skipped {test}: {why}"));
}

/// Tells a measured figure.
pub(crate) fn figure(what: &str, value: impl std::fmt::Debug) {
    say(&format!("figure {what}: {value:?}"));
}

/// Writes a line past the test harness, which keeps what passing tests print to itself.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Runs a program that must succeed; its standard output.
pub(crate) fn run(program: &str, args: &[&str]) -> String {
    attempt(program, args).unwrap_or_else(|error| panic!("{error}"))
}

/// Runs a program; its standard output, or what it complained about.
pub(crate) fn attempt(program: &str, args: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(args).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{program} {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
    }
}

/// Runs several lines of `ip`.
pub(crate) fn ip(lines: &str) {
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        run("ip", &line.split_whitespace().collect::<Vec<_>>());
    }
}

/// A process that ends with the test.
pub(crate) struct Daemon(Child);

impl Daemon {
    /// Starts a program with a clean environment.
    pub(crate) fn start(program: &str, args: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(args).env_remove("NOTIFY_SOCKET").stdin(Stdio::null()).stdout(Stdio::null());
        Self(command.spawn().unwrap_or_else(|error| panic!("{program}: {error}")))
    }
    /// Kills it, as a crash would.
    pub(crate) fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until `ready`, at most 20 s.
pub(crate) fn wait_for(what: &str, mut ready: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !ready() {
        assert!(Instant::now() < end, "{what} did not come");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Runs `call` often and gives the median time of one.
pub(crate) fn median(count: usize, mut call: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..count)
        .map(|_| {
            let start = Instant::now();
            call();
            start.elapsed()
        })
        .collect();
    times.sort();
    times[count / 2]
}
