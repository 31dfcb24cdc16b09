//! Whether the packet filter is as a change has left it.

use std::io;
use std::time::{Duration, Instant};

use phantom_types::Text;
use phantom_types::watch::{LegacyTable, WatchedFilter};

use crate::filter::{Nftables, Print};
use crate::legacy;

/// How soon it sees a change of legacy iptables, which nobody tells it of.
const LEGACY: Duration = Duration::from_secs(5);
/// The name of what is missing when our part of the packet filter is not what was found right.
const FILTER: Text = Text { en: "the packet filter", tr: "paket filtresi" };
/// The name of what is missing when others have changed what they do with packets for this host: a port of ours may be closed.
pub(crate) const DOORS: Text = Text {
    en: "the way to our ports through the rules of others",
    tr: "başkalarının kurallarından portlarımıza giden yol",
};

/// What was found right of legacy iptables.
struct Legacy {
    print: Vec<Option<u64>>,
    looked: Instant,
}

/// What of the packet filter was found right.
pub(crate) struct Right {
    nftables: Option<Nftables>,
    /// What was found right of nftables, and in which generation.
    found: Option<(u32, Print)>,
    /// The same before the last change.
    before: Option<Print>,
    legacy: Option<Legacy>,
    /// The tables of legacy iptables when a change had ended, while nobody has said yet that they were right then.
    unsure: Option<Vec<Option<u64>>>,
}

impl Right {
    /// A kernel without nftables has nobody to ask.
    pub(crate) fn new(nftables: Option<Nftables>) -> Self {
        Self { nftables, found: None, before: None, legacy: None, unsure: None }
    }

    /// A change has ended, and what it left is right.
    pub(crate) fn begin_again(&mut self) {
        self.before = self.found.take().map(|(_, print)| print).or(self.before.take());
        self.legacy = None;
    }

    /// Whether somebody has to say that it is right.
    pub(crate) fn is_unsure(&self) -> bool {
        self.unsure.is_some()
    }

    /// How soon it is to be looked at although nothing is said.
    pub(crate) fn pause(&self) -> Option<Duration> {
        self.legacy.is_some().then_some(LEGACY)
    }

    /// What of the packet filter is not as it was when a change last found it right, if anything.
    pub(crate) fn changed(&mut self, filter: &WatchedFilter) -> io::Result<Option<Text>> {
        if !self.legacy_is_right(&filter.legacy)? {
            return Ok(Some(FILTER));
        }
        filter.generation.map_or(Ok(None), |told| self.nftables_is_right(filter, told))
    }

    /// The same of nftables, where a change has found this generation right.
    fn nftables_is_right(&mut self, filter: &WatchedFilter, told: u32) -> io::Result<Option<Text>> {
        let Some(nftables) = &mut self.nftables else { return Ok(None) };
        let known = self.found.as_ref().map(|(generation, _)| *generation);
        if known == Some(nftables.generation()?) {
            return Ok(None);
        }
        let (now, print) = nftables.print(filter)?;
        let changed = match &self.found {
            Some((_, right)) if right.ours != print.ours => Some(FILTER),
            Some((_, right)) => (right.doors != print.doors).then_some(DOORS),
            // Nobody but the one who changed it can say what is right: it is, as long as nothing has happened since.
            None if now == told => None,
            // Numbers are never given twice: what is as it was before that change was not touched by it.
            None => Some(if self.before.as_ref().is_some_and(|before| before.ours == print.ours) {
                DOORS
            } else {
                FILTER
            }),
        };
        if changed.is_none() {
            self.found = Some((now, print));
        }
        Ok(changed)
    }

    fn legacy_is_right(&mut self, tables: &[LegacyTable]) -> io::Result<bool> {
        if tables.is_empty() || self.legacy.as_ref().is_some_and(|legacy| legacy.looked.elapsed() < LEGACY) {
            return Ok(true);
        }
        let (print, looked) = (legacy::print(tables)?, Instant::now());
        let known = match &self.legacy {
            Some(right) => Some(right.print == print),
            // These tables have no number that would say that they are still what the change left: between its end and this
            // look somebody may have flushed them. Where they are the same before and after a repair, that found them right.
            None => (self.unsure.replace(print.clone()).as_ref() == Some(&print)).then_some(true),
        };
        if known == Some(true) {
            self.unsure = None;
            self.legacy = Some(Legacy { print, looked });
        }
        Ok(known != Some(false))
    }
}
