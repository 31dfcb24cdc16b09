//! `validate_subnet_change`: checks a new subnet without changing anything.

use std::net::Ipv4Addr;

use phantom_engine::{Engine, ServerSetting};
use phantom_module::{Action, Call, Effect, Lang, Text};
use phantom_store::{Server, State};
use phantom_types::{Remap, Subnet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::subnet_info::handshakes;
use crate::clients::CONNECTED_WITHIN;
use crate::{Checks, Core, CoreError, Entries};

/// Checks a new subnet without changing anything.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ValidateSubnetChange {
    /// New subnet in CIDR form
    #[schemars(extend("x-tr" = "CIDR biçiminde yeni subnet"))]
    pub new_subnet: Subnet,
}

/// What the checks say.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SubnetValidation {
    /// The change is possible
    #[schemars(extend("x-tr" = "Değişiklik mümkün"))]
    pub valid: bool,
    /// The new subnet
    #[schemars(extend("x-tr" = "Yeni subnet"))]
    pub new_subnet: Subnet,
    /// The subnet now
    #[schemars(extend("x-tr" = "Şimdiki subnet"))]
    pub current_subnet: Subnet,
    /// The checks one by one
    #[schemars(extend("x-tr" = "Tek tek denetimler"))]
    pub checks: Checks,
    /// What should be known
    #[schemars(extend("x-tr" = "Bilinmesi gerekenler"))]
    pub warnings: Vec<String>,
    /// Why it is not possible
    #[schemars(extend("x-tr" = "Neden mümkün olmadığı"))]
    pub errors: Vec<String>,
    /// Where every address goes; only when the change is possible
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "Her adresin yeni karşılığı; yalnızca değişiklik mümkünse"))]
    pub ip_mapping_preview: Option<MappingPreview>,
}

/// Where every address goes.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MappingPreview {
    /// Clients and the server
    #[schemars(extend("x-tr" = "İstemciler ve sunucu"))]
    pub total_mappings: usize,
    /// By name, the server first
    #[schemars(extend("x-tr" = "Ada göre, ilk sırada sunucu"))]
    pub mappings: Entries<Mapping>,
}

/// Where one address goes.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Mapping {
    /// The address now
    #[schemars(extend("x-tr" = "Şimdiki adres"))]
    pub old: Ipv4Addr,
    /// The address after the change
    #[schemars(extend("x-tr" = "Değişiklikten sonraki adres"))]
    pub new: Ipv4Addr,
}

/// The outcome of the checks, with what a change needs of it.
pub(super) struct Validation {
    pub(super) server: Server,
    pub(super) checks: Checks,
    pub(super) warnings: Vec<String>,
    pub(super) errors: Vec<String>,
    /// Where the clients go; `None` when they do not fit.
    pub(super) remap: Option<Remap>,
}

/// Checks a new subnet for the stored clients and this host.
pub(super) fn validate(
    engine: &Engine,
    state: &State<'_>,
    new: Subnet,
    lang: Lang,
) -> Result<Validation, CoreError> {
    let server = super::server(state)?;
    let clients = state.client_count()?;
    let checks = Checks::collect(engine, state, new, Some(server.interface.as_str()), clients, lang)?;
    let mut errors = checks.errors();
    let claims = engine.claims(state)?;
    errors.extend(claims.against(ServerSetting::Subnet).map(|veto| {
        let feature = veto.feature.get(lang);
        match lang {
            Lang::En => format!("{feature} is active. Disable it before changing the subnet."),
            Lang::Tr => format!("{feature} aktif. Subnet'i değiştirmeden önce devre dışı bırakın."),
        }
    }));
    if new == server.subnet {
        errors.push(format!("{new} {}", lang.pick("is the current subnet already", "zaten mevcut subnet")));
    }
    let remap = server.subnet.remap(new, &state.addresses()?);
    let warnings = warnings(engine, &server, new, remap.as_ref(), lang);
    Ok(Validation { server, checks, warnings, errors, remap })
}

fn warnings(engine: &Engine, server: &Server, new: Subnet, remap: Option<&Remap>, lang: Lang) -> Vec<String> {
    let now = engine.host().clock.now();
    let seen = handshakes(engine, server);
    let connected = seen.values().filter(|at| now.since(**at) < CONNECTED_WITHIN).count();
    let renumbered = remap.map_or(0, |remap| remap.renumbered);
    let mut warnings = Vec::new();
    if new.usable() < server.subnet.usable() {
        warnings.push(
            lang.pick(
                "New subnet is smaller than the current one",
                "Yeni subnet mevcut subnetten daha küçük",
            )
            .to_owned(),
        );
    }
    if connected > 0 {
        let text =
            lang.pick("Connected clients that will be disconnected", "Bağlantısı kesilecek istemci sayısı");
        warnings.push(format!("{text}: {connected}"));
    }
    if renumbered > 0 {
        let text = lang.pick("Clients that get a new host number", "Adres numarası değişecek istemci sayısı");
        warnings.push(format!("{text}: {renumbered}"));
    }
    warnings
}

impl Action for ValidateSubnetChange {
    type Module = Core;
    type Output = SubnetValidation;
    type Error = CoreError;
    const NAME: &'static str = "validate_subnet_change";
    const SUMMARY: Text = Text { en: "Check a new subnet", tr: "Yeni subnet'i doğrula" };
    const EFFECT: Effect = Effect::Read;
    const EXAMPLE: &'static str = "new_subnet=192.168.100.0/24";
    const ERRORS: &'static [&'static str] = &["VALIDATION_ERROR"];

    fn run(self, core: &Core, call: &Call) -> Result<SubnetValidation, CoreError> {
        let engine = core.engine();
        engine.read(|state| {
            let validation = validate(engine, state, self.new_subnet, call.lang)?;
            let Validation { server, checks, warnings, errors, remap } = validation;
            let remap = remap.filter(|_| errors.is_empty());
            let preview = remap.map(|remap| preview(state, &server, self.new_subnet, &remap)).transpose()?;
            Ok(SubnetValidation {
                valid: errors.is_empty(),
                new_subnet: self.new_subnet,
                current_subnet: server.subnet,
                checks,
                warnings,
                errors,
                ip_mapping_preview: preview,
            })
        })
    }
}

fn preview(
    state: &State<'_>,
    server: &Server,
    new: Subnet,
    remap: &Remap,
) -> Result<MappingPreview, CoreError> {
    let mut mappings =
        vec![("server".to_owned(), Mapping { old: server.subnet.server(), new: new.server() })];
    // Names and mapping come in the same order, that of the addresses, out of the same view of the state.
    for ((name, _), (old, new)) in state.named_addresses()?.into_iter().zip(&remap.clients) {
        let name = if name.as_str() == "server" { "server (client)".to_owned() } else { name.into() };
        mappings.push((name, Mapping { old: *old, new: *new }));
    }
    Ok(MappingPreview { total_mappings: mappings.len(), mappings: Entries(mappings) })
}
