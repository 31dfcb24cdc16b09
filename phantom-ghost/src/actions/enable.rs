//! `enable`: turns Ghost Mode on.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use phantom_engine::filters::{self, OpenedChain, Reach};
use phantom_engine::{Change, Engine, Origin, Scope};
use phantom_ghost_state::{CertificateSource, Front, Ghost as Stored, GhostChange as _, GhostState as _};
use phantom_host::filter::LetIn;
use phantom_host::{Port, Protocol};
use phantom_module::{Action, Call, Effect, Lang, ParamError, SecretText, Text, TypedModule as _};
use phantom_store::Server;
use phantom_types::{HostName, ProxyVersion, Timestamp, TunnelAccess, TunnelSecret, Upstream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::front::FrontRequest;
use crate::verify::{Serving, verify};
use crate::{
    CertificateInfo, Ghost, GhostError, GhostStep, OPERATOR_SECRET, PORT, certificate, decoy, front, name,
    validation,
};

/// Turns Ghost Mode on: WireGuard is reached inside HTTPS, and no other way.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Enable {
    /// Domain whose A record points to the server, or the server's own IPv4 or IPv6 address
    #[schemars(extend("x-tr" = "Sunucuya işaret eden A kaydı olan alan adı veya sunucunun kendi IPv4 ya da IPv6 adresi"))]
    pub domain: HostName,
    /// Do not check the A record
    #[serde(default)]
    #[schemars(extend("x-tr" = "A kaydı denetimini atla"))]
    pub skip_dns_check: bool,
    /// Certificate file
    #[serde(default)]
    #[schemars(extend("x-tr" = "Sertifika dosyası", "format" = "path"))]
    pub cert_path: Option<String>,
    /// Private key file
    #[serde(default)]
    #[schemars(extend("x-tr" = "Özel anahtar dosyası", "format" = "path"))]
    pub key_path: Option<String>,
    /// Use a self-signed certificate (tests only)
    #[serde(default)]
    #[schemars(extend("x-tr" = "Kendinden imzalı sertifika kullan (yalnızca test)"))]
    pub self_signed: bool,
    /// Web server on this machine that strangers are shown (`http://127.0.0.1:PORT`, `unix:/PATH`)
    #[serde(default)]
    #[schemars(extend(
        "x-tr" = "Yabancılara gösterilecek, bu makinedeki web sunucusu (`http://127.0.0.1:PORT`, `unix:/YOL`)"
    ))]
    pub decoy: Option<String>,
    /// Address of this host from which strangers reach that web server; by default the server's VPN address
    #[serde(default)]
    #[schemars(extend(
        "x-tr" = "Yabancıların o web sunucusuna ulaştığı, bu makineye ait kaynak adresi; varsayılanı sunucunun VPN adresi"
    ))]
    pub decoy_source: Option<IpAddr>,
    /// Tell that web server strangers' own addresses by the PROXY protocol
    #[serde(default)]
    #[schemars(extend("x-tr" = "O web sunucusuna yabancıların kendi adreslerini PROXY protokolüyle ilet"))]
    pub decoy_proxy: Option<ProxyVersion>,
    /// Socket for a web server of this machine that has port 443 and the certificate, and passes requests on (`unix:/run/phantom-web/NAME`)
    #[serde(default)]
    #[schemars(extend(
        "x-tr" = "443 portunu ve sertifikayı elinde tutan, istekleri ileten bu makinedeki web sunucusu için soket (`unix:/run/phantom-web/AD`)"
    ))]
    pub listen: Option<String>,
    /// TCP port of that web server, to which clients connect
    #[serde(default)]
    #[schemars(
        range(min = 1, max = 65_535),
        extend("x-tr" = "O web sunucusunun, istemcilerin bağlandığı TCP portu", "x-default" = 443)
    )]
    pub public_port: Option<u16>,
    /// Group of that web server's user, which alone may connect to the socket
    #[serde(default)]
    #[schemars(extend(
        "x-tr" = "O web sunucusunu çalıştıran kullanıcının grubu; sokete yalnızca bu grup bağlanabilir",
        "x-default" = "www-data"
    ))]
    pub listen_group: Option<String>,
}

impl Enable {
    /// With a certificate by ACME and the built-in decoy.
    pub fn new(domain: impl Into<HostName>) -> Self {
        Self {
            domain: domain.into(),
            skip_dns_check: false,
            cert_path: None,
            key_path: None,
            self_signed: false,
            decoy: None,
            decoy_source: None,
            decoy_proxy: None,
            listen: None,
            public_port: None,
            listen_group: None,
        }
    }
}

