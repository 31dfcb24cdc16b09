//! `setup`: initialises the system, or changes what may be changed later.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use phantom_engine::filters::{self, OpenedChain, Reach};
use phantom_engine::{Change, Engine, EngineError, HostFailure, Installation, Scope, ServerSetting};
use phantom_host::{HostError, Port, Protocol};
use phantom_module::{Action, Call, Effect, Lang, OrNone, Text};
use phantom_store::Server;
use phantom_types::{
    Backend, BackendChoice, HostName, InterfaceName, PrivateKey, PublicKey, Subnet, is_public,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::desired::IP_FORWARD;
use crate::error::SetupHint;
use crate::own_address::{check_form, check_taken};
use crate::status::check_port;
use crate::{Checks, Core, CoreError, origin};

/// Initialises the system; repeating it is harmless. Defaults apply on the first run only.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// Public IPv4 address of the server
    #[serde(default)]
    #[schemars(extend("x-tr" = "Sunucunun genel IPv4 adresi"))]
    pub server_ip: Option<Ipv4Addr>,
    /// Host clients connect to
    #[serde(default, deserialize_with = "phantom_module::given", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "İstemcilerin bağlanacağı adres"))]
    pub endpoint: Option<OrNone<HostName>>,
    /// WireGuard port
    #[serde(default)]
    #[schemars(range(min = 1, max = 65_535), extend("x-tr" = "WireGuard portu", "x-default" = 51_820))]
    pub port: Option<u16>,
    /// VPN subnet
    #[serde(default)]
    #[schemars(extend("x-tr" = "VPN subneti", "x-default" = "10.8.0.0/24"))]
    pub subnet: Option<Subnet>,
    /// Interface name
    #[serde(default)]
    #[schemars(extend("x-tr" = "Arayüz adı", "x-default" = "wg_main"))]
    pub interface: Option<InterfaceName>,
    /// WireGuard implementation
    #[serde(default)]
    #[schemars(extend("x-tr" = "WireGuard gerçeklemesi", "x-default" = "auto"))]
    pub backend: Option<BackendChoice>,
    /// Networks outside the VPN that may open connections to clients while no exit is in use; [] for none
    #[serde(default)]
    #[schemars(extend(
        "x-tr" = "Çıkış noktası kullanılmıyorken istemcilere bağlantı açabilecek VPN dışındaki ağlar; hiçbiri için []"
    ))]
    pub reach_from: Option<Vec<Subnet>>,
    /// Open the server's ports in packet filters of others that close them; false declines, ufw included
    #[serde(default)]
    #[schemars(extend(
        "x-tr" = "Sunucunun portlarını, onları kapatan diğer paket filtrelerinde aç; false, ufw dahil hiçbirinde açmaz",
        "x-default" = true
    ))]
    pub open_firewall: Option<bool>,
}

/// What is in force now.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SetupDone {
    /// Always true
    #[schemars(extend("x-tr" = "Her zaman true"))]
    pub initialized: bool,
    /// This call did the initialisation
    #[schemars(extend("x-tr" = "Kurulumu bu çağrı yaptı"))]
    pub created: bool,
    /// Settings that this call changed on an initialised system
    #[schemars(extend("x-tr" = "Kurulu sistemde bu çağrının değiştirdiği ayarlar"))]
    pub changed: Vec<&'static str>,
    /// Public IPv4 address of the server; null where it has none
    #[schemars(extend("x-tr" = "Sunucunun genel IPv4 adresi; yoksa null"))]
    pub server_ip: Option<Ipv4Addr>,
    /// Host clients connect to, where it is not the address
    #[schemars(extend("x-tr" = "Genel adresten farklıysa istemcilerin bağlanacağı adres"))]
    pub endpoint: Option<HostName>,
    /// WireGuard port
    #[schemars(extend("x-tr" = "WireGuard portu"))]
    pub port: u16,
    /// VPN subnet
    #[schemars(extend("x-tr" = "VPN subneti"))]
    pub subnet: Subnet,
    /// Interface name
    #[schemars(extend("x-tr" = "Arayüz adı"))]
    pub interface: InterfaceName,
    /// WireGuard implementation in use
    #[schemars(extend("x-tr" = "Kullanılan WireGuard gerçeklemesi"))]
    pub backend: Backend,
    /// The server's public key
    #[schemars(extend("x-tr" = "Sunucunun açık anahtarı"))]
    pub public_key: PublicKey,
    /// The file for `wg` and people
    #[schemars(extend("x-tr" = "`wg` ve kullanıcılar için yazılan dosya"))]
    pub config_file: PathBuf,
    /// Networks outside the VPN that may open connections to clients, where there are any
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "Varsa istemcilere bağlantı açabilecek VPN dışındaki ağlar"))]
    pub reach_from: Option<Vec<Subnet>>,
    /// A sentence for people
    #[schemars(extend("x-tr" = "Kullanıcıya yönelik bir cümle"))]
    pub message: &'static str,
    /// False where the operator has declined that ports are opened in packet filters of others; only then
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "Diğer paket filtrelerinde port açılması istenmediyse false; yalnızca o zaman"))]
    pub open_firewall: Option<bool>,
    /// Chains of other packet filters in which an accept of ours opens ports; only where there are any
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-tr" = "Diğer paket filtrelerinin, izin kurallarımızın port açtığı zincirleri; yalnızca varsa"))]
    pub opened: Vec<OpenedChain>,
    /// What keeps the Internet from the server's port, with the command that opens it; rules of ours that stay where nobody can take them out; only where there is something
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-tr" = "İnternetten sunucunun portuna ulaşılmasını engelleyenler ve portu açan komut; kaldırılamadığı için kalan kurallarımız; yalnızca varsa"))]
    pub warnings: Vec<String>,
}

