//! Kernel settings, sockets, the resolver and the random source in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use phantom_types::Domain;

use super::{FakeHost, State, absent};
use crate::{
    AskFrom, DnsAnswer, HostError, Port, Probe, ProbeError, Protocol, Random, Resolver, Result, Sysctl,
    Viewpoint,
};

/// Settings of a fresh host, all whole numbers.
const SETTINGS: &[(&str, &str)] = &[
    ("net.ipv4.conf.all.rp_filter", "0"),
    ("net.ipv4.conf.all.src_valid_mark", "0"),
    ("net.ipv4.conf.default.rp_filter", "0"),
    ("net.ipv4.conf.default.src_valid_mark", "0"),
    ("net.ipv4.ip_forward", "0"),
    ("net.ipv6.conf.all.disable_ipv6", "0"),
    ("net.ipv6.conf.all.forwarding", "0"),
    ("net.ipv6.conf.default.disable_ipv6", "0"),
    ("net.ipv6.conf.default.forwarding", "0"),
];
/// Settings of each link, which begin with its defaults when it comes and go with it.
const OF_LINK: &[(&str, &str)] =
    &[("ipv4", "rp_filter"), ("ipv4", "src_valid_mark"), ("ipv6", "disable_ipv6"), ("ipv6", "forwarding")];

/// Kernel settings; those of a link by its index and name, so that they do not outlive it.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) global: BTreeMap<String, String>,
    pub(super) of_links: BTreeMap<(u32, String), String>,
}

impl Default for Settings {
    fn default() -> Self {
        let global = SETTINGS.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Self { global, of_links: BTreeMap::new() }
    }
}

/// Sockets of other programs.
#[derive(Clone, Default)]
pub(super) struct Sockets {
    pub(super) bound: BTreeSet<Port>,
}

/// What servers answer: for one name, or for all others.
pub(super) type Answers = BTreeMap<(IpAddr, Option<Domain>), Result<DnsAnswer, ProbeError>>;

/// What the host's own resolvers answer.
pub(super) type Lookups = BTreeMap<Domain, Result<Vec<IpAddr>, ProbeError>>;

impl State {
    /// The link whose setting this is, and the default it begins with.
    fn setting_of_link(&self, key: &str) -> Option<(u32, String)> {
        OF_LINK.iter().find_map(|(family, setting)| {
            let inner =
                key.strip_prefix(&format!("net.{family}.conf."))?.strip_suffix(&format!(".{setting}"))?;
            // A dot in the name of a link is written as a slash.
            let link = self.net.find(&inner.replace('/', "."))?.link.index;
            Some((link, self.settings.global.get(&format!("net.{family}.conf.default.{setting}"))?.clone()))
        })
    }

    fn setting(&self, key: &str) -> Option<String> {
        if let Some(value) = self.settings.global.get(key) {
            return Some(value.clone());
        }
        let (link, default) = self.setting_of_link(key)?;
        Some(self.settings.of_links.get(&(link, key.to_owned())).cloned().unwrap_or(default))
    }

    /// The settings of a boot: those of a fresh host, and then what the files of `/etc/sysctl.d` say.
    pub(super) fn load_settings(&mut self) {
        self.settings = Settings::default();
        let files =
            self.files.nodes.iter().filter(|(path, _)| path.parent() == Some(Path::new("/etc/sysctl.d")));
        for content in files.filter_map(|(_, node)| node.content.as_deref()) {
            for line in String::from_utf8_lossy(content).lines() {
                let pair = line.split_once('=').filter(|_| !line.trim_start().starts_with(['#', ';']));
                let Some((key, value)) = pair else { continue };
                // A dash says that the setting may not be there, as that of a link that comes later.
                let (key, optional) =
                    key.trim().strip_prefix('-').map_or((key.trim(), false), |key| (key, true));
                if !optional || self.settings.global.contains_key(key) {
                    self.settings.global.insert(key.to_owned(), value.trim().to_owned());
                }
            }
        }
    }

    pub(super) fn is_bound(&self, port: Port) -> bool {
        self.sockets.bound.contains(&port)
            || self.service_on_port(port)
            || (port.protocol == Protocol::Udp && self.device_on_port(port.number).is_some())
    }
}

impl Sysctl for FakeHost {
    fn get(&self, key: &str) -> Result<Option<String>> {
        Ok(self.state().setting(key))
    }

    fn set(&self, key: &str, value: &str) -> Result<()> {
        let mut state = self.write(&format!("sysctl.set {key} {value}"))?;
        if state.setting(key).is_none() {
            return Err(absent(format!("kernel setting {key}")));
        }
        let Ok(number) = value.trim().parse::<i32>() else {
            return Err(HostError::io(format!("setting {key} to {value}"), Errno::EINVAL.into()));
        };
        match state.setting_of_link(key) {
            Some((link, _)) => state.settings.of_links.insert((link, key.to_owned()), number.to_string()),
            None => state.settings.global.insert(key.to_owned(), number.to_string()),
        };
        Ok(())
    }
}

