//! What is to be done at its time, although nothing is missing.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::unistd::read;
use phantom_types::{Said, Text};

use crate::Machine;

/// The name of what is missing when something is to be done by itself.
const DUE: Text = Text { en: "what is due now", tr: "zamanı gelen iş" };
/// The name of what is missing when the clock was set: what is due is said again.
const CLOCK: Text = Text { en: "a look after the clock was set", tr: "saat ayarlandıktan sonraki denetim" };
/// How often it is said that the watcher looks.
const SAID: Duration = Duration::from_secs(30);
/// A moment that does not come: the alarm says all the same when the clock is set.
const FAR: TimeSpec = TimeSpec::new(0xffff_ffff, 0);

/// The next moment at which something is to be done.
pub(crate) struct Calendar {
    alarm: Alarm,
    due: Option<SystemTime>,
    /// The clock was set, and nobody has been asked since.
    clock_set: bool,
    /// When it was said last that the watcher looks.
    said: Option<SystemTime>,
}

impl Calendar {
    pub(crate) fn new() -> io::Result<Self> {
        let mut calendar = Self { alarm: Alarm::new()?, due: None, clock_set: false, said: None };
        // Where it cannot be set, the watcher still looks now and then.
        let _ = calendar.set(None);
        calendar.clock_set = false;
        Ok(calendar)
    }

    /// Takes the moment that the installation says. Another one than before is another work, even if that one is not done.
    pub(crate) fn take(&mut self, due: Option<SystemTime>, machine: &mut Machine) {
        if due != self.due {
            machine.forget(&DUE.into());
            self.due = due;
        }
        let to_come = self.left().filter(|left| !left.is_zero()).and(due);
        let _ = self.set(to_come);
    }

    fn set(&mut self, at: Option<SystemTime>) -> io::Result<()> {
        self.clock_set |= self.alarm.clock_was_set();
        self.clock_set |= self.alarm.set(at)?;
        Ok(())
    }

    /// How long until something is to be done; zero when it is now.
    #[expect(clippy::disallowed_methods, reason = "a moment of the calendar, and no host here to ask")]
    pub(crate) fn left(&self) -> Option<Duration> {
        self.due.map(|due| due.duration_since(SystemTime::now()).unwrap_or_default())
    }

    /// The time, where it is to be said again that the watcher looks.
    #[expect(clippy::disallowed_methods, reason = "a moment of the calendar, and no host here to ask")]
    pub(crate) fn looks(&mut self) -> Option<SystemTime> {
        let now = SystemTime::now();
        let fresh = |said: SystemTime| now.duration_since(said).is_ok_and(|age| age < SAID);
        let again = !self.said.is_some_and(fresh);
        again.then(|| *self.said.insert(now))
    }

    /// What a repair is to be asked for now.
    pub(crate) fn wants(&self) -> impl Iterator<Item = Said> {
        let due = self.left().is_some_and(|left| left.is_zero());
        [(due, DUE), (self.clock_set, CLOCK)]
            .into_iter()
            .filter(|(wanted, _)| *wanted)
            .map(|(_, text)| text.into())
    }

    /// A repair was asked for.
    pub(crate) fn asked(&mut self) {
        self.clock_set = false;
    }

    /// Whether an object is none that somebody can remove.
    pub(crate) fn is_work(object: &Said) -> bool {
        [DUE, CLOCK].map(Said::from).contains(object)
    }
}

impl AsFd for Calendar {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.alarm.0.as_fd()
    }
}

/// Wakes at a moment of the calendar, and whenever somebody sets the clock: then that moment may have come, or be far again.
struct Alarm(TimerFd);

impl Alarm {
    fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        Ok(Self(TimerFd::new(ClockId::CLOCK_REALTIME, flags)?))
    }

    /// Wakes at this moment, in place of the one before; for `None` only when the clock is set. Says whether it was set since.
    fn set(&self, at: Option<SystemTime>) -> io::Result<bool> {
        let since = at.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).filter(|since| !since.is_zero());
        let at = since.map_or(FAR, TimeSpec::from_duration);
        let flags = TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET;
        let set = || self.0.set(Expiration::OneShot(at), flags);
        match set() {
            Ok(()) => Ok(false),
            Err(Errno::ECANCELED) => Ok(set().map(|()| true)?),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Whether it says that the clock was set; what it says is forgotten.
    fn clock_was_set(&self) -> bool {
        read(&self.0, &mut [0; 8]) == Err(Errno::ECANCELED)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "moments of the calendar")]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Instant;

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::*;
    use crate::Next;

    fn wakes_within(fd: &impl AsFd, limit: u16) -> bool {
        let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::from(limit)).unwrap() > 0
    }

    #[test]
    fn wakes_at_its_moment_and_not_earlier() {
        let (mut calendar, mut machine) = (Calendar::new().unwrap(), Machine::default());
        assert!(!wakes_within(&calendar, 50));
        calendar.take(Some(SystemTime::now() + Duration::from_hours(24)), &mut machine);
        assert!(!wakes_within(&calendar, 50) && calendar.wants().next().is_none());
        let began = Instant::now();
        calendar.take(Some(SystemTime::now() + Duration::from_millis(200)), &mut machine);
        assert!(wakes_within(&calendar, 5000) && began.elapsed() >= Duration::from_millis(190));
        assert_eq!(calendar.wants().collect::<Vec<_>>(), [Said::from(DUE)]);
        // What is past is wanted, and wakes nobody again and again.
        calendar.take(calendar.due, &mut machine);
        assert!(!wakes_within(&calendar, 50) && calendar.wants().next().is_some());
        calendar.take(None, &mut machine);
        assert!(calendar.wants().next().is_none());
        calendar.take(Some(UNIX_EPOCH), &mut machine);
        assert!(calendar.wants().next().is_some(), "a moment that was never to come");
    }

    #[test]
    fn another_moment_is_another_work() {
        let (mut calendar, mut machine) = (Calendar::new().unwrap(), Machine::default());
        let due = BTreeSet::from([Said::from(DUE)]);
        for second in 1..100 {
            calendar.take(Some(UNIX_EPOCH + Duration::from_secs(second)), &mut machine);
            assert_eq!(calendar.wants().collect::<BTreeSet<_>>(), due);
            assert_eq!(machine.look(Duration::from_secs(second), &due), Next::Ask);
            machine.heard();
        }
        assert_eq!(machine.fights(), []);
        // The same one, which nobody does, is asked for less and less.
        calendar.take(Some(UNIX_EPOCH + Duration::from_secs(99)), &mut machine);
        assert!(matches!(machine.look(Duration::from_secs(99), &due), Next::Look(_)));
    }
}
