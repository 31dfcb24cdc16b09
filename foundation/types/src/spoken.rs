//! What an error says to people, in both languages.
//!
//! `Display` of an error is its English, and [`Spoken::turkish`] says the same in Turkish. Both stand beside the error, and
//! the match over its variants has no arm for the rest: a variant without Turkish does not compile. A cause has to speak
//! as well, so no English gets in through one.

use std::error::Error;
use std::fmt::Display;
use std::io::{self, ErrorKind};

use serde::{Deserialize, Serialize};

use crate::{Lang, Text};

/// An error that speaks both languages.
///
/// ```
/// use phantom_types::{Lang, Spoken, explain};
///
/// #[derive(Debug, thiserror::Error)]
/// #[error("the lamp {name} cannot be lit")]
/// struct LampError {
///     name: String,
///     source: std::io::Error,
/// }
///
/// impl Spoken for LampError {
///     fn turkish(&self) -> String {
///         format!("{} lambası yakılamıyor", self.name)
///     }
///     fn because(&self) -> Option<&(dyn Spoken + 'static)> {
///         Some(&self.source)
///     }
/// }
///
/// let error = LampError { name: "hall".into(), source: std::io::ErrorKind::TimedOut.into() };
/// assert_eq!(explain(&error, Lang::En), "the lamp hall cannot be lit: timed out");
/// assert_eq!(explain(&error, Lang::Tr), "hall lambası yakılamıyor: süre doldu");
/// ```
pub trait Spoken: Error {
    /// What it says of itself in Turkish, without its causes: the same as its `Display` in English.
    fn turkish(&self) -> String;

    /// What made it happen: the same as [`Error::source`].
    fn because(&self) -> Option<&(dyn Spoken + 'static)> {
        None
    }
}

/// An error with all its causes, each once, in this language.
pub fn explain(error: &dyn Spoken, lang: Lang) -> String {
    let mut text = match lang {
        Lang::En => error.to_string(),
        Lang::Tr => error.turkish(),
    };
    match lang {
        Lang::En => {
            let mut next = error.source();
            while let Some(cause) = next {
                append(&mut text, &cause.to_string());
                next = cause.source();
            }
        }
        Lang::Tr => {
            let mut next = error.because();
            while let Some(cause) = next {
                append(&mut text, &cause.turkish());
                next = cause.because();
            }
        }
    }
    text
}

fn append(text: &mut String, cause: &str) {
    text.push_str(": ");
    text.push_str(cause);
}

/// A sentence in both languages with its names filled in, for what is told later or by another program.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Said {
    /// English.
    pub en: String,
    /// Turkish.
    pub tr: String,
}

impl Said {
    /// One sentence in both languages.
    pub fn new(en: impl Into<String>, tr: impl Into<String>) -> Self {
        Self { en: en.into(), tr: tr.into() }
    }
    /// An error with all its causes.
    pub fn from_error(error: &dyn Spoken) -> Self {
        Self::new(explain(error, Lang::En), explain(error, Lang::Tr))
    }
    /// The sentence in this language.
    pub fn get(&self, lang: Lang) -> &str {
        match lang {
            Lang::En => &self.en,
            Lang::Tr => &self.tr,
        }
    }
}

impl From<Text> for Said {
    fn from(text: Text) -> Self {
        Self::new(text.en, text.tr)
    }
}

/// Words of others (a program, a library, a certificate authority) inside a Turkish sentence: they stay what they are, in
/// marks.
pub fn quoted(words: &dyn Display) -> String {
    format!("«{words}»")
}

/// A text in the Turkish of the first of these pairs whose English one fits it, with `{}` for what differs; `None` where none
/// does. What differs may be such a text itself.
pub fn translate(text: &str, phrases: &[(&str, &str)]) -> Option<String> {
    phrases.iter().find_map(|(en, tr)| fill(en, tr, text, phrases))
}

/// The Turkish template with what is in the places of the English one; nothing where that does not fit.
fn fill(en: &str, tr: &str, text: &str, phrases: &[(&str, &str)]) -> Option<String> {
    let mut parts = en.split("{}");
    let mut rest = text.strip_prefix(parts.next()?)?;
    let mut names = Vec::new();
    let parts: Vec<&str> = parts.collect();
    for (at, part) in parts.iter().enumerate() {
        let last = at + 1 == parts.len();
        let end = if last { rest.strip_suffix(part)?.len() } else { rest.find(part)? };
        let (name, behind) = rest.split_at(end);
        if name.is_empty() {
            return None;
        }
        names.push(name);
        rest = &behind[part.len()..];
    }
    if !rest.is_empty() {
        return None;
    }
    // Piece by piece: what is filled in may hold the sign of a place itself.
    let mut pieces = tr.split("{}");
    let mut said = pieces.next()?.to_owned();
    for (at, piece) in pieces.enumerate() {
        let name = names.get(at)?;
        // A template that is one place alone would fit for ever.
        let inner = if name.len() < text.len() { translate(name, phrases) } else { None };
        said.push_str(inner.as_deref().unwrap_or(name));
        said.push_str(piece);
    }
    Some(said)
}

/// The operating system's reasons. The kernel has names for them in English only, so each is said here.
impl Spoken for io::Error {
    fn turkish(&self) -> String {
        let kind = || of_kind(self.kind());
        match (self.raw_os_error(), self.get_ref()) {
            (Some(code), _) => {
                let reason = of_code(code).or_else(kind).unwrap_or("işletim sistemi bunu yapamadı");
                format!("{reason} (hata {code})")
            }
            (None, Some(own)) => quoted(own),
            (None, None) => kind().unwrap_or("işletim sistemi bunu yapamadı").to_owned(),
        }
    }
}

