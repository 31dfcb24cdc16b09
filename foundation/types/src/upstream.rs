//! A web server on this machine.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Spoken;

/// Why a text names no web server on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a web server is given as http://127.0.0.1:PORT, http://[::1]:PORT, http://localhost:PORT or unix:/path"
)]
pub struct UpstreamError;

impl Spoken for UpstreamError {
    fn turkish(&self) -> String {
        "bir web sunucusu şöyle yazılır: http://127.0.0.1:PORT, http://[::1]:PORT, http://localhost:PORT veya unix:/yol"
            .to_owned()
    }
}

/// A web server on this machine, behind another program. What has left TLS on the way there must not go to another machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upstream {
    /// At an address of the loopback interface.
    Tcp(SocketAddr),
    /// At a socket in the file system, which the user of that program must be allowed to connect to.
    Unix(PathBuf),
}

impl FromStr for Upstream {
    type Err = UpstreamError;

    fn from_str(text: &str) -> Result<Self, UpstreamError> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = PathBuf::from(path);
            return if path.is_absolute() { Ok(Self::Unix(path)) } else { Err(UpstreamError) };
        }
        let authority = text.strip_prefix("http://").ok_or(UpstreamError)?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let (host, port) = authority.rsplit_once(':').ok_or(UpstreamError)?;
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|_| digits).ok_or(UpstreamError)?;
        let address = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(host) => IpAddr::V6(host.parse().map_err(|_| UpstreamError)?),
            None if host == "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
            None => IpAddr::V4(host.parse().map_err(|_| UpstreamError)?),
        };
        if address.is_loopback() && port != 0 {
            Ok(Self::Tcp((address, port).into()))
        } else {
            Err(UpstreamError)
        }
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(formatter, "http://{address}"),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

impl Serialize for Upstream {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Upstream {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_web_server_is_on_this_machine() {
        for (text, shown) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
            ("http://localhost:80", "http://127.0.0.1:80"),
            ("http://[::1]:81", "http://[::1]:81"),
            ("unix:/run/nginx.sock", "unix:/run/nginx.sock"),
        ] {
            assert_eq!(text.parse::<Upstream>().unwrap().to_string(), shown);
        }
        for text in [
            "",
            "127.0.0.1:80",
            "https://127.0.0.1",
            "http://192.0.2.1:80",
            "http://h:80",
            "unix:a",
            "http://127.0.0.1",
            "http://[::1]",
            "http://127.0.0.1:0",
            "http://127.0.0.1:80//",
            "http://127.0.0.1:+80",
            "http://127.0.0.1:80/x",
            "http://[::2]:80",
        ] {
            assert_eq!(text.parse::<Upstream>(), Err(UpstreamError), "{text}");
        }
    }
}
