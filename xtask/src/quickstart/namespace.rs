//! Another place on this machine: a process with a network and mounts of its own, that ends with its pipe.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::Duration;

use crate::command::Cmd;
use crate::problem::{Context as _, Problem, Result};

/// Whether this machine's kernel can make WireGuard interfaces; tried where nobody sees it.
pub(super) fn kernel_has_wireguard() -> bool {
    Cmd::line("unshare --net ip link add probe type wireguard").succeeds()
}

/// This program, running a task in namespaces of its own: network, mounts, processes. All of it vanishes with the process,
/// whatever has been started there, and the process with its standard input: nothing stays when this one is killed.
pub(super) struct Place {
    child: Child,
    /// `None` once this side has said that nothing more comes.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// The near end of its cable.
    near: Option<String>,
}

impl Place {
    /// Starts a task there and waits until it says that it is there.
    pub(super) fn new(task: &str, words: &[String]) -> Result<Self> {
        let this = std::env::current_exe().context("this program")?;
        let command = Cmd::line("unshare --net --mount --pid --fork --kill-child --mount-proc --")
            .arg(this)
            .arg(task)
            .args(words);
        let mut child = command.spawn(Stdio::piped(), Stdio::piped(), Stdio::inherit())?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().context("no pipe")?);
        let mut place = Self { child, input, output, near: None };
        place.expect(HERE)?;
        Ok(place)
    }

    /// Lays a cable from `near` on this side to `eth0` on the other, with an address on this side.
    pub(super) fn connect(&mut self, near: &str, address: &str) -> Result {
        let _ = Cmd::line("ip link del").arg(near).capture(); // left by a run that was killed
        let pid = self.child.id();
        self.near = Some(near.to_owned());
        Cmd::line(&format!("ip link add {near} type veth peer name eth0 netns {pid}")).quiet()?;
        Cmd::line(&format!("ip addr add {address} dev {near}")).quiet()?;
        Cmd::line(&format!("ip link set {near} up")).quiet()
    }

    /// Sends a line.
    pub(super) fn say(&mut self, line: &str) -> Result {
        let input = self.input.as_mut().context("the other side has been told to end")?;
        input.write_all(format!("{line}\n").as_bytes()).context("the other side")
    }

    /// Says that nothing more comes: the other side ends.
    pub(super) fn end(&mut self) {
        self.input = None;
    }

    /// The next line; `None` when the other side has ended.
    pub(super) fn hear(&mut self) -> Result<Option<String>> {
        let mut line = String::new();
        let length = self.output.read_line(&mut line).context("the other side")?;
        Ok((length > 0).then(|| line.trim_end_matches('\n').to_owned()))
    }

    /// Waits for a line.
    pub(super) fn expect(&mut self, wanted: &str) -> Result {
        match self.hear()? {
            Some(line) if line == wanted => Ok(()),
            Some(line) => Err(Problem::new(format!("expected '{wanted}', got '{line}'"))),
            None => Err(Problem::new(format!("expected '{wanted}', and the other side ended"))),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // The kernel would remove it some time after the other side has ended.
        if let Some(near) = &self.near {
            let _ = Cmd::line("ip link del").arg(near).capture();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first word of a task that has started in its place.
const HERE: &str = "here";

/// On the other side: says that it is there.
pub(super) fn arrived() {
    println!("{HERE}");
}

/// On the other side: waits for a line.
pub(super) fn next_line() -> Result<String> {
    let mut line = String::new();
    let length = std::io::stdin().read_line(&mut line).context("standard input")?;
    if length == 0 { Err(Problem::new("the other side ended")) } else { Ok(line.trim_end().to_owned()) }
}

/// On the other side: the end of this side of the cable.
pub(super) fn cable(address: &str, gateway: Option<&str>) -> Result {
    Cmd::line("ip link set lo up").quiet()?;
    Cmd::line(&format!("ip addr add {address} dev eth0")).quiet()?;
    Cmd::line("ip link set eth0 up").quiet()?;
    gateway.map_or(Ok(()), |gateway| Cmd::line(&format!("ip route add default via {gateway}")).quiet())
}

/// Asks again and again until it holds; returns whether it did in time.
pub(super) fn wait_for(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let start = std::time::Instant::now();
    loop {
        if holds() {
            return true;
        }
        if start.elapsed() > limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10)); // between two looks at a state that announces nothing
    }
}
