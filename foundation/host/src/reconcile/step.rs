//! The steps of a plan.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnetwork::IpNetwork;
use phantom_types::{Backend, InterfaceName, PublicKey};

use crate::{DeviceUpdate, LinkChange, LinkGuard, PolicyRule, Route, UfwRule, Unit};

/// What a step is about; the words of `core reconcile`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StepKind {
    /// A file.
    File,
    /// A network interface or its device.
    Link,
    /// An address.
    Address,
    /// A peer.
    Peer,
    /// A route.
    Route,
    /// A policy rule.
    Rule,
    /// Packet filter, NAT, ufw.
    Firewall,
    /// A kernel setting.
    Sysctl,
    /// A service.
    Service,
}

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StepAction {
    /// Adds what is missing.
    Create,
    /// Corrects what is different.
    Update,
    /// Removes what should not be there.
    Delete,
}

/// One step from what is to what is wanted. Each is correct by itself: stopping after any of them leaves nothing
/// worse than before.
#[derive(Clone, Debug)]
pub struct Step {
    /// What it is about.
    pub kind: StepKind,
    /// What it does.
    pub action: StepAction,
    /// The object, as in `wg_main 10.8.0.2/32`.
    pub target: String,
    /// For a peer: whose it is, where that is known.
    pub owner: Option<Arc<str>>,
    pub(super) op: Op,
}

/// What is done on the host. There can be a step for each of many thousand peers: what is large is boxed, and a peer is
/// known by its place among the wanted ones.
#[derive(Clone, Debug)]
pub(super) enum Op {
    WriteFile(PathBuf),
    /// The same in the place of a file of ours that has lost its tag.
    ReplaceFile(PathBuf),
    RemoveFile(PathBuf),
    RemoveClaim(PathBuf),
    SetMode(PathBuf, u32),
    SetSysctl(Box<(String, String)>),
    ReplaceFirewall,
    /// The same, and nothing passes or comes in by these links.
    ReplaceFirewallAgainst(Vec<InterfaceName>),
    RemoveFirewall,
    AddUfw(UfwRule),
    RemoveUfw(UfwRule),
    InstallUnit(Box<Unit>),
    UninstallUnit(String),
    StartUnit(Box<Unit>),
    StopUnit(Box<Unit>),
    /// Stops it and starts it again: its program has been replaced.
    RenewUnit(Box<Unit>),
    /// Starts or stops the service of an interface: its own hooks must not do this change's work again.
    StartInterface(Box<Unit>),
    StopInterface(Box<Unit>),
    CreateLink(InterfaceName),
    SetLink(InterfaceName, Box<LinkChange>),
    SetGuard(InterfaceName, Box<LinkGuard>),
    DeleteLink(InterfaceName),
    Configure(InterfaceName, Backend, Box<DeviceUpdate>),
    /// The peer of the wanted interface at this place.
    SetPeer(Arc<InterfaceName>, usize),
    RemovePeer(Arc<InterfaceName>, PublicKey),
    AddAddress(InterfaceName, IpNetwork),
    RemoveAddress(InterfaceName, IpNetwork),
    AddRoute(Box<Route>),
    /// Puts it in the place of the one that the kernel takes for the same.
    ReplaceRoute(Box<Route>),
    RemoveRoute(Box<Route>),
    AddRule(Box<PolicyRule>),
    RemoveRule(Box<PolicyRule>),
}

impl Op {
    /// The interface whose peer this is about.
    pub(super) fn peer_of(&self) -> Option<&InterfaceName> {
        match self {
            Self::SetPeer(name, _) | Self::RemovePeer(name, _) => Some(name),
            _ => None,
        }
    }
}

impl Step {
    #[expect(
        clippy::needless_pass_by_value,
        reason = "names, paths and texts alike, at the call without a sign"
    )]
    pub(super) fn new(kind: StepKind, action: StepAction, target: impl ToString, op: Op) -> Self {
        Self { kind, action, target: target.to_string(), owner: None, op }
    }

    /// The file of ours without our tag that it writes again: somebody has changed it, and may want it back.
    pub fn replaces(&self) -> Option<&Path> {
        match &self.op {
            Op::ReplaceFile(path) => Some(path),
            _ => None,
        }
    }

    /// Whether it deletes this link.
    pub(super) fn deletes_link(&self, interface: &str) -> bool {
        matches!(&self.op, Op::DeleteLink(name) if name.as_str() == interface)
    }

    /// Whether a link is made by it, or can be: the service of an embedded device makes its own. Its device has no peers.
    pub fn makes_link(&self) -> bool {
        matches!(self.op, Op::CreateLink(_) | Op::StartInterface(_))
    }

    /// Whether the device behind it has no peers: it is made, or it has no key yet, or one that is not ours, so that it is not
    /// the one that was given the peers.
    pub fn makes_device(&self) -> bool {
        let keyless = matches!(&self.op, Op::Configure(_, _, update) if update.private_key.is_some());
        keyless || self.makes_link()
    }

    /// Whether it takes an interface away.
    pub fn stops_interface(&self) -> bool {
        matches!(self.op, Op::StopInterface(_) | Op::DeleteLink(_))
    }
}
