//! Reading what a [`DesiredState`] speaks of.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnetwork::IpNetwork;
use phantom_types::{Backend, InterfaceName};
use zeroize::Zeroizing;

use super::last_endpoints::{self, LastEndpoints};
use super::{ApplyContext, DesiredFile, DesiredState, no_guards_file};
use crate::facility::temp_file_target;
use crate::{
    Device, FileInfo, HostError, Link, LinkKind, PolicyRule, Result, Route, RouteKind, RulesetStatus,
    ServiceManager, ServiceState, UfwRules,
};

/// The host as it is, as far as it concerns us.
#[derive(Clone, Debug)]
pub struct Observed {
    /// Links that are wanted or carry our tag, by name.
    pub interfaces: BTreeMap<InterfaceName, ObservedInterface>,
    /// Our routes: those of our table that carry our tag, or go by a link of ours and so go with it.
    pub routes: BTreeSet<Route>,
    /// The other routes of our table.
    pub foreign_routes: BTreeSet<Route>,
    /// Our rules.
    pub rules: BTreeSet<PolicyRule>,
    /// How the loaded packet filter compares.
    pub firewall: RulesetStatus,
    /// ufw with our rules; `None` when it is not installed.
    pub ufw: Option<UfwRules>,
    /// Claims on links that are not there, or carry our tag already: what a process left that died in between.
    pub stale_claims: BTreeSet<PathBuf>,
    /// This kernel is known to have no guards for links.
    pub no_guards: bool,
    /// The host has IPv6, and with it the settings of IPv6.
    pub ipv6: bool,
    /// The wanted kernel settings as they are.
    pub sysctls: BTreeMap<String, Option<String>>,
    /// The wanted files as they are.
    pub files: BTreeMap<PathBuf, Option<ObservedFile>>,
    /// Files with our tag that nobody wants, known by the mark alone, each with the kernel settings that it says were
    /// changed and what they were before.
    pub stale_files: BTreeMap<PathBuf, Vec<(String, String)>>,
    /// Who runs the units.
    pub manager: ServiceManager,
    /// State of every wanted unit, and whether its file is the wanted one.
    pub units: BTreeMap<String, (ServiceState, bool)>,
    /// Wanted units that run and whose program has been replaced since, as far as they are to be started again for that.
    pub outdated_units: BTreeSet<String>,
    /// Wanted units in whose place somebody else's file is. Neither is it changed, nor is the service.
    pub foreign_units: BTreeSet<String>,
    /// Units of ours that nobody wants.
    pub stale_units: BTreeSet<String>,
}

/// An interface as it is.
#[derive(Clone, Debug)]
pub struct ObservedInterface {
    /// The link; `None` when there is none.
    pub link: Option<Link>,
    /// It carries our tag or our claim, runs under our unit, or holds our private key.
    pub ours: bool,
    /// Its addresses.
    pub addresses: BTreeSet<IpNetwork>,
    /// Those of them that are the host's own no more, since their local route is gone: what comes for them is passed on.
    pub not_local: BTreeSet<IpNetwork>,
    /// The device; `None` when nothing answers, and where none is wanted to run.
    pub device: Option<Device>,
    /// Where its peers were last told to be, and when.
    pub told: LastEndpoints,
    /// It has the guard that is wanted of it, or none is.
    pub guarded: bool,
}

impl ObservedInterface {
    /// Whether there is a link, and it is ours: a claim of ours may be older than a link of somebody else.
    pub(super) fn is_ours_and_there(&self) -> bool {
        self.link.is_some() && self.ours
    }
}

/// Whose a file is in the place of one of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Ours: it carries our tag.
    Marked,
    /// Ours: it has lost its tag, and holds the private key that it is to hold.
    KeyHolder,
    /// Somebody else's.
    Foreign,
}

/// A file as it is. Its content is compared while it is looked at: it may be large, and full of secrets.
#[derive(Clone, Debug)]
pub struct ObservedFile {
    /// Permission bits.
    pub mode: u32,
    /// It belongs to root.
    pub root: bool,
    /// Whose it is.
    pub owner: Owner,
    /// It says what is wanted.
    pub same: bool,
}

