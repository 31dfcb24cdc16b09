//! `enable`: turns Ghost Mode on (API 7.1).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use phantom_engine::{Change, Engine, Origin, Scope};
use phantom_host::{Certificate, Port, ProbeError, Protocol, TunnelCheck, Viewpoint};
use phantom_module::{Action, Call, Effect, Lang, ParamError, SecretText, Text, TypedModule as _};
use phantom_store::{CertificateSource, Ghost as Stored, Server};
use phantom_types::{Domain, ProxyVersion, Timestamp, TunnelAccess, TunnelSecret, Upstream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::keeper::Report;
use crate::{CertificateInfo, Ghost, GhostError, OPERATOR_SECRET, PORT, Step, certificate, decoy};

/// How long the host's resolvers have.
const DNS_LIMIT: Duration = Duration::from_secs(10);

/// Turns Ghost Mode on: WireGuard is reached inside HTTPS, and no other way.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Enable {
    /// Domain whose A record points to the server
    #[schemars(extend("x-tr" = "Sunucuya işaret eden A kaydı olan alan adı"))]
    pub domain: Domain,
    /// Do not check the A record
    #[serde(default)]
    #[schemars(extend("x-tr" = "A kaydını denetleme"))]
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
}

impl Enable {
    /// With a certificate by ACME and the built-in decoy.
    pub fn new(domain: Domain) -> Self {
        Self {
            domain,
            skip_dns_check: false,
            cert_path: None,
            key_path: None,
            self_signed: false,
            decoy: None,
            decoy_source: None,
            decoy_proxy: None,
        }
    }
}

