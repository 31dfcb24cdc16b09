//! The documents for users: their blocks of commands, and what a reader would type.

use std::fs;
use std::path::{Path, PathBuf};

/// A document, as it is in the repository.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its path from the top of the repository.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// A fenced block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// What stands behind the fence, as in `sh client`: the language, and where its commands belong.
    pub info: String,
    /// The lines between the fences.
    pub lines: Vec<String>,
}

impl Block {
    /// The commands: the lines without comments.
    pub fn commands(&self) -> Vec<String> {
        let lines = self.lines.iter().map(|line| without_comment(line).to_owned());
        lines.filter(|line| !line.is_empty()).collect()
    }
}

/// The top of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the repository").to_owned()
}

impl Document {
    /// The document of this path in the repository.
    #[track_caller]
    pub fn read(path: &str) -> Self {
        let file = repository().join(path);
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{path}: {error}"));
        Self { path: path.into(), text }
    }

    /// All documents of a folder, in the order of their names.
    #[track_caller]
    pub fn all_in(folder: &str) -> Vec<Self> {
        let entries = fs::read_dir(repository().join(folder)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| Path::new(name).extension().is_some_and(|kind| kind == "md"));
        names.sort();
        names.iter().map(|name| Self::read(&format!("{folder}/{name}"))).collect()
    }

    /// The fenced blocks.
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut open: Option<Block> = None;
        for line in self.text.lines() {
            match (line.strip_prefix("```"), open.take()) {
                (Some(info), None) => open = Some(Block { info: info.trim().to_owned(), lines: Vec::new() }),
                (Some(_), Some(block)) => blocks.push(block),
                (None, Some(mut block)) => {
                    block.lines.push(line.to_owned());
                    open = Some(block);
                }
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a block has no end", self.path.display());
        blocks
    }

    /// The text outside of fenced and indented blocks.
    pub fn prose(&self) -> String {
        let mut fenced = false;
        let mut text = String::new();
        for line in self.text.lines() {
            if line.starts_with("```") {
                fenced = !fenced;
            } else if !fenced && !line.starts_with("    ") {
                text.push_str(line);
                text.push('\n');
            }
        }
        text
    }

    /// The commands in the sentences, between back quotes.
    pub fn inline(&self) -> Vec<String> {
        let text = self.prose();
        let words = |span: &str| span.split_whitespace().collect::<Vec<_>>().join(" ");
        text.split('`').skip(1).step_by(2).map(words).collect()
    }

    /// The lines of indented blocks.
    pub fn indented(&self) -> Vec<String> {
        let lines = self.text.lines().filter_map(|line| line.strip_prefix("    "));
        lines.map(|line| without_comment(line).to_owned()).collect()
    }
}

/// A line of a shell without its comment.
fn without_comment(line: &str) -> &str {
    let line = if line.trim_start().starts_with('#') { "" } else { line };
    line.split_once(" #").map_or(line, |(command, _)| command).trim()
}

/// The simple commands of a line of a shell that call one of these programs, as their words.
pub fn calls(line: &str, programs: &[&str]) -> Vec<Vec<String>> {
    let line = line.replace("$(", ";").replace(')', ";").replace("&&", ";").replace('|', ";");
    let commands = line.split(';').filter_map(|command| {
        let mut words: Vec<String> =
            command.split_whitespace().map(|word| word.replace(['\'', '"', '$'], "")).collect();
        while words.first().is_some_and(|word| ["do", "then", "sudo"].contains(&word.as_str())) {
            words.remove(0);
        }
        if let Some(end) = words.iter().position(|word| word.starts_with(['>', '<']) || word == "2>") {
            words.truncate(end);
        }
        let name = words.first().and_then(|word| word.rsplit('/').next())?.to_owned();
        words[0] = name.trim_end_matches(".sh").into();
        programs.contains(&words[0].as_str()).then_some(words)
    });
    commands.collect()
}