/// Reads everything that `wanted` speaks of, and everything of ours that it does not.
pub fn observe(context: &ApplyContext<'_>, wanted: &DesiredState) -> Result<Observed> {
    let host = context.host;
    let (mut units, mut foreign_units) = (BTreeMap::new(), BTreeSet::new());
    let mut outdated_units = BTreeSet::new();
    let interface_units = wanted.interfaces.values().map(|interface| &interface.unit);
    for unit in interface_units.chain(wanted.units.values().map(|(unit, _)| unit)) {
        let state = host.services.status(&unit.name)?.state;
        let installed = host.services.installed(unit)?;
        if !installed && host.services.foreign(&unit.name)? {
            foreign_units.insert(unit.name.clone());
        }
        if context.renews
            && unit.renewable
            && state == ServiceState::Active
            && host.services.outdated(unit)?
        {
            outdated_units.insert(unit.name.clone());
        }
        units.insert(unit.name.clone(), (state, installed));
    }
    let mut stale_units: BTreeSet<String> = host.services.ours()?.into_iter().collect();
    stale_units.retain(|name| !units.contains_key(name));
    let table = host.network.routes(context.tags.exit_table())?;
    let rules = host.network.rules()?.into_iter();
    let rules = rules.filter(|rule| context.tags.owns_rule(rule)).collect();
    let sysctls = wanted.sysctls.keys().map(|key| Ok((key.clone(), host.sysctl.get(key)?)));
    let sysctls = sysctls.collect::<Result<_>>()?;
    // Both can be large: the content of a file is gone before a device is read.
    let (files, stale_files) = (files(context, wanted)?, stale_files(context, wanted)?);
    let claims = claims(context)?;
    let (interfaces, stale_claims) =
        interfaces(context, wanted, &Units { states: &units, foreign: &foreign_units }, &claims)?;
    let by_our_link = |route: &Route| match &route.kind {
        RouteKind::Via { interface, .. } => {
            interfaces.iter().any(|(name, now)| name.as_str() == interface && now.is_ours_and_there())
        }
        RouteKind::Unreachable | RouteKind::Blackhole => false,
    };
    let (routes, foreign_routes) =
        table.into_iter().partition(|route| context.tags.owns_route(route) || by_our_link(route));
    // Last, for the sake of a predecessor that was killed: the program that it had started may still be at work.
    let firewall = match host.firewall.in_force(context.tags, &wanted.firewall) {
        // Where there is no packet filter, there is nothing of ours in one.
        Err(HostError::Unsupported { .. }) if wanted.firewall.is_empty() => RulesetStatus::Missing,
        other => other?,
    };
    let ufw = host.firewall.ufw(context.tags)?;
    let no_guards = host.files.info(&no_guards_file(context.run_dir))?.is_some();
    let ipv6 = host.has_ipv6()?;
    Ok(Observed {
        interfaces,
        routes,
        foreign_routes,
        rules,
        firewall,
        ufw,
        stale_claims,
        no_guards,
        ipv6,
        sysctls,
        files,
        stale_files,
        manager: host.services.manager(),
        units,
        outdated_units,
        foreign_units,
        stale_units,
    })
}

/// The wanted units as they are.
struct Units<'a> {
    states: &'a BTreeMap<String, (ServiceState, bool)>,
    foreign: &'a BTreeSet<String>,
}

type Interfaces = BTreeMap<InterfaceName, ObservedInterface>;

