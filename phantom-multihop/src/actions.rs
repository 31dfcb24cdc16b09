//! The actions of the module, one file each.

mod disable;
mod enable;
mod import;
mod list;
mod log;
mod remove;
mod reset;
mod status;
mod test;

pub use disable::{DisableMultihop, MultihopDisabled};
pub use enable::{EnableMultihop, MultihopEnabled};
pub use import::{IgnoredLine, ImportMetadata, ImportVpnConfig, Imported};
pub use list::{ExitItem, ExitList, ListExits};
pub use log::{GetSessionLog, LogLine, LogRecord, SessionLog};
pub use remove::{RemoveVpnConfig, Removed};
pub use reset::{ResetState, StateReset};
pub use status::{MonitorStatus, ServiceProof, Status, StatusReport, VpnFacts, VpnInterface};
pub use test::{AddressTest, HandshakeTest, HostTest, TestReport, TestVpn, Tests};

use phantom_engine::EngineError;
use phantom_store::{Server, State};
use phantom_types::{ExitName, InterfaceName};

use crate::MultihopError;
use crate::model::Exit;
use crate::rows::MultihopState as _;
use crate::switch::SwitchContext;

/// Where a change takes place.
pub(crate) fn place(state: &State<'_>) -> Result<SwitchContext, MultihopError> {
    Ok(SwitchContext { server: server(state)?, interface: exit_interface(state)? })
}

/// The stored server of an initialised system.
fn server(state: &State<'_>) -> Result<Server, MultihopError> {
    Ok(state.server()?.ok_or(EngineError::NotInitialised)?)
}

/// The interface that leads to the exit.
fn exit_interface(state: &State<'_>) -> Result<InterfaceName, MultihopError> {
    Ok(state.exit_interface()?.ok_or(EngineError::NotInitialised)?)
}

/// The exit of this name.
pub(crate) fn exit(state: &State<'_>, name: &ExitName) -> Result<Exit, MultihopError> {
    match state.exit(name)? {
        Some(exit) => Ok(exit),
        None => Err(MultihopError::NoExit { exit: name.clone(), available: state.exit_names()? }),
    }
}
