//! What can go wrong with Core's own rules.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use phantom_engine::{ChangeError, EngineError};
use phantom_host::HostError;
use phantom_module::{ErrorCode, Lang, ParamError, Text};
use phantom_store::StoreError;
use phantom_types::{ClientName, Spoken as _, Subnet};
use serde_json::{Value, json};

use crate::actions::StepReport;
use crate::own_address::Taken;
use crate::subnet_check::Checks;

/// An error of a Core action.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CoreError {
    /// What can go wrong with any action.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A parameter that depends on another one is not of its type.
    #[error(transparent)]
    Parameter(#[from] ParamError),
    /// The name is taken, compared without case.
    #[error("client '{name}' already exists")]
    ClientExists {
        /// The stored name.
        name: ClientName,
    },
    /// There is no such client.
    #[error("client '{name}' not found")]
    ClientNotFound {
        /// What was asked for; it need not be a valid name.
        name: String,
    },
    /// Every address is taken.
    #[error("no available address in {subnet}")]
    NoAddress {
        /// The subnet.
        subnet: Subnet,
        /// Its clients.
        clients: u32,
    },
    /// The IPv6 address that was chosen belongs to somebody else.
    #[error("{address} is the address of client '{holder}'")]
    AddressTaken {
        /// The address.
        address: Ipv6Addr,
        /// Who has it.
        holder: ClientName,
    },
    /// The client keeps its private key to itself, so that its configuration cannot be written.
    #[error("the private key of client '{name}' is not stored")]
    NoPrivateKey {
        /// The client.
        name: ClientName,
    },
    /// There is no such setting.
    #[error("invalid setting: {setting}")]
    UnknownSetting {
        /// What was asked for.
        setting: String,
        /// The settings there are.
        valid: Vec<&'static str>,
    },
    /// `confirm=true` was not given.
    #[error("changing the subnet needs confirm=true")]
    NotConfirmed,
    /// The new subnet is not acceptable.
    #[error("subnet change is not possible")]
    SubnetRefused {
        /// Why, in the language of the call.
        errors: Vec<String>,
        /// What else should be known.
        warnings: Vec<String>,
        /// The checks one by one.
        checks: Box<Checks>,
    },
    /// The subnet change failed after it began.
    #[error("subnet change failed at step {step}")]
    SubnetChange {
        /// Folder of the backup.
        backup_id: String,
        /// What was being done.
        step: &'static str,
        /// Host and state are as before.
        rolled_back: bool,
        /// Why.
        #[source]
        source: Box<EngineError>,
    },
    /// `use_ipv6` without a stored IPv6 address of the server.
    #[error("no IPv6 address is stored for this server")]
    NoIpv6,
    /// The host has no public address to derive `server_ip` from.
    #[error("no public IPv4 address found on this host")]
    NoPublicAddress,
    /// Setup cannot change this on an initialised system.
    #[error("{parameter} cannot be changed by setup (now {current})")]
    SetupConflict {
        /// The parameter.
        parameter: &'static str,
        /// The value in force.
        current: String,
        /// What to do instead.
        hint: SetupHint,
    },
    /// The subnet given to setup is unusable.
    #[error("the subnet is not usable")]
    SetupSubnet {
        /// Why, in the language of the call.
        errors: Vec<String>,
    },
    /// The address that setup is given for the server is no address on the Internet.
    #[error("{}", .taken.sentence(parameter, *address, Lang::En))]
    AddressTakenElsewhere {
        /// The parameter that names it.
        parameter: &'static str,
        /// The address.
        address: IpAddr,
        /// Whose it is.
        taken: Taken,
    },
    /// Something foreign stands where something of ours belongs.
    #[error("{object} exists and does not belong to this system")]
    Foreign {
        /// What.
        object: String,
        /// The parameter that asks for the place.
        parameter: &'static str,
    },
    /// Another program listens on the WireGuard port.
    #[error("UDP port {port} is already in use")]
    PortInUse {
        /// The port.
        port: u16,
    },
    /// A step of a reconcile failed; those before it stay.
    #[error("reconcile stopped at a step")]
    Reconcile {
        /// Every step with its result.
        steps: Vec<StepReport>,
        /// Why it stopped.
        #[source]
        source: EngineError,
    },
}

/// What a person does instead of changing something by setup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetupHint {
    /// Another action changes the subnet.
    ChangeSubnet,
    /// What other modules build upon it must be off first: these, as what somebody disables.
    DisableFirst(Vec<Text>),
    /// It stays as it is.
    Fixed,
}

impl SetupHint {
    fn text(&self, lang: Lang) -> Cow<'static, str> {
        match self {
            Self::ChangeSubnet => lang
                .pick("use: phantom-api core change_subnet", "kullanın: phantom-api core change_subnet")
                .into(),
            Self::DisableFirst(features) => {
                let features = enumerated(features, lang);
                match lang {
                    Lang::En => format!("disable {features} first"),
                    Lang::Tr => format!("önce {features} devre dışı bırakın"),
                }
                .into()
            }
            Self::Fixed => lang.pick("it is fixed at the first setup", "ilk kurulumda belirlenir").into(),
        }
    }
}

