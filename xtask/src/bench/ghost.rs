//! The tunnel server beside the real wstunnel server: the same client, the same load, the same run.
//!
//! The clients are run from a copy of the program. Client and server of one file have one memory for their code, and what
//! one has just run is in the processor's caches for the other, which is worth 10 % of a round trip; people's clients run
//! on other machines.
//!
//! Of several wstunnels that are at hand, the newest is taken. Without one nothing is compared, and the rows say so.

mod carried;
mod crowd;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::measure::middle_round;
use super::report::{Goal, Report, Row, Unit};
use super::{Options, Places};
use crate::command::Cmd;
use crate::problem::{Context as _, Problem, Result};
use crate::wstunnel;

/// Opens tunnels in what is thrown away after the run.
pub(super) const SECRET: &str = "BenchBenchBenchBenchBenchBenchBenchBenchBenchBenchBenchBench0001";
pub(super) const DOMAIN: &str = "bench.example.com";
/// UDP ports: where tunnels lead to, and the first of those where the clients of the two servers listen.
const WIREGUARD: u16 = 21_999;
const CLIENTS: [u16; 2] = [22_001, 22_201];
/// The next server's TCP port. Each has one of its own: wstunnel does not listen at one where a connection just ended.
/// All ports are below those that the kernel gives to sockets that ask for none.
static NEXT_PORT: AtomicU16 = AtomicU16::new(20_443);
/// How many tunnels are idle where memory is measured.
const IDLE: u16 = 1000;
const PATIENCE: Duration = Duration::from_secs(20);

/// The loads, in the order of the rows: so many tunnels, and the way.
const LOADS: [(u16, &str); 6] =
    [(1, "up"), (1, "down"), (10, "up"), (10, "down"), (100, "up"), (100, "down")];

/// The rows, in order: what, unit, goal.
const ROWS: [(&str, Unit, Goal); 11] = [
    ("tunnel server, CPU per 1,400-byte datagram up", Unit::Microseconds, Goal::TimesOrLess(0.55)),
    ("tunnel server, CPU per 1,400-byte datagram down", Unit::Microseconds, Goal::TimesOrLess(0.45)),
    ("tunnel server, 1 tunnel up", Unit::MegabitsPerSecond, Goal::TimesOrMore(1.2)),
    ("tunnel server, 1 tunnel down", Unit::MegabitsPerSecond, Goal::TimesOrMore(1.2)),
    ("tunnel server, 10 tunnels up", Unit::MegabitsPerSecond, Goal::TimesOrMore(1.2)),
    ("tunnel server, 10 tunnels down", Unit::MegabitsPerSecond, Goal::TimesOrMore(1.2)),
    ("tunnel server, 100 tunnels up", Unit::MegabitsPerSecond, Goal::TimesOrMore(1.2)),
    ("tunnel server, 100 tunnels down", Unit::MegabitsPerSecond, Goal::TimesOrMore(1.2)),
    ("tunnel server, idle round trip added", Unit::Microseconds, Goal::TimesOrLess(1.0)),
    ("tunnel server, memory per idle tunnel", Unit::Kibibytes, Goal::Limit(40.0)),
    ("tunnel server, 1,000 idle tunnels", Unit::Mebibytes, Goal::Limit(45.0)),
];

/// What follows them: TCP through WireGuard through both ends of a tunnel.
const CARRIED: [(&str, Unit, Goal); 2] = [
    ("WireGuard in the tunnel, both ends, TCP there", Unit::MegabitsPerSecond, Goal::TimesOrMore(1.2)),
    ("WireGuard in the tunnel, both ends, TCP back", Unit::MegabitsPerSecond, Goal::TimesOrMore(1.2)),
];

/// Measures what needs no other server, then both servers in turns.
pub(super) fn run(places: &Places, options: &Options, report: &mut Report) -> Result {
    crowd::run(places, report)?;
    let Some((stock, version)) = newest_wstunnel()? else {
        for row in ROWS.into_iter().chain(CARRIED) {
            report.add(line(row, None, None, "no wstunnel is here: PHANTOM_WSTUNNEL"));
        }
        return Ok(());
    };
    let (certificate, client) = (Certificate::new(places)?, places.out.join("wstunnel-client"));
    fs::copy(&stock, &client).context(client.display())?;
    let rig = Rig { places, stock: &stock, client: &client, certificate: &certificate };
    let figures = measure(rig, options)?;
    for (row, [ours, theirs]) in ROWS.into_iter().zip(figures) {
        report.add(line(row, Some(ours), Some((version.clone(), theirs)), ""));
    }
    for (row, [ours, theirs]) in
        CARRIED.into_iter().zip(carried::measure(places, options, &stock, &certificate)?)
    {
        report.add(line(row, Some(ours), Some((version.clone(), theirs)), ""));
    }
    Ok(())
}

fn line(
    (what, unit, goal): (&str, Unit, Goal),
    measured: Option<f64>,
    peer: Option<(String, f64)>,
    remark: &str,
) -> Row {
    Row { what: what.to_owned(), measured, unit, peer, goal, remark: remark.to_owned() }
}

