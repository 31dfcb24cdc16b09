//! Questions about the host that several actions ask.

use phantom_engine::{Engine, Installation};
use phantom_host::{FirewallQuery, FirewallReport, HostError, Port, Protocol, ServiceState, ServiceStatus};
use phantom_store::Server;

use crate::CoreError;

/// Name of the WireGuard service, without `.service`.
pub(crate) fn unit_name(server: &Server) -> String {
    Installation::wireguard_unit(&server.interface)
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

/// What listens on a UDP port, as far as it concerns the server.
pub(crate) enum Holder {
    /// Nobody.
    Nobody,
    /// Our own device.
    Ours,
    /// Somebody else.
    Another,
    /// Our service runs and its device does not answer, so that it may well be the one.
    Silent(HostError),
}

/// Asks who listens on a UDP port.
pub(crate) fn holder(engine: &Engine, server: &Server, port: u16) -> Result<Holder, HostError> {
    if !engine.host().sockets.bound(Port { protocol: Protocol::Udp, number: port })? {
        return Ok(Holder::Nobody);
    }
    // Only whose port it is depends on the answer: nobody waits longer for it than for one that is to be shown.
    let _reading = engine.host().patience.reading();
    match engine.host().wireguard.device(&server.interface, server.backend) {
        Ok(Some(device)) if device.listen_port == port => Ok(Holder::Ours),
        Err(error) if service(engine, server).state == ServiceState::Active => Ok(Holder::Silent(error)),
        Ok(_) | Err(_) => Ok(Holder::Another),
    }
}

/// That nobody but our own device listens on a UDP port. What is not known is no reason to refuse: where another program has the
/// port after all, the device does not start, and says so.
pub(crate) fn check_port(engine: &Engine, server: &Server, port: u16) -> Result<(), CoreError> {
    match holder(engine, server, port) {
        Ok(Holder::Another) => Err(CoreError::PortInUse { port }),
        Ok(Holder::Nobody | Holder::Ours | Holder::Silent(_)) | Err(_) => Ok(()),
    }
}

/// The firewall as it concerns the VPN. What cannot be read is left empty.
pub(crate) fn firewall_report(engine: &Engine, server: &Server) -> FirewallReport {
    let query =
        FirewallQuery { interface: server.interface.clone(), subnet: server.subnet, port: server.port };
    engine.host().firewall.report(engine.tags(), &query).unwrap_or_default()
}
