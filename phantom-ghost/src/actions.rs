//! The actions of the module, one file each.

mod disable;
mod enable;
mod status;

pub use disable::{Disable, Disabled};
pub use enable::{Enable, Enabled};
pub use status::{RenewedCertificate, Status, StatusReport, Tunnel, TunnelServices};
