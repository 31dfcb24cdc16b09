//! The kinds of parameters (`docs/contract.md`): read from an action's schema, and read by.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use phantom_types::{ClientName, Domain, ExitName, HostName, InterfaceName, Subnet};
use serde_json::Value;

use super::{ParamError, RawValue, Unfit};
use crate::or_none::NONE;

/// Longest `text`, in characters.
const TEXT_MAX: usize = 255;
/// Most elements of a list.
const LIST_MAX: usize = 64;

/// What a parameter takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// Any text without control characters, at most 255 characters.
    Text,
    /// A new client's name.
    ClientName,
    /// The name of a client that should be there: any text but an empty one, since what is no name is no client's.
    ClientLookup,
    /// A name of an exit.
    Name,
    /// The name of an interface.
    Interface,
    /// True or false.
    Boolean,
    /// A whole number of this range.
    Integer {
        /// Lowest value.
        minimum: i64,
        /// Highest value.
        maximum: i64,
    },
    /// An IPv4 or IPv6 address.
    Ip,
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// An IPv4 subnet with its host bits zero.
    Cidr4,
    /// A domain name.
    Domain,
    /// A domain name or an address.
    Host,
    /// A path.
    Path,
    /// One of these words.
    Choice(Vec<String>),
    /// At most 64 of one kind.
    List(Box<ParameterKind>),
    /// A text or a boolean: what it must be depends on another parameter.
    Any,
    /// One of a kind, or `none` (JSON `null`), which takes away what is stored.
    OrNone(Box<ParameterKind>),
}

impl ParameterKind {
    /// The kind that a property's schema declares: by `format`, else by `enum`, else by `type`.
    pub(super) fn of_schema(property: &Value, root: &Value) -> Self {
        let property = resolve(property, root);
        let kind = Self::of_resolved(property, root);
        let unsets = property.get("x-none") == Some(&Value::Bool(true));
        if unsets { Self::OrNone(Box::new(kind)) } else { kind }
    }

    fn of_resolved(property: &Value, root: &Value) -> Self {
        if let Some(words) = words(property) {
            return Self::Choice(words);
        }
        let has_type = |name: &str| match property.get("type") {
            Some(Value::String(text)) => text == name,
            Some(Value::Array(list)) => list.iter().any(|word| word == name),
            _ => false,
        };
        let bound = |key: &str, other: i64| property.get(key).and_then(Value::as_i64).unwrap_or(other);
        match property.get("format").and_then(Value::as_str) {
            Some("client-name") => Self::ClientName,
            Some("client-lookup") => Self::ClientLookup,
            Some("name") => Self::Name,
            Some("interface") => Self::Interface,
            Some("ip") => Self::Ip,
            Some("ipv4") => Self::Ipv4,
            Some("ipv6") => Self::Ipv6,
            Some("cidr4") => Self::Cidr4,
            Some("domain") => Self::Domain,
            Some("host") => Self::Host,
            Some("path") => Self::Path,
            Some("any") => Self::Any,
            _ if has_type("boolean") => Self::Boolean,
            _ if has_type("integer") => {
                Self::Integer { minimum: bound("minimum", i64::MIN), maximum: bound("maximum", i64::MAX) }
            }
            _ if has_type("array") => {
                let items = property.get("items").cloned().unwrap_or_default();
                Self::List(Box::new(Self::of_schema(&items, root)))
            }
            _ => Self::Text,
        }
    }

