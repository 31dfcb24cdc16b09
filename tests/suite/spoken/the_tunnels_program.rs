//! Every verb of the tunnel's program, in Turkish: by its help, by words that it does not understand, and by what goes wrong.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use phantom_tests::{Answer, Program, Run};

const VERBS: [&str; 11] = [
    "serve",
    "share",
    "keep",
    "ports",
    "pages",
    "issue",
    "inspect",
    "self-sign",
    "connect",
    "verify",
    "probe",
];

/// Calls that fail, each with what it reads.
const FAILING: [(&[&str], &str); 33] = [
    (&[], ""),
    (&["servant"], ""),
    (&["serve"], ""),
    (&["serve", "--control"], ""),
    (&["serve", "--control", "a", "--control=b"], ""),
    (&["serve", "--control", "a", "--listen", "here"], ""),
    (&["serve", "--control=/proc/x/y", "--listen=unix:/proc/x/z"], ""),
    (&["share"], ""),
    (&["share", "--socket", "/nonexistent/x", "--group", "nobody-is-called-so"], ""),
    (&["share", "--socket", "/nonexistent/x", "--group", "root"], ""),
    (&["keep", "--config", "a"], ""),
    (&["ports", "--control"], ""),
    (&["ports", "--control", "/nonexistent/x"], ""),
    (&["pages"], "{}"),
    (&["pages"], r#"{"web_server":"http://127.0.0.1:1","domain":"vpn.example.org"}"#),
    (&["issue"], "no JSON"),
    (
        &["issue"],
        r#"{"domain":"vpn.example.org","directory":"https://127.0.0.1:1/dir","certs_dir":"/proc/x"}"#,
    ),
    (
        &["inspect"],
        r#"{"cert_path":"/nonexistent/c","key_path":"/nonexistent/k","domain":"vpn.example.org"}"#,
    ),
    (&["self-sign"], r#"{"domain":"vpn.example.org","certs_dir":"/proc/x"}"#),
    (&["connect"], ""),
    (&["connect", "stray"], ""),
    (&["connect", "--server", "https://vpn.example.org"], ""),
    (&["connect", "--server", "wss://vpn.example.org/a?b"], ""),
    (&["connect", "--server", "wss://vpn.example.org", "--secret-file", "/nonexistent/x"], ""),
    (&["connect", "--server", "wss://vpn.example.org", "--secret-file", "-"], "a secret with blanks"),
    (&["connect", "--http-proxy", "socks5://192.0.2.1:1080"], ""),
    (&["connect", "--wireguard-port", "many"], ""),
    (&["connect", "--listen", "70000"], ""),
    (&["connect", "--pin", "x"], ""),
    (
        &["verify"],
        r#"{"address":"127.0.0.1","port":1,"domain":"vpn.example.org","cert_path":"/nonexistent/c"}"#,
    ),
    (&["verify"], r#"{"address":"127.0.0.1","port":1,"domain":"vpn.example.org"}"#),
    (&["probe", "--server", "wss://127.0.0.1:1/path"], ""),
    (&["probe", "--server", "wss://127.0.0.1:1", "--samples", "0", "--patience", "1"], ""),
];

/// Short words of English sentences of this program that the list for all programs leaves out.
const MORE: [&str; 9] = ["answers", "ended", "leads", "needs", "no", "opens", "see", "unknown", "usage"];

fn call(words: &[&str], input: &str, lang: Option<&str>) -> Answer {
    let env = lang.map(|lang| ("PHANTOM_LANG".to_owned(), lang.into())).into_iter().collect();
    Program::named("phantom-ghost").run_as(words, &Run { input: input.into(), env, ..Run::default() })
}

/// The English words of a text, without what it quotes: words of a library, or of somebody else.
fn english(text: &str) -> Vec<String> {
    let mut found = phantom_tests::english(text);
    let words = text.split(|c: char| !(c.is_alphanumeric() || "-_«»".contains(c)));
    found.extend(words.filter(|word| MORE.contains(word)).map(str::to_owned));
    found
}

/// That a call says something in both languages: the option counts, then the variable.
fn speaks_both(words: &[&str], input: &str) {
    let said = |answer: &Answer| format!("{}{}", answer.out, answer.err);
    let plain = call(words, input, None);
    let (en, exit) = (said(&plain), plain.exit);
    let first = [&["--lang", "tr"], words].concat();
    let last = [words, &["--lang=tr"]].concat();
    for (words, lang) in [(&first[..], Some("en")), (&last[..], None), (words, Some("tr_TR.UTF-8"))] {
        let answer = call(words, input, lang);
        let tr = said(&answer);
        assert_eq!(english(&tr), Vec::<String>::new(), "{words:?}:\n{tr}");
        assert_eq!(answer.exit, exit, "{words:?}: {tr}");
        assert!(!tr.is_empty() && tr != en, "{words:?} is said in English: {tr}");
    }
    assert_eq!(said(&call(&[&["--lang", "en"], words].concat(), input, Some("tr"))), en, "{words:?}");
}

#[test]
fn explains_itself_in_both_languages() {
    speaks_both(&["--help"], "");
    for verb in VERBS {
        speaks_both(&[verb, "--help"], "");
        speaks_both(&[verb, "--nonsense"], "");
    }
}

#[test]
fn says_what_is_wrong_in_both_languages() {
    for (words, input) in FAILING {
        speaks_both(words, input);
    }
}

#[test]
fn unknown_language_is_reported_in_right_language() {
    for (words, lang, expected) in [
        (&["--lang", "de", "probe"][..], None, "phantom-ghost: --lang (en, tr) needs a value; see"),
        (&["probe", "--lang"], Some("tr"), "phantom-ghost: --lang (en, tr) bir değer ister; bkz."),
        (&["--version"], Some("de"), "phantom-ghost: PHANTOM_LANG \"de\" is not known: en, tr\n"),
    ] {
        let answer = call(words, "", lang);
        assert!(answer.err.starts_with(expected), "{words:?}: {}", answer.err);
    }
}

/// What a client tells while it runs: where it listens, that no tunnel opens, when it tries again.
#[test]
fn tells_in_turkish_what_happens() {
    let mut command = Command::new(Program::named("phantom-ghost").path());
    let words = ["connect", "--lang", "tr", "--server", "wss://127.0.0.1:1", "--secret-file", "/dev/stdin"];
    command.args(words).args(["--listen", "127.0.0.1:0", "--address-file", "none"]).env_clear();
    command.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut client = command.spawn().unwrap();
    let secret = client.stdin.take().unwrap();
    std::io::Write::write_all(&mut &secret, b"PhantomSecret0123456789").unwrap();
    drop(secret);
    let lines = BufReader::new(client.stderr.take().unwrap()).lines();
    let said: Vec<String> = lines.take(3).map(Result::unwrap).collect();
    kill(Pid::from_raw(client.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert!(client.wait().unwrap().success());
    let text = said.join("\n");
    assert!(said[0].ends_with(", wss://127.0.0.1:1 sunucusuna çıkıyor"), "{text}");
    assert!(said[1].ends_with("127.0.0.1:1 adresine ulaşılamadı: bağlantı reddedildi (hata 111)"), "{text}");
    assert!(said[2].contains("sonraki deneme ") && english(&text).is_empty(), "{text}");
}
