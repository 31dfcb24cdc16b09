//! What can go wrong.

use std::io;
use std::path::PathBuf;

use phantom_store::{Language, StoreError};
use phantom_types::{ClientName, Lang, Spoken, explain};

/// Why there is no export.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CasperError {
    /// There is no such client.
    #[error("client '{name}' not found")]
    NotFound {
        /// What was asked for; it need not be a valid name.
        name: String,
    },
    /// The client keeps its private key to itself.
    #[error("the private key of client '{name}' is not stored")]
    NoPrivateKey {
        /// The client.
        name: ClientName,
    },
    /// Ghost Mode is off.
    #[error("Ghost Mode is not active")]
    Inactive,
    /// Nothing has been set up.
    #[error("the system is not set up")]
    NotInitialised,
    /// This process does not run as root.
    #[error("root privileges are required")]
    NotPrivileged,
    /// The stored state could not be read.
    #[error("the stored state could not be used")]
    Store(#[from] StoreError),
    /// The output file could not be written.
    #[error("{} cannot be written", file.display())]
    Output {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Spoken for CasperError {
    fn turkish(&self) -> String {
        match self {
            Self::NotFound { .. } | Self::NoPrivateKey { .. } | Self::Inactive => self.message_tr(),
            Self::NotInitialised => "sistem kurulmamış".to_owned(),
            Self::NotPrivileged => "root yetkisi gerekir".to_owned(),
            Self::Store(_) => "kayıtlı durum kullanılamadı".to_owned(),
            Self::Output { file, .. } => format!("{} yazılamıyor", file.display()),
        }
    }

    fn because(&self) -> Option<&(dyn Spoken + 'static)> {
        match self {
            Self::Store(error) => Some(error),
            Self::Output { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl CasperError {
    /// One line for people, `Error:` included.
    pub fn line(&self, language: Language) -> String {
        match language {
            Language::En => format!("Error: {}", self.english()),
            Language::Tr => format!("Hata: {}", self.message_tr()),
        }
    }

    fn english(&self) -> String {
        match self {
            Self::NotFound { name } => format!("Client '{}' not found", shown(name)),
            Self::NoPrivateKey { name } => format!(
                "The private key of client '{name}' is not stored on this server: its configuration cannot be exported"
            ),
            Self::Inactive => {
                "Ghost Mode is not active. Enable it first: phantom-api ghost enable domain=<domain>"
                    .to_owned()
            }
            Self::NotInitialised => "The system is not set up. Run: phantom-api core setup".to_owned(),
            Self::NotPrivileged => "Root privileges are required".to_owned(),
            Self::Store(error) => {
                let why = one_line(&error.about_its_file(Lang::En));
                format!("Cannot read or write {}: {why}", error.file().display())
            }
            Self::Output { file, source } => {
                format!("Cannot read or write {}: {}", file.display(), one_line(&explain(source, Lang::En)))
            }
        }
    }

    fn message_tr(&self) -> String {
        match self {
            Self::NotFound { name } => format!("'{}' istemcisi bulunamadı", shown(name)),
            Self::NoPrivateKey { name } => format!(
                "'{name}' istemcisinin özel anahtarı bu sunucuda kayıtlı değil: yapılandırması dışa aktarılamaz"
            ),
            Self::Inactive => {
                "Ghost Mode aktif değil. Önce etkinleştirin: phantom-api ghost enable domain=<alan-adı>"
                    .to_owned()
            }
            Self::NotInitialised => "Sistem kurulmamış. Çalıştırın: phantom-api core setup".to_owned(),
            Self::NotPrivileged => "Root yetkisi gerekir".to_owned(),
            Self::Store(error) => {
                let why = one_line(&error.about_its_file(Lang::Tr));
                format!("{} okunamıyor veya yazılamıyor: {why}", error.file().display())
            }
            Self::Output { file, source } => {
                let why = one_line(&explain(source, Lang::Tr));
                format!("{} okunamıyor veya yazılamıyor: {why}", file.display())
            }
        }
    }
}

/// A word of the command line on one line, whatever it holds.
pub(crate) fn shown(word: &str) -> String {
    word.chars().take(64).map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// A text on one line.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}
