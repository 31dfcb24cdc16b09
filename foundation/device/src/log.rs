//! Where the device says what it does.

use std::fmt;
use std::sync::Arc;

/// Takes lines of text, without line ends and never with a key in them.
#[derive(Clone)]
pub struct Log(Arc<dyn Fn(&str) + Send + Sync>);

impl Log {
    /// A log that hands every line to `sink`. It is called from the tasks of the device and should not block.
    pub fn new(sink: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }

    /// A log that forgets.
    pub fn silent() -> Self {
        Self::new(|_| ())
    }

    pub(crate) fn line(&self, text: fmt::Arguments<'_>) {
        match text.as_str() {
            Some(text) => (self.0)(text),
            None => (self.0)(&text.to_string()),
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Log")
    }
}
