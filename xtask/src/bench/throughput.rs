//! TCP between two namespaces through WireGuard devices in user space, ours beside others.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::Value;

use super::measure::interleave;
use super::report::{Goal, Report, Row, Unit};
use super::subnet::wait_for_socket;
use super::world::DEVICE;
use super::{Options, Places};
use crate::command::Cmd;
use crate::problem::{Context as _, Result};

/// The two namespaces, which a cable joins.
pub(super) const SIDES: [&str; 2] = ["left", "right"];

/// Measures all there are, in turns.
pub(super) fn run(places: &Places, options: &Options, report: &mut Report) -> Result {
    lay_cable()?;
    let ours = Tunnel::new(1, &[places.programs.join(DEVICE).as_os_str()])?;
    let go = Tunnel::new(2, &["wireguard-go".as_ref(), "--foreground".as_ref()])?;
    let gotatun = places.gotatun.as_deref().map(Path::as_os_str);
    // Without a terminal it does not find out whose privileges it would fall back to.
    let words: [&OsStr; 2] = ["--foreground".as_ref(), "--disable-drop-privileges".as_ref()];
    let gotatun = gotatun.map(|program| Tunnel::new(3, &[program, words[0], words[1]])).transpose()?;
    let seconds = if options.quick { 1 } else { 2 };
    // Without the third the second is measured once more and not looked at.
    let third = gotatun.as_ref().unwrap_or(&go);
    let [up, down, go_up, go_down, third_up, third_down] = interleave(
        options.few(),
        [
            &mut || ours.speed(seconds, false),
            &mut || ours.speed(seconds, true),
            &mut || go.speed(seconds, false),
            &mut || go.speed(seconds, true),
            &mut || third.speed(seconds, false),
            &mut || third.speed(seconds, true),
        ],
    )?;
    let mut add = |way: &str, measured: f64, peer: Option<(&str, f64)>, times: f64| {
        report.add(Row {
            what: format!("embedded device, TCP {way}"),
            measured: peer.map(|_| measured),
            unit: Unit::MegabitsPerSecond,
            peer: peer.map(|(name, figure)| (name.to_owned(), figure)),
            goal: Goal::TimesOrMore(times),
            remark: if peer.is_none() { "gotatun-cli could not be built".to_owned() } else { String::new() },
        });
    };
    add("there", up, Some(("Debian's wireguard-go", go_up)), 3.0);
    add("back", down, Some(("Debian's wireguard-go", go_down)), 3.0);
    add("there", up, gotatun.as_ref().map(|_| ("gotatun-cli 0.10.2", third_up)), 1.5);
    add("back", down, gotatun.as_ref().map(|_| ("gotatun-cli 0.10.2", third_down)), 1.5);
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
        Self::between(number, program, |host| format!("192.0.2.{host}:{}", Self::port(number)))
    }

    /// The UDP port of both ends.
    pub(super) fn port(number: u8) -> u16 {
        51_000 + u16::from(number)
    }

    /// The same, whose left end reaches the other where `endpoint` says for it; the right one learns it.
    pub(super) fn from_left(number: u8, program: &OsStr, endpoint: &str) -> Result<Self> {
        Self::between(number, &[program], |host| if host == 2 { endpoint.to_owned() } else { String::new() })
    }

    fn between(number: u8, program: &[&OsStr], endpoint: impl Fn(usize) -> String) -> Result<Self> {
        let mut tunnel = Self { number, processes: Vec::new() };
        let keys = [Keys::new()?, Keys::new()?];
        for (side, host) in SIDES.into_iter().zip(1..) {
            let name = tunnel.interface(side);
            let inside = |words: &str| Cmd::line("ip netns exec").arg(side).args(words.split(' '));
            let device = Cmd::line("ip netns exec").arg(side).args(program).arg(&name);
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
        let line =
            format!("ip netns exec left iperf3 --json --time {seconds} --client 10.99.{}.2", self.number);
        let mut command = Cmd::line(&line);
        if back {
            command = command.arg("--reverse");
        }
        let answer: Value = serde_json::from_str(&command.read()?).context("iperf3")?;
        let bits =
            answer["end"]["sum_received"]["bits_per_second"].as_f64().context("iperf3 names no speed")?;
        Ok(bits / 1e6)
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