    /// The kind's name in `docs/contract.md`, "Kinds of parameters"; errors carry it as `expected`.
    pub fn expected(&self) -> &'static str {
        match self {
            Self::Text | Self::Any => "text",
            Self::ClientName | Self::ClientLookup | Self::Name | Self::Interface => "name",
            Self::Boolean => "boolean",
            Self::Integer { .. } => "integer",
            Self::Ip => "ip",
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Cidr4 => "cidr4",
            Self::Domain => "domain",
            Self::Host => "host",
            Self::Path => "path",
            Self::Choice(_) => "choice",
            Self::List(_) => "list",
            Self::OrNone(kind) => kind.expected(),
        }
    }

    /// Whether JSON's `null` is a value of this kind and does not say that nothing is given.
    pub(super) const fn takes_null(&self) -> bool {
        matches!(self, Self::OrNone(_))
    }

    /// Whether an empty value is an unusable client name and not a missing parameter.
    pub(super) fn is_client_name(&self) -> bool {
        matches!(self, Self::ClientName | Self::ClientLookup)
    }

    /// Reads one value: never guessed, always by this kind.
    pub(super) fn read(&self, parameter: &str, given: RawValue) -> Result<Value, ParamError> {
        match self {
            Self::Boolean => boolean(&given).map(Value::Bool).ok_or_else(|| self.refuse(parameter)),
            Self::Integer { minimum, maximum } => {
                let number = integer(&given).filter(|number| (*minimum..=*maximum).contains(number));
                number.map(Value::from).ok_or_else(|| self.refuse(parameter))
            }
            Self::List(kind) => self.read_list(kind, parameter, given),
            Self::OrNone(kind) => match given {
                RawValue::Json(Value::Null) => Ok(NONE.into()),
                RawValue::Text(text) | RawValue::Json(Value::String(text))
                    if text.eq_ignore_ascii_case(NONE) =>
                {
                    Ok(NONE.into())
                }
                other => kind.read(parameter, other),
            },
            Self::Any => match given {
                RawValue::Json(value @ (Value::Bool(_) | Value::Number(_))) => Ok(value),
                other => Self::Text.read(parameter, other),
            },
            _ => match given {
                RawValue::Text(text) | RawValue::Json(Value::String(text)) => self.read_text(parameter, text),
                RawValue::Json(_) => Err(self.refuse(parameter)),
            },
        }
    }

    fn read_text(&self, parameter: &str, text: String) -> Result<Value, ParamError> {
        let fits = match self {
            Self::ClientName => {
                return match text.parse::<ClientName>() {
                    Ok(_) => Ok(Value::String(text)),
                    Err(cause) => {
                        Err(ParamError::ClientName { parameter: parameter.to_owned(), name: text, cause })
                    }
                };
            }
            Self::Cidr4 => {
                return match text.parse::<Subnet>() {
                    Ok(_) => Ok(Value::String(text)),
                    Err(_) => Err(ParamError::Subnet { parameter: parameter.to_owned(), value: text }),
                };
            }
            Self::ClientLookup => true,
            Self::Name => {
                return self.fit(parameter, text, |text| text.parse::<ExitName>().map_err(Unfit::Name));
            }
            Self::Interface => {
                return self
                    .fit(parameter, text, |text| text.parse::<InterfaceName>().map_err(Unfit::Interface));
            }
            Self::Ip => text.parse::<IpAddr>().is_ok(),
            Self::Ipv4 => text.parse::<Ipv4Addr>().is_ok(),
            Self::Ipv6 => text.parse::<Ipv6Addr>().is_ok(),
            Self::Domain => {
                return self.fit(parameter, text, |text| text.parse::<Domain>().map_err(Unfit::Domain));
            }
            Self::Host => {
                return self.fit(parameter, text, |text| {
                    text.parse::<HostName>().map_err(|error| Unfit::Domain(error.into()))
                });
            }
            Self::Path => !text.contains('\0'),
            Self::Choice(words) => words.contains(&text),
            _ => text.chars().count() <= TEXT_MAX && !text.chars().any(char::is_control),
        };
        if fits { Ok(Value::String(text)) } else { Err(self.refuse(parameter)) }
    }

    /// A text that is a name of this kind, or what is wrong with it.
    fn fit<T>(
        &self,
        parameter: &str,
        text: String,
        parse: impl FnOnce(&str) -> Result<T, Unfit>,
    ) -> Result<Value, ParamError> {
        let expected = self.expected();
        match parse(&text) {
            Ok(_) => Ok(Value::String(text)),
            Err(cause) => Err(ParamError::Unfit { parameter: parameter.to_owned(), expected, cause }),
        }
    }

    fn read_list(&self, kind: &Self, parameter: &str, given: RawValue) -> Result<Value, ParamError> {
        let elements = match given {
            RawValue::Json(Value::Array(list)) => list.into_iter().map(RawValue::Json).collect(),
            RawValue::Text(text) | RawValue::Json(Value::String(text))
                if text.trim_start().starts_with('[') =>
            {
                match serde_json::from_str(&text) {
                    Ok(Value::Array(list)) => list.into_iter().map(RawValue::Json).collect::<Vec<_>>(),
                    _ => return Err(self.refuse(parameter)),
                }
            }
            RawValue::Text(text) | RawValue::Json(Value::String(text)) => {
                text.split(',').map(|word| RawValue::Text(word.trim().to_owned())).collect()
            }
            RawValue::Json(_) => return Err(self.refuse(parameter)),
        };
        if elements.len() > LIST_MAX {
            return Err(self.refuse(parameter));
        }
        elements.into_iter().map(|element| kind.read(parameter, element)).collect()
    }

    fn refuse(&self, parameter: &str) -> ParamError {
        let parameter = parameter.to_owned();
        match self {
            Self::Integer { minimum, maximum } => {
                ParamError::Range { parameter, minimum: *minimum, maximum: *maximum }
            }
            Self::Choice(allowed) => ParamError::Choice { parameter, allowed: allowed.clone() },
            other => ParamError::Type { parameter, expected: other.expected() },
        }
    }
}

