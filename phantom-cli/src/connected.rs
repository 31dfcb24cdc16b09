//! The clients that are connected now, for the questions before a change that concerns them.

use phantom_api::Phantom;
use serde::Deserialize;

use crate::work::{ActionCall, Problem, fields};

/// Names that a question has room for.
const NAMED: usize = 8;
/// Clients among which the connected ones are looked for: the longest page that there is.
const PAGE: &str = "100000";

/// The clients that are connected now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connected {
    /// How many are.
    pub count: u32,
    /// The names of the first of them.
    pub names: Vec<String>,
    /// How many clients are stored.
    pub total: u32,
    /// What did not answer, where that is why nobody seems to be connected.
    pub unknown: Option<String>,
}

#[derive(Deserialize)]
struct Server {
    interface: Interface,
    clients: Counts,
    #[serde(default)]
    unknown: Vec<String>,
}

#[derive(Deserialize)]
struct Interface {
    active: bool,
}

#[derive(Deserialize)]
struct Counts {
    total_configured: u32,
    active_connections: u32,
}

#[derive(Deserialize)]
struct List {
    clients: Vec<Client>,
}

#[derive(Deserialize)]
struct Client {
    name: String,
    connected: bool,
}

impl Connected {
    /// Counts them; looks for names where there are any to be found.
    pub(crate) fn read(phantom: &Phantom, call: &phantom_api::Call) -> Result<Self, Problem> {
        let server: Server = fields(phantom, &ActionCall::new("core", "server_status"), call)?;
        let Counts { total_configured: total, active_connections: count } = server.clients;
        if count == 0 {
            let unknown = Some(server.unknown.join(", "));
            let unknown = unknown.filter(|parts| !parts.is_empty() && !server.interface.active);
            return Ok(Self { total, unknown, ..Self::default() });
        }
        let list = ActionCall::new("core", "list_clients").with("per_page", PAGE);
        let all: List = fields(phantom, &list, call)?;
        let connected = all.clients.into_iter().filter(|client| client.connected);
        let names = connected.take(NAMED).map(|client| client.name).collect();
        Ok(Self { count, names, total, unknown: None })
    }
}
