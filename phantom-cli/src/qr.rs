//! QR codes on a terminal: dark on light whatever the terminal's own ground is.

use fast_qr::{ECL, QRBuilder};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use crate::theme::Theme;

/// Light modules around the code (ISO/IEC 18004, section 5.3.8).
const QUIET: usize = 4;

/// Of the colour cube: black and white on every terminal, which the first sixteen, left to the themes, need not be.
const BLACK: Color = Color::Indexed(16);
const WHITE: Color = Color::Indexed(231);

/// A code: its modules with the quiet zone around them.
#[derive(Clone, PartialEq, Eq)]
pub struct Qr {
    side: usize,
    dark: Vec<bool>,
}

impl Qr {
    /// The code of a text, with the least correction: a screen has no stains, and a smaller code is read from farther
    /// away. `None` when the text is too long for any code.
    pub fn new(text: &str) -> Option<Self> {
        let code = QRBuilder::new(text).ecl(ECL::L).build().ok()?;
        let side = code.size + 2 * QUIET;
        let mut dark = vec![false; side * side];
        for row in 0..code.size {
            for column in 0..code.size {
                dark[(row + QUIET) * side + column + QUIET] = code[row][column].value();
            }
        }
        Some(Self { side, dark })
    }

    /// Columns and rows that it takes.
    pub fn size(&self, theme: Theme) -> (u16, u16) {
        let (columns, rows) =
            if theme.unicode { (self.side, self.side.div_ceil(2)) } else { (self.side * 2, self.side) };
        (u16::try_from(columns).unwrap_or(u16::MAX), u16::try_from(rows).unwrap_or(u16::MAX))
    }

    fn is_dark(&self, row: usize, column: usize) -> bool {
        row < self.side && self.dark[row * self.side + column]
    }

    /// Draws it whole into an area that is large enough, in its middle.
    ///
    /// With colours both are given. Without them the light modules are ink: right on a dark terminal; `invert` is for a
    /// light one.
    pub fn draw(&self, buffer: &mut Buffer, area: Rect, theme: Theme, invert: bool) {
        let (width, height) = self.size(theme);
        if width > area.width || height > area.height {
            return;
        }
        let (left, top) = (area.x + (area.width - width) / 2, area.y + (area.height - height) / 2);
        for y in 0..height {
            for x in 0..width {
                let Some(cell) = buffer.cell_mut((left + x, top + y)) else { continue };
                let (row, column) = (usize::from(y), usize::from(x));
                cell.reset();
                if theme.unicode {
                    let dark = (self.is_dark(row * 2, column), self.is_dark(row * 2 + 1, column));
                    half(cell, dark, theme.colour, invert);
                } else {
                    whole(cell, self.is_dark(row, column / 2), theme.colour, invert);
                }
            }
        }
    }
}

/// Two modules, one above the other.
fn half(cell: &mut ratatui::buffer::Cell, dark: (bool, bool), colour: bool, invert: bool) {
    if colour {
        // The ink is dark, so that a half block never leaves a light seam between two light rows.
        cell.set_style(Style::new().fg(BLACK).bg(WHITE));
    }
    let ink = if colour || invert { dark } else { (!dark.0, !dark.1) };
    cell.set_symbol(match ink {
        (true, true) => "█",
        (true, false) => "▀",
        (false, true) => "▄",
        (false, false) => " ",
    });
}

/// A module of two columns, for terminals without half blocks: nothing but its ground.
fn whole(cell: &mut ratatui::buffer::Cell, dark: bool, colour: bool, invert: bool) {
    cell.set_symbol(" ");
    if colour {
        cell.bg = if dark { BLACK } else { WHITE };
    } else if dark == invert {
        cell.modifier = Modifier::REVERSED;
    }
}
