//! Whether a subnet suits the VPN on this host.

use std::collections::BTreeSet;

use ipnetwork::IpNetwork;
use phantom_engine::Engine;
use phantom_host::host_networks;
use phantom_module::Lang;
use phantom_store::{State, StoreError};
use phantom_types::Subnet;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{CoreError, Percent};

/// Largest and smallest subnet, by prefix length.
const PREFIXES: std::ops::RangeInclusive<u8> = 8..=29;

/// The checks of a new subnet.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Checks {
    /// Its size
    #[schemars(extend("x-tr" = "Boyutu"))]
    pub subnet_size: SizeCheck,
    /// It is private
    #[schemars(extend("x-tr" = "Özel ağ aralığında"))]
    pub private_subnet: PrivateCheck,
    /// It overlaps nothing on this host
    #[schemars(extend("x-tr" = "Bu sunucudaki hiçbir ağla çakışmaz"))]
    pub network_conflicts: ConflictCheck,
    /// All clients fit
    #[schemars(extend("x-tr" = "Tüm istemciler sığar"))]
    pub capacity: CapacityCheck,
}

/// Prefix length between 8 and 29.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SizeCheck {
    /// It passed
    #[schemars(extend("x-tr" = "Denetimi geçti"))]
    pub valid: bool,
    /// Host addresses
    #[schemars(extend("x-tr" = "Ana makine adresi sayısı"))]
    pub usable_ips: u32,
    /// Prefix length
    #[schemars(extend("x-tr" = "Önek uzunluğu"))]
    pub prefixlen: u8,
    /// Why it did not pass
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "Denetimi neden geçmediği"))]
    pub error: Option<String>,
}

/// Inside a private range of RFC 1918.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PrivateCheck {
    /// It passed
    #[schemars(extend("x-tr" = "Denetimi geçti"))]
    pub valid: bool,
    /// The range
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "Özel ağ aralığı"))]
    pub private_range: Option<Subnet>,
    /// Why it did not pass
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "Denetimi neden geçmediği"))]
    pub error: Option<String>,
}

/// No overlap with a network of this host or of an exit.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ConflictCheck {
    /// It passed
    #[schemars(extend("x-tr" = "Denetimi geçti"))]
    pub valid: bool,
    /// What it overlaps
    #[schemars(extend("x-tr" = "Çakıştığı ağlar"))]
    pub conflicts: Vec<Conflict>,
    /// Why it did not pass
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "Denetimi neden geçmediği"))]
    pub error: Option<String>,
}

/// A network that the subnet overlaps.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Conflict {
    /// The interface, or the name of the exit
    #[schemars(extend("x-tr" = "Arayüz veya çıkış noktasının adı"))]
    pub interface: String,
    /// The network
    #[schemars(extend("x-tr" = "Ağ"))]
    pub network: String,
    /// Where it comes from
    #[schemars(extend("x-tr" = "Ağın kaynağı"))]
    pub source: ConflictSource,
}

/// Where a conflicting network comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ConflictSource {
    /// An address or an on-link network.
    Interface,
    /// A route.
    Route,
    /// An imported exit's address.
    Exit,
}

/// Every client and the server have an address.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct CapacityCheck {
    /// It passed
    #[schemars(extend("x-tr" = "Denetimi geçti"))]
    pub valid: bool,
    /// Host addresses
    #[schemars(extend("x-tr" = "Ana makine adresi sayısı"))]
    pub usable_ips: u32,
    /// Clients and the server
    #[schemars(extend("x-tr" = "İstemciler ve sunucu"))]
    pub required_ips: u32,
    /// Clients of all usable addresses, in percent
    #[schemars(extend("x-tr" = "İstemcilerin kullanılabilir adreslere oranı, yüzde"))]
    pub utilization_after: Percent,
    /// Why it did not pass
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "Denetimi neden geçmediği"))]
    pub error: Option<String>,
}

impl Checks {
    /// Checks a subnet for this host and these clients. `own_interface` never conflicts.
    pub(crate) fn collect(
        engine: &Engine,
        state: &State<'_>,
        subnet: Subnet,
        own_interface: Option<&str>,
        clients: u32,
        lang: Lang,
    ) -> Result<Self, CoreError> {
        Ok(Self {
            subnet_size: size(subnet, lang),
            private_subnet: private(subnet, lang),
            network_conflicts: conflict(conflicts(engine, state, subnet, own_interface)?, lang),
            capacity: capacity(subnet, clients, lang),
        })
    }

