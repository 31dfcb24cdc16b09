//! `service_logs`: the last log lines of the WireGuard service.

use std::collections::HashMap;
use std::net::IpAddr;

use phantom_engine::Engine;
use phantom_module::{Action, Call, Effect, Lang, Text};
use phantom_store::{State, StoreError};
use phantom_types::ClientName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::status::unit_name;
use crate::{Core, CoreError};

/// Shows the last log lines of the WireGuard service.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceLogs {
    /// Number of log lines
    #[serde(default = "fifty")]
    #[schemars(range(min = 1, max = 10_000), extend("x-tr" = "Günlük satır sayısı"))]
    pub lines: u32,
}

/// The last log lines.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ServiceLogsReport {
    /// Newest last
    #[schemars(extend("x-tr" = "En yenisi sonda"))]
    pub logs: Vec<String>,
    /// How many there are
    #[schemars(extend("x-tr" = "Satır sayısı"))]
    pub count: usize,
    /// Name of the service
    #[schemars(extend("x-tr" = "Servisin adı"))]
    pub service: String,
    /// How many were asked for
    #[schemars(extend("x-tr" = "İstenen satır sayısı"))]
    pub lines_requested: u32,
    /// Where they come from
    #[schemars(extend("x-tr" = "Satırların kaynağı"))]
    pub source: LogSource,
    /// Only when there are none
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "Yalnızca hiç satır yoksa"))]
    pub message: Option<&'static str>,
}

/// Where log lines come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogSource {
    /// The journal of systemd.
    Journald,
    /// Our own log file.
    File,
}

fn fifty() -> u32 {
    50
}

impl Action for ServiceLogs {
    type Module = Core;
    type Output = ServiceLogsReport;
    type Error = CoreError;
    const NAME: &'static str = "service_logs";
    const SUMMARY: Text = Text { en: "Service logs", tr: "Servis günlükleri" };
    const EFFECT: Effect = Effect::Read;
    const EXAMPLE: &'static str = "lines=100";
    const ERRORS: &'static [&'static str] = &[];

    fn run(self, core: &Core, call: &Call) -> Result<ServiceLogsReport, CoreError> {
        let server = core.engine().read(super::server)?;
        let service = unit_name(&server);
        let services = &core.engine().host().services;
        let systemd = services.manager() == phantom_host::ServiceManager::Systemd;
        // A journal that cannot be read is an empty one: the answer says so in its message.
        let logs = services.logs(&service, self.lines).unwrap_or_default();
        let mut names = Names { engine: core.engine(), known: HashMap::new() };
        let lines: Vec<String> = logs.lines.into_iter().map(|line| names.with_name(line)).collect();
        Ok(ServiceLogsReport {
            count: lines.len(),
            message: lines.is_empty().then_some(none(call.lang)),
            logs: lines,
            service,
            lines_requested: self.lines,
            source: if systemd { LogSource::Journald } else { LogSource::File },
        })
    }
}

/// The names of the clients that the lines are about; each is looked up once.
struct Names<'a> {
    engine: &'a Engine,
    /// By the networks, as the device writes them.
    known: HashMap<String, Option<ClientName>>,
}

impl Names<'_> {
    /// A line of the embedded device about a peer that it refuses, with the name of the client: the device knows networks alone.
    fn with_name(&mut self, line: String) -> String {
        let Some((before, rest)) = line.split_once("the peer ") else { return line };
        let Some((networks, after)) = rest.split_once(" is refused: ") else { return line };
        let engine = self.engine;
        let name = self.known.entry(networks.to_owned()).or_insert_with(|| {
            // Without the stored state the line stays what it is.
            engine.store().read(|state| named(state, networks)).ok().flatten()
        });
        match name {
            Some(name) => format!("{before}the client {name} ({networks}) is refused: {after}"),
            None => line,
        }
    }
}

/// The client of which one of these networks is the address: they are sorted, and those behind a client may come first.
fn named(state: &State<'_>, networks: &str) -> Result<Option<ClientName>, StoreError> {
    let networks = networks.split(", ").filter_map(|network| network.split_once('/'));
    let addresses = networks.filter(|(_, prefix)| matches!(*prefix, "32" | "128"));
    for address in addresses.filter_map(|(address, _)| address.parse::<IpAddr>().ok()) {
        if let Some(client) = state.client_by_address(address)? {
            return Ok(Some(client.name));
        }
    }
    Ok(None)
}

fn none(lang: Lang) -> &'static str {
    lang.pick("No logs available", "Günlük kaydı yok")
}
