//! Traffic between two namespaces through WireGuard devices in user space, ours beside others.
//!
//! The newest wireguard-go is the one to hold against: `PHANTOM_WIREGUARD_GO` names its program. The package of a distribution may
//! be years older; rows that are held against such a one say so.

mod load;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use self::load::{Load, Taken};
use super::measure::median;
use super::report::{Goal, Report, Row, Unit};
use super::subnet::wait_for_socket;
use super::world::DEVICE;
use super::{Options, Places};
use crate::command::Cmd;
use crate::problem::Result;

/// The two namespaces, which a cable joins.
pub(super) const SIDES: [&str; 2] = ["left", "right"];

/// Names the program of a newer wireguard-go than the distribution has.
const VARIABLE: &str = "PHANTOM_WIREGUARD_GO";
/// The year from which on wireguard-go lets the kernel cut and join packets.
const OLD: &str = "v0.0.2023";

/// Another program, and what is asked of ours beside it.
struct Rival {
    name: String,
    words: Vec<PathBuf>,
    /// How many times its throughput.
    times: f64,
    /// All loads, or one TCP connection alone.
    whole: bool,
}

/// Measures all there are, in turns.
pub(super) fn run(places: &Places, options: &Options, report: &mut Report) -> Result {
    lay_cable()?;
    let device = places.programs.join(DEVICE);
    let ours = Tunnel::new(1, &[device.as_os_str()])?;
    for (number, rival) in (2..).zip(rivals(places)?) {
        let words: Vec<&OsStr> = rival.words.iter().map(|word| word.as_os_str()).collect();
        let theirs = Tunnel::new(number, &words)?;
        compare(&ours, &theirs, &rival, options, report)?;
        drop(theirs);
        if rival.whole {
            let own = [device.as_os_str()];
            clients(number + 20, [&own, &words], &rival, options, report)?;
        }
    }
    bare(options, report)
}

/// The newest wireguard-go that is at hand, and the library's own program.
fn rivals(places: &Places) -> Result<Vec<Rival>> {
    let go = std::env::var_os(VARIABLE).map_or_else(|| "wireguard-go".into(), PathBuf::from);
    let said = Cmd::new(&go).arg("--version").read()?;
    let version = said.split_whitespace().find(|word| word.starts_with("v0")).unwrap_or("v?").to_owned();
    let is_old = version.as_str() < OLD;
    let remark = if is_old { ", an old one without offload" } else { "" };
    let mut rivals = vec![Rival {
        name: format!("wireguard-go {version}{remark}"),
        words: vec![go, "--foreground".into()],
        times: if is_old { 6.0 } else { 2.0 },
        whole: true,
    }];
    if let Some(program) = &places.gotatun {
        // Without a terminal it does not find out whose privileges it would fall back to.
        let words = vec![program.clone(), "--foreground".into(), "--disable-drop-privileges".into()];
        rivals.push(Rival { name: "gotatun-cli 0.10.2".to_owned(), words, times: 1.5, whole: false });
    }
    Ok(rivals)
}

/// The same load through both, in turns.
fn in_turns([ours, theirs]: [&Tunnel; 2], load: Load, options: &Options) -> Result<[Taken; 2]> {
    let mut taken = [Vec::new(), Vec::new()];
    let rounds = if options.quick { 3 } else { 9 };
    for round in 0..=rounds {
        for at in [round % 2, 1 - round % 2] {
            let one = load.through([ours, theirs][at], options)?;
            if round > 0 {
                taken[at].push(one);
            }
        }
    }
    Ok(taken.map(|taken| Taken {
        speed: median(taken.iter().map(|one| one.speed).collect()),
        cost: median(taken.iter().map(|one| one.cost).collect()),
    }))
}

fn compare(ours: &Tunnel, theirs: &Tunnel, rival: &Rival, options: &Options, report: &mut Report) -> Result {
    for load in Load::ALL.into_iter().filter(|load| rival.whole || load.is_simple()) {
        let [own, other] = in_turns([ours, theirs], load, options)?;
        let what = format!("embedded device, {}", load.name());
        let peer = |figure| Some((rival.name.clone(), figure));
        report.add(Row {
            what: what.clone(),
            measured: Some(own.speed),
            unit: load.unit(),
            peer: peer(other.speed),
            goal: load.goal(rival.times),
            remark: String::new(),
        });
        if rival.whole && load.costs() {
            report.add(Row {
                what: format!("{what}: processor time for each GB, both ends"),
                measured: Some(own.cost),
                unit: Unit::SecondsPerGigabyte,
                peer: peer(other.cost),
                goal: Goal::TimesOrLess(0.5),
                remark: String::new(),
            });
        }
    }
    Ok(())
}

/// Ours as the server of a client of the other kind, beside that other kind at both ends.
fn clients(
    number: u8,
    [ours, theirs]: [&[&OsStr]; 2],
    rival: &Rival,
    options: &Options,
    report: &mut Report,
) -> Result {
    let mixed = Tunnel::of(number, [theirs, ours])?;
    let same = Tunnel::of(number + 1, [theirs, theirs])?;
    for load in Load::ALL.into_iter().filter(|load| load.is_simple()) {
        let [own, other] = in_turns([&mixed, &same], load, options)?;
        report.add(Row {
            what: format!("embedded device as server of {}, {}", rival.name, load.name()),
            measured: Some(own.speed),
            unit: load.unit(),
            peer: Some((rival.name.clone(), other.speed)),
            goal: load.goal(1.4),
            remark: String::new(),
        });
    }
    Ok(())
}

