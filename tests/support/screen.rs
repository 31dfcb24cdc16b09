//! What is on a screen, cell by cell, and the QR code in it as a camera would see it.

/// A character cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// What is printed.
    pub symbol: String,
    /// How light the ink is, from 0 to 255.
    pub ink: u8,
    /// How light the ground is.
    pub ground: u8,
}

/// Pixels of a module's side in the picture.
const SCALE: usize = 4;

/// Reads the QR code in a picture of these rows of cells, with a reader that is not ours. A cell is twice as high as wide.
pub fn read_qr(rows: &[Vec<Spot>]) -> Result<String, String> {
    let width = rows.iter().map(Vec::len).max().unwrap_or_default();
    if width == 0 {
        return Err("nothing is seen".to_owned()); // the reader expects a picture
    }
    let light = |x: usize, y: usize| {
        let Some(spot) = rows.get(y / 2).and_then(|row| row.get(x)) else { return 0 };
        let upper = y.is_multiple_of(2);
        let inked = match spot.symbol.as_str() {
            "█" => true,
            "▀" => upper,
            "▄" => !upper,
            " " | "" => false,
            // A letter: something in between.
            _ => return spot.ink.midpoint(spot.ground),
        };
        if inked { spot.ink } else { spot.ground }
    };
    let (columns, lines) = (width * SCALE, rows.len() * 2 * SCALE);
    let mut image =
        rqrr::PreparedImage::prepare_from_greyscale(columns, lines, |x, y| light(x / SCALE, y / SCALE));
    let grids = image.detect_grids();
    let [grid] = grids.as_slice() else { return Err(format!("{} codes are seen", grids.len())) };
    grid.decode().map(|(_, text)| text).map_err(|error| error.to_string())
}
