//! The tags by which our objects on a host are known.

use crate::{PolicyRule, Route, RuleAction};

/// Longest name of a chain of iptables: `XT_EXTENSION_MAXNAMELEN` (29) of `linux/netfilter/x_tables.h` less the NUL.
const CHAIN_MAX: usize = 28;
/// The longest end of a name of our chains.
const LONGEST_HOOK: &str = "-FORWARD";

/// The tags of one installation (`docs/contract.md`, "Ownership tags"). The default installation has the plain
/// marks; every other root directory has its own, so that two servers on one host never touch each other's objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnershipTags {
    suffix: String,
    /// Number of the exit's table and of the rule that leads there; the rule before it is one less, the one behind it one
    /// more.
    number: u32,
}

impl OwnershipTags {
    /// Protocol number of our routes and rules (`rtm_protocol`). Linux has given it to IS-IS daemons, so that it alone
    /// is no proof: together with our table or one of our priorities it is.
    pub const PROTOCOL: u8 = 187;

    /// The tags of an installation: `None` for the default one, else the short name of its root directory.
    pub fn new(instance: Option<&str>) -> Self {
        let suffix = instance.map(|name| format!("-{name}")).unwrap_or_default();
        let number = instance.map_or(100, |name| {
            // Spread over 10,001 to 29,999, odd: clear of the default's 99 and 100 and of the main rules at 32,766.
            let hash = name.bytes().fold(0_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
            10_001 + hash % 10_000 * 2
        });
        Self { suffix, number }
    }
    /// The routing table of the exit: 100 for the default installation.
    pub fn exit_table(&self) -> u32 {
        self.number
    }
    /// Priority of the rule that sends clients to the exit's table: 100 for the default installation.
    pub fn exit_priority(&self) -> u32 {
        self.number
    }
    /// Priority of the rule that keeps traffic between clients in the main table: 99 for the default installation.
    pub fn local_priority(&self) -> u32 {
        self.number - 1
    }
    /// Priority of the rule behind that one, which leads nowhere: 101 for the default installation.
    pub fn last_priority(&self) -> u32 {
        self.number + 1
    }
    /// Whether a rule is ours: our protocol number, and one of our priorities with what our rule there does. Another
    /// installation may have the priority of our last rule for its first one, which asks a table.
    pub fn owns_rule(&self, rule: &PolicyRule) -> bool {
        let place = match rule.action {
            RuleAction::Lookup(_) => [self.local_priority(), self.exit_priority()].contains(&rule.priority),
            RuleAction::Unreachable => rule.priority == self.last_priority(),
            RuleAction::Other(_) => false,
        };
        rule.protocol == Self::PROTOCOL && place
    }
    /// Whether a route is ours: our protocol number, in our table. That has a number that others choose too, so that it alone
    /// is no proof.
    pub fn owns_route(&self, route: &Route) -> bool {
        route.protocol == Self::PROTOCOL && route.table == self.exit_table()
    }
    /// The text in interface aliases, rule comments and first lines of files: `phantom-wg`.
    pub fn tag(&self) -> String {
        format!("phantom-wg{}", self.suffix)
    }
    /// Name of the unit that brings the host to the stored state at boot: `phantom-boot`.
    pub fn boot_unit(&self) -> String {
        format!("phantom-boot{}", self.suffix)
    }
    /// Name of our nftables table (family `inet`): `phantom_wg`.
    pub fn nft_table(&self) -> String {
        format!("phantom_wg{}", self.suffix.replace('-', "_"))
    }
    /// First part of the names of our iptables chains: `PHANTOM-WG`. One that leaves no room for the hook behind it is cut, and told
    /// apart by its check sum.
    pub fn chain_prefix(&self) -> String {
        let prefix = format!("PHANTOM-WG{}", self.suffix);
        if prefix.len() + LONGEST_HOOK.len() <= CHAIN_MAX {
            return prefix;
        }
        format!("PHANTOM-WG-{:08X}", checksum(&prefix))
    }
    /// Our chain in tables of others that would drop what passes through, in nftables: `phantom_wg_forward`.
    pub fn repeated_chain(&self) -> String {
        format!("{}_forward", self.nft_table())
    }
    /// Our chain in tables of others that would keep packets from a port of ours, in nftables: `phantom_wg_input`.
    pub fn input_chain(&self) -> String {
        format!("{}_input", self.nft_table())
    }
    /// What tells chains of ours in tables of others: their names, or how they begin.
    pub fn chains(&self) -> Vec<String> {
        vec![self.chain_prefix(), self.repeated_chain(), self.input_chain()]
    }
    /// The first line of a file of ours, after its comment sign: `phantom-wg: ...`.
    pub fn first_line(&self) -> String {
        format!("# {}: written by Phantom-WG from its database; changes made here are lost", self.tag())
    }
    /// Whether a file with this content is ours: its first line names our tag.
    pub fn owns_file(&self, content: &[u8]) -> bool {
        let first = content.split(|byte| *byte == b'\n').next().unwrap_or_default();
        first.starts_with(format!("# {}:", self.tag()).as_bytes())
    }
}

/// FNV-1a (32 bits): the same in every build, and short enough for a name or a comment. It need not withstand anybody.
pub(crate) fn checksum(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
