//! Connections to the database, and how it comes to be.
//!
//! # The log, and why it is kept
//!
//! A commit appends the changed pages to the write-ahead log and flushes that one file. SQLite by default copies the
//! log into the database and deletes it whenever the last connection closes, and every call of a program that makes
//! one change is the last connection: that is three more flushes and a file made again, every time. So connections
//! leave the log behind when they close, and a writer that finds more than [`LOG_PAGES`] pages in it copies them over
//! *before* its own change, which then starts the log afresh in the space that it has already. (Copying after the
//! change would not help: the next process, finding nobody else, reads the whole log again and cannot tell that it
//! was copied.) Each process that comes alone has to read the log, so it must not be long either.
//!
//! Whole processes at 60,000 clients, `examples/clients.rs` on ext4 on a virtual disk that flushes in 0.1 ms, median
//! of 200 interleaved runs in microseconds; a process that does nothing takes 990. A client more is five pages more.
//!
//! | log copied | `add` (mean) | `list` |
//! |---|---|---|
//! | when closing, SQLite's default | 3200 (3420) | 1820 |
//! | from 16 pages on | 2510 (2610) | 1720 |
//! | from 64 pages on | 2420 (2540) | 1770 |
//! | from 128 pages on | 2480 (2580) | 1830 |
//! | from 256 pages on | 2620 (2710) | 1930 |
//! | from 1000 pages on | 3540 (3580) | 2740 |

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::ops::Deref;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use nix::sys::statvfs::{FsFlags, statvfs};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::cause::StoreCause;
use crate::copies::keep_older;
use crate::error::{About as _, StoreError};
use crate::files;
use crate::modules::{self, ModuleSchema};
use crate::paths::Paths;
use crate::schema::{self, MIGRATIONS};

/// From this many pages on the log is copied into the database before the next change.
const LOG_PAGES: i64 = 64;
/// To this many bytes the file of the log is cut back after a large change.
const LOG_BYTES: u32 = 1 << 20;
/// How long somebody who does not take the lock may block the database. Our own processes do so for the blink of an
/// eye only: while one of them builds the index of the log.
const PATIENCE: Duration = Duration::from_secs(10);
/// KiB of the database that a connection keeps in memory: SQLite's default, what is enough while all of a table is
/// walked over, each page once, and what sorts an index of a million clients without a temporary file, for which a unit
/// may have no folder.
const CACHE: u32 = 2000;
const WALK_CACHE: u32 = 128;
const UPGRADE_CACHE: u32 = 64 << 10;
/// How long somebody waits while another process brings the schema up to date, which takes longest with the most
/// clients.
const UPGRADE_PATIENCE: Duration = Duration::from_mins(10);
/// Connections kept while nobody uses them.
const IDLE: usize = 4;

/// The connections of one store.
#[derive(Debug)]
pub(crate) struct Pool {
    file: PathBuf,
    /// Where a copy is kept before the schema is brought up to date.
    copies: Option<PathBuf>,
    /// The tables of modules that this program knows.
    modules: OnceLock<Vec<ModuleSchema>>,
    idle: Mutex<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    /// Device and inode of the file that was opened.
    identity: (u64, u64),
    /// Whether it is set up for writing.
    writes: bool,
    /// Whether others can use the database beside it.
    shared: bool,
}

/// A connection out of the pool, to which it goes back when dropped; what it has not committed is undone.
#[derive(Debug)]
pub(crate) struct Pooled<'p> {
    pool: &'p Pool,
    /// Always there until it is dropped.
    idle: Option<Idle>,
}

impl Pool {
    pub(crate) fn new(file: PathBuf) -> Self {
        Self { file, copies: None, modules: OnceLock::new(), idle: Mutex::default() }
    }

    /// The same, with a folder for copies of older schemas.
    pub(crate) fn with_copies(self, dir: PathBuf) -> Self {
        Self { copies: Some(dir), ..self }
    }

    /// Says which tables of modules this program knows, once.
    pub(crate) fn set_modules(&self, modules: Vec<ModuleSchema>) {
        let _ = self.modules.set(modules);
    }

    /// The tables of modules that this program knows.
    pub(crate) fn modules(&self) -> &[ModuleSchema] {
        self.modules.get().map_or(&[], Vec::as_slice)
    }

    /// The database.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// Whether there is a database.
    pub(crate) fn exists(&self) -> Result<bool, StoreError> {
        self.identity().map(|identity| identity.is_some())
    }

