//! The embedded device under a flood of forged handshakes, and its memory when a client sends to peers that are away.
//!
//! The clients are Debian's wireguard-go, each with an address of its own. They are in one namespace with the flood.

use std::fmt::Write as _;
use std::fs;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::report::{Goal, Report, Row, Unit};
use super::subnet::wait_for_socket;
use super::throughput::Keys;
use super::world::DEVICE;
use super::{Options, Places};
use crate::command::Cmd;
use crate::problem::{Context as _, Result};

/// Where the flood and the clients are.
const OUTSIDE: &str = "outside";
/// The device that is measured, its port, and the port at which every client is answered.
const SERVER: &str = "bench_flooded";
const PORT: u16 = 51_900;
const ECHO: u16 = 7;
const CLIENTS: u8 = 20;
/// Forged initiations in a second.
const RATE: u32 = 20_000;
/// What a client counts as that gets no session (see `bench-flood`), in milliseconds.
const NEVER: f64 = 20_000.0;
/// Peers that are away, and for how many seconds a client sends to them.
const AWAY: u32 = 600;
const SECONDS: u32 = 20;
/// How long memory may take to be given back, and how much more than before the device may keep, in MiB.
const PATIENCE: Duration = Duration::from_mins(3);
const REST: f64 = 4.0;
const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";

/// Measures what is wanted.
pub(super) fn run(places: &Places, options: &Options, report: &mut Report) -> Result {
    lay_cable()?;
    let rig = Rig::new(places)?;
    if options.wants("device-memory") {
        rig.memory(report)?;
    }
    if options.wants("device-flood") {
        rig.flood(report)?;
    }
    Ok(())
}

/// Joins this namespace and the other, where the invented senders are as well.
fn lay_cable() -> Result {
    for line in [
        "ip netns add outside",
        "ip link add flood0 type veth peer name eth0 netns outside",
        "ip addr add 192.0.2.1/24 dev flood0",
        "ip link set flood0 up",
        "ip route add 198.51.100.0/24 via 192.0.2.2",
        "ip route add 198.18.0.0/15 via 192.0.2.2",
        "ip -n outside addr add 192.0.2.2/24 dev eth0",
        "ip -n outside link set eth0 up",
        "ip -n outside link set lo up",
        "ip -n outside route add local 198.18.0.0/15 dev lo",
    ] {
        Cmd::line(line).quiet()?;
    }
    Ok(())
}

fn outside(line: &str) -> Cmd {
    Cmd::line("ip netns exec").arg(OUTSIDE).args(line.split(' '))
}

fn interface(number: u8) -> String {
    format!("bench_f{number}")
}

/// The device and the clients, of which nothing stays.
struct Rig<'a> {
    places: &'a Places,
    server: Keys,
    device: Child,
    clients: Vec<Keys>,
    others: Vec<Child>,
}

impl<'a> Rig<'a> {
    fn new(places: &'a Places) -> Result<Self> {
        let device = Cmd::new(places.programs.join(DEVICE)).arg(SERVER);
        let device = device.spawn(Stdio::null(), Stdio::null(), Stdio::null())?;
        let mut rig = Self { places, server: Keys::new()?, device, clients: Vec::new(), others: Vec::new() };
        wait_for_socket(SERVER)?;
        let line = format!("wg set {SERVER} listen-port {PORT} private-key /dev/stdin");
        Cmd::line(&line).input(rig.server.private.clone()).quiet()?;
        Cmd::line(&format!("ip link set {SERVER} mtu 1420 up")).quiet()?;
        for number in 1..=CLIENTS {
            rig.add_client(number)?;
        }
        let echo = Cmd::new(rig.helper()).args(["echo".to_owned(), ECHO.to_string()]);
        rig.others.push(echo.spawn(Stdio::null(), Stdio::null(), Stdio::inherit())?);
        Ok(rig)
    }

