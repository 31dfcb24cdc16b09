//! What can go wrong with Multihop's own rules.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use ipnetwork::Ipv4Network;
use phantom_engine::{ChangeError, EngineError, HostFailure, StepKind, explain};
use phantom_host::HostError;
use phantom_module::{ErrorCode, Lang, ParamError, Text};
use phantom_store::StoreError;
use phantom_types::conf::{ConfError, ConfFault};
use phantom_types::{ExitName, Subnet};
use serde_json::{Value, json};

use crate::ExitCollision;
use crate::collision::lines;
use crate::unreadable::Unreadable;

/// What is advised when an exit and the own subnet are in each other's way.
const HINT: &str = "phantom-api core change_subnet";

/// An error of a Multihop action.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MultihopError {
    /// What can go wrong with any action.
    #[error(transparent)]
    Engine(EngineError),
    /// A parameter is beyond its limits.
    #[error(transparent)]
    Parameter(#[from] ParamError),
    /// There is no readable file of at most 64 KiB of UTF-8 at this path.
    #[error("{} is not found or not readable", .path.display())]
    File {
        /// The path, absolute.
        path: PathBuf,
        /// Why it cannot be read.
        #[source]
        source: Unreadable,
    },
    /// The file is no configuration of a WireGuard client.
    #[error("the VPN configuration is invalid")]
    Content(#[source] ConfError),
    /// The name of an exit is taken.
    #[error("an exit named '{exit}' exists")]
    Exists {
        /// The name.
        exit: ExitName,
    },
    /// What `probe` names is nobody who could be asked.
    #[error("probe must be an IPv4 address or off")]
    Probe,
    /// A question to what `probe` names does not go through the exit.
    #[error("probe {address} is not behind the exit")]
    ProbeNear {
        /// The address.
        address: Ipv4Addr,
    },
    /// Nothing gives the exit a name.
    #[error("no name can be derived")]
    NoName,
    /// An address of the exit is in the way of the own subnet.
    #[error("exit address {address} overlaps the own subnet {subnet}")]
    Overlap {
        /// The address, with its prefix length.
        address: Ipv4Network,
        /// The own subnet.
        subnet: Subnet,
    },
    /// The exit has something that is this server's own, or that no exit can have.
    #[error("the exit '{exit}' collides with this server: {}", lines(.collisions, Lang::En))]
    Collides {
        /// The exit.
        exit: ExitName,
        /// What it is.
        collisions: Vec<ExitCollision>,
    },
    /// There is no exit of this name.
    #[error("there is no exit named '{exit}'")]
    NoExit {
        /// The name.
        exit: ExitName,
        /// The names that there are.
        available: Vec<ExitName>,
    },
    /// Multihop is not enabled.
    #[error("no active exit to test")]
    NothingToTest,
    /// The host did not take the change.
    #[error("Multihop change failed at step {step}")]
    Change {
        /// What was being done.
        step: MultihopStep,
        /// Why.
        #[source]
        source: Box<HostFailure>,
        /// The exit that is active again.
        restored_exit: Option<ExitName>,
        /// It was a reset, which tells what is left.
        reset: bool,
        /// Host and state are as before.
        rolled_back: bool,
    },
    /// The exit, or the way to it, is not as it has to be.
    #[error("Multihop change failed at step {step}: {}", .finding.en)]
    VerificationFailed {
        /// What was being done.
        step: MultihopStep,
        /// What was found.
        finding: Finding,
        /// The exit that is active again.
        restored_exit: Option<ExitName>,
        /// Host and state are as before.
        rolled_back: bool,
    },
    /// A file of the system cannot be written or removed.
    #[error("{} cannot be read or written", .file.display())]
    Own {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: HostError,
        /// Host and state are as before.
        rolled_back: bool,
    },
}

/// What was found missing, for the `detail` of an answer.
pub(crate) type Finding = Text;

/// What a change was doing; the word of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MultihopStep {
    /// The interface with its service, its device, its addresses.
    Interface,
    /// Routes, rules, kernel settings.
    Routing,
    /// The packet filter.
    Firewall,
    /// The exit's answer.
    Handshake,
    /// A last look at it all.
    Verify,
    /// The service that watches over it.
    Monitor,
}

