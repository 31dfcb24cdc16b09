//! What is wrong with an address, or with a web server in front, in both languages.

use std::net::IpAddr;

use phantom_ghost_state::Front;
use phantom_module::Lang;
use phantom_types::Domain;

/// Why strangers do not come to a web server from an address; the word of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceFault {
    /// It is a loopback address: web servers take whoever has one for a program of their own machine.
    Loopback,
    /// It is not the address of one host.
    Nobodys,
    /// The web server is reached by the other version of IP.
    Family,
    /// This host does not have it.
    Foreign,
}

impl SourceFault {
    /// `loopback`, `no_host`, `family` or `foreign`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Nobodys => "no_host",
            Self::Family => "family",
            Self::Foreign => "foreign",
        }
    }

    pub(super) fn message(self, lang: Lang, address: IpAddr, allowed: &[IpAddr]) -> String {
        let list: Vec<_> = allowed.iter().map(ToString::to_string).collect();
        let list = if list.is_empty() { "-".to_owned() } else { list.join(", ") };
        if lang == Lang::En {
            let fault = match self {
                Self::Loopback => format!(
                    "decoy_source must not be a loopback address ({address}): web servers take whoever comes from there for a \
                     program of their own machine"
                ),
                Self::Nobodys => {
                    format!("decoy_source must be the address of one host, which {address} is not")
                }
                Self::Family => format!(
                    "decoy_source {address} does not reach the web server: one of them has an IPv4 address, the other an IPv6 \
                     address"
                ),
                Self::Foreign => format!("decoy_source {address} is not an address of this host"),
            };
            return format!("{fault}. Allowed: {list}");
        }
        let fault = match self {
            Self::Loopback => format!(
                "decoy_source bir loopback adresi ({address}) olamaz: web sunucuları oradan gelen herkesi kendi makinelerinin bir \
                 programı sayar"
            ),
            Self::Nobodys => {
                format!(
                    "decoy_source tek bir makinenin adresi olmalıdır, {address} ise böyle bir adres değil"
                )
            }
            Self::Family => format!(
                "decoy_source {address} adresinden web sunucusuna ulaşılamaz: birinin adresi IPv4, diğerininki IPv6"
            ),
            Self::Foreign => format!("decoy_source {address} bu makinenin bir adresi değil"),
        };
        format!("{fault}. Kullanılabilecek adresler: {list}")
    }
}

/// Why clients cannot be served at an address; the word of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressFault {
    /// It is not the address of one host that others can reach.
    Nobodys,
    /// It is one of the VPN: whoever is not connected yet cannot reach it.
    Vpn,
    /// This server does not have it.
    Foreign,
    /// It is none of the Internet, and no public authority certifies it.
    Private,
}

impl AddressFault {
    /// `no_host`, `vpn`, `foreign` or `private`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nobodys => "no_host",
            Self::Vpn => "vpn",
            Self::Foreign => "foreign",
            Self::Private => "private",
        }
    }

    pub(super) fn message(self, lang: Lang, address: IpAddr, allowed: &[IpAddr]) -> String {
        let list: Vec<_> = allowed.iter().map(ToString::to_string).collect();
        let list = list.join(", ");
        let fault = match (self, lang) {
            (Self::Nobodys, Lang::En) => {
                format!(
                    "domain must be a name, or the address of one host that others reach, which {address} is not"
                )
            }
            (Self::Nobodys, Lang::Tr) => format!(
                "domain bir ad veya başkalarının ulaşabildiği tek bir makinenin adresi olmalıdır, {address} ise böyle bir adres değil"
            ),
            (Self::Vpn, Lang::En) => {
                format!(
                    "domain {address} is an address of the VPN: clients that are not connected yet cannot reach it"
                )
            }
            (Self::Vpn, Lang::Tr) => {
                format!("domain {address} VPN'in bir adresi: henüz bağlı olmayan istemciler ona ulaşamaz")
            }
            (Self::Foreign, Lang::En) => format!("domain {address} is not an address of this server"),
            (Self::Foreign, Lang::Tr) => format!("domain {address} bu sunucunun bir adresi değil"),
            (Self::Private, Lang::En) => format!(
                "domain {address} is no address of the Internet: Let's Encrypt certifies none of its kind. Use a domain, or a \
                 certificate of your own: cert_path=, key_path="
            ),
            (Self::Private, Lang::Tr) => format!(
                "domain {address} internete ait bir adres değil: Let's Encrypt bu tür adresler için sertifika vermez. Bir alan adı \
                 veya kendi sertifikanızı kullanın: cert_path=, key_path="
            ),
        };
        match lang {
            _ if allowed.is_empty() => fault,
            Lang::En => format!("{fault}. Allowed: {list}"),
            Lang::Tr => format!("{fault}. Kullanılabilecek adresler: {list}"),
        }
    }
}

