//! The loop: wakes, looks, asks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use phantom_types::watch::Watched;
use phantom_types::{Said, Text};

use crate::calendar::Calendar;
use crate::filter::Nftables;
use crate::kernel::Kernel;
use crate::netlink::Ear;
use crate::place::{Edition, ended, is_locked, stamps};
use crate::right::{self, Right};
use crate::{Fight, Machine, Next, Seen, WatchPaths, filter, kernel, missing, notify};

/// So long it waits from one look to the next, however much happens: what comes together is looked at together.
const GATHER: Duration = Duration::from_millis(100);
/// It looks now and then even if nothing was said.
const NOW_AND_THEN: Duration = Duration::from_mins(1);
/// How soon it sees that a process has ended, which nobody tells it of.
const PROCESSES: Duration = Duration::from_millis(500);
/// A second look that was asked for and of which nothing is heard is asked for again after this.
const UNANSWERED: Duration = Duration::from_secs(20);
/// The name of what is missing when a change was cut short.
const UNFINISHED: Text = Text {
    en: "the end of a change that was cut short",
    tr: "yarıda kalmış bir değişikliğin tamamlanması",
};
/// The name of what is missing when nobody says any more what is meant to be there.
const LIST: Text = Text { en: "the list of what is meant to be there", tr: "olması gerekenlerin listesi" };
/// The name of what is missing when somebody has written into a file in which there are rules of ours.
const FILES: Text = Text { en: "the rules that ufw keeps", tr: "ufw'nin tuttuğu kurallar" };

/// Watches until the process ends.
///
/// # Errors
/// The kernel refuses to tell of changes, or the folders cannot be watched.
pub fn watch(place: WatchPaths) -> io::Result<()> {
    place.prepare()?;
    // What the one before it has seen is over.
    place.report(&[])?;
    let mut watcher = Watcher::new(place)?;
    notify::ready();
    loop {
        let began = Instant::now();
        let next = watcher.round();
        watcher.wait(next)?;
        thread::sleep(GATHER.saturating_sub(began.elapsed()));
        watcher.forget()?;
    }
}

struct Watcher {
    place: WatchPaths,
    start: Instant,
    folder: Inotify,
    /// The folder that is watched is the one in which the installation says what is meant to be there.
    told: bool,
    ears: Vec<Ear>,
    kernel: Kernel,
    machine: Machine,
    calendar: Calendar,
    edition: Option<Edition>,
    watched: Option<Watched>,
    /// The lock that was named last.
    lock: Option<String>,
    filter: Right,
    /// The files of others when a change had ended.
    files: Vec<Option<Edition>>,
    /// When that change had found the host right.
    found_at: Option<i64>,
    /// When somebody was asked to say so.
    asked: Option<Instant>,
    repair: Option<Child>,
    fights: Vec<Fight>,
    /// Why the last look failed, said once.
    trouble: Option<String>,
}

impl Watcher {
    fn new(place: WatchPaths) -> io::Result<Self> {
        let folder = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let mut ears = vec![kernel::ear()?];
        // A kernel without nftables has nobody who tells of it.
        let nftables = filter::ear().and_then(|ear| {
            ears.push(ear);
            Nftables::open()
        });
        Ok(Self {
            place,
            start: Instant::now(),
            folder,
            told: false,
            ears,
            kernel: Kernel::open()?,
            machine: Machine::patient_with(right::DOORS.into()),
            calendar: Calendar::new()?,
            edition: None,
            watched: None,
            lock: None,
            filter: Right::new(nftables.ok()),
            files: Vec::new(),
            found_at: None,
            asked: None,
            repair: None,
            fights: Vec::new(),
            trouble: None,
        })
    }

    /// Lets the folder wake it in which the installation says what is meant to be there. After a boot it is not there yet:
    /// until then the one above does.
    fn watch_folder(&mut self) {
        if self.told {
            return;
        }
        let events = AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_DELETE;
        self.told = self.folder.add_watch(&self.place.told, events).is_ok();
        if let Some(above) = self.place.told.parent().filter(|_| !self.told) {
            // Where that fails too, it looks now and then.
            let _ = self.folder.add_watch(above, AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO);
        }
    }

