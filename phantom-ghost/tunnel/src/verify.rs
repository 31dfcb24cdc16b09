//! Whether a server does what it was set up for: it shows the certificate it was given, and opens a tunnel.
//!
//! The request, JSON on standard input:
//!
//! | member | meaning |
//! |---|---|
//! | `address` | where to connect |
//! | `port` | the TCP port, 443 if it is not there |
//! | `domain` | name or address for SNI and `Host` |
//! | `secret` | what opens a tunnel; if it is not there, the server is asked for its certificate alone |
//! | `wireguard_port` | where the tunnel leads, 51820 if it is not there |
//! | `cert_path` | PEM file whose first certificate the server must show, whoever issued it; if it is not there: |
//! | `trusted` | the server must show a certificate that clients accept; `ca_file`, if it is there, has further authorities |
//! | `patience` | how long the server may take to come up, in seconds; 0 if it is not there |
//!
//! Without either, it may show any. The answer is `{"ok":true,"expires_at":…,"alarm":…}`, with the end of the certificate that was shown and that it comes soon, or `{"error":{"kind":…,"detail":…}}` with exit code 1. The kinds are `request`,
//! `certificate_file`, `connect`, `tls`, `certificate` (another one is shown), `refused`, `internal`.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use phantom_certs::commands::{CommandReply, rfc3339};
use phantom_certs::schedule::Life;
use phantom_certs::with_causes;
use phantom_types::{HostName, Lang, Text};
use rustls::CertificateError;
use serde::Deserialize;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, sleep, timeout};

use crate::cli;
use crate::client::{self, DialError, Request, Server, Trust, TrustError};
use crate::codec;
use crate::secrets::Secret;

