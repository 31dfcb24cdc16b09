//! The network half of the Linux host on real kernels: each test in namespaces of its own. What a machine cannot do
//! is said on standard error as `skipped TEST: why`; measured times as `figure WHAT: value`.
//!
//! On a machine whose kernel has no WireGuard the tests of [`kernel`] show that this is said; they are complete in a
//! virtual machine with Debian's kernel.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod contract;
mod kernel;
mod links;
mod namespace;
mod routes;
mod rules;
mod uapi;
mod uplink;
mod words;
