//! A real terminal with a person at it: `tmux` shows what is on the screen, cell by cell.

use std::process::Command;
use std::time::Duration;

use phantom_tests::Spot;

use crate::world::{TestNet, programs, wait_for};

/// Longest time until something is on the screen.
const PATIENCE: Duration = Duration::from_secs(45);

/// A terminal of a given size in which a command runs; `stty` is asked before and after it.
pub(crate) struct Terminal<'w> {
    world: &'w TestNet,
    name: String,
}

impl<'w> Terminal<'w> {
    /// Opens a terminal and runs the command in it, with these variables set.
    pub(crate) fn open(
        world: &'w TestNet,
        name: &str,
        size: (u16, u16),
        variables: &str,
        command: &str,
    ) -> Self {
        let terminal = Self { world, name: name.to_owned() };
        let dir = programs().display().to_string();
        // A backtrace that whoever runs the tests asked for would push what is looked for off the screen.
        let script = format!(
            "stty -g > /run/{name}.before; env --unset=RUST_BACKTRACE PATH={dir}:$PATH HOME=/opt {variables} {command}; \
             echo \"ended with $?\"; stty -g > /run/{name}.after; exec sleep 1000"
        );
        let (width, height) = (size.0.to_string(), size.1.to_string());
        terminal.tmux(&["new-session", "-d", "-s", name, "-x", &width, "-y", &height, &script]);
        terminal
    }

