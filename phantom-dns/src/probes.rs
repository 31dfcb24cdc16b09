//! Asking servers.

use std::time::Duration;

use phantom_engine::Engine;
use phantom_host::{DnsAnswer, Probe, ProbeError};
use phantom_module::Lang;

/// How long each question has, all its attempts included.
const LIMIT: Duration = Duration::from_secs(3);

/// Asks all questions at once. A resolver that cannot work at all reaches no server.
pub(crate) fn ask(engine: &Engine, probes: &[Probe]) -> Vec<Result<DnsAnswer, ProbeError>> {
    let unreachable = |_| probes.iter().map(|_| Err(ProbeError::Unreachable)).collect();
    engine.host().resolver.probe(probes, LIMIT).unwrap_or_else(unreachable)
}

/// Why a probe did not pass, for people.
pub(crate) fn error_text(error: &ProbeError, lang: Lang) -> String {
    match error {
        ProbeError::NoAddress { rcode, .. } => match lang {
            Lang::En => format!("No address in the answer ({rcode})"),
            Lang::Tr => format!("Yanıtta adres yok ({rcode})"),
        },
        ProbeError::Timeout => {
            lang.pick("No answer within 3 seconds", "3 saniye içinde yanıt yok").to_owned()
        }
        _ => lang.pick("Server not reachable", "Sunucuya ulaşılamıyor").to_owned(),
    }
}