/// All figures: ours and wstunnel's, in the order of the rows.
fn measure(rig: Rig<'_>, options: &Options) -> Result<Vec<[f64; 2]>> {
    let loads = loads(rig, options)?;
    // A datagram's CPU with one tunnel, then all speeds.
    let mut figures: Vec<_> = loads[..2].iter().map(|(_, cpu)| *cpu).collect();
    figures.extend(loads.map(|(speed, _)| speed));
    figures.push(round_trips(rig, options)?);
    // Fresh servers: what the load has left behind is not the idle tunnels'.
    let mut memory = [[0.0; 2]; 2];
    for (at, start) in [Side::ours, Side::stock].into_iter().enumerate() {
        let mut side = start(rig)?;
        side.connect(1)?;
        let one = side.load("idle", 1, 2)?.rss;
        let all = side.load("idle", IDLE, 5)?.rss;
        memory[0][at] = (all - one) / f64::from(IDLE - 1);
        memory[1][at] = all / 1024.0;
    }
    figures.extend(memory);
    Ok(figures)
}

/// Of each load Mbit/s and microseconds of CPU per datagram, of both servers in turns. Each round measures every load once,
/// with fresh processes: so each is measured in all the weather that the machine has meanwhile.
fn loads(rig: Rig<'_>, options: &Options) -> Result<[([f64; 2], [f64; 2]); LOADS.len()]> {
    let rounds = if options.quick { 3 } else { 21 };
    let mut taken = LOADS.map(|_| (Vec::new(), Vec::new()));
    for round in 0..rounds {
        for ((count, mode), (speeds, cpus)) in LOADS.into_iter().zip(&mut taken) {
            let mut both = [Side::ours(rig)?, Side::stock(rig)?];
            for side in &mut both {
                side.connect(count)?;
            }
            let (mut speed, mut cpu) = ([0.0; 2], [0.0; 2]);
            for turn in 0..2 {
                let at = (round + turn) % 2;
                let load = both[at].load(mode, count, 2)?;
                speed[at] = load.datagrams * 1400.0 * 8.0 / 1e6 / load.seconds;
                cpu[at] = load.cpu / load.datagrams * 1e6;
            }
            speeds.push(speed);
            cpus.push(cpu);
        }
    }
    Ok(taken.map(|(speeds, cpus)| (middle_round(speeds), middle_round(cpus))))
}

/// Microseconds that a tunnel adds to a datagram's way there and back. Both servers run at once and are asked by turns, in
/// between without a tunnel: so what disturbs the machine disturbs all three. Each round has fresh processes, since on
/// which processors their threads come to lie makes more of a difference than anything they do.
fn round_trips(rig: Rig<'_>, options: &Options) -> Result<[f64; 2]> {
    let rounds = if options.quick { 7 } else { 41 };
    let mut added = Vec::new();
    for _ in 0..rounds {
        let mut both = [Side::ours(rig)?, Side::stock(rig)?];
        for side in &mut both {
            side.connect(1)?;
        }
        let ports = [both[0].client, both[1].client, WIREGUARD].map(|port| port.to_string());
        let [ours, theirs, direct] = both[0].bench("rtt", &ports.join(","), 3, 2)?.rtt[..] else {
            return Err(Problem::new("bench-tunnel tells not three round trips"));
        };
        added.push([ours - direct, theirs - direct]);
    }
    Ok(middle_round(added))
}

/// wstunnel's newest program that is here, with its version in words.
fn newest_wstunnel() -> Result<Option<(PathBuf, String)>> {
    let newest = wstunnel::all()?.pop();
    Ok(newest.map(|stock| (stock.path, format!("wstunnel {}", stock.version))))
}

/// One certificate for both.
struct Certificate {
    chain: PathBuf,
    key: PathBuf,
}

impl Certificate {
    fn new(places: &Places) -> Result<Self> {
        let request = json!({"domain": DOMAIN, "certs_dir": places.out.join("opt/ghost-certs")});
        let answer =
            Cmd::new(places.programs.join("phantom-ghost")).arg("self-sign").input(request.to_string());
        let answer: Value = serde_json::from_str(&answer.read()?).context("self-sign")?;
        let path = |name: &str| answer[name].as_str().map(PathBuf::from).context("self-sign names no file");
        Ok(Self { chain: path("cert_path")?, key: path("key_path")? })
    }
}

/// What a measurement is made with.
#[derive(Clone, Copy)]
struct Rig<'a> {
    places: &'a Places,
    /// wstunnel's program, and the copy of it that clients are run from.
    stock: &'a Path,
    client: &'a Path,
    certificate: &'a Certificate,
}

/// A server, and wstunnel's clients of it.
struct Side<'a> {
    rig: Rig<'a>,
    /// The first client's UDP port.
    client: u16,
    port: u16,
    server: Child,
    clients: Vec<Child>,
}

/// What `bench-tunnel` tells.
struct Load {
    datagrams: f64,
    seconds: f64,
    cpu: f64,
    rss: f64,
    /// Of each tunnel.
    rtt: Vec<f64>,
}

