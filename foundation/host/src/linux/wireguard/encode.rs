//! A change of a device in the kernel's messages (`linux/wireguard.h`), each small enough for its length fields.

use ipnetwork::IpNetwork;
use netlink_packet_core::Emitable as _;
use netlink_packet_generic::{GenlFamily as _, GenlHeader};
use netlink_packet_wireguard::{
    WireguardAddressFamily, WireguardAllowedIp, WireguardAllowedIpAttr, WireguardAttribute, WireguardCmd,
    WireguardDeviceFlags, WireguardMessage, WireguardPeer, WireguardPeerAttribute, WireguardPeerFlags,
};
use phantom_types::PublicKey;
use zeroize::Zeroize as _;

use crate::linux::netlink::Request;
use crate::{DeviceUpdate, PeerConfig, PeerUpdate};

/// Bytes of peers in one message. The length of an attribute is a 16-bit number, and the message has to fit the
/// send buffer of the socket; 16 KiB is far from both and makes the share of the system call small.
const PEERS_BYTES: usize = 16 * 1024;
/// Length of the header of an attribute (`struct nlattr`).
const NLA_HEADER: usize = 4;

/// The request for a device with all its peers (`WG_CMD_GET_DEVICE`).
pub(super) fn get(family: u16, name: &str) -> Request {
    let attributes = vec![WireguardAttribute::IfName(name.to_owned())];
    request(family, &Wiped(WireguardMessage { cmd: WireguardCmd::GetDevice, attributes }))
}

/// The requests that carry out a change (`WG_CMD_SET_DEVICE`), to be sent in order; at least one, so that a device
/// that is not there is noticed. Each is made when it is asked for. What is common to the device is in the first.
pub(super) fn set<'a>(
    family: u16,
    name: &'a str,
    update: &'a DeviceUpdate,
) -> impl Iterator<Item = Request> + 'a {
    Parts { name, update, first: true, peer: 0, allowed_ip: 0 }.map(move |message| request(family, &message))
}

/// The requests that have the device send each of these peers, which keep alive at these intervals now, a keepalive at
/// once: it does when a peer's interval ceases to be 0 (`set_peer` of `drivers/net/wireguard/netlink.c`). Both entries
/// of a peer are in one message, which the device applies as a whole. Peers that are gone stay gone.
pub(super) fn keepalives<'a>(
    family: u16,
    name: &'a str,
    peers: &'a [(PublicKey, Option<u16>)],
) -> impl Iterator<Item = Request> + 'a {
    let entry = |key: &PublicKey, seconds| {
        WireguardPeer(vec![
            WireguardPeerAttribute::PublicKey(*key.as_bytes()),
            WireguardPeerAttribute::Flags(WireguardPeerFlags::UpdateOnly),
            WireguardPeerAttribute::PersistentKeepalive(seconds),
        ])
    };
    // Two entries take 2 * 60 bytes.
    peers.chunks(PEERS_BYTES / 128).map(move |chunk| {
        let both = |(key, seconds): &(PublicKey, Option<u16>)| match seconds {
            None => [entry(key, u16::MAX), entry(key, 0)],
            Some(seconds) => [entry(key, 0), entry(key, *seconds)],
        };
        let attributes = vec![
            WireguardAttribute::IfName(name.to_owned()),
            WireguardAttribute::Peers(chunk.iter().flat_map(both).collect()),
        ];
        request(family, &Wiped(WireguardMessage { cmd: WireguardCmd::SetDevice, attributes }))
    })
}

fn request(family: u16, message: &Wiped) -> Request {
    let header = GenlHeader { cmd: message.0.command(), version: message.0.version() };
    let start = header.buffer_len();
    Request::new(family, start + message.0.buffer_len(), |bytes| {
        header.emit(&mut bytes[..start]);
        message.0.emit(&mut bytes[start..]);
    })
}

/// A message whose keys are wiped when it is dropped.
struct Wiped(WireguardMessage);

impl Drop for Wiped {
    fn drop(&mut self) {
        for attribute in &mut self.0.attributes {
            match attribute {
                WireguardAttribute::PrivateKey(key) => key.zeroize(),
                WireguardAttribute::Peers(peers) => {
                    peers.iter_mut().flat_map(|peer| &mut peer.0).for_each(wipe);
                }
                _ => {}
            }
        }
    }
}

fn wipe(attribute: &mut WireguardPeerAttribute) {
    if let WireguardPeerAttribute::PresharedKey(key) = attribute {
        key.zeroize();
    }
}

/// The messages of an update; where the next one goes on.
struct Parts<'a> {
    name: &'a str,
    update: &'a DeviceUpdate,
    first: bool,
    /// The next peer, or the one of which only some allowed networks were sent.
    peer: usize,
    /// How many allowed networks of that peer were sent.
    allowed_ip: usize,
}

