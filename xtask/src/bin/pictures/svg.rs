//! A terminal's cells as a drawing.
//!
//! Letters are text, put run by run where their cells are, so that the drawing can be searched and any monospace font will
//! do. Frames and blocks are drawn as what they are, as terminals do: no font's gaps go through a QR code.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use vt100::{Cell, Color, Screen};

/// Size of a cell and of the margin, in pixels.
const WIDTH: f32 = 8.4;
const HEIGHT: u16 = 18;
const MARGIN: u16 = 14;
/// Where letters are in their cell.
const BASE: u16 = 13;

const INK: &str = "#d4d8de";
const GROUND: &str = "#15181e";
/// The sixteen colours that have names.
const NAMED: [&str; 16] = [
    "#3b4048", "#f2777a", "#8fcf8a", "#e6c15c", "#79aef2", "#c79bf0", "#6fc8c8", "#d4d8de", "#8b939f",
    "#ff8f8f", "#a8e6a1", "#ffd866", "#9ac4ff", "#dcb8ff", "#8ee5e5", "#ffffff",
];

/// How a letter looks: colour, weight.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Theme {
    ink: String,
    bold: bool,
    faint: bool,
}

/// A rectangle in cells, the vertical measures in halves.
struct Patch {
    left: u16,
    right: u16,
    top: u16,
    bottom: u16,
}

/// What is drawn, by its colour.
#[derive(Default)]
struct Drawing {
    patches: BTreeMap<String, Vec<Patch>>,
    lines: BTreeMap<String, String>,
    letters: String,
}

/// The screen down to its last line that is not empty, as a drawing that stands on its own.
pub(crate) fn draw(screen: &Screen, title: &str) -> String {
    let (rows, columns) = screen.size();
    let (rows, columns) = (rows.get(), columns.get());
    let empty = |row: u16| (0..columns).all(|column| screen.cell(row, column).is_none_or(is_blank));
    let rows = (0..rows).rev().find(|row| !empty(*row)).map_or(1, |row| row + 1);
    let mut drawing = Drawing::default();
    for row in 0..rows {
        let cells: Vec<&Cell> = (0..columns).filter_map(|column| screen.cell(row, column)).collect();
        drawing.grounds(row, &cells);
        drawing.frames(row, &cells);
        drawing.letters(row, &cells);
    }
    drawing.finish(columns, rows, title)
}

/// Nothing is to be seen in it.
fn is_blank(cell: &Cell) -> bool {
    cell.contents().trim().is_empty() && colours(cell).1 == GROUND
}

/// The colours of letter and ground.
fn colours(cell: &Cell) -> (String, String) {
    let ink = colour(cell.fgcolor(), INK);
    let ground = colour(cell.bgcolor(), GROUND);
    if cell.inverse() { (ground, ink) } else { (ink, ground) }
}

fn colour(colour: Color, otherwise: &str) -> String {
    match colour {
        Color::Default => otherwise.to_owned(),
        Color::Idx(index) => indexed(index),
        Color::Rgb(red, green, blue) => format!("#{red:02x}{green:02x}{blue:02x}"),
    }
}

/// The 256 colours of xterm: the named ones, a cube of six steps to a side, and greys.
fn indexed(index: u8) -> String {
    if let Some(named) = NAMED.get(usize::from(index)) {
        return (*named).to_owned();
    }
    if index >= 232 {
        let grey = 8 + 10 * (index - 232);
        return format!("#{grey:02x}{grey:02x}{grey:02x}");
    }
    let step = |part: u8| if part == 0 { 0 } else { 55 + 40 * part };
    let place = index - 16;
    format!("#{:02x}{:02x}{:02x}", step(place / 36), step(place / 6 % 6), step(place % 6))
}

/// The colours of the two halves of a cell that is a block: what is over, what is under.
fn halves(cell: &Cell) -> Option<(bool, bool)> {
    match cell.contents() {
        "█" => Some((true, true)),
        "▀" => Some((true, false)),
        "▄" => Some((false, true)),
        _ => None,
    }
}

