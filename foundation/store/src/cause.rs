//! Why the stored state could not be read or changed.

use std::fmt;
use std::io;

use phantom_types::{Said, Spoken, quoted};
use rusqlite::ErrorCode;

use crate::error::LockError;

/// The cause of a [`StoreError`](crate::StoreError): the system's reason, SQLite's, or what was found. No cause holds a
/// stored value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreCause {
    /// The operating system refused.
    #[error(transparent)]
    System(#[from] io::Error),
    /// SQLite refused.
    #[error(transparent)]
    Sqlite(Box<rusqlite::Error>),
    /// A document in it is not the JSON that was expected.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// The lock could not be taken.
    #[error(transparent)]
    Lock(Box<LockError>),
    /// It was there a moment ago.
    #[error("the file has disappeared")]
    Gone,
    /// A directory, or a device.
    #[error("not a file")]
    NotAFile,
    /// It has no content.
    #[error("the file is empty")]
    Empty,
    /// It is no copy that this system has made.
    #[error("not a copy of a stored state")]
    NotACopy,
    /// It holds tables of a module that this program does not have.
    #[error("it holds tables of the module {0}, which this program does not have")]
    UnknownModule(String),
    /// It is the database of something else.
    #[error("not a database of Phantom-WG")]
    NotOurs,
    /// A program has it open.
    #[error("somebody is reading it")]
    InUse,
    /// It was reset or restored meanwhile.
    #[error("another database has taken its place")]
    Replaced,
    /// SQLite's own check found this, in its words.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// What a caller says, who writes beside the database.
    #[error("{}", .0.en)]
    Told(Box<Said>),
    /// It contradicts itself.
    #[error("{}", Each(.0))]
    Unsound(Vec<Said>),
}

impl From<LockError> for StoreCause {
    fn from(error: LockError) -> Self {
        Self::Lock(Box::new(error))
    }
}

impl From<rusqlite::Error> for StoreCause {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(Box::new(error))
    }
}

impl Spoken for StoreCause {
    fn turkish(&self) -> String {
        match self {
            Self::System(error) => system(error),
            Self::Sqlite(error) => sqlite(error),
            Self::Json(error) => {
                format!("{}. satır, {}. sütun: beklenen biçimde JSON değil", error.line(), error.column())
            }
            Self::Lock(error) => error.turkish(),
            Self::Gone => "dosya ortadan kayboldu".to_owned(),
            Self::NotAFile => "bir dosya değil".to_owned(),
            Self::Empty => "dosya boş".to_owned(),
            Self::NotACopy => "kayıtlı durumun bir kopyası değil".to_owned(),
            Self::UnknownModule(module) => {
                format!("içinde {module} modülünün tabloları var; bu programda o modül yok")
            }
            Self::NotOurs => "Phantom-WG'ye ait bir veritabanı değil".to_owned(),
            Self::InUse => "başka bir program onu okuyor".to_owned(),
            Self::Replaced => "yerine başka bir veritabanı konmuş".to_owned(),
            Self::Damaged(found) => format!("veritabanı hasarlı: {}", quoted(found)),
            Self::Told(said) => said.tr.clone(),
            Self::Unsound(found) => found.iter().map(|one| one.tr.as_str()).collect::<Vec<_>>().join("; "),
        }
    }

    fn because(&self) -> Option<&(dyn Spoken + 'static)> {
        match self {
            Self::Lock(error) => error.because(),
            _ => None,
        }
    }
}

/// A place in which nothing of ours is written, since others could have put anything there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unsafe {
    #[error("it is a symbolic link in a directory that other users may write to")]
    Link,
    #[error("it has a second name, and is in a directory that other users may write to")]
    SecondName,
}

impl Spoken for Unsafe {
    fn turkish(&self) -> String {
        match self {
            Self::Link => "başka kullanıcıların yazabildiği bir dizinde sembolik bağlantı",
            Self::SecondName => "ikinci bir adı var ve başka kullanıcıların yazabildiği bir dizinde",
        }
        .to_owned()
    }
}

/// What the system says, or what we say by one of its errors.
fn system(error: &io::Error) -> String {
    let own = error.get_ref().and_then(|own| own.downcast_ref::<Unsafe>());
    own.map_or_else(|| error.turkish(), Spoken::turkish)
}

/// SQLite's reason by its code (`sqlite.org/rescode.html`); it has words of its own in English only.
fn sqlite(error: &rusqlite::Error) -> String {
    let Some(code) = error.sqlite_error_code() else {
        return format!("kayıtlı bir değer beklenen biçimde değil: {}", quoted(error));
    };
    let reason = match code {
        ErrorCode::InternalMalfunction => "SQLite'ın kendi hatası",
        ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied => "erişim izni yok",
        ErrorCode::OperationAborted | ErrorCode::OperationInterrupted => "işlem yarıda kesildi",
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => "veritabanı kilitli",
        ErrorCode::OutOfMemory => "bellek yetersiz",
        ErrorCode::ReadOnly => "veritabanı salt okunur",
        ErrorCode::SystemIoFailure => "disk okunurken veya yazılırken hata oluştu",
        ErrorCode::DatabaseCorrupt => "veritabanı hasarlı",
        ErrorCode::NotFound => "istenen bulunamadı",
        ErrorCode::DiskFull => "diskte yer kalmadı",
        ErrorCode::CannotOpen => "veritabanı dosyası açılamıyor",
        ErrorCode::FileLockingProtocolFailed => "kilit protokolü işlemedi",
        ErrorCode::SchemaChanged => "şema bu arada değişti",
        ErrorCode::TooBig => "değer çok büyük",
        ErrorCode::ConstraintViolation => "veritabanının bir kuralına uymuyor",
        ErrorCode::TypeMismatch => "değer beklenen türde değil",
        ErrorCode::ApiMisuse | ErrorCode::ParameterOutOfRange => "SQLite yanlış çağrıldı",
        ErrorCode::NoLargeFileSupport => "bu makinede büyük dosyalar desteklenmiyor",
        ErrorCode::NotADatabase => "dosya bir veritabanı değil",
        _ => "SQLite bunu yapamadı",
    };
    match error.sqlite_extended_error_code() {
        Some(number) => format!("{reason} (SQLite hatası {number})"),
        None => reason.to_owned(),
    }
}

/// Sentences in a row.
struct Each<'a>(&'a [Said]);

impl fmt::Display for Each<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, one) in self.0.iter().enumerate() {
            write!(f, "{}{}", if at == 0 { "" } else { "; " }, one.en)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cause_is_the_same_in_both_languages() {
        let damaged = rusqlite::Connection::open("/dev/null/x").unwrap_err();
        let linked = io::Error::other(Unsafe::Link);
        let unsound = StoreCause::Unsound(vec![Said::new("one", "bir"), Said::new("two", "iki")]);
        for (cause, en, tr) in [
            (damaged.into(), "unable to open database file", "veritabanı dosyası açılamıyor (SQLite hatası"),
            (linked.into(), "it is a symbolic link", "başka kullanıcıların yazabildiği bir dizinde sembolik"),
            (unsound, "one; two", "bir; iki"),
            (StoreCause::Gone, "the file has disappeared", "dosya ortadan kayboldu"),
        ] {
            let cause: StoreCause = cause;
            assert!(cause.to_string().starts_with(en), "{cause}");
            assert!(cause.turkish().starts_with(tr), "{}", cause.turkish());
        }
    }
}
