//! What is wrong with a parameter.

use phantom_types::{DomainError, NameError, explain, shown_char};
use serde_json::{Value, json};

use crate::{ErrorCode, Lang, Text, codes};

/// A parameter that cannot be used. Nothing has been touched.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ParamError {
    /// A word that is not `key=value`.
    #[error("argument '{argument}' is not key=value")]
    Form {
        /// The word.
        argument: String,
        /// Parameters of the action.
        known: Vec<String>,
    },
    /// An option that the command does not have.
    #[error("unknown option '{option}'")]
    Option {
        /// The word.
        option: String,
    },
    /// A name that the action does not have.
    #[error("unknown parameter '{parameter}'")]
    Unknown {
        /// The name.
        parameter: String,
        /// Parameters of the action.
        known: Vec<String>,
    },
    /// A name that stands twice.
    #[error("{parameter} is given more than once")]
    Repeated {
        /// The name.
        parameter: String,
    },
    /// A required one is absent or empty.
    #[error("{parameter} is required")]
    Missing {
        /// The name.
        parameter: String,
    },
    /// It is not of its kind.
    #[error("{parameter} must be {expected}")]
    Type {
        /// The name.
        parameter: String,
        /// The kind, as `docs/contract.md` names it.
        expected: &'static str,
    },
    /// It is no name, and what is wrong with it is known.
    #[error("{parameter} must be {expected}: {cause}")]
    Unfit {
        /// The name.
        parameter: String,
        /// The kind, as `docs/contract.md` names it.
        expected: &'static str,
        /// What is wrong. Part of the message: it is no cause of its own.
        cause: Unfit,
    },
    /// It is no whole number of the range.
    #[error("{parameter} must be a whole number from {minimum} to {maximum}")]
    Range {
        /// The name.
        parameter: String,
        /// Lowest value.
        minimum: i64,
        /// Highest value.
        maximum: i64,
    },
    /// It is none of the words.
    #[error("{parameter} must be one of: {}", .allowed.join(", "))]
    Choice {
        /// The name.
        parameter: String,
        /// The words.
        allowed: Vec<String>,
    },
    /// The name of a client is unusable.
    #[error("client name: {cause}")]
    ClientName {
        /// The parameter.
        parameter: String,
        /// What was given.
        name: String,
        /// What is wrong with it. Part of the message: it is no cause of its own.
        cause: NameError,
    },
    /// It is no IPv4 subnet with its host bits zero.
    #[error("'{value}' is not an IPv4 subnet in CIDR form with host bits zero")]
    Subnet {
        /// The name.
        parameter: String,
        /// What was given.
        value: String,
    },
    /// The type of the action refuses what its declared kinds allow.
    #[error("parameters not understood: {detail}")]
    Other {
        /// What the type says.
        detail: String,
    },
}

/// What is wrong with a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unfit {
    /// With that of an exit.
    #[error(transparent)]
    Name(NameError),
    /// With that of an interface, which begins with a letter.
    #[error(transparent)]
    Interface(NameError),
    /// With that of a host.
    #[error(transparent)]
    Domain(DomainError),
}

impl Unfit {
    fn sentence(&self, lang: Lang) -> String {
        match self {
            Self::Interface(NameError::Characters { character }) => {
                let shown = shown_char(*character);
                match lang {
                    Lang::En => {
                        format!("letters, digits, '_' and '-' are allowed, a letter first (here: {shown})")
                    }
                    Lang::Tr => {
                        format!(
                            "harf, rakam, '_' ve '-' kullanılabilir, harfle başlamalıdır (burada: {shown})"
                        )
                    }
                }
            }
            Self::Name(error) | Self::Interface(error) => name_error(error, lang),
            Self::Domain(error) => explain(error, lang),
        }
    }
}

fn name_error(error: &NameError, lang: Lang) -> String {
    match (error, lang) {
        (NameError::Characters { character }, Lang::Tr) => format!(
            "harf, rakam, '_' ve '-' kullanılabilir, '-' ile başlayamaz (burada: {})",
            shown_char(*character)
        ),
        (NameError::Characters { character }, Lang::En) => format!(
            "letters, digits, '_' and '-' are allowed, not '-' first (here: {})",
            shown_char(*character)
        ),
        (NameError::TooLong { max }, Lang::Tr) => format!("en fazla {max} karakter"),
        (NameError::TooLong { max }, Lang::En) => format!("at most {max} characters"),
        (NameError::Empty, Lang::Tr) => "bir ad gerekir".to_owned(),
        (other, lang) => explain(other, lang),
    }
}

impl ParamError {
    /// An empty name of a client.
    pub(super) fn client_name_empty(parameter: &str) -> Self {
        Self::ClientName { parameter: parameter.to_owned(), name: String::new(), cause: NameError::Empty }
    }
}

/// How an expected kind is named in a sentence.
fn expected_text(expected: &str) -> Text {
    match expected {
        "object" => Text { en: "a JSON object", tr: "bir JSON nesnesi" },
        "boolean" => Text { en: "true or false", tr: "true veya false" },
        "ip" => Text { en: "an IP address", tr: "bir IP adresi" },
        "ipv4" => Text { en: "an IPv4 address", tr: "bir IPv4 adresi" },
        "ipv6" => Text { en: "an IPv6 address", tr: "bir IPv6 adresi" },
        "domain" => Text { en: "a domain name", tr: "bir alan adı" },
        "host" => Text { en: "a host", tr: "bir sunucu adı" },
        "path" => Text { en: "a path", tr: "bir dosya yolu" },
        "name" => Text { en: "a name", tr: "bir isim" },
        "list" => Text { en: "a list", tr: "bir liste" },
        _ => Text { en: "text", tr: "metin" },
    }
}

