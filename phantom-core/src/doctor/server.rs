//! Checks of the server itself: who may read what, what is stored, what runs.

use std::path::{Path, PathBuf};

use phantom_engine::{EngineError, Foreign, explain, foreign_name, make_room};
use phantom_host::reconcile::{ApplyContext, foreign, observe, plan};
use phantom_host::{HostError, Port, Protocol, ServiceState};
use phantom_store::{CopyKind, StateCopy, StoreError};
use phantom_types::Spoken as _;

use super::{Case, Finding, filters};
use crate::status::{Holder, holder, unit_name};

/// How many steps are named.
const STEPS: usize = 3;

/// Secret paths with the most that their permissions may allow.
fn secret_paths(case: &Case<'_>) -> Vec<(PathBuf, u32)> {
    let paths = case.engine.paths();
    let mut found = vec![
        (paths.data_dir(), 0o700),
        (paths.database(), 0o600),
        (paths.certs_dir(), 0o700),
        (paths.exits_dir(), 0o700),
        (paths.backups_dir(), 0o700),
        (paths.logs_dir(), 0o700),
    ];
    let file =
        |stored: &super::Stored| phantom_engine::Installation::wireguard_file(&stored.server.interface);
    found.extend(case.stored().map(|stored| (file(stored), 0o600)));
    found
}

pub(super) fn permissions(case: &Case<'_>) -> Finding {
    let files = &case.engine.host().files;
    let info = |path: &Path| files.info(path).ok().flatten();
    let owner = info(case.engine.paths().root()).map(|info| info.uid);
    let open = |(path, mode): &(PathBuf, u32)| {
        let ours = |uid| uid == 0 || Some(uid) == owner;
        info(path).is_some_and(|info| info.mode & 0o777 & !mode != 0 || !ours(info.uid))
    };
    let open: Vec<String> = secret_paths(case)
        .iter()
        .filter(|one| open(one))
        .map(|(path, _)| path.display().to_string())
        .collect();
    if open.is_empty() {
        return case.ok("Only root can read what is secret", "Gizli verileri yalnızca root okuyabilir");
    }
    let list = open.join(", ");
    let found = case.warning(
        format!("Others can read or own what is secret: {list}"),
        format!("Gizli verileri başkaları okuyabiliyor veya sahipleri başkası: {list}"),
    );
    found.hint(case.pick(
        "The next change closes it, as does: phantom-api core reconcile",
        "Bir sonraki değişiklik veya şu komut kapatır: phantom-api core reconcile",
    ))
}

pub(super) fn stored_state(case: &Case<'_>) -> Finding {
    if case.reset_pending {
        let found = case.problem("A factory reset was cut short", "Factory reset yarıda kalmış");
        return found.hint(case.pick(
            "Finish it: /opt/phantom-wg/phantom/factory-reset.sh, or: phantom-api core reconcile",
            "Tamamlayın: /opt/phantom-wg/phantom/factory-reset.sh veya phantom-api core reconcile",
        ));
    }
    match case.stored {
        Ok(Some(stored)) if stored.contradictions.is_empty() => {
            case.ok("The stored state is readable and sound", "Kayıtlı durum okunabilir ve tutarlı")
        }
        Ok(Some(stored)) => {
            let each = stored.contradictions.iter().map(|one| one.get(case.lang));
            let list = each.collect::<Vec<_>>().join("; ");
            let found = case.problem(
                format!("The stored state contradicts itself: {list}"),
                format!("Kayıtlı durum kendisiyle çelişiyor: {list}"),
            );
            found.hint(restore(case))
        }
        Ok(None) => {
            let found = case.warning("The system is not set up", "Sistem kurulmamış");
            found.hint(case.pick("Run: phantom-api core setup", "Çalıştırın: phantom-api core setup"))
        }
        Err(error) => {
            let why = explain(error, case.lang);
            let found = case.problem(
                format!("The stored state cannot be read: {why}"),
                format!("Kayıtlı durum okunamıyor: {why}"),
            );
            match error {
                EngineError::Store(StoreError::Newer { .. }) => found.hint(case.pick(
                    "A newer version has written it: install that version again",
                    "Daha yeni bir sürüm yazmış: o sürümü yeniden kurun",
                )),
                _ => found.hint(restore(case)),
            }
        }
    }
}

