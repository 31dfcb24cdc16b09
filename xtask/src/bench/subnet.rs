//! `change_subnet` with a client that goes on pinging.

use std::fs;
use std::net::Ipv4Addr;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Options;
use super::measure::{interleave, median, timed};
use super::report::{Goal, Report, Row, Unit};
use super::world::{BenchNet, CLIENT};
use crate::command::{Cmd, lines};
use crate::problem::{Context as _, Problem, Result};

/// The subnet to go to and to come back from: other numbers and another length.
pub(super) const OTHER: &str = "172.16.0.0/12";

/// The client's interface and its configuration.
const INTERFACE: &str = "wg_client";
const CONFIGURATION: &str = "/run/bench/client.conf";

/// How long the client is listened to after a change, for an answer from the new subnet.
const LISTEN: Duration = Duration::from_secs(20);

/// The words of the change number `number`, counted from 1: there and back again.
pub(super) fn line(world: &BenchNet, number: usize) -> String {
    let to = if number % 2 == 1 { OTHER } else { &world.subnet };
    format!("core change_subnet new_subnet={to} confirm=true")
}

/// Changes the subnet and says how long the client had no answer.
pub(super) fn run(world: &BenchNet, options: &Options, report: &mut Report) -> Result {
    let client = Client::new(world)?;
    let mut gaps = Vec::new();
    let mut number = 0;
    let mut change = || {
        number += 1;
        let (took, gap) = client.watch(world, number)?;
        gaps.push(gap);
        Ok(took)
    };
    let [took] = interleave(options.few(), [&mut change])?;
    client.end();
    let row = |what: &str, measured: f64, limit: f64, remark: &str| Row {
        what: what.to_owned(),
        measured: Some(measured),
        unit: Unit::Milliseconds,
        peer: None,
        goal: Goal::Limit(limit),
        remark: remark.to_owned(),
    };
    report.add(row("`change_subnet`, 10,000 clients", took, 3000.0, ""));
    let what = "`change_subnet`: from the last answer in the old subnet to the first in the new one";
    report.add(row(
        what,
        median(gaps),
        1000.0,
        "ping every 5 ms; the client has both addresses, and connects again after the change",
    ));
    Ok(())
}

/// A client at the end of the cable that has its address in both subnets at once.
struct Client {
    device: Child,
    host: u32,
    /// The server's public key.
    server: String,
}

impl Client {
    fn new(world: &BenchNet) -> Result<Self> {
        let answer = world.api("core export_client client_name=filled-5000").read()?;
        let answer: Value = serde_json::from_str(&answer).context("export_client")?;
        let data = &answer["data"];
        let address: Ipv4Addr =
            data["client"]["ip"].as_str().context("no address")?.parse().context("the address")?;
        let text = data["config"].as_str().context("no configuration")?;
        // What wg(8) does not know, wg-quick(8) would do.
        let known = |line: &&str| !["Address", "DNS", "MTU"].iter().any(|word| line.starts_with(word));
        let known: Vec<&str> = text.lines().filter(known).collect();
        fs::write(CONFIGURATION, known.join("\n") + "\n").context(CONFIGURATION)?;
        let device = Cmd::line("ip netns exec").arg(CLIENT).arg(world.device()).arg(INTERFACE);
        let device = device.spawn(Stdio::null(), Stdio::null(), Stdio::null())?;
        let key = text
            .lines()
            .find_map(|line| line.strip_prefix("PublicKey = "))
            .context("no key of the server")?;
        let host = u32::from(address) - u32::from(base(&world.subnet)?);
        let client = Self { device, host, server: key.to_owned() };
        wait_for_socket(INTERFACE)?;
        in_client(&format!("wg setconf {INTERFACE} {CONFIGURATION}")).quiet()?;
        for subnet in [&world.subnet, OTHER] {
            in_client(&format!("ip addr add {}/32 dev {INTERFACE}", client.address(subnet)?)).quiet()?;
        }
        in_client(&format!("ip link set {INTERFACE} up")).quiet()?;
        for subnet in [&world.subnet, OTHER] {
            in_client(&format!("ip route add {subnet} dev {INTERFACE}")).quiet()?;
        }
        Ok(client)
    }

    /// What a client does that has fetched its configuration again: it knows nothing of the session that it had.
    fn start_anew(&self) -> Result {
        in_client(&format!("wg set {INTERFACE} peer {} remove", self.server)).quiet()?;
        in_client(&format!("wg setconf {INTERFACE} {CONFIGURATION}")).quiet()
    }

    fn address(&self, subnet: &str) -> Result<Ipv4Addr> {
        Ok(Ipv4Addr::from(u32::from(base(subnet)?) + self.host))
    }

    /// Pings the server in a subnet, every 5 ms.
    fn ping(&self, subnet: &str) -> Result<Pings> {
        let (own, server) = (self.address(subnet)?, Ipv4Addr::from(u32::from(base(subnet)?) + 1));
        let ping = in_client(&format!("ping -n -D -i 0.005 -W 0.2 -I {own} {server}"));
        let mut child = ping.spawn(Stdio::null(), Stdio::piped(), Stdio::null())?;
        let stdout = child.stdout.take().context("no pipe")?;
        let (sender, answers) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            lines(stdout, &mut |line| {
                if line.contains("icmp_seq=") && line.contains("time=") {
                    let _ = sender.send(Instant::now()); // nobody listens any more once the change is over
                }
            });
        });
        Ok(Pings { child, answers })
    }

    /// Milliseconds of the change, and milliseconds without an answer.
    fn watch(&self, world: &BenchNet, number: usize) -> Result<(f64, f64)> {
        let here = world.subnet.as_str();
        let (old, new) = if number % 2 == 1 { (here, OTHER) } else { (OTHER, here) };
        let in_old = self.ping(old)?;
        in_old.answers.recv_timeout(LISTEN).context("the client does not reach the server")?;
        let in_new = self.ping(new)?;
        let took = timed(&world.api(&line(world, number)))?;
        self.start_anew()?;
        let first =
            in_new.answers.recv_timeout(LISTEN).context("the client does not reach the server any more")?;
        let last = in_old.answers.try_iter().last().context("no answer before the change")?;
        Ok((took, first.saturating_duration_since(last).as_secs_f64() * 1e3))
    }

    fn end(mut self) {
        let _ = self.device.kill();
        let _ = self.device.wait();
    }
}

/// A running ping and the moments of its answers.
struct Pings {
    child: Child,
    answers: std::sync::mpsc::Receiver<Instant>,
}

impl Drop for Pings {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn in_client(line: &str) -> Cmd {
    Cmd::line("ip netns exec").arg(CLIENT).args(line.split(' '))
}

fn base(subnet: &str) -> Result<Ipv4Addr> {
    subnet.split('/').next().unwrap_or_default().parse().context(subnet)
}

/// Waits until a device listens to wg(8).
pub(super) fn wait_for_socket(interface: &str) -> Result {
    let start = Instant::now();
    while !Cmd::line("wg show").arg(interface).succeeds() {
        if start.elapsed() > Duration::from_secs(5) {
            return Err(Problem::new(format!("{interface} does not come up")));
        }
        std::thread::sleep(Duration::from_millis(10)); // between two looks at a state that announces nothing
    }
    Ok(())
}
