//! What the packet filters of the host, whoever made them, do with the packets that matter here.

use phantom_host::filter::{FilterDoubt, FilterManager, FilterVerdict, Filters, LetIn, PacketFate, RuleSpot};
use phantom_host::{HostError, Port, Protocol, Result, RulesetStatus, ServiceState, StuckRules};
use phantom_module::Lang;
use phantom_store::{Server, State};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{DesiredState, Engine, Examination, Finding, explain};

/// A chain of somebody else's packet filter in which an accept of ours opens ports.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OpenedChain {
    /// Its packet filter and table
    #[schemars(extend("x-tr" = "Paket filtresi ve tablosu"))]
    pub table: String,
    /// Its name
    #[schemars(extend("x-tr" = "Adı"))]
    pub chain: String,
    /// The ports, as in `51820/udp`
    #[schemars(extend("x-tr" = "Portlar, `51820/udp` biçiminde"))]
    pub ports: Vec<String>,
}

impl OpenedChain {
    /// The chain, as an answer names it.
    pub fn from_let_in(let_in: &LetIn) -> Self {
        Self {
            table: let_in.chain.table.to_string(),
            chain: let_in.chain.name.clone(),
            ports: let_in.ports.iter().map(ToString::to_string).collect(),
        }
    }
}

/// `well`, unless a packet filter keeps the Internet from a port of this host.
pub fn reached(case: &Examination<'_>, protocol: Protocol, number: u16, well: Finding) -> Finding {
    let fate = match port(case, protocol, number) {
        Ok(fate) => fate,
        Err(error) => return case.silent(error.as_ref()),
    };
    let Some(fate) = fate else { return well };
    let name = protocol_name(protocol);
    if let Some((spot, command)) = opening(case.engine, &fate) {
        let limit = filters(case).map(|filters| limit(case.engine, filters, Port { protocol, number }));
        if let Ok(Some(rule)) = limit {
            let [en, tr] = limited(name, number, &rule);
            return case.warning(en, tr).hint(case.pick(everybody_en(&command), everybody_tr(&command)));
        }
        let [en, tr] = closing(&fate.verdict, name, number, &spot);
        let found = case.problem(en, tr);
        let ours = spot.is_ours(case.engine.tags())
            || (spot.manager == FilterManager::Ufw && !ufw_complete(case))
            || !rules_complete(case);
        return found.hint(remedy(case, ours, &command));
    }
    match fate.doubt() {
        None => well,
        Some(doubt) => {
            let [en, tr] = doubtful(name, number, doubt);
            case.warning(en, tr).hint(try_out(case))
        }
    }
}

/// The rule that ends a packet, with the command that lets it pass there; `None` when none does, or when it is not known. What is left
/// of a program that is not at work takes no commands of it: its table is like anybody's.
pub fn opening(engine: &Engine, fate: &PacketFate) -> Option<(RuleSpot, String)> {
    let host = engine.host();
    let mut spot = fate.verdict.closing()?.clone();
    let works = match spot.manager {
        FilterManager::Firewalld => {
            host.services.status("firewalld").is_ok_and(|status| status.state == ServiceState::Active)
        }
        FilterManager::Ufw => {
            host.firewall.ufw(engine.tags()).is_ok_and(|ufw| ufw.is_some_and(|ufw| ufw.active))
        }
        FilterManager::Administrator => true,
    };
    if !works {
        spot.manager = FilterManager::Administrator;
    }
    let command = spot.opening(&fate.packet);
    Some((spot, command))
}

/// That a rule keeps packets from a port, in both languages.
fn closing(verdict: &FilterVerdict, name: &str, number: u16, spot: &RuleSpot) -> [String; 2] {
    match verdict {
        FilterVerdict::Redirected(_) => [
            format!("A packet filter redirects packets from the Internet to {name} port {number} ({spot})"),
            format!(
                "Bir paket filtresi internetten {number} {name} portuna gelen paketleri başka yere yönlendiriyor ({spot})"
            ),
        ],
        _ => [
            format!("A packet filter closes {name} port {number} to the Internet ({spot})"),
            format!("Bir paket filtresi {number} {name} portunu internete kapatıyor ({spot})"),
        ],
    }
}

