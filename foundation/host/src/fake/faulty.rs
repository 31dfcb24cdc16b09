//! Faults for a real host: at one of its writes it refuses, or this process dies.

use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ipnetwork::IpNetwork;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use phantom_types::{Backend, InterfaceName, PublicKey};

use crate::filter::Filters;
use crate::{
    Command, Device, DeviceUpdate, FileInfo, Files, Firewall, FirewallKind, FirewallQuery, FirewallReport,
    ForwardedPacket, Host, HostError, Link, LinkChange, LinkGuard, Logs, Network, OwnRoute, OwnershipTags,
    Peer, PingSource, PolicyRule, Result, Route, Ruleset, RulesetStatus, ServiceManager, ServiceStatus,
    Services, StuckRules, Sysctl, UfwRule, UfwRules, Unit, Uplink, WireGuard,
};

/// What happens at the chosen write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InjectedFault {
    /// It fails, with nothing done.
    Refuse,
    /// It and every write after it fail.
    RefuseFrom,
    /// This process gets SIGKILL before it.
    KillBefore,
    /// This process gets SIGKILL after it was done.
    KillAfter,
}

/// Which write, and what happens there. As text, for handing it to a child process: `refuse:3`, `refuse-from:3`,
/// `kill-before:3`, `kill-after:3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultPlan {
    /// What happens.
    pub fault: InjectedFault,
    /// The number of the write, from 1. 0 is never: the writes are only counted.
    pub at: usize,
}

/// A text that is no [`FaultPlan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a plan is one of refuse, refuse-from, kill-before, kill-after, a colon and a number")]
pub struct PlanError;

impl FromStr for FaultPlan {
    type Err = PlanError;
    fn from_str(text: &str) -> Result<Self, PlanError> {
        let (word, number) = text.split_once(':').ok_or(PlanError)?;
        let fault = match word {
            "refuse" => InjectedFault::Refuse,
            "refuse-from" => InjectedFault::RefuseFrom,
            "kill-before" => InjectedFault::KillBefore,
            "kill-after" => InjectedFault::KillAfter,
            _ => return Err(PlanError),
        };
        Ok(Self { fault, at: number.parse().map_err(|_| PlanError)? })
    }
}

/// The handle on a host with faults. Clones count together.
#[derive(Clone)]
pub struct FaultyHost {
    inner: Host,
    plan: FaultPlan,
    writes: Arc<Mutex<Vec<&'static str>>>,
}

impl FaultyHost {
    /// Puts faults before a host: the result does what the given host does but at the chosen write.
    ///
    /// What counts as a write is the same as with the host in memory: every call that can change the host.
    pub fn wrap(host: Host, plan: FaultPlan) -> (Host, Self) {
        let faulty = Self { inner: host.clone(), plan, writes: Arc::default() };
        let one = Arc::new(faulty.clone());
        let wrapped = Host {
            wireguard: one.clone(),
            network: one.clone(),
            firewall: one.clone(),
            sysctl: one.clone(),
            services: one.clone(),
            files: one,
            ..host
        };
        (wrapped, faulty)
    }
    /// Number of writes until now, the refused ones among them.
    pub fn writes(&self) -> usize {
        self.names().len()
    }
    /// What kind of write each of them was: the facility and the call, as in `network.add_address`.
    pub fn names(&self) -> Vec<&'static str> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn write(&self, name: &'static str, run: impl FnOnce(&Host) -> Result<()>) -> Result<()> {
        let number = {
            let mut writes = self.writes.lock().unwrap_or_else(PoisonError::into_inner);
            writes.push(name);
            writes.len()
        };
        let here = number == self.plan.at;
        let after = self.plan.at > 0 && number >= self.plan.at;
        match self.plan.fault {
            InjectedFault::Refuse if here => return Err(refusal(name)),
            InjectedFault::RefuseFrom if after => return Err(refusal(name)),
            InjectedFault::KillBefore if here => die(),
            _ => {}
        }
        let result = run(&self.inner);
        if self.plan.fault == InjectedFault::KillAfter && here {
            die();
        }
        result
    }
}

fn refusal(name: &str) -> HostError {
    HostError::io(name, io::Error::other("refused by the test"))
}

/// Ends this process as a power failure would: nothing is flushed, no destructor runs.
fn die() {
    // SIGKILL to oneself cannot fail, and the call does not return before it is delivered.
    let _ = kill(Pid::this(), Signal::SIGKILL);
}

