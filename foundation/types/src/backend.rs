//! Which WireGuard implementation serves an interface.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::Spoken;

/// A text that names no backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a backend is one of: {allowed}")]
pub struct BackendError {
    /// The words that are allowed, joined by `, `.
    allowed: &'static str,
}

impl Spoken for BackendError {
    fn turkish(&self) -> String {
        format!("WireGuard gerçeklemesi şunlardan biridir: {}", self.allowed)
    }
}

/// A WireGuard implementation in use. As text it is the word in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// The kernel's own WireGuard, reached by netlink.
    Kernel,
    /// Our device process: WireGuard in user space on a TUN device, reached by its UAPI socket.
    Embedded,
}

/// A wish for a backend. As text it is the word in lower case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackendChoice {
    /// The kernel's where the kernel has it, else the embedded one.
    #[default]
    Auto,
    /// The kernel's; where the kernel has none this cannot be met.
    Kernel,
    /// The embedded one, even where the kernel has its own.
    Embedded,
}

impl Backend {
    const WORDS: [&str; 2] = ["kernel", "embedded"];

    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Embedded => "embedded",
        }
    }
}

impl BackendChoice {
    const WORDS: [&str; 3] = ["auto", "kernel", "embedded"];

    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Kernel => "kernel",
            Self::Embedded => "embedded",
        }
    }

    /// The backend to use on a host whose kernel can (or cannot) create WireGuard interfaces; `None` when the
    /// wish cannot be met there.
    pub const fn resolve(self, kernel_has_wireguard: bool) -> Option<Backend> {
        match (self, kernel_has_wireguard) {
            (Self::Auto | Self::Kernel, true) => Some(Backend::Kernel),
            (Self::Auto, false) | (Self::Embedded, _) => Some(Backend::Embedded),
            (Self::Kernel, false) => None,
        }
    }
}

impl From<Backend> for BackendChoice {
    fn from(backend: Backend) -> Self {
        match backend {
            Backend::Kernel => Self::Kernel,
            Backend::Embedded => Self::Embedded,
        }
    }
}

impl FromStr for Backend {
    type Err = BackendError;
    fn from_str(text: &str) -> Result<Self, BackendError> {
        match text {
            "kernel" => Ok(Self::Kernel),
            "embedded" => Ok(Self::Embedded),
            _ => Err(BackendError { allowed: "kernel, embedded" }),
        }
    }
}

impl FromStr for BackendChoice {
    type Err = BackendError;
    fn from_str(text: &str) -> Result<Self, BackendError> {
        match text {
            "auto" => Ok(Self::Auto),
            "kernel" => Ok(Self::Kernel),
            "embedded" => Ok(Self::Embedded),
            _ => Err(BackendError { allowed: "auto, kernel, embedded" }),
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for BackendChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl JsonSchema for Backend {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Backend".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": Self::WORDS })
    }
}

impl JsonSchema for BackendChoice {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "BackendChoice".into()
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
        for word in Backend::WORDS {
            let backend: Backend = word.parse().unwrap();
            assert_eq!(
                (backend.to_string(), BackendChoice::from(backend).to_string()),
                (word.into(), word.into())
            );
            assert_eq!(serde_json::to_value(backend).unwrap(), word);
            assert_eq!(serde_json::from_value::<Backend>(word.into()).unwrap(), backend);
        }
        for word in BackendChoice::WORDS {
            let choice: BackendChoice = word.parse().unwrap();
            assert_eq!(choice.to_string(), word);
            assert_eq!(serde_json::to_value(choice).unwrap(), word);
            assert_eq!(serde_json::from_value::<BackendChoice>(word.into()).unwrap(), choice);
        }
        let schema = SchemaGenerator::default().into_root_schema_for::<BackendChoice>();
        assert_eq!(schema.get("enum").unwrap(), &serde_json::json!(["auto", "kernel", "embedded"]));
    }

    #[test]
    fn other_words_are_refused() {
        for word in ["", "Kernel", "auto ", "wireguard-go"] {
            assert!(word.parse::<Backend>().is_err() && word.parse::<BackendChoice>().is_err(), "{word}");
        }
        assert!("auto".parse::<Backend>().is_err());
        assert_eq!("x".parse::<Backend>().unwrap_err().to_string(), "a backend is one of: kernel, embedded");
    }

    #[test]
    fn auto_takes_the_kernel_where_it_can() {
        assert_eq!(BackendChoice::Auto.resolve(true), Some(Backend::Kernel));
        assert_eq!(BackendChoice::Auto.resolve(false), Some(Backend::Embedded));
        assert_eq!(BackendChoice::Kernel.resolve(false), None);
        assert_eq!(BackendChoice::Embedded.resolve(true), Some(Backend::Embedded));
    }
}
