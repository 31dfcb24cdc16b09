//! A person at a terminal: presses keys, looks at the screen. Work is done at once.

use std::path::PathBuf;
use std::time::Duration;

use phantom_api::{Lang, Phantom};
use phantom_cli::work::Problem;
use phantom_cli::{App, AppEffect, AppEvent, Key, Page, Theme, work};
use phantom_tests::{Server, Spot, read_qr};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Cell;
use ratatui::style::{Color, Modifier};

/// A terminal with a person at it.
pub(crate) struct TuiDriver {
    pub(crate) server: Server,
    phantom: Phantom,
    app: App,
    terminal: Terminal<TestBackend>,
    now: u64,
    left: bool,
    waiting: Vec<(u64, work::Work, Lang)>,
    holds: bool,
}

/// The left border, on terminals of both kinds.
const BORDERS: [char; 2] = ['│', '|'];

/// A client that is connected now and has carried so many bytes from and to it.
pub(crate) fn carried(server: &Server, client: &str, bytes: (u64, u64)) {
    let name = format!("client_name={client}");
    let export = server.api(&["core", "export_client", &name]).ok().clone();
    let key = export["client"]["public_key"].as_str().unwrap().parse().unwrap();
    let (from, now) = ("198.51.100.2:53787".parse().unwrap(), server.host.clock.now());
    server.fake.set_peer_traffic("wg_main", &key, Some(from), Some(now), bytes);
}

/// A terminal that can do everything.
pub(crate) const FULL: Theme = Theme { lang: Lang::En, colour: true, unicode: true };

impl TuiDriver {
    pub(crate) fn new(server: Server, theme: Theme, size: (u16, u16)) -> Self {
        let phantom = server.phantom();
        Self::with(server, phantom, theme, size)
    }

    /// With modules of the test's own.
    pub(crate) fn with(server: Server, phantom: Phantom, theme: Theme, size: (u16, u16)) -> Self {
        server.fake.put_file("/root/.profile", b"", 0o600, 0);
        let app = App::new(&phantom, theme, PathBuf::from("/root"));
        let terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
        let (now, left, waiting, holds) = (0, false, Vec::new(), false);
        let mut person = Self { server, phantom, app, terminal, now, left, waiting, holds };
        person.settle();
        person
    }

    /// Does all work that is there.
    fn settle(&mut self) {
        loop {
            for effect in self.app.effects() {
                match effect {
                    AppEffect::Start(id, work, lang) => self.waiting.push((id, work, lang)),
                    AppEffect::Leave => self.left = true,
                }
            }
            if self.holds || self.waiting.is_empty() {
                return;
            }
            for (id, work, lang) in std::mem::take(&mut self.waiting) {
                let reply = work::run(&self.phantom, &work, lang, |_| ());
                self.app.take(AppEvent::Done(id, reply));
            }
        }
    }

    /// From now on work does not end, until [`Self::go_on`].
    pub(crate) fn hold(&mut self) {
        self.holds = true;
    }

    pub(crate) fn go_on(&mut self) {
        self.holds = false;
        self.settle();
    }

    /// How much work there is that has not ended.
    pub(crate) fn works(&self) -> usize {
        self.waiting.len()
    }

    /// Ends all work that is there with an error. What comes of that is held as well.
    pub(crate) fn fails(&mut self, code: &str, message: &str) {
        for (id, ..) in std::mem::take(&mut self.waiting) {
            let problem = Problem { code: code.to_owned(), message: message.to_owned(), data: None };
            self.app.take(AppEvent::Done(id, Err(problem)));
        }
        self.settle();
    }

    /// Presses keys: words with blanks between them, as in `1 Down Enter Ctrl-C`; `GHOST` is the key of that item.
    pub(crate) fn press(&mut self, keys: &str) -> &mut Self {
        for word in keys.split_whitespace() {
            if word == "GHOST" {
                self.picks("HTTPS");
                continue;
            }
            self.app.take(AppEvent::Key(key(word)));
            self.settle();
        }
        self
    }

    /// Presses the key of a menu's item. Where an item stands depends on which modules there are.
    #[track_caller]
    pub(crate) fn picks(&mut self, item: &str) -> &mut Self {
        let screen = self.screen();
        let line = screen.lines().find(|line| line.starts_with(BORDERS) && line.contains(item));
        let line = line.unwrap_or_else(|| panic!("no item {item:?}:\n{screen}"));
        let key = line.trim_start_matches(BORDERS).trim().chars().next().unwrap().to_string();
        self.press(&key)
    }

    /// Goes down to a line of a list that begins with its second line on the screen's inside.
    #[track_caller]
    pub(crate) fn picks_line(&mut self, text: &str) -> &mut Self {
        let screen = self.screen();
        let inside = screen.lines().filter(|line| line.starts_with('│')).skip(1);
        let at = inside.take_while(|line| !line.contains(text)).count();
        self.press("Home");
        for _ in 0..at {
            self.press("Down");
        }
        self
    }

