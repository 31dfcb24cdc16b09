//! Why a file that is to be imported is not read as text.

use phantom_host::HostError;
use phantom_module::Lang;
use phantom_types::conf::FileKind;
use phantom_types::{Spoken, explain};

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

impl Spoken for Unreadable {
    fn turkish(&self) -> String {
        match self {
            Self::Absent => "dosya yok".to_owned(),
            Self::Folder => "bu bir dizin".to_owned(),
            Self::TooLarge => "64 KiB'tan büyük".to_owned(),
            Self::NoText => "UTF-8 kodlamalı bir metin değil".to_owned(),
            Self::OtherKind(kind) => format!("bu dosya {}", kind.turkish()),
            Self::Host(error) => error.turkish(),
        }
    }
    fn because(&self) -> Option<&(dyn Spoken + 'static)> {
        match self {
            Self::Host(error) => error.because(),
            _ => None,
        }
    }
}

impl Unreadable {
    /// What the error's data say beside the path; nothing where the message says it.
    pub(crate) fn detail(&self, lang: Lang) -> Option<String> {
        (!matches!(self, Self::Absent)).then(|| explain(self, lang))
    }
}
