//! A copy in the place of the stored state.
//!
//! The copy is copied once more, to a draft beside the database, and whatever is done to it is done there: it is
//! checked, brought up to date, and changed by a [`Transaction`] whose commit is a rename. Until then the stored state
//! is what it was.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use phantom_types::Said;
use rusqlite::Connection;

use crate::cause::StoreCause;
use crate::database::{self, Pool};
use crate::error::{About as _, StoreError};
use crate::files;
use crate::lock::Lock;
use crate::modules::{self, ModuleSchema};
use crate::schema::{self, MIGRATIONS};
use crate::state::State;
use crate::store::Store;
use crate::transaction::Transaction;

/// What every SQLite database begins with.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// What SQLite may have beside a database.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// A copy that was checked and may take the place of the stored state. Dropped without that, nothing has happened.
#[derive(Debug)]
pub struct Restoration<'s> {
    store: &'s Store,
    draft: Pool,
}

/// What the commit of a restored state does beyond that of an ordinary change.
#[derive(Debug)]
pub(crate) struct Replacement<'s> {
    live: &'s Pool,
}

impl Store {
    /// Checks a file, which must be a copy of a stored state of this or an older version, and gets it ready to take the
    /// place of the present one. The file itself is only read; a log beside it counts. The present state may be
    /// damaged.
    ///
    /// # Errors
    /// [`Unreadable`](StoreError::Unreadable) or [`Newer`](StoreError::Newer) for a file that is none, is damaged, contradicts
    /// itself, holds no server, or is of a later version.
    pub fn prepare_restore(&self, lock: &Lock, file: &Path) -> Result<Restoration<'_>, StoreError> {
        self.check_lock(lock)?;
        files::prepare(self.paths())?;
        let path = self.paths().restored();
        discard(&path)?;
        // From here on the draft is removed with it.
        let restoration = Restoration { store: self, draft: Pool::new(path.clone()) };
        restoration.draft.set_modules(self.pool.modules().to_vec());
        bring(file, &path)?;
        self.make_ready(file, &path)?;
        let unfit = restoration.read(|state| {
            let mut found = state.contradictions()?;
            if !state.initialised()? {
                found.push(Said::new("it holds no server", "içinde sunucu yok"));
            }
            Ok(found)
        });
        // What is wrong with the draft is wrong with the file.
        match unfit.map_err(|error| said_of(file, error))? {
            found if found.is_empty() => Ok(restoration),
            found => Err(StoreError::unreadable(file, StoreCause::Unsound(found))),
        }
    }

    /// Brings the draft up to date. It is no older than the present state, as far as that can be told: no id is given
    /// twice.
    fn make_ready(&self, file: &Path, draft: &Path) -> Result<(), StoreError> {
        let mut connection =
            Connection::open_with_flags(draft, rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE).about(file)?;
        check_ours(&connection, file, self.pool.modules())?;
        let found: String =
            connection.query_row("PRAGMA integrity_check(1)", (), |row| row.get(0)).about(file)?;
        if found != "ok" {
            return Err(StoreError::unreadable(file, StoreCause::Damaged(found)));
        }
        connection.query_row("PRAGMA journal_mode = WAL", (), |_| Ok(())).about(draft)?;
        connection.execute_batch("PRAGMA secure_delete = ON").about(draft)?;
        let present = "SELECT generation, last_id FROM counters";
        let present = self.read(|state| state.first(present, (), |row| Ok((row.get(0)?, row.get(1)?))));
        let (generation, last_id): (i64, i64) = present.ok().flatten().unwrap_or_default();
        let mut change = || {
            let change = connection.transaction()?;
            database::upgrade(&change, self.pool.modules())?;
            let sql = "UPDATE counters SET generation = max(generation, ?1), last_id = max(last_id, ?2)";
            change.execute(sql, [generation, last_id])?;
            change.commit()
        };
        change().about(draft)?;
        connection.close().map_err(|(_, error)| error).about(draft)
    }
}

impl Restoration<'_> {
    /// Shows what would be stored.
    pub fn read<'a, T, E>(&'a self, f: impl FnOnce(&State<'a>) -> Result<T, E>) -> Result<T, E>
    where
        E: From<StoreError>,
    {
        f(&State::read(&self.draft)?)
    }

    /// Begins a change of what would be stored. Its commit puts it in the place of the present state, as a whole and
    /// durably.
    pub fn begin<'a>(&'a self, lock: &'a Lock) -> Result<Transaction<'a>, StoreError> {
        let mut change = Transaction::begin(State::write(&self.draft)?, lock, Vec::new());
        change.replace(Replacement { live: &self.store.pool });
        change.count();
        change.keep_room_in(self.store.paths().room());
        Ok(change)
    }
}

impl Drop for Restoration<'_> {
    fn drop(&mut self) {
        // What stays for whatever reason is removed before the next draft is made.
        let _ = discard(self.draft.file());
    }
}

