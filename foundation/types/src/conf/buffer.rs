//! Text that is built without leaving copies of secrets behind.

use std::fmt::Display;

use zeroize::{Zeroize, Zeroizing};

/// Longest decimal number of 16 bits.
pub(super) const NUMBER_MAX: usize = 5;
/// Longest network in text form: an IPv6 address (39 characters), `/` and three digits.
pub(super) const NETWORK_MAX: usize = 43;
/// Length of a key in base64.
pub(super) const KEY_LEN: usize = 44;

/// Makes room for `more` bytes. A text that has to move is wiped in its old place, which `String`'s own growth
/// does not do.
pub(super) fn reserve(text: &mut String, more: usize) {
    if text.capacity() - text.len() < more {
        let mut moved = String::with_capacity((text.len() + more).max(2 * text.capacity()));
        moved.push_str(text);
        std::mem::swap(text, &mut moved);
        moved.zeroize();
    }
}

/// Appends what displays itself. The room must be there already.
pub(super) fn push(text: &mut String, value: impl Display) {
    use std::fmt::Write as _;
    // Writing to a string fails only when the value's own Display does, and those used here do not.
    let _ = write!(text, "{value}");
}

/// Appends a line `key = value`, with the line feed in front.
pub(super) fn push_line(text: &mut String, key: &str, value: impl Display) {
    for part in ["\n", key, " = "] {
        text.push_str(part);
    }
    push(text, value);
}

/// Appends a line with a secret, with the line feed in front.
pub(super) fn push_secret(text: &mut String, key: &str, secret: &Zeroizing<String>) {
    push_line(text, key, secret.as_str());
}

/// Appends a line with a list, joined by `, `, with the line feed in front.
pub(super) fn push_list(text: &mut String, key: &str, values: &[impl Display]) {
    push_line(text, key, "");
    for (at, value) in values.iter().enumerate() {
        text.push_str(if at == 0 { "" } else { ", " });
        push(text, value);
    }
}