/// The rule by which the owner of a packet filter has limited a port himself, so that no accept of ours is put there; `None` where there
/// is none, or where he opens ports himself anyway.
pub fn limit(engine: &Engine, filters: &Filters, port: Port) -> Option<RuleSpot> {
    if !engine.store().read(State::open_firewall).unwrap_or(true) {
        return None;
    }
    let host = engine.host();
    // Where ufw is active, its own rules are asked: those of ours may be still to come.
    let ufw = host.firewall.ufw(engine.tags()).ok().flatten().filter(|ufw| ufw.active);
    let counts = |spot: &RuleSpot| {
        let by_ufw = ufw.as_ref().filter(|_| spot.manager == FilterManager::Ufw);
        by_ufw.is_none_or(|ufw| ufw.limited.contains(&port))
    };
    let found = filters.limit(engine.tags(), host.network.as_ref(), port, counts).ok()?;
    found.map(|limit| limit.spot)
}

/// That a port is left to a rule of the owner's, in both languages.
fn limited(name: &str, number: u16, rule: &RuleSpot) -> [String; 2] {
    [
        format!(
            "A rule of this host's own packet filter limits {name} port {number} ({rule}). Phantom-WG leaves it alone: clients reach the port only as far as that filter lets them in"
        ),
        format!(
            "{number} {name} portunu bu sunucunun kendi paket filtresindeki bir kural sınırlıyor ({rule}). Phantom-WG bu kurala dokunmaz: istemciler porta yalnızca o filtrenin izin verdiği ölçüde ulaşır"
        ),
    ]
}

fn everybody_en(command: &str) -> String {
    format!("To open the port to everybody, run: {command}")
}

fn everybody_tr(command: &str) -> String {
    format!("Portu herkese açmak için çalıştırın: {command}")
}

/// That nobody can say whether a port is reached, in both languages.
fn doubtful(name: &str, number: u16, doubt: &FilterDoubt) -> [String; 2] {
    [
        format!(
            "Whether the Internet reaches {name} port {number} depends on a rule that cannot be evaluated ({doubt})"
        ),
        format!(
            "{number} {name} portuna internetten ulaşılıp ulaşılamadığı, değerlendirilemeyen bir kurala bağlı ({doubt})"
        ),
    ]
}

/// How the Internet reaches ports of this host, as its packet filters are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Base chains of others that lead to accepts of ours.
    pub let_in: Vec<LetIn>,
    /// What keeps packets from a port, or may do so: a sentence each, with the command that opens the port.
    pub closed: Vec<String>,
}

impl Reach {
    /// Looks at the packet filters. Where they cannot be read, it says so.
    pub fn observe(engine: &Engine, server: &Server, ports: &[Port], lang: Lang) -> Self {
        let host = engine.host();
        let silent = |error: &HostError| {
            let cause = explain(error, lang);
            let en = format!("Whether packet filters let the Internet in could not be checked: {cause}");
            let tr = format!(
                "Paket filtrelerinin internetten gelen paketlere izin verip vermediği denetlenemedi: {cause}"
            );
            Self { let_in: Vec::new(), closed: vec![if lang == Lang::En { en } else { tr }] }
        };
        let filters = match host.firewall.filters() {
            Ok(filters) => filters,
            Err(error) => return silent(&error),
        };
        let mut reach = Self { let_in: filters.let_in(engine.tags()), closed: Vec::new() };
        for port in ports {
            match PacketFate::from_internet(host, &filters, *port, server.server_ip) {
                Ok(fate) => {
                    reach.closed.extend(fate.and_then(|fate| sentence(engine, &filters, &fate, *port, lang)));
                }
                Err(error) => return silent(&error),
            }
        }
        reach
    }
}

