//! What the watcher is told, and the repair that it asks for.

use std::path::{Path, PathBuf};

use phantom_host::reconcile::{self, Coverage, DesiredInterface, DesiredState, Foreign};
use phantom_host::{
    FirewallKind, Route, RouteKind, RuleAction, ServiceManager, ServiceState, Unit, UnitKind,
};
use phantom_module::{Call, chain};
use phantom_types::Said;
use phantom_types::watch::{LegacyTable, Watched, WatchedFilter, WatchedRoute, WatchedRule};

use crate::change::host_error;
use crate::error::HostFailure;
use crate::foreign::Planned;
use crate::{Engine, EngineError, Origin, Reconciled};

/// What a repair belongs to in logs and errors.
const REPAIR: Origin = Origin { module: "core", action: "repair" };

/// Where ufw keeps the rules that somebody has given to it, and whether it is on.
const UFW_RULES: [&str; 3] = ["/etc/ufw/user.rules", "/etc/ufw/user6.rules", "/etc/ufw/ufw.conf"];
/// The tables of legacy iptables that have rules of ours, where ours are there.
const OUR_TABLES: [&str; 3] = [DOORS, "nat", "mangle"];
/// The one of them in which others open and close ports, and in which we let in our own.
const DOORS: &str = "filter";

/// How often a repair looks for what is still missing before it gives up.
const ATTEMPTS: u32 = 3;

/// What is asked for before the look that finds everything right, so that what changes after that look is seen.
#[derive(Clone, Debug)]
pub(crate) struct BeforeLook {
    /// The generation of the packet filter.
    generation: Option<u32>,
    /// The ways to the Internet.
    ways_out: Option<Vec<String>>,
}

impl Engine {
    /// Asks, for [`Self::tell_watcher`].
    pub(crate) fn before_look(&self) -> BeforeLook {
        BeforeLook {
            generation: self.host.firewall.generation().ok().flatten(),
            ways_out: self.host.network.ways_out().ok(),
        }
    }

    /// Tells the watcher what is in force: this state, which the host was just found in.
    pub(crate) fn tell_watcher(&self, wanted: &DesiredState, before: BeforeLook, foreign: &[Foreign]) {
        self.tell(self.watched(wanted, before, foreign));
    }

    fn tell(&self, watched: Watched) {
        if let Err(error) = self.store.set_watched(watched) {
            self.log(&format!("the watcher could not be told what is in force: {}", chain(&error)));
        }
        self.tell_due();
    }

    fn watched(&self, wanted: &DesiredState, before: BeforeLook, foreign: &[Foreign]) -> Watched {
        let BeforeLook { generation, ways_out } = before;
        let running = || wanted.interfaces.iter().filter(|(_, interface)| interface.running);
        let rules = wanted.rules.iter().map(|rule| WatchedRule {
            ipv6: rule.ipv6,
            priority: rule.priority,
            from: rule.from,
            table: match rule.action {
                RuleAction::Lookup(table) => table,
                RuleAction::Unreachable | RuleAction::Other(_) => 0,
            },
        });
        // Where somebody else's route is in the place of ours, ours is not missed: it stays away until that one is gone.
        let taken = |route: &&Route| {
            let takes =
                |one: &Foreign| matches!(one, Foreign::Route(other) if other.takes_the_place_of(route));
            foreign.iter().any(takes)
        };
        let routes = wanted.routes.iter().filter(|route| !taken(route)).map(|route| WatchedRoute {
            table: route.table,
            destination: route.destination,
            interface: match &route.kind {
                RouteKind::Via { interface, .. } => Some(interface.clone()),
                RouteKind::Unreachable | RouteKind::Blackhole => None,
            },
            protocol: route.protocol,
            metric: route.metric,
        });
        let own_table = matches!(self.host.firewall.kind(), Ok(FirewallKind::Nftables));
        let filter = (!wanted.firewall.is_empty()).then(|| WatchedFilter {
            table: own_table.then(|| self.tags.nft_table()),
            marks: self.tags.chains(),
            generation,
            legacy: self.legacy_tables(!own_table && generation.is_none()),
        });
        let units = running()
            .map(|(_, interface)| &interface.unit)
            .chain(wanted.units.values().filter(|(_, running)| *running == Some(true)).map(|(unit, _)| unit));
        // Where systemd is, it starts again what ends. Nobody else does.
        let none_here = reconcile::no_guards_file(self.paths().run_dir());
        let can_guard = self.host.files.info(&none_here).is_ok_and(|found| found.is_none());
        let guarded = running().filter(|(_, one)| can_guard && one.guard.is_some());
        let there = |path: &PathBuf| self.host.files.info(path).is_ok_and(|found| found.is_some());
        let builtin = self.host.services.manager() == ServiceManager::Builtin;
        let process = |unit: &&Unit| builtin && matches!(unit.kind, UnitKind::Daemon { .. });
        let file = |unit: &Unit| self.paths().run_dir().join(format!("{}.pid", unit.name));
        let found_at = self.host.clock.now().micros();
        let whole = running().all(|(_, interface)| interface.device.peers.is_some());
        let swept_before = || self.store.watched().map_or(found_at, |watched| watched.swept_at);
        Watched {
            lock: String::new(),
            mark: self.tags.tag(),
            links: running().map(|(name, one)| (name.to_string(), one.addresses.clone())).collect(),
            guards: guarded.map(|(name, _)| name.to_string()).collect(),
            rules: rules.collect(),
            routes: routes.collect(),
            settings: wanted.sysctls.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            filter,
            ways_out: ways_out.filter(|_| !wanted.firewall.openings().is_empty()),
            processes: units.filter(process).map(file).collect(),
            files: UFW_RULES.iter().map(PathBuf::from).filter(|path| there(path)).collect(),
            nothing_missing: false,
            found_at,
            swept_at: if whole { found_at } else { swept_before() },
        }
    }