/// Ghost Mode is on.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Enabled {
    /// Always `active`
    #[schemars(extend("x-tr" = "Her zaman `active`"))]
    pub status: &'static str,
    /// Public IPv4 address of the server
    #[schemars(extend("x-tr" = "Sunucunun genel IPv4 adresi"))]
    pub server_ip: Ipv4Addr,
    /// Name that clients connect to
    #[schemars(extend("x-tr" = "İstemcilerin bağlandığı alan adı"))]
    pub domain: Domain,
    /// The operator's own secret, in full
    #[schemars(extend("x-tr" = "Yöneticinin kendi gizli anahtarının tamamı"))]
    pub secret: SecretText,
    /// Always `wss`
    #[schemars(extend("x-tr" = "Her zaman `wss`"))]
    pub protocol: &'static str,
    /// Always 443
    #[schemars(extend("x-tr" = "Her zaman 443"))]
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
    /// AAAA records that do not lead to this server; what the renewal of the certificate needs; pages of the decoy that are meant for its own machine
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-tr" = "Bu sunucuya ait olmayan AAAA kayıtları; sertifikanın yenilenmesi için gerekenler; yabancılara gösterilen web sunucusunun kendi makinesine ait sayfaları"))]
    pub warnings: Vec<String>,
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

    fn run(self, ghost: &Ghost, call: &Call) -> Result<Enabled, GhostError> {
        let engine = ghost.engine();
        let source = self.source()?;
        self.check_decoy()?;
        let server = engine.read(|state| {
            refuse_second(state.server()?.as_ref(), state.ghost()?)?;
            Ok::<_, GhostError>(state.server()?)
        })?;
        let Some(server) = server else { return Err(phantom_engine::EngineError::NotInitialised.into()) };
        self.check_decoy_source(engine, &server)?;
        let named =
            if self.skip_dns_check { Named::default() } else { look_up(engine, &self.domain, &server)? };
        let origin = Origin { module: Ghost::NAME, action: Self::NAME };
        if is_bound(engine)? {
            // It may be our own server, left by a change that was cut short, or come with a change that ends just now: under
            // the lock neither is left.
            engine.change(origin, call, |change| {
                refuse_second(change.server()?.as_ref(), change.ghost()?)?;
                if is_bound(engine)? { Err(GhostError::PortInUse { port: PORT }) } else { Ok(()) }
            })?;
        }
        let site = engine.site()?;
        // An issue takes seconds: other changes need not wait for it.
        let certificate = certificate::obtain(engine, &site, &self.domain, &source)?;
        let mut warnings: Vec<String> =
            named.strangers.iter().map(|ip| warning(*ip, &self.domain, call.lang)).collect();
        warnings.extend(certificate::warning(&certificate, call.lang));
        let (mut enabled, stored) = engine.change(origin, call, |change| {
            let wish = Wish {
                domain: self.domain.clone(),
                source,
                addresses: named.four,
                decoy: self.decoy,
                decoy_source: self.decoy_source,
                decoy_proxy: self.decoy_proxy,
            };
            switch_on(change, wish, &certificate)
        })?;
        // The VPN's address is there by now, and nobody waits for the web server's answers.
        warnings.extend(decoy::warnings(engine, &server, &stored, call.lang));
        enabled.warnings = warnings;
        Ok(enabled)
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

/// Whether a text names a web server on this machine, which the tunnel server itself is not.
fn is_decoy(text: &str) -> bool {
    match text.parse() {
        Ok(Upstream::Tcp(address)) => address.port() != PORT,
        Ok(Upstream::Unix(_)) => true,
        Err(_) => false,
    }
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
    bound.map_err(|source| GhostError::host(Step::Port, source))
}

/// What a name leads to.
#[derive(Default)]
struct Named {
    /// Its IPv4 addresses, all of them this server's.
    four: Vec<Ipv4Addr>,
    /// Its IPv6 addresses that are not this server's.
    strangers: Vec<IpAddr>,
}

fn look_up(engine: &Engine, domain: &Domain, server: &Server) -> Result<Named, GhostError> {
    let failed = |source| GhostError::host(Step::Dns, source);
    let answer = engine.host().resolver.lookup(domain, Viewpoint::Outside, DNS_LIMIT).map_err(failed)?;
    let resolved = answer.map_err(|error| match error {
        ProbeError::NoAddress { rcode, .. } => GhostError::ResolverFailed { domain: domain.clone(), rcode },
        _ => GhostError::NoResolver,
    })?;
    let mut own: BTreeSet<IpAddr> = BTreeSet::from([server.server_ip.into()]);
    own.extend(server.ipv6.map(IpAddr::from));
    own.extend(
        engine.host().network.addresses().map_err(failed)?.into_iter().map(|(_, address)| address.ip()),
    );
    let four = resolved.iter().filter_map(|ip| if let IpAddr::V4(four) = ip { Some(*four) } else { None });
    let four: Vec<Ipv4Addr> = four.collect();
    if four.is_empty() || four.iter().any(|ip| !own.contains(&IpAddr::V4(*ip))) {
        let resolved = four.into_iter().map(IpAddr::V4).collect();
        return Err(GhostError::Domain { domain: domain.clone(), expected: server.server_ip, resolved });
    }
    let strangers = resolved.into_iter().filter(|ip| ip.is_ipv6() && !own.contains(ip)).collect();
    Ok(Named { four, strangers })
}

/// What is to be stored.
struct Wish {
    domain: Domain,
    source: CertificateSource,
    addresses: Vec<Ipv4Addr>,
    decoy: Option<String>,
    decoy_source: Option<IpAddr>,
    decoy_proxy: Option<ProxyVersion>,
}

fn switch_on(
    change: &mut Change<'_>,
    wish: Wish,
    certificate: &Certificate,
) -> Result<(Enabled, Stored), GhostError> {
    let Some(server) = change.server()? else {
        return Err(phantom_engine::EngineError::NotInitialised.into());
    };
    // Somebody else may have been faster.
    refuse_second(Some(&server), change.ghost()?)?;
    let host = change.engine().host();
    let secret = TunnelSecret::generate(|bytes| host.random.fill(bytes));
    let stored = Stored {
        domain: wish.domain,
        secret: secret.map_err(|source| GhostError::host(Step::Host, source))?,
        certificate: wish.source,
        addresses: wish.addresses,
        decoy: wish.decoy,
        decoy_source: wish.decoy_source,
        decoy_proxy: wish.decoy_proxy,
        activated_at: host.clock.now(),
    };
    change.set_ghost(Some(&stored))?;
    // The tunnel is tried with the operator's secret, also where that is to open none: it is new, so that nobody has it yet.
    let shared = OPERATOR_SECRET.value(change)?;
    if !shared {
        OPERATOR_SECRET.set(change, true)?;
    }
    // All of it: the clients' own secrets are among what the tunnel needs.
    change.apply(Scope::Full)?;
    verify(change.engine(), &server, &stored, certificate)?;
    if !shared {
        OPERATOR_SECRET.set(change, false)?;
        change.apply(Scope::Network)?;
    }
    let enabled = Enabled {
        status: "active",
        server_ip: server.server_ip,
        secret: SecretText(stored.secret.reveal()),
        protocol: "wss",
        port: PORT,
        activated_at: stored.activated_at,
        connection_command: SecretText(access(&server, &stored).command()),
        certificate: CertificateInfo {
            source: stored.certificate.as_str(),
            expires_at: certificate.expires_at,
        },
        domain: stored.domain.clone(),
        warnings: Vec::new(),
    };
    Ok((enabled, stored))
}

/// Asks the tunnel for a tunnel, as a client would.
fn verify(
    engine: &Engine,
    server: &Server,
    stored: &Stored,
    certificate: &Certificate,
) -> Result<(), GhostError> {
    let check = TunnelCheck {
        address: Ipv4Addr::LOCALHOST.into(),
        port: PORT,
        domain: stored.domain.clone(),
        secret: stored.secret.clone(),
        wireguard_port: server.port,
        cert_path: certificate.cert_path.clone(),
    };
    let answer = engine.host().tunnel.check(&check);
    let answer = answer.map_err(|source| GhostError::host(Step::Verify, source))?;
    answer.map_err(|detail| {
        // The keeper knows why the server has nothing to serve with. What it wrote is gone after the rollback.
        let why = engine.site().ok().and_then(|site| Report::read(engine, &site).last_error);
        let detail = why.map_or_else(|| detail.clone(), |why| format!("{detail}; {why}"));
        GhostError::NotServing { detail, rolled_back: false }
    })
}

/// What clients need.
pub(crate) fn access(server: &Server, stored: &Stored) -> TunnelAccess {
    TunnelAccess {
        domain: stored.domain.clone(),
        secret: stored.secret.clone(),
        port: server.port,
        verify: stored.certificate != CertificateSource::SelfSigned,
    }
}

fn warning(ip: IpAddr, domain: &Domain, lang: Lang) -> String {
    match lang {
        Lang::En => format!("AAAA record {ip} of {domain} is not this server"),
        Lang::Tr => format!("{domain} alan adının AAAA kaydı {ip} bu sunucuya ait değil"),
    }
}
