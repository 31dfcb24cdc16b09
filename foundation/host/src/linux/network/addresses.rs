//! Addresses: `RTM_*ADDR` messages (`linux/if_addr.h`).

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope};

/// An address as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// Index of its interface.
    pub(super) index: u32,
    /// The address with its prefix length.
    pub(super) network: IpNetwork,
    /// Reaches beyond the link (`RT_SCOPE_UNIVERSE`).
    pub(super) universal: bool,
    /// `IFA_F_*`.
    pub(super) flags: AddressFlags,
}

impl Address {
    /// An IPv6 address of the link alone.
    pub(super) fn link_local(&self) -> bool {
        matches!(self.network, IpNetwork::V6(network) if network.ip().is_unicast_link_local())
    }
}

/// All addresses of both families.
pub(super) fn all() -> AddressMessage {
    AddressMessage::default()
}

/// The message that adds or removes this address.
pub(super) fn message(index: u32, address: IpNetwork) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family(address.ip());
    message.header.index = index;
    message.header.prefix_len = address.prefix();
    // The same in both: the far end of the link has no address of its own, as with `ip address add`.
    message.attributes.push(AddressAttribute::Local(address.ip()));
    message.attributes.push(AddressAttribute::Address(address.ip()));
    message
}

/// The address that a message tells of; `None` for other families than IPv4 and IPv6.
pub(super) fn read(message: &AddressMessage) -> Option<Address> {
    let (mut local, mut address, mut flags) = (None, None, None);
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(ip) => local = Some(*ip),
            AddressAttribute::Address(ip) => address = Some(*ip),
            AddressAttribute::Flags(bits) => flags = Some(*bits),
            _ => {}
        }
    }
    // On a point-to-point link `IFA_ADDRESS` is the far end's; IPv6 often has no `IFA_LOCAL`.
    let network = IpNetwork::new(local.or(address)?, message.header.prefix_len).ok()?;
    let flags =
        flags.unwrap_or_else(|| AddressFlags::from_bits_retain(u32::from(message.header.flags.bits())));
    let universal = message.header.scope == AddressScope::Universe;
    Some(Address { index: message.header.index, network, universal, flags })
}

/// The family of an address.
pub(super) fn family(ip: IpAddr) -> AddressFamily {
    match ip {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}
