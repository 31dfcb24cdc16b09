//! One suite for two hosts: the one in memory and the real Linux one.
//!
//! Every check here runs against both. What the kernel refuses, with which kind of error, and what it does on its own
//! is asserted once; a host in memory that is more lenient, or stricter, fails.
//!
//! The real host is a set of namespaces of its own (network, mounts, processes) with an empty `/run` and a copy of
//! `/etc` that is thrown away. Where they cannot be made, the test says so on standard error, in a line that begins
//! with `skipped:`.

#![cfg(feature = "fake")]
#![expect(clippy::disallowed_methods, reason = "the real host is set up with the tools of the system")]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed; its helpers are no test functions to the lint"
)]

mod bench;
mod daemon;
mod devices;
mod faulty;
mod files;
mod firewall;
mod network;
mod routes;
mod services;
mod small;

use bench::{Bench, Check, on_linux};

/// Runs a check against a fresh host in memory.
fn on_fake(check: Check) {
    check(&Bench::fake());
}

#[test]
fn files_on_the_fake() {
    on_fake(files::check);
}
#[test]
fn files_on_linux() {
    on_linux("files_on_linux", files::check);
}
#[test]
fn settings_on_the_fake() {
    on_fake(small::settings);
}
#[test]
fn settings_on_linux() {
    on_linux("settings_on_linux", small::settings);
}
#[test]
fn sockets_on_the_fake() {
    on_fake(small::sockets);
}
#[test]
fn sockets_on_linux() {
    on_linux("sockets_on_linux", small::sockets);
}
#[test]
fn clock_and_random_on_the_fake() {
    on_fake(small::clock_and_random);
}
#[test]
fn clock_and_random_on_linux() {
    on_linux("clock_and_random_on_linux", small::clock_and_random);
}
#[test]
fn links_on_the_fake() {
    on_fake(network::links);
}
#[test]
fn links_on_linux() {
    on_linux("links_on_linux", network::links);
}
#[test]
fn guards_on_the_fake() {
    on_fake(network::guards);
}
#[test]
fn guards_on_linux() {
    on_linux("guards_on_linux", network::guards);
}
#[test]
fn addresses_on_the_fake() {
    on_fake(network::addresses);
}
#[test]
fn addresses_on_linux() {
    on_linux("addresses_on_linux", network::addresses);
}
#[test]
fn what_goes_with_link_on_fake() {
    on_fake(network::what_goes_with_a_link);
}
#[test]
fn what_goes_with_a_link_on_linux() {
    on_linux("what_goes_with_a_link_on_linux", network::what_goes_with_a_link);
}
#[test]
fn routes_on_the_fake() {
    on_fake(routes::routes);
}
#[test]
fn routes_on_linux() {
    on_linux("routes_on_linux", routes::routes);
}
#[test]
fn rules_on_the_fake() {
    on_fake(routes::rules);
}
#[test]
fn rules_on_linux() {
    on_linux("rules_on_linux", routes::rules);
}
#[test]
fn uplink_on_the_fake() {
    on_fake(routes::uplink);
}
#[test]
fn uplink_on_linux() {
    on_linux("uplink_on_linux", routes::uplink);
}
#[test]
fn passing_packets_on_the_fake() {
    on_fake(routes::passing);
}
#[test]
fn passing_packets_on_linux() {
    on_linux("passing_packets_on_linux", routes::passing);
}
#[test]
fn own_routes_on_the_fake() {
    on_fake(routes::own_routes);
}
#[test]
fn own_routes_on_linux() {
    on_linux("own_routes_on_linux", routes::own_routes);
}
#[test]
fn nftables_on_the_fake() {
    on_fake(firewall::by_nftables);
}
#[test]
fn nftables_on_linux() {
    on_linux("nftables_on_linux", firewall::by_nftables);
}
#[test]
fn iptables_on_the_fake() {
    on_fake(firewall::by_iptables);
}
#[test]
fn iptables_on_linux() {
    on_linux("iptables_on_linux", firewall::by_iptables);
}
#[test]
fn ufw_on_the_fake() {
    on_fake(firewall::ufw);
}
#[test]
fn ufw_on_linux() {
    on_linux("ufw_on_linux", firewall::ufw);
}
#[test]
fn services_on_the_fake() {
    on_fake(services::check);
}
#[test]
fn services_on_linux() {
    on_linux("services_on_linux", services::check);
}
#[test]
fn absent_devices_on_the_fake() {
    on_fake(devices::absent);
}
#[test]
fn absent_devices_on_linux() {
    on_linux("absent_devices_on_linux", devices::absent);
}
#[test]
fn kernel_devices_on_the_fake() {
    on_fake(devices::kernel);
}
#[test]
fn kernel_devices_on_linux() {
    on_linux("kernel_devices_on_linux", devices::kernel);
}
#[test]
fn embedded_devices_on_the_fake() {
    on_fake(devices::embedded);
}
#[test]
fn embedded_devices_on_linux() {
    on_linux("embedded_devices_on_linux", devices::embedded);
}
