//! Certificates and the check of the tunnel in memory.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use phantom_types::Timestamp;

use super::FakeHost;
use crate::{
    Certificate, CertificateFault, CertificateRequest, Clock as _, DecoyCheck, Network as _, Result,
    ServiceState, Services as _, Shown, Tunnel, TunnelCheck,
};

/// How long a certificate is valid here.
const LIFE: Duration = Duration::from_hours(90 * 24);

/// What somebody has arranged.
#[derive(Clone, Default)]
pub(super) struct Certificates {
    /// What was tried in vain.
    pub(super) warnings: Vec<String>,
    /// Why there is none.
    pub(super) refused: Option<String>,
    /// Why the tunnel does not serve.
    pub(super) deaf: Option<String>,
    /// From where tunnels under the operator's secrets reach WireGuard.
    pub(super) shared_ports: Vec<u16>,
    /// What the web server of this machine shows its visitors, by the address they come from.
    pub(super) pages: BTreeMap<Option<IpAddr>, std::result::Result<Vec<String>, String>>,
}

impl Tunnel for FakeHost {
    fn certificate(&self, request: &CertificateRequest) -> Result<Result<Certificate, CertificateFault>> {
        if let Some(detail) = self.state().certificates.refused.clone() {
            return Ok(Err(CertificateFault { detail }));
        }
        let (cert_path, key_path) = match request {
            CertificateRequest::Inspect { cert_path, key_path, .. } => (cert_path.clone(), key_path.clone()),
            CertificateRequest::Issue { domain, certs_dir, .. }
            | CertificateRequest::SelfSign { domain, certs_dir } => {
                let folder = certs_dir.join(domain.to_string());
                (folder.join("fullchain.pem"), folder.join("privkey.pem"))
            }
        };
        let expires_at = self.end_of_certificates();
        let warnings = match request {
            CertificateRequest::Issue { .. } => self.state().certificates.warnings.clone(),
            CertificateRequest::SelfSign { .. } | CertificateRequest::Inspect { .. } => Vec::new(),
        };
        Ok(Ok(Certificate { cert_path, key_path, expires_at, warnings }))
    }

    fn check(&self, _: &TunnelCheck) -> Result<Result<Shown, String>> {
        if let Some(detail) = self.state().certificates.deaf.clone() {
            return Ok(Err(detail));
        }
        let shown = Shown { expires_at: Some(self.end_of_certificates()), alarm: None };
        Ok(if self.has_tunnel_server()? { Ok(shown) } else { Err("connection refused".to_owned()) })
    }

    fn shared_ports(&self, control: &Path) -> Result<Result<Vec<u16>, String>> {
        if self.has_tunnel_server()? {
            return Ok(Ok(self.state().certificates.shared_ports.clone()));
        }
        Ok(Err(format!("no tunnel server answers at {}", control.display())))
    }

    fn private_pages(&self, check: &DecoyCheck) -> Result<Result<Vec<String>, String>> {
        let own = self.addresses()?;
        if check.source.is_some_and(|source| own.iter().all(|(_, address)| address.ip() != source)) {
            return Ok(Err("Cannot assign requested address (os error 99)".to_owned()));
        }
        Ok(self.state().certificates.pages.get(&check.source).cloned().unwrap_or_else(|| Ok(Vec::new())))
    }
}

impl FakeHost {
    fn end_of_certificates(&self) -> Timestamp {
        let life = i64::try_from(LIFE.as_micros()).unwrap_or(i64::MAX);
        Timestamp::from_micros(self.now().micros().saturating_add(life))
    }
    /// Whatever the installation calls it, a tunnel needs a server.
    fn has_tunnel_server(&self) -> Result<bool> {
        let units = self.ours()?;
        let tunnels =
            units.iter().filter(|name| name.starts_with("phantom-ghost") && !name.contains("keeper"));
        Ok(tunnels
            .filter_map(|name| self.status(name).ok())
            .any(|status| status.state == ServiceState::Active))
    }
    /// Says from which ports tunnels under the operator's secrets reach WireGuard.
    pub fn open_shared_tunnels(&self, ports: &[u16]) {
        self.state().certificates.shared_ports = ports.to_vec();
    }
    /// Says what the web server of this machine shows those who come from this address (`None`: by a socket), or why it does not
    /// answer them.
    pub fn show_pages(&self, source: Option<IpAddr>, pages: std::result::Result<&[&str], &str>) {
        let pages = pages.map(|pages| pages.iter().map(|page| (*page).to_owned()).collect());
        self.state().certificates.pages.insert(source, pages.map_err(str::to_owned));
    }
    /// Says which ways an authority tries in vain before one leads to a certificate.
    pub fn warn_of_certificates(&self, warnings: &[&str]) {
        self.state().certificates.warnings = warnings.iter().map(|text| (*text).to_owned()).collect();
    }
    /// Lets every request for a certificate fail with this sentence, or (with `None`) succeed again.
    pub fn refuse_certificates(&self, detail: Option<&str>) {
        self.state().certificates.refused = detail.map(str::to_owned);
    }
    /// Lets the tunnel server turn everybody away with this sentence, or (with `None`) serve again.
    pub fn deafen_tunnel(&self, detail: Option<&str>) {
        self.state().certificates.deaf = detail.map(str::to_owned);
    }
}
