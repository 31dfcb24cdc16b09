//! Replies, read line by line: a device with 60,000 peers says 12 MB.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::str::FromStr;

use phantom_types::{PresharedKey, PrivateKey, PublicKey, Timestamp};
use zeroize::Zeroizing;

use super::buffer::Lines;
use crate::linux::wireguard::{PEERS_ROOM, push_first_exactly};
use crate::{Device, HostError, Peer, PeerConfig, Result};

/// Why there is no usable reply.
#[derive(Debug)]
pub(super) enum Failure {
    /// The device refused, with this error number.
    Refused(i32),
    /// The device hung up in the middle.
    Broken(io::Error),
    /// The device was silent for too long, or the socket failed.
    Io(io::Error),
    /// A line was not understood. Its value is not told: it may be a key.
    Garbled(String),
}

impl Failure {
    pub(super) fn from_io(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof => {
                Self::Broken(error)
            }
            io::ErrorKind::InvalidData => Self::Garbled("a line is too long".to_owned()),
            _ => Self::Io(error),
        }
    }

    pub(super) fn into_error(self, what: String) -> HostError {
        match self {
            Self::Refused(errno) => HostError::Kernel { what, source: io::Error::from_raw_os_error(errno) },
            Self::Broken(source) | Self::Io(source) => HostError::io(what, source),
            Self::Garbled(why) => {
                HostError::unexpected(format!("{what}: the answer was not understood: {why}"))
            }
        }
    }
}

/// The device that a reply to `get=1` describes. An error for what is not understood or not complete, never a panic.
pub fn parse_device_reply(text: &[u8]) -> Result<Device> {
    read_device(text, None).map_err(|failure| failure.into_error("reading a device's reply".to_owned()))
}

/// Reads the reply to a `get`, with the peers of `only` alone if it is given.
pub(super) fn read_device(input: impl Read, only: Option<&BTreeSet<PublicKey>>) -> Result<Device, Failure> {
    let mut device = Device::default();
    device.peers.reserve(only.map_or(PEERS_ROOM, BTreeSet::len));
    let mut reading = Reading { device, only, peer: None };
    read(input, |key, value| reading.take(key, value))?;
    reading.finish_peer();
    Ok(reading.device)
}

/// Reads of the reply to a `get` which peers have their handshakes refused: an addition of our own device's.
pub(super) fn read_refused(input: impl Read) -> Result<Vec<PublicKey>, Failure> {
    let (mut peer, mut refused) = (None, Vec::new());
    read(input, |key, value| {
        match key {
            "public_key" => peer = Some(PublicKey::from_bytes(*hex(key, value)?)),
            "refused_handshakes" if number::<u64>(key, value)? > 0 => refused.extend(peer.take()),
            _ => {}
        }
        Ok(())
    })?;
    Ok(refused)
}

/// Reads the reply to a `set`.
pub(super) fn read_end(input: impl Read) -> Result<(), Failure> {
    read(input, |_, _| Ok(()))
}

/// Reads `key=value` lines to the end of the reply and hands on those before `errno`.
fn read(input: impl Read, mut take: impl FnMut(&str, &str) -> Result<(), Failure>) -> Result<(), Failure> {
    let mut lines = Lines::new(input);
    let mut errno = None;
    while let Some(line) = lines.next().map_err(Failure::from_io)? {
        if line.is_empty() {
            // The empty line ends the reply; before `errno` it has no meaning.
            if errno.is_some() {
                break;
            }
            continue;
        }
        let pair = std::str::from_utf8(line).ok().and_then(|line| line.split_once('='));
        let (key, value) =
            pair.ok_or_else(|| Failure::Garbled("a line that is no key and value".to_owned()))?;
        if key == "errno" {
            // Some devices answer with the negative number, as the kernel would.
            errno = Some(number::<i32>(key, value)?.saturating_abs());
        } else {
            take(key, value)?;
        }
    }
    match errno {
        Some(0) => Ok(()),
        Some(errno) => Err(Failure::Refused(errno)),
        None => Err(Failure::Broken(io::ErrorKind::UnexpectedEof.into())),
    }
}

struct Reading<'a> {
    device: Device,
    only: Option<&'a BTreeSet<PublicKey>>,
    peer: Option<PeerBeingRead>,
}

struct PeerBeingRead {
    peer: Peer,
    handshake_seconds: i64,
    handshake_nanoseconds: i64,
}

