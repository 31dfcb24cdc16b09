//! Multihop between namespaces: what the second tunnel costs, how long turning to an exit takes, what a switch loses, and
//! how soon another exit takes the place of a dead one.
//!
//! ```text
//! mh-client ── server ── mh-lan (a bridge) ─┬─ mh-exit1
//!                                           ├─ mh-exit2
//!                                           └─ mh-net 198.51.100.2
//! ```

use std::cell::Cell;
use std::fs;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::measure::{interleave, median, timed};
use super::report::{Goal, Report, Row, Unit};
use super::subnet::wait_for_socket;
use super::world::BenchNet;
use super::{Options, Places};
use crate::command::{Cmd, lines};
use crate::problem::{Context as _, Problem, Result};

/// The host on the Internet.
const NET: &str = "198.51.100.2";
/// The interface of the client.
const CLIENT: &str = "mh_client";
/// From one ping of a switch to the next, in milliseconds, and how many there are.
const PAUSE: f64 = 5.0;
const PINGS: u32 = 800;
/// How long a failover may take before it counts as none.
const PATIENCE: Duration = Duration::from_mins(2);

/// Measures everything with one server.
pub(super) fn run(places: &Places, options: &Options, report: &mut Report) -> Result {
    let lab = Lab::new(places)?;
    throughput(&lab, options, report)?;
    enabling(&lab, options, report)?;
    switching(&lab, options, report)?;
    failover(&lab, options, report)
}

fn row(what: &str, measured: f64, unit: Unit, goal: Goal, remark: &str) -> Row {
    let (what, remark) = (what.to_owned(), remark.to_owned());
    Row { what, measured: Some(measured), unit, peer: None, goal, remark }
}

/// The same server with and without an exit, in turns.
fn throughput(lab: &Lab, options: &Options, report: &mut Report) -> Result {
    let seconds = if options.quick { 1 } else { 2 };
    let [with, without, with_back, without_back] = interleave(
        options.few(),
        [
            &mut || lab.turn(true).and_then(|()| Lab::speed(seconds, false)),
            &mut || lab.turn(false).and_then(|()| Lab::speed(seconds, false)),
            &mut || lab.turn(true).and_then(|()| Lab::speed(seconds, true)),
            &mut || lab.turn(false).and_then(|()| Lab::speed(seconds, true)),
        ],
    )?;
    for (way, with, without) in [("there", with, without), ("back", with_back, without_back)] {
        let peer = Some(("without an exit".to_owned(), without));
        let what = format!("Multihop, TCP {way} through server and exit");
        let remark = "client, server and exit on the same cores";
        report.add(Row { peer, ..row(&what, with, Unit::MegabitsPerSecond, Goal::TimesOrMore(0.5), remark) });
    }
    Ok(())
}

fn enabling(lab: &Lab, options: &Options, report: &mut Report) -> Result {
    let mut enable = || {
        lab.turn(false)?;
        let took = timed(&lab.world.api("multihop enable_multihop exit_name=uk probe=off"))?;
        lab.on.set(true);
        Ok(took)
    };
    let [took] = interleave(options.few(), [&mut enable])?;
    report.add(row("`enable_multihop`, live exit", took, Unit::Milliseconds, Goal::Limit(1000.0), ""));
    Ok(())
}