/// Ghost Mode is on.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Enabled {
    /// Always `active`
    #[schemars(extend("x-tr" = "Her zaman `active`"))]
    pub status: &'static str,
    /// Public IPv4 address of the server; null where it has none
    #[schemars(extend("x-tr" = "Sunucunun genel IPv4 adresi; yoksa null"))]
    pub server_ip: Option<Ipv4Addr>,
    /// Name or address that clients connect to
    #[schemars(extend("x-tr" = "İstemcilerin bağlandığı alan adı veya adres"))]
    pub domain: HostName,
    /// The operator's own secret, in full
    #[schemars(extend("x-tr" = "Yöneticinin kendi gizli anahtarının tamamı"))]
    pub secret: SecretText,
    /// Always `wss`
    #[schemars(extend("x-tr" = "Her zaman `wss`"))]
    pub protocol: &'static str,
    /// TCP port that clients connect to: 443, or that of the web server in front
    #[schemars(extend("x-tr" = "İstemcilerin bağlandığı TCP portu: 443 veya öndeki web sunucusunun portu"))]
    pub port: u16,
    /// When it was switched on
    #[schemars(with = "String", extend("x-tr" = "Açıldığı zaman"))]
    pub activated_at: Timestamp,
    /// Command that connects with the operator's secret
    #[schemars(extend("x-tr" = "Yöneticinin gizli anahtarıyla bağlanan komut"))]
    pub connection_command: SecretText,
    /// The certificate
    #[schemars(extend("x-tr" = "Sertifika"))]
    pub certificate: CertificateInfo,
    /// AAAA records that do not lead to this server; what the renewal of the certificate needs; pages of the decoy that are meant for its own machine; a packet filter that closes port 443, with the command that opens it; chains of others from which an accept of ours was taken, as a saved copy may still hold it
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-tr" = "Bu sunucuya ait olmayan AAAA kayıtları; sertifikanın yenilenmesi için gerekenler; yabancılara gösterilen web sunucusunun kendi makinesine ait sayfaları; 443 portunu kapatan paket filtresi ve portu açan komut; izin kuralımızın kaldırıldığı, kaydedilmiş bir kopyası kuralı hâlâ içerebilecek zincirler"))]
    pub warnings: Vec<String>,
    /// Chains of other packet filters in which an accept of ours opens ports; only where there are any
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-tr" = "Diğer paket filtrelerinin, izin kurallarımızın port açtığı zincirleri; yalnızca varsa"))]
    pub opened: Vec<OpenedChain>,
}

impl Action for Enable {
    type Module = Ghost;
    type Output = Enabled;
    type Error = GhostError;
    const NAME: &'static str = "enable";
    const SUMMARY: Text = Text { en: "Enable Ghost Mode", tr: "Ghost Mode'u etkinleştir" };
    const EFFECT: Effect = Effect::Change;
    const EXAMPLE: &'static str = "domain=157-230-114-231.sslip.io";
    const ERRORS: &'static [&'static str] = &[
        "VALIDATION_ERROR",
        "NETWORK_ERROR",
        "PORT_IN_USE",
        "CERTIFICATE_ERROR",
        "GHOST_MODE_ACTIVE",
        "GHOST_MODE_ERROR",
    ];

    fn run(mut self, ghost: &Ghost, call: &Call) -> Result<Enabled, GhostError> {
        let engine = ghost.engine();
        self.domain = name::canonical(self.domain);
        let source = self.source()?;
        self.check_decoy()?;
        let front = self.front(engine)?;
        self.check_round(front.as_ref())?;
        let server = engine.read(|state| {
            refuse_second(state.server()?.as_ref(), state.ghost()?)?;
            Ok::<_, GhostError>(state.server()?)
        })?;
        let Some(server) = server else { return Err(phantom_engine::EngineError::NotInitialised.into()) };
        self.check_decoy_source(engine, &server)?;
        let named = name::look_up(engine, &self.domain, &server, self.skip_dns_check)?;
        let origin = Origin { module: Ghost::NAME, action: Self::NAME };
        let before = filters::before(engine);
        if front.is_none() && is_bound(engine)? {
            // It may be our own server, left by a change that was cut short, or come with a change that ends just now: under
            // the lock neither is left.
            engine.change(origin, call, |change| {
                refuse_second(change.server()?.as_ref(), change.ghost()?)?;
                if is_bound(engine)? { Err(GhostError::PortInUse { port: PORT }) } else { Ok(()) }
            })?;
        }
        let mut warnings: Vec<String> =
            named.strangers.iter().map(|ip| name::warning(*ip, &self.domain, call.lang)).collect();
        let (serving, way_opened) = if front.is_some() {
            (Serving::Front, false)
        } else {
            name::check_certifiable(engine, &self.domain, &source)?;
            // An issue takes seconds: other changes need not wait for it.
            let (certificate, opened) =
                certificate::obtain(engine, &engine.installation()?, &self.domain, &source, (origin, call))?;
            warnings.extend(certificate::warning(&certificate, call.lang));
            (Serving::Itself(certificate), opened)
        };
        let switched_on = engine.change(origin, call, |change| {
            let request = EnableRequest {
                domain: self.domain.clone(),
                source,
                addresses: named.all,
                decoy: self.decoy,
                decoy_source: self.decoy_source,
                decoy_proxy: self.decoy_proxy,
                front,
            };
            switch_on(change, request, &serving)
        });
        if way_opened && switched_on.is_err() {
            // What went wrong with the change is what is said. The way ends by itself where it cannot be closed now.
            let _ = validation::close(engine, origin, call);
        }
        let (mut enabled, stored) = switched_on?;
        // The VPN's address is there by now, and nobody waits for the web server's answers.
        warnings.extend(decoy::warnings(engine, &server, &stored, call.lang));
        enabled.warnings = warnings;
        enabled.look(engine, (&server, &stored), &before, call.lang);
        Ok(enabled)
    }
}

