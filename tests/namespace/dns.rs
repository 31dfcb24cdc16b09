//! Name servers that answer, refuse, know nothing or stay silent.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::world::{At, World, in_world_with, on, wait_for};

/// What the tests here need beside the rest.
const PROGRAMS: [&str; 2] = ["dnsmasq", "dig"];
/// How long a call may take whatever the servers do: four seconds, and the start of a program on a busy machine.
const LIMIT: Duration = Duration::from_millis(5000);

/// Starts a name server on an address of the Internet that knows `name` and, below it, nothing. It ends with the world.
pub(crate) fn name_server(world: &World, ip: &str, name: &str, address: &str) -> u32 {
    let pid = world.spawn(
        At::Internet,
        "dnsmasq",
        &[
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--user=root",
            "--pid-file=",
            "--no-resolv",
            "--no-hosts",
            "--bind-interfaces",
            &format!("--listen-address={ip}"),
            &format!("--host-record={name},{address}"),
            "--local=/#/",
        ],
    );
    let answers = || {
        let output = world.try_at(At::Internet, &format!("dig +short +time=1 +tries=1 @{ip} {name}"));
        String::from_utf8_lossy(&output.stdout).trim() == address
    };
    assert!(wait_for(Duration::from_secs(30), answers), "dnsmasq does not answer on {ip}");
    pid
}

/// Listens on an address of the Internet and never answers.
fn silent_server(ip: &'static str) {
    let socket = on(At::Internet, move || UdpSocket::bind((ip, 53)).unwrap()).join().unwrap();
    std::mem::forget(socket); // for as long as the world stands
}
