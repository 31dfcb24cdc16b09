//! `add_client`: creates a client with its keys, its address and its peer.

use phantom_engine::Scope;
use phantom_module::{Action, Call, Effect, Lang, Text};
use phantom_store::{InsertError, NewClient};
use phantom_types::{ClientName, ClientSecret, PresharedKey, PrivateKey, PublicKey, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{Core, CoreError, origin};

/// Creates a client: keys, the lowest free address, a peer on the running interface.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddClient {
    /// Name of the client
    #[schemars(extend("x-tr" = "İstemcinin adı"))]
    pub client_name: ClientName,
}

/// The client is there, and a running interface accepts it now.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ClientAdded {
    /// The client
    #[schemars(extend("x-tr" = "İstemci"))]
    pub client: AddedClient,
    /// A sentence for people
    #[schemars(extend("x-tr" = "Kullanıcıya yönelik bir cümle"))]
    pub message: &'static str,
}

/// A client that was added.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AddedClient {
    /// Its name, as given
    #[schemars(extend("x-tr" = "Verildiği biçimiyle adı"))]
    pub name: ClientName,
    /// Its address in the VPN
    #[schemars(extend("x-tr" = "VPN içindeki adresi"))]
    pub ip: std::net::Ipv4Addr,
    /// Its public key; the secret ones are shown by `export_client` only
    #[schemars(extend("x-tr" = "Açık anahtarı; gizli anahtarları yalnızca `export_client` gösterir"))]
    pub public_key: PublicKey,
    /// When it was added
    #[schemars(extend("x-tr" = "Eklenme zamanı"))]
    pub created: Timestamp,
    /// It may connect
    #[schemars(extend("x-tr" = "Bağlanmasına izin verilir"))]
    pub enabled: bool,
}

impl Action for AddClient {
    type Module = Core;
    type Output = ClientAdded;
    type Error = CoreError;
    const NAME: &'static str = "add_client";
    const SUMMARY: Text = Text { en: "Add a client", tr: "İstemci ekle" };
    const EFFECT: Effect = Effect::Change;
    const EXAMPLE: &'static str = "client_name=john-laptop";
    const ERRORS: &'static [&'static str] =
        &["INVALID_CLIENT_NAME", "CLIENT_EXISTS", "IP_ALLOCATION_ERROR", "SERVICE_OPERATION_FAILED"];

    fn run(self, core: &Core, call: &Call) -> Result<ClientAdded, CoreError> {
        let engine = core.engine();
        let mut secret = Zeroizing::new([0; 96]);
        engine.host().random.fill(secret.as_mut()).map_err(super::random_failed)?;
        let part = |number: usize| super::key_bytes(&secret[number * 32..]);
        let private_key = PrivateKey::from_random(part(0));
        let new = NewClient {
            name: self.client_name,
            address6: None,
            extra_ips: Vec::new(),
            public_key: private_key.public_key(),
            private_key: Some(private_key),
            preshared_key: Some(PresharedKey::from_bytes(part(1))),
            tunnel_secret: ClientSecret::from_bytes(part(2)),
            created: engine.host().clock.now(),
        };
        engine.change(origin(Self::NAME), call, |change| {
            let client = change.insert_client(new).map_err(|error| match error {
                InsertError::Exists(name) | InsertError::DuplicateKey(name) => {
                    CoreError::ClientExists { name }
                }
                InsertError::Full { subnet, clients, .. } => CoreError::NoAddress { subnet, clients },
                InsertError::AddressTaken { address, holder } => CoreError::AddressTaken { address, holder },
                InsertError::Store(error) => error.into(),
            })?;
            change.apply(Scope::Peers(vec![client.public_key]))?;
            super::restart_if_wanted(change)?;
            let client = AddedClient {
                name: client.name.clone(),
                ip: client.address,
                public_key: client.public_key,
                created: client.created,
                enabled: true,
            };
            Ok(ClientAdded { client, message: added(call.lang) })
        })
    }
}

fn added(lang: Lang) -> &'static str {
    lang.pick("Client added successfully", "İstemci başarıyla eklendi")
}
