//! Notices changes in directories: `inotify(7)`.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::sync::Notify;
use tokio::time::timeout;

/// How long it has to be quiet before a change counts as complete: a certificate is several files.
const QUIET: Duration = Duration::from_millis(100);
/// How long a noisy directory can put that off: what is taken away from a client has to be gone within a second.
const PUT_OFF: Duration = Duration::from_millis(400);

/// Watched directories. A thread waits for the kernel's events, since the runtime takes foreign descriptors only in
/// unsafe code; it ends with this value.
pub(super) struct Watch(Arc<Shared>);

struct Shared {
    inotify: Inotify,
    event: Notify,
    end: AtomicBool,
}

impl Watch {
    /// Watches these directories from now on; those that do not exist are left out.
    pub(super) fn new(folders: &BTreeSet<PathBuf>) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC)?;
        let what = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_ONLYDIR;
        for folder in folders {
            // What is not there yet is noticed by the directory above it, which is watched too, or by the periodic look.
            let _ = inotify.add_watch(folder, what);
        }
        let shared = Arc::new(Shared { inotify, event: Notify::new(), end: AtomicBool::new(false) });
        let watch = Self(Arc::clone(&shared));
        thread::Builder::new().name("watch".to_owned()).spawn(move || shared.forward())?;
        Ok(watch)
    }

    /// Returns when something has changed and it is quiet again. A change before the call counts.
    pub(super) async fn changed(&self) {
        self.0.event.notified().await;
        let noise = async { while timeout(QUIET, self.0.event.notified()).await.is_ok() {} };
        let _ = timeout(PUT_OFF, noise).await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.end.store(true, Ordering::Release);
        // The end of a watch is an event: the thread wakes up.
        if let Ok(root) = self.0.inotify.add_watch("/", AddWatchFlags::IN_DELETE_SELF) {
            let _ = self.0.inotify.rm_watch(root);
        }
    }
}

impl Shared {
    fn forward(&self) {
        while matches!(self.inotify.read_events(), Ok(_) | Err(Errno::EINTR))
            && !self.end.load(Ordering::Acquire)
        {
            self.event.notify_one();
        }
    }
}