/// The base chains of others that lead to accepts of ours, before a change; none where the packet filters do not answer.
pub fn before(engine: &Engine) -> Vec<LetIn> {
    let filters = engine.host().firewall.filters();
    filters.map(|filters| filters.let_in(engine.tags())).unwrap_or_default()
}

/// A sentence for each chain of somebody else's that had an accept of ours `before` and has it no more: a saved copy may still
/// hold it.
pub fn saved_copies(engine: &Engine, before: &[LetIn], after: &[LetIn], lang: Lang) -> Vec<String> {
    let mark = engine.tags().tag();
    let left =
        |gone: &LetIn| after.iter().any(|now| now.chain == gone.chain && gone.ports.is_subset(&now.ports));
    let taken_out = before.iter().filter(|before| !left(before));
    taken_out.map(|gone| saved_copy(gone, &mark, lang)).collect()
}

fn saved_copy(taken_out: &LetIn, mark: &str, lang: Lang) -> String {
    let (table, chain) = (&taken_out.chain.table, &taken_out.chain.name);
    match lang {
        Lang::En => format!(
            "An accept of Phantom-WG was taken out of {table} {chain}. A copy of these rules that was saved meanwhile may still hold it: look for {mark} in it"
        ),
        Lang::Tr => format!(
            "Phantom-WG'nin izin kuralı {table} {chain} zincirinden kaldırıldı. Bu kuralların bu arada kaydedilmiş bir kopyası onu hâlâ içerebilir: kopyada {mark} metnini arayın"
        ),
    }
}

/// A sentence for each rule of ours that nobody can take out, with the command that does; none where the kernel does not answer.
pub fn stuck(engine: &Engine, lang: Lang) -> Vec<String> {
    let all = engine.host().firewall.stuck(engine.tags()).unwrap_or_default();
    let sentence = |StuckRules { place, command }: &StuckRules| match lang {
        Lang::En => format!(
            "Rules of Phantom-WG stay in {place}: the program that takes them out is missing or cannot read that table. Run: {command}"
        ),
        Lang::Tr => format!(
            "Phantom-WG kuralları {place} içinde kalıyor: onları kaldıracak program kurulu değil veya bu tabloyu okuyamıyor. Çalıştırın: {command}"
        ),
    };
    all.iter().map(sentence).collect()
}

/// What keeps packets from a port, or may do so; `None` where nothing does.
fn sentence(engine: &Engine, filters: &Filters, fate: &PacketFate, port: Port, lang: Lang) -> Option<String> {
    let (name, number) = (protocol_name(port.protocol), port.number);
    if let Some((spot, command)) = opening(engine, fate) {
        if let Some(rule) = limit(engine, filters, port) {
            let [en, tr] = limited(name, number, &rule);
            return Some(match lang {
                Lang::En => format!("{en}. {}", everybody_en(&command)),
                Lang::Tr => format!("{tr}. {}", everybody_tr(&command)),
            });
        }
        let [en, tr] = closing(&fate.verdict, name, number, &spot);
        return Some(match lang {
            Lang::En => format!("{en}. Run: {command}"),
            Lang::Tr => format!("{tr}. Çalıştırın: {command}"),
        });
    }
    let [en, tr] = doubtful(name, number, fate.doubt()?);
    Some(match lang {
        Lang::En => format!("{en}. Try it out from another network"),
        Lang::Tr => format!("{tr}. Başka bir ağdan deneyin"),
    })
}

fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
    }
}

/// The base chains of others that lead to accepts of ours.
///
/// # Errors
/// The packet filters cannot be read.
pub fn let_in<'a>(case: &'a Examination<'_>) -> Result<Vec<LetIn>, Silent<'a>> {
    filters(case).map(|filters| filters.let_in(case.engine.tags()))
}