impl std::fmt::Display for MultihopStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Interface => "interface",
            Self::Routing => "routing",
            Self::Firewall => "firewall",
            Self::Handshake => "handshake",
            Self::Verify => "verify",
            Self::Monitor => "monitor",
        })
    }
}

impl MultihopStep {
    /// What was being done when the host failed.
    fn from_failure(failure: &HostFailure) -> Self {
        match failure {
            HostFailure::Step(error) => match error.kind {
                StepKind::Route | StepKind::Rule | StepKind::Sysctl => Self::Routing,
                StepKind::Firewall => Self::Firewall,
                StepKind::Service if error.target.starts_with("phantom-multihop") => Self::Monitor,
                _ => Self::Interface,
            },
            HostFailure::Unverified(_) => Self::Verify,
            _ => Self::Interface,
        }
    }
}

/// What may be the matter with an exit.
const ISSUES: [Text; 4] = [
    Text { en: "VPN server unreachable", tr: "VPN sunucusuna ulaşılamıyor" },
    Text {
        en: "VPN configuration wrong or expired", tr: "VPN yapılandırması yanlış veya süresi dolmuş"
    },
    Text { en: "Outgoing UDP is blocked", tr: "Giden UDP engelleniyor" },
    Text { en: "Server clock is wrong", tr: "Sunucu saati yanlış" },
];

/// The error of an answer about a file of the operator's.
const VPN_CONFIG_ERROR: &str = "VPN_CONFIG_ERROR";

impl MultihopError {
    /// A change that the host did not take.
    pub(crate) fn change(error: EngineError) -> Self {
        match error {
            EngineError::Host { source, .. } => Self::Change {
                step: MultihopStep::from_failure(&source),
                source,
                restored_exit: None,
                reset: false,
                rolled_back: true,
            },
            other => Self::Engine(other),
        }
    }
    /// A single request that the host refused.
    pub(crate) fn host(step: MultihopStep, error: HostError) -> Self {
        let source = Box::new(error.into());
        Self::Change { step, source, restored_exit: None, reset: false, rolled_back: true }
    }
    /// A file of the system that cannot be written or removed.
    pub(crate) fn own(file: &Path, source: HostError) -> Self {
        Self::Own { file: file.to_owned(), source, rolled_back: true }
    }
    /// Something that was found wrong.
    pub(crate) fn found(step: MultihopStep, finding: Finding) -> Self {
        Self::VerificationFailed { step, finding, restored_exit: None, rolled_back: true }
    }
    /// The error with the exit that is active again when everything is rolled back.
    pub(crate) fn with_restored(mut self, exit: Option<ExitName>) -> Self {
        if let Self::Change { restored_exit, .. } | Self::VerificationFailed { restored_exit, .. } = &mut self
        {
            *restored_exit = exit;
        }
        self
    }
    /// The error of a whole call: what failed before its own work or after it is told in the same words.
    pub(crate) fn into_api_error(self) -> Self {
        match self {
            Self::Engine(error @ EngineError::Host { rolled_back, .. }) => {
                let mut error = Self::change(error);
                error.set_rolled_back(rolled_back);
                error
            }
            other => other,
        }
    }
    /// The error as that of a reset.
    pub(crate) fn of_reset(mut self) -> Self {
        if let Self::Change { reset, .. } = &mut self {
            *reset = true;
        }
        self
    }
    /// What could not be removed, as the host names it.
    fn left(source: &HostFailure) -> Vec<String> {
        match source {
            HostFailure::Step(error) => vec![error.target.clone()],
            HostFailure::Unverified(list) => list.split(", ").map(str::to_owned).collect(),
            _ => Vec::new(),
        }
    }
    /// The facts of a change that failed.
    fn failed_data(&self, lang: Lang) -> Value {
        let (mut data, rolled_back) = match self {
            Self::Change { step, source, reset: true, rolled_back, .. } => {
                (json!({ "step": step.to_string(), "left": Self::left(source) }), rolled_back)
            }
            Self::Change { step, restored_exit, rolled_back, .. } => {
                (failed_facts(*step, restored_exit.as_ref(), lang), rolled_back)
            }
            Self::VerificationFailed { step, finding, restored_exit, rolled_back } => {
                let mut data = failed_facts(*step, restored_exit.as_ref(), lang);
                let result = json!({ "success": false, "error": finding.get(lang) });
                match step {
                    MultihopStep::Handshake => data["handshake_result"] = result,
                    MultihopStep::Verify => data["test_result"] = result,
                    _ => {}
                }
                (data, rolled_back)
            }
            _ => return Value::Null,
        };
        if !rolled_back {
            data["rolled_back"] = false.into();
        }
        data
    }
    fn failed(step: MultihopStep, detail: &str, lang: Lang) -> String {
        match lang {
            Lang::En => format!("Multihop change failed at step {step}: {detail}"),
            Lang::Tr => format!("Multihop değişikliği {step} adımında başarısız: {detail}"),
        }
    }
    fn invalid(error: &ConfError, lang: Lang) -> String {
        let en = lang == Lang::En;
        match error {
            ConfError::Line { line, fault, .. } => {
                let detail = explain(fault, lang);
                if en {
                    format!("Invalid VPN configuration, line {line}: {detail}")
                } else {
                    format!("Geçersiz VPN yapılandırması, satır {line}: {detail}")
                }
            }
            other => {
                let key = other.key().unwrap_or_default();
                if en {
                    format!("Invalid VPN configuration: {key} is missing")
                } else {
                    format!("Geçersiz VPN yapılandırması: {key} eksik")
                }
            }
        }
    }
}

