//! The head of a server's or a proxy's answer in HTTP/1.1, pure.

/// The longest head in bytes, with the interim answers before it.
const MAX_ANSWER: usize = 16 * 1024;
/// The largest number of header lines.
const MAX_FIELDS: usize = 100;

/// What is no answer of a web server, or has no end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// A final answer's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// The status code.
    pub(super) status: u16,
    /// Where the head ends, in bytes from the start of what was read: interim answers are counted in.
    pub(super) length: usize,
    fields: Vec<(String, String)>,
}

impl Answer {
    /// Reads the answer at the start of `bytes`; `None` if it is not all there yet.
    ///
    /// Any number of interim answers may come first (RFC 9110 section 15.2), as `100 Continue` and `103 Early Hints` of
    /// proxies. 101 is no interim answer to one who asked for another protocol.
    pub(super) fn read(bytes: &[u8]) -> Result<Option<Self>, Malformed> {
        let mut begin = 0;
        loop {
            let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
            let mut head = httparse::Response::new(&mut fields);
            match head.parse(&bytes[begin..]) {
                Ok(httparse::Status::Complete(length)) => {
                    let status = head.code.ok_or(Malformed)?;
                    begin += length;
                    if begin > MAX_ANSWER {
                        return Err(Malformed);
                    }
                    if status == 101 || !(100..200).contains(&status) {
                        return Ok(Some(Self { status, length: begin, fields: owned(head.headers) }));
                    }
                }
                Ok(httparse::Status::Partial) if bytes.len() < MAX_ANSWER => return Ok(None),
                Ok(httparse::Status::Partial) | Err(_) => return Err(Malformed),
            }
        }
    }

    /// All values of the header `name`, in order; `name` in any case.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.fields
            .iter()
            .filter(move |(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Whether one of the comma-separated words of the header `name` is `word`, in any case.
    pub(super) fn has_word(&self, name: &str, word: &str) -> bool {
        self.values(name)
            .flat_map(|value| value.split(','))
            .any(|part| part.trim().eq_ignore_ascii_case(word))
    }
}

/// The header lines whose values are text; nothing that is looked for has others.
fn owned(fields: &[httparse::Header<'_>]) -> Vec<(String, String)> {
    let text = |field: &httparse::Header<'_>| {
        let value = str::from_utf8(field.value).ok()?;
        Some((field.name.to_owned(), value.trim().to_owned()))
    };
    fields.iter().filter_map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interim_answers_are_passed_over() {
        let last = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
        for before in [
            "",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n",
        ] {
            let all = format!("{before}{last}");
            for end in 0..all.len() {
                assert_eq!(Answer::read(&all.as_bytes()[..end]), Ok(None), "{end} of {all:?}");
            }
            let answer = Answer::read(format!("{all}\u{2}frames").as_bytes()).unwrap().unwrap();
            assert_eq!((answer.status, answer.length), (101, all.len()));
            assert!(answer.has_word("UPGRADE", "WebSocket"));
            assert!(answer.values("link").next().is_none(), "a line of an interim answer");
        }
    }

    #[test]
    fn list_words_are_found_anywhere() {
        let head = "HTTP/1.1 200 OK\r\nConnection: keep-alive , Upgrade\r\nconnection:x\r\nA: keep\r\n\r\n";
        let answer = Answer::read(head.as_bytes()).unwrap().unwrap();
        for word in ["upgrade", "Keep-Alive", "X"] {
            assert!(answer.has_word("Connection", word), "{word}");
        }
        for word in ["keep", "alive", "", "upgrade,"] {
            assert!(!answer.has_word("Connection", word), "{word:?}");
        }
    }

    #[test]
    fn what_is_no_answer_or_never_ends() {
        let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(MAX_ANSWER / 25 + 1);
        for garbage in [
            &b"SSH-2.0-x\r\n"[..],
            b"HTTP/2 200",
            b"HTTP/1.1 abc\r\n\r\n",
            &vec![b'x'; MAX_ANSWER],
            interim.as_bytes(),
            &[&b"HTTP/1.1 200 OK\r\nx: "[..], &vec![b'x'; MAX_ANSWER]].concat(),
            &[&b"HTTP/1.1 200 OK\r\n"[..], &b"x: y\r\n".repeat(MAX_FIELDS + 1), b"\r\n"].concat(),
        ] {
            assert_eq!(Answer::read(garbage), Err(Malformed));
        }
    }
}
