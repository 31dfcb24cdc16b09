//! `reconcile`: compares the host with the stored state and brings it back (API 5.18).

use phantom_engine::{Foreign, Outcome, Recovered, Step, StepAction, StepKind, foreign_name};
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
        Outcome::Completed => "completed",
        Outcome::Undone => "undone",
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
        let object = self.object(step);
        let detail = match (step.action, lang) {
            // A service is updated for one reason alone.
            (StepAction::Update, Lang::En) if step.kind == StepKind::Service => {
                "Restart the service, which still runs an older program".to_owned()
            }
            (StepAction::Update, Lang::Tr) if step.kind == StepKind::Service => {
                "Hâlâ eski programı çalıştıran servisi yeniden başlat".to_owned()
            }
            (StepAction::Create, Lang::En) => format!("Add missing {object}"),
            (StepAction::Create, Lang::Tr) => format!("Eksik {object} ekle"),
            (StepAction::Update, Lang::En) => format!("Correct {object}"),
            (StepAction::Update, Lang::Tr) => format!("{object} düzelt"),
            (StepAction::Delete, Lang::En) => format!("Remove stale {object}"),
            (StepAction::Delete, Lang::Tr) => format!("Fazla {object} kaldır"),
        };
        StepReport { kind, action, target: step.target.clone(), detail, result }
    }

    fn object(&self, step: &Step) -> String {
        let lang = self.lang;
        let fixed = match step.kind {
            StepKind::Peer => {
                let name = step.owner.as_deref().unwrap_or(step.target.as_str());
                let interface = step.target.split(' ').next();
                let of_exit = self.main.as_ref().is_some_and(|main| interface != Some(main.as_str()));
                return match (of_exit, lang) {
                    (false, Lang::En) => format!("peer of client {name}"),
                    (false, Lang::Tr) => format!("{name} istemcisinin eşi"),
                    (true, Lang::En) => format!("peer of exit {name}"),
                    (true, Lang::Tr) => format!("{name} çıkışının eşi"),
                };
            }
            StepKind::File => lang.pick("file", "dosya"),
            StepKind::Link => lang.pick("interface", "arayüz"),
            StepKind::Address => lang.pick("address", "adres"),
            StepKind::Route => lang.pick("route", "rota"),
            StepKind::Rule => lang.pick("routing rule", "yönlendirme kuralı"),
            StepKind::Firewall => lang.pick("firewall rule", "güvenlik duvarı kuralı"),
            StepKind::Sysctl => lang.pick("kernel setting", "çekirdek ayarı"),
            StepKind::Service => lang.pick("service", "servis"),
        };
        fixed.to_owned()
    }
}
