//! The check of what the server and the host's networks have in common: networks come and go after the setup.

use super::{Case, Finding};
use crate::subnet_check::listed;

pub(super) fn collisions(case: &Case<'_>) -> Finding {
    // Without an answer nothing would be found, whatever there is.
    if let Err(error) = case.engine.host().network.addresses() {
        return case.silent(&error);
    }
    let Some(stored) = case.stored() else {
        return case.ok("There is nothing to check before setup", "Kurulumdan önce denetlenecek bir şey yok");
    };
    let (subnet, conflicts) = (stored.server.subnet, &stored.conflicts);
    let list = listed(conflicts);
    let overlap = (!conflicts.is_empty()).then(|| {
        case.pick(
            format!("The VPN subnet {subnet} overlaps other networks of this host: {list}"),
            format!("VPN subneti {subnet} bu sunucunun başka ağlarıyla çakışıyor: {list}"),
        )
    });
    let withheld = stored.wanted.withheld.iter().map(|withheld| case.pick(&*withheld.en, &*withheld.tr));
    let all: Vec<String> = overlap.into_iter().chain(withheld).collect();
    if all.is_empty() {
        return case.ok(
            "Neither the VPN subnet nor the exit in use collides with this host",
            "Ne VPN subneti ne de kullanılan çıkış bu sunucuyla çakışıyor",
        );
    }
    let all = all.join("\n");
    let found =
        case.problem(format!("Collisions with this host: {all}"), format!("Bu sunucuyla çakışanlar: {all}"));
    let remedy = stored.wanted.withheld.first().filter(|_| conflicts.is_empty());
    found.hint(match remedy {
        Some(withheld) => withheld.remedy.get(case.lang).to_owned(),
        None => case.pick(
            "Give the VPN another subnet: phantom-api core change_subnet new_subnet=<subnet> confirm=true",
            "VPN'e başka bir subnet verin: phantom-api core change_subnet new_subnet=<subnet> confirm=true",
        ),
    })
}
