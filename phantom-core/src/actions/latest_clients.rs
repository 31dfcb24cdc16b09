//! `latest_clients`: the clients added last.

use phantom_module::{Action, Call, Effect, Text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clients::items;
use crate::{ClientItem, Core, CoreError};

/// Shows the clients added last, newest first.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LatestClients {
    /// Number of clients
    #[serde(default = "five")]
    #[schemars(range(min = 1, max = 1000), extend("x-tr" = "İstemci sayısı"))]
    pub count: u32,
}

/// The clients added last.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LatestList {
    /// Newest first
    #[schemars(extend("x-tr" = "En yenisi başta"))]
    pub latest_clients: Vec<ClientItem>,
    /// Items returned
    #[schemars(extend("x-tr" = "Dönen öğe sayısı"))]
    pub count: u32,
    /// All clients
    #[schemars(extend("x-tr" = "Toplam istemci sayısı"))]
    pub total_clients: u32,
}

fn five() -> u32 {
    5
}

impl Action for LatestClients {
    type Module = Core;
    type Output = LatestList;
    type Error = CoreError;
    const NAME: &'static str = "latest_clients";
    const SUMMARY: Text = Text { en: "Show the clients added last", tr: "En son eklenen istemciler" };
    const EFFECT: Effect = Effect::Read;
    const EXAMPLE: &'static str = "count=10";
    const ERRORS: &'static [&'static str] = &[];

    fn run(self, core: &Core, _: &Call) -> Result<LatestList, CoreError> {
        let (server, latest, total_clients) = core.engine().read(|state| {
            Ok::<_, CoreError>((state.server()?, state.latest(self.count)?, state.client_count()?))
        })?;
        let latest_clients = server.map(|server| items(core.engine(), &server, latest)).unwrap_or_default();
        let count = u32::try_from(latest_clients.len()).unwrap_or(u32::MAX);
        Ok(LatestList { latest_clients, count, total_clients })
    }
}
