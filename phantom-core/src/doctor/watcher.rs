//! Checks of the watcher, which puts back what somebody removes.

use std::time::Duration;

use phantom_engine::Installation;
use phantom_types::{Said, Timestamp, quoted};
use serde::Deserialize;

use super::{Case, Finding};

/// The most of a report that is read, in bytes: the folder is another user's.
const REPORT_MAX: usize = 64 << 10;
/// The most of the file that says when it looked last.
const LOOKED_MAX: usize = 64;
/// A watcher that has not looked for so long does not look: it says so every half minute to a minute and a half.
const SILENT: Duration = Duration::from_mins(3);

/// What the watcher writes down.
#[derive(Default, Deserialize)]
struct Report {
    #[serde(default)]
    removed_again_and_again: Vec<Fight>,
}

/// An object that somebody keeps removing.
#[derive(Deserialize)]
struct Fight {
    object: String,
    /// A watcher of before has English words alone.
    object_tr: Option<String>,
    times: u32,
}

impl Fight {
    fn said(&self) -> Said {
        Said::new(self.object.clone(), self.object_tr.clone().unwrap_or_else(|| quoted(&self.object)))
    }
}

/// What is said of a watcher whose process is there and does not look.
fn silent_since(case: &Case<'_>, installation: &Installation, pid: Option<u32>) -> Option<Finding> {
    let host = case.engine.host();
    let looked =
        host.files.read_of_others(&installation.watcher_dir().join("looked"), LOOKED_MAX).ok().flatten()?;
    let looked: i64 = std::str::from_utf8(&looked).ok()?.parse().ok()?;
    let age = host.clock.now().since(Timestamp::from_micros(looked));
    if age <= SILENT {
        return None;
    }
    let (minutes, pid) = (age.as_secs() / 60, pid.unwrap_or_default());
    let found = case.problem(
        format!("phantom-watch (process {pid}) has not looked at the host for {minutes} minutes"),
        format!("phantom-watch (işlem {pid}) {minutes} dakikadır sunucuya bakmıyor"),
    );
    let command = format!("kill -KILL {pid}; phantom-api core reconcile");
    Some(found.hint(case.pick(format!("Run: {command}"), format!("Çalıştırın: {command}"))))
}

pub(super) fn watcher(case: &Case<'_>) -> Finding {
    if case.server().is_none() {
        return case.ok(
            "There is nothing to watch before the first setup",
            "İlk kurulumdan önce izlenecek bir şey yok",
        );
    }
    // Another check says that the stored state cannot be read.
    let Ok(installation) = case.engine.installation() else {
        return case.ok("There is nothing to watch", "İzlenecek bir şey yok");
    };
    if !installation.has_watcher() {
        let found = case.warning(
            "phantom-watch is not installed: what somebody removes from the host comes back with the next change only",
            "phantom-watch kurulu değil: sunucudan silinenler ancak bir sonraki değişiklikte geri gelir",
        );
        return found.hint(case.pick(
            format!("Put it where phantom-api is: {}", installation.programs.watch.display()),
            format!("phantom-api'nin bulunduğu yere koyun: {}", installation.programs.watch.display()),
        ));
    }
    let host = case.engine.host();
    let unit = installation.unit_name("phantom-watch");
    match host.services.status(&unit) {
        Err(error) => return case.silent(&error),
        Ok(status) if status.pid.is_none() => {
            let found = case.problem(
                format!("The service {unit} does not run: what somebody removes from the host stays removed"),
                format!("{unit} servisi çalışmıyor: sunucudan silinenler geri gelmez"),
            );
            return found.hint(
                case.pick("Run: phantom-api core reconcile", "Çalıştırın: phantom-api core reconcile"),
            );
        }
        Ok(status) => {
            if let Some(found) = silent_since(case, &installation, status.pid) {
                return found;
            }
        }
    }
    let report =
        host.files.read_of_others(&installation.watcher_dir().join("report.json"), REPORT_MAX).ok().flatten();
    let report: Report = report.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let fights: Vec<String> = report
        .removed_again_and_again
        .iter()
        .map(|fight| format!("{} ({}×)", fight.said().get(case.lang), fight.times))
        .collect();
    if fights.is_empty() {
        return case
            .ok("What somebody removes from the host is put back", "Sunucudan silinenler yerine konuyor");
    }
    let list = fights.join(", ");
    let found = case.warning(
        format!("Something keeps removing what was put back: {list}"),
        format!("Bir şey, yerine konanları silip duruyor: {list}"),
    );
    found.hint(case.pick(
        format!("Find out what it is; each repair is in the journal: journalctl -u {unit}"),
        format!("Bunun ne olduğunu bulun; her onarım günlüktedir: journalctl -u {unit}"),
    ))
}
