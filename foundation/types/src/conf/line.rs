//! One line of a configuration: what it is, and the values that it can have.

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use zeroize::Zeroizing;

use super::error::ConfFault;
use super::parse::IgnoredKind;
use crate::Endpoint;

/// Longest unknown key name that is reported: longer than every real one.
const NAME_MAX: usize = 32;
/// The name in the report of a line without a value that looks like the end of a secret.
const HIDDEN: &str = "(hidden)";
/// Names shorter than this are no piece of a key that is worth hiding.
const PIECE_MIN: usize = 8;

/// What the keys of `AmneziaWG` must say for the packets to be WireGuard's own: no bytes in front, and the usual types of messages
/// (WireGuard's paper, 5.4). Junk packets (`Jc`, `Jmin`, `Jmax`, `I1` to `I5`) are sent beside them and matter to nobody.
const AMNEZIA: [(&str, &str); 8] =
    [("S1", "0"), ("S2", "0"), ("S3", "0"), ("S4", "0"), ("H1", "1"), ("H2", "2"), ("H3", "3"), ("H4", "4")];

/// The sections that there are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Interface,
    Peer,
}

/// The keys that are used.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Private,
    Address,
    Mtu,
    Public,
    Preshared,
    Endpoint,
    AllowedIps,
    Keepalive,
}

/// What a line says.
pub(super) enum Line<'a> {
    Empty,
    Section(Section),
    /// A key that is used, its usual spelling, and its value.
    Value(Key, &'static str, &'a str),
    /// Any other key.
    Ignored(&'a str, IgnoredKind),
}

const KEYS: [(&str, Key); 8] = [
    ("PrivateKey", Key::Private),
    ("Address", Key::Address),
    ("MTU", Key::Mtu),
    ("PublicKey", Key::Public),
    ("PresharedKey", Key::Preshared),
    ("Endpoint", Key::Endpoint),
    ("AllowedIPs", Key::AllowedIps),
    ("PersistentKeepalive", Key::Keepalive),
];

/// The other keys of `wg(8)` and `wg-quick(8)`.
const IGNORED: [(&str, IgnoredKind); 9] = [
    ("DNS", IgnoredKind::Dns),
    ("PreUp", IgnoredKind::Hook),
    ("PostUp", IgnoredKind::Hook),
    ("PreDown", IgnoredKind::Hook),
    ("PostDown", IgnoredKind::Hook),
    ("ListenPort", IgnoredKind::Other),
    ("FwMark", IgnoredKind::Other),
    ("Table", IgnoredKind::Other),
    ("SaveConfig", IgnoredKind::Other),
];

impl Key {
    /// The section in which the key has its meaning.
    pub(super) fn section(self) -> Section {
        match self {
            Self::Private | Self::Address | Self::Mtu => Section::Interface,
            Self::Public | Self::Preshared | Self::Endpoint | Self::AllowedIps | Self::Keepalive => {
                Section::Peer
            }
        }
    }
}

/// Splits a line into what it says and its comment.
///
/// In the value of a key that is ignored a `;` is no comment: shell commands are full of it.
pub(super) fn split(line: &str) -> Result<(Line<'_>, Option<&str>), ConfFault> {
    let (bare, comment) = cut(line, &['#', ';']);
    let said = read(bare.trim())?;
    let comment = if matches!(said, Line::Ignored(..)) { cut(line, &['#']).1 } else { comment };
    Ok((said, comment))
}

fn cut<'a>(line: &'a str, marks: &[char]) -> (&'a str, Option<&'a str>) {
    line.find(marks).map_or((line, None), |at| (&line[..at], Some(&line[at + 1..])))
}

fn read(line: &str) -> Result<Line<'_>, ConfFault> {
    if line.is_empty() {
        return Ok(Line::Empty);
    }
    if let Some(rest) = line.strip_prefix('[') {
        let name = rest.strip_suffix(']').ok_or(ConfFault::Syntax)?;
        return match name {
            _ if is_word(name, "Interface") => Ok(Line::Section(Section::Interface)),
            _ if is_word(name, "Peer") => Ok(Line::Section(Section::Peer)),
            _ => Err(ConfFault::UnknownSection),
        };
    }
    let (name, value) = line.split_once('=').ok_or(ConfFault::Syntax)?;
    let (name, value) = (name.trim(), value.trim());
    if let Some((word, key)) = KEYS.iter().find(|(word, _)| is_word(name, word)) {
        return Ok(Line::Value(*key, word, value));
    }
    if let Some((word, kind)) = IGNORED.iter().find(|(word, _)| is_word(name, word)) {
        return Ok(Line::Ignored(word, *kind));
    }
    if let Some((word, plain)) = AMNEZIA.iter().find(|(word, _)| is_word(name, word)) {
        let fits = is_plain_amnezia(value, plain);
        return if fits {
            Ok(Line::Ignored(word, IgnoredKind::Other))
        } else {
            Err(ConfFault::AmneziaWg { key: word })
        };
    }
    unknown(line, name, value)
}

