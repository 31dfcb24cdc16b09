//! The request that asks a server for a tunnel, and its answer: pure but for the random source.
//!
//! The request has the bytes of wstunnel's own: names, order and case of the headers, the form of the token. A server does
//! not see which of the two clients asks.

use std::fmt::Write as _;

use aws_lc_rs::{digest, hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use phantom_types::Timestamp;
use zeroize::Zeroizing;

use super::Server;
use super::answer::Answer;
use crate::secrets::Secret;

/// What RFC 6455 section 1.3 appends to a key.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Why an answer opens no tunnel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The server answered as it answers a stranger: the secret is wrong, or another server is there.
    #[error(
        "the server answered with status {0}: the secret is not known to it, or it is not a tunnel server"
    )]
    Status(u16),
    /// The answer is not one of HTTP/1.1, or has no end.
    #[error("the server's answer is not that of a web server")]
    Malformed,
    /// Status 101, but not for the key that was sent: something on the way answers on its own.
    #[error("the server's answer does not belong to the request")]
    Accept,
}

/// A request for a tunnel. Holds the secret: its memory is wiped, `Debug` is not there.
pub(crate) struct Request {
    bytes: Zeroizing<Vec<u8>>,
    accept: String,
}

impl Request {
    /// A request for datagrams to `port` on the loopback interface of `server`, under its path. Two requests never have the
    /// same bytes.
    pub(crate) fn new(server: &Server, secret: &Secret, port: u16, now: Timestamp) -> Self {
        let key = STANDARD.encode(random::<16>());
        let (token, host, path) = (token(port, now), server.authority(), server.path.as_str());
        // Room for all of it at once: a text that grows leaves copies of the secret behind.
        let mut head = Zeroizing::new(String::with_capacity(1024 + host.len() + path.len()));
        for part in ["GET ", path, "/", secret.reveal(), "/events HTTP/1.1\r\nhost: ", &host] {
            head.push_str(part);
        }
        head.push_str("\r\nupgrade: websocket\r\n");
        head.push_str("connection: upgrade\r\nsec-websocket-key: ");
        head.push_str(&key);
        head.push_str("\r\nsec-websocket-version: 13\r\nsec-websocket-protocol: v1, authorization.bearer.");
        head.push_str(&token);
        head.push_str("\r\n\r\n");
        Self { bytes: Zeroizing::new(head.as_bytes().to_vec()), accept: accept(&key) }
    }

    /// What is to be sent, in one piece.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Reads the answer at the start of `bytes`: the length of its head if it opens the tunnel, `None` if it is not all
    /// there yet. What follows the head are the server's first frames.
    pub(crate) fn answered(&self, bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        let Some(answer) = Answer::read(bytes).map_err(|_| Refusal::Malformed)? else { return Ok(None) };
        if answer.status != 101 {
            return Err(Refusal::Status(answer.status));
        }
        // Base64 is a matter of case: the key's answer is compared as it is.
        let accepted = answer.values("sec-websocket-accept").any(|value| value == self.accept);
        // Proxies put words of their own into both lists, as `Connection: keep-alive, Upgrade`.
        if answer.has_word("upgrade", "websocket") && answer.has_word("connection", "upgrade") && accepted {
            Ok(Some(answer.length))
        } else {
            Err(Refusal::Accept)
        }
    }
}

/// What the server answers to a key, RFC 6455 section 4.2.2.
fn accept(key: &str) -> String {
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(key.as_bytes());
    context.update(GUID.as_bytes());
    STANDARD.encode(context.finish())
}

/// A token as wstunnel makes it. It is signed with a key that nobody else knows, and proves nothing.
pub(crate) fn token(port: u16, now: Timestamp) -> String {
    let claims = format!(
        r#"{{"id":"{}","p":{{"Udp":{{"timeout":null}}}},"r":"127.0.0.1","rp":{port}}}"#,
        uuid7(now, random())
    );
    sign(&claims)
}

/// Header, claims and signature of a token.
pub(crate) fn sign(claims: &str) -> String {
    let mut token = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"HS256"}"#);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(claims, &mut token);
    let key = hmac::Key::new(hmac::HMAC_SHA256, &random::<32>());
    let signature = hmac::sign(&key, token.as_bytes());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut token);
    token
}

/// A UUID of version 7 (RFC 9562 section 5.7): milliseconds since 1970, then chance.
fn uuid7(now: Timestamp, mut bytes: [u8; 16]) -> String {
    let millis = now.micros().div_euclid(1000).to_be_bytes();
    bytes[..6].copy_from_slice(&millis[2..]);
    bytes[6] = (bytes[6] & 0x0f) | 0x70;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    bytes.iter().enumerate().fold(String::with_capacity(36), |mut text, (at, byte)| {
        let dash = if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" };
        let _ = write!(text, "{dash}{byte:02x}"); // writing to a string does not fail
        text
    })
}

