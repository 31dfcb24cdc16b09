//! `reconcile`: compares the host with the stored state and brings it back.

use phantom_engine::{Foreign, Recovered, RecoveryOutcome, Step, StepAction, StepKind, foreign_name};
use phantom_module::{Action, Call, Effect, Lang, Text};
use phantom_store::State;
use phantom_types::{InterfaceName, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Core, CoreError, origin};

/// Compares the host with the stored state and brings the host back to it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reconcile {
    /// Only show the steps
    #[serde(default)]
    #[schemars(extend("x-tr" = "Yalnızca adımları göster"))]
    pub dry_run: bool,
}

/// What was found and done.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ReconcileReport {
    /// Only the plan was made
    #[schemars(extend("x-tr" = "Yalnızca plan yapıldı"))]
    pub dry_run: bool,
    /// No step was needed
    #[schemars(extend("x-tr" = "Hiçbir adım gerekmedi"))]
    pub in_sync: bool,
    /// A step was applied
    #[schemars(extend("x-tr" = "Bir adım uygulandı"))]
    pub changed: bool,
    /// The steps, in order
    #[schemars(extend("x-tr" = "Sırasıyla adımlar"))]
    pub steps: Vec<StepReport>,
    /// The interrupted change that was finished first
    #[schemars(extend("x-tr" = "Önce tamamlanan yarım kalmış değişiklik"))]
    pub recovered: Option<RecoveredReport>,
    /// A sentence for people
    #[schemars(extend("x-tr" = "Kullanıcıya yönelik bir cümle"))]
    pub message: String,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StepReport {
    /// What it is about
    #[schemars(extend("x-tr" = "Neyle ilgili olduğu"))]
    pub kind: &'static str,
    /// What it does
    #[schemars(extend("x-tr" = "Ne yaptığı"))]
    pub action: &'static str,
    /// The object
    #[schemars(extend("x-tr" = "Üzerinde çalıştığı nesne"))]
    pub target: String,
    /// A sentence for people
    #[schemars(extend("x-tr" = "Kullanıcıya yönelik bir cümle"))]
    pub detail: String,
    /// `planned`, `applied` or `failed`
    #[schemars(extend("x-tr" = "`planned`, `applied` veya `failed`"))]
    pub result: &'static str,
}

/// An interrupted change.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RecoveredReport {
    /// Its module
    #[schemars(extend("x-tr" = "Modülü"))]
    pub module: String,
    /// Its action
    #[schemars(extend("x-tr" = "Eylemi"))]
    pub action: String,
    /// When it began
    #[schemars(extend("x-tr" = "Başlama zamanı"))]
    pub started_at: Timestamp,
    /// `completed`, `undone`, or `pending` with `dry_run`
    #[schemars(extend("x-tr" = "`completed`, `undone` veya `dry_run` ile `pending`"))]
    pub outcome: &'static str,
}

impl Action for Reconcile {
    type Module = Core;
    type Output = ReconcileReport;
    type Error = CoreError;
    const NAME: &'static str = "reconcile";
    const SUMMARY: Text = Text {
        en: "Compare the host with the stored state and repair it",
        tr: "Sunucuyu kayıtlı durumla karşılaştır ve onar",
    };
    const EFFECT: Effect = Effect::Change;
    const EXAMPLE: &'static str = "dry_run=true";
    const ERRORS: &'static [&'static str] = &["SERVICE_OPERATION_FAILED"];

    fn run(self, core: &Core, call: &Call) -> Result<ReconcileReport, CoreError> {
        let server = core.engine().store().read(State::server).ok().flatten();
        let words = Words { lang: call.lang, main: server.map(|server| server.interface) };
        let lang = call.lang;
        let done = if self.dry_run {
            core.engine().plan(Self::NAME)?
        } else {
            core.engine().reconcile(origin(Self::NAME), call).map_err(|failure| {
                let result = |at: usize| match at.cmp(&failure.taken) {
                    std::cmp::Ordering::Less => "applied",
                    std::cmp::Ordering::Equal => "failed",
                    std::cmp::Ordering::Greater => "planned",
                };
                if failure.steps.is_empty() {
                    return CoreError::Engine(failure.error);
                }
                let steps = failure
                    .steps
                    .iter()
                    .enumerate()
                    .map(|(at, step)| words.report(step, result(at)))
                    .collect();
                CoreError::Reconcile { steps, source: failure.error }
            })?
        };
        let result = if self.dry_run { "planned" } else { "applied" };
        let steps: Vec<StepReport> = done.steps.iter().map(|step| words.report(step, result)).collect();
        Ok(ReconcileReport {
            dry_run: self.dry_run,
            in_sync: steps.is_empty() && done.foreign.is_empty(),
            changed: !self.dry_run && !steps.is_empty(),
            message: message(self.dry_run, steps.len(), &done.foreign, lang),
            steps,
            recovered: done.recovered.map(|recovered| recovered_report(recovered, self.dry_run)),
        })
    }
}