impl Enabled {
    /// Says how the Internet reaches the tunnel, and which accepts were taken out that were there before.
    fn look(&mut self, engine: &Engine, (server, stored): (&Server, &Stored), before: &[LetIn], lang: Lang) {
        let port = Port { protocol: Protocol::Tcp, number: stored.public_port() };
        let reach = Reach::observe(engine, server, &[port], lang);
        self.warnings.extend(reach.closed);
        self.warnings.extend(filters::saved_copies(engine, before, &reach.let_in, lang));
        self.warnings.extend(filters::stuck(engine, lang));
        self.opened = reach.let_in.iter().map(OpenedChain::from_let_in).collect();
    }
}

impl Enable {
    /// Where the certificate comes from.
    fn source(&self) -> Result<CertificateSource, GhostError> {
        let missing = |parameter: &str| Err(ParamError::Missing { parameter: parameter.to_owned() }.into());
        match (&self.cert_path, &self.key_path) {
            (Some(_), _) | (_, Some(_)) if self.self_signed => Err(only("self_signed", &["false"])),
            (Some(_), None) => missing("key_path"),
            (None, Some(_)) => missing("cert_path"),
            (Some(cert), Some(key)) => {
                Ok(CertificateSource::Operator { cert_path: absolute(cert), key_path: absolute(key) })
            }
            (None, None) if self.self_signed => Ok(CertificateSource::SelfSigned),
            (None, None) => Ok(CertificateSource::Acme),
        }
    }

    /// The web server in front, if there is to be one. It has the certificate then.
    fn front(&self, engine: &Engine) -> Result<Option<Front>, GhostError> {
        let (listen, group) = (self.listen.as_deref(), self.listen_group.as_deref());
        let front = FrontRequest { listen, group, public_port: self.public_port }.front(engine)?;
        if front.is_some() && self.cert_path.is_some() {
            return Err(GhostError::Together { parameter: "cert_path", with: "listen" });
        }
        Ok(front)
    }

    /// A decoy is a web server on this machine: nobody else's answers are shown here. How it is connected to says something
    /// where there is one.
    fn check_decoy(&self) -> Result<(), GhostError> {
        let Some(decoy) = self.decoy.as_deref() else {
            if self.decoy_source.is_some() || self.decoy_proxy.is_some() {
                return Err(ParamError::Missing { parameter: "decoy".to_owned() }.into());
            }
            return Ok(());
        };
        if !is_decoy(decoy) {
            return Err(only("decoy", &["http://127.0.0.1:PORT", "http://[::1]:PORT", "unix:/PATH"]));
        }
        if decoy::is_socket(decoy) && self.decoy_source.is_some() {
            return Err(only("decoy", &["http://127.0.0.1:PORT", "http://[::1]:PORT"]));
        }
        Ok(())
    }

    /// A decoy that hands strangers back to the tunnel would be asked by itself, without end.
    fn check_round(&self, front: Option<&Front>) -> Result<(), GhostError> {
        let port = front.map_or(PORT, |front| front.public_port);
        let round = match self.decoy.as_deref().map(str::parse) {
            Some(Ok(Upstream::Tcp(address))) => address.port() == port,
            Some(Ok(Upstream::Unix(path))) => front::is_own(&path),
            Some(Err(_)) | None => false,
        };
        match self.decoy.clone().filter(|_| round) {
            Some(decoy) => Err(GhostError::DecoyRound { decoy }),
            None => Ok(()),
        }
    }