/// Follows a reference, and takes the branch of `anyOf` that is not null.
fn resolve<'a>(property: &'a Value, root: &'a Value) -> &'a Value {
    if let Some(path) = property.get("$ref").and_then(Value::as_str) {
        return root.pointer(path.trim_start_matches('#')).unwrap_or(property);
    }
    let branches = property.get("anyOf").and_then(Value::as_array);
    let branch =
        branches.and_then(|list| list.iter().find(|one| one.get("type") != Some(&Value::from("null"))));
    branch.map_or(property, |one| resolve(one, root))
}

/// The fixed words of a choice: `enum`, or `oneOf` with a `const` each (variants with a doc comment).
fn words(property: &Value) -> Option<Vec<String>> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    if let Some(list) = property.get("enum").and_then(Value::as_array) {
        return Some(list.iter().filter_map(text).collect());
    }
    let branches = property.get("oneOf").and_then(Value::as_array)?;
    branches.iter().map(|one| one.get("const").and_then(text)).collect()
}

fn boolean(given: &RawValue) -> Option<bool> {
    match given {
        RawValue::Json(Value::Bool(value)) => Some(*value),
        RawValue::Json(Value::Number(number)) => match whole(number) {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        },
        RawValue::Text(text) | RawValue::Json(Value::String(text)) => {
            match text.to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => Some(true),
                "false" | "0" | "no" | "off" => Some(false),
                _ => None,
            }
        }
        RawValue::Json(_) => None,
    }
}

/// The whole number that a JSON number is, however it is written: `2`, `2.0`, `2e0` (RFC 8259, section 6, and JSON Schema,
/// "integer"). A number that JSON's readers keep as a fraction is exact up to 2^53, which is more than any parameter takes.
#[expect(clippy::cast_possible_truncation, reason = "what has no fraction and is at most 2^53 fits exactly")]
fn whole(number: &serde_json::Number) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    number.as_i64().or_else(|| {
        let value = number.as_f64().filter(|value| value.fract() == 0.0 && value.abs() <= EXACT)?;
        Some(value as i64)
    })
}

fn integer(given: &RawValue) -> Option<i64> {
    match given {
        RawValue::Json(Value::Number(number)) => whole(number),
        RawValue::Text(text) | RawValue::Json(Value::String(text)) => {
            let digits = text.strip_prefix('-').unwrap_or(text);
            let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|_| plain)
        }
        RawValue::Json(_) => None,
    }
}
