//! Running the program: a request as JSON on its standard input, an answer as one line of JSON.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use phantom_host::{Command, Host, HostError, Process, Processes, ProgramOutput, Result};
use phantom_types::{Said, Timestamp};
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::contract::{
    Certificate, CertificateFault, CertificateRequest, DecoyCheck, Shown, Shows, TunnelCheck,
};

/// How long a certificate authority may take for everything: two validations of a minute each, and its own delays.
const AUTHORITY_LIMIT: Duration = Duration::from_mins(5);
/// How long the program may take for it, which ends by itself and says why.
const ISSUE_LIMIT: Duration = AUTHORITY_LIMIT.saturating_add(Duration::from_secs(15));
/// How long a server may take for a question that it answers at once.
const ASK_LIMIT: Duration = Duration::from_secs(2);
/// How long it may take to have a web server visited by the tunnel server, and to visit it.
const VISIT_LIMIT: Duration = Duration::from_secs(4);
/// What is said of a server that does not answer in time: the program's own words for it.
const TOO_LONG: &str = "it took too long";
/// How long anything that stays on this machine may take.
const LOCAL_LIMIT: Duration = Duration::from_secs(20);

/// The name of the program.
pub(crate) const NAME: &str = "phantom-ghost";

/// The program of this installation.
#[derive(Clone)]
pub(crate) struct Program {
    processes: Arc<dyn Processes>,
    path: PathBuf,
}

impl Program {
    /// The program on this host.
    pub(crate) fn on(host: &Host) -> Self {
        Self { processes: host.processes.clone(), path: host.programs.named(NAME) }
    }

    /// Runs a verb; the inner error is what the program says about the request. It is given up when somebody asks this program to end.
    fn ask(&self, verb: &str, request: &serde_json::Value, limit: Duration) -> Result<Result<Reply, String>> {
        let input = Zeroizing::new(request.to_string());
        let process = Process::new(self.command([verb.to_owned()]), limit);
        self.answer(verb, &process.input(input.as_bytes()).interruptible())
    }

    fn command(&self, args: impl Into<Vec<String>>) -> Command {
        Command { program: self.path.clone(), args: args.into() }
    }

    fn answer(&self, verb: &str, process: &Process) -> Result<Result<Reply, String>> {
        let ended = self.processes.run(process)?;
        if !matches!(ended.status, Some(0 | 1)) || ended.stdout.is_empty() {
            return Err(ended.failure().unwrap_or_else(|| silent(verb)));
        }
        let ProgramOutput { stdout, stderr, .. } = ended;
        read(&stdout).ok_or_else(|| {
            HostError::Told(Said::new(
                format!("{NAME} {verb} answered wrongly: {stderr}"),
                format!("{NAME} {verb} yanlış yanıt verdi: «{stderr}»"),
            ))
        })
    }
}

fn silent(verb: &str) -> HostError {
    HostError::Told(Said::new(
        format!("{NAME} {verb} answered nothing"),
        format!("{NAME} {verb} yanıt vermedi"),
    ))
}

#[derive(Debug, Default, Deserialize)]
struct Reply {
    cert_path: Option<PathBuf>,
    key_path: Option<PathBuf>,
    expires_at: Option<String>,
    alarm: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
    ports: Option<Vec<u16>>,
    pages: Option<Vec<String>>,
    error: Option<Fault>,
}

#[derive(Debug, Deserialize)]
struct Fault {
    detail: String,
}

fn read(stdout: &[u8]) -> Option<Result<Reply, String>> {
    let reply: Reply = serde_json::from_slice(stdout).ok()?;
    Some(match reply.error {
        Some(fault) => Err(fault.detail),
        None => Ok(reply),
    })
}