impl Action for Setup {
    type Module = Core;
    type Output = SetupDone;
    type Error = CoreError;
    const NAME: &'static str = "setup";
    const SUMMARY: Text = Text { en: "Initialise the system", tr: "Sistemi kur" };
    const EFFECT: Effect = Effect::Change;
    const EXAMPLE: &'static str = "server_ip=203.0.113.5 port=51820";
    const ERRORS: &'static [&'static str] = &["VALIDATION_ERROR", "PORT_IN_USE", "SERVICE_OPERATION_FAILED"];
    const NEEDS_SETUP: bool = false;

    fn run(self, core: &Core, call: &Call) -> Result<SetupDone, CoreError> {
        check_form(self.server_ip, given(self.endpoint.as_ref()))?;
        let engine = core.engine();
        let before = filters::before(engine);
        let (server, mut done) =
            engine.change_uninitialised(origin(Self::NAME), call, |change| match change.server()? {
                None => self.create(change, call.lang),
                Some(server) => self.update(change, server, call.lang),
            })?;
        let claims = engine.store().read(|state| engine.claims(state)).unwrap_or_default();
        let wireguard = Port { protocol: Protocol::Udp, number: server.port };
        let port = claims.entrance.unwrap_or(wireguard);
        let reach = Reach::observe(engine, &server, &[port], call.lang);
        done.warnings = filters::saved_copies(engine, &before, &reach.let_in, call.lang);
        done.warnings.extend(reach.closed);
        done.warnings.extend(filters::stuck(engine, call.lang));
        done.opened = reach.let_in.iter().map(OpenedChain::from_let_in).collect();
        Ok(done)
    }
}

impl Setup {
    fn create(self, change: &mut Change<'_>, lang: Lang) -> Result<(Server, SetupDone), CoreError> {
        let engine = change.engine();
        let server = self.new_server(engine)?;
        let checks = Checks::collect(engine, change, server.subnet, None, 0, lang)?;
        if !checks.errors().is_empty() {
            return Err(CoreError::SetupSubnet { errors: checks.errors() });
        }
        check_taken(engine, change, server.subnet, self.server_ip, given(self.endpoint.as_ref()))?;
        check_foreign(engine, &server.interface)?;
        let bound = engine.host().sockets.bound(Port { protocol: Protocol::Udp, number: server.port });
        if bound.unwrap_or(false) {
            return Err(CoreError::PortInUse { port: server.port });
        }
        let reach_from = self.reach_from.unwrap_or_default();
        change.set_reach_from(&reach_from)?;
        change.set_open_firewall(self.open_firewall.unwrap_or(true))?;
        let server = bring_up(change, server)?;
        let message = lang.pick("System initialised", "Sistem kuruldu");
        report(change, (server, reach_from), true, Vec::new(), message)
    }

