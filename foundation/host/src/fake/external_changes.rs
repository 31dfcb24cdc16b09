//! What somebody else does to the host.

use std::path::Path;

use ipnetwork::IpNetwork;

use super::files::Node;
use super::network::links;
use super::{FakeHost, Net, network};
use crate::{LinkChange, LinkKind, PolicyRule, Result, Route};

impl FakeHost {
    /// Makes a link of somebody else, down and without address.
    ///
    /// # Errors
    /// As the kernel's: there is one of that name.
    pub fn add_link(&self, name: &str, kind: LinkKind) -> Result<()> {
        links::create(&mut self.state().net, name, kind, 1500)
    }
    /// Gives the kernel guards for links, or takes them away; the guards that are there stay.
    pub fn set_link_guards(&self, there: bool) {
        self.state().net.has_guards = there;
    }
    /// Takes the guard of a link away, as `tc qdisc del` does. Says whether there was one.
    pub fn remove_guard(&self, name: &str) -> bool {
        self.state().net.find_mut(name).is_ok_and(|interface| interface.guard.take().is_some())
    }
    /// Changes a link.
    ///
    /// # Errors
    /// As [`crate::Network::set_link`].
    pub fn change_link(&self, name: &str, change: &LinkChange) -> Result<()> {
        self.state().set_link(name, change)
    }
    /// Deletes a link with all that hangs on it.
    ///
    /// # Errors
    /// As [`crate::Network::delete_link`].
    pub fn cut_link(&self, name: &str) -> Result<()> {
        self.state().delete_link(name)
    }
    /// Adds an address.
    ///
    /// # Errors
    /// As [`crate::Network::add_address`].
    pub fn give_address(&self, interface: &str, address: IpNetwork) -> Result<()> {
        self.state().net.add_address(interface, address)
    }
    /// Takes an address away.
    ///
    /// # Errors
    /// As [`crate::Network::remove_address`].
    pub fn take_address(&self, interface: &str, address: IpNetwork) -> Result<()> {
        self.state().net.remove_address(interface, address)
    }
    /// Adds a route.
    ///
    /// # Errors
    /// As [`crate::Network::add_route`].
    pub fn give_route(&self, route: &Route) -> Result<()> {
        self.state().net.add_route(route)
    }
    /// Takes a route away.
    ///
    /// # Errors
    /// As [`crate::Network::remove_route`].
    pub fn take_route(&self, route: &Route) -> Result<()> {
        self.state().net.remove_route(route)
    }
    /// Adds a policy rule.
    ///
    /// # Errors
    /// As [`crate::Network::add_rule`].
    pub fn give_rule(&self, rule: &PolicyRule) -> Result<()> {
        self.state().net.add_rule(rule)
    }
    /// Takes a policy rule away.
    ///
    /// # Errors
    /// As [`crate::Network::remove_rule`].
    pub fn take_rule(&self, rule: &PolicyRule) -> Result<()> {
        self.state().net.remove_rule(rule)
    }
    /// Puts a file somewhere, with any owner; its folder and what is missing above it are made (0755).
    pub fn put_file(&self, path: &str, content: &[u8], mode: u32, uid: u32) {
        let path = Path::new(path);
        let nodes = &mut self.state().files.nodes;
        for above in path.ancestors().skip(1) {
            nodes.entry(above.to_owned()).or_insert(Node { mode: 0o755, uid: 0, content: None });
        }
        nodes.insert(path.to_owned(), Node { mode, uid, content: Some(content.to_owned()) });
    }
    /// Removes a file, or a folder with all that is in it.
    pub fn cut_file(&self, path: &str) {
        self.state().files.nodes.retain(|other, _| !other.starts_with(path));
    }

    /// Switches the host off and on again.
    ///
    /// Gone are links without hardware, policy rules, packet filter rules (those of ufw stay), tracked connections,
    /// everything in `/run` and `/tmp`, and kernel settings but those of `/etc/sysctl.d`. Then every enabled unit is
    /// started, those before the network first; a start that fails leaves it failed.
    pub fn reboot(&self) {
        let units = {
            let mut state = self.state();
            state.manager.power_off();
            let made: Vec<_> = state.net.links.iter().map(|interface| &interface.link).collect();
            let made = made.into_iter().filter(|link| link.kind != LinkKind::Other(String::new()));
            for name in made.map(|link| link.name.clone()).collect::<Vec<_>>() {
                // It is there, and no hardware: the kernel has no reason to refuse.
                let _ = state.delete_link(&name);
            }
            state.net.rules = Net::first_rules();
            state.net.routes.retain(|route| matches!(route.protocol, network::KERNEL | network::BOOT));
            state.filter.ours.clear();
            state.filter.foreign.clear();
            state.filter.forgotten.clear();
            let lost = |path: &Path| {
                path.parent().is_some_and(|dir| dir.starts_with("/run") || dir.starts_with("/tmp"))
            };
            state.files.nodes.retain(|path, _| !lost(path));
            state.load_settings();
            let mut units: Vec<_> =
                state.manager.units.values().filter(|file| file.enabled).cloned().collect();
            units.sort_by_key(|file| file.unit.as_ref().is_some_and(|unit| !unit.before_network));
            units
        };
        for unit in units.into_iter().filter_map(|file| file.unit) {
            // A unit that fails at boot does not stop the boot.
            let _ = self.state().start(&unit, &self.shared.programs.device);
        }
    }
}
