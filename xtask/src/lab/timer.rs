//! The end of a machine that does not end by itself.

use std::sync::mpsc;
use std::time::Duration;

use crate::command::Cmd;

/// Kills a process when its time is over.
pub(super) struct Timer {
    stop: mpsc::Sender<()>,
    thread: std::thread::JoinHandle<bool>,
}

impl Timer {
    pub(super) fn start(pid: u32, limit: Duration) -> Self {
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let late = stopped.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout);
            // Nobody has waited for the process yet, so that the number is still its own.
            late && Cmd::line("kill -KILL").arg(pid.to_string()).succeeds()
        });
        Self { stop, thread }
    }

    /// Returns whether it was too late.
    pub(super) fn stop(self) -> bool {
        let _ = self.stop.send(());
        self.thread.join().unwrap_or(true)
    }
}
