//! The store: the state below one install directory.

use std::time::Duration;

use phantom_types::Lang;

use crate::database::Pool;
use crate::error::{LockError, StoreError};
use crate::files;
use crate::lock::Lock;
use crate::modules::ModuleSchema;
use crate::paths::Paths;
use crate::state::State;
use crate::transaction::Transaction;

/// The stored state of one installation.
///
/// Making a store touches nothing; what it does not find counts as never set up. It can be shared between threads,
/// and keeps a few connections open that nobody is using at the moment.
#[derive(Debug)]
pub struct Store {
    paths: Paths,
    pub(crate) pool: Pool,
}

impl Store {
    /// The store at these paths.
    pub fn new(paths: Paths) -> Self {
        let pool = Pool::new(paths.database()).with_copies(paths.copies_dir());
        Self { paths, pool }
    }

    /// Says which tables of modules this program knows, once and before the first use; a second call is without effect. Tables of
    /// other modules are left as they are.
    pub fn set_modules(&self, modules: Vec<ModuleSchema>) {
        self.pool.set_modules(modules);
    }

    /// Where its files lie.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Takes the lock of all changes, waiting up to `wait` for it; [`Duration::ZERO`] is a single attempt.
    ///
    /// A thread that holds it and asks again waits for itself. Makes the run directory and the lock file.
    pub fn lock(&self, wait: Duration) -> Result<Lock, LockError> {
        Lock::acquire(&self.paths, wait)
    }

    /// Whether a change is being made at this moment: somebody holds the lock. `false` where there is no lock file.
    ///
    /// # Errors
    /// The lock file cannot be opened, other than because it is not there.
    pub fn is_locked(&self) -> Result<bool, LockError> {
        Lock::is_held(&self.paths)
    }

    /// Shows the state to `f`: the last committed one, the same for as long as `f` runs, whatever others do
    /// meanwhile. It needs no lock, and waits for nobody.
    ///
    /// Without a database this is the empty state; nothing is created.
    pub fn read<'s, T, E>(&'s self, f: impl FnOnce(&State<'s>) -> Result<T, E>) -> Result<T, E>
    where
        E: From<StoreError>,
    {
        f(&State::read(&self.pool)?)
    }

    /// The language that was set, where that can be read: whoever asks has something to say, whatever has become of the state.
    pub fn language(&self) -> Option<Lang> {
        self.read(State::settings).ok()?.language.map(Lang::from)
    }

    /// Begins a change, which happens only when it is [committed](Transaction::commit).
    ///
    /// Makes what is missing of the installation: the install directory (0755), its directories (0700) and the
    /// database (0600), and brings an older schema up to date. Directories and files that stand open to others are
    /// closed; [`Transaction::repairs`] says which.
    pub fn begin<'a>(&'a self, lock: &'a Lock) -> Result<Transaction<'a>, StoreError> {
        self.check_lock(lock)?;
        let repairs = files::prepare(&self.paths)?;
        if !self.pool.exists()? {
            crate::database::create(&self.paths, self.pool.modules())?;
        }
        files::prepare_log(&self.paths)?;
        let mut change = Transaction::begin(State::write(&self.pool)?, lock, repairs);
        change.keep_room_in(self.paths.room());
        Ok(change)
    }

    pub(crate) fn check_lock(&self, lock: &Lock) -> Result<(), StoreError> {
        if lock.path() == self.paths.lock() {
            return Ok(());
        }
        Err(StoreError::ForeignLock { file: self.paths.database(), lock: lock.path().to_owned() })
    }
}
