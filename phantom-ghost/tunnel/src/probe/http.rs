//! Requests as a prober writes them, and answers as it reads them: pure.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::client::random;

/// A request, put together line by line, right or wrong.
#[derive(Debug, Clone)]
pub(super) struct Request {
    line: String,
    fields: Vec<(String, String)>,
    body: &'static str,
}

impl Request {
    /// `GET` with `Host` and what every browser sends.
    pub(super) fn get(target: &str, host: &str) -> Self {
        Self::new(&format!("GET {target} HTTP/1.1"), host)
    }

    pub(super) fn new(line: &str, host: &str) -> Self {
        let fields = vec![("Host".to_owned(), host.to_owned()), ("Accept".to_owned(), "*/*".to_owned())];
        Self { line: line.to_owned(), fields, body: "" }
    }

    /// A whole and correct request for a tunnel, but for its `target` and `token`.
    pub(super) fn tunnel(target: &str, host: &str, token: &str) -> Self {
        let key = STANDARD.encode(random::<16>());
        Self::get(target, host)
            .with("Upgrade", "websocket")
            .with("Connection", "Upgrade")
            .with("Sec-WebSocket-Key", &key)
            .with("Sec-WebSocket-Version", "13")
            .with("Sec-WebSocket-Protocol", &format!("v1, authorization.bearer.{token}"))
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(known, _)| known != name);
        self
    }

    /// The field `name` with another value.
    pub(super) fn but(self, name: &str, value: &str) -> Self {
        self.without(name).with(name, value)
    }

    pub(super) fn line(mut self, line: &str) -> Self {
        line.clone_into(&mut self.line);
        self
    }

    pub(super) fn body(self, body: &'static str) -> Self {
        let length = body.len().to_string();
        Self { body, ..self }.with("Content-Length", &length)
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{}\r\n", self.line);
        for (name, value) in &self.fields {
            for part in [name, ": ", value, "\r\n"] {
                text.push_str(part);
            }
        }
        text.push_str("\r\n");
        text.push_str(self.body);
        text.into_bytes()
    }
}

/// What came back, as far as it can be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// The first line, if there is one that begins as HTTP does.
    pub(super) line: Option<String>,
    pub(super) fields: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// Whether all of it is there: an answer without a length is complete when the connection ends.
    pub(super) complete: bool,
    /// How many bytes it takes, if it is complete.
    pub(super) size: usize,
}

impl Answer {
    /// Reads the answer at the start of `bytes`. `bodiless` is for answers to `HEAD`; `ended` says that nothing follows.
    pub(super) fn read(bytes: &[u8], bodiless: bool, ended: bool) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let (Some(end), true) = (end, bytes.starts_with(b"HTTP/")) else {
            return Self { body: bytes.to_vec(), complete: ended, size: bytes.len(), ..Self::default() };
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let line = lines.next().map(str::to_owned);
        let field = |line: &str| {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            (name.to_owned(), value.trim().to_owned())
        };
        let mut answer = Self { line, fields: lines.map(field).collect(), ..Self::default() };
        let rest = &bytes[end + 4..];
        let length = answer.field("Content-Length").and_then(|length| length.parse::<usize>().ok());
        let chunked = answer.field("Transfer-Encoding").is_some_and(|coding| coding.ends_with("chunked"));
        let has_body = !bodiless && !matches!(answer.status(), Some(100..200 | 204 | 304));
        let size = match length {
            _ if !has_body => Some(0),
            _ if chunked => {
                rest.windows(5).position(|window| window == b"0\r\n\r\n").map(|position| position + 5)
            }
            Some(length) => Some(length).filter(|length| *length <= rest.len()),
            None => ended.then_some(rest.len()),
        };
        answer.complete = size.is_some();
        let size = size.unwrap_or(rest.len());
        answer.body = rest[..size].to_vec();
        answer.size = end + 4 + size;
        answer
    }

    /// The status, if the first line has one.
    pub(super) fn status(&self) -> Option<u16> {
        self.line.as_deref()?.split(' ').nth(1)?.parse().ok()
    }

    /// The value of the first field `name`, in any case.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// A few words about it.
    pub(super) fn summary(&self) -> String {
        match self.status() {
            Some(status) => format!("{status}, {} bytes", self.body.len()),
            None if self.body.is_empty() => "nothing".to_owned(),
            None => format!("{} bytes that are no HTTP/1.1", self.body.len()),
        }
    }

