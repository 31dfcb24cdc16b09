//! Parameters that can take back what is stored.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{DeserializeOwned, IntoDeserializer as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The word that unsets, on the wire and on the command line. JSON's `null` says the same.
pub(crate) const NONE: &str = "none";

/// A new value, or none any more. An `Option` round it says whether the parameter was given at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrNone<T> {
    /// What is stored is taken away.
    Unset,
    /// This is stored.
    To(T),
}

impl<T> OrNone<T> {
    /// The new value, where there is one.
    pub const fn value(&self) -> Option<&T> {
        match self {
            Self::Unset => None,
            Self::To(value) => Some(value),
        }
    }

    /// The same by value.
    pub fn into_value(self) -> Option<T> {
        match self {
            Self::Unset => None,
            Self::To(value) => Some(value),
        }
    }
}

impl<T> From<T> for OrNone<T> {
    fn from(value: T) -> Self {
        Self::To(value)
    }
}

impl<T: Serialize> Serialize for OrNone<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unset => serializer.serialize_str(NONE),
            Self::To(value) => value.serialize(serializer),
        }
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for OrNone<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Option::<String>::deserialize(deserializer)? {
            Some(text) if text != NONE => T::deserialize(text.into_deserializer()).map(Self::To),
            _ => Ok(Self::Unset),
        }
    }
}

/// Reads a parameter that is given, for serde's `deserialize_with`: JSON's `null` takes away what is stored, while an `Option` alone
/// would read it as nothing given. Without the field serde takes its default.
///
/// # Errors
/// It is neither `null`, nor `none`, nor a text that `T` reads.
pub fn given<'de, D, T>(deserializer: D) -> Result<Option<OrNone<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    OrNone::deserialize(deserializer).map(Some)
}

impl<T: JsonSchema> JsonSchema for OrNone<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("OrNone_{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = T::json_schema(generator);
        schema.insert("x-none".to_owned(), true.into());
        schema
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Asked {
        #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
        name: Option<OrNone<String>>,
    }

    #[test]
    fn requested_value_round_trips_through_json() {
        for (name, written) in [
            (None, json!({})),
            (Some(OrNone::Unset), json!({ "name": "none" })),
            (Some(OrNone::To("a.example".to_owned())), json!({ "name": "a.example" })),
        ] {
            let asked = Asked { name };
            assert_eq!(serde_json::to_value(&asked).unwrap(), written);
            assert_eq!(serde_json::from_value::<Asked>(written).unwrap(), asked);
        }
        let null = serde_json::from_value::<Asked>(json!({ "name": null })).unwrap();
        assert_eq!(null.name, Some(OrNone::Unset));
        assert!(serde_json::from_value::<Asked>(json!({ "name": 5 })).is_err());
    }
}
