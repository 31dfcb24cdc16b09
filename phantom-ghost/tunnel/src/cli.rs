//! The program's verbs. Each is a function of this library; the binary only calls [`run`].

use std::ffi::OsString;
use std::fmt::{Display, Write as _};
use std::io::Write as _;
use std::process::ExitCode;

use phantom_types::{Lang, Text};
use phantom_words::of_program;

use crate::client::{Args, ArgsError};
use crate::{client, log, probe, verify};

mod certificates;
pub mod keep;
mod pages;
mod ports;
pub mod serve;
mod share;

pub(crate) use certificates::answer;

/// A verb: its name, one line about it, and what it does with the arguments behind its name, in a language.
struct Verb {
    name: &'static str,
    about: Text,
    run: fn(Vec<String>, Lang) -> ExitCode,
}

const fn verb(name: &'static str, run: fn(Vec<String>, Lang) -> ExitCode, about: Text) -> Verb {
    Verb { name, about, run }
}

/// All verbs, in the order of the help text.
const VERBS: &[Verb] = &[
    verb("serve", serve::run, Text { en: "the tunnel server", tr: "tünel sunucusu" }),
    verb(
        "share",
        share::run,
        Text {
            en: "lets a web server's group in at the server's socket",
            tr: "bir web sunucusunun grubuna sunucunun soketini açar",
        },
    ),
    verb(
        "keep",
        keep::run,
        Text {
            en: "keeps a server configured and its certificate new",
            tr: "sunucunun yapılandırmasını ve sertifikasını güncel tutar",
        },
    ),
    verb(
        "ports",
        ports::run,
        Text {
            en: "who uses the operator's secrets", tr: "operatörün gizli anahtarlarını kimin kullandığı"
        },
    ),
    verb(
        "pages",
        pages::run,
        Text {
            en: "what a decoy shows that it should not", tr: "yem sitenin göstermemesi gereken sayfalar"
        },
    ),
    verb("issue", certificates::issue, Text { en: "obtains a certificate", tr: "sertifika alır" }),
    verb(
        "inspect",
        certificates::inspect,
        Text { en: "checks a certificate and key", tr: "bir sertifikayı ve anahtarı denetler" },
    ),
    verb(
        "self-sign",
        certificates::self_sign,
        Text { en: "makes a certificate for tests", tr: "testler için sertifika oluşturur" },
    ),
    verb("connect", client::command, Text { en: "the client's end of a tunnel", tr: "tünelin istemci ucu" }),
    verb(
        "verify",
        verify::run,
        Text { en: "checks that a server opens a tunnel", tr: "sunucunun tünel açtığını denetler" },
    ),
    verb(
        "probe",
        probe::command,
        Text { en: "attacks a server as a censor would", tr: "sunucuya bir sansürcü gibi saldırır" },
    ),
];

const SYNOPSIS: Text = Text {
    en: "usage: phantom-ghost [--lang en|tr] VERB [OPTIONS]\n\nverbs:\n",
    tr: "kullanım: phantom-ghost [--lang en|tr] ALTKOMUT [SEÇENEKLER]\n\nalt komutlar:\n",
};

const REST: Text = Text {
    en: "\n  VERB --help, -h     explains a verb\n  --help, -h, help    this text\n  --version, -V       which program this is\n  \
         --lang en|tr        language of the text\n\nPHANTOM_LANG chooses the language too.\n",
    tr: "\n  ALTKOMUT --help, -h    bir alt komutu açıklar\n  --help, -h, help       bu metin\n  --version, -V          programın \
         sürümü\n  --lang en|tr           metnin dili\n\nPHANTOM_LANG da dili belirler.\n",
};

/// Exit code of wrong arguments.
pub const USAGE: u8 = 2;

/// Runs the program with the arguments behind its name and says with what it exits: 0 done, 1 failed, 2 wrong arguments.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let (mut texts, mut raw) = (Vec::new(), false);
    for argument in arguments {
        match argument.into_string() {
            Ok(text) => texts.push(text),
            Err(_) => raw = true,
        }
    }
    let mut args = Args::new(texts);
    let option = language(&mut args);
    // What runs here has no stored state whose language it could take: clients' machines have none, and who faces the network
    // reads none.
    let variable = std::env::var("PHANTOM_LANG").ok();
    let (lang, line) = Lang::of_run(option.as_ref().ok().copied().flatten(), variable.as_deref(), || None);
    if let Some(line) = line {
        let _ = writeln!(std::io::stderr().lock(), "phantom-ghost: {line}");
    }
    if let Err(error) = option {
        return usage(&error, lang);
    }
    if raw {
        return usage("an argument is not text", lang);
    }
    let mut texts = args.rest();
    match texts.first().map(String::as_str) {
        None => usage("no verb", lang),
        Some("--help" | "-h" | "help") => say(&help(lang)),
        Some("--version" | "-V") => say(&format!("phantom-ghost {}\n", env!("CARGO_PKG_VERSION"))),
        Some(name) => match VERBS.iter().find(|verb| verb.name == name) {
            Some(verb) => (verb.run)(texts.split_off(1), lang),
            None => usage(format_args!("unknown verb {name:?}"), lang),
        },
    }
}

/// Takes the language out that the words name.
fn language(args: &mut Args) -> Result<Option<Lang>, ArgsError> {
    let wrong = || ArgsError("--lang (en, tr) needs a value".to_owned());
    let code = args.value("--lang").map_err(|_| wrong())?;
    code.map(|code| code.parse().map_err(|()| wrong())).transpose()
}

fn help(lang: Lang) -> String {
    let mut text = SYNOPSIS.get(lang).to_owned();
    for verb in VERBS {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "  {:<10} {}", verb.name, verb.about.get(lang));
    }
    text.push_str(REST.get(lang));
    text
}

/// Writes `text` to standard output.
pub(crate) fn say(text: &str) -> ExitCode {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Says on standard error what is wrong with the arguments.
pub(crate) fn usage(problem: impl Display, lang: Lang) -> ExitCode {
    wrong(&of_program(&problem.to_string(), lang), lang)
}

/// The same with the arguments of a verb.
pub(crate) fn usage_of(verb: &str, problem: impl Display, lang: Lang) -> ExitCode {
    wrong(&format!("{verb}: {}", of_program(&problem.to_string(), lang)), lang)
}

fn wrong(problem: &str, lang: Lang) -> ExitCode {
    let see = lang.pick("see", "bkz.");
    let _ = writeln!(std::io::stderr().lock(), "phantom-ghost: {problem}; {see} `phantom-ghost --help`");
    ExitCode::from(USAGE)
}

/// Says what went wrong, with which the program ends.
pub(crate) fn failed(error: impl Display, lang: Lang) -> ExitCode {
    log::line(lang, error);
    ExitCode::FAILURE
}
