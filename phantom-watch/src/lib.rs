//! The watcher: it notices within a moment what the host has lost of an installation, and asks for a repair.
//!
//! The watcher has no state and no store. It reads what should exist from a file ([`phantom_types::watch::Watched`]) that
//! every change writes. The kernel tells it when links, addresses, routes, rules or the packet filter change, whoever
//! changed them. A message only wakes the watcher, which then looks at the host itself. Lost messages therefore cost
//! nothing, and a change of our own is right when the watcher looks.
//!
//! * [`missing`] compares; it is pure.
//! * [`Machine`] decides when to ask for a repair, and asks less often for objects that somebody keeps removing; it is pure too.
//! * [`watch`] is the loop around them.

mod calendar;
mod compare;
mod filter;
mod kernel;
mod legacy;
mod machine;
mod netlink;
mod notify;
mod place;
mod right;
mod run;

pub use compare::{Seen, SeenLink, missing};
pub use machine::{Fight, Machine, Next};
pub use place::{Ask, WatchPaths};
pub use run::watch;
