//! Names: of clients, of exits, of interfaces.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::Spoken;
use crate::host::shown_char;

/// Longest name of a client or an exit, in characters.
pub(crate) const NAME_MAX: usize = 50;
/// Longest interface name: `IFNAMSIZ` (16) of `linux/if.h` less the terminating NUL.
const INTERFACE_MAX: usize = 15;

/// Why a text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Nothing was given.
    #[error("a name is required")]
    Empty,
    /// A character that names do not have, or a forbidden first one.
    #[error("a name has letters, digits, '_' and '-' only and does not start with '-' (here: {})", shown_char(*.character))]
    Characters {
        /// The first one.
        character: char,
    },
    /// More characters than allowed.
    #[error("a name has at most {max} characters")]
    TooLong {
        /// The most that is allowed.
        max: usize,
    },
}

impl Spoken for NameError {
    fn turkish(&self) -> String {
        match self {
            Self::Empty => "bir isim zorunludur".to_owned(),
            Self::Characters { character } => format!(
                "bir isim yalnızca harf, rakam, '_' ve '-' içerir, '-' ile başlayamaz (burada: {})",
                shown_char(*character)
            ),
            Self::TooLong { max } => format!("bir isim en fazla {max} karakterdir"),
        }
    }
}

fn check(text: &str, max: usize, first: fn(u8) -> bool) -> Result<(), NameError> {
    let word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    let Some(head) = text.chars().next() else { return Err(NameError::Empty) };
    let wrong = text.chars().find(|letter| !word(*letter));
    let wrong = Some(head).filter(|head| !u8::try_from(*head).is_ok_and(first)).or(wrong);
    match wrong {
        Some(character) => Err(NameError::Characters { character }),
        None if text.len() > max => Err(NameError::TooLong { max }),
        None => Ok(()),
    }
}

fn name_schema(format: &str, pattern: &str, max: usize) -> Schema {
    json_schema!({ "type": "string", "format": format, "pattern": pattern, "minLength": 1, "maxLength": max })
}

/// Name of a client: 1–50 of `A-Z a-z 0-9 _ -`, not starting with `-`.
///
/// Two names that differ in case only are different values here; that they cannot both be stored is the
/// store's rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClientName(String);

/// Name of an exit: as a client's, in lower case (upper case is converted).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ExitName(String);

/// Name of a network interface that this system creates: 1–15 of `A-Z a-z 0-9 _ -`, a letter first.
///
/// The kernel allows more; what it allows beyond this would have to be quoted in some file or rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InterfaceName(String);

impl FromStr for ClientName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        check(text, NAME_MAX, |head| head != b'-')?;
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for ExitName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        check(text, NAME_MAX, |head| head != b'-')?;
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl FromStr for InterfaceName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        check(text, INTERFACE_MAX, |head| head.is_ascii_alphabetic())?;
        Ok(Self(text.to_owned()))
    }
}

impl ClientName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ExitName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl InterfaceName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ClientName {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl TryFrom<String> for ExitName {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl TryFrom<String> for InterfaceName {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<ClientName> for String {
    fn from(name: ClientName) -> Self {
        name.0
    }
}

impl From<ExitName> for String {
    fn from(name: ExitName) -> Self {
        name.0
    }
}

impl From<InterfaceName> for String {
    fn from(name: InterfaceName) -> Self {
        name.0
    }
}

impl fmt::Display for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ExitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for ClientName {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "ClientName".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        name_schema("client-name", "^[A-Za-z0-9_][A-Za-z0-9_-]*$", NAME_MAX)
    }
}

impl JsonSchema for ExitName {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "ExitName".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        name_schema("name", "^[A-Za-z0-9_][A-Za-z0-9_-]*$", NAME_MAX)
    }
}

impl JsonSchema for InterfaceName {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "InterfaceName".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        name_schema("interface", "^[A-Za-z][A-Za-z0-9_-]*$", INTERFACE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_that_are_allowed() {
        let longest = "n".repeat(NAME_MAX);
        for text in ["a", "John-Laptop", "_x", "0", "a-", &longest] {
            assert_eq!(text.parse::<ClientName>().unwrap().as_str(), text);
            assert_eq!(text.parse::<ExitName>().unwrap().as_str(), text.to_lowercase());
        }
        for text in ["wg_main", "W", "a23456789012345"] {
            assert_eq!(text.parse::<InterfaceName>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn names_that_are_refused() {
        let long = "n".repeat(NAME_MAX + 1);
        for (text, error) in [
            ("", NameError::Empty),
            ("-a", NameError::Characters { character: '-' }),
            ("a b", NameError::Characters { character: ' ' }),
            ("a\n", NameError::Characters { character: '\n' }),
            ("../a", NameError::Characters { character: '.' }),
            ("é", NameError::Characters { character: 'é' }),
            ("telefon-çocuk", NameError::Characters { character: 'ç' }),
            (&long, NameError::TooLong { max: NAME_MAX }),
        ] {
            assert_eq!(text.parse::<ClientName>(), Err(error), "{text}");
            assert_eq!(text.parse::<ExitName>(), Err(error), "{text}");
        }
        for text in ["0a", "_a", "-a", "a.b", "a/b", "a2345678901234567"] {
            assert!(text.parse::<InterfaceName>().is_err(), "{text}");
        }
    }

    proptest! {
        /// The parser and the pattern that the schema gives to others agree.
        #[test]
        fn names_are_those_of_the_pattern(text in "[a-zA-Z0-9_.é -]{0,52}") {
            let word = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
            let fits = !text.is_empty() && text.len() <= NAME_MAX && !text.starts_with('-') && text.chars().all(word);
            prop_assert_eq!(text.parse::<ClientName>().is_ok(), fits);
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = (text.parse::<ClientName>(), text.parse::<ExitName>(), text.parse::<InterfaceName>());
        }
    }
}