const HELP: Text = Text {
    en: "\
usage: phantom-ghost verify < REQUEST

Opens a tunnel as a client does, ends it, and prints {\"ok\":true,\"expires_at\":…,\"alarm\":…}: when the certificate ends that was
shown, and that this is soon. The request is one object in JSON:

  address, port, domain    where the server is (443), and its name
  secret, wireguard_port   what opens the tunnel, and where it leads (51820); without a secret none is opened
  cert_path                the certificate that the server has to show; without it:
  trusted                  {} or {\"ca_file\":…}: it has to show one that clients accept, also of these authorities; without either it may
                           show any
  patience                 in seconds, for how long a server that does not answer is tried again (0)

If that fails: {\"error\":{\"kind\":…,\"detail\":…}}, exit code 1.
",
    tr: "\
kullanım: phantom-ghost verify < İSTEK

Bir istemci gibi tünel açar, kapatır ve {\"ok\":true,\"expires_at\":…,\"alarm\":…} yazdırır: gösterilen sertifikanın ne zaman bittiği ve
bunun yakın olduğu. İstek tek bir JSON nesnesidir:

  address, port, domain    sunucunun yeri (443) ve adı
  secret, wireguard_port   tüneli açan anahtar ve tünelin gittiği yer (51820); anahtar yoksa tünel açılmaz
  cert_path                sunucunun göstermesi gereken sertifika; verilmezse:
  trusted                  {} veya {\"ca_file\":…}: istemcilerin kabul ettiği bir sertifika göstermelidir, bu otoritelerinki de olur; ikisi de verilmezse
                           herhangi bir sertifika gösterebilir
  patience                 yanıt vermeyen bir sunucunun kaç saniye boyunca yeniden deneneceği (0)

Başarısız olursa: {\"error\":{\"kind\":…,\"detail\":…}}, çıkış kodu 1.
",
};
/// Between two attempts at a server that does not answer yet.
const AGAIN: Duration = Duration::from_millis(100);
/// How long the end of the tunnel may take. It is a courtesy.
const GOODBYE: Duration = Duration::from_secs(2);

/// What is to be verified.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Task {
    address: IpAddr,
    #[serde(default = "https")]
    port: u16,
    domain: HostName,
    secret: Option<Secret>,
    #[serde(default = "wireguard")]
    wireguard_port: u16,
    cert_path: Option<PathBuf>,
    trusted: Option<Trusted>,
    #[serde(default)]
    patience: u64,
}

/// Further authorities to trust.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Trusted {
    ca_file: Option<PathBuf>,
}

fn https() -> u16 {
    443
}

fn wireguard() -> u16 {
    51820
}

#[derive(Debug, thiserror::Error)]
enum VerifyError {
    #[error("the request on standard input is not usable")]
    Request(#[source] serde_json::Error),
    #[error("the runtime could not be started")]
    Runtime(#[source] io::Error),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("the server shows another certificate than {}", .path.as_ref().map_or_else(|| "before".to_owned(), |path| format!("that of {}", path.display())))]
    Certificate { path: Option<PathBuf> },
    #[error(transparent)]
    Dial(#[from] DialError),
}

impl VerifyError {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Request(_) => "request",
            Self::Trust(TrustError::Unreadable { .. } | TrustError::NoCertificate { .. }) => {
                "certificate_file"
            }
            Self::Runtime(_) | Self::Trust(_) => "internal",
            Self::Certificate { .. } => "certificate",
            Self::Dial(DialError::Connect { .. } | DialError::LookUp { .. }) => "connect",
            Self::Dial(DialError::Refused { .. }) => "refused",
            Self::Dial(_) => "tls",
        }
    }
}

/// Runs `phantom-ghost verify`: request on standard input, answer on standard output.
pub(crate) fn run(words: Vec<String>, lang: Lang) -> ExitCode {
    cli::answer(words, HELP, lang, command)
}

/// Verifies a server as `request` says (see the [module](self)). Blocks until done: at most `patience` and half a minute.
pub fn command(request: &[u8]) -> CommandReply {
    let done = serde_json::from_slice(request).map_err(VerifyError::Request).and_then(|task: Task| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(VerifyError::Runtime)?.block_on(verify(&task))
    });
    match done {
        Ok(life) => {
            let alarm = life.and_then(|life| life.ending(phantom_certs::now()));
            let end = life.map(|life| rfc3339(life.not_after));
            let answer = serde_json::json!({ "ok": true, "expires_at": end, "alarm": alarm });
            CommandReply { line: answer.to_string(), exit_code: 0 }
        }
        Err(error) => {
            let answer =
                serde_json::json!({ "error": { "kind": error.kind(), "detail": with_causes(&error) } });
            CommandReply { line: answer.to_string(), exit_code: 1 }
        }
    }
}

async fn verify(task: &Task) -> Result<Option<Life>, VerifyError> {
    let trust = match (&task.cert_path, &task.trusted) {
        (Some(path), _) => Trust::Exactly(client::certificates(path)?.swap_remove(0)),
        (None, Some(Trusted { ca_file })) => Trust::Authorities { ca_file: ca_file.clone(), pin: None },
        (None, None) => Trust::Anybody,
    };
    let end = Instant::now() + Duration::from_secs(task.patience);
    loop {
        match attempt(task, &trust).await {
            // A server that was started a moment ago may not listen yet, or not have its configuration.
            Err(VerifyError::Dial(
                DialError::Connect { .. } | DialError::Tls { .. } | DialError::Broken { .. },
            )) if Instant::now() < end => {
                sleep(AGAIN).await;
            }
            done => return done,
        }
    }
}

async fn attempt(task: &Task, trust: &Trust) -> Result<Option<Life>, VerifyError> {
    let server = Server::new(task.domain.clone(), task.port);
    let address = SocketAddr::new(task.address, task.port);
    let now = phantom_certs::now();
    let request = task.secret.as_ref().map(|secret| Request::new(&server, secret, task.wireguard_port, now));
    let tls = trust.client_config()?;
    let Some(request) = request else {
        let stream =
            client::handshake_once(&server, address, tls).await.map_err(|error| told(task, error))?;
        return Ok(life(&stream));
    };
    match client::open_once(&server, address, tls, request).await {
        Ok(mut opened) => {
            let life = life(&opened.stream);
            let mut close = Vec::new();
            codec::encode_close(&mut close, true);
            let goodbye = async {
                opened.stream.write_all(&close).await?;
                opened.stream.shutdown().await
            };
            let _ = timeout(GOODBYE, goodbye).await; // the tunnel did open: that was the question
            Ok(life)
        }
        Err(error) => Err(told(task, error)),
    }
}

/// From when until when the certificate is valid that the server has shown.
fn life(stream: &client::Stream) -> Option<Life> {
    let (_, session) = stream.get_ref();
    session.peer_certificates().and_then(|chain| chain.first()).and_then(phantom_certs::inspect::life_of)
}

fn told(task: &Task, error: DialError) -> VerifyError {
    match error {
        DialError::Tls { source, .. } if is_other_certificate(&source) => {
            VerifyError::Certificate { path: task.cert_path.clone() }
        }
        error => error.into(),
    }
}

/// Whether a handshake failed because the certificate is not the one that was asked for.
fn is_other_certificate(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(request: &str) -> String {
        let reply = command(request.as_bytes());
        assert_eq!(reply.exit_code, 1, "{}", reply.line);
        assert!(!reply.line.contains("PhantomSecret"), "{}", reply.line);
        let answer: serde_json::Value = serde_json::from_str(&reply.line).unwrap();
        assert!(!answer["error"]["detail"].as_str().unwrap().is_empty());
        answer["error"]["kind"].as_str().unwrap().to_owned()
    }

    fn request(path: &str, port: u16) -> String {
        format!(
            r#"{{"address":"127.0.0.1","port":{port},"domain":"vpn.example.com","secret":"PhantomSecret0123456789","cert_path":"{path}"}}"#
        )
    }

    #[test]
    fn what_is_wrong_has_a_kind() {
        assert_eq!(kind("{}"), "request");
        assert_eq!(kind("no JSON"), "request");
        assert_eq!(kind(&request("/nonexistent", 443)), "certificate_file");
        let now = phantom_certs::now();
        let pair = phantom_certs::self_sign(&"vpn.example.com".parse().unwrap(), now).unwrap();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        io::Write::write_all(&mut file, pair.chain_pem.as_bytes()).unwrap();
        // A port of this machine's where nobody listens: it was free a moment ago.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        assert_eq!(kind(&request(file.path().to_str().unwrap(), free)), "connect");
        // One where somebody listens who speaks no TLS.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        let hang_up = std::thread::spawn(move || drop(silent.accept()));
        assert_eq!(kind(&request(file.path().to_str().unwrap(), port)), "tls");
        hang_up.join().unwrap();
    }
}
