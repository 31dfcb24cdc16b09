//! Whether clients get through, asked as they would ask.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use phantom_engine::Engine;
use phantom_ghost_state::{CertificateSource, Ghost as Stored};
use phantom_store::Server;
use phantom_types::{HostName, Timestamp, TunnelSecret};

use crate::desired::ca_file;
use crate::keeper::KeeperReport;
use crate::program::{Certificate, Program, Shown, Shows, TunnelCheck};
use crate::{GhostError, GhostStep, PORT};

/// How long the tunnel server on this machine may take.
const LOCAL_LIMIT: Duration = Duration::from_secs(20);
/// How long a web server in front may take, at all addresses together.
pub(crate) const FRONT_LIMIT: Duration = Duration::from_secs(10);
/// At how many addresses it is asked at most.
const ADDRESSES: usize = 4;

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
        Serving::Front => through_front(engine, server, stored, Some(&stored.secret), FRONT_LIMIT)?,
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

/// Asks the web server in front for a tunnel at the addresses of this machine that outsiders reach, until one opens it; without a
/// secret, for its certificate alone. All are asked at once, so that one that hangs delays no other, and have as long as `limit`. The
/// inner error has what went wrong at each.
pub(crate) fn through_front(
    engine: &Engine,
    server: &Server,
    stored: &Stored,
    secret: Option<&TunnelSecret>,
    limit: Duration,
) -> Result<Result<Shown, String>, GhostError> {
    let accepted = match stored.certificate {
        CertificateSource::SelfSigned => Shows::Any,
        CertificateSource::Acme | CertificateSource::Operator { .. } => {
            let installation = engine.installation()?;
            Shows::Trusted { ca_file: Some(ca_file(&installation)).filter(|path| path.exists()) }
        }
    };
    let (tell, told) = mpsc::channel();
    for address in outsiders_addresses(engine, server, stored)? {
        let check = TunnelCheck {
            secret: secret.cloned(),
            limit,
            ..question(server, stored, address, accepted.clone())
        };
        let (tunnel, tell) = (Program::on(engine.host()), tell.clone());
        // Nobody may listen any more.
        thread::spawn(move || drop(tell.send(tunnel.check(&check))));
    }
    drop(tell);
    let mut details: Vec<String> = Vec::new();
    for answer in told {
        match answer.map_err(|source| GhostError::host(GhostStep::Verify, source))? {
            Ok(shown) => return Ok(Ok(shown)),
            Err(detail) if details.contains(&detail) => {}
            Err(detail) => details.push(detail),
        }
    }
    Ok(Err(details.join("; ")))
}

/// The addresses of this machine at which outsiders reach it, at most four. That a web server answers at loopback proves nothing to
/// them: it counts where this machine has no address of theirs.
fn outsiders_addresses(engine: &Engine, server: &Server, stored: &Stored) -> Result<Vec<IpAddr>, GhostError> {
    let network = &engine.host().network;
    let own = network.addresses().map_err(|source| GhostError::host(GhostStep::Verify, source))?;
    let uplink = network.uplink().ok().flatten();
    let named = match stored.domain {
        HostName::Ip(address) => Some(address),
        HostName::Domain(_) => None,
    };
    let four = [server.server_ip, uplink.as_ref().and_then(|uplink| uplink.address)];
    let six = [server.ipv6, uplink.as_ref().and_then(|uplink| uplink.ipv6)];
    let known = four.into_iter().flatten().map(IpAddr::V4).chain(six.into_iter().flatten().map(IpAddr::V6));
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in named.into_iter().chain(known) {
        let is_own = own.iter().any(|(_, network)| network.ip() == address);
        if is_own && !address.is_loopback() && !is_link_local(address) && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses.truncate(ADDRESSES);
    if addresses.is_empty() {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    Ok(addresses)
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
        secret: Some(stored.secret.clone()),
        wireguard_port: server.port,
        shows,
        limit: LOCAL_LIMIT,
    }
}

fn ask(engine: &Engine, check: &TunnelCheck) -> Result<Result<Shown, String>, GhostError> {
    Program::on(engine.host()).check(check).map_err(|source| GhostError::host(GhostStep::Verify, source))
}

fn not_serving(engine: &Engine, detail: &str) -> GhostError {
    // The keeper knows why the server has nothing to serve with. What it wrote is gone after the rollback.
    let why = engine
        .installation()
        .ok()
        .and_then(|installation| KeeperReport::read(engine, &installation).last_error);
    let detail = why.map_or_else(|| detail.to_owned(), |why| format!("{detail}; {why}"));
    GhostError::NotServing { detail, rolled_back: false }
}