    fn helper(&self) -> String {
        self.places.helpers.join("bench-flood").display().to_string()
    }

    /// A wireguard-go 10.98.N.2, for which the device is 10.98.N.1. Its datagrams come from 198.51.100.N.
    fn add_client(&mut self, number: u8) -> Result {
        let (name, keys) = (interface(number), Keys::new()?);
        let device = outside(&format!("wireguard-go --foreground {name}"));
        self.others.push(device.spawn(Stdio::null(), Stdio::null(), Stdio::null())?);
        wait_for_socket(&name)?;
        for line in [
            format!("ip addr add 198.51.100.{number}/32 dev eth0"),
            format!("ip rule add fwmark {number} table {number}"),
            format!("ip route add 192.0.2.1 dev eth0 src 198.51.100.{number} table {number}"),
            format!("ip addr add 10.98.{number}.2/32 dev {name}"),
            format!("ip link set {name} mtu 1420 up"),
            format!("ip route add 10.98.{number}.1/32 dev {name} src 10.98.{number}.2"),
        ] {
            outside(&line).quiet()?;
        }
        set_private_key(number, &keys)?;
        let networks = format!("10.98.{number}.1/32,10.77.0.0/16");
        let peer =
            format!("peer {} endpoint 192.0.2.1:{PORT} allowed-ips {networks}", self.server.public.trim());
        outside(&format!("wg set {name} fwmark {number} {peer}")).quiet()?;
        for line in [
            format!("wg set {SERVER} peer {} allowed-ips 10.98.{number}.2/32", keys.public.trim()),
            format!("ip addr add 10.98.{number}.1/32 dev {SERVER}"),
            format!("ip route add 10.98.{number}.2/32 dev {SERVER} src 10.98.{number}.1"),
        ] {
            Cmd::line(&line).quiet()?;
        }
        self.clients.push(keys);
        Ok(())
    }

    /// Lets clients connect without a cookie, and once more with it.
    fn flood(&self, report: &mut Report) -> Result {
        let flood = format!("{} flood {} 192.0.2.1:{PORT} {RATE}", self.helper(), self.server.public.trim());
        let mut flood = outside(&flood).spawn(Stdio::piped(), Stdio::piped(), Stdio::inherit())?;
        sleep(Duration::from_secs(2));
        let (start, cpu) = (Instant::now(), self.cpu()?);
        let without = self.connect()?;
        // Another key ends a client's session and leaves it its cookie.
        for (number, keys) in (1..).zip(&self.clients) {
            set_private_key(number, &Keys::new()?)?;
            set_private_key(number, keys)?;
        }
        let with = self.connect()?;
        let cores = (self.cpu()? - cpu) / start.elapsed().as_secs_f64();
        drop(flood.stdin.take()); // this is its end
        let said = flood.wait_with_output().context("the flood")?;
        let said: Value = serde_json::from_slice(&said.stdout).context("the flood")?;
        let rate = said["rate"].as_f64().context("the flood names no rate")?;
        let cookies = &said["cookies"];
        for (what, limit, times, more) in [
            (
                "without a cookie",
                6000.0,
                without,
                format!("; {cookies} cookies were sent, {cores:.2} of a core taken"),
            ),
            ("with a cookie", 1000.0, with, String::new()),
        ] {
            let connected = times.iter().filter(|time| **time < NEVER).count();
            report.add(Row {
                what: format!(
                    "embedded device, {rate:.0} forged initiations a second: a client {what} has a session"
                ),
                measured: Some(times.iter().copied().fold(0.0, f64::max)),
                unit: Unit::Milliseconds,
                peer: None,
                goal: Goal::Limit(limit),
                remark: format!("the slowest of {CLIENTS}; {connected} got one{more}"),
            });
        }
        Ok(())
    }

