//! `status`: the state of Ghost Mode.

use std::net::Ipv4Addr;
use std::time::Duration;

use phantom_engine::filters::{limit, opening};
use phantom_engine::{Engine, Installation};
use phantom_ghost_state::{CertificateSource, Ghost as Stored, GhostState as _};
use phantom_host::filter::{FilterVerdict, PacketFate};
use phantom_host::{Port, Protocol};
use phantom_module::{Action, Call, Effect, Lang, SecretText, Text};
use phantom_store::Server;
use phantom_types::{HostName, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::enable::access;
use crate::certificate;
use crate::keeper::{KeeperReport, is_serving};
use crate::program::Shown;
use crate::verify::through_front;
use crate::{DecoyInUse, Ghost, GhostError, OPERATOR_SECRET, decoy};

/// How long the web server in front may take, for one who waits for the answer.
const FRONT_LIMIT: Duration = Duration::from_millis(1_500);

/// Shows whether Ghost Mode is on, and how tunnel and certificate are.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Status {}

/// The state of Ghost Mode.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StatusReport {
    /// `inactive`, `active`, or `error` when the tunnel does not serve, its port is closed, or WireGuard's is open
    #[schemars(extend(
        "x-tr" = "`inactive`, `active`; tünel hizmet vermiyorsa, portu kapalıysa veya WireGuard'ın portu açıksa `error`"
    ))]
    pub status: &'static str,
    /// It is on
    #[schemars(extend("x-tr" = "Açık"))]
    pub enabled: bool,
    /// A sentence for people; only while it is off
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "Kullanıcıya yönelik bir cümle; yalnızca kapalıyken"))]
    pub message: Option<&'static str>,
    /// The tunnel; only while it is on
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub tunnel: Option<Tunnel>,
}

/// The tunnel as it is.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Tunnel {
    /// Public IPv4 address of the server; null where it has none
    #[schemars(extend("x-tr" = "Sunucunun genel IPv4 adresi; yoksa null"))]
    pub server_ip: Option<Ipv4Addr>,
    /// Name or address that clients connect to
    #[schemars(extend("x-tr" = "İstemcilerin bağlandığı alan adı veya adres"))]
    pub domain: HostName,
    /// The first 10 characters of the operator's own secret, and dots
    #[schemars(extend("x-tr" = "Yöneticinin kendi gizli anahtarının ilk 10 karakteri ve noktalar"))]
    pub secret: String,
    /// Always `wss`
    #[schemars(extend("x-tr" = "Her zaman `wss`"))]
    pub protocol: &'static str,
    /// TCP port that clients connect to: 443, or that of the web server in front
    #[schemars(extend("x-tr" = "İstemcilerin bağlandığı TCP portu: 443 veya öndeki web sunucusunun portu"))]
    pub port: u16,
    /// Its services
    #[schemars(extend("x-tr" = "Servisleri"))]
    pub services: TunnelServices,
    /// When it was switched on
    #[schemars(with = "String", extend("x-tr" = "Açıldığı zaman"))]
    pub activated_at: Timestamp,
    /// Command that connects with the operator's secret; holds it in full
    #[schemars(extend("x-tr" = "Yöneticinin gizli anahtarıyla bağlanan komut; anahtarın tamamını içerir"))]
    pub connection_command: SecretText,
    /// How a client's configuration is exported
    #[schemars(extend("x-tr" = "İstemci yapılandırmasının nasıl dışa aktarıldığı"))]
    pub client_export_info: &'static str,
    /// The certificate in force
    #[schemars(extend("x-tr" = "Yürürlükteki sertifika"))]
    pub certificate: RenewedCertificate,
    /// The packet filter rule that closes that port to the Internet; only while one does
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "O portu internete kapatan paket filtresi kuralı; yalnızca böyle bir kural varken"))]
    pub closed_by: Option<ClosedBy>,
    /// True while the WireGuard port, which Ghost Mode hides, is open to the Internet; only then
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "Ghost Mode'un gizlediği WireGuard portu internete açıkken true; yalnızca o zaman"))]
    pub wireguard_exposed: Option<bool>,
    /// The web server that strangers are shown; only while there is one
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "Yabancılara gösterilen web sunucusu; yalnızca varsa"))]
    pub decoy: Option<DecoyInUse>,
    /// The web server in front; only where there is one
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "Öndeki web sunucusu; yalnızca varsa"))]
    pub front: Option<FrontInUse>,
}

