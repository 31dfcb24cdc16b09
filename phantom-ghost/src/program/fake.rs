//! The program in memory, for a [`FakeHost`]: it answers as the real one does, from what somebody has arranged.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use phantom_host::fake::FakeHost;
use phantom_host::{Clock as _, Network as _, Process, ProgramOutput, Result, ServiceState, Services as _};
use phantom_types::{HostName, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{CertificateRequest, NAME};

/// How long a certificate is valid here.
const LIFE: Duration = Duration::from_hours(90 * 24);

/// What is done while a certificate is asked for.
type Meanwhile = Arc<Mutex<dyn FnMut(&CertificateRequest) + Send>>;

/// What somebody has arranged.
#[derive(Default)]
struct Arranged {
    /// What was tried in vain.
    warnings: Vec<String>,
    /// Why there is no certificate.
    refused: Option<String>,
    /// Why the tunnel does not serve.
    deaf: Option<String>,
    /// From where tunnels under the operator's secrets reach WireGuard.
    shared_ports: Vec<u16>,
    /// What the web server of this machine shows its visitors, by the address they come from.
    pages: BTreeMap<Option<IpAddr>, Result<Vec<String>, String>>,
    meanwhile: Option<Meanwhile>,
}

/// What a host in memory is told about the tunnel.
pub trait FakeTunnel {
    /// Gives the host the program. Until then there is none, and Ghost Mode cannot be switched on.
    fn give_tunnel_program(&self);
    /// Says from which ports tunnels under the operator's secrets reach WireGuard.
    fn open_shared_tunnels(&self, ports: &[u16]);
    /// Says what the web server of this machine shows those who come from this address (`None`: by a socket), or why it does not
    /// answer them.
    fn show_pages(&self, source: Option<IpAddr>, pages: Result<&[&str], &str>);
    /// Says which ways an authority tries in vain before one leads to a certificate.
    fn warn_of_certificates(&self, warnings: &[&str]);
    /// Lets every request for a certificate fail with this sentence, or (with `None`) succeed again.
    fn refuse_certificates(&self, detail: Option<&str>);
    /// Lets the tunnel server turn everybody away with this sentence, or (with `None`) serve again.
    fn deafen_tunnel(&self, detail: Option<&str>);
    /// Does this whenever a certificate is asked for, before the answer.
    fn while_certified(&self, what: impl FnMut(&CertificateRequest) + Send + 'static);
}

impl FakeTunnel for FakeHost {
    fn give_tunnel_program(&self) {
        self.give_program(NAME, |host, process| {
            let answer = match process.command.args.first().map(String::as_str) {
                Some("verify") => verify(host)?,
                Some("ports") => ports(host, process)?,
                Some("pages") => pages(host, process)?,
                Some(verb) => certificate(host, verb, process),
                None => panic!("the program is asked for nothing"),
            };
            let (status, answer) = match answer {
                Ok(answer) => (0, answer),
                Err(detail) => (1, json!({ "error": { "detail": detail } })),
            };
            let stdout = format!("{answer}\n").into_bytes();
            Ok(ProgramOutput { argv: process.argv(), status: Some(status), stdout, stderr: String::new() })
        });
    }

    fn open_shared_tunnels(&self, ports: &[u16]) {
        arranged(self, |arranged| arranged.shared_ports = ports.to_vec());
    }

    fn show_pages(&self, source: Option<IpAddr>, pages: Result<&[&str], &str>) {
        let pages = pages.map(owned).map_err(str::to_owned);
        arranged(self, |arranged| drop(arranged.pages.insert(source, pages)));
    }

    fn warn_of_certificates(&self, warnings: &[&str]) {
        arranged(self, |arranged| arranged.warnings = owned(warnings));
    }

    fn refuse_certificates(&self, detail: Option<&str>) {
        arranged(self, |arranged| arranged.refused = detail.map(str::to_owned));
    }

    fn deafen_tunnel(&self, detail: Option<&str>) {
        arranged(self, |arranged| arranged.deaf = detail.map(str::to_owned));
    }

    fn while_certified(&self, what: impl FnMut(&CertificateRequest) + Send + 'static) {
        arranged(self, |arranged| arranged.meanwhile = Some(Arc::new(Mutex::new(what))));
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// Looks at what is arranged, or changes it.
fn arranged<T>(host: &FakeHost, what: impl FnOnce(&mut Arranged) -> T) -> T {
    what(&mut whole(&host.keep::<Arranged>()))
}

/// A test that panicked has failed already.
fn whole<T: ?Sized>(kept: &Mutex<T>) -> MutexGuard<'_, T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the program reads on its standard input.
fn request<T: for<'de> Deserialize<'de>>(process: &Process) -> T {
    let input = process.input.as_ref().expect("this verb has an input");
    serde_json::from_slice(input).expect("it is asked as it expects")
}

/// A request for a certificate as it travels.
#[derive(Deserialize)]
struct Asked {
    domain: HostName,
    #[serde(default)]
    directory: String,
    ca_file: Option<PathBuf>,
    #[serde(default)]
    certs_dir: PathBuf,
    #[serde(default)]
    cert_path: PathBuf,
    #[serde(default)]
    key_path: PathBuf,
    #[serde(default)]
    at_any_time: bool,
}

fn certificate(host: &FakeHost, verb: &str, process: &Process) -> Result<Value, String> {
    let Asked { domain, directory, ca_file, certs_dir, cert_path, key_path, at_any_time } = request(process);
    let folder = certs_dir.join(domain.to_string());
    let asked = match verb {
        "issue" => CertificateRequest::Issue { domain, directory, ca_file, certs_dir },
        "self-sign" => CertificateRequest::SelfSign { domain, certs_dir },
        "inspect" => CertificateRequest::Inspect { domain, cert_path, key_path, at_any_time },
        other => panic!("the program does not know {other}"),
    };
    if let Some(meanwhile) = arranged(host, |arranged| arranged.meanwhile.clone()) {
        (whole(&meanwhile))(&asked);
    }
    let (refused, warnings) =
        arranged(host, |arranged| (arranged.refused.clone(), arranged.warnings.clone()));
    if let Some(detail) = refused {
        return Err(detail);
    }
    let warnings = if matches!(asked, CertificateRequest::Issue { .. }) { warnings } else { Vec::new() };
    Ok(json!({
        "cert_path": folder.join("fullchain.pem"), "key_path": folder.join("privkey.pem"),
        "expires_at": end_of_certificates(host), "warnings": warnings,
    }))
}

fn verify(host: &FakeHost) -> Result<Result<Value, String>> {
    if let Some(detail) = arranged(host, |arranged| arranged.deaf.clone()) {
        return Ok(Err(detail));
    }
    let shown = json!({ "expires_at": end_of_certificates(host) });
    Ok(if has_tunnel_server(host)? { Ok(shown) } else { Err("connection refused".to_owned()) })
}

fn ports(host: &FakeHost, process: &Process) -> Result<Result<Value, String>> {
    if has_tunnel_server(host)? {
        return Ok(Ok(json!({ "ports": arranged(host, |arranged| arranged.shared_ports.clone()) })));
    }
    let control = process.command.args.last().map_or("", String::as_str);
    Ok(Err(format!("no tunnel server answers at {control}")))
}

/// A question about the pages of a web server as it travels.
#[derive(Deserialize)]
struct Visit {
    web_server: Visitor,
}

#[derive(Deserialize)]
struct Visitor {
    source: Option<IpAddr>,
}

fn pages(host: &FakeHost, process: &Process) -> Result<Result<Value, String>> {
    let Visit { web_server: Visitor { source } } = request(process);
    let own = host.addresses()?;
    if source.is_some_and(|source| own.iter().all(|(_, address)| address.ip() != source)) {
        return Ok(Err("Cannot assign requested address (os error 99)".to_owned()));
    }
    let shown = arranged(host, |arranged| arranged.pages.get(&source).cloned());
    Ok(shown.unwrap_or_else(|| Ok(Vec::new())).map(|pages| json!({ "pages": pages })))
}

/// In the form in which the program tells a time.
fn end_of_certificates(host: &FakeHost) -> String {
    let life = i64::try_from(LIFE.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(host.now().micros().saturating_add(life)).to_string()
}

/// Whatever the installation calls it, a tunnel needs a server.
fn has_tunnel_server(host: &FakeHost) -> Result<bool> {
    let units = host.ours()?;
    let tunnels = units.iter().filter(|name| name.starts_with(NAME) && !name.contains("keeper"));
    Ok(tunnels.filter_map(|name| host.status(name).ok()).any(|status| status.state == ServiceState::Active))
}
