//! What can go wrong with Ghost's own rules.

use std::net::{IpAddr, Ipv4Addr};

use phantom_engine::{ChangeError, EngineError, HostFailure, explain};
use phantom_host::{CertificateFault, HostError};
use phantom_module::{ErrorCode, Lang, ParamError};
use phantom_store::StoreError;
use phantom_types::{Domain, Timestamp};
use serde_json::{Value, json};

/// An error of a Ghost action.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GhostError {
    /// What can go wrong with any action.
    #[error(transparent)]
    Engine(EngineError),
    /// Parameters that do not go together.
    #[error(transparent)]
    Parameter(#[from] ParamError),
    /// It is on already.
    #[error("Ghost Mode is already active")]
    Active {
        /// The server's address.
        server_ip: Ipv4Addr,
        /// The name that clients connect to.
        domain: Domain,
        /// The secret's beginning.
        secret: String,
        /// Since when.
        activated_at: Timestamp,
    },
    /// The name does not lead here.
    #[error("{domain} must have an A record pointing to {expected}")]
    Domain {
        /// The name.
        domain: Domain,
        /// The server's address.
        expected: Ipv4Addr,
        /// What the name leads to.
        resolved: Vec<IpAddr>,
    },
    /// Strangers cannot, or must not, come to the web server from this address.
    #[error("strangers do not come from {address}")]
    DecoySource {
        /// The address.
        address: IpAddr,
        /// What is wrong with it.
        fault: SourceFault,
        /// The addresses that could be taken.
        allowed: Vec<IpAddr>,
    },
    /// No resolver of the host answered.
    #[error("no DNS resolver answered")]
    NoResolver,
    /// Resolvers of the host answered, and did not know.
    #[error("the DNS resolvers could not say where {domain} leads ({rcode})")]
    ResolverFailed {
        /// The name.
        domain: Domain,
        /// The response code, as in `SERVFAIL`.
        rcode: String,
    },
    /// Another program listens on the tunnel's port.
    #[error("TCP port {port} is already in use")]
    PortInUse {
        /// The port.
        port: u16,
    },
    /// There is no certificate that could be used.
    #[error("no usable certificate ({source})")]
    Certificate {
        /// Where it was to come from.
        source: &'static str,
        /// Why there is none.
        #[source]
        fault: CertificateFault,
    },
    /// The change failed.
    #[error("Ghost Mode change failed at step {step}")]
    Change {
        /// What was being done.
        step: Step,
        /// Why.
        #[source]
        source: Box<HostFailure>,
        /// Host and state are as before.
        rolled_back: bool,
    },
    /// The tunnel server does not serve after all is done.
    #[error("the tunnel does not serve: {detail}")]
    NotServing {
        /// Why, without secrets.
        detail: String,
        /// Host and state are as before.
        rolled_back: bool,
    },
}

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

    fn message(self, lang: Lang, address: IpAddr, allowed: &[IpAddr]) -> String {
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

/// What a change was doing; the word of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Asking the resolvers.
    Dns,
    /// Looking at the port.
    Port,
    /// Getting the certificate.
    Certificate,
    /// Opening the way for the certificate authority.
    Firewall,
    /// Files, services and firewall.
    Host,
    /// Asking the tunnel for a tunnel.
    Verify,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Dns => "dns",
            Self::Port => "port",
            Self::Certificate => "certificate",
            Self::Firewall => "firewall",
            Self::Host => "host",
            Self::Verify => "verify",
        })
    }
}

impl GhostError {
    /// The host failed before anything was changed.
    pub(crate) fn host(step: Step, source: HostError) -> Self {
        Self::Change { step, source: Box::new(source.into()), rolled_back: true }
    }
    /// The causes as one text.
    fn detail(&self, lang: Lang) -> String {
        match self {
            Self::NotServing { detail, .. } => detail.clone(),
            other => std::error::Error::source(other).map_or_else(String::new, |cause| explain(cause, lang)),
        }
    }
}

/// What fails on the host in the middle of a change of this module is a failure of Ghost Mode.
impl From<EngineError> for GhostError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Host { source, rolled_back, .. } => {
                Self::Change { step: Step::Host, source, rolled_back }
            }
            other => Self::Engine(other),
        }
    }
}

impl From<StoreError> for GhostError {
    fn from(error: StoreError) -> Self {
        Self::Engine(error.into())
    }
}

