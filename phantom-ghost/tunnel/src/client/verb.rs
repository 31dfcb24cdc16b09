//! `phantom-ghost connect`.

use std::fmt;
use std::fs::File;
use std::future::Future;
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::process::ExitCode;

use nix::unistd::geteuid;
use phantom_certs::with_causes;
use phantom_types::{Lang, Text};
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

use super::args::{Args, ArgsError};
use super::{Client, ClientError, ClientEvent, Config, Login, Proxy, Server, Trust, memory};
use crate::cli;
use crate::log::line as say;
use crate::notify::{READY, STOPPING, notify};
use crate::pump::TunnelOptions;
use crate::secrets::Secret;

const HELP: Text = Text {
    en: "\
usage: phantom-ghost connect --server wss://HOST[:PORT][/PATH] --secret-file FILE|-
           [--listen 127.0.0.1:51820] [--wireguard-port 51820] [--address IP]
           [--address-file FILE|none] [--http-proxy http://HOST:PORT] [--proxy-login-file FILE|-]
           [--pin SHA256] [--ca-file FILE] [--lang en|tr]

Keeps a tunnel to the server open. The local WireGuard's peer has the address of --listen as its end point.

  --server            where the server is; PATH comes before the secret, for a web server in front
  --secret-file       the file that holds the secret, - for standard input
  --wireguard-port    the UDP port of the server's WireGuard
  --address           where the server is; its name is not looked up then
  --address-file      the file that keeps the address of the last tunnel, tried first after a new start: while
                      WireGuard is up, a name cannot be looked up without the tunnel. Without this option it is in
                      $STATE_DIRECTORY, for root in /var/lib/phantom-ghost, else in $XDG_STATE_HOME/phantom-ghost or
                      ~/.local/state/phantom-ghost; none for no file
  --http-proxy        the HTTP proxy by which the server is reached (CONNECT)
  --proxy-login-file  the file that holds user:password for the proxy, - for standard input
  --pin               SHA-256 of the server's public key, base64 or hexadecimal: needed besides a valid certificate
  --ca-file           PEM file of more authorities that may issue the server's certificate
  --lang              language of what it says; PHANTOM_LANG chooses it too
",
    tr: "\
kullanım: phantom-ghost connect --server wss://SUNUCU[:PORT][/YOL] --secret-file DOSYA|-
           [--listen 127.0.0.1:51820] [--wireguard-port 51820] [--address IP]
           [--address-file DOSYA|none] [--http-proxy http://SUNUCU:PORT] [--proxy-login-file DOSYA|-]
           [--pin SHA256] [--ca-file DOSYA] [--lang en|tr]

Sunucuya açılan bir tüneli ayakta tutar. Yerel WireGuard'ın eşi, uç noktası olarak --listen adresini kullanır.

  --server            sunucunun yeri; YOL, öndeki bir web sunucusu için gizli anahtardan önce gelir
  --secret-file       gizli anahtarı içeren dosya, standart girdi için -
  --wireguard-port    sunucudaki WireGuard'ın UDP portu
  --address           sunucunun adresi; verilirse sunucunun adı çözümlenmez
  --address-file      son tünelin adresini saklayan dosya; yeni bir başlangıçta önce bu adres denenir, çünkü WireGuard
                      açıkken bir ad tünel olmadan çözümlenemez. Verilmezse dosya $STATE_DIRECTORY içinde, root için
                      /var/lib/phantom-ghost içinde, diğerleri için $XDG_STATE_HOME/phantom-ghost veya
                      ~/.local/state/phantom-ghost içindedir; dosya istenmiyorsa none
  --http-proxy        sunucuya ulaşmak için kullanılan HTTP vekil sunucusu (CONNECT)
  --proxy-login-file  vekil sunucu için kullanıcı:parola satırını içeren dosya, standart girdi için -
  --pin               sunucunun açık anahtarının SHA-256 özeti, base64 veya onaltılık: geçerli sertifikanın yanında aranır
  --ca-file           sunucunun sertifikasını verebilecek ek otoritelerin PEM dosyası
  --lang              metinlerin dili; PHANTOM_LANG da belirler
",
};
/// The port of WireGuard at both ends, if nothing else is said.
const WIREGUARD: u16 = 51820;
/// Larger files are no secret, in bytes.
const MAX_SECRET: u16 = 4096;

/// Runs `phantom-ghost connect` with the words that follow it, until SIGTERM or SIGINT. Writes to standard error what
/// happens. Ends with 0 when it was told to stop, 1 when it cannot run, 2 when the words are not understood.
pub(crate) fn command(words: Vec<String>, lang: Lang) -> ExitCode {
    let mut args = Args::new(words);
    if args.flag("--help") || args.flag("-h") {
        return cli::say(HELP.get(lang));
    }
    let config = match config(args) {
        Ok(config) => config,
        Err(error) => return cli::usage_of("connect", error, lang),
    };
    match run(config, lang) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::failed(with_causes(&error), lang),
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
    let (mut proxy, login): (Option<Proxy>, _) =
        (args.parsed("--http-proxy")?, args.value("--proxy-login-file")?);
    let file = args.value("--address-file")?;
    args.end()?;
    let server = Args::required("--server", server)?;
    let secret = Args::required("--secret-file", secret)?;
    if secret == "-" && login.as_deref() == Some("-") {
        return Err(ArgsError(
            "one of --secret-file and --proxy-login-file can be standard input".to_owned(),
        ));
    }
    let secret = read_secret(&secret)?;
    if let Some(login) = login {
        let proxy = proxy.as_mut().ok_or_else(|| ArgsError("--http-proxy is missing".to_owned()))?;
        proxy.login = Some(read_login(&login)?);
    }
    let ping = TunnelOptions::default().ping;
    let mut config =
        Config { server, address, proxy, memory: None, secret, wireguard_port, listen, trust, ping };
    config.memory = match file {
        Some(file) => Some(PathBuf::from(file)).filter(|file| file.as_os_str() != "none"),
        None => memory::usual(&config.first_hop(), geteuid().is_root(), |name| std::env::var_os(name)),
    };
    Ok(config)
}

/// The secret in a file, `-` for standard input. A line end behind it is no part of it.
pub(crate) fn read_secret(file: &str) -> Result<Secret, ArgsError> {
    read_line("--secret-file", file, Secret::new)
}

/// User and password for a proxy, likewise.
fn read_login(file: &str) -> Result<Login, ArgsError> {
    read_line("--proxy-login-file", file, Login::new)
}

/// The line in a file that an option names, which `take` understands or wipes.
fn read_line<T, E: fmt::Display>(
    option: &str,
    file: &str,
    take: impl FnOnce(String) -> Result<T, E>,
) -> Result<T, ArgsError> {
    let unusable = |why: &dyn fmt::Display| ArgsError(format!("{option} {file}: {why}"));
    let mut text = Zeroizing::new(String::new());
    // Room for all of it at once: a buffer that grows leaves copies behind.
    text.reserve(MAX_SECRET.into());
    let read = if file == "-" {
        io::stdin().take(MAX_SECRET.into()).read_to_string(&mut text)
    } else {
        File::open(file).and_then(|file| file.take(MAX_SECRET.into()).read_to_string(&mut text))
    };
    read.map_err(|error| unusable(&error))?;
    take(text.trim_end_matches(['\r', '\n']).to_owned()).map_err(|error| unusable(&error))
}

fn run(config: Config, lang: Lang) -> Result<(), VerbError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(VerbError::Runtime)?;
    let done = runtime.block_on(async {
        let stop = signals().map_err(VerbError::Runtime)?;
        let (server, proxy) = (config.server.clone(), config.proxy.clone());
        let client = Client::new(config)?;
        let by = proxy.map(|proxy| format!(" by the proxy {proxy}")).unwrap_or_default();
        say(lang, format_args!("UDP {} leads to {server}{by}", client.local_addr()));
        // Ready for datagrams: the tunnel itself may have to wait for a network that is not there yet.
        notify(READY);
        let done = client.run(stop, |event| say(lang, told(&server, event))).await;
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

/// What has happened.
fn told(server: &Server, event: &ClientEvent<'_>) -> String {
    match event {
        ClientEvent::Opened(address) => format!("tunnel to {server} ({address}) is open"),
        ClientEvent::Ended(end, time) => {
            format!("tunnel to {server} ended after {} s: {}", time.as_secs(), with_causes(*end))
        }
        ClientEvent::Failed(error) => with_causes(*error),
        ClientEvent::Waits(time) => format!("next attempt in {:.1} s", time.as_secs_f64()),
        ClientEvent::NotKept(file, error) => {
            format!("the server's address is not kept for the next start: {}: {error}", file.display())
        }
        ClientEvent::Deaf(error) => format!("the kernel does not tell of changes of the network: {error}"),
    }
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
        assert!(plain.secret == secret && plain.address.is_none() && plain.proxy.is_none());
        assert!(plain.memory.is_none_or(|file| file.ends_with("vpn.example.com_443.address")));
        let login = secret_file("john:open sesame\n");
        let all = parse(&format!(
            "--server=wss://vpn.example.com:8443/a/ --secret-file={path} --listen 127.0.0.1:7 --wireguard-port 9 \
             --address 192.0.2.7 --address-file /y --http-proxy http://proxy.example.com:3128 \
             --proxy-login-file {} --pin {} --ca-file /x",
            login.path().display(),
            "ab".repeat(32)
        ));
        let all = all.unwrap();
        assert_eq!((all.wireguard_port, all.listen.port(), all.server.port), (9, 7, 8443));
        assert_eq!((all.server.path.as_str(), all.memory.clone()), ("/a", Some("/y".into())));
        assert!(matches!(all.trust, Trust::Authorities { ca_file: Some(_), pin: Some(_) }));
        let proxy = all.proxy.clone().unwrap();
        assert_eq!(
            (proxy.to_string().as_str(), proxy.login.is_some()),
            ("http://proxy.example.com:3128", true)
        );
        let shown = format!("{all:?}");
        assert!(!shown.contains(secret.reveal()) && !shown.contains("sesame"), "{shown}");
        let none = format!("--server wss://vpn.example.com --secret-file {path} --address-file none");
        assert_eq!(parse(&none).unwrap().memory, None);
    }

    #[test]
    fn invalid_options_are_reported_without_the_secret() {
        let file = secret_file("a secret with blanks is none of ours");
        let path = file.path().display();
        for (line, expected) in [
            (String::new(), "--server is missing"),
            ("--server wss://vpn.example.com".to_owned(), "--secret-file is missing"),
            ("--server https://vpn.example.com".to_owned(), "wss://"),
            (format!("--server wss://vpn.example.com --secret-file {path}"), "letters and digits"),
            ("--server wss://vpn.example.com --secret-file /nonexistent".to_owned(), "No such file"),
            ("--server wss://vpn.example.com --secret s3cret".to_owned(), "unknown option --secret"),
            ("--server wss://vpn.example.com/a?b".to_owned(), "no query"),
            ("--http-proxy http://john:blanks@192.0.2.1:3128".to_owned(), "--proxy-login-file"),
            ("--http-proxy socks5://192.0.2.1:1080".to_owned(), "http://HOST:PORT"),
            (
                "--server wss://vpn.example.com --secret-file - --proxy-login-file -".to_owned(),
                "can be standard input",
            ),
        ] {
            let error = parse(&line).unwrap_err().to_string();
            assert!(error.contains(expected), "{line}: {error}");
            assert!(!error.contains("blanks") && !error.contains("s3cret"), "{error}");
        }
    }
}
