//! A configuration as a QR code for a terminal.

use fast_qr::{ECL, QRBuilder};

use crate::problem::{Context as _, Result};

/// Light modules around the code: readers want some, and a terminal's own ground may be light or dark.
const MARGIN: isize = 2;

/// Half blocks, two rows of modules a line: light modules are ink. The colours are given, so that the code reads on
/// terminals of any colour.
pub(super) fn draw(text: &str) -> Result<String> {
    // The lowest correction makes the smallest code, and a screen has no stains.
    let code =
        QRBuilder::new(text).ecl(ECL::L).build().map_err(|error| format!("{error:?}")).context("QR code")?;
    let size = isize::try_from(code.size).context("QR code")?;
    let light = |row: isize, column: isize| {
        let inside = (0..size).contains(&row) && (0..size).contains(&column);
        !inside || !code[row.unsigned_abs()][column.unsigned_abs()].value()
    };
    let mut drawing = String::new();
    for row in (-MARGIN..size + MARGIN).step_by(2) {
        drawing.push_str("\x1b[97;40m");
        for column in -MARGIN..size + MARGIN {
            // The last line may have a lower half that is no row any more.
            let lower = row + 1 < size + MARGIN && light(row + 1, column);
            drawing.push(match (light(row, column), lower) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        drawing.push_str("\x1b[0m\n");
    }
    Ok(drawing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_has_its_finder_patterns() {
        let drawing = draw("[Interface]\nAddress = 10.8.0.2/24").unwrap();
        let lines: Vec<&str> = drawing.lines().map(|line| line.trim_start_matches("\x1b[97;40m")).collect();
        assert!(lines[0].starts_with("████"), "the margin is light");
        // The upper left finder: a dark bar of seven modules, then a light one.
        assert!(lines[1].starts_with("██ ▄▄▄▄▄ █"), "{}", lines[1]);
    }
}
