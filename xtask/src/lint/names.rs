//! The wall between modules, as far as words go: no file of the foundation, of Core or of the orchestrator's library names a module
//! above it. What crates import is held by `edges`; what they say is held here.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::tidy;
use crate::problem::{Context as _, Problem, Result};
use crate::workspace;

/// The modules that somebody can take out. DNS is not among them: the word is everybody's.
const MODULES: [&str; 2] = ["ghost", "multihop"];

/// What lies below them.
const BELOW: [&str; 3] = ["foundation", "phantom-core", "phantom-api/src"];

/// Lines that may name a module: the file, what such a line contains, and why.
struct Allowed {
    file: &'static str,
    lines: &'static [&'static str],
    why: &'static str,
}

const REGISTRATION: &str = "the registration: a line for each module";
const WIRE: &str = "names and descriptions of fields that are promised to callers";
const FROZEN: &str = "the frozen first schemas made these tables; a module's own steps come after them";

const ALLOWED: &[Allowed] = &[
    Allowed {
        file: "phantom-api/src/orchestrator.rs",
        lines: &[".system::<phantom_ghost::Ghost>()", ".system::<phantom_multihop::Multihop>()"],
        why: REGISTRATION,
    },
    Allowed {
        file: "phantom-core/src/actions/subnet_info.rs",
        lines: &[
            "/// Neither Ghost Mode nor Multihop is active",
            "\"Ne Ghost Mode ne de Multihop aktif\"",
            "/// Ghost Mode is active",
            "\"Ghost Mode aktif\"",
            "pub ghost_mode: bool",
            "/// Multihop is active",
            "\"Multihop aktif\"",
            "pub multihop: bool",
            "ghost_mode: by(\"ghost\")",
            "multihop: by(\"multihop\")",
        ],
        why: WIRE,
    },
    Allowed {
        file: "phantom-core/src/actions/tweak_settings.rs",
        lines: &[
            "/// The operator's secret opens tunnels in Ghost Mode",
            "\"Ghost Mode'da istemcilerin",
            "ghost_operator_secret",
        ],
        why: WIRE,
    },
    Allowed {
        file: "foundation/store/src/schema/0001.sql",
        lines: &["Ghost Mode.", "ghost (", "Multihop.", "multihop ("],
        why: FROZEN,
    },
    Allowed { file: "foundation/store/src/schema/0003.sql", lines: &["ALTER TABLE ghost"], why: FROZEN },
    Allowed {
        file: "foundation/store/src/schema/0004.sql",
        lines: &["ALTER TABLE ghost", "Ghost Mode's tunnel server"],
        why: FROZEN,
    },
    Allowed {
        file: "foundation/store/src/schema/tests.rs",
        lines: &["INTO ghost", "FROM ghost"],
        why: FROZEN,
    },
];

pub(super) fn run() -> Result {
    let root = workspace::root();
    let mut complaints = Vec::new();
    let mut used = BTreeSet::new();
    for path in tidy::files(&root)?.iter().filter(|path| is_below(path)) {
        // A picture or another file that is no text says nothing.
        let Ok(text) = String::from_utf8(fs::read(root.join(path)).context(path.display())?) else {
            continue;
        };
        complaints.extend(named(&path.to_string_lossy(), &text, &mut used));
    }
    complaints.extend(unused(&used));
    if complaints.is_empty() { Ok(()) } else { Err(Problem::new(complaints.join("\n"))) }
}

fn is_below(path: &Path) -> bool {
    BELOW.iter().any(|folder| path.starts_with(folder))
}

/// The lines of a file that name a module and may not; `used` gets the allowances that were needed.
fn named(file: &str, text: &str, used: &mut BTreeSet<(&'static str, &'static str)>) -> Vec<String> {
    let mut complaints = Vec::new();
    let own_name = names(file).into_iter().map(|module| (0, module, file));
    let lines = text.lines().enumerate();
    let in_lines =
        lines.flat_map(|(at, line)| names(line).into_iter().map(move |module| (at + 1, module, line)));
    for (at, module, line) in own_name.chain(in_lines) {
        let allowed = ALLOWED.iter().filter(|allowed| allowed.file == file).flat_map(|allowed| allowed.lines);
        match allowed.into_iter().find(|part| line.contains(**part)) {
            Some(part) => {
                let file = ALLOWED.iter().map(|allowed| allowed.file).find(|one| *one == file);
                used.extend(file.map(|file| (file, *part)));
            }
            None => complaints.push(format!("{file}:{at}: names the module {module}, which is above it")),
        }
    }
    complaints
}

fn names(text: &str) -> Vec<&'static str> {
    let text = text.to_ascii_lowercase();
    MODULES.into_iter().filter(|module| text.contains(module)).collect()
}

/// Allowances that nothing needs any longer.
fn unused(used: &BTreeSet<(&'static str, &'static str)>) -> Vec<String> {
    let all = ALLOWED
        .iter()
        .flat_map(|Allowed { file, lines, why }| lines.iter().map(move |line| (*file, *line, *why)));
    let unused = all.filter(|(file, line, _)| !used.contains(&(*file, *line)));
    unused
        .map(|(file, line, why)| format!("{file}: no line has {line:?} any longer (allowed as {why})"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(file: &str, text: &str) -> usize {
        named(file, text, &mut BTreeSet::new()).len()
    }

    #[test]
    fn a_name_is_found_wherever_it_is() {
        assert_eq!(complaints("foundation/host/src/lib.rs", "//! Nothing.\nfn f() {}\n"), 0);
        assert_eq!(complaints("foundation/host/src/lib.rs", "// While Multihop is on.\nuse ghost;\n"), 2);
        assert_eq!(complaints("foundation/store/src/ghost.rs", "//! Rows.\n"), 1);
        assert_eq!(complaints("foundation/store/src/schema/0009.sql", "ALTER TABLE ghost ADD x TEXT;\n"), 1);
        assert!(
            is_below(Path::new("phantom-core/Cargo.toml"))
                && !is_below(Path::new("phantom-ghost/src/lib.rs"))
        );
    }

    #[test]
    fn exception_holds_only_where_listed() {
        let line = "    .system::<phantom_ghost::Ghost>()\n";
        let mut used = BTreeSet::new();
        assert!(named("phantom-api/src/orchestrator.rs", line, &mut used).is_empty());
        assert_eq!(complaints("phantom-api/src/cli.rs", line), 1);
        let lines: usize = ALLOWED.iter().map(|allowed| allowed.lines.len()).sum();
        assert_eq!(unused(&used).len(), lines - 1);
    }

    #[test]
    fn the_sources_keep_to_it() {
        run().unwrap();
    }
}
