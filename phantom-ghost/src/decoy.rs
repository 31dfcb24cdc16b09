//! The web server that strangers are shown: from which address of this host it is connected to, and what it should not show.
//!
//! Web servers keep pages for the programs of their own machine (Debian's Apache `/server-status`), whom they know by a
//! loopback address. Strangers come from another one.

use std::net::IpAddr;

use phantom_engine::{DoctorCheck, Engine, Examination, Finding};
use phantom_ghost_state::{Ghost as Stored, GhostState as _};
use phantom_host::HostError;
use phantom_module::Lang;
use phantom_store::{Server, State};
use phantom_types::ProxyVersion;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::desired::control;
use crate::program::{DecoyCheck, Program};
use crate::{GhostError, GhostStep, SourceFault};

/// What the doctor looks at for it.
pub(crate) const CHECK: DoctorCheck = DoctorCheck { name: "decoy", order: 870, run: examine };

/// The web server that strangers are shown.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DecoyInUse {
    /// The web server as it was given
    #[schemars(extend("x-tr" = "Verildiği biçimiyle web sunucusu"))]
    pub web_server: String,
    /// Address from which strangers reach it; null for a socket in the file system
    #[schemars(extend("x-tr" = "Yabancıların ona ulaştığı kaynak adresi; dosya sistemindeki bir soket için null"))]
    pub source: Option<IpAddr>,
    /// PROXY protocol version that carries strangers' own addresses; null for none
    #[schemars(extend("x-tr" = "Yabancıların kendi adreslerini ileten PROXY protokolü sürümü; yoksa null"))]
    pub proxy: Option<ProxyVersion>,
}

/// The web server that strangers are shown, if there is one.
pub(crate) fn in_use(server: &Server, stored: &Stored) -> Option<DecoyInUse> {
    let web_server = stored.decoy.clone()?;
    Some(DecoyInUse { source: source(server, stored), proxy: stored.decoy_proxy, web_server })
}

/// The path of a web server's socket in the file system, which sees no addresses.
pub(crate) fn socket(decoy: &str) -> Option<&str> {
    decoy.strip_prefix("unix:")
}

/// Whether a web server is at a socket in the file system.
pub(crate) fn is_socket(decoy: &str) -> bool {
    socket(decoy).is_some()
}

/// Whether an address is of the family that a web server is reached by.
fn is_of_family(address: IpAddr, decoy: &str) -> bool {
    address.is_ipv6() == decoy.starts_with("http://[")
}

/// What strangers come from where nothing else was said: the server's own address in the VPN; for a web server that is
/// reached by IPv6 its IPv6 address, in the VPN if it has one there.
pub(crate) fn usual_source(server: &Server, decoy: &str) -> Option<IpAddr> {
    if !decoy.starts_with("http://[") {
        return Some(server.subnet.server().into());
    }
    let in_vpn = server.subnet6.map(|prefix| u128::from(prefix.network()).saturating_add(1).into());
    in_vpn.or(server.ipv6).map(IpAddr::V6)
}

/// The address that strangers come from; `None` for a socket in the file system. Never one of loopback: where there is no
/// address of the family, one of the other family leads nowhere, and strangers are told that the web server is not there.
fn source(server: &Server, stored: &Stored) -> Option<IpAddr> {
    let decoy = stored.decoy.as_deref().filter(|decoy| !is_socket(decoy))?;
    let usual = || usual_source(server, decoy).unwrap_or_else(|| server.subnet.server().into());
    Some(stored.decoy_source.unwrap_or_else(usual))
}

/// The web server as the keeper's configuration has it.
pub(crate) fn configuration(server: &Server, stored: &Stored) -> Option<Value> {
    let DecoyInUse { web_server, source, proxy } = in_use(server, stored)?;
    let mut members = json!({ "address": web_server });
    if let Some(source) = source {
        members["source"] = json!(source);
    }
    if let Some(proxy) = proxy {
        members["proxy"] = json!(proxy);
    }
    let plain = source.is_none() && proxy.is_none();
    Some(if plain { json!(web_server) } else { members })
}

