//! Lines for the journal, on standard error. They hold no secret and no address of a client.

use std::fmt::Display;
use std::io::Write as _;

/// Writes one line. Without a reader of standard error the line is lost; the service goes on.
pub(crate) fn line(text: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "phantom-ghost: {text}");
}