/// There and back again, with a client that pings all the time.
fn switching(lab: &Lab, options: &Options, report: &mut Report) -> Result {
    lab.turn(true)?;
    let to_other = Cell::new(true);
    let mut took = Vec::new();
    let mut switch = || {
        let ping = format!("ping -n -q -i {} -c {PINGS} -W 2 {NET}", PAUSE / 1e3);
        let mut ping = in_client(&ping).spawn(Stdio::null(), Stdio::piped(), Stdio::null())?;
        sleep(Duration::from_millis(500)); // pings before the switch
        let exit = if to_other.replace(!to_other.get()) { "nl" } else { "uk" };
        took.push(timed(&lab.world.api(&format!("multihop enable_multihop exit_name={exit} probe=off")))?);
        let mut summary = String::new();
        lines(ping.stdout.take().context("no pipe")?, &mut |line| {
            if line.contains("packets transmitted") {
                line.clone_into(&mut summary);
            }
        });
        let _ = ping.wait(); // lost packets are no failure of ping
        let mut numbers = summary.split(' ').filter_map(|word| word.parse::<f64>().ok());
        let (sent, received) = numbers.next().zip(numbers.next()).context(summary.clone())?;
        Ok((sent - received) * PAUSE)
    };
    let [lost] = interleave(options.few(), [&mut switch])?;
    let what = "switch between live exits: what a client loses";
    report.add(row(what, lost, Unit::Milliseconds, Goal::Limit(50.0), "lost pings of 5 ms each"));
    report.add(row(
        "switch between live exits, whole call",
        median(took),
        Unit::Milliseconds,
        Goal::Limit(1000.0),
        "",
    ));
    Ok(())
}

/// An exit vanishes without a word, and another one takes its place.
fn failover(lab: &Lab, options: &Options, report: &mut Report) -> Result {
    let runs = if options.quick { 5 } else { 30 };
    let mut all = Vec::with_capacity(runs);
    count_leaks()?;
    for _ in 0..runs {
        lab.world.api("multihop enable_multihop exit_name=uk fallback_exits=nl probe=off").quiet()?;
        lab.on.set(true);
        let pings = Pings::start()?;
        pings.answers.recv_timeout(PATIENCE).context("no answer by the exit")?;
        hole(true)?;
        let began = Instant::now();
        sleep(Duration::from_millis(500)); // what was on its way
        while pings.answers.try_recv().is_ok() {}
        let answered =
            pings.answers.recv_timeout(PATIENCE).context("no exit takes the place of the dead one")?;
        all.push(answered.saturating_duration_since(began).as_secs_f64() * 1e3);
        drop(pings);
        hole(false)?;
    }
    let leaked = leaked()?;
    if leaked != "0" {
        return Err(Problem::new(format!("{leaked} packets of the client left by the uplink")));
    }
    all.sort_by(f64::total_cmp);
    let (least, most) = (all.first().copied().unwrap_or(f64::NAN), all.last().copied().unwrap_or(f64::NAN));
    let remark = format!("{runs} runs, {:.1} to {:.1} s; 0 packets leaked", least / 1e3, most / 1e3);
    let what = "failover, from a blackhole to an answer by the next exit";
    report.add(row(what, median(all), Unit::Milliseconds, Goal::Limit(18_000.0), &remark));
    Ok(())
}

/// The server with its client and exits.
struct Lab {
    world: BenchNet,
    /// An exit is in use.
    on: Cell<bool>,
    processes: Vec<Child>,
}

impl Lab {
    fn new(places: &Places) -> Result<Self> {
        lay_cables()?;
        let world = BenchNet::new(places, 6, 1)?;
        let mut lab = Self { world, on: Cell::new(false), processes: Vec::new() };
        for number in [1, 2] {
            lab.start_exit(number)?;
        }
        lab.connect()?;
        let server = Cmd::line(&format!("ip netns exec mh-net iperf3 --server --bind {NET}"));
        lab.processes.push(server.spawn(Stdio::null(), Stdio::null(), Stdio::null())?);
        in_client(&format!("ping -c 1 -w 10 {NET}")).quiet()?;
        Ok(lab)
    }

    /// A device in a namespace.
    fn device(&mut self, namespace: &str, interface: &str) -> Result {
        let device = Cmd::line("ip netns exec").arg(namespace).arg(self.world.device()).arg(interface);
        self.processes.push(device.spawn(Stdio::null(), Stdio::null(), Stdio::null())?);
        wait_for_socket(interface)
    }