/// Refuses a source that strangers must not come from, or cannot.
pub(crate) fn check_source(
    engine: &Engine,
    server: &Server,
    decoy: &str,
    address: IpAddr,
) -> Result<(), GhostError> {
    let plain = address.to_canonical();
    let fault = if plain.is_loopback() {
        Some(SourceFault::Loopback)
    } else if is_nobodys(plain) {
        Some(SourceFault::Nobodys)
    } else if !is_of_family(address, decoy) {
        Some(SourceFault::Family)
    } else {
        None
    };
    // The VPN's own address comes back when the service does.
    let mut own: Vec<IpAddr> = usual_source(server, decoy).into_iter().collect();
    let found = engine.host().network.addresses();
    let found = found.map_err(|source| GhostError::host(GhostStep::Host, source))?;
    own.extend(found.into_iter().map(|(_, network)| network.ip()));
    own.retain(|address| !address.is_loopback() && !is_nobodys(*address) && is_of_family(*address, decoy));
    own.sort_unstable();
    own.dedup();
    let foreign = (!own.contains(&address)).then_some(SourceFault::Foreign);
    match fault.or(foreign) {
        Some(fault) => Err(GhostError::DecoySource { address, fault, allowed: own }),
        None => Ok(()),
    }
}

fn is_nobodys(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(four) if four.is_broadcast());
    address.is_unspecified() || address.is_multicast() || broadcast
}

/// What is asked of the host to see what strangers are shown.
fn question(engine: &Engine, server: &Server, stored: &Stored) -> Option<DecoyCheck> {
    let DecoyInUse { web_server, source, proxy } = in_use(server, stored)?;
    let control = control(&engine.installation().ok()?);
    Some(DecoyCheck { web_server, source, proxy, domain: stored.domain.clone(), control })
}

/// What is to be warned of when it has been switched on.
pub(crate) fn warnings(engine: &Engine, server: &Server, stored: &Stored, lang: Lang) -> Vec<String> {
    let Some(question) = question(engine, server, stored) else { return Vec::new() };
    let said = match Program::on(engine.host()).private_pages(&question) {
        Ok(Ok(pages)) => {
            let pages = (!pages.is_empty()).then(|| shown(&question, &pages));
            pages.into_iter().chain(let_in(server, &question)).collect()
        }
        Ok(Err(detail)) => vec![silent(&question, &phantom_words::of_program(&detail, lang))],
        Err(error) => vec![silent(&question, &phantom_engine::explain(&error, lang))],
    };
    said.into_iter().map(|[en, tr]| if lang == Lang::En { en } else { tr }).collect()
}

/// The VPN's own network that strangers come from, if their source is in one.
fn network_of_source(server: &Server, source: Option<IpAddr>) -> Option<String> {
    match source? {
        IpAddr::V4(four) => server.subnet.contains(four).then(|| server.subnet.to_string()),
        IpAddr::V6(six) => {
            server.subnet6.filter(|prefix| prefix.contains(six)).map(|prefix| prefix.to_string())
        }
    }
}

/// That a rule for the VPN's clients is one for strangers too, in both languages. No page that is asked for can show it: which rules
/// a web server has for that network is known to nobody but its operator.
fn let_in(server: &Server, question: &DecoyCheck) -> Option<[String; 2]> {
    let (network, source) = (network_of_source(server, question.source)?, question.source?);
    let at = &question.web_server;
    Some([
        format!(
            "Strangers reach the web server {at} from {source}, an address of the VPN: a rule there that lets in {network} lets strangers in too"
        ),
        format!(
            "Yabancılar {at} web sunucusuna VPN'in bir adresinden ({source}) ulaşıyor: orada {network} ağına izin veren bir kural yabancılara da izin verir"
        ),
    ])
}