/// The arms of a frame's piece: left, right, up, down.
fn arms(cell: &Cell) -> Option<[bool; 4]> {
    let arms = match cell.contents() {
        "─" => "lr",
        "│" => "ud",
        "┌" => "rd",
        "┐" => "ld",
        "└" => "ru",
        "┘" => "lu",
        "├" => "rud",
        "┤" => "lud",
        "┬" => "lrd",
        "┴" => "lru",
        "┼" => "lrud",
        _ => return None,
    };
    Some(['l', 'r', 'u', 'd'].map(|arm| arms.contains(arm)))
}

impl Drawing {
    /// Grounds and blocks of a row, as the fewest rectangles that continue those of the row above.
    fn grounds(&mut self, row: u16, cells: &[&Cell]) {
        for half in 0..2 {
            let tone = |cell: &Cell| {
                let (ink, ground) = colours(cell);
                let filled = halves(cell).is_some_and(|(over, under)| if half == 0 { over } else { under });
                if filled { ink } else { ground }
            };
            let tones: Vec<String> = cells.iter().map(|cell| tone(cell)).collect();
            let mut left = 0_u16;
            for run in tones.chunk_by(|one, other| one == other) {
                let right = left + u16::try_from(run.len()).unwrap_or(u16::MAX);
                if run[0] != GROUND {
                    self.patch(
                        &run[0],
                        Patch { left, right, top: 2 * row + half, bottom: 2 * row + half + 1 },
                    );
                }
                left = right;
            }
        }
    }

    fn patch(&mut self, tone: &str, patch: Patch) {
        let patches = self.patches.entry(tone.to_owned()).or_default();
        let above = patches
            .iter_mut()
            .find(|one| (one.left, one.right, one.bottom) == (patch.left, patch.right, patch.top));
        match above {
            Some(above) => above.bottom = patch.bottom,
            None => patches.push(patch),
        }
    }

    /// The lines of frames, through the middles of their cells.
    fn frames(&mut self, row: u16, cells: &[&Cell]) {
        let (top, middle) = (row * HEIGHT, row * HEIGHT + HEIGHT / 2);
        let mut column = 0_u16;
        for run in cells.chunk_by(|one, other| {
            (one.contents(), other.contents()) == ("─", "─") && colours(one) == colours(other)
        }) {
            let length = u16::try_from(run.len()).unwrap_or(u16::MAX);
            let (start, end) = (WIDTH * f32::from(column), WIDTH * f32::from(column + length));
            column += length;
            let Some([left, right, up, down]) = arms(run[0]) else { continue };
            let path = self.lines.entry(colours(run[0]).0).or_default();
            let centre = f32::midpoint(start, end);
            if left || right {
                let from = if left { start } else { centre };
                let to = if right { end } else { centre };
                let _ = write!(path, "M{} {middle}H{}", short(from), short(to));
            }
            if up || down {
                let from = if up { top } else { middle };
                let to = if down { top + HEIGHT } else { middle };
                let _ = write!(path, "M{} {from}V{to}", short(centre));
            }
        }
    }

    /// The letters of a row, in runs without a gap of two cells and of one look.
    fn letters(&mut self, row: u16, cells: &[&Cell]) {
        let mut column = 0;
        while column < cells.len() {
            if !is_letter(cells[column]) {
                column += 1;
                continue;
            }
            let look = look_of(cells[column]);
            let mut end = column;
            let mut at = column;
            while at < cells.len() && at <= end + 2 {
                if is_letter(cells[at]) && look_of(cells[at]) != look {
                    break;
                }
                if is_letter(cells[at]) {
                    end = at;
                } else if !cells[at].contents().trim().is_empty() {
                    break;
                }
                at += 1;
            }
            self.run(row, column, &look, &cells[column..=end]);
            column = end + 1;
        }
    }

    fn run(&mut self, row: u16, column: usize, look: &Theme, cells: &[&Cell]) {
        let column = f32::from(u16::try_from(column).unwrap_or(u16::MAX));
        let length = f32::from(u16::try_from(cells.len()).unwrap_or(u16::MAX));
        let _ = write!(self.letters, "<text x=\"{}\" y=\"{}\"", short(WIDTH * column), row * HEIGHT + BASE);
        if cells.len() > 1 {
            let _ = write!(self.letters, " textLength=\"{}\"", short(WIDTH * length));
        }
        if look.ink != INK {
            let _ = write!(self.letters, " fill=\"{}\"", look.ink);
        }
        if look.bold {
            self.letters.push_str(" font-weight=\"700\"");
        }
        if look.faint {
            self.letters.push_str(" opacity=\".65\"");
        }
        self.letters.push('>');
        for cell in cells {
            match cell.contents() {
                "" => self.letters.push(' '),
                text => self.letters.push_str(&escaped(text)),
            }
        }
        self.letters.push_str("</text>\n");
    }

