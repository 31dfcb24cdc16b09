//! The IPv4 subnet of the VPN and the arithmetic of its addresses.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use ipnetwork::Ipv4Network;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::Spoken;

/// A text that is no subnet: not `a.b.c.d/n`, host bits set, or IPv6.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not an IPv4 subnet in CIDR form with host bits zero (example: 10.8.0.0/24)")]
pub struct SubnetError {
    /// What was given.
    pub text: String,
}

impl Spoken for SubnetError {
    fn turkish(&self) -> String {
        format!(
            "'{}' ana makine bitleri sıfır olan, CIDR biçiminde bir IPv4 subneti değil (örnek: 10.8.0.0/24)",
            self.text
        )
    }
}

/// An IPv4 subnet with its host bits zero, of any prefix length; whether it suits a VPN is a question to ask it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet {
    base: u32,
    prefix: u8,
}

impl Default for Subnet {
    /// 10.8.0.0/24, that of a server that is set up without another wish.
    fn default() -> Self {
        Self { base: Ipv4Addr::new(10, 8, 0, 0).into(), prefix: 24 }
    }
}

/// Where the addresses of a subnet go when the subnet is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remap {
    /// Old and new address of each client, in the order given.
    pub clients: Vec<(Ipv4Addr, Ipv4Addr)>,
    /// How many clients could not keep their host number.
    pub renumbered: usize,
}

impl Subnet {
    /// The private ranges of RFC 1918.
    pub const PRIVATE: [Self; 3] = [
        Self { base: 0x0a00_0000, prefix: 8 },
        Self { base: 0xac10_0000, prefix: 12 },
        Self { base: 0xc0a8_0000, prefix: 16 },
    ];

    /// The subnet with this address and prefix length, if the host bits are zero and the length is at most 32.
    pub fn new(base: Ipv4Addr, prefix: u8) -> Option<Self> {
        let subnet = Self { base: base.into(), prefix };
        (prefix <= 32 && subnet.base & !subnet.mask() == 0).then_some(subnet)
    }

    /// The subnet that an address with a prefix length is in.
    pub fn containing(address: Ipv4Addr, prefix: u8) -> Option<Self> {
        let mask = Self { base: 0, prefix: prefix.min(32) }.mask();
        Self::new(Ipv4Addr::from(u32::from(address) & mask), prefix)
    }

    fn mask(self) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0)
    }

    /// Prefix length, 0–32.
    pub fn prefix(self) -> u8 {
        self.prefix
    }
    /// The network address.
    pub fn network(self) -> Ipv4Addr {
        self.base.into()
    }
    /// The broadcast address: the last one.
    pub fn broadcast(self) -> Ipv4Addr {
        (self.base | !self.mask()).into()
    }
    /// The mask as an address, `255.255.255.0` for /24.
    pub fn netmask(self) -> Ipv4Addr {
        self.mask().into()
    }
    /// Number of host addresses: all but network and broadcast; 0 for /31 and /32.
    pub fn usable(self) -> u32 {
        (!self.mask()).saturating_sub(1)
    }
    /// The server's address: the first usable one.
    pub fn server(self) -> Ipv4Addr {
        self.host(1).unwrap_or(self.network())
    }
    /// The first address a client can have: the second usable one.
    pub fn first_client(self) -> Ipv4Addr {
        self.host(2).unwrap_or(self.broadcast())
    }
    /// The last address a client can have.
    pub fn last_client(self) -> Ipv4Addr {
        self.host(self.usable()).unwrap_or(self.broadcast())
    }
    /// The host address at this offset from the network address, if it is usable.
    pub fn host(self, offset: u32) -> Option<Ipv4Addr> {
        (offset >= 1 && offset <= self.usable()).then(|| (self.base + offset).into())
    }
    /// Offset of an address of this subnet from the network address.
    pub fn offset(self, address: Ipv4Addr) -> Option<u32> {
        self.contains(address).then(|| u32::from(address) - self.base)
    }
    /// Whether the address is in this subnet.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        u32::from(address) & self.mask() == self.base
    }
    /// Whether the whole of `other` is in this subnet.
    pub fn covers(self, other: Self) -> bool {
        self.prefix <= other.prefix && self.contains(other.network())
    }
    /// Whether the two have an address in common.
    pub fn overlaps(self, other: Self) -> bool {
        self.covers(other) || other.covers(self)
    }
    /// The private range of RFC 1918 that this subnet is in.
    pub fn private_range(self) -> Option<Self> {
        Self::PRIVATE.into_iter().find(|range| range.covers(self))
    }

    /// Where the clients of this subnet go in `new`: each keeps its host number where `new` has it, the others
    /// take the lowest free ones in the order of their old addresses. `None` when they do not fit.
    ///
    /// `clients` are addresses of this subnet in any order; the answer has the same order.
    pub fn remap(self, new: Self, clients: &[Ipv4Addr]) -> Option<Remap> {
        let keeps = |old: Ipv4Addr| {
            self.offset(old).filter(|offset| *offset >= 2).and_then(|offset| new.host(offset))
        };
        let mut taken: BTreeSet<Ipv4Addr> = clients.iter().filter_map(|old| keeps(*old)).collect();
        let mut homeless: Vec<Ipv4Addr> =
            clients.iter().copied().filter(|old| keeps(*old).is_none()).collect();
        homeless.sort_unstable();
        let mut free = 2..=new.usable();
        let mut moved = Vec::with_capacity(homeless.len());
        for old in &homeless {
            let address =
                free.by_ref().filter_map(|offset| new.host(offset)).find(|host| !taken.contains(host))?;
            taken.insert(address);
            moved.push((*old, address));
        }
        let renumbered = moved.len();
        let place = |old: &Ipv4Addr| {
            keeps(*old).or_else(|| moved.binary_search_by_key(old, |pair| pair.0).ok().map(|at| moved[at].1))
        };
        let clients = clients.iter().map(|old| Some((*old, place(old)?))).collect::<Option<_>>()?;
        Some(Remap { clients, renumbered })
    }
}

impl FromStr for Subnet {
    type Err = SubnetError;
    fn from_str(text: &str) -> Result<Self, SubnetError> {
        let parse = || {
            let (address, prefix) = text.split_once('/')?;
            let digits = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
            let plain = digits && (prefix == "0" || !prefix.starts_with('0'));
            Self::new(address.parse().ok()?, prefix.parse().ok().filter(|_| plain)?)
        };
        parse().ok_or_else(|| SubnetError { text: text.to_owned() })
    }
}

impl TryFrom<String> for Subnet {
    type Error = SubnetError;
    fn try_from(text: String) -> Result<Self, SubnetError> {
        text.parse()
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> Self {
        subnet.to_string()
    }
}

impl From<Subnet> for Ipv4Network {
    fn from(subnet: Subnet) -> Self {
        // The prefix length was checked when the subnet was made, so that this is always the first branch.
        Self::new(subnet.network(), subnet.prefix).unwrap_or_else(|_| subnet.network().into())
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network(), self.prefix)
    }
}

impl JsonSchema for Subnet {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Subnet".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "cidr4" })
    }
}

#[cfg(test)]
mod tests;