fn restore(case: &Case<'_>) -> String {
    let copies = case.engine.store().copies().unwrap_or_default();
    // One that a restore has kept may be what was damaged.
    let regular = |copy: &&StateCopy| matches!(copy.kind, CopyKind::Daily | CopyKind::Upgrade);
    if let Some(newest) = copies.iter().find(regular) {
        let path = newest.path.display();
        return case.pick(
            format!("Restore the newest copy: phantom-api core restore path={path}"),
            format!("En yeni kopyayı geri yükleyin: phantom-api core restore path={path}"),
        );
    }
    // Never a plain copy of the file: the log beside the database would be taken for part of it.
    case.pick(
        "Restore a copy of your own: phantom-api core restore path=<copy>; or begin again: \
         /opt/phantom-wg/phantom/factory-reset.sh",
        "Kendi sakladığınız bir kopyayı geri yükleyin: phantom-api core restore path=<kopya>; veya baştan \
         başlayın: /opt/phantom-wg/phantom/factory-reset.sh",
    )
}

pub(super) fn service(case: &Case<'_>) -> Finding {
    let Some(server) = case.server() else { return not_yet(case) };
    let name = unit_name(server);
    let status = match case.engine.host().services.status(&name) {
        Ok(status) => status,
        Err(error) => return case.silent(&error),
    };
    let stopped = case.engine.installation().is_ok_and(|installation| !installation.runs(server));
    match status.state {
        ServiceState::Active => case.ok(format!("{name} is running"), format!("{name} çalışıyor")),
        _ if stopped => {
            let found =
                case.warning(format!("{name} was stopped by hand"), format!("{name} elle durdurulmuş"));
            found.hint(
                case.pick(
                    "Start it: phantom-api core start_service",
                    "Başlatın: phantom-api core start_service",
                ),
            )
        }
        _ => {
            let found = case.problem(format!("{name} is not running"), format!("{name} çalışmıyor"));
            found.hint(case.pick(
                "See why: phantom-api core service_logs; repair: phantom-api core reconcile",
                "Nedenine bakın: phantom-api core service_logs; onarın: phantom-api core reconcile",
            ))
        }
    }
}

pub(super) fn wireguard_port(case: &Case<'_>) -> Finding {
    let Some(server) = case.server() else { return free_port(case, 51_820) };
    let port = server.port;
    match holder(case.engine, server, port) {
        Ok(Holder::Ours) => {
            let well = case.ok(
                format!("WireGuard listens on UDP port {port}"),
                format!("WireGuard {port} UDP portunda dinliyor"),
            );
            // Where clients come in at another port, nobody outside is to reach it.
            if case.entrance().is_some() { well } else { filters::reached(case, Protocol::Udp, port, well) }
        }
        Ok(Holder::Another) => {
            let found = case.problem(
                format!("UDP port {port} is in use by another program"),
                format!("{port} UDP portu başka bir programın kullanımında"),
            );
            found.hint(case.pick(
                format!("See which: ss -ulpn 'sport = :{port}'"),
                format!("Hangisi olduğuna bakın: ss -ulpn 'sport = :{port}'"),
            ))
        }
        Ok(Holder::Silent(error)) => {
            let why = explain(&error, case.lang);
            let found = case.problem(
                format!("The WireGuard device does not answer: {why}"),
                format!("WireGuard aygıtı yanıt vermiyor: {why}"),
            );
            found.hint(case.pick(
                "Restart it: phantom-api core restart_service",
                "Yeniden başlatın: phantom-api core restart_service",
            ))
        }
        Ok(Holder::Nobody) => {
            let found = case.warning(
                format!("Nobody listens on UDP port {port}"),
                format!("{port} UDP portunda dinleyen yok"),
            );
            found.hint(case.pick(
                "Start the service: phantom-api core start_service",
                "Servisi başlatın: phantom-api core start_service",
            ))
        }
        Err(error) => case.silent(&error),
    }
}

