//! Connections that may be closed in favour of others, and which of them goes first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use tokio::sync::oneshot;

use super::network::{Network, Networks};

/// What is counted together when the fullest is looked for: a site, or all connections without an address of their own.
pub(super) type Group = Option<Network>;

/// The place of a connection among those of its group: the first goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Order {
    /// Whether it has said anything: silent connections go before all others.
    pub(super) has_spoken: bool,
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

/// A group by its size, and among equals by how long its first member has been there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    size: usize,
    first: Reverse<Order>,
    group: Group,
}

/// All connections that may be closed of one share of the places. Everything takes logarithmic time: there is most to do
/// when most is asked.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    groups: HashMap<Group, BTreeMap<Order, Member>>,
    ranks: BTreeSet<Rank>,
    len: usize,
}

impl Crowd {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn insert(&mut self, order: Order, member: Member) {
        let group = group_of(member.networks);
        self.change(group, |members| drop(members.insert(order, member)));
        self.len += 1;
    }

    /// Takes a connection out, unless it was closed in favour of another one before.
    pub(super) fn remove(&mut self, networks: Option<Networks>, order: Order) -> Option<Member> {
        let group = group_of(networks);
        if !self.groups.get(&group)?.contains_key(&order) {
            return None;
        }
        let mut removed = None;
        self.change(group, |members| removed = members.remove(&order));
        self.len -= 1;
        removed
    }

    /// Which connection goes first of all: that of the group that has most.
    pub(super) fn first(&self) -> Option<(Group, Order)> {
        let rank = self.ranks.last()?;
        Some((rank.group, rank.first.0))
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
        self.len -= usize::from(taken.is_some());
        taken
    }

    fn change(&mut self, group: Group, change: impl FnOnce(&mut BTreeMap<Order, Member>)) {
        let members = self.groups.entry(group).or_default();
        if let Some(rank) = rank(group, members) {
            self.ranks.remove(&rank);
        }
        change(members);
        match rank(group, members) {
            Some(rank) => drop(self.ranks.insert(rank)),
            None => drop(self.groups.remove(&group)),
        }
    }
}

fn group_of(networks: Option<Networks>) -> Group {
    networks.map(|networks| networks.site)
}

fn rank(group: Group, members: &BTreeMap<Order, Member>) -> Option<Rank> {
    let (first, _) = members.first_key_value()?;
    Some(Rank { size: members.len(), first: Reverse(*first), group })
}

#[cfg(test)]
mod tests;
