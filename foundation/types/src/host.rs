//! Hosts by name or address, and end points.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::Spoken;

/// Longest domain name in text form without the final dot (RFC 1035, section 2.3.4, less the length octets).
const DOMAIN_MAX: usize = 253;
/// Longest label of a domain name (RFC 1035, section 2.3.4).
const LABEL_MAX: usize = 63;

/// Why a text is no domain name. Of the text itself at most one character is repeated, or the ASCII form of a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DomainError {
    /// Fewer than two labels.
    #[error("a domain name has at least two labels, such as example.com")]
    Labels,
    /// More than 253 characters.
    #[error("a domain name has at most 253 characters")]
    TooLong,
    /// A label that is empty, longer than 63 characters, or has `-` at an end.
    #[error("the labels of a domain name are 1 to 63 letters, digits and '-', the latter not at an end")]
    Label,
    /// A character that no label has.
    #[error("{} is no character of a domain name", shown_char(*.character))]
    Character {
        /// The first one.
        character: char,
    },
    /// An international name, which is written in its ASCII form (RFC 5891, section 4.4).
    #[error("a name with other letters than a to z is written in its ASCII form: {ascii}")]
    International {
        /// That form: labels that begin with `xn--`.
        ascii: String,
    },
    /// The last label is all digits: the text looks like an IPv4 address.
    #[error("the last label of a domain name is not a number")]
    Number,
}

impl Spoken for DomainError {
    fn turkish(&self) -> String {
        match self {
            Self::Labels => "alan adı en az iki parçalıdır, example.com gibi".to_owned(),
            Self::TooLong => "alan adı en fazla 253 karakterdir".to_owned(),
            Self::Label => {
                "alan adının parçaları 1 ile 63 arası harf, rakam ve '-' içerir, '-' başta ve sonda olamaz"
                    .to_owned()
            }
            Self::Character { character } => {
                format!("{} karakteri alan adlarında kullanılamaz", shown_char(*character))
            }
            Self::International { ascii } => {
                format!("a-z dışında harf içeren bir ad ASCII biçiminde yazılır: {ascii}")
            }
            Self::Number => "alan adının son parçası sayı olamaz".to_owned(),
        }
    }
}

/// Why a text is no host: neither an address nor a domain name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither an IP address nor a domain name")]
pub struct HostNameError(#[from] DomainError);

impl Spoken for HostNameError {
    fn turkish(&self) -> String {
        "ne bir IP adresi ne de bir alan adı".to_owned()
    }
    fn because(&self) -> Option<&(dyn Spoken + 'static)> {
        Some(&self.0)
    }
}

/// Why a text is no end point. Of the text itself no more is repeated than in a [`DomainError`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// There is no `:port`, or it is not a number of 1–65535 in decimal digits.
    #[error("an end point ends in ':' and a port of 1 to 65535")]
    Port,
    /// An IPv6 address without brackets, or brackets round something else.
    #[error("an IPv6 address in an end point, and only that, is written in brackets: [2001:db8::1]:51820")]
    Brackets,
    /// What stands before the port is no host.
    #[error("the host of the end point is not usable")]
    Host(#[from] HostNameError),
}

impl Spoken for EndpointError {
    fn turkish(&self) -> String {
        match self {
            Self::Port => "uç nokta ':' ve 1 ile 65535 arasında bir portla biter",
            Self::Brackets => {
                "uç noktada köşeli ayraç içinde yalnızca IPv6 adresi bulunur: [2001:db8::1]:51820"
            }
            Self::Host(_) => "uç noktanın sunucu adı kullanılamaz",
        }
        .to_owned()
    }
    fn because(&self) -> Option<&(dyn Spoken + 'static)> {
        match self {
            Self::Host(error) => Some(error),
            Self::Port | Self::Brackets => None,
        }
    }
}

/// A domain name, in lower case (upper case is converted).
///
/// As a parameter of the kind `domain` it has two or more labels of letters, digits and `-`, and no final dot.
/// The host of an end point may be what wg(8) hands to the resolver beside that: one label, which is completed by the search
/// list of resolv.conf(5); labels with `_`; a final dot, which says that nothing is to be appended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Domain(String);

/// A host: an IP address or a domain name, without a port; as a parameter it is of the kind `host`. As text an IPv6 address
/// has no brackets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum HostName {
    /// An address of either family.
    Ip(IpAddr),
    /// A name that a resolver has to turn into addresses.
    Domain(Domain),
}

/// A host with a UDP or TCP port: `192.0.2.1:51820`, `[2001:db8::1]:51820`, `vpn.example.com:51820`. Its name may be any that
/// wg(8) resolves (see [`Domain`]).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Endpoint {
    /// Whom to reach.
    pub host: HostName,
    /// The port; one that was read is never 0.
    pub port: u16,
}

impl Domain {
    /// The name as text, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this name is `other` or lies below it: `a.example.com` is within `example.com`.
    pub fn is_within(&self, other: &str) -> bool {
        let name = self.0.strip_suffix('.').unwrap_or(&self.0);
        name.strip_suffix(other).is_some_and(|head| head.is_empty() || head.ends_with('.'))
    }

    /// The host of an end point, as wg(8) takes it.
    fn of_endpoint(text: &str) -> Result<Self, DomainError> {
        let bare = text.strip_suffix('.').unwrap_or(text);
        read_name(bare, |byte| byte == b'-' || byte == b'_')?;
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl HostName {
    /// The address, when no resolver is needed.
    pub const fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Domain(_) => None,
        }
    }
}