    #[track_caller]
    fn tmux(&self, words: &[&str]) -> String {
        let mut command = Command::new("tmux");
        // Without the configuration of whoever runs the tests.
        command.args(["-u", "-f", "/dev/null", "-L", &self.name]).args(words);
        let output =
            command.env("TMUX_TMPDIR", "/run").env("LC_ALL", "C.UTF-8").env_remove("TMUX").output().unwrap();
        assert!(output.status.success(), "tmux {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Presses keys, by the names that `tmux` has for them.
    pub(crate) fn press(&self, keys: &str) -> &Self {
        for key in keys.split(' ') {
            self.tmux(&["send-keys", key]);
        }
        self
    }

    /// Presses the key of a menu's item. Where an item stands depends on which modules there are.
    #[track_caller]
    pub(crate) fn picks(&self, item: &str) -> &Self {
        let screen = self.sees(item).screen();
        let line = screen.lines().find(|line| line.contains(item)).unwrap();
        let key = line.trim_start_matches('│').trim().chars().next().unwrap();
        self.press(&key.to_string())
    }

    pub(crate) fn types(&self, text: &str) -> &Self {
        self.tmux(&["send-keys", "-l", text]);
        self
    }

    pub(crate) fn resize(&self, width: u16, height: u16) -> &Self {
        self.tmux(&["resize-window", "-x", &width.to_string(), "-y", &height.to_string()]);
        self
    }

    /// Changes the size and presses a key in the same moment.
    pub(crate) fn resize_and_press(&self, width: u16, height: u16, key: &str) -> &Self {
        let (width, height) = (width.to_string(), height.to_string());
        self.tmux(&["resize-window", "-x", &width, "-y", &height, ";", "send-keys", key]);
        self
    }

    pub(crate) fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Marks the line that begins with a text and copies it, as a person does with the terminal's own keys.
    pub(crate) fn copies_line(&self, start: &str) -> String {
        self.tmux(&["set-buffer", "nothing was copied"]);
        self.tmux(&["copy-mode"]);
        for words in [
            &["history-top"][..],
            &["search-forward", start],
            &["start-of-line"],
            &["begin-selection"],
            &["end-of-line"],
        ] {
            self.tmux(&[&["send-keys", "-X"], words].concat());
        }
        self.tmux(&["send-keys", "-X", "copy-selection-and-cancel"]);
        self.tmux(&["show-buffer"]).trim_end().to_owned()
    }

    /// Pastes a text, as a terminal does that says where it begins and ends.
    pub(crate) fn pastes(&self, text: &str) -> &Self {
        self.tmux(&["set-buffer", text]);
        self.tmux(&["paste-buffer", "-p"]);
        self
    }

    /// Waits until a text is on the screen.
    #[track_caller]
    pub(crate) fn sees(&self, text: &str) -> &Self {
        let seen = wait_for(PATIENCE, || self.screen().contains(text));
        assert!(seen, "{text:?} is not on the screen:\n{}\n{}", self.screen(), self.world.picture());
        self
    }

    /// Waits until a text is no longer on the screen.
    #[track_caller]
    pub(crate) fn loses(&self, text: &str) -> &Self {
        let lost = wait_for(PATIENCE, || !self.screen().contains(text));
        assert!(lost, "{text:?} is still on the screen:\n{}", self.screen());
        self
    }

    /// Every cell with the lightness of its colours, as a terminal with a dark ground has them.
    pub(crate) fn spots(&self) -> Vec<Vec<Spot>> {
        let text = self.tmux(&["capture-pane", "-p", "-e", "-N"]);
        let mut colours = Colours::default();
        text.lines().map(|line| colours.line(line)).collect()
    }

    /// Closes it, as a connection that ends does: nothing can be read from it or written to it any more.
    pub(crate) fn close(&self) {
        self.tmux(&["kill-server"]);
    }

    /// The process that shows the interface.
    pub(crate) fn process(&self) -> i32 {
        let shell = self.tmux(&["display-message", "-p", "#{pane_pid}"]);
        let find = format!("pgrep -P {} phantom-wg | head -n 1", shell.trim());
        self.world.sh(&find).trim().parse().unwrap()
    }

    /// That the program has ended with this status and the terminal is as it was: its settings, its screen, its cursor.
    #[track_caller]
    pub(crate) fn is_left(&self, status: i32) {
        self.sees(&format!("ended with {status}"));
        let read =
            |when: &str| std::fs::read_to_string(format!("/run/{}.{when}", self.name)).unwrap_or_default();
        assert!(wait_for(PATIENCE, || !read("after").is_empty()));
        assert_eq!(read("before"), read("after"), "the terminal's settings");
        let state =
            self.tmux(&["display-message", "-p", "#{alternate_on} #{cursor_flag} #{bracketed_paste_flag}"]);
        assert!(state.trim().starts_with("0 1"), "alternate screen, cursor: {state}");
        assert!(!self.screen().contains("PrivateKey"), "a key stays on the screen:\n{}", self.screen());
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        let _ =
            Command::new("tmux").args(["-L", &self.name, "kill-server"]).env("TMUX_TMPDIR", "/run").output();
    }
}

/// The colours while a line is read.
struct Colours {
    ink: u8,
    ground: u8,
    reversed: bool,
}

/// Of a terminal with light letters on a dark ground.
const INK: u8 = 220;
const GROUND: u8 = 20;

impl Default for Colours {
    fn default() -> Self {
        Self { ink: INK, ground: GROUND, reversed: false }
    }
}

impl Colours {
    fn line(&mut self, line: &str) -> Vec<Spot> {
        let mut spots = Vec::new();
        let mut letters = line.chars();
        while let Some(letter) = letters.next() {
            if letter == '\x1b' {
                let words: String =
                    letters.by_ref().skip(1).take_while(|letter| !letter.is_ascii_alphabetic()).collect();
                self.change(&words);
                continue;
            }
            let (ink, ground) = if self.reversed { (self.ground, self.ink) } else { (self.ink, self.ground) };
            spots.push(Spot { symbol: letter.to_string(), ink, ground });
        }
        spots
    }

    /// Select Graphic Rendition (ECMA-48, section 8.3.117).
    fn change(&mut self, words: &str) {
        let mut codes = words.split([';', ':']).map(|word| word.parse::<u16>().unwrap_or_default());
        while let Some(code) = codes.next() {
            match code {
                0 => *self = Self::default(),
                7 => self.reversed = true,
                27 => self.reversed = false,
                38 | 48 => {
                    let lightness = match (codes.next(), codes.next()) {
                        (Some(5), Some(16)) => 0,
                        (Some(5), Some(231)) => 255,
                        _ => 128,
                    };
                    *(if code == 38 { &mut self.ink } else { &mut self.ground }) = lightness;
                }
                39 => self.ink = INK,
                49 => self.ground = GROUND,
                _ => {}
            }
        }
    }
}
