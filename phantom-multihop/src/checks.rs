//! What the doctor looks at for Multihop.

use std::path::Path;

use phantom_engine::{DoctorCheck, Examination, Finding, NETWORKD};
use phantom_host::reconcile::no_guards_file;
use phantom_store::StoreError;

use crate::barriers;
use crate::rows::MultihopState as _;
use crate::switch::SwitchContext;

/// The checks, in their places among those of Core.
pub(crate) const CHECKS: &[DoctorCheck] = &[
    DoctorCheck { name: "link_guard", order: 550, run: link_guard },
    DoctorCheck { name: "kill_switch", order: 560, run: kill_switch },
    DoctorCheck { name: "networkd", order: 1300, run: networkd },
];

/// What would take away rules that it did not make.
fn networkd(case: &Examination<'_>) -> Finding {
    match case.engine.host().files.info(Path::new(NETWORKD)) {
        Err(error) => case.silent(&error),
        Ok(None) => case.ok("systemd-networkd is not running", "systemd-networkd çalışmıyor"),
        Ok(Some(_)) => case.ok(
            "systemd-networkd is running: while Multihop is active a file tells it to leave our rules alone",
            "systemd-networkd çalışıyor: Multihop aktifken bir dosya ona kurallarımıza dokunmamasını söyler",
        ),
    }
}

/// What holds at an exit's interface without the packet filter.
fn link_guard(case: &Examination<'_>) -> Finding {
    let (host, paths) = (case.engine.host(), case.engine.paths());
    let interfaces = case.wanted.iter().flat_map(|wanted| &wanted.interfaces);
    let running = interfaces.filter(|(_, interface)| interface.running);
    let guards: Vec<_> =
        running.filter_map(|(name, interface)| Some((name, interface.guard.as_ref()?))).collect();
    if guards.is_empty() {
        return case.ok(
            "No exit is in use, so no interface needs a filter of its own",
            "Çıkış noktası kullanılmıyor, kendi filtresine gerek duyan bir arayüz de yok",
        );
    }
    match host.files.info(&no_guards_file(paths.run_dir())) {
        Err(error) => return case.silent(&error),
        Ok(Some(_)) => {
            let found = case.warning(
                "The exit's interface has no filter of its own, because this kernel lacks sch_ingress or cls_bpf: if \
                 somebody flushes the packet filter, inner addresses reach the exit, and the exit reaches this server",
                "Çekirdekte sch_ingress veya cls_bpf olmadığı için çıkış arayüzünün kendi filtresi yok: biri paket \
                 filtresini boşaltırsa iç adresler çıkış noktasına, çıkış noktası da bu sunucuya ulaşır",
            );
            return found.hint(case.pick(
                "Run: modprobe -a sch_ingress cls_bpf && phantom-api core restart_service",
                "Çalıştırın: modprobe -a sch_ingress cls_bpf && phantom-api core restart_service",
            ));
        }
        Ok(None) => {}
    }
    for (name, guard) in guards {
        match host.network.has_guard(name, guard) {
            Ok(true) => {}
            Err(error) if !error.is_absent() => return case.silent(&error),
            Ok(false) | Err(_) => {
                let found = case.problem(
                    format!("The filter of {name} itself is missing, or somebody has changed it"),
                    format!("{name} arayüzünün kendi filtresi eksik veya biri onu değiştirmiş"),
                );
                return found.hint(case.reconcile());
            }
        }
    }
    case.ok(
        "The exit's interface has a filter of its own beside the packet filter",
        "Çıkış arayüzünün paket filtresinin yanında kendi filtresi de var",
    )
}

/// What keeps clients from the server's own uplink. One wall that is missing is a problem although the others close: nothing
/// is left behind them.
fn kill_switch(case: &Examination<'_>) -> Finding {
    let engine = case.engine;
    let read =
        engine.store().read(|state| Ok::<_, StoreError>(state.multihop()?.and(state.exit_interface()?)));
    let (Ok(Some(interface)), Some(server), Some(wanted)) = (read, case.server, case.wanted) else {
        return case.ok(
            "No exit is in use, so nobody has to be kept from the server's own uplink",
            "Çıkış noktası kullanılmıyor, kimsenin sunucunun kendi çıkışından uzak tutulması gerekmiyor",
        );
    };
    let place = SwitchContext { server: server.clone(), interface };
    let barriers = barriers::look(engine.host(), engine.tags(), &place, wanted);
    if !barriers.wanted {
        return case.ok(
            "The kill switch is off: without the exit, clients leave by the server's own uplink",
            "Kill switch kapalı: çıkış yoksa istemciler sunucunun kendi çıkışını kullanır",
        );
    }
    if !barriers.missing.is_empty() {
        let list: Vec<&str> = barriers.missing.iter().map(|barrier| barrier.sentence(case.lang)).collect();
        // Sentences, each on a line of its own.
        let list = list.join("\n");
        let found = if barriers.closed {
            case.problem(
                format!("Clients are still kept from the server's own uplink, but not by everything that should:\n{list}"),
                format!("İstemciler hâlâ sunucunun kendi çıkışından uzak tutuluyor, ama bunu yapması gerekenlerin hepsi yerinde değil:\n{list}"),
            )
        } else {
            case.problem(
                format!("Nothing keeps clients from the server's own uplink:\n{list}"),
                format!("İstemcileri sunucunun kendi çıkışından uzak tutan bir şey yok:\n{list}"),
            )
        };
        return found.hint(case.reconcile());
    }
    match barriers.silent {
        Some(error) => case.silent(&error),
        None => case.ok(
            "Clients are kept from the server's own uplink, by the packet filter and by the routes",
            "İstemciler hem paket filtresiyle hem de rotalarla sunucunun kendi çıkışından uzak tutuluyor",
        ),
    }
}
