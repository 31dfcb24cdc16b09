//! Whether a request opens a tunnel, pure.
//!
//! There is one question and one answer. Whatever a request lacks, the result is the same `None`, after the same work: the
//! caller then answers as it answers any visitor.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::request::Head;
use crate::secrets::SecretId;
use crate::token;

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A tunnel request that is served.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// Which secret it came with.
    pub(super) secret: SecretId,
    /// The value of `Sec-WebSocket-Accept`.
    accept: String,
    /// Whether the client offered subprotocols, one of which has to be chosen then.
    protocols: bool,
}

impl Request {
    /// The answer that opens the tunnel, with `date` as in any other answer.
    pub(super) fn answer(&self, date: &str) -> String {
        let protocol = if self.protocols { "Sec-WebSocket-Protocol: v1\r\n" } else { "" };
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nDate: {date}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {}\r\n{protocol}\r\n",
            self.accept
        )
    }
}

/// Decides about `head`: a tunnel to `port` under a secret that `find` knows, or nothing that differs from any visit.
pub(super) fn decide(
    head: &Head<'_>,
    find: impl FnOnce(&[u8]) -> Option<SecretId>,
    port: u16,
) -> Option<Request> {
    // Everything is evaluated, so that what takes time does not depend on what is right.
    let (segment, path) = segments(head);
    let secret = find(segment.as_bytes());
    let key = head.single("Sec-WebSocket-Key").filter(|key| is_key(key));
    let accept = accept(key.unwrap_or_default());
    let claims = token::find(head).and_then(|token| token::parse(token).ok());
    let upgrade = is_upgrade(head);
    let here = claims.is_some_and(|claims| claims.is_loopback_udp(port));
    let protocols = head.values("Sec-WebSocket-Protocol").next().is_some();
    let secret = secret.filter(|_| path == "/events" && key.is_some() && upgrade && here)?;
    Some(Request { secret, accept, protocols })
}

/// The place where a secret would be, and what follows it. Every request is looked up among the secrets, whatever follows.
fn segments<'a>(head: &Head<'a>) -> (&'a str, &'a str) {
    let path = head.target.strip_prefix('/').unwrap_or_default();
    let end = path.bytes().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(path.len());
    path.split_at(end)
}

fn is_upgrade(head: &Head<'_>) -> bool {
    head.method == "GET"
        && head.minor == 1
        && !head.has_body()
        && head.has_word("Connection", "upgrade")
        && head.has_word("Upgrade", "websocket")
        && head.single("Sec-WebSocket-Version") == Some("13")
}

/// A key is the base64 of 16 bytes.
fn is_key(key: &str) -> bool {
    key.len() == 24 && STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 16)
}

/// RFC 6455 section 4.2.2.
fn accept(key: &str) -> String {
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(key.as_bytes());
    context.update(GUID);
    STANDARD.encode(context.finish())
}

#[cfg(test)]
mod tests;