fn recovered_report(recovered: Recovered, pending: bool) -> RecoveredReport {
    let outcome = match recovered.outcome {
        _ if pending => "pending",
        RecoveryOutcome::Completed => "completed",
        RecoveryOutcome::Undone => "undone",
    };
    RecoveredReport {
        module: recovered.module,
        action: recovered.action,
        started_at: recovered.started_at,
        outcome,
    }
}

fn message(dry_run: bool, steps: usize, foreign: &[Foreign], lang: Lang) -> String {
    let mut message = match (steps, dry_run) {
        (0, _) if !foreign.is_empty() => String::new(),
        (0, _) => lang.pick("Host matches the stored state", "Sunucu kayıtlı durumla uyumlu").to_owned(),
        (n, true) => format!("{}: {n}", lang.pick("Steps needed", "Gerekli adım sayısı")),
        (n, false) => format!("{}: {n}", lang.pick("Steps applied", "Uygulanan adım sayısı")),
    };
    if !foreign.is_empty() {
        if !message.is_empty() {
            message.push_str(". ");
        }
        let list: Vec<String> = foreign.iter().map(|object| foreign_name(object, lang)).collect();
        message += lang.pick(
            "Left as they are, since they do not belong to this system: ",
            "Bu sisteme ait olmadıkları için olduğu gibi bırakılanlar: ",
        );
        message += &list.join(", ");
    }
    message
}

/// The words for steps.
struct Words {
    lang: Lang,
    /// The server's own interface. Peers of another one are exits.
    main: Option<InterfaceName>,
}

/// The kind of an object, in the word of the API.
pub(super) fn kind_word(kind: StepKind) -> &'static str {
    match kind {
        StepKind::File => "file",
        StepKind::Link => "link",
        StepKind::Address => "address",
        StepKind::Peer => "peer",
        StepKind::Route => "route",
        StepKind::Rule => "rule",
        StepKind::Firewall => "firewall",
        StepKind::Sysctl => "sysctl",
        StepKind::Service => "service",
    }
}

impl Words {
    /// A step in the words of the API.
    fn report(&self, step: &Step, result: &'static str) -> StepReport {
        let lang = self.lang;
        let kind = kind_word(step.kind);
        let action = match step.action {
            StepAction::Create => "create",
            StepAction::Update => "update",
            StepAction::Delete => "delete",
        };
        let sentence = sentence(step.kind, step.action, self.is_exits(step));
        // A peer has the name of a client or of an exit, and nothing else has one.
        let detail = sentence.get(lang).replace("{name}", step.owner.as_deref().unwrap_or(&step.target));
        StepReport { kind, action, target: step.target.clone(), detail, result }
    }

    /// Whether a peer is an exit's.
    fn is_exits(&self, step: &Step) -> bool {
        let interface = step.target.split(' ').next();
        self.main.as_ref().is_some_and(|main| interface != Some(main.as_str()))
    }
}

