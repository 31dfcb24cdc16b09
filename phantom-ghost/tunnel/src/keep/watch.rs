//! Notices changes in directories: `inotify(7)`. Where the kernel grants none, everything is looked at every minute.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::future::pending;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// How long it has to be quiet before a change counts as complete: a certificate is several files.
const QUIET: Duration = Duration::from_millis(100);
/// How long a noisy directory can put that off: what is taken away from a client has to be gone within a second.
const PUT_OFF: Duration = Duration::from_millis(400);
/// How often files are looked at that the kernel does not watch.
const LOOK: Duration = Duration::from_mins(1);

/// Directories in which a change can mean something, each with the names in it that do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Folders(BTreeMap<PathBuf, Names>);

/// Names in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Names {
    All,
    Some(BTreeSet<OsString>),
}

impl Folders {
    /// Everything in this directory means something.
    pub(super) fn add(&mut self, folder: &Path) {
        self.0.insert(folder.to_owned(), Names::All);
    }

    /// This file or directory means something, whatever lies beside it.
    pub(super) fn add_entry(&mut self, path: &Path) {
        if let Some((folder, name)) = path.parent().zip(path.file_name()) {
            let names = self.0.entry(folder.to_owned()).or_insert_with(|| Names::Some(BTreeSet::new()));
            names.join(&Names::Some(BTreeSet::from([name.to_owned()])));
        }
    }
}

impl Names {
    fn join(&mut self, more: &Self) {
        match (&mut *self, more) {
            (Self::Some(names), Self::Some(more)) => names.extend(more.iter().cloned()),
            _ => *self = Self::All,
        }
    }

    /// Whether it means something. What has no name is about the directory itself.
    fn include(&self, name: Option<&OsString>) -> bool {
        match (self, name) {
            (Self::All, _) | (_, None) => true,
            (Self::Some(names), Some(name)) => names.contains(name),
        }
    }
}

/// Watched directories.
#[derive(Debug, Default)]
pub(super) struct Watch {
    kernel: Option<Kernel>,
    /// Why not everything is watched.
    blind: Option<io::Error>,
    /// When all was looked at last.
    looked: Option<Instant>,
    /// The first and the last event of a change that may not be complete.
    seen: Option<(Instant, Instant)>,
}

/// The kernel's events. A thread waits for them, since the runtime takes foreign descriptors only in unsafe code; it ends with this
/// value.
#[derive(Debug)]
struct Kernel(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    inotify: Inotify,
    /// Held while it is changed what is watched, so that no event is judged by what was there before.
    names: Mutex<BTreeMap<WatchDescriptor, Names>>,
    event: Notify,
    end: AtomicBool,
    /// The thread has ended by itself.
    broken: AtomicBool,
}

impl Watch {
    /// Watches these directories from now on, and no others; those that do not exist are left out.
    pub(super) fn aim(&mut self, folders: &Folders) {
        self.looked = Some(Instant::now());
        if self.kernel.is_none() {
            match Kernel::new() {
                Ok(kernel) => self.kernel = Some(kernel),
                Err(error) => return self.blind = Some(error),
            }
        }
        self.blind = self.kernel.as_ref().and_then(|kernel| kernel.0.aim(folders).err());
    }

    /// What is wrong, while not everything is watched.
    pub(super) fn trouble(&self) -> Option<String> {
        let error = self.blind.as_ref()?;
        Some(format!(
            "changes of files are noticed within a minute only, since the kernel watches none: {error}"
        ))
    }

    /// Returns when something has changed and it is quiet again, or when it is time to look whether something has. A change
    /// before the call counts, and so does one that a call noticed which was given up.
    pub(super) async fn changed(&mut self) {
        loop {
            let quiet = self.seen.map(|(first, last)| (last + QUIET).min(first + PUT_OFF));
            let look = self.looked.filter(|_| self.blind.is_some()).map(|looked| looked + LOOK);
            tokio::select! {
                biased;
                () = event(self.kernel.as_ref()) => {}
                () = until(quiet.or(look)) => {
                    (self.seen, self.looked) = (None, Some(Instant::now()));
                    return;
                }
            }
            if self.kernel.as_ref().is_some_and(|kernel| kernel.0.broken.load(Ordering::Acquire)) {
                (self.kernel, self.blind) = (None, Some(io::Error::other("its events cannot be read")));
            }
            let now = Instant::now();
            self.seen = Some((self.seen.map_or(now, |(first, _)| first), now));
        }
    }
}

impl Kernel {
    fn new() -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC)?;
        let (names, event) = (Mutex::default(), Notify::new());
        let (end, broken) = (AtomicBool::new(false), AtomicBool::new(false));
        let kernel = Self(Arc::new(Shared { inotify, names, event, end, broken }));
        let shared = Arc::clone(&kernel.0);
        thread::Builder::new().name("watch".to_owned()).spawn(move || shared.forward())?;
        Ok(kernel)
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        self.0.end.store(true, Ordering::Release);
        // The end of a watch is an event: the thread wakes up.
        if let Ok(root) = self.0.inotify.add_watch("/", AddWatchFlags::IN_DELETE_SELF) {
            let _ = self.0.inotify.rm_watch(root);
        }
    }
}

