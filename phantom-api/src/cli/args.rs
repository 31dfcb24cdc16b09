//! Words to an invocation: a pure function that never fails; what is wrong is reported in its turn.

use std::ffi::OsString;
use std::path::PathBuf;

use phantom_module::{Lang, ParamError};

/// What was typed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Invocation {
    /// What to do.
    pub words: Invoked,
    /// The words behind the action.
    pub parameters: Vec<String>,
    /// Where a JSON object with parameters is.
    pub json: Option<JsonSource>,
    /// `--compact`.
    pub compact: bool,
    /// `--version`.
    pub version: bool,
    /// `--lang`.
    pub lang: Option<Lang>,
    /// `--root`.
    pub root: Option<PathBuf>,
    /// The first thing that is wrong with the options.
    pub error: Option<ParamError>,
}

/// What to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Invoked {
    /// Too few words.
    #[default]
    Incomplete,
    /// Help for what is named.
    Help(Vec<String>),
    /// A completion script.
    Completions(Option<String>),
    /// What services call that the engine itself does. What modules do for theirs is an action here: which there are is known to the
    /// orchestrator alone.
    Service {
        /// `up`, `down`, `block` or `repair`.
        verb: String,
        /// The interface; empty for those that are about none.
        interface: String,
    },
    /// An action.
    Action {
        /// The module as typed.
        module: String,
        /// The action as typed.
        action: String,
    },
}

/// Where a JSON object is.
#[derive(Clone, PartialEq)]
pub enum JsonSource {
    /// On the command line.
    Inline(String),
    /// On standard input.
    StandardInput,
}

impl std::fmt::Debug for JsonSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Inline(_) => "Inline(..)",
            Self::StandardInput => "StandardInput",
        })
    }
}

/// Reads the words of a command line, without the program's own name.
pub fn parse(words: Vec<OsString>) -> Invocation {
    let mut invocation = Invocation::default();
    let mut plain = Vec::new();
    let mut help = false;
    let mut words = words
        .into_iter()
        .map(|word| {
            word.into_string().unwrap_or_else(|raw| {
                // Not UTF-8: it can be the value of nothing. The text for the message has marks in the bad places.
                let text = raw.to_string_lossy().into_owned();
                invocation.error.get_or_insert(ParamError::Option { option: text.clone() });
                text
            })
        })
        .collect::<Vec<_>>()
        .into_iter();
    while let Some(word) = words.next() {
        if !word.starts_with('-') {
            plain.push(word);
            continue;
        }
        let (name, mut value) = match word.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (word.clone(), None),
        };
        let flag = matches!(name.as_str(), "--help" | "-h" | "--version" | "--compact");
        let valued = matches!(name.as_str(), "--lang" | "--root" | "--json");
        if valued && value.is_none() {
            value = words.next();
        }
        let known = (flag && value.is_none()) || (valued && value.is_some());
        let error = match (known, value) {
            (true, None) => {
                match name.as_str() {
                    "--version" => invocation.version = true,
                    "--compact" => invocation.compact = true,
                    _ => help = true,
                }
                None
            }
            (true, Some(value)) => take(&mut invocation, name, value),
            (false, _) if valued => Some(ParamError::Type { parameter: name, expected: "text" }),
            (false, _) => Some(ParamError::Option { option: word }),
        };
        if invocation.error.is_none() {
            invocation.error = error;
        }
    }
    invocation.words = arrange(plain, help, &mut invocation.parameters);
    invocation
}

/// Takes an option with its value; says what is wrong with it.
fn take(invocation: &mut Invocation, name: String, value: String) -> Option<ParamError> {
    let repeated = |parameter| Some(ParamError::Repeated { parameter });
    match name.as_str() {
        "--lang" if invocation.lang.is_some() => return repeated(name),
        "--root" if invocation.root.is_some() => return repeated(name),
        "--json" if invocation.json.is_some() => return repeated(name),
        "--lang" => {
            let Ok(lang) = value.parse() else {
                let allowed = vec!["en".to_owned(), "tr".to_owned()];
                return Some(ParamError::Choice { parameter: name, allowed });
            };
            invocation.lang = Some(lang);
        }
        "--root" if value.is_empty() => return Some(ParamError::Type { parameter: name, expected: "path" }),
        "--root" => invocation.root = Some(std::path::absolute(&value).unwrap_or_else(|_| value.into())),
        _ if value == "-" => invocation.json = Some(JsonSource::StandardInput),
        _ => invocation.json = Some(JsonSource::Inline(value)),
    }
    None
}

