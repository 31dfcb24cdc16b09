//! The PROXY protocol, by which a proxy tells a server whose connection it passes on.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::Spoken;

/// A text that names no version of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a version of the PROXY protocol is one of: v1, v2")]
pub struct ProxyVersionError;

impl Spoken for ProxyVersionError {
    fn turkish(&self) -> String {
        "PROXY protokolünün sürümü şunlardan biridir: v1, v2".to_owned()
    }
}

/// A version of the PROXY protocol. As text it is the word in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProxyVersion {
    /// A line of text before the connection's bytes.
    V1,
    /// A binary header before them.
    V2,
}

impl ProxyVersion {
    const WORDS: [&str; 2] = ["v1", "v2"];

    /// `v1` or `v2`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}

impl FromStr for ProxyVersion {
    type Err = ProxyVersionError;
    fn from_str(text: &str) -> Result<Self, ProxyVersionError> {
        [Self::V1, Self::V2].into_iter().find(|version| version.as_str() == text).ok_or(ProxyVersionError)
    }
}

impl fmt::Display for ProxyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl JsonSchema for ProxyVersion {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "ProxyVersion".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": Self::WORDS })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_json_and_schema_agree() {
        for word in ProxyVersion::WORDS {
            let version: ProxyVersion = word.parse().unwrap();
            assert_eq!(version.to_string(), word);
            assert_eq!(serde_json::to_value(version).unwrap(), word);
            assert_eq!(serde_json::from_value::<ProxyVersion>(word.into()).unwrap(), version);
        }
        for word in ["", "1", "V1", "v3", "v1 "] {
            assert_eq!(word.parse::<ProxyVersion>(), Err(ProxyVersionError), "{word}");
        }
    }
}
