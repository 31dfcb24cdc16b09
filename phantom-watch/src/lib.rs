//! The watcher: sees within a moment what the host has lost of an installation, and asks for its repair.
//!
//! It has no state and no store. What is meant to be there it reads from a file ([`phantom_types::watch::Watched`]) that
//! every change writes; the kernel tells it when links, addresses, routes, rules or the packet filter change, whoever
//! changed them. What a message says does not count: it wakes the watcher, which then looks at the host itself. So messages
//! that get lost cost nothing, and what a change of our own does is right when the watcher looks.
//!
//! * [`missing`] compares; it is pure.
//! * [`Machine`] decides when to ask for a repair, and lets go of what somebody keeps removing; it is pure as well.
//! * [`watch`] is the loop around them.

mod compare;
mod filter;
mod kernel;
mod legacy;
mod machine;
mod netlink;
mod notify;
mod place;
mod run;

pub use compare::{Seen, SeenLink, missing};
pub use machine::{Fight, Machine, Next};
pub use place::{Ask, Place};
pub use run::watch;
