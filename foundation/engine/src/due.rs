//! What is to be done at its time although nobody changes anything.

use phantom_module::{Call, chain};
use phantom_store::StoreError;
use phantom_types::{Said, Timestamp};

use crate::Engine;

/// How long a copy that could not be replaced waits for the next attempt: an hour, in microseconds. Each attempt may fill a disk.
const COPY_AGAIN: i64 = 3_600_000_000;
/// The same for what a module could not do: a minute.
const WORK_AGAIN: i64 = 60_000_000;

/// How long after everything was compared it is compared again: ten minutes, in microseconds. The watcher does not see peers that
/// somebody removes from a device, and files that it may not read.
const SWEEP: i64 = 600_000_000;

/// When something is next to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Due {
    /// Comparing everything.
    sweep: Option<Timestamp>,
    /// By modules.
    work: Option<Timestamp>,
    /// With copies of the stored state.
    copies: Option<Timestamp>,
}

impl Due {
    fn first(self) -> Option<Timestamp> {
        self.work.into_iter().chain(self.copies).chain(self.sweep).min()
    }
    /// What has come until `now` waits from now on for its next attempt.
    fn put_off(self, now: Timestamp) -> Self {
        let later =
            |due: Option<Timestamp>, pause: i64| {
                due.map(|due| {
                    if due <= now { Timestamp::from_micros(now.micros().saturating_add(pause)) } else { due }
                })
            };
        Self {
            sweep: later(self.sweep, SWEEP),
            work: later(self.work, WORK_AGAIN),
            copies: later(self.copies, COPY_AGAIN),
        }
    }
}

impl Engine {
    /// Tells the watcher when something is next to be done by itself. The caller holds the lock.
    pub(crate) fn tell_due(&self) {
        self.say_due(self.due().map(Due::first));
    }

    /// Does what is due, and tells the watcher what comes next. Nothing of it counts for whoever called: what could not be done is
    /// in the log, and is tried again.
    pub(crate) fn do_what_is_due(&self, call: &Call) {
        let now = self.host.clock.now();
        let has_come = |due: Option<Timestamp>| due.is_some_and(|due| due <= now);
        // Where it cannot be read, the repair has said so.
        let Ok(due) = self.due() else { return };
        if !has_come(due.first()) {
            return;
        }
        if has_come(due.copies) {
            self.renew_copies(now);
        }
        for module in self.modules() {
            // One of another module may have done it.
            if !self.store.read(module.due).is_ok_and(has_come) {
                continue;
            }
            if let Err(error) = (module.when_due)(self, call) {
                let why = Said::from_error(&error);
                let said = Said::new(
                    format!("what is due could not be done: {}", why.en),
                    format!("zamanı gelen iş yapılamadı: {}", why.tr),
                );
                self.say(call, &said);
            }
        }
        // Where it is locked, its holder says what is due, and it is asked for again.
        let Ok(_lock) = self.lock(self.lock_wait()) else { return };
        self.say_due(self.due().map(|due| due.put_off(now).first()));
    }

    /// Removes copies of the stored state that are not kept any longer. The newest one is replaced by a new one.
    fn renew_copies(&self, now: Timestamp) {
        let line = match self.store.make_copy(now) {
            Ok(copy) => format!("the stored state was copied to {}", copy.path.display()),
            Err(error) => format!("the stored state was not copied: {}", chain(&error)),
        };
        self.log(&line);
    }

    fn due(&self) -> Result<Due, StoreError> {
        let of_modules = self.store.read(|state| {
            let dues = self.modules().iter().filter_map(|module| (module.due)(state).transpose());
            dues.collect::<Result<Vec<_>, StoreError>>()
        })?;
        Ok(Due {
            sweep: self.sweep_due(),
            work: of_modules.into_iter().min(),
            copies: self.store.copies_due()?,
        })
    }

    /// Whether everything is to be compared by now.
    pub(crate) fn sweep_is_due(&self) -> bool {
        self.sweep_due().is_some_and(|due| due <= self.host.clock.now())
    }

    /// When everything is to be compared again; never while no device is meant to be there.
    fn sweep_due(&self) -> Option<Timestamp> {
        let watched = self.store.watched().filter(|watched| !watched.links.is_empty())?;
        let now = self.host.clock.now();
        // One that is still to come was made before the clock was set back: how long ago is not known.
        let known = watched.swept_at <= now.micros();
        Some(if known { Timestamp::from_micros(watched.swept_at.saturating_add(SWEEP)) } else { now })
    }

    fn say_due(&self, due: Result<Option<Timestamp>, StoreError>) {
        if let Err(error) = due.and_then(|due| self.store.set_due(due)) {
            self.log(&format!("the watcher could not be told what is due: {}", chain(&error)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_come_is_put_off() {
        let at = |micros| Some(Timestamp::from_micros(micros));
        let due = Due { sweep: None, work: at(100), copies: at(200) };
        assert_eq!((due.first(), due.put_off(Timestamp::from_micros(99))), (at(100), due));
        let now = Timestamp::from_micros(150);
        assert_eq!(due.put_off(now), Due { work: at(150 + WORK_AGAIN), ..due });
        let now = Timestamp::from_micros(200);
        assert_eq!(due.put_off(now).first(), at(200 + WORK_AGAIN));
        assert_eq!(Due { sweep: None, work: None, copies: None }.put_off(now).first(), None);
    }
}
