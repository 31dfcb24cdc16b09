//! Copies of the stored state: for when the database is damaged, or somebody wants back what was.
//!
//! They are in a folder of their own ([`Paths::copies_dir`](crate::Paths::copies_dir)), each complete in one file for
//! its owner alone:
//!
//! | name | made |
//! |---|---|
//! | `2026-11-29.db` | after the first change of that day (UTC), or when somebody asked for it |
//! | `2026-11-29-schema-1.db` | before the schema was brought up to date from version 1 |
//! | `2026-11-29-schema-5-quota-1.db` | before the tables of the module `quota` were, from their version 1 |
//! | `2026-11-29-replaced-061211.db` | before another copy took the place of the stored state |
//! | `2026-11-29-file-061211-wg_main.conf` | before a file of ours on the host was written over that somebody had written |
//!
//! Seven are kept of the first two kinds together and of each of the others, none longer than seven days: the newest of the
//! first, on a server on which nothing changes, is then replaced by a new one. A copy holds the keys of clients that were
//! removed since.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use phantom_types::Timestamp;
use rusqlite::Connection;

use crate::cause::StoreCause;
use crate::database::{self, Pooled};
use crate::error::{About as _, StoreError};
use crate::files;
use crate::lock::{self, Lock};
use crate::room::free;
use crate::store::Store;

/// How many copies of a kind are kept.
const KEPT: usize = 7;
/// For how many days.
const DAYS: i64 = 7;
const DAY: i64 = 86_400 * 1_000_000;
/// How many times the room of the database has to be free for a copy that leaves as much again, and for one beside
/// the log of a new schema and what that adds.
const COPY_ROOM: u64 = 2;
const UPGRADE_ROOM: u64 = 6;
/// When a copy that could not be made is tried again.
const RETRY: Duration = Duration::from_hours(1);
/// How long a copy that is complete waits for the lock to get its name.
const PATIENCE: Duration = Duration::from_secs(30);
/// The name of a copy that is being made.
const DRAFT: &str = "draft";

/// A copy of the stored state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateCopy {
    /// The file.
    pub path: PathBuf,
    /// Of which moment it is.
    pub made: Timestamp,
    /// Why it was made.
    pub kind: CopyKind,
}

/// Why a copy was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyKind {
    /// Of a day.
    Daily,
    /// Before the schema was brought up to date.
    Upgrade,
    /// Before another copy took the place of the stored state.
    Replaced,
    /// Of a file of ours on the host, before it was written over: not of the stored state.
    File,
}

impl StateCopy {
    /// The moment from which on it is not kept: the watcher has it removed then, or replaced by a new one if it is the newest.
    /// Without a watcher the first change or start of the server after that moment does.
    pub fn until(&self) -> Timestamp {
        Timestamp::from_micros((day(self.made) + DAYS) * DAY)
    }

    /// The copy at this path, if its name is that of one.
    fn at(path: PathBuf) -> Option<Self> {
        let (date, rest) = path.file_name()?.to_str()?.split_at_checked(10)?;
        date.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-').then_some(())?;
        let kind = match rest.strip_suffix(".db") {
            Some("") => CopyKind::Daily,
            Some(rest) if rest.starts_with("-schema-") => CopyKind::Upgrade,
            Some(rest) if rest.starts_with("-replaced-") => CopyKind::Replaced,
            _ if rest.starts_with("-file-") => CopyKind::File,
            _ => return None,
        };
        let made = fs::metadata(&path).and_then(|found| found.modified()).ok()?.into();
        Some(Self { path, made, kind })
    }
}

/// Days since 1970.
fn day(at: Timestamp) -> i64 {
    at.micros().div_euclid(DAY)
}

/// `2026-11-29` and `061211`.
fn name_parts(at: Timestamp) -> (String, String) {
    let text = at.date_and_time();
    let (date, clock) = text.split_at(10);
    (date.to_owned(), clock.replace([' ', ':'], ""))
}

fn system_time(at: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(u64::try_from(at.micros()).unwrap_or(0))
}

