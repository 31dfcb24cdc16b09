//! Attacks a server as a censor would, and tells what distinguishes it from an ordinary web server.
//!
//! The criteria are written beside each probe. They are wide enough for the servers that are common on the web, whose
//! answers differ: nothing here says that a server looks like one certain product, and traffic that goes on for days is
//! not looked at. What is compared strictly is the server with itself: a wrong secret with an unknown URL.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use phantom_certs::with_causes;
use phantom_types::{Lang, Text};

use crate::cli;
use crate::client::{Args, ArgsError, DialError, Server, Trust, random, read_secret};
use crate::secrets::Secret;

mod http;
mod pace;
mod report;
mod shape;
mod timing;
mod tls;
mod web;
mod wire;

pub use report::{ProbeFinding, ProbeReport, ProbeVerdict};
use wire::Target;

const HELP: Text = Text {
    en: "\
usage: phantom-ghost probe --server wss://HOST[:PORT] [--address IP] [--secret-file FILE|-]
           [--wireguard-port 51820] [--ca-file FILE] [--samples 300] [--patience 10] [--slow] [--json]
           [--lang en|tr]

Attacks the server as a censor would. Exit code 1 if anything tells it from an ordinary web server.

  --secret-file  try what is nearly right under the secret too; - for standard input
  --ca-file      PEM file of more authorities whose certificates count as trusted
  --samples      answers of each kind whose times are compared; 0 for none
  --patience     seconds that an answer may take
  --slow         wait up to three minutes for the ends of idle connections
  --json         the report as JSON, in English
  --lang         language of what it says; PHANTOM_LANG chooses it too
",
    tr: "\
kullanım: phantom-ghost probe --server wss://SUNUCU[:PORT] [--address IP] [--secret-file DOSYA|-]
           [--wireguard-port 51820] [--ca-file DOSYA] [--samples 300] [--patience 10] [--slow] [--json]
           [--lang en|tr]

Sunucuya bir sansürcü gibi saldırır. Sunucuyu sıradan bir web sunucusundan ayıran bir şey varsa çıkış kodu 1'dir.

  --secret-file  gizli anahtarla neredeyse doğru olan istekleri de dener; standart girdi için -
  --ca-file      sertifikaları güvenilir sayılacak ek otoritelerin PEM dosyası
  --samples      süreleri karşılaştırılan her türden yanıt sayısı; hiçbiri için 0
  --patience     bir yanıtın sürebileceği saniye
  --slow         boş bağlantıların kapanmasını en fazla üç dakika bekler
  --json         raporu JSON olarak, İngilizce verir
  --lang         metinlerin dili; PHANTOM_LANG da belirler
",
};

/// What is probed.
#[derive(Debug, Clone)]
pub struct ProbeOptions {
    /// The server.
    pub server: Server,
    /// Where it is, if its name is not to be looked up.
    pub address: Option<IpAddr>,
    /// The secret, to try what is nearly right.
    pub secret: Option<Secret>,
    /// The UDP port that tunnels lead to.
    pub wireguard_port: u16,
    /// Whose certificates browsers accept.
    pub trust: Trust,
    /// Answers of each kind whose times are compared; 0 for none.
    pub samples: usize,
    /// How long an answer may take.
    pub patience: Duration,
    /// Whether the ends of idle connections are waited for, up to three minutes.
    pub slow: bool,
}

/// Makes all probes, one after the other. An error only if the server's name cannot be looked up; a server that does not
/// answer is in the report.
pub async fn probe(options: &ProbeOptions) -> Result<ProbeReport, DialError> {
    let server = options.server.clone();
    let address = match options.address {
        Some(address) => SocketAddr::new(address, server.port),
        // There is at least one, or an error.
        None => *server.addresses().await?.first().ok_or_else(|| DialError::LookUp {
            host: server.host.clone(),
            source: io::ErrorKind::NotFound.into(),
        })?,
    };
    let target = Target::new(server, address, options.patience);
    let mut findings = Vec::new();
    let port = options.wireguard_port;
    tls::run(&target, &options.trust, &mut findings).await;
    web::run(&target, &mut findings).await;
    shape::stranger(&target, port, &mut findings).await;
    if let Some(secret) = &options.secret {
        shape::owner(&target, secret, port, &mut findings).await;
    }
    if options.samples > 0 {
        pace::compare(&target, options.secret.as_ref(), port, options.samples, &mut findings).await;
    }
    if options.slow {
        Box::pin(pace::idle(&target, &mut findings)).await;
    }
    Ok(ProbeReport { server: format!("{} ({address})", options.server), findings })
}

/// Runs `phantom-ghost probe` with the words behind it. Ends with 0 when nothing distinguishes the server, with 1 when
/// something does or it cannot be probed, with 2 when the words are not understood.
pub(crate) fn command(words: Vec<String>, lang: Lang) -> ExitCode {
    let mut args = Args::new(words);
    if args.flag("--help") || args.flag("-h") {
        return cli::say(HELP.get(lang));
    }
    let json = args.flag("--json");
    let options = match options(args) {
        Ok(options) => options,
        Err(error) => return cli::usage_of("probe", error, lang),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return cli::failed(format_args!("the runtime could not be started: {error}"), lang),
    };
    match runtime.block_on(probe(&options)) {
        Ok(report) => {
            let text = if json { format!("{}\n", report.json()) } else { report.text(lang) };
            let said = cli::say(&text);
            if report.distinguishable() { ExitCode::FAILURE } else { said }
        }
        Err(error) => cli::failed(with_causes(&error), lang),
    }
}

fn options(mut args: Args) -> Result<ProbeOptions, ArgsError> {
    let server: Option<Server> = args.parsed("--server")?;
    if server.as_ref().is_some_and(|server| !server.path.is_root()) {
        // What is at a path is known to those alone who know the path: a censor does not.
        return Err(ArgsError(
            "--server: the whole server is probed, as wss://HOST[:PORT] without a path".to_owned(),
        ));
    }
    let secret = args.value("--secret-file")?;
    let options = ProbeOptions {
        address: args.parsed("--address")?,
        wireguard_port: args.parsed("--wireguard-port")?.unwrap_or(51820),
        trust: Trust::Authorities { ca_file: args.value("--ca-file")?.map(Into::into), pin: None },
        samples: args.parsed("--samples")?.unwrap_or(300),
        patience: Duration::from_secs(args.parsed("--patience")?.unwrap_or(10)),
        slow: args.flag("--slow"),
        server: Args::required("--server", server)?,
        secret: secret.map(|file| read_secret(&file)).transpose()?,
    };
    args.end()?;
    Ok(options)
}

/// Random letters and digits, such as secrets are made of.
fn letters(count: usize) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut text = String::with_capacity(count);
    while text.len() < count {
        let [byte] = random();
        // 248 is four times 62: what lies above would favour the first letters.
        if byte < 248 {
            text.push(char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
        }
    }
    text
}

/// An error and its causes, in words.
fn said(error: &(dyn std::error::Error + 'static)) -> String {
    with_causes(error)
}
