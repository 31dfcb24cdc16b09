//! The configuration of a client: what a person loads into a WireGuard application.

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use zeroize::Zeroizing;

use super::buffer::{KEY_LEN, NETWORK_MAX, NUMBER_MAX, push_line, push_list, push_secret};
use crate::{Endpoint, PresharedKey, PrivateKey, PublicKey};

/// Configuration of one end with a single peer: of a client, or of a server as the client of an exit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientConfig {
    /// The client's own key.
    pub private_key: PrivateKey,
    /// Its addresses in the tunnel, each with the prefix length of its subnet.
    pub address: Vec<IpNetwork>,
    /// Resolvers to use while the tunnel is up; with none, the line is left out.
    pub dns: Vec<IpAddr>,
    /// Largest packet in the tunnel, in bytes.
    pub mtu: u16,
    /// The server's public key.
    pub public_key: PublicKey,
    /// Key of this pair; with none, the line is left out.
    pub preshared_key: Option<PresharedKey>,
    /// Where the server is.
    pub endpoint: Endpoint,
    /// What enters the tunnel, in the order in which it is to be written.
    pub allowed_ips: Vec<IpNetwork>,
    /// Seconds between packets that keep a NAT open; 0 leaves the line out.
    pub keepalive: u16,
}

impl ClientConfig {
    /// `MTU` of every client: what fits into 1500 bytes with IPv6 (40) and WireGuard (40) around it.
    pub const MTU: u16 = 1420;
    /// `PersistentKeepalive` of every client, in seconds.
    pub const KEEPALIVE: u16 = 25;

    /// The text, in a layout that callers rely on: LF, no indentation, lists on one line and joined by
    /// `, `, no blank line at either end, no final LF.
    pub fn render(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(self.room()));
        text.push_str("[Interface]");
        push_secret(&mut text, "PrivateKey", &self.private_key.reveal());
        push_list(&mut text, "Address", &self.address);
        if !self.dns.is_empty() {
            push_list(&mut text, "DNS", &self.dns);
        }
        push_line(&mut text, "MTU", self.mtu);
        text.push_str("\n\n[Peer]");
        push_line(&mut text, "PublicKey", self.public_key);
        if let Some(key) = &self.preshared_key {
            push_secret(&mut text, "PresharedKey", &key.reveal());
        }
        push_line(&mut text, "Endpoint", &self.endpoint);
        push_list(&mut text, "AllowedIPs", &self.allowed_ips);
        if self.keepalive > 0 {
            push_line(&mut text, "PersistentKeepalive", self.keepalive);
        }
        text
    }

    /// Bytes that hold the text without moving it.
    fn room(&self) -> usize {
        const WORDS: usize =
            "[Interface]\nPrivateKey = \nAddress = \nDNS = \nMTU = \n\n[Peer]\nPublicKey = \n\
            PresharedKey = \nEndpoint = \nAllowedIPs = \nPersistentKeepalive = "
                .len();
        const HOST_MAX: usize = 253 + 1 + NUMBER_MAX;
        let listed = self.address.len() + self.dns.len() + self.allowed_ips.len();
        WORDS + 3 * KEY_LEN + 2 * NUMBER_MAX + HOST_MAX + listed * (NETWORK_MAX + ", ".len())
    }
}

#[cfg(test)]
mod tests;