    /// A connection; nothing if there is no database.
    pub(crate) fn checkout(&self) -> Result<Option<Pooled<'_>>, StoreError> {
        let Some(identity) = self.identity()? else { return Ok(None) };
        let idle = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            // Another file may lie at the path by now: one that was restored, or made by a factory reset.
            idle.retain(|one| one.identity == identity);
            idle.pop()
        };
        let idle = match idle {
            Some(idle) => idle,
            None => Idle { connection: connect(&self.file)?, identity, writes: false, shared: true },
        };
        Ok(Some(Pooled { pool: self, idle: Some(idle) }))
    }

    /// A connection that needs no index of the log beside it and is not kept: for reading when there is no space for
    /// that index, or nobody may write. Nobody else can read or write as long as it is used; they wait. On a file
    /// system that is read-only nobody has to.
    pub(crate) fn checkout_without_index(&self) -> Result<Option<Pooled<'_>>, StoreError> {
        let Some(identity) = self.identity()? else { return Ok(None) };
        let read_only = statvfs(&self.file).is_ok_and(|disk| disk.flags().contains(FsFlags::ST_RDONLY));
        let connection = if read_only { connect_unlocked(&self.file)? } else { connect(&self.file)? };
        connection.query_row("PRAGMA locking_mode = EXCLUSIVE", (), |_| Ok(())).about(&self.file)?;
        let idle = Idle { connection, identity, writes: false, shared: false };
        Ok(Some(Pooled { pool: self, idle: Some(idle) }))
    }

    /// Device and inode of the database, if there is one.
    pub(crate) fn identity(&self) -> Result<Option<(u64, u64)>, StoreError> {
        // By its path: opening and closing the file, even only to look at it, would drop the locks that SQLite holds
        // on it for the whole process (close(2) and POSIX locks).
        match fs::metadata(&self.file) {
            Ok(found) if !found.is_file() => Err(StoreError::unreadable(&self.file, StoreCause::NotAFile)),
            // A database gets its name when it is complete, so that this one has lost its content.
            Ok(found) if found.len() == 0 => Err(StoreError::unreadable(&self.file, StoreCause::Empty)),
            Ok(found) => Ok(Some((found.dev(), found.ino()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::unreadable(&self.file, error)),
        }
    }
}

impl Pooled<'_> {
    /// Makes the connection ready to write: safe settings, and a log of bounded length.
    pub(crate) fn prepare_writing(&mut self) -> rusqlite::Result<()> {
        if let Some(idle) = self.idle.as_mut().filter(|idle| !idle.writes) {
            idle.connection.execute_batch(&format!(
                "PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA wal_autocheckpoint = 0; \
                 PRAGMA journal_size_limit = {LOG_BYTES}"
            ))?;
            idle.writes = true;
        }
        if self.log_pages()? >= LOG_PAGES {
            // It copies what it can beside those who are reading just now, or nothing if there is no space. The next
            // change tries again; this one may well succeed.
            let _ = self.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |_| Ok(()));
        }
        Ok(())
    }

    /// Copies the log into the database at once and empties it, if nobody is reading it. Failing is no harm.
    pub(crate) fn settle(&self) {
        let _ = self.busy_timeout(Duration::ZERO);
        let _ = self.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()));
        let _ = self.busy_timeout(PATIENCE);
    }

    /// Runs what walks over a whole table, with little of the database in memory.
    pub(crate) fn walk<T>(&self, work: impl FnOnce(&Connection) -> T) -> T {
        self.with_cache(WALK_CACHE, work)
    }

    /// Whether the database has the schema of this program, with the tables of its modules; an error if it has none or a later one.
    pub(crate) fn is_current(&self) -> Result<bool, StoreError> {
        let file = self.pool.file();
        Ok(schema::is_current(self, file, MIGRATIONS)?
            && modules::are_current(self, file, self.pool.modules())?)
    }

    /// Brings the schema up to date, in a transaction of its own, with a copy of what was there. Others who need that
    /// as well wait for it.
    pub(crate) fn upgrade(&mut self) -> Result<(), StoreError> {
        let (file, copies) = (self.pool.file(), self.pool.copies.as_deref());
        let prepared = self.prepare_writing().and_then(|()| self.busy_timeout(UPGRADE_PATIENCE));
        prepared.about(file)?;
        self.execute_batch("BEGIN IMMEDIATE").about(file)?;
        let version = schema::version(self).about(file)?;
        let older = modules::older(&modules::versions(self).about(file)?, self.pool.modules());
        if (version as usize) < MIGRATIONS.len() || !older.is_empty() {
            keep_older(copies, file, &format!("{version}{older}"))?;
        }
        let upgraded = self.with_cache(UPGRADE_CACHE, |connection| {
            upgrade(connection, self.pool.modules())?;
            connection.execute_batch("COMMIT")
        });
        upgraded.and_then(|()| self.busy_timeout(PATIENCE)).about(file)?;
        self.settle();
        Ok(())
    }

    /// Device and inode of the database that it is connected to.
    pub(crate) fn identity(&self) -> (u64, u64) {
        self.idle.as_ref().expect("only Drop takes it").identity
    }

    fn with_cache<T>(&self, kib: u32, work: impl FnOnce(&Connection) -> T) -> T {
        let keep = |kib: u32| self.pragma_update(None, "cache_size", -i64::from(kib));
        let _ = keep(kib); // failing is no harm: it takes more memory, or more time
        let result = work(self);
        let _ = keep(CACHE);
        result
    }

    /// Closes the connection, for one that has failed and may be half open.
    pub(crate) fn discard(mut self) {
        self.idle = None;
    }

    fn log_pages(&self) -> rusqlite::Result<i64> {
        self.prepare_cached("PRAGMA wal_checkpoint(NOOP)")?.query_row((), |row| row.get(1))
    }
}

