//! What can go wrong with Ghost's own rules.

mod faults;

use std::net::{IpAddr, Ipv4Addr};

use phantom_engine::{ChangeError, EngineError, HostFailure, explain};
use phantom_ghost_state::Front;
use phantom_host::HostError;
use phantom_module::{ErrorCode, Lang, ParamError};
use phantom_store::StoreError;
use phantom_types::{Domain, HostName, Timestamp};
use serde_json::{Value, json};

use crate::program::CertificateFault;
use faults::front_message;
pub use faults::{AddressFault, SourceFault};

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
        /// The server's address, if it has one of IPv4.
        server_ip: Option<Ipv4Addr>,
        /// The name or address that clients connect to.
        domain: HostName,
        /// The secret's beginning.
        secret: String,
        /// Since when.
        activated_at: Timestamp,
    },
    /// The name does not lead here.
    #[error("{domain} does not lead to this server")]
    Domain {
        /// The name.
        domain: Domain,
        /// The server's address, where one is stored.
        expected: Option<IpAddr>,
        /// What the name leads to.
        resolved: Vec<IpAddr>,
    },
    /// Clients cannot be served at this address.
    #[error("Ghost Mode is not served at {address}")]
    Address {
        /// The address.
        address: IpAddr,
        /// What is wrong with it.
        fault: AddressFault,
        /// Addresses that could be taken.
        allowed: Vec<IpAddr>,
    },
    /// This system has no such group.
    #[error("there is no group {group}")]
    NoGroup {
        /// Its name.
        group: String,
    },
    /// Two parameters exclude each other.
    #[error("{parameter} does not go together with {with}")]
    Together {
        /// The one that is to be left out.
        parameter: &'static str,
        /// The other one.
        with: &'static str,
    },
    /// The web server that strangers are to be shown is the tunnel itself, or the web server in front of it.
    #[error("strangers would be handed from {decoy} to the tunnel and back")]
    DecoyRound {
        /// It, as it was given.
        decoy: String,
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
        step: GhostStep,
        /// Why.
        #[source]
        source: Box<HostFailure>,
        /// Host and state are as before.
        rolled_back: bool,
    },
    /// The web server in front does not lead to the tunnel after all is done.
    #[error("the web server on TCP port {} does not lead to the tunnel: {detail}", .front.public_port)]
    Front {
        /// Where it was to lead.
        front: Front,
        /// Why, without secrets.
        detail: String,
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

/// What a change was doing; the word of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GhostStep {
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

impl std::fmt::Display for GhostStep {
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
    pub(crate) fn host(step: GhostStep, source: HostError) -> Self {
        Self::Change { step, source: Box::new(source.into()), rolled_back: true }
    }
    /// The causes as one text.
    fn detail(&self, lang: Lang) -> String {
        match self {
            Self::NotServing { detail, .. } | Self::Front { detail, .. } => {
                phantom_words::of_program(detail, lang)
            }
            Self::Certificate { fault, .. } => phantom_words::of_program(&fault.detail, lang),
            Self::Change { source, .. } => explain(&**source, lang),
            _ => String::new(),
        }
    }
}

/// What fails on the host in the middle of a change of this module is a failure of Ghost Mode.
impl From<EngineError> for GhostError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Host { source, rolled_back, .. } => {
                Self::Change { step: GhostStep::Host, source, rolled_back }
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
            Self::Change { rolled_back, .. }
            | Self::NotServing { rolled_back, .. }
            | Self::Front { rolled_back, .. } => {
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
            Self::Domain { .. } | Self::Address { .. } | Self::NoGroup { .. } | Self::DecoySource { .. } => {
                "VALIDATION_ERROR"
            }
            Self::Together { .. } | Self::DecoyRound { .. } => "INVALID_PARAMETER",
            Self::NoResolver | Self::ResolverFailed { .. } => "NETWORK_ERROR",
            Self::PortInUse { .. } => "PORT_IN_USE",
            Self::Certificate { .. } => "CERTIFICATE_ERROR",
            Self::Change { .. } | Self::NotServing { .. } | Self::Front { .. } => "GHOST_MODE_ERROR",
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
                faults::domain_message(lang, domain, *expected, resolved)
            }
            Self::Address { address, fault, allowed } => fault.message(lang, *address, allowed),
            Self::DecoySource { address, fault, allowed } => fault.message(lang, *address, allowed),
            Self::NoGroup { group } => faults::group_message(lang, group),
            Self::Together { parameter, with } => faults::together_message(lang, parameter, with),
            Self::DecoyRound { decoy } => faults::round_message(lang, decoy),
            Self::Front { front, .. } => front_message(lang, front, &self.detail(lang)),
            Self::NoResolver => {
                lang.pick("No DNS resolver answered", "Hiçbir DNS çözümleyici yanıt vermedi").to_owned()
            }
            Self::ResolverFailed { domain, rcode } => faults::resolver_message(lang, domain, rcode),
            Self::PortInUse { port } if en => format!("Port {port}/tcp is already in use"),
            Self::PortInUse { port } => format!("{port}/tcp portu kullanımda"),
            Self::Certificate { source, .. } => {
                let detail = self.detail(lang);
                if en {
                    format!("No usable certificate ({source}): {detail}")
                } else {
                    format!("Kullanılabilir sertifika yok ({source}): {detail}")
                }
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
            Self::Parameter(error) => return error.data_in(lang),
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
            Self::Address { address, fault, allowed } => json!({
                "parameter": "domain", "address": address, "reason": fault.as_str(), "allowed": allowed,
            }),
            Self::NoGroup { group } => json!({ "parameter": "listen_group", "group": group }),
            Self::Together { parameter, with } => json!({ "parameter": parameter, "with": with }),
            Self::DecoyRound { decoy } => json!({ "parameter": "decoy", "decoy": decoy }),
            Self::PortInUse { port } => json!({ "port": port, "protocol": "tcp" }),
            Self::Certificate { source, .. } => json!({ "source": source, "detail": self.detail(lang) }),
            Self::Change { rolled_back, .. }
            | Self::NotServing { rolled_back, .. }
            | Self::Front { rolled_back, .. } => json!({
                "step": self.step().to_string(), "detail": self.detail(lang), "rolled_back": rolled_back,
            }),
        })
    }
}

impl GhostError {
    fn step(&self) -> GhostStep {
        match self {
            Self::Change { step, .. } => *step,
            _ => GhostStep::Verify,
        }
    }
}
