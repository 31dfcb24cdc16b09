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
    /// The far end of the link (`IFA_ADDRESS`); the address itself where it names none.
    pub(super) far_end: IpAddr,
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

/// The message that adds this address. The far end of the link has no address of its own, as with `ip address add`.
pub(super) fn message(index: u32, address: IpNetwork) -> AddressMessage {
    message_with(index, address, address.ip())
}

/// The message that removes this address.
pub(super) fn message_of(address: &Address) -> AddressMessage {
    message_with(address.index, address.network, address.far_end)
}

fn message_with(index: u32, address: IpNetwork, far_end: IpAddr) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family(address.ip());
    message.header.index = index;
    message.header.prefix_len = address.prefix();
    message.attributes.push(AddressAttribute::Local(address.ip()));
    message.attributes.push(AddressAttribute::Address(far_end));
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
    let own = local.or(address)?;
    let network = IpNetwork::new(own, message.header.prefix_len).ok()?;
    let flags =
        flags.unwrap_or_else(|| AddressFlags::from_bits_retain(u32::from(message.header.flags.bits())));
    let universal = message.header.scope == AddressScope::Universe;
    let far_end = address.unwrap_or(own);
    Some(Address { index: message.header.index, network, far_end, universal, flags })
}

/// The family of an address.
pub(super) fn family(ip: IpAddr) -> AddressFamily {
    match ip {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}
