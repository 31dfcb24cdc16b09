//! The envelope of every answer (`docs/contract.md`, "Envelope").

use std::io::{self, Write};

use phantom_module::{Answer, Failure, Lang};
use phantom_types::Timestamp;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use crate::API_VERSION;

/// An answer ready to be printed: `success`, `data`, `error`, `code`, `metadata`, in this order; what does not apply
/// is absent.
#[derive(Debug)]
pub struct Response<'a> {
    /// What the action said.
    pub result: Result<Answer, Failure>,
    /// The module as typed.
    pub module: &'a str,
    /// The action as typed.
    pub action: &'a str,
    /// When the answer was made.
    pub at: Timestamp,
    /// Language of the error.
    pub lang: Lang,
}

#[derive(Serialize)]
struct Metadata<'a> {
    module: &'a str,
    action: &'a str,
    timestamp: String,
    version: &'static str,
}

impl Response<'_> {
    /// Whether the action succeeded.
    pub fn success(&self) -> bool {
        self.result.is_ok()
    }

    /// Writes it as JSON with a line feed: on one line, or with two spaces of indentation.
    pub fn write(&self, out: &mut impl Write, compact: bool) -> io::Result<()> {
        if compact {
            serde_json::to_writer(&mut *out, self)?;
        } else {
            serde_json::to_writer_pretty(&mut *out, self)?;
        }
        out.write_all(b"\n")
    }
}

impl Serialize for Response<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("success", &self.success())?;
        match &self.result {
            Ok(answer) => map.serialize_entry("data", answer)?,
            Err(failure) => {
                if let Some(data) = failure.data_in(self.lang) {
                    map.serialize_entry("data", &data)?;
                }
                map.serialize_entry("error", &failure.message(self.lang))?;
                map.serialize_entry("code", failure.code())?;
            }
        }
        let metadata = Metadata {
            module: self.module,
            action: self.action,
            timestamp: format!("{}Z", self.at),
            version: API_VERSION,
        };
        map.serialize_entry("metadata", &metadata)?;
        map.end()
    }
}
