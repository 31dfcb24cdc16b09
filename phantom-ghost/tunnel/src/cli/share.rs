//! `phantom-ghost share`: lets a web server's group connect to the tunnel server's socket.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{say, usage};
use crate::client::{Args, ArgsError};
use crate::log;
use crate::privilege;

const HELP: &str = "\
usage: phantom-ghost share --socket PATH --group GROUP

Gives the tunnel server's socket, and its folder, to a group: its users may connect, and nobody
else but root. The tunnel server cannot do it where it is not root; the service manager calls this after its start.
";

/// Runs the verb.
pub(super) fn run(words: Vec<String>) -> ExitCode {
    let mut args = Args::new(words);
    if args.flag("--help") || args.flag("-h") {
        return say(HELP);
    }
    let (socket, group) = match parse(args) {
        Ok(parsed) => parsed,
        Err(error) => return usage(&format!("share: {error}")),
    };
    match share(&socket, &group) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::line(format_args!("{} cannot be given to the group {group}: {error}", socket.display()));
            ExitCode::FAILURE
        }
    }
}

fn parse(mut args: Args) -> Result<(PathBuf, String), ArgsError> {
    let socket = args.value("--socket")?;
    let group = args.value("--group")?;
    args.end()?;
    Ok((Args::required("--socket", socket)?.into(), Args::required("--group", group)?))
}

fn share(socket: &Path, group: &str) -> std::io::Result<()> {
    privilege::share(socket, privilege::group(group)?)
}
