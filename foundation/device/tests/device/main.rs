//! The device on a real kernel: TUN, UDP, the tools `wg` and `ip`, and Debian's wireguard-go at the other end.
//!
//! Every test runs in a process of its own with its own network, mounts and process ids, where `/run` is empty (see
//! [`lab`]): nothing of the host is touched, and nothing is left behind. Where that cannot be had, a test says on
//! standard error that it is skipped, and why.

#![expect(clippy::disallowed_methods, reason = "these tests start programs and write files in a sandbox")]
#![expect(clippy::unwrap_used, reason = "the helpers are parts of tests")]

mod control;
mod flood;
mod lab;
mod lifecycle;
mod memory;
mod ping;
mod traffic;