/// What the machine does without any WireGuard.
fn bare(options: &Options, report: &mut Report) -> Result {
    let mut speeds = Vec::new();
    let mut server = Cmd::line("ip netns exec right iperf3 --server --bind 192.0.2.2").spawn(
        Stdio::null(),
        Stdio::null(),
        Stdio::null(),
    )?;
    for _ in 0..options.few() {
        speeds.push(load::iperf("192.0.2.2", &["--time", "1"])?.speed);
    }
    let _ = server.kill();
    let _ = server.wait();
    report.add(Row {
        what: "TCP there, without any WireGuard".to_owned(),
        measured: Some(median(speeds)),
        unit: Unit::MegabitsPerSecond,
        peer: None,
        goal: Goal::None,
        remark: String::new(),
    });
    Ok(())
}

/// Makes both namespaces with what joins them, unless another part has.
pub(super) fn lay_cable() -> Result {
    if Path::new("/run/netns").join(SIDES[0]).exists() {
        return Ok(());
    }
    for side in SIDES {
        Cmd::line(&format!("ip netns add {side}")).quiet()?;
    }
    Cmd::line("ip link add eth0 netns left type veth peer name eth0 netns right").quiet()?;
    for (side, host) in SIDES.into_iter().zip(1..) {
        Cmd::line(&format!("ip -n {side} addr add 192.0.2.{host}/24 dev eth0")).quiet()?;
        Cmd::line(&format!("ip -n {side} link set eth0 up")).quiet()?;
        Cmd::line(&format!("ip -n {side} link set lo up")).quiet()?;
    }
    Ok(())
}

/// A tunnel between the namespaces with the same program at both ends.
pub(super) struct Tunnel {
    number: u8,
    processes: Vec<Child>,
}

impl Tunnel {
    /// Starts the devices with the name of the interface as last word.
    fn new(number: u8, program: &[&OsStr]) -> Result<Self> {
        Self::of(number, [program, program])
    }

    /// The same, with another program at each end.
    fn of(number: u8, programs: [&[&OsStr]; 2]) -> Result<Self> {
        Self::between(number, programs, |host| format!("192.0.2.{host}:{}", Self::port(number)))
    }

    /// The UDP port of both ends.
    pub(super) fn port(number: u8) -> u16 {
        51_000 + u16::from(number)
    }

    /// The same, whose left end reaches the other where `endpoint` says for it; the right one learns it.
    pub(super) fn from_left(number: u8, program: &OsStr, endpoint: &str) -> Result<Self> {
        Self::between(number, [&[program], &[program]], |host| {
            if host == 2 { endpoint.to_owned() } else { String::new() }
        })
    }

    fn between(number: u8, programs: [&[&OsStr]; 2], endpoint: impl Fn(usize) -> String) -> Result<Self> {
        let mut tunnel = Self { number, processes: Vec::new() };
        let keys = [Keys::new()?, Keys::new()?];
        for (side, host) in SIDES.into_iter().zip(1..) {
            let name = tunnel.interface(side);
            let inside = |words: &str| Cmd::line("ip netns exec").arg(side).args(words.split(' '));
            let device = Cmd::line("ip netns exec").arg(side).args(programs[host - 1]).arg(&name);
            tunnel.processes.push(device.spawn(Stdio::null(), Stdio::null(), Stdio::null())?);
            wait_for_socket(&name)?;
            let (own, far) = (&keys[host - 1], &keys[2 - host]);
            let port = Self::port(number);
            inside(&format!("wg set {name} listen-port {port} private-key /dev/stdin"))
                .input(own.private.clone())
                .quiet()?;
            let far_host = 3 - host;
            let peer = format!("peer {} allowed-ips 10.99.{number}.{far_host}/32", far.public);
            let endpoint = Some(endpoint(far_host)).filter(|endpoint| !endpoint.is_empty());
            let endpoint = endpoint.map_or_else(String::new, |endpoint| format!(" endpoint {endpoint}"));
            inside(&format!("wg set {name} {peer}{endpoint}")).quiet()?;
            inside(&format!("ip addr add 10.99.{number}.{host}/24 dev {name}")).quiet()?;
            inside(&format!("ip link set {name} mtu 1420 up")).quiet()?;
        }
        let server = Cmd::line(&format!("ip netns exec right iperf3 --server --bind 10.99.{number}.2"));
        tunnel.processes.push(server.spawn(Stdio::null(), Stdio::null(), Stdio::null())?);
        // Two tries of a handshake: the first may come before what carries it.
        let ping = format!("ip netns exec left ping -c 1 -w 15 10.99.{number}.2");
        Cmd::line(&ping).quiet()?;
        Ok(tunnel)
    }

    fn interface(&self, side: &str) -> String {
        format!("bench_{side}{}", self.number)
    }

    /// Mbit/s that arrive over one TCP connection, to the right or to the left.
    pub(super) fn speed(&self, seconds: u32, back: bool) -> Result<f64> {
        let seconds = seconds.to_string();
        let words = ["--time", &seconds, "--reverse"];
        Ok(load::iperf(&self.far(), if back { &words } else { &words[..2] })?.speed)
    }

    /// The address of the right end within.
    fn far(&self) -> String {
        format!("10.99.{}.2", self.number)
    }

    /// Seconds of processor time that both devices have taken.
    fn processor(&self) -> Result<f64> {
        self.processes.iter().take(SIDES.len()).map(load::processor).sum()
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// The keys of one end, each with the line end that `wg` gives or takes.
pub(super) struct Keys {
    pub(super) private: String,
    pub(super) public: String,
}

impl Keys {
    pub(super) fn new() -> Result<Self> {
        let private = Cmd::line("wg genkey").read()? + "\n";
        let public = Cmd::line("wg pubkey").input(private.clone()).read()?;
        Ok(Self { private, public })
    }
}
