//! The DNS module: the pair of DNS servers in every client's configuration.
//!
//! It changes nothing on the host: the pair is stored, and `export_client` puts it into configurations. `status` and
//! `test_dns_servers` ask the servers themselves, over UDP port 53 (TCP if an answer is truncated), and nobody else.
//!
//! ```no_run
//! use phantom_dns::{Dns, actions::ChangeServers};
//! use phantom_module::{Call, Lang, TypedModule};
//! # fn with(dns: &Dns) -> Result<(), phantom_dns::DnsError> {
//! let changed = dns.call(ChangeServers { primary: "9.9.9.9".parse().ok(), secondary: None }, &Call::new(Lang::En))?;
//! println!("{} before", changed.dns_servers.previous_primary);
//! # Ok(())
//! # }
//! ```

pub mod actions;
mod collision;
mod error;
mod probes;

use std::sync::Arc;

use phantom_engine::{Engine, SystemModule};
use phantom_module::{Entry, Text, TypedModule, entry};

pub use collision::DnsCollision;
pub use error::DnsError;

/// The DNS module at work on an engine.
pub struct Dns {
    engine: Arc<Engine>,
}

impl Dns {
    /// The engine it works on.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }
}

impl TypedModule for Dns {
    const NAME: &'static str = "dns";
    const SUMMARY: Text = Text { en: "DNS servers of clients", tr: "İstemcilerin DNS sunucuları" };
    const ACTIONS: &'static [Entry<Self>] = &[
        entry::<actions::ChangeServers>(),
        entry::<actions::TestServers>(),
        entry::<actions::Status>(),
        entry::<actions::Servers>(),
    ];
}

impl SystemModule for Dns {
    fn new(engine: Arc<Engine>) -> Self {
        Self { engine }
    }
}