    /// An exit of the embedded device, and the file by which the server knows it.
    fn start_exit(&mut self, number: u8) -> Result {
        let (namespace, interface) = (format!("mh-exit{number}"), format!("mh_exit{number}"));
        self.device(&namespace, &interface)?;
        let (own, far) = (keys()?, keys()?);
        let inside = |line: &str| Cmd::line("ip netns exec").arg(&namespace).args(line.split(' '));
        inside(&format!("wg set {interface} listen-port 51821 private-key /dev/stdin"))
            .input(own.0)
            .quiet()?;
        inside(&format!("wg set {interface} peer {} allowed-ips 10.99.{number}.2/32", far.1)).quiet()?;
        inside(&format!("ip addr add 10.99.{number}.1/24 dev {interface}")).quiet()?;
        inside(&format!("ip link set {interface} mtu 1420 up")).quiet()?;
        inside("sysctl -qw net.ipv4.ip_forward=1").quiet()?;
        let nat = "add table ip nat; add chain ip nat post { type nat hook postrouting priority 100; }; \
                   add rule ip nat post oifname eth0 masquerade";
        inside("nft").arg(nat).quiet()?;
        let name = if number == 1 { "uk" } else { "nl" };
        let file = format!("/run/bench/{name}.conf");
        let text = format!(
            "[Interface]\nPrivateKey = {}\nAddress = 10.99.{number}.2/24\n[Peer]\nPublicKey = {}\n\
             AllowedIPs = 0.0.0.0/0\nEndpoint = 198.51.100.{}:51821\n",
            far.0.trim(),
            own.1,
            8 + number
        );
        fs::write(&file, text).context(&file)?;
        let import = format!("multihop import_vpn_config config_path={file} custom_name={name}");
        self.world.api(&import).quiet()
    }

    /// The client, at the end of its cable.
    fn connect(&mut self) -> Result {
        self.world.api("core add_client client_name=bench").quiet()?;
        let answer = self.world.api("core export_client client_name=bench").read()?;
        let answer: Value = serde_json::from_str(&answer).context("export_client")?;
        let text = answer["data"]["config"].as_str().context("no configuration")?;
        let known =
            |line: &&str| !["Address", "DNS", "MTU", "Endpoint"].iter().any(|word| line.starts_with(word));
        let port = 51820 + 6;
        let known: Vec<&str> = text.lines().filter(known).collect();
        let file = "/run/bench/mh-client.conf";
        fs::write(file, format!("{}\nEndpoint = 192.0.2.1:{port}\n", known.join("\n"))).context(file)?;
        self.device("mh-client", CLIENT)?;
        let address = answer["data"]["client"]["ip"].as_str().context("no address")?;
        for line in [
            format!("wg setconf {CLIENT} {file}"),
            format!("ip addr add {address}/32 dev {CLIENT}"),
            format!("ip link set {CLIENT} mtu 1420 up"),
            format!("ip route add 198.51.100.0/24 dev {CLIENT}"),
        ] {
            in_client(&line).quiet()?;
        }
        Ok(())
    }

    /// With an exit or without.
    fn turn(&self, on: bool) -> Result {
        if self.on.replace(on) == on {
            return Ok(());
        }
        let words =
            if on { "multihop enable_multihop exit_name=uk probe=off" } else { "multihop disable_multihop" };
        self.world.api(words).quiet()?;
        in_client(&format!("ping -c 1 -w 10 {NET}")).quiet()
    }

    /// Mbit/s that arrive over one TCP connection.
    fn speed(seconds: u32, back: bool) -> Result<f64> {
        let mut command = in_client(&format!("iperf3 --json --time {seconds} --client {NET}"));
        if back {
            command = command.arg("--reverse");
        }
        let answer: Value = serde_json::from_str(&command.read()?).context("iperf3")?;
        let bits = answer["end"]["sum_received"]["bits_per_second"].as_f64();
        Ok(bits.context("iperf3 names no speed")? / 1e6)
    }
}

