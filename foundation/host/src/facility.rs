//! The facilities of a host, one trait each, and the words they use.
//!
//! The traits have no default bodies: an implementation that forgets something does not compile.

mod files;
mod firewall;
mod misc;
mod network;
mod processes;
mod services;
mod wireguard;

pub(crate) use files::{DRAFT_DIGITS, place_of_draft};
pub use files::{FileInfo, Files, write_and_verify};
pub use firewall::{
    Firewall, FirewallKind, FirewallQuery, FirewallReport, Hook, InForce, Match, Protocol, Ruleset,
    RulesetRule, StuckRules, UfwReport, UfwRule, UfwRules, Verdict,
};
pub use misc::{
    Answer, AskFrom, Clock, Port, Probe, ProbeError, Random, Resolver, Sockets, Sysctl, Viewpoint,
};
pub use network::{
    EchoFrom, Link, LinkChange, LinkGuard, LinkKind, Network, OwnRoute, Passing, Route, RouteKind, Rule,
    RuleAction, Uplink,
};
pub use processes::{Ended, Process, Processes};
pub use services::{
    Bounds, Command, Internet, Logs, Manager, OwnSocket, Proc, Restart, ServiceState, ServiceStatus,
    Services, Unit, UnitKind,
};
pub use wireguard::{Device, DeviceUpdate, Peer, PeerConfig, PeerUpdate, WireGuard};