impl Deref for Pooled<'_> {
    type Target = Connection;
    fn deref(&self) -> &Connection {
        &self.idle.as_ref().expect("only Drop takes it").connection
    }
}

impl Drop for Pooled<'_> {
    fn drop(&mut self) {
        let Some(idle) = self.idle.take() else { return };
        if !idle.connection.is_autocommit() && idle.connection.execute_batch("ROLLBACK").is_err() {
            return;
        }
        let mut kept = self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.shared && kept.len() < IDLE {
            kept.push(idle);
        }
    }
}

/// Brings the schema and the tables of these modules up to date, within the open transaction.
pub(crate) fn upgrade(connection: &Connection, modules: &[ModuleSchema]) -> rusqlite::Result<()> {
    schema::upgrade(connection, MIGRATIONS)?;
    modules::upgrade(connection, modules)
}

/// Opens the database, which must exist. Nothing of it is read yet.
pub(crate) fn connect(file: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let connection = Connection::open_with_flags(file, flags)?;
        connection.busy_timeout(PATIENCE)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true)?;
        Ok(connection)
    };
    open().about(file)
}

/// Opens the database on a file system where nothing can be locked for writing, and nothing needs to be.
fn connect_unlocked(file: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if files::beside(file, "-wal").exists() {
        return Connection::open_with_flags_and_vfs(file, flags, c"unix-none").about(file);
    }
    // Without a log, for which SQLite would look in vain, everything is in the one file.
    let mut uri = "file:".to_owned();
    for byte in file.as_os_str().as_encoded_bytes() {
        let _ = write!(uri, "%{byte:02x}"); // writing to a text cannot fail
    }
    uri.push_str("?immutable=1");
    Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI).about(file)
}

/// Makes the database with the current schema. The caller holds the lock, and there is no database.
///
/// It gets its name when it is complete and on the disk, so that there never is half a one.
pub(crate) fn create(paths: &Paths, modules: &[ModuleSchema]) -> Result<(), StoreError> {
    let file = paths.database();
    let failed = |error| StoreError::write(&file, error);
    let draft = make_draft(&file, modules)?;
    // What is left of a database that somebody deleted: SQLite would take it for the log of this one.
    for suffix in ["-wal", "-shm"] {
        files::remove(&files::beside(&file, suffix)).map_err(failed)?;
    }
    fs::rename(&draft, &file).map_err(failed)?;
    for directory in file.ancestors().skip(1).take(3) {
        files::sync_dir(directory).map_err(failed)?;
    }
    Ok(())
}

/// Makes an empty database with the current schema beside the place of `file`, in the place of an older draft.
pub(crate) fn make_draft(file: &Path, modules: &[ModuleSchema]) -> Result<PathBuf, StoreError> {
    let failed = |error| StoreError::write(file, error);
    let draft = files::beside(file, ".new");
    for suffix in ["", "-journal", "-wal", "-shm"] {
        files::remove(&files::beside(&draft, suffix)).map_err(failed)?;
    }
    files::create_private(&draft).map_err(failed)?;
    fill(&draft, modules).map_err(|error| match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy) => StoreError::sqlite(file, error),
        _ => StoreError::write(file, error),
    })?;
    Ok(draft)
}

fn fill(draft: &Path, modules: &[ModuleSchema]) -> rusqlite::Result<()> {
    let connection = Connection::open_with_flags(draft, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.execute_batch("PRAGMA synchronous = FULL; BEGIN IMMEDIATE")?;
    upgrade(&connection, modules)?;
    connection.execute_batch("COMMIT")?;
    // This is a property of the file. Closing the only connection leaves neither a log nor its index behind.
    connection.query_row("PRAGMA journal_mode = WAL", (), |_| Ok(()))?;
    connection.close().map_err(|(_, error)| error)
}

#[cfg(test)]
mod tests;
