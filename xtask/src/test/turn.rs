//! Which parts run beside those of each change: one by turn, and those that a changed path forces.
//!
//! Both follow from the commit alone, so that one commit always gives one result.

use crate::problem::{Context as _, Result};
use crate::workspace::git;

/// Paths, by how they begin, and the parts that a change of them forces.
const FORCED: &[(&str, &[&str])] = &[
    ("foundation/host/src/linux/wireguard", &["vm:conformance", "vm:net", "vm:clients", "vm:repair"]),
    ("foundation/host/src/linux/netlink", &["vm:conformance", "vm:net", "vm:clients", "vm:repair"]),
    ("foundation/host/src/linux/services/systemd", &["container:server:trixie"]),
    ("packaging/", &["container:package:trixie"]),
    ("xtask/src/dist", &["container:package:trixie"]),
];
/// How far back a change counts as new, in seconds: what is brought in together was written within this time.
const NEW: u64 = 12 * 3600;

/// The turn of the checked-out commit: how many commits lead to it.
pub(super) fn of_head() -> Result<usize> {
    git("rev-list --count HEAD")?.parse().context("git rev-list")
}

/// The same, or nothing where the history is not there to count.
pub(super) fn counted() -> Option<usize> {
    (git("rev-parse --is-shallow-repository").ok()? == "false").then(of_head)?.ok()
}

/// The parts that what has changed forces, or all that any path forces where the history is not there to tell.
pub(super) fn forced() -> Vec<&'static str> {
    forced_by(changed().as_deref())
}

fn forced_by(changed: Option<&[String]>) -> Vec<&'static str> {
    let hit = |start: &str| changed.is_none_or(|paths| paths.iter().any(|path| path.starts_with(start)));
    let mut parts: Vec<_> =
        FORCED.iter().filter(|(start, _)| hit(start)).flat_map(|(_, parts)| *parts).copied().collect();
    parts.sort_unstable();
    parts.dedup();
    parts
}

/// The paths that differ from the last commit that is older than [`NEW`], those not committed yet included.
fn changed() -> Option<Vec<String>> {
    if git("rev-parse --is-shallow-repository").ok()? != "false" {
        return None;
    }
    let now: u64 = git("log -1 --format=%ct").ok()?.parse().ok()?;
    let old = git(&format!("rev-list -1 --before={} HEAD", now.saturating_sub(NEW))).ok()?;
    if old.is_empty() {
        return None;
    }
    let paths = git(&format!("diff --name-only {old}")).ok()?;
    Some(paths.lines().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_path_forces_its_parts() {
        let paths = |path: &str| vec![path.to_owned()];
        assert_eq!(forced_by(Some(&paths("packaging/prerm"))), ["container:package:trixie"]);
        assert!(forced_by(Some(&paths("README.md"))).is_empty());
        assert!(forced_by(None).contains(&"vm:repair"), "a history that is not there forces all");
    }

    #[test]
    fn forced_paths_exist() {
        for (start, _) in FORCED {
            let found = git(&format!("ls-files {start}*")).unwrap();
            assert!(!found.is_empty(), "nothing begins with {start}");
        }
    }
}
