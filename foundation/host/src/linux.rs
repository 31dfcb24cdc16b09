//! The real Linux host.
//!
//! Every file here has a pure half, which builds messages and reads replies and is tested on captured data, and a
//! thin half, which sends. Nothing is opened before it is used, so that a [`Host`] costs nothing.

mod call;
mod command;
mod files;
mod firewall;
mod misc;
mod netlink;
mod network;
mod no_resolver;
mod processes;
mod resolver;
mod services;
mod signals;
mod uapi;
mod wireguard;

use std::path::PathBuf;
use std::sync::Arc;

pub use call::{Called, call};
pub use files::LinuxFiles;
pub use firewall::LinuxFirewall;
pub use misc::{LinuxClock, LinuxRandom, LinuxSockets, LinuxSysctl};
pub use network::LinuxNetwork;
pub use no_resolver::NoResolver;
pub use processes::LinuxProcesses;
pub use resolver::LinuxResolver;
pub use services::{BuiltinServices, ServiceOptions, SystemdServices};
pub use signals::{ENDING, end_as_requested, handle_signals};
pub use wireguard::LinuxWireGuard;

use crate::{Host, Interrupt, OwnershipTags, Patience, Programs, Resolver};

/// What the Linux host has to know of an installation.
#[derive(Clone, Debug)]
pub struct LinuxOptions {
    /// What dies with the boot: process files of the supervisor.
    pub run_dir: PathBuf,
    /// Log files of the supervisor.
    pub logs_dir: PathBuf,
    /// The tags of the installation.
    pub tags: OwnershipTags,
    /// The programs that services start.
    pub programs: Programs,
}

impl Host {
    /// The machine this process runs on. Opens nothing and starts nothing; what it finds missing is said by the call
    /// that needs it.
    pub fn linux(options: LinuxOptions) -> Self {
        Self::linux_with(options, Arc::new(LinuxFirewall::new()), Arc::new(LinuxResolver))
    }

    /// The same for a small program that asks no DNS server ([`NoResolver`]) and starts iptables without the crate of
    /// that name ([`LinuxFirewall::small`]): neither the DNS library nor regular expressions are linked into it.
    pub fn linux_small(options: LinuxOptions) -> Self {
        Self::linux_with(options, Arc::new(LinuxFirewall::small()), Arc::new(NoResolver))
    }

    fn linux_with(options: LinuxOptions, firewall: Arc<LinuxFirewall>, resolver: Arc<dyn Resolver>) -> Self {
        let LinuxOptions { run_dir, logs_dir, tags, programs } = options;
        let (interrupt, patience) = (Interrupt::default(), Patience::default());
        Self {
            wireguard: Arc::new(LinuxWireGuard::with_patience(patience.clone())),
            network: Arc::new(LinuxNetwork::new()),
            firewall,
            sysctl: Arc::new(LinuxSysctl),
            services: services::detect(ServiceOptions { run_dir, logs_dir, tags }),
            sockets: Arc::new(LinuxSockets),
            resolver,
            processes: Arc::new(LinuxProcesses::new(interrupt.clone())),
            files: Arc::new(LinuxFiles),
            clock: Arc::new(LinuxClock),
            random: Arc::new(LinuxRandom),
            patience,
            interrupt,
            programs,
            privileged: nix::unistd::geteuid().is_root(),
        }
    }
}

/// Readers of what others say, for fuzzing.
#[doc(hidden)]
pub mod fuzz {
    pub use super::uapi::parse_device_reply;
    pub use super::wireguard::parse_wireguard_dump;
}
