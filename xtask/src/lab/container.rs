//! One container: a Debian server with its own systemd and network on this machine's kernel, thrown away after a job.
//!
//! It runs at this machine's speed, and reboots in a second. It has no kernel of its own: no WireGuard unless this kernel
//! has it, no modules, no netem. `lab/container.sh` makes it, `lab/container-agent.sh` is the job's side.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use super::timer::Timer;
use super::{Job, image};
use crate::command::{Cmd, lines};
use crate::packages::{self, Need};
use crate::problem::{Context as _, Problem, Result};

const BOOT: &str = include_str!("../../lab/container.sh");
const AGENT: &str = include_str!("../../lab/container-agent.sh");

const NEEDS: &[Need] = &[
    Need::program("systemd-nspawn", "systemd-container"),
    Need::program("unshare", "util-linux"),
    Need::program("ip", "iproute2"),
];

/// Where containers have their folders, and what the folders' names begin with.
const WORK: &str = "/var/tmp";
const PREFIX: &str = "phantom-wg-container-";
/// Where the kernel may show control groups: the unified tree, that of systemd beside older trees, or the only one.
const GROUPS: [&str; 3] = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup"];

/// Installs what containers need and builds the image.
pub(crate) fn prepare(suite: super::Suite) -> Result {
    packages::ensure(NEEDS)?;
    image::build_if_needed(suite)
}

/// Runs a job in a fresh container and returns its exit status. Its lines are handed over as they come.
pub(crate) fn run(job: &Job, mut line: impl FnMut(&str)) -> Result<i32> {
    let mut container = Running::new()?;
    let work = container.work.clone();
    let lab = work.join("lab");
    fs::write(lab.join("job"), &job.command).context("job")?;
    fs::write(lab.join("stream"), "").context("stream")?;
    for (path, text) in [(lab.join("agent"), AGENT), (work.join("boot"), BOOT)] {
        fs::write(&path, text).context(path.display())?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).context(path.display())?;
    }
    let empty = work.join("empty");
    let root = image::dir(job.suite)?.join(format!("{}.root", job.kind));
    let mut command = Cmd::line("setpriv --pdeathsig KILL unshare --mount --propagation private --net --pid");
    command = command.args(["--fork", "--kill-child", "--mount-proc", "bash"]).arg(work.join("boot"));
    command = command.arg(&work).arg(root).arg(job.files.as_deref().unwrap_or(&empty));
    let log = fs::File::create(work.join("console")).context("console")?;
    let child = container.child.insert(command.spawn(Stdio::null(), Stdio::piped(), log.into())?);
    let stdout = child.stdout.take().context("no pipe")?;
    let timer = Timer::start(child.id(), job.limit);
    lines(stdout, &mut line);
    let status = child.wait().context("the container")?;
    let late = timer.stop();
    if let Some(output) = &job.output {
        fs::create_dir_all(output).context(output.display())?;
        Cmd::line("cp -r").arg(work.join("out/.")).arg(output).quiet()?;
        fs::copy(work.join("console"), output.join("console.txt")).context("console.txt")?;
    }
    if late {
        return Err(Problem::new(format!(
            "no end after {} s:\n{}",
            job.limit.as_secs(),
            container.last_words()
        )));
    }
    let result = fs::read_to_string(lab.join("status")).ok().and_then(|text| text.trim().parse().ok());
    result.ok_or_else(|| {
        let words = container.last_words();
        Problem::new(format!("the container ended without a result ({status}):\n{words}"))
    })
}

/// The folder, the control groups and the process of a running container; all of them end with the value.
struct Running {
    work: PathBuf,
    child: Option<Child>,
}

impl Running {
    fn new() -> Result<Self> {
        let work = super::work_dir(WORK, PREFIX)?;
        let running = Self { work, child: None };
        for name in ["lab", "out", "root", "job", "written", "empty"] {
            fs::create_dir(running.work.join(name)).context(name)?;
        }
        for group in running.groups() {
            fs::create_dir(&group).context(group.display())?;
        }
        Ok(running)
    }

    fn groups(&self) -> Vec<PathBuf> {
        let trees = GROUPS.iter().map(Path::new).filter(|tree| tree.join("cgroup.procs").exists());
        let name = self.work.file_name().unwrap_or_default();
        trees.map(|tree| tree.join(name)).collect()
    }

    fn last_words(&self) -> String {
        let texts = ["console", "lab/agent.log"].map(|name| super::tail(&self.work.join(name)));
        texts.join("\n")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        for group in self.groups() {
            // Innermost first; the kernel may need a moment to let go of the last process.
            let remove = Cmd::line("find").arg(&group).args("-depth -type d -exec rmdir {} +".split(' '));
            for _ in 0..50 {
                if !group.exists() || remove.succeeds() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        }
        let _ = fs::remove_dir_all(&self.work);
    }
}