impl<'a> Side<'a> {
    fn ours(rig: Rig<'a>) -> Result<Self> {
        let control = Path::new("/run/bench-ghost");
        let port = NEXT_PORT.fetch_add(1, Ordering::Relaxed);
        let server = Cmd::new(rig.places.programs.join("phantom-ghost"))
            .args(["serve", "--listen"])
            .arg(format!("127.0.0.1:{port}"))
            .arg("--control")
            .arg(control);
        let side = Self::new(rig, (CLIENTS[0], port), &server)?;
        configure(control, rig.certificate, WIREGUARD)?;
        Ok(side)
    }

    fn stock(rig: Rig<'a>) -> Result<Self> {
        let port = NEXT_PORT.fetch_add(1, Ordering::Relaxed);
        let server = Cmd::new(rig.stock)
            .args(["server", "--log-lvl", "OFF", "-r", SECRET, "--restrict-to"])
            .arg(format!("127.0.0.1:{WIREGUARD}"))
            .arg("--tls-certificate")
            .arg(&rig.certificate.chain)
            .arg("--tls-private-key")
            .arg(&rig.certificate.key)
            .arg(format!("wss://127.0.0.1:{port}"));
        Self::new(rig, (CLIENTS[1], port), &server)
    }

    /// Starts the server and waits until it listens.
    fn new(rig: Rig<'a>, (client, port): (u16, u16), server: &Cmd) -> Result<Self> {
        let server = server.spawn(Stdio::null(), Stdio::null(), Stdio::null())?;
        let side = Self { rig, client, port, server, clients: Vec::new() };
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if start.elapsed() > PATIENCE {
                return Err(Problem::new("a tunnel server does not listen"));
            }
            sleep(Duration::from_millis(20));
        }
        Ok(side)
    }

    /// So many clients in the place of those there are: a tunnel has a client of its own, as people have.
    fn connect(&mut self, count: u16) -> Result {
        end(&mut self.clients);
        self.clients.clear();
        for port in (self.client..).take(count.into()) {
            let way = format!("udp://127.0.0.1:{port}:127.0.0.1:{WIREGUARD}?timeout_sec=0");
            let client = Cmd::new(self.rig.client)
                .args(["client", "--log-lvl", "OFF", "-P", SECRET, "-L", &way])
                .arg(format!("wss://127.0.0.1:{}", self.port));
            self.clients.push(client.spawn(Stdio::null(), Stdio::null(), Stdio::null())?);
        }
        Ok(())
    }

    /// Loads this many tunnels, of all clients in turns.
    fn load(&self, mode: &str, count: u16, seconds: u16) -> Result<Load> {
        let clients = u16::try_from(self.clients.len()).context("clients")?;
        self.bench(mode, &format!("{}-{}", self.client, self.client + clients - 1), count, seconds)
    }

    fn bench(&self, mode: &str, to: &str, count: u16, seconds: u16) -> Result<Load> {
        let numbers = [WIREGUARD, count, seconds].map(|number| number.to_string());
        let pid = self.server.id().to_string();
        let helper = self.rig.places.helpers.join("bench-tunnel");
        let command = Cmd::new(helper).args([mode, to]).args(numbers).arg(pid);
        let answer: Value = serde_json::from_str(&command.read()?).context("bench-tunnel")?;
        let figure = |name: &str| answer[name].as_f64().context(format!("bench-tunnel tells no {name}"));
        Ok(Load {
            datagrams: figure("datagrams")?,
            seconds: figure("seconds")?,
            cpu: figure("cpu")?,
            rss: figure("rss")?,
            rtt: answer["rtt"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect(),
        })
    }
}

impl Drop for Side<'_> {
    fn drop(&mut self) {
        end(&mut self.clients);
        end(std::slice::from_mut(&mut self.server));
    }
}

/// Ends processes, and waits for it.
fn end(processes: &mut [Child]) {
    for process in &mut *processes {
        let _ = process.kill();
    }
    for process in processes {
        let _ = process.wait();
    }
}

/// Tells our server what a keeper would.
fn configure(control: &Path, certificate: &Certificate, wireguard: u16) -> Result {
    let read = |path: &Path| fs::read_to_string(path).context(path.display());
    let request = json!({"configure": {
        "secrets": [SECRET],
        "wireguard_port": wireguard,
        "certificate_pem": read(&certificate.chain)?,
        "key_pem": read(&certificate.key)?,
    }});
    let start = Instant::now();
    let mut socket = loop {
        match UnixStream::connect(control) {
            Ok(socket) => break socket,
            Err(_) if start.elapsed() < PATIENCE => sleep(Duration::from_millis(20)),
            Err(error) => return Err(Problem::new(format!("{}: {error}", control.display()))),
        }
    };
    socket.write_all(format!("{request}\n").as_bytes()).context(control.display())?;
    let mut answer = String::new();
    BufReader::new(socket).read_line(&mut answer).context(control.display())?;
    if answer.contains("\"ok\":true") {
        Ok(())
    } else {
        Err(Problem::new(format!("the server says {answer}")))
    }
}
