//! The server on a real kernel: network namespaces, real WireGuard handshakes, foreign clients.
//!
//! Every test starts this program again inside namespaces of its own (network, mounts, processes), with throw-away
//! copies of `/etc`, `/opt` and `/var/lib`, so that nothing of the machine is touched. What cannot run says
//! `SKIPPED` and why. In a virtual machine with a kernel that has WireGuard, `PHANTOM_TEST_BACKEND=kernel` runs the
//! same tests on it.
#![expect(clippy::disallowed_methods, reason = "tests start programs and write files of their own")]
#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]
#![expect(clippy::unused_self, reason = "what is done in a world is a method of it, so that there is one")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what a test inside said is passed on")]

mod capture;
mod clients;
mod concurrency;
mod copies;
mod crashes;
mod dns;
mod documents;
mod factory_reset;
mod faults;
mod faulty;
mod forge;
mod full_disk;
mod ghost;
mod hung;
mod leaving;
mod look;
mod multihop;
mod package;
mod ping;
mod power;
mod reach;
mod repair;
mod rootless;
mod secrets;
mod seeds;
mod signals;
mod terminal;
mod traffic;
mod tui;
mod watch;
mod world;