    /// The tables of legacy iptables that decide about packets for us. Those of others count where they are loaded: to ask for
    /// one that is not would load it.
    fn legacy_tables(&self, ours: bool) -> Vec<LegacyTable> {
        let table = |ipv6, name: &str| LegacyTable { ipv6, name: name.to_owned() };
        if ours {
            let families =
                [false, true].into_iter().filter(|ipv6| !ipv6 || self.host.has_ipv6().unwrap_or(true));
            return families.flat_map(|ipv6| OUR_TABLES.map(|name| table(ipv6, name))).collect();
        }
        let loaded = |file: &str| {
            let names =
                self.host.files.read(&Path::new("/proc/net").join(file)).ok().flatten().unwrap_or_default();
            names.split(|byte| *byte == b'\n').any(|name| name == DOORS.as_bytes())
        };
        let families = [(false, "ip_tables_names"), (true, "ip6_tables_names")].into_iter();
        families.filter(|(_, file)| loaded(file)).map(|(ipv6, _)| table(ipv6, DOORS)).collect()
    }

    /// Tells the watcher that a link is stopped on purpose.
    pub(crate) fn unwatch(&self, interface: &str) {
        let Some(mut watched) = self.store.watched() else { return };
        watched.links.remove(interface);
        watched.guards.remove(interface);
        let unit = format!("wg-quick@{interface}.pid");
        watched.processes.retain(|file| file.file_name().is_none_or(|name| name != unit.as_str()));
        watched.nothing_missing = false;
        if let Err(error) = self.store.set_watched(watched) {
            self.log(&format!("the watcher could not be told of a stop: {}", chain(&error)));
        }
    }

    /// Puts back what the host has lost, finishes a change that was cut short, and does what is due: what a watcher asks for.
    ///
    /// Peers are only looked at where a device is new, and now and then. A service that systemd was told to stop stays stopped, and one that
    /// it is starting or stopping is left to it.
    ///
    /// # Errors
    /// Not privileged, the lock, the stored state, or a step that failed.
    pub fn repair(&self, call: &Call) -> Result<Reconciled, EngineError> {
        let done = self.repair_once(call);
        self.do_what_is_due(call);
        if done.is_err() {
            self.ask_again()?;
        }
        done
    }

    /// Lets the watcher look once more: it hears when what is in force is told again.
    fn ask_again(&self) -> Result<(), EngineError> {
        let Some(watched) = self.store.watched() else { return Ok(()) };
        Ok(self.store.set_watched(Watched { nothing_missing: false, ..watched })?)
    }

