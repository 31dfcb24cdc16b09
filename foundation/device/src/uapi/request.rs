//! Reads requests. Pure: text in, request or error out, and no text makes it panic.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use ipnetwork::IpNetwork;
use nix::errno::Errno;
use phantom_types::{PresharedKey, PrivateKey, PublicKey};
use zeroize::Zeroizing;

/// Why a request is refused. Lines are counted from 1, the line after `set=1` or `get=1`. Values are not repeated,
/// since they may be secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UapiError {
    /// A line without `=`.
    #[error("line {line} is not of the form key=value")]
    NoPair {
        /// The line.
        line: usize,
    },
    /// A key that the protocol does not have, or not at this place: one of a peer before the first `public_key`, or
    /// one of the device after it.
    #[error("line {line} has a key that does not belong there")]
    UnknownKey {
        /// The line.
        line: usize,
    },
    /// A value that cannot be read.
    #[error("line {line} has a value that cannot be read")]
    Value {
        /// The line.
        line: usize,
    },
}

impl UapiError {
    /// The number for the `errno=` line.
    pub const fn errno(self) -> i32 {
        match self {
            Self::NoPair { .. } => Errno::EPROTO as i32,
            Self::UnknownKey { .. } | Self::Value { .. } => Errno::EINVAL as i32,
        }
    }
}

/// What a `get=1` asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetRequest {
    /// Only these peers, in this order; `None` for all.
    pub peers: Option<Vec<PublicKey>>,
}

/// What a `set=1` asks for. What is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetRequest {
    /// New private key; all zeroes takes the key away.
    pub private_key: Option<PrivateKey>,
    /// New UDP port; 0 lets the kernel choose one.
    pub listen_port: Option<u16>,
    /// New firewall mark of the device's own packets; 0 for none.
    pub fwmark: Option<u32>,
    /// Remove the peers that are not named in `peers`, and set the others up again.
    pub replace_peers: bool,
    /// Changes of peers, in order. A peer may come more than once.
    pub peers: Vec<PeerRequest>,
}

/// A change of one peer. What is `None` stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerRequest {
    /// Who it is.
    pub public_key: PublicKey,
    /// Remove it; everything else is without effect then. A peer that is not there is no error.
    pub remove: bool,
    /// Change it only if it is there; do not add it.
    pub update_only: bool,
    /// New preshared key; all zeroes takes it away.
    pub preshared_key: Option<PresharedKey>,
    /// New endpoint. IPv4 addresses in IPv6 form are IPv4 here.
    pub endpoint: Option<SocketAddr>,
    /// New interval in seconds; 0 is off.
    pub persistent_keepalive_interval: Option<u16>,
    /// Take all networks away before those of `allowed_ips` are given.
    pub replace_allowed_ips: bool,
    /// Networks to give and to take away, in order.
    pub allowed_ips: Vec<AllowedIp>,
}

/// A network of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllowedIp {
    /// The network, without host bits.
    pub network: IpNetwork,
    /// Take it away instead of giving it.
    pub remove: bool,
}

impl PeerRequest {
    /// A change of this peer that adds it and leaves everything as it is.
    pub const fn new(public_key: PublicKey) -> Self {
        Self {
            public_key,
            remove: false,
            update_only: false,
            preshared_key: None,
            endpoint: None,
            persistent_keepalive_interval: None,
            replace_allowed_ips: false,
            allowed_ips: Vec::new(),
        }
    }
}

/// Reads the lines of a `set`: `text` is what stands between the line `set=1` and the empty line that ends the
/// request. Reading stops at an empty line.
pub fn parse_set(text: &str) -> Result<SetRequest, UapiError> {
    let mut request = SetRequest::default();
    for pair in pairs(text) {
        let pair = pair?;
        if pair.key == "public_key" {
            request.peers.push(PeerRequest::new(pair.public_key()?));
        } else if let Some(peer) = request.peers.last_mut() {
            pair.set_peer(peer)?;
        } else {
            pair.set_device(&mut request)?;
        }
    }
    Ok(request)
}

/// Reads the lines of a `get`: `text` is what stands between the line `get=1` and the empty line that ends the
/// request. Reading stops at an empty line.
pub fn parse_get(text: &str) -> Result<GetRequest, UapiError> {
    let mut request = GetRequest::default();
    for pair in pairs(text) {
        let pair = pair?;
        if pair.key != "public_key" {
            return Err(UapiError::UnknownKey { line: pair.line });
        }
        request.peers.get_or_insert_default().push(pair.public_key()?);
    }
    Ok(request)
}

