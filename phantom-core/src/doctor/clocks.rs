//! The check of the clients' clocks. WireGuard refuses a handshake that is older than the last one of the same peer (paper, 5.4.2): a
//! client whose clock is set back does not connect until its clock has caught up, and the server says nothing.

use phantom_store::{State, StoreError};
use phantom_types::{Backend, PublicKey};

use super::{Case, Finding};

/// So many clients are named.
const NAMED: usize = 10;

pub(super) fn client_clocks(case: &Case<'_>) -> Finding {
    let Some(server) = case.server() else {
        return case.ok("There is nothing to check before setup", "Kurulumdan önce denetlenecek bir şey yok");
    };
    if server.backend == Backend::Kernel {
        return case.ok(
            "The kernel's WireGuard does not tell whether a client's clock was set back: only the embedded device does",
            "Çekirdeğin WireGuard'ı bir istemcinin saatinin geri alındığını bildirmez: bunu yalnızca gömülü aygıt bildirir",
        );
    }
    let refused = match case.engine.host().wireguard.refused(&server.interface, server.backend) {
        Err(error) => return case.silent(&error),
        Ok(None) => {
            return case.ok(
                "Whether a client's clock was set back cannot be known while the device does not run",
                "Bir istemcinin saatinin geri alınıp alınmadığı, aygıt çalışmadığı için bilinemiyor",
            );
        }
        Ok(Some(refused)) => refused,
    };
    match names(case, &refused) {
        Err(error) => case.silent(&error),
        Ok(list) if list.is_empty() => {
            case.ok("No client's clock was set back", "Saati geri alınmış bir istemci yok")
        }
        Ok(list) => found(case, &list.join(", ")),
    }
}

fn found(case: &Case<'_>, list: &str) -> Finding {
    let found = case.warning(
        format!("The clocks of these clients were set back, so that WireGuard refuses them: {list}"),
        format!("Şu istemcilerin saati geri alınmış, bu yüzden WireGuard onları kabul etmiyor: {list}"),
    );
    found.hint(case.pick(
        "Set the clock of the client right. If it is right now and was ahead before, let the server forget: phantom-api core \
         restart_service (interrupts all clients for a moment)",
        "İstemcinin saatini doğru ayarlayın. Saat şimdi doğruysa ve önceden ileriyse sunucunun eski zamanı unutmasını sağlayın: \
         phantom-api core restart_service (tüm istemcilerin bağlantısı kısa süre kesilir)",
    ))
}

/// What the clients of these keys are called, the first [`NAMED`] of them. A peer that is no client has no name.
fn names(case: &Case<'_>, keys: &[PublicKey]) -> Result<Vec<String>, StoreError> {
    let stored = |state: &State<'_>| {
        let found = keys.iter().filter_map(|key| state.client_by_key(key).transpose());
        found.map(|client| client.map(|client| client.name.to_string())).collect::<Result<Vec<_>, _>>()
    };
    let mut names = case.engine.store().read(stored)?;
    names.sort();
    if names.len() > NAMED {
        names.truncate(NAMED);
        names.push("…".to_owned());
    }
    Ok(names)
}
