//! The commands `phantom-casper` and `phantom-casper-ios`.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::SystemTime;

use phantom_ghost_state::SCHEMA;
use phantom_store::{Language, Paths, Store};
use phantom_types::{Lang, Timestamp};
use zeroize::Zeroizing;

use crate::error::shown;
use crate::{CasperError, Export, file};

/// What the environment says.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `PHANTOM_LANG`.
    pub lang: Option<String>,
    /// `PHANTOM_ROOT`.
    pub root: Option<PathBuf>,
}

impl Environment {
    /// Of this process.
    pub fn of_process() -> Self {
        Self {
            lang: std::env::var("PHANTOM_LANG").ok(),
            root: std::env::var_os("PHANTOM_ROOT").filter(|root| !root.is_empty()).map(PathBuf::from),
        }
    }
}

/// The words of a command line.
#[derive(Debug, Default)]
struct Args {
    language: Option<Language>,
    json: bool,
    output: Option<PathBuf>,
    client: Option<String>,
    help: bool,
    version: bool,
}

/// Runs the command `name` and gives its exit status: 0 done, 1 it could not be done, 2 wrong words.
///
/// `json`: as if `--json` had been given.
pub fn main(
    name: &str,
    json: bool,
    words: impl IntoIterator<Item = OsString>,
    environment: &Environment,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> u8 {
    let store = Store::new(environment.root.as_ref().map_or_else(Paths::default, Paths::new));
    store.set_modules(vec![SCHEMA]);
    let mut args = match Args::read(words) {
        Ok(args) => args,
        Err(wrong) => {
            let language = language(name, None, environment, &store, err);
            let _ = writeln!(err, "{name}: {}\n{}", wrong.text(language), usage(name, language));
            return 2;
        }
    };
    args.json |= json;
    let language = language(name, args.language, environment, &store, err);
    if args.help || args.version {
        let text = if args.help { help(name, language) } else { version(name) };
        return u8::from(out.write_all(text.as_bytes()).is_err());
    }
    let Some(client) = &args.client else {
        let _ = writeln!(err, "{}", usage(name, language));
        return 2;
    };
    match run(&store, client, &args, language, out) {
        Ok(()) => 0,
        Err(error) => {
            let _ = writeln!(err, "{}", error.line(language));
            1
        }
    }
}

fn run(
    store: &Store,
    client: &str,
    args: &Args,
    language: Language,
    out: &mut dyn Write,
) -> Result<(), CasperError> {
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|this| this.uid() == 0);
    if !is_root {
        return Err(CasperError::NotPrivileged);
    }
    let export = Export::load(store, client)?;
    let text = if args.json {
        Zeroizing::new(format!("{:#}\n", export.json()))
    } else {
        export.text(language, now())
    };
    match &args.output {
        Some(path) => file::write(path, text.as_bytes()),
        None => out
            .write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .map_err(|source| CasperError::Output { file: "/dev/stdout".into(), source }),
    }
}

#[expect(clippy::disallowed_methods, reason = "this command links no host; the machine's clock is its own")]
fn now() -> Timestamp {
    SystemTime::now().into()
}

