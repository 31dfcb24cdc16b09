//! A host that answers nothing.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnetwork::IpNetwork;
use phantom_host::filter::Filters;
use phantom_host::{
    Answer, AskFrom, Command, Device, DeviceUpdate, EchoFrom, Ended, FileInfo, Files, Firewall, FirewallKind,
    FirewallQuery, FirewallReport, HostError, InForce, Link, LinkChange, LinkGuard, Logs, Manager, Marks,
    Network, OwnRoute, Passing, Peer, Port, Probe, ProbeError, Process, Processes, Resolver, Result, Route,
    Rule, Ruleset, ServiceStatus, Services, Sockets, StuckRules, Sysctl, UfwRule, UfwRules, Unit, Uplink,
    Viewpoint, WireGuard,
};
use phantom_types::{Backend, Domain, InterfaceName, PublicKey, Said};

/// Every question is an error, and so is every order.
pub(crate) struct Deaf;

fn deaf<T>() -> Result<T> {
    Err(HostError::Told(Said::new(
        "this part of the host does not answer",
        "makinenin bu parçası yanıt vermiyor",
    )))
}

impl WireGuard for Deaf {
    fn kernel_available(&self) -> Result<bool> {
        deaf()
    }
    fn create(&self, _: &InterfaceName) -> Result<()> {
        deaf()
    }
    fn device(&self, _: &InterfaceName, _: Backend) -> Result<Option<Device>> {
        deaf()
    }
    fn peers(&self, _: &InterfaceName, _: Backend, _: &[PublicKey]) -> Result<Option<Vec<Peer>>> {
        deaf()
    }
    fn refused(&self, _: &InterfaceName, _: Backend) -> Result<Option<Vec<PublicKey>>> {
        deaf()
    }
    fn answers(&self, _: &InterfaceName, _: Backend) -> Result<()> {
        deaf()
    }
    fn configure(&self, _: &InterfaceName, _: Backend, _: &DeviceUpdate) -> Result<()> {
        deaf()
    }
}

impl Network for Deaf {
    fn links(&self) -> Result<Vec<Link>> {
        deaf()
    }
    fn link(&self, _: &InterfaceName) -> Result<Option<Link>> {
        deaf()
    }
    fn set_link(&self, _: &InterfaceName, _: &LinkChange) -> Result<()> {
        deaf()
    }
    fn delete_link(&self, _: &InterfaceName) -> Result<()> {
        deaf()
    }
    fn has_guard(&self, _: &InterfaceName, _: &LinkGuard) -> Result<bool> {
        deaf()
    }
    fn set_guard(&self, _: &InterfaceName, _: &LinkGuard) -> Result<()> {
        deaf()
    }
    fn addresses(&self) -> Result<Vec<(String, IpNetwork)>> {
        deaf()
    }
    fn add_address(&self, _: &InterfaceName, _: IpNetwork) -> Result<()> {
        deaf()
    }
    fn remove_address(&self, _: &InterfaceName, _: IpNetwork) -> Result<()> {
        deaf()
    }
    fn routes(&self, _: u32) -> Result<Vec<Route>> {
        deaf()
    }
    fn add_route(&self, _: &Route) -> Result<()> {
        deaf()
    }
    fn replace_route(&self, _: &Route) -> Result<()> {
        deaf()
    }
    fn remove_route(&self, _: &Route) -> Result<()> {
        deaf()
    }
    fn rules(&self) -> Result<Vec<Rule>> {
        deaf()
    }
    fn add_rule(&self, _: &Rule) -> Result<()> {
        deaf()
    }
    fn remove_rule(&self, _: &Rule) -> Result<()> {
        deaf()
    }
    fn uplink(&self) -> Result<Option<Uplink>> {
        deaf()
    }
    fn route_for(&self, _: &Passing) -> Result<Option<String>> {
        deaf()
    }
    fn own_route(&self, _: Option<Ipv4Addr>, _: Ipv4Addr) -> Result<Option<OwnRoute>> {
        deaf()
    }
    fn ways_out(&self) -> Result<Vec<String>> {
        deaf()
    }
    fn echo(&self, _: &EchoFrom, _: Ipv4Addr, _: u16, _: Duration) -> Result<bool> {
        deaf()
    }
}

