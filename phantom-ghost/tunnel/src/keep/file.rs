//! The keeper's configuration file. The engine, which renders it from the stored state, puts a tag into
//! its first line, which begins with `#`; the rest is JSON.

use std::net::IpAddr;
use std::path::PathBuf;

use phantom_types::HostName;
use serde::{Deserialize, Serialize};

use crate::config::WebServer;
use crate::secrets::Secret;

/// What the keeper is told.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeeperFile {
    /// The name or address that the certificate has to cover.
    pub domain: HostName,
    /// The operator's secrets.
    pub secrets: Vec<Secret>,
    /// The file that lists the clients with secrets of their own: a line for each, with its public key, a blank and its
    /// secret.
    #[serde(default)]
    pub clients: Option<PathBuf>,
    /// The UDP port on 127.0.0.1 that all tunnels lead to.
    pub wireguard_port: u16,
    /// Where the certificate comes from; nothing where a web server in front has one.
    #[serde(default)]
    pub certificate: Option<CertificateFiles>,
    /// The authority; needed for [`Source::Acme`] alone.
    #[serde(default)]
    pub acme: Option<AcmeAccess>,
    /// What strangers see; a built-in page when it is left out.
    #[serde(default)]
    pub decoy: Option<DecoySource>,
}

/// Where a certificate comes from, and where it lies.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateFiles {
    /// Who made it.
    pub source: Source,
    /// The chain, leaf first.
    pub cert_path: PathBuf,
    /// The key.
    pub key_path: PathBuf,
}

/// Who makes the certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// An authority; the keeper renews them.
    Acme,
    /// The operator; the keeper re-reads the files when they change.
    Operator,
    /// Nobody else: for tests.
    SelfSigned,
}

/// How certificates are obtained.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcmeAccess {
    /// The URL of the authority's directory.
    pub directory: String,
    /// The certificate directory, with the account in it. The certificate's paths are in it.
    pub account_dir: PathBuf,
    /// Certificates to trust when speaking to the authority, in place of the public ones.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Addresses for listeners of our own; all when there is none.
    #[serde(default)]
    pub listen: Vec<IpAddr>,
    /// The port that the authority's visits by TLS arrive at.
    #[serde(default = "https")]
    pub tls_alpn_port: u16,
    /// The port that the authority's visits by HTTP arrive at.
    #[serde(default = "http")]
    pub http01_port: u16,
}

/// What strangers see.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecoySource {
    /// The files of this directory.
    Dir(PathBuf),
    /// A web server on this machine.
    Upstream(WebServer),
}

/// The file's text is not usable. The text itself, which holds secrets, is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeeperFileError {
    /// It is not what the keeper expects.
    #[error("line {line}, column {column} of the keeper's configuration is not as it should be")]
    Json {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// An authority is the source, and none is named.
    #[error("the keeper's configuration names ACME as the source, but no directory")]
    NoDirectory,
}

impl KeeperFile {
    /// Reads the file's text.
    pub fn parse(text: &str) -> Result<Self, KeeperFileError> {
        let mark = if text.starts_with('#') { text.find('\n').unwrap_or(text.len()) } else { 0 };
        let lines = usize::from(mark > 0);
        let file: Self = serde_json::from_str(&text[mark..]).map_err(|error| KeeperFileError::Json {
            // The mark's own line end is part of what is parsed.
            line: error.line().max(lines),
            column: error.column(),
        })?;
        if file.source() == Some(Source::Acme) && file.acme.is_none() {
            return Err(KeeperFileError::NoDirectory);
        }
        Ok(file)
    }

    /// Where the certificate comes from, if it is shown here.
    pub fn source(&self) -> Option<Source> {
        self.certificate.as_ref().map(|certificate| certificate.source)
    }
}

const fn https() -> u16 {
    443
}

const fn http() -> u16 {
    80
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# phantom-wg: rendered
{"domain":"vpn.example.com","secrets":["aaaaaaaaaaaaaaaaaaaaaaaa"],"clients":"/run/clients","wireguard_port":51820,
 "certificate":{"source":"acme","cert_path":"/c/fullchain.pem","key_path":"/c/privkey.pem"},
 "acme":{"directory":"https://ca.example/dir","account_dir":"/c","ca_file":null},"decoy":{"dir":"/decoy"}}
"#;

    #[test]
    fn a_rendered_file_is_read() {
        let file = KeeperFile::parse(TEXT).unwrap();
        assert_eq!((file.wireguard_port, file.source()), (51820, Some(Source::Acme)));
        assert_eq!(file.clients, Some("/run/clients".into()));
        let acme = file.acme.unwrap();
        assert_eq!((acme.tls_alpn_port, acme.http01_port, acme.ca_file), (443, 80, None));
        assert!(matches!(file.decoy, Some(DecoySource::Dir(_))));
        let upstream = TEXT.replace(r#"{"dir":"/decoy"}"#, r#"{"upstream":"unix:/run/nginx.sock"}"#);
        assert!(matches!(KeeperFile::parse(&upstream).unwrap().decoy, Some(DecoySource::Upstream(_))));
        let behind = r#"{"domain":"192.0.2.7","secrets":[],"wireguard_port":51820}"#;
        assert_eq!(KeeperFile::parse(behind).unwrap().source(), None);
    }

    #[test]
    fn invalid_file_is_reported_without_its_text() {
        for (wrong, place) in [
            (TEXT.replace("51820", "\"aaaaaaaaaaaaaaaaaaaaaaaa\""), Some(2)),
            (TEXT.replace("operator", "x").replace("\"acme\",", "\"nobody\","), Some(3)),
            (String::new(), Some(1)),
            (TEXT.replace("\"acme\":{\"directory\":\"https://ca.example/dir\",\"account_dir\":\"/c\",\"ca_file\":null},", ""), None),
        ] {
            let error = KeeperFile::parse(&wrong).unwrap_err();
            assert!(!error.to_string().contains("aaaa"));
            match (error, place) {
                (KeeperFileError::Json { line, .. }, Some(wanted)) => assert_eq!(line, wanted, "{wrong}"),
                (KeeperFileError::NoDirectory, None) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}
