//! The services of one installation among several on a host.

use std::time::Duration;

use phantom_host::fake::FakeHost;
use phantom_host::{Command, Logs, OwnershipTags, Result, ServiceManager, ServiceStatus, Services, Unit};

/// The host in memory knows one installation's units from nobody else's but not from those of another installation: on
/// a real host the first line of a unit file does.
pub(super) struct OwnServices {
    fake: FakeHost,
    names: Vec<String>,
}

impl OwnServices {
    /// The units with these names, as they are or with the suffix of the installation.
    pub(super) fn new(fake: FakeHost, names: &[&str], tags: &OwnershipTags) -> Self {
        let suffix = tags.tag().replace("phantom-wg", "");
        let names = names.iter().flat_map(|name| [(*name).to_owned(), format!("{name}{suffix}")]).collect();
        Self { fake, names }
    }
}

impl Services for OwnServices {
    fn manager(&self) -> ServiceManager {
        self.fake.manager()
    }
    fn status(&self, name: &str) -> Result<ServiceStatus> {
        self.fake.status(name)
    }
    fn installed(&self, unit: &Unit) -> Result<bool> {
        self.fake.installed(unit)
    }
    fn foreign(&self, name: &str) -> Result<bool> {
        self.fake.foreign(name)
    }
    fn install(&self, unit: &Unit) -> Result<()> {
        self.fake.install(unit)
    }
    fn uninstall(&self, name: &str) -> Result<()> {
        self.fake.uninstall(name)
    }
    fn ours(&self) -> Result<Vec<String>> {
        let all = self.fake.ours()?.into_iter();
        Ok(all.filter(|name| self.names.contains(name)).collect())
    }
    fn start(&self, unit: &Unit, wait: Duration) -> Result<()> {
        self.fake.start(unit, wait)
    }
    fn request(&self, unit: &Unit) -> Result<()> {
        self.fake.request(unit)
    }
    fn stop(&self, unit: &Unit, wait: Duration) -> Result<()> {
        self.fake.stop(unit, wait)
    }
    fn outdated(&self, unit: &Unit) -> Result<bool> {
        self.fake.outdated(unit)
    }
    fn reload(&self, name: &str) -> Result<()> {
        self.fake.reload(name)
    }
    fn logs(&self, name: &str, count: u32) -> Result<Logs> {
        self.fake.logs(name, count)
    }
    fn run(&self, command: &Command, limit: Duration) -> Result<()> {
        self.fake.run(command, limit)
    }
}
