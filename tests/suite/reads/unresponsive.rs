//! A host that answers nothing.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnetwork::IpNetwork;
use phantom_host::filter::Filters;
use phantom_host::{
    AskFrom, Command, Device, DeviceUpdate, DnsAnswer, FileInfo, Files, Firewall, FirewallKind,
    FirewallQuery, FirewallReport, ForwardedPacket, HostError, Link, LinkChange, LinkGuard, Logs, Network,
    OwnRoute, OwnershipTags, Peer, PingSource, PolicyRule, Port, Probe, ProbeError, Process, Processes,
    ProgramOutput, Resolver, Result, Route, Ruleset, RulesetStatus, ServiceManager, ServiceStatus, Services,
    Sockets, StuckRules, Sysctl, UfwRule, UfwRules, Unit, Uplink, Viewpoint, WireGuard,
};
use phantom_types::{Backend, Domain, InterfaceName, PublicKey, Said};

/// Every question is an error, and so is every order.
pub(crate) struct UnresponsiveHost;

fn no_answer<T>() -> Result<T> {
    Err(HostError::Told(Said::new(
        "this part of the host does not answer",
        "makinenin bu parçası yanıt vermiyor",
    )))
}

impl WireGuard for UnresponsiveHost {
    fn kernel_available(&self) -> Result<bool> {
        no_answer()
    }
    fn create(&self, _: &InterfaceName) -> Result<()> {
        no_answer()
    }
    fn device(&self, _: &InterfaceName, _: Backend) -> Result<Option<Device>> {
        no_answer()
    }
    fn peers(&self, _: &InterfaceName, _: Backend, _: &[PublicKey]) -> Result<Option<Vec<Peer>>> {
        no_answer()
    }
    fn refused(&self, _: &InterfaceName, _: Backend) -> Result<Option<Vec<PublicKey>>> {
        no_answer()
    }
    fn answers(&self, _: &InterfaceName, _: Backend) -> Result<()> {
        no_answer()
    }
    fn configure(&self, _: &InterfaceName, _: Backend, _: &DeviceUpdate) -> Result<()> {
        no_answer()
    }
}

impl Network for UnresponsiveHost {
    fn links(&self) -> Result<Vec<Link>> {
        no_answer()
    }
    fn link(&self, _: &InterfaceName) -> Result<Option<Link>> {
        no_answer()
    }
    fn set_link(&self, _: &InterfaceName, _: &LinkChange) -> Result<()> {
        no_answer()
    }
    fn delete_link(&self, _: &InterfaceName) -> Result<()> {
        no_answer()
    }
    fn has_guard(&self, _: &InterfaceName, _: &LinkGuard) -> Result<bool> {
        no_answer()
    }
    fn set_guard(&self, _: &InterfaceName, _: &LinkGuard) -> Result<()> {
        no_answer()
    }
    fn addresses(&self) -> Result<Vec<(String, IpNetwork)>> {
        no_answer()
    }
    fn add_address(&self, _: &InterfaceName, _: IpNetwork) -> Result<()> {
        no_answer()
    }
    fn remove_address(&self, _: &InterfaceName, _: IpNetwork) -> Result<()> {
        no_answer()
    }
    fn routes(&self, _: u32) -> Result<Vec<Route>> {
        no_answer()
    }
    fn add_route(&self, _: &Route) -> Result<()> {
        no_answer()
    }
    fn replace_route(&self, _: &Route) -> Result<()> {
        no_answer()
    }
    fn remove_route(&self, _: &Route) -> Result<()> {
        no_answer()
    }
    fn rules(&self) -> Result<Vec<PolicyRule>> {
        no_answer()
    }
    fn add_rule(&self, _: &PolicyRule) -> Result<()> {
        no_answer()
    }
    fn remove_rule(&self, _: &PolicyRule) -> Result<()> {
        no_answer()
    }
    fn uplink(&self) -> Result<Option<Uplink>> {
        no_answer()
    }
    fn route_for(&self, _: &ForwardedPacket) -> Result<Option<String>> {
        no_answer()
    }
    fn own_route(&self, _: Option<Ipv4Addr>, _: Ipv4Addr) -> Result<Option<OwnRoute>> {
        no_answer()
    }
    fn ways_out(&self) -> Result<Vec<String>> {
        no_answer()
    }
    fn echo(&self, _: &PingSource, _: Ipv4Addr, _: u16, _: Duration) -> Result<bool> {
        no_answer()
    }
}

