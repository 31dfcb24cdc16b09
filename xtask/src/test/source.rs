//! The installation of the README, from source, on a bare Debian.

use super::Tally;
use super::count::Count;
use crate::command::{Cmd, find_program, is_root};
use crate::packages::{self, Need};
use crate::problem::Result;
use crate::workspace;

/// What makes a root of Debian packages.
const NEEDS: &[Need] = &[Need::program("mmdebstrap", "mmdebstrap")];

/// Does in a root of its own what the README says, and throws it away.
pub(super) fn run(tally: &mut Tally) -> Result {
    const NAME: &str = "the README's installation, from source";
    packages::ensure(NEEDS)?;
    let missing = ["unshare", "git"].into_iter().find(|program| find_program(program).is_none());
    if !is_root() || missing.is_some() {
        tally.skip(NAME, missing.unwrap_or("needs root"));
        return Ok(());
    }
    let dir = workspace::target_dir()?.join("from-source");
    let script = workspace::root().join("xtask/lab/from-source.sh");
    let before = tally.failures();
    let command = Cmd::new("bash").arg(script).arg(workspace::root()).arg(&dir);
    let mut count = Count::default();
    let status = command.stream(|line| {
        println!("{line}");
        count.line(line);
    })?;
    tally.add("source", &count);
    if !status.success() && tally.failures() == before {
        tally.fail(NAME, &status.to_string());
    }
    Cmd::line("rm -rf --one-file-system").arg(dir).quiet()
}
