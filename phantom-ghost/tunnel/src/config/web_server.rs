//! A web server that strangers are shown, and how it is connected to.

use std::net::IpAddr;

use phantom_types::ProxyVersion;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Upstream;

/// A web server that gets every byte a stranger sends, and as whom it sees them.
///
/// Many web servers have pages for their own machine alone (`Require local`, `allow 127.0.0.1`). Strangers are no part of that
/// machine, so that their connections should come from another address of it, or with their own address in a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebServer {
    /// Where it is.
    pub at: Upstream,
    /// The address of this host from which it is connected to. While the host does not have it, strangers are told that the web
    /// server is not there. `None` leaves it to the kernel: 127.0.0.1 or `::1`. It means nothing to a socket in the file system.
    pub source: Option<IpAddr>,
    /// The PROXY protocol's header before each connection, with the stranger's address and port.
    pub proxy: Option<ProxyVersion>,
}

impl From<Upstream> for WebServer {
    fn from(at: Upstream) -> Self {
        Self { at, source: None, proxy: None }
    }
}

impl WebServer {
    /// Whether it is connected to as any program would, which all versions of the tunnel server can.
    pub fn is_plain(&self) -> bool {
        self.source.is_none() && self.proxy.is_none()
    }

    /// Whether its source, if it has one, tells strangers from the programs of this machine.
    pub fn tells_strangers_apart(&self) -> bool {
        self.source.is_none_or(|source| {
            let source = source.to_canonical();
            !(source.is_loopback() || source.is_unspecified() || source.is_multicast())
        })
    }
}

/// As in JSON: the address alone where nothing else is to be said.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Form {
    Plain(Upstream),
    Full(Full),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Full {
    address: Upstream,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    proxy: Option<ProxyVersion>,
}

impl Serialize for WebServer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let address = self.at.clone();
        let form = if self.is_plain() {
            Form::Plain(address)
        } else {
            Form::Full(Full { address, source: self.source, proxy: self.proxy })
        };
        form.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for WebServer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Form::deserialize(deserializer)? {
            Form::Plain(at) => at.into(),
            Form::Full(Full { address, source, proxy }) => Self { at: address, source, proxy },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_in_json() {
        for text in [
            r#""http://127.0.0.1:80""#,
            r#"{"address":"http://127.0.0.1:80","source":"10.8.0.1"}"#,
            r#"{"address":"http://[::1]:80","source":"2001:db8::10","proxy":"v2"}"#,
            r#"{"address":"unix:/run/web.sock","proxy":"v1"}"#,
        ] {
            let server: WebServer = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&server).unwrap(), text);
            assert_eq!(server.is_plain(), text.starts_with('"'));
        }
        for text in [
            r#"{"source":"10.8.0.1"}"#,
            r#"{"address":"http://192.0.2.1:80"}"#,
            r#"{"address":"http://127.0.0.1:80","source":"here"}"#,
            r#"{"address":"http://127.0.0.1:80","proxy":"v3"}"#,
            r#"{"address":"http://127.0.0.1:80","more":1}"#,
        ] {
            assert!(serde_json::from_str::<WebServer>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn source_address_must_belong_to_the_server() {
        let at: Upstream = "http://127.0.0.1:80".parse().unwrap();
        let told_apart = |source: &str| {
            WebServer { source: source.parse().ok(), ..at.clone().into() }.tells_strangers_apart()
        };
        for source in ["127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.2", "0.0.0.0", "::", "224.0.0.1"] {
            assert!(!told_apart(source), "{source}");
        }
        for source in ["10.8.0.1", "192.0.2.1", "2001:db8::1"] {
            assert!(told_apart(source), "{source}");
        }
        assert!(WebServer::from(at.clone()).tells_strangers_apart());
    }
}
