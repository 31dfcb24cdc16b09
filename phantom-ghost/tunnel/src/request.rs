//! The head of an HTTP/1.1 request (RFC 9112 sections 2 to 5), pure: bytes in, head or fault out.
//!
//! It is stricter than the RFC asks for: lines end in CR LF, a name is followed by its colon at once, no line is folded.
//! What is refused here gets the answer of a web server, with the status that [`RequestFault`] names.

/// The longest head in bytes, request line and all, with the empty line at its end.
pub const MAX_HEAD: usize = 16 * 1024;
/// The longest request target in bytes.
pub const MAX_TARGET: usize = 8 * 1024;
/// The largest number of header lines.
pub const MAX_HEADERS: usize = 100;

/// Whether a whole head was there.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// So far so good; more bytes are needed. Never said of [`MAX_HEAD`] bytes or more.
    Partial,
    /// The head and its size in bytes: what follows is the body, or the next request.
    Complete(Head<'a>, usize),
    /// No request that is served. Nothing that follows can be read.
    Fault(RequestFault),
}

/// Why a head is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestFault {
    /// 400: not the grammar of HTTP/1.1, or a `Host` that is missing or given twice.
    #[error("bad request")]
    BadRequest,
    /// 414: a target of more than [`MAX_TARGET`] bytes.
    #[error("request target too long")]
    TargetTooLong,
    /// 431: a head of more than [`MAX_HEAD`] bytes or [`MAX_HEADERS`] lines.
    #[error("request head too large")]
    TooLarge,
    /// 505: a version other than 1.0 and 1.1.
    #[error("version not supported")]
    Version,
}

/// A request's head. Everything borrows from the bytes that were parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head<'a> {
    /// The method as it was written, a token.
    pub method: &'a str,
    /// The request target as it was written: visible ASCII.
    pub target: &'a str,
    /// The minor version: 0 or 1.
    pub minor: u8,
    headers: Vec<(&'a str, &'a str)>,
}

impl<'a> Head<'a> {
    /// All values of the header `name`, in order; `name` in any case.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    }

    /// The value of the header `name` if it is given exactly once.
    pub fn single(&self, name: &str) -> Option<&'a str> {
        let mut values = self.values(name);
        values.next().filter(|_| values.next().is_none())
    }

    /// Whether one of the comma-separated words of the header `name` is `word`, in any case.
    pub fn has_word(&self, name: &str, word: &str) -> bool {
        self.values(name)
            .flat_map(|value| value.split(','))
            .any(|part| part.trim().eq_ignore_ascii_case(word))
    }

    /// The target's path without the query: for the absolute form (RFC 9112 section 3.2.2) what follows the authority.
    pub fn path(&self) -> &'a str {
        let target = match self.target.split_once("://") {
            Some((scheme, rest)) if !scheme.contains('/') => rest.find('/').map_or("/", |at| &rest[at..]),
            _ => self.target,
        };
        target.split('?').next().unwrap_or(target)
    }

    /// Whether the connection stays open after the answer (RFC 9112 section 9.3).
    pub fn keeps_alive(&self) -> bool {
        if self.minor == 0 {
            self.has_word("Connection", "keep-alive")
        } else {
            !self.has_word("Connection", "close")
        }
    }

    /// Whether a body follows.
    pub fn has_body(&self) -> bool {
        self.values("Transfer-Encoding").next().is_some()
            || self.values("Content-Length").any(|length| length.trim() != "0")
    }
}

/// Parses the head at the start of `bytes`.
///
/// A fault is found as soon as the line that holds it is complete, so that a visitor does not wait for an answer that is
/// already certain.
pub fn parse(bytes: &[u8]) -> Parsed<'_> {
    match head(bytes) {
        Ok(Some((head, size))) => Parsed::Complete(head, size),
        Ok(None) if bytes.len() < MAX_HEAD => Parsed::Partial,
        Ok(None) => Parsed::Fault(RequestFault::TooLarge),
        Err(fault) => Parsed::Fault(fault),
    }
}

/// What half a request may become, to a server that looks for one request alone: `GET /SEGMENT/events HTTP/1.1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning<'a> {
    /// Anything: the segment has not ended yet.
    Open,
    /// That request, with this segment.
    Segment(&'a [u8]),
    /// Another one.
    Other,
}

