//! The words of a command line: options by name, the rest in order.

use std::ffi::OsString;

use crate::problem::{Context as _, Problem, Result};

/// What stands on the command line and has not been asked for yet.
#[derive(Debug)]
pub(crate) struct Args {
    words: Vec<String>,
    /// What follows `--`.
    after: Option<Vec<String>>,
}

impl Args {
    pub(crate) fn new(words: impl Iterator<Item = OsString>) -> Self {
        let mut words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
        let after = words.iter().position(|word| word == "--").map(|at| {
            let after = words.split_off(at + 1);
            words.pop();
            after
        });
        Self { words, after }
    }

    /// The next word that is not an option.
    pub(crate) fn next_word(&mut self) -> Option<String> {
        let at =
            self.words.iter().position(|word| !word.starts_with('-') || word == "-h" || word == "--help")?;
        Some(self.words.remove(at))
    }

    /// Whether an option without a value is given.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let before = self.words.len();
        self.words.retain(|word| word != name);
        self.words.len() < before
    }

    /// The value of an option: `--name value` or `--name=value`.
    pub(crate) fn value(&mut self, name: &str) -> Result<Option<String>> {
        let joined = format!("{name}=");
        let at = self.words.iter().position(|word| word == name || word.starts_with(&joined));
        let Some(at) = at else { return Ok(None) };
        let word = self.words.remove(at);
        if let Some(value) = word.strip_prefix(&joined) {
            return Ok(Some(value.to_owned()));
        }
        let value = self.words.get(at).is_some_and(|value| !value.starts_with("--"));
        value.then(|| self.words.remove(at)).map(Some).context(format!("{name} wants a value"))
    }

    /// What follows `--`.
    pub(crate) fn after(&mut self) -> Option<Vec<String>> {
        self.after.take()
    }

    /// That nothing is left that nobody knows.
    pub(crate) fn end(self) -> Result {
        match self.words.first() {
            Some(word) => Err(Problem::new(format!("'{word}' is not known here; see cargo xtask help"))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Args {
        Args::new(line.split(' ').map(OsString::from))
    }

    #[test]
    fn options_stand_anywhere() {
        let mut line = words("test --vm --suite trixie --long --copy=x -- wg --vm");
        assert_eq!(line.next_word().as_deref(), Some("test"));
        assert!(line.flag("--vm") && line.flag("--long") && !line.flag("--quick"));
        assert_eq!(line.value("--suite").unwrap().as_deref(), Some("trixie"));
        assert_eq!(line.value("--copy").unwrap().as_deref(), Some("x"));
        assert_eq!(line.after().unwrap(), ["wg", "--vm"]);
        line.end().unwrap();
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let mut line = words("test --fast");
        line.next_word();
        assert!(line.end().is_err());
        assert!(words("--suite").value("--suite").is_err());
    }
}