impl Store {
    /// The copies that are kept, the newest first.
    pub fn copies(&self) -> Result<Vec<StateCopy>, StoreError> {
        let dir = self.paths().copies_dir();
        let entries = match fs::read_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| StoreError::unreadable(&dir, error))?,
        };
        let mut copies: Vec<StateCopy> =
            entries.flatten().filter_map(|entry| StateCopy::at(entry.path())).collect();
        copies.sort_by(|a, b| b.made.cmp(&a.made).then_with(|| b.path.cmp(&a.path)));
        Ok(copies)
    }

    /// Whether there is no copy of this day yet, and nobody has tried to make one within the last hour.
    pub fn copy_due(&self, now: Timestamp) -> bool {
        let dir = self.paths().copies_dir();
        let tried = fs::metadata(dir.join(DRAFT)).and_then(|found| found.modified());
        let lately = tried.is_ok_and(|tried| now.since(tried.into()) < RETRY);
        !lately && !dir.join(format!("{}.db", name_parts(now).0)).exists()
    }

    /// Makes the copy of this day, in the place of one that was made before, and removes those that are not kept any
    /// longer. A database that is found damaged is not copied.
    ///
    /// It reads what was committed last, whatever others do meanwhile, and takes the [lock](Self::lock) only to give
    /// the copy its name.
    pub fn make_copy(&self, now: Timestamp) -> Result<StateCopy, StoreError> {
        let made = self.write_draft(now).and_then(|draft| self.publish(&draft, now));
        if made.is_err()
            && let Ok(lock) = self.lock(PATIENCE)
        {
            // What is too old goes all the same.
            self.expire_copies(&lock, now);
        }
        made
    }

    /// When a copy is next to be removed, or to be replaced by a new one. After an attempt that failed it is a while later.
    pub fn copies_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let due = self.copies()?.iter().map(StateCopy::until).min();
        let tried = fs::metadata(self.paths().copies_dir().join(DRAFT)).and_then(|found| found.modified());
        let again = tried.ok().and_then(|tried| tried.checked_add(RETRY)).map(Timestamp::from);
        Ok(due.map(|due| again.map_or(due, |again| due.max(again))))
    }

    /// Removes the copies that are not kept any longer. One that cannot be removed is tried again the next time.
    pub fn expire_copies(&self, _: &Lock, now: Timestamp) {
        let Ok(copies) = self.copies() else { return };
        let of = |kinds: &[CopyKind]| -> Vec<&StateCopy> {
            copies.iter().filter(|copy| kinds.contains(&copy.kind)).collect()
        };
        let regular = of(&[CopyKind::Daily, CopyKind::Upgrade]);
        for (copies, always) in [(regular, 1), (of(&[CopyKind::Replaced]), 0), (of(&[CopyKind::File]), 0)] {
            for (at, copy) in copies.into_iter().enumerate().skip(always) {
                if at >= KEPT || now >= copy.until() {
                    remove(&copy.path);
                }
            }
        }
    }

    fn write_draft(&self, now: Timestamp) -> Result<UnnamedCopy, StoreError> {
        let dir = self.paths().copies_dir();
        make_dir(&dir)?;
        let path = dir.join(DRAFT);
        let failed = |error| StoreError::write(&path, error);
        let file = files::open_private(&path).map_err(failed)?;
        // For as long as its writer lives: whoever else comes makes no second one.
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => failed(io::Error::from(io::ErrorKind::WouldBlock)),
            TryLockError::Error(error) => failed(error),
        })?;
        // Another one has given its draft a name since this one opened it.
        if !lock::is_at(&file, &path) {
            return Err(failed(io::Error::from(io::ErrorKind::WouldBlock)));
        }
        file.set_len(0).and_then(|()| file.set_modified(system_time(now))).map_err(failed)?;
        let Some(connection) = self.pool.checkout()? else {
            return Err(StoreError::NotInitialised { file: self.paths().database() });
        };
        let identity = connection.identity();
        let database = self.pool.file();
        let written = check(&connection, database)
            .and_then(|()| {
                if has_room(database, COPY_ROOM)? {
                    Ok(())
                } else {
                    Err(failed(io::Error::from(io::ErrorKind::StorageFull)))
                }
            })
            .and_then(|()| connection.walk(|connection| fill(connection, database, &file, &path)));
        written.and_then(|()| file.set_modified(system_time(now)).map_err(failed)).inspect_err(|_| {
            // It says when it was tried, and holds nothing.
            let _ = file.set_len(0).and_then(|()| file.set_modified(system_time(now)));
        })?;
        Ok(UnnamedCopy { path, file, identity })
    }

    /// Gives a draft its name, unless the database that it was made of is gone by now: reset, or replaced by another.
    fn publish(&self, draft: &UnnamedCopy, now: Timestamp) -> Result<StateCopy, StoreError> {
        let place = self.paths().copies_dir().join(format!("{}.db", name_parts(now).0));
        let failed = |error| StoreError::write(&place, error);
        let lock = self.lock(PATIENCE).map_err(|error| StoreError::write(&place, error))?;
        let same = self.pool.identity()? == Some(draft.identity) && !self.reset_pending()?;
        if !same || !lock::is_at(&draft.file, &draft.path) {
            let _ = draft.file.set_len(0);
            return Err(StoreError::unreadable(self.pool.file(), StoreCause::Replaced));
        }
        fs::rename(&draft.path, &place).map_err(failed)?;
        files::sync_dir(&self.paths().copies_dir()).map_err(failed)?;
        self.expire_copies(&lock, now);
        // Whoever made a change has said what is due before this copy was there.
        let due = self.copies_due()?.filter(|due| self.due().is_none_or(|said| *due < said));
        if due.is_some() {
            self.set_due(due)?;
        }
        Ok(StateCopy { path: place, made: now, kind: CopyKind::Daily })
    }

    /// Keeps what is stored now, before something else takes its place. A database that cannot be read any more is kept
    /// as it is, with its log; nothing if there is none.
    pub fn keep_replaced(&self, lock: &Lock, now: Timestamp) -> Result<Option<StateCopy>, StoreError> {
        self.check_lock(lock)?;
        if !self.pool.file().exists() {
            return Ok(None);
        }
        let dir = self.paths().copies_dir();
        make_dir(&dir)?;
        let (date, clock) = name_parts(now);
        let path = free_name(&dir, &format!("{date}-replaced-{clock}"), ".db");
        match self.copy_database(&path) {
            Err(StoreError::Unreadable { .. }) => {
                for suffix in ["", "-wal"] {
                    copy_as_it_is(&files::beside(self.pool.file(), suffix), &files::beside(&path, suffix))?;
                }
            }
            copied => copied?,
        }
        let failed = |error| StoreError::write(&path, error);
        let kept = files::open_private(&path).and_then(|file| file.set_modified(system_time(now)));
        kept.and_then(|()| files::sync_dir(&dir)).map_err(failed)?;
        Ok(Some(StateCopy { path, made: now, kind: CopyKind::Replaced }))
    }

    /// Keeps the content of a file of ours on the host before it is written over. `name` is that of the file.
    pub fn keep_file(&self, name: &str, content: &[u8], now: Timestamp) -> Result<StateCopy, StoreError> {
        let dir = self.paths().copies_dir();
        make_dir(&dir)?;
        let (date, clock) = name_parts(now);
        let path = free_name(&dir, &format!("{date}-file-{clock}"), &format!("-{name}"));
        let failed = |error| StoreError::write(&path, error);
        let mut file = files::create_private(&path).map_err(failed)?;
        let written = file.write_all(content).and_then(|()| file.set_modified(system_time(now)));
        let synced = written.and_then(|()| file.sync_all()).and_then(|()| files::sync_dir(&dir));
        synced.map_err(failed).inspect_err(|_| remove(&path))?;
        Ok(StateCopy { path, made: now, kind: CopyKind::File })
    }

    /// Device and inode of the database, which are others when another one has taken its place.
    pub fn database_identity(&self) -> Result<Option<(u64, u64)>, StoreError> {
        self.pool.identity()
    }

    /// Removes a copy that [`Self::keep_replaced`] made, because nothing was replaced.
    pub fn drop_replaced(&self, _: &Lock, copy: &StateCopy) {
        remove(&copy.path);
    }

    /// Writes a copy for somebody else, as [`Self::copy_database`] does. A database that is found damaged is not
    /// copied.
    pub fn back_up(&self, to: &Path) -> Result<(), StoreError> {
        if let Some(connection) = self.pool.checkout()? {
            check(&connection, self.pool.file())?;
        }
        self.copy_database(to)
    }

    /// Writes the last committed state into a new database file for its owner alone, and waits until the disk has it and its
    /// name.
    ///
    /// The file is complete in itself. It takes the place of the present state by [`Store::prepare_restore`], and never by a
    /// plain copy over [`Paths::database`](crate::Paths::database): the log beside that is kept, and SQLite would lay the
    /// newest pages of the one state over the other.
    pub fn copy_database(&self, to: &Path) -> Result<(), StoreError> {
        let Some(connection) = self.pool.checkout()? else {
            return Err(StoreError::NotInitialised { file: self.paths().database() });
        };
        let file = files::create_private(to).map_err(|error| StoreError::write(to, error))?;
        let filled = connection.walk(|connection| fill(connection, self.pool.file(), &file, to));
        let named =
            || to.parent().map_or(Ok(()), files::sync_dir).map_err(|error| StoreError::write(to, error));
        filled.and_then(|()| named()).inspect_err(|_| {
            // The error that is reported is the first one; what is left is an unusable file.
            let _ = files::remove(to);
        })
    }
}

