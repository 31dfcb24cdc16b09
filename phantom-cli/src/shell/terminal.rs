//! The terminal: entered, drawn on, and left as it was found, also after a panic.

use std::io::{self, BufWriter, Stdout, Write as _};
use std::mem::ManuallyDrop;
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crossterm::cursor::{MoveTo, Show};
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::execute;
use crossterm::queue;
use crossterm::style::{Print, ResetColor};
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen,
    LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::Frame;
use ratatui::backend::CrosstermBackend;

use crate::app::Page;

/// Room for a whole large screen, so that it reaches the terminal in one piece.
const BUFFER: usize = 1 << 16;

/// Whether there is something to restore.
static ENTERED: AtomicBool = AtomicBool::new(false);

/// The terminal while the program has it. Dropping it gives the terminal back as it was.
pub(super) struct Terminal {
    /// Never dropped: its own `Drop` panics where the terminal is gone, standard error included, and all that it does is
    /// done by [`give_back`]. A panic there would end the program in the middle of a change.
    inner: ManuallyDrop<ratatui::Terminal<CrosstermBackend<BufWriter<Stdout>>>>,
    whole: bool,
    /// The page that is shown in place of a drawing.
    page: Option<Page>,
}

impl Terminal {
    /// Takes the terminal. `note` is told of panics of threads that do not draw: their text must not reach the screen.
    pub(super) fn enter(note: fn(&str)) -> io::Result<Self> {
        watch_panics(note);
        let backend = CrosstermBackend::new(BufWriter::with_capacity(BUFFER, io::stdout()));
        ENTERED.store(true, Ordering::SeqCst);
        enable_raw_mode()?;
        let entered = execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste);
        match entered.and_then(|()| ratatui::Terminal::new(backend)) {
            Ok(inner) => Ok(Self { inner: ManuallyDrop::new(inner), whole: false, page: None }),
            Err(error) => {
                give_back();
                Err(error)
            }
        }
    }

    /// The next time everything is drawn.
    pub(super) fn forget(&mut self) {
        self.whole = true;
    }

    /// Columns and rows.
    pub(super) fn size(&self) -> io::Result<(u16, u16)> {
        self.inner.size().map(|size| (size.width, size.height))
    }

    /// Writes lines as they are: the terminal itself wraps those that are longer than it is wide, and its selection takes each as
    /// one. Nothing is written where it is there already, which would end a selection.
    pub(super) fn print(&mut self, page: Page) -> io::Result<()> {
        if !std::mem::take(&mut self.whole) && self.page.as_ref() == Some(&page) {
            return Ok(());
        }
        let (_, height) = self.size()?;
        self.inner.hide_cursor()?;
        let out = self.inner.backend_mut();
        queue!(out, BeginSynchronizedUpdate, ResetColor, Clear(ClearType::All), MoveTo(0, 0))?;
        for (at, line) in page.lines.iter().enumerate() {
            queue!(out, Print(if at == 0 { "" } else { "\r\n" }), Print(line.as_str()))?;
        }
        queue!(out, MoveTo(0, height.saturating_sub(1)), Print(&page.foot), EndSynchronizedUpdate)?;
        io::Write::flush(out)?;
        self.page = Some(page);
        Ok(())
    }

    /// Draws what has changed, at once.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.whole |= self.page.take().is_some();
        queue!(self.inner.backend_mut(), BeginSynchronizedUpdate)?;
        if std::mem::take(&mut self.whole) {
            // Not its `clear`: that asks the terminal where the cursor is, and the answer would come among the keys.
            let size = self.inner.size()?;
            self.inner.resize(size.into())?;
        }
        self.inner.draw(draw)?;
        queue!(self.inner.backend_mut(), EndSynchronizedUpdate)?;
        io::Write::flush(self.inner.backend_mut())
    }

    /// Leads the terminal back to what it was.
    pub(super) fn leave(self) {
        drop(self);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        give_back();
    }
}

/// Errors are of no use here: a terminal that is gone needs nothing.
fn give_back() {
    if ENTERED.swap(false, Ordering::SeqCst) {
        let _ = execute!(
            io::stdout(),
            EndSynchronizedUpdate,
            DisableBracketedPaste,
            Clear(ClearType::All),
            LeaveAlternateScreen,
            Show
        );
        let _ = disable_raw_mode();
        let _ = io::stdout().flush();
    }
}

/// A panic of the thread that draws is printed where it can be read; those of others are kept for the end.
fn watch_panics(note: fn(&str)) {
    let drawing = thread::current().id();
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if thread::current().id() == drawing {
            give_back();
            before(info);
        } else {
            note(&info.to_string());
        }
    }));
}
