//! Questions about the host that several actions ask.

use phantom_engine::{Engine, Site};
use phantom_host::{FirewallQuery, FirewallReport, Port, Protocol, ServiceState, ServiceStatus};
use phantom_store::Server;

use crate::CoreError;

/// Name of the WireGuard service, without `.service`.
pub(crate) fn unit_name(server: &Server) -> String {
    Site::wireguard_unit(&server.interface)
}

/// The WireGuard service as it is; one that cannot be asked does not run.
pub(crate) fn service(engine: &Engine, server: &Server) -> ServiceStatus {
    let unknown =
        ServiceStatus { state: ServiceState::Inactive, pid: None, started_at: None, enabled: false };
    engine.host().services.status(&unit_name(server)).unwrap_or(unknown)
}

/// Whether service and interface are up.
pub(crate) fn is_up(engine: &Engine, server: &Server) -> bool {
    service(engine, server).state == ServiceState::Active && link_up(engine, server)
}

/// Whether the interface is there and up.
pub(crate) fn link_up(engine: &Engine, server: &Server) -> bool {
    let link = engine.host().network.link(&server.interface).ok().flatten();
    link.is_some_and(|link| link.up)
}

/// That nobody but our own device listens on a UDP port.
pub(crate) fn check_port(engine: &Engine, server: &Server, port: u16) -> Result<(), CoreError> {
    let bound = engine.host().sockets.bound(Port { protocol: Protocol::Udp, number: port });
    if !bound.unwrap_or(false) {
        return Ok(());
    }
    let device = engine.host().wireguard.device(&server.interface, server.backend).ok().flatten();
    if device.is_some_and(|device| device.listen_port == port) {
        return Ok(());
    }
    Err(CoreError::PortInUse { port })
}

/// The firewall as it concerns the VPN. What cannot be read is left empty.
pub(crate) fn firewall_report(engine: &Engine, server: &Server) -> FirewallReport {
    let query =
        FirewallQuery { interface: server.interface.clone(), subnet: server.subnet, port: server.port };
    engine.host().firewall.report(engine.marks(), &query).unwrap_or_default()
}