impl From<EngineError> for MultihopError {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<StoreError> for MultihopError {
    fn from(error: StoreError) -> Self {
        Self::Engine(error.into())
    }
}

impl ChangeError for MultihopError {
    fn set_rolled_back(&mut self, complete: bool) {
        match self {
            Self::Engine(error) => error.set_rolled_back(complete),
            Self::Change { restored_exit, rolled_back, .. }
            | Self::VerificationFailed { restored_exit, rolled_back, .. } => {
                *rolled_back = complete;
                restored_exit.take_if(|_| !complete);
            }
            Self::Own { rolled_back, .. } => *rolled_back = complete,
            _ => {}
        }
    }
}

impl ErrorCode for MultihopError {
    fn code(&self) -> &'static str {
        match self {
            Self::Engine(error) => error.code(),
            Self::Parameter(error) => error.code(),
            Self::File { .. }
            | Self::Content(_)
            | Self::Exists { .. }
            | Self::NoName
            | Self::Overlap { .. }
            | Self::Collides { .. } => VPN_CONFIG_ERROR,
            Self::Probe | Self::ProbeNear { .. } => "INVALID_PARAMETER",
            Self::NoExit { .. } => "EXIT_NODE_ERROR",
            Self::Own { .. } => "CONFIG_ERROR",
            Self::NothingToTest => "VALIDATION_ERROR",
            Self::Change { .. } | Self::VerificationFailed { .. } => "MULTIHOP_ERROR",
        }
    }