impl crate::Sockets for FakeHost {
    fn bound(&self, port: Port) -> Result<bool> {
        Ok(self.state().is_bound(port))
    }
}

impl Resolver for FakeHost {
    fn probe(&self, probes: &[Probe], limit: Duration) -> Result<Vec<Result<DnsAnswer, ProbeError>>> {
        let outcomes: Vec<_> = {
            let state = self.state();
            let answer = |probe: &Probe| {
                let named = state.answers.get(&(probe.server, Some(probe.domain.clone())));
                named.or_else(|| state.answers.get(&(probe.server, None))).cloned()
            };
            probes.iter().map(|probe| answer(probe).unwrap_or(Err(ProbeError::Timeout))).collect()
        };
        // They are asked at once: the slowest one counts.
        let took = outcomes.iter().map(|outcome| match outcome {
            Ok(DnsAnswer { elapsed, .. }) | Err(ProbeError::NoAddress { elapsed, .. }) => *elapsed,
            Err(ProbeError::Timeout) => limit,
            Err(ProbeError::Unreachable) => Duration::ZERO,
        });
        self.advance(took.max().unwrap_or_default());
        Ok(outcomes)
    }

    /// A peer that has the server's address answers as every resolver would, if it lets anything pass.
    fn probe_by(
        &self,
        from: &AskFrom,
        probe: &Probe,
        limit: Duration,
    ) -> Result<Result<DnsAnswer, ProbeError>> {
        let name = from.interface.as_str();
        let answer = {
            let mut state = self.state();
            let interface = state.net.find(name).ok_or_else(|| absent(format!("the interface {name}")))?;
            let own = interface.addresses.iter().any(|own| own.ip() == IpAddr::V4(from.address));
            if !own {
                return Err(absent(format!("the address {} on {name}", from.address)));
            }
            let passed = state.answer_question(name, probe.server);
            let mut known = [Some(probe.domain.clone()), None].into_iter();
            let known = known.find_map(|domain| state.answers.get(&(probe.server, domain)).cloned());
            match passed {
                Some(false) => Err(ProbeError::Timeout),
                Some(true) => known.unwrap_or_else(|| {
                    Ok(DnsAnswer { addresses: vec![IpAddr::from([192, 0, 2, 1])], elapsed: Duration::ZERO })
                }),
                None => known.unwrap_or(Err(ProbeError::Timeout)),
            }
        };
        match &answer {
            Ok(DnsAnswer { elapsed, .. }) | Err(ProbeError::NoAddress { elapsed, .. }) => {
                self.advance(*elapsed);
            }
            Err(ProbeError::Timeout) => self.advance(limit),
            Err(ProbeError::Unreachable) => {}
        }
        Ok(answer)
    }

    fn lookup(
        &self,
        domain: &Domain,
        _: Viewpoint,
        limit: Duration,
    ) -> Result<Result<Vec<IpAddr>, ProbeError>> {
        if self.state().lookups_fail {
            return Err(HostError::io("starting to ask DNS servers", std::io::ErrorKind::Other.into()));
        }
        let answer = self.state().lookups.get(domain).cloned().unwrap_or(Err(ProbeError::Timeout));
        if answer == Err(ProbeError::Timeout) {
            self.advance(limit);
        }
        Ok(answer)
    }
}

impl Random for FakeHost {
    /// The sequence of `SplitMix64`: the same bytes in every run, and fit for nothing but tests.
    fn fill(&self, bytes: &mut [u8]) -> Result<()> {
        let mut state = self.state();
        for chunk in bytes.chunks_mut(8) {
            state.random = state.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = state.random;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^= mixed >> 31;
            chunk.copy_from_slice(&mixed.to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

impl FakeHost {
    /// Sets or (with `None`) takes away a kernel setting, whatever its name.
    pub fn set_sysctl(&self, key: &str, value: Option<&str>) {
        let settings = &mut self.state().settings.global;
        match value {
            Some(value) => settings.insert(key.to_owned(), value.to_owned()),
            None => settings.remove(key),
        };
    }
    /// Lets another program listen on a port.
    pub fn bind(&self, port: Port) {
        self.state().sockets.bound.insert(port);
    }
    /// Lets that program close it.
    pub fn unbind(&self, port: Port) {
        self.state().sockets.bound.remove(&port);
    }
    /// What the host's own resolvers answer to a question for this name. Without an answer they stay silent.
    pub fn set_lookup(&self, domain: Domain, answer: Result<Vec<IpAddr>, ProbeError>) {
        self.state().lookups.insert(domain, answer);
    }
    /// Whether the host cannot ask its resolvers at all.
    pub fn fail_lookups(&self, fail: bool) {
        self.state().lookups_fail = fail;
    }
    /// What a DNS server answers to questions for this name, or (with `None`) for every other one. A server without
    /// an answer stays silent until the limit of the question is over.
    pub fn set_answer(&self, server: IpAddr, domain: Option<Domain>, answer: Result<DnsAnswer, ProbeError>) {
        self.state().answers.insert((server, domain), answer);
    }
    /// Where the random source begins.
    pub fn set_seed(&self, seed: u64) {
        self.state().random = seed;
    }
}