impl ErrorCode for ParamError {
    fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => codes::MISSING_PARAMETER,
            Self::ClientName { .. } => codes::INVALID_CLIENT_NAME,
            Self::Subnet { .. } => codes::VALIDATION_ERROR,
            Self::Form { .. }
            | Self::Option { .. }
            | Self::Unknown { .. }
            | Self::Repeated { .. }
            | Self::Type { .. }
            | Self::Unfit { .. }
            | Self::Range { .. }
            | Self::Choice { .. }
            | Self::Other { .. } => codes::INVALID_PARAMETER,
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
            Self::Form { argument, known } => json!({ "parameter": argument, "known": known }),
            Self::Option { option } => json!({ "parameter": option }),
            Self::Unknown { parameter, known } => json!({ "parameter": parameter, "known": known }),
            Self::Type { parameter, expected } | Self::Unfit { parameter, expected, .. } => {
                json!({ "parameter": parameter, "expected": expected })
            }
            Self::Range { parameter, minimum, maximum } => {
                json!({ "parameter": parameter, "minimum": minimum, "maximum": maximum })
            }
            Self::Choice { parameter, allowed } => json!({ "parameter": parameter, "allowed": allowed }),
            Self::ClientName { parameter, cause: NameError::Characters { character }, .. } => {
                let shown = shown_char(*character);
                let hint = match lang {
                    Lang::En => format!("Write the name without this character: {shown}"),
                    Lang::Tr => format!("Adı şu karakter olmadan yazın: {shown}"),
                };
                json!({ "parameter": parameter, "character": shown, "hint": hint })
            }
            Self::Repeated { parameter }
            | Self::Missing { parameter }
            | Self::ClientName { parameter, .. }
            | Self::Subnet { parameter, .. } => json!({ "parameter": parameter }),
            Self::Other { .. } => return None,
        })
    }
}

impl ParamError {
    fn english(&self) -> String {
        match self {
            Self::Form { argument, .. } => format!("Argument '{argument}' is not key=value"),
            Self::Option { option } => format!("Unknown option '{option}'"),
            Self::Unknown { parameter, known } => {
                format!("Unknown parameter '{parameter}'. Known parameters: {}", known.join(", "))
            }
            Self::Repeated { parameter } => format!("{parameter} is given more than once"),
            Self::Missing { parameter } => format!("{parameter} is required"),
            Self::Type { parameter, expected } => {
                format!("{parameter} must be {}", expected_text(expected).en)
            }
            Self::Unfit { parameter, expected, cause } => {
                format!("{parameter} must be {}: {}", expected_text(expected).en, cause.sentence(Lang::En))
            }
            Self::Range { parameter, minimum, maximum } => {
                format!("{parameter} must be a whole number from {minimum} to {maximum}")
            }
            Self::Choice { parameter, allowed } => {
                format!("{parameter} must be one of: {}", allowed.join(", "))
            }
            Self::ClientName { cause: NameError::Empty, .. } => "Client name is required".to_owned(),
            Self::ClientName { cause: NameError::TooLong { max }, .. } => {
                format!("Client name is too long: at most {max} characters")
            }
            Self::ClientName { name, .. } => format!(
                "Client name '{name}' contains invalid characters: letters, digits, '_' and '-' are allowed, not '-' first"
            ),
            Self::Subnet { value, .. } => {
                format!(
                    "'{value}' is not an IPv4 subnet in CIDR form with host bits zero (example: 10.8.0.0/24)"
                )
            }
            Self::Other { detail } => format!("Parameters not understood: {detail}"),
        }
    }

    fn turkish(&self) -> String {
        match self {
            Self::Form { argument, .. } => format!("'{argument}' argümanı anahtar=değer biçiminde değil"),
            Self::Option { option } => format!("Bilinmeyen seçenek '{option}'"),
            Self::Unknown { parameter, known } => {
                format!("Bilinmeyen parametre '{parameter}'. Bilinen parametreler: {}", known.join(", "))
            }
            Self::Repeated { parameter } => format!("{parameter} birden fazla verilmiş"),
            Self::Missing { parameter } => format!("{parameter} zorunludur"),
            Self::Type { parameter, expected } => {
                format!("{parameter} {} olmalıdır", expected_text(expected).tr)
            }
            Self::Unfit { parameter, expected, cause } => {
                format!("{parameter} {} olmalıdır: {}", expected_text(expected).tr, cause.sentence(Lang::Tr))
            }
            Self::Range { parameter, minimum, maximum } => {
                format!("{parameter} {minimum} ile {maximum} arasında bir tam sayı olmalıdır")
            }
            Self::Choice { parameter, allowed } => {
                format!("{parameter} şunlardan biri olmalıdır: {}", allowed.join(", "))
            }
            Self::ClientName { cause: NameError::Empty, .. } => "İstemci adı zorunludur".to_owned(),
            Self::ClientName { cause: NameError::TooLong { max }, .. } => {
                format!("İstemci adı çok uzun: en fazla {max} karakter")
            }
            Self::ClientName { name, .. } => format!(
                "'{name}' istemci adı geçersiz karakterler içeriyor: harf, rakam, '_' ve '-' kullanılabilir, '-' ile başlayamaz"
            ),
            Self::Subnet { value, .. } => {
                format!(
                    "'{value}' ana makine bitleri sıfır olan, CIDR biçiminde bir IPv4 subneti değil (örnek: 10.8.0.0/24)"
                )
            }
            Self::Other { detail } => format!("Parametreler anlaşılamadı: {detail}"),
        }
    }
}
