//! The site that strangers see when no web server stands behind us: what a small static web server would answer.
//!
//! It names no product: a name that does not fit what the TLS layer shows would be a better mark than none.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::digest;
use time::OffsetDateTime;

use crate::config::{Decoy, FileBytes};
use crate::request::{Head, RequestFault};

/// A site in memory.
#[derive(Debug)]
pub(super) struct DecoySite {
    pages: BTreeMap<String, Page>,
    missing: Page,
}

#[derive(Debug)]
struct Page {
    body: Arc<[u8]>,
    kind: &'static str,
    tag: String,
}

/// What is sent: a head, and for most methods a body.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) head: String,
    pub(super) body: Arc<[u8]>,
    /// Whether the connection is closed after it.
    pub(super) close: bool,
    /// Whether it tells of an error: these are counted against who asked.
    pub(super) error: bool,
}

#[derive(Clone, Copy)]
enum Status {
    Ok,
    NotModified,
    BadRequest,
    NotFound,
    NotAllowed,
    TargetTooLong,
    TooLarge,
    BadGateway,
    Version,
}

impl Status {
    fn text(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::NotModified => "304 Not Modified",
            Self::BadRequest => "400 Bad Request",
            Self::NotFound => "404 Not Found",
            Self::NotAllowed => "405 Method Not Allowed",
            Self::TargetTooLong => "414 URI Too Long",
            Self::TooLarge => "431 Request Header Fields Too Large",
            Self::BadGateway => "502 Bad Gateway",
            Self::Version => "505 HTTP Version Not Supported",
        }
    }
}

const HTML: &str = "text/html; charset=utf-8";
const WELCOME: &str = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Welcome</title>\n</head>\n<body>\n\
    <h1>Welcome</h1>\n<p>This site is being set up. Please come back later.</p>\n</body>\n</html>\n";

impl DecoySite {
    /// The operator's files, or the built-in pages.
    pub(super) fn new(decoy: &Decoy) -> Self {
        let mut pages = BTreeMap::new();
        if let Decoy::Files(files) = decoy {
            for (path, FileBytes(bytes)) in files {
                pages.insert(format!("/{path}"), Page::new(bytes, kind(path)));
            }
        } else {
            pages.insert("/index.html".to_owned(), Page::new(WELCOME.as_bytes(), HTML));
        }
        let missing = match pages.get("/404.html") {
            Some(page) => Page::new(&page.body, HTML),
            None => Page::new(error_page(Status::NotFound).as_bytes(), HTML),
        };
        Self { pages, missing }
    }

    /// Answers any request at all. `last`: the connection ends with it, whatever the request says.
    pub(super) fn answer(&self, head: &Head<'_>, last: bool, date: &str) -> Answer {
        let close = last || !head.keeps_alive() || head.has_body();
        let path = decoded(head.path());
        let page = path.and_then(|mut path| {
            if path.ends_with('/') {
                path.push_str("index.html");
            }
            self.pages.get(&path)
        });
        let readable = matches!(head.method, "GET" | "HEAD");
        let mut answer = match page {
            None => answer(Status::NotFound, &self.missing, "", close, date),
            Some(_) if !readable => {
                let page = Page::new(error_page(Status::NotAllowed).as_bytes(), HTML);
                answer(Status::NotAllowed, &page, "Allow: GET, HEAD\r\n", close, date)
            }
            Some(page) => {
                let tag = format!("ETag: {}\r\n", page.tag);
                if head.has_word("If-None-Match", &page.tag) {
                    let mut unchanged = answer(Status::NotModified, page, &tag, close, date);
                    unchanged.body = Arc::new([]);
                    unchanged
                } else {
                    answer(Status::Ok, page, &tag, close, date)
                }
            }
        };
        if head.method == "HEAD" {
            answer.body = Arc::new([]);
        }
        answer
    }

    /// Answers what is no request.
    pub(super) fn refuse(fault: RequestFault, date: &str) -> Answer {
        let status = match fault {
            RequestFault::BadRequest => Status::BadRequest,
            RequestFault::TargetTooLong => Status::TargetTooLong,
            RequestFault::TooLarge => Status::TooLarge,
            RequestFault::Version => Status::Version,
        };
        failure(status, date)
    }

    /// Answers for a web server that is not there.
    pub(super) fn unreachable(date: &str) -> Answer {
        failure(Status::BadGateway, date)
    }
}

fn failure(status: Status, date: &str) -> Answer {
    answer(status, &Page::new(error_page(status).as_bytes(), HTML), "", true, date)
}

impl Page {
    fn new(body: &[u8], kind: &'static str) -> Self {
        let hash = digest::digest(&digest::SHA256, body);
        let start = hash.as_ref().first_chunk().map_or(0, |start| u64::from_be_bytes(*start));
        Self { body: body.into(), kind, tag: format!("\"{start:016x}\"") }
    }
}

fn answer(status: Status, page: &Page, more: &str, close: bool, date: &str) -> Answer {
    let text = status.text();
    let entity = match status {
        Status::NotModified => String::new(),
        _ => format!("Content-Type: {}\r\nContent-Length: {}\r\n", page.kind, page.body.len()),
    };
    let connection = if close { "close" } else { "keep-alive" };
    let head = format!("HTTP/1.1 {text}\r\nDate: {date}\r\n{entity}{more}Connection: {connection}\r\n\r\n");
    Answer { head, body: Arc::clone(&page.body), close, error: !text.starts_with(['2', '3']) }
}

fn error_page(status: Status) -> String {
    let text = status.text();
    let words = &text[4..];
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{text}</title>\n</head>\n<body>\n\
         <h1>{words}</h1>\n</body>\n</html>\n"
    )
}

/// The path with its percent signs resolved; `None` if they hide what is no text.
fn decoded(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first == b'%' {
            let (pair, after) = after.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?);
            rest = after;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

/// The media type of a file by its name.
fn kind(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" | "htm" => HTML,
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "txt" => "text/plain; charset=utf-8",
        "json" => "application/json",
        "xml" => "application/xml",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "pdf" => "application/pdf",
        _ => "application/octet-stream",
    }
}

/// The time as HTTP writes it (RFC 9110 section 5.6.7).
pub(super) fn date() -> String {
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let now = OffsetDateTime::now_utc();
    let day = DAYS[usize::from(now.weekday().number_days_from_monday())];
    let month = MONTHS[usize::from(u8::from(now.month())) - 1];
    let (hour, minute, second) = (now.hour(), now.minute(), now.second());
    format!("{day}, {:02} {month} {:04} {hour:02}:{minute:02}:{second:02} GMT", now.day(), now.year())
}

#[cfg(test)]
mod tests;