impl Firewall for UnresponsiveHost {
    fn kind(&self) -> Result<FirewallKind> {
        no_answer()
    }
    fn in_force(&self, _: &OwnershipTags, _: &Ruleset) -> Result<RulesetStatus> {
        no_answer()
    }
    fn replace(&self, _: &OwnershipTags, _: &Ruleset) -> Result<()> {
        no_answer()
    }
    fn remove(&self, _: &OwnershipTags) -> Result<()> {
        no_answer()
    }
    fn ufw(&self, _: &OwnershipTags) -> Result<Option<UfwRules>> {
        no_answer()
    }
    fn add_ufw(&self, _: &OwnershipTags, _: &UfwRule) -> Result<()> {
        no_answer()
    }
    fn remove_ufw(&self, _: &OwnershipTags, _: &UfwRule) -> Result<()> {
        no_answer()
    }
    fn report(&self, _: &OwnershipTags, _: &FirewallQuery) -> Result<FirewallReport> {
        no_answer()
    }
    fn generation(&self) -> Result<Option<u32>> {
        no_answer()
    }
    fn filters(&self) -> Result<Filters> {
        no_answer()
    }
    fn stuck(&self, _: &OwnershipTags) -> Result<Vec<StuckRules>> {
        no_answer()
    }
    fn forget_connections(&self, _: &[IpNetwork]) -> Result<()> {
        no_answer()
    }
}

impl Sysctl for UnresponsiveHost {
    fn get(&self, _: &str) -> Result<Option<String>> {
        no_answer()
    }
    fn set(&self, _: &str, _: &str) -> Result<()> {
        no_answer()
    }
}

impl Services for UnresponsiveHost {
    fn outdated(&self, _: &Unit) -> Result<bool> {
        no_answer()
    }
    fn manager(&self) -> ServiceManager {
        ServiceManager::Systemd
    }
    fn status(&self, _: &str) -> Result<ServiceStatus> {
        no_answer()
    }
    fn installed(&self, _: &Unit) -> Result<bool> {
        no_answer()
    }
    fn foreign(&self, _: &str) -> Result<bool> {
        no_answer()
    }
    fn install(&self, _: &Unit) -> Result<()> {
        no_answer()
    }
    fn uninstall(&self, _: &str) -> Result<()> {
        no_answer()
    }
    fn ours(&self) -> Result<Vec<String>> {
        no_answer()
    }
    fn start(&self, _: &Unit, _: Duration) -> Result<()> {
        no_answer()
    }
    fn request(&self, _: &Unit) -> Result<()> {
        no_answer()
    }
    fn stop(&self, _: &Unit, _: Duration) -> Result<()> {
        no_answer()
    }
    fn reload(&self, _: &str) -> Result<()> {
        no_answer()
    }
    fn logs(&self, _: &str, _: u32) -> Result<Logs> {
        no_answer()
    }
    fn run(&self, _: &Command, _: Duration) -> Result<()> {
        no_answer()
    }
}

impl Sockets for UnresponsiveHost {
    fn bound(&self, _: Port) -> Result<bool> {
        no_answer()
    }
}

impl Resolver for UnresponsiveHost {
    fn probe(&self, _: &[Probe], _: Duration) -> Result<Vec<Result<DnsAnswer, ProbeError>>> {
        no_answer()
    }
    fn probe_by(&self, _: &AskFrom, _: &Probe, _: Duration) -> Result<Result<DnsAnswer, ProbeError>> {
        no_answer()
    }
    fn lookup(&self, _: &Domain, _: Viewpoint, _: Duration) -> Result<Result<Vec<IpAddr>, ProbeError>> {
        no_answer()
    }
}

impl Files for UnresponsiveHost {
    fn read(&self, _: &Path) -> Result<Option<Vec<u8>>> {
        no_answer()
    }
    fn info(&self, _: &Path) -> Result<Option<FileInfo>> {
        no_answer()
    }
    fn list(&self, _: &Path) -> Result<Vec<PathBuf>> {
        no_answer()
    }
    fn write(&self, _: &Path, _: &[u8], _: u32) -> Result<()> {
        no_answer()
    }
    fn append(&self, _: &Path, _: &[u8]) -> Result<()> {
        no_answer()
    }
    fn set_mode(&self, _: &Path, _: u32) -> Result<()> {
        no_answer()
    }
    fn make_dir(&self, _: &Path, _: u32) -> Result<()> {
        no_answer()
    }
    fn remove(&self, _: &Path) -> Result<()> {
        no_answer()
    }
    fn remove_dir(&self, _: &Path) -> Result<()> {
        no_answer()
    }
}

impl Processes for UnresponsiveHost {
    fn run(&self, _: &Process) -> Result<ProgramOutput> {
        no_answer()
    }
}