impl Replacement<'_> {
    /// Copies the log of the present state into its database, so that it is complete without the log, which has to go
    /// first. Nothing of this matters where the present state cannot be read.
    pub(crate) fn settle_live(&self) -> Result<(), StoreError> {
        let file = self.live.file();
        let settle = || {
            let Some(connection) = self.live.checkout()? else { return Ok(0) };
            let busy = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), busy).about(file)
        };
        match settle() {
            Ok(0) | Err(StoreError::Unreadable { .. } | StoreError::Newer { .. }) => Ok(()),
            Ok(_) => Err(StoreError::Busy { file: file.to_owned(), source: StoreCause::InUse }),
            Err(error) => Err(error),
        }
    }

    /// Puts a complete database in the place of the present one. Cut short, the present one is as it was.
    pub(crate) fn put_in_place(&self, draft: &Path) -> Result<(), StoreError> {
        let live = self.live.file();
        let failed = |error| StoreError::write(live, error);
        let log = files::beside(draft, "-wal");
        if log.metadata().is_ok_and(|found| found.len() > 0) {
            return Err(failed(io::Error::other("the log could not be copied into the new database")));
        }
        for suffix in BESIDE {
            files::remove(&files::beside(draft, suffix)).map_err(failed)?;
        }
        File::open(draft).and_then(|draft| draft.sync_all()).map_err(failed)?;
        // The log of the old database would be taken for one of the new.
        for suffix in BESIDE {
            files::remove(&files::beside(live, suffix)).map_err(failed)?;
        }
        fs::rename(draft, live).map_err(failed)?;
        live.parent().map_or(Ok(()), files::sync_dir).map_err(failed)
    }
}

/// Copies the file, with its log if it has one.
fn bring(file: &Path, draft: &Path) -> Result<(), StoreError> {
    let unreadable = |error| StoreError::unreadable(file, error);
    if !fs::metadata(file).map_err(unreadable)?.is_file() {
        return Err(StoreError::unreadable(file, StoreCause::NotAFile));
    }
    let mut magic = [0; 16];
    let begins = File::open(file).map_err(unreadable)?.read_exact(&mut magic);
    if begins.is_err() || magic != *MAGIC {
        return Err(StoreError::unreadable(file, StoreCause::NotACopy));
    }
    for suffix in ["", "-wal"] {
        let (from, to) = (files::beside(file, suffix), files::beside(draft, suffix));
        let mut from = match File::open(&from) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !suffix.is_empty() => continue,
            opened => opened.map_err(unreadable)?,
        };
        let mut to = files::create_private(&to).map_err(|error| StoreError::write(draft, error))?;
        io::copy(&mut from, &mut to).map_err(|error| StoreError::write(draft, error))?;
    }
    Ok(())
}

/// That the schema is exactly what one of our versions makes, and the tables of modules those of one of their versions. A file from
/// elsewhere may have triggers and views of its own, so that nothing else is asked of it before.
fn check_ours(connection: &Connection, file: &Path, modules: &[ModuleSchema]) -> Result<(), StoreError> {
    connection.execute_batch("PRAGMA trusted_schema = OFF").about(file)?;
    schema::is_current(connection, file, MIGRATIONS)?;
    let version = schema::version(connection).about(file)?;
    let known = MIGRATIONS.get(..version as usize).unwrap_or_default();
    let found = objects(connection).about(file)?;
    let fresh = |modules: &[ModuleSchema]| {
        let fresh = Connection::open_in_memory()?;
        schema::upgrade(&fresh, known)?;
        modules::upgrade(&fresh, modules)?;
        objects(&fresh)
    };
    // Where the store's own tables are all there, the one that names the modules is one of them.
    let own = fresh(&[]).about(file)?;
    if own.iter().all(|object| found.contains(object)) {
        modules::are_current(connection, file, modules)?;
        let taken = modules::as_taken(&modules::versions(connection).about(file)?, modules)
            .map_err(|module| StoreError::unreadable(file, StoreCause::UnknownModule(module)))?;
        if found == fresh(&taken).about(file)? {
            return Ok(());
        }
    }
    Err(StoreError::unreadable(file, StoreCause::NotACopy))
}

/// The text of everything in the schema.
fn objects(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_schema ORDER BY 1";
    connection.prepare(sql)?.query_map((), |row| row.get(0))?.collect()
}

fn said_of(file: &Path, error: StoreError) -> StoreError {
    match error {
        StoreError::Unreadable { source, .. } => StoreError::Unreadable { file: file.to_owned(), source },
        other => other,
    }
}

fn discard(draft: &Path) -> Result<(), StoreError> {
    let all: Vec<PathBuf> =
        [""].into_iter().chain(BESIDE).map(|suffix| files::beside(draft, suffix)).collect();
    all.iter().try_for_each(|path| files::remove(path)).map_err(|error| StoreError::write(draft, error))
}

#[cfg(test)]
mod tests;
