//! One virtual machine in the emulator: freezing it after its first boot, and waking it for a job. It has Debian's own
//! kernel, and runs ten to twenty times slower than this machine.
//!
//! A job's files come in as the file system of the second disk, what it leaves goes out as a tar file on the third. Its
//! command, and what it writes, pass a port that is this process's pipe. The guest's side of it is `lab/agent.sh`.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant, SystemTime};

use serde_json::json;

use super::qmp::Qmp;
use super::timer::Timer;
use super::{Job, Kind, Suite, image};
use crate::command::{Cmd, lines};
use crate::problem::{Context as _, Problem, Result};

/// Where running machines have their folders, and what the folders' names begin with.
const WORK: &str = "/var/tmp";
const PREFIX: &str = "phantom-wg-vm-";

/// Size of the disks for what goes in and out: fixed, since it is part of the frozen machine. The files are sparse.
const DISK: u64 = 8 << 30;
const MEMORY_MIB: u32 = 1024;

/// What the frozen state depends on.
pub(super) fn devices_mark() -> String {
    devices(Path::new("/image"), "root", Path::new("/work"))
        .iter()
        .fold(String::new(), |text, word| text + " " + word)
}

/// The emulator's words that make up the machine. No KVM: it is not to be had everywhere, and a machine frozen without it
/// wakes everywhere.
fn devices(image: &Path, root: &str, work: &Path) -> Vec<String> {
    let (image, work) = (image.display(), work.display());
    // What protects the kernel from user space makes the emulator translate and look up more: 15 % of the time.
    let cpu = "max,la57=off,smap=off,smep=off,umip=off,pku=off";
    let words =
        "-M pc -accel tcg,thread=multi -smp 2 -nodefaults -no-user-config -display none -monitor none";
    let mut words: Vec<String> = words.split(' ').map(str::to_owned).collect();
    words.extend(["-cpu", cpu].map(str::to_owned));
    words.extend(["-m".to_owned(), MEMORY_MIB.to_string()]);
    words.extend([
        "-kernel".to_owned(),
        format!("{image}/vmlinuz"),
        "-initrd".to_owned(),
        format!("{image}/initrd"),
    ]);
    // Programs at the same addresses each time: the emulator keeps what it has translated by address, and translating is
    // most of what it does otherwise (the conformance suite takes 65 s in place of 159).
    let line = "console=ttyS0 quiet panic=-1 mitigations=off net.ifnames=0 norandmaps";
    words.extend(["-append".to_owned(), line.to_owned()]);
    words.extend(["-serial".to_owned(), format!("file:{work}/console")]);
    words.extend(["-chardev", "stdio,id=port,signal=off", "-device", "virtio-serial-pci"].map(str::to_owned));
    words.extend(["-device", "virtserialport,chardev=port,name=lab"].map(str::to_owned));
    let raw = "if=none,format=raw,cache=unsafe,discard=unmap";
    let disks = [
        ("root", root.to_owned()),
        ("in", format!("{raw},file={work}/in")),
        ("out", format!("{raw},file={work}/out")),
    ];
    for (id, drive) in disks {
        words.extend(["-drive".to_owned(), format!("id={id},{drive}")]);
        words.extend(["-device".to_owned(), format!("virtio-blk-pci,drive={id}")]);
    }
    words.extend(
        ["-netdev", "user,id=net,restrict=on,ipv6=off", "-device", "virtio-net-pci,netdev=net,romfile="]
            .map(str::to_owned),
    );
    words
}

/// A folder of a running machine, and the emulator; both end with the value.
struct Running {
    work: PathBuf,
    child: Option<Child>,
}

impl Running {
    fn new(name: &str) -> Result<Self> {
        let work = super::work_dir(WORK, &format!("{PREFIX}{name}-"))?;
        let running = Self { work, child: None };
        for disk in ["in", "out"] {
            let file = File::create(running.work.join(disk)).context(disk)?;
            file.set_len(DISK).context(disk)?;
        }
        Ok(running)
    }

    /// Starts the emulator, which ends with this thread, however that ends.
    fn start(&mut self, words: Vec<String>) -> Result<&mut Child> {
        let log = File::create(self.work.join("emulator")).context("emulator")?;
        let command = Cmd::line("setpriv --pdeathsig KILL qemu-system-x86_64").args(words);
        Ok(self.child.insert(command.spawn(Stdio::piped(), Stdio::piped(), log.into())?))
    }

    /// The last lines of what the console and the emulator said.
    fn last_words(&self) -> String {
        let [console, emulator] = ["console", "emulator"].map(|name| super::tail(&self.work.join(name)));
        format!("{console}\n{emulator}")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.work);
    }
}

