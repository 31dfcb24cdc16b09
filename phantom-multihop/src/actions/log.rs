//! `get_session_log`: the log of the current or last session.

use phantom_module::{Action, Call, Effect, Lang, Text};
use phantom_types::{ExitName, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::MonitorStatus;
use crate::model::SessionRecord;
use crate::rows::MultihopState as _;
use crate::state::monitor_status;
use crate::{Level, Multihop, MultihopError, SessionEvent};

/// Shows the log of the current or last session.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetSessionLog {
    /// Number of log lines
    #[serde(default = "fifty")]
    #[schemars(range(min = 1, max = 10_000), extend("x-tr" = "Günlük satır sayısı"))]
    pub lines: u32,
}

/// The log of a session.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SessionLog {
    /// Multihop is enabled
    #[schemars(extend("x-tr" = "Multihop etkin"))]
    pub active_session: bool,
    /// There is a log
    #[schemars(extend("x-tr" = "Günlük var"))]
    pub log_exists: bool,
    /// The exit of the session, while it is active
    #[schemars(extend("x-tr" = "Etkin oturumun çıkış noktası"))]
    pub active_exit: Option<ExitName>,
    /// The monitor of the exit
    #[schemars(extend("x-tr" = "Çıkış noktası izleyicisi"))]
    pub monitor_status: MonitorStatus,
    /// The records as lines, newest last
    #[schemars(extend("x-tr" = "Satır olarak kayıtlar, en yenisi sonda"))]
    pub log_lines: Vec<LogLine>,
    /// The same records with all that is known of them
    #[schemars(extend("x-tr" = "Aynı kayıtlar, bilinen her şeyle"))]
    pub logs: Vec<LogRecord>,
    /// How many records the log has
    #[schemars(extend("x-tr" = "Günlükteki kayıt sayısı"))]
    pub total_lines: u32,
    /// How many of them are shown
    #[schemars(extend("x-tr" = "Gösterilen kayıt sayısı"))]
    pub displayed_lines: usize,
    /// A sentence for people; only when no session is active
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "Kullanıcıya yönelik bir cümle; yalnızca etkin oturum yokken"))]
    pub message: Option<&'static str>,
}

/// A record as a line.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LogLine {
    /// Its time of day, `HH:MM:SS`
    #[schemars(extend("x-tr" = "Saati, `saat:dakika:saniye` biçiminde"))]
    pub timestamp: Option<String>,
    /// A sentence for people
    #[schemars(extend("x-tr" = "Kullanıcıya yönelik bir cümle"))]
    pub message: String,
    /// How much it matters
    #[schemars(extend("x-tr" = "Önemi"))]
    pub level: Level,
}

/// A record.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LogRecord {
    /// When it happened
    #[schemars(with = "String", extend("x-tr" = "Zamanı"))]
    pub timestamp: Timestamp,
    /// Through which exit
    #[schemars(extend("x-tr" = "Çıkış noktası"))]
    pub exit_name: ExitName,
    /// What happened
    #[schemars(extend("x-tr" = "Olay"))]
    pub event: String,
    /// A sentence for people
    #[schemars(extend("x-tr" = "Kullanıcıya yönelik bir cümle"))]
    pub details: String,
}

fn fifty() -> u32 {
    50
}

impl Action for GetSessionLog {
    type Module = Multihop;
    type Output = SessionLog;
    type Error = MultihopError;
    const NAME: &'static str = "get_session_log";
    const SUMMARY: Text = Text { en: "Show the session log", tr: "Oturum günlüğünü al" };
    const EFFECT: Effect = Effect::Read;
    const EXAMPLE: &'static str = "lines=100";
    const ERRORS: &'static [&'static str] = &[];

    fn run(self, multihop: &Multihop, call: &Call) -> Result<SessionLog, MultihopError> {
        let engine = multihop.engine();
        let (stored, records, total_lines) = engine.read(|state| {
            let records = state.session_records(self.lines)?;
            Ok::<_, MultihopError>((state.multihop()?, records, state.session_length()?))
        })?;
        let installation = engine.installation()?;
        let none = call.lang.pick("No active multihop session", "Aktif multihop oturumu yok");
        Ok(SessionLog {
            active_session: stored.is_some(),
            log_exists: total_lines > 0,
            message: stored.is_none().then_some(none),
            active_exit: stored.map(|stored| stored.active_exit),
            monitor_status: monitor_status(engine, &installation),
            log_lines: records.iter().map(|record| line(record, call.lang)).collect(),
            displayed_lines: records.len(),
            logs: records.into_iter().map(|record| full(record, call.lang)).collect(),
            total_lines,
        })
    }
}

/// The sentence of a record; of an event that this version does not know, its word.
fn sentence(record: &SessionRecord, lang: Lang) -> String {
    SessionEvent::of_record(record).map_or_else(|| record.event.clone(), |event| event.sentence(lang))
}

fn line(record: &SessionRecord, lang: Lang) -> LogLine {
    let time = record.at.date_and_time();
    LogLine {
        timestamp: time.split_once(' ').map(|(_, time)| time.to_owned()),
        message: sentence(record, lang),
        level: SessionEvent::of_record(record).map_or(Level::Info, |event| event.level()),
    }
}

fn full(record: SessionRecord, lang: Lang) -> LogRecord {
    LogRecord {
        timestamp: record.at,
        details: sentence(&record, lang),
        exit_name: record.exit,
        event: record.event,
    }
}