/// A copy that is complete and has no name yet.
struct UnnamedCopy {
    path: PathBuf,
    file: File,
    /// Device and inode of the database that it was made of.
    identity: (u64, u64),
}

/// Keeps the state of an older schema before it is brought up to date by another connection, which keeps everybody else
/// from writing. `None`: nowhere. Where the disk has no room for both, nothing is kept: without the newer schema nothing
/// stored can be used, and the server would stay away at the next boot.
pub(crate) fn keep_older(dir: Option<&Path>, database: &Path, version: &str) -> Result<(), StoreError> {
    let Some(dir) = dir else { return Ok(()) };
    if !has_room(database, UPGRADE_ROOM)? {
        return Ok(());
    }
    make_dir(dir)?;
    let draft = dir.join(format!("{DRAFT}-schema"));
    let failed = |error| StoreError::write(&draft, error);
    files::remove(&draft).map_err(failed)?;
    let file = files::create_private(&draft).map_err(failed)?;
    let kept = database::connect(database).and_then(|connection| fill(&connection, database, &file, &draft));
    let named = kept.and_then(|()| {
        // The kernel's clock: nobody here has another one.
        let now = file.metadata().and_then(|found| found.modified()).map_err(failed)?;
        let name = format!("{}-schema-{version}.db", name_parts(now.into()).0);
        fs::rename(&draft, dir.join(name)).and_then(|()| files::sync_dir(dir)).map_err(failed)
    });
    named.inspect_err(|_| drop(files::remove(&draft)))
}

