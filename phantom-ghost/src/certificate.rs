//! The tunnel's certificate: where it comes from, and that the way to the certificate authority is open meanwhile.

use std::path::PathBuf;

use phantom_engine::{Engine, Installation, Origin};
use phantom_ghost_state::{CertificateSource, Ghost, GhostState as _};
use phantom_host::{HostError, Protocol, UfwRule};
use phantom_module::{Call, Lang};
use phantom_types::{HostName, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use crate::desired::ca_file;
use crate::program::{Certificate, CertificateRequest, Program};
use crate::{GhostError, GhostStep, validation};

/// The certificate in force.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct CertificateInfo {
    /// Where it comes from: `acme`, `operator`, `self_signed` or `web_server`
    #[schemars(extend("x-tr" = "Kaynağı: `acme`, `operator`, `self_signed` veya `web_server`"))]
    pub source: &'static str,
    /// Until when it is valid
    #[schemars(with = "String", extend("x-tr" = "Geçerlilik sonu"))]
    pub expires_at: Timestamp,
}

/// Gets or checks the certificate; says also whether a way for the authority was opened, which stays open until the change that
/// follows, or whoever does not make it, closes it. Takes seconds where a certificate authority is asked, so it is not called under the
/// lock of changes.
pub(crate) fn obtain(
    engine: &Engine,
    installation: &Installation,
    domain: &HostName,
    source: &CertificateSource,
    (origin, call): (Origin, &Call),
) -> Result<(Certificate, bool), GhostError> {
    let request = request(engine, installation, domain, source)?;
    if *source != CertificateSource::Acme {
        return Ok((asked(engine, &request, source, Vec::new())?, false));
    }
    // It lets the host follow, which takes rules of ufw away that are not stored: these come after it.
    let opened = validation::open(engine, origin, call)?;
    let certificate = open_ways(engine).and_then(|ways| asked(engine, &request, source, ways));
    // With a certificate, the change that follows closes what is not needed any longer.
    if opened && certificate.is_err() {
        validation::close(engine, origin, call)?;
    }
    Ok((certificate?, opened))
}

/// Asks for the certificate while these ways are open, and closes them.
fn asked(
    engine: &Engine,
    request: &CertificateRequest,
    source: &CertificateSource,
    mut ways: Vec<UfwRule>,
) -> Result<Certificate, GhostError> {
    let mut answer = Program::on(engine.host()).certificate(request);
    if matches!(answer, Ok(Err(_))) && !ways.is_empty() {
        // Another change, which does not want them, may have closed them meanwhile. Then nobody got through.
        let again = open_ways(engine).unwrap_or_default();
        if !again.is_empty() {
            ways.extend(again);
            answer = Program::on(engine.host()).certificate(request);
        }
        ways.sort_unstable();
        ways.dedup();
    }
    let closed = close_ways(engine, &ways);
    let failed = |error| GhostError::host(GhostStep::Certificate, error);
    match (answer, closed) {
        // What is left open is closed by the change that follows.
        (Ok(Ok(certificate)), _) => Ok(certificate),
        (_, Err(left_open)) => Err(left_open),
        (answer, Ok(())) => answer
            .map_err(failed)?
            .map_err(|fault| GhostError::Certificate { source: source.as_str(), fault }),
    }
}

/// What there is to say about the next certificates, which are obtained as this one was.
pub(crate) fn warning(certificate: &Certificate, lang: Lang) -> Option<String> {
    let detail = phantom_words::of_program(&certificate.warnings.join("; "), lang);
    (!detail.is_empty()).then(|| match lang {
        Lang::En => format!(
            "The certificate could be obtained by TCP port 80 alone. Keep that port open to the Internet, or renewals fail: {detail}"
        ),
        Lang::Tr => format!(
            "Sertifika yalnızca 80 TCP portu üzerinden alınabildi. Bu portu internete açık tutun, yoksa yenilemeler başarısız olur: {detail}"
        ),
    })
}

/// The word for where the certificate comes from that clients see.
pub(crate) fn source(stored: &Ghost) -> &'static str {
    if stored.front.is_some() { "web_server" } else { stored.certificate.as_str() }
}