    fn new_server(&self, engine: &Engine) -> Result<Server, CoreError> {
        let host = engine.host();
        let uplink = host.network.uplink().ok().flatten();
        let four = uplink.as_ref().and_then(|uplink| uplink.address);
        let server_ip = self.server_ip.or(four.filter(|address| is_public(*address)));
        // Clients that are told a name, or reach a host without IPv4, need no address of IPv4.
        let by_ipv6 = four.is_none() && uplink.as_ref().is_some_and(|uplink| uplink.ipv6.is_some());
        if server_ip.is_none() && given(self.endpoint.as_ref()).is_none() && !by_ipv6 {
            return Err(CoreError::NoPublicAddress);
        }
        let mut secret = Zeroizing::new([0; 32]);
        host.random.fill(secret.as_mut()).map_err(super::random_failed)?;
        let private_key = PrivateKey::from_random(*secret);
        let choice = self.backend.unwrap_or(BackendChoice::Auto);
        Ok(Server {
            public_key: private_key.public_key(),
            private_key,
            server_ip,
            endpoint: given(self.endpoint.as_ref()).cloned(),
            ipv6: uplink.and_then(|uplink| uplink.ipv6),
            port: self.port.unwrap_or(51_820),
            subnet: self.subnet.unwrap_or_default(),
            subnet6: None,
            interface: self.interface.clone().unwrap_or_else(default_interface),
            backend_choice: choice,
            backend: resolve(engine, choice),
            stopped_in: None,
            ip_forward_before: host.sysctl.get(IP_FORWARD).ok().flatten(),
            created: host.clock.now(),
        })
    }

    fn update(
        self,
        change: &mut Change<'_>,
        old: Server,
        lang: Lang,
    ) -> Result<(Server, SetupDone), CoreError> {
        let engine = change.engine();
        let mut server = old.clone();
        let mut changed = Vec::new();
        if let Some(subnet) = self.subnet.filter(|subnet| *subnet != old.subnet) {
            let _ = subnet;
            return Err(conflict("subnet", &old.subnet, SetupHint::ChangeSubnet));
        }
        if self.interface.is_some_and(|interface| interface != old.interface) {
            return Err(conflict("interface", &old.interface, SetupHint::Fixed));
        }
        let new_ip = self.server_ip.filter(|ip| Some(*ip) != old.server_ip);
        let new_endpoint =
            given(self.endpoint.as_ref()).filter(|endpoint| Some(*endpoint) != old.endpoint.as_ref());
        check_taken(engine, change, old.subnet, new_ip, new_endpoint)?;
        if new_ip.is_some() {
            server.server_ip = new_ip;
            changed.push("server_ip");
        }
        let endpoint = self.endpoint.map(OrNone::into_value);
        if let Some(endpoint) = endpoint.filter(|endpoint| *endpoint != old.endpoint) {
            server.endpoint = endpoint;
            changed.push("endpoint");
        }
        if server.server_ip.is_none() && server.endpoint.is_none() && server.ipv6.is_none() {
            return Err(CoreError::NoPublicAddress);
        }
        if let Some(port) = self.port.filter(|port| *port != old.port) {
            refuse_vetoed(change, ServerSetting::Port, "port", &old.port)?;
            check_port(engine, &old, port)?;
            server.port = port;
            changed.push("port");
        }
        let choice = self.backend.unwrap_or(old.backend_choice);
        let backend = if self.backend.is_some() { resolve(engine, choice) } else { old.backend };
        if choice != old.backend_choice || backend != old.backend {
            refuse_vetoed(change, ServerSetting::Backend, "backend", &old.backend)?;
            server.backend_choice = choice;
            server.backend = backend;
            changed.push("backend");
        }
        change_settings(change, self.reach_from, self.open_firewall, &mut changed)?;
        let reach_from = change.reach_from()?;
        if changed.is_empty() {
            let message = lang.pick("System is already initialised", "Sistem zaten kurulu");
            return report(change, (old, reach_from), false, changed, message);
        }
        let server = bring_up(change, server)?;
        let message = lang.pick("Settings updated", "Ayarlar güncellendi");
        report(change, (server, reach_from), false, changed, message)
    }
}

/// The host that clients are to connect to from now on, where one is given.
fn given(endpoint: Option<&OrNone<HostName>>) -> Option<&HostName> {
    endpoint.and_then(OrNone::value)
}