/// Reasons that [`ErrorKind`] has no name for, or one name for two of them: numbers of Linux (`asm-generic/errno-base.h`,
/// `asm-generic/errno.h`), which are the same on all architectures that we build for.
const fn of_code(code: i32) -> Option<&'static str> {
    Some(match code {
        1 => "bu işleme izin verilmiyor",
        3 => "böyle bir işlem yok",
        5 => "giriş/çıkış hatası",
        6 | 19 => "böyle bir aygıt yok",
        23 | 24 => "çok fazla açık dosya var",
        34 => "değer izin verilen aralığın dışında",
        40 => "çok fazla sembolik bağlantı var",
        71 => "protokol hatası",
        93 => "bu protokol desteklenmiyor",
        95 => "bu işlem desteklenmiyor",
        97 => "bu adres ailesi desteklenmiyor",
        105 => "tampon bellekte yer yok",
        _ => return None,
    })
}

const fn of_kind(kind: ErrorKind) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::NotFound => "böyle bir dosya veya dizin yok",
        ErrorKind::PermissionDenied => "erişim izni yok",
        ErrorKind::ConnectionRefused => "bağlantı reddedildi",
        ErrorKind::ConnectionReset => "bağlantı karşı uçtan kesildi",
        ErrorKind::ConnectionAborted => "bağlantı yarıda kesildi",
        ErrorKind::HostUnreachable => "makineye ulaşılamıyor",
        ErrorKind::NetworkUnreachable => "ağa ulaşılamıyor",
        ErrorKind::NetworkDown => "ağ kapalı",
        ErrorKind::NotConnected => "bağlantı yok",
        ErrorKind::AddrInUse => "adres kullanımda",
        ErrorKind::AddrNotAvailable => "bu adres bu makinede yok",
        ErrorKind::BrokenPipe => "karşı uç bağlantıyı kapatmış",
        ErrorKind::AlreadyExists => "zaten var",
        ErrorKind::WouldBlock => "kaynak şu anda kullanılamıyor",
        ErrorKind::NotADirectory => "bu bir dizin değil",
        ErrorKind::IsADirectory => "bu bir dizin",
        ErrorKind::DirectoryNotEmpty => "dizin boş değil",
        ErrorKind::ReadOnlyFilesystem => "dosya sistemi salt okunur",
        ErrorKind::StaleNetworkFileHandle => "ağ dosyası artık geçerli değil",
        ErrorKind::InvalidInput => "geçersiz değer",
        ErrorKind::InvalidData => "geçersiz veri",
        ErrorKind::TimedOut => "süre doldu",
        ErrorKind::WriteZero => "yazma tamamlanamadı",
        ErrorKind::StorageFull => "diskte yer kalmadı",
        ErrorKind::NotSeekable => "bu dosyada konum değiştirilemez",
        ErrorKind::QuotaExceeded => "disk kotası aşıldı",
        ErrorKind::FileTooLarge => "dosya çok büyük",
        ErrorKind::ResourceBusy => "aygıt veya kaynak meşgul",
        ErrorKind::ExecutableFileBusy => "program dosyası kullanımda",
        ErrorKind::Deadlock => "karşılıklı bekleme oluşurdu",
        ErrorKind::CrossesDevices => "dosyalar aynı dosya sisteminde değil",
        ErrorKind::TooManyLinks => "çok fazla bağlantı var",
        ErrorKind::InvalidFilename => "dosya adı geçersiz",
        ErrorKind::ArgumentListTooLong => "argümanlar çok uzun",
        ErrorKind::Interrupted => "bir sinyal işlemi kesti",
        ErrorKind::Unsupported => "bu işlem desteklenmiyor",
        ErrorKind::UnexpectedEof => "veri beklenenden önce bitti",
        ErrorKind::OutOfMemory => "bellek yetersiz",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operating_system_reasons_are_turkish() {
        let mut unnamed = Vec::new();
        for code in 1..=133 {
            let error = io::Error::from_raw_os_error(code);
            let text = error.turkish();
            assert!(text.ends_with(&format!("(hata {code})")), "{text}");
            if text.starts_with("işletim sistemi") {
                unnamed.push(code);
            }
        }
        // What files, sockets and devices say now and then is named; what nobody meets has its number.
        for met in
            [1, 2, 5, 12, 13, 16, 17, 19, 20, 21, 22, 23, 24, 28, 30, 39, 40, 98, 99, 101, 110, 111, 113]
        {
            assert!(!unnamed.contains(&met), "error {met} has no Turkish");
        }
        assert_eq!(io::Error::from(ErrorKind::TimedOut).turkish(), "süre doldu");
        assert_eq!(io::Error::other("no such thing").turkish(), "«no such thing»");
    }

    #[test]
    fn phrase_is_recognised_by_all_its_words() {
        let phrases = [("removing {} from {}", "{} silinirken (yeri: {})"), ("removing {}", "{} silinirken")];
        let said = |text| translate(text, &phrases);
        assert_eq!(said("removing /run/x"), Some("/run/x silinirken".to_owned()));
        assert_eq!(said("removing 10.8.0.1 from wg"), Some("10.8.0.1 silinirken (yeri: wg)".to_owned()));
        assert_eq!(said("removing a{}b from c"), Some("a{}b silinirken (yeri: c)".to_owned()));
        assert_eq!(said("removing removing x"), Some("x silinirken silinirken".to_owned()));
        assert_eq!(said("removing "), None);
        assert_eq!(said("no words of ours"), None);
    }
}
