//! What a wstunnel client asks for: the claims of the token it sends, pure.
//!
//! The token has the form of a JSON Web Token, but its signature is made with a key that no server can know and proves
//! nothing. Only the claims are read; what decides is the secret in the path.

use std::fmt;
use std::net::Ipv4Addr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::request::Head;

/// The longest token in bytes that is looked at.
pub const MAX_TOKEN: usize = 4096;
const BEARER: &str = "authorization.bearer.";

/// Why a token is none that is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Not three parts between dots, or too long.
    #[error("not of the form of a token")]
    Form,
    /// The header or the claims are not JSON in base64 without padding, or a claim is missing or of the wrong type.
    #[error("the claims cannot be read")]
    Claims,
}

/// Where a tunnel is asked to lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenClaims {
    /// The tunnel's name at the client. wstunnel makes a UUID of version 7; any text is accepted.
    pub id: String,
    /// What is to be carried.
    pub protocol: Protocol,
    /// The destination's host: a name or an address, IPv6 in brackets.
    pub host: String,
    /// The destination's port.
    pub port: u16,
}

/// What a tunnel carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Datagrams.
    Udp,
    /// TCP, a reverse tunnel, or a word that is not known: nothing that is served.
    Other,
}

impl TokenClaims {
    /// Whether this asks for datagrams to `port` on this machine's own IPv4 address, the one destination there is.
    pub fn is_loopback_udp(&self, port: u16) -> bool {
        let here = self.host == "localhost" || self.host.parse() == Ok(Ipv4Addr::LOCALHOST);
        self.protocol == Protocol::Udp && self.port == port && here
    }
}

/// The token of a request: what follows `authorization.bearer.` in `Sec-WebSocket-Protocol`, else the whole `Cookie`.
pub fn find<'a>(head: &Head<'a>) -> Option<&'a str> {
    let bearer = head.values("Sec-WebSocket-Protocol").find_map(|value| Some(value.split_once(BEARER)?.1));
    match bearer {
        Some(token) => Some(token.split(',').next().unwrap_or(token).trim()),
        None => head.single("Cookie"),
    }
}

/// Reads the claims of `token`. Its signature may be anything.
pub fn parse(token: &str) -> Result<TokenClaims, TokenError> {
    let mut parts = token.split('.');
    let (Some(header), Some(claims), Some(_signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(TokenError::Form);
    };
    if token.len() > MAX_TOKEN {
        return Err(TokenError::Form);
    }
    json::<IgnoredAny>(header)?;
    let wire: Wire = json(claims)?;
    let protocol = if wire.p.0 { Protocol::Udp } else { Protocol::Other };
    Ok(TokenClaims { id: wire.id, protocol, host: wire.r, port: wire.rp })
}

fn json<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, TokenError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Claims)?;
    serde_json::from_slice(&bytes).map_err(|_| TokenError::Claims)
}

/// The claims as they travel; others are passed over.
#[derive(Deserialize)]
struct Wire {
    id: String,
    p: Word,
    r: String,
    rp: u16,
}

/// The protocol: `{"Udp":{"timeout":…}}`, or a word by itself. Says whether it is `Udp`.
struct Word(bool);

/// What `Udp` comes with. The time-out is the client's own business; it only has to be of the right type.
#[derive(Deserialize)]
struct Udp {
    #[serde(default, rename = "timeout")]
    _timeout: Option<Span>,
}

#[derive(Deserialize)]
struct Span {
    #[serde(rename = "secs")]
    _secs: u64,
    #[serde(rename = "nanos")]
    _nanos: u32,
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordVisitor)
    }
}

struct WordVisitor;

impl<'de> Visitor<'de> for WordVisitor {
    type Value = Word;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a protocol")
    }

    fn visit_str<E>(self, _: &str) -> Result<Word, E> {
        Ok(Word(false))
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Word, M::Error> {
        let mut udp = false;
        let mut count = 0;
        while let Some(name) = map.next_key::<String>()? {
            count += 1;
            if name == "Udp" {
                map.next_value::<Udp>()?;
                udp = true;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Word(udp && count == 1))
    }
}

#[cfg(test)]
mod tests;
