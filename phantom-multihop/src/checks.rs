//! What the doctor looks at for Multihop.

use phantom_engine::{Check, Examination, Finding};
use phantom_host::reconcile::no_guards_file;

/// The checks, in their places among those of Core.
pub(crate) const CHECKS: &[Check] = &[Check { name: "link_guard", order: 550, run: link_guard }];

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
