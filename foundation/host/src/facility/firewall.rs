//! The packet filter: rules in our own words, which every backend renders in its own.

use std::collections::BTreeSet;

use ipnetwork::IpNetwork;
use phantom_types::{InterfaceName, Subnet};

use crate::filter::Filters;
use crate::{OwnershipTags, Port, Result};

/// Where a rule is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hook {
    /// Packets that come in, before it is known where they lead. Before this host answers anything itself, be it that a packet
    /// has no hops left.
    Prerouting,
    /// Packets for this host. The chain accepts what no rule decides: the host's own policy is not ours.
    Input,
    /// Packets passing through. The chain accepts what no rule decides.
    Forward,
    /// Packets of this host's own, what it reports of others' packets (ICMP errors) among them.
    Output,
    /// Packets passing through, where they are changed (MSS); before [`Self::Forward`].
    MssClamp,
    /// Source NAT of new connections on their way out.
    SourceNat,
    /// Packets on their way out, with the source that they leave with: behind [`Self::SourceNat`]. iptables has no place
    /// there: it asks before, and drops only what keeps its source, since it belongs to no connection, or to one without NAT.
    Postrouting,
}

/// A transport protocol with ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A condition of a rule; all of a rule's conditions must hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Match {
    /// Came in by this interface, or with `not` by any other.
    In {
        /// The interface, `lo` among them.
        interface: String,
        /// Turns the condition round.
        not: bool,
    },
    /// Goes out by this interface, or with `not` by any other.
    Out {
        /// The interface.
        interface: String,
        /// Turns the condition round.
        not: bool,
    },
    /// Source in (or with `not` outside) this network. Rules with an address are for that family only.
    From {
        /// The network.
        network: IpNetwork,
        /// Turns the condition round.
        not: bool,
    },
    /// Destination in (or with `not` outside) this network.
    To {
        /// The network.
        network: IpNetwork,
        /// Turns the condition round.
        not: bool,
    },
    /// Belongs to a connection that was begun from this network, whichever way it goes.
    CtOriginalSource {
        /// The network, not one of all addresses.
        network: IpNetwork,
    },
    /// Destination port.
    Port {
        /// Its protocol.
        protocol: Protocol,
        /// The port.
        port: u16,
    },
    /// Belongs to a connection that is known (`established,related`).
    Established,
    /// Belongs to no connection and cannot begin one (`invalid,untracked`): it gets no NAT either.
    Unconnected,
    /// Of this protocol, whatever its ports.
    Is {
        /// The protocol.
        protocol: Protocol,
    },
    /// A TCP segment that opens a connection (SYN without RST).
    TcpSyn,
    /// IPv4 only.
    Ipv4,
    /// IPv6 only.
    Ipv6,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Lets it pass this chain. Other tables may still drop it; see [`Firewall::replace`].
    Accept,
    /// Drops it silently.
    Drop,
    /// Drops it and tells the sender (ICMP administratively prohibited).
    Reject,
    /// Gives it the address of the interface it leaves by. Only at [`Hook::SourceNat`].
    Masquerade,
    /// The same, with a source port between these, both included; one that is there already is kept while it is free. Only
    /// with [`Match::Is`].
    MasqueradeTo {
        /// The lowest port.
        first: u16,
        /// The highest port.
        last: u16,
    },
    /// Lowers the MSS to what the way out carries. Only at [`Hook::MssClamp`], with [`Match::TcpSyn`].
    ClampMss,
    /// Sets the MSS to this many bytes. Only at [`Hook::MssClamp`], with [`Match::TcpSyn`].
    SetMss(u16),
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RulesetRule {
    /// Where it is asked.
    pub hook: Hook,
    /// Its place among the rules of that hook: lowest first; equal ones in the order of the rules themselves.
    pub order: u16,
    /// Its conditions.
    pub matches: Vec<Match>,
    /// What it does.
    pub verdict: Verdict,
}