/// A line whose key is not known. Its name is going to be shown.
fn unknown<'a>(line: &str, name: &'a str, value: &str) -> Result<Line<'a>, ConfFault> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    if name.is_empty() || name.len() > NAME_MAX {
        return Err(ConfFault::Syntax);
    }
    if let Some(character) = name.chars().find(|letter| !plain(*letter)) {
        // A letter that only looks like one of ours, or a blank that is none.
        return Err(if character.is_ascii_graphic() || character == ' ' {
            ConfFault::Syntax
        } else {
            ConfFault::Character { character }
        });
    }
    // A piece of a WireGuard key that was broken over two lines can look like a name, but ends in the `=` of its base64,
    // right behind the last letter, and so has no value.
    let piece = value.is_empty() && name.len() >= PIECE_MIN && line.starts_with(&format!("{name}="));
    Ok(Line::Ignored(if piece { HIDDEN } else { name }, IgnoredKind::Other))
}

/// Whether a value of `AmneziaWG` is the one of plain WireGuard, as a number or as a range of this number alone.
fn is_plain_amnezia(value: &str, plain: &str) -> bool {
    let value = cut(value, &['#', ';']).0.trim();
    let is = |number: &str| number.trim().parse::<u32>().is_ok_and(|number| number.to_string() == plain);
    match value.split_once('-') {
        Some((from, to)) => is(from) && is(to),
        None => value.is_empty() || value == "0" || is(value),
    }
}

/// Whether a text is this word, blanks and case aside.
fn is_word(text: &str, word: &str) -> bool {
    let letters = text.chars().filter(|letter| !letter.is_whitespace());
    letters
        .map(|letter| letter.to_ascii_lowercase())
        .eq(word.chars().map(|letter| letter.to_ascii_lowercase()))
}

/// That a value has no character that no value has: what looks like a quote or a dash and is another one comes along when a file
/// is copied from a page.
pub(super) fn check_characters(value: &str) -> Result<(), ConfFault> {
    let strange = |letter: &char| !letter.is_ascii_graphic() && !letter.is_whitespace();
    value.chars().find(strange).map_or(Ok(()), |character| Err(ConfFault::Character { character }))
}

/// That a key has the characters of base64 and blanks only. One that it has not is no part of a secret.
pub(super) fn check_base64(value: &str) -> Result<(), ConfFault> {
    let strange = |letter: &char| {
        !letter.is_ascii_alphanumeric() && !letter.is_whitespace() && !matches!(letter, '+' | '/' | '=')
    };
    value.chars().find(strange).map_or(Ok(()), |character| Err(ConfFault::Character { character }))
}

/// The value without any blank, as `wg` reads it.
pub(super) fn compact(value: &str) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(value.len()));
    text.extend(value.chars().filter(|letter| !letter.is_whitespace()));
    text
}

/// A list of networks or addresses, separated by commas or blanks; host bits stay.
pub(super) fn networks(value: &str) -> Result<Vec<IpNetwork>, ConfFault> {
    let joined = value.split('/').map(str::trim).collect::<Vec<_>>().join("/");
    let items = joined.split(|letter: char| letter == ',' || letter.is_whitespace());
    let networks: Vec<_> = items.filter(|item| !item.is_empty()).map(network).collect::<Result<_, _>>()?;
    if networks.is_empty() { Err(ConfFault::Address) } else { Ok(networks) }
}

fn network(item: &str) -> Result<IpNetwork, ConfFault> {
    let (address, prefix) =
        item.split_once('/').map_or((item, None), |(address, prefix)| (address, Some(prefix)));
    let address: IpAddr = address.parse().map_err(|_| ConfFault::Address)?;
    let prefix = match prefix {
        None => return Ok(address.into()),
        Some(prefix) if is_number(prefix) => prefix.parse().map_err(|_| ConfFault::Address)?,
        Some(_) => return Err(ConfFault::Address),
    };
    IpNetwork::new(address, prefix).map_err(|_| ConfFault::Address)
}

/// An end point, blanks aside.
pub(super) fn endpoint(value: &str) -> Result<Endpoint, ConfFault> {
    compact(value).parse().map_err(ConfFault::Endpoint)
}

/// A decimal number of 16 bits; 0 is `None`.
pub(super) fn number(value: &str) -> Result<Option<u16>, ConfFault> {
    let number =
        value.parse().ok().filter(|_| is_number(value)).ok_or(ConfFault::Number { maximum: u16::MAX })?;
    Ok(Some(number).filter(|number| *number > 0))
}

/// A number as above, or `off`, which is 0.
pub(super) fn keepalive(value: &str) -> Result<Option<u16>, ConfFault> {
    if value.eq_ignore_ascii_case("off") { Ok(None) } else { number(value) }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
