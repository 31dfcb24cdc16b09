//! What the watcher of this installation is told: a folder that everybody may read, and in which there is no secret.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;

use phantom_types::Timestamp;
use phantom_types::watch::{Watched, lock_name};

use crate::error::StoreError;
use crate::files;
use crate::store::Store;

/// Everybody may look.
const DIR: u32 = 0o755;
/// Everybody may read.
const FILE: u32 = 0o644;

impl Store {
    fn watched_file(&self) -> PathBuf {
        self.paths().watch_dir().join("objects.json")
    }
    fn due_file(&self) -> PathBuf {
        self.paths().watch_dir().join("due")
    }
    fn changing_file(&self) -> PathBuf {
        self.paths().watch_dir().join("changing")
    }

    /// Says what is in force from now on; the name of the lock is filled in. The caller holds the [lock](Store::lock).
    ///
    /// It is there as a whole or not at all, but is not flushed to a disk: the next boot shall not find it.
    pub fn set_watched(&self, watched: Watched) -> Result<(), StoreError> {
        let file = self.watched_file();
        let failed = |error| StoreError::write(&file, error);
        let watched = Watched { lock: self.lock_name().map_err(failed)?, ..watched };
        let text = serde_json::to_vec(&watched).map_err(|error| failed(error.into()))?;
        self.put(&file, &text).map_err(failed)
    }

    /// What was last said; nothing when that was not in this run of the system, or makes no sense.
    pub fn watched(&self) -> Option<Watched> {
        serde_json::from_slice(&fs::read(self.watched_file()).ok()?).ok()
    }

    /// Takes it back: from now on nothing is missed, and nothing is due. For whoever removes everything.
    pub fn forget_watched(&self) -> Result<(), StoreError> {
        let file = self.watched_file();
        files::remove(&file).map_err(|error| StoreError::write(&file, error))?;
        self.set_due(None)
    }

    /// Says that a change has begun, or has ended. It only makes that others see earlier what the [marker](Store::marker)
    /// says, so that it is no failure when it cannot be said. It is said before the marker is there: of a change that is
    /// killed in between it stays, and whoever looks whether something was cut short takes it back.
    pub fn say_changing(&self, changing: bool) {
        let file = self.changing_file();
        if !changing {
            let _ = files::remove(&file);
        } else if let Ok(name) = self.lock_name() {
            let _ = self.put(&file, name.as_bytes());
        }
    }

    /// Says when this installation wants to be looked at next although nothing has happened; never for `None`. The caller holds
    /// the [lock](Store::lock).
    pub fn set_due(&self, due: Option<Timestamp>) -> Result<(), StoreError> {
        if self.due() == due {
            return Ok(());
        }
        let file = self.due_file();
        let said = match due {
            Some(due) => self.put(&file, due.micros().to_string().as_bytes()),
            None => files::remove(&file),
        };
        said.map_err(|error| StoreError::write(&file, error))
    }

    /// What was last said by [`Self::set_due`] in this run of the system.
    pub fn due(&self) -> Option<Timestamp> {
        fs::read_to_string(self.due_file()).ok()?.parse().ok().map(Timestamp::from_micros)
    }

    fn lock_name(&self) -> io::Result<String> {
        let found = fs::metadata(self.paths().lock())?;
        Ok(lock_name(found.dev(), found.ino()))
    }

    fn put(&self, file: &std::path::Path, text: &[u8]) -> io::Result<()> {
        let dir = self.paths().watch_dir();
        if !dir.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        }
        // Whoever made it may have been killed before this.
        if fs::metadata(&dir)?.mode() & 0o7777 != DIR {
            fs::set_permissions(&dir, Permissions::from_mode(DIR))?;
        }
        let draft = files::beside(file, ".new");
        files::remove(&draft)?;
        let mut to = files::create_private(&draft)?;
        to.write_all(text)?;
        to.set_permissions(Permissions::from_mode(FILE))?;
        fs::rename(&draft, file)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Marker;
    use crate::testing::Fixture;

    fn mode(path: &std::path::Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn note_is_readable_by_all_and_removable() {
        let fixture = Fixture::new();
        let store = &fixture.store;
        assert_eq!(store.watched(), None);
        let _lock = store.lock(Duration::ZERO).unwrap();
        let watched = Watched { mark: "phantom-wg".to_owned(), ..Watched::default() };
        store.set_watched(watched.clone()).unwrap();
        let said = store.watched().unwrap();
        assert_eq!(Watched { lock: String::new(), ..said.clone() }, watched);
        assert_eq!(said.lock, store.lock_name().unwrap());
        assert_eq!((mode(&store.paths().watch_dir()), mode(&store.watched_file())), (DIR, FILE));
        store.forget_watched().unwrap();
        store.forget_watched().unwrap();
        assert_eq!(store.watched(), None);
    }

    #[test]
    fn half_made_directory_is_completed() {
        let fixture = Fixture::new();
        let store = &fixture.store;
        let _lock = store.lock(Duration::ZERO).unwrap();
        let dir = store.paths().watch_dir();
        DirBuilder::new().recursive(true).mode(0o700).create(&dir).unwrap();
        store.set_watched(Watched::default()).unwrap();
        assert_eq!(mode(&dir), DIR);
    }

    #[test]
    fn due_time_is_written_and_removed() {
        let fixture = Fixture::new();
        let store = &fixture.store;
        let _lock = store.lock(Duration::ZERO).unwrap();
        assert_eq!(store.due(), None);
        let due = Some(Timestamp::from_micros(1_795_932_731_000_000));
        store.set_due(due).unwrap();
        assert_eq!((store.due(), mode(&store.due_file())), (due, FILE));
        store.forget_watched().unwrap();
        assert_eq!(store.due(), None);
    }

    #[test]
    fn change_is_noted_while_its_marker_exists() {
        let fixture = Fixture::new();
        let store = &fixture.store;
        let _lock = store.lock(Duration::ZERO).unwrap();
        let marker = Marker {
            module: "core".to_owned(),
            action: "setup".to_owned(),
            started_at: Timestamp::from_micros(0),
            generation: 0,
            pid: 1,
        };
        store.set_marker(&marker).unwrap();
        let named = fs::read_to_string(store.changing_file()).unwrap();
        assert_eq!(named, store.lock_name().unwrap());
        store.clear_marker().unwrap();
        assert!(!store.changing_file().exists());
    }
}
