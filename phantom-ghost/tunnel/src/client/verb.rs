//! `phantom-ghost connect`.

use std::fs::File;
use std::future::Future;
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::ExitCode;

use phantom_certs::with_causes;
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

use super::args::{Args, ArgsError};
use super::{Client, ClientError, Config, Event, Server, Trust};
use crate::cli;
use crate::log::line as say;
use crate::notify::{READY, STOPPING, notify};
use crate::pump::Options;
use crate::secrets::Secret;

const USAGE: &str = "\
usage: phantom-ghost connect --server wss://HOST[:PORT] --secret-file FILE|-
           [--listen 127.0.0.1:51820] [--wireguard-port 51820] [--address IP]
           [--pin SHA256] [--ca-file FILE]

Keeps a tunnel to the server open. The local WireGuard's peer has the address of --listen as its end point.

  --secret-file     the file that holds the secret, - for standard input
  --wireguard-port  the UDP port of the server's WireGuard
  --address         where the server is; its name is not looked up then
  --pin             SHA-256 of the server's public key, base64 or hexadecimal: needed besides a valid certificate
  --ca-file         PEM file of more authorities that may issue the server's certificate
";
/// The port of WireGuard at both ends, if nothing else is said.
const WIREGUARD: u16 = 51820;
/// Larger files are no secret, in bytes.
const MAX_SECRET: u16 = 4096;

/// Runs `phantom-ghost connect` with the words that follow it, until SIGTERM or SIGINT. Writes to standard error what
/// happens. Ends with 0 when it was told to stop, 1 when it cannot run, 2 when the words are not understood.
pub(crate) fn command(words: Vec<String>) -> ExitCode {
    let mut args = Args::new(words);
    if args.flag("--help") || args.flag("-h") {
        return cli::say(USAGE);
    }
    let config = match config(args) {
        Ok(config) => config,
        Err(error) => return cli::usage(&format!("connect: {error}")),
    };
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(with_causes(&error));
            ExitCode::FAILURE
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum VerbError {
    #[error("the runtime could not be started")]
    Runtime(#[source] io::Error),
    #[error(transparent)]
    Client(#[from] ClientError),
}

fn config(mut args: Args) -> Result<Config, ArgsError> {
    let server: Option<Server> = args.parsed("--server")?;
    let secret = args.value("--secret-file")?;
    let trust =
        Trust::Authorities { ca_file: args.value("--ca-file")?.map(Into::into), pin: args.parsed("--pin")? };
    let listen = args.parsed("--listen")?.unwrap_or(SocketAddrV4::new(Ipv4Addr::LOCALHOST, WIREGUARD));
    let wireguard_port = args.parsed("--wireguard-port")?.unwrap_or(WIREGUARD);
    let address = args.parsed("--address")?;
    args.end()?;
    let server = Args::required("--server", server)?;
    let secret = read_secret(&Args::required("--secret-file", secret)?)?;
    Ok(Config { server, address, secret, wireguard_port, listen, trust, ping: Options::default().ping })
}

/// The secret in a file, `-` for standard input. A line end behind it is no part of it.
pub(crate) fn read_secret(file: &str) -> Result<Secret, ArgsError> {
    let unusable = |why: &dyn std::fmt::Display| ArgsError(format!("--secret-file {file}: {why}"));
    let mut text = Zeroizing::new(String::new());
    // Room for all of it at once: a buffer that grows leaves copies behind.
    text.reserve(MAX_SECRET.into());
    let read = if file == "-" {
        io::stdin().take(MAX_SECRET.into()).read_to_string(&mut text)
    } else {
        File::open(file).and_then(|file| file.take(MAX_SECRET.into()).read_to_string(&mut text))
    };
    read.map_err(|error| unusable(&error))?;
    Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()).map_err(|error| unusable(&error))
}

fn run(config: Config) -> Result<(), VerbError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(VerbError::Runtime)?;
    let done = runtime.block_on(async {
        let stop = signals().map_err(VerbError::Runtime)?;
        let server = config.server.clone();
        let client = Client::new(config)?;
        say(format!("UDP {} leads to {server}", client.local_addr()));
        // Ready for datagrams: the tunnel itself may have to wait for a network that is not there yet.
        notify(READY);
        let done = client.run(stop, |event| tell(&server, event)).await;
        notify(STOPPING);
        Ok(done?)
    });
    // A look-up that hangs is not waited for.
    runtime.shutdown_background();
    done
}

/// Ready at SIGTERM or SIGINT.
fn signals() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn tell(server: &Server, event: &Event<'_>) {
    say(match event {
        Event::Opened(address) => format!("tunnel to {server} ({address}) is open"),
        Event::Ended(end, time) => {
            format!("tunnel to {server} ended after {} s: {}", time.as_secs(), with_causes(*end))
        }
        Event::Failed(error) => with_causes(*error),
        Event::Waits(time) => format!("next attempt in {:.1} s", time.as_secs_f64()),
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek as _, Write as _};

    fn parse(line: &str) -> Result<Config, ArgsError> {
        config(Args::new(line.split_whitespace().map(str::to_owned)))
    }

    fn secret_file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.rewind().unwrap();
        file
    }

    #[test]
    fn the_words_become_a_configuration() {
        let secret = Secret::generate();
        let file = secret_file(&format!("{}\n", secret.reveal()));
        let path = file.path().display();
        let plain = parse(&format!("--server wss://vpn.example.com --secret-file {path}")).unwrap();
        assert_eq!((plain.wireguard_port, plain.listen.to_string()), (51820, "127.0.0.1:51820".to_owned()));
        assert!(plain.secret == secret && plain.address.is_none());
        let all = parse(&format!(
            "--server=wss://vpn.example.com:8443 --secret-file={path} --listen 127.0.0.1:7 --wireguard-port 9 \
             --address 192.0.2.7 --pin {} --ca-file /x",
            "ab".repeat(32)
        ));
        let all = all.unwrap();
        assert_eq!((all.wireguard_port, all.listen.port(), all.server.port), (9, 7, 8443));
        assert!(matches!(all.trust, Trust::Authorities { ca_file: Some(_), pin: Some(_) }));
        assert!(!format!("{all:?}").contains(secret.reveal()));
    }

    #[test]
    fn what_is_missing_or_wrong_is_said_without_the_secret() {
        let file = secret_file("a secret with blanks is none of ours");
        let path = file.path().display();
        for (line, expected) in [
            (String::new(), "--server is missing"),
            ("--server wss://vpn.example.com".to_owned(), "--secret-file is missing"),
            ("--server https://vpn.example.com".to_owned(), "wss://"),
            (format!("--server wss://vpn.example.com --secret-file {path}"), "letters and digits"),
            ("--server wss://vpn.example.com --secret-file /nonexistent".to_owned(), "No such file"),
            ("--server wss://vpn.example.com --secret s3cret".to_owned(), "unknown option --secret"),
        ] {
            let error = parse(&line).unwrap_err().to_string();
            assert!(error.contains(expected), "{line}: {error}");
            assert!(!error.contains("blanks") && !error.contains("s3cret"), "{error}");
        }
    }
}
