//! WireGuard inside WebSocket over TLS, for networks where WireGuard itself is blocked.
//!
//! [`server`] shows every stranger a web site, and opens a tunnel for a client with a known secret; wstunnel's clients can use
//! it. [`client`] is the other end. Both move datagrams with [`pump`] over the frames of [`codec`]. A running server receives
//! its [`config`] through [`control`]. [`cli`] contains the verbs of the program `phantom-ghost`.

pub mod cli;
pub mod client;
pub mod codec;
pub mod config;
pub mod control;
pub mod keep;
pub mod limits;
mod log;
mod notify;
mod privilege;
pub mod probe;
pub mod pump;
pub mod request;
pub mod secrets;
pub mod server;
mod socket;
pub mod token;
pub mod udp;
pub mod verify;