    fn finish(self, columns: u16, rows: u16, title: &str) -> String {
        let (inside, height) = (WIDTH * f32::from(columns), rows * HEIGHT + 2 * MARGIN);
        let width = short((inside + f32::from(2 * MARGIN)).ceil());
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
             role=\"img\">\n<title>{}</title>\n<rect x=\".5\" y=\".5\" width=\"{}\" height=\"{}\" rx=\"9\" \
             fill=\"{GROUND}\" stroke=\"#4a515c\"/>\n<g transform=\"translate({MARGIN} {MARGIN})\" fill=\"{INK}\">\n",
            escaped(title),
            short((inside + f32::from(2 * MARGIN)).ceil() - 1.0),
            height - 1,
        );
        for (tone, patches) in &self.patches {
            let _ = write!(
                text,
                "<path shape-rendering=\"crispEdges\" transform=\"scale({WIDTH} {})\" fill=\"{tone}\" d=\"",
                HEIGHT / 2
            );
            for Patch { left, right, top, bottom } in patches {
                let _ = write!(text, "M{left} {top}H{right}V{bottom}H{left}z");
            }
            text.push_str("\"/>\n");
        }
        for (tone, path) in &self.lines {
            let _ = writeln!(text, "<path fill=\"none\" stroke=\"{tone}\" d=\"{path}\"/>");
        }
        let fonts =
            "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',monospace";
        let _ = writeln!(text, "<g font-family=\"{fonts}\" font-size=\"14\">");
        text.push_str(&self.letters);
        text.push_str("</g>\n</g>\n</svg>\n");
        text
    }
}

fn is_letter(cell: &Cell) -> bool {
    !cell.contents().trim().is_empty() && halves(cell).is_none() && arms(cell).is_none()
}

fn look_of(cell: &Cell) -> Theme {
    Theme { ink: colours(cell).0, bold: cell.bold(), faint: cell.dim() }
}

/// A measure with as few digits as it needs.
fn short(number: f32) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;

    fn drawn(text: &str) -> String {
        let mut parser = vt100::Parser::new(NonZeroU16::new(4).unwrap(), NonZeroU16::new(20).unwrap(), 0);
        parser.process(text.as_bytes());
        draw(parser.screen(), "t")
    }

    #[test]
    fn letters_stand_where_their_cells_are() {
        let svg = drawn("ab <c>  \x1b[1;31md\x1b[0m");
        assert!(svg.contains("<text x=\"0\" y=\"13\" textLength=\"50.4\">ab &lt;c&gt;</text>"), "{svg}");
        let red = "<text x=\"67.2\" y=\"13\" fill=\"#f2777a\" font-weight=\"700\">d</text>";
        assert!(svg.contains(red), "{svg}");
        assert!(svg.contains("height=\"46\""), "one line and two margins: {svg}");
    }

    #[test]
    fn blocks_and_grounds_are_growing_rectangles() {
        let svg = drawn("\x1b[38;5;16;48;5;231m▀▀\r\n▀▀\x1b[0m");
        assert!(svg.contains("fill=\"#000000\" d=\"M0 0H2V1H0zM0 2H2V3H0z\""), "{svg}");
        assert!(svg.contains("fill=\"#ffffff\" d=\"M0 1H2V2H0zM0 3H2V4H0z\""), "{svg}");
        let svg = drawn("██\r\n██");
        assert!(svg.contains("d=\"M0 0H2V4H0z\""), "{svg}");
        assert!(!svg.contains("<text"), "{svg}");
    }

    #[test]
    fn frames_are_lines_that_meet() {
        let svg = drawn("┌──┐");
        assert!(svg.contains("d=\"M4.2 9H8.4M4.2 9V18M8.4 9H25.2M25.2 9H29.4M29.4 9V18\""), "{svg}");
    }
}
