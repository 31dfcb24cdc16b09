//! `phantom-ghost keep`: the keeper as a service.

use std::path::PathBuf;
use std::process::ExitCode;

use phantom_types::{Lang, Text};
use tokio::runtime;

use super::{failed, say, usage};
use crate::control::with_causes;
use crate::keep::{self, Options};
use crate::notify::{READY, STOPPING, notify};

const HELP: Text = Text {
    en: "\
usage: phantom-ghost keep --config FILE --control PATH --status FILE

Pushes the configuration to a tunnel server whenever one of them changes or starts, and renews its certificate.

  --config FILE    what the server is to do; read again when it changes and at SIGHUP
  --control PATH   the server's control socket
  --status FILE    where to write how things are
",
    tr: "\
kullanım: phantom-ghost keep --config DOSYA --control YOL --status DOSYA

Yapılandırmayı, kendisi değiştiğinde veya tünel sunucusu başladığında sunucuya iletir ve sertifikasını yeniler.

  --config DOSYA    sunucunun ne yapacağı; değiştiğinde ve SIGHUP geldiğinde yeniden okunur
  --control YOL     sunucunun denetim soketi
  --status DOSYA    durumun yazılacağı yer
",
};

/// Runs the verb until SIGTERM or SIGINT.
pub fn run(arguments: Vec<String>, lang: Lang) -> ExitCode {
    if arguments.iter().any(|argument| matches!(argument.as_str(), "--help" | "-h")) {
        return say(HELP.get(lang));
    }
    let options = match parse(arguments, lang) {
        Ok(options) => options,
        Err(problem) => return usage(problem, lang),
    };
    let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(format_args!("the runtime could not be started: {error}"), lang),
    };
    let kept = runtime.block_on(keep::run(&options, || notify(READY)));
    notify(STOPPING);
    // Look-ups of names run on threads that nothing waits for.
    runtime.shutdown_background();
    match kept {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(with_causes(&error), lang),
    }
}

fn parse(arguments: Vec<String>, lang: Lang) -> Result<Options, String> {
    let names = ["--config", "--control", "--status"];
    let mut values = [const { None }; 3];
    let mut rest = arguments.into_iter();
    while let Some(argument) = rest.next() {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (argument, rest.next()),
        };
        let place = names
            .iter()
            .position(|known| *known == name)
            .ok_or_else(|| format!("unknown option {name:?}"))?;
        let value = value.ok_or_else(|| format!("{name} needs a value"))?;
        if values[place].replace(PathBuf::from(value)).is_some() {
            return Err(format!("{name} is given twice"));
        }
    }
    let [config, control, status] = values;
    let missing = |name: &str| format!("{name} is missing");
    Ok(Options {
        config: config.ok_or_else(|| missing("--config"))?,
        control: control.ok_or_else(|| missing("--control"))?,
        status: status.ok_or_else(|| missing("--status"))?,
        clock: phantom_certs::now,
        lang,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_are_needed_once() {
        let parse = |text: &str| {
            parse(text.split(' ').map(str::to_owned).collect(), Lang::En).map(|options| options.status)
        };
        assert_eq!(parse("--config a --control=b --status c"), Ok(PathBuf::from("c")));
        assert_eq!(parse("--config a --control b"), Err("--status is missing".to_owned()));
        assert_eq!(parse("--config a --config=b"), Err("--config is given twice".to_owned()));
        assert_eq!(parse("--config"), Err("--config needs a value".to_owned()));
        assert!(parse("--what a").is_err());
    }
}
