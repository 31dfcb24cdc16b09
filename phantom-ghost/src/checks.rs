//! What the doctor looks at for Ghost Mode.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use phantom_engine::{DoctorCheck, Examination, Finding, filters};
use phantom_ghost_state::{CertificateSource, Ghost, GhostState as _};
use phantom_host::{HostError, Port, Protocol};
use phantom_module::ErrorCode as _;
use phantom_store::{State, StoreError};
use phantom_types::{ClientName, PublicKey, Said, Timestamp};

use crate::certificate::expiry_of_stored;
use crate::decoy;
use crate::desired::control;
use crate::keeper::KeeperReport;
use crate::program::{Program, Shown};
use crate::verify::{FRONT_LIMIT, through_front};
use crate::{OPERATOR_SECRET, PORT};

/// So many clients are named in one sentence.
const NAMED: usize = 10;

/// The checks, in their places among those of Core.
pub(crate) const CHECKS: &[DoctorCheck] = &[
    DoctorCheck { name: "https_port", order: 850, run: https_port },
    DoctorCheck { name: "tunnel_secrets", order: 860, run: tunnel_secrets },
    decoy::CHECK,
    DoctorCheck { name: "certificate", order: 880, run: certificate },
];

fn https_port(case: &Examination<'_>) -> Finding {
    let stored = case.engine.store().read(State::ghost).unwrap_or(None);
    let port = stored.as_ref().map_or(PORT, Ghost::public_port);
    let bound = match case.engine.host().sockets.bound(Port { protocol: Protocol::Tcp, number: port }) {
        Ok(bound) => bound,
        Err(error) => return case.silent(&error),
    };
    let front = stored.as_ref().is_some_and(|stored| stored.front.is_some());
    match (stored.is_some(), bound) {
        (true, true) => {
            let well = if front {
                case.ok(
                    format!("A web server listens on TCP port {port} for the tunnel"),
                    format!("Tünel için {port} TCP portunda bir web sunucusu dinliyor"),
                )
            } else {
                case.ok(
                    format!("The tunnel listens on TCP port {port}"),
                    format!("Tünel {port} TCP portunda dinliyor"),
                )
            };
            filters::reached(case, Protocol::Tcp, port, well)
        }
        (true, false) => {
            let found = case.problem(
                format!("Ghost Mode is active, and nobody listens on TCP port {port}"),
                format!("Ghost Mode aktif, ama {port} TCP portunda dinleyen yok"),
            );
            if front {
                return found.hint(case.pick(
                    "Start the web server that is in front of the tunnel",
                    "Tünelin önündeki web sunucusunu başlatın",
                ));
            }
            found.hint(case.pick("Run: phantom-api ghost status", "Çalıştırın: phantom-api ghost status"))
        }
        (false, true) => case.ok(
            "TCP port 443 is in use by another program: Ghost Mode would need it",
            "443 TCP portu başka bir programın kullanımında: Ghost Mode bu porta gerek duyar",
        ),
        (false, false) => case.ok("TCP port 443 is free for Ghost Mode", "443 TCP portu Ghost Mode için boş"),
    }
}

/// Whether the certificate ends soon: every client looks at it.
fn certificate(case: &Examination<'_>) -> Finding {
    let stored = case.engine.store().read(State::ghost).unwrap_or(None);
    let (Some(stored), Ok(installation)) = (stored, case.engine.installation()) else {
        return case.ok(
            "There is no certificate of Ghost Mode to renew",
            "Yenilenecek bir Ghost Mode sertifikası yok",
        );
    };
    if stored.front.is_some() {
        return front_certificate(case, &stored);
    }
    let report = KeeperReport::read(case.engine, &installation);
    let until = report.expires_at().or_else(|| expiry_of_stored(case.engine, &installation, &stored));
    let Some(until) = until else {
        let found = case
            .problem("The certificate of Ghost Mode cannot be used", "Ghost Mode sertifikası kullanılamıyor");
        return found.hint(renewal(case, &stored, &report));
    };
    let date = until.date_and_time();
    let date = date.split_once(' ').map_or(date.as_str(), |(day, _)| day);
    if case.engine.host().clock.now() > until {
        let found = case.problem(
            format!("The certificate of Ghost Mode expired on {date}: no client connects"),
            format!("Ghost Mode sertifikasının süresi doldu ({date}): hiçbir istemci bağlanamaz"),
        );
        return found.hint(renewal(case, &stored, &report));
    }
    if report.alarm.is_some() {
        let found = case.warning(
            format!("The certificate of Ghost Mode is valid until {date} only, and was not renewed"),
            format!("Ghost Mode sertifikası yalnızca {date} tarihine kadar geçerli ve yenilenmedi"),
        );
        return found.hint(renewal(case, &stored, &report));
    }
    case.ok(
        format!("The certificate of Ghost Mode is valid until {date}"),
        format!("Ghost Mode sertifikası {date} tarihine kadar geçerli"),
    )
}

