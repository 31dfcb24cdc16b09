//! What the device holds on to: a bound for all of it, and nothing when all is over.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use crate::lab::{Device, ask, at_client, hex, ok, pair, sandbox, until};
use crate::ping::answers;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
/// Peers that have an endpoint at which nobody is.
const AWAY: u32 = 200;
/// The most that the whole device may take, in KiB.
const MOST: u64 = 64 << 10;

/// What this line of the process's status says, in KiB: `VmRSS`, or `VmHWM` for the most that there was.
fn status(device: &Device, line: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", device.pid())).unwrap();
    let line = status.lines().find(|text| text.starts_with(line)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Adds peers that are away: 10.77.0.0 and those after it.
fn add_absent() {
    let request = (0..AWAY).fold("set=1\n".to_owned(), |mut text, number| {
        let mut key = [7; 32];
        key[..4].copy_from_slice(&number.to_be_bytes());
        writeln!(text, "public_key={}\nendpoint=192.0.2.2:9\nallowed_ip={}/32", hex(&key), absent(number))
            .unwrap();
        text
    });
    assert_eq!(ask("wga", &(request + "\n")), "errno=0\n\n");
    ok("ip route add 10.77.0.0/16 dev wga");
}

fn absent(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 77, 0, 0)) + number)
}

#[test]
fn packets_for_absent_peers_take_bounded_memory() {
    sandbox("memory::packets_for_absent_peers_take_bounded_memory", || {
        let device = pair("");
        assert!(at_client(|| answers(SERVER)));
        add_absent();
        let before = status(&device, "VmRSS");
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        let send = || {
            for number in 0..AWAY {
                let _ = socket.send_to(&[0; 1392], (absent(number), 9));
            }
        };
        let mut rounds = 0;
        until("much waits", || {
            send();
            rounds += 1;
            status(&device, "VmHWM") > before + (16 << 10)
        });
        // Several times as much as that. Without a bound it would be more than there may be.
        (0..12 * rounds).for_each(|_| send());
        assert!(at_client(|| answers(SERVER)), "others are served");
        let most = status(&device, "VmHWM");
        assert!(most <= MOST, "{most} KiB, {before} before");
        // Each has a tunnel of 18 KiB that tries for 90 s to reach it (`REKEY_ATTEMPT_TIME`).
        let (start, patience) = (Instant::now(), Duration::from_mins(2));
        while status(&device, "VmRSS") > before + (8 << 10) {
            let now = status(&device, "VmRSS");
            assert!(start.elapsed() < patience, "{now} KiB, {before} before, {most} at most");
            thread::sleep(Duration::from_millis(100));
        }
        assert!(at_client(|| answers(SERVER)));
    });
}
