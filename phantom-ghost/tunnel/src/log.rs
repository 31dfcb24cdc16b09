//! Lines for the journal, on standard error. They hold no secret and no address of a client.

use std::fmt::Display;
use std::io::Write as _;

use phantom_types::Lang;
use phantom_words::of_program;

/// Writes one line in this language. Without a reader of standard error the line is lost; the service goes on.
pub(crate) fn line(lang: Lang, text: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "phantom-ghost: {}", of_program(&text.to_string(), lang));
}
