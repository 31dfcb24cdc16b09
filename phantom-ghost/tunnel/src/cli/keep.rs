//! `phantom-ghost keep`: the keeper as a service.

use std::path::PathBuf;
use std::process::ExitCode;

use phantom_types::{Lang, Text};
use tokio::runtime;

use super::{failed, say, usage};
use crate::control::with_causes;
use crate::keep::{self, KeeperOptions, Way};
use crate::notify::{READY, STOPPING, notify};

const HELP: Text = Text {
    en: "\
usage: phantom-ghost keep --config FILE --control PATH --status FILE [--ask FILE | --run WORD ...]

Pushes the configuration to a tunnel server whenever one of them changes or starts, and renews its certificate.

  --config FILE    what the server is to do; read again when it changes and at SIGHUP
  --control PATH   the server's control socket
  --status FILE    where to write how things are
  --ask FILE       asks by this file for the way of a certificate authority through packet filters: a number, and
                   open or close; the answer, the number and how it ended, comes in FILE-done
  --run WORD       the same by a program: its path, and each word for it, before open or close
",
    tr: "\
kullanım: phantom-ghost keep --config DOSYA --control YOL --status DOSYA [--ask DOSYA | --run SÖZCÜK ...]

Yapılandırmayı, kendisi değiştiğinde veya tünel sunucusu başladığında sunucuya iletir ve sertifikasını yeniler.

  --config DOSYA    sunucunun ne yapacağı; değiştiğinde ve SIGHUP geldiğinde yeniden okunur
  --control YOL     sunucunun denetim soketi
  --status DOSYA    durumun yazılacağı yer
  --ask DOSYA       sertifika otoritesinin paket filtrelerinden geçmesini bu dosyayla ister: bir sayı ve open veya close
                    yazar; yanıt, yani aynı sayı ve sonuç, DOSYA-done dosyasına gelir
  --run SÖZCÜK      aynısını bir programla ister: programın yolu ve open veya close sözcüğünden önceki her sözcük
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

fn parse(arguments: Vec<String>, lang: Lang) -> Result<KeeperOptions, String> {
    let names = ["--config", "--control", "--status", "--ask"];
    let (mut values, mut command) = ([const { None }; 4], Vec::new());
    let mut rest = arguments.into_iter();
    while let Some(argument) = rest.next() {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (argument, rest.next()),
        };
        let missing = || format!("{name} needs a value");
        if name == "--run" {
            command.push(value.ok_or_else(missing)?);
            continue;
        }
        let place = names
            .iter()
            .position(|known| *known == name)
            .ok_or_else(|| format!("unknown option {name:?}"))?;
        if values[place].replace(PathBuf::from(value.ok_or_else(missing)?)).is_some() {
            return Err(format!("{name} is given twice"));
        }
    }
    let [config, control, status, ask] = values;
    let way = match (ask, command.is_empty()) {
        (Some(_), false) => return Err("--ask and --run do not go together".to_owned()),
        (Some(file), true) => Way::Ask(file),
        (None, false) => Way::Run(command),
        (None, true) => Way::Open,
    };
    let missing = |name: &str| format!("{name} is missing");
    Ok(KeeperOptions {
        config: config.ok_or_else(|| missing("--config"))?,
        control: control.ok_or_else(|| missing("--control"))?,
        status: status.ok_or_else(|| missing("--status"))?,
        way,
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

    #[test]
    fn one_way_is_named_or_none() {
        let way = |text: &str| {
            let words = "--config a --control b --status c".split(' ').chain(text.split(' '));
            parse(words.filter(|word| !word.is_empty()).map(str::to_owned).collect(), Lang::En)
                .map(|options| options.way)
        };
        assert_eq!(way(""), Ok(Way::Open));
        assert_eq!(way("--ask /run/way"), Ok(Way::Ask("/run/way".into())));
        let words = ["/usr/bin/phantom-api", "--root", "/opt/x"].map(str::to_owned).to_vec();
        assert_eq!(way("--run /usr/bin/phantom-api --run --root --run=/opt/x"), Ok(Way::Run(words)));
        assert!(way("--ask a --run b").is_err() && way("--run").is_err());
    }
}
