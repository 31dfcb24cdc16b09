//! Kernel settings, sockets, clock, randomness.

use std::time::Duration;

use phantom_host::{Port, Protocol};

use crate::bench::{Bench, kind, name};

pub(crate) fn settings(bench: &Bench) {
    let sysctl = &bench.host.sysctl;
    let forward = "net.ipv4.ip_forward";
    assert_eq!(sysctl.get(forward).unwrap().as_deref(), Some("0"), "a fresh host");
    sysctl.set(forward, "1").unwrap();
    sysctl.set(forward, "1").unwrap();
    assert_eq!(sysctl.get(forward).unwrap().as_deref(), Some("1"));
    assert_eq!(kind(sysctl.set(forward, "yes")), "io EINVAL");
    assert_eq!(sysctl.get(forward).unwrap().as_deref(), Some("1"));

    assert_eq!(sysctl.get("net.ipv4.no_such_setting").unwrap(), None);
    assert_eq!(kind(sysctl.set("net.ipv4.no_such_setting", "1")), "absent");

    // Those of a link come and go with it.
    let of_link = "net.ipv4.conf.cft0.rp_filter";
    assert_eq!(sysctl.get(of_link).unwrap(), None);
    bench.lab.add_tun("cft0");
    let first = sysctl.get(of_link).unwrap();
    assert_eq!(first, sysctl.get("net.ipv4.conf.default.rp_filter").unwrap());
    sysctl.set(of_link, "2").unwrap();
    assert_eq!(sysctl.get(of_link).unwrap().as_deref(), Some("2"));
    bench.host.network.delete_link(&name("cft0")).unwrap();
    assert_eq!(kind(sysctl.set(of_link, "2")), "absent");
    bench.lab.add_tun("cft0");
    assert_eq!(sysctl.get(of_link).unwrap(), first, "a new link begins again");
}

pub(crate) fn sockets(bench: &Bench) {
    let sockets = &bench.host.sockets;
    let udp = Port { protocol: Protocol::Udp, number: 51820 };
    let tcp = Port { protocol: Protocol::Tcp, number: 51820 };
    assert!(!sockets.bound(udp).unwrap() && !sockets.bound(tcp).unwrap());
    let program = bench.lab.bind(udp);
    assert!(sockets.bound(udp).unwrap());
    assert!(!sockets.bound(tcp).unwrap(), "the other protocol");
    assert!(!sockets.bound(Port { number: 51821, ..udp }).unwrap(), "another port");
    drop(program);
    assert!(!sockets.bound(udp).unwrap());
    let program = bench.lab.bind(tcp);
    assert!(sockets.bound(tcp).unwrap() && !sockets.bound(udp).unwrap());
    drop(program);
}

pub(crate) fn clock_and_random(bench: &Bench) {
    let clock = &bench.host.clock;
    let (now, monotonic) = (clock.now(), clock.monotonic());
    assert!(now.seconds() > 1_700_000_000, "a time of today");
    let nap = Duration::from_millis(20);
    clock.sleep(nap);
    assert!(clock.monotonic() >= monotonic + nap);
    assert!(clock.now().since(now) >= nap);

    let mut bytes = [[0; 32]; 2];
    for each in &mut bytes {
        bench.host.random.fill(each).unwrap();
    }
    assert_ne!(bytes[0], bytes[1]);
    assert_ne!(bytes[0][..16], bytes[0][16..]);
    bench.host.random.fill(&mut []).unwrap();
}
