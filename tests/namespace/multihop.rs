//! Client traffic through an exit, and no other way: every packet of the server's uplink is captured and looked at.
//!
//! `docs/multihop.md` says which promise each of these tests shows.

mod addresses;
mod calls;
mod collisions;
mod exits;
mod filters;
mod flow;
mod forged;
mod guard;
mod hostile;
mod inward;
mod lab;
mod load;
mod matrix;
mod monitor;
mod observer;
mod proof;
mod walls;
mod watched;

pub(crate) use self::filters::{IPTABLES, without_nftables};
