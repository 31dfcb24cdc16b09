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
use std::num::NonZero;
use std::path::{Path, PathBuf};
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

const ROWS: NonZero<u16> = NonZero::new(40).unwrap();
const COLUMNS: NonZero<u16> = NonZero::new(120).unwrap();

/// The program, the other end of its terminal, and what stands there.
struct Screen {
    child: Child,
    terminal: File,
    shown: vt100::Parser,
    start: Instant,
}

impl Screen {
    fn start(program: &Path) -> Result<Self> {
        let size = Winsize { ws_row: ROWS.get(), ws_col: COLUMNS.get(), ws_xpixel: 0, ws_ypixel: 0 };
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
        let shown = vt100::Parser::new(ROWS, COLUMNS, 0);
        Ok(Self { child, terminal: File::from(pty.master), shown, start })
    }

    fn comes(&self, milliseconds: u16) -> Result<bool> {
        let mut ends = [PollFd::new(self.terminal.as_fd(), PollFlags::POLLIN)];
        Ok(poll(&mut ends, PollTimeout::from(milliseconds))? > 0)
    }

    /// Reads what has come onto the screen.
    fn read(&mut self) -> Result {
        let mut piece = [0; 1 << 14];
        let length = self.terminal.read(&mut piece)?;
        self.shown.process(piece.get(..length).unwrap_or_default());
        Ok(())
    }

    /// Reads until something is to be seen; the moment from which it is.
    fn until(&mut self, what: &str, seen: impl Fn(&vt100::Screen) -> bool) -> Result<Instant> {
        let end = Instant::now() + LIMIT;
        while Instant::now() < end {
            if !self.comes(100)? {
                continue;
            }
            self.read()?;
            if seen(self.shown.screen()) {
                return Ok(Instant::now());
            }
        }
        Err(format!("{what} did not come: {}", self.shown.screen().contents()).into())
    }

    /// Reads until a text is to be seen; the moment from which it is.
    fn text(&mut self, text: &str) -> Result<Instant> {
        self.until(text, |screen| screen.contents().contains(text))
    }

    /// Presses a key when the screen is quiet; the moment before that.
    fn press(&mut self, key: &str) -> Result<Instant> {
        while self.comes(QUIET)? {
            self.read()?;
        }
        let start = Instant::now();
        self.terminal.write_all(key.as_bytes())?;
        Ok(start)
    }

    /// Milliseconds from a key until a text is to be seen.
    fn key(&mut self, key: &str, text: &str) -> Result<f64> {
        let start = self.press(key)?;
        Ok((self.text(text)? - start).as_secs_f64() * 1e3)
    }

    /// Milliseconds from a key until another line is the chosen one.
    fn choose(&mut self, key: &str) -> Result<f64> {
        let start = self.press(key)?;
        let before = chosen(self.shown.screen());
        let seen = self.until("another choice", |screen| chosen(screen) != before)?;
        Ok((seen - start).as_secs_f64() * 1e3)
    }

    fn leave(mut self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
        let peak = peak.trim().trim_end_matches(" kB").parse()?;
        self.terminal.write_all(b"\x03y")?;
        // What it says at its end is read, so that it does not wait for that; then the terminal has no other end.
        while self.terminal.read(&mut [0; 1 << 14]).is_ok_and(|length| length > 0) {}
        self.child.wait()?;
        Ok(peak)
    }
}

impl Drop for Screen {
    /// A program that stayed would keep the bench's pipes open.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The line that is shown inverse within the frame.
fn chosen(screen: &vt100::Screen) -> Option<u16> {
    (0..ROWS.get()).find(|row| screen.cell(*row, 2).is_some_and(vt100::Cell::inverse))
}

/// The line that says how many clients there are, or how many of them were found.
fn total(screen: &vt100::Screen) -> Option<String> {
    screen.rows(0, COLUMNS.get()).find(|line| line.contains("Total: "))
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
        let shown = screen.text("Core Management")?;
        starts.push((shown - screen.start).as_secs_f64() * 1e3);
        screen.leave()?;
    }
    let mut screen = Screen::start(&program)?;
    screen.text("Core Management")?;
    screen.key("1", "Client Operations")?;
    screen.key("1", "Page 1/")?;
    let (mut redraws, mut pages) = (Vec::new(), Vec::new());
    for page in 0..rounds {
        redraws.push(screen.choose("\x1b[B")?);
        pages.push(screen.key("n", &format!("Page {}/", page + 2))?);
    }
    let all = total(screen.shown.screen());
    screen.press("s")?;
    screen.press("99")?;
    screen.until("what was searched for", |screen| total(screen).is_some_and(|line| Some(line) != all))?;
    let peak = screen.leave()?;
    for figure in [median(starts), median(redraws), median(pages), peak] {
        println!("{figure}");
    }
    Ok(())
}
