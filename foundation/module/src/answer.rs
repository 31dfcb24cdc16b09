//! An action's answer after its type has been forgotten.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::Value;

/// What an action answered: still the typed value, ready to be written. An answer of ten thousand peers goes to
/// the printer without a tree of JSON values in between.
pub struct Answer(Box<dyn erased_serde::Serialize + Send>);

impl Answer {
    /// Wraps a typed answer.
    pub fn new(output: impl Serialize + Send + 'static) -> Self {
        Self(Box::new(output))
    }
    /// The answer as a JSON tree.
    ///
    /// # Panics
    /// When the output's own `Serialize` fails; outputs are plain structs, whose derived one cannot.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(&self.0).expect("an output is a plain struct with text keys")
    }
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        erased_serde::serialize(&*self.0, serializer)
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An answer may hold a client's keys.
        f.write_str("Answer(..)")
    }
}
