//! The two languages. A language is an argument, never a global.

use std::fmt;
use std::str::FromStr;

/// A language of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// Turkish.
    Tr,
}

impl Lang {
    /// The language of a locale name: `tr`, `tr_TR.UTF-8`, `en_US` … `None` for any other.
    pub fn of_locale(name: &str) -> Option<Self> {
        match name.split(['_', '.', '-', '@']).next()?.to_ascii_lowercase().as_str() {
            "en" => Some(Self::En),
            "tr" => Some(Self::Tr),
            _ => None,
        }
    }
    /// That `PHANTOM_LANG` is no locale of a language that there is. It is said in the language that counts instead.
    pub fn unknown_locale(self, name: &str) -> String {
        let unknown = self.pick("is not known", "bilinmiyor");
        format!("PHANTOM_LANG {name:?} {unknown}: en, tr")
    }
    /// `en` or `tr`.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Tr => "tr",
        }
    }
    /// The one of two texts that is in this language.
    pub const fn pick<T: Copy>(self, en: T, tr: T) -> T {
        match self {
            Self::En => en,
            Self::Tr => tr,
        }
    }
}

impl FromStr for Lang {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "en" => Ok(Self::En),
            "tr" => Ok(Self::Tr),
            _ => Err(()),
        }
    }
}

impl fmt::Display for Lang {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tag())
    }
}

/// A sentence in every language the project speaks, side by side where it is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    /// English.
    pub en: &'static str,
    /// Turkish.
    pub tr: &'static str,
}

impl Text {
    /// The sentence in one language.
    pub const fn get(self, lang: Lang) -> &'static str {
        lang.pick(self.en, self.tr)
    }
}
