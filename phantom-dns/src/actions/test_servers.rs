//! `test_dns_servers`: asks servers and reports which answer.

use std::net::IpAddr;
use std::time::Duration;

use phantom_host::{DnsAnswer, Probe, ProbeError};
use phantom_module::{Action, Call, Effect, Lang, Text};
use phantom_types::Domain;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::probes::{ask, error_text};
use crate::{Dns, DnsError};

/// Asks DNS servers and reports which answer.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestServers {
    /// DNS servers to test
    #[serde(default)]
    #[schemars(extend("x-tr" = "Test edilecek DNS sunucuları"))]
    pub servers: Vec<String>,
    /// Domain to ask for
    #[serde(default = "google")]
    #[schemars(extend("x-tr" = "Test alan adı"))]
    pub domain: Domain,
}

/// Which servers answered.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TestReport {
    /// Every server passed, and none was skipped
    #[schemars(extend("x-tr" = "Tüm sunucular başarılı ve hiçbiri atlanmadı"))]
    pub all_passed: bool,
    /// Servers that were asked
    #[schemars(extend("x-tr" = "Sorgulanan sunucu sayısı"))]
    pub servers_tested: usize,
    /// In the order given
    #[schemars(extend("x-tr" = "Verilen sırayla"))]
    pub results: Vec<TestResult>,
    /// Entries that are no address; only when there are any
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-tr" = "Adres olmayan girdiler; yalnızca varsa"))]
    pub skipped: Vec<String>,
}

/// How one server did.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TestResult {
    /// The server
    #[schemars(extend("x-tr" = "Sunucu"))]
    pub server: IpAddr,
    /// It answered with an address
    #[schemars(extend("x-tr" = "Bir adresle yanıt verdi"))]
    pub success: bool,
    /// `OK`, `FAILED` (answered, no address), `TIMEOUT` or `ERROR` (not reachable)
    #[schemars(extend("x-tr" = "`OK`, `FAILED` (yanıt var, adres yok), `TIMEOUT` veya `ERROR` (ulaşılamıyor)"))]
    pub status: &'static str,
    /// Measured, in milliseconds; null without an answer
    #[schemars(extend("x-tr" = "Ölçülen süre, milisaniye; yanıt yoksa null"))]
    pub response_time_ms: Option<f64>,
    /// The domain that was asked for
    #[schemars(extend("x-tr" = "Sorgulanan alan adı"))]
    pub test_domain: Domain,
    /// Why it did not pass
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "Neden başarısız olduğu"))]
    pub error: Option<String>,
}

fn google() -> Domain {
    "google.com".parse().expect("it follows the rules of domains")
}

impl Action for TestServers {
    type Module = Dns;
    type Output = TestReport;
    type Error = DnsError;
    const NAME: &'static str = "test_dns_servers";
    const SUMMARY: Text = Text { en: "Test DNS servers", tr: "DNS sunucularını test et" };
    const EFFECT: Effect = Effect::Read;
    const EXAMPLE: &'static str = "servers=8.8.8.8,1.1.1.1 domain=example.com";
    const ERRORS: &'static [&'static str] = &["VALIDATION_ERROR"];

    fn run(self, dns: &Dns, call: &Call) -> Result<TestReport, DnsError> {
        let stored = dns.engine().read(|state| Ok::<_, DnsError>(state.dns()?))?;
        let (servers, skipped) = if self.servers.is_empty() {
            (vec![stored.primary, stored.secondary], Vec::new())
        } else {
            sort(self.servers)
        };
        if servers.is_empty() {
            return Err(DnsError::NoServers);
        }
        let probe = |server: &IpAddr| Probe { server: *server, domain: self.domain.clone() };
        let probes: Vec<Probe> = servers.iter().map(probe).collect();
        let answers = ask(dns.engine(), &probes);
        let results: Vec<TestResult> =
            probes.into_iter().zip(answers).map(|(probe, answer)| result(probe, answer, call.lang)).collect();
        Ok(TestReport {
            all_passed: skipped.is_empty() && results.iter().all(|result| result.success),
            servers_tested: results.len(),
            results,
            skipped,
        })
    }
}

/// Addresses, and what is none.
fn sort(entries: Vec<String>) -> (Vec<IpAddr>, Vec<String>) {
    let mut servers = Vec::new();
    let mut skipped = Vec::new();
    for entry in entries {
        match entry.parse() {
            Ok(address) => servers.push(address),
            Err(_) => skipped.push(entry),
        }
    }
    (servers, skipped)
}

fn result(probe: Probe, answer: Result<DnsAnswer, ProbeError>, lang: Lang) -> TestResult {
    let (status, elapsed) = match &answer {
        Ok(answer) => ("OK", Some(answer.elapsed)),
        Err(ProbeError::NoAddress { elapsed, .. }) => ("FAILED", Some(*elapsed)),
        Err(ProbeError::Timeout) => ("TIMEOUT", None),
        Err(_) => ("ERROR", None),
    };
    TestResult {
        server: probe.server,
        success: answer.is_ok(),
        status,
        response_time_ms: elapsed.map(milliseconds),
        test_domain: probe.domain,
        error: answer.err().map(|error| error_text(&error, lang)),
    }
}

/// Milliseconds with two decimals.
fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 100_000.0).round() / 100.0
}