impl Endpoint {
    /// The end point of a host and a port.
    pub const fn new(host: HostName, port: u16) -> Self {
        Self { host, port }
    }

    /// The socket address, when no resolver is needed.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        self.host.ip().map(|address| SocketAddr::new(address, self.port))
    }
}

/// A character as a message shows it: itself where it can be seen, else its number in Unicode.
pub fn shown_char(character: char) -> String {
    if character.is_ascii_graphic() || character.is_alphanumeric() || character == ' ' {
        format!("'{character}'")
    } else {
        format!("U+{:04X}", u32::from(character))
    }
}

/// That a text is labels, joined by dots, of letters, digits and what `joins` lets in; not a number at the end.
fn read_name(text: &str, joins: fn(u8) -> bool) -> Result<(), DomainError> {
    check_characters(text, joins)?;
    if text.len() > DOMAIN_MAX {
        return Err(DomainError::TooLong);
    }
    text.split('.').try_for_each(check_label)?;
    let last = text.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) { Err(DomainError::Number) } else { Ok(()) }
}

/// That there are no other characters. An international name is told in its ASCII form, where it has one.
fn check_characters(text: &str, joins: fn(u8) -> bool) -> Result<(), DomainError> {
    let fits = |letter: char| {
        letter == '.' || u8::try_from(letter).is_ok_and(|byte| byte.is_ascii_alphanumeric() || joins(byte))
    };
    let Some(character) = text.chars().find(|letter| !fits(*letter)) else { return Ok(()) };
    if text.chars().filter(|letter| !fits(*letter)).all(char::is_alphanumeric)
        && let Ok(ascii) = idna::domain_to_ascii_strict(text)
    {
        return Err(DomainError::International { ascii });
    }
    Err(DomainError::Character { character })
}

fn check_label(label: &str) -> Result<(), DomainError> {
    let ends = label.starts_with('-') || label.ends_with('-');
    if !ends && (1..=LABEL_MAX).contains(&label.len()) { Ok(()) } else { Err(DomainError::Label) }
}

impl FromStr for Domain {
    type Err = DomainError;
    fn from_str(text: &str) -> Result<Self, DomainError> {
        read_name(text, |byte| byte == b'-')?;
        if !text.contains('.') {
            return Err(DomainError::Labels);
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl FromStr for HostName {
    type Err = HostNameError;
    fn from_str(text: &str) -> Result<Self, HostNameError> {
        text.parse().map(Self::Ip).or_else(|_| Ok(Self::Domain(text.parse()?)))
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;
    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let (host, port) = text.rsplit_once(':').ok_or(EndpointError::Port)?;
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|port| digits && *port > 0).ok_or(EndpointError::Port)?;
        if let Some(inner) = host.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or(EndpointError::Brackets)?;
            let address: Ipv6Addr = inner.parse().map_err(|_| EndpointError::Brackets)?;
            return Ok(Self::new(address.into(), port));
        }
        if host.contains([':', ']']) {
            return Err(EndpointError::Brackets);
        }
        let host = match host.parse::<IpAddr>() {
            Ok(address) => HostName::Ip(address),
            Err(_) => HostName::Domain(Domain::of_endpoint(host).map_err(HostNameError)?),
        };
        Ok(Self::new(host, port))
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Domain(domain) => domain.fmt(f),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            HostName::Ip(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
            host => write!(f, "{host}:{}", self.port),
        }
    }
}

impl TryFrom<String> for Domain {
    type Error = DomainError;
    fn try_from(text: String) -> Result<Self, DomainError> {
        text.parse()
    }
}

impl TryFrom<String> for HostName {
    type Error = HostNameError;
    fn try_from(text: String) -> Result<Self, HostNameError> {
        text.parse()
    }
}

impl TryFrom<String> for Endpoint {
    type Error = EndpointError;
    fn try_from(text: String) -> Result<Self, EndpointError> {
        text.parse()
    }
}

impl From<Domain> for String {
    fn from(domain: Domain) -> Self {
        domain.0
    }
}

impl From<HostName> for String {
    fn from(host: HostName) -> Self {
        host.to_string()
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> Self {
        endpoint.to_string()
    }
}

impl From<HostNameError> for DomainError {
    fn from(HostNameError(error): HostNameError) -> Self {
        error
    }
}

impl From<IpAddr> for HostName {
    fn from(address: IpAddr) -> Self {
        Self::Ip(address)
    }
}

impl From<Ipv4Addr> for HostName {
    fn from(address: Ipv4Addr) -> Self {
        Self::Ip(address.into())
    }
}

impl From<Ipv6Addr> for HostName {
    fn from(address: Ipv6Addr) -> Self {
        Self::Ip(address.into())
    }
}

impl From<Domain> for HostName {
    fn from(domain: Domain) -> Self {
        Self::Domain(domain)
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self::new(address.ip().into(), address.port())
    }
}

impl JsonSchema for Domain {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Domain".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "domain", "maxLength": DOMAIN_MAX })
    }
}

impl JsonSchema for HostName {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "HostName".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "host", "maxLength": DOMAIN_MAX })
    }
}

impl JsonSchema for Endpoint {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Endpoint".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "endpoint" })
    }
}

#[cfg(test)]
mod tests;
