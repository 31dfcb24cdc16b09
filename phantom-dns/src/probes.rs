//! Asking servers.

use std::time::Duration;

use phantom_engine::{Engine, EngineError};
use phantom_host::{Answer, Probe, ProbeError};
use phantom_module::Lang;

/// How long each question has, all its attempts included.
const LIMIT: Duration = Duration::from_secs(3);

/// Asks all questions at once.
pub(crate) fn ask(engine: &Engine, probes: &[Probe]) -> Result<Vec<Result<Answer, ProbeError>>, EngineError> {
    engine.host().resolver.probe(probes, LIMIT).map_err(|error| EngineError::Host {
        operation: "dns",
        source: Box::new(error.into()),
        rolled_back: true, // nothing is ever changed by asking
    })
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
