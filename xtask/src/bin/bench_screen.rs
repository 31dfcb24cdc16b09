//! `bench-screen PROGRAM ROUNDS`: runs the full-screen interface on a terminal of its own and prints, each on a line: the
//! milliseconds from the start to the first screen, from a key to what it changes on the screen, from a key to the next
//! page of clients, and the most memory that the program had at any time, in KiB. The times are medians.
#![expect(
    clippy::disallowed_methods,
    reason = "a development tool runs programs; it is no part of the product"
)]
#![expect(clippy::print_stdout, reason = "it talks to the bench")]

use std::error::Error;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{Winsize, openpty};
use std::os::fd::AsFd as _;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// Longest wait for anything.
const LIMIT: Duration = Duration::from_secs(20);
/// As long as nothing comes for this time, the screen is whole.
const QUIET: u16 = 60;

/// The program, and the other end of its terminal.
struct Screen {
    child: Child,
    terminal: File,
    start: Instant,
}

impl Screen {
    fn start(program: &PathBuf) -> Result<Self> {
        let size = Winsize { ws_row: 40, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None)?;
        let end = || pty.slave.try_clone().map(Stdio::from);
        let start = Instant::now();
        let child = Command::new(program)
            .env("TERM", "xterm-256color")
            .env("LC_ALL", "C.UTF-8")
            .env("PHANTOM_LANG", "en")
            .stdin(end()?)
            .stdout(end()?)
            .spawn()?;
        Ok(Self { child, terminal: File::from(pty.master), start })
    }

    fn comes(&self, milliseconds: u16) -> Result<bool> {
        let mut ends = [PollFd::new(self.terminal.as_fd(), PollFlags::POLLIN)];
        Ok(poll(&mut ends, PollTimeout::from(milliseconds))? > 0)
    }

    /// Reads until a text has come; the moment at which it had.
    fn until(&mut self, text: &str) -> Result<Instant> {
        let mut seen = Vec::new();
        let end = Instant::now() + LIMIT;
        while Instant::now() < end {
            if !self.comes(100)? {
                continue;
            }
            let mut piece = [0; 1 << 14];
            let length = self.terminal.read(&mut piece)?;
            seen.extend_from_slice(piece.get(..length).unwrap_or_default());
            if seen.windows(text.len()).any(|window| window == text.as_bytes()) {
                return Ok(Instant::now());
            }
        }
        Err(format!("{text:?} did not come").into())
    }

    /// Reads what comes until nothing does.
    fn settle(&mut self) -> Result {
        while self.comes(QUIET)? {
            let _ = self.terminal.read(&mut [0; 1 << 14])?;
        }
        Ok(())
    }

    /// Presses a key when the screen is quiet; milliseconds until a text has come.
    fn key(&mut self, key: &str, text: &str) -> Result<f64> {
        self.settle()?;
        let start = Instant::now();
        self.terminal.write_all(key.as_bytes())?;
        Ok((self.until(text)? - start).as_secs_f64() * 1e3)
    }

    fn leave(mut self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
        let peak = peak.trim().trim_end_matches(" kB").parse()?;
        self.terminal.write_all(b"\x03y")?;
        self.settle()?;
        self.child.wait()?;
        Ok(peak)
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

fn main() -> Result {
    let mut words = std::env::args_os().skip(1);
    let program = PathBuf::from(words.next().ok_or("which program?")?);
    let rounds: usize = words.next().and_then(|word| word.into_string().ok()).ok_or("how often?")?.parse()?;
    let mut starts = Vec::new();
    for _ in 0..rounds {
        let mut screen = Screen::start(&program)?;
        let shown = screen.until("Core Management")?;
        starts.push((shown - screen.start).as_secs_f64() * 1e3);
        screen.leave()?;
    }
    let mut screen = Screen::start(&program)?;
    screen.until("Core Management")?;
    screen.key("1", "Client Operations")?;
    screen.key("1", "Total: ")?;
    let (mut redraws, mut pages) = (Vec::new(), Vec::new());
    for page in 0..rounds {
        // Going down redraws two lines; the reversed one is the last to be written.
        redraws.push(screen.key("\x1b[B", "\x1b[7m")?);
        pages.push(screen.key("n", &format!("{}", 10 * (page + 1) + 5))?);
    }
    screen.key("s", "Search")?;
    screen.key("99", "Total")?;
    screen.settle()?;
    let peak = screen.leave()?;
    for figure in [median(starts), median(redraws), median(pages), peak] {
        println!("{figure}");
    }
    Ok(())
}
