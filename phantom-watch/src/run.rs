//! The loop: wakes, looks, asks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use phantom_types::watch::{Watched, WatchedFilter};
use phantom_types::{Said, Text};

use crate::filter::{Nftables, Print};
use crate::kernel::Kernel;
use crate::netlink::Ear;
use crate::place::{Edition, ended, is_locked, stamps};
use crate::{Fight, Machine, Next, Place, Seen, filter, kernel, legacy, missing, notify};

/// So long it waits from one look to the next, however much happens: what comes together is looked at together.
const GATHER: Duration = Duration::from_millis(100);
/// It looks now and then even if nothing was said.
const NOW_AND_THEN: Duration = Duration::from_mins(1);
/// How soon it sees that a process has ended, which nobody tells it of.
const PROCESSES: Duration = Duration::from_millis(500);
/// How soon it sees a change of legacy iptables, which nobody tells it of.
const LEGACY: Duration = Duration::from_secs(5);
/// A second look that was asked for and of which nothing is heard is asked for again after this.
const UNANSWERED: Duration = Duration::from_secs(20);
/// The name of what is missing when a change was cut short.
const UNFINISHED: Text = Text {
    en: "the end of a change that was cut short",
    tr: "yarıda kalmış bir değişikliğin tamamlanması",
};
/// The name of what is missing when something is to be done by itself.
const DUE: Text = Text { en: "what is due now", tr: "zamanı gelen iş" };
/// The name of what is missing when somebody has written into a file in which there are rules of ours.
const FILES: Text = Text { en: "the rules that ufw keeps", tr: "ufw'nin tuttuğu kurallar" };
/// The name of what is missing when our part of the packet filter is not what was found right.
const FILTER: Text = Text { en: "the packet filter", tr: "paket filtresi" };

