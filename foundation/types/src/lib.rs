//! The values of Phantom-WG: names, keys, subnets, endpoints, WireGuard configurations.
//!
//! Every type here can only hold a valid value, so its users need not check again. The crate is pure: it reads no file,
//! no clock and no random source, and it knows nothing of the host.
//!
//! ```
//! use phantom_types::{ClientName, Subnet};
//!
//! let name: ClientName = "john-laptop".parse()?;
//! let subnet: Subnet = "10.8.0.0/24".parse()?;
//! assert_eq!(subnet.server().to_string(), "10.8.0.1");
//! assert_eq!(subnet.usable(), 254);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod address;
mod backend;
pub mod conf;
mod file_name;
mod host;
mod key;
mod lang;
mod name;
mod proxy;
mod secret;
mod split;
mod spoken;
mod subnet;
mod text;
mod time;
mod upstream;
pub mod watch;

pub use address::{is_on_internet, is_public, is_public6};
pub use backend::{Backend, BackendChoice, BackendError};
#[doc(no_inline)]
pub use conf::{ClientConfig, ConfError, ServerConfig, ServerPeer};
pub use file_name::FileName;
pub use host::{Domain, DomainError, Endpoint, EndpointError, HostName, HostNameError, shown_char};
pub use key::{KeyError, PresharedKey, PrivateKey, PublicKey};
pub use lang::{Lang, Text};
pub use name::{ClientName, ExitName, InterfaceName, NameError};
pub use proxy::{ProxyVersion, ProxyVersionError};
pub use secret::{ClientSecret, SecretError, TunnelAccess, TunnelSecret};
pub use split::{complement4, complement6};
pub use spoken::{Said, Spoken, explain, quoted, translate};
pub use subnet::{Remap, Subnet, SubnetError};
pub use text::{ago, ago_in_turkish, bytes_in_words};
pub use time::{Timestamp, TimestampError};
pub use upstream::{Upstream, UpstreamError};
