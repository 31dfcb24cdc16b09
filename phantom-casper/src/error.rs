//! What can go wrong.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use phantom_store::{Language, StoreError};
use phantom_types::ClientName;

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

impl CasperError {
    /// One line for people, `Error:` included.
    pub fn line(&self, language: Language) -> String {
        match language {
            Language::En => format!("Error: {}", self.english()),
            Language::Tr => format!("Hata: {}", self.turkish()),
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
                format!("Cannot read or write {}: {}", error.file().display(), causes(self))
            }
            Self::Output { file, .. } => format!("Cannot read or write {}: {}", file.display(), causes(self)),
        }
    }

    fn turkish(&self) -> String {
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
                format!("{} okunamıyor veya yazılamıyor: {}", error.file().display(), causes(self))
            }
            Self::Output { file, .. } => {
                format!("{} okunamıyor veya yazılamıyor: {}", file.display(), causes(self))
            }
        }
    }
}

/// A word of the command line on one line, whatever it holds.
pub(crate) fn shown(word: &str) -> String {
    word.chars().take(64).map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// The causes of an error on one line.
fn causes(error: &CasperError) -> String {
    let mut texts = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        texts.push(cause.to_string().replace(char::is_control, " "));
        next = cause.source();
    }
    texts.join(": ")
}