impl Firewall for Deaf {
    fn kind(&self) -> Result<FirewallKind> {
        deaf()
    }
    fn in_force(&self, _: &Marks, _: &Ruleset) -> Result<InForce> {
        deaf()
    }
    fn replace(&self, _: &Marks, _: &Ruleset) -> Result<()> {
        deaf()
    }
    fn remove(&self, _: &Marks) -> Result<()> {
        deaf()
    }
    fn ufw(&self, _: &Marks) -> Result<Option<UfwRules>> {
        deaf()
    }
    fn add_ufw(&self, _: &Marks, _: &UfwRule) -> Result<()> {
        deaf()
    }
    fn remove_ufw(&self, _: &Marks, _: &UfwRule) -> Result<()> {
        deaf()
    }
    fn report(&self, _: &Marks, _: &FirewallQuery) -> Result<FirewallReport> {
        deaf()
    }
    fn generation(&self) -> Result<Option<u32>> {
        deaf()
    }
    fn filters(&self) -> Result<Filters> {
        deaf()
    }
    fn stuck(&self, _: &Marks) -> Result<Vec<StuckRules>> {
        deaf()
    }
    fn forget_connections(&self, _: &[IpNetwork]) -> Result<()> {
        deaf()
    }
}

impl Sysctl for Deaf {
    fn get(&self, _: &str) -> Result<Option<String>> {
        deaf()
    }
    fn set(&self, _: &str, _: &str) -> Result<()> {
        deaf()
    }
}

impl Services for Deaf {
    fn outdated(&self, _: &Unit) -> Result<bool> {
        deaf()
    }
    fn manager(&self) -> Manager {
        Manager::Systemd
    }
    fn status(&self, _: &str) -> Result<ServiceStatus> {
        deaf()
    }
    fn installed(&self, _: &Unit) -> Result<bool> {
        deaf()
    }
    fn foreign(&self, _: &str) -> Result<bool> {
        deaf()
    }
    fn install(&self, _: &Unit) -> Result<()> {
        deaf()
    }
    fn uninstall(&self, _: &str) -> Result<()> {
        deaf()
    }
    fn ours(&self) -> Result<Vec<String>> {
        deaf()
    }
    fn start(&self, _: &Unit, _: Duration) -> Result<()> {
        deaf()
    }
    fn request(&self, _: &Unit) -> Result<()> {
        deaf()
    }
    fn stop(&self, _: &Unit, _: Duration) -> Result<()> {
        deaf()
    }
    fn reload(&self, _: &str) -> Result<()> {
        deaf()
    }
    fn logs(&self, _: &str, _: u32) -> Result<Logs> {
        deaf()
    }
    fn run(&self, _: &Command, _: Duration) -> Result<()> {
        deaf()
    }
}

impl Sockets for Deaf {
    fn bound(&self, _: Port) -> Result<bool> {
        deaf()
    }
}

impl Resolver for Deaf {
    fn probe(&self, _: &[Probe], _: Duration) -> Result<Vec<Result<Answer, ProbeError>>> {
        deaf()
    }
    fn probe_by(&self, _: &AskFrom, _: &Probe, _: Duration) -> Result<Result<Answer, ProbeError>> {
        deaf()
    }
    fn lookup(&self, _: &Domain, _: Viewpoint, _: Duration) -> Result<Result<Vec<IpAddr>, ProbeError>> {
        deaf()
    }
}

impl Files for Deaf {
    fn read(&self, _: &Path) -> Result<Option<Vec<u8>>> {
        deaf()
    }
    fn info(&self, _: &Path) -> Result<Option<FileInfo>> {
        deaf()
    }
    fn list(&self, _: &Path) -> Result<Vec<PathBuf>> {
        deaf()
    }
    fn write(&self, _: &Path, _: &[u8], _: u32) -> Result<()> {
        deaf()
    }
    fn append(&self, _: &Path, _: &[u8]) -> Result<()> {
        deaf()
    }
    fn set_mode(&self, _: &Path, _: u32) -> Result<()> {
        deaf()
    }
    fn make_dir(&self, _: &Path, _: u32) -> Result<()> {
        deaf()
    }
    fn remove(&self, _: &Path) -> Result<()> {
        deaf()
    }
    fn remove_dir(&self, _: &Path) -> Result<()> {
        deaf()
    }
}

impl Processes for Deaf {
    fn run(&self, _: &Process) -> Result<Ended> {
        deaf()
    }
}