/// What `bytes`, which are no whole head, may become.
pub fn beginning(bytes: &[u8]) -> Beginning<'_> {
    const START: &[u8] = b"GET /";
    const END: &[u8] = b"/events HTTP/1.1\r\n";
    let start = bytes.len().min(START.len());
    if bytes[..start] != START[..start] {
        return Beginning::Other;
    }
    let rest = &bytes[start..];
    match rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b' ' | b'\r' | b'\n')) {
        None if rest.len() <= MAX_TARGET => Beginning::Open,
        Some(at) => {
            let (segment, end) = rest.split_at(at);
            let known = end.len().min(END.len());
            if end[..known] == END[..known] { Beginning::Segment(segment) } else { Beginning::Other }
        }
        None => Beginning::Other,
    }
}

fn head(bytes: &[u8]) -> Result<Option<(Head<'_>, usize)>, RequestFault> {
    // One empty line before the request is let pass, RFC 9112 section 2.2.
    let mut rest = bytes.strip_prefix(b"\r\n").unwrap_or(bytes);
    let Some((first, after)) = line(rest) else { return partial_line(rest) };
    let (method, target, minor) = request_line(first)?;
    rest = after;
    let mut headers = Vec::new();
    loop {
        let Some((line, after)) = line(rest) else {
            return if bare_line_end(rest) { Err(RequestFault::BadRequest) } else { Ok(None) };
        };
        rest = after;
        if line.is_empty() {
            break;
        }
        if headers.len() == MAX_HEADERS {
            return Err(RequestFault::TooLarge);
        }
        headers.push(header(line)?);
    }
    let size = bytes.len() - rest.len();
    if size > MAX_HEAD {
        return Err(RequestFault::TooLarge);
    }
    let head = Head { method, target, minor, headers };
    let hosts = head.values("Host").count();
    if hosts > 1 || (hosts == 0 && minor == 1) {
        return Err(RequestFault::BadRequest);
    }
    Ok(Some((head, size)))
}

/// A request line that is not complete: refused if it is too long or cannot be one.
fn partial_line(bytes: &[u8]) -> Result<Option<(Head<'_>, usize)>, RequestFault> {
    let line = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    if bare_line_end(bytes) || line.iter().any(|byte| !matches!(byte, 0x20..=0x7e)) {
        Err(RequestFault::BadRequest)
    } else if line.len() > MAX_TARGET + 32 {
        Err(RequestFault::TargetTooLong)
    } else {
        Ok(None)
    }
}

/// The first line of `bytes` without its CR LF, and what follows it.
fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    Some((&bytes[..end], &bytes[end + 2..]))
}

/// Whether a line feed stands without its carriage return.
fn bare_line_end(bytes: &[u8]) -> bool {
    bytes.iter().enumerate().any(|(at, byte)| *byte == b'\n' && (at == 0 || bytes[at - 1] != b'\r'))
}

fn request_line(line: &[u8]) -> Result<(&str, &str, u8), RequestFault> {
    let line = std::str::from_utf8(line).map_err(|_| RequestFault::BadRequest)?;
    let mut parts = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(RequestFault::BadRequest);
    };
    if !is_token(method) || target.is_empty() || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(RequestFault::BadRequest);
    }
    if target.len() > MAX_TARGET {
        return Err(RequestFault::TargetTooLong);
    }
    let form = target.starts_with('/') || target.contains("://") || target == "*" || method == "CONNECT";
    if !form {
        return Err(RequestFault::BadRequest);
    }
    match version.strip_prefix("HTTP/").map(str::as_bytes) {
        Some(b"1.1") => Ok((method, target, 1)),
        Some(b"1.0") => Ok((method, target, 0)),
        Some([major, b'.', minor]) if major.is_ascii_digit() && minor.is_ascii_digit() => {
            Err(RequestFault::Version)
        }
        _ => Err(RequestFault::BadRequest),
    }
}

fn header(line: &[u8]) -> Result<(&str, &str), RequestFault> {
    let line = std::str::from_utf8(line).map_err(|_| RequestFault::BadRequest)?;
    let (name, value) = line.split_once(':').ok_or(RequestFault::BadRequest)?;
    let value = value.trim_matches([' ', '\t']);
    if is_token(name) && value.chars().all(|letter| letter == '\t' || !letter.is_control()) {
        Ok((name, value))
    } else {
        Err(RequestFault::BadRequest)
    }
}

/// Whether `text` is a token of RFC 9110 section 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests;