impl Reading<'_> {
    fn take(&mut self, key: &str, value: &str) -> Result<(), Failure> {
        if key == "public_key" {
            self.finish_peer();
            self.peer = Some(PeerBeingRead::new(PublicKey::from_bytes(*hex(key, value)?)));
            return Ok(());
        }
        match &mut self.peer {
            Some(peer) => peer.take(key, value),
            None => self.take_own(key, value),
        }
    }

    /// A line about the device itself. Lines that are not known are passed over, here and in peers: the protocol may grow.
    fn take_own(&mut self, key: &str, value: &str) -> Result<(), Failure> {
        match key {
            "private_key" => {
                let bytes = hex(key, value)?;
                self.device.private_key = (*bytes != [0; 32]).then(|| PrivateKey::from_bytes(*bytes));
            }
            "listen_port" => self.device.listen_port = number(key, value)?,
            "fwmark" => self.device.fwmark = number(key, value)?,
            _ => {}
        }
        Ok(())
    }

    fn finish_peer(&mut self) {
        let Some(finished) = self.peer.take() else { return };
        if self.only.is_none_or(|only| only.contains(&finished.peer.config.public_key)) {
            self.device.peers.push(finished.into_peer());
        }
    }
}

impl PeerBeingRead {
    fn new(public_key: PublicKey) -> Self {
        let config = PeerConfig {
            public_key,
            preshared_key: None,
            endpoint: None,
            keepalive: None,
            allowed_ips: Vec::new(),
        };
        let peer = Peer { config, last_handshake: None, rx_bytes: 0, tx_bytes: 0 };
        Self { peer, handshake_seconds: 0, handshake_nanoseconds: 0 }
    }

    fn take(&mut self, key: &str, value: &str) -> Result<(), Failure> {
        let config = &mut self.peer.config;
        match key {
            "preshared_key" => {
                let bytes = hex(key, value)?;
                config.preshared_key = (*bytes != [0; 32]).then(|| PresharedKey::from_bytes(*bytes));
            }
            "endpoint" => config.endpoint = Some(endpoint(value)?),
            "persistent_keepalive_interval" => {
                config.keepalive = Some(number(key, value)?).filter(|value| *value != 0);
            }
            "allowed_ip" => push_first_exactly(&mut config.allowed_ips, number(key, value)?),
            "last_handshake_time_sec" => self.handshake_seconds = number(key, value)?,
            "last_handshake_time_nsec" => self.handshake_nanoseconds = number(key, value)?,
            "rx_bytes" => self.peer.rx_bytes = number(key, value)?,
            "tx_bytes" => self.peer.tx_bytes = number(key, value)?,
            _ => {}
        }
        Ok(())
    }

    fn into_peer(mut self) -> Peer {
        let micros = self
            .handshake_seconds
            .saturating_mul(1_000_000)
            .saturating_add(self.handshake_nanoseconds / 1000);
        self.peer.last_handshake = (micros != 0).then(|| Timestamp::from_micros(micros));
        self.peer
    }
}

fn garbled(key: &str) -> Failure {
    // A key that is not one of ours is not repeated: it could be anything.
    Failure::Garbled(format!("the value of {key} has another form"))
}

fn number<T: FromStr>(key: &str, value: &str) -> Result<T, Failure> {
    value.parse().map_err(|_| garbled(key))
}

/// An end point; the name of an interface as the zone of a link-local address is left out, since only its index
/// could be kept.
fn endpoint(value: &str) -> Result<SocketAddr, Failure> {
    let plain = |value: &str| value.parse().ok();
    let without_zone = |value: &str| {
        let (address, rest) = value.split_once('%')?;
        let (_, port) = rest.split_once(']')?;
        plain(&format!("{address}]{port}"))
    };
    plain(value).or_else(|| without_zone(value)).ok_or_else(|| garbled("endpoint"))
}

fn hex(key: &str, value: &str) -> Result<Zeroizing<[u8; 32]>, Failure> {
    let mut bytes = Zeroizing::new([0; 32]);
    if value.len() != 64 {
        return Err(garbled(key));
    }
    let mut all = 0;
    for (byte, pair) in bytes.iter_mut().zip(value.as_bytes().chunks_exact(2)) {
        let (high, low) = (DIGITS[usize::from(pair[0])], DIGITS[usize::from(pair[1])]);
        all |= high | low;
        *byte = high << 4 | low;
    }
    if all < 16 { Ok(bytes) } else { Err(garbled(key)) }
}

/// What each byte is as a hexadecimal digit; 255 for one that is none. A dump is mostly keys.
const DIGITS: [u8; 256] = {
    let mut digits = [u8::MAX; 256];
    let (mut value, lower, upper) = (0, b"0123456789abcdef", b"0123456789ABCDEF");
    while value < 16 {
        digits[lower[value as usize] as usize] = value;
        digits[upper[value as usize] as usize] = value;
        value += 1;
    }
    digits
};
