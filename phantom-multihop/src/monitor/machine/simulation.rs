//! A tunnel with loss and jitter in virtual time, with WireGuard's own timers and a client's traffic.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::{DeviceCounters, ECHOES, Machine, MonitorTask, Watch};

/// What the client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Traffic {
    /// Nothing: only keepalives and handshakes.
    Quiet,
    /// A request every so many milliseconds, each with an answer.
    Requests(u64),
    /// Only in one direction, every so many milliseconds: the exit answers with WireGuard's own keepalive.
    OneWay(u64),
    /// Requests with random pauses up to this many milliseconds.
    Bursts(u64),
}

/// What reaches us at a time, and how many bytes it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Arrival {
    at: u64,
    bytes: u64,
    handshake: bool,
}

pub(super) struct Simulation {
    pub(super) machine: Machine,
    traffic: Traffic,
    /// Lost packets in a thousand, in each direction.
    loss: u64,
    /// Longest additional delay of a packet.
    jitter: u64,
    /// From when nothing comes back any more, and until when.
    pub(super) hole: std::ops::Range<u64>,
    /// The exit answers echoes.
    pub(super) echoes: bool,
    random: u64,
    now: u64,
    rx: u64,
    tx: u64,
    handshake_at: u64,
    initiated_at: u64,
    next_request: u64,
    next_keepalive: u64,
    /// When the exit will answer data with a keepalive of its own (`KEEPALIVE_TIMEOUT`).
    passive_at: Option<u64>,
    coming: BinaryHeap<Reverse<Arrival>>,
}

const RTT: u64 = 60;

impl Simulation {
    pub(super) fn new(traffic: Traffic, loss: u64, jitter: u64, seed: u64) -> Self {
        let watch = Watch {
            keepalive: Duration::from_secs(5),
            named: true,
            in_use: "uk".parse().unwrap(),
            exits: vec!["uk".parse().unwrap()],
        };
        Self {
            machine: Machine::new(watch, Duration::ZERO),
            traffic,
            loss,
            jitter,
            hole: u64::MAX..u64::MAX,
            echoes: true,
            random: seed,
            now: 0,
            rx: 92,
            tx: 148,
            handshake_at: 0,
            initiated_at: 0,
            next_request: 1,
            next_keepalive: 5_000,
            passive_at: None,
            coming: BinaryHeap::new(),
        }
    }

    pub(super) fn now(&self) -> u64 {
        self.now
    }

    /// `SplitMix64`.
    fn number(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Whether a packet that leaves now gets through.
    fn through(&mut self) -> bool {
        self.number() % 1000 >= self.loss && !self.hole.contains(&self.now)
    }

    /// Sends bytes to the exit; it answers with `answer` of them.
    fn send(&mut self, bytes: u64, answer: u64, handshake: bool) {
        self.tx += bytes;
        if !self.through() {
            return;
        }
        if answer > 0 {
            self.passive_at = None;
            self.answer(answer, handshake);
        } else if bytes > 32 && self.passive_at.is_none() {
            self.passive_at = Some(self.now + 10_000);
        }
    }

    fn answer(&mut self, bytes: u64, handshake: bool) {
        if self.through() {
            let late = if self.jitter == 0 { 0 } else { self.number() % self.jitter };
            self.coming.push(Reverse(Arrival { at: self.now + RTT + late, bytes, handshake }));
        }
    }

    /// One step of 100 ms.
    fn step(&mut self) {
        self.now += 100;
        while self.coming.peek().is_some_and(|Reverse(next)| next.at <= self.now) {
            let Some(Reverse(arrival)) = self.coming.pop() else { break };
            if !self.hole.contains(&self.now) {
                self.rx += arrival.bytes;
                self.handshake_at = if arrival.handshake { self.now } else { self.handshake_at };
            }
        }
        if self.passive_at.is_some_and(|at| at <= self.now) {
            self.passive_at = None;
            self.answer(32, false);
        }
        let usable = self.now - self.handshake_at < 180_000;
        let mut wants = false;
        while self.next_request <= self.now {
            wants = true;
            let pause = self.request(usable);
            self.next_request += pause.max(1);
        }
        if self.next_keepalive <= self.now {
            self.next_keepalive = self.now + 5_000;
            wants = true;
            if usable {
                self.send(32, 0, false);
            }
        }
        // A packet that leaves asks for a new session when the old one is two minutes old, every five seconds.
        let due = self.now - self.handshake_at >= 120_000 && self.now - self.initiated_at >= 5_000;
        if wants && due {
            self.initiated_at = self.now;
            self.send(148, 92, true);
        }
    }

    /// The client's traffic that is due, and the pause until the next.
    fn request(&mut self, usable: bool) -> u64 {
        let (bytes, answer, pause) = match self.traffic {
            Traffic::Quiet => return u64::MAX / 2,
            Traffic::Requests(pause) => (112, 240, pause),
            Traffic::OneWay(pause) => (1312, 0, pause),
            Traffic::Bursts(longest) => (112, 1312, self.number() % longest),
        };
        if usable {
            self.send(bytes, answer, false);
        }
        pause
    }

    /// Runs until this time, a tick every second; gives what the machine wants done, with its time.
    pub(super) fn run_until(&mut self, end: u64) -> Vec<(u64, MonitorTask)> {
        let mut done = Vec::new();
        while self.now < end {
            self.step();
            if !self.now.is_multiple_of(1_000) {
                continue;
            }
            let handshake = Some(Duration::from_millis(self.now - self.handshake_at));
            let counters = DeviceCounters { rx: self.rx, tx: self.tx, handshake };
            for task in self.machine.tick(Duration::from_millis(self.now), Some(counters)) {
                if task == MonitorTask::Probe && self.now - self.handshake_at < 180_000 {
                    let answer = if self.echoes { 128 } else { 0 };
                    (0..ECHOES).for_each(|_| self.send(128, answer, false));
                }
                if task == MonitorTask::Prove {
                    // Asked three times within a second. The rest of the tunnel has the luck that it has without it.
                    let luck = self.random;
                    self.random ^= self.now;
                    let passed = (0..3).any(|_| self.through() && self.through());
                    self.random = luck;
                    self.machine.proven(Duration::from_millis(self.now), Some(passed));
                }
                if task == MonitorTask::Reconnect {
                    self.initiated_at = self.now;
                    self.send(148, 92, true);
                }
                done.push((self.now, task));
            }
        }
        done
    }
}