fn arrange(plain: Vec<String>, help: bool, parameters: &mut Vec<String>) -> Invoked {
    let mut plain = plain.into_iter();
    let Some(first) = plain.next() else {
        return if help { Invoked::Help(Vec::new()) } else { Invoked::Incomplete };
    };
    let rest: Vec<String> = plain.collect();
    match (first.as_str(), rest.as_slice()) {
        ("help", _) => Invoked::Help(rest),
        ("completions", [shell]) => Invoked::Completions(Some(shell.clone())),
        ("completions", _) => Invoked::Completions(None),
        (_, words) if help => {
            let action = words.first().cloned();
            Invoked::Help(std::iter::once(first).chain(action).collect())
        }
        ("service", [verb, interface]) if verb == "up" || verb == "down" => {
            Invoked::Service { verb: verb.clone(), interface: interface.clone() }
        }
        ("service", [verb]) if matches!(verb.as_str(), "block" | "repair") => {
            Invoked::Service { verb: verb.clone(), interface: String::new() }
        }
        (_, []) => Invoked::Incomplete,
        (_, [action, words @ ..]) => {
            parameters.extend(words.iter().cloned());
            Invoked::Action { module: first, action: action.clone() }
        }
    }
}

/// That no key of the object stands twice: a JSON reader would silently take the last one.
pub(super) fn check_repeated_keys(text: &str) -> Result<(), ParamError> {
    struct Keys;
    impl<'de> serde::de::Visitor<'de> for Keys {
        type Value = Option<String>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Option<String>, A::Error> {
            let mut seen = std::collections::BTreeSet::new();
            let mut repeated = None;
            while let Some(key) = map.next_key::<String>()? {
                map.next_value::<serde::de::IgnoredAny>()?;
                if !seen.insert(key.clone()) {
                    repeated.get_or_insert(key);
                }
            }
            Ok(repeated)
        }
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    match serde::Deserializer::deserialize_map(&mut reader, Keys) {
        Ok(Some(parameter)) => Err(ParamError::Repeated { parameter }),
        Ok(None) | Err(_) => Ok(()), // what is no object at all is reported by its reader
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invocation(line: &str) -> Invocation {
        parse(line.split_whitespace().map(OsString::from).collect())
    }

    fn action(module: &str, action: &str) -> Invoked {
        Invoked::Action { module: module.into(), action: action.into() }
    }

    #[test]
    fn options_stand_anywhere_and_in_both_forms() {
        for line in [
            "--lang tr core add_client client_name=x --compact",
            "core --lang=tr --compact add_client client_name=x",
        ] {
            let read = invocation(line);
            assert_eq!(read.words, action("core", "add_client"), "{line}");
            assert_eq!((read.lang, read.compact, read.error), (Some(Lang::Tr), true, None), "{line}");
            assert_eq!(read.parameters, ["client_name=x"], "{line}");
        }
    }

    #[test]
    fn the_first_bad_option_is_reported() {
        let error = |line| invocation(line).error;
        assert_eq!(error("core x --nope"), Some(ParamError::Option { option: "--nope".into() }));
        assert_eq!(error("core x --compact=1"), Some(ParamError::Option { option: "--compact=1".into() }));
        assert_eq!(error("core x -z --lang xx"), Some(ParamError::Option { option: "-z".into() }));
        assert_eq!(
            error("core x --lang"),
            Some(ParamError::Type { parameter: "--lang".into(), expected: "text" })
        );
        assert_eq!(
            error("core x --lang en --lang en"),
            Some(ParamError::Repeated { parameter: "--lang".into() })
        );
        assert!(matches!(error("core x --lang de"), Some(ParamError::Choice { .. })));
    }

    #[test]
    fn arguments_decide_what_is_asked_for() {
        assert_eq!(invocation("").words, Invoked::Incomplete);
        assert_eq!(invocation("core").words, Invoked::Incomplete);
        assert_eq!(invocation("--help").words, Invoked::Help(vec![]));
        assert_eq!(invocation("core -h").words, Invoked::Help(vec!["core".into()]));
        assert_eq!(invocation("core x y=z --help").words, Invoked::Help(vec!["core".into(), "x".into()]));
        assert_eq!(invocation("help dns status").words, Invoked::Help(vec!["dns".into(), "status".into()]));
        assert_eq!(invocation("completions bash").words, Invoked::Completions(Some("bash".into())));
        assert_eq!(invocation("service status").words, action("service", "status"));
    }

    #[test]
    fn repeated_key_of_an_object_is_found() {
        assert_eq!(
            check_repeated_keys(r#"{"a":1,"b":{"a":1},"a":2}"#),
            Err(ParamError::Repeated { parameter: "a".into() })
        );
        assert_eq!(check_repeated_keys(r#"{"a":1,"b":{"c":1,"c":2}}"#), Ok(()));
    }
}
