//! What is sent through a tunnel, and what is measured of it.

use std::fs;
use std::process::Child;

use serde_json::Value;

use super::Tunnel;
use crate::bench::Options;
use crate::bench::report::{Goal, Unit};
use crate::command::Cmd;
use crate::problem::{Context as _, Problem, Result};

/// The highest rate of datagrams that is tried, in Mbit/s, and how often the range is halved.
const HIGHEST: f64 = 8000.0;
const HALVINGS: usize = 8;
/// How many of a hundred datagrams may be lost.
const LOSS: f64 = 1.0;
/// Ticks of the processor's clock in a second, as `/proc` counts them on all Linux.
const TICKS: f64 = 100.0;

/// Traffic of one kind.
#[derive(Clone, Copy, Debug)]
pub(super) enum Load {
    /// So many TCP connections, to the right or back.
    Tcp { connections: u32, back: bool },
    /// As many datagrams of 1,400 bytes, with the headers of IP and UDP, as arrive: they fit into the MTU of 1,420.
    Datagrams { back: bool },
    /// Single packets to and fro.
    Idle,
}

/// What was measured once, or the middle of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    /// In the unit of the load.
    pub(super) speed: f64,
    /// Seconds of processor time for each gigabyte, of both devices.
    pub(super) cost: f64,
}

/// What iperf3 says.
pub(super) struct Said {
    /// Mbit/s that arrived.
    pub(super) speed: f64,
    bytes: f64,
    lost: f64,
}

impl Load {
    pub(super) const ALL: [Self; 7] = [
        Self::Tcp { connections: 1, back: false },
        Self::Tcp { connections: 1, back: true },
        Self::Tcp { connections: 4, back: false },
        Self::Tcp { connections: 4, back: true },
        Self::Datagrams { back: false },
        Self::Datagrams { back: true },
        Self::Idle,
    ];

    /// Whether it is one TCP connection.
    pub(super) const fn is_simple(self) -> bool {
        matches!(self, Self::Tcp { connections: 1, .. })
    }

    /// Whether its processor time is worth a row.
    pub(super) const fn costs(self) -> bool {
        matches!(self, Self::Tcp { .. })
    }

    pub(super) fn name(self) -> String {
        let way = |back| if back { "back" } else { "there" };
        match self {
            Self::Tcp { connections: 1, back } => format!("TCP {}", way(back)),
            Self::Tcp { connections, back } => format!("{connections} TCP connections {}", way(back)),
            Self::Datagrams { back } => {
                format!("most datagrams of 1,400 bytes with 1 % lost, {}", way(back))
            }
            Self::Idle => "idle round trip".to_owned(),
        }
    }

    pub(super) const fn unit(self) -> Unit {
        if let Self::Idle = self { Unit::Microseconds } else { Unit::MegabitsPerSecond }
    }

    /// What is asked beside a rival that is to be passed so many times.
    pub(super) const fn goal(self, times: f64) -> Goal {
        if let Self::Idle = self { Goal::TimesOrLess(0.5) } else { Goal::TimesOrMore(times) }
    }

    /// Sends it through a tunnel.
    pub(super) fn through(self, tunnel: &Tunnel, options: &Options) -> Result<Taken> {
        let seconds = if options.quick { "1" } else { "2" };
        match self {
            Self::Tcp { connections, back } => {
                let connections = connections.to_string();
                let words = ["--time", seconds, "--parallel", &connections, "--reverse"];
                let before = tunnel.processor()?;
                let said = iperf(&tunnel.far(), &words[..if back { 5 } else { 4 }])?;
                let cost = (tunnel.processor()? - before) / (said.bytes / 1e9);
                Ok(Taken { speed: said.speed, cost })
            }
            Self::Datagrams { back } => highest(tunnel, back),
            Self::Idle => Ok(Taken { speed: round_trip(&tunnel.far())?, cost: f64::NAN }),
        }
    }
}

/// The highest rate at which nearly everything arrives.
fn highest(tunnel: &Tunnel, back: bool) -> Result<Taken> {
    let (mut low, mut high, mut best) = (0.0, HIGHEST, Taken { speed: 0.0, cost: f64::NAN });
    for _ in 0..HALVINGS {
        let rate = f64::midpoint(low, high);
        let bits = format!("{rate:.0}M");
        let words = ["--udp", "--length", "1372", "--time", "1", "--bitrate", &bits, "--reverse"];
        let before = tunnel.processor()?;
        let said = iperf(&tunnel.far(), &words[..if back { 8 } else { 7 }])?;
        let arrived = said.speed * (1.0 - said.lost / 100.0);
        // What could not be sent at all is lost as well.
        if said.lost <= LOSS && arrived >= rate * 0.93 {
            low = rate;
            best = Taken { speed: arrived, cost: (tunnel.processor()? - before) / (said.bytes / 1e9) };
        } else {
            high = rate;
        }
    }
    Ok(best)
}

/// Sends from the left end to this address, or back.
pub(super) fn iperf(address: &str, words: &[&str]) -> Result<Said> {
    let command = Cmd::line("ip netns exec left iperf3 --json --client").arg(address).args(words);
    let answer: Value = serde_json::from_str(&command.read()?).context("iperf3")?;
    let end = &answer["end"];
    let sum = if end["sum_received"].is_object() && end["sum"].is_null() {
        &end["sum_received"]
    } else {
        &end["sum"]
    };
    let figure = |name: &str| sum[name].as_f64();
    let bits = figure("bits_per_second").context("iperf3 names no speed")?;
    Ok(Said {
        speed: bits / 1e6,
        bytes: figure("bytes").unwrap_or(f64::NAN),
        lost: figure("lost_percent").unwrap_or(0.0),
    })
}

/// Microseconds that a packet takes there and back while nothing else passes.
fn round_trip(address: &str) -> Result<f64> {
    let said = Cmd::line("ip netns exec left ping -q -c 500 -i 0.002").arg(address).read()?;
    // "rtt min/avg/max/mdev = 0.1/0.2/0.3/0.1 ms"
    let average = said.rsplit(" = ").next().and_then(|figures| figures.split('/').nth(1));
    let average: f64 =
        average.and_then(|figure| figure.parse().ok()).context(format!("ping said: {said}"))?;
    Ok(average * 1e3)
}

/// Seconds of processor time that a process has taken.
pub(super) fn processor(process: &Child) -> Result<f64> {
    let file = format!("/proc/{}/stat", process.id());
    let text = fs::read_to_string(&file).context(&file)?;
    // The name of the program is in parentheses and may hold anything.
    let behind = text.rsplit(')').next().unwrap_or_default();
    let ticks: f64 =
        behind.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
    if ticks.is_nan() { Err(Problem::new(file)) } else { Ok(ticks / TICKS) }
}
