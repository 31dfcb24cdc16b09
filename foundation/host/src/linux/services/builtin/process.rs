//! A process that is told from a later one with the same number by the time of its start.

use std::fmt;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, getpgid};
use phantom_types::Timestamp;

use crate::{HostError, Result};

/// Ticks of a second in `/proc/PID/stat` (`USER_HZ`): 100 on every architecture that Rust's Linux runs on.
const TICKS: i64 = 100;

/// `PF_EXITING`.
const EXITING: u64 = 4;

/// A process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Process {
    /// Its number.
    pub pid: u32,
    /// When it started, in ticks since the boot.
    pub started: u64,
}

/// What a process file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// The process of the service.
    pub process: Process,
    /// It has said that it is ready.
    pub ready: bool,
}

impl Process {
    /// The process that has this number now. One that has ended and waits for its parent is none.
    pub(super) fn from_pid(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (state, started) = parse_stat(&stat)?;
        (!matches!(state, 'Z' | 'X' | 'x')).then_some(Self { pid, started })
    }

    /// The processes that [`spawn_daemon`](crate::linux::command::spawn_daemon) has made for services of this run directory,
    /// each with the name of its service, in this network namespace. They are known by the socket that they were told of, and
    /// by being the first of their process group: what they start themselves ends with them.
    pub(super) fn started_below(run_dir: &Path) -> Vec<(String, Self)> {
        let here = fs::read_link("/proc/self/ns/net").ok();
        let begin = [b"NOTIFY_SOCKET=", run_dir.as_os_str().as_bytes(), b"/"].concat();
        let service = |pid: u32| {
            let of = |name: &str| format!("/proc/{pid}/{name}");
            let all = fs::read(of("environ")).ok()?;
            let socket = all.split(|byte| *byte == 0).find_map(|one| one.strip_prefix(begin.as_slice()))?;
            let name = std::str::from_utf8(socket).ok()?.strip_suffix(".notify")?.to_owned();
            let leads = i32::try_from(pid)
                .is_ok_and(|pid| getpgid(Some(Pid::from_raw(pid))).is_ok_and(|group| group.as_raw() == pid));
            (leads && fs::read_link(of("ns/net")).ok() == here).then_some(name)
        };
        let names = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.file_name());
        let numbers = names.filter_map(|name| name.to_str()?.parse().ok());
        let others = numbers.filter(|pid| *pid != std::process::id());
        others.filter_map(|pid| Some((service(pid)?, Self::from_pid(pid)?))).collect()
    }

    /// Whether this very process has begun to end (`PF_EXITING` of `linux/sched.h`): it answers nobody any more, and still
    /// holds its ports and links.
    pub(super) fn is_ending(self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        flags(&stat).is_none_or(|flags| flags & EXITING != 0)
    }

    /// Whether this very process runs. If it was started by this one and has ended, its remains are taken away.
    pub(super) fn runs(self) -> bool {
        if Self::from_pid(self.pid) == Some(self) {
            return true;
        }
        if let Some(pid) = self.number() {
            // Not our child: then it is init's to take care of.
            let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
        }
        false
    }

    /// When it started, by the wall clock.
    pub(super) fn started_at(self) -> Option<Timestamp> {
        let stat = fs::read_to_string("/proc/stat").ok()?;
        let boot: i64 = stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
        let ticks = i64::try_from(self.started).ok()?;
        Some(Timestamp::from_micros(boot * 1_000_000 + ticks * (1_000_000 / TICKS)))
    }

    /// Sends a signal, if it still runs.
    pub(super) fn signal(self, signal: Signal) -> Result<()> {
        self.send(signal, kill)
    }

    /// Kills it and what it has started, which is the process group that it was made the leader of.
    pub(super) fn kill_group(self) -> Result<()> {
        self.send(Signal::SIGKILL, killpg)
    }

    fn send(self, signal: Signal, how: impl Fn(Pid, Signal) -> nix::Result<()>) -> Result<()> {
        // Between the look and the signal the number could go to another process only if it was used up and came
        // round again in these microseconds.
        let Some(pid) = self.number().filter(|_| self.runs()) else { return Ok(()) };
        match how(pid, signal) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(errno) => Err(HostError::io(format!("sending {signal} to process {pid}"), errno.into())),
        }
    }

    fn number(self) -> Option<Pid> {
        i32::try_from(self.pid).ok().filter(|pid| *pid > 1).map(Pid::from_raw)
    }
}

impl Record {
    /// Reads a process file.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let process = Process { pid: words.next()?.parse().ok()?, started: words.next()?.parse().ok()? };
        Some(Self { process, ready: words.next()? == "ready" })
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Process { pid, started } = self.process;
        writeln!(f, "{pid} {started} {}", if self.ready { "ready" } else { "starting" })
    }
}

/// State and start time (fields 3 and 22) of a line of `/proc/PID/stat`. The name in field 2 can hold anything, also
/// blanks and brackets, so that the rest is counted from its end.
/// The kernel's flags of a process (`PF_*`).
fn flags(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(6)?.parse().ok()
}

fn parse_stat(stat: &str) -> Option<(char, u64)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<_> = rest.split_whitespace().collect();
    Some((fields.first()?.chars().next()?, fields.get(19)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{Process, Record, flags, parse_stat};

    const STAT: &str = "812 (a) b (c) S 1 812 812 0 -1 4194560 100 0 0 0 1 2 0 0 20 0 1 0 34567 1000 200 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0\n";

    #[test]
    fn stat_lines_are_read_whatever_the_name() {
        assert_eq!(parse_stat(STAT), Some(('S', 34_567)));
        assert_eq!(flags(STAT), Some(4_194_560));
        assert_eq!(parse_stat("1 (x) Z 1 2"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn process_files_are_written_and_read() {
        let process = Process { pid: 812, started: 34_567 };
        for ready in [true, false] {
            let record = Record { process, ready };
            assert_eq!(Record::parse(&record.to_string()), Some(record));
        }
        assert_eq!(Record { process, ready: true }.to_string(), "812 34567 ready\n");
        for wrong in ["", "812", "812 x ready", "-1 2 ready", "812 1"] {
            assert_eq!(Record::parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn reused_process_number_is_not_the_process() {
        let this = Process::from_pid(std::process::id()).unwrap();
        assert!(this.runs());
        assert!(!Process { started: this.started + 1, ..this }.runs());
        let age = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs().cast_signed()
            - this.started_at().unwrap().seconds();
        assert!((-2..3600).contains(&age), "{age}");
    }
}
