//! Whether somebody can answer at the address of a DNS server: what has the right form can be the server's own, or nobody's.

use std::net::{IpAddr, Ipv4Addr};

use phantom_engine::{Claims, Engine};
use phantom_module::Lang;
use phantom_store::{State, StoreError};
use phantom_types::Subnet;

/// Why nobody can answer there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DnsCollision {
    /// This server takes the address as its own in the network of an exit, while an exit is in use.
    Exit(IpAddr, String),
    /// The network or the broadcast address of the VPN's subnet.
    NoHost(IpAddr, Subnet),
}

impl DnsCollision {
    /// The address.
    pub fn address(&self) -> IpAddr {
        match self {
            Self::Exit(address, _) | Self::NoHost(address, _) => *address,
        }
    }

    pub(crate) fn sentence(&self, lang: Lang) -> String {
        match (self, lang) {
            (Self::Exit(ip, exit), Lang::En) => {
                format!(
                    "{ip} is this server's own address in the network of the exit '{exit}': nobody answers there"
                )
            }
            (Self::Exit(ip, exit), Lang::Tr) => {
                format!(
                    "{ip} bu sunucunun '{exit}' çıkışının ağındaki kendi adresi: orada kimse yanıt vermez"
                )
            }
            (Self::NoHost(ip, subnet), Lang::En) => {
                format!(
                    "{ip} is the network or broadcast address of the VPN's subnet {subnet}: nobody can have it"
                )
            }
            (Self::NoHost(ip, subnet), Lang::Tr) => {
                format!("{ip}, {subnet} VPN subnetinin ağ veya yayın adresi: kimsenin adresi olamaz")
            }
        }
    }
}

/// What an address is held against.
pub(crate) struct Place {
    subnet: Option<Subnet>,
    claims: Claims,
}

impl Place {
    pub(crate) fn now(engine: &Engine, state: &State<'_>) -> Result<Self, StoreError> {
        let subnet = state.server()?.map(|server| server.subnet);
        Ok(Self { subnet, claims: engine.claims(state)? })
    }

    /// Why nobody can answer there.
    pub(crate) fn refused(&self, address: IpAddr) -> Option<DnsCollision> {
        let owner = self.owner(address).filter(|_| !self.claims.interfaces.is_empty());
        if let Some(owner) = owner {
            return Some(DnsCollision::Exit(address, owner.to_owned()));
        }
        let (subnet, four) = (self.subnet?, four(address)?);
        let no_host = [subnet.network(), subnet.broadcast()].contains(&four);
        no_host.then_some(DnsCollision::NoHost(address, subnet))
    }

    /// What has to hold for clients to get an answer there, where that is not to be expected.
    pub(crate) fn warning(
        &self,
        state: &State<'_>,
        ip: IpAddr,
        lang: Lang,
    ) -> Result<Option<String>, StoreError> {
        let Some(address) = four(ip) else { return Ok(Some(of_ipv6(ip, lang))) };
        if address.is_loopback() {
            return Ok(Some(match lang {
                Lang::En => {
                    format!("{ip} is each client itself: it gets an answer only where it runs a DNS server")
                }
                Lang::Tr => format!(
                    "{ip} her istemcinin kendisidir: yalnızca kendi DNS sunucusunu çalıştıran yanıt alır"
                ),
            }));
        }
        if let Some(exit) = self.owner(ip) {
            return Ok(Some(match lang {
                Lang::En => format!(
                    "{ip} is this server's own address in the network of the exit '{exit}', which cannot be enabled now"
                ),
                Lang::Tr => format!(
                    "{ip} bu sunucunun '{exit}' çıkışının ağındaki kendi adresi; bu çıkış artık etkinleştirilemez"
                ),
            }));
        }
        let in_subnet = self.subnet.filter(|subnet| subnet.contains(address) && subnet.server() != address);
        if in_subnet.is_none() {
            return Ok(None);
        }
        let clients = state.named_addresses()?;
        let holder = clients.iter().find(|(_, of)| *of == address).map(|(name, _)| name);
        Ok(Some(match (holder, lang) {
            (Some(name), Lang::En) => format!(
                "{ip} is the client '{name}': DNS works only while that client is connected and answers"
            ),
            (Some(name), Lang::Tr) => format!(
                "{ip} adresi '{name}' istemcisinin: DNS yalnızca o istemci bağlıyken ve yanıt verirken çalışır"
            ),
            (None, Lang::En) => {
                format!("{ip} is in the VPN's subnet and belongs to no client: nobody answers there")
            }
            (None, Lang::Tr) => {
                format!("{ip} VPN subnetinde ve hiçbir istemciye ait değil: orada kimse yanıt vermez")
            }
        }))
    }

    /// The exit that gives this server the address.
    fn owner(&self, address: IpAddr) -> Option<&str> {
        let address = address.to_canonical();
        let claimed = self.claims.networks.iter().find(|claimed| claimed.network.ip() == address);
        claimed.map(|claimed| claimed.owner.as_str())
    }
}

fn four(address: IpAddr) -> Option<Ipv4Addr> {
    match address.to_canonical() {
        IpAddr::V4(four) => Some(four),
        IpAddr::V6(_) => None,
    }
}

fn of_ipv6(ip: IpAddr, lang: Lang) -> String {
    match lang {
        Lang::En => format!("{ip} is IPv6: clients reach it outside the tunnel or not at all"),
        Lang::Tr => format!("{ip} bir IPv6 adresi: istemciler ona tünel dışından ulaşır veya hiç ulaşamaz"),
    }
}
