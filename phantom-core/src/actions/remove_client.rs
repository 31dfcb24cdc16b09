//! `remove_client`: removes a client and ends its access.

use std::path::PathBuf;

use phantom_engine::{Change, Scope};
use phantom_module::{Action, Call, Effect, Text};
use phantom_store::{StateCopy, StoreError};
use phantom_types::{ClientName, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Core, CoreError, origin};

/// Removes a client: the running interface no longer knows its key, and no file does.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveClient {
    /// Name of the client
    #[schemars(extend("x-tr" = "İstemcinin adı", "format" = "client-lookup"))]
    pub client_name: String,
}

/// The client is gone, and its address is free again.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ClientRemoved {
    /// Always true
    #[schemars(extend("x-tr" = "Her zaman true"))]
    pub removed: bool,
    /// Who was removed
    #[schemars(extend("x-tr" = "Kaldırılan istemci"))]
    pub client_name: ClientName,
    /// The address that is free again
    #[schemars(extend("x-tr" = "Yeniden boşalan adres"))]
    pub client_ip: std::net::Ipv4Addr,
    /// Until when copies hold its keys; null if none does
    #[schemars(extend(
        "x-tr" = "Kopyaların anahtarlarını ne zamana kadar içerdiği; hiçbiri içermiyorsa null"
    ))]
    pub keys_kept_until: Option<Timestamp>,
    /// Backups of subnet changes that hold its keys until somebody removes them
    #[schemars(extend("x-tr" = "Biri silene kadar onun anahtarlarını içeren subnet değişikliği yedekleri"))]
    pub keys_kept_in: Vec<PathBuf>,
}

impl Action for RemoveClient {
    type Module = Core;
    type Output = ClientRemoved;
    type Error = CoreError;
    const NAME: &'static str = "remove_client";
    const SUMMARY: Text = Text { en: "Remove a client", tr: "İstemci kaldır" };
    const EFFECT: Effect = Effect::Destroy;
    const EXAMPLE: &'static str = "client_name=john-laptop";
    const ERRORS: &'static [&'static str] =
        &["INVALID_CLIENT_NAME", "CLIENT_NOT_FOUND", "SERVICE_OPERATION_FAILED"];

    fn run(self, core: &Core, call: &Call) -> Result<ClientRemoved, CoreError> {
        core.engine().change_that_removes(origin(Self::NAME), call, |change| {
            // A text that is no name is the name of no client.
            let name: ClientName =
                self.client_name.parse().map_err(|_| CoreError::not_found(&self.client_name))?;
            let client =
                change.remove_client(&name)?.ok_or_else(|| CoreError::not_found(&self.client_name))?;
            change.apply(Scope::Peers(vec![client.public_key]))?;
            super::restart_if_wanted(change)?;
            Ok(ClientRemoved {
                removed: true,
                client_name: client.name.clone(),
                client_ip: client.address,
                keys_kept_until: kept_until(change, client.created)?,
                keys_kept_in: kept_in(change, client.created)?,
            })
        })
    }
}

/// Until when copies hold the keys of a client that was added then.
fn kept_until(change: &Change<'_>, created: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let copies = change.engine().store().copies()?;
    Ok(copies.iter().filter(|copy| copy.made >= created).map(StateCopy::until).max())
}

/// The backups of subnet changes that do.
fn kept_in(change: &Change<'_>, created: Timestamp) -> Result<Vec<PathBuf>, StoreError> {
    let (files, dir) = (&change.engine().host().files, change.engine().paths().backups_dir());
    let backups = change.backups()?.into_iter().filter(|backup| backup.created >= created);
    let there = |path: &PathBuf| files.info(path).is_ok_and(|found| found.is_some());
    Ok(backups.map(|backup| dir.join(backup.id)).filter(there).collect())
}
