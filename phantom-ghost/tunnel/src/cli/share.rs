//! `phantom-ghost share`: lets a web server's group connect to the tunnel server's socket.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use phantom_types::{Lang, Text};

use super::{failed, say, usage_of};
use crate::client::{Args, ArgsError};
use crate::privilege;

const HELP: Text = Text {
    en: "\
usage: phantom-ghost share --socket PATH --group GROUP

Gives the tunnel server's socket, and its folder, to a group: its users may connect, and nobody
else but root. The tunnel server cannot do it where it is not root; the service manager calls this after its start.
",
    tr: "\
kullanım: phantom-ghost share --socket YOL --group GRUP

Tünel sunucusunun soketini ve dizinini bir gruba verir: yalnızca bu grubun kullanıcıları ve root bağlanabilir. Tünel sunucusu
root değilse bunu kendisi yapamaz; servis yöneticisi bu komutu sunucu başladıktan sonra çağırır.
",
};

/// Runs the verb.
pub(super) fn run(words: Vec<String>, lang: Lang) -> ExitCode {
    let mut args = Args::new(words);
    if args.flag("--help") || args.flag("-h") {
        return say(HELP.get(lang));
    }
    let (socket, group) = match parse(args) {
        Ok(parsed) => parsed,
        Err(error) => return usage_of("share", error, lang),
    };
    match share(&socket, &group) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            failed(format_args!("{} cannot be given to the group {group}: {error}", socket.display()), lang)
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
