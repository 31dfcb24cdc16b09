//! What the program `phantom-ghost` says, in both languages.
//!
//! Between programs it speaks English: an authority's reason or a tunnel's fault reaches the module as one text, made of
//! sentences that are joined by colons and semicolons. The module tells it in the language of its call, and the program does
//! so itself where a person has called it. `sentences.rs` and `probes.rs` have all of them; a test holds the sources of the
//! program against these tables. Words of an authority, or of a library, are quoted.

mod probes;
mod sentences;

use std::io;

use phantom_types::{Lang, Spoken as _, quoted};

use self::probes::PROBES;
use self::sentences::SENTENCES;

/// Sentences in both languages.
type Table = [(&'static str, &'static str)];

/// A text of the program in this language.
pub fn of_program(text: &str, lang: Lang) -> String {
    in_language(text, lang, &[SENTENCES])
}

/// What the prober has tried or seen, in this language.
pub fn of_prober(text: &str, lang: Lang) -> String {
    in_language(text, lang, &[PROBES, SENTENCES])
}

fn in_language(text: &str, lang: Lang, tables: &[&Table]) -> String {
    match lang {
        Lang::Tr if !text.is_empty() => turkish(text, tables),
        Lang::En | Lang::Tr => text.to_owned(),
    }
}

fn turkish(text: &str, tables: &[&Table]) -> String {
    // What became of the second challenge stands behind the authority's own words about the first.
    if let Some((first, second)) = text.split_once("; http-01: ") {
        return format!("{}; http-01: {}", turkish(first, tables), turkish(second, tables));
    }
    if let Some(said) = known(text, tables) {
        return said;
    }
    // The first joint at which both sides make sense.
    for joint in ["; ", ": "] {
        for (at, _) in text.match_indices(joint) {
            let (head, rest) = (&text[..at], &text[at + joint.len()..]);
            if let Some(head) = known(head, tables) {
                return format!("{head}{joint}{}", turkish(rest, tables));
            }
        }
    }
    system(text).unwrap_or_else(|| quoted(&text))
}

/// A whole sentence of the program.
fn known(text: &str, tables: &[&Table]) -> Option<String> {
    let mut all = tables.iter().copied().flatten();
    all.find_map(|(en, tr)| fill(en, tr, text, tables)).or_else(|| system(text))
}

/// The system's own words: `Permission denied (os error 13)`.
fn system(text: &str) -> Option<String> {
    let (_, number) = text.strip_suffix(')')?.rsplit_once("(os error ")?;
    let number = number.parse().ok()?;
    // What stands before it has no joint of its own: it is the system's alone.
    let alone = io::Error::from_raw_os_error(number).to_string() == text;
    alone.then(|| io::Error::from_raw_os_error(number).turkish())
}

/// The Turkish sentence with what is in the places of the English one; nothing where that does not fit. A `{}` holds a
/// name, a `{:}` a sentence.
fn fill(en: &str, tr: &str, text: &str, tables: &[&Table]) -> Option<String> {
    let mut rest = text;
    let mut found: Vec<(&str, String)> = Vec::new();
    let mut pattern = en;
    while let Some((before, place, behind)) = next_place(pattern) {
        rest = rest.strip_prefix(before)?;
        let until = next_place(behind).map_or(behind, |(until, ..)| until);
        let end = if until.is_empty() {
            rest.len()
        } else if next_place(behind).is_none() {
            rest.strip_suffix(until)?.len()
        } else if until.starts_with(" (") {
            // Brackets may come before it too: its own are the last ones.
            rest.rfind(until)?
        } else {
            rest.find(until)?
        };
        let (inner, left) = rest.split_at(end);
        // A name is one thing: a joint in it belongs to the sentence.
        if inner.is_empty() || (place == "{}" && (inner.contains(": ") || inner.contains("; "))) {
            return None;
        }
        found.push((place, if place == "{:}" { turkish(inner, tables) } else { inner.to_owned() }));
        (rest, pattern) = (left, behind);
    }
    if rest != pattern {
        return None;
    }
    // In the order of the English places of each kind.
    let mut said = String::new();
    let mut template = tr;
    while let Some((before, place, behind)) = next_place(template) {
        let at = found.iter().position(|(kind, _)| *kind == place)?;
        said.push_str(before);
        said.push_str(&found.remove(at).1);
        template = behind;
    }
    said.push_str(template);
    Some(said)
}

/// What is before the next place of a template, the place, and what is behind it.
fn next_place(template: &str) -> Option<(&str, &str, &str)> {
    let at = [template.find("{}"), template.find("{:}")].into_iter().flatten().min()?;
    let length = if template[at..].starts_with("{}") { 2 } else { 3 };
    Some((&template[..at], &template[at..at + length], &template[at + length..]))
}

#[cfg(test)]
mod tests;
