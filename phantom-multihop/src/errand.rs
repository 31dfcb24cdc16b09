//! What the monitor has done for it. Only the whole program knows what all modules want of the host, and may change it.
//!
//! Under systemd the monitor may do next to nothing: it asks by a file in a folder of its own, a unit that waits for this file
//! does the errand, and its result is a file in the same folder. Elsewhere nobody waits for files, and the monitor runs the
//! program. The words are the same: `turn nl from=uk since=1757380307000000`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use phantom_engine::{Engine, HookError, Installation};
use phantom_host::Command;
use phantom_module::{Call, chain};
use phantom_types::{ExitName, Timestamp};

use crate::failover::{WAITS, failover, probe_exit};
use crate::rows::MultihopState as _;
use crate::{MultihopError, origin};

/// What a change itself may take beside what it waits for: the host with very many clients, another change that was cut short
/// and is finished first, and the way back when the exit does not answer. It is ended behind this only if it hangs.
const WORK: Duration = Duration::from_mins(1);
/// How long an errand has. It must not be ended before: it would be cut in the middle.
pub(crate) const LIMIT: Duration = WAITS.saturating_add(WORK);
/// How long a request may stay. The unit that waits for it takes it at once, unless it is missing or still does another one.
const TAKEN: Duration = Duration::from_secs(15);
/// From one look for a result to the next.
const PAUSE: Duration = Duration::from_millis(50);
/// The verb by which the unit does what the file says.
pub(crate) const VERB: &str = "errand";
/// The verb of an errand that brings the host to the stored state.
const RECONCILE: &str = "reconcile";
/// How a result says that the errand was done.
const DONE: &str = "done";

/// Something that is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Errand {
    /// Switch to an exit.
    Turn(Turn),
    /// Try an exit beside the one in use.
    Try(ExitName),
    /// Bring the host to the stored state.
    Reconcile,
}

/// A switch to an exit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    /// The exit that is to be used.
    pub(crate) to: ExitName,
    /// The exit that it is to take the place of, and since when that one has been enabled. Where it is otherwise by now, somebody
    /// has decided something else, and nothing is changed. A monitor of an older version does not say it.
    pub(crate) from: Option<(ExitName, Timestamp)>,
}

impl fmt::Display for Errand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Turn(Turn { to, from: None }) => write!(f, "turn {to}"),
            Self::Turn(Turn { to, from: Some((from, since)) }) => {
                write!(f, "turn {to} from={from} since={}", since.micros())
            }
            Self::Try(exit) => write!(f, "try {exit}"),
            Self::Reconcile => f.write_str(RECONCILE),
        }
    }
}

impl Turn {
    /// What the words behind `turn` say.
    pub(crate) fn read(words: &str) -> Option<Self> {
        let words: Vec<&str> = words.split_whitespace().collect();
        let (to, from) = match words[..] {
            [to] => (to, None),
            [to, from, since] => {
                let since = since.strip_prefix("since=")?.parse().ok()?;
                (to, Some((from.strip_prefix("from=")?.parse().ok()?, Timestamp::from_micros(since))))
            }
            _ => return None,
        };
        Some(Self { to: to.parse().ok()?, from })
    }
}

impl Errand {
    fn read(text: &str) -> Option<Self> {
        match text.split_once(' ') {
            None => (text == RECONCILE).then_some(Self::Reconcile),
            Some(("turn", words)) => Turn::read(words).map(Self::Turn),
            Some(("try", exit)) => exit.parse().ok().map(Self::Try),
            Some(_) => None,
        }
    }

    /// The command that does it.
    fn command(&self, installation: &Installation) -> Command {
        if *self == Self::Reconcile {
            return installation.tool(&["--compact", "core", "reconcile"]);
        }
        let text = self.to_string();
        let words: Vec<&str> = ["service"].into_iter().chain(text.split(' ')).collect();
        installation.tool(&words)
    }

    fn run(&self, engine: &Engine, call: &Call) -> Result<(), HookError> {
        match self {
            Self::Turn(order) => failover(engine, call, order).map_err(HookError::action),
            Self::Try(exit) => probe_exit(engine, call, exit).map_err(HookError::action),
            Self::Reconcile => {
                // Without an exit the unit that this runs in would be taken away by it.
                if !engine
                    .read(|state| Ok::<_, MultihopError>(state.multihop_active()?))
                    .map_err(HookError::action)?
                {
                    return Ok(());
                }
                engine
                    .reconcile(origin(RECONCILE), call)
                    .map(drop)
                    .map_err(|failure| HookError::action(failure.error))
            }
        }
    }
}

/// The monitor's own folder.
pub(crate) fn folder(installation: &Installation) -> PathBuf {
    PathBuf::from("/run").join(installation.unit_name("phantom-multihop"))
}