    fn repair_once(&self, call: &Call) -> Result<Reconciled, EngineError> {
        self.check_privilege()?;
        // First of all: a loss from here on is asked for again.
        let asked = self.installation()?.watcher_dir().join("repair");
        if let Some(found) = self.host.files.info(&asked).ok().flatten() {
            // Whatever it is: as long as it is there, this is started again and again.
            let removed =
                if found.dir { self.host.files.remove_dir(&asked) } else { self.host.files.remove(&asked) };
            removed.map_err(|error| host_error(REPAIR.action, error))?;
        }
        let nothing = Reconciled { recovered: None, steps: Vec::new(), foreign: Vec::new() };
        let lock = self.lock(self.lock_wait())?;
        if self.store.reset_pending()? || self.interrupted()?.is_some() {
            let done = self.reconcile_locked(&self.context(), REPAIR, call, &lock);
            return done.map_err(|failure| failure.error);
        }
        self.store.say_changing(false);
        if !self.store.read(phantom_store::State::initialised)? {
            return Ok(nothing);
        }
        let coverage = if self.sweep_is_due() { Coverage::Full } else { Coverage::WithoutPeers };
        let Some(wanted) = self.wanted_now(coverage)? else {
            self.ask_again()?;
            return Ok(nothing);
        };
        let steps = self.repair_to(wanted)?;
        if !steps.is_empty() {
            let list: Vec<String> = steps
                .iter()
                .take(8)
                .map(|step| format!("{:?} {:?} {}", step.action, step.kind, step.target))
                .collect();
            let targets: Vec<&str> = steps.iter().take(8).map(|step| step.target.as_str()).collect();
            let (count, list, targets) = (steps.len(), list.join(", "), targets.join(", "));
            self.say(
                call,
                &Said::new(
                    format!("core repair: {count} steps applied: {list}"),
                    format!("core repair: uygulanan adım sayısı {count}: {targets}"),
                ),
            );
        }
        Ok(Reconciled { recovered: None, steps, foreign: Vec::new() })
    }

    /// Takes the steps that are missing until none is: what is removed in the middle of a repair is put back by the same one.
    fn repair_to(&self, mut wanted: DesiredState) -> Result<Vec<reconcile::Step>, EngineError> {
        let failed = |error| host_error(REPAIR.action, error);
        let mut taken = Vec::new();
        for attempt in 1.. {
            let before = self.before_look();
            let Planned { mut steps, mut foreign } = self.plan_for(&wanted).map_err(failed)?;
            // A new device has no peers, and a new process of one has lost them.
            if steps.iter().any(reconcile::Step::makes_device) {
                let Some(whole) = self.wanted_now(Coverage::Full)? else {
                    // Without its peers it must not be made: the repair is asked for again when systemd is done.
                    self.ask_again()?;
                    break;
                };
                wanted = whole;
                Planned { steps, foreign } = self.plan_for(&wanted).map_err(failed)?;
            }
            let Some(first) = steps.first() else {
                let nothing_missing = taken.is_empty();
                self.tell(Watched { nothing_missing, ..self.watched(&wanted, before, &foreign) });
                break;
            };
            if attempt > ATTEMPTS {
                return Err(host_error(REPAIR.action, HostFailure::Unverified(first.target.clone())));
            }
            self.keep_replaced(REPAIR.action, &steps)?;
            let done = reconcile::apply(&self.context(), &wanted, &steps);
            if attempt == ATTEMPTS {
                done.map_err(|error| host_error(REPAIR.action, error))?;
            }
            taken.extend(steps);
        }
        Ok(taken)
    }

    /// What is wanted, but for services that systemd was told to stop; nothing while it is starting or stopping one.
    fn wanted_now(&self, coverage: Coverage) -> Result<Option<DesiredState>, EngineError> {
        let mut wanted = self.read(|state| Ok::<_, EngineError>(self.desired(state, coverage)?))?;
        if self.host.services.manager() != ServiceManager::Systemd {
            return Ok(Some(wanted));
        }
        let state = |unit: &Unit| {
            let status = self.host.services.status(&unit.name);
            status.map(|status| status.state).map_err(|error| host_error(REPAIR.action, error))
        };
        let mut stopped = Vec::new();
        for (name, DesiredInterface { unit, running, .. }) in &wanted.interfaces {
            match state(unit)? {
                ServiceState::Starting | ServiceState::Stopping => return Ok(None),
                ServiceState::Inactive if *running => stopped.push(name.clone()),
                ServiceState::Inactive | ServiceState::Active | ServiceState::Failed => {}
            }
        }
        for name in stopped {
            if let Some(interface) = wanted.interfaces.get_mut(&name) {
                interface.running = false;
            }
        }
        for (unit, running) in wanted.units.values_mut().filter(|(_, running)| *running == Some(true)) {
            if state(unit)? == ServiceState::Inactive {
                *running = None;
            }
        }
        Ok(Some(wanted))
    }
}
