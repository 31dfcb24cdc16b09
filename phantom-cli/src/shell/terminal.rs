//! The terminal: entered, drawn on, and left as it was found, also after a panic.

use std::io::{self, BufWriter, Stdout, Write as _};
use std::mem::ManuallyDrop;
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crossterm::cursor::Show;
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::execute;
use crossterm::queue;
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen,
    LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::Frame;
use ratatui::backend::CrosstermBackend;

/// Room for a whole large screen, so that it reaches the terminal in one piece.
const BUFFER: usize = 1 << 16;

/// Whether there is something to lead back.
static ENTERED: AtomicBool = AtomicBool::new(false);

/// The terminal while the program has it. Dropping it gives the terminal back as it was.
pub(super) struct Terminal {
    /// Never dropped: its own `Drop` panics where the terminal is gone, standard error included, and all that it does is
    /// done by [`give_back`]. A panic there would end the program in the middle of a change.
    inner: ManuallyDrop<ratatui::Terminal<CrosstermBackend<BufWriter<Stdout>>>>,
    whole: bool,
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
            Ok(inner) => Ok(Self { inner: ManuallyDrop::new(inner), whole: false }),
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

    /// Draws what has changed, at once.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
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
