//! Writes answers. Pure: values in, text out.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use ipnetwork::IpNetwork;
use phantom_types::{PresharedKey, PrivateKey, PublicKey};

/// A device as a `get` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceStatus {
    /// Its private key; left out of the answer while there is none.
    pub private_key: Option<PrivateKey>,
    /// The UDP port it listens on; 0, and left out of the answer, before it listens.
    pub listen_port: u16,
    /// The firewall mark of its own packets; 0, and left out of the answer, for none.
    pub fwmark: u32,
}

/// A peer as a `get` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// Who it is.
    pub public_key: PublicKey,
    /// Its preshared key; left out of the answer when there is none.
    pub preshared_key: Option<PresharedKey>,
    /// Where it was last heard from, or where it was said to be.
    pub endpoint: Option<SocketAddr>,
    /// When the last handshake was completed, by the clock of the host.
    pub last_handshake: Option<SystemTime>,
    /// Bytes of UDP received from it, as far as they were authentic.
    pub rx_bytes: u64,
    /// Bytes of UDP sent to it.
    pub tx_bytes: u64,
    /// Handshakes that it began since it was last heard, and that were refused because they are older than one that it began
    /// before: its clock was set back. 0, and left out of the answer, for as long as they do not tell that.
    pub refused_handshakes: u32,
    /// In seconds; 0 is off.
    pub persistent_keepalive_interval: u16,
    /// What it may send and receive.
    pub allowed_ips: Vec<IpNetwork>,
}

/// Writes the lines of the device itself. `out` holds a secret afterwards if the device has a key.
pub fn write_status(out: &mut String, status: &DeviceStatus) {
    if let Some(key) = &status.private_key {
        write_key(out, "private_key", key.as_bytes());
    }
    if status.listen_port != 0 {
        write_number(out, "listen_port", u64::from(status.listen_port));
    }
    if status.fwmark != 0 {
        write_number(out, "fwmark", u64::from(status.fwmark));
    }
}

/// Writes the lines of a peer. `out` holds a secret afterwards if the peer has a preshared key.
pub fn write_peer(out: &mut String, peer: &PeerStatus) {
    write_key(out, "public_key", peer.public_key.as_bytes());
    if let Some(key) = &peer.preshared_key {
        write_key(out, "preshared_key", key.as_bytes());
    }
    write_number(out, "protocol_version", 1);
    if let Some(endpoint) = peer.endpoint {
        write_value(out, "endpoint", endpoint);
    }
    let handshake = peer.last_handshake.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    let handshake = handshake.unwrap_or(Duration::ZERO);
    write_number(out, "last_handshake_time_sec", handshake.as_secs());
    write_number(out, "last_handshake_time_nsec", u64::from(handshake.subsec_nanos()));
    write_number(out, "tx_bytes", peer.tx_bytes);
    write_number(out, "rx_bytes", peer.rx_bytes);
    if peer.refused_handshakes > 0 {
        write_number(out, "refused_handshakes", u64::from(peer.refused_handshakes));
    }
    write_number(out, "persistent_keepalive_interval", u64::from(peer.persistent_keepalive_interval));
    for network in &peer.allowed_ips {
        write_value(out, "allowed_ip", network);
    }
}

/// Writes the end of an answer: the line `errno=` and the empty line.
pub fn write_errno(out: &mut String, errno: i32) {
    write_value(out, "errno", errno);
    out.push('\n');
}

fn write_key(out: &mut String, key: &str, bytes: &[u8; 32]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push_str(key);
    out.push('=');
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    out.push('\n');
}

fn write_number(out: &mut String, key: &str, number: u64) {
    write_value(out, key, number);
}

fn write_value(out: &mut String, key: &str, value: impl std::fmt::Display) {
    // Writing to a String cannot fail; its error type says otherwise.
    let _ = writeln!(out, "{key}={value}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_without_anything_has_no_lines() {
        let mut out = String::new();
        write_status(&mut out, &DeviceStatus::default());
        write_errno(&mut out, 0);
        assert_eq!(out, "errno=0\n\n");
    }

    #[test]
    fn reply_follows_the_protocol_format() {
        let mut out = String::new();
        write_status(
            &mut out,
            &DeviceStatus {
                private_key: Some(PrivateKey::from_bytes([0xab; 32])),
                listen_port: 51820,
                fwmark: 7,
            },
        );
        write_peer(
            &mut out,
            &PeerStatus {
                public_key: PublicKey::from_bytes([1; 32]),
                preshared_key: Some(PresharedKey::from_bytes([2; 32])),
                endpoint: Some("[2001:db8::1]:9".parse().unwrap()),
                last_handshake: Some(SystemTime::UNIX_EPOCH + Duration::new(5, 6)),
                rx_bytes: 1,
                tx_bytes: 2,
                refused_handshakes: 3,
                persistent_keepalive_interval: 25,
                allowed_ips: vec!["10.0.0.2/32".parse().unwrap(), "::/0".parse().unwrap()],
            },
        );
        let expected = format!(
            "private_key={}\nlisten_port=51820\nfwmark=7\npublic_key={}\npreshared_key={}\nprotocol_version=1\n\
             endpoint=[2001:db8::1]:9\nlast_handshake_time_sec=5\nlast_handshake_time_nsec=6\ntx_bytes=2\nrx_bytes=1\n\
             refused_handshakes=3\npersistent_keepalive_interval=25\nallowed_ip=10.0.0.2/32\nallowed_ip=::/0\n",
            "ab".repeat(32),
            "01".repeat(32),
            "02".repeat(32),
        );
        assert_eq!(out, expected);
    }
}
