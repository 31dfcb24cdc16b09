//! Whether clients can reach the server where setup is told that it is.

use std::net::{IpAddr, Ipv4Addr};

use phantom_engine::Engine;
use phantom_module::{Lang, ParamError};
use phantom_store::{State, StoreError};
use phantom_types::{HostName, Subnet};

use crate::CoreError;

/// What an address belongs to that cannot be the server's on the Internet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The VPN's own subnet, which clients reach through the server only.
    Subnet(Subnet),
    /// The network of an exit, in which this server has it.
    Exit(String),
}

impl Taken {
    pub(crate) fn sentence(&self, parameter: &str, address: IpAddr, lang: Lang) -> String {
        match (self, lang) {
            (Self::Subnet(subnet), Lang::En) => {
                format!(
                    "{parameter} {address} is in the VPN's own subnet {subnet}: nobody reaches the server there from outside"
                )
            }
            (Self::Subnet(subnet), Lang::Tr) => {
                format!(
                    "{parameter} {address} VPN'in kendi subneti {subnet} içinde: dışarıdan kimse sunucuya bu adresten ulaşamaz"
                )
            }
            (Self::Exit(exit), Lang::En) => {
                format!(
                    "{parameter} {address} is this server's own address in the network of the exit '{exit}': nobody reaches the server there"
                )
            }
            (Self::Exit(exit), Lang::Tr) => {
                format!(
                    "{parameter} {address} bu sunucunun '{exit}' çıkışının ağındaki kendi adresi: kimse sunucuya bu adresten ulaşamaz"
                )
            }
        }
    }
}

/// That the addresses are those of one host, as far as their form tells.
pub(crate) fn check_form(server_ip: Option<Ipv4Addr>, endpoint: Option<&HostName>) -> Result<(), CoreError> {
    let wrong = |parameter: &str, expected| ParamError::Type { parameter: parameter.to_owned(), expected };
    if server_ip.is_some_and(|ip| ip.is_loopback() || !is_host(ip.into())) {
        return Err(wrong("server_ip", "ipv4").into());
    }
    // A tunnel of the operator's own may bring clients here by an address of theirs: loopback is one.
    if endpoint.and_then(HostName::ip).is_some_and(|ip| !is_host(ip)) {
        return Err(wrong("endpoint", "host").into());
    }
    Ok(())
}

/// Whether one host can have it: not "this network", a group, or what is reserved with the broadcast address (RFC 1122, section
/// 3.2.1.3; RFC 1112, section 4).
fn is_host(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(four) => four.octets()[0] != 0 && four.octets()[0] < 240 && !four.is_multicast(),
        IpAddr::V6(six) => !six.is_unspecified() && !six.is_multicast(),
    }
}

/// That nobody else has them, and the VPN itself has not.
pub(crate) fn check_taken(
    engine: &Engine,
    state: &State<'_>,
    subnet: Subnet,
    server_ip: Option<Ipv4Addr>,
    endpoint: Option<&HostName>,
) -> Result<(), CoreError> {
    let given = [("server_ip", server_ip.map(IpAddr::V4)), ("endpoint", endpoint.and_then(HostName::ip))];
    for (parameter, address) in given.into_iter().filter_map(|(name, address)| Some((name, address?))) {
        if let Some(taken) = taken(engine, state, subnet, address.to_canonical())? {
            return Err(CoreError::AddressTakenElsewhere { parameter, address, taken });
        }
    }
    Ok(())
}

fn taken(
    engine: &Engine,
    state: &State<'_>,
    subnet: Subnet,
    address: IpAddr,
) -> Result<Option<Taken>, StoreError> {
    if let IpAddr::V4(four) = address
        && subnet.contains(four)
    {
        return Ok(Some(Taken::Subnet(subnet)));
    }
    let claimed = engine.claims(state)?.networks.into_iter().find(|claimed| claimed.network.ip() == address);
    Ok(claimed.map(|claimed| Taken::Exit(claimed.owner)))
}