/// Whether SQLite finds the file sound, as far as that can be told without comparing every index with its table.
pub(crate) fn check(connection: &Connection, file: &Path) -> Result<(), StoreError> {
    let found: String = connection.query_row("PRAGMA quick_check(1)", (), |row| row.get(0)).about(file)?;
    if found == "ok" {
        return Ok(());
    }
    Err(StoreError::unreadable(file, StoreCause::Damaged(found.replace('\n', " "))))
}

/// Whether so many times the room of the database is free beside it: a copy must not be what fills the disk.
fn has_room(database: &Path, times: u64) -> Result<bool, StoreError> {
    let failed = |error| StoreError::unreadable(database, error);
    let length = fs::metadata(database).map_err(failed)?.len();
    Ok(free(database).map_err(failed)? >= times * length)
}

/// Writes what a connection to a database sees into an empty file, down to the disk.
fn fill(connection: &Connection, database: &Path, file: &File, path: &Path) -> Result<(), StoreError> {
    let text =
        path.to_str().ok_or_else(|| StoreError::write(path, io::Error::from(io::ErrorKind::InvalidInput)))?;
    let written = connection.execute("VACUUM INTO ?1", [text]);
    written.map_err(|error| match StoreError::sqlite(path, error) {
        // What cannot be read is what is copied.
        StoreError::Unreadable { source, .. } => StoreError::unreadable(database, source),
        other => other,
    })?;
    // "File format write version" and "read version" of SQLite's file format: a database with a write-ahead log, as
    // ours is.
    file.write_all_at(&[2, 2], 18)
        .and_then(|()| file.sync_all())
        .map_err(|error| StoreError::write(path, error))
}

fn copy_as_it_is(from: &Path, to: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::write(to, error);
    let mut source = match File::open(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        source => source.map_err(|error| StoreError::unreadable(from, error))?,
    };
    let mut target = files::create_private(to).map_err(failed)?;
    io::copy(&mut source, &mut target).and_then(|_| target.sync_all()).map_err(failed)
}

/// The first of `begin`, `begin-2`, `begin-3`… with this end that nothing in the folder has.
fn free_name(dir: &Path, begin: &str, end: &str) -> PathBuf {
    let mut path = dir.join(format!("{begin}{end}"));
    let mut number = 1;
    while path.exists() {
        number += 1;
        path = dir.join(format!("{begin}-{number}{end}"));
    }
    path
}

fn make_dir(dir: &Path) -> Result<(), StoreError> {
    files::make_private_dirs(dir).map_err(|error| StoreError::write(dir, error))
}

fn remove(copy: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let _ = files::remove(&files::beside(copy, suffix));
    }
}

impl Pooled<'_> {
    /// Whether the database is sound, where it is so small that looking costs nothing beside a change.
    pub(crate) fn check_if_small(&self, file: &Path) -> Result<(), StoreError> {
        let pages: i64 = self.query_row("PRAGMA page_count", (), |row| row.get(0)).about(file)?;
        if pages <= CHECKED_PAGES { check(self, file) } else { Ok(()) }
    }
}

/// Up to this many pages (some 400 clients) every change looks at all of them, which takes half a millisecond at most.
/// A larger database is looked at when it is copied.
const CHECKED_PAGES: i64 = 48;

#[cfg(test)]
mod tests;
