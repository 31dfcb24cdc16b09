//! What a module has to know of an installation beside its stored state.

use std::path::PathBuf;
use std::sync::OnceLock;

use phantom_host::{
    Bounds, Command, Host, HostAddresses, Internet, OwnSocket, OwnershipTags, Proc, Programs, Restart,
    ServiceManager, Unit, UnitKind, host_addresses,
};
use phantom_store::{Paths, Server};
use phantom_types::{Backend, InterfaceName, Timestamp};

/// What the embedded device may do: its link and its firewall mark, and a port below 1024.
const DEVICE_CAPABILITIES: [&str; 2] = ["NET_ADMIN", "NET_BIND_SERVICE"];
/// What the embedded device has use for. Its memory is 64 MiB of packets, some KiB for each of 60,000 peers, and the hook
/// that brings them there; its threads are at most 256, beside those of the hook.
const DEVICE_BOUNDS: Bounds = Bounds {
    memory_mib: 1024,
    tasks: 512,
    internet: Internet::Speaks,
    netlink: true,
    proc: Proc::Itself,
    owners: false,
    manager: false,
};
/// What `phantom-api` may do in a unit: links, the packet filter in all its variants (the legacy one opens a raw socket), and
/// files of root that somebody gave to another user.
const TOOL_CAPABILITIES: [&str; 5] = ["NET_ADMIN", "NET_RAW", "DAC_OVERRIDE", "CHOWN", "FOWNER"];

/// The place of an installation: its marks, its programs, its paths, and the run of the system that it is in.
#[derive(Clone, Debug)]
pub struct Installation {
    /// The tags on the host.
    pub tags: OwnershipTags,
    /// The programs that services start.
    pub programs: Programs,
    /// The paths of the installation.
    pub paths: Paths,
    /// Name of the present run of the system, from its boot to its end; `None` before the first change of it.
    pub run_id: Option<String>,
    /// systemd-networkd manages the host's network.
    pub networkd: bool,
    /// The kernel has IPv6.
    pub ipv6: bool,
    /// The host, whose addresses only some modules want to know.
    pub(crate) host: Host,
    /// Those addresses, once they were asked for.
    pub(crate) addresses: OnceLock<HostAddresses>,
}

impl Installation {
    /// Whether the WireGuard service is meant to run: it was not stopped by hand since the boot.
    pub fn runs(&self, server: &Server) -> bool {
        server.stopped_in.is_none() || server.stopped_in != self.run_id
    }
    /// The addresses that have a meaning on the host. The host is asked the first time, and not again by the same site: what
    /// is decided by them is decided once. A part of the host that does not answer leaves its part out.
    pub fn host_addresses(&self) -> &HostAddresses {
        let Host { network, files, .. } = &self.host;
        self.addresses.get_or_init(|| host_addresses(&**network, &**files, self.tags.exit_table()))
    }
    /// The time by the host's clock: for what is wanted until some moment.
    pub fn now(&self) -> Timestamp {
        self.host.clock.now()
    }
    /// Whether systemd runs the services.
    pub fn systemd(&self) -> bool {
        self.host.services.manager() == ServiceManager::Systemd
    }
    /// Whether the watcher's program is there: a program that embeds this one may do without, and an administrator may mask
    /// it by `/dev/null`.
    pub fn has_watcher(&self) -> bool {
        let found = self.host.files.info(&self.programs.watch);
        found.is_ok_and(|found| found.is_some_and(|found| found.len > 0))
    }
    /// The watcher's own folder, in which it asks for a repair and says what somebody keeps removing.
    pub fn watcher_dir(&self) -> PathBuf {
        PathBuf::from("/run").join(self.unit_name("phantom-watch"))
    }
    /// Arguments that make `phantom-api` work on this installation.
    pub fn root_arguments(&self) -> Vec<String> {
        if self.paths.instance().is_none() {
            return Vec::new();
        }
        vec!["--root".to_owned(), self.paths.root().display().to_string()]
    }
    /// The WireGuard configuration of an interface, derived from the database.
    pub fn wireguard_file(interface: &InterfaceName) -> PathBuf {
        PathBuf::from(format!("/etc/wireguard/{interface}.conf"))
    }
    /// The name of the service of an interface, without `.service`.
    pub fn wireguard_unit(interface: &InterfaceName) -> String {
        format!("wg-quick@{interface}")
    }
    /// The name of a unit, with what tells this installation from others on the same host.
    pub fn unit_name(&self, name: &str) -> String {
        self.paths.instance().map_or_else(|| name.to_owned(), |instance| format!("{name}-{instance}"))
    }
    /// The service of a WireGuard interface: the embedded device's process, or for the kernel's WireGuard a unit without
    /// one. Its hooks bring host and stored state together.
    pub fn interface_unit(
        &self,
        interface: &InterfaceName,
        backend: Backend,
        mtu: u16,
        description: String,
    ) -> Unit {
        let hook = |verb: &str| self.tool(&["service", verb, interface.as_str()]);
        // Without systemd it is root, as everything there is.
        let socket = self.systemd().then(|| OwnSocket {
            own: format!("/run/phantom-wg-device-{interface}/{interface}.sock").into(),
            public: format!("/run/wireguard/{interface}.sock").into(),
        });
        let kind = match backend {
            Backend::Kernel => UnitKind::OneShot { start: hook("up"), stop: Some(hook("down")) },
            Backend::Embedded => {
                let mut args = vec![interface.to_string(), "--mtu".to_owned(), mtu.to_string()];
                let own = socket
                    .iter()
                    .flat_map(|socket| ["--socket".to_owned(), socket.own.display().to_string()]);
                args.extend(own);
                UnitKind::Daemon {
                    run: Command { program: self.programs.device.clone(), args },
                    after_start: Some(hook("up")),
                    after_stop: Some(hook("down")),
                }
            }
        };
        let mut unit = self.tool_unit(Self::wireguard_unit(interface), description, kind);
        unit.restart = Restart::OnFailure;
        if backend == Backend::Embedded {
            unit.capabilities = DEVICE_CAPABILITIES.map(str::to_owned).into();
            unit.writable = if socket.is_some() { Vec::new() } else { vec!["/run/wireguard".into()] };
            (unit.dynamic_user, unit.socket) = (socket.is_some(), socket);
            unit.devices = vec!["/dev/net/tun".into()];
            unit.bounds = Some(DEVICE_BOUNDS);
        }
        unit
    }
    /// A unit that may do what `phantom-api` has to do for a change: started at boot after the network, and not again by
    /// itself. It may write to the installation, to the files of `docs/contract.md`, "Files", and to those of ufw.
    pub fn tool_unit(&self, name: String, description: String, kind: UnitKind) -> Unit {
        Unit {
            name,
            description,
            kind,
            restart: Restart::No,
            capabilities: TOOL_CAPABILITIES.map(str::to_owned).into(),
            writable: vec![self.paths.root().to_path_buf(), "/etc".into(), "/run".into(), "/proc/sys".into()],
            readable: Vec::new(),
            devices: Vec::new(),
            dynamic_user: false,
            socket: None,
            bounds: None,
            renewable: false,
            before_network: false,
            after_network: true,
            after: Vec::new(),
            wanted_at_boot: true,
        }
    }
    /// `phantom-api` with these words, on this installation.
    pub fn tool(&self, words: &[&str]) -> Command {
        let mut args = self.root_arguments();
        args.extend(words.iter().map(|word| (*word).to_owned()));
        Command { program: self.programs.api.clone(), args }
    }
}