/// The web server in front, which has the certificate and passes requests on.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FrontInUse {
    /// The socket at which the tunnel server listens for it
    #[schemars(extend("x-tr" = "Tünel sunucusunun onun için dinlediği soket"))]
    pub listen: String,
    /// The group that may connect to the socket
    #[schemars(extend("x-tr" = "Sokete bağlanabilen grup"))]
    pub listen_group: String,
}

/// A packet filter rule that closes a port.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ClosedBy {
    /// Its packet filter and table
    #[schemars(extend("x-tr" = "Paket filtresi ve tablosu"))]
    pub table: String,
    /// Its chain
    #[schemars(extend("x-tr" = "Zinciri"))]
    pub chain: String,
    /// The rule as the packet filter writes it, or its policy
    #[schemars(extend("x-tr" = "Paket filtresinin yazdığı biçimiyle kural veya zincirin ilkesi"))]
    pub rule: String,
    /// Command that opens the port
    #[schemars(extend("x-tr" = "Portu açan komut"))]
    pub open_with: String,
    /// True where a rule of that packet filter names the port itself, so that no accept of ours is put there: its owner limits the port on purpose; only then
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "O paket filtresindeki bir kural portu kendisi sınırladığı ve bu yüzden izin kuralımız eklenmediği zaman true; yalnızca o zaman"))]
    pub limited: Option<bool>,
}

/// The services of the tunnel.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TunnelServices {
    /// The tunnel service: `active` or `inactive`
    #[schemars(extend("x-tr" = "Tünel servisi: `active` veya `inactive`"))]
    pub wstunnel: &'static str,
}

/// The certificate and its renewal.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RenewedCertificate {
    /// Where it comes from: `acme`, `operator`, `self_signed` or `web_server`
    #[schemars(extend("x-tr" = "Kaynağı: `acme`, `operator`, `self_signed` veya `web_server`"))]
    pub source: &'static str,
    /// Until when it is valid; null while it cannot be read
    #[schemars(with = "Option<String>", extend("x-tr" = "Geçerlilik sonu; okunamıyorsa null"))]
    pub expires_at: Option<Timestamp>,
    /// Who renews it: `automatic`, `operator` or `none`
    #[schemars(extend("x-tr" = "Kimin yenilediği: `automatic`, `operator` veya `none`"))]
    pub renewal: &'static str,
    /// Why the last attempt failed
    #[schemars(extend("x-tr" = "Son denemenin neden başarısız olduğu"))]
    pub last_error: Option<String>,
    /// That it ends soon or has ended; only then
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "Yakında biteceği veya bittiği; yalnızca o zaman"))]
    pub alarm: Option<String>,
}

impl Action for Status {
    type Module = Ghost;
    type Output = StatusReport;
    type Error = GhostError;
    const NAME: &'static str = "status";
    const SUMMARY: Text = Text { en: "Ghost Mode status", tr: "Ghost Mode durumu" };
    const EFFECT: Effect = Effect::Read;
    const EXAMPLE: &'static str = "";
    const ERRORS: &'static [&'static str] = &[];

    fn run(self, ghost: &Ghost, call: &Call) -> Result<StatusReport, GhostError> {
        let engine = ghost.engine();
        let stored = engine.read(|state| Ok::<_, GhostError>((state.server()?, state.ghost()?)))?;
        let (Some(server), Some(stored)) = stored else {
            let message = Some(inactive(call.lang));
            return Ok(StatusReport { status: "inactive", enabled: false, message, tunnel: None });
        };
        let installation = engine.installation()?;
        let report = KeeperReport::read(engine, &installation);
        let serving = is_serving(engine, &installation, &report);
        let (certificate, led) = match &stored.front {
            None => (certificate_now(engine, &installation, &stored, &report, call.lang), true),
            Some(_) => of_front(engine, &server, &stored, &report, serving, call.lang)?,
        };
        let tunnel = tunnel(engine, &server, &stored, serving, certificate, call.lang);
        // What its owner has limited lets in whom he wants.
        let open = tunnel.closed_by.as_ref().is_none_or(|closed| closed.limited.is_some());
        let well = serving && led && open && tunnel.wireguard_exposed.is_none();
        let status = if well { "active" } else { "error" };
        Ok(StatusReport { status, enabled: true, message: None, tunnel: Some(tunnel) })
    }
}

