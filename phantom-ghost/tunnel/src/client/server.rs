//! A tunnel server as a person names it.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use phantom_types::{Endpoint, HostName};
use rustls::pki_types::ServerName;

use super::dial::{self, DialError};

/// The longest path in bytes: the request line with it stays far below what web servers take.
const MAX_PATH: usize = 1024;

/// A tunnel server: `wss://HOST[:PORT][/PATH]`, the port being 443 if it is not said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// A domain name or an address. The certificate must be for it.
    pub host: HostName,
    /// The TCP port.
    pub port: u16,
    /// What the request's path begins with, before the secret.
    pub path: BasePath,
}

/// A text that is no [`Server`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ServerError {
    /// Not of the form, or without TLS.
    #[error("a server is given as wss://HOST[:PORT][/PATH]; a tunnel without TLS is not supported")]
    Form,
    /// What follows the host is no path.
    #[error(transparent)]
    Path(#[from] BasePathError),
}

/// The path under which a web server in front hands requests to the tunnel server: empty, or segments that each follow a
/// `/`, without one at the end. Its characters are those of RFC 3986, section 3.3.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BasePath(String);

/// A text that is no [`BasePath`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the path before the secret has up to 1024 characters of A-Z a-z 0-9 - . _ ~ % ! $ & ' ( ) * + , ; = : @, no query, and \
     no segment that is empty, '.' or '..'"
)]
pub struct BasePathError;

impl BasePath {
    /// The text, which begins with `/` unless it is empty.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromStr for BasePath {
    type Err = BasePathError;

    fn from_str(text: &str) -> Result<Self, BasePathError> {
        let text = text.strip_suffix('/').unwrap_or(text);
        if text.is_empty() {
            return Ok(Self::default());
        }
        let segments = text.strip_prefix('/').ok_or(BasePathError)?.split('/');
        if text.len() <= MAX_PATH && segments.clone().all(is_segment) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BasePathError)
        }
    }
}

fn is_segment(segment: &str) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(byte);
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        let escaped = byte == b'%'
            && bytes.next().is_some_and(|digit| digit.is_ascii_hexdigit())
            && bytes.next().is_some_and(|digit| digit.is_ascii_hexdigit());
        if !escaped && !plain(&byte) {
            return false;
        }
    }
    !matches!(segment, "" | "." | "..")
}

impl Server {
    /// The server at this host and port, without a path.
    pub fn new(host: HostName, port: u16) -> Self {
        Self { host, port, path: BasePath::default() }
    }

    /// The value of the `Host` header: without the port where it is 443.
    pub fn authority(&self) -> String {
        let text = Endpoint::new(self.host.clone(), self.port).to_string();
        text.strip_suffix(":443").map_or_else(|| text.clone(), str::to_owned)
    }

    /// The name for SNI and certificate. Addresses send no SNI.
    pub(crate) fn name(&self) -> ServerName<'static> {
        match &self.host {
            HostName::Ip(address) => ServerName::IpAddress((*address).into()),
            HostName::Domain(domain) => ServerName::try_from(domain.as_str().to_owned())
                .expect("two to 127 labels of letters, digits and hyphens are a name for TLS"),
        }
    }

    /// The addresses to try, in the resolver's order.
    pub(crate) async fn addresses(&self) -> Result<Vec<SocketAddr>, DialError> {
        dial::look_up(&self.host, self.port).await
    }
}

impl FromStr for Server {
    type Err = ServerError;

    fn from_str(text: &str) -> Result<Self, ServerError> {
        let rest = text.strip_prefix("wss://").ok_or(ServerError::Form)?;
        let (place, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let path = path.parse()?;
        if let Ok(Endpoint { host, port }) = place.parse() {
            return Ok(Self { host, port, path });
        }
        let bare = match place.strip_prefix('[') {
            Some(inner) => {
                inner.strip_suffix(']').filter(|inner| inner.contains(':')).ok_or(ServerError::Form)?
            }
            None if place.contains(':') => return Err(ServerError::Form),
            None => place,
        };
        bare.parse().map(|host| Self { host, port: 443, path }).map_err(|_| ServerError::Form)
    }
}

/// Without the path: where a web server in front knows it alone, it is half a secret.
impl fmt::Display for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "wss://{}", self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_and_written() {
        for (text, authority, port) in [
            ("wss://vpn.example.com", "vpn.example.com", 443),
            ("wss://vpn.example.com/", "vpn.example.com", 443),
            ("wss://VPN.example.com:443", "vpn.example.com", 443),
            ("wss://vpn.example.com:8443", "vpn.example.com:8443", 8443),
            ("wss://192.0.2.7", "192.0.2.7", 443),
            ("wss://[2001:db8::7]", "[2001:db8::7]", 443),
            ("wss://[2001:db8::7]:8443", "[2001:db8::7]:8443", 8443),
        ] {
            let server: Server = text.parse().unwrap();
            assert_eq!((server.authority().as_str(), server.port), (authority, port), "{text}");
            assert_eq!(server.to_string().parse(), Ok(server.clone()));
            assert!(server.path.is_root());
            server.name();
        }
    }

    #[test]
    fn a_path_is_kept_and_not_shown() {
        for (text, path) in [
            ("wss://vpn.example.com/a", "/a"),
            ("wss://vpn.example.com:8443/a/b-c/", "/a/b-c"),
            ("wss://[2001:db8::7]/%7Ejohn/x=1;y@z", "/%7Ejohn/x=1;y@z"),
        ] {
            let server: Server = text.parse().unwrap();
            assert_eq!(server.path.as_str(), path);
            assert!(!server.to_string()[6..].contains('/'), "{server}");
        }
        for path in
            ["//", "/a//b", "/.", "/a/../b", "/a?b", "/a#b", "/a b", "/%2", "/%zz", "/ğ", &"/a".repeat(600)]
        {
            let text = format!("wss://vpn.example.com{path}");
            assert_eq!(text.parse::<Server>(), Err(ServerError::Path(BasePathError)), "{text}");
        }
    }

    #[test]
    fn what_is_no_server() {
        for text in [
            "",
            "vpn.example.com",
            "ws://vpn.example.com",
            "https://vpn.example.com",
            "wss://",
            "wss://vpn.example.com:0",
            "wss://vpn.example.com:70000",
            "wss://2001:db8::7",
            "wss://[192.0.2.7]",
            "wss://a b.example.com",
            "wss://user:word@vpn.example.com",
        ] {
            assert_eq!(text.parse::<Server>(), Err(ServerError::Form), "{text}");
        }
    }
}