/// `a, b and c`.
fn enumerated(texts: &[Text], lang: Lang) -> String {
    let texts: Vec<&str> = texts.iter().map(|text| text.get(lang)).collect();
    let Some((last, others)) = texts.split_last() else { return String::new() };
    if others.is_empty() {
        (*last).to_owned()
    } else {
        format!("{} {} {last}", others.join(", "), lang.pick("and", "ve"))
    }
}

impl From<StoreError> for CoreError {
    fn from(error: StoreError) -> Self {
        Self::Engine(error.into())
    }
}

impl ChangeError for CoreError {
    fn set_rolled_back(&mut self, complete: bool) {
        match self {
            Self::Engine(error) => error.set_rolled_back(complete),
            Self::SubnetChange { rolled_back, .. } => *rolled_back = complete,
            _ => {}
        }
    }
}

impl ErrorCode for CoreError {
    fn code(&self) -> &'static str {
        match self {
            Self::Engine(error) => error.code(),
            Self::Parameter(error) => error.code(),
            Self::ClientExists { .. } => "CLIENT_EXISTS",
            Self::ClientNotFound { .. } => "CLIENT_NOT_FOUND",
            Self::NoAddress { .. } | Self::AddressTaken { .. } => "IP_ALLOCATION_ERROR",
            Self::UnknownSetting { .. }
            | Self::NotConfirmed
            | Self::SubnetRefused { .. }
            | Self::SetupConflict { .. }
            | Self::SetupSubnet { .. }
            | Self::AddressTakenElsewhere { .. }
            | Self::Foreign { .. } => "VALIDATION_ERROR",
            Self::SubnetChange { .. } => "NETWORK_ERROR",
            Self::NoIpv6 | Self::NoPrivateKey { .. } => "CONFIG_ERROR",
            Self::NoPublicAddress => "MISSING_PARAMETER",
            Self::PortInUse { .. } => "PORT_IN_USE",
            Self::Reconcile { .. } => "SERVICE_OPERATION_FAILED",
        }
    }

    fn message(&self, lang: Lang) -> String {
        match lang {
            Lang::En => self.english(),
            Lang::Tr => self.turkish(),
        }
    }

    fn data(&self) -> Option<Value> {
        self.data_in(Lang::En)
    }

    fn data_in(&self, lang: Lang) -> Option<Value> {
        Some(match self {
            Self::Engine(error) => return error.data_in(lang),
            Self::Parameter(error) => return error.data_in(lang),
            Self::ClientExists { name } => json!({ "client_name": name }),
            Self::ClientNotFound { name } => json!({ "client_name": name }),
            Self::NoAddress { subnet, clients } => {
                json!({ "subnet": subnet, "usable_ips": subnet.usable(), "clients": clients })
            }
            Self::AddressTaken { address, holder } => json!({ "address": address, "client_name": holder }),
            Self::NoPrivateKey { name } => json!({ "setting": "client.private_key", "client_name": name }),
            Self::UnknownSetting { setting, valid } => json!({ "setting": setting, "valid_settings": valid }),
            Self::NotConfirmed => json!({ "parameter": "confirm" }),
            Self::SubnetRefused { errors, warnings, checks } => {
                json!({ "errors": errors, "warnings": warnings, "checks": checks })
            }
            Self::SubnetChange { backup_id, step, rolled_back, .. } => {
                json!({ "backup_id": backup_id, "rolled_back": rolled_back, "step": step })
            }
            Self::NoIpv6 => json!({ "setting": "server.ipv6" }),
            Self::NoPublicAddress => json!({ "parameter": "server_ip" }),
            Self::SetupConflict { parameter, current, .. } => {
                json!({ "parameter": parameter, "current": current })
            }
            Self::SetupSubnet { errors } => json!({ "parameter": "subnet", "errors": errors }),
            Self::AddressTakenElsewhere { parameter, address, .. } => {
                json!({ "parameter": parameter, "address": address })
            }
            Self::Foreign { object, parameter } => json!({ "parameter": parameter, "current": object }),
            Self::PortInUse { port } => json!({ "port": port, "protocol": "udp" }),
            Self::Reconcile { steps, source } => json!({
                "operation": "reconcile", "detail": source.detail(lang), "rolled_back": false, "steps": steps
            }),
        })
    }
}

impl CoreError {
    /// That a client is not there.
    pub(crate) fn not_found(name: &str) -> Self {
        Self::ClientNotFound { name: name.to_owned() }
    }