    /// One look; says when the next one is due at the latest.
    fn round(&mut self) -> Duration {
        self.watch_folder();
        if let Some(now) = self.calendar.looks() {
            // Where it cannot be said, the watcher watches all the same.
            let _ = self.place.say_looked(now);
        }
        self.hear();
        if self.is_changing() {
            return GATHER;
        }
        let (missing, trouble) = self.look();
        let blind = trouble.is_some();
        if let Some(error) = trouble.map(|error| format!("the host cannot be looked at: {error}")) {
            if self.trouble.as_ref() != Some(&error) {
                say(&error);
                self.trouble = Some(error);
            }
            // What could be seen counts all the same.
            if missing.is_empty() {
                return PROCESSES;
            }
        }
        if !blind {
            self.trouble = None;
        }
        // What a change did meanwhile is looked at when it has ended.
        if self.is_changing() || self.place.edition() != self.edition {
            return GATHER;
        }
        let next = self.machine.look(self.start.elapsed(), &missing);
        self.report();
        match next {
            Next::Rest => {
                if self.filter.is_unsure() && self.asked.is_none_or(|asked| asked.elapsed() > UNANSWERED) {
                    self.asked = Some(Instant::now());
                    self.ask();
                }
                self.pause()
            }
            Next::Look(pause) => pause.min(self.pause()),
            Next::Ask => {
                let list: Vec<&str> = missing.iter().map(|one| one.en.as_str()).collect();
                say(&format!("asking for a repair: missing is {}", list.join(", ")));
                self.calendar.asked();
                self.ask();
                self.pause()
            }
        }
    }

    /// Hears what a change or a repair has said since the last look.
    fn hear(&mut self) {
        let edition = self.place.edition();
        if edition != self.edition {
            self.watched = self.place.watched().ok();
            if let Some(watched) = &self.watched {
                self.lock = Some(watched.lock.clone());
            }
            if self.watched.as_ref().is_some_and(|watched| watched.nothing_missing) {
                self.machine.nothing_was_missing();
            }
            self.machine.heard();
            // Only what was looked at is right: an edition may also say that a repair has failed.
            let found_at = self.watched.as_ref().map(|watched| watched.found_at);
            if found_at != self.found_at {
                self.files = self.watched.as_ref().map(|watched| stamps(&watched.files)).unwrap_or_default();
                self.kernel.forget_guards();
                self.found_at = found_at;
            }
            self.filter.begin_again();
            self.asked = None;
            self.edition = edition;
        }
        // Behind the other: what a repair says counts more than that it has ended.
        if self.repair.as_mut().is_some_and(|child| child.try_wait().is_ok_and(|ended| ended.is_some())) {
            self.repair = None;
            self.machine.heard();
        }
    }

    fn ask(&mut self) {
        match self.place.ask() {
            Ok(child) => self.repair = child,
            Err(error) => say(&format!("no repair could be asked for: {error}")),
        }
    }

    /// How long it may rest when nothing is said.
    fn pause(&self) -> Duration {
        let left = self.calendar.left().filter(|left| !left.is_zero());
        left.map_or(NOW_AND_THEN, |left| left + GATHER).min(self.pause_for_what_is_not_told())
    }

    fn pause_for_what_is_not_told(&self) -> Duration {
        let Some(watched) = &self.watched else { return NOW_AND_THEN };
        if !watched.processes.is_empty() || self.repair.is_some() {
            return PROCESSES;
        }
        self.filter.pause().unwrap_or(NOW_AND_THEN)
    }

    /// Whether something is being changed now.
    fn is_changing(&self) -> bool {
        self.lock.as_ref().is_some_and(|lock| is_locked(lock))
            || self.place.changing_under().is_some_and(|lock| is_locked(&lock))
    }