    /// Where strangers come from, which may be said by the server's own addresses.
    fn check_decoy_source(&self, engine: &Engine, server: &Server) -> Result<(), GhostError> {
        let Some(decoy) = self.decoy.as_deref().filter(|decoy| !decoy::is_socket(decoy)) else {
            return Ok(());
        };
        match self.decoy_source {
            Some(source) => decoy::check_source(engine, server, decoy, source),
            None if decoy::usual_source(server, decoy).is_none() => {
                Err(ParamError::Missing { parameter: "decoy_source".to_owned() }.into())
            }
            None => Ok(()),
        }
    }
}

fn only(parameter: &str, allowed: &[&str]) -> GhostError {
    let allowed = allowed.iter().map(|word| (*word).to_owned()).collect();
    ParamError::Choice { parameter: parameter.to_owned(), allowed }.into()
}

/// The services of later boots have another working directory than this call.
fn absolute(path: &str) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}

/// Whether a text names a web server on this machine.
fn is_decoy(text: &str) -> bool {
    text.parse::<Upstream>().is_ok()
}

fn refuse_second(server: Option<&Server>, stored: Option<Stored>) -> Result<(), GhostError> {
    let (Some(server), Some(stored)) = (server, stored) else { return Ok(()) };
    Err(GhostError::Active {
        server_ip: server.server_ip,
        secret: stored.secret.masked(),
        domain: stored.domain,
        activated_at: stored.activated_at,
    })
}

/// Whether somebody listens on the tunnel's port.
fn is_bound(engine: &Engine) -> Result<bool, GhostError> {
    let bound = engine.host().sockets.bound(Port { protocol: Protocol::Tcp, number: PORT });
    bound.map_err(|source| GhostError::host(GhostStep::Port, source))
}

/// What is to be stored.
struct EnableRequest {
    domain: HostName,
    source: CertificateSource,
    addresses: Vec<IpAddr>,
    decoy: Option<String>,
    decoy_source: Option<IpAddr>,
    decoy_proxy: Option<ProxyVersion>,
    front: Option<Front>,
}

fn switch_on(
    change: &mut Change<'_>,
    request: EnableRequest,
    serving: &Serving,
) -> Result<(Enabled, Stored), GhostError> {
    let Some(server) = change.server()? else {
        return Err(phantom_engine::EngineError::NotInitialised.into());
    };
    // Somebody else may have been faster.
    refuse_second(Some(&server), change.ghost()?)?;
    let host = change.engine().host();
    let secret = TunnelSecret::generate(|bytes| host.random.fill(bytes));
    let stored = Stored {
        domain: request.domain,
        secret: secret.map_err(|source| GhostError::host(GhostStep::Host, source))?,
        certificate: request.source,
        addresses: request.addresses,
        decoy: request.decoy,
        decoy_source: request.decoy_source,
        decoy_proxy: request.decoy_proxy,
        front: request.front,
        activated_at: host.clock.now(),
    };
    change.set_ghost(Some(&stored))?;
    validation::forget(change)?;
    // The tunnel is tried with the operator's secret, also where that is to open none: it is new, so that nobody has it yet.
    let shared = OPERATOR_SECRET.value(change)?;
    if !shared {
        OPERATOR_SECRET.set(change, true)?;
    }
    // All of it: the clients' own secrets are among what the tunnel needs.
    change.apply(Scope::Full)?;
    let expires_at = verify(change.engine(), &server, &stored, serving)?;
    if !shared {
        OPERATOR_SECRET.set(change, false)?;
        change.apply(Scope::WithoutPeers)?;
    }
    let enabled = Enabled {
        status: "active",
        server_ip: server.server_ip,
        secret: SecretText(stored.secret.reveal()),
        protocol: "wss",
        port: stored.public_port(),
        activated_at: stored.activated_at,
        connection_command: SecretText(access(&server, &stored).command()),
        certificate: CertificateInfo { source: certificate::source(&stored), expires_at },
        domain: stored.domain.clone(),
        warnings: Vec::new(),
        opened: Vec::new(),
    };
    Ok((enabled, stored))
}

/// What clients need.
pub(crate) fn access(server: &Server, stored: &Stored) -> TunnelAccess {
    TunnelAccess {
        domain: stored.domain.clone(),
        public_port: stored.public_port(),
        secret: stored.secret.clone(),
        port: server.port,
        verify: stored.certificate != CertificateSource::SelfSigned,
    }
}