/// The file by which the monitor asks: a number, and the errand.
pub(crate) fn request_file(installation: &Installation) -> PathBuf {
    folder(installation).join("request")
}

/// The file with what came of it: the number, and how it ended.
fn result_file(installation: &Installation) -> PathBuf {
    folder(installation).join("result")
}

/// How errands are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errands {
    /// By programs that the monitor runs.
    Run,
    /// By a unit that waits for the monitor's file.
    Ask,
}

impl Errands {
    /// Has it done, and says whether it was.
    pub(crate) fn have_done(self, engine: &Engine, errand: &Errand) -> bool {
        let Ok(installation) = engine.installation() else { return false };
        match self {
            Self::Run => engine.host().services.run(&errand.command(&installation), LIMIT).is_ok(),
            Self::Ask => ask(engine, &installation, errand).is_some_and(|done| done),
        }
    }
}

/// Asks by the file, and waits for the result; `None` when there was none in time.
fn ask(engine: &Engine, installation: &Installation, errand: &Errand) -> Option<bool> {
    let (files, clock) = (&engine.host().files, &engine.host().clock);
    let (request, result) = (request_file(installation), result_file(installation));
    // A monitor that was started again must not take the result of the one before for its own.
    let number = clock.now().micros().to_string();
    files.make_dir(&folder(installation), 0o700).ok()?;
    files.write(&request, format!("{number} {errand}\n").as_bytes(), 0o600).ok()?;
    let began = clock.monotonic();
    loop {
        let found = files.read(&result).ok().flatten();
        let text = found.as_deref().and_then(|found| std::str::from_utf8(found).ok()).unwrap_or_default();
        if let Some((of, how)) = text.trim_end().split_once(' ')
            && of == number
        {
            let _ = files.remove(&result);
            return Some(how == DONE);
        }
        let waited = clock.monotonic().saturating_sub(began);
        let taken = || files.info(&request).is_ok_and(|found| found.is_none());
        if waited >= LIMIT || (waited >= TAKEN && !taken()) {
            // Nobody is to do it later, when it may be wrong.
            let _ = files.remove(&request);
            return None;
        }
        clock.sleep(PAUSE);
    }
}

/// Does what the monitor asks for, and leaves the result where the monitor reads it.
pub(crate) fn serve(engine: &Engine, call: &Call) -> Result<(), HookError> {
    let installation = engine.installation().map_err(HookError::failed)?;
    let (files, request) = (&engine.host().files, request_file(&installation));
    let Some(content) = files.read(&request).map_err(HookError::failed)? else { return Ok(()) };
    // First of all: as long as the file is there, this is started again.
    files.remove(&request).map_err(HookError::failed)?;
    let text = String::from_utf8_lossy(&content);
    let Some((number, errand)) = text.trim_end().split_once(' ').filter(|(number, _)| is_number(number))
    else {
        return Err(HookError::Usage);
    };
    let done = Errand::read(errand).map_or(Err(HookError::Usage), |errand| errand.run(engine, call));
    let how = done.as_ref().map_or_else(|error| format!("failed: {}", chain(error)), |()| DONE.to_owned());
    let told = files.write(&result_file(&installation), format!("{number} {how}\n").as_bytes(), 0o600);
    done.and(told.map_err(HookError::failed))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errand_round_trips() {
        let exit = |name: &str| name.parse::<ExitName>().unwrap();
        let since = Timestamp::from_micros(1_757_380_307_000_000);
        for (errand, text) in [
            (Errand::Turn(Turn { to: exit("nl"), from: None }), "turn nl"),
            (
                Errand::Turn(Turn { to: exit("nl"), from: Some((exit("uk"), since)) }),
                "turn nl from=uk since=1757380307000000",
            ),
            (Errand::Try(exit("uk")), "try uk"),
            (Errand::Reconcile, "reconcile"),
        ] {
            assert_eq!((errand.to_string().as_str(), Errand::read(text)), (text, Some(errand)));
        }
    }

    #[test]
    fn incomplete_or_excessive_errand_is_refused() {
        for text in [
            "",
            "turn",
            "turn ",
            "try",
            "try a b",
            "reconcile now",
            "turn nl from=uk",
            "turn nl since=1 from=uk",
            "turn nl from=uk since=",
            "turn nl from=uk since=1 x",
            "turn ../x",
            "setup",
            "service turn nl",
        ] {
            assert_eq!(Errand::read(text), None, "{text}");
        }
    }

    #[test]
    fn errand_outlasts_its_waits() {
        assert!(LIMIT >= WAITS + Duration::from_secs(30));
        // Its unit is ended by systemd after this long (`TimeoutStartSec`).
        assert!(LIMIT < Duration::from_mins(3));
    }
}