impl WireGuard for FaultyHost {
    fn kernel_available(&self) -> Result<bool> {
        self.inner.wireguard.kernel_available()
    }
    fn create(&self, name: &InterfaceName) -> Result<()> {
        self.write("wireguard.create", |host| host.wireguard.create(name))
    }
    fn device(&self, name: &InterfaceName, backend: Backend) -> Result<Option<Device>> {
        self.inner.wireguard.device(name, backend)
    }
    fn peers(&self, name: &InterfaceName, backend: Backend, keys: &[PublicKey]) -> Result<Option<Vec<Peer>>> {
        self.inner.wireguard.peers(name, backend, keys)
    }
    fn refused(&self, name: &InterfaceName, backend: Backend) -> Result<Option<Vec<PublicKey>>> {
        self.inner.wireguard.refused(name, backend)
    }
    fn answers(&self, name: &InterfaceName, backend: Backend) -> Result<()> {
        self.inner.wireguard.answers(name, backend)
    }
    fn configure(&self, name: &InterfaceName, backend: Backend, update: &DeviceUpdate) -> Result<()> {
        self.write("wireguard.configure", |host| host.wireguard.configure(name, backend, update))
    }
}

impl Network for FaultyHost {
    fn links(&self) -> Result<Vec<Link>> {
        self.inner.network.links()
    }
    fn link(&self, name: &InterfaceName) -> Result<Option<Link>> {
        self.inner.network.link(name)
    }
    fn set_link(&self, name: &InterfaceName, change: &LinkChange) -> Result<()> {
        self.write("network.set_link", |host| host.network.set_link(name, change))
    }
    fn has_guard(&self, name: &InterfaceName, guard: &LinkGuard) -> Result<bool> {
        self.inner.network.has_guard(name, guard)
    }
    fn set_guard(&self, name: &InterfaceName, guard: &LinkGuard) -> Result<()> {
        self.write("network.set_guard", |host| host.network.set_guard(name, guard))
    }
    fn delete_link(&self, name: &InterfaceName) -> Result<()> {
        self.write("network.delete_link", |host| host.network.delete_link(name))
    }
    fn addresses(&self) -> Result<Vec<(String, IpNetwork)>> {
        self.inner.network.addresses()
    }
    fn add_address(&self, name: &InterfaceName, address: IpNetwork) -> Result<()> {
        self.write("network.add_address", |host| host.network.add_address(name, address))
    }
    fn remove_address(&self, name: &InterfaceName, address: IpNetwork) -> Result<()> {
        self.write("network.remove_address", |host| host.network.remove_address(name, address))
    }
    fn routes(&self, table: u32) -> Result<Vec<Route>> {
        self.inner.network.routes(table)
    }
    fn add_route(&self, route: &Route) -> Result<()> {
        self.write("network.add_route", |host| host.network.add_route(route))
    }
    fn replace_route(&self, route: &Route) -> Result<()> {
        self.write("network.replace_route", |host| host.network.replace_route(route))
    }
    fn remove_route(&self, route: &Route) -> Result<()> {
        self.write("network.remove_route", |host| host.network.remove_route(route))
    }
    fn rules(&self) -> Result<Vec<PolicyRule>> {
        self.inner.network.rules()
    }
    fn add_rule(&self, rule: &PolicyRule) -> Result<()> {
        self.write("network.add_rule", |host| host.network.add_rule(rule))
    }
    fn remove_rule(&self, rule: &PolicyRule) -> Result<()> {
        self.write("network.remove_rule", |host| host.network.remove_rule(rule))
    }
    fn uplink(&self) -> Result<Option<Uplink>> {
        self.inner.network.uplink()
    }
    fn route_for(&self, packet: &ForwardedPacket) -> Result<Option<String>> {
        self.inner.network.route_for(packet)
    }
    fn own_route(&self, from: Option<Ipv4Addr>, to: Ipv4Addr) -> Result<Option<OwnRoute>> {
        self.inner.network.own_route(from, to)
    }
    fn ways_out(&self) -> Result<Vec<String>> {
        self.inner.network.ways_out()
    }
    fn echo(&self, from: &PingSource, to: Ipv4Addr, count: u16, wait: Duration) -> Result<bool> {
        self.inner.network.echo(from, to, count, wait)
    }
}

