//! Headings and fixed sentences of the help, in both languages.

use phantom_module::{Lang, ParameterKind, Text};

/// Said where the signals that ask the program to end cannot be handled.
pub(crate) const SIGNALS: Text =
    Text { en: "a signal will end a change in the middle", tr: "bir sinyal değişikliği yarıda kesecek" };
/// Said where standard output did not take all of a text.
pub(crate) const TEXT_LOST: Text =
    Text { en: "the text could not be written completely", tr: "metnin tamamı yazılamadı" };
/// The same of an answer that changed nothing: it can be asked for again.
pub(crate) const ANSWER_LOST: Text =
    Text { en: "the answer could not be written completely", tr: "yanıtın tamamı yazılamadı" };
/// The same of a change: it is made, and must not be asked for again only because its answer is missing.
pub(crate) const DONE_ANSWER_LOST: Text = Text {
    en: "the change is made, but its answer could not be written completely",
    tr: "değişiklik yapıldı, ancak yanıtının tamamı yazılamadı",
};

/// Headings.
pub(crate) struct Headings {
    pub(crate) usage: &'static str,
    pub(crate) modules: &'static str,
    pub(crate) actions: &'static str,
    pub(crate) parameters: &'static str,
    pub(crate) options: &'static str,
    pub(crate) examples: &'static str,
    pub(crate) errors: &'static str,
    pub(crate) required: &'static str,
    pub(crate) default: &'static str,
    pub(crate) none: &'static str,
    pub(crate) answer: &'static str,
    pub(crate) changes: &'static str,
    pub(crate) environment: &'static str,
    pub(crate) status: &'static str,
}

/// The headings in one language.
pub(crate) const fn headings(lang: Lang) -> Headings {
    match lang {
        Lang::En => Headings {
            usage: "Usage",
            modules: "Modules",
            actions: "Actions",
            parameters: "Parameters",
            options: "Options",
            examples: "Examples",
            errors: "Errors",
            required: "required",
            default: "default",
            none: "none",
            answer: "Answer",
            changes: "changes the system",
            environment: "Environment",
            status: "Exit status",
        },
        Lang::Tr => Headings {
            usage: "Kullanım",
            modules: "Modüller",
            actions: "Eylemler",
            parameters: "Parametreler",
            options: "Seçenekler",
            examples: "Örnekler",
            errors: "Hatalar",
            required: "zorunlu",
            default: "varsayılan",
            none: "yok",
            answer: "Yanıt",
            changes: "sistemi değiştirir",
            environment: "Ortam değişkenleri",
            status: "Çıkış durumu",
        },
    }
}

/// The options of the command with what they mean.
pub(crate) const OPTIONS: [(&str, &str, &str); 6] = [
    ("--help, -h", "help for what is named so far", "yazılan modül veya eylem için yardım"),
    ("--version", "version of the program and of the API", "programın ve API'nin sürümü"),
    ("--compact", "the JSON answer on one line", "JSON yanıtı tek satırda"),
    ("--lang en|tr", "language of this call", "bu çağrının dili"),
    (
        "--root DIR",
        "install directory (default /opt/phantom-wg)",
        "kurulum dizini (varsayılan /opt/phantom-wg)",
    ),
    (
        "--json OBJECT|-",
        "parameters as a JSON object, inline or from standard input",
        "parametreler JSON nesnesi olarak, doğrudan veya standart girdiden",
    ),
];

/// The variables that the command reads.
pub(crate) const VARIABLES: [(&str, &str, &str); 2] = [
    ("PHANTOM_LANG", "language, as --lang", "dil, --lang gibi"),
    ("PHANTOM_ROOT", "install directory, as --root", "kurulum dizini, --root gibi"),
];

/// The exit statuses of the command.
pub(crate) const STATUSES: [(&str, &str, &str); 4] = [
    ("0", "success", "başarılı"),
    ("1", "the answer is an error", "yanıt bir hatadır"),
    ("2", "it is not clear what to do", "ne yapılacağı belli değil"),
    (
        "3",
        "it is done, but standard output did not take all of the answer",
        "işlem yapıldı, ancak yanıtın tamamı standart çıktıya yazılamadı",
    ),
];

/// Codes that every action can raise.
pub(crate) const COMMON_ERRORS: [&str; 5] =
    ["MISSING_PARAMETER", "INVALID_PARAMETER", "PERMISSION_DENIED", NOT_INITIALIZED, "CONFIG_ERROR"];

/// The code of a system that has never been set up.
pub(crate) const NOT_INITIALIZED: &str = "NOT_INITIALIZED";

/// The code that every changing action can raise beside them.
pub(crate) const CHANGE_ERROR: &str = "STATE_LOCKED";

/// What a kind allows, in words.
pub(crate) fn limits(kind: &ParameterKind, lang: Lang) -> String {
    match kind {
        ParameterKind::Integer { minimum, maximum } => format!("{minimum}–{maximum}"),
        ParameterKind::ClientName => lang
            .pick(
                "1–50 of A-Z a-z 0-9 _ -, not - first",
                "A-Z a-z 0-9 _ - karakterlerinden 1–50, - ile başlamaz",
            )
            .to_owned(),
        ParameterKind::ClientLookup => lang.pick("the stored name", "kayıtlı isim").to_owned(),
        ParameterKind::Name => {
            lang.pick("1–50 of A-Z a-z 0-9 _ -", "A-Z a-z 0-9 _ - karakterlerinden 1–50").to_owned()
        }
        ParameterKind::Interface => lang
            .pick(
                "1–15 of A-Z a-z 0-9 _ -, a letter first",
                "A-Z a-z 0-9 _ - karakterlerinden 1–15, harfle başlar",
            )
            .to_owned(),
        ParameterKind::Boolean => "true false 1 0 yes no on off".to_owned(),
        ParameterKind::Choice(words) => words.join(" | "),
        ParameterKind::Cidr4 => {
            lang.pick("a.b.c.d/n, host bits zero", "a.b.c.d/n, ana makine bitleri sıfır").to_owned()
        }
        ParameterKind::List(of) => format!("{} × {}", lang.pick("at most 64", "en fazla 64"), of.expected()),
        ParameterKind::Text => lang.pick("at most 255 characters", "en fazla 255 karakter").to_owned(),
        ParameterKind::OrNone(of) => {
            let none = lang.pick("or none", "veya none");
            format!("{} {none}", limits(of, lang)).trim_start().to_owned()
        }
        ParameterKind::Ip
        | ParameterKind::Ipv4
        | ParameterKind::Ipv6
        | ParameterKind::Domain
        | ParameterKind::Host
        | ParameterKind::Path
        | ParameterKind::Any => String::new(),
    }
}
