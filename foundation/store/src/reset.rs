//! A factory reset, as far as the stored state goes.
//!
//! Everything that is to be stored afterwards is written first, into a database beside the present one. As long as it
//! lies there, the reset has been decided on and is unfinished: whoever comes next can finish it, however often it is
//! cut short. The last step puts it in the place of the old one.

use std::fs;
use std::io;
use std::path::Path;

use crate::database::{self, Pool};
use crate::error::StoreError;
use crate::files;
use crate::lock::Lock;
use crate::model::Server;
use crate::state::State;
use crate::store::Store;
use crate::transaction::Transaction;

impl Store {
    /// Whether a factory reset was begun and is not finished.
    pub fn reset_pending(&self) -> Result<bool, StoreError> {
        let file = self.paths().reset();
        file.try_exists().map_err(|error| StoreError::unreadable(&file, error))
    }

    /// Writes down that all that is stored is to go, and what is stored then: this server without any client,
    /// whether its ports are opened in packet filters of others, and defaults; `None` for a system that was never set up. When this returns it is on the disk.
    ///
    /// The present state is not read: it may be damaged, or of a newer version. A reset that is pending is replaced.
    pub fn begin_reset(
        &self,
        lock: &Lock,
        server: Option<&Server>,
        open_firewall: bool,
    ) -> Result<(), StoreError> {
        self.check_lock(lock)?;
        files::prepare(self.paths())?;
        // What goes from here on is removed on purpose.
        self.forget_watched()?;
        let file = self.paths().reset();
        let failed = |error| StoreError::write(&file, error);
        let draft = database::make_draft(&file, self.pool.modules())?;
        if let Some(server) = server {
            let pool = Pool::new(draft.clone());
            let change = Transaction::begin(State::write(&pool)?, lock, Vec::new());
            change.set_server(server)?;
            change.set_open_firewall(open_firewall)?;
            change.commit()?;
        }
        // A commit of the server leaves an empty log; without one the file is complete in itself.
        let log = files::beside(&draft, "-wal");
        if log.metadata().is_ok_and(|found| found.len() > 0) {
            return Err(failed(io::Error::other("the log could not be copied into the new database")));
        }
        for suffix in ["-wal", "-shm"] {
            files::remove(&files::beside(&draft, suffix)).map_err(failed)?;
        }
        fs::File::open(&draft).and_then(|draft| draft.sync_all()).map_err(failed)?;
        fs::rename(&draft, &file).map_err(failed)?;
        files::sync_dir(&self.paths().data_dir()).map_err(failed)
    }

    /// The server that a pending reset leads to.
    pub fn reset_server(&self) -> Result<Option<Server>, StoreError> {
        let pool = Pool::new(self.paths().reset());
        let server = State::read(&pool)?.server()?;
        // Reading has made a log and its index beside it.
        drop(pool);
        for suffix in ["-wal", "-shm"] {
            let file = files::beside(&self.paths().reset(), suffix);
            files::remove(&file).map_err(|error| StoreError::write(&file, error))?;
        }
        Ok(server)
    }

    /// Removes everything beside the database: exits, logs, certificates with their account, backups, and what else lies
    /// in the folder of the database. What the operator has placed in the folder `config` stays. A folder that is a link
    /// to somewhere else is removed as a link. Nothing happens unless a reset is pending.
    pub fn discard_files(&self, lock: &Lock) -> Result<(), StoreError> {
        self.check_lock(lock)?;
        if !self.reset_pending()? {
            return Ok(());
        }
        let paths = self.paths();
        for dir in [paths.exits_dir(), paths.logs_dir(), paths.certs_dir(), paths.backups_dir()] {
            remove_all(&dir).map_err(|error| StoreError::write(&dir, error))?;
        }
        let (data, database) = (paths.data_dir(), paths.database());
        let keep = [
            paths.reset(),
            database.clone(),
            files::beside(&database, "-wal"),
            files::beside(&database, "-shm"),
        ];
        let failed = |error| StoreError::write(&data, error);
        for entry in fs::read_dir(&data).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if !keep.contains(&path) {
                remove_all(&path).map_err(|error| StoreError::write(&path, error))?;
            }
        }
        Ok(())
    }

    /// Finishes a pending reset: [`discard_files`](Self::discard_files), and the new state in the place of the old one.
    /// It can be repeated after being cut short anywhere. The host knows nothing of it yet.
    pub fn finish_reset(&self, lock: &Lock) -> Result<(), StoreError> {
        self.discard_files(lock)?;
        if !self.reset_pending()? {
            return Ok(());
        }
        let (new, database) = (self.paths().reset(), self.paths().database());
        let failed = |error| StoreError::write(&database, error);
        // The log of the old database would be taken for one of the new; and the old one is not needed any more.
        for suffix in ["-wal", "-shm"] {
            files::remove(&files::beside(&database, suffix)).map_err(failed)?;
        }
        if database.is_dir() {
            fs::remove_dir_all(&database).map_err(failed)?;
        }
        fs::rename(&new, &database).map_err(failed)?;
        files::sync_dir(&self.paths().data_dir()).map_err(failed)
    }
}

/// Removes a file, a link, or a folder with all that is in it; that it is not there is no error.
fn remove_all(path: &Path) -> io::Result<()> {
    let removed = match path.symlink_metadata() {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => return files::remove(path),
        Err(error) => Err(error),
    };
    removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

#[cfg(test)]
mod tests;
