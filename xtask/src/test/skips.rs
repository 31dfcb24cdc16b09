//! The committed list of what may be skipped. Whatever else is skipped fails the run.

use std::fs;

use super::servers;
use crate::problem::{Context as _, Problem, Result};
use crate::workspace;

/// The list, read.
#[derive(Debug, Default)]
pub(crate) struct Skips(Vec<Allowed>);

#[derive(Debug)]
struct Allowed {
    /// The name as the summary prints it; one `*` at its end stands for the rest of a name. One that begins with `@` and the name of
    /// a test program is meant wherever this program runs: here and on servers.
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
        let alias = alias(name);
        let names = [Some(name), alias.as_deref()];
        let fits = |allowed: &&Allowed| match allowed.name.strip_suffix('*') {
            Some(start) => names.iter().flatten().any(|name| name.starts_with(start)),
            None => names.contains(&Some(&*allowed.name)),
        };
        self.0.iter().filter(fits).find(|allowed| why.contains(&allowed.why)).map(|allowed| &*allowed.reason)
    }
}

/// The name of a test with that of its program in the place of the part: `@namespace: a::b` of `vm:ghost: a::b`, and
/// `@conformance: a::b` of `host/conformance: a::b`.
fn alias(name: &str) -> Option<String> {
    let (part, test) = name.split_once(": ")?;
    let here = || part.rsplit('/').next().filter(|_| !part.contains(':'));
    let program = servers::program_of(part).or_else(here)?;
    Some(format!("@{program}: {test}"))
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

    #[test]
    fn permitted_skips_hold_on_servers_too() {
        let list = "@namespace: a::* | takes hours | long\n@services_linux: a | a role | none\nnamespace: b | no kernel | vm:b\n";
        let skips = Skips::parse(list).unwrap();
        for part in ["namespace", "vm:ghost", "vm:ghost:trixie", "vm:rest", "vm:exits:trixie"] {
            assert_eq!(skips.reason(&format!("{part}: a::b"), "it takes hours"), Some("long"), "{part}");
        }
        for part in ["host/services_linux", "container:services", "container:services:trixie", "vm:services"]
        {
            assert_eq!(skips.reason(&format!("{part}: a"), "a role"), Some("none"), "{part}");
        }
        // Of another program, in a scenario, and what the server is there for.
        for name in ["suite: a::b", "vm:services: a::b", "vm:server: a::b", "vm:nobody: a::b", "vm:ghost: b"]
        {
            assert_eq!(skips.reason(name, "takes hours, no kernel"), None, "{name}");
        }
    }
}