/// What is wrong with a command line.
enum Wrong {
    Option(String),
    Value(&'static str),
    Surplus,
}

impl Wrong {
    fn text(&self, language: Language) -> String {
        match (self, language) {
            (Self::Option(word), Language::En) => format!("unknown option '{word}'"),
            (Self::Option(word), Language::Tr) => format!("bilinmeyen seçenek '{word}'"),
            (Self::Value(option), Language::En) => format!("{option} needs a value"),
            (Self::Value(option), Language::Tr) => format!("{option} bir değer ister"),
            (Self::Surplus, Language::En) => "one client at a time".to_owned(),
            (Self::Surplus, Language::Tr) => "her çağrıda tek istemci verilir".to_owned(),
        }
    }
}

impl Args {
    fn read(words: impl IntoIterator<Item = OsString>) -> Result<Self, Wrong> {
        let mut args = Self::default();
        let mut words = words.into_iter();
        let mut only_names = false;
        while let Some(word) = words.next() {
            let text = || word.to_string_lossy().into_owned();
            let bytes = word.as_bytes();
            if only_names || !bytes.starts_with(b"-") {
                if args.client.replace(text()).is_some() {
                    return Err(Wrong::Surplus);
                }
                continue;
            }
            // The name of a file need not be UTF-8.
            let equals = bytes.iter().position(|byte| *byte == b'=');
            let (option, joined) = match equals {
                Some(at) => (&bytes[..at], Some(OsStr::from_bytes(&bytes[at + 1..]).to_owned())),
                None => (bytes, None),
            };
            match std::str::from_utf8(option).unwrap_or_default() {
                "--" if joined.is_none() => only_names = true,
                "--json" if joined.is_none() => args.json = true,
                "--help" | "-h" if joined.is_none() => args.help = true,
                "--version" if joined.is_none() => args.version = true,
                "--output" => {
                    let file = joined.or_else(|| words.next()).filter(|file| !file.is_empty());
                    args.output = Some(file.ok_or(Wrong::Value("--output"))?.into());
                }
                "--lang" => {
                    let code = joined.or_else(|| words.next()).ok_or(Wrong::Value("--lang"))?;
                    let language = code.to_str().and_then(Language::from_code);
                    args.language = Some(language.ok_or(Wrong::Value("--lang (en, tr)"))?);
                }
                _ => return Err(Wrong::Option(shown(&text()))),
            }
        }
        Ok(args)
    }
}

/// The language of this run. A locale that is passed over is told of.
fn language(
    name: &str,
    option: Option<Language>,
    environment: &Environment,
    store: &Store,
    err: &mut dyn Write,
) -> Language {
    let (lang, line) = Lang::of_run(option.map(Lang::from), environment.lang.as_deref(), || store.language());
    if let Some(line) = line {
        let _ = writeln!(err, "{name}: {line}");
    }
    lang.into()
}

fn usage(name: &str, language: Language) -> String {
    match language {
        Language::En => format!("Usage: {name} [--lang en|tr] [--json] [--output FILE] <client>"),
        Language::Tr => format!("Kullanım: {name} [--lang en|tr] [--json] [--output DOSYA] <istemci>"),
    }
}

fn version(name: &str) -> String {
    format!("{name} {}\n", env!("CARGO_PKG_VERSION"))
}

fn help(name: &str, language: Language) -> String {
    let body = match language {
        Language::En => {
            "Prints what a client needs while Ghost Mode is active: the command of the tunnel and its WireGuard\n\
             configuration.\n\n\
             \x20 --lang en|tr    language of the text\n\
             \x20 --json          for programs\n\
             \x20 --output FILE   into a file for its owner alone, in place of standard output\n\
             \x20 --              what follows is the client, whatever it begins with\n\
             \x20 --help, -h      this text\n\
             \x20 --version       the version\n\n\
             PHANTOM_LANG chooses the language, PHANTOM_ROOT the install directory."
        }
        Language::Tr => {
            "Ghost Mode aktifken bir istemcinin gerek duyduğu her şeyi yazdırır: tünel komutu ve WireGuard\n\
             yapılandırması.\n\n\
             \x20 --lang en|tr     metnin dili\n\
             \x20 --json           programlar için\n\
             \x20 --output DOSYA   standart çıktı yerine, yalnızca sahibinin okuyabildiği bir dosyaya\n\
             \x20 --               ardından gelen, neyle başlarsa başlasın, istemcidir\n\
             \x20 --help, -h       bu metin\n\
             \x20 --version        sürüm\n\n\
             PHANTOM_LANG dili, PHANTOM_ROOT kurulum dizinini belirler."
        }
    };
    format!("{}\n\n{body}\n", usage(name, language))
}