impl Shared {
    /// The error says that not all of them are watched.
    fn aim(&self, folders: &Folders) -> io::Result<()> {
        let what = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_ONLYDIR;
        let (mut watched, mut result) = (self.names(), Ok(()));
        let before = std::mem::take(&mut *watched);
        for (folder, names) in &folders.0 {
            match self.inotify.add_watch(folder, what) {
                Ok(watch) => {
                    watched.entry(watch).and_modify(|known| known.join(names)).or_insert(names.clone());
                }
                // The kernel has no watches left, or no memory for one.
                Err(errno @ (Errno::ENOSPC | Errno::ENOMEM)) => result = Err(errno.into()),
                // What is not there yet is noticed by the directory above it, which is watched too, or by the periodic look.
                Err(_) => {}
            }
        }
        for watch in before.into_keys().filter(|watch| !watched.contains_key(watch)) {
            // The directory may be gone, and the watch with it.
            let _ = self.inotify.rm_watch(watch);
        }
        result
    }

    fn names(&self) -> MutexGuard<'_, BTreeMap<WatchDescriptor, Names>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forward(&self) {
        loop {
            let events = self.inotify.read_events();
            if self.end.load(Ordering::Acquire) {
                return;
            }
            match events {
                Ok(events) => {
                    let names = self.names();
                    if events.iter().any(|event| means(event, &names)) {
                        self.event.notify_one();
                    }
                }
                Err(Errno::EINTR) => {}
                Err(_) => {
                    self.broken.store(true, Ordering::Release);
                    return self.event.notify_one();
                }
            }
        }
    }
}

fn means(event: &InotifyEvent, names: &BTreeMap<WatchDescriptor, Names>) -> bool {
    let lost = event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW);
    // The end of a watch, which was wished for or follows another event.
    let end = event.mask.contains(AddWatchFlags::IN_IGNORED);
    let of_this = names.get(&event.wd).is_some_and(|names| names.include(event.name.as_ref()));
    lost || (of_this && !end)
}

/// Waits for an event that means something. Nothing is lost if it is given up.
async fn event(kernel: Option<&Kernel>) {
    match kernel {
        Some(kernel) => kernel.0.event.notified().await,
        None => pending().await,
    }
}

async fn until(end: Option<Instant>) {
    match end {
        Some(end) => sleep_until(end).await,
        None => pending().await,
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests prepare files by themselves")]
mod tests {
    use std::fs;

    use tokio::time::{sleep, timeout};

    use super::*;

    async fn notices(watch: &mut Watch) -> bool {
        timeout(Duration::from_secs(2), watch.changed()).await.is_ok()
    }

    async fn is_quiet(watch: &mut Watch) -> bool {
        timeout(Duration::from_millis(300), watch.changed()).await.is_err()
    }

    #[tokio::test]
    async fn change_survives_the_cancelled_wait() {
        let home = tempfile::tempdir().unwrap();
        let (mut watch, mut folders) = (Watch::default(), Folders::default());
        folders.add(home.path());
        watch.aim(&folders);
        fs::write(home.path().join("a"), "").unwrap();
        // As a connection is tried again while the files become quiet.
        for _ in 0..2 {
            assert!(timeout(Duration::from_millis(30), watch.changed()).await.is_err());
        }
        assert!(notices(&mut watch).await);
        assert!(is_quiet(&mut watch).await, "it is told once");
        assert_eq!(watch.trouble(), None);
    }

    #[tokio::test]
    async fn named_files_count_and_directory_may_return() {
        let home = tempfile::tempdir().unwrap();
        let run = home.path().join("run");
        fs::create_dir(&run).unwrap();
        let (mut watch, mut folders) = (Watch::default(), Folders::default());
        folders.add_entry(&run.join("conf"));
        folders.add_entry(&run);
        watch.aim(&folders);
        fs::write(run.join("status"), "").unwrap();
        fs::write(home.path().join("beside"), "").unwrap();
        assert!(is_quiet(&mut watch).await);
        fs::write(run.join("conf"), "").unwrap();
        assert!(notices(&mut watch).await);
        fs::remove_dir_all(&run).unwrap();
        assert!(notices(&mut watch).await);
        watch.aim(&folders);
        assert!(is_quiet(&mut watch).await, "the end of a watch is no change");
        fs::create_dir(&run).unwrap();
        assert!(notices(&mut watch).await);
        watch.aim(&folders);
        fs::write(run.join("conf"), "").unwrap();
        assert!(notices(&mut watch).await);
        // A folder that is watched no more.
        watch.aim(&Folders::default());
        fs::write(run.join("conf"), "").unwrap();
        assert!(is_quiet(&mut watch).await);
    }

    #[tokio::test(start_paused = true)]
    async fn without_inotify_files_are_checked_each_minute() {
        let mut watch =
            Watch { blind: Some(Errno::EMFILE.into()), looked: Some(Instant::now()), ..Watch::default() };
        assert!(watch.trouble().unwrap().contains("within a minute"));
        for _ in 0..3 {
            let begin = Instant::now();
            // Calls that are given up do not put it off.
            for _ in 0..10 {
                tokio::select! {
                    () = watch.changed() => panic!("too early"),
                    () = sleep(Duration::from_secs(5)) => {}
                }
            }
            watch.changed().await;
            assert_eq!(begin.elapsed().as_secs(), LOOK.as_secs());
        }
        // Each look tries again.
        watch.aim(&Folders::default());
        assert_eq!(watch.trouble(), None);
    }
}