    /// What makes it unlike the answers of common web servers, whatever was asked.
    pub(super) fn oddity(&self) -> Option<String> {
        let status = self.status()?;
        if let Some((name, _)) =
            self.fields.iter().find(|(name, _)| !name.starts_with(|c: char| c.is_ascii_uppercase()))
        {
            return Some(format!("the field name {name:?} is not capitalised"));
        }
        // wstunnel's own words.
        if self.body.starts_with(b"Invalid request") || self.body.starts_with(b"Invalid protocol request") {
            return Some("the body is that of wstunnel's server".to_owned());
        }
        // What cannot be parsed is answered without a date by some.
        if !matches!(status, 400 | 408 | 414 | 431 | 505) && self.field("Date").is_none() {
            return Some("there is no Date".to_owned());
        }
        if !self.body.is_empty() && self.field("Content-Type").is_none() {
            return Some("there is a body without a Content-Type".to_owned());
        }
        None
    }

    /// The names of the fields in which two answers to one and the same request differ, and with them `Date`.
    pub(super) fn volatile(&self, other: &Self) -> BTreeSet<String> {
        let values = |answer: &Self, name: &str| -> Vec<String> {
            let all = answer.fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
            all.map(|(_, value)| value.clone()).collect()
        };
        let names = self.fields.iter().chain(&other.fields).map(|(name, _)| name.to_ascii_lowercase());
        let mut volatile: BTreeSet<_> =
            names.filter(|name| values(self, name) != values(other, name)).collect();
        volatile.insert("date".to_owned());
        volatile
    }

    /// All its bytes with the values of volatile fields, and `word` wherever it is repeated, blanked out.
    pub(super) fn normal(&self, volatile: &BTreeSet<String>, word: &str) -> Vec<u8> {
        let mut text = self.line.clone().unwrap_or_default();
        for (name, value) in &self.fields {
            let value = if volatile.contains(&name.to_ascii_lowercase()) { "*" } else { value };
            for part in ["\n", name, ": ", value] {
                text.push_str(part);
            }
        }
        text.push_str("\n\n");
        text.push_str(&String::from_utf8_lossy(&self.body));
        if !word.is_empty() {
            text = text.replace(word, "*");
        }
        text.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str =
        "HTTP/1.1 404 Not Found\r\nDate: now\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nhello";

    #[test]
    fn answers_are_complete_at_their_length() {
        let answer = Answer::read(PAGE.as_bytes(), false, false);
        assert!(answer.complete && answer.status() == Some(404) && answer.body == b"hello");
        assert_eq!((answer.size, answer.oddity()), (PAGE.len(), None));
        assert!(!Answer::read(&PAGE.as_bytes()[..PAGE.len() - 1], false, false).complete);
        assert!(Answer::read(&PAGE.as_bytes()[..PAGE.len() - 5], true, false).complete);
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";
        assert!(Answer::read(chunked, false, false).complete);
        assert!(!Answer::read(&chunked[..chunked.len() - 2], false, false).complete);
        let old = b"HTTP/1.0 200 OK\r\n\r\nabc";
        assert!(!Answer::read(old, false, false).complete && Answer::read(old, false, true).complete);
        assert_eq!(Answer::read(b"", false, true).summary(), "nothing");
        assert_eq!(Answer::read(b"<html>", false, true).status(), None);
    }

    #[test]
    fn odd_answers_are_told() {
        let oddity = |text: &str| Answer::read(text.as_bytes(), false, true).oddity();
        assert!(oddity("HTTP/1.1 400 Bad Request\r\nContent-Length: 15\r\n\r\nInvalid request").is_some());
        assert!(oddity(&PAGE.replace("Date", "date")).is_some());
        assert!(oddity(&PAGE.replace("Date: now\r\n", "")).is_some());
        assert!(oddity(&PAGE.replace("Content-Type: text/html\r\n", "")).is_some());
    }

    #[test]
    fn what_changes_by_itself_is_not_compared() {
        let one = Answer::read(PAGE.replace("now", "1").as_bytes(), false, true);
        let two = Answer::read(PAGE.replace("now", "2").as_bytes(), false, true);
        let volatile = one.volatile(&two);
        assert_eq!(one.normal(&volatile, ""), two.normal(&volatile, ""));
        let other = Answer::read(PAGE.replace("hello", "world").as_bytes(), false, true);
        assert_ne!(one.normal(&volatile, ""), other.normal(&volatile, ""));
        assert_eq!(one.normal(&volatile, "hello"), other.normal(&volatile, "world"));
        let order =
            PAGE.replace("Date: now\r\nContent-Type: text/html", "Content-Type: text/html\r\nDate: now");
        let order = Answer::read(order.as_bytes(), false, true);
        assert_ne!(one.normal(&volatile, ""), order.normal(&volatile, ""));
    }

    #[test]
    fn requests_are_written_as_they_are_told() {
        let request =
            Request::get("/x", "h").but("Accept", "a").without("Host").line("BREW /y HTTP/1.1").body("b");
        assert_eq!(request.bytes(), b"BREW /y HTTP/1.1\r\nAccept: a\r\nContent-Length: 1\r\n\r\nb");
    }
}