/// What is to be done about a web server that does not lead to the tunnel.
pub(super) fn front_message(lang: Lang, front: &Front, detail: &str) -> String {
    let (port, socket) = (front.public_port, front.socket.display());
    match lang {
        Lang::En => format!(
            "The web server on TCP port {port} does not lead to the tunnel: {detail}. Have it pass requests on to \
             unix:{socket} first (docs/ghost.md shows how for nginx, Caddy and HAProxy), then enable Ghost Mode"
        ),
        Lang::Tr => format!(
            "{port} TCP portundaki web sunucusu tünele ulaştırmıyor: {detail}. Önce isteklerin unix:{socket} soketine iletilmesini \
             sağlayın (nginx, Caddy ve HAProxy için: docs/ghost.md), sonra Ghost Mode'u etkinleştirin"
        ),
    }
}

/// That a name does not lead here.
pub(super) fn domain_message(
    lang: Lang,
    domain: &Domain,
    expected: Option<IpAddr>,
    resolved: &[IpAddr],
) -> String {
    let list: Vec<_> = resolved.iter().map(ToString::to_string).collect();
    let list = if list.is_empty() { "-".to_owned() } else { list.join(", ") };
    let record = if expected.is_some_and(|address| address.is_ipv6()) { "AAAA" } else { "A" };
    match (expected, lang) {
        (Some(address), Lang::En) => {
            format!("{domain} must have an {record} record pointing to {address}; found: {list}")
        }
        (Some(address), Lang::Tr) => {
            format!("{domain} alan adının {record} kaydı {address} adresini göstermelidir; bulunan: {list}")
        }
        (None, Lang::En) => {
            format!("{domain} must have an A record pointing to an address of this server; found: {list}")
        }
        (None, Lang::Tr) => {
            format!("{domain} alan adının A kaydı bu sunucunun bir adresini göstermelidir; bulunan: {list}")
        }
    }
}

/// That this system has no such group.
pub(super) fn group_message(lang: Lang, group: &str) -> String {
    match lang {
        Lang::En => format!(
            "listen_group {group} is no group of this system. Give the group of the web server's user: id -gn USER"
        ),
        Lang::Tr => format!(
            "listen_group {group} bu sistemde bulunmuyor. Web sunucusunu çalıştıran kullanıcının grubunu verin: id -gn KULLANICI"
        ),
    }
}

/// That two parameters exclude each other.
pub(super) fn together_message(lang: Lang, parameter: &str, with: &str) -> String {
    match lang {
        Lang::En => format!("{parameter} does not go together with {with}: leave {parameter} out"),
        Lang::Tr => format!("{parameter}, {with} ile birlikte verilemez: {parameter} parametresini çıkarın"),
    }
}

/// That a decoy is the tunnel itself.
pub(super) fn round_message(lang: Lang, decoy: &str) -> String {
    match lang {
        Lang::En => format!(
            "decoy {decoy} is where the tunnel itself, or the web server in front of it, listens: requests of strangers would go \
             round without end. Give another web server of this machine, at a port or socket of its own"
        ),
        Lang::Tr => format!(
            "decoy {decoy} adresinde tünelin kendisi veya önündeki web sunucusu dinliyor: yabancıların istekleri sonsuz döngüye girer. \
             Bu makinenin, kendi portu veya soketi olan başka bir web sunucusunu verin"
        ),
    }
}

/// That the resolvers did not know.
pub(super) fn resolver_message(lang: Lang, domain: &Domain, rcode: &str) -> String {
    match lang {
        Lang::En => format!("The DNS resolvers of this server could not say where {domain} leads ({rcode})"),
        Lang::Tr => {
            format!("Bu sunucunun DNS çözümleyicileri {domain} alan adının adresini bildiremedi ({rcode})")
        }
    }
}