    fn english(&self) -> String {
        match self {
            Self::ClientExists { name } => format!("Client '{name}' already exists"),
            Self::ClientNotFound { name } => format!("Client '{name}' not found"),
            Self::NoAddress { subnet, .. } => format!("No available IP addresses in subnet {subnet}"),
            Self::AddressTaken { address, holder } => {
                format!("{address} is the address of client '{holder}'")
            }
            Self::NoPrivateKey { name } => format!(
                "The private key of client '{name}' is not stored on this server: its configuration cannot be exported"
            ),
            Self::UnknownSetting { setting, valid } => {
                format!("Invalid setting: {setting}. Valid settings: {}", valid.join(", "))
            }
            Self::NotConfirmed => "Changing the subnet needs confirm=true".to_owned(),
            Self::SubnetRefused { errors, .. } => {
                format!("Subnet change is not possible: {}", errors.join("\n"))
            }
            Self::SetupSubnet { errors } => {
                format!("The server cannot be set up with this subnet: {}", errors.join("\n"))
            }
            Self::SubnetChange { backup_id, rolled_back: false, .. } => {
                format!("Subnet change failed and could not be rolled back. Backup: {backup_id}")
            }
            Self::SubnetChange { step, source, .. } => {
                format!(
                    "Subnet change failed at step {step} and was rolled back: {}",
                    source.detail(Lang::En)
                )
            }
            Self::NoIpv6 => "No IPv6 address is stored for this server".to_owned(),
            Self::NoPublicAddress => "No public IPv4 address found on this host: give server_ip".to_owned(),
            Self::SetupConflict { parameter, current, hint } => {
                format!("{parameter} cannot be changed by setup (now {current}); {}", hint.text(Lang::En))
            }
            Self::Foreign { object, .. } => foreign(object).to_string(),
            Self::PortInUse { port } => format!("Port {port}/udp is already in use"),
            Self::Engine(error) | Self::Reconcile { source: error, .. } => error.message(Lang::En),
            Self::Parameter(error) => error.message(Lang::En),
            Self::AddressTakenElsewhere { parameter, address, taken } => {
                taken.sentence(parameter, *address, Lang::En)
            }
        }
    }

    fn turkish(&self) -> String {
        match self {
            Self::ClientExists { name } => format!("'{name}' istemcisi zaten var"),
            Self::ClientNotFound { name } => format!("'{name}' istemcisi bulunamadı"),
            Self::NoAddress { subnet, .. } => format!("{subnet} subnetinde boş IP adresi yok"),
            Self::AddressTaken { address, holder } => {
                format!("{address} adresi '{holder}' istemcisinin adresidir")
            }
            Self::NoPrivateKey { name } => format!(
                "'{name}' istemcisinin özel anahtarı bu sunucuda kayıtlı değil: yapılandırması dışa aktarılamaz"
            ),
            Self::UnknownSetting { setting, valid } => {
                format!("Geçersiz ayar: {setting}. Geçerli ayarlar: {}", valid.join(", "))
            }
            Self::NotConfirmed => "Subnet değişikliği için confirm=true gerekir".to_owned(),
            Self::SubnetRefused { errors, .. } => {
                format!("Subnet değiştirilemiyor: {}", errors.join("\n"))
            }
            Self::SetupSubnet { errors } => {
                format!("Sunucu bu subnetle kurulamıyor: {}", errors.join("\n"))
            }
            Self::SubnetChange { backup_id, rolled_back: false, .. } => {
                format!("Subnet değişikliği başarısız oldu ve geri alınamadı. Yedek: {backup_id}")
            }
            Self::SubnetChange { step, source, .. } => {
                format!(
                    "Subnet değişikliği {step} adımında başarısız oldu ve geri alındı: {}",
                    source.detail(Lang::Tr)
                )
            }
            Self::NoIpv6 => "Bu sunucu için kayıtlı IPv6 adresi yok".to_owned(),
            Self::NoPublicAddress => "Bu sunucuda genel IPv4 adresi bulunamadı: server_ip verin".to_owned(),
            Self::SetupConflict { parameter, current, hint } => {
                format!("{parameter} setup ile değiştirilemez (şu an {current}); {}", hint.text(Lang::Tr))
            }
            Self::Foreign { object, .. } => foreign(object).turkish(),
            Self::PortInUse { port } => format!("{port}/udp portu kullanımda"),
            Self::Engine(error) | Self::Reconcile { source: error, .. } => error.message(Lang::Tr),
            Self::Parameter(error) => error.message(Lang::Tr),
            Self::AddressTakenElsewhere { parameter, address, taken } => {
                taken.sentence(parameter, *address, Lang::Tr)
            }
        }
    }
}

/// What the host says of something that is somebody else's.
fn foreign(object: &str) -> HostError {
    HostError::Foreign { object: object.to_owned() }
}

/// The address as text, or a word for none, as the API has it.
pub(crate) fn address_text(address: Option<Ipv4Addr>) -> String {
    address.map_or_else(|| "unknown".to_owned(), |address| address.to_string())
}
