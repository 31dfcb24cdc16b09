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
    /// The language of a run: that of the option `--lang`, else that of the locale in `PHANTOM_LANG`, else the one that is
    /// `stored`, else English. With it comes the line that tells of a locale that is passed over, if one is.
    pub fn of_run(
        option: Option<Self>,
        locale: Option<&str>,
        stored: impl FnOnce() -> Option<Self>,
    ) -> (Self, Option<String>) {
        if let Some(lang) = option {
            return (lang, None);
        }
        let locale = locale.filter(|locale| !locale.is_empty());
        let named = locale.and_then(Self::of_locale);
        let lang = named.or_else(stored).unwrap_or_default();
        (lang, locale.filter(|_| named.is_none()).map(|locale| lang.unknown_locale(locale)))
    }
    /// That `PHANTOM_LANG` is no locale of a language that there is. It is said in the language that counts instead.
    fn unknown_locale(self, name: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn option_precedes_variable_which_precedes_store() {
        let (en, tr) = (Some(Lang::En), Some(Lang::Tr));
        for (option, locale, stored, expected) in [
            (None, None, None, Lang::En),
            (None, None, tr, Lang::Tr),
            (None, Some(""), tr, Lang::Tr),
            (None, Some("en_US.UTF-8"), tr, Lang::En),
            (None, Some("tr_TR"), None, Lang::Tr),
            (en, Some("tr"), tr, Lang::En),
            (tr, Some("de"), None, Lang::Tr),
        ] {
            assert_eq!(Lang::of_run(option, locale, || stored), (expected, None), "{option:?} {locale:?}");
        }
        let (lang, line) = Lang::of_run(None, Some("de"), || tr);
        assert_eq!((lang, line.as_deref()), (Lang::Tr, Some("PHANTOM_LANG \"de\" bilinmiyor: en, tr")));
    }
}
