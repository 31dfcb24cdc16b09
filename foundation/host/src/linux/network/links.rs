//! Links: `RTM_*LINK` messages (`linux/if_link.h`).

use netlink_packet_core::DefaultNla;
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo, LinkMessage};

use crate::{Link, LinkChange, LinkKind};

/// `IFLA_IFALIAS`.
const IFLA_IFALIAS: u16 = 20;

/// All links, without their traffic counters.
pub(super) fn all() -> LinkMessage {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    message
}

/// The link of this name, or of this alternative name.
pub(super) fn by_name(name: &str) -> LinkMessage {
    let mut message = all();
    message.attributes.push(LinkAttribute::IfName(name.to_owned()));
    message
}

/// The link of this index.
pub(super) fn by_index(index: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message
}

/// A change of the link of this index.
pub(super) fn change(index: u32, change: &LinkChange) -> LinkMessage {
    let mut message = by_index(index);
    if let Some(up) = change.up {
        message.header.change_mask = LinkFlags::Up;
        message.header.flags = if up { LinkFlags::Up } else { LinkFlags::empty() };
    }
    if let Some(mtu) = change.mtu {
        message.attributes.push(LinkAttribute::Mtu(mtu));
    }
    match change.alias.as_deref() {
        None => {}
        // Only an attribute without content takes the alias away; a lone NUL would be an alias of no letters.
        Some("") => message.attributes.push(LinkAttribute::Other(DefaultNla::new(IFLA_IFALIAS, Vec::new()))),
        Some(alias) => message.attributes.push(LinkAttribute::IfAlias(alias.to_owned())),
    }
    message
}

/// The link that a message tells of; `None` when it has no name.
pub(super) fn read(message: &LinkMessage) -> Option<Link> {
    let mut link = Link {
        name: String::new(),
        index: message.header.index,
        kind: LinkKind::Other(String::new()),
        up: message.header.flags.contains(LinkFlags::Up),
        mtu: 0,
        alias: None,
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::IfAlias(alias) if !alias.is_empty() => link.alias = Some(alias.clone()),
            LinkAttribute::LinkInfo(infos) => {
                for info in infos {
                    if let LinkInfo::Kind(kind) = info {
                        link.kind = read_kind(kind);
                    }
                }
            }
            _ => {}
        }
    }
    (!link.name.is_empty()).then_some(link)
}

fn read_kind(kind: &InfoKind) -> LinkKind {
    match kind {
        InfoKind::Wireguard => LinkKind::WireGuard,
        InfoKind::Tun => LinkKind::Tun,
        other => LinkKind::Other(other.to_string()),
    }
}
