//! `phantom-wg-device NAME`: the embedded WireGuard device as a program.

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use phantom_device::{DeviceOptions, EndReason, Log, default_threads, run};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str = "\
Usage: phantom-wg-device [OPTIONS] NAME

Runs the WireGuard device NAME on a TUN of this name, in the foreground, until it
receives SIGTERM or SIGINT, or the link is deleted, which is a failure. It is set up through its control
socket /var/run/wireguard/NAME.sock, for example by wg(8).

Options:
  --mtu N         set this MTU; otherwise a new link gets 1420 and an old one keeps its own
  --threads N     use N threads; otherwise one for each core, at most 4
  --socket PATH   listen there, in a folder that only those may enter who may
                  connect; it answers root and its own user
  --no-offload    do not let the kernel cut and join packets
  --foreground    stay in the foreground, which it does anyway
  -h, --help      print this
  -V, --version   print the version
";

/// What the command line asks for.
enum Command {
    Run { options: Box<DeviceOptions>, threads: usize },
    Print(String),
}

fn main() -> ExitCode {
    let command = match parse(std::env::args().skip(1)) {
        Ok(command) => command,
        Err(problem) => {
            say(&format!("{problem}\n\n{USAGE}"));
            return ExitCode::from(2);
        }
    };
    match command {
        Command::Print(text) => match std::io::stdout().write_all(text.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Command::Run { options, threads } => match start(*options, threads) {
            Ok(EndReason::LinkGone) => ExitCode::FAILURE,
            Ok(_) => ExitCode::SUCCESS,
            Err(error) => {
                say(&chain(error.as_ref()));
                ExitCode::FAILURE
            }
        },
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Command, String> {
    let (mut name, mut mtu, mut threads, mut offload) = (None, None, default_threads(), true);
    let mut socket = None;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "-h" | "--help" => return Ok(Command::Print(USAGE.to_owned())),
            "-V" | "--version" => {
                return Ok(Command::Print(
                    concat!("phantom-wg-device ", env!("CARGO_PKG_VERSION"), "\n").to_owned(),
                ));
            }
            "--foreground" => {}
            "--no-offload" => offload = false,
            "--socket" => socket = Some(arguments.next().ok_or("--socket wants a path")?.into()),
            "--mtu" => mtu = Some(number(&argument, arguments.next(), 576, u16::MAX)?),
            "--threads" => threads = number(&argument, arguments.next(), 1, 256)?.into(),
            option if option.starts_with('-') => return Err(format!("unknown option {option}")),
            _ if name.is_some() => return Err("more than one name".to_owned()),
            _ => name = Some(argument.parse().map_err(|error| format!("{argument}: {error}"))?),
        }
    }
    let mut options = DeviceOptions::new(name.ok_or("the name of an interface is required")?);
    (options.mtu, options.lanes, options.offload, options.socket) = (mtu, threads, offload, socket);
    let prefix = options.name.as_str().to_owned();
    options.log = Log::new(move |line| say(&format!("{prefix}: {line}")));
    Ok(Command::Run { options: Box::new(options), threads })
}

fn number(option: &str, value: Option<String>, least: u16, most: u16) -> Result<u16, String> {
    let value = value.and_then(|value| value.parse().ok()).filter(|value| (least..=most).contains(value));
    value.ok_or(format!("{option} wants a number from {least} to {most}"))
}

fn start(options: DeviceOptions, threads: usize) -> Result<EndReason, Box<dyn Error>> {
    // Keys are in memory: no core dumps, and no looking in from outside but for root.
    nix::sys::prctl::set_dumpable(false)?;
    let runtime = Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    let name = options.name.clone();
    let ended = runtime.block_on(async {
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let shutdown = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        Ok::<_, Box<dyn Error>>(run(options, shutdown).await?)
    });
    runtime.shutdown_timeout(Duration::from_millis(200));
    let ended = ended?;
    let why = if ended == EndReason::LinkGone { "the link has been deleted" } else { "ended" };
    say(&format!("{}: {why}", name.as_str()));
    Ok(ended)
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// Writes to standard error. Where that is closed, there is nobody to tell.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "phantom-wg-device: {text}");
}