/// Whether the certificate in force was obtained by HTTP: its renewal then needs port 80 as well.
pub(crate) fn is_by_http(installation: &Installation, stored: &Ghost) -> bool {
    let (chain, _) = paths(installation, stored);
    let noted = || std::fs::read_to_string(chain.with_file_name("challenge"));
    let asked_for = stored.front.is_none() && stored.certificate == CertificateSource::Acme;
    asked_for && noted().is_ok_and(|kind| kind.trim_end() == "http-01")
}

/// What the tunnel program is asked for.
pub(crate) fn request(
    engine: &Engine,
    installation: &Installation,
    domain: &HostName,
    source: &CertificateSource,
) -> Result<CertificateRequest, GhostError> {
    let (domain, certs_dir) = (domain.clone(), installation.paths.certs_dir());
    Ok(match source {
        CertificateSource::Acme => CertificateRequest::Issue {
            domain,
            directory: engine.read(|state| Ok::<_, GhostError>(state.acme_directory()?))?,
            ca_file: Some(ca_file(installation)).filter(|path| path.exists()),
            certs_dir,
        },
        CertificateSource::SelfSigned => CertificateRequest::SelfSign { domain, certs_dir },
        CertificateSource::Operator { cert_path, key_path } => {
            let (cert_path, key_path) = (cert_path.clone(), key_path.clone());
            CertificateRequest::Inspect { domain, cert_path, key_path, at_any_time: false }
        }
    })
}

/// Lets a certificate authority through ufw to both ports of its challenges; gives what was closed before. Rules that a
/// killed process leaves behind are taken away by the next reconciling, which does not want them.
fn open_ways(engine: &Engine) -> Result<Vec<UfwRule>, GhostError> {
    let (firewall, tags) = (&engine.host().firewall, engine.tags());
    let failed = |source: HostError| GhostError::host(GhostStep::Firewall, source);
    if !engine.read(|state| Ok::<_, GhostError>(state.open_firewall()?))? {
        return Ok(Vec::new());
    }
    let Some(ufw) = firewall.ufw(tags).map_err(failed)?.filter(|ufw| ufw.active) else {
        return Ok(Vec::new());
    };
    let mut opened = Vec::new();
    let ways = validation::PORTS.map(|port| UfwRule::Allow { protocol: Protocol::Tcp, port });
    for way in ufw.without_limited(&ways.into()) {
        if ufw.ours.contains(&way) {
            continue;
        }
        let added = firewall.add_ufw(tags, &way);
        opened.push(way);
        if let Err(source) = added {
            close_ways(engine, &opened)?;
            return Err(failed(source));
        }
    }
    Ok(opened)
}

/// Closes all of them that can be closed.
fn close_ways(engine: &Engine, opened: &[UfwRule]) -> Result<(), GhostError> {
    let (firewall, tags) = (&engine.host().firewall, engine.tags());
    let mut result = Ok(());
    for way in opened {
        if let Err(source) = firewall.remove_ufw(tags, way) {
            let source = Box::new(source.into());
            result = Err(GhostError::Change { step: GhostStep::Firewall, source, rolled_back: false });
        }
    }
    result
}

/// Until when the certificate that is stored is valid, or was; `None` where it cannot be used or looked at.
pub(crate) fn expiry_of_stored(
    engine: &Engine,
    installation: &Installation,
    stored: &Ghost,
) -> Option<Timestamp> {
    let (cert_path, key_path) = paths(installation, stored);
    let domain = stored.domain.clone();
    let request = CertificateRequest::Inspect { domain, cert_path, key_path, at_any_time: true };
    Some(Program::on(engine.host()).certificate(&request).ok()?.ok()?.expires_at)
}

/// Where chain and key lie.
pub(crate) fn paths(installation: &Installation, stored: &Ghost) -> (PathBuf, PathBuf) {
    match &stored.certificate {
        CertificateSource::Operator { cert_path, key_path } => (cert_path.clone(), key_path.clone()),
        CertificateSource::Acme | CertificateSource::SelfSigned => {
            let folder = installation.paths.certs_dir().join(stored.domain.to_string());
            (folder.join("fullchain.pem"), folder.join("privkey.pem"))
        }
    }
}