/// Watches until the process ends.
///
/// # Errors
/// The kernel refuses to tell of changes, or the folders cannot be watched.
pub fn watch(place: Place) -> io::Result<()> {
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

/// What was found right of the packet filter.
enum Right {
    Nftables { generation: u32, print: Print },
    Legacy { print: Vec<(u32, u32)>, looked: Instant },
}

struct Watcher {
    place: Place,
    start: Instant,
    folder: Inotify,
    /// The folder that is watched is the one in which the installation says what is meant to be there.
    told: bool,
    ears: Vec<Ear>,
    kernel: Kernel,
    nftables: Option<Nftables>,
    machine: Machine,
    edition: Option<Edition>,
    watched: Option<Watched>,
    right: Option<Right>,
    /// The tables of legacy iptables when a change had ended, while nobody has said yet that they were right then.
    unsure: Option<Vec<(u32, u32)>>,
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
    fn new(place: Place) -> io::Result<Self> {
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
            nftables: nftables.ok(),
            machine: Machine::default(),
            edition: None,
            watched: None,
            right: None,
            unsure: None,
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
        let edition = self.place.edition();
        if edition != self.edition {
            self.watched = self.place.watched().ok();
            if self.watched.as_ref().is_some_and(|watched| watched.nothing_missing) {
                self.machine.nothing_was_missing();
            }
            self.machine.heard();
            // Only what was looked at is right: an edition may also say that a repair has failed.
            let found_at = self.watched.as_ref().map(|watched| watched.found_at);
            if found_at != self.found_at {
                self.files = self.watched.as_ref().map(|watched| stamps(&watched.files)).unwrap_or_default();
                self.found_at = found_at;
            }
            self.right = None;
            self.asked = None;
            self.edition = edition;
        }
        // Behind the other: what a repair says counts more than that it has ended.
        if self.repair.as_mut().is_some_and(|child| child.try_wait().is_ok_and(|ended| ended.is_some())) {
            self.repair = None;
            self.machine.heard();
        }
        if self.is_changing() {
            return GATHER;
        }
        let missing = match self.look() {
            Ok(missing) => missing,
            Err(error) => {
                let error = format!("the host cannot be looked at: {error}");
                if self.trouble.as_ref() != Some(&error) {
                    say(&error);
                    self.trouble = Some(error);
                }
                return PROCESSES;
            }
        };
        self.trouble = None;
        // What a change did meanwhile is looked at when it has ended.
        if self.is_changing() || self.place.edition() != self.edition {
            return GATHER;
        }
        let next = self.machine.look(self.start.elapsed(), &missing);
        self.report();
        match next {
            Next::Rest => {
                if self.unsure.is_some() && self.asked.is_none_or(|asked| asked.elapsed() > UNANSWERED) {
                    self.asked = Some(Instant::now());
                    self.ask();
                }
                self.pause()
            }
            Next::Look(pause) => pause.min(self.pause()),
            Next::Ask => {
                let list: Vec<&str> = missing.iter().map(|one| one.en.as_str()).collect();
                say(&format!("asking for a repair: missing is {}", list.join(", ")));
                self.ask();
                self.pause()
            }
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
        let left = self.until_due().filter(|left| !left.is_zero());
        left.map_or(NOW_AND_THEN, |left| left + GATHER).min(self.pause_for_what_is_not_told())
    }

    /// How long until something is to be done; zero when it is now.
    #[expect(clippy::disallowed_methods, reason = "a moment of the calendar, and no host here to ask")]
    fn until_due(&self) -> Option<Duration> {
        self.place.due().map(|due| due.duration_since(SystemTime::now()).unwrap_or_default())
    }

    fn pause_for_what_is_not_told(&self) -> Duration {
        let Some(watched) = &self.watched else { return NOW_AND_THEN };
        if !watched.processes.is_empty() || self.repair.is_some() {
            return PROCESSES;
        }
        if matches!(self.right, Some(Right::Legacy { .. })) { LEGACY } else { NOW_AND_THEN }
    }

    /// Whether something is being changed now.
    fn is_changing(&self) -> bool {
        self.watched.as_ref().is_some_and(|watched| is_locked(&watched.lock))
            || self.place.changing_under().is_some_and(|lock| is_locked(&lock))
    }

    fn look(&mut self) -> io::Result<BTreeSet<Said>> {
        let cut_short = self.place.changing_under().is_some_and(|lock| !is_locked(&lock))
            // It may have ended between the two questions.
            && self.place.changing_under().is_some();
        let mut lost = BTreeSet::new();
        if cut_short {
            lost.insert(UNFINISHED.into());
        }
        if self.until_due().is_some_and(|left| left.is_zero()) {
            lost.insert(DUE.into());
        }
        let Some(watched) = self.watched.take() else { return Ok(lost) };
        let found = self.see(&watched).and_then(|seen| {
            lost.append(&mut missing(&watched, &seen));
            if stamps(&watched.files) != self.files {
                lost.insert(FILES.into());
            }
            let right = watched.filter.as_ref().map_or(Ok(true), |filter| self.filter_is_right(filter))?;
            if !right {
                lost.insert(FILTER.into());
            }
            Ok(lost)
        });
        self.watched = Some(watched);
        found
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
        Ok(Seen { links, rules, routes, settings, ended: ended(&watched.processes) })
    }

    /// Whether our part of the packet filter is as it was when a change last found it right.
    fn filter_is_right(&mut self, filter: &WatchedFilter) -> io::Result<bool> {
        let Some(generation) = filter.generation else { return Ok(self.legacy_is_right()) };
        let Some(nftables) = &mut self.nftables else { return Ok(true) };
        let known = match &self.right {
            Some(Right::Nftables { generation, .. }) => Some(*generation),
            _ => None,
        };
        if known == Some(nftables.generation()?) {
            return Ok(true);
        }
        let (now, print) = nftables.print(filter)?;
        let right = match &self.right {
            Some(Right::Nftables { print: right, .. }) => *right == print,
            // Nobody but the one who changed it can say what is right: it is, as long as nothing has happened since.
            _ => now == generation,
        };
        if right {
            self.right = Some(Right::Nftables { generation: now, print });
        }
        Ok(right)
    }

    fn legacy_is_right(&mut self) -> bool {
        if let Some(Right::Legacy { looked, .. }) = &self.right
            && looked.elapsed() < LEGACY
        {
            return true;
        }
        let (print, looked) = (legacy::print(), Instant::now());
        let known = match &self.right {
            Some(Right::Legacy { print: right, .. }) => Some(*right == print),
            // These tables have no number that would say that they are still what the change left: between its end and this
            // look somebody may have flushed them. Where they are the same before and after a repair, that found them right.
            _ => (self.unsure.replace(print.clone()).as_ref() == Some(&print)).then_some(true),
        };
        if known == Some(true) {
            self.unsure = None;
            self.right = Some(Right::Legacy { print, looked });
        }
        known != Some(false)
    }

    /// Says what somebody keeps removing, once for each time that it changes.
    fn report(&mut self) {
        let fights = self.machine.fights();
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
            Ok(_) | Err(nix::errno::Errno::EAGAIN) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// Writes to standard error, which is the journal. Where that is closed, there is nobody to tell.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "phantom-watch: {text}");
}