    /// Types a text.
    pub(crate) fn types(&mut self, text: &str) -> &mut Self {
        for letter in text.chars() {
            self.app.take(AppEvent::Key(Key::Char(letter)));
            self.settle();
        }
        self
    }

    pub(crate) fn pastes(&mut self, text: &str) -> &mut Self {
        self.app.take(AppEvent::Text(text.to_owned()));
        self.settle();
        self
    }

    /// Waits, as a person does.
    pub(crate) fn waits(&mut self, seconds: u64) -> &mut Self {
        for _ in 0..seconds {
            self.server.fake.advance(Duration::from_secs(1));
            self.now += 1_000;
            self.app.take(AppEvent::Time(self.now));
            self.settle();
        }
        self
    }

    pub(crate) fn resize(&mut self, size: (u16, u16)) -> &mut Self {
        self.terminal.backend_mut().resize(size.0, size.1);
        self
    }

    pub(crate) fn lang(&self) -> Lang {
        self.app.lang()
    }

    pub(crate) fn has_left(&self) -> bool {
        self.left
    }

    /// The lines that a terminal of this size shows as they are, where it does not draw.
    pub(crate) fn page(&mut self) -> Option<Vec<String>> {
        Some(self.whole_page()?.lines.iter().map(|line| line.to_string()).collect())
    }

    /// What stands below them.
    #[track_caller]
    pub(crate) fn foot(&mut self) -> String {
        self.whole_page().expect("nothing is shown as it is").foot
    }

    fn whole_page(&mut self) -> Option<Page> {
        let area = self.terminal.backend().buffer().area;
        self.app.page((area.width, area.height))
    }

    /// What is on the screen.
    pub(crate) fn screen(&mut self) -> String {
        self.terminal.draw(|frame| self.app.draw(frame)).unwrap();
        let buffer = self.terminal.backend().buffer();
        let width = usize::from(buffer.area.width);
        let mut text = String::new();
        for row in buffer.content.chunks(width) {
            let line: String = row.iter().map(Cell::symbol).collect();
            text.push_str(line.trim_end());
            text.push('\n');
        }
        self.plain(&text)
    }

    /// Names that differ from run to run, in their width.
    fn plain(&self, text: &str) -> String {
        let dir = self.server.dir().display().to_string();
        let usual: String = dir.chars().take(dir.len() - 6).chain("......".chars()).collect();
        let text = text.replace(&dir, &usual);
        let instance = self.server.paths().instance().unwrap_or("none");
        text.replace(instance, &".".repeat(instance.len()))
    }

    /// How every cell looks on a terminal with a dark ground.
    pub(crate) fn spots(&mut self) -> Vec<Vec<Spot>> {
        self.screen();
        let buffer = self.terminal.backend().buffer();
        buffer
            .content
            .chunks(usize::from(buffer.area.width))
            .map(|row| row.iter().map(spot).collect())
            .collect()
    }

    /// The text of the code on the screen.
    #[track_caller]
    pub(crate) fn reads_code(&mut self) -> String {
        read_qr(&self.spots()).unwrap_or_else(|error| panic!("{error}:\n{}", self.screen()))
    }

    /// That a text is on the screen.
    #[track_caller]
    pub(crate) fn sees(&mut self, text: &str) -> &mut Self {
        let screen = self.screen();
        assert!(screen.contains(text), "{text:?} is not on the screen:\n{screen}");
        self
    }

    #[track_caller]
    pub(crate) fn does_not_see(&mut self, text: &str) -> &mut Self {
        let screen = self.screen();
        assert!(!screen.contains(text), "{text:?} is on the screen:\n{screen}");
        self
    }

    /// That nothing on the screen has a colour.
    #[track_caller]
    pub(crate) fn sees_no_colour(&mut self) {
        self.screen();
        for cell in &self.terminal.backend().buffer().content {
            assert_eq!((cell.fg, cell.bg), (Color::Reset, Color::Reset), "{:?}", cell.symbol());
        }
    }
}

fn spot(cell: &Cell) -> Spot {
    let lightness = |colour: Color, other: u8| match colour {
        Color::Indexed(16) => 0,
        Color::Indexed(231) => 255,
        _ => other,
    };
    let (mut ink, mut ground) = (lightness(cell.fg, 220), lightness(cell.bg, 20));
    if cell.modifier.contains(Modifier::REVERSED) {
        (ink, ground) = (ground, ink);
    }
    Spot { symbol: cell.symbol().to_owned(), ink, ground }
}

fn key(word: &str) -> Key {
    match word {
        "Enter" => Key::Enter,
        "Esc" => Key::Esc,
        "Up" => Key::Up,
        "Down" => Key::Down,
        "Left" => Key::Left,
        "Right" => Key::Right,
        "Tab" => Key::Tab,
        "End" => Key::End,
        "Home" => Key::Home,
        "PageDown" => Key::PageDown,
        "Ctrl-C" => Key::Control('c'),
        _ => {
            let mut letters = word.chars();
            let letter = letters.next().unwrap();
            assert!(letters.next().is_none(), "no key is called {word}");
            Key::Char(letter)
        }
    }
}