fn interfaces(
    context: &ApplyContext<'_>,
    wanted: &DesiredState,
    units: &Units<'_>,
    claims: &BTreeSet<InterfaceName>,
) -> Result<(Interfaces, BTreeSet<PathBuf>)> {
    let links = context.host.network.links()?;
    let addresses = context.host.network.addresses()?;
    let mark = context.tags.tag();
    let marked = links.iter().filter(|link| link.alias.as_deref() == Some(&mark));
    let marked = marked.filter_map(|link| link.name.parse::<InterfaceName>().ok());
    let names: BTreeSet<InterfaceName> =
        wanted.interfaces.keys().cloned().chain(marked).chain(claims.iter().cloned()).collect();
    let mut observed = BTreeMap::new();
    let mut stale = BTreeSet::new();
    for name in names {
        let link = links.iter().find(|link| link.name == name.as_str()).cloned();
        let has_mark = link.as_ref().is_some_and(|link| link.alias.as_deref() == Some(&mark));
        if claims.contains(&name) && (link.is_none() || has_mark) {
            stale.insert(context.claim(name.as_str()));
        }
        let ours = match &link {
            None => true,
            Some(_) if has_mark => true,
            Some(link) if is_unmarked_wireguard(link) && claims.contains(&name) => true,
            Some(link) => {
                unit_made(context, &name, link, wanted, units)?
                    || holds_our_key(context, &name, link, wanted)?
            }
        };
        let device = match &link {
            Some(link) if ours && wanted.interfaces.get(&name).is_some_and(|wanted| wanted.running) => {
                device(context, &name, link)?
            }
            _ => None,
        };
        let guard = wanted.interfaces.get(&name).and_then(|wanted| wanted.guard.as_ref());
        let guarded = match guard {
            Some(guard) if ours && link.is_some() => context.host.network.has_guard(&name, guard)?,
            _ => guard.is_none(),
        };
        let told = match &device {
            Some(_) => last_endpoints::read(context, &name)?,
            None => LastEndpoints::new(),
        };
        let of_this = addresses.iter().filter(|(interface, _)| interface == name.as_str());
        let addresses: BTreeSet<IpNetwork> = of_this.map(|(_, address)| *address).collect();
        // A link that is down has no routes.
        let up = ours && link.as_ref().is_some_and(|link| link.up);
        let not_local = if up { not_local(context, &addresses)? } else { BTreeSet::new() };
        let now = ObservedInterface { link, ours, addresses, not_local, device, told, guarded };
        observed.insert(name, now);
    }
    Ok((observed, stale))
}

/// The IPv4 addresses of the host that the kernel does not deliver to it.
fn not_local(context: &ApplyContext<'_>, addresses: &BTreeSet<IpNetwork>) -> Result<BTreeSet<IpNetwork>> {
    let mut found = BTreeSet::new();
    for address in addresses {
        if let IpAddr::V4(ip) = address.ip()
            && context.host.network.own_route(None, ip)?.is_none_or(|route| route.interface != "lo")
        {
            found.insert(*address);
        }
    }
    Ok(found)
}

fn device(context: &ApplyContext<'_>, name: &InterfaceName, link: &Link) -> Result<Option<Device>> {
    match link.kind {
        LinkKind::WireGuard => context.host.wireguard.device(name, Backend::Kernel),
        LinkKind::Tun => context.host.wireguard.device(name, Backend::Embedded),
        LinkKind::Other(_) => Ok(None),
    }
}

fn is_unmarked_wireguard(link: &Link) -> bool {
    matches!(link.kind, LinkKind::WireGuard | LinkKind::Tun) && link.alias.is_none()
}

/// Whether our own unit made this link: it runs, and its device answers. So it is when the service manager starts the
/// embedded device at boot or after a crash, before anybody could have set the mark.
///
/// Of a unit whose file has lost our tag nobody knows whose it is. A device that has no key yet belongs to nobody.
fn unit_made(
    context: &ApplyContext<'_>,
    name: &InterfaceName,
    link: &Link,
    wanted: &DesiredState,
    units: &Units<'_>,
) -> Result<bool> {
    let Some(unit) = wanted.interfaces.get(name).map(|interface| &interface.unit.name) else {
        return Ok(false);
    };
    let (state, installed) = units.states.get(unit).copied().unwrap_or((ServiceState::Inactive, false));
    let runs = matches!(state, ServiceState::Active | ServiceState::Starting);
    if link.kind != LinkKind::Tun || link.alias.is_some() || !runs {
        return Ok(false);
    }
    if units.foreign.contains(unit) {
        let device = context.host.wireguard.device(name, Backend::Embedded)?;
        return Ok(device.is_some_and(|device| device.private_key.is_none()));
    }
    if !installed {
        return Ok(false);
    }
    // Its peers are of no interest.
    Ok(context.host.wireguard.peers(name, Backend::Embedded, &[])?.is_some())
}

/// Whether this is a device with the private key that is wanted of it: nobody else has that key, so that the mark was
/// taken away from a link of ours.
fn holds_our_key(
    context: &ApplyContext<'_>,
    name: &InterfaceName,
    link: &Link,
    wanted: &DesiredState,
) -> Result<bool> {
    let Some(wanted) = wanted.interfaces.get(name) else { return Ok(false) };
    let now = device(context, name, link)?;
    Ok(now.and_then(|now| now.private_key).is_some_and(|key| key == wanted.device.private_key))
}

/// The interfaces that are claimed.
fn claims(context: &ApplyContext<'_>) -> Result<BTreeSet<InterfaceName>> {
    let names = context.host.files.list(&context.claims())?;
    Ok(names.iter().filter_map(|name| name.to_str()?.parse().ok()).collect())
}

