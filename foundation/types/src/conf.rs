//! WireGuard configuration text: the file of a client, the file of the server, and files that others wrote.
//!
//! The format is that of `wg(8)` with the additions of `wg-quick(8)` (`Address`, `DNS`, `MTU`). Every text with a
//! secret key in it is wiped when it is dropped, and is built in one piece of memory, so that no copy of it stays
//! behind.
//!
//! ```
//! use phantom_types::{PrivateKey, conf};
//!
//! let key = PrivateKey::from_random([7; 32]);
//! let file = format!(
//!     "[interface]\nprivatekey={}\naddress=10.2.0.2/32 ; ours\n[peer]\npublickey={}\n\
//!      endpoint=vpn.example.com:51820\nallowedips=0.0.0.0/0, ::/0\n",
//!     key.reveal().as_str(),
//!     key.public_key(),
//! );
//! let parsed = conf::parse(&file)?;
//! assert_eq!(parsed.endpoint.to_string(), "vpn.example.com:51820");
//! # Ok::<(), conf::ConfError>(())
//! ```

mod buffer;
mod client;
mod draft;
mod error;
mod kind;
mod line;
mod parse;
mod server;

pub use client::ClientConfig;
pub use error::{ConfError, ConfFault};
pub use kind::FileKind;
pub use parse::{Comments, Ignored, IgnoredKind, Parsed, parse};
pub use server::{
    PEER_BLOCK_MAX, ServerConfig, ServerPeer, push_peer_block, remove_peer_block, render_interface,
};
