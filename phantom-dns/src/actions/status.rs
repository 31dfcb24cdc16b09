//! `status`: the DNS settings and their health.

use std::net::IpAddr;

use phantom_host::{DnsAnswer, Probe, ProbeError};
use phantom_module::{Action, Call, Effect, Lang, Text};
use phantom_types::Domain;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ServerPair;
use crate::probes::{ask, error_text};
use crate::{Dns, DnsError};

/// What both servers are asked for.
const DOMAINS: [&str; 2] = ["google.com", "cloudflare.com"];

/// Shows the DNS settings and whether the servers answer.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Status {}

/// The DNS settings and their health.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StatusReport {
    /// Always `standard`
    #[schemars(extend("x-tr" = "Her zaman `standard`"))]
    pub mode: &'static str,
    /// The stored pair
    #[schemars(extend("x-tr" = "Kayıtlı sunucu çifti"))]
    pub configuration: ServerPair,
    /// Whether the servers answer
    #[schemars(extend("x-tr" = "Sunucuların yanıt verip vermediği"))]
    pub health: Health,
}

/// Whether the servers answer.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Health {
    /// `healthy` when all probes passed, `degraded` when some did, `unavailable` when none did
    #[schemars(extend("x-tr" = "Tüm sorgular başarılıysa `healthy`, bir kısmı başarılıysa `degraded`, hiçbiri başarılı değilse `unavailable`"))]
    pub status: &'static str,
    /// Per server
    #[schemars(extend("x-tr" = "Sunucu başına"))]
    pub test_results: Vec<ServerTests>,
}

/// The probes of one server.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ServerTests {
    /// The server
    #[schemars(extend("x-tr" = "Sunucu"))]
    pub server: IpAddr,
    /// Per domain
    #[schemars(extend("x-tr" = "Alan adı başına"))]
    pub tests: Vec<DomainTest>,
}

/// One probe.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DomainTest {
    /// The domain
    #[schemars(extend("x-tr" = "Alan adı"))]
    pub domain: Domain,
    /// The first address answered, or false
    #[schemars(extend("x-tr" = "Yanıttaki ilk adres veya false"))]
    pub success: Outcome,
    /// The first address answered
    #[schemars(extend("x-tr" = "Yanıttaki ilk adres"))]
    pub response: Option<IpAddr>,
    /// Why it did not pass
    #[schemars(extend("x-tr" = "Neden başarısız olduğu"))]
    pub error: Option<String>,
}

/// The first address answered, or false.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Outcome {
    /// It passed: the first address.
    Address(IpAddr),
    /// It did not pass: always false.
    Failed(bool),
}

impl Action for Status {
    type Module = Dns;
    type Output = StatusReport;
    type Error = DnsError;
    const NAME: &'static str = "status";
    const SUMMARY: Text = Text { en: "DNS status", tr: "DNS durumu" };
    const EFFECT: Effect = Effect::Read;
    const EXAMPLE: &'static str = "";
    const ERRORS: &'static [&'static str] = &[];

    fn run(self, dns: &Dns, call: &Call) -> Result<StatusReport, DnsError> {
        let stored = dns.engine().read(|state| Ok::<_, DnsError>(state.dns()?))?;
        let pair = ServerPair { primary: stored.primary, secondary: stored.secondary };
        let servers = [pair.primary, pair.secondary];
        let domains = DOMAINS.iter().filter_map(|domain| domain.parse::<Domain>().ok());
        let domains: Vec<Domain> = domains.collect();
        let probes: Vec<Probe> = servers
            .iter()
            .flat_map(|server| domains.iter().map(|domain| Probe { server: *server, domain: domain.clone() }))
            .collect();
        let answers = ask(dns.engine(), &probes);
        let passed = answers.iter().filter(|answer| answer.is_ok()).count();
        let status = match passed {
            0 => "unavailable",
            n if n == answers.len() => "healthy",
            _ => "degraded",
        };
        let mut tests =
            domains.iter().cycle().zip(answers).map(|(domain, answer)| test(domain, answer, call.lang));
        let per_server = |server: &IpAddr| ServerTests {
            server: *server,
            tests: tests.by_ref().take(domains.len()).collect(),
        };
        let test_results = servers.iter().map(per_server).collect();
        Ok(StatusReport { mode: "standard", configuration: pair, health: Health { status, test_results } })
    }
}

fn test(domain: &Domain, answer: Result<DnsAnswer, ProbeError>, lang: Lang) -> DomainTest {
    let first = answer.as_ref().ok().and_then(|answer| answer.addresses.first().copied());
    DomainTest {
        domain: domain.clone(),
        success: first.map_or(Outcome::Failed(false), Outcome::Address),
        response: first,
        error: answer.err().map(|error| error_text(&error, lang)),
    }
}
