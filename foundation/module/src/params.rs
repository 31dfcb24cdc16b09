//! Parameters: what is declared, what is given, and how the one becomes the other.

mod error;
mod kind;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::{Lang, Spec};
pub use error::{ParamError, Unfit};
pub use kind::ParameterKind;

/// A parameter as its action declares it.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// What it takes.
    pub kind: ParameterKind,
    /// It must be given.
    pub required: bool,
    /// What counts when it is not given, where that is a fixed value.
    pub default: Option<Value>,
    /// Help in English.
    pub en: String,
    /// Help in Turkish.
    pub tr: String,
}

impl Param {
    /// Help in one language.
    pub fn help(&self, lang: Lang) -> &str {
        lang.pick(&self.en, &self.tr)
    }
}

/// The parameters of an action, in the order of its fields.
pub fn parameters(spec: &Spec) -> Vec<Param> {
    let schema = (spec.params)();
    let schema = schema.as_value();
    let text =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let required = |name: &str| {
        schema
            .get("required")
            .and_then(Value::as_array)
            .is_some_and(|list| list.iter().any(|word| word == name))
    };
    let properties = schema.get("properties").and_then(Value::as_object);
    let param = |(name, property): (&String, &Value)| Param {
        name: name.clone(),
        kind: ParameterKind::of_schema(property, schema),
        required: required(name),
        default: default(property),
        en: text(property, "description"),
        tr: text(property, "x-tr"),
    };
    properties.into_iter().flatten().map(param).collect()
}

/// What counts when a parameter is not given: `default`, or for an optional field whose default is chosen by the
/// action, the `x-default` beside its doc comment.
fn default(property: &Value) -> Option<Value> {
    let declared = property.get("default").filter(|value| !value.is_null());
    declared.or_else(|| property.get("x-default")).cloned()
}

/// A value as it was given.
#[derive(Clone, PartialEq)]
pub enum RawValue {
    /// The text behind the first `=` of a word.
    Text(String),
    /// A value of a JSON object.
    Json(Value),
}

impl std::fmt::Debug for RawValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Given(..)") // nobody knows whether it is a secret
    }
}

/// The parameters of one call as they were given, in order, not yet looked at.
#[derive(Clone, Debug, Default)]
pub struct Params(Vec<(String, RawValue)>);

impl Params {
    /// No parameters.
    pub fn new() -> Self {
        Self::default()
    }
    /// From pairs of text, as `key=value` words give them.
    pub fn from_words<K: Into<String>, V: Into<String>>(words: impl IntoIterator<Item = (K, V)>) -> Self {
        Self(words.into_iter().map(|(key, value)| (key.into(), RawValue::Text(value.into()))).collect())
    }
    /// From a JSON object.
    pub fn from_json(object: Map<String, Value>) -> Self {
        Self(object.into_iter().map(|(key, value)| (key, RawValue::Json(value))).collect())
    }
    /// Adds one.
    pub fn push(&mut self, key: impl Into<String>, value: RawValue) {
        self.0.push((key.into(), value));
    }
    /// Adds those of another set behind these.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

/// Reads what was given by what is declared: names first, then what is missing, then every value by its kind.
///
/// The answer has only the parameters that were given and are not empty, as JSON of their kinds. JSON's `null` says that nothing is
/// given, but where it takes away what is stored ([`ParameterKind::OrNone`]).
pub fn read(declared: &[Param], given: Params) -> Result<Map<String, Value>, ParamError> {
    check_names(declared, &given)?;
    let mut values = given.0;
    for param in declared.iter().filter(|param| param.required) {
        let found = values.iter().find(|(key, _)| *key == param.name).map(|(_, value)| value);
        match found {
            Some(value) if !value.is_nothing() => {}
            Some(_) if param.kind.is_client_name() => return Err(ParamError::client_name_empty(&param.name)),
            Some(_) | None => return Err(ParamError::Missing { parameter: param.name.clone() }),
        }
    }
    let takes_null = |key: &str| declared.iter().any(|param| param.name == key && param.kind.takes_null());
    values.retain(|(key, value)| {
        !value.is_nothing() || (matches!(value, RawValue::Json(Value::Null)) && takes_null(key))
    });
    let mut read = Map::new();
    for param in declared {
        if let Some(at) = values.iter().position(|(key, _)| *key == param.name) {
            let (_, value) = values.swap_remove(at);
            read.insert(param.name.clone(), param.kind.read(&param.name, value)?);
        }
    }
    Ok(read)
}

impl RawValue {
    fn is_nothing(&self) -> bool {
        match self {
            Self::Text(text) | Self::Json(Value::String(text)) => text.is_empty(),
            Self::Json(value) => value.is_null(),
        }
    }
}

fn check_names(declared: &[Param], given: &Params) -> Result<(), ParamError> {
    let mut seen = BTreeSet::new();
    for (key, _) in &given.0 {
        if !declared.iter().any(|param| param.name == *key) {
            let known = declared.iter().map(|param| param.name.clone()).collect();
            return Err(ParamError::Unknown { parameter: key.clone(), known });
        }
        if !seen.insert(key) {
            return Err(ParamError::Repeated { parameter: key.clone() });
        }
    }
    Ok(())
}