    fn message(&self, lang: Lang) -> String {
        let en = lang == Lang::En;
        match self {
            Self::Engine(error) => error.message(lang),
            Self::Parameter(error) => error.message(lang),
            Self::File { path, .. } => {
                let path = path.display();
                match lang {
                    Lang::En => format!("Config file not found or not readable: {path}"),
                    Lang::Tr => format!("Yapılandırma dosyası bulunamadı veya okunamıyor: {path}"),
                }
            }
            Self::Content(error) => Self::invalid(error, lang),
            Self::Exists { exit } if en => format!("Config '{exit}' already exists"),
            Self::Exists { exit } => format!("'{exit}' yapılandırması zaten var"),
            Self::Probe => lang
                .pick("probe must be an IPv4 address or off", "probe bir IPv4 adresi veya off olmalıdır")
                .to_owned(),
            Self::ProbeNear { address } if en => format!(
                "probe {address} is an address of this server or of the VPN: a question to it does not go through the exit"
            ),
            Self::ProbeNear { address } => format!(
                "probe {address} bu sunucunun veya VPN'in bir adresi: ona gönderilen soru çıkıştan geçmez"
            ),
            Self::NoName => lang
                .pick("No name can be derived: give custom_name", "Bir isim türetilemiyor: custom_name verin")
                .to_owned(),
            Self::Overlap { address, subnet } if en => format!(
                "Exit address {address} overlaps the own subnet {subnet}. Change the own subnet first: {HINT}"
            ),
            Self::Overlap { address, subnet } => format!(
                "Çıkış adresi {address} kendi subnetimiz {subnet} ile çakışıyor. Önce kendi subnetinizi değiştirin: {HINT}"
            ),
            Self::Collides { exit, collisions } if en => {
                let list = lines(collisions, lang);
                format!("VPN configuration '{exit}' collides with this server: {list}")
            }
            Self::Collides { exit, collisions } => {
                let list = lines(collisions, lang);
                format!("'{exit}' VPN yapılandırması bu sunucuyla çakışıyor: {list}")
            }
            Self::NoExit { exit, .. } if en => format!("VPN configuration '{exit}' not found"),
            Self::NoExit { exit, .. } => format!("'{exit}' VPN yapılandırması bulunamadı"),
            Self::NothingToTest => {
                lang.pick("No active VPN to test", "Test edilecek aktif VPN yok").to_owned()
            }
            Self::Change { step, source, .. } => Self::failed(*step, &explain(&**source, lang), lang),
            Self::VerificationFailed { step, finding, .. } => Self::failed(*step, finding.get(lang), lang),
            Self::Own { file, source, .. } => {
                let (file, detail) = (file.display(), explain(source, lang));
                if en {
                    format!("Cannot read or write {file}: {detail}")
                } else {
                    format!("{file} okunamıyor veya yazılamıyor: {detail}")
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
            Self::File { path, source } => unreadable_facts(path, source, lang),
            Self::Content(ConfError::Line { line, key, fault: ConfFault::OtherKind(kind) }) => {
                json!({ "line": line, "key": key, "kind": kind.word() })
            }
            Self::Content(error) => json!({ "line": error.line(), "key": error.key() }),
            Self::Exists { exit } => {
                let hint = lang
                    .pick("Give another name: custom_name=<name>", "Başka bir ad verin: custom_name=<ad>");
                json!({ "exit_name": exit, "hint": hint })
            }
            Self::Probe | Self::ProbeNear { .. } => json!({ "parameter": "probe", "expected": "ipv4" }),
            Self::NoName => json!({ "exit_name": null }),
            Self::Overlap { address, subnet } => {
                json!({ "address": address.to_string(), "subnet": subnet, "hint": HINT })
            }
            Self::Collides { exit, collisions } => {
                let list: Vec<Value> = collisions.iter().map(ExitCollision::data).collect();
                json!({ "exit_name": exit, "collisions": list })
            }
            Self::NoExit { exit, available } => json!({ "exit_name": exit, "available": available }),
            Self::NothingToTest => return None,
            Self::Change { .. } | Self::VerificationFailed { .. } => return Some(self.failed_data(lang)),
            Self::Own { file, rolled_back: true, .. } => json!({ "file": file.display().to_string() }),
            Self::Own { file, .. } => json!({ "file": file.display().to_string(), "rolled_back": false }),
        })
    }
}

/// The file, why it is not read where the message does not say it, and what it is where that is known.
fn unreadable_facts(path: &Path, source: &Unreadable, lang: Lang) -> Value {
    let mut data = json!({ "config_path": path.to_string_lossy() });
    if let Some(detail) = source.detail(lang) {
        data["detail"] = detail.into();
    }
    if let Unreadable::OtherKind(kind) = source {
        data["kind"] = kind.word().into();
    }
    data
}

fn failed_facts(step: MultihopStep, restored_exit: Option<&ExitName>, lang: Lang) -> Value {
    let issues = ISSUES.map(|issue| issue.get(lang));
    json!({ "step": step.to_string(), "restored_exit": restored_exit, "possible_issues": issues })
}
