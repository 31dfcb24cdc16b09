//! The words of a command line, pure.

/// Words that were not understood yet. Both `--option value` and `--option=value` are taken.
#[derive(Debug)]
pub(crate) struct Args(Vec<String>);

/// A command line that is not understood. The text is for the person who typed it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ArgsError(pub(crate) String);

impl Args {
    pub(crate) fn new(words: impl IntoIterator<Item = String>) -> Self {
        Self(words.into_iter().collect())
    }

    /// Takes the option `name` out and says whether it was there.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|word| word != name);
        self.0.len() < before
    }

    /// Takes the option `name` and its value out; the last one counts.
    pub(crate) fn value(&mut self, name: &str) -> Result<Option<String>, ArgsError> {
        let mut found = None;
        while let Some((at, inline)) = self.0.iter().enumerate().find_map(|(at, word)| {
            let rest = word.strip_prefix(name)?;
            (rest.is_empty() || rest.starts_with('='))
                .then(|| (at, rest.strip_prefix('=').map(str::to_owned)))
        }) {
            self.0.remove(at);
            found = match inline {
                Some(value) => Some(value),
                None if at < self.0.len() => Some(self.0.remove(at)),
                None => return Err(ArgsError(format!("{name} needs a value"))),
            };
        }
        Ok(found)
    }

    /// The value of the option `name` in its own type.
    pub(crate) fn parsed<T>(&mut self, name: &str) -> Result<Option<T>, ArgsError>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        let Some(text) = self.value(name)? else { return Ok(None) };
        text.parse().map(Some).map_err(|error| ArgsError(format!("{name}: {error}")))
    }

    /// The option `name`, which must be there.
    pub(crate) fn required<T>(name: &str, value: Option<T>) -> Result<T, ArgsError> {
        value.ok_or_else(|| ArgsError(format!("{name} is missing")))
    }

    /// What was not understood yet, in its order.
    pub(crate) fn rest(self) -> Vec<String> {
        self.0
    }

    /// Nothing may be left.
    pub(crate) fn end(self) -> Result<(), ArgsError> {
        match self.0.first() {
            None => Ok(()),
            // Without what may stand behind its `=`.
            Some(word) if word.starts_with('-') => {
                let name = word.split('=').next().unwrap_or_default();
                Err(ArgsError(format!("unknown option {name}")))
            }
            // It may be a secret that does not belong here: it is not repeated.
            Some(_) => Err(ArgsError("a word that belongs to no option".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Args {
        Args::new(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_in_both_forms() {
        let mut args = args("--a 1 --flag --b=2 --a=3");
        assert_eq!(args.parsed("--a"), Ok(Some(3)));
        assert_eq!(args.parsed("--b"), Ok(Some(2)));
        assert_eq!(args.parsed::<u16>("--c"), Ok(None));
        assert!(args.flag("--flag") && !args.flag("--flag"));
        assert_eq!(args.end(), Ok(()));
    }

    #[test]
    fn errors_name_options_but_no_stray_argument() {
        assert_eq!(args("--a").value("--a").unwrap_err().to_string(), "--a needs a value");
        assert!(args("--a=x").parsed::<u16>("--a").unwrap_err().to_string().starts_with("--a: "));
        assert_eq!(args("--ab 1").end().unwrap_err().to_string(), "unknown option --ab");
        assert_eq!(args("--ab=1").value("--a"), Ok(None));
        for line in ["topsecret", "--secret=topsecret"] {
            assert!(!args(line).end().unwrap_err().to_string().contains("topsecret"));
        }
        assert!(Args::required::<u16>("--a", None).is_err());
    }
}