/// Where files of ours can be outside our own directories, and what their names begin and end with there. A file of another
/// name is none of ours, whatever its content: somebody has made a copy.
const FOLDERS: [(&str, &str, &str); 5] = [
    ("/etc/wireguard", "", ".conf"),
    ("/etc/sysctl.d", "90-", ".conf"),
    ("/etc/iproute2/rt_tables.d", "", ".conf"),
    ("/etc/systemd/network", "90-", ".network"),
    ("/etc/systemd/networkd.conf.d", "90-", ".conf"),
];

/// Whether a file, or the one in whose place a draft of this name is written, has a name that one of ours can have.
fn may_be_ours(name: &OsStr, begin: &str, end: &str) -> bool {
    let name = temp_file_target(name).unwrap_or(name).as_encoded_bytes();
    name.starts_with(begin.as_bytes()) && name.ends_with(end.as_bytes())
}

/// What starts a line of a file of ours that says what a kernel setting was before us, as in
/// `# before: net.ipv4.ip_forward = 0`.
pub const SAVED_VALUE_PREFIX: &str = "# before: ";

fn files(
    context: &ApplyContext<'_>,
    wanted: &DesiredState,
) -> Result<BTreeMap<PathBuf, Option<ObservedFile>>> {
    let look = |(path, file): (&PathBuf, &Option<DesiredFile>)| {
        let now = content(context, path)?.map(|(info, now)| ObservedFile {
            mode: info.mode,
            root: info.uid == 0,
            owner: match file {
                _ if context.tags.owns_file(&now) => Owner::Marked,
                Some(file) if file.same_key(&now) => Owner::KeyHolder,
                _ => Owner::Foreign,
            },
            same: file.as_ref().is_some_and(|file| file.same(wanted, &now)),
        });
        Ok((path.clone(), now))
    };
    wanted.files.iter().map(look).collect()
}

fn stale_files(
    context: &ApplyContext<'_>,
    wanted: &DesiredState,
) -> Result<BTreeMap<PathBuf, Vec<(String, String)>>> {
    let mut stale = BTreeMap::new();
    for (folder, begin, end) in FOLDERS {
        for name in context.host.files.list(Path::new(folder))? {
            if !may_be_ours(name.as_os_str(), begin, end) {
                continue;
            }
            let path = Path::new(folder).join(name);
            if wanted.files.contains_key(&path) || wanted.kept_files.contains(&path) {
                continue;
            }
            let Some((_, now)) = content(context, &path)? else { continue };
            if context.tags.owns_file(&now) || now.is_empty() && is_draft(context, wanted, &path)? {
                stale.insert(path, settings_before(&now));
            }
        }
    }
    Ok(stale)
}

/// Whether a file has the name of one that is being written in the place of a file of ours, `.NAME.` and 16 hexadecimal
/// digits ([`Files::write`](crate::Files::write)): whoever was killed at its beginning left it, without any mark yet.
fn is_draft(context: &ApplyContext<'_>, wanted: &DesiredState, path: &Path) -> Result<bool> {
    let Some(name) = path.file_name().and_then(temp_file_target) else { return Ok(false) };
    let file = path.with_file_name(name);
    if wanted.files.contains_key(&file) || wanted.kept_files.contains(&file) {
        return Ok(true);
    }
    Ok(content(context, &file)?.is_some_and(|(_, now)| context.tags.owns_file(&now)))
}

/// The kernel settings that a file of ours says were changed, and what they were.
fn settings_before(content: &[u8]) -> Vec<(String, String)> {
    let lines = content.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
    let settings = lines.filter_map(|line| line.strip_prefix(SAVED_VALUE_PREFIX)?.split_once(" = "));
    settings.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// A file with its content. What is no folder and cannot be read either, such as a pipe, is a file of somebody else without
/// content.
fn content(context: &ApplyContext<'_>, path: &Path) -> Result<Option<(FileInfo, Zeroizing<Vec<u8>>)>> {
    let files = &context.host.files;
    let look = || -> Result<Option<FileInfo>> { Ok(files.info(path)?.filter(|info| !info.dir)) };
    let Some(info) = look()? else { return Ok(None) };
    if let Some(content) = files.read(path)? {
        return Ok(Some((info, Zeroizing::new(content))));
    }
    // It may have gone meanwhile.
    Ok(look()?.map(|info| (info, Zeroizing::default())))
}
