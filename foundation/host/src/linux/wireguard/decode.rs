//! A device from the kernel's dump. Parts of a peer that continue in the next message are put together.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnetwork::IpNetwork;
use netlink_packet_core::{NLA_TYPE_MASK, Nla, NlaBuffer, NlasIterator, Parseable as _};
use netlink_packet_generic::constants::GENL_HDRLEN;
use netlink_packet_wireguard::{
    WireguardAllowedIpAttr, WireguardAttribute, WireguardPeerAttribute, WireguardTimeSpec,
};
use phantom_types::{PresharedKey, PrivateKey, PublicKey, Timestamp};
use zeroize::Zeroize as _;

use super::{PEERS_ROOM, push_first_exactly};
use crate::linux::netlink::{NetlinkFault, take};
use crate::{Device, Peer, PeerConfig, Result};

/// The device that a dump describes: netlink messages in a row, as in the kernel's datagrams.
/// An error for what is not understood, never a panic.
pub fn parse_wireguard_dump(messages: &[u8]) -> Result<Device> {
    let mut collector = Collector::new(None);
    take(messages, None, &mut |payload| collector.add(payload))
        .map_err(|fault| fault.into_error("reading a WireGuard dump"))?;
    Ok(collector.into_device())
}

/// Puts a device together from the messages of a dump.
pub(super) struct Collector<'a> {
    device: Device,
    only: Option<&'a BTreeSet<PublicKey>>,
    /// The peer that the last message ended with, kept or not.
    last: Option<PublicKey>,
}

impl<'a> Collector<'a> {
    /// With `only`, other peers are passed over.
    pub(super) fn new(only: Option<&'a BTreeSet<PublicKey>>) -> Self {
        let mut device = Device::default();
        device.peers.reserve(only.map_or(PEERS_ROOM, BTreeSet::len));
        Self { device, only, last: None }
    }

    /// Takes the payload of one message: a generic netlink header and the attributes of the device.
    pub(super) fn add(&mut self, payload: &[u8]) -> Result<(), NetlinkFault> {
        let peers_kind = WireguardAttribute::Peers(Vec::new()).kind() & NLA_TYPE_MASK;
        for attribute in NlasIterator::new(payload.get(GENL_HDRLEN..).unwrap_or_default()) {
            let attribute = attribute?;
            if attribute.kind() == peers_kind {
                for peer in NlasIterator::new(attribute.value()) {
                    self.add_peer(peer?.value())?;
                }
                continue;
            }
            match WireguardAttribute::parse(&attribute)? {
                WireguardAttribute::PrivateKey(mut key) => {
                    self.device.private_key = Some(PrivateKey::from_bytes(key));
                    key.zeroize();
                }
                WireguardAttribute::ListenPort(port) => self.device.listen_port = port,
                WireguardAttribute::Fwmark(mark) => self.device.fwmark = mark,
                _ => {}
            }
        }
        Ok(())
    }

    /// What was put together.
    pub(super) fn into_device(self) -> Device {
        self.device
    }

    fn add_peer(&mut self, attributes: &[u8]) -> Result<(), NetlinkFault> {
        let mut peer = read_peer(attributes)?;
        let key = peer.config.public_key;
        let continues = self.last.replace(key) == Some(key);
        if self.only.is_some_and(|only| !only.contains(&key)) {
            return Ok(());
        }
        match self.device.peers.last_mut().filter(|_| continues) {
            // A continued peer has only more allowed networks.
            Some(known) => known.config.allowed_ips.append(&mut peer.config.allowed_ips),
            None => self.device.peers.push(peer),
        }
        Ok(())
    }
}

fn read_peer(attributes: &[u8]) -> Result<Peer, NetlinkFault> {
    let allowed_kind = WireguardPeerAttribute::AllowedIps(Vec::new()).kind() & NLA_TYPE_MASK;
    let mut key = None;
    let mut config = PeerConfig {
        public_key: PublicKey::from_bytes([0; 32]),
        preshared_key: None,
        endpoint: None,
        keepalive: None,
        allowed_ips: Vec::new(),
    };
    let (mut last_handshake, mut rx_bytes, mut tx_bytes) = (None, 0, 0);
    for attribute in NlasIterator::new(attributes) {
        let attribute = attribute?;
        if attribute.kind() == allowed_kind {
            for network in NlasIterator::new(attribute.value()) {
                push_first_exactly(&mut config.allowed_ips, read_network(network?.value())?);
            }
            continue;
        }
        match WireguardPeerAttribute::parse(&attribute)? {
            WireguardPeerAttribute::PublicKey(bytes) => key = Some(PublicKey::from_bytes(bytes)),
            WireguardPeerAttribute::PresharedKey(mut bytes) => {
                config.preshared_key = (bytes != [0; 32]).then(|| PresharedKey::from_bytes(bytes));
                bytes.zeroize();
            }
            WireguardPeerAttribute::Endpoint(address) => config.endpoint = Some(address),
            WireguardPeerAttribute::PersistentKeepalive(seconds) => {
                config.keepalive = Some(seconds).filter(|s| *s != 0);
            }
            WireguardPeerAttribute::LastHandshake(time) => last_handshake = read_time(time),
            WireguardPeerAttribute::RxBytes(bytes) => rx_bytes = bytes,
            WireguardPeerAttribute::TxBytes(bytes) => tx_bytes = bytes,
            _ => {}
        }
    }
    config.public_key = key.ok_or_else(|| NetlinkFault::Garbled("a peer without a public key".to_owned()))?;
    Ok(Peer { config, last_handshake, rx_bytes, tx_bytes })
}

fn read_network(attributes: &[u8]) -> Result<IpNetwork, NetlinkFault> {
    let (mut ip, mut prefix): (Option<IpAddr>, _) = (None, None);
    for attribute in NlasIterator::new(attributes) {
        match read_network_part(&attribute?)? {
            WireguardAllowedIpAttr::IpAddr(address) => ip = Some(address),
            WireguardAllowedIpAttr::Cidr(length) => prefix = Some(length),
            _ => {}
        }
    }
    let network = ip.zip(prefix).and_then(|(ip, prefix)| IpNetwork::new(ip, prefix).ok());
    network.ok_or_else(|| NetlinkFault::Garbled("an allowed network without address or length".to_owned()))
}

fn read_network_part(attribute: &NlaBuffer<&[u8]>) -> Result<WireguardAllowedIpAttr, NetlinkFault> {
    // The decoder takes the first byte of a prefix length without looking whether there is one.
    if attribute.value().is_empty() {
        return Err(NetlinkFault::Garbled("an empty attribute".to_owned()));
    }
    Ok(WireguardAllowedIpAttr::parse(attribute)?)
}

/// The time of a handshake; all zeros stand for none.
fn read_time(time: WireguardTimeSpec) -> Option<Timestamp> {
    let micros = time.seconds.saturating_mul(1_000_000).saturating_add(time.nano_seconds / 1000);
    (micros != 0).then(|| Timestamp::from_micros(micros))
}