/// Random bytes.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the system has a random source");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{self, Parsed};
    use crate::token;

    fn request() -> (Request, Secret) {
        let secret = Secret::generate();
        let now = Timestamp::from_micros(1_789_000_000_123_456);
        (Request::new(&"wss://vpn.example.com:8443".parse().unwrap(), &secret, 51820, now), secret)
    }

    #[test]
    fn the_request_is_that_of_wstunnel() {
        let (request, secret) = request();
        let text = std::str::from_utf8(request.bytes()).unwrap();
        let lines: Vec<_> = text.split("\r\n").collect();
        assert_eq!(lines[0], format!("GET /{}/events HTTP/1.1", secret.reveal()));
        let names: Vec<_> = lines[1..].iter().filter_map(|line| Some(line.split_once(": ")?.0)).collect();
        let expected = [
            "host",
            "upgrade",
            "connection",
            "sec-websocket-key",
            "sec-websocket-version",
            "sec-websocket-protocol",
        ];
        assert_eq!(names, expected);
        assert_eq!(lines[1], "host: vpn.example.com:8443");
        let Parsed::Complete(head, size) = request::parse(request.bytes()) else { panic!("{text}") };
        assert_eq!(size, request.bytes().len());
        let token = token::find(&head).unwrap();
        let claims = token::parse(token).unwrap();
        assert!(claims.is_loopback_udp(51820) && !claims.is_loopback_udp(51821), "{claims:?}");
        // The captured token of a wstunnel client has these very lengths but for its time-out.
        let parts: Vec<_> = token.split('.').map(str::len).collect();
        assert_eq!((parts[0], parts[2]), (36, 43));
        assert!(text.contains(
            "sec-websocket-protocol: v1, authorization.bearer.eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9."
        ));
    }

    #[test]
    fn identifiers_are_of_version_seven() {
        let now = Timestamp::from_micros(1_645_557_742_000_000);
        // The example of RFC 9562, appendix A.6.
        let chance = [0, 0, 0, 0, 0, 0, 0x0c, 0xc3, 0x98, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f];
        assert_eq!(uuid7(now, chance), "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
        assert_ne!(random::<16>(), random::<16>());
    }

    #[test]
    fn the_answer_to_the_rfcs_key() {
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn only_the_right_answer_opens() {
        let (request, _) = request();
        let good = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nupgrade: WebSocket\r\nsec-websocket-accept: {}\r\n\r\n",
            request.accept
        );
        let with_frame = [good.as_bytes(), &[0x89, 0]].concat();
        assert_eq!(request.answered(&with_frame), Ok(Some(good.len())));
        for end in 0..good.len() {
            assert_eq!(request.answered(&good.as_bytes()[..end]), Ok(None), "{end}");
        }
        let other = good.replace(&request.accept, &accept("another"));
        assert_eq!(request.answered(other.as_bytes()), Err(Refusal::Accept));
        let folded = good.replace(&request.accept, &request.accept.to_ascii_lowercase());
        assert_eq!(request.answered(folded.as_bytes()), Err(Refusal::Accept));
        let plain = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(request.answered(plain), Err(Refusal::Status(404)));
        for garbage in [&b"SSH-2.0-x"[..], b"HTTP/2 200", &vec![b'x'; 20_000], b"HTTP/1.1 abc\r\n\r\n"] {
            assert_eq!(request.answered(garbage), Err(Refusal::Malformed));
        }
    }

    #[test]
    fn what_is_valid_behind_proxies_opens() {
        let (request, _) = request();
        for head in [
            "HTTP/1.1 101 Switching Protocols\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n",
            "HTTP/1.1 101 OK\r\nconnection: x\r\nconnection: upgrade\r\nupgrade: h2c, WebSocket\r\nVia: 1.1 a\r\n",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 101 \r\nConnection: upgrade\r\nUpgrade: websocket\r\n",
        ] {
            let answer = format!("{head}Sec-WebSocket-Accept: {}\r\n\r\n", request.accept);
            let read = request.answered(&[answer.as_bytes(), &[0x89, 0]].concat());
            assert_eq!(read, Ok(Some(answer.len())), "{head}");
        }
        let refused = b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 404 Not Found\r\n\r\n";
        assert_eq!(request.answered(refused), Err(Refusal::Status(404)));
        let other = format!(
            "HTTP/1.1 101 X\r\nConnection: keep-alive, Upgraded\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {}\r\n\r\n",
            request.accept
        );
        assert_eq!(request.answered(other.as_bytes()), Err(Refusal::Accept));
    }

    #[test]
    fn a_path_comes_before_the_secret() {
        let server: Server = "wss://vpn.example.com/a/b%20c/".parse().unwrap();
        let secret = Secret::generate();
        let request = Request::new(&server, &secret, 51820, Timestamp::from_micros(0));
        let line = format!("GET /a/b%20c/{}/events HTTP/1.1\r\nhost: vpn.example.com\r\n", secret.reveal());
        assert!(request.bytes().starts_with(line.as_bytes()));
    }
}
