//! The embedded WireGuard device of Phantom-WG: WireGuard for a host whose kernel has none.
//!
//! The device is a TUN whose packets this process seals and opens. It is configured and queried through the control socket
//! that all userspace devices of WireGuard have, so `wg`, `wg syncconf` and `wg-quick` work with it as usual; see [`uapi`]
//! for the protocol. It keeps no state of its own: the program that starts it sends it keys and peers.
//!
//! The binary `phantom-wg-device NAME` is this library with a command line. You can embed it:
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
//! The device needs `CAP_NET_ADMIN`, and `/dev/net/tun` (or `CAP_MKNOD` to create it). It creates or attaches the
//! persistent TUN, and creates the directory `/var/run/wireguard` (0700) with `NAME.sock` (0600) in it. It listens on one
//! UDP port as soon as it has a private key, whether its link is up or not. It sets no addresses and no routes, and does
//! not set the link up. The socket disappears when the device ends; the link stays. If somebody deletes the link, a
//! running device ends by itself.
//!
//! # Secrets
//!
//! Keys are never logged. The cryptography underneath writes `tracing` events, which hold no keys above the level
//! `trace`: a program that installs a subscriber should cap the target `gotatun` at `warn`.

mod device;
mod error;
mod log;
mod notify;
mod run;
mod tun;
mod udp;

pub mod cookie;
pub mod uapi;

pub use error::DeviceError;
pub use log::Log;
pub use run::{DeviceOptions, EndReason, default_threads, run};
