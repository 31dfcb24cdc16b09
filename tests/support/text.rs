//! The sentences of both languages.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{english, read_golden_json};

/// A sentence with places to fill in, as in `Client '{name}' not found`.
#[derive(Clone, Debug)]
pub struct Template {
    parts: Vec<String>,
    names: Vec<String>,
}

impl Template {
    /// Reads a sentence.
    pub fn new(text: &str) -> Self {
        let (mut parts, mut names) = (Vec::new(), Vec::new());
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('{') {
            let (name, after) = behind.split_once('}').expect("a place ends");
            parts.push(before.to_owned());
            names.push(name.to_owned());
            rest = after;
        }
        parts.push(rest.to_owned());
        Self { parts, names }
    }

    /// What is in the places, or nothing when the text is another sentence.
    pub fn matches(&self, text: &str) -> Option<BTreeMap<String, String>> {
        let mut rest = text.strip_prefix(&self.parts[0])?;
        let mut filled = BTreeMap::new();
        for (at, name) in self.names.iter().enumerate() {
            let behind = &self.parts[at + 1];
            let last = at + 1 == self.names.len();
            let end = if last { rest.len().checked_sub(behind.len())? } else { rest.find(behind.as_str())? };
            let value = rest.get(..end)?;
            rest = rest.get(end..)?.strip_prefix(behind.as_str())?;
            filled.insert(name.clone(), value.to_owned());
        }
        rest.is_empty().then_some(filled)
    }
}

/// The table of committed texts.
pub struct Texts {
    rows: Vec<Row>,
}

/// An id, the English sentence, the Turkish one.
type Row = (String, Template, Template);

/// Places whose content is a cause, in the words of its language: system messages of the kernel or of a program are in both.
const CAUSES: [&str; 5] = ["detail", "why", "error", "cause", "objects"];
/// Places whose content is a sentence itself.
const SENTENCES: [&str; 4] = ["expected", "hint", "errors", "object"];

/// Fields that are for programs in every language (`docs/contract.md`, "Languages"): the words of `wg`, and what others have written.
const PROGRAMS: [&str; 14] = [
    "latest_handshake",
    "handshake",
    "config",
    "logs",
    "output",
    "connection_command",
    "rule",
    "rules",
    "started_at",
    "target",
    "status",
    "provider",
    "source",
    "event",
];

impl Texts {
    /// The committed table: `texts.json` is the chapter's, `texts-beyond.json` has what the chapter leaves open.
    pub fn read() -> Self {
        let text = |value: &Value| Template::new(value.as_str().expect("a text"));
        let mut rows = Vec::new();
        for file in ["texts.json", "texts-beyond.json"] {
            let Value::Object(table) = read_golden_json(file) else { panic!("{file} is an object") };
            rows.extend(table.iter().map(|(id, row)| (id.clone(), text(&row["en"]), text(&row["tr"]))));
        }
        Self { rows }
    }

    /// The ids, in the order of the chapter.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().map(|row| row.0.as_str())
    }

    /// The ids of the sentences that a pair of texts can be, the one English, the other Turkish, with the same
    /// values in their places.
    pub fn ids_of(&self, en: &str, tr: &str) -> Vec<&str> {
        self.of_pair(en, tr).into_iter().map(|row| row.0.as_str()).collect()
    }

    fn of_pair(&self, en: &str, tr: &str) -> Vec<&Row> {
        let fits = |(_, english, turkish): &&Row| {
            let (Some(one), Some(other)) = (english.matches(en), turkish.matches(tr)) else { return false };
            one.iter().all(|(name, value)| {
                let sentences = || {
                    let mut lines = value.lines().zip(other[name].lines());
                    SENTENCES.contains(&name.as_str())
                        && lines.all(|(en, tr)| en == tr || !self.of_pair(en, tr).is_empty())
                };
                other.get(name) == Some(value) || CAUSES.contains(&name.as_str()) || sentences()
            })
        };
        self.rows.iter().filter(fits).collect()
    }
}

/// The sentences that answers said in both languages.
#[derive(Default)]
pub struct Said {
    ids: BTreeSet<String>,
}

impl Said {
    /// Compares the English and the Turkish answer to the same call: they differ in sentences only, and every such
    /// sentence is one of the table in both languages.
    #[track_caller]
    pub fn compare(&mut self, texts: &Texts, en: &Value, tr: &Value) {
        self.walk(texts, "", en, tr);
    }

    /// The ids that were said.
    pub fn ids(&self) -> &BTreeSet<String> {
        &self.ids
    }

    #[track_caller]
    fn walk(&mut self, texts: &Texts, path: &str, en: &Value, tr: &Value) {
        match (en, tr) {
            (Value::Object(one), Value::Object(other)) => {
                let keys = |map: &serde_json::Map<String, Value>| map.keys().cloned().collect::<Vec<_>>();
                assert_eq!(keys(one), keys(other), "{path}");
                // The cause that the message ends in stands there alone.
                let told = ["rolled_back", "source"].iter().any(|beside| one.contains_key(*beside));
                let cause = |key: &str| key == "detail" && told;
                for (key, value) in one.iter().filter(|(key, _)| !cause(key)) {
                    self.walk(texts, &format!("{path}.{key}"), value, &other[key]);
                }
            }
            (Value::Array(one), Value::Array(other)) => {
                assert_eq!(one.len(), other.len(), "{path}");
                one.iter().zip(other).for_each(|(one, other)| self.walk(texts, path, one, other));
            }
            (Value::String(one), Value::String(other)) => {
                if one != other {
                    self.sentence(texts, path, one, other);
                }
                let programs = path.rsplit('.').next().is_some_and(|name| PROGRAMS.contains(&name));
                let left = if programs { Vec::new() } else { english(other) };
                assert_eq!(left, Vec::<String>::new(), "{path} has English words: {other}");
            }
            _ => assert_eq!(en, tr, "{path}"),
        }
    }

    #[track_caller]
    fn sentence(&mut self, texts: &Texts, path: &str, en: &str, tr: &str) {
        let found = texts.of_pair(en, tr);
        assert!(!found.is_empty(), "{path}: no committed text:\n  {en}\n  {tr}");
        for row in found {
            self.ids.insert(row.0.clone());
            let (one, other) = (row.1.matches(en).unwrap_or_default(), row.2.matches(tr).unwrap_or_default());
            let sentences = |(name, _): &(&String, &String)| !CAUSES.contains(&name.as_str());
            for (name, value) in one.iter().filter(sentences).filter(|(_, value)| !value.is_empty()) {
                // Several sentences stand on lines of their own.
                for (en, tr) in value.lines().zip(other[name].lines()).filter(|(en, tr)| en != tr) {
                    self.sentence(texts, &format!("{path} {name}"), en, tr);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn template_finds_its_values() {
        let template = Template::new("Setting '{setting}' updated from {old} to {new}");
        let found = template.matches("Setting 'a' updated from False to True").unwrap();
        assert_eq!(
            (found["setting"].as_str(), found["old"].as_str(), found["new"].as_str()),
            ("a", "False", "True")
        );
        assert!(template.matches("Setting 'a' updated").is_none());
        assert!(Template::new("Fixed").matches("Fixed").is_some());
        assert!(Template::new("Fixed").matches("Fixed more").is_none());
        assert_eq!(Template::new("{n} kept").matches("a kept kept").unwrap()["n"], "a kept");
    }
}
