//! Whether clients get through, asked as they would ask.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use phantom_engine::Engine;
use phantom_host::{Certificate, Shown, Shows, TunnelCheck};
use phantom_store::{CertificateSource, Ghost as Stored, Server};
use phantom_types::Timestamp;

use crate::desired::ca_file;
use crate::keeper::Report;
use crate::{GhostError, PORT, Step};

/// What shows clients a certificate.
#[derive(Debug)]
pub(crate) enum Serving {
    /// The tunnel server, this one.
    Itself(Certificate),
    /// The web server in front.
    Front,
}

/// Asks for a tunnel; says until when the certificate is valid that was shown.
pub(crate) fn verify(
    engine: &Engine,
    server: &Server,
    stored: &Stored,
    serving: &Serving,
) -> Result<Timestamp, GhostError> {
    let shown = match serving {
        Serving::Itself(certificate) => {
            let shows = Shows::Exactly(certificate.cert_path.clone());
            ask(engine, &question(server, stored, Ipv4Addr::LOCALHOST.into(), shows))?
        }
        Serving::Front => through_front(engine, server, stored)?,
    };
    let wrong = |detail: String| match &stored.front {
        Some(front) => GhostError::Front { front: front.clone(), detail, rolled_back: false },
        None => not_serving(engine, &detail),
    };
    let shown = shown.map_err(wrong)?;
    match serving {
        Serving::Itself(certificate) => Ok(certificate.expires_at),
        Serving::Front => {
            shown.expires_at.ok_or_else(|| wrong("the end of its certificate cannot be read".to_owned()))
        }
    }
}

/// Asks for a tunnel at each address of this machine at which the web server may listen, until one opens it. The inner error has
/// what went wrong at each.
pub(crate) fn through_front(
    engine: &Engine,
    server: &Server,
    stored: &Stored,
) -> Result<Result<Shown, String>, GhostError> {
    let accepted = match stored.certificate {
        CertificateSource::SelfSigned => Shows::Any,
        CertificateSource::Acme | CertificateSource::Operator { .. } => {
            let site = engine.site()?;
            Shows::Trusted { ca_file: Some(ca_file(&site)).filter(|path| path.exists()) }
        }
    };
    let found = engine.host().network.addresses();
    let found = found.map_err(|source| GhostError::host(Step::Verify, source))?;
    let mut addresses: Vec<IpAddr> = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    addresses.extend(found.into_iter().map(|(_, address)| address.ip()).filter(|ip| !ip.is_loopback()));
    let mut details: Vec<String> = Vec::new();
    for address in addresses.into_iter().filter(|address| !is_link_local(*address)) {
        match ask(engine, &question(server, stored, address, accepted.clone()))? {
            Ok(shown) => return Ok(Ok(shown)),
            Err(detail) if details.contains(&detail) => {}
            Err(detail) => details.push(detail),
        }
    }
    Ok(Err(details.join("; ")))
}

/// Only with the interface's name would it be known where such an address is.
fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(six) if six.is_unicast_link_local())
}

fn question(server: &Server, stored: &Stored, address: IpAddr, shows: Shows) -> TunnelCheck {
    TunnelCheck {
        address,
        port: stored.front.as_ref().map_or(PORT, |front| front.public_port),
        domain: stored.domain.clone(),
        secret: stored.secret.clone(),
        wireguard_port: server.port,
        shows,
    }
}

fn ask(engine: &Engine, check: &TunnelCheck) -> Result<Result<Shown, String>, GhostError> {
    engine.host().tunnel.check(check).map_err(|source| GhostError::host(Step::Verify, source))
}

fn not_serving(engine: &Engine, detail: &str) -> GhostError {
    // The keeper knows why the server has nothing to serve with. What it wrote is gone after the rollback.
    let why = engine.site().ok().and_then(|site| Report::read(engine, &site).last_error);
    let detail = why.map_or_else(|| detail.to_owned(), |why| format!("{detail}; {why}"));
    GhostError::NotServing { detail, rolled_back: false }
}
