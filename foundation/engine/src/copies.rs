//! The copy of a day, and a copy in the place of the stored state.

use std::path::Path;
use std::sync::PoisonError;
use std::thread;

use phantom_module::Call;
use phantom_store::{State, StateCopy, Store, StoreError};
use phantom_types::Said;

use crate::{Change, ChangeError, Engine, EngineError, Origin, log};

impl Engine {
    /// Lets a thread of its own make the copy of this day, where there is none yet: neither the answer nor the lock
    /// waits for it. Dropping the engine does.
    pub(crate) fn copy_if_due(&self, call: &Call) {
        let now = self.host.clock.now();
        if !self.store.copy_due(now) {
            return;
        }
        let mut copying = self.copying.lock().unwrap_or_else(PoisonError::into_inner);
        if copying.as_ref().is_some_and(|copying| !copying.is_finished()) {
            return;
        }
        let (store, note, lang) = (Store::new(self.paths().clone()), call.note, call.lang);
        let started = thread::Builder::new().name("copy".to_owned()).spawn(move || {
            let line = match store.make_copy(now) {
                Ok(copy) => format!("the stored state was copied to {}", copy.path.display()),
                Err(error) => {
                    let why = Said::from_error(&error);
                    let said = Said::new(
                        format!("the stored state was not copied: {}", why.en),
                        format!("kayıtlı durum kopyalanamadı: {}", why.tr),
                    );
                    if matches!(error, StoreError::Unreadable { .. }) {
                        note(said.get(lang));
                    }
                    said.en
                }
            };
            log::append(&store.paths().logs_dir(), now, &line);
        });
        *copying = started.ok();
    }

    /// Shows to `work` what [`Self::restore`] would store. Nothing is changed.
    pub fn look_into_copy<T, E>(
        &self,
        file: &Path,
        work: impl FnOnce(&State<'_>) -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: From<EngineError>,
    {
        self.check_privilege()?;
        let lock = self.lock(self.lock_wait())?;
        let restoration = self.store.prepare_restore(&lock, file).map_err(EngineError::from)?;
        let looked = restoration.read(|state| Ok::<_, StoreError>(work(state)));
        looked.map_err(EngineError::from)?
    }

    /// Puts a copy of the stored state in the place of the present one, which need not be readable, nor be there: a
    /// change like any other, in which `work` may change what the copy holds and lets the host follow. It is told of
    /// the copy that is kept of what was there.
    ///
    /// The host can only be rolled back to a state that can be read.
    pub fn restore<T, E: ChangeError>(
        &self,
        origin: Origin,
        call: &Call,
        file: &Path,
        work: impl FnOnce(&mut Change<'_>, Option<&StateCopy>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.check_privilege()?;
        let lock = self.lock(self.lock_wait())?;
        self.store.ensure_run_id().map_err(EngineError::from)?;
        self.finish_reset(&lock)?;
        let unrecovered = match self.recover(origin, call, &lock) {
            // The host follows what is restored instead.
            Err(EngineError::Store(StoreError::Unreadable { .. })) => None,
            finished => finished?,
        };
        let restoration = self.store.prepare_restore(&lock, file).map_err(EngineError::from)?;
        let kept = self.store.keep_replaced(&lock, self.host.clock.now()).map_err(EngineError::from)?;
        let before = self.store.database_identity().ok();
        let state = restoration.begin(&lock).map_err(EngineError::from)?;
        let result = self.run(state, origin, call, unrecovered, |change| work(change, kept.as_ref()));
        // One that failed behind its commit has replaced it all the same; where that cannot be told the copy stays.
        let same = before.is_some() && self.store.database_identity().ok() == before;
        match (&result, &kept) {
            (Err(_), Some(kept)) if same => self.store.drop_replaced(&lock, kept),
            _ => self.store.expire_copies(&lock, self.host.clock.now()),
        }
        result
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let copying = self.copying.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        // A copy that failed has said so.
        let _ = copying.map(thread::JoinHandle::join);
    }
}
