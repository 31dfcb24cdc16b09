//! Multihop's services: of the exit's interface, of the boot, and the monitor with what does its errands.

use phantom_engine::{DesiredState, Installation};
use phantom_host::{Bounds, Internet, Proc, Restart, Unit, UnitKind};
use phantom_store::Server;
use phantom_types::InterfaceName;

use crate::errand;
use crate::model::Exit;

/// The name of the monitor's unit.
pub(crate) fn monitor_unit(installation: &Installation) -> String {
    installation.unit_name("phantom-multihop")
}

/// The service of the interface. At boot it is not started by itself but with the server's interface, when the host is
/// brought to the stored state: whether it may be there at all is only known then.
pub(crate) fn exit_unit(
    installation: &Installation,
    server: &Server,
    interface: &InterfaceName,
    exit: &Exit,
) -> Unit {
    let description = format!("WireGuard exit {interface} ({})", server.backend);
    let unit = installation.interface_unit(interface, server.backend, exit.mtu, description);
    Unit { wanted_at_boot: false, ..unit }
}

/// Adds the services beside that of the interface.
pub(crate) fn units(
    installation: &Installation,
    server: &Server,
    interface: &InterfaceName,
    wanted: &mut DesiredState,
) {
    let block = UnitKind::OneShot { start: installation.tool(&["service", "block"]), stop: None };
    let text = "Phantom-WG: keeps packets of clients in before there is a network".to_owned();
    let mut block = installation.tool_unit(installation.unit_name("phantom-block"), text, block);
    (block.before_network, block.after_network) = (true, false);
    wanted.units.insert(block.name.clone(), (block, None));
    let monitor = monitor_unit_of(installation, server, interface);
    wanted.units.insert(monitor.name.clone(), (monitor, Some(installation.runs(server))));
    if installation.systemd() {
        let errand = errand_unit(installation);
        wanted.units.insert(errand.name.clone(), (errand, None));
    }
}

/// The monitor. Under systemd it looks, tells the exit's device where to send, and keeps the session's log; for all that changes
/// the host it asks another unit. Elsewhere it runs the program for that itself.
fn monitor_unit_of(installation: &Installation, server: &Server, interface: &InterfaceName) -> Unit {
    let mut run = installation.tool(&["monitor"]);
    run.program = installation.programs.named("phantom-multihop");
    if installation.systemd() {
        run.args.push("--ask".to_owned());
    }
    let kind = UnitKind::Daemon { run, after_start: None, after_stop: None };
    Unit {
        restart: Restart::Always,
        renewable: true,
        // Echo requests leave by raw sockets.
        capabilities: ["NET_ADMIN", "NET_RAW"].map(str::to_owned).into(),
        writable: vec![
            installation.paths.data_dir(),
            installation.paths.logs_dir(),
            installation.paths.run_dir().to_path_buf(),
            errand::folder(installation),
        ],
        bounds: Some(Bounds {
            memory_mib: 256,
            tasks: 32,
            internet: Internet::Speaks,
            netlink: true,
            proc: Proc::Itself,
            owners: false,
            manager: false,
        }),
        after: vec![Installation::wireguard_unit(&server.interface), Installation::wireguard_unit(interface)],
        ..installation.tool_unit(
            monitor_unit(installation),
            "Phantom-WG: monitor of the exit".to_owned(),
            kind,
        )
    }
}

/// What does the monitor's errands.
fn errand_unit(installation: &Installation) -> Unit {
    let kind = UnitKind::OnFile {
        file: errand::request_file(installation),
        run: installation.tool(&["service", errand::VERB]),
    };
    let description = "Phantom-WG: does what the monitor of the exit asks for".to_owned();
    let name = installation.unit_name("phantom-multihop-errand");
    Unit { after_network: false, ..installation.tool_unit(name, description, kind) }
}
