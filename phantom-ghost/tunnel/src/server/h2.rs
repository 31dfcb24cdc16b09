//! As much of HTTP/2 (RFC 9113) as it takes to say that a web server is not there.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout_at};

use super::site::Answer;
use super::upstream::Stream;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The length of a frame's head, and of the longest frame that is allowed as long as nothing else is agreed.
const HEAD: usize = 9;
const LONGEST: usize = 16_384;
/// So much may come before a request is whole.
const MOST: usize = 64 * 1024;

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const ACKNOWLEDGED: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PROTOCOL_ERROR: u32 = 1;

/// What a client has sent so far.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// More is needed.
    Part,
    /// A request, on this stream.
    Request(u32),
    /// What is not HTTP/2.
    Nonsense,
}

/// Waits until `limit` for a client's request, of which `bytes` have come, answers it with the status of `answer`, and says that this
/// connection answers no other.
pub(super) async fn apologise(
    client: &mut impl Stream,
    mut bytes: Vec<u8>,
    answer: &Answer,
    limit: Instant,
) -> io::Result<()> {
    let seen = loop {
        match look(&bytes) {
            Seen::Part => {}
            seen => break seen,
        }
        bytes.reserve(2048);
        match timeout_at(limit, client.read_buf(&mut bytes)).await {
            Ok(Ok(1..)) => {}
            Ok(Err(error)) => return Err(error),
            Ok(Ok(0)) | Err(_) => break Seen::Part,
        }
    };
    let mut said = Vec::new();
    frame(&mut said, SETTINGS, 0, 0, &[]);
    let (last, error) = match seen {
        Seen::Request(stream) => {
            frame(&mut said, SETTINGS, ACKNOWLEDGED, 0, &[]);
            frame(&mut said, HEADERS, END_HEADERS | END_STREAM, stream, &fields(answer));
            (stream, 0)
        }
        Seen::Part => (0, 0),
        Seen::Nonsense => (0, PROTOCOL_ERROR),
    };
    frame(&mut said, GOAWAY, 0, 0, &[last.to_be_bytes(), error.to_be_bytes()].concat());
    client.write_all(&said).await?;
    client.flush().await
}

fn look(bytes: &[u8]) -> Seen {
    let start = bytes.len().min(PREFACE.len());
    if bytes[..start] != PREFACE[..start] || bytes.len() > MOST {
        return Seen::Nonsense;
    }
    let (mut rest, mut begun) = (&bytes[start..], 0);
    while let [a, b, c, kind, flags, stream @ ..] = rest {
        let Some((stream, payload)) = stream.split_first_chunk() else { break };
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        let stream = u32::from_be_bytes(*stream) & 0x7fff_ffff;
        if length > LONGEST {
            return Seen::Nonsense;
        }
        if payload.len() < length {
            break;
        }
        if *kind == HEADERS {
            begun = stream;
        }
        if matches!(*kind, HEADERS | CONTINUATION) && flags & END_HEADERS != 0 {
            return if begun % 2 == 1 && stream == begun { Seen::Request(begun) } else { Seen::Nonsense };
        }
        rest = &rest[HEAD + length..];
    }
    Seen::Part
}

fn frame(to: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    to.extend_from_slice(&length[1..]);
    to.extend([kind, flags]);
    to.extend(stream.to_be_bytes());
    to.extend_from_slice(payload);
}

/// The status and the date of an answer, and that it has no body: literals of HPACK (RFC 7541 section 6.2.2).
fn fields(answer: &Answer) -> Vec<u8> {
    /// `:status` in the static table.
    const STATUS: u8 = 8;
    let mut fields = vec![STATUS];
    string(&mut fields, answer.head.split(' ').nth(1).unwrap_or("502"));
    let date = answer.head.lines().find_map(|line| line.strip_prefix("Date: "));
    for (name, value) in date.map(|date| ("date", date)).into_iter().chain([("content-length", "0")]) {
        fields.push(0);
        string(&mut fields, name);
        string(&mut fields, value);
    }
    fields
}

/// A text of fewer than 127 bytes.
fn string(to: &mut Vec<u8>, text: &str) {
    to.push(u8::try_from(text.len()).unwrap_or(0) & 0x7f);
    to.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(parts: &[(u8, u8, u32, usize)]) -> Vec<u8> {
        let mut bytes = PREFACE.to_vec();
        for (kind, flags, stream, length) in parts {
            frame(&mut bytes, *kind, *flags, *stream, &vec![0x82; *length]);
        }
        bytes
    }

    #[test]
    fn request_is_complete_with_its_head() {
        let whole =
            request(&[(SETTINGS, 0, 0, 18), (8, 0, 0, 4), (HEADERS, END_STREAM | END_HEADERS, 1, 40)]);
        for end in 0..whole.len() {
            assert_eq!(look(&whole[..end]), Seen::Part, "{end}");
        }
        assert_eq!(look(&whole), Seen::Request(1));
        let half = request(&[(HEADERS, END_STREAM, 3, 40)]);
        assert_eq!(look(&half), Seen::Part);
        let in_two = request(&[(HEADERS, END_STREAM, 3, 40), (CONTINUATION, END_HEADERS, 3, 9)]);
        assert_eq!(look(&in_two), Seen::Request(3));
    }

    #[test]
    fn what_is_no_request_is_none() {
        for bytes in [
            b"GET / HTTP/1.1\r\n".to_vec(),
            request(&[(HEADERS, END_HEADERS, 2, 4)]),
            request(&[(HEADERS, 0, 1, 4), (CONTINUATION, END_HEADERS, 5, 4)]),
            request(&[(0, 0, 1, LONGEST + 1)]),
            request(&[(SETTINGS, 0, 0, LONGEST); 5]),
        ] {
            assert_eq!(look(&bytes), Seen::Nonsense);
        }
    }
}