    /// Milliseconds until each client is answered through its tunnel.
    fn connect(&self) -> Result<Vec<f64>> {
        let said = outside(&format!("{} clients {CLIENTS} {ECHO}", self.helper())).read()?;
        let times: Vec<Value> = serde_json::from_str(&said).context("the clients")?;
        Ok(times.iter().map(|time| time.as_f64().unwrap_or(NEVER)).collect())
    }

    /// Lets a client send to peers that have an endpoint at which nobody is.
    fn memory(&self, report: &mut Report) -> Result {
        let mut configuration = String::new();
        for number in 0..AWAY {
            // The base64 of 32 bytes, though nobody has the private key.
            let address = format!("10.77.{}.{}/32", number / 256, number % 256);
            let _ = write!(
                // writing to a string does not fail
                configuration,
                "[Peer]\nPublicKey = {number:042}A=\nEndpoint = 198.51.100.200:9\nAllowedIPs = {address}\n"
            );
        }
        self.connect()?;
        let forwarding = fs::read_to_string(FORWARDING).context(FORWARDING)?;
        fs::write(FORWARDING, "1\n").context(FORWARDING)?;
        Cmd::line(&format!("wg addconf {SERVER} /dev/stdin")).input(configuration).quiet()?;
        Cmd::line(&format!("ip route add 10.77.0.0/16 dev {SERVER}")).quiet()?;
        outside(&format!("ip route add 10.77.0.0/16 dev {} src 10.98.1.2", interface(1))).quiet()?;
        let before = self.status("VmRSS")?;
        outside(&format!("{} absent {AWAY} {SECONDS}", self.helper())).quiet()?;
        let most = self.status("VmHWM")?;
        let start = Instant::now();
        while self.status("VmRSS")? > before + REST && start.elapsed() < PATIENCE {
            sleep(Duration::from_secs(1)); // nobody announces it
        }
        let (after, took) = (self.status("VmRSS")?, start.elapsed().as_secs());
        fs::write(FORWARDING, forwarding).context(FORWARDING)?;
        let mut add = |what: &str, measured: f64, limit: f64, remark: String| {
            report.add(Row {
                what: format!("embedded device, one client sends to {AWAY} peers that are away: {what}"),
                measured: Some(measured),
                unit: Unit::Mebibytes,
                peer: None,
                goal: Goal::Limit(limit),
                remark,
            });
        };
        add("most memory", most, 64.0, format!("{before:.1} MiB before"));
        add("memory after it", after, before + REST, format!("{took} s after the last packet"));
        Ok(())
    }

    /// What this line of the process's status says, in MiB.
    fn status(&self, name: &str) -> Result<f64> {
        let file = format!("/proc/{}/status", self.device.id());
        let status = fs::read_to_string(&file).context(&file)?;
        let line = status.lines().find(|line| line.starts_with(name)).context(name.to_owned())?;
        let kibibytes: f64 =
            line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).context(name.to_owned())?;
        Ok(kibibytes / 1024.0)
    }

    /// The seconds of a processor that the device has taken.
    fn cpu(&self) -> Result<f64> {
        let file = format!("/proc/{}/stat", self.device.id());
        let stat = fs::read_to_string(&file).context(&file)?;
        // The fields after the name, which is in parentheses: the twelfth and the thirteenth, in hundredths.
        let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(2);
        Ok(fields.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0)
    }
}

fn set_private_key(number: u8, keys: &Keys) -> Result {
    let line = format!("wg set {} private-key /dev/stdin", interface(number));
    outside(&line).input(keys.private.clone()).quiet()
}

impl Drop for Rig<'_> {
    fn drop(&mut self) {
        for process in self.others.iter_mut().chain([&mut self.device]) {
            let _ = process.kill();
            let _ = process.wait();
        }
        // What is not there any more is what was wanted.
        let _ = Cmd::line(&format!("ip link del {SERVER}")).capture();
        let _ = Cmd::line("ip link del flood0").capture();
        let _ = Cmd::line("ip netns del outside").capture();
    }
}
