//! The packet filters of the real host, each test in a network and mount namespace of its own.
#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the test outside shows what happened inside")]

mod filters;
mod foreign;
mod iptables;
mod lab;
mod letting;
mod nftables;
mod report;
mod ufw;