impl ChangeError for GhostError {
    fn set_rolled_back(&mut self, complete: bool) {
        match self {
            Self::Engine(error) => error.set_rolled_back(complete),
            Self::Change { rolled_back, .. } | Self::NotServing { rolled_back, .. } => {
                *rolled_back = complete;
            }
            _ => {}
        }
    }
}

impl ErrorCode for GhostError {
    fn code(&self) -> &'static str {
        match self {
            Self::Engine(error) => error.code(),
            Self::Parameter(error) => error.code(),
            Self::Active { .. } => "GHOST_MODE_ACTIVE",
            Self::Domain { .. } | Self::DecoySource { .. } => "VALIDATION_ERROR",
            Self::NoResolver | Self::ResolverFailed { .. } => "NETWORK_ERROR",
            Self::PortInUse { .. } => "PORT_IN_USE",
            Self::Certificate { .. } => "CERTIFICATE_ERROR",
            Self::Change { .. } | Self::NotServing { .. } => "GHOST_MODE_ERROR",
        }
    }

    fn message(&self, lang: Lang) -> String {
        let en = lang == Lang::En;
        match self {
            Self::Engine(error) => error.message(lang),
            Self::Parameter(error) => error.message(lang),
            Self::Active { .. } => {
                lang.pick("Ghost Mode is already active", "Ghost Mode zaten aktif").to_owned()
            }
            Self::Domain { domain, expected, resolved } => {
                let list: Vec<_> = resolved.iter().map(ToString::to_string).collect();
                let list = if list.is_empty() { "-".to_owned() } else { list.join(", ") };
                if en {
                    format!("{domain} must have an A record pointing to {expected}; found: {list}")
                } else {
                    format!("{domain} alan adının A kaydı {expected} adresini göstermelidir; bulunan: {list}")
                }
            }
            Self::DecoySource { address, fault, allowed } => fault.message(lang, *address, allowed),
            Self::NoResolver => {
                lang.pick("No DNS resolver answered", "Hiçbir DNS çözümleyici yanıt vermedi").to_owned()
            }
            Self::ResolverFailed { domain, rcode } if en => {
                format!("The DNS resolvers of this server could not say where {domain} leads ({rcode})")
            }
            Self::ResolverFailed { domain, rcode } => format!(
                "Bu sunucunun DNS çözümleyicileri {domain} alan adının adresini bildiremedi ({rcode})"
            ),
            Self::PortInUse { port } if en => format!("Port {port}/tcp is already in use"),
            Self::PortInUse { port } => format!("{port}/tcp portu kullanımda"),
            Self::Certificate { source, fault } if en => format!("No usable certificate ({source}): {fault}"),
            Self::Certificate { source, fault } => {
                format!("Kullanılabilir sertifika yok ({source}): {fault}")
            }
            Self::Change { .. } | Self::NotServing { .. } => {
                let (step, detail) = (self.step(), self.detail(lang));
                if en {
                    format!("Ghost Mode change failed at step {step}: {detail}")
                } else {
                    format!("Ghost Mode değişikliği {step} adımında başarısız: {detail}")
                }
            }
        }
    }

    fn data(&self) -> Option<Value> {
        self.data_in(Lang::En)
    }

    fn data_in(&self, lang: Lang) -> Option<Value> {
        Some(match self {
            Self::Engine(error) => return error.data_in(lang),
            Self::Parameter(error) => return error.data(),
            Self::NoResolver => return None,
            Self::ResolverFailed { domain, rcode } => json!({ "domain": domain, "rcode": rcode }),
            Self::Active { server_ip, domain, secret, activated_at } => json!({
                "server_ip": server_ip, "domain": domain, "secret": secret, "protocol": "wss",
                "activated_at": activated_at,
            }),
            Self::Domain { domain, expected, resolved } => {
                json!({ "domain": domain, "expected": expected, "resolved": resolved })
            }
            Self::DecoySource { address, fault, allowed } => json!({
                "parameter": "decoy_source", "address": address, "reason": fault.as_str(), "allowed": allowed,
            }),
            Self::PortInUse { port } => json!({ "port": port, "protocol": "tcp" }),
            Self::Certificate { source, fault } => json!({ "source": source, "detail": fault.detail }),
            Self::Change { rolled_back, .. } | Self::NotServing { rolled_back, .. } => json!({
                "step": self.step().to_string(), "detail": self.detail(lang), "rolled_back": rolled_back,
            }),
        })
    }
}

impl GhostError {
    fn step(&self) -> Step {
        match self {
            Self::Change { step, .. } => *step,
            _ => Step::Verify,
        }
    }
}