/// Stores settings that are given and differ from what is stored.
fn change_settings(
    change: &Change<'_>,
    reach_from: Option<Vec<Subnet>>,
    open_firewall: Option<bool>,
    changed: &mut Vec<&'static str>,
) -> Result<(), CoreError> {
    let (networks, opens) = (change.reach_from()?, change.open_firewall()?);
    if let Some(given) = reach_from.filter(|given| *given != networks) {
        change.set_reach_from(&given)?;
        changed.push("reach_from");
    }
    if let Some(given) = open_firewall.filter(|given| *given != opens) {
        change.set_open_firewall(given)?;
        changed.push("open_firewall");
    }
    Ok(())
}

/// Stores the server and lets the host follow. With `auto`, a kernel that turns out not to create WireGuard
/// interfaces after all gives way to the embedded device.
fn bring_up(change: &mut Change<'_>, mut server: Server) -> Result<Server, CoreError> {
    change.set_server(&server)?;
    match change.apply(Scope::Full) {
        Err(error) if server.backend_choice == BackendChoice::Auto && no_kernel_wireguard(&error) => {
            server.backend = Backend::Embedded;
            change.set_server(&server)?;
            change.apply(Scope::Full)?;
        }
        other => other?,
    }
    Ok(server)
}

fn no_kernel_wireguard(error: &EngineError) -> bool {
    let EngineError::Host { source, .. } = error else { return false };
    let HostFailure::Step(step) = &**source else { return false };
    matches!(step.source, HostError::Unsupported { .. })
}

fn resolve(engine: &Engine, choice: BackendChoice) -> Backend {
    // Where nobody asks for the kernel's, whether it is there does not matter.
    let kernel = choice == BackendChoice::Auto && engine.host().wireguard.kernel_available().unwrap_or(false);
    match choice {
        BackendChoice::Kernel => Backend::Kernel,
        BackendChoice::Auto if kernel => Backend::Kernel,
        BackendChoice::Auto | BackendChoice::Embedded => Backend::Embedded,
    }
}

/// That neither an interface nor a configuration of that name belongs to somebody else.
fn check_foreign(engine: &Engine, interface: &InterfaceName) -> Result<(), CoreError> {
    let failed = |source: HostError| EngineError::Host {
        operation: "setup",
        source: Box::new(source.into()),
        rolled_back: true,
    };
    let foreign = |object: String| CoreError::Foreign { object, parameter: "interface" };
    let link = engine.host().network.link(interface).map_err(failed)?;
    if link.is_some_and(|link| link.alias != Some(engine.tags().tag())) {
        return Err(foreign(format!("interface {interface}")));
    }
    let file = Installation::wireguard_file(interface);
    let content = engine.host().files.read(&file).map_err(failed)?.map(Zeroizing::new);
    if content.is_some_and(|content| !engine.tags().owns_file(&content)) {
        return Err(foreign(file.display().to_string()));
    }
    Ok(())
}

fn refuse_vetoed(
    change: &Change<'_>,
    setting: ServerSetting,
    parameter: &'static str,
    current: &dyn ToString,
) -> Result<(), CoreError> {
    if change.engine().claims(change)?.against(setting).next().is_some() {
        let features = change.engine().vetoes(setting).map(|veto| veto.disabled).collect();
        return Err(conflict(parameter, current, SetupHint::DisableFirst(features)));
    }
    Ok(())
}

fn conflict(parameter: &'static str, current: &(impl ToString + ?Sized), hint: SetupHint) -> CoreError {
    CoreError::SetupConflict { parameter, current: current.to_string(), hint }
}

fn default_interface() -> InterfaceName {
    "wg_main".parse().expect("it follows the rules of names")
}

fn report(
    change: &Change<'_>,
    (server, reach_from): (Server, Vec<Subnet>),
    created: bool,
    changed: Vec<&'static str>,
    message: &'static str,
) -> Result<(Server, SetupDone), CoreError> {
    let done = SetupDone {
        initialized: true,
        created,
        changed,
        server_ip: server.server_ip,
        endpoint: server.endpoint.clone(),
        port: server.port,
        subnet: server.subnet,
        config_file: Installation::wireguard_file(&server.interface),
        interface: server.interface.clone(),
        backend: server.backend,
        public_key: server.public_key,
        reach_from: Some(reach_from).filter(|networks| !networks.is_empty()),
        message,
        open_firewall: Some(change.open_firewall()?).filter(|open| !open),
        opened: Vec::new(),
        warnings: Vec::new(),
    };
    Ok((server, done))
}