/// The first exit hears and says nothing any more, or does again.
fn hole(on: bool) -> Result {
    let rules = if on {
        "add table ip hole; add chain ip hole everything { type filter hook prerouting priority -300; }; \
         add rule ip hole everything udp dport 51821 drop"
    } else {
        "delete table ip hole"
    };
    Cmd::line("ip netns exec mh-exit1 nft").arg(rules).quiet()
}

/// From now on counts what reaches the Internet from the server's own address.
fn count_leaks() -> Result {
    let rules = "add table ip seen; add counter ip seen leaks; \
                 add chain ip seen input { type filter hook input priority 0; }; \
                 add rule ip seen input ip saddr 198.51.100.5 counter name leaks";
    Cmd::line("ip netns exec mh-net nft").arg(rules).quiet()
}

fn leaked() -> Result<String> {
    let counter = Cmd::line("ip netns exec mh-net nft list counter ip seen leaks").read()?;
    let mut words = counter.split_whitespace().skip_while(|word| *word != "packets");
    Ok(words.nth(1).context("nft shows no counter")?.to_owned())
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.world.api("multihop disable_multihop").capture();
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
        for link in ["mh-up", "mh-to-client"] {
            let _ = Cmd::line("ip link del").arg(link).capture();
        }
    }
}

fn lay_cables() -> Result {
    let lan = |namespace: &str, address: u8| {
        [
            format!("ip netns add {namespace}"),
            format!("ip -n {namespace} link set lo up"),
            format!("ip link add {namespace} netns mh-lan type veth peer name eth0 netns {namespace}"),
            format!("ip -n mh-lan link set {namespace} master bridge up"),
            format!("ip -n {namespace} addr add 198.51.100.{address}/24 dev eth0"),
            format!("ip -n {namespace} link set eth0 up"),
        ]
    };
    let mut all: Vec<String> = [
        "ip netns add mh-lan",
        "ip -n mh-lan link add bridge type bridge",
        "ip -n mh-lan link set bridge up",
        "ip link add mh-up type veth peer name server netns mh-lan",
        "ip -n mh-lan link set server master bridge up",
        "ip addr add 198.51.100.5/24 dev mh-up",
        "ip link set mh-up up",
        "ip route add default via 198.51.100.1",
        "ip netns add mh-client",
        "ip -n mh-client link set lo up",
        "ip link add mh-to-client type veth peer name eth0 netns mh-client",
        "ip addr add 192.0.2.1/30 dev mh-to-client",
        "ip link set mh-to-client up",
        "ip -n mh-client addr add 192.0.2.2/30 dev eth0",
        "ip -n mh-client link set eth0 up",
    ]
    .map(str::to_owned)
    .into();
    all.extend(lan("mh-exit1", 9));
    all.extend(lan("mh-exit2", 10));
    all.extend(lan("mh-net", 2));
    all.iter().try_for_each(|line| Cmd::line(line).quiet())
}

/// A running ping of the client and the moments of its answers.
struct Pings {
    child: Child,
    answers: Receiver<Instant>,
}

impl Pings {
    fn start() -> Result<Self> {
        let ping = in_client(&format!("ping -n -i 0.05 -W 0.5 {NET}"));
        let mut child = ping.spawn(Stdio::null(), Stdio::piped(), Stdio::null())?;
        let stdout = child.stdout.take().context("no pipe")?;
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            lines(stdout, &mut |line| {
                if line.contains("icmp_seq=") && line.contains("time=") {
                    let _ = sender.send(Instant::now()); // nobody listens any more when the run is over
                }
            });
        });
        Ok(Self { child, answers })
    }
}

impl Drop for Pings {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn in_client(line: &str) -> Cmd {
    Cmd::line("ip netns exec mh-client").args(line.split(' '))
}

/// A new private key with its line's end, and its public key.
fn keys() -> Result<(String, String)> {
    let private = Cmd::line("wg genkey").read()? + "\n";
    let public = Cmd::line("wg pubkey").input(private.clone()).read()?;
    Ok((private, public))
}