/// That strangers get these pages, in both languages.
fn shown(question: &DecoyCheck, pages: &[String]) -> [String; 2] {
    let (at, pages) = (&question.web_server, pages.join(", "));
    [
        format!("The web server {at} shows strangers pages that are meant for its own machine: {pages}"),
        format!(
            "{at} web sunucusu, yalnızca kendi makinesi için olan sayfaları yabancılara gösteriyor: {pages}"
        ),
    ]
}

/// That it does not answer strangers, in both languages.
fn silent(question: &DecoyCheck, detail: &str) -> [String; 2] {
    let at = &question.web_server;
    let [en, tr] = question.source.map_or_else(Default::default, |source| {
        [format!(" connections from {source}"), format!(" {source} adresinden gelen bağlantılara")]
    });
    [
        format!("The web server {at} does not answer{en}: {detail}"),
        format!("{at} web sunucusu{tr} yanıt vermiyor: {detail}"),
    ]
}

/// Whether the web server answers strangers, and keeps from them what is for its own machine.
fn examine(case: &Examination<'_>) -> Finding {
    let stored = case.engine.store().read(State::ghost).unwrap_or(None);
    let question =
        stored.zip(case.server).and_then(|(stored, server)| question(case.engine, server, &stored));
    let Some(question) = question else {
        return case.ok(
            "No web server of this machine is shown to strangers",
            "Yabancılara bu makinedeki bir web sunucusu gösterilmiyor",
        );
    };
    let answer: Result<_, HostError> = Program::on(case.engine.host()).private_pages(&question);
    match answer {
        Ok(Ok(pages)) if pages.is_empty() => {
            if let Some([en, tr]) = case.server.and_then(|server| let_in(server, &question)) {
                return case.warning(en, tr).hint(move_source(case));
            }
            let at = &question.web_server;
            case.ok(
                format!("The web server {at} shows strangers no known page that is meant for its own machine"),
                format!("{at} web sunucusu, yalnızca kendi makinesi için bilinen hiçbir sayfayı yabancılara göstermiyor"),
            )
        }
        Ok(Ok(pages)) => {
            let [en, tr] = shown(&question, &pages);
            case.warning(en, tr).hint(close(case, &question))
        }
        Ok(Err(detail)) => {
            let [en, tr] = silent(&question, &phantom_words::of_program(&detail, case.lang));
            case.warning(en, tr).hint(start(case, &question))
        }
        Err(error) => case.silent(&error),
    }
}

/// How a web server is made to answer.
fn start(case: &Examination<'_>, question: &DecoyCheck) -> String {
    if question.source.is_none() {
        return case.pick(
            "Strangers see an error. Start the web server, and let everybody connect to its socket",
            "Yabancılar bir hata görüyor. Web sunucusunu başlatın ve soketine herkesin bağlanmasına izin verin",
        );
    }
    let command = "phantom-api core start_service";
    case.pick(
        format!("Strangers see an error. Start the web server; if it is the VPN's address that is missing: {command}"),
        format!("Yabancılar bir hata görüyor. Web sunucusunu başlatın; eksik olan VPN adresiyse: {command}"),
    )
}

/// How strangers are told from the VPN's clients.
fn move_source(case: &Examination<'_>) -> String {
    case.pick(
        "Choose an address of this host that no rule lets in, as its public one: decoy_source=ADDRESS",
        "Bu makinenin hiçbir kuralın izin vermediği bir adresini, örneğin genel adresini seçin: decoy_source=ADRES",
    )
}

/// How such pages are closed.
fn close(case: &Examination<'_>, question: &DecoyCheck) -> String {
    match question.source {
        Some(source) => case.pick(
            format!("Forbid them in the web server to {source}, or choose another address: decoy_source=ADDRESS"),
            format!("Web sunucusunda bunları {source} için yasaklayın veya başka bir adres seçin: decoy_source=ADRES"),
        ),
        None => case.pick(
            "Forbid them in the web server to whoever comes by the socket",
            "Web sunucusunda bunları soketten gelen herkese yasaklayın",
        ),
    }
}
