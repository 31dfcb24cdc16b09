//! Checks of the packet filter and of those who share it.

use phantom_engine::filters::let_in;
use phantom_host::filter::LetIn;
use phantom_host::{FirewallKind, HostError, RulesetStatus, ServiceState, StuckRules};

use super::{Case, Finding, filters};

pub(super) fn packet_filter(case: &Case<'_>) -> Finding {
    let firewall = &case.engine.host().firewall;
    let name = match firewall.kind() {
        Ok(FirewallKind::Nftables) => "nftables",
        Ok(FirewallKind::Iptables) => "iptables",
        Err(HostError::Unsupported { .. } | HostError::NotInstalled { .. }) => {
            let found = case.problem("There is no packet filter", "Paket filtresi yok");
            return found.hint(case.pick("Install it: apt install nftables", "Kurun: apt install nftables"));
        }
        Err(error) => return case.silent(&error),
    };
    let Some(stored) = case.stored() else {
        return case.ok(format!("{name} is there"), format!("{name} var"));
    };
    match firewall.in_force(case.engine.tags(), &stored.wanted.firewall) {
        Err(error) => case.silent(&error),
        Ok(RulesetStatus::InSync) => in_force(case, name),
        Ok(RulesetStatus::Missing | RulesetStatus::Drifted) => {
            let found = case.problem(
                format!("The rules are not in force, or somebody has changed them ({name})"),
                format!("Kurallar yürürlükte değil veya biri onları değiştirmiş ({name})"),
            );
            found.hint(case.reconcile())
        }
    }
}

/// That all rules of ours are in force, with those that are in packet filters of others.
fn in_force(case: &Case<'_>, name: &str) -> Finding {
    match case.engine.host().firewall.stuck(case.engine.tags()) {
        Ok(stuck) if stuck.is_empty() => {}
        Ok(stuck) => return stuck_rules(case, &stuck),
        Err(error) => return case.silent(&error),
    }
    let place = |let_in: &LetIn| {
        let ports: Vec<_> = let_in.ports.iter().map(ToString::to_string).collect();
        format!("{} {}: {}", let_in.chain.table, let_in.chain.name, ports.join(", "))
    };
    let places: Vec<_> = match let_in(case) {
        Ok(list) => list.iter().map(place).collect(),
        Err(error) => return case.silent(error.as_ref()),
    };
    if places.is_empty() {
        return case.ok(format!("The rules are in force ({name})"), format!("Kurallar yürürlükte ({name})"));
    }
    let list = places.join("; ");
    case.ok(
        format!("The rules are in force ({name}), and accepts of ours open ports in packet filters of others ({list})"),
        format!("Kurallar yürürlükte ({name}); izin kurallarımız diğer paket filtrelerinde port açıyor ({list})"),
    )
}

/// Rules of ours that were of use once: what they let in is still let in.
fn stuck_rules(case: &Case<'_>, stuck: &[StuckRules]) -> Finding {
    let places: Vec<&str> = stuck.iter().map(|rules| rules.place.as_str()).collect();
    let commands: Vec<&str> = stuck.iter().map(|rules| rules.command.as_str()).collect();
    let (places, commands) = (places.join(", "), commands.join("; "));
    let found = case.warning(
        format!("Rules of Phantom-WG stay where nobody can take them out ({places})"),
        format!("Bazı Phantom-WG kuralları kaldırılamıyor ve yürürlükte kalıyor ({places})"),
    );
    found.hint(case.pick(format!("Run: {commands}"), format!("Çalıştırın: {commands}")))
}

pub(super) fn ufw(case: &Case<'_>) -> Finding {
    let rules = match case.engine.host().firewall.ufw(case.engine.tags()) {
        Ok(rules) => rules,
        Err(error) => return case.silent(&error),
    };
    let Some(rules) = rules.filter(|rules| rules.active) else {
        return case.ok("ufw is not active", "ufw aktif değil");
    };
    match case.stored() {
        Some(stored) if !rules.without_limited(&stored.wanted.ufw).is_subset(&rules.ours) => {
            let found = case.problem(
                "ufw is active and does not let the VPN through",
                "ufw aktif ve VPN'e izin vermiyor",
            );
            found.hint(case.reconcile())
        }
        Some(_) => case.ok("ufw is active and lets the VPN through", "ufw aktif ve VPN'e izin veriyor"),
        None => case.ok(
            "ufw is active: setup adds rules of its own to it",
            "ufw aktif: setup ona kendi kurallarını ekler",
        ),
    }
}

pub(super) fn docker(case: &Case<'_>) -> Finding {
    let links = match case.engine.host().network.links() {
        Ok(links) => links,
        Err(error) => return case.silent(&error),
    };
    if !links.iter().any(|link| link.name == "docker0") {
        return case.ok("Docker has no network here", "Docker'ın burada ağı yok");
    }
    let force = case
        .stored()
        .map(|stored| case.engine.host().firewall.in_force(case.engine.tags(), &stored.wanted.firewall));
    match force {
        Some(Ok(RulesetStatus::Missing | RulesetStatus::Drifted)) => {
            let found = case.problem(
                "Docker drops forwarded packets, and our rules beside its own are not complete",
                "Docker yönlendirilen paketleri düşürüyor ve onun yanındaki kurallarımız eksik",
            );
            found.hint(case.reconcile())
        }
        _ => case.ok(
            "Docker is there: rules of ours let the clients' packets pass beside its own",
            "Docker var: kurallarımız, onun kuralları varken de istemci paketlerinin geçmesini sağlar",
        ),
    }
}

pub(super) fn firewalld(case: &Case<'_>) -> Finding {
    match case.engine.host().services.status("firewalld") {
        Err(error) => case.silent(&error),
        Ok(status) if status.state != ServiceState::Active => {
            case.ok("firewalld is not active", "firewalld aktif değil")
        }
        Ok(_) if case.server().is_some() && !filters::closed_by_firewalld(case) => {
            case.ok("firewalld is active and lets the VPN through", "firewalld aktif ve VPN'e izin veriyor")
        }
        Ok(_) => {
            let interface = case.server().map_or("wg_main", |server| server.interface.as_str());
            let port = case.server().map_or(51_820, |server| server.port);
            let (en, tr) = (
                "firewalld is active and rejects packets of interfaces that it does not know",
                "firewalld aktif ve tanımadığı arayüzlerin paketlerini reddediyor",
            );
            let found = if case.server().is_some() { case.problem(en, tr) } else { case.warning(en, tr) };
            found.hint(case.pick(
                format!(
                    "Run: firewall-cmd --permanent --zone=trusted --add-interface={interface} && firewall-cmd \
                     --permanent --add-port={port}/udp && firewall-cmd --reload"
                ),
                format!(
                    "Çalıştırın: firewall-cmd --permanent --zone=trusted --add-interface={interface} && firewall-cmd \
                     --permanent --add-port={port}/udp && firewall-cmd --reload"
                ),
            ))
        }
    }
}
