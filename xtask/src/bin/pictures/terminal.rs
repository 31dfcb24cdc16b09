//! A terminal of our own: a program on the one side, its screen as cells on the other.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::os::fd::AsFd as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{Winsize, openpty};
use vt100::{Parser, Screen};

use crate::Result;

/// Longest wait for anything.
const LIMIT: Duration = Duration::from_secs(30);
/// As long as nothing comes for this time, in milliseconds, the screen is whole.
const QUIET: u16 = 400;

/// A program, the other end of its terminal, and what that shows.
pub(crate) struct Terminal {
    child: Child,
    end: File,
    parser: Parser,
}

impl Terminal {
    /// Starts a program in a terminal of this size. It is the leader of a session whose terminal this is.
    pub(crate) fn start(columns: u16, rows: u16, words: &[&str], lang: &str) -> Result<Self> {
        let pty =
            openpty(Some(&Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }), None)?;
        let end = || pty.slave.try_clone().map(Stdio::from);
        let child = Command::new("setsid")
            .args(["--ctty", "--wait"])
            .args(words)
            .env("TERM", "xterm-256color")
            .env("LC_ALL", "C.UTF-8")
            .env("PHANTOM_LANG", lang)
            .env_remove("NO_COLOR")
            .stdin(end()?)
            .stdout(end()?)
            .stderr(end()?)
            .spawn()?;
        let size = |cells| NonZeroU16::new(cells).ok_or("a terminal has cells");
        let parser = Parser::new(size(rows)?, size(columns)?, 0);
        Ok(Self { child, end: File::from(pty.master), parser })
    }

    /// What is seen.
    pub(crate) fn screen(&self) -> &Screen {
        self.parser.screen()
    }

    /// Waits until all of these texts are on the screen and nothing more comes; a screen with a clock in it is taken
    /// between two of its ticks.
    pub(crate) fn until(&mut self, texts: &[&str]) -> Result<&mut Self> {
        let end = Instant::now() + LIMIT;
        loop {
            let quiet = !self.more(QUIET)?;
            let seen = self.screen().contents();
            let missing: Vec<_> = texts.iter().filter(|text| !seen.contains(**text)).collect();
            if quiet && missing.is_empty() {
                return Ok(self);
            }
            if Instant::now() > end {
                return Err(format!("{missing:?} did not come:\n{seen}").into());
            }
        }
    }

    /// Presses keys.
    pub(crate) fn keys(&mut self, keys: &str) -> Result<&mut Self> {
        self.end.write_all(keys.as_bytes())?;
        Ok(self)
    }

    /// Lets the program see what has come; whether anything has, within this time.
    fn more(&mut self, milliseconds: u16) -> Result<bool> {
        let mut ends = [PollFd::new(self.end.as_fd(), PollFlags::POLLIN)];
        if poll(&mut ends, PollTimeout::from(milliseconds))? == 0 {
            return Ok(false);
        }
        let mut piece = [0; 1 << 14];
        let length = self.end.read(&mut piece)?;
        self.parser.process(piece.get(..length).unwrap_or_default());
        Ok(true)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