    /// What is missing, and why something could not be looked at.
    fn look(&mut self) -> (BTreeSet<Said>, Option<io::Error>) {
        let cut_short = self.place.changing_under().is_some_and(|lock| !is_locked(&lock))
            // It may have ended between the two questions.
            && self.place.changing_under().is_some();
        let mut lost = BTreeSet::new();
        if cut_short {
            lost.insert(UNFINISHED.into());
        }
        self.calendar.take(self.place.due(), &mut self.machine);
        lost.extend(self.calendar.wants());
        let Some(watched) = self.watched.take() else {
            // A factory reset takes it away while it holds the lock, and a new one comes with the next start.
            lost.extend(self.lock.is_some().then(|| LIST.into()));
            return (lost, None);
        };
        let mut trouble = None;
        match self.see(&watched) {
            Ok(seen) => lost.append(&mut missing(&watched, &seen)),
            Err(error) => trouble = Some(error),
        }
        if stamps(&watched.files) != self.files {
            lost.insert(FILES.into());
        }
        if let Some(filter) = &watched.filter {
            match self.filter.changed(filter) {
                Ok(changed) => lost.extend(changed.map(Said::from)),
                Err(error) => trouble = Some(error),
            }
        }
        self.watched = Some(watched);
        (lost, trouble)
    }

    fn see(&mut self, watched: &Watched) -> io::Result<Seen> {
        let setting = |name: &String| {
            let value = fs::read_to_string(format!("/proc/sys/{}", name.replace('.', "/"))).ok()?;
            Some((name.clone(), value.trim_end().to_owned()))
        };
        let settings: BTreeMap<String, String> = watched.settings.keys().filter_map(setting).collect();
        let links = self.kernel.links(watched)?;
        let rules = if watched.rules.is_empty() { BTreeSet::new() } else { self.kernel.rules()? };
        let routes = if watched.routes.is_empty() { BTreeSet::new() } else { self.kernel.routes(watched)? };
        let ways_out = if watched.ways_out.is_some() { self.kernel.ways_out()? } else { Vec::new() };
        Ok(Seen { links, rules, routes, settings, ended: ended(&watched.processes), ways_out })
    }

    /// Says what somebody keeps removing, once for each time that it changes.
    fn report(&mut self) {
        let mut fights = self.machine.fights();
        // What nobody can remove is not done, which others say.
        fights.retain(|fight| fight.object != UNFINISHED.into() && !Calendar::is_work(&fight.object));
        let objects = |fights: &[Fight]| fights.iter().map(|fight| fight.object.clone()).collect::<Vec<_>>();
        if objects(&fights) != objects(&self.fights) {
            for fight in &fights {
                say(&format!(
                    "something keeps removing {}: it is put back more and more seldom",
                    fight.object.en
                ));
            }
            if let Err(error) = self.place.report(&fights) {
                say(&format!("the report could not be written: {error}"));
            }
        }
        self.fights = fights;
    }

    /// Waits until something is said, or for so long.
    fn wait(&self, limit: Duration) -> io::Result<()> {
        let mut fds: Vec<PollFd<'_>> =
            self.ears.iter().map(|ear| PollFd::new(ear.as_fd(), PollFlags::POLLIN)).collect();
        fds.push(PollFd::new(self.folder.as_fd(), PollFlags::POLLIN));
        fds.push(PollFd::new(self.calendar.as_fd(), PollFlags::POLLIN));
        let limit = PollTimeout::try_from(limit.max(Duration::from_millis(1))).unwrap_or(PollTimeout::MAX);
        match poll(&mut fds, limit) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Forgets what was said: the look that follows sees what has come of it.
    fn forget(&mut self) -> io::Result<()> {
        for ear in &mut self.ears {
            ear.forget()?;
        }
        match self.folder.read_events() {
            // A folder that is gone may be made again, and is another one then.
            Ok(events) => {
                self.told &= !events.iter().any(|event| event.mask.contains(AddWatchFlags::IN_IGNORED));
            }
            Err(nix::errno::Errno::EAGAIN) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(())
    }
}

/// Writes to standard error, which is the journal. Where that is closed, there is nobody to tell.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "phantom-watch: {text}");
}
