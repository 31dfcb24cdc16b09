//! The actions of the Core module, one file each. To add one, copy `latest_clients.rs` (the shortest that reads) or
//! `add_client.rs` (the shortest that changes), and name it here and in the table.

mod add_client;
mod backup;
mod change_subnet;
mod doctor;
mod export_client;
mod firewall_status;
mod latest_clients;
mod list_clients;
mod reconcile;
mod remove_client;
mod restart_service;
mod restore;
mod server_status;
mod service_logs;
mod setup;
mod start_service;
mod stop_service;
mod subnet_info;
mod tweak_settings;
mod update_tweak_setting;
mod validate_subnet_change;

pub use add_client::{AddClient, AddedClient, ClientAdded};
pub use backup::{BackedUp, Backup, KeptCopy};
pub use change_subnet::{ChangeSubnet, SubnetChanged};
pub use doctor::{Doctor, DoctorReport};
pub use export_client::{ClientExported, ExportClient, ExportedClient};
pub use firewall_status::{
    FirewallState, FirewallStatus, IptablesState, NatState, NftablesState, PortState, UfwState,
};
pub use latest_clients::{LatestClients, LatestList};
pub use list_clients::{ClientList, ListClients, Pagination};
pub use phantom_engine::filters::OpenedChain;
pub use reconcile::{Reconcile, ReconcileReport, RecoveredReport, StepReport};
pub use remove_client::{ClientRemoved, RemoveClient};
pub use restart_service::{RestartService, ServiceRestarted};
pub use restore::{Differences, Restore, Restored};
pub use server_status::{
    ClientCounts, Configuration, FirewallSummary, InterfaceState, PeerState, PeerTransfer, ServerReport,
    ServerStatus, ServiceReport, SystemReport,
};
pub use service_logs::{LogSource, ServiceLogs, ServiceLogsReport};
pub use setup::{Setup, SetupDone};
pub use start_service::{ServiceStarted, StartService};
pub use stop_service::{ServiceStopped, StopService};
pub use subnet_info::{Blockers, MainInterface, SubnetClient, SubnetClients, SubnetInfo, SubnetReport};
pub use tweak_settings::{TweakReport, TweakSettings};
pub use update_tweak_setting::{TweakUpdated, UpdateTweakSetting};
pub use validate_subnet_change::{Mapping, MappingPreview, SubnetValidation, ValidateSubnetChange};

use phantom_engine::{Change, EngineError};
use phantom_host::HostError;

/// The 32 bytes of one key out of a buffer that was filled for several.
fn key_bytes(part: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(&part[..32]);
    bytes
}

fn random_failed(error: HostError) -> EngineError {
    EngineError::Host { operation: "keys", source: Box::new(error.into()), rolled_back: true }
}

/// Restarts the service after a client came or went, where the setting asks for it and the service runs.
fn restart_if_wanted(change: &mut Change<'_>) -> Result<(), EngineError> {
    if !change.settings()?.restart_service_after_client_creation {
        return Ok(());
    }
    let installation = change.engine().installation()?;
    match change.server()? {
        Some(server) if installation.runs(&server) => change.restart(),
        Some(_) | None => Ok(()),
    }
}

/// The stored server of an initialised system.
fn server(state: &phantom_store::State<'_>) -> Result<phantom_store::Server, crate::CoreError> {
    Ok(state.server()?.ok_or(EngineError::NotInitialised)?)
}
