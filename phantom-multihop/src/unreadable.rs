//! Why a file that is to be imported is not read as text.

use phantom_engine::explain;
use phantom_host::HostError;
use phantom_module::Lang;
use phantom_types::conf::FileKind;

/// Why a file is not read as text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// There is none.
    #[error("it is not there")]
    Absent,
    /// It is a folder.
    #[error("it is a folder")]
    Folder,
    /// It is larger than 64 KiB.
    #[error("it is larger than 64 KiB")]
    TooLarge,
    /// It is known by its first bytes.
    #[error("it is {0}")]
    OtherKind(FileKind),
    /// It is no UTF-8.
    #[error("it is no text in UTF-8")]
    NoText,
    /// The host does not give it.
    #[error(transparent)]
    Host(HostError),
}

impl Unreadable {
    /// What is said behind the path; nothing where the sentence says it.
    pub(crate) fn detail(&self, lang: Lang) -> Option<String> {
        Some(match self {
            Self::Absent => return None,
            Self::Folder => lang.pick("it is a folder", "bu bir dizin").to_owned(),
            Self::TooLarge => lang.pick("it is larger than 64 KiB", "64 KiB'tan büyük").to_owned(),
            Self::NoText => lang.pick("it is no text in UTF-8", "UTF-8 kodlamalı bir metin değil").to_owned(),
            Self::OtherKind(kind) => match lang {
                Lang::En => format!("it is {kind}"),
                Lang::Tr => format!("bu dosya {}", kind.turkish()),
            },
            Self::Host(error) => explain(error, lang),
        })
    }
}
