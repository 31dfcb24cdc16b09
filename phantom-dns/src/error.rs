//! What can go wrong with the DNS module's own rules.

use phantom_engine::{ChangeError, EngineError};
use phantom_module::{ErrorCode, Lang, ParamError};
use phantom_store::StoreError;
use serde_json::{Value, json};

use crate::DnsCollision;

/// An error of a DNS action.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DnsError {
    /// What can go wrong with any action.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// An address that cannot be a server's.
    #[error(transparent)]
    Parameter(#[from] ParamError),
    /// Neither server was given.
    #[error("neither server was given")]
    NothingGiven,
    /// None of the entries is an address.
    #[error("no valid DNS servers to test")]
    NoServers,
    /// Nobody can answer at an address.
    #[error("{}", .collision.sentence(Lang::En))]
    Collides {
        /// The parameter that names it.
        parameter: &'static str,
        /// Why.
        collision: DnsCollision,
    },
}

impl From<StoreError> for DnsError {
    fn from(error: StoreError) -> Self {
        Self::Engine(error.into())
    }
}

impl ChangeError for DnsError {
    fn set_rolled_back(&mut self, complete: bool) {
        if let Self::Engine(error) = self {
            error.set_rolled_back(complete);
        }
    }
}

impl ErrorCode for DnsError {
    fn code(&self) -> &'static str {
        match self {
            Self::Engine(error) => error.code(),
            Self::Parameter(error) => error.code(),
            Self::NothingGiven => "MISSING_PARAMETER",
            Self::NoServers | Self::Collides { .. } => "VALIDATION_ERROR",
        }
    }

    fn message(&self, lang: Lang) -> String {
        let text = match self {
            Self::Engine(error) => return error.message(lang),
            Self::Parameter(error) => return error.message(lang),
            Self::Collides { collision, .. } => return collision.sentence(lang),
            Self::NothingGiven => {
                lang.pick("Give primary, secondary or both", "primary, secondary veya ikisini birden verin")
            }
            Self::NoServers => {
                lang.pick("No valid DNS servers to test", "Test edilecek geçerli DNS sunucusu yok")
            }
        };
        text.to_owned()
    }

    fn data(&self) -> Option<Value> {
        self.data_in(Lang::En)
    }

    fn data_in(&self, lang: Lang) -> Option<Value> {
        match self {
            Self::Engine(error) => error.data_in(lang),
            Self::Parameter(error) => error.data_in(lang),
            Self::NothingGiven => Some(json!({ "parameter": "primary" })),
            Self::NoServers => Some(json!({ "parameter": "servers" })),
            Self::Collides { parameter, collision } => {
                Some(json!({ "parameter": parameter, "address": collision.address() }))
            }
        }
    }
}
