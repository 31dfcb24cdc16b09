//! Probes below HTTP: what a port says to hellos of all kinds, and to what is no hello.

use std::io;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::http::Request;
use super::report::ProbeFinding;
use super::said;
use super::wire::{Sni, Target, Until, alert};
use crate::client::{Trust, random};

const GROUP: &str = "tls";
/// TLS records of an alert and of a handshake message, RFC 8446 section 5.1.
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;

/// All of them. `trust` says whose certificates a visitor's browser accepts.
pub(super) async fn run(target: &Target, trust: &Trust, findings: &mut Vec<ProbeFinding>) {
    findings.push(ProbeFinding::new(GROUP, "the certificate", certificate(target, trust).await));
    let plain = Request::get("/", &target.server.authority()).bytes();
    findings.push(ProbeFinding::new(GROUP, "HTTP without TLS", raw(target, &plain).await));
    let mut noise = random::<300>();
    noise[0] |= 0x80;
    findings.push(ProbeFinding::new(GROUP, "random bytes", raw(target, &noise).await));
    findings.push(ProbeFinding::new(GROUP, "a hello of TLS 1.1", raw(target, &old_hello()).await));
    findings.push(ProbeFinding::new(GROUP, "a broken hello", raw(target, &broken_hello()).await));
    findings.push(ProbeFinding::new(GROUP, "an unknown ALPN", unknown_alpn(target).await));
    for (name, at_once) in
        [("a connection played again", false), ("a connection played again, all at once", true)]
    {
        findings.push(ProbeFinding::new(GROUP, name, replay(target, at_once).await));
    }
}

/// A certificate that browsers do not accept is the mark of few sites.
async fn certificate(target: &Target, trust: &Trust) -> Result<String, String> {
    let config = trust.client_config().map_err(|error| said(&error))?;
    let seen: io::Result<_> = async {
        let connector = TlsConnector::from(Arc::new(config));
        let handshake = connector.connect(target.server.name(), target.tcp().await?);
        timeout(target.patience, handshake).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }
    .await;
    let stream = seen.map_err(|error| said(&error))?;
    let chain: &[CertificateDer<'_>] = stream.get_ref().1.peer_certificates().unwrap_or_default();
    Ok(format!("a chain of {} that is trusted", chain.len()))
}

/// Bytes that no server understands: it says so by an alert or as HTTP, or says nothing, and hangs up.
async fn raw(target: &Target, bytes: &[u8]) -> Result<String, String> {
    let seen: io::Result<_> = async {
        let mut tcp: TcpStream = target.tcp().await?;
        target.exchange(&mut tcp, bytes, Until::Closed).await
    }
    .await;
    let seen = seen.map_err(|error| said(&error))?;
    let what = match (seen.answer.status(), seen.answer.body.as_slice()) {
        (Some(status @ 400..=499), _) => format!("{status} in the clear"),
        (Some(status), _) => return Err(format!("{status} in the clear")),
        (None, []) => "nothing".to_owned(),
        (None, [ALERT, 3, _, 0, 2, 2, number, ..]) => format!("alert {number}"),
        (None, bytes) => return Err(format!("{} bytes that are neither an alert nor HTTP", bytes.len())),
    };
    if seen.closed {
        Ok(format!("{what}, then the end"))
    } else {
        Err(format!("{what}, and the connection stays open"))
    }
}

/// RFC 7301 asks for alert 120; servers that know no ALPN go on without.
async fn unknown_alpn(target: &Target) -> Result<String, String> {
    match target.tls(Sni::Right, &[b"x-unknown"]).await {
        Ok(stream) => match stream.get_ref().1.alpn_protocol() {
            None => Ok("ignored".to_owned()),
            Some(_) => Err("a protocol is chosen that was not offered".to_owned()),
        },
        Err(error) => alert(&error).map(|number| format!("alert {number}")).ok_or_else(|| said(&error)),
    }
}

/// A censor who recorded a visit plays the visitor's bytes again. The keys are others now: nothing but the server's own
/// hello can be answered, then the connection ends. `at_once` does not wait for that hello.
async fn replay(target: &Target, at_once: bool) -> Result<String, String> {
    let request = Request::get("/", &target.server.authority()).bytes();
    let seen: io::Result<_> = async {
        let mut visit = target.tls(Sni::Right, &[b"http/1.1"]).await?;
        target.exchange(&mut visit, &request, Until::Complete).await?;
        let sent = &visit.get_ref().0.sent;
        let (hello, rest) = sent.split_at(usize::from(!at_once));
        let mut again = target.tcp().await?;
        if !at_once {
            again.write_all(&hello.concat()).await?;
            let answered = timeout(target.patience, again.readable()).await;
            answered.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        }
        target.exchange(&mut again, &rest.concat(), Until::Closed).await
    }
    .await;
    let seen = seen.map_err(|error| said(&error))?;
    match (seen.answer.body.first(), seen.closed) {
        (Some(&(HANDSHAKE | ALERT)) | None, true) => Ok("a hello at most, then the end".to_owned()),
        (Some(&(HANDSHAKE | ALERT)) | None, false) => Err("the connection stays open".to_owned()),
        (Some(first), _) => Err(format!("an answer of type {first}")),
    }
}

/// A hello that offers nothing above TLS 1.1 (RFC 4346 section 7.4.1.2).
fn old_hello() -> Vec<u8> {
    hello([3, 2], &[0xc0, 0x13, 0xc0, 0x14, 0x00, 0x2f, 0x00, 0x35])
}

/// A hello without a single cipher suite.
fn broken_hello() -> Vec<u8> {
    hello([3, 3], &[])
}

fn hello(version: [u8; 2], suites: &[u8]) -> Vec<u8> {
    let mut body = version.to_vec();
    body.extend_from_slice(&random::<32>());
    body.push(0); // no session
    body.push(0);
    body.push(u8::try_from(suites.len()).unwrap_or_default());
    body.extend_from_slice(suites);
    body.extend_from_slice(&[1, 0]); // no compression
    // Supported groups: secp256r1; point formats: uncompressed.
    body.extend_from_slice(&[0, 14, 0, 10, 0, 4, 0, 2, 0, 23, 0, 11, 0, 2, 1, 0]);
    let length = |bytes: usize| u16::try_from(bytes).unwrap_or_default().to_be_bytes();
    let mut record = vec![HANDSHAKE, 3, 1];
    record.extend_from_slice(&length(body.len() + 4));
    record.extend_from_slice(&[1, 0]); // ClientHello
    record.extend_from_slice(&length(body.len()));
    record.extend_from_slice(&body);
    record
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::server::Acceptor;

    #[test]
    fn old_hello_is_valid_broken_one_not() {
        let read = |bytes: &[u8]| {
            let mut acceptor = Acceptor::default();
            acceptor.read_tls(&mut &*bytes).unwrap();
            match acceptor.accept() {
                Ok(accepted) => accepted.map(|_| ()).ok_or_else(|| "incomplete".to_owned()),
                Err((error, _)) => Err(error.to_string()),
            }
        };
        // It is understood, and refused only because of what it offers.
        assert!(!read(&old_hello()).is_err_and(|error| error.contains("corrupt") || error == "incomplete"));
        assert!(read(&broken_hello()).is_err());
    }
}
