//! The embedded WireGuard device of Phantom-WG: WireGuard for a host whose kernel has none.
//!
//! The device is a TUN whose packets this process seals and opens. It is set up and asked through the control socket
//! that all userspace devices of WireGuard have, so `wg`, `wg syncconf` and `wg-quick` work with it as with any other;
//! see [`uapi`] for the protocol. It keeps no state of its own: whoever starts it tells it its keys and peers.
//!
//! The binary `phantom-wg-device NAME` is this library and a command line. To embed it:
//!
//! ```no_run
//! use phantom_device::{Ended, Log, Options, run};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
//! let mut options = Options::new("wg_main".parse()?);
//! options.log = Log::new(|line| println!("{line}"));
//! let ended = runtime.block_on(run(options, async {
//!     let _ = tokio::signal::ctrl_c().await;
//! }))?;
//! assert_eq!(ended, Ended::Shutdown);
//! # Ok(())
//! # }
//! ```
//!
//! # On the host
//!
//! Needs `CAP_NET_ADMIN`, and `/dev/net/tun` (or `CAP_MKNOD` to make it). Makes or attaches the persistent TUN, the
//! directory `/var/run/wireguard` (0700) and in it `NAME.sock` (0600), and listens on one UDP port from the moment that
//! the device has a private key, whether its link is up or not. It sets no addresses, no routes and not the link up.
//! The socket goes when the device ends; the link stays and has to be deleted by whoever wants it gone, upon which a
//! running device ends by itself.
//!
//! # Secrets
//!
//! Keys are never logged, and wiped when they are not used any more.

mod device;
mod error;
mod log;
mod notify;
mod run;
#[cfg(test)]
mod second;
mod tun;
mod udp;

pub mod cookie;
pub mod noise;
pub mod session;
pub mod uapi;

pub use error::DeviceError;
pub use log::Log;
pub use run::{Ended, Options, default_threads, run};
