//! The tunnel's certificates and its check, by the program `phantom-ghost`: a request as JSON on its standard input, an
//! answer as one line of JSON.

use std::path::{Path, PathBuf};
use std::time::Duration;

use phantom_types::Timestamp;
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::command::Program;
use crate::{
    Certificate, CertificateFault, CertificateRequest, DecoyCheck, HostError, Interrupt, Programs, Result,
    Shown, Shows, Tunnel, TunnelCheck,
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

/// Runs `phantom-ghost`.
#[derive(Clone, Debug)]
pub struct LinuxTunnel {
    program: PathBuf,
    interrupt: Interrupt,
}

impl LinuxTunnel {
    /// With the program of this installation. A certificate authority that is waited for is given up when `interrupt` says so.
    pub fn new(programs: &Programs, interrupt: Interrupt) -> Self {
        Self { program: programs.ghost.clone(), interrupt }
    }

    /// Runs a verb; the inner error is what the program says about the request.
    fn ask(&self, verb: &str, request: &serde_json::Value, limit: Duration) -> Result<Result<Reply, String>> {
        let input = Zeroizing::new(request.to_string());
        let program = Program::at(&self.program).args([verb]).input(input.as_bytes()).limit(limit);
        Self::answer(verb, program.unless(&self.interrupt))
    }

    fn answer(verb: &str, program: Program) -> Result<Result<Reply, String>> {
        let output = program.output()?;
        let errors = output.errors();
        let stdout = match (output.code(), output.stdout()) {
            (Some(0 | 1), stdout) if !stdout.is_empty() => stdout,
            _ => return Err(output.success().err().unwrap_or_else(|| silent(verb))),
        };
        read(stdout)
            .ok_or_else(|| HostError::unexpected(format!("phantom-ghost {verb} answered wrongly: {errors}")))
    }
}

fn silent(verb: &str) -> HostError {
    HostError::unexpected(format!("phantom-ghost {verb} answered nothing"))
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

impl Tunnel for LinuxTunnel {
    fn certificate(&self, request: &CertificateRequest) -> Result<Result<Certificate, CertificateFault>> {
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

    fn check(&self, check: &TunnelCheck) -> Result<Result<Shown, String>> {
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

    fn shared_ports(&self, control: &Path) -> Result<Result<Vec<u16>, String>> {
        let words = ["ports".to_owned(), "--control".to_owned(), control.display().to_string()];
        let program = Program::at(&self.program).args(words).limit(ASK_LIMIT);
        Ok(Self::answer("ports", program)?.map(|reply| reply.ports.unwrap_or_default()))
    }

    fn private_pages(&self, check: &DecoyCheck) -> Result<Result<Vec<String>, String>> {
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
mod tests {
    use super::*;

    #[test]
    fn answers_and_refusals_are_told_apart() {
        let good = br#"{"cert_path":"/c","key_path":"/k","expires_at":"2026-01-02T03:04:05Z","more":1}"#;
        let reply = read(good).unwrap().unwrap();
        assert_eq!(reply.cert_path, Some("/c".into()));
        assert!(reply.expires_at.unwrap().parse::<Timestamp>().is_ok());
        let refused = br#"{"error":{"kind":"expired","detail":"it expired on 2024-01-01"}}"#;
        assert_eq!(read(refused).unwrap().unwrap_err(), "it expired on 2024-01-01");
        assert!(read(b"{\"ok\":true}\n").unwrap().is_ok());
        assert_eq!(read(b"{\"ports\":[5,6]}\n").unwrap().unwrap().ports, Some(vec![5, 6]));
        let warned = read(br#"{"cert_path":"/c","warnings":["tls-alpn-01: a firewall"]}"#).unwrap().unwrap();
        assert_eq!(warned.warnings, ["tls-alpn-01: a firewall"]);
        assert_eq!(read(b"{\"pages\":[\"/a\"]}\n").unwrap().unwrap().pages, Some(vec!["/a".to_owned()]));
        assert!(read(b"").is_none() && read(b"no JSON").is_none());
    }

    /// It is given less time than it is waited for, so that it can say itself what went wrong, and its words are handed on.
    #[test]
    fn an_authority_has_its_time_and_what_it_tried_is_told() {
        use crate::Files as _;
        let folder = std::env::temp_dir().join(format!("phantom-tunnel-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (program, asked) = (folder.join("phantom-ghost"), folder.join("asked"));
        let answer = r#"{"cert_path":"/c","key_path":"/k","expires_at":"2026-01-02T03:04:05Z","warnings":["port 443"]}"#;
        let script = format!("#!/bin/sh\ncat > {}\necho '{answer}'\n", asked.display());
        crate::linux::files::LinuxFiles.write(&program, script.as_bytes(), 0o755).unwrap();
        let request = CertificateRequest::Issue {
            domain: "a.b".parse().unwrap(),
            directory: "https://ca.example/dir".into(),
            ca_file: None,
            certs_dir: "/x".into(),
        };
        let tunnel = LinuxTunnel::new(&Programs::in_dir(&folder), Interrupt::default());
        let certificate = tunnel.certificate(&request).unwrap().unwrap();
        let asked: serde_json::Value = serde_json::from_slice(&std::fs::read(asked).unwrap()).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(certificate.warnings, ["port 443"]);
        let given = Duration::from_secs(asked["time_limit"].as_u64().unwrap());
        assert!(given >= Duration::from_mins(5) && given + Duration::from_secs(10) <= ISSUE_LIMIT);
    }

    #[test]
    fn a_program_that_is_missing_is_an_error_of_the_host() {
        let tunnel = LinuxTunnel::new(&Programs::in_dir("/nonexistent"), Interrupt::default());
        let request = CertificateRequest::SelfSign { domain: "a.b".parse().unwrap(), certs_dir: "/x".into() };
        assert!(tunnel.certificate(&request).is_err());
        assert!(tunnel.shared_ports(Path::new("/x")).is_err());
    }
}