struct Pair<'a> {
    line: usize,
    key: &'a str,
    value: &'a str,
}

fn pairs(text: &str) -> impl Iterator<Item = Result<Pair<'_>, UapiError>> {
    text.split('\n').take_while(|line| !line.is_empty()).enumerate().map(|(index, text)| {
        let line = index + 1;
        let (key, value) = text.split_once('=').ok_or(UapiError::NoPair { line })?;
        Ok(Pair { line, key, value })
    })
}

impl Pair<'_> {
    fn set_device(&self, request: &mut SetRequest) -> Result<(), UapiError> {
        match self.key {
            "private_key" => request.private_key = Some(PrivateKey::from_bytes(*self.key_bytes()?)),
            "listen_port" => request.listen_port = Some(self.number()?),
            "fwmark" => request.fwmark = Some(self.number()?),
            "replace_peers" => request.replace_peers = self.yes()?,
            _ => return Err(UapiError::UnknownKey { line: self.line }),
        }
        Ok(())
    }

    fn set_peer(&self, peer: &mut PeerRequest) -> Result<(), UapiError> {
        match self.key {
            "remove" => peer.remove = self.yes()?,
            "update_only" => peer.update_only = self.yes()?,
            "preshared_key" => peer.preshared_key = Some(PresharedKey::from_bytes(*self.key_bytes()?)),
            "endpoint" => peer.endpoint = Some(self.endpoint()?),
            "persistent_keepalive_interval" => peer.persistent_keepalive_interval = Some(self.number()?),
            "replace_allowed_ips" => {
                peer.replace_allowed_ips = self.yes()?;
                peer.allowed_ips.clear();
            }
            "allowed_ip" => peer.allowed_ips.push(self.allowed_ip()?),
            "protocol_version" if self.value == "1" => {}
            "protocol_version" => return Err(self.bad()),
            _ => return Err(UapiError::UnknownKey { line: self.line }),
        }
        Ok(())
    }

    const fn bad(&self) -> UapiError {
        UapiError::Value { line: self.line }
    }

    /// The protocol's flags have one value only.
    fn yes(&self) -> Result<bool, UapiError> {
        if self.value == "true" { Ok(true) } else { Err(self.bad()) }
    }

    /// Decimal digits and nothing else: the integers of Rust would take a sign as well.
    fn number<T: FromStr>(&self) -> Result<T, UapiError> {
        decimal(self.value).ok_or(self.bad())
    }

    fn public_key(&self) -> Result<PublicKey, UapiError> {
        Ok(PublicKey::from_bytes(*self.key_bytes()?))
    }

    fn key_bytes(&self) -> Result<Zeroizing<[u8; 32]>, UapiError> {
        let text = self.value.as_bytes();
        let mut key = Zeroizing::new([0; 32]);
        if text.len() != 64 {
            return Err(self.bad());
        }
        for (byte, pair) in key.iter_mut().zip(text.chunks_exact(2)) {
            let [high, low] = [pair[0], pair[1]].map(|digit| char::from(digit).to_digit(16));
            let (Some(high), Some(low)) = (high, low) else { return Err(self.bad()) };
            *byte = u8::try_from(high << 4 | low).map_err(|_| self.bad())?;
        }
        Ok(key)
    }

    /// `1.2.3.4:51820`, `[::1]:51820` or `[fe80::1%2]:51820`; a zone is the number of an interface.
    fn endpoint(&self) -> Result<SocketAddr, UapiError> {
        let address: SocketAddr = self.value.parse().map_err(|_| self.bad())?;
        Ok(match address.ip().to_canonical() {
            IpAddr::V4(ip) => SocketAddr::new(IpAddr::V4(ip), address.port()),
            IpAddr::V6(_) => address,
        })
    }

    fn allowed_ip(&self) -> Result<AllowedIp, UapiError> {
        let (remove, text) = match self.value.strip_prefix('-') {
            Some(text) => (true, text),
            None => (false, self.value),
        };
        let (ip, prefix) = text.split_once('/').ok_or(self.bad())?;
        let ip: IpAddr = ip.parse().map_err(|_| self.bad())?;
        let prefix = decimal(prefix).ok_or(self.bad())?;
        let given = IpNetwork::new(ip, prefix).map_err(|_| self.bad())?;
        let network = IpNetwork::new(given.network(), prefix).map_err(|_| self.bad())?;
        Ok(AllowedIp { network, remove })
    }
}

fn decimal<T: FromStr>(text: &str) -> Option<T> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests;
