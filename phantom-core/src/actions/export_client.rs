//! `export_client`: a client's configuration from the stored state of this moment.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::{IpNetwork, Ipv4Network};
use phantom_module::{Action, Call, Effect, Text};
use phantom_store::{Client, ClientRef, DnsServers, Server, Settings, State, StoreError};
use phantom_types::conf::ClientConfig;
use phantom_types::{
    ClientName, Endpoint, FileName, HostName, PresharedKey, PrivateKey, PublicKey, Timestamp,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::desired::MTU;
use crate::{Core, CoreError, SecretText};

/// Seconds between keepalives: shorter than the 30 seconds after which common NAT boxes forget a UDP flow.
const KEEPALIVE: u16 = 25;

/// Generates a client's configuration: changes of DNS, port, subnet and endpoint show at once.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportClient {
    /// Name of the client
    #[schemars(extend("x-tr" = "İstemcinin adı", "format" = "client-lookup"))]
    pub client_name: String,
    /// Use the server's IPv6 address as endpoint
    #[serde(default)]
    #[schemars(extend("x-tr" = "Uç nokta olarak sunucunun IPv6 adresini kullan"))]
    pub use_ipv6: bool,
}

/// A client with its keys and its configuration.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ClientExported {
    /// The client
    #[schemars(extend("x-tr" = "İstemci"))]
    pub client: ExportedClient,
    /// The configuration, as WireGuard reads it
    #[schemars(extend("x-tr" = "WireGuard'ın okuduğu biçimde yapılandırma"))]
    pub config: SecretText,
    /// A name for its file that every WireGuard program takes and no other client has
    #[schemars(extend("x-tr" = "Dosyası için, tüm WireGuard programlarının kabul ettiği ve başka istemcide olmayan bir ad"))]
    pub file_name: FileName,
}

/// A client with its keys.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ExportedClient {
    /// Its name
    #[schemars(extend("x-tr" = "Adı"))]
    pub name: ClientName,
    /// Its address in the VPN
    #[schemars(extend("x-tr" = "VPN içindeki adresi"))]
    pub ip: Ipv4Addr,
    /// When it was added
    #[schemars(extend("x-tr" = "Eklenme zamanı"))]
    pub created: Timestamp,
    /// It may connect
    #[schemars(extend("x-tr" = "Bağlanmasına izin verilir"))]
    pub enabled: bool,
    /// Its private key
    #[schemars(extend("x-tr" = "Özel anahtarı"))]
    pub private_key: SecretText,
    /// Its public key
    #[schemars(extend("x-tr" = "Açık anahtarı"))]
    pub public_key: PublicKey,
    /// The key it shares with the server, if they share one
    #[schemars(extend("x-tr" = "Varsa sunucuyla paylaştığı anahtar"))]
    pub preshared_key: Option<SecretText>,
}

impl Action for ExportClient {
    type Module = Core;
    type Output = ClientExported;
    type Error = CoreError;
    const NAME: &'static str = "export_client";
    const SUMMARY: Text =
        Text { en: "Export a client's configuration", tr: "İstemci yapılandırmasını dışa aktar" };
    const EFFECT: Effect = Effect::Read;
    const EXAMPLE: &'static str = "client_name=john-laptop";
    const ERRORS: &'static [&'static str] = &["INVALID_CLIENT_NAME", "CLIENT_NOT_FOUND", "CONFIG_ERROR"];

    fn run(self, core: &Core, _: &Call) -> Result<ClientExported, CoreError> {
        core.engine().read(|state| {
            let missing = || CoreError::not_found(&self.client_name);
            let name: ClientName = self.client_name.parse().map_err(|_| missing())?;
            let client = state.client(&name)?.ok_or_else(missing)?;
            let server = state.server()?.ok_or(phantom_engine::EngineError::NotInitialised)?;
            let no_key = || CoreError::NoPrivateKey { name: client.name.clone() };
            let private_key = client.private_key.clone().ok_or_else(no_key)?;
            let outline = Outline { dns: state.dns()?, settings: state.settings()?, server };
            let config = ClientConfig {
                endpoint: endpoint(&outline.server, self.use_ipv6)?,
                private_key,
                ..outline.of_client(&client)
            };
            let file_name = FileName::direct(&client.name, client.id);
            let client = ExportedClient {
                private_key: SecretText(config.private_key.reveal()),
                public_key: client.public_key,
                preshared_key: client.preshared_key.as_ref().map(|key| SecretText(key.reveal())),
                name: client.name,
                ip: client.address,
                created: client.created,
                enabled: true,
            };
            Ok(ClientExported { client, config: SecretText(config.render()), file_name })
        })
    }
}

