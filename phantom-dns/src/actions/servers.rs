//! `get_dns_servers`: the stored pair.

use std::net::IpAddr;

use phantom_module::{Action, Call, Effect, Text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Dns, DnsError};

/// Shows the stored DNS servers.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Servers {}

/// A pair of DNS servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ServerPair {
    /// First server
    #[schemars(extend("x-tr" = "Birincil sunucu"))]
    pub primary: IpAddr,
    /// Second server
    #[schemars(extend("x-tr" = "İkincil sunucu"))]
    pub secondary: IpAddr,
}

impl Action for Servers {
    type Module = Dns;
    type Output = ServerPair;
    type Error = DnsError;
    const NAME: &'static str = "get_dns_servers";
    const SUMMARY: Text = Text { en: "Show DNS servers", tr: "DNS sunucularını al" };
    const EFFECT: Effect = Effect::Read;
    const EXAMPLE: &'static str = "";
    const ERRORS: &'static [&'static str] = &[];

    fn run(self, dns: &Dns, _: &Call) -> Result<ServerPair, DnsError> {
        let stored = dns.engine().read(|state| Ok::<_, DnsError>(state.dns()?))?;
        Ok(ServerPair { primary: stored.primary, secondary: stored.secondary })
    }
}