impl Firewall for FaultyHost {
    fn kind(&self) -> Result<FirewallKind> {
        self.inner.firewall.kind()
    }
    fn in_force(&self, tags: &OwnershipTags, wanted: &Ruleset) -> Result<RulesetStatus> {
        self.inner.firewall.in_force(tags, wanted)
    }
    fn generation(&self) -> Result<Option<u32>> {
        self.inner.firewall.generation()
    }
    fn replace(&self, tags: &OwnershipTags, wanted: &Ruleset) -> Result<()> {
        self.write("firewall.replace", |host| host.firewall.replace(tags, wanted))
    }
    fn remove(&self, tags: &OwnershipTags) -> Result<()> {
        self.write("firewall.remove", |host| host.firewall.remove(tags))
    }
    fn ufw(&self, tags: &OwnershipTags) -> Result<Option<UfwRules>> {
        self.inner.firewall.ufw(tags)
    }
    fn add_ufw(&self, tags: &OwnershipTags, rule: &UfwRule) -> Result<()> {
        self.write("firewall.add_ufw", |host| host.firewall.add_ufw(tags, rule))
    }
    fn remove_ufw(&self, tags: &OwnershipTags, rule: &UfwRule) -> Result<()> {
        self.write("firewall.remove_ufw", |host| host.firewall.remove_ufw(tags, rule))
    }
    fn report(&self, tags: &OwnershipTags, query: &FirewallQuery) -> Result<FirewallReport> {
        self.inner.firewall.report(tags, query)
    }
    fn filters(&self) -> Result<Filters> {
        self.inner.firewall.filters()
    }
    fn stuck(&self, tags: &OwnershipTags) -> Result<Vec<StuckRules>> {
        self.inner.firewall.stuck(tags)
    }
    fn forget_connections(&self, of: &[IpNetwork]) -> Result<()> {
        self.write("firewall.forget_connections", |host| host.firewall.forget_connections(of))
    }
}

impl Sysctl for FaultyHost {
    fn get(&self, key: &str) -> Result<Option<String>> {
        self.inner.sysctl.get(key)
    }
    fn set(&self, key: &str, value: &str) -> Result<()> {
        self.write("sysctl.set", |host| host.sysctl.set(key, value))
    }
}

impl Services for FaultyHost {
    fn manager(&self) -> ServiceManager {
        self.inner.services.manager()
    }
    fn status(&self, name: &str) -> Result<ServiceStatus> {
        self.inner.services.status(name)
    }
    fn installed(&self, unit: &Unit) -> Result<bool> {
        self.inner.services.installed(unit)
    }
    fn foreign(&self, name: &str) -> Result<bool> {
        self.inner.services.foreign(name)
    }
    fn install(&self, unit: &Unit) -> Result<()> {
        self.write("services.install", |host| host.services.install(unit))
    }
    fn uninstall(&self, name: &str) -> Result<()> {
        self.write("services.uninstall", |host| host.services.uninstall(name))
    }
    fn ours(&self) -> Result<Vec<String>> {
        self.inner.services.ours()
    }
    fn request(&self, unit: &Unit) -> Result<()> {
        self.write("services.request", |host| host.services.request(unit))
    }
    fn start(&self, unit: &Unit, wait: Duration) -> Result<()> {
        self.write("services.start", |host| host.services.start(unit, wait))
    }
    fn stop(&self, unit: &Unit, wait: Duration) -> Result<()> {
        self.write("services.stop", |host| host.services.stop(unit, wait))
    }
    fn outdated(&self, unit: &Unit) -> Result<bool> {
        self.inner.services.outdated(unit)
    }
    fn reload(&self, name: &str) -> Result<()> {
        self.write("services.reload", |host| host.services.reload(name))
    }
    fn logs(&self, name: &str, count: u32) -> Result<Logs> {
        self.inner.services.logs(name, count)
    }
    fn run(&self, command: &Command, limit: Duration) -> Result<()> {
        self.inner.services.run(command, limit)
    }
}

impl Files for FaultyHost {
    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        self.inner.files.read(path)
    }
    fn info(&self, path: &Path) -> Result<Option<FileInfo>> {
        self.inner.files.info(path)
    }
    fn list(&self, dir: &Path) -> Result<Vec<PathBuf>> {
        self.inner.files.list(dir)
    }
    fn write(&self, path: &Path, content: &[u8], mode: u32) -> Result<()> {
        self.write("files.write", |host| host.files.write(path, content, mode))
    }
    fn append(&self, path: &Path, content: &[u8]) -> Result<()> {
        self.write("files.append", |host| host.files.append(path, content))
    }
    fn set_mode(&self, path: &Path, mode: u32) -> Result<()> {
        self.write("files.set_mode", |host| host.files.set_mode(path, mode))
    }
    fn make_dir(&self, dir: &Path, mode: u32) -> Result<()> {
        self.write("files.make_dir", |host| host.files.make_dir(dir, mode))
    }
    fn remove(&self, path: &Path) -> Result<()> {
        self.write("files.remove", |host| host.files.remove(path))
    }
    fn remove_dir(&self, dir: &Path) -> Result<()> {
        self.write("files.remove_dir", |host| host.files.remove_dir(dir))
    }
}
