//! What can go wrong.

use std::path::PathBuf;

use phantom_host::HostError;
use phantom_host::reconcile::ApplyError;
use phantom_store::{LockError, StoreError};
use phantom_types::{Said, Spoken};

/// Why a reset was refused, or is unfinished.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResetError {
    /// Another change was running for the whole time.
    #[error("the state is locked")]
    Lock(#[from] LockError),
    /// A rule of ours concerns a port that SSH listens on: removing it could lock the administrator out.
    #[error("a rule of the system concerns the SSH port {port}")]
    Ssh {
        /// The port.
        port: u16,
    },
    /// The stored state could not be exchanged.
    #[error("the stored state could not be exchanged")]
    Store(#[from] StoreError),
    /// The host did not answer.
    #[error("the host did not answer")]
    Host(#[from] HostError),
    /// Something on the host could not be removed.
    #[error("something could not be removed")]
    Step(#[from] ApplyError),
    /// What was removed is there again.
    #[error("something of ours comes back as soon as it is removed: {what}")]
    Stubborn {
        /// The objects.
        what: String,
    },
    /// The command that starts the server is nowhere to be found.
    #[error("{} is not there", program.display())]
    NoCommand {
        /// Where it was looked for.
        program: PathBuf,
    },
    /// The server did not start.
    #[error("the server was not started: {}", .detail.en)]
    Start {
        /// What the command said.
        detail: Said,
    },
}

impl Spoken for ResetError {
    fn turkish(&self) -> String {
        match self {
            Self::Lock(_) => "durum kilitli".to_owned(),
            Self::Ssh { port } => format!("sistemin bir kuralı {port} SSH portuyla ilgili"),
            Self::Store(_) => "kayıtlı durum değiştirilemedi".to_owned(),
            Self::Host(_) => "sunucu yanıt vermedi".to_owned(),
            Self::Step(_) => "bir nesne kaldırılamadı".to_owned(),
            Self::Stubborn { what } => {
                format!("sisteme ait bir nesne kaldırılır kaldırılmaz geri geliyor: {what}")
            }
            Self::NoCommand { program } => format!("{} yok", program.display()),
            Self::Start { detail } => format!("sunucu başlatılamadı: {}", detail.tr),
        }
    }

    fn because(&self) -> Option<&(dyn Spoken + 'static)> {
        match self {
            Self::Lock(error) => Some(error),
            Self::Store(error) => Some(error),
            Self::Host(error) => Some(error),
            Self::Step(error) => Some(error),
            Self::Ssh { .. } | Self::Stubborn { .. } | Self::NoCommand { .. } | Self::Start { .. } => None,
        }
    }
}