impl Program {
    /// Gets a certificate. The inner error says why there is none; the outer one that nobody could be asked. An issue
    /// takes seconds, at most five minutes, and contacts the service.
    pub(crate) fn certificate(
        &self,
        request: &CertificateRequest,
    ) -> Result<Result<Certificate, CertificateFault>> {
        let (verb, body, limit) = match request {
            CertificateRequest::Issue { domain, directory, ca_file, certs_dir } => {
                let body = json!({
                    "domain": domain, "directory": directory, "ca_file": ca_file, "certs_dir": certs_dir,
                    "time_limit": AUTHORITY_LIMIT.as_secs(),
                });
                ("issue", body, ISSUE_LIMIT)
            }
            CertificateRequest::SelfSign { domain, certs_dir } => {
                ("self-sign", json!({ "domain": domain, "certs_dir": certs_dir }), LOCAL_LIMIT)
            }
            CertificateRequest::Inspect { domain, cert_path, key_path, at_any_time } => {
                let body = json!({
                    "domain": domain, "cert_path": cert_path, "key_path": key_path, "at_any_time": at_any_time,
                });
                ("inspect", body, LOCAL_LIMIT)
            }
        };
        let reply = match self.ask(verb, &body, limit)? {
            Ok(reply) => reply,
            Err(detail) => return Ok(Err(CertificateFault { detail })),
        };
        let expires = reply.expires_at.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
        let expires_at = expires.ok_or_else(|| silent(verb))?;
        let warnings = reply.warnings;
        let (cert_path, key_path) = match request {
            CertificateRequest::Inspect { cert_path, key_path, .. } => (cert_path.clone(), key_path.clone()),
            _ => reply.cert_path.zip(reply.key_path).ok_or_else(|| silent(verb))?,
        };
        Ok(Ok(Certificate { cert_path, key_path, expires_at, warnings }))
    }

    /// Asks the server for a tunnel, as a client would. The inner error says what is wrong, without secrets: also that the server
    /// took too long.
    pub(crate) fn check(&self, check: &TunnelCheck) -> Result<Result<Shown, String>> {
        let secret = check.secret.as_ref().map(phantom_types::TunnelSecret::reveal);
        let mut body = json!({
            "address": check.address, "port": check.port, "domain": check.domain,
            "secret": secret.as_ref().map(|secret| secret.as_str()), "wireguard_port": check.wireguard_port,
        });
        match &check.shows {
            Shows::Exactly(path) => body["cert_path"] = json!(path),
            Shows::Trusted { ca_file } => body["trusted"] = json!({ "ca_file": ca_file }),
            Shows::Any => {}
        }
        let reply = match self.ask("verify", &body, check.limit) {
            // That the server does not answer says something about the server.
            Err(HostError::Timeout { .. }) => return Ok(Err(TOO_LONG.to_owned())),
            reply => reply?,
        };
        let end = |text: String| text.parse().ok();
        Ok(reply.map(|reply| Shown { expires_at: reply.expires_at.and_then(end), alarm: reply.alarm }))
    }

    /// The UDP ports on 127.0.0.1 from which tunnels under the operator's secrets reach WireGuard now, asked of the server at
    /// this control socket. The inner error says why it could not be asked.
    pub(crate) fn shared_ports(&self, control: &Path) -> Result<Result<Vec<u16>, String>> {
        let words = ["ports".to_owned(), "--control".to_owned(), control.display().to_string()];
        Ok(self
            .answer("ports", &Process::new(self.command(words), ASK_LIMIT))?
            .map(|reply| reply.ports.unwrap_or_default()))
    }

    /// The paths of pages that a web server keeps for its own machine and shows to strangers all the same. The inner error says
    /// why it does not answer them.
    pub(crate) fn private_pages(&self, check: &DecoyCheck) -> Result<Result<Vec<String>, String>> {
        let DecoyCheck { web_server, source, proxy, domain, control } = check;
        let mut members = json!({ "address": web_server });
        if let Some(source) = source {
            members["source"] = json!(source);
        }
        if let Some(proxy) = proxy {
            members["proxy"] = json!(proxy);
        }
        let body = json!({ "web_server": members, "domain": domain, "control": control });
        Ok(self.ask("pages", &body, VISIT_LIMIT)?.map(|reply| reply.pages.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests;
