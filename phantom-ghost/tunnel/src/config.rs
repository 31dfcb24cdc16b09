//! What a server is told: secrets, certificate, destination and the site for strangers.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::secrets::Secret;

mod web_server;

pub use phantom_types::{Upstream, UpstreamError};
pub use web_server::WebServer;

/// The most bytes that the files of a decoy site may have in all.
pub const MAX_SITE: usize = 8 * 1024 * 1024;
/// The most secrets of a [`Configuration`].
pub const MAX_SECRETS: usize = 4096;
/// The most clients with a secret of their own.
pub const MAX_CLIENTS: usize = 1_000_000;

/// All of a server's configuration. It has no file of its own; this travels over the control socket.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// The operator's secrets, which any number of clients may share; at most [`MAX_SECRETS`]. Those of single clients are
    /// told apart from this: [`Clients`](crate::control::Clients).
    pub secrets: Vec<Secret>,
    /// The UDP port on 127.0.0.1 that all tunnels lead to.
    pub wireguard_port: u16,
    /// The chain, the server's own certificate first, as PEM. Empty, as the key is then, where a web server in front terminates TLS:
    /// nobody is served on a TLS port.
    pub certificate_pem: String,
    /// The certificate's private key as PEM: PKCS#8, PKCS#1 or SEC1.
    pub key_pem: KeyPem,
    /// What strangers see.
    #[serde(default)]
    pub decoy: Decoy,
    /// Whether junk hides the sizes of handshakes and first records on the way to clients.
    #[serde(default = "yes")]
    pub padding: bool,
}

fn yes() -> bool {
    true
}

/// A private key as PEM. `Debug` does not show it; its memory is wiped.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyPem(Zeroizing<String>);

impl KeyPem {
    /// Takes over `pem`, whatever it holds; a server that is configured with it checks it.
    pub fn new(pem: String) -> Self {
        Self(Zeroizing::new(pem))
    }

    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for KeyPem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("KeyPem(..)")
    }
}

impl Serialize for KeyPem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for KeyPem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// What strangers see.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decoy {
    /// A plain page at `/`, and a page that says "not found" elsewhere.
    #[default]
    Builtin,
    /// Files by their path below the site's root, without a leading slash, at most [`MAX_SITE`] bytes in all.
    /// `index.html` is the page of its folder; `404.html` is shown for what is not there.
    Files(BTreeMap<String, FileBytes>),
    /// A web server on this machine that gets every byte a stranger sends.
    Upstream(WebServer),
}

/// A file's content; base64 in JSON.
#[derive(Clone, PartialEq, Eq)]
pub struct FileBytes(pub Vec<u8>);

impl fmt::Debug for FileBytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "FileBytes({} bytes)", self.0.len())
    }
}

impl Serialize for FileBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for FileBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Self).map_err(|_| serde::de::Error::custom("a file is not base64"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_form() {
        let text = r#"{"secrets":["aaaaaaaaaaaaaaaaaaaa"],"wireguard_port":1,"certificate_pem":"c","key_pem":"k","decoy":{"files":{"index.html":"aGk="}},"padding":false}"#;
        let configuration: Configuration = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&configuration).unwrap(), text);
        let shown = format!("{configuration:?}");
        assert!(!shown.contains("aaaa") && shown.contains("KeyPem(..)"), "{shown}");
        let short = r#"{"secrets":[],"wireguard_port":1,"certificate_pem":"c","key_pem":"k"}"#;
        let configuration: Configuration = serde_json::from_str(short).unwrap();
        assert!(configuration.padding && configuration.decoy == Decoy::Builtin);
        let upstream = r#"{"upstream":"http://127.0.0.1:8080"}"#;
        let decoy: Decoy = serde_json::from_str(upstream).unwrap();
        assert_eq!(serde_json::to_string(&decoy).unwrap(), upstream);
    }
}