/// What a step does: a whole sentence for each object, since Turkish has no noun that fits all of them.
const fn sentence(kind: StepKind, action: StepAction, of_exit: bool) -> Text {
    let [create, update, delete] = match kind {
        StepKind::Peer => of_peer(of_exit),
        StepKind::File => [
            text("Add missing file", "Eksik dosyayı ekle"),
            text("Correct file", "Dosyayı düzelt"),
            text("Remove stale file", "Fazla dosyayı kaldır"),
        ],
        StepKind::Link => [
            text("Add missing interface", "Eksik arayüzü ekle"),
            text("Correct interface", "Arayüzü düzelt"),
            text("Remove stale interface", "Fazla arayüzü kaldır"),
        ],
        StepKind::Address => [
            text("Add missing address", "Eksik adresi ekle"),
            text("Correct address", "Adresi düzelt"),
            text("Remove stale address", "Fazla adresi kaldır"),
        ],
        StepKind::Route => [
            text("Add missing route", "Eksik rotayı ekle"),
            text("Correct route", "Rotayı düzelt"),
            text("Remove stale route", "Fazla rotayı kaldır"),
        ],
        StepKind::Rule => [
            text("Add missing routing rule", "Eksik yönlendirme kuralını ekle"),
            text("Correct routing rule", "Yönlendirme kuralını düzelt"),
            text("Remove stale routing rule", "Fazla yönlendirme kuralını kaldır"),
        ],
        StepKind::Firewall => [
            text("Add missing firewall rule", "Eksik güvenlik duvarı kuralını ekle"),
            text("Correct firewall rule", "Güvenlik duvarı kuralını düzelt"),
            text("Remove stale firewall rule", "Fazla güvenlik duvarı kuralını kaldır"),
        ],
        StepKind::Sysctl => [
            text("Add missing kernel setting", "Eksik çekirdek ayarını ekle"),
            text("Correct kernel setting", "Çekirdek ayarını düzelt"),
            text("Remove stale kernel setting", "Fazla çekirdek ayarını kaldır"),
        ],
        // A service is updated for one reason alone.
        StepKind::Service => [
            text("Add missing service", "Eksik servisi ekle"),
            text(
                "Restart the service, which still runs an older program",
                "Hâlâ eski programı çalıştıran servisi yeniden başlat",
            ),
            text("Remove stale service", "Fazla servisi kaldır"),
        ],
    };
    match action {
        StepAction::Create => create,
        StepAction::Update => update,
        StepAction::Delete => delete,
    }
}

/// The sentences of a peer, which is a client or an exit.
const fn of_peer(of_exit: bool) -> [Text; 3] {
    if of_exit {
        return [
            text("Add missing peer of exit {name}", "{name} çıkışının eksik eşini ekle"),
            text("Correct peer of exit {name}", "{name} çıkışının eşini düzelt"),
            text("Remove stale peer of exit {name}", "{name} çıkışının fazla eşini kaldır"),
        ];
    }
    [
        text("Add missing peer of client {name}", "{name} istemcisinin eksik eşini ekle"),
        text("Correct peer of client {name}", "{name} istemcisinin eşini düzelt"),
        text("Remove stale peer of client {name}", "{name} istemcisinin fazla eşini kaldır"),
    ]
}

const fn text(en: &'static str, tr: &'static str) -> Text {
    Text { en, tr }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No noun is put into a sentence that is not its own: each object has whole sentences, and they are those of the table.
    #[test]
    fn every_step_is_worded_in_both_languages() {
        let table = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/texts.json");
        let table: serde_json::Value = serde_json::from_slice(&std::fs::read(table).unwrap()).unwrap();
        let kinds = [
            StepKind::File,
            StepKind::Link,
            StepKind::Address,
            StepKind::Peer,
            StepKind::Route,
            StepKind::Rule,
            StepKind::Firewall,
            StepKind::Sysctl,
            StepKind::Service,
        ];
        let mut said = Vec::new();
        for kind in kinds {
            for action in [StepAction::Create, StepAction::Update, StepAction::Delete] {
                let all = if kind == StepKind::Peer { vec![false, true] } else { vec![false] };
                said.extend(all.into_iter().map(|of_exit| sentence(kind, action, of_exit)));
            }
        }
        for Text { en, tr } in &said {
            assert!(
                tr.ends_with("ekle")
                    || tr.ends_with("düzelt")
                    || tr.ends_with("kaldır")
                    || tr.ends_with("başlat")
            );
            let rows = table.as_object().unwrap().values();
            // A service is updated for a reason of its own, which is a text beside the chapter's.
            let known =
                rows.into_iter().any(|row| row["en"] == *en && row["tr"] == *tr) || tr.ends_with("başlat");
            assert!(known, "{en}");
        }
        assert_eq!(said.len(), 30);
    }
}
