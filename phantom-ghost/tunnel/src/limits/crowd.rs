//! Connections that may be closed in favour of others, and which of them goes first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use tokio::sync::oneshot;

use super::network::{Network, Networks};

/// What is counted together when the fullest is looked for: a site, within all that may have come to one hand with it. `None` is all
/// connections without an address of their own.
pub(super) type Group = Option<Site>;

/// A site and its region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Site {
    pub(super) region: Network,
    pub(super) site: Network,
}

/// The place of a connection among those of its group: the first goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Order {
    /// Whether it has said anything: silent connections go before all others.
    pub(super) has_spoken: bool,
    /// Whether it had its turn for a handshake: it is nearer to a request than those that wait for theirs.
    pub(super) has_had_turn: bool,
    /// Counted up from connection to connection.
    pub(super) number: u64,
}

/// A connection that may be closed.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) networks: Option<Networks>,
    /// Dropping it is what closes the connection.
    pub(super) stop: oneshot::Sender<()>,
}

/// A group or a region by its size, and among equals by how long its first member has been there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank<T> {
    size: usize,
    first: Reverse<Order>,
    of: T,
}

/// The groups of one region.
#[derive(Debug, Default)]
struct Region {
    ranks: BTreeSet<Rank<Group>>,
    size: usize,
}

impl Region {
    /// Its first member is that of its largest group.
    fn rank(&self, of: Option<Network>) -> Option<Rank<Option<Network>>> {
        let largest = self.ranks.last()?;
        Some(Rank { size: self.size, first: largest.first, of })
    }
}

/// All connections that may be closed of one share of the places. Everything takes logarithmic time: there is most to do
/// when most is asked.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    groups: HashMap<Group, BTreeMap<Order, Member>>,
    regions: HashMap<Option<Network>, Region>,
    ranks: BTreeSet<Rank<Option<Network>>>,
    len: usize,
}

impl Crowd {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn insert(&mut self, order: Order, member: Member) {
        let group = group_of(member.networks);
        self.change(group, |members| drop(members.insert(order, member)));
    }

    /// Takes a connection out, unless it was closed in favour of another one before.
    pub(super) fn remove(&mut self, networks: Option<Networks>, order: Order) -> Option<Member> {
        let group = group_of(networks);
        if !self.groups.get(&group)?.contains_key(&order) {
            return None;
        }
        self.take((group, order))
    }

    /// Which connection goes first of all: that of the group that has most, in the region that has most.
    pub(super) fn first(&self) -> Option<(Group, Order)> {
        let region = self.ranks.last()?.of;
        let rank = self.regions.get(&region)?.ranks.last()?;
        Some((rank.of, rank.first.0))
    }

    /// Which connection goes first of one network.
    pub(super) fn first_of(&self, networks: Networks, network: Network) -> Option<(Group, Order)> {
        let group = group_of(Some(networks));
        let of_it = |member: &Member| {
            member.networks.is_some_and(|of| of.subscriber == network || of.site == network)
        };
        let (order, _) = self.groups.get(&group)?.iter().find(|(_, member)| of_it(member))?;
        Some((group, *order))
    }

    /// Takes out what [`Crowd::first`] or [`Crowd::first_of`] said.
    pub(super) fn take(&mut self, (group, order): (Group, Order)) -> Option<Member> {
        let mut taken = None;
        self.change(group, |members| taken = members.remove(&order));
        taken
    }

    /// Changes a group, and ranks it and its region again.
    fn change(&mut self, group: Group, change: impl FnOnce(&mut BTreeMap<Order, Member>)) {
        let of = group.map(|group| group.region);
        let region = self.regions.entry(of).or_default();
        if let Some(rank) = region.rank(of) {
            self.ranks.remove(&rank);
        }
        let members = self.groups.entry(group).or_default();
        let before = members.len();
        if let Some(rank) = rank(group, members) {
            region.ranks.remove(&rank);
        }
        change(members);
        let after = members.len();
        region.size = region.size + after - before;
        self.len = self.len + after - before;
        match rank(group, members) {
            Some(rank) => drop(region.ranks.insert(rank)),
            None => drop(self.groups.remove(&group)),
        }
        match region.rank(of) {
            Some(rank) => drop(self.ranks.insert(rank)),
            None => drop(self.regions.remove(&of)),
        }
    }
}

fn group_of(networks: Option<Networks>) -> Group {
    networks.map(|networks| Site { region: networks.region, site: networks.site })
}

fn rank(group: Group, members: &BTreeMap<Order, Member>) -> Option<Rank<Group>> {
    let (first, _) = members.first_key_value()?;
    Some(Rank { size: members.len(), first: Reverse(*first), of: group })
}

#[cfg(test)]
mod tests;
