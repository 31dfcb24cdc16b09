//! The actions of the DNS module, one file each.

mod change_servers;
mod servers;
mod status;
mod test_servers;

pub use change_servers::{ChangeServers, ChangedServers, ConfigsUpdated, ServersChanged};
pub use servers::{ServerPair, Servers};
pub use status::{DomainTest, Health, Outcome, ServerTests, Status, StatusReport};
pub use test_servers::{TestReport, TestResult, TestServers};