fn tunnel(
    engine: &Engine,
    server: &Server,
    stored: &Stored,
    serving: bool,
    certificate: RenewedCertificate,
    lang: Lang,
) -> Tunnel {
    let (closed_by, wireguard_exposed) = filtered(engine, server, stored.public_port());
    Tunnel {
        server_ip: server.server_ip,
        domain: stored.domain.clone(),
        secret: stored.secret.masked(),
        protocol: "wss",
        port: stored.public_port(),
        services: TunnelServices { wstunnel: if serving { "active" } else { "inactive" } },
        activated_at: stored.activated_at,
        connection_command: SecretText(access(server, stored).command()),
        client_export_info: lang.pick(
            "To export client configuration, use: phantom-casper [username]",
            "İstemci yapılandırmasını dışa aktarmak için: phantom-casper [kullanıcıadı]",
        ),
        certificate,
        closed_by,
        wireguard_exposed,
        decoy: decoy::in_use(server, stored),
        front: stored.front.as_ref().map(|front| FrontInUse {
            listen: format!("unix:{}", front.socket.display()),
            listen_group: front.group.clone(),
        }),
    }
}

/// Which packet filter closes the tunnel's port to the Internet, and whether none closes WireGuard's. Filters that
/// cannot be read say nothing.
fn filtered(engine: &Engine, server: &Server, public: u16) -> (Option<ClosedBy>, Option<bool>) {
    let host = engine.host();
    let Ok(filters) = host.firewall.filters() else { return (None, None) };
    let fate = |protocol, number| {
        let port = Port { protocol, number };
        PacketFate::from_internet(host, &filters, port, server.server_ip).ok().flatten()
    };
    let closed = fate(Protocol::Tcp, public);
    let limited = || limit(engine, &filters, Port { protocol: Protocol::Tcp, number: public });
    let closed = closed.and_then(|fate| opening(engine, &fate)).map(|(spot, open_with)| ClosedBy {
        table: spot.base.table.to_string(),
        chain: spot.chain,
        rule: spot.text,
        open_with,
        limited: limited().map(|_| true),
    });
    let open = fate(Protocol::Udp, server.port).is_some_and(|fate| fate.verdict == FilterVerdict::Accepted);
    // A port on which nobody listens answers nobody.
    let device = || host.wireguard.device(&server.interface, server.backend).ok().flatten();
    let listens = || device().is_some_and(|device| device.listen_port == server.port);
    (closed, (open && listens()).then_some(true))
}

/// The certificate as the keeper reports it; without a keeper, what lies there is looked at.
fn certificate_now(
    engine: &Engine,
    installation: &Installation,
    stored: &Stored,
    report: &KeeperReport,
    lang: Lang,
) -> RenewedCertificate {
    let renewal = match stored.certificate {
        CertificateSource::Acme => "automatic",
        CertificateSource::Operator { .. } => "operator",
        CertificateSource::SelfSigned => "none",
    };
    RenewedCertificate {
        source: certificate::source(stored),
        expires_at: report
            .expires_at()
            .or_else(|| certificate::expiry_of_stored(engine, installation, stored)),
        renewal,
        last_error: report.last_error(lang),
        alarm: report.alarm(lang),
    }
}

/// What the web server in front shows, and whether it leads to the tunnel. Where the operator's secret opens none, its
/// certificate alone is looked at.
fn of_front(
    engine: &Engine,
    server: &Server,
    stored: &Stored,
    report: &KeeperReport,
    serving: bool,
    lang: Lang,
) -> Result<(RenewedCertificate, bool), GhostError> {
    let opens = engine.read(|state| Ok::<_, GhostError>(OPERATOR_SECRET.value(state)?))?;
    let secret = Some(&stored.secret).filter(|_| opens);
    let ask = || through_front(engine, server, stored, secret, FRONT_LIMIT);
    let shown = if serving { Some(ask()?) } else { None };
    let (shown, fault) = match shown {
        Some(Ok(shown)) => (shown, None),
        Some(Err(detail)) => (Shown::default(), Some(phantom_words::of_program(&detail, lang))),
        None => (Shown::default(), None),
    };
    let led = fault.is_none();
    let certificate = RenewedCertificate {
        source: certificate::source(stored),
        expires_at: shown.expires_at,
        renewal: "operator",
        last_error: fault.or_else(|| report.last_error(lang)),
        alarm: shown.alarm.map(|alarm| phantom_words::of_program(&alarm, lang)),
    };
    Ok((certificate, led))
}

/// That it is off.
pub(crate) fn inactive(lang: Lang) -> &'static str {
    lang.pick("Ghost Mode is not active", "Ghost Mode aktif değil")
}
