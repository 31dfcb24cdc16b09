//! `enable_multihop`: routes client traffic through an exit.

use std::net::SocketAddr;

use phantom_engine::Change;
use phantom_module::{Action, Call, Effect, Lang, Text};
use phantom_types::ExitName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::collision::{choose, is_near, judge};
use crate::model::{Exit, Multihop as Stored};
use crate::proof::{Proof, Target};
use crate::rows::MultihopState as _;
use crate::switch::{self, SwitchRequest};
use crate::verify::{self, DNS_LIMIT, HANDSHAKE_LIMIT};
use crate::{Multihop, MultihopError, origin};

/// Routes client traffic through an exit; with another exit active, switches to this one.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnableMultihop {
    /// Name of the VPN exit
    #[schemars(extend("x-tr" = "VPN çıkış noktasının adı"))]
    pub exit_name: ExitName,
    /// Drop client traffic when the exit is gone
    #[serde(default = "yes")]
    #[schemars(extend("x-tr" = "Çıkış yoksa istemci trafiğini engelle"))]
    pub kill_switch: bool,
    /// Exits that may take its place while it does not answer, in this order
    #[serde(default)]
    #[schemars(extend("x-tr" = "Yanıt vermediğinde yerine geçebilecek çıkış noktaları, bu sırayla"))]
    pub fallback_exits: Vec<ExitName>,
    /// The resolver that is asked through the exit to show that it passes traffic: an address, or `off`; otherwise the clients' DNS servers
    #[serde(default)]
    #[schemars(extend(
        "x-tr" = "Çıkışın trafiği geçirdiğini kanıtlamak için üzerinden kime soru gönderileceği: bir adres veya `off`; verilmezse istemcilerin DNS sunucuları"
    ))]
    pub probe: Option<String>,
}

fn yes() -> bool {
    true
}

/// Client traffic goes through the exit.
#[derive(Debug, Serialize, JsonSchema)]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of the API")]
pub struct MultihopEnabled {
    /// Name of the exit
    #[schemars(extend("x-tr" = "Çıkış noktasının adı"))]
    pub exit_name: ExitName,
    /// Always true
    #[schemars(extend("x-tr" = "Her zaman true"))]
    pub multihop_enabled: bool,
    /// Always true: the exit has completed a handshake
    #[schemars(extend("x-tr" = "Her zaman true: çıkış noktası el sıkışmayı tamamladı"))]
    pub handshake_established: bool,
    /// An answer came back from behind the exit; false only where nobody was to be asked
    #[schemars(extend(
        "x-tr" = "Çıkışın ötesinden bir yanıt geldi; yalnızca sorulacak kimse yoksa false"
    ))]
    pub connection_verified: bool,
    /// Always true: the exit is watched over
    #[schemars(extend("x-tr" = "Her zaman true: çıkış noktası izleniyor"))]
    pub monitor_started: bool,
    /// The way of client traffic
    #[schemars(extend("x-tr" = "İstemci trafiğinin yolu"))]
    pub traffic_flow: String,
    /// A sentence about traffic between clients
    #[schemars(extend("x-tr" = "İstemciler arası trafik hakkında bir cümle"))]
    pub peer_access: &'static str,
    /// A sentence for people
    #[schemars(extend("x-tr" = "Kullanıcıya yönelik bir cümle"))]
    pub message: String,
    /// Clients are kept from the server's own uplink
    #[schemars(extend("x-tr" = "İstemciler sunucunun kendi çıkışından uzak tutulur"))]
    pub kill_switch: bool,
    /// The exit before; only after a switch
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "Önceki çıkış noktası; yalnızca değişiklikten sonra"))]
    pub previous_exit: Option<ExitName>,
}

impl Action for EnableMultihop {
    type Module = Multihop;
    type Output = MultihopEnabled;
    type Error = MultihopError;
    const NAME: &'static str = "enable_multihop";
    const SUMMARY: Text = Text { en: "Enable multihop", tr: "Multihop'u etkinleştir" };
    const EFFECT: Effect = Effect::Change;
    const EXAMPLE: &'static str = "exit_name=xeovo-uk";
    const ERRORS: &'static [&'static str] = &["VPN_CONFIG_ERROR", "EXIT_NODE_ERROR", "MULTIHOP_ERROR"];

    fn run(self, multihop: &Multihop, call: &Call) -> Result<MultihopEnabled, MultihopError> {
        let engine = multihop.engine();
        Target::named(self.probe.as_deref())?;
        let (exit, active) = engine.read(|state| {
            let active = state.multihop()?.map(|stored| stored.active_exit);
            Ok::<_, MultihopError>((super::exit(state, &self.exit_name)?, active))
        })?;
        // A name is asked for before the lock is taken: that can take a while.
        let all = verify::resolve(engine, &exit.endpoint, DNS_LIMIT);
        let all = all.map_err(|error| error.with_restored(active))?;
        let enabled = engine.change(origin(Self::NAME), call, |change| {
            let before = change.multihop()?;
            let restored = before.as_ref().map(|before| before.active_exit.clone());
            let enabled = enable(change, call, before.as_ref(), &self, &all);
            enabled.map_err(|error| error.with_restored(restored))
        });
        enabled.map_err(MultihopError::into_api_error)
    }
}

