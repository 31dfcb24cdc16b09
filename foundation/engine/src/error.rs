//! What can go wrong with any action.

use std::time::Duration;

use phantom_host::HostError;
use phantom_host::reconcile::ApplyError;
use phantom_module::{ErrorCode, Lang};
use std::path::Path;

use phantom_store::{LockError, StoreError};
use phantom_types::{Spoken, explain};
use serde_json::{Value, json};

/// What can go wrong with any action, before or behind its own rules.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// This process does not run as root.
    #[error("root privileges are required")]
    NotPrivileged,
    /// Nothing has been set up.
    #[error("the system is not set up")]
    NotInitialised,
    /// Another change kept the lock.
    #[error("another change is running (process {holder:?}); gave up after {} seconds", .waited.as_secs())]
    Locked {
        /// How long was waited.
        waited: Duration,
        /// The process that has it, where known.
        holder: Option<u32>,
    },
    /// The lock itself could not be used.
    #[error("the lock could not be used")]
    Lock(#[source] LockError),
    /// The stored state could not be read or written.
    #[error("the stored state could not be used")]
    Store(#[from] StoreError),
    /// The host did not do what was asked.
    #[error("{operation} failed on the host")]
    Host {
        /// What was being done, as in `add_client`.
        operation: &'static str,
        /// Why.
        #[source]
        source: Box<HostFailure>,
        /// Host and state are as they were before.
        rolled_back: bool,
    },
}

impl Spoken for EngineError {
    fn turkish(&self) -> String {
        match self {
            Self::NotPrivileged => "root yetkisi gerekir".to_owned(),
            Self::NotInitialised => "sistem kurulmamış".to_owned(),
            Self::Locked { .. } => self.message(Lang::Tr),
            Self::Lock(_) => "kilit kullanılamadı".to_owned(),
            Self::Store(_) => "kayıtlı durum kullanılamadı".to_owned(),
            Self::Host { operation, .. } => format!("'{operation}' işlemi sunucuda başarısız oldu"),
        }
    }

    fn because(&self) -> Option<&(dyn Spoken + 'static)> {
        match self {
            Self::Lock(error) => Some(error),
            Self::Store(error) => Some(error),
            Self::Host { source, .. } => Some(&**source),
            Self::NotPrivileged | Self::NotInitialised | Self::Locked { .. } => None,
        }
    }
}

/// Why the host did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostFailure {
    /// It could not be looked at, or a single request failed.
    #[error(transparent)]
    Request(#[from] HostError),
    /// A step failed.
    #[error(transparent)]
    Step(#[from] ApplyError),
    /// After all steps it still does not show what is wanted.
    #[error("after the change the host still needs: {0}")]
    Unverified(String),
}

impl Spoken for HostFailure {
    fn turkish(&self) -> String {
        match self {
            Self::Request(error) => error.turkish(),
            Self::Step(error) => error.turkish(),
            Self::Unverified(left) => format!("değişiklikten sonra hâlâ eksik: {left}"),
        }
    }

    fn because(&self) -> Option<&(dyn Spoken + 'static)> {
        match self {
            Self::Request(error) => error.because(),
            Self::Step(error) => error.because(),
            Self::Unverified(_) => None,
        }
    }
}

/// An error of a change, which is told in the end whether everything could be rolled back.
pub trait ChangeError: From<EngineError> {
    /// Told before the error is returned: `complete` when host and state are as they were before the call.
    fn set_rolled_back(&mut self, complete: bool);
}

impl ChangeError for EngineError {
    fn set_rolled_back(&mut self, complete: bool) {
        if let Self::Host { rolled_back, .. } = self {
            *rolled_back = complete;
        }
    }
}

impl EngineError {
    /// The file that could not be used.
    fn file(&self) -> &Path {
        match self {
            Self::Store(error) => error.file(),
            Self::Lock(LockError::Io { file, .. }) => file,
            _ => Path::new(""),
        }
    }
    /// The causes as one text, for the `detail` of an answer. The file of a [`Self::Store`] is told beside it.
    pub fn detail(&self, lang: Lang) -> String {
        match self {
            Self::Store(error) => error.about_its_file(lang),
            other => other.because().map_or_else(|| other.message(lang), |cause| explain(cause, lang)),
        }
    }
}

impl ErrorCode for EngineError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotPrivileged => "PERMISSION_DENIED",
            Self::NotInitialised => "NOT_INITIALIZED",
            Self::Locked { .. } => "STATE_LOCKED",
            Self::Store(_) | Self::Lock(_) => "CONFIG_ERROR",
            Self::Host { .. } => "SERVICE_OPERATION_FAILED",
        }
    }

    fn message(&self, lang: Lang) -> String {
        match self {
            Self::NotPrivileged => {
                lang.pick("Root privileges are required", "Root yetkisi gerekir").to_owned()
            }
            Self::NotInitialised => lang
                .pick(
                    "The system is not set up. Run: phantom-api core setup",
                    "Sistem kurulmamış. Çalıştırın: phantom-api core setup",
                )
                .to_owned(),
            Self::Locked { waited, holder } => {
                let pid = holder.map_or_else(|| "?".to_owned(), |pid| pid.to_string());
                let n = waited.as_secs();
                match lang {
                    Lang::En => {
                        format!("Another change is running (process {pid}); gave up after {n} seconds")
                    }
                    Lang::Tr => {
                        format!("Başka bir değişiklik sürüyor (işlem {pid}); {n} saniye sonra vazgeçildi")
                    }
                }
            }
            Self::Store(_) | Self::Lock(_) => {
                let (file, detail) = (self.file().display(), self.detail(lang));
                match lang {
                    Lang::En => format!("Cannot read or write {file}: {detail}"),
                    Lang::Tr => format!("{file} okunamıyor veya yazılamıyor: {detail}"),
                }
            }
            Self::Host { operation, .. } => {
                let detail = self.detail(lang);
                match lang {
                    Lang::En => format!("Service operation '{operation}' failed: {detail}"),
                    Lang::Tr => format!("'{operation}' servis işlemi başarısız: {detail}"),
                }
            }
        }
    }

    fn data(&self) -> Option<Value> {
        self.data_in(Lang::En)
    }

    fn data_in(&self, lang: Lang) -> Option<Value> {
        Some(match self {
            Self::NotPrivileged => json!({ "reason": "INSUFFICIENT_PRIVILEGES", "required": "root" }),
            Self::NotInitialised => json!({ "hint": "phantom-api core setup" }),
            Self::Locked { waited, holder } => {
                json!({ "waited_seconds": waited.as_secs(), "holder_pid": holder })
            }
            Self::Store(_) | Self::Lock(_) => json!({ "file": self.file().display().to_string() }),
            Self::Host { operation, rolled_back, .. } => {
                json!({ "operation": operation, "detail": self.detail(lang), "rolled_back": rolled_back })
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn host_failure_is_described_by_its_cause() {
        let source = HostError::io("reading /x", io::Error::from(io::ErrorKind::NotFound));
        let source = Box::new(HostFailure::Request(source));
        let error = EngineError::Host { operation: "setup", source, rolled_back: true };
        assert_eq!(error.detail(Lang::En), "reading /x: entity not found");
        assert_eq!(error.detail(Lang::Tr), "/x okunurken: böyle bir dosya veya dizin yok");
        assert_eq!(
            explain(&error, Lang::Tr),
            "'setup' işlemi sunucuda başarısız oldu: /x okunurken: böyle bir dosya veya dizin yok"
        );
    }

    #[test]
    fn a_file_is_named_once() {
        let file = PathBuf::from("/opt/x.db");
        let newer =
            EngineError::Store(StoreError::Newer { file: file.clone(), module: None, found: 9, known: 1 });
        assert_eq!(
            newer.message(Lang::Tr),
            "/opt/x.db okunamıyor veya yazılamıyor: şema sürümü 9; bu program en çok 1 sürümünü tanıyor"
        );
        let gone = StoreError::Unreadable { file, source: phantom_store::StoreCause::Gone };
        let gone = EngineError::Store(gone);
        assert_eq!(gone.message(Lang::En), "Cannot read or write /opt/x.db: the file has disappeared");
        assert_eq!(gone.message(Lang::Tr), "/opt/x.db okunamıyor veya yazılamıyor: dosya ortadan kayboldu");
    }
}