/// What the configurations of all clients have in common.
pub(super) struct Outline {
    server: Server,
    dns: DnsServers,
    settings: Settings,
}

impl Outline {
    /// That of a state, once there is a server.
    pub(super) fn read(state: &State<'_>) -> Result<Option<Self>, StoreError> {
        let Some(server) = state.server()? else { return Ok(None) };
        Ok(Some(Self { dns: state.dns()?, settings: state.settings()?, server }))
    }

    /// The configuration of a client, for clients that connect by IPv4, without its private key: that is all zeros.
    pub(super) fn of_client(&self, client: &Client) -> ClientConfig {
        self.config(client.address, client.address6, client.preshared_key.clone())
    }

    /// The same of a client whose keys were not read.
    pub(super) fn of_peer(&self, client: &ClientRef<'_>) -> ClientConfig {
        self.config(client.address, client.address6, client.preshared_key.clone())
    }

    fn config(
        &self,
        four: Ipv4Addr,
        six: Option<Ipv6Addr>,
        preshared_key: Option<PresharedKey>,
    ) -> ClientConfig {
        let server = &self.server;
        let four = Ipv4Network::new(four, server.subnet.prefix()).ok().map(IpNetwork::V4);
        let six = six.map(|address| IpNetwork::V6(address.into()));
        let host = host(server);
        ClientConfig {
            private_key: PrivateKey::from_bytes([0; 32]),
            address: four.into_iter().chain(six).collect(),
            dns: vec![self.dns.primary, self.dns.secondary],
            mtu: MTU,
            public_key: server.public_key,
            preshared_key,
            endpoint: Endpoint { host, port: server.port },
            allowed_ips: allowed_ips(server, self.settings),
            keepalive: KEEPALIVE,
        }
    }
}

/// The stored endpoint always wins; then the IPv6 address where it is asked for; else the IPv4 address, where there is one.
fn endpoint(server: &Server, use_ipv6: bool) -> Result<Endpoint, CoreError> {
    let six = if use_ipv6 { Some(server.ipv6.ok_or(CoreError::NoIpv6)?) } else { None };
    let host = match (&server.endpoint, six) {
        (None, Some(six)) => HostName::Ip(six.into()),
        _ => host(server),
    };
    Ok(Endpoint { host, port: server.port })
}

/// Where clients connect to that ask for nothing else. Setup stores no server without any of the three.
fn host(server: &Server) -> HostName {
    let address = server.server_ip.map(IpAddr::V4).or(server.ipv6.map(IpAddr::V6));
    let address = address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    server.endpoint.clone().unwrap_or(HostName::Ip(address))
}

/// All of IPv4, the subnet, and all of IPv6 where nothing of it may pass beside the tunnel.
fn allowed_ips(server: &Server, settings: Settings) -> Vec<IpNetwork> {
    let four = IpNetwork::V4(Ipv4Network::from(Ipv4Addr::UNSPECIFIED));
    let all = |address: IpAddr| IpNetwork::new(address, 0).unwrap_or(four); // 0 is a prefix length of both families
    let mut list = vec![all(Ipv4Addr::UNSPECIFIED.into()), IpNetwork::V4(server.subnet.into())];
    if settings.block_ipv6_leak {
        list.push(all(Ipv6Addr::UNSPECIFIED.into()));
    }
    list
}