fn enable(
    change: &mut Change<'_>,
    call: &Call,
    before: Option<&Stored>,
    wanted: &EnableMultihop,
    all: &[SocketAddr],
) -> Result<MultihopEnabled, MultihopError> {
    let place = super::place(change)?;
    // Under the lock: somebody may have removed it meanwhile.
    let exit = super::exit(change, &wanted.exit_name)?;
    let fallbacks = fallbacks(change, call, wanted, &exit)?;
    // Where it is in use it stays. That another exit was found at one of its addresses says nothing.
    let same = before.filter(|before| before.active_exit == exit.name);
    let known = same.and_then(|before| before.endpoint_address).filter(|at| all.contains(at));
    let installation = change.engine().installation()?;
    let probe = Target::named(wanted.probe.as_deref())?;
    if let Target::Address(address) = probe
        && is_near(&installation, change, address)?
    {
        return Err(MultihopError::ProbeNear { address });
    }
    let places = choose(&installation, change, &exit, known.into_iter().chain(all.iter().copied()))?;
    let (chosen, limit) = (exit.name.clone(), HANDSHAKE_LIMIT);
    let request =
        SwitchRequest { exit, places, chosen, fallbacks, kill_switch: wanted.kill_switch, probe, limit };
    let at = match same {
        Some(before) => switch::reverify(change, call, &place, before, &request)?,
        None => switch::switch_to(change, call, &place, before, &request)?,
    };
    let switched = before.filter(|_| same.is_none()).map(|before| before.active_exit.clone());
    let proven = Proof::last(change)?.is_some_and(|proof| proof.passed);
    Ok(answer(request, at, (proven, switched), call.lang))
}

/// The exits that may take its place: each is there, collides with nothing, and is named once.
fn fallbacks(
    change: &Change<'_>,
    call: &Call,
    wanted: &EnableMultihop,
    chosen: &Exit,
) -> Result<Vec<ExitName>, MultihopError> {
    let mut list: Vec<ExitName> = Vec::new();
    let installation = change.engine().installation()?;
    for name in &wanted.fallback_exits {
        let exit = super::exit(change, name)?;
        let collisions = judge(&installation, change, &exit, None)?;
        if !collisions.is_empty() {
            return Err(MultihopError::Collides { exit: exit.name, collisions });
        }
        if *name != wanted.exit_name && !list.contains(name) {
            if exit.public_key == chosen.public_key {
                let chosen = &chosen.name;
                (call.note)(call.lang.pick(
                    &format!("{name} is the same server as {chosen}: when one is dead, so is the other"),
                    &format!("{name}, {chosen} ile aynı sunucu: biri yanıt vermiyorsa öteki de vermez"),
                ));
            }
            list.push(name.clone());
        }
    }
    Ok(list)
}

fn answer(
    request: SwitchRequest,
    at: SocketAddr,
    (proven, previous_exit): (bool, Option<ExitName>),
    lang: Lang,
) -> MultihopEnabled {
    let SwitchRequest { exit: Exit { name, .. }, kill_switch, .. } = request;
    let (traffic_flow, message) = match lang {
        Lang::En => (
            format!("Clients → Phantom → VPN Exit ({at})"),
            format!("Multihop enabled successfully through {name}"),
        ),
        Lang::Tr => (
            format!("İstemciler → Phantom → VPN Çıkışı ({at})"),
            format!("Multihop {name} üzerinden başarıyla etkinleştirildi"),
        ),
    };
    MultihopEnabled {
        exit_name: name,
        multihop_enabled: true,
        handshake_established: true,
        connection_verified: proven,
        monitor_started: true,
        traffic_flow,
        peer_access: lang.pick("Peers can still connect directly", "Eşler hala doğrudan bağlanabilir"),
        message,
        kill_switch,
        previous_exit,
    }
}
