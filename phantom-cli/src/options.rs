//! The command line and the environment of `phantom-wg`.

use std::ffi::OsString;

use phantom_api::{API_VERSION, Lang};

/// What was typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CliOptions {
    /// `--lang`.
    pub lang: Option<Lang>,
    /// `--no-color`.
    pub no_color: bool,
    /// `--help`.
    pub help: bool,
    /// `--version`.
    pub version: bool,
}

impl CliOptions {
    /// Reads the words behind the program's name.
    ///
    /// # Errors
    /// The word that is no option of this program.
    pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let mut options = Self::default();
        let mut words = words.into_iter().map(|word| word.to_string_lossy().into_owned());
        while let Some(word) = words.next() {
            match word.as_str() {
                "--no-color" => options.no_color = true,
                "--help" | "-h" => options.help = true,
                "--version" => options.version = true,
                _ => {
                    let value = match word.split_once('=') {
                        Some(("--lang", value)) => Some(value.to_owned()),
                        None if word == "--lang" => words.next(),
                        _ => None,
                    };
                    options.lang = Some(value.and_then(|value| value.parse().ok()).ok_or(word)?);
                }
            }
        }
        Ok(options)
    }
}

/// One line on how to call it.
pub fn usage(lang: Lang) -> &'static str {
    lang.pick(
        "Usage: phantom-wg [--lang en|tr] [--no-color] [--help] [--version]\n",
        "Kullanım: phantom-wg [--lang en|tr] [--no-color] [--help] [--version]\n",
    )
}

/// The text of `--help`.
pub fn help(lang: Lang) -> String {
    let body = lang.pick(
        "The full-screen interface of Phantom-WG: clients, QR codes, DNS, Ghost Mode, Multihop.\n\
         Needs root and a terminal. Keys are shown on the last line; ? explains a screen.\n\n\
         \x20 --lang en|tr   language\n\
         \x20 --no-color     without colours, as with NO_COLOR\n\
         \x20 --help, -h     this text\n\
         \x20 --version      the version\n\n\
         PHANTOM_LANG chooses the language, PHANTOM_ROOT the install directory. Whether lines and signs are\n\
         drawn in UTF-8 or in ASCII follows from LC_ALL, LC_CTYPE and LANG.\n",
        "Phantom-WG'nin tam ekran arayüzü: istemciler, QR kodları, DNS, Ghost Mode, Multihop.\n\
         Root yetkisi ve terminal gerektirir. Tuşlar son satırda görünür; ? ekranı açıklar.\n\n\
         \x20 --lang en|tr   dil\n\
         \x20 --no-color     renksiz, NO_COLOR ile olduğu gibi\n\
         \x20 --help, -h     bu metin\n\
         \x20 --version      sürüm\n\n\
         PHANTOM_LANG dili, PHANTOM_ROOT kurulum dizinini belirler. Çizgi ve işaretlerin UTF-8 mi ASCII mi\n\
         olacağı LC_ALL, LC_CTYPE ve LANG değişkenlerine bağlıdır.\n",
    );
    format!("{}\n{body}", usage(lang))
}

/// The line of `--version`.
pub fn version() -> String {
    format!("phantom-wg {} ({API_VERSION})\n", env!("CARGO_PKG_VERSION"))
}

/// Whether the locale of these variables (in the order in which they count) is a UTF-8 one.
pub fn is_utf8<'a>(variables: impl IntoIterator<Item = Option<&'a str>>) -> bool {
    let locale = variables.into_iter().flatten().find(|value| !value.is_empty());
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<CliOptions, String> {
        CliOptions::parse(words.split_whitespace().map(OsString::from))
    }

    #[test]
    fn options_are_those_of_the_specification() {
        assert_eq!(parse(""), Ok(CliOptions::default()));
        assert_eq!(parse("--lang tr").unwrap().lang, Some(Lang::Tr));
        assert_eq!(
            parse("--lang=en --no-color").unwrap(),
            CliOptions { lang: Some(Lang::En), no_color: true, ..CliOptions::default() }
        );
        for wrong in ["--lang", "--lang de", "--lang=", "core", "--no-color=1", "-v"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_first_variable_that_is_set_decides() {
        assert!(is_utf8([None, Some(""), Some("tr_TR.UTF-8")]));
        assert!(is_utf8([Some("C.utf8"), None, Some("C")]));
        assert!(!is_utf8([Some("C"), None, Some("tr_TR.UTF-8")]));
        assert!(!is_utf8([None, None, None]));
    }
}