    /// One sentence per failed check.
    pub(crate) fn errors(&self) -> Vec<String> {
        let all = [
            &self.subnet_size.error,
            &self.private_subnet.error,
            &self.network_conflicts.error,
            &self.capacity.error,
        ];
        all.into_iter().flatten().cloned().collect()
    }
}

fn size(subnet: Subnet, lang: Lang) -> SizeCheck {
    let prefix = subnet.prefix();
    let error = match (prefix < *PREFIXES.start(), prefix > *PREFIXES.end(), lang) {
        (false, false, _) => None,
        (true, _, Lang::En) => Some(format!("Subnet size too large: /{prefix}, at least /8 is required")),
        (true, _, Lang::Tr) => Some(format!("Subnet boyutu çok büyük: /{prefix}, en az /8 olmalıdır")),
        (false, true, Lang::En) => Some(format!("Subnet size too small: /{prefix}, at most /29 is allowed")),
        (false, true, Lang::Tr) => Some(format!("Subnet boyutu çok küçük: /{prefix}, en fazla /29 olabilir")),
    };
    SizeCheck { valid: error.is_none(), usable_ips: subnet.usable(), prefixlen: prefix, error }
}

fn private(subnet: Subnet, lang: Lang) -> PrivateCheck {
    let private_range = subnet.private_range();
    let error = private_range.is_none().then(|| match lang {
        Lang::En => format!(
            "{subnet} is not inside an RFC1918 private range (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16)"
        ),
        Lang::Tr => format!(
            "{subnet} bir RFC1918 özel ağ aralığında değil (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16)"
        ),
    });
    PrivateCheck { valid: private_range.is_some(), private_range, error }
}

fn conflict(conflicts: Vec<Conflict>, lang: Lang) -> ConflictCheck {
    let list = listed(&conflicts);
    let error = (!conflicts.is_empty()).then(|| match lang {
        Lang::En => format!("Network conflict with {list}"),
        Lang::Tr => format!("Ağ çakışması: {list}"),
    });
    ConflictCheck { valid: conflicts.is_empty(), conflicts, error }
}

/// The networks, each with its interface or exit: `10.8.0.0/16 (eth1), 10.8.0.9/32 (uk)`.
pub(crate) fn listed(conflicts: &[Conflict]) -> String {
    let list: Vec<String> =
        conflicts.iter().map(|one| format!("{} ({})", one.network, one.interface)).collect();
    list.join(", ")
}

fn capacity(subnet: Subnet, clients: u32, lang: Lang) -> CapacityCheck {
    let (usable, required) = (subnet.usable(), clients.saturating_add(1));
    let error = (required > usable).then(|| match lang {
        Lang::En => format!("Not enough addresses: {required} needed, {usable} usable"),
        Lang::Tr => format!("Yeterli adres yok: {required} gerekli, {usable} kullanılabilir"),
    });
    CapacityCheck {
        valid: error.is_none(),
        usable_ips: usable,
        required_ips: required,
        utilization_after: Percent::from_ratio(clients, usable),
        error,
    }
}

/// What the subnet overlaps: addresses and on-link networks, other routes but the default ones, exits.
pub(crate) fn conflicts(
    engine: &Engine,
    state: &State<'_>,
    subnet: Subnet,
    own_interface: Option<&str>,
) -> Result<Vec<Conflict>, StoreError> {
    let mut found = BTreeSet::new();
    let mut add = |interface: &str, other: Subnet, source| {
        found.insert(Conflict { interface: interface.to_owned(), network: other.to_string(), source });
    };
    // A part of the host that does not answer leaves its part of the check out: a reading action reports the rest.
    let taken = host_networks(&*engine.host().network, &|interface| own_interface == Some(interface));
    for other in taken.into_iter().filter(|other| other.subnet.overlaps(subnet)) {
        let source = if other.on_link { ConflictSource::Interface } else { ConflictSource::Route };
        add(&other.interface, other.subnet, source);
    }
    for claimed in engine.claims(state)?.networks {
        let IpNetwork::V4(network) = claimed.network else { continue };
        let other = Subnet::containing(network.ip(), network.prefix());
        if let Some(other) = other.filter(|other| other.overlaps(subnet)) {
            add(&claimed.owner, other, ConflictSource::Exit);
        }
    }
    Ok(found.into_iter().collect())
}