/// Whether the web server in front leads clients to the tunnel, with a certificate that they accept.
fn front_certificate(case: &Examination<'_>, stored: &Ghost) -> Finding {
    let own_secret = case.engine.store().read(|state| OPERATOR_SECRET.value(state)).unwrap_or(false);
    let Some(server) = case.server else {
        return case.ok(
            "The web server in front of the tunnel renews its certificate by itself",
            "Tünelin önündeki web sunucusu sertifikasını kendisi yeniler",
        );
    };
    let secret = Some(&stored.secret).filter(|_| own_secret);
    let detail = match through_front(case.engine, server, stored, secret, FRONT_LIMIT) {
        Ok(Ok(shown)) => return shown_by_front(case, &shown, own_secret),
        Ok(Err(detail)) => phantom_words::of_program(&detail, case.lang),
        Err(error) => error.message(case.lang),
    };
    let found = case.problem(
        "The web server in front does not lead to the tunnel: no client connects",
        "Öndeki web sunucusu tünele ulaştırmıyor: hiçbir istemci bağlanamaz",
    );
    found.hint(case.pick(
        format!("Look at its configuration and its certificate: {detail}"),
        format!("Yapılandırmasına ve sertifikasına bakın: {detail}"),
    ))
}

/// What there is to say about a certificate that the web server in front has shown. `tried`: it has opened a tunnel, too.
fn shown_by_front(case: &Examination<'_>, shown: &Shown, tried: bool) -> Finding {
    let until = shown.expires_at.map(Timestamp::date_and_time).unwrap_or_default();
    let date = until.split_once(' ').map_or(until.as_str(), |(day, _)| day);
    if let Some(alarm) = &shown.alarm {
        let found = case.warning(
            format!(
                "The certificate of the web server in front is valid until {date} only, and was not renewed"
            ),
            format!(
                "Öndeki web sunucusunun sertifikası yalnızca {date} tarihine kadar geçerli ve yenilenmedi"
            ),
        );
        let alarm = phantom_words::of_program(alarm, case.lang);
        return found.hint(case.pick(
            format!("Look at what renews it in that web server: {alarm}"),
            format!("O web sunucusunda yenilemeyi yapan ayara bakın: {alarm}"),
        ));
    }
    if !tried {
        return case.ok(
            format!(
                "The web server in front shows a certificate that is valid until {date}. Whether it leads to the tunnel was not tried: \
                 the operator's secret opens none"
            ),
            format!(
                "Öndeki web sunucusunun sertifikası {date} tarihine kadar geçerli. Tünele ulaştırıp ulaştırmadığı denenmedi: \
                 yöneticinin gizli anahtarı tünel açmıyor"
            ),
        );
    }
    case.ok(
        format!("The web server in front leads to the tunnel; its certificate is valid until {date}"),
        format!("Öndeki web sunucusu tünele ulaştırıyor; sertifikası {date} tarihine kadar geçerli"),
    )
}

/// What renews the certificate.
fn renewal(case: &Examination<'_>, stored: &Ghost, report: &KeeperReport) -> String {
    match &stored.certificate {
        CertificateSource::Operator { cert_path, .. } => {
            let path = cert_path.display();
            case.pick(
                format!("Put a new certificate in the place of {path}, and its key in the place of the old one. Both are read by themselves"),
                format!("{path} dosyasının yerine yeni bir sertifika, eski anahtarın yerine de yenisini koyun. İkisi de kendiliğinden okunur"),
            )
        }
        CertificateSource::Acme => match report.last_error(case.lang) {
            Some(error) => case.pick(
                format!("It is tried again by itself. The last attempt failed: {error}"),
                format!("Kendiliğinden yeniden denenir. Son deneme başarısız oldu: {error}"),
            ),
            None => case.pick("Run: phantom-api ghost status", "Çalıştırın: phantom-api ghost status"),
        },
        CertificateSource::SelfSigned => case.pick(
            "Run: phantom-api ghost disable, then enable Ghost Mode again",
            "Çalıştırın: phantom-api ghost disable, ardından Ghost Mode'u yeniden etkinleştirin",
        ),
    }
}

