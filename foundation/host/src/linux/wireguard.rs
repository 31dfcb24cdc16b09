//! WireGuard devices: the kernel's by generic netlink, the embedded one's by UAPI.

mod available;
mod decode;
mod encode;
mod kernel;

use std::collections::BTreeSet;
use std::path::Path;

use netlink_packet_route::RouteNetlinkMessage;
use phantom_types::{Backend, InterfaceName, PublicKey};
use rtnetlink::LinkWireguard;

use super::netlink::{Changing, EOPNOTSUPP, NetlinkFault, RouteSocket};
use super::uapi::Uapi;
use crate::{Device, DeviceUpdate, HostError, Patience, Peer, Result, WireGuard};

pub use decode::parse_wireguard_dump;

/// WireGuard of this host, in the network namespace of the calling thread (creating: of the thread that created
/// first).
#[derive(Debug, Default)]
pub struct LinuxWireGuard {
    netlink: RouteSocket,
    uapi: Uapi,
}

impl LinuxWireGuard {
    /// The WireGuard of this host. Opens nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same; a device that says nothing is given up as `patience` says.
    pub fn with_patience(patience: Patience) -> Self {
        Self { netlink: RouteSocket::default(), uapi: Uapi::new(patience) }
    }
}

impl WireGuard for LinuxWireGuard {
    /// Whether the kernel has WireGuard or could load it, found out without loading it: by what is loaded, then by
    /// the generic netlink families, then by the list of its modules. In a container the last one is often missing
    /// although the kernel could load the module: only [`create`](Self::create) knows for certain.
    fn kernel_available(&self) -> Result<bool> {
        Ok(available::loaded(Path::new("/")) || kernel::present()? || available::loadable(Path::new("/"))?)
    }

    fn create(&self, name: &InterfaceName) -> Result<()> {
        let message = RouteNetlinkMessage::NewLink(LinkWireguard::new(name.as_str()).build());
        self.netlink.change(message, Changing::Create).map_err(|fault| match fault {
            NetlinkFault::Refused(EOPNOTSUPP) => {
                HostError::Unsupported { what: "create WireGuard interfaces".to_owned() }
            }
            fault => fault.into_error(format!("creating the WireGuard interface {name}")),
        })
    }

    fn device(&self, name: &InterfaceName, backend: Backend) -> Result<Option<Device>> {
        match backend {
            Backend::Kernel => kernel::read(name, None),
            Backend::Embedded => self.uapi.device(name),
        }
    }

    fn peers(&self, name: &InterfaceName, backend: Backend, keys: &[PublicKey]) -> Result<Option<Vec<Peer>>> {
        let keys: BTreeSet<PublicKey> = keys.iter().copied().collect();
        match backend {
            Backend::Kernel => Ok(kernel::read(name, Some(&keys))?.map(|device| device.peers)),
            Backend::Embedded => self.uapi.peers(name, &keys),
        }
    }

    fn refused(&self, name: &InterfaceName, backend: Backend) -> Result<Option<Vec<PublicKey>>> {
        match backend {
            Backend::Kernel => Ok(None),
            Backend::Embedded => self.uapi.refused(name),
        }
    }

    fn answers(&self, name: &InterfaceName, backend: Backend) -> Result<()> {
        match backend {
            Backend::Kernel => Ok(()),
            Backend::Embedded => self.uapi.answers(name),
        }
    }

    fn configure(&self, name: &InterfaceName, backend: Backend, update: &DeviceUpdate) -> Result<()> {
        match backend {
            Backend::Kernel => kernel::write(name, update),
            Backend::Embedded => self.uapi.configure(name, update),
        }
    }
}

/// Room for so many peers is made before the first one is read: a vector that grows leaves copies of the preshared keys
/// behind, and old places that nothing else fits into. Room that is not used is not taken from the machine.
pub(super) const PEERS_ROOM: usize = 16 * 1024;

/// Adds an element to a list that has only one in most cases, of which there are as many as there are peers.
pub(super) fn push_first_exactly<T>(list: &mut Vec<T>, element: T) {
    if list.is_empty() {
        list.reserve_exact(1);
    }
    list.push(element);
}

/// How messages name a device.
fn object(name: &InterfaceName) -> String {
    format!("WireGuard device {name}")
}

#[cfg(test)]
mod tests;