/// All rules of ours: a value to compare and to put in force as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// The rules, kept sorted by [`Self::add`].
    rules: Vec<RulesetRule>,
    /// The ports of [`Self::let_in`].
    openings: BTreeSet<Port>,
}

impl Ruleset {
    /// Adds a rule in its place.
    pub fn add(&mut self, hook: Hook, order: u16, matches: Vec<Match>, verdict: Verdict) {
        let rule = RulesetRule { hook, order, matches, verdict };
        let at = self.rules.partition_point(|other| *other <= rule);
        self.rules.insert(at, rule);
    }
    /// Lets the Internet in to a port of this host: where a base chain of somebody else would refuse the first packet of a
    /// stranger, an accept of ours is put at its head ([`Firewall::replace`]).
    pub fn let_in(&mut self, protocol: Protocol, number: u16) {
        self.openings.insert(Port { protocol, number });
    }
    /// Takes that back.
    pub fn keep_out(&mut self, protocol: Protocol, number: u16) {
        self.openings.remove(&Port { protocol, number });
    }
    /// The ports that are let in.
    pub fn openings(&self) -> &BTreeSet<Port> {
        &self.openings
    }
    /// The rules, sorted by hook, order and content.
    pub fn rules(&self) -> &[RulesetRule] {
        &self.rules
    }
    /// Whether there is none, and no port is let in.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.openings.is_empty()
    }
}

/// How what is loaded compares with what is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RulesetStatus {
    /// Nothing of ours is loaded.
    Missing,
    /// Something of ours is loaded, but not exactly this.
    Drifted,
    /// Exactly this is loaded.
    InSync,
}

/// Which packet filter our rules are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirewallKind {
    /// A table of our own in nftables.
    Nftables,
    /// Chains of our own, by the `iptables` command (its nft or its legacy variant).
    Iptables,
}

/// A rule of ufw that carries our tag as its comment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UfwRule {
    /// `ufw allow PORT/PROTOCOL`: packets for this host.
    Allow {
        /// Its protocol.
        protocol: Protocol,
        /// The port.
        port: u16,
    },
    /// `ufw route allow in on INTERFACE`: packets of clients passing through.
    RouteFrom {
        /// The interface they come in by.
        interface: InterfaceName,
    },
    /// `ufw deny PORT/PROTOCOL`, before all others: packets for this host.
    Deny {
        /// Its protocol.
        protocol: Protocol,
        /// The port.
        port: u16,
    },
}

/// ufw as far as it is ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UfwRules {
    /// It is switched on. Switched off it keeps its rules, for when it is switched on again.
    pub active: bool,
    /// Its rules with our tag, sorted, each once.
    pub ours: BTreeSet<UfwRule>,
    /// Ports that its owner lets in for some senders or by one interface alone, and for nobody else.
    pub limited: BTreeSet<Port>,
}

impl UfwRules {
    /// What ufw is to have of these: whom its owner has limited a port to, that is whom it stays for.
    pub fn without_limited(&self, wanted: &BTreeSet<UfwRule>) -> BTreeSet<UfwRule> {
        let limited = |rule: &UfwRule| match rule {
            UfwRule::Allow { protocol, port } => {
                self.limited.contains(&Port { protocol: *protocol, number: *port })
            }
            UfwRule::RouteFrom { .. } | UfwRule::Deny { .. } => false,
        };
        wanted.iter().filter(|rule| !limited(rule)).cloned().collect()
    }
}

/// Rules of ours that stay loaded because the program that takes them out is not installed any more, or does not understand their
/// table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StuckRules {
    /// Their table or chain, as people know it.
    pub place: String,
    /// The command after which they have no effect.
    pub command: String,
}

/// What a report on the firewall is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirewallQuery {
    /// The VPN interface.
    pub interface: InterfaceName,
    /// The VPN subnet.
    pub subnet: Subnet,
    /// The WireGuard port.
    pub port: u16,
}