/// Boots an image for the first time and keeps its memory and its disk as they are when the agent waits for work.
pub(super) fn freeze(suite: Suite, kind: Kind) -> Result {
    let image = image::dir(suite)?;
    let (disk, state) = (image.join(format!("{kind}.img")), image.join(format!("{kind}.state")));
    // From the pristine disk each time: an interrupted freezing has changed its copy.
    Cmd::line("zstd -qdf").arg(image.join(format!("{kind}.pristine"))).arg("-o").arg(&disk).quiet()?;
    let mut machine = Running::new("freeze")?;
    let root = format!("if=none,format=raw,cache=unsafe,file={}", disk.display());
    let mut words = devices(&image, &root, &machine.work);
    let socket = machine.work.join("qmp");
    words.extend(["-qmp".to_owned(), format!("unix:{},server=on,wait=off", socket.display())]);
    machine.start(words)?;
    let console = machine.work.join("console");
    let start = Instant::now();
    while !fs::read(&console).is_ok_and(|text| text.windows(9).any(|word| word == b"lab-ready")) {
        let ended = machine.child.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None)));
        if ended || start.elapsed() > Duration::from_mins(5) {
            return Err(Problem::new(format!("the {kind} image did not boot:\n{}", machine.last_words())));
        }
        std::thread::sleep(Duration::from_millis(100)); // a serial port in a file announces nothing
    }
    // What systemd still starts after the last service goes by before the moment that every run begins with.
    std::thread::sleep(Duration::from_secs(2));
    let mut qmp = Qmp::connect(&socket)?;
    let events = json!({ "capabilities": [{ "capability": "events", "state": true }] });
    qmp.execute("migrate-set-capabilities", &events)?;
    qmp.execute("migrate-set-parameters", &json!({ "max-bandwidth": 0 }))?;
    let unfinished = state.with_extension("unfinished");
    let uri = format!("exec:zstd -qf -3 -T0 -o '{}'", unfinished.display());
    qmp.execute("migrate", &json!({ "uri": uri }))?;
    qmp.wait_for_migration()?;
    qmp.execute("quit", &json!({}))?;
    if let Some(mut child) = machine.child.take() {
        child.wait().context("the emulator")?;
    }
    fs::rename(&unfinished, &state).context(state.display())
}

/// Runs a job in a fresh machine and returns its exit status. Its lines are handed over as they come.
pub(crate) fn run(job: &Job, mut line: impl FnMut(&str)) -> Result<i32> {
    let image = image::dir(job.suite)?;
    let mut machine = Running::new("run")?;
    pack(job, &machine.work)?;
    let disk = image.join(format!("{}.img", job.kind));
    let root = format!("if=none,format=raw,cache=unsafe,snapshot=on,file={}", disk.display());
    let mut words = devices(&image, &root, &machine.work);
    let state = image.join(format!("{}.state", job.kind));
    words.extend(["-incoming".to_owned(), format!("exec:zstd -qdc '{}'", state.display())]);
    let child = machine.start(words)?;
    let (mut stdin, stdout) =
        (child.stdin.take().context("no pipe")?, child.stdout.take().context("no pipe")?);
    // A frozen machine wakes with the clock and the random state of its freezing.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).context("the clock")?;
    let words = format!("{} {} {}\n", now.as_secs_f64(), hex(&seed()?), hex(job.command.as_bytes()));
    stdin.write_all(words.as_bytes()).context("the machine")?;
    let timer = Timer::start(child.id(), job.limit);
    lines(stdout, &mut line);
    let status = child.wait().context("the emulator")?;
    if timer.stop() {
        return Err(Problem::new(format!(
            "no end after {} s:\n{}",
            job.limit.as_secs(),
            machine.last_words()
        )));
    }
    drop(stdin);
    let result = unpack(job, &machine.work);
    result.map_err(|problem| Problem::new(format!("{problem} ({status})\n{}", machine.last_words())))
}

/// Makes the second disk. The guest reads of it what it needs, when it does.
fn pack(job: &Job, work: &Path) -> Result {
    let empty = work.join("empty");
    fs::create_dir(&empty).context(empty.display())?;
    let files = job.files.as_deref().unwrap_or(&empty);
    let words = "-qF -t ext4 -O ^has_journal -m 0 -d";
    Cmd::new("mke2fs").args(words.split(' ')).args([files, &work.join("in")]).quiet()
}

fn unpack(job: &Job, work: &Path) -> Result<i32> {
    let tar = |words: &[&str]| Cmd::line("tar -xf").arg(work.join("out")).args(words);
    let dir = work.join("result");
    fs::create_dir(&dir).context(dir.display())?;
    tar(&["--no-same-owner", "-C"])
        .arg(&dir)
        .quiet()
        .map_err(|_| Problem::new("the machine ended without a result"))?;
    if let Some(output) = &job.output {
        fs::create_dir_all(output).context(output.display())?;
        Cmd::line("cp -r").arg(dir.join("out/.")).arg(output).quiet()?;
        fs::copy(work.join("console"), output.join("console.txt")).context("console.txt")?;
    }
    let status = fs::read_to_string(dir.join("lab-status")).context("lab-status")?;
    status.trim().parse().context("lab-status")
}

fn seed() -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    std::io::Read::read_exact(&mut File::open("/dev/urandom").context("/dev/urandom")?, &mut bytes)
        .context("/dev/urandom")?;
    Ok(bytes)
}

/// In hexadecimal.
fn hex(bytes: &[u8]) -> String {
    let halves = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    halves.filter_map(|half| char::from_digit(half.into(), 16)).collect()
}
