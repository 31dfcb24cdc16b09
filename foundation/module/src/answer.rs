//! An action's answer after its type has been forgotten.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::Value;

/// What an action answered: still the typed value, ready to be written. An answer of ten thousand peers goes to
/// the printer without a tree of JSON values in between.
pub struct Answer {
    output: Box<dyn erased_serde::Serialize + Send>,
    unknown: Vec<String>,
}

impl Answer {
    /// Wraps a typed answer.
    pub fn new(output: impl Serialize + Send + 'static) -> Self {
        Self { output: Box::new(output), unknown: Vec::new() }
    }
    /// The same with what did not answer: its last field, `unknown`, names these parts of the host. Nothing is added where
    /// there are none, or where the answer is no object.
    #[must_use]
    pub fn with_unknown(self, unknown: Vec<String>) -> Self {
        Self { unknown, ..self }
    }
    /// The answer as a JSON tree.
    ///
    /// # Panics
    /// When the output's own `Serialize` fails; outputs are plain structs, whose derived one cannot.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).expect("an output is a plain struct with text keys")
    }
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.unknown.is_empty() {
            return erased_serde::serialize(&*self.output, serializer);
        }
        let mut value = serde_json::to_value(&self.output).map_err(serde::ser::Error::custom)?;
        if let Value::Object(fields) = &mut value {
            fields.insert("unknown".to_owned(), self.unknown.clone().into());
        }
        value.serialize(serializer)
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An answer may hold a client's keys.
        f.write_str("Answer(..)")
    }
}
