//! Wordings that must not come back: in documents, and in comments of the sources.

use std::fs;

use super::tidy;
use crate::problem::{Context as _, Problem, Result};
use crate::workspace;

/// Wordings that are not English or not plain, and what to write in their place. Short on purpose: each has come back before.
const UNWANTED: [(&str, &str); 9] = [
    ("anew", "again, or from scratch"),
    ("how-manieth", "which, or the number of"),
    ("led back", "rolled back"),
    ("lead back", "roll back"),
    ("leads back", "rolls back"),
    ("lies in", "is in"),
    ("lie in", "are in"),
    ("stands in", "is in"),
    ("stand in", "are in"),
];
/// Documents that `generate` writes, from texts that tests compare.
const GENERATED: [&str; 2] = ["docs/reference.en.md", "docs/reference.tr.md"];

pub(super) fn run() -> Result {
    let root = workspace::root();
    let mut found = Vec::new();
    for path in tidy::files(&root)? {
        let name = path.to_string_lossy();
        let read: fn(&str) -> Vec<String> = match path.extension().and_then(|kind| kind.to_str()) {
            Some("rs") => source,
            Some("md") if !GENERATED.contains(&&*name) => document,
            _ => continue,
        };
        let text = fs::read_to_string(root.join(&path)).context(&name)?;
        found.extend(read(&text).iter().map(|complaint| format!("{name}: {complaint}")));
    }
    if found.is_empty() { Ok(()) } else { Err(Problem::new(found.join("\n"))) }
}

/// The unwanted words in the comments of a source file. Strings are left alone: tests compare what a program prints.
fn source(text: &str) -> Vec<String> {
    let lines = text.lines().enumerate().filter(|(_, line)| line.trim_start().starts_with("//"));
    lines.filter_map(|(at, line)| unwanted(at, line)).collect()
}

/// The unwanted words in the text of a document, and sentences whose subject is "Who" without being a question. Code is left
/// alone, and so are headings.
fn document(text: &str) -> Vec<String> {
    let (mut found, mut fenced, mut paragraph) = (Vec::new(), false, String::new());
    for (at, line) in text.lines().chain([""]).enumerate() {
        let fence = line.starts_with("```");
        fenced ^= fence;
        let prose = !(fenced || fence || line.starts_with("    ") || line.starts_with('#'));
        if prose && !line.is_empty() {
            found.extend(unwanted(at, line));
            paragraph.push_str(line);
            paragraph.push(' ');
        } else {
            let wrong = std::mem::take(&mut paragraph);
            found.extend(
                who_without_noun(&wrong).map(|sentence| format!("before line {}: {sentence}", at + 1)),
            );
        }
    }
    found
}

fn unwanted(at: usize, line: &str) -> Option<String> {
    let ends = |letter: char| !(letter.is_alphanumeric() || letter.is_whitespace() || letter == '-');
    let (word, better) = line.split(ends).find_map(|clause| {
        let words: Vec<&str> = clause.split_whitespace().collect();
        let clause = format!(" {} ", words.join(" ").to_lowercase());
        UNWANTED.iter().find(|(word, _)| clause.contains(&format!(" {word} ")))
    })?;
    Some(format!("line {}: \"{word}\"; better: {better}", at + 1))
}

/// "Who wants it takes it": a relative clause without its noun.
fn who_without_noun(paragraph: &str) -> Option<String> {
    let mut sentences = paragraph
        .split_inclusive(['.', '?', '!', ':', ';'])
        .map(|sentence| sentence.trim_matches([' ', '*', '-', '|']));
    let wrong = sentences.find(|sentence| sentence.starts_with("Who ") && !sentence.ends_with('?'))?;
    Some(format!("\"{wrong}\" has no noun; better: if you, or anybody who"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unwanted_words_are_found_in_comments_alone() {
        let code = "//! Begins\n/// It begins anew.\nlet a = \"anew\";\n    // It lies\n    // in a stand-in's hand, anewly.\n";
        let found = source(code);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("line 2: \"anew\""), "{found:?}");
        assert_eq!(source("// Led back, and the How-manieth.\n").len(), 1);
    }

    #[test]
    fn documents_are_read_without_their_code() {
        let text = "# Who this is for\n\nIt is.\nWho prefers menus\nstarts them.\n\n```sh\n# anew\n```\n\n    anew\n\nWho are you?\n";
        let found = document(text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("Who prefers menus starts them."), "{found:?}");
        assert_eq!(document("* **Who knows** both, compares.\n").len(), 1);
        assert_eq!(document("It stands in the file.\n").len(), 1);
        assert!(
            document("Everybody who prefers menus can use them. The stand-in stays. They stand, in order.\n")
                .is_empty()
        );
    }
}
