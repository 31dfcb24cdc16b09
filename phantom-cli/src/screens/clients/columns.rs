//! The columns of the table of clients, and what a cell says in the width that it has.

use phantom_api::Lang;
use phantom_types::bytes_in_words;
use unicode_width::UnicodeWidthStr as _;

use crate::text;

/// A client's bytes from and to it.
pub(super) type Bytes = (u64, u64);

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Number,
    Name,
    Address,
    State,
    Seen,
    Transfer,
    Rate,
}

/// The columns that there is room for, with their widths: the least important ones go first. At 80 columns only the rate is
/// missing. `address`: columns of the longest address that is shown.
pub(super) fn columns(width: u16, address: usize) -> Vec<(Column, usize)> {
    let room = usize::from(width);
    let mut columns = vec![(Column::Number, 5), (Column::Name, 12), (Column::State, 12)];
    let used = |columns: &[(Column, usize)]| columns.iter().map(|(_, width)| width + 1).sum::<usize>();
    let wishes = [
        (Column::Address, address.max(10), 2),
        (Column::Transfer, 13, 4),
        (Column::Seen, 11, 4),
        (Column::Rate, 18, 6),
    ];
    for (column, width, at) in wishes {
        if used(&columns) + width < room {
            columns.insert(at.min(columns.len()), (column, width));
        }
    }
    // What is left is shared: whole names before whole words, and words before the rate.
    let mut left = room.saturating_sub(used(&columns));
    let wishes = [
        (Column::Name, 20_usize),
        (Column::Transfer, 25),
        (Column::Seen, 26),
        (Column::Rate, 29),
        (Column::Name, 50),
    ];
    for (column, most) in wishes {
        if let Some((_, width)) = columns.iter_mut().find(|(other, _)| *other == column) {
            let more = most.saturating_sub(*width).min(left);
            *width += more;
            left -= more;
        }
    }
    columns
}

/// Bytes from and to a client, in words or, where those are too long, in a few letters.
pub(super) fn bytes_for(bytes: Option<Bytes>, per: &str, width: usize) -> String {
    let Some((rx, tx)) = bytes else { return "-".to_owned() };
    let words = format!("↓ {}{per} ↑ {}{per}", bytes_in_words(rx), bytes_in_words(tx));
    if words.width() <= width {
        return words;
    }
    format!("↓{}{per} ↑{}{per}", short(rx), short(tx))
}

/// `1023B`, `1.9K`, `38M`: at most five letters up to a thousand terabytes.
fn short(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "K", "M", "G", "T"];
    let (mut whole, mut tenths, mut unit) = (bytes, 0, 0);
    while whole >= 1024 && unit + 1 < UNITS.len() {
        tenths = whole % 1024 * 10 / 1024;
        whole /= 1024;
        unit += 1;
    }
    if unit == 0 || whole >= 10 {
        return format!("{whole}{}", UNITS[unit]);
    }
    format!("{whole}.{tenths}{}", UNITS[unit])
}

/// An age in the words of `wg`, or the largest part of it where that is too long: `2 minutes` of `2 minutes, 13 seconds ago`.
pub(super) fn age_for(age: &str, width: usize) -> String {
    if age.width() <= width {
        return age.to_owned();
    }
    let largest = age.split(',').next().unwrap_or(age);
    let bare = [" ago", " önce"].into_iter().find_map(|word| largest.strip_suffix(word));
    bare.unwrap_or(largest).to_owned()
}

pub(super) fn head(column: Column, lang: Lang) -> &'static str {
    match column {
        Column::Number => "#",
        Column::Name => text::NAME.get(lang),
        Column::Address => text::ADDRESS.get(lang),
        Column::State => text::STATE.get(lang),
        Column::Seen => lang.pick("Last Seen", "Son Görülme"),
        Column::Transfer => lang.pick("Transfer", "Aktarım"),
        Column::Rate => lang.pick("Now", "Şu an"),
    }
}

#[cfg(test)]
mod tests {
    use super::Column::{Address, Name, Number, Rate, Seen, State, Transfer};
    use super::*;

    #[test]
    fn cell_is_shortened_to_its_width() {
        let bytes = Some((1_000, 2_000));
        assert_eq!(bytes_for(bytes, "", 25), "↓ 1000 B ↑ 1.95 KiB");
        assert_eq!(bytes_for(bytes, "", 13), "↓1000B ↑1.9K");
        assert_eq!(bytes_for(bytes, "/s", 18), "↓1000B/s ↑1.9K/s");
        assert_eq!(bytes_for(None, "", 13), "-");
        let sizes =
            [(1023, "1023B"), (1024, "1.0K"), (10 << 20, "10M"), (1023 << 30, "1023G"), (9 << 50, "9216T")];
        for (bytes, shown) in sizes {
            assert_eq!(short(bytes), shown);
        }
        let age = "2 minutes, 13 seconds ago";
        assert_eq!([age_for(age, 26), age_for(age, 10)], [age, "2 minutes"]);
        assert_eq!(["Now", "-", "13 saniye önce"].map(|age| age_for(age, 10)), ["Now", "-", "13 saniye"]);
    }

    #[test]
    fn eighty_columns_show_all_but_the_rate() {
        let all = |width: u16| columns(width, 15).into_iter().map(|(column, _)| column).collect::<Vec<_>>();
        let inside = 80 - 4;
        assert_eq!(all(inside), [Number, Name, Address, State, Seen, Transfer]);
        assert_eq!(all(120 - 4), [Number, Name, Address, State, Seen, Transfer, Rate]);
        for width in 36..200 {
            let used: usize = columns(width, 15).iter().map(|(_, width)| width + 1).sum();
            assert!(used <= usize::from(width), "{width}");
        }
    }
}