/// `well`, unless a packet filter keeps the clients' packets from passing.
pub fn forwarded(case: &Examination<'_>, well: Finding) -> Finding {
    let fate = match client(case) {
        Ok(fate) => fate,
        Err(error) => return case.silent(error.as_ref()),
    };
    let Some(fate) = fate else { return well };
    if let Some((spot, command)) = opening(case.engine, &fate) {
        // Rules of ours that close do so because a module wants it.
        if spot.is_ours(case.engine.tags()) {
            return well;
        }
        let found = case.problem(
            format!("A packet filter drops packets between the clients and the Internet ({spot})"),
            format!("Bir paket filtresi istemcilerle internet arasındaki paketleri düşürüyor ({spot})"),
        );
        let by_ufw = spot.manager == FilterManager::Ufw;
        let complete = if by_ufw { ufw_complete(case) } else { rules_complete(case) };
        return found.hint(remedy(case, !complete, &command));
    }
    match fate.doubt() {
        None => well,
        Some(doubt) => {
            let found = case.warning(
                format!("Whether packets pass between the clients and the Internet depends on a rule that cannot be evaluated ({doubt})"),
                format!("İstemcilerle internet arasındaki paketlerin geçip geçmediği, değerlendirilemeyen bir kurala bağlı ({doubt})"),
            );
            found.hint(try_out(case))
        }
    }
}

/// A part of the host that does not answer, remembered or just asked.
#[derive(Debug)]
pub enum Silent<'a> {
    /// It did not answer before, while the same questions were asked.
    Remembered(&'a HostError),
    /// It does not answer now.
    Asked(HostError),
}

impl AsRef<HostError> for Silent<'_> {
    fn as_ref(&self) -> &HostError {
        match self {
            Self::Remembered(error) => error,
            Self::Asked(error) => error,
        }
    }
}

/// What becomes of a new packet from the Internet to a port of this host; `None` before the first setup.
///
/// # Errors
/// The packet filters or the network cannot be read.
pub fn port<'a>(
    case: &'a Examination<'_>,
    protocol: Protocol,
    number: u16,
) -> Result<Option<PacketFate>, Silent<'a>> {
    let Some(server) = case.server else { return Ok(None) };
    let filters = filters(case)?;
    let port = Port { protocol, number };
    PacketFate::from_internet(case.engine.host(), filters, port, server.server_ip).map_err(Silent::Asked)
}

/// What becomes of a client's packet to the Internet; `None` before the first setup.
///
/// # Errors
/// The packet filters or the network cannot be read.
pub fn client<'a>(case: &'a Examination<'_>) -> Result<Option<PacketFate>, Silent<'a>> {
    let Some(server) = case.server else { return Ok(None) };
    let filters = filters(case)?;
    let host = case.engine.host();
    PacketFate::of_client(host, filters, &server.interface, server.subnet).map_err(Silent::Asked)
}

fn filters<'a>(case: &'a Examination<'_>) -> Result<&'a Filters, Silent<'a>> {
    let read = case.filters.get_or_init(|| case.engine.host().firewall.filters());
    read.as_ref().map_err(Silent::Remembered)
}

/// What opens: rules of ours that are missing there, or the command.
fn remedy(case: &Examination<'_>, by_ours: bool, command: &str) -> String {
    if by_ours {
        return case.reconcile();
    }
    case.pick(format!("Run: {command}"), format!("Çalıştırın: {command}"))
}

/// Whether ufw has all rules of ours. Without an answer there is nothing to add.
fn ufw_complete(case: &Examination<'_>) -> bool {
    let ufw = case.engine.host().firewall.ufw(case.engine.tags()).ok().flatten();
    case.wanted.zip(ufw).is_none_or(|(wanted, ufw)| ufw.without_limited(&wanted.ufw).is_subset(&ufw.ours))
}

/// The same for the rules of the packet filter, which open forwarding where others close it.
fn rules_complete(case: &Examination<'_>) -> bool {
    let in_force =
        |wanted: &DesiredState| case.engine.host().firewall.in_force(case.engine.tags(), &wanted.firewall);
    case.wanted.is_none_or(|wanted| in_force(wanted).is_ok_and(|force| force == RulesetStatus::InSync))
}

fn try_out(case: &Examination<'_>) -> String {
    case.pick("Try it out from another network", "Başka bir ağdan deneyin")
}