/// Whether the port of a first setup is free.
fn free_port(case: &Case<'_>, port: u16) -> Finding {
    match case.engine.host().sockets.bound(Port { protocol: Protocol::Udp, number: port }) {
        Err(error) => case.silent(&error),
        Ok(false) => case.ok(format!("UDP port {port} is free"), format!("{port} UDP portu boş")),
        Ok(true) => {
            let found = case.warning(
                format!("UDP port {port} is in use by another program"),
                format!("{port} UDP portu başka bir programın kullanımında"),
            );
            found.hint(case.pick(
                "Choose another one: phantom-api core setup port=<port>",
                "Başka bir port seçin: phantom-api core setup port=<port>",
            ))
        }
    }
}

pub(super) fn host_in_sync(case: &Case<'_>) -> Finding {
    let Some(stored) = case.stored() else { return not_yet(case) };
    let engine = case.engine;
    let context = ApplyContext::new(engine.host(), engine.tags(), engine.paths().run_dir());
    let steps = observe(&context, &stored.wanted).and_then(|now| {
        let left = foreign(&now, &stored.wanted);
        Ok((plan(engine.tags(), &now, &stored.wanted)?, left))
    });
    let steps = match steps {
        Ok((_, left)) if !left.is_empty() => return not_ours(case, &left),
        other => other.map(|(steps, _)| steps),
    };
    match steps {
        Ok(steps) if steps.is_empty() => {
            case.ok("The host shows what is stored", "Sunucu kayıtlı durumla uyumlu")
        }
        Ok(steps) => {
            let named: Vec<&str> = steps.iter().take(STEPS).map(|step| step.target.as_str()).collect();
            let (count, list) = (steps.len(), named.join(", "));
            let found = case.warning(
                format!("Places where the host differs from what is stored: {count} ({list})"),
                format!("Sunucunun kayıtlı durumdan farklı olduğu yer sayısı: {count} ({list})"),
            );
            found.hint(case.reconcile())
        }
        Err(HostError::Foreign { object }) => {
            let error = HostError::Foreign { object };
            let found = case.problem(error.to_string(), error.turkish());
            found.hint(case.pick(
                "Move it away, then run: phantom-api core reconcile",
                "Onu oradan kaldırın, sonra çalıştırın: phantom-api core reconcile",
            ))
        }
        Err(error) => case.silent(&error),
    }
}

/// What is in the place of ours, with the commands that make room.
fn not_ours(case: &Case<'_>, left: &[Foreign]) -> Finding {
    let list: Vec<String> = left.iter().map(|object| foreign_name(object, case.lang)).collect();
    let list = list.join(", ");
    let found = case.problem(
        format!("In the place of ours and not ours: {list}"),
        format!("Bizimkinin yerinde duran ve bu sisteme ait olmayan: {list}"),
    );
    let commands: Vec<String> = left.iter().map(make_room).collect();
    let commands = commands.join("; ");
    found
        .hint(case.pick(format!("Make room for ours: {commands}"), format!("Bizimkine yer açın: {commands}")))
}

pub(super) fn unfinished_change(case: &Case<'_>) -> Finding {
    match case.engine.unfinished() {
        Ok(None) => case.ok("No change was cut short", "Yarıda kalmış bir değişiklik yok"),
        Ok(Some(change)) => {
            let (module, action, at) = (change.module, change.action, change.started_at);
            let found = case.problem(
                format!("{module} {action}, begun at {at}, was cut short and is not finished"),
                format!("{at} tarihinde başlayan {module} {action} yarıda kalmış ve tamamlanmamış"),
            );
            found.hint(case.reconcile())
        }
        Err(error) => {
            let why = explain(&error, case.lang);
            case.warning(format!("This could not be checked: {why}"), format!("Bu denetlenemedi: {why}"))
        }
    }
}

fn not_yet(case: &Case<'_>) -> Finding {
    case.ok("There is nothing to check before setup", "Kurulumdan önce denetlenecek bir şey yok")
}