impl Iterator for Parts<'_> {
    type Item = Wiped;

    fn next(&mut self) -> Option<Wiped> {
        let first = std::mem::take(&mut self.first);
        if !first && self.peer == self.update.peers.len() {
            return None;
        }
        // Room for every attribute from the start: a vector that grows leaves copies of the keys behind.
        let mut message =
            WireguardMessage { cmd: WireguardCmd::SetDevice, attributes: Vec::with_capacity(6) };
        message.attributes.push(WireguardAttribute::IfName(self.name.to_owned()));
        if first {
            self.put_device(&mut message.attributes);
        }
        let peers = self.take_peers();
        if !peers.is_empty() {
            message.attributes.push(WireguardAttribute::Peers(peers));
        }
        Some(Wiped(message))
    }
}

impl Parts<'_> {
    fn put_device(&self, attributes: &mut Vec<WireguardAttribute>) {
        if let Some(key) = &self.update.private_key {
            attributes.push(WireguardAttribute::PrivateKey(*key.as_bytes()));
        }
        if let Some(port) = self.update.listen_port {
            attributes.push(WireguardAttribute::ListenPort(port));
        }
        if let Some(mark) = self.update.fwmark {
            attributes.push(WireguardAttribute::Fwmark(mark));
        }
        if self.update.replace_peers {
            attributes.push(WireguardAttribute::Flags(WireguardDeviceFlags::ReplacePeers));
        }
    }

    /// As many peers as fit in one message, the last one perhaps with a part of its allowed networks.
    fn take_peers(&mut self) -> Vec<WireguardPeer> {
        let rest = &self.update.peers[self.peer..];
        // A peer with a preshared key and one address takes 124 bytes; see above for why the room is made at once.
        let mut peers = Vec::with_capacity(rest.len().min(PEERS_BYTES / 40));
        let mut room = PEERS_BYTES;
        for update in rest {
            let (mut attributes, allowed_ips) = match update {
                PeerUpdate::Remove(key) => (removal(*key.as_bytes()), &[][..]),
                PeerUpdate::Set(config) if self.allowed_ip == 0 => (setup(config), &config.allowed_ips[..]),
                PeerUpdate::Set(config) => (more(config), &config.allowed_ips[self.allowed_ip..]),
            };
            let fixed = NLA_HEADER + attributes.as_slice().buffer_len() + NLA_HEADER;
            let mut ips = Vec::new();
            let mut size = fixed;
            for ip in allowed_ips {
                let ip = allowed(*ip);
                let more = ip.buffer_len();
                if size + more > room {
                    break;
                }
                size += more;
                ips.push(ip);
            }
            // Not worth a part of this message, unless the message has nothing else.
            if (size > room || ips.is_empty() && !allowed_ips.is_empty()) && !peers.is_empty() {
                attributes.iter_mut().for_each(wipe);
                return peers;
            }
            room = room.saturating_sub(size);
            self.allowed_ip += ips.len();
            let complete = ips.len() == allowed_ips.len();
            if !ips.is_empty() {
                attributes.push(WireguardPeerAttribute::AllowedIps(ips));
            }
            peers.push(WireguardPeer(attributes));
            if !complete {
                return peers;
            }
            self.peer += 1;
            self.allowed_ip = 0;
        }
        peers
    }
}

fn removal(key: [u8; 32]) -> Vec<WireguardPeerAttribute> {
    vec![WireguardPeerAttribute::PublicKey(key), WireguardPeerAttribute::Flags(WireguardPeerFlags::RemoveMe)]
}

fn setup(config: &PeerConfig) -> Vec<WireguardPeerAttribute> {
    let mut attributes = Vec::with_capacity(6);
    attributes.push(WireguardPeerAttribute::PublicKey(*config.public_key.as_bytes()));
    attributes.push(WireguardPeerAttribute::Flags(WireguardPeerFlags::ReplaceAllowedIps));
    // All zeros take the preshared key away, 0 turns the keepalive off.
    let preshared_key = config.preshared_key.as_ref().map_or([0; 32], |key| *key.as_bytes());
    attributes.push(WireguardPeerAttribute::PresharedKey(preshared_key));
    attributes.push(WireguardPeerAttribute::PersistentKeepalive(config.keepalive.unwrap_or(0)));
    if let Some(endpoint) = config.endpoint {
        attributes.push(WireguardPeerAttribute::Endpoint(endpoint));
    }
    attributes
}

/// The rest of a peer that did not fit: its key again, and no flag that would take away what was sent before.
fn more(config: &PeerConfig) -> Vec<WireguardPeerAttribute> {
    let mut attributes = Vec::with_capacity(2);
    attributes.push(WireguardPeerAttribute::PublicKey(*config.public_key.as_bytes()));
    attributes
}

fn allowed(network: IpNetwork) -> WireguardAllowedIp {
    let family = match network {
        IpNetwork::V4(_) => WireguardAddressFamily::Ipv4,
        IpNetwork::V6(_) => WireguardAddressFamily::Ipv6,
    };
    WireguardAllowedIp(vec![
        WireguardAllowedIpAttr::Family(family),
        WireguardAllowedIpAttr::IpAddr(network.ip()),
        WireguardAllowedIpAttr::Cidr(network.prefix()),
    ])
}
