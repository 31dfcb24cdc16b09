//! What is said of a collision.

use phantom_engine::Withheld;
use phantom_module::{Lang, Text};
use phantom_types::ExitName;
use serde_json::{Value, json};

use super::ExitCollision;

impl ExitCollision {
    /// Its word in the data of an error.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NotUnicast(_) => "not_unicast",
            Self::OwnSubnet(..) => "own_subnet",
            Self::HostAddress(..) => "host_address",
            Self::ServerAddress(_) => "server_address",
            Self::Broadcast(..) => "broadcast",
            Self::Gateway(..) => "gateway",
            Self::RoutedHost(..) => "routed_host",
            Self::Resolver(_) => "resolver",
            Self::ClientDns(_) => "client_dns",
            Self::EndpointAddress(_) => "endpoint_address",
            Self::EndpointNotUnicast(_) => "endpoint_not_unicast",
            Self::OwnPort(_) => "own_port",
            Self::ServerKey => "server_key",
            Self::ServerPrivateKey => "server_private_key",
            Self::WeakKey => "weak_key",
            Self::ZeroPrivateKey => "zero_private_key",
        }
    }

    /// A sentence for people.
    pub fn sentence(&self, lang: Lang) -> String {
        let (en, tr) = self.sentences();
        match lang {
            Lang::En => en,
            Lang::Tr => tr,
        }
    }

    /// The sentence in English and in Turkish.
    fn sentences(&self) -> (String, String) {
        match self {
            Self::NotUnicast(address) => (
                format!("Exit address {address} is no unicast address"),
                format!("Çıkış adresi {address} tek bir makineye verilebilecek bir adres değil"),
            ),
            Self::OwnSubnet(address, subnet) => (
                format!("Exit address {address} is in the VPN subnet {subnet} of this server"),
                format!("Çıkış adresi {address} bu sunucunun VPN subneti {subnet} içinde"),
            ),
            Self::HostAddress(address, interface) => (
                format!("Exit address {address} is an address of this server ({interface})"),
                format!("Çıkış adresi {address} bu sunucunun bir adresi ({interface})"),
            ),
            Self::ServerAddress(address) => (
                format!("Exit address {address} is the public address of this server"),
                format!("Çıkış adresi {address} bu sunucunun genel adresi"),
            ),
            Self::Broadcast(address, interface) => (
                format!(
                    "Exit address {address} is the broadcast address of a network of this server ({interface})"
                ),
                format!("Çıkış adresi {address} bu sunucunun bir ağının yayın adresi ({interface})"),
            ),
            Self::Gateway(address, interface) => (
                format!("Exit address {address} is a gateway of this server ({interface})"),
                format!("Çıkış adresi {address} bu sunucunun bir ağ geçidi ({interface})"),
            ),
            Self::RoutedHost(address, interface) => (
                format!(
                    "Exit address {address} belongs to a host that this server has a separate route to ({interface})"
                ),
                format!(
                    "Çıkış adresi {address}, bu sunucunun ayrı bir rotayla ulaştığı bir makinenin adresi ({interface})"
                ),
            ),
            Self::Resolver(address) => (
                format!("Exit address {address} is a resolver of this server"),
                format!("Çıkış adresi {address} bu sunucunun bir DNS çözümleyicisi"),
            ),
            Self::ClientDns(address) => (
                format!("Exit address {address} is a DNS server of the clients"),
                format!("Çıkış adresi {address} istemcilerin bir DNS sunucusu"),
            ),
            Self::EndpointAddress(address) => (
                format!("Exit address {address} is the address of the exit's endpoint"),
                format!("Çıkış adresi {address} çıkışın uç noktasının adresi"),
            ),
            Self::EndpointNotUnicast(endpoint) => (
                format!("Endpoint {endpoint} has no unicast address"),
                format!("{endpoint} uç noktasının adresi tek bir makineye ait olamaz"),
            ),
            Self::OwnPort(endpoint) => (
                format!("Endpoint {endpoint} is the WireGuard port of this server"),
                format!("{endpoint} uç noktası bu sunucunun WireGuard portu"),
            ),
            Self::ServerKey | Self::ServerPrivateKey | Self::WeakKey | Self::ZeroPrivateKey => self.of_key(),
        }
    }

    /// The sentences about keys. None of them is repeated.
    fn of_key(&self) -> (String, String) {
        let (en, tr) = match self {
            Self::ServerKey => ("PublicKey is the key of this server", "PublicKey bu sunucunun anahtarı"),
            Self::ServerPrivateKey => {
                ("PrivateKey is the key of this server", "PrivateKey bu sunucunun anahtarı")
            }
            Self::ZeroPrivateKey => ("PrivateKey is zero", "PrivateKey sıfır"),
            _ => (
                "PublicKey is zero or a point of low order: no handshake can use it",
                "PublicKey sıfır veya düşük mertebeli bir nokta: hiçbir el sıkışmasında kullanılamaz",
            ),
        };
        (en.to_owned(), tr.to_owned())
    }

    /// The facts, for the data of an error.
    pub(crate) fn data(&self) -> Value {
        let kind = self.kind();
        match self {
            Self::NotUnicast(address)
            | Self::ServerAddress(address)
            | Self::Resolver(address)
            | Self::ClientDns(address)
            | Self::EndpointAddress(address) => json!({ "kind": kind, "address": address }),
            Self::OwnSubnet(address, subnet) => json!({ "kind": kind, "address": address, "subnet": subnet }),
            Self::HostAddress(address, interface)
            | Self::Broadcast(address, interface)
            | Self::Gateway(address, interface)
            | Self::RoutedHost(address, interface) => {
                json!({ "kind": kind, "address": address, "interface": interface })
            }
            Self::EndpointNotUnicast(endpoint) | Self::OwnPort(endpoint) => {
                json!({ "kind": kind, "endpoint": endpoint })
            }
            Self::ServerKey | Self::WeakKey => json!({ "kind": kind, "key": "PublicKey" }),
            Self::ServerPrivateKey | Self::ZeroPrivateKey => json!({ "kind": kind, "key": "PrivateKey" }),
        }
    }
}

/// One sentence for each, on a line of its own.
pub(crate) fn lines(collisions: &[ExitCollision], lang: Lang) -> String {
    sentences(collisions, lang).unwrap_or_default().join("\n")
}

/// One sentence for each; none where nothing collides.
pub(crate) fn sentences(collisions: &[ExitCollision], lang: Lang) -> Option<Vec<String>> {
    let all = collisions.iter().map(|collision| collision.sentence(lang)).collect();
    Some(all).filter(|all: &Vec<String>| !all.is_empty())
}

/// What a person can do about a collision of the exit in use.
const REMEDY: Text = Text {
    en: "Use another exit, or remove from the host what collides: phantom-api multihop list_exits",
    tr: "Başka bir çıkış kullanın veya çakışanı sunucudan kaldırın: phantom-api multihop list_exits",
};

/// That an exit is not brought up.
pub(crate) fn withheld(exit: &ExitName, collisions: &[ExitCollision]) -> Withheld {
    let (en, tr) = (lines(collisions, Lang::En), lines(collisions, Lang::Tr));
    Withheld {
        en: format!("Exit '{exit}' is not brought up, and clients stay blocked: {en}"),
        tr: format!("'{exit}' çıkışı devreye alınmadı, istemci trafiği engelleniyor: {tr}"),
        remedy: REMEDY,
    }
}
