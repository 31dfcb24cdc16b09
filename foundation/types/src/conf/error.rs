//! Why a text is no WireGuard configuration. No value of the file is repeated: it may be a secret. A single character that no
//! key has, and the ASCII form of a host name, are none.

use super::kind::FileKind;
use crate::host::shown_char;
use crate::{EndpointError, Spoken};

/// Why a text is no WireGuard configuration of a client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfError {
    /// A line cannot be used.
    #[error("line {line}{}{}", if .key.is_some() { ", " } else { "" }, .key.unwrap_or_default())]
    Line {
        /// Its number, from 1.
        line: usize,
        /// The key of that line, where it has a known one.
        key: Option<&'static str>,
        /// What is wrong with it.
        #[source]
        fault: ConfFault,
    },
    /// A section or a key that there must be is not there.
    #[error("{key} is missing")]
    Missing {
        /// The key (`PrivateKey`) or the section (`[Peer]`).
        key: &'static str,
        /// Number of the line, from 1, with the section that lacks the key; `None` when the section itself is
        /// missing.
        line: Option<usize>,
    },
}

impl Spoken for ConfError {
    fn turkish(&self) -> String {
        match self {
            Self::Line { line, key: Some(key), .. } => format!("satır {line}, {key}"),
            Self::Line { line, key: None, .. } => format!("satır {line}"),
            Self::Missing { key, .. } => format!("{key} eksik"),
        }
    }
    fn because(&self) -> Option<&(dyn Spoken + 'static)> {
        match self {
            Self::Line { fault, .. } => Some(fault),
            Self::Missing { .. } => None,
        }
    }
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfFault {
    /// Neither a section nor `Key = value`.
    #[error("neither a section nor 'Key = value'")]
    Syntax,
    /// A section other than `[Interface]` and `[Peer]`.
    #[error("a section other than [Interface] and [Peer]")]
    UnknownSection,
    /// A second section of a kind that there can be one of.
    #[error("the section is there twice")]
    SectionTwice,
    /// A key before the first section.
    #[error("a key outside any section")]
    NoSection,
    /// A key that can have one value only is there twice.
    #[error("the key is there twice")]
    Twice,
    /// Nothing behind the `=`.
    #[error("no value")]
    NoValue,
    /// A character that neither the names of keys nor these values have.
    #[error("{} is not allowed here", shown_char(*.character))]
    Character {
        /// The first one.
        character: char,
    },
    /// A value that makes other packets of WireGuard's, which only a server of `AmneziaWG` understands.
    #[error(
        "this value of {key} changes the packets themselves (AmneziaWG), and plain WireGuard cannot reach such a server: ask \
         for a configuration of plain WireGuard"
    )]
    AmneziaWg {
        /// The key: `S1` to `S4`, `H1` to `H4`.
        key: &'static str,
    },
    /// The text is a file of another kind.
    #[error("this is {0}: it takes a text file with [Interface] and [Peer]")]
    OtherKind(FileKind),
    /// Not the base64 of 32 bytes.
    #[error("not a key: the base64 of 32 bytes (44 characters)")]
    Key,
    /// Not an address, with or without a prefix length.
    #[error("not a list of IP addresses, each with or without a prefix length")]
    Address,
    /// Addresses, but none of them IPv4.
    #[error("no IPv4 address")]
    NoIpv4,
    /// Not an end point.
    #[error(transparent)]
    Endpoint(EndpointError),
    /// Not a number, or out of range.
    #[error("not a number of at most {maximum}")]
    Number {
        /// The largest that is allowed; the smallest is 0.
        maximum: u16,
    },
}

impl Spoken for ConfFault {
    fn turkish(&self) -> String {
        match self {
            Self::Syntax => "ne bir bölüm ne de 'Anahtar = değer'".to_owned(),
            Self::UnknownSection => "[Interface] ve [Peer] dışında bir bölüm".to_owned(),
            Self::SectionTwice => "bölüm iki kez yazılmış".to_owned(),
            Self::NoSection => "hiçbir bölüme ait olmayan bir anahtar".to_owned(),
            Self::Twice => "anahtar iki kez yazılmış".to_owned(),
            Self::NoValue => "değer yok".to_owned(),
            Self::Character { character } => {
                format!("{} karakteri burada kullanılamaz", shown_char(*character))
            }
            Self::AmneziaWg { key } => format!(
                "{key} için yazılan bu değer paketlerin kendisini değiştirir (AmneziaWG) ve düz WireGuard böyle bir sunucuya \
                 ulaşamaz: düz WireGuard yapılandırması isteyin"
            ),
            Self::OtherKind(kind) => format!(
                "bu dosya {}: [Interface] ve [Peer] bölümlerini içeren bir metin dosyası gerekir",
                kind.turkish()
            ),
            Self::Key => "bu bir anahtar değil: 32 baytın base64 biçimi (44 karakter) gerekir".to_owned(),
            Self::Address => "önek uzunluklu veya öneksiz IP adreslerinden oluşan bir liste değil".to_owned(),
            Self::NoIpv4 => "IPv4 adresi yok".to_owned(),
            Self::Endpoint(error) => error.turkish(),
            Self::Number { maximum } => format!("en fazla {maximum} olan bir sayı değil"),
        }
    }
    fn because(&self) -> Option<&(dyn Spoken + 'static)> {
        match self {
            Self::Endpoint(error) => error.because(),
            _ => None,
        }
    }
}

impl ConfError {
    /// Number of the line that is to be looked at, from 1; `None` when a whole section is missing.
    pub fn line(&self) -> Option<usize> {
        match self {
            Self::Line { line, .. } => Some(*line),
            Self::Missing { line, .. } => *line,
        }
    }

    /// The key or section that it is about; `None` for a line whose key is not known.
    pub fn key(&self) -> Option<&'static str> {
        match self {
            Self::Line { key, .. } => *key,
            Self::Missing { key, .. } => Some(key),
        }
    }
}
