//! What can go wrong with the stored state. No error holds a stored value.

use std::io;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use phantom_types::{ClientName, Lang, Spoken, Subnet, explain};
use rusqlite::ErrorCode;

use crate::StoreCause;

/// The stored state cannot be read or changed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file is there but cannot be opened, is damaged, or is no database of this system. It is left as it is.
    #[error("{} cannot be read", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: StoreCause,
    },
    /// A newer version of this software has written the file. It is left as it is.
    #[error(
        "{} has schema version {found}{}, and this program knows version {known} at most",
        file.display(),
        module.as_ref().map(|module| format!(" of the module {module}")).unwrap_or_default()
    )]
    Newer {
        /// The file.
        file: PathBuf,
        /// The module whose tables are newer; `None` for the store's own.
        module: Option<String>,
        /// Its schema version.
        found: u32,
        /// The newest schema version of this program.
        known: u32,
    },
    /// The file or directory cannot be written: no space, a read-only file system, a failing disk.
    #[error("{} cannot be written", file.display())]
    Write {
        /// The file or directory.
        file: PathBuf,
        /// Why.
        source: StoreCause,
    },
    /// A program that does not take the [`Lock`](crate::Lock), such as an SQLite shell, keeps the database locked for
    /// longer than ten seconds.
    #[error("{} is kept locked by another program", file.display())]
    Busy {
        /// The database.
        file: PathBuf,
        /// SQLite's words.
        source: StoreCause,
    },
    /// The change needs a server, and the system was never set up.
    #[error("the system was never set up")]
    NotInitialised {
        /// The database.
        file: PathBuf,
    },
    /// The lock is that of another install directory.
    #[error("the lock {} does not guard {}", lock.display(), file.display())]
    ForeignLock {
        /// The database.
        file: PathBuf,
        /// The file of the lock that was passed.
        lock: PathBuf,
    },
    /// A mapping of addresses that was made for other clients or another subnet than the stored ones.
    #[error("the new addresses do not fit the stored clients")]
    Remap {
        /// The database.
        file: PathBuf,
    },
}

impl Spoken for StoreError {
    fn turkish(&self) -> String {
        match self {
            Self::Unreadable { file, .. } => format!("{} okunamıyor", file.display()),
            Self::Newer { file, module, found, known } => {
                let of = module.as_ref().map(|module| format!("{module} modülü için ")).unwrap_or_default();
                format!(
                    "{} dosyasının {of}şema sürümü {found}; bu program en çok {known} sürümünü tanıyor",
                    file.display()
                )
            }
            Self::Write { file, .. } => format!("{} yazılamıyor", file.display()),
            Self::Busy { file, .. } => {
                format!("{} başka bir program tarafından kilitli tutuluyor", file.display())
            }
            Self::NotInitialised { .. } => "sistem hiç kurulmamış".to_owned(),
            Self::ForeignLock { file, lock } => {
                format!("{} kilidi başka bir kuruluma ait: {}", lock.display(), file.display())
            }
            Self::Remap { .. } => "yeni adresler kayıtlı istemcilerle uyuşmuyor".to_owned(),
        }
    }

    fn because(&self) -> Option<&(dyn Spoken + 'static)> {
        match self {
            Self::Unreadable { source, .. } | Self::Write { source, .. } | Self::Busy { source, .. } => {
                Some(source)
            }
            Self::Newer { .. }
            | Self::NotInitialised { .. }
            | Self::ForeignLock { .. }
            | Self::Remap { .. } => None,
        }
    }
}

/// A client could not be added. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum InsertError {
    /// The name is taken, compared without case; the stored spelling.
    #[error("there is a client named {0}")]
    Exists(ClientName),
    /// The public key belongs to this client already.
    #[error("the public key is that of the client {0}")]
    DuplicateKey(ClientName),
    /// The IPv6 address that was chosen belongs to another client.
    #[error("{address} is the address of the client {holder}")]
    AddressTaken {
        /// The address.
        address: Ipv6Addr,
        /// Who has it.
        holder: ClientName,
    },
    /// Every host address of the subnet is taken.
    #[error("no free address in {subnet}")]
    Full {
        /// The subnet.
        subnet: Subnet,
        /// Its usable host addresses, the server's included.
        usable: u32,
        /// The clients that have one.
        clients: u32,
    },
    /// The state could not be read or changed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Spoken for InsertError {
    fn turkish(&self) -> String {
        match self {
            Self::Exists(name) => format!("{name} adlı bir istemci var"),
            Self::DuplicateKey(name) => format!("açık anahtar {name} istemcisine ait"),
            Self::AddressTaken { address, holder } => format!("{address} adresi {holder} istemcisine ait"),
            Self::Full { subnet, .. } => format!("{subnet} subnetinde boş adres yok"),
            Self::Store(error) => error.turkish(),
        }
    }

    fn because(&self) -> Option<&(dyn Spoken + 'static)> {
        match self {
            Self::Store(error) => error.because(),
            _ => None,
        }
    }
}