/// Which clients still come by the operator's secret: they need a new export before that can be ended.
fn tunnel_secrets(case: &Examination<'_>) -> Finding {
    let stored = case
        .engine
        .store()
        .read(|state| Ok::<_, StoreError>((state.ghost_active()?, OPERATOR_SECRET.value(state)?)));
    match (stored, case.server) {
        (Ok((true, true)), Some(_)) => {}
        (Ok((true, false)), _) => {
            return case.ok(
                "Only the clients' own secrets open a tunnel",
                "Yalnızca istemcilerin kendi gizli anahtarları tünel açar",
            );
        }
        _ => {
            return case.ok(
                "Each client has a secret of its own for Ghost Mode",
                "Her istemcinin Ghost Mode için kendi gizli anahtarı var",
            );
        }
    }
    let clients = match clients_by_operator_secret(case) {
        Ok(Ok(clients)) => clients,
        Ok(Err(_)) => {
            let found = case.warning(
                "The tunnel server does not say which clients use the operator's secret",
                "Tünel sunucusu, yöneticinin gizli anahtarını hangi istemcilerin kullandığını bildirmiyor",
            );
            let status = "phantom-api ghost status";
            return found.hint(case.pick(format!("Run: {status}"), format!("Çalıştırın: {status}")));
        }
        Err(error) => return case.silent(&error),
    };
    name_clients(case, &clients)
}

/// What there is to say about these clients, which come by the operator's secret.
fn name_clients(case: &Examination<'_>, clients: &[ClientName]) -> Finding {
    if clients.is_empty() {
        let command = "phantom-api core update_tweak_setting setting_name=ghost_operator_secret value=false";
        let found = case.ok(
            "The operator's secret opens tunnels too; no client that is connected uses it",
            "Yöneticinin gizli anahtarı da tünel açar; bağlı olan hiçbir istemci onu kullanmıyor",
        );
        return found.hint(case.pick(
            format!("When all clients have their own export, end it: {command}"),
            format!("Tüm istemciler kendi yapılandırmasını aldığında kapatın: {command}"),
        ));
    }
    let mut names: Vec<&str> = clients.iter().take(NAMED).map(ClientName::as_str).collect();
    if clients.len() > NAMED {
        names.push("…");
    }
    let (count, names) = (clients.len(), names.join(", "));
    let found = case.warning(
        format!("Connected by the operator's secret in place of their own ({count}): {names}"),
        format!("Kendi gizli anahtarı yerine yöneticininkiyle bağlı olanlar ({count}): {names}"),
    );
    found.hint(case.pick(
        "Give each of them a new export: phantom-casper CLIENT",
        "Her birine yeni bir yapılandırma verin: phantom-casper İSTEMCİ",
    ))
}

/// The clients whose packets come from tunnels under the operator's secret. The inner error is the server's.
fn clients_by_operator_secret(case: &Examination<'_>) -> Result<Result<Vec<ClientName>, String>, HostError> {
    let Some(server) = case.server else { return Ok(Ok(Vec::new())) };
    let host = case.engine.host();
    let failed = |error: StoreError| HostError::Told(Said::from_error(&error));
    let installation = case.engine.installation().map_err(failed)?;
    let ports = match Program::on(host).shared_ports(&control(&installation))? {
        Ok(ports) if !ports.is_empty() => ports,
        other => return Ok(other.map(|_| Vec::new())),
    };
    let device = host.wireguard.device(&server.interface, server.backend)?;
    let by_tunnel = |endpoint: &SocketAddr| {
        endpoint.ip().to_canonical() == IpAddr::V4(Ipv4Addr::LOCALHOST) && ports.contains(&endpoint.port())
    };
    let peers = device.into_iter().flat_map(|device| device.peers).map(|peer| peer.config);
    let keys: Vec<PublicKey> = peers
        .filter(|peer| peer.endpoint.as_ref().is_some_and(by_tunnel))
        .map(|peer| peer.public_key)
        .collect();
    let names = case.engine.store().read(|state| {
        let clients = keys.iter().map(|key| state.client_by_key(key));
        clients.collect::<Result<Vec<_>, StoreError>>()
    });
    let mut names: Vec<_> = names.map_err(failed)?.into_iter().flatten().map(|client| client.name).collect();
    names.sort_unstable();
    Ok(Ok(names))
}
