//! The committed list of what may be skipped. Whatever else is skipped fails the run.

use std::fs;

use crate::problem::{Context as _, Problem, Result};
use crate::workspace;

/// The list, read.
#[derive(Debug, Default)]
pub(crate) struct Skips(Vec<Allowed>);

#[derive(Debug)]
struct Allowed {
    /// The name as the summary prints it; one `*` at its end stands for the rest of a name.
    name: String,
    /// A part of what the test says.
    why: String,
    /// Why nothing is lost by it.
    reason: String,
}

impl Skips {
    /// Where the list lies.
    pub(crate) const FILE: &str = "tests/skips.txt";

    pub(crate) fn read() -> Result<Self> {
        let path = workspace::root().join(Self::FILE);
        Self::parse(&fs::read_to_string(&path).context(path.display())?)
    }

    /// Lines of `NAME | WHAT IT SAYS | REASON`; empty lines and lines that begin with `#` are for the reader.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let allowed = lines.map(|line| {
            let parts: Vec<&str> = line.split(" | ").map(str::trim).collect();
            match parts[..] {
                [name, why, reason] if parts.iter().all(|part| !part.is_empty()) => {
                    Ok(Allowed { name: name.to_owned(), why: why.to_owned(), reason: reason.to_owned() })
                }
                _ => {
                    Err(Problem::new(format!("{}: '{line}' is not NAME | WHAT IT SAYS | REASON", Self::FILE)))
                }
            }
        });
        Ok(Self(allowed.collect::<Result<_>>()?))
    }

    /// Why a test may be skipped that says this; nothing where it may not.
    pub(crate) fn reason(&self, name: &str, why: &str) -> Option<&str> {
        let fits = |allowed: &&Allowed| match allowed.name.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == allowed.name,
        };
        self.0.iter().filter(fits).find(|allowed| why.contains(&allowed.why)).map(|allowed| &*allowed.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_list_can_be_read() {
        Skips::read().unwrap();
    }

    #[test]
    fn name_and_cause_must_both_fit() {
        let list = "# a comment\n\nsuite: a::* | no printer | machines have none\n";
        let skips = Skips::parse(list).unwrap();
        assert_eq!(skips.reason("suite: a::b", "there is no printer here"), Some("machines have none"));
        assert_eq!(skips.reason("suite: a::b", "no paper"), None);
        assert_eq!(skips.reason("suite: b", "no printer"), None);
        assert!(Skips::parse("suite: a | because").is_err());
    }
}
