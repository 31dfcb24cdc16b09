//! Small values of the answers.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

/// A share in percent with at most two decimals; never NaN and never infinite.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Percent(f64);

impl Percent {
    /// `part` of `whole`; of nothing it is 0.
    pub fn from_ratio(part: u32, whole: u32) -> Self {
        if whole == 0 {
            return Self(0.0);
        }
        Self((f64::from(part) * 10_000.0 / f64::from(whole)).round() / 100.0)
    }
}

/// An object whose keys are names or addresses, in the order in which they were put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entries<V>(pub Vec<(String, V)>);

impl<V: Serialize> Serialize for Entries<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<V: JsonSchema> JsonSchema for Entries<V> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Entries".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "additionalProperties": generator.subschema_for::<V>() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_have_two_decimals() {
        for (part, whole, text) in [(1, 254, "0.39"), (0, 0, "0.0"), (254, 254, "100.0"), (1, 3, "33.33")] {
            assert_eq!(serde_json::to_string(&Percent::from_ratio(part, whole)).unwrap(), text);
        }
    }
}
