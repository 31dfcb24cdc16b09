//! An export: everything about one client, from one view of the stored state.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};
use phantom_ghost_state::{CertificateSource, Ghost, GhostState as _};
use phantom_store::{Client, Server, State, Store};
use phantom_types::{
    ClientConfig, ClientName, Domain, Endpoint, FileName, HostName, TunnelAccess, complement4, complement6,
};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::CasperError;
use crate::outside::Outside;

/// How long the resolvers have. An export without their answer leaves out what is stored.
const LOOK_UP: Duration = Duration::from_secs(5);

/// What a client needs. Holds secrets; `Debug` hides them.
#[derive(Clone, Debug)]
pub struct Export {
    /// The client.
    pub name: ClientName,
    /// A name for the file of its configuration that every WireGuard program takes and no other client has.
    pub file_name: FileName,
    /// How the tunnel is opened, by the client's own secret.
    pub access: TunnelAccess,
    /// Where the server's name leads to. The client's machine has to know it by itself: while WireGuard is up, a name is
    /// looked up through the very tunnel that may have to be opened again. Empty where the server is named by an address.
    pub server_addresses: Vec<IpAddr>,
    /// The WireGuard configuration, which enters the tunnel at this machine.
    pub config: ClientConfig,
}

impl Export {
    /// The export of a client. The resolvers of this host are asked where the server's name leads to, for 5 s at most.
    ///
    /// # Errors
    /// Not set up, Ghost Mode off, no such client, one whose private key is not stored, an unreadable database.
    pub fn load(store: &Store, name: &str) -> Result<Self, CasperError> {
        Self::asking(store, name, found)
    }

    /// As [`Self::load`], where `lookup` says what the server's name leads to now: none where nobody answers. Its answer is not
    /// believed as it is: addresses that cannot be the server's for a client are left out of it.
    ///
    /// # Errors
    /// The same.
    pub fn asking(
        store: &Store,
        name: &str,
        lookup: impl FnOnce(&Domain) -> Vec<IpAddr>,
    ) -> Result<Self, CasperError> {
        // Changes go on while the resolvers are asked.
        let now = store.read::<_, CasperError>(|state| Ok(state.ghost()?))?;
        let now = match now.map(|ghost| ghost.domain) {
            Some(HostName::Domain(domain)) => lookup(&domain),
            _ => Vec::new(),
        };
        store.read(|state| {
            let server = state.server()?.ok_or(CasperError::NotInitialised)?;
            let ghost = state.ghost()?.ok_or(CasperError::Inactive)?;
            let missing = || CasperError::NotFound { name: name.to_owned() };
            let client = name.parse::<ClientName>().map_err(|_| missing())?;
            let client = state.client(&client)?.ok_or_else(missing)?;
            Self::from_state(state, &server, &ghost, client, &now)
        })
    }

    fn from_state(
        state: &State<'_>,
        server: &Server,
        ghost: &Ghost,
        client: Client,
        now: &[IpAddr],
    ) -> Result<Self, CasperError> {
        let dns = state.dns()?;
        let resolvers = [dns.primary, dns.secondary];
        let outside = Outside::collect(server, ghost, &resolvers, now);
        let address = addresses(server, &client, &outside);
        let no_key = || CasperError::NoPrivateKey { name: client.name.clone() };
        let private_key = client.private_key.ok_or_else(no_key)?;
        let all_of_ipv6 = state.settings()?.block_ipv6_leak;
        let loopback = HostName::Ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
        Ok(Self {
            server_addresses: outside.of_name.clone(),
            access: TunnelAccess {
                domain: ghost.domain.clone(),
                public_port: ghost.public_port(),
                secret: client.tunnel_secret.for_tunnel(),
                port: server.port,
                verify: ghost.certificate != CertificateSource::SelfSigned,
            },
            config: ClientConfig {
                address,
                dns: resolvers.to_vec(),
                mtu: ClientConfig::MTU,
                public_key: server.public_key,
                preshared_key: client.preshared_key,
                endpoint: Endpoint { host: loopback, port: server.port },
                allowed_ips: allowed_ips(server, &outside, all_of_ipv6),
                keepalive: ClientConfig::KEEPALIVE,
                private_key,
            },
            file_name: FileName::tunnel(&client.name, client.id),
            name: client.name,
        })
    }

    /// The export for programs: a secret. Its fields are those of `docs/contract.md`, "Export for Ghost Mode clients".
    pub fn json(&self) -> Value {
        let Self { name, file_name, access, config, server_addresses } = self;
        let preshared_key = config.preshared_key.as_ref().map(|key| Zeroizing::clone(&key.reveal()));
        json!({
            "v": 1,
            "file_name": file_name,
            "interface": {
                "address": joined(&config.address),
                "dns": joined(&config.dns),
                "mtu": config.mtu,
                "private_key": *config.private_key.reveal(),
            },
            "name": name,
            "peer": {
                "allowed_ips": joined(&config.allowed_ips),
                "endpoint": config.endpoint.to_string(),
                "persistent_keepalive": config.keepalive,
                "preshared_key": preshared_key.as_deref(),
                "public_key": config.public_key,
            },
            "wstunnel": {
                "local_port": access.port,
                "remote_host": "127.0.0.1",
                "remote_port": access.port,
                "secret": *access.secret.reveal(),
                "url": access.url(),
                "server_addresses": joined(server_addresses),
            },
        })
    }
}

fn joined<T: ToString>(list: &[T]) -> String {
    list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The client's IPv6 address where it has none of its own and some of IPv6 is led round the tunnel: without one its system
/// would put the address of another interface into the packets that end in the tunnel. A unique local one (RFC 4193)
/// counts less than IPv4 when a program chooses (RFC 6724, section 2.1), so that nothing waits for IPv6.
const PLACEHOLDER: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);

fn addresses(server: &Server, client: &Client, outside: &Outside) -> Vec<IpNetwork> {
    let four = Ipv4Network::new(client.address, server.subnet.prefix()).ok().map(IpNetwork::V4);
    let six = client.address6.or((!outside.six.is_empty()).then_some(PLACEHOLDER));
    four.into_iter().chain(six.map(|address| IpNetwork::V6(address.into()))).collect()
}

/// Everything but where the tunnel's own connection goes to.
fn allowed_ips(server: &Server, outside: &Outside, all_of_ipv6: bool) -> Vec<IpNetwork> {
    let four: Vec<Ipv4Network> = outside.four.iter().copied().map(Ipv4Network::from).collect();
    let six: Vec<Ipv6Network> = outside.six.iter().copied().map(Ipv6Network::from).collect();
    let mut list: Vec<IpNetwork> = complement4(&four).into_iter().map(IpNetwork::V4).collect();
    if !six.is_empty() {
        list.extend(complement6(&six).into_iter().map(IpNetwork::V6));
    }
    list.push(IpNetwork::V4(server.subnet.into()));
    // A server that is reached by IPv4 alone: all of IPv6 may enter the tunnel, where it ends.
    if all_of_ipv6 && six.is_empty() {
        list.extend(Ipv6Network::new(Ipv6Addr::UNSPECIFIED, 0).ok().map(IpNetwork::V6));
    }
    list
}

/// Where a name leads to at this moment; nowhere where nobody answers in time. The final dot keeps the search list of
/// resolv.conf(5) out of it.
fn found(domain: &Domain) -> Vec<IpAddr> {
    phantom_names::addresses(&format!("{domain}."), LOOK_UP).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_name_has_no_address() {
        assert_eq!(found(&"nobody.invalid".parse().unwrap()), [] as [IpAddr; 0]);
    }
}
