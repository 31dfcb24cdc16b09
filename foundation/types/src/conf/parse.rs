//! Reads the configuration of a client, in every dialect that WireGuard programs and providers write.

use std::fmt;

use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};
use zeroize::Zeroizing;

use super::draft::Draft;
use super::error::{ConfError, ConfFault};
use super::kind::FileKind;
use crate::{Endpoint, PresharedKey, PrivateKey, PublicKey};

/// A configuration with one interface and one peer, as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// The key of the interface.
    pub private_key: PrivateKey,
    /// IPv4 addresses of the interface, with host bits and prefix length (32 where none is written); at least one.
    pub address: Vec<Ipv4Network>,
    /// IPv6 addresses of the interface; their lines are also among the ignored ones.
    pub address6: Vec<Ipv6Network>,
    /// Largest packet; `None` when missing or 0 (which programs write for "automatic").
    pub mtu: Option<u16>,
    /// The public key of the peer.
    pub public_key: PublicKey,
    /// The key of the pair.
    pub preshared_key: Option<PresharedKey>,
    /// Where the peer is.
    pub endpoint: Endpoint,
    /// What the peer carries, of both families, with host bits cleared, in the order of the file; at least one.
    pub allowed_ips: Vec<IpNetwork>,
    /// Seconds between keepalives; `None` when missing, 0 or `off`.
    pub keepalive: Option<u16>,
    /// Lines that were not used, or not wholly, in the order of the file.
    pub ignored: Vec<Ignored>,
    /// The comments of the file.
    pub comments: Comments,
}

/// A line that was not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored {
    /// Its key: in the usual spelling when known, else as in the file. A word of letters, digits, `_` and `-`, or `(hidden)`
    /// where it may be a piece of a secret.
    pub key: String,
    /// Its number, from 1.
    pub line: usize,
    /// What it is.
    pub kind: IgnoredKind,
}

/// What an ignored line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IgnoredKind {
    /// A command that wg-quick would run: `PreUp`, `PostUp`, `PreDown`, `PostDown`.
    Hook,
    /// `DNS`.
    Dns,
    /// An `Address` with IPv6 in it.
    Ipv6Address,
    /// Any other key.
    Other,
}

/// The comments of a file. They can hold commented-out secrets, hence `Debug` shows their number only, and they
/// are wiped when dropped.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Comments(Vec<Zeroizing<String>>);

impl Comments {
    /// Keeps a comment in the form in which it is looked at: lower case, single blanks.
    pub(super) fn push(&mut self, comment: &str) {
        let mut text = Zeroizing::new(String::with_capacity(comment.len()));
        for (at, word) in comment.split_whitespace().enumerate() {
            text.push_str(if at == 0 { "" } else { " " });
            text.push_str(word);
        }
        text.make_ascii_lowercase();
        if !text.is_empty() {
            self.0.push(text);
        }
    }

    /// Whether one of the comments has this word, or these words with a blank between, and not as a part of a
    /// longer word. The case of the letters A–Z does not count.
    pub fn mention(&self, word: &str) -> bool {
        let word = word.to_ascii_lowercase();
        let goes_on = |neighbour: Option<char>| neighbour.is_some_and(char::is_alphanumeric);
        let found = |comment: &Zeroizing<String>| {
            comment.match_indices(&word).any(|(at, _)| {
                let (before, after) = (&comment[..at], &comment[at + word.len()..]);
                !goes_on(before.chars().next_back()) && !goes_on(after.chars().next())
            })
        };
        !word.is_empty() && self.0.iter().any(found)
    }
}

impl fmt::Debug for Comments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} hidden)", self.0.len())
    }
}

/// Reads a configuration with one interface and one peer.
///
/// Section and key names count in any case and with blanks in them; a comment begins with `#` or `;` anywhere on
/// a line; a byte order mark and CR before LF are skipped; lists are separated by commas or blanks, and `Address`
/// and `AllowedIPs` may stand on several lines. What is not a key of [`Parsed`] is skipped and reported, hooks
/// among them: nothing here can make a command run. The size of the text is the caller's to limit.
///
/// # Errors
/// The first line that cannot be used, or what is missing. Where the text is of another kind ([`FileKind`]), the error says so
/// in the place of what is wrong with it as a WireGuard configuration.
pub fn parse(text: &str) -> Result<Parsed, ConfError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    read(text).map_err(|error| match FileKind::of_text(text) {
        Some((kind, line)) => ConfError::Line { line, key: None, fault: ConfFault::OtherKind(kind) },
        None => error,
    })
}

fn read(text: &str) -> Result<Parsed, ConfError> {
    let mut draft = Draft::default();
    for (at, line) in text.lines().enumerate() {
        draft.read(at + 1, line)?;
    }
    draft.finish()
}

#[cfg(test)]
mod tests;
