//! What the keeper says about the tunnel.

use phantom_engine::{Engine, Installation};
use phantom_host::ServiceState;
use phantom_module::Lang;
use phantom_types::Timestamp;
use serde::Deserialize;

use crate::desired::{Places as _, unit_names};
use crate::{GhostError, GhostStep};

/// The keeper's status file.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct KeeperReport {
    /// The server has its configuration and listens.
    pub(crate) serving: Option<bool>,
    /// RFC 3339.
    expires_at: Option<String>,
    /// Why the last attempt to get a certificate failed.
    pub(crate) last_error: Option<String>,
    /// What the operator has to do something about soon.
    pub(crate) alarm: Option<String>,
}

impl KeeperReport {
    /// The report, as far as there is one.
    pub(crate) fn read(engine: &Engine, installation: &Installation) -> Self {
        let content = engine.host().files.read(&installation.keeper_status()).ok().flatten();
        content.and_then(|content| serde_json::from_slice(&content).ok()).unwrap_or_default()
    }
    /// Why the last attempt to get a certificate failed, in this language.
    pub(crate) fn last_error(&self, lang: Lang) -> Option<String> {
        self.last_error.as_deref().map(|text| phantom_words::of_program(text, lang))
    }
    /// What the operator has to do something about soon, in this language.
    pub(crate) fn alarm(&self, lang: Lang) -> Option<String> {
        self.alarm.as_deref().map(|text| phantom_words::of_program(text, lang))
    }
    /// Until when the certificate in force is valid.
    pub(crate) fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at.as_deref()?.parse().ok()
    }
}

/// Takes away what a keeper said that runs no more.
pub(crate) fn forget(engine: &Engine) -> Result<(), GhostError> {
    let (files, path) = (&engine.host().files, engine.installation()?.keeper_status());
    let failed = |source| GhostError::host(GhostStep::Host, source);
    if files.info(&path).map_err(failed)?.is_some() { files.remove(&path).map_err(failed) } else { Ok(()) }
}

/// Whether server and keeper run and the server serves.
pub(crate) fn is_serving(engine: &Engine, installation: &Installation, report: &KeeperReport) -> bool {
    let active = |name: &String| {
        engine.host().services.status(name).is_ok_and(|status| status.state == ServiceState::Active)
    };
    unit_names(installation).iter().all(active) && report.serving != Some(false)
}