/// ufw as it concerns the VPN.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UfwReport {
    /// It is active.
    pub enabled: bool,
    /// Lines of `ufw status` with our tag, or that name port, interface or subnet; without comment and trailing
    /// blanks.
    pub lines: Vec<String>,
}

/// The firewall as it concerns the VPN, whoever made the rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FirewallReport {
    /// ufw.
    pub ufw: UfwReport,
    /// Rules of the iptables-managed NAT table that name interface, subnet or port, as `iptables -S` prints them.
    pub nat_rules: Vec<String>,
    /// The same of the filter table.
    pub filter_rules: Vec<String>,
    /// Source of each source-NAT rule in force for the subnet, in any table, with its destination.
    pub masquerade: Vec<(IpNetwork, IpNetwork)>,
    /// Packets of the subnet may be forwarded: a rule in any table accepts them.
    pub forwarding: bool,
    /// Our nftables table is loaded.
    pub table_loaded: bool,
}

/// The packet filter of the host. We own what carries our tags and touch nothing else.
pub trait Firewall: Send + Sync {
    /// Which packet filter is used: nftables where its program and the kernel's side are there.
    fn kind(&self) -> Result<FirewallKind>;
    /// Compares what is loaded under our tags with what is wanted.
    fn in_force(&self, tags: &OwnershipTags, wanted: &Ruleset) -> Result<RulesetStatus>;
    /// Puts exactly these rules in force, in one transaction, and reads them back. Where another table drops
    /// forwarded packets by policy (docker, a hand-made FORWARD DROP), the accepts of [`Hook::Forward`] are
    /// repeated there in a marked chain, since an accept of ours cannot undo a drop of theirs. The same goes for the ports of
    /// [`Ruleset::openings`], as far as the evaluator says that another table would refuse them, and accepts can be put there: not in
    /// a table that belongs to one process alone, and not in those of ufw while it is active, which has a rule of its own.
    fn replace(&self, tags: &OwnershipTags, wanted: &Ruleset) -> Result<()>;
    /// Removes everything under our tags, in both packet filters. Nothing there is no error, and neither is what nobody can take out
    /// ([`Self::stuck`]).
    fn remove(&self, tags: &OwnershipTags) -> Result<()>;
    /// ufw and its rules with our tag; `None` when it is not installed.
    fn ufw(&self, tags: &OwnershipTags) -> Result<Option<UfwRules>>;
    /// Adds a rule to ufw, with our tag as comment.
    fn add_ufw(&self, tags: &OwnershipTags, rule: &UfwRule) -> Result<()>;
    /// Removes exactly that rule from ufw.
    fn remove_ufw(&self, tags: &OwnershipTags, rule: &UfwRule) -> Result<()>;
    /// The firewall as it concerns the VPN. Parts that cannot be read are left empty.
    fn report(&self, tags: &OwnershipTags, query: &FirewallQuery) -> Result<FirewallReport>;
    /// Everything that filters packets, whoever made it, as a value: [`Filters::verdict`] says what becomes of a
    /// packet. Tables that cannot be read (their program is not installed) are named in it.
    fn filters(&self) -> Result<Filters>;
    /// What stays loaded of ours although nothing is wanted of it, because nobody can take it out. Rules of the older interface of iptables
    /// whose program is not installed are not seen. Empty as a rule.
    fn stuck(&self, tags: &OwnershipTags) -> Result<Vec<StuckRules>>;
    /// How often nftables was changed since the boot, by anybody (`NFTA_GEN_ID`): as long as it stays the same, everything in
    /// it does, our part too. `None` where our rules are not in nftables: no table of its own, nor the nft variant of
    /// iptables.
    fn generation(&self) -> Result<Option<u32>>;
    /// Forgets the tracked connections of an address, so that they are routed and filtered again.
    fn forget_connections(&self, of: &[IpNetwork]) -> Result<()>;
}