/// The lock could not be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Somebody else held it for the whole time.
    #[error("the state is locked by another change")]
    Busy {
        /// How long was waited.
        waited: Duration,
        /// The process that holds it, where that is known.
        holder: Option<u32>,
    },
    /// The lock file cannot be made or locked.
    #[error("{} cannot be locked", file.display())]
    Io {
        /// The lock file or its directory.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Spoken for LockError {
    fn turkish(&self) -> String {
        match self {
            Self::Busy { .. } => "durum başka bir değişiklik tarafından kilitli".to_owned(),
            Self::Io { file, .. } => format!("{} kilitlenemiyor", file.display()),
        }
    }

    fn because(&self) -> Option<&(dyn Spoken + 'static)> {
        match self {
            Self::Busy { .. } => None,
            Self::Io { source, .. } => Some(source),
        }
    }
}

impl StoreError {
    /// The file that this is about.
    pub fn file(&self) -> &Path {
        match self {
            Self::Unreadable { file, .. }
            | Self::Newer { file, .. }
            | Self::Write { file, .. }
            | Self::Busy { file, .. }
            | Self::NotInitialised { file }
            | Self::ForeignLock { file, .. }
            | Self::Remap { file } => file,
        }
    }

    /// What is wrong, in this language, without the file's own name; for a sentence that names it already.
    pub fn about_its_file(&self, lang: Lang) -> String {
        let file = format!("{} ", self.file().display());
        let text = match self.because() {
            Some(cause) => explain(cause, lang),
            None => explain(self, lang),
        };
        let Some(rest) = text.strip_prefix(&file) else { return text };
        // In Turkish its name has a word behind it, which says whose the rest is.
        rest.strip_prefix("dosyasının ").unwrap_or(rest).to_owned()
    }

    pub(crate) fn unreadable(file: &Path, source: impl Into<StoreCause>) -> Self {
        Self::Unreadable { file: file.to_owned(), source: source.into() }
    }

    pub(crate) fn write(file: &Path, source: impl Into<StoreCause>) -> Self {
        Self::Write { file: file.to_owned(), source: source.into() }
    }

    /// Whether the index of the write-ahead log could not be made, for which there is another way to read.
    pub(crate) fn is_about_log_index(&self) -> bool {
        use rusqlite::ffi::{SQLITE_IOERR_SHMMAP, SQLITE_IOERR_SHMOPEN, SQLITE_IOERR_SHMSIZE};
        let (Self::Write { source, .. } | Self::Unreadable { source, .. }) = self else { return false };
        let StoreCause::Sqlite(error) = source else { return false };
        // The file of the index cannot be made, or is one that nobody may write to.
        let denied = matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly));
        let code = error.sqlite_extended_error_code();
        let unmade = [SQLITE_IOERR_SHMSIZE, SQLITE_IOERR_SHMMAP, SQLITE_IOERR_SHMOPEN];
        denied || unmade.into_iter().any(|one| code == Some(one))
    }

    /// Sorts an error of SQLite by its code. Whether it came up while reading or while writing does not matter: a
    /// reader that fails with "disk full" does so because it has to write (the index of the log).
    pub(crate) fn sqlite(file: &Path, error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed,
            ) => Self::Busy { file: file.to_owned(), source: error.into() },
            Some(
                ErrorCode::DiskFull
                | ErrorCode::ReadOnly
                | ErrorCode::ConstraintViolation
                | ErrorCode::TooBig,
            ) => Self::write(file, error),
            Some(ErrorCode::SystemIoFailure) if !is_read_failure(&error) => Self::write(file, error),
            _ => Self::unreadable(file, error),
        }
    }
}

/// Of the failures of the disk, those of a read; all others happen while something is written.
fn is_read_failure(error: &rusqlite::Error) -> bool {
    use rusqlite::ffi::{SQLITE_IOERR_FSTAT, SQLITE_IOERR_READ, SQLITE_IOERR_SHORT_READ};
    let code = error.sqlite_extended_error_code();
    [SQLITE_IOERR_READ, SQLITE_IOERR_SHORT_READ, SQLITE_IOERR_FSTAT]
        .into_iter()
        .any(|read| code == Some(read))
}

/// Says which file an error of SQLite is about.
pub(crate) trait About<T> {
    /// The result with the error sorted by [`StoreError::sqlite`].
    fn about(self, file: &Path) -> Result<T, StoreError>;
}

impl<T> About<T> for rusqlite::Result<T> {
    fn about(self, file: &Path) -> Result<T, StoreError> {
        self.map_err(|error| StoreError::sqlite(file, error))
    }
}
