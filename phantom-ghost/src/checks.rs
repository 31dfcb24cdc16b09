//! What the doctor looks at for Ghost Mode.

use phantom_engine::{Check, Examination, Finding, filters};
use phantom_host::{Port, Protocol};

use crate::PORT;

/// The checks, in their places among those of Core.
pub(crate) const CHECKS: &[Check] = &[Check { name: "https_port", order: 850, run: https_port }];

fn https_port(case: &Examination<'_>) -> Finding {
    let bound = match case.engine.host().sockets.bound(Port { protocol: Protocol::Tcp, number: PORT }) {
        Ok(bound) => bound,
        Err(error) => return case.silent(&error),
    };
    let on = case.engine.store().read(phantom_store::State::ghost_active).unwrap_or(false);
    match (on, bound) {
        (true, true) => {
            let well = case.ok("The tunnel listens on TCP port 443", "Tünel 443 TCP portunda dinliyor");
            filters::reached(case, Protocol::Tcp, PORT, well)
        }
        (true, false) => {
            let found = case.problem(
                "Ghost Mode is active, and nobody listens on TCP port 443",
                "Ghost Mode aktif, ama 443 TCP portunda dinleyen yok",
            );
            found.hint(case.pick("Run: phantom-api ghost status", "Çalıştırın: phantom-api ghost status"))
        }
        (false, true) => case.ok(
            "TCP port 443 is in use by another program: Ghost Mode would need it",
            "443 TCP portu başka bir programın kullanımında: Ghost Mode bu porta gerek duyar",
        ),
        (false, false) => case.ok("TCP port 443 is free for Ghost Mode", "443 TCP portu Ghost Mode için boş"),
    }
}
